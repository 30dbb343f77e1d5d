"""`virgo-factory distill run`: ask the models, until all is asked, a budget is used up, or it is stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from virgo_factory.cli.asked import end, left, not_had, shard_of, stoppable
from virgo_factory.report.text import amount, quoted


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
        from virgo_factory.distill.tell.estimate import estimated

        for line in estimated(settings):
            typer.echo(line)

        return

    go(settings, part)


def go(config: "DistillConfig", shard: tuple[int, int] | None) -> None:
    from rich.console import Console

    from virgo_factory.distill.launch import distil
    from virgo_factory.rollouts.run.progress import Live

    console = Console(highlight=False, soft_wrap=True)
    servers = max(1, len(config.urls))
    live = Live(console, config.output_dir, servers, config.response_format, shard)
    with stoppable(config.output_dir, f"Go on: {config.resume_command(shard)}"), live:
        outcome = distil(config, shard, on_event=live)

    for line in _told(config, shard, outcome):
        typer.echo(line)

    end(outcome)


def _told(config: "DistillConfig", shard: tuple[int, int] | None, outcome: "Outcome") -> list[str]:
    folder, rest = config.output_dir, outcome.left
    is_done = not rest.samples and not rest.greedy
    made = f"{amount(outcome.finished, 'rollout was', 'rollouts were')} made in this start."
    lines = [made] if outcome.finished or not is_done else []
    file = f"{folder}/dropped{f'-{shard[0]}of{shard[1]}' if shard else ''}.jsonl"
    lines += not_had(outcome, "question", file, "Remove it, and they are tried again")
    if is_done and outcome.dropped and not rest.samples_done:
        return [*lines, "No question got a response, so there is nothing to select."]

    if is_done:
        whole = f"All is asked. Next: virgo-factory distill select {quoted(folder)}"
        part = "All of shard {}/{} is asked. When all shards are: virgo-factory distill merge DIR... --out DIR"
        return [*lines, part.format(*shard) if shard else whole]

    what = [f"{amount(rest.greedy, 'question')} for the base model"] if rest.greedy else []
    if rest.samples:
        most = "at most " if rest.greedy or config.stop_when_decided else ""
        what.append(f"{most}{amount(rest.samples, 'rollout')} of {amount(rest.questions, 'question')}")

    return [*lines, left(outcome, ", ".join(what)), f"Go on: {config.resume_command(shard)}"]


EXAMPLE = """virgo-factory distill run recipes/distill/dsd_virgo7b.yaml \\
    'urls=[http://node1:8000, http://node2:8000]' \\
    'base_urls=[http://node3:8000]' --dry-run"""
