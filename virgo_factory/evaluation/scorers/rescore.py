"""A folder judged again (judging.py), its scores by the other scorer, and the responses on which the two differ.

A paper's scorer leaves verdicts.NAME.jsonl, scores.NAME.csv and disagreements.NAME.csv; ours appends to verdicts.jsonl, where
the last verdict on a response counts. Replies of a judge are kept in judgements.jsonl and never asked for again.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from virgo_factory.answers.model import gold_text
from virgo_factory.answers.omr import misreads
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.scorers import PAPER
from virgo_factory.evaluation.scorers.judging import OURS, rejudge, scorer_of
from virgo_factory.evaluation.scores import COLUMNS, write_csv
from virgo_factory.rollouts.judge.llm_judge import LLMJudge, judgements
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.store.store import lock


SCORERS = ("paper", "omr")
DIFFER = "disagreements"
DIFFER_COLUMNS = (
    *("question", "benchmark", "sample", "gold", "ours", "our_reason", "our_answer"),
    *("its", "its_reason", "its_answer"),
)
DIFFER_SHOWN = ("gold", "ours", "our_answer", "its", "its_answer")
MOST_ANSWER = 200
"""Characters of an answer in the list."""


@dataclass(frozen=True)
class Rescored:
    """What came out.

    Attributes:
        asked: replies of the judge that were paid for now; kept ones not.
        differ: responses on which it and our rules differ; for ours, what the judge settled.
        left_out: benchmark -> responses that this scorer has no rule for.
        misread: golds that OpenMMReasoner's scorer takes for a letter.
    """

    scorer: str
    responses: int
    asked: int
    differ: int
    left_out: Mapping[str, int]
    misread: int = 0


def rescore(folder: Path, scorer: str = OURS, judge: LLMJudge | None = None, workers: int | None = None) -> Rescored:
    """Judge the responses of a folder again.

    Raises:
        ValueError: no such scorer, it has no rules for the folder's benchmarks, it wants a judge and has none, or the judge
            does not answer.
    """
    if scorer not in (OURS, *SCORERS):
        raise UserError(f"--scorer {scorer}: not one of {', '.join((OURS, *SCORERS))}.")

    if scorer != OURS and judge is None:
        raise UserError(
            f"--scorer {scorer} asks a judge about most responses: name --judge-url URL and --judge-model NAME."
        )

    if judge is not None:
        judge.check()

    with lock(folder):
        judge_rollouts(folder, workers)
        before = read_run(folder)
        benchmarks = [name for name in before.places if scorer == OURS or scorer_of(scorer, name)]
        if not benchmarks:
            has = ", ".join(before.places)
            raise UserError(f"--scorer {scorer} has rules for {', '.join(PAPER)}; {folder} has {has}.")

        kept = _kept(folder)
        after = read_run(folder, rejudge(folder, scorer, judge))
        asked = _kept(folder) - kept

    differ = list(_differences(before, after))
    if scorer != OURS:
        rows = replace(after, config={**after.config, "judge_model": judge.model}).scores(after.paper)
        rows = (row for row in rows if row["benchmark"] in benchmarks)
        write_csv(folder / f"scores.{scorer}.csv", COLUMNS, rows)
        write_csv(folder / f"{DIFFER}.{scorer}.csv", DIFFER_COLUMNS, differ)

    others = (before.held.questions[place].benchmark for place in before.held.place)
    left_out = Counter(name for name in others if name not in benchmarks)
    golds = (before.questions[place]["gold"] for place in sorted(set(after.held.place))) if scorer == "omr" else ()
    return Rescored(scorer, len(after.held.place), asked, len(differ), left_out, sum(map(misreads, golds)))


def _kept(folder: Path) -> int:
    """Return how many replies of judges a folder keeps."""
    with judgements(folder) as records:
        return records.count


def _differences(before: Run, after: Run) -> Iterator[dict[str, Any]]:
    """Yield the responses on which two judgements of a folder differ, as rows of disagreements.NAME.csv."""
    ours = dict(zip(before.held.row, before.held.verdict, strict=True))
    for place, row, number in zip(after.held.place, after.held.row, after.held.verdict, strict=True):
        one, other = before.verdicts[ours[row]], after.verdicts[number]
        if one["verdict"] != other["verdict"]:
            question = before.questions[place]
            told = (question["id"], question["source"], other["sample"], gold_text(question["gold"]))
            sides = [(side["verdict"], side["reason"], side["answer"][:MOST_ANSWER]) for side in (one, other)]
            yield dict(zip(DIFFER_COLUMNS, (*told, *sides[0], *sides[1]), strict=True))


def scorers_of(folder: Path) -> list[str]:
    """Return the other scorers that ran on a folder."""
    return [name for name in SCORERS if (folder / f"scores.{name}.csv").is_file()]


def read_rows(folder: Path, kind: str, scorer: str) -> list[dict[str, str]]:
    """Return the rows of KIND.SCORER.csv of a folder; none where it is not there."""
    path = folder / f"{kind}.{scorer}.csv"
    if not path.is_file():
        return []

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
