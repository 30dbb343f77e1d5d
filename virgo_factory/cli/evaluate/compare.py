"""`virgo-factory evaluate compare`: two runs, question by question."""

from pathlib import Path

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console, print_tables


def compare(
    first: Path = typer.Argument(..., metavar="DIR_A", help="Folder of an evaluation."),
    second: Path = typer.Argument(..., metavar="DIR_B", help="Another one, of the same questions."),
) -> None:
    """Compare two runs on the same questions: paired differences, a minus b, with their 95 % intervals."""
    from virgo_factory.evaluation.folder import read_run
    from virgo_factory.evaluation.report.compare import (
        check_same_questions,
        comparison_table,
        differing_keys,
        pairs_of,
    )

    if first.resolve() == second.resolve():
        raise UserError("a folder is named twice: a run is compared with others, not with itself.")

    screen = console(soft_wrap=True, markup=False)
    a, b = read_run(first), read_run(second)
    check_same_questions(a, b)
    for letter, run in (("a", a), ("b", b)):
        screen.print(f"{letter}: {run.folder}, {run.model}")

    keys = differing_keys(a, b)
    for key, one, other in keys:
        screen.print(f"{key}: {one} in a, {other} in b")

    if not keys:
        screen.print("Asked and judged in the same way.")

    print_tables(screen, comparison_table(pairs_of([(a, b)])))
    screen.print("\nvisible: the smallest difference that these questions show in four of five cases, in points.")


EXAMPLE = "virgo-factory evaluate compare evals/virgo7b_dt evals/virgo7b_dsd"
PAGE = "docs/evaluation-reports.md"
