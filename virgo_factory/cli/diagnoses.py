"""How diagnoses are printed, worst first, and the exit code they give."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import typer

from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.report.table import Cell, Table
from virgo_factory.report.terminal import console, fitted


STYLES = {"error": "red", "warning": "yellow", "ok": "green"}


def show(found: Sequence[Diagnosis], as_json: bool) -> None:
    """Print diagnoses as a table or as JSON, and exit: 1 where one is an error, else 0."""
    counts = {severity: sum(item.severity == severity for item in found) for severity in STYLES}
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], indent=1))
    else:
        worst_first = sorted(found, key=lambda item: list(STYLES).index(item.severity))
        rows = [(Cell(i.severity, STYLES[i.severity]), i.check, i.found, i.remedy) for i in worst_first]
        screen = console(160)  # names in a log are to be found again
        for table in fitted(Table("", ("", "check", "found", "what to do"), rows, words=(1, 2, 3)), screen.width):
            screen.print(table)

        screen.print(f"{counts['error']} errors, {counts['warning']} warnings, {counts['ok']} in order")

    raise typer.Exit(1 if counts["error"] else 0)
