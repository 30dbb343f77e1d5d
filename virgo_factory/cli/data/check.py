"""`virgo-factory data check`: what is wrong with the rows, and what will be trained on."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from virgo_factory.cli.data.terminal import RECIPE_OVERRIDES, progress, read_overrides
from virgo_factory.io.files import check_file
from virgo_factory.report.terminal import counted
from virgo_factory.report.text import amount, one_line


if TYPE_CHECKING:
    from rich.console import Console

    from virgo_factory.data.check.audit import Report
    from virgo_factory.data.read.source import Settings
    from virgo_factory.data.rows.findings import Kind, RowFinding


def check(
    what: str = typer.Argument(
        ..., metavar="DATASET|RECIPE|FILE", help="Name in dataset_info.json, recipe, or .json, .jsonl, .parquet file."
    ),
    changes: list[str] | None = RECIPE_OVERRIDES,
    tokenizer: str | None = typer.Option(
        None, "--tokenizer", metavar="DIR|ID", help="The model's; a recipe names it."
    ),
    dataset_dir: str | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: str | None = typer.Option(None, "--media-dir", help="Folder of image paths; the file's by default."),
    formatting: str | None = typer.Option(None, "--formatting", help="Read the rows in this way."),
    template: str | None = typer.Option(None, "--template", help="LLaMA-Factory's name; a recipe names it."),
    cutoff_len: int | None = typer.Option(None, "--cutoff-len", min=1, help="Tokens; a recipe names it."),
    near: bool = typer.Option(False, "--near", help="Look for near duplicates, too."),
    benchmark: list[str] = typer.Option(
        [], "--benchmark", metavar="FILE[:COLUMN]", help="Questions that must not be trained on; may be repeated."
    ),
    strict: bool = typer.Option(False, "--strict", help="Warnings are errors."),
    findings: Path | None = typer.Option(None, "--findings", help="Write every finding into this JSONL file."),
    show: int = typer.Option(5, "--show", min=0, max=20, help="Findings of a kind to print."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    no_cache: bool = typer.Option(False, "--no-cache", help="Neither use nor keep earlier measurements."),
) -> None:
    """Check every row through reader, format, template and tokenizer, and every image.

    Exit code 1 where a row cannot be trained on as it is. Warnings alone leave it at 0, but for --strict.
    """
    from rich.console import Console

    from virgo_factory.data.check.audit import audit
    from virgo_factory.data.check.overlap import read_benchmark
    from virgo_factory.data.read.source import find_sources

    if findings:
        check_file(findings)

    overrides = {"media_dir": media_dir, "formatting": formatting, "template": template, "cutoff_len": cutoff_len}
    sources, settings = find_sources(what, dataset_dir, read_overrides(changes), tokenizer=tokenizer, **overrides)
    questions = [question for file in benchmark for question in read_benchmark(file)]
    with progress("checking") as told:
        report = audit(
            sources,
            settings,
            near=near,
            benchmark=questions,
            findings_file=findings,
            workers=workers,
            cache=None if no_cache else ...,
            progress=told,
        )

    failed = report.count("error") > 0 or (strict and report.count("warning") > 0)
    if as_json:
        content = {**report.to_json(), "passed": not failed, "findings_file": str(findings) if findings else None}
        typer.echo(json.dumps(content, ensure_ascii=False, indent=1))
    else:
        _print(Console(highlight=False, soft_wrap=True), report, settings, show, findings)

    raise typer.Exit(int(failed))


def _print(console: "Console", report: "Report", settings: "Settings", show: int, findings: Path | None) -> None:
    width = max([5, *(len(f"{kind.count:,}") for kind in report.kinds)])
    for number, kind in enumerate(report.kinds):
        following = report.kinds[number + 1] if number + 1 < len(report.kinds) else None
        _print_kind(console, kind, width, show, remedy=following is None or following.remedy != kind.remedy)

    if all(kind.severity == "info" for kind in report.kinds):
        console.print("Nothing is wrong with any row.\n", style="green")
    else:
        errors, warnings = report.count("error"), report.count("warning")
        where = ""
        if findings:
            where = f" All of them: {findings}"
        elif any(kind.count > show for kind in report.kinds):
            where = " All of them with place: --findings FILE"

        console.print(
            f"{errors:,} error{'s' * (errors != 1)}, {warnings:,} warning{'s' * (warnings != 1)}.{where}\n",
            markup=False,
        )

    for note in report.notes:
        console.print(note, style="dim", markup=False)

    console.print("What will be trained on", style="bold")
    for account in report.accounts:
        examples = f", {amount(account.extra, 'more example', 'more examples')} in them" if account.extra else ""
        named = f"{account.name} ({account.format})" if account.format else account.name
        console.print(
            f"  {named}: {amount(account.rows_in, 'row')} in{examples}, {account.kept:,} kept, {account.dropped:,} dropped",
            markup=False,
        )
        reasons, notes = (Counter(counts).most_common() for counts in (account.reasons, account.notes))
        counts = [*reasons, *((f"of the kept {note}", count) for note, count in notes)]
        for line in counted(((_one_line(words), count) for words, count in counts), 4, width):
            console.print(line, markup=False)

    if not any(account.kept for account in report.accounts):
        console.print("  Nothing: no row is kept.", style="bold red")
    elif report.tokens:
        tokens = report.tokens
        images = f"{tokens.image:,} image, " if tokens.image else ""
        limit = f" of cutoff_len {settings.cutoff_len:,}" if settings.cutoff_len else ""
        console.print(
            f"  {tokens.total:,} tokens: {tokens.prompt - tokens.image:,} prompt, {images}"
            f"{tokens.total - tokens.prompt:,} trained; longest row {tokens.longest:,}{limit}"
        )


def _print_kind(console: "Console", kind: "Kind", width: int, show: int, remedy: bool) -> None:
    shown, indent = kind.shown[:show], " " * (width + 10)
    details = {found.detail for found in shown} - {""}
    same = _one_line(details.pop()) if len(details) == 1 and len(shown) > 1 else ""
    words = _one_line(f"{kind.words}: {same}" if same else kind.words)
    style = {"error": "bold red", "warning": "bold yellow"}.get(kind.severity, "bold")
    console.print(f"{kind.severity:<8}{kind.count:>{width},}  {words}", style=style, markup=False)
    more = f"and {kind.count - len(shown):,} more" if kind.count > len(shown) > 0 else ""
    if details:
        for found in shown:
            _print_below(console, f"{found.place}  {_one_line(found.detail)}", indent)

        if more:
            console.print(f"{indent}{more}", markup=False)
    elif shown:
        _print_below(console, f"{', '.join(_places(shown))}{f' {more}' if more else ''}", indent)

    if remedy:
        _print_below(console, kind.remedy, indent, "dim")
        console.print()


def _print_below(console: "Console", text: str, indent: str, style: str = "") -> None:
    """Print what belongs to a kind of findings; on a terminal its further lines stand below the first."""
    import textwrap

    lines = [f"{indent}{text}"]
    if console.is_terminal:
        lines = textwrap.wrap(
            text,
            max(console.width, len(indent) + 40),
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    for line in lines:
        console.print(line, style=style or None, markup=False)


def _places(shown: "list[RowFinding]") -> list[str]:
    """Return the places of rows, the file named once where it is the same for neighbours."""
    places, last = [], None
    for found in shown:
        is_same = found.file == last
        places.append(f"{abs(found.line) or found.number + 1}" if is_same else found.place)
        last = found.file

    return places


def _one_line(text: str) -> str:
    """Return a finding's words; the remedy of all of them stands below them."""
    return one_line(text.partition(". If it is to be read, ")[0], 300)


EXAMPLE = "virgo-factory data check virgo_demo_dt"
PAGE = "docs/data.md"
