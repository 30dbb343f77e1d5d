"""`virgo-factory VERB`: finds the verb's module when it is asked for, and turns user errors into one line."""

import os
import sys

import typer

import virgo_factory
from virgo_factory.cli.lazy import lazy_group


VERBS = {
    "checkpoint": "Check that a trained model survives in the programs that serve it.",
    "data": "Add, check, look at, mix and cut datasets of long thoughts.",
    "demo": "Train a tiny Qwen2-VL on generated long thoughts and prove what happened.",
    "distill": "Make visual long thoughts: questions, rollouts, verdicts, selected rows.",
    "doctor": "Check this environment against the tested versions and known traps.",
    "plan": "Tell rows, steps, memory, disk and hours of a recipe before the GPUs are booked.",
    "recipes": "List, show or copy the recipes that ship with the package.",
    "score": "Compare responses with gold answers: correct, wrong or unverifiable.",
    "smoke": "Try a recipe out on a tiny twin of its model: rows, training, kill, resume, serving.",
}
"""Verb -> its line in the help; see `lazy_group`."""

EXAMPLE = """\b
Examples:
  virgo-factory recipes copy .
  llamafactory-cli train recipes/virgo7b_dt.yaml"""


# rich_markup_mode=None: importing rich's help renderer alone takes 0.25 s.
app = typer.Typer(
    cls=lazy_group("virgo_factory.cli", VERBS),
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    epilog=EXAMPLE,
)


def show_version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        typer.echo(f"virgo-factory {virgo_factory.__version__}")
        raise typer.Exit()


@app.callback()
def virgo_factory_command(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Show the version."),
) -> None:
    """Long thoughts for LLaMA-Factory (Virgo, arXiv 2501.01904). Training itself is stock `llamafactory-cli train`."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 with one clear message for a user's error, 130 when interrupted.

    A ValueError or OSError is a user's error, as everywhere in this package; every other exception is ours and keeps its
    traceback. VIRGO_FACTORY_TRACEBACK=1 keeps it for all.
    """
    try:
        code = typer.main.get_command(app)(arguments, prog_name="virgo-factory", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        is_usage = hasattr(error, "format_message")  # typer's own errors: unknown verb, missing argument
        if os.environ.get("VIRGO_FACTORY_TRACEBACK") or not (is_usage or isinstance(error, (ValueError, OSError))):
            raise

        message = error.format_message() if is_usage else str(error)
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(message)
            sys.exit(0)

        typer.echo(f"virgo-factory: {message}", err=True)
        sys.exit(1)

    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
