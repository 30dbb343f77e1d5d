"""`virgo-factory distill resume`: go on with a run that was stopped, with the configuration in its folder."""

from pathlib import Path

import typer

from virgo_factory.cli.asked import shard_of


def resume(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the distillation: output_dir of its config."),
    overrides: list[str] | None = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Keys that differ: budgets, urls."
    ),
    shard: str | None = typer.Option(None, "--shard", metavar="2/8", help="Go on with the second of eight parts."),
) -> None:
    """Ask what is still to be asked. Nothing that was finished is asked again."""
    from virgo_factory.cli.distill.run import go
    from virgo_factory.distill.launch import resumed

    go(resumed(folder, overrides or []), shard_of(shard))


EXAMPLE = "virgo-factory distill resume data/dsd_virgo7b max_hours=8"
