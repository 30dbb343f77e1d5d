"""Groups of verbs that import a verb's module only when that verb is called, so that `--help` stays fast."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup


def lazy_group(package: str, verbs: dict[str, str]) -> type[TyperGroup]:
    """Return the class of a group whose verbs (verb -> its line in the group's help) are modules.

    `package.VERB` holds a function or a Typer app named VERB. The help of a function ends with the command EXAMPLE of its
    module, whose output stands in PAGE, if there is one.
    """

    class LazyGroup(TyperGroup):
        def list_commands(self, ctx):
            return list(verbs)

        def get_command(self, ctx, cmd_name):
            """Return the verb's command, None where there is no such verb."""
            if cmd_name not in verbs:
                return None

            module = importlib.import_module(f"{package}.{cmd_name}")
            verb = getattr(module, cmd_name)
            if not isinstance(verb, typer.Typer):
                function, verb = verb, app()
                epilog = end_of_help(module.EXAMPLE, getattr(module, "PAGE", None))
                verb.command(name=cmd_name, epilog=epilog)(function)

            return typer.main.get_command(verb)

        def resolve_command(self, ctx, args):
            """Return the verb that is asked for; of one that there is not, the error names the nearest."""
            if args[0] not in verbs:
                from difflib import get_close_matches  # a hundredth of a second, which no right verb needs

                near = get_close_matches(args[0], verbs, 1)
                ctx.fail(
                    f"No such command '{args[0]}'. "
                    + (f"Is {near[0]} meant?" if near else f"There are {', '.join(verbs)}.")
                )

            return super().resolve_command(ctx, args)

        def format_commands(self, ctx, formatter):
            """Write the verbs' lines without importing their modules."""
            with formatter.section("Verbs"):
                formatter.write_dl(list(verbs.items()))

    return LazyGroup


def end_of_help(commands: str, page: str | None = None) -> str:
    """Return commands as examples, with the page of docs/ that shows their output; click's `\b` keeps the lines."""
    lines = commands.splitlines()
    several = "s" * (sum(not line.startswith(" ") for line in lines) > 1)
    shown = f", whose output is in {page}" if page else ""
    return "\n".join([f"\b\nExample{several}{shown}:", *(f"  {line}" for line in lines)])


def app(*examples: str, **more: Any) -> typer.Typer:
    """Return a Typer app, whose help ends with examples."""
    if examples:
        more["epilog"] = end_of_help("\n".join(examples))

    # rich_markup_mode=None: importing rich's help renderer alone takes 0.25 s.
    return typer.Typer(rich_markup_mode=None, add_completion=False, **more)


def group(name: str, verbs: dict[str, str], about: str, *examples: str) -> typer.Typer:
    """Return the group `virgo-factory NAME VERB`, whose verbs are the modules of its package."""
    found = app(*examples, cls=lazy_group(f"virgo_factory.cli.{name}", verbs), no_args_is_help=True)
    found.callback(help=about)(lambda: None)
    return found
