"""`virgo-factory synthesize status`: what every stage kept and dropped, and what is left."""

import json
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy, write_page
from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console as console_of
from virgo_factory.report.terminal import print_tables


def status(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the synthesis: output_dir of its config."),
    html: Path | None = typer.Option(None, "--html", help="Write a page with drawn scenes, questions and thoughts."),
    scenes: int | None = typer.Option(None, "--scenes", min=1, help="Scenes that the page shows.", show_default="20"),
    seed: int | None = typer.Option(None, "--seed", help="Of the draw of these scenes.", show_default="0"),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Tell what went into every stage, what it kept, and what it dropped for which reason, from the files alone."""
    from virgo_factory.synthesis.tell.status import lines_of, summarise, tables_of, to_json

    if not html and (scenes is not None or seed is not None):
        raise UserError("--scenes and --seed are of the page: add --html FILE.")

    if html:
        from virgo_factory.synthesis.tell.page import write_status_page

        write_page(html, "scenes", as_json, lambda: write_status_page(html, folder, scenes or 20, seed or 0))
        return

    with busy(f"reading {folder}"):
        found = summarise(folder)

    if as_json:
        print(json.dumps(to_json(found), ensure_ascii=False))
        return

    print_tables(console_of(160, soft_wrap=True), *tables_of(found))
    print("", *lines_of(found), sep="\n")


EXAMPLE = "virgo-factory synthesize status data/lgt --html lgt.html"
