"""`virgo-factory distill VERB`: visual long thoughts, from questions to rows that are trained on."""

import typer

from virgo_factory.cli.lazy import lazy_group


VERBS = {
    "questions": "Collect visual questions with gold answers from the sources of a config.",
    "run": "Ask the models: questions, rollouts and verdicts. Safe to kill and to start again.",
    "status": "Tell what is done, what it costs and what is left; or write it as a page.",
    "resume": "Go on with a run that was stopped.",
    "select": "Choose the rollouts that are trained on, as a dataset with an entry.",
    "merge": "Put the shards of several machines together.",
}

EXAMPLE = """\b
Example:
  virgo-factory distill run recipes/distill/dsd_virgo7b.yaml --dry-run"""

distill = typer.Typer(
    cls=lazy_group("virgo_factory.cli.distill", VERBS),
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    epilog=EXAMPLE,
)


@distill.callback()
def distill_command() -> None:
    """Visual long thoughts that a model makes itself: questions, rollouts, verdicts, selected rows."""
