"""Asking the questions of an evaluation: each benchmark with its own samples and temperature, all of them in one pass.

Those whose responses were long in an earlier run come first: the slots of the servers stay full to the end.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from virgo_factory.evaluation.config import FILE, EvaluationConfig
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.run.launch import Asking
from virgo_factory.rollouts.run.questions import QuestionPass
from virgo_factory.rollouts.run.run import Job
from virgo_factory.rollouts.run.todo import Left, Todo
from virgo_factory.rollouts.servers.client import Sampling, ServerFacts
from virgo_factory.rollouts.servers.server import Server
from virgo_factory.rollouts.store.index import ROLLOUTS, open_index


def tokens_in(folder: Path) -> dict[str, float]:
    """Return the mean tokens of the responses to each question that a folder has.

    Raises:
        ValueError: a line is no rollout.
    """
    with open_index(folder) as index:
        db = index.sync((ROLLOUTS,)).db
        return dict(db.execute("SELECT question, avg(tokens) FROM rollouts GROUP BY question").fetchall())


def earlier_run(folder: Path) -> Path | None:
    """Return the folder beside an evaluation's, or above it, that got a response last; None where there is none."""
    files = [*folder.parent.glob("*/rollouts*.jsonl"), *folder.parent.parent.glob("rollouts*.jsonl")]
    found = [path for path in files if path.parent != folder and (path.parent / FILE).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


class EvaluationTodo(Todo):
    """What each question still lacks: a benchmark may have a number of responses of its own."""

    config: EvaluationConfig

    def missing(self, question: VisualQuestion) -> list[int]:
        """Return the samples of a question that are not there."""
        there = self.store.samples(question.id, self.config.model_name_or_path)
        return [sample for sample in range(self.config.samples_of(question.source)) if sample not in there]

    def left(self) -> Left:
        """Count what is still to be asked of the questions of this shard."""
        self.count_cases()
        questions = samples = done = 0
        for source, there, count in self.store.index.db.execute(
            "SELECT source, samples, count(*) FROM cases WHERE NOT dropped GROUP BY 1, 2"
        ):
            lacking = max(0, self.config.samples_of(source) - there)
            questions += count * bool(lacking)
            samples += count * lacking
            done += count * there

        return Left(questions, samples, done)

    def count_cases(self) -> None:
        """Make the table `cases` of this shard, with the samples of the benchmark that has most."""
        most = max(map(self.config.samples_of, [*self.config.benchmarks, ""]))
        wide = self.config.model_copy(update={"samples": most})
        Todo(wide, self.store).count_cases()


class EvaluationPass(QuestionPass):
    """Questions of several benchmarks, some of which have a temperature of their own."""

    def sampling_of(self, job: Job) -> Sampling:
        """Return how the responses to a question are sampled."""
        return replace(self.sampling, temperature=self.todo.config.temperature_of(job.about.source))


@dataclass
class Kept:
    """The server of our own that one start keeps for all that it asks, once it is needed; gone when `stack` is closed."""

    stack: contextlib.ExitStack
    server: Server | None = None


class Evaluation(Asking):
    """One start in an open folder, all benchmarks in one pass."""

    todo_of = EvaluationTodo
    pass_of = EvaluationPass

    def __init__(self, *given: Any, kept: Kept) -> None:
        super().__init__(*given)
        self._kept = kept

    @contextlib.contextmanager
    def served(self, model: str, urls: Sequence[str], log: str) -> Iterator[Server | None]:
        """Context of the server that is kept, which is started for the first who needs it; None where URLs are given."""
        if self._kept.server is None:
            self._kept.server = self._kept.stack.enter_context(super().served(model, urls, log))

        yield self._kept.server

    def name_at(self, url: str, facts: ServerFacts, name: str | None, model: str) -> str:
        """Return the name under which a server has the model: another epoch that happens to be served is not that one."""
        known = {Path(served).name for served in facts.models}
        own = self._kept.server is not None  # it serves what it was started with
        return super().name_at(url, facts, name if own or name or Path(model).name in known else model, model)

    @cached_property
    def expected(self) -> dict[str, float]:
        """Tokens of the response to each question, as an earlier run had them; nothing where that is unknown."""
        with contextlib.suppress(ValueError, OSError, sqlite3.Error):  # it decides the order alone
            folder = earlier_run(self.folder)
            return tokens_in(folder) if folder else {}

        return {}

    def questions(self) -> Iterator[VisualQuestion]:
        """Yield the questions of this shard, longest first as far as that is known; others as if of mean length."""
        mean = sum(self.expected.values()) / max(1, len(self.expected))
        found = super().questions()
        return iter(sorted(found, key=lambda one: -self.expected.get(one.id, mean))) if mean else found
