"""`virgo-factory evaluate import`: the log of another harness. The module is named as the verb, so it is imported by name."""

from pathlib import Path

import typer

from virgo_factory.report.table import Table
from virgo_factory.report.terminal import console, counted, print_tables
from virgo_factory.report.text import amount, quoted


def import_log(
    log: Path = typer.Argument(
        ..., metavar="LOG", help="lmms-eval: NAME_samples_TASK.jsonl; VLMEvalKit: predictions, tsv."
    ),
    harness: str = typer.Option(..., "--harness", help="lmms-eval or vlmevalkit."),
    benchmark: str = typer.Option(..., "--benchmark", help="Which benchmark it is of, as `evaluate list` names it."),
    out: Path = typer.Option(..., "--out", help="Folder of the evaluation that is written."),
    benchmark_dir: Path | None = typer.Option(
        None, "--benchmark-dir", help="Folder with a sub-folder a benchmark, in the hub's layout; else the hub."
    ),
    model: str = typer.Option("", "--model", help="Model that answered; the log's name by default."),
) -> None:
    """Read a log of another harness as a run: joined by row, golds checked, our verdicts beside its own marks."""
    from virgo_factory.evaluation.imports.join import TABLE
    from virgo_factory.evaluation.imports.join import import_log as read_log

    found = read_log(log, harness, benchmark, out, benchmark_dir, model)
    screen = console(soft_wrap=True, markup=False)
    screen.print(f"{amount(found.lines, 'line')}, joined {found.joined}")
    counts = [("with a verdict of ours", found.responses), ("failed requests, counted as given up", found.failed)]
    left_out = {
        "another gold": found.other_gold,
        "no such row": found.unknown,
        "a question a second time": found.twice,
    }
    counts += [(f"left out: {why} (first {places[0]})", len(places)) for why, places in left_out.items() if places]
    for line in counted(counts):
        screen.print(line)

    if found.mark:
        verdicts = ("correct", "wrong", "unverifiable")
        marks = [mark for mark in ("right", "wrong", "no mark") if any(told == mark for told, _ in found.table)]
        rows = [(mark, *(found.table.get((mark, verdict), 0) for verdict in verdicts)) for mark in marks]
        print_tables(screen, Table("", (found.mark, *(f"ours: {verdict}" for verdict in verdicts)), rows))
        screen.print(f"\n{found.mark}: {found.theirs:.1f} theirs, {found.ours:.1f} ours")

    screen.print(f"{out / TABLE}\nScores: virgo-factory evaluate report {quoted(out)}")


globals()["import"] = import_log

EXAMPLE = """virgo-factory evaluate import logs/20260101_samples_mathvision_test.jsonl \\
    --harness lmms-eval --benchmark mathvision --out evals/lmms_mathvision"""
