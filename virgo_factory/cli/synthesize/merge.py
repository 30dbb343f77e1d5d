"""`virgo-factory synthesize merge`: the shards of several machines in one folder."""

from pathlib import Path

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console as console_of
from virgo_factory.report.text import amount


def merge(
    folders: list[str] = typer.Argument(
        metavar="DIR... [KEY=VALUE]...", help="Folders of one synthesis, such as data/lgt-1of8; keys that differ."
    ),
    out: Path = typer.Option(..., "--out", metavar="DIR", help="The new folder."),
) -> None:
    """Put scenes and replies together into a new folder and make its files of them; the old folders stay as they are."""
    from virgo_factory.cli.synthesize.run import told
    from virgo_factory.synthesis.run.launch import lacking_shards
    from virgo_factory.synthesis.run.launch import merge as merge_folders
    from virgo_factory.synthesis.tell.live import told_of

    console = console_of(160, soft_wrap=True, markup=False)
    keys = [one for one in folders if "=" in one and not Path(one).exists()]
    parts = [Path(one) for one in folders if one not in keys]
    if not parts:
        raise UserError("no folder to merge: name the shards, such as data/lgt-1of2 data/lgt-2of2.")

    config, counts, outcome = merge_folders(parts, out, lambda *made: console.print(told_of(*made)), keys)
    for name, count in counts.items():
        if count:
            console.print(f"{name}.jsonl: {amount(count, 'reply', 'replies')}")

    if lack := lacking_shards(parts):
        console.print(
            f"Not among these folders: shard {', '.join(lack)}. Merge all into a new folder, or have their scenes asked here: "
            f"{config.resume_command()}"
        )
    elif outcome.waits:
        console.print(
            f"{outcome.waits}.jsonl lacks {amount(outcome.left, 'reply', 'replies')}. Go on: {config.resume_command()}"
        )
    else:
        for line in told(config, outcome):
            console.print(line)


EXAMPLE = "virgo-factory synthesize merge data/lgt-1of2 data/lgt-2of2 --out data/lgt"
