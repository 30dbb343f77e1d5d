"""`virgo-factory synthesize VERB`: from pictures with captions and boxes to rows that are trained on."""

import typer

from virgo_factory.cli.lazy import lazy_group


VERBS = {
    "run": "Ask the roles and make the files, stage after stage. Safe to kill and to start again.",
    "status": "Tell what every stage kept and dropped, and why; or write it as a page.",
    "resume": "Go on with a run that was stopped.",
    "merge": "Put the shards of several machines together.",
}

EXAMPLE = """\b
Example:
  virgo-factory synthesize run recipes/synthesize/lgt.yaml --dry-run"""

synthesize = typer.Typer(
    cls=lazy_group("virgo_factory.cli.synthesize", VERBS),
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    epilog=EXAMPLE,
)


@synthesize.callback()
def synthesize_command() -> None:
    """Questions, composed questions and long thoughts of pictures with captions and boxes (arXiv 2511.05705)."""
