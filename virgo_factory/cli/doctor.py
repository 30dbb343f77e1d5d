"""`virgo-factory doctor`: the environment against what is known to lose runs."""

import typer


EXAMPLE = """\b
Example:
  virgo-factory doctor recipes/virgo7b_dt.yaml"""


def doctor(
    recipe: str | None = typer.Argument(None, help="A recipe: what it asks for must be there, and importable."),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Check this environment against the tested versions and the known traps. Exit code 1 if a run would be lost."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from virgo_factory.datasets.source import load_recipe
    from virgo_factory.preflight.doctor import diagnose, read_environment

    keys = load_recipe(recipe) if recipe else None
    found = diagnose(read_environment(keys), keys)
    errors = sum(item.severity == "error" for item in found)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], indent=1))
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("", "check", "found", "what to do"):
            table.add_column(name, overflow="fold")

        style = {"error": "red", "warning": "yellow", "ok": "green"}
        for item in sorted(found, key=lambda item: ("error", "warning", "ok").index(item.severity)):
            cells = (escape(text) for text in (item.check, item.found, item.remedy))
            table.add_row(f"[{style[item.severity]}]{item.severity}[/]", *cells)

        console = Console(highlight=False)
        console.print(table)
        warnings = sum(item.severity == "warning" for item in found)
        console.print(f"{errors} errors, {warnings} warnings, {len(found) - errors - warnings} in order")

    raise typer.Exit(1 if errors else 0)
