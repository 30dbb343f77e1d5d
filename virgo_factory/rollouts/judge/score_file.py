"""Files of responses: rows in, verdict rows out beside the input columns, and a count of what happened."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.answers.batch import Task, score_many
from virgo_factory.answers.grading import GradingConfig
from virgo_factory.answers.model import Question, Verdict
from virgo_factory.answers.options import read_options
from virgo_factory.core.errors import UserError
from virgo_factory.data.read.reader import cut_file, place_of, read_chunk
from virgo_factory.io.atomic import new_file
from virgo_factory.rollouts.judge.llm_judge import LLMJudge


ADDED = ("verdict", "verdict_reason", "verdict_kind", "verdict_answer", "verdict_rule", "verdict_where")
"""Columns of a verdict row beside those of the input."""

ASKED_AT_ONCE = 8  # rows that a language model is asked about at the same time
LISTED_GOLDS = 20  # golds that cannot be checked which are kept by name

Row = tuple[str, dict[str, Any], Task, bool | None]
"""A row's name for people, its columns, what is judged, and its existing label."""


class RowError(UserError):
    """A row that cannot be scored, with its file and line."""


@dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    gold: str
    response: str
    question: str | None = None
    options: str | None = None
    against: str | None = None


@dataclass
class Counts:
    """What came out: by verdict, rule, kind and reason, and against existing labels."""

    rows: int = 0
    by: dict[str, Counter] = field(
        default_factory=lambda: {name: Counter() for name in ("verdict", "rule", "kind", "reason")}
    )
    compared: int = 0
    agreed: int = 0
    false_positives: list[str] = field(default_factory=list)
    false_negatives: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    golds: int = 0  # rows whose gold answer cannot be checked; `golds_listed` the first of them: row, gold, reason
    golds_listed: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, verdict: Verdict, row: str, label: bool | None, gold: Any = None) -> None:
        """Count one verdict; `row` names it for people."""
        self.rows += 1
        if verdict.uncheckable:
            self.golds += 1
            if len(self.golds_listed) < LISTED_GOLDS:
                self.golds_listed.append((row, str(gold)[:60], verdict.reason))
        answer = verdict.answer
        for name, value in (
            ("verdict", verdict.verdict),
            ("rule", f"{answer.rule} in {answer.where}" if answer else "none"),
            ("kind", verdict.kind),
            ("reason", verdict.reason),
        ):
            self.by[name][value] += 1
        if label is None:
            return
        self.compared += 1
        if verdict.correct is None:
            self.undecided.append(row)
        elif verdict.correct == label:
            self.agreed += 1
        else:
            (self.false_positives if verdict.correct else self.false_negatives).append(row)


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row of a file with its place in it.

    Raises UnreadableFile, or RowError where a row cannot be read, with file and line.
    """
    number = 0
    for chunk in cut_file(path):
        for row in read_chunk(chunk):
            number += 1
            if row.problem or not isinstance(row.raw, dict):
                problem = row.problem or "not an object of columns"
                raise RowError(f"{place_of(chunk.file, row.line, number - 1)}: {problem}")

            yield f"line {row.line}" if row.line > 0 else f"row {number}", row.raw


def label_of(value: Any) -> bool | None:
    """Return what an existing label says: correct, not correct, or nothing (None)."""
    if isinstance(value, (bool, int, float)):
        return bool(value)
    return {
        "true": True, "1": True, "correct": True, "yes": True, "1.0": True,
        "false": False, "0": False, "wrong": False, "incorrect": False, "no": False, "0.0": False,
    }.get(str(value).strip().lower())  # fmt: skip


def score_file(
    source: Path,
    target: Path,
    columns: Columns,
    config: GradingConfig,
    kind: str | None = None,
    workers: int | None = None,
    seconds: float = 15.0,
    judge: LLMJudge | None = None,
    progress: Callable[[int], None] | None = None,
) -> Counts:
    """Write a verdict row for every response of a file and return the counts; a response that is a list gives a row each, one at least.

    The target appears only when it is complete. RowError names file and line where a column is missing.
    """
    pending: deque[Row] = deque()

    def tasks() -> Iterator[Task]:
        for place, row in read_rows(source):
            for name, task, shown, label in _tasks(source, place, row, columns, config, kind):
                pending.append((name, shown, task, label))
                yield task

    counts = Counts()
    with new_file(target) as lines:
        verdicts = score_many(tasks(), workers=workers, seconds=seconds, progress=progress)
        for verdict, (name, row, task, label) in _settled(
            ((verdict, pending.popleft()) for verdict in verdicts), judge
        ):
            counts.add(verdict, name, label, task.gold)
            answer = verdict.answer
            added = (
                verdict.verdict, verdict.reason, verdict.kind,
                answer.text if answer else "", answer.rule if answer else "none", answer.where if answer else "",
            )  # fmt: skip
            lines.write(json.dumps(row | dict(zip(ADDED, added, strict=True)), ensure_ascii=False) + "\n")

    return counts


def _settled(rows: Iterator[tuple[Verdict, Row]], judge: LLMJudge | None) -> Iterator[tuple[Verdict, Row]]:
    """The rows in their order with the judge's verdict where it is asked: about several at once, a bounded number waiting."""
    if judge is None:
        yield from rows
        return
    waiting: deque[tuple[Future, Row]] = deque()
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        try:
            for verdict, row in rows:
                waiting.append(
                    (threads.submit(judge.settle, verdict, row[2].gold, row[2].question, row[2].response), row)
                )
                while waiting and (len(waiting) > 8 * ASKED_AT_ONCE or waiting[0][0].done()):
                    settled, first = waiting.popleft()
                    yield settled.result(), first
            while waiting:
                settled, first = waiting.popleft()
                yield settled.result(), first
        finally:
            threads.shutdown(cancel_futures=True)


def _tasks(source: Path, place: str, row: dict, columns: Columns, config: GradingConfig, kind: str | None):
    wanted = [
        name for name in (columns.gold, columns.response, columns.question, columns.options, columns.against) if name
    ]
    missing = [name for name in wanted if name not in row]
    if missing:
        raise RowError(f"{source}, {place}: no column {missing[0]!r}. It has: {', '.join(map(str, row))}")
    clash = [name for name in ADDED if name in row]
    if clash:
        raise RowError(f"{source}, {place}: the input has a column {clash[0]!r} already. Rename it before scoring.")
    question = Question(
        str(row[columns.question] or "") if columns.question else "",
        options=read_options(row[columns.options]) if columns.options else (),
        kind=kind,
    )
    responses = row[columns.response]
    labels = row[columns.against] if columns.against else None
    if responses == []:
        responses = None  # a row without an answer, which is judged as well
    if not isinstance(responses, list):
        yield place, Task(_text(responses), row[columns.gold], question, config), row, label_of(labels)
        return
    for index, response in enumerate(responses):
        label = labels[index] if isinstance(labels, list) and index < len(labels) else labels
        task = Task(_text(response), row[columns.gold], question, config)
        yield f"{place}, response {index}", task, row | {"verdict_sample": index}, label_of(label)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
