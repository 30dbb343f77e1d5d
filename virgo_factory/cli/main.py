"""`virgo-factory VERB`: finds the verb's module when it is asked for, and turns user errors into one line."""

import os
import sys
import traceback

import typer

import virgo_factory
from virgo_factory.cli.lazy import app as typer_app
from virgo_factory.cli.lazy import lazy_group
from virgo_factory.core.errors import UserError


VERBS = {
    "checkpoint": "Check that a trained model survives in the programs that serve it.",
    "data": "Add, check, look at, mix and cut datasets of long thoughts.",
    "demo": "Train a tiny Qwen2-VL on generated long thoughts and prove what happened.",
    "distill": "Make visual long thoughts: questions, rollouts, verdicts, selected rows.",
    "doctor": "Check this environment against the tested versions and known traps.",
    "evaluate": "Ask a checkpoint the questions of benchmarks: scores with error bars, and which epoch to take.",
    "plan": "Tell rows, steps, memory, disk and hours of a recipe before the GPUs are booked.",
    "recipes": "List, show or copy the recipes that ship with the package.",
    "reinforce": "Train by rewards: what a training of stage: grpo did, and the same recipe for verl.",
    "score": "Compare responses with gold answers: correct, wrong or unverifiable.",
    "smoke": "Try a recipe out on a tiny twin of its model: rows, training, kill, resume, serving.",
    "synthesize": "Make questions, composed questions and thoughts from pictures with captions and boxes.",
}
"""Verb -> its line in the help; see `lazy_group`."""

BUG = (
    "virgo-factory {version}: this is a bug of virgo-factory, not of what you entered. Please report it with the command and "
    "the lines above, and with the row or recipe if the command needs one."
)

app = typer_app(
    "virgo-factory recipes copy .",
    "llamafactory-cli train recipes/virgo7b_dt.yaml",
    cls=lazy_group("virgo_factory.cli", VERBS),
    no_args_is_help=True,
)


def show_version(value: bool) -> None:
    if value:
        typer.echo(f"virgo-factory {virgo_factory.__version__}")
        raise typer.Exit()


@app.callback()
def virgo_factory_command(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Show the version."),
) -> None:
    """Long thoughts for LLaMA-Factory (Virgo, arXiv 2501.01904). Training itself is stock `llamafactory-cli train`."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 with one clear message for what a user can mend, 130 when interrupted.

    That is a UserError, or what the system says of a file (OSError). Every other exception is a bug of this package: it
    keeps its traceback, and says what to send. VIRGO_FACTORY_TRACEBACK=1 keeps it for all.
    """
    try:
        code = typer.main.get_command(app)(arguments, prog_name="virgo-factory", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        is_usage = hasattr(error, "format_message")  # typer's own errors: unknown verb, missing argument
        is_ours = not (is_usage or isinstance(error, (UserError, OSError)))
        if is_ours or os.environ.get("VIRGO_FACTORY_TRACEBACK"):
            traceback.print_exc()

        if is_ours:
            typer.echo(BUG.format(version=virgo_factory.__version__), err=True)
            sys.exit(1)

        message = error.format_message() if is_usage else _told(error)
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(message)
            sys.exit(0)

        verb = getattr(error, "ctx", None)  # of a usage error
        if verb and not hasattr(verb.command, "list_commands"):
            message = f"{message.rstrip('.')}. Options and an example: {verb.command_path} --help"

        typer.echo(f"virgo-factory: {message}", err=True)
        sys.exit(1)

    sys.exit(code if isinstance(code, int) else 0)


def _told(error: Exception) -> str:
    """Return what an error says; of the system's with a file the file, why, and what to do where a right is missing."""
    if not isinstance(error, OSError) or error.filename is None or not error.strerror:
        return str(error)

    hint = " Change its rights, or name another place." if isinstance(error, PermissionError) else ""
    return f"{error.filename}: {error.strerror}.{hint}"


if __name__ == "__main__":
    main()
