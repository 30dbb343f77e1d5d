"""`virgo-factory evaluate list`: the benchmarks that can be asked."""

import json
from pathlib import Path

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console, print_tables


def list(
    benchmark_dir: Path | None = typer.Option(
        None, "--benchmark-dir", help="Folder with a sub-folder for each benchmark; the Hugging Face cache without it."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the list as JSON."),
) -> None:
    """List the benchmarks: questions, requests, where their rows are, licence, judge, and what differs from the papers."""
    from virgo_factory.evaluation.report.tell import benchmark_rows, benchmarks_table, differences

    if benchmark_dir and not benchmark_dir.is_dir():
        raise UserError(f"--benchmark-dir {benchmark_dir}: no such folder. It holds a sub-folder for each benchmark.")

    rows = benchmark_rows(benchmark_dir)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return

    shown = console(soft_wrap=True, markup=False)
    print_tables(shown, benchmarks_table(rows))
    shown.print()
    for line in differences(rows):
        shown.print(line)


EXAMPLE = "virgo-factory evaluate list --benchmark-dir benchmarks"
