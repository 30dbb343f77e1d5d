"""`virgo-factory synthesize resume`: go on with a run that was stopped, with the configuration in its folder."""

from pathlib import Path

import typer


def resume(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the synthesis: output_dir of its config."),
    overrides: list[str] | None = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Keys that differ: budgets, urls, shares of the rows."
    ),
) -> None:
    """Do what is still to be done. Nothing that was finished is asked again; files whose inputs changed are made again."""
    from virgo_factory.cli.synthesize.run import go
    from virgo_factory.synthesis.config import read_folder

    go(read_folder(folder, overrides or []))


EXAMPLE = "virgo-factory synthesize resume data/lgt max_hours=8"
