"""`virgo-factory distill status`: what a distillation has done, what it costs and what is left."""

import json
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy, write_page
from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console, print_tables
from virgo_factory.report.text import visible


def status(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the distillation: output_dir of its config."),
    html: Path | None = typer.Option(None, "--html", help="Write a page with plots, questions and rollouts instead."),
    questions: int | None = typer.Option(
        None, "--questions", min=1, help="Questions that the page shows.", show_default="40"
    ),
    seed: int | None = typer.Option(None, "--seed", help="Of the draw of these questions.", show_default="0"),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Tell what is done, what it costs and what is left, from the files alone; a run may go on meanwhile.

    A question is easy if the base model solves it, medium if 4-5 of 5 samples are correct, hard if 2-3 are, unsolved if
    fewer are, and undecided while samples are missing or unverifiable that could change that. A rollout counts as one of
    correct, wrong, unverifiable, truncated (cut at max_tokens) and looping (cut off as a loop); it is accepted if it is
    correct, complete and well formed.
    """
    from virgo_factory.distill.tell.status import headline, lines_of, summarise, tables_of, to_json

    if not html and (questions is not None or seed is not None):
        raise UserError("--questions and --seed are of the page: add --html FILE.")

    if html:
        from virgo_factory.distill.tell.page import write_status_page

        write_page(html, "questions", as_json, lambda: write_status_page(html, folder, questions or 40, seed or 0))
        return

    with busy(f"reading {folder}"):
        found = summarise(folder, lengths=False)

    if as_json:
        print(json.dumps(to_json(found), ensure_ascii=False))
        return

    screen = console(160, soft_wrap=True, markup=False)
    screen.print(headline(found), style="bold")
    if found.all.questions:
        print_tables(screen, *tables_of(found))
        screen.print()

    for line in lines_of(found):
        screen.print(visible(line))


EXAMPLE = "virgo-factory distill status data/dsd_virgo7b"
PAGE = "docs/distil.md"
