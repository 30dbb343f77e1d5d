"""`virgo-factory distill run`: ask the models, until all is asked, a budget is used up, or it is stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from virgo_factory.cli.asked import end, not_had
from virgo_factory.core.errors import UserError


if TYPE_CHECKING:
    from virgo_factory.distill.config import DistillConfig
    from virgo_factory.distill.launch import Outcome


def run(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration, such as recipes/distill/dsd_virgo7b.yaml."),
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="Keys that differ from it."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the first prompt, requests and tokens; ask nobody."),
    shard: str | None = typer.Option(None, "--shard", metavar="2/8", help="Ask the second of eight parts."),
) -> None:
    """Make the questions of a config and ask the models: the base model greedily, then the samples of the rest.

    Every rollout is in OUTPUT_DIR/rollouts.jsonl the moment it is finished. Kill it, and start it again: what is there is
    not asked again. Only one process writes to a folder; shards are for several machines.
    """
    from virgo_factory.distill.config import read_config

    settings = read_config(config, overrides or [], files=not dry_run)
    part = shard_of(shard)
    if dry_run:
        from virgo_factory.distill.tell.estimate import estimate, told

        for line in told(settings, estimate(settings)):
            typer.echo(line)

        return

    go(settings, part)


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Return the shard that a command line names.

    >>> shard_of("2/8")
    (2, 8)
    """
    if text is None:
        return None

    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected I/N with I from 1 to N, such as 2/8.")

    return int(index), int(count)


def go(config: "DistillConfig", shard: tuple[int, int] | None) -> None:
    """Run a distillation, show how it goes, and say how it ended."""
    from rich.console import Console

    from virgo_factory.distill.launch import distil
    from virgo_factory.rollouts.run.progress import Live

    console = Console(highlight=False, soft_wrap=True)
    servers = max(1, len(config.urls))
    live = Live(console, config.output_dir, servers, config.response_format, shard, samples=config.samples)
    try:
        with live:
            outcome = distil(config, shard, on_event=live)
    except KeyboardInterrupt:
        command = config.resume_command(shard)
        typer.echo(f"Stopped. What was finished is in {config.output_dir}. Go on: {command}", err=True)
        raise typer.Exit(130) from None

    for line in _told(config, shard, outcome):
        console.print(line, markup=False)

    end(outcome)


def _told(config: "DistillConfig", shard: tuple[int, int] | None, outcome: "Outcome") -> list[str]:
    """Return how it ended, as lines."""
    folder, left = config.output_dir, outcome.left
    is_done = not left.samples and not left.greedy
    lines = [f"{outcome.finished:,} rollouts were made in this start."] if outcome.finished or not is_done else []
    file = f"{folder}/dropped{f'-{shard[0]}of{shard[1]}' if shard else ''}.jsonl"
    lines += not_had(outcome, "questions", file, "Remove it, and they are tried again")
    if is_done:
        lines.append(f"All is asked. Next: virgo-factory distill select {folder}")
        if shard:
            lines[-1] = (
                f"All of shard {shard[0]}/{shard[1]} is asked. When all shards are: virgo-factory distill merge DIR... --out DIR"
            )

        return lines

    rest = []
    if left.greedy:
        rest.append(f"{left.greedy:,} questions for the base model")

    if left.samples:
        most = "at most " if left.greedy or config.stop_when_decided else ""
        rest.append(f"{most}{left.samples:,} rollouts of {left.questions:,} question{'s' * (left.questions != 1)}")

    budget = f" The budget is used up ({outcome.stopped}): raise it first." if outcome.stopped else ""
    lines.append(f"Left: {', '.join(rest)}.{budget}")
    lines.append(f"Go on: {config.resume_command(shard)}")
    return lines


EXAMPLE = """\b
Example:
  virgo-factory distill run recipes/distill/dsd_virgo7b.yaml \\
    'urls=[http://node1:8000, http://node2:8000]' 'base_urls=[http://node3:8000]' --dry-run

\b
  Questions: 40, prompts of 215 tokens on average (a guess: the model's tokenizer is not on this machine)
  Requests: 40 greedy to Qwen/Qwen2-VL-7B-Instruct, and
    at most 200 to saves/virgo7b/full/dt/epoch-5, 5 for each question that is not solved"""

run.epilog = EXAMPLE
