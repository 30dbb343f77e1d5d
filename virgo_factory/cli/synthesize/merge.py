"""`virgo-factory synthesize merge`: the shards of several machines in one folder."""

from pathlib import Path

import typer

from virgo_factory.report.terminal import console as console_of


def merge(
    folders: list[Path] = typer.Argument(metavar="DIR...", help="Folders of one synthesis, such as data/lgt-1of8."),
    out: Path = typer.Option(..., "--out", metavar="DIR", help="The new folder."),
) -> None:
    """Put scenes and replies together into a new folder and make its files of them; the old folders stay as they are."""
    from virgo_factory.synthesis.run.launch import lacking_shards
    from virgo_factory.synthesis.run.launch import merge as merge_folders
    from virgo_factory.synthesis.tell.live import told_of

    console = console_of(160, soft_wrap=True, markup=False)
    config, counts, outcome = merge_folders(folders, out, lambda *made: console.print(told_of(*made)))
    for name, count in counts.items():
        if count:
            console.print(f"{name}.jsonl: {count:,} replies")

    if lack := lacking_shards(folders):
        console.print(
            f"Not among these folders: shard {', '.join(lack)}. Merge all into a new folder, or have their scenes asked here: "
            f"{config.resume_command()}"
        )
    elif outcome.waits:
        console.print(f"{outcome.waits}.jsonl lacks {outcome.left:,} replies. Go on: {config.resume_command()}")
    else:
        console.print(f"All is done, see {out}. Look: virgo-factory synthesize status {out}")


EXAMPLE = "virgo-factory synthesize merge data/lgt-1of2 data/lgt-2of2 --out data/lgt"
