"""`virgo-factory evaluate VERB`: benchmarks asked of a checkpoint, scores with their bars, the paper's numbers beside ours."""

import typer

from virgo_factory.cli.lazy import lazy_group


VERBS = {
    "report": "Write tables, plots and a page on runs, the paper's numbers beside ours.",
    "compare": "Compare two runs question by question.",
    "rescore": "Judge responses again: a paper's scorer, or a language model for what rules cannot decide.",
    "import": "Read the log of another harness and put our verdicts beside its own.",
}

EXAMPLE = """\b
Example:
  virgo-factory evaluate report evals/virgo7b_dt"""

evaluate = typer.Typer(
    cls=lazy_group("virgo_factory.cli.evaluate", VERBS),
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    epilog=EXAMPLE,
)


@evaluate.callback()
def evaluate_command() -> None:
    """Evaluation of a checkpoint: scores with their intervals, truncation and what cannot be judged beside them."""
