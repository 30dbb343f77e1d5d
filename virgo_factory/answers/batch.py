"""Many verdicts at once, in worker processes with a hard limit of time and memory a verdict; beyond it a verdict is unverifiable."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from virgo_factory.answers.grading import MATH, GradingConfig
from virgo_factory.answers.judging import judge, score
from virgo_factory.answers.model import UNVERIFIABLE, Answer, Question, Verdict
from virgo_factory.answers.patterns import P
from virgo_factory.io.workers import Lost, Workers


SECONDS = 15.0
"""Hard limit of one verdict."""
MEMORY = 4 * 2**30
"""Address space of a worker, in bytes."""


@dataclass(frozen=True)
class Task:
    """One response to be scored, or one answer to be judged where `response` is an Answer."""

    response: str | Answer
    gold: Any
    question: Question = field(default_factory=Question)
    config: GradingConfig = MATH


def verdict_of(task: Task) -> Verdict:
    """Return the verdict on a task in this process; never raises.

    >>> verdict_of(Task("It is 4.", "4")).verdict
    'correct'
    """
    try:
        if isinstance(task.response, Answer):
            return judge(task.response, task.gold, task.question, task.config)

        return score(task.response, task.gold, task.question, task.config)
    except MemoryError:
        return Verdict(UNVERIFIABLE, "too_large")
    except Exception:  # one row must never end a batch
        return Verdict(UNVERIFIABLE, "error")


class Scorers:
    """Processes, by default one a usable core, that score one batch of tasks after another; `close` ends them."""

    def __init__(self, count: int | None = None, seconds: float = SECONDS) -> None:
        count = count or len(os.sched_getaffinity(0))
        self._workers = Workers(_make, count, seconds=seconds, memory=MEMORY, batch=8, window=256)

    def score(self, tasks: Iterable[Task]) -> Iterator[Verdict]:
        """Yield the verdicts on tasks in their order; to be read to its end before the next call."""
        for found in self._workers.map(tasks):
            yield Verdict(UNVERIFIABLE, found.reason) if isinstance(found, Lost) else found

    def close(self) -> None:
        """End the processes."""
        self._workers.close()


def _make() -> Callable[[Task], Verdict]:
    P.compile_all()
    return verdict_of


def score_many(
    tasks: Iterable[Task],
    workers: int | None = None,
    seconds: float = SECONDS,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Yield the verdicts on tasks, which are read as needed, in their order; `progress` is called with how many there are so far."""
    scorers = Scorers(workers, seconds)
    try:
        for done, verdict in enumerate(scorers.score(tasks), start=1):
            yield verdict
            if progress is not None:
                progress(done)
    finally:
        scorers.close()
