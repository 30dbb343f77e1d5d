"""How often a model answers each question of a folder rightly, by the verdicts that are there."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.distill.config import read_folder
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.store.index import count_cases, open_index, row_at
from virgo_factory.rollouts.store.store import lock


def rated_questions(folder: Path) -> Iterator[tuple[dict[str, Any], float | None]]:
    """Yield each question as it stands in its file, and its pass rate: correct / (all but unverifiable); None without any.

    Samples without a verdict are judged first, unless a run writes to the folder or nobody can; responses that were cut off are wrong.
    """
    config = read_folder(folder)
    unjudged = ""
    try:
        with lock(folder):
            judge_rollouts(folder, len(os.sched_getaffinity(0)))
    except ValueError as error:  # a run writes to it, or nobody can
        unjudged = str(error)

    with open_index(folder, config.response_format) as index:
        index.ask(lambda index: count_cases(index, config.samples), lambda done, total: None)
        cases = index.db.execute("SELECT place, correct, judged - unverifiable FROM cases ORDER BY place").fetchall()
        if unjudged and not any(counted for *_, counted in cases):
            raise UserError(f"{unjudged} None of its rollouts is judged yet.")

        for place, correct, counted in cases:
            yield row_at(index, "questions", place), correct / counted if counted else None
