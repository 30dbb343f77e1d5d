"""`virgo-factory synthesize run`: ask the roles, until all is asked, a budget is used up, or it is stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from virgo_factory.cli.asked import end, left, not_had, shard_of, stoppable
from virgo_factory.report.terminal import console as console_of
from virgo_factory.report.text import amount, quoted


if TYPE_CHECKING:
    from virgo_factory.synthesis.config import SynthesisConfig
    from virgo_factory.synthesis.run.launch import Outcome


def run(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration, such as recipes/synthesize/lgt.yaml."),
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="Keys that differ from it."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the first prompt, requests and tokens; ask nobody."),
    shard: str | None = typer.Option(
        None, "--shard", metavar="2/8", help="Do the second of eight parts, in OUTPUT_DIR-2of8."
    ),
) -> None:
    """Read the scenes of a config, ask its roles for questions, votes and thoughts, and make the rows.

    Every reply is in its file the moment it is finished. Kill it, and start it again: what is there is not asked again.
    """
    from virgo_factory.synthesis.config import read_config

    keys = list(overrides or [])
    if part := shard_of(shard):
        keys.append(f"shard={part[0]}/{part[1]}")

    settings = read_config(config, keys, files=not dry_run)
    if part:
        folder = settings.output_dir.with_name(f"{settings.output_dir.name}-{part[0]}of{part[1]}")
        settings = settings.model_copy(update={"output_dir": folder})

    if dry_run:
        from virgo_factory.report.terminal import console as console_of
        from virgo_factory.report.terminal import print_tables
        from virgo_factory.synthesis.tell.estimate import estimate

        before, table, after = estimate(settings)
        for line in before:
            typer.echo(line)

        print_tables(console_of(160, soft_wrap=True), table)
        for line in ("", *after):
            typer.echo(line)

        return

    go(settings)


def go(config: "SynthesisConfig") -> None:
    from virgo_factory.synthesis.run.launch import entries_of, synthesize
    from virgo_factory.synthesis.tell.live import StageLive

    servers = max((len(config.role(name).urls) for name in config.roles), default=1)
    live = StageLive(console_of(160, soft_wrap=True), config.output_dir, servers)
    with stoppable(config.output_dir, f"Go on: {config.resume_command()}"), live:
        outcome = synthesize(config, live, live.made)

    for line in told(config, outcome):
        typer.echo(line)

    if not (outcome.waits or config.shard or f"{config.dataset}_sft" in entries_of(config)):
        raise typer.Exit(1)

    end(outcome)


def told(config: "SynthesisConfig", outcome: "Outcome") -> list[str]:
    """Return how a start ended, and what is next."""
    from virgo_factory.synthesis.run.launch import entries_of
    from virgo_factory.synthesis.tell.status import not_asked

    folder, all_ = config.output_dir, "All else" if outcome.dropped else "All"
    made = f"{amount(outcome.finished, 'reply was', 'replies were')} had in this start."
    lines = [made] if outcome.finished else []
    lines += not_had(outcome, "request", f"{folder}/dropped.jsonl", "The next start tries them again")
    if outcome.dropped and (lacks := not_asked(folder)):
        lines.append(f"{lacks}. Once that is put right: {config.resume_command()}")

    if outcome.waits:
        lacks = f"{amount(outcome.left, 'reply', 'replies')} of {outcome.waits}.jsonl"
        lines.append(left(outcome, f"{lacks}, then the stages behind it"))
        lines.append(f"Go on: {config.resume_command()}")
    elif config.shard:
        lines.append(
            f"{all_} of shard {config.shard} is done. When all shards are: virgo-factory synthesize merge DIR... --out DIR"
        )
    elif (sft := f"{config.dataset}_sft") not in (entries := entries_of(config)):
        lines.append(
            f"{all_} is done, and no row for SFT was made. What was dropped: virgo-factory synthesize status {quoted(folder)}"
        )
    else:
        lines.append(f"{all_} is done, see {folder}. Entries in {config.dataset_dir / 'dataset_info.json'}:")
        lines += [f"  {name}" for name in entries]
        lines.append(
            f"Train: llamafactory-cli train recipes/lgt7b_sft.yaml dataset={sft} media_dir={quoted(config.media_dir)}"
        )

    return lines


EXAMPLE = """virgo-factory synthesize run recipes/synthesize/lgt.yaml max_scenes=20 \\
    'urls=[http://node1:8000]' --dry-run"""
