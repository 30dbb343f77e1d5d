"""`virgo-factory evaluate run`: ask, judge and score, until all is asked, a budget is used up, or it is stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from virgo_factory.cli.asked import end, left, not_had, shard_of, stoppable
from virgo_factory.report.terminal import console, print_tables
from virgo_factory.report.text import amount


if TYPE_CHECKING:
    from virgo_factory.evaluation.config import EvaluationConfig


def run(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration, such as recipes/evaluate/virgo.yaml."),
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="Keys that differ from it."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Show the first prompt of each benchmark, requests and tokens; ask nobody."
    ),
    shard: str | None = typer.Option(None, "--shard", metavar="2/8", help="Ask the second of eight parts."),
) -> None:
    """Ask a model the questions of benchmarks, judge its responses, and write scores.csv once nothing is outstanding.

    Every response is in OUTPUT_DIR/rollouts.jsonl the moment it is finished. Kill it, and start it again: what is there is
    not asked again, nor is a judge.
    """
    from virgo_factory.evaluation.config import read_config

    settings = read_config(config, overrides or [], files=not dry_run)
    part = shard_of(shard)
    if dry_run:
        from virgo_factory.evaluation.estimate import estimated

        for line in estimated(settings):
            typer.echo(line)

        return

    go(settings, part)


def go(config: "EvaluationConfig", shard: tuple[int, int] | None = None) -> None:
    """Run an evaluation, show how it goes, and print its scores, or what is outstanding."""
    from virgo_factory.evaluation.report.tell import headline, not_as_in_the_paper, scores_table
    from virgo_factory.evaluation.run import evaluate
    from virgo_factory.rollouts.run.progress import Live

    shown = console(soft_wrap=True, markup=False)
    live = Live(shown, config.output_dir, max(1, len(config.urls)), config.response_format, shard)
    again = f"Go on: {config.resume_command(shard)}"
    with stoppable(config.output_dir, again), live:
        found = evaluate(config, shard, on_event=live)

    outcome = found.outcome
    file = f"dropped.jsonl in {config.output_dir}"
    for line in not_had(outcome, "question", file, "Remove it, and they are tried again"):
        shown.print(line)

    if outcome.left.samples:
        lacks = f"{amount(outcome.left.samples, 'response')} to {amount(outcome.left.questions, 'question')}"
        shown.print(left(outcome, lacks))
        shown.print(again)
    elif found.rows is None:
        shown.print("All of this shard is asked. scores.csv is written by whoever ends last.")

    if found.rows is not None:
        shown.print(headline(config, found.rows))
        print_tables(shown, scores_table(config, found.rows))
        if told := not_as_in_the_paper(config, found.rows):
            shown.print(f"\n{told}")

        shown.print(f"\n{config.output_dir}/scores.csv has all groups.")

    end(outcome)
    if found.rows and not any(row["n"] for row in found.rows):  # a score of nothing is none
        raise typer.Exit(1)


EXAMPLE = """virgo-factory evaluate run recipes/evaluate/virgo.yaml benchmarks=[mmmu] \\
    'urls=[http://node1:8000]' --dry-run"""
