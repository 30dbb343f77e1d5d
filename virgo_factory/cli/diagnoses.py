"""How diagnoses are printed, worst first, and the exit code they give."""

import os
from collections.abc import Sequence

import typer

from virgo_factory.preflight.diagnosis import Diagnosis


STYLES = {"error": "red", "warning": "yellow", "ok": "green"}


def show(found: Sequence[Diagnosis], as_json: bool) -> None:
    """Print diagnoses as a table or as JSON, and exit: 1 where one is an error, else 0."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    counts = {severity: sum(item.severity == severity for item in found) for severity in STYLES}
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], indent=1))
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("", "check", "found", "what to do"):
            table.add_column(name, overflow="fold")

        for item in sorted(found, key=lambda item: list(STYLES).index(item.severity)):
            cells = (escape(text) for text in (item.check, item.found, item.remedy))
            table.add_row(f"[{STYLES[item.severity]}]{item.severity}[/]", *cells)

        console = Console(highlight=False)
        if not console.is_terminal and not os.environ.get("COLUMNS", "").isdecimal():
            console = Console(highlight=False, width=160)  # names in a log are to be found again

        console.print(table)
        console.print(f"{counts['error']} errors, {counts['warning']} warnings, {counts['ok']} in order")

    raise typer.Exit(1 if counts["error"] else 0)
