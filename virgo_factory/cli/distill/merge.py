"""`virgo-factory distill merge`: the shards of several machines in one folder."""

from pathlib import Path

import typer

from virgo_factory.report.text import quoted


def merge(
    folders: list[Path] = typer.Argument(metavar="DIR...", help="Folders of one distillation, with shards or whole."),
    out: Path = typer.Option(..., "--out", metavar="DIR", help="The new folder."),
) -> None:
    """Put questions, rollouts and verdicts together into a new folder; the old ones stay as they are.

    The same rollout twice is there once. Two that differ are an error that names both lines.
    """
    from virgo_factory.distill.select.merge import merge as merge_folders

    merged = merge_folders(folders, out)
    for name in ("questions", "rollouts", "verdicts", "dropped"):
        count = getattr(merged, name)
        if not count.read:
            continue

        several = [f"{count.twice:,} there already"] if count.twice else []
        several += [f"{count.stray:,} on no rollout"] if count.stray else []
        left_out = f", left out: {', '.join(several)}" if several else ""
        typer.echo(f"{name:<9} {count.read:>11,} read, {count.kept:>11,} written{left_out}")

    typer.echo(
        f"{out}: {merged.pictures:,} picture{'s' * (merged.pictures != 1)} copied. Next: virgo-factory distill status {quoted(out)}"
    )


EXAMPLE = "virgo-factory distill merge node1/dsd node2/dsd --out data/dsd"
