"""`virgo-factory synthesize status`: what every stage kept and dropped, and what is left."""

from pathlib import Path

import typer

from virgo_factory.core.errors import UserError


def status(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the synthesis: output_dir of its config."),
    html: Path | None = typer.Option(None, "--html", help="Write a page with drawn scenes, questions and thoughts."),
    scenes: int | None = typer.Option(None, "--scenes", min=1, help="Scenes that the page shows.", show_default="20"),
    seed: int | None = typer.Option(None, "--seed", help="Of the draw of these scenes.", show_default="0"),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Tell what went into every stage, what it kept, and what it dropped for which reason, from the files alone."""
    import json

    from virgo_factory.cli.data.terminal import busy
    from virgo_factory.report.terminal import console as console_of
    from virgo_factory.report.terminal import print_tables
    from virgo_factory.synthesis.tell.status import lines_of, summarise, tables_of, to_json

    if not html and (scenes is not None or seed is not None):
        raise UserError("--scenes and --seed are of the page: add --html FILE.")

    if html:
        from virgo_factory.io.files import check_folder
        from virgo_factory.synthesis.tell.page import write_status_page

        check_folder(html.parent)
        with busy(f"writing {html}"):
            count = write_status_page(html, folder, scenes or 20, seed or 0)

        print(json.dumps({"html": str(html), "scenes": count}) if as_json else f"{html}: {count} scenes")
        return

    with busy(f"reading {folder}"):
        found = summarise(folder)

    if as_json:
        print(json.dumps(to_json(found), ensure_ascii=False))
        return

    console = console_of(160, soft_wrap=True)
    print_tables(console, *tables_of(found))
    console.print()
    for line in lines_of(found):
        console.print(line, markup=False)


EXAMPLE = """\b
Example:
  virgo-factory synthesize status data/lgt --html lgt.html"""

status.epilog = EXAMPLE
