"""`virgo-factory data convert`: any known format -> the normal form."""

from dataclasses import replace
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import command_line, progress, show_cards
from virgo_factory.core.errors import UserError


def convert(
    what: str = typer.Argument(
        metavar="FILE|DATASET",
        help="A .jsonl, .json, .csv or .parquet file (also .gz), a folder of them, or a dataset's name.",
    ),
    out: Path = typer.Argument(metavar="OUT", help="The file to write: .jsonl or .parquet."),
    responses: str | None = typer.Option(
        None, "--responses", help="Of a row with several responses: the shortest correct one, or all correct ones."
    ),
    formatting: str | None = typer.Option(
        None, "--formatting", help="How rows are read; the entry's, or long_thought: recognised from the rows."
    ),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Write the long thoughts of any known format in the normal form: question, thought, solution, images, answer.

    What cannot be converted is counted by reason and listed in the card beside OUT. Rows of several formats are
    brought to one. Image paths stay relative to the media folder; images that rows carry as bytes are stored beside OUT.
    """
    from virgo_factory.data.make import convert as room
    from virgo_factory.data.read.source import find_sources
    from virgo_factory.formats.options import RESPONSES

    if responses is not None and responses not in RESPONSES:
        raise UserError(f"--responses {responses}: it is one of {', '.join(RESPONSES)}.")

    sources, _ = find_sources(what, dataset_dir, formatting=formatting, media_dir=media_dir)
    if responses:
        sources = [replace(source, options=replace(source.options, responses=responses)) for source in sources]

    with progress("reading") as told:
        card = room.convert(sources, out, command_line(), overwrite, told)

    show_cards([card], [out], as_json)


EXAMPLE = "virgo-factory data convert virgo_demo_dt dt.jsonl"
PAGE = "docs/data.md"
