"""`virgo-factory synthesize status`: what every stage kept and dropped, and what is left."""

from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy, write_page
from virgo_factory.report.terminal import console as console_of
from virgo_factory.report.terminal import print_tables


def status(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the synthesis: output_dir of its config."),
    html: Path | None = typer.Option(None, "--html", help="Write a page with drawn scenes, questions and thoughts."),
) -> None:
    """Tell what went into every stage, what it kept, and what it dropped for which reason, from the files alone."""
    from virgo_factory.synthesis.tell.status import lines_of, summarise, tables_of

    if html:
        from virgo_factory.synthesis.tell.page import write_status_page

        write_page(html, "scenes", lambda: write_status_page(html, folder))
        return

    with busy(f"reading {folder}"):
        found = summarise(folder)

    print_tables(console_of(160, soft_wrap=True), *tables_of(found))
    print("", *lines_of(found), sep="\n")


EXAMPLE = "virgo-factory synthesize status data/lgt --html lgt.html"
