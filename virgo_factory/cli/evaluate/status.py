"""`virgo-factory evaluate status`: the scores so far, and what is outstanding."""

import json
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import write_page
from virgo_factory.report.terminal import console, print_tables


def status(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the evaluation: output_dir of its config."),
    html: Path | None = typer.Option(None, "--html", metavar="FILE", help="Write a page with a plot instead."),
    as_json: bool = typer.Option(False, "--json", help="Print the rows of scores.csv as JSON."),
) -> None:
    """Tell the scores so far from the files alone; a run may go on meanwhile.

    Where questions are outstanding a score is called partial, and its interval reaches over what they could be.
    """
    from virgo_factory.evaluation.report.tell import headline, not_as_in_the_paper, scores_table, write_status_page
    from virgo_factory.evaluation.run import status_of

    found = status_of(folder)
    config, rows = found.config, found.rows
    if as_json:
        print(json.dumps({"asked": found.asked, "judged": found.judged, "refused": found.refused, "scores": rows}))
        return

    if html:
        write_page(html, "scores", False, lambda: write_status_page(html, config, rows, found.told))
        return

    shown = console(soft_wrap=True, markup=False)
    shown.print(headline(config, rows))
    print_tables(shown, scores_table(config, rows))
    for line in (found.told, not_as_in_the_paper(config, rows)):
        if line:
            shown.print(f"\n{line}")


EXAMPLE = "virgo-factory evaluate status evals/virgo7b_dt"
