"""`virgo-factory evaluate report`: tables, plots and a page."""

from pathlib import Path

import typer

from virgo_factory.report.terminal import console, print_tables
from virgo_factory.report.text import amount


def report(
    folders: list[Path] = typer.Argument(..., metavar="DIR...", help="Folders of evaluations; each is a run."),
    paper: str = typer.Option("virgo", "--paper", help="Whose tables are filled: virgo or openmmreasoner."),
    out: Path | None = typer.Option(None, "--out", help="Folder of the report; `report` in the first DIR by default."),
) -> None:
    """Write a report on runs: the paper's tables with our values, scores, groups, differences, plots and a page."""
    from virgo_factory.evaluation.report.report import score_tables, write_report

    screen = console(soft_wrap=True, markup=False)
    with screen.status("report") as shown:
        found = write_report(folders, out, paper, shown.update)

    print_tables(screen, *score_tables(row for row in found.scores if row["scorer"] == "ours"))
    screen.print()
    for sentence in found.departures:
        screen.print(f"Not as in the paper: {sentence}")

    for sentence in found.skipped:
        screen.print(f"Not compared: {sentence}")

    for name in ("report.html", "report.md", "scores.csv", "paper_tables.csv"):
        screen.print(str(found.folder / name))

    screen.print(f"{amount(found.responses, 'response')} to look at on the page.")


EXAMPLE = """virgo-factory evaluate report evals/virgo7b_dt evals/virgo7b_dsd \\
    --out reports/virgo7b"""
