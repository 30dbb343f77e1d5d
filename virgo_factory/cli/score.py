"""`virgo-factory score`: verdicts on a file of responses."""

import contextlib
from dataclasses import replace
from pathlib import Path

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.table import Table
from virgo_factory.report.terminal import console, print_tables
from virgo_factory.report.text import amount


def score(
    file: Path = typer.Argument(..., help="JSONL, JSON, CSV, TSV, Parquet or Arrow; one response a row."),
    gold: str = typer.Option(..., "--gold", help="Column of the gold answer."),
    response: str = typer.Option(..., "--response", help="Column of the response, or of a list of responses."),
    question: str | None = typer.Option(
        None, "--question", help="Column of the question; inline options are found in it."
    ),
    options: str | None = typer.Option(None, "--options", help="Column of the options, a list."),
    kind: str | None = typer.Option(
        None, "--kind", help="choice, boolean, number, count, date, sequence, expression or text; recognised if unset."
    ),
    grading_name: str = typer.Option("math", "--grading", help="Named strictness: math, mathvista, chartqa, ..."),
    against: str | None = typer.Option(None, "--against", help="Column of existing labels to compare with."),
    out: Path | None = typer.Option(
        None, "--out", help="Verdict rows, a .jsonl file; FILE with .verdicts.jsonl by default."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing --out."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    seconds: float = typer.Option(15.0, "--seconds", min=0.1, help="Hard limit of one verdict."),
    judge_url: str | None = typer.Option(
        None,
        "--judge-url",
        help="OpenAI-compatible server that decides what rules cannot; key from OPENAI_API_KEY. Its replies are kept in judgements.jsonl.",
    ),
    judge_model: str | None = typer.Option(None, "--judge-model", help="Model of --judge-url."),
    listed: int = typer.Option(20, "--list", min=0, help="Disagreements with --against to list."),
) -> None:
    """Score the responses of a file and write a verdict beside every row."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from virgo_factory.answers import KINDS, grading
    from virgo_factory.data.make.writing import check_target
    from virgo_factory.rollouts.judge.llm_judge import LLMJudge, judgements
    from virgo_factory.rollouts.judge.score_file import Columns, score_file

    screen = console()
    errors = []
    if not file.is_file():
        errors.append(f"{file}: a folder; name a file in it" if file.is_dir() else f"{file}: no such file")
    if kind is not None and kind not in KINDS:
        errors.append(f"--kind {kind}: not one of {', '.join(KINDS)}")
    if bool(judge_url) != bool(judge_model):
        errors.append("--judge-url and --judge-model go together")
    try:
        config = grading(grading_name)
    except ValueError as error:
        errors.append(f"--grading: {error}")
    target = out or file.with_name(file.name.removesuffix(file.suffix) + ".verdicts.jsonl")
    if target.suffix != ".jsonl":
        errors.append(f"{target}: verdict rows are written as .jsonl.")
    elif target.resolve() == file.resolve():
        errors.append(f"{target} is an input as well. Name another output.")
    else:
        try:
            check_target(target, overwrite)
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise UserError("\n".join(errors))

    columns = Columns(gold=gold, response=response, question=question, options=options, against=against)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.completed} verdicts"), TimeElapsedColumn(), console=screen, transient=True
    )
    with contextlib.ExitStack() as stack:
        judge = None
        if judge_url and judge_model:
            judge = LLMJudge(judge_url, judge_model)
            judge.check()
            judge = replace(judge, stored=stack.enter_context(judgements(target.parent)))

        stack.enter_context(bar)
        shown = bar.add_task("verdicts", total=None)
        counts = score_file(
            file, target, columns, config, kind=kind, workers=workers, seconds=seconds, judge=judge,
            progress=lambda done: bar.update(shown, completed=done),
        )  # fmt: skip

    _tables(screen, counts)
    if counts.golds:
        _uncheckable(screen, counts)
    if against is not None:
        _comparison(screen, counts, against, listed)
    screen.print(f"{amount(counts.rows, 'row')} in {target}", soft_wrap=True)


def _tables(screen, counts) -> None:
    from virgo_factory.answers import REASONS

    for name, counted in counts.by.items():
        rows = [
            (
                f"{value} ({REASONS[value]})" if name == "reason" else value,
                number,
                f"{number / max(counts.rows, 1):.1%}",
            )
            for value, number in counted.most_common()
        ]
        print_tables(screen, Table("", (name, "rows", "share"), rows))

    screen.print()


def _uncheckable(console, counts) -> None:
    from virgo_factory.answers import REASONS

    console.print(
        f"The gold of {counts.golds} row{'s' * (counts.golds > 1)} cannot be checked; they count as unverifiable:"
    )
    for row, gold, reason in counts.golds_listed:
        console.print(f"  {row}: {gold!r} ({REASONS[reason]})", soft_wrap=True, markup=False)
    if counts.golds > len(counts.golds_listed):
        console.print(f"  and {counts.golds - len(counts.golds_listed)} more")


def _comparison(console, counts, against: str, listed: int) -> None:
    if not counts.compared:
        console.print(f"No label could be read in column {against}: true/false, 1/0, correct/wrong.")
        return
    console.print(
        f"Agreement with {against}: {counts.agreed}/{counts.compared} = {counts.agreed / counts.compared:.4f}, "
        f"false positives {len(counts.false_positives)}, false negatives {len(counts.false_negatives)}, "
        f"unverifiable {len(counts.undecided)}",
        soft_wrap=True,
    )
    for words, rows in (
        ("we say correct, the label says wrong", counts.false_positives),
        ("we say wrong, the label says correct", counts.false_negatives),
        ("unverifiable", counts.undecided),
    ):
        if rows and listed:
            more = f" and {len(rows) - listed} more" if len(rows) > listed else ""
            console.print(f"{words}: {', '.join(rows[:listed])}{more}", soft_wrap=True)


EXAMPLE = """virgo-factory score rollouts.jsonl --gold answer --response response \\
    --question question"""
