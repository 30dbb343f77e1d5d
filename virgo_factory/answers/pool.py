"""Many verdicts at once: worker processes that can be killed, a hard time limit a verdict, order kept, memory bounded.

A worker that exceeds the limit is killed and replaced, and its verdict is unverifiable.
"""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from virgo_factory.answers.grading import MATH, GradingConfig
from virgo_factory.answers.judging import judge, score
from virgo_factory.answers.model import UNVERIFIABLE, Answer, Question, Verdict


CHUNK = 8
"""Tasks sent to a worker at once."""
MEMORY = 4 * 2**30
"""Address space of a worker, in bytes."""
START_SECONDS = 120.0
"""Grace for starting a worker on a busy machine."""


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


def score_many(
    tasks: Iterable[Task],
    workers: int | None = None,
    seconds: float = 15.0,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Yield the verdicts on tasks in their order.

    Args:
        tasks: read as needed, never all at once.
        workers: processes; the number of usable cores by default.
        seconds: hard limit of one verdict, after which its worker is killed.
        progress: called with the number of verdicts yielded so far.
    """
    pool = Pool(workers or len(os.sched_getaffinity(0)), seconds)
    try:
        for done, verdict in enumerate(pool.run(iter(tasks)), start=1):
            yield verdict
            if progress is not None:
                progress(done)
    finally:
        pool.close()


class _Worker:
    """A process with its pipe, the tasks it still owes, and when it must have answered."""

    def __init__(self, context) -> None:
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.owed: deque[tuple[int, Task]] = deque()
        self.deadline = time.monotonic() + START_SECONDS
        self.ready = False

    def send(self, tasks: list[tuple[int, Task]], seconds: float) -> None:
        self.owed.extend(tasks)
        self.pipe.send(tasks)
        self.deadline = time.monotonic() + (seconds if self.ready else START_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Pool:
    """Worker processes for one call of `run` after another, where tasks come in batches; `close` ends them.

    Args:
        size: processes, started when they are needed.
        seconds: hard limit of one verdict.
    """

    def __init__(self, size: int, seconds: float = 15.0) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.size, self.seconds = size, seconds
        self.workers: list[_Worker] = []

    def run(self, tasks: Iterator[Task]) -> Iterator[Verdict]:
        """Yield the verdicts on tasks in their order; to be read to its end before the next call."""
        window = self.size * CHUNK * 32
        numbered = enumerate(tasks)
        verdicts: dict[int, Verdict] = {}
        again: deque[list[tuple[int, Task]]] = deque()
        yielded, sent, exhausted = 0, 0, False
        while True:
            while not exhausted or again:
                worker = next((worker for worker in self.workers if not worker.owed), None)
                if worker is None and len(self.workers) >= self.size:
                    break
                if not again and sent - yielded > window:
                    break
                chunk = again.popleft() if again else _take(numbered, CHUNK)
                if not chunk:
                    exhausted = True
                    break
                sent = max(sent, chunk[-1][0] + 1)
                if worker is None:
                    worker = _Worker(self.context)
                    self.workers.append(worker)
                try:
                    worker.send(chunk, self.seconds)
                except (BrokenPipeError, OSError):
                    self._fail(worker, "crashed", verdicts, again)
            while yielded in verdicts:
                yield verdicts.pop(yielded)
                yielded += 1
            if exhausted and not again and yielded == sent:
                return
            self._collect(verdicts, again)

    def _collect(self, verdicts: dict[int, Verdict], again: deque) -> None:
        busy = [worker for worker in self.workers if worker.owed]
        if not busy:
            return
        patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        for pipe in wait([worker.pipe for worker in busy], timeout=patience):
            worker = next(worker for worker in busy if worker.pipe is pipe)
            try:
                index, verdict = pipe.recv()
            except (EOFError, OSError):
                self._fail(worker, "crashed", verdicts, again)
                continue
            worker.ready = True
            worker.owed.popleft()
            verdicts[index] = verdict
            worker.deadline = time.monotonic() + self.seconds
        for worker in list(self.workers):
            if worker.owed and worker.deadline < time.monotonic() and not worker.pipe.poll():
                self._fail(worker, "timeout", verdicts, again)

    def _fail(self, worker: _Worker, reason: str, verdicts: dict[int, Verdict], again: deque) -> None:
        """Give up the task a worker hangs on, and hand its other tasks to another one."""
        worker.kill()
        self.workers.remove(worker)
        if worker.owed:
            index, _ = worker.owed.popleft()
            verdicts[index] = Verdict(UNVERIFIABLE, reason)
        if worker.owed:
            again.append(list(worker.owed))

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()


def _take(numbered: Iterator[tuple[int, Task]], count: int) -> list[tuple[int, Task]]:
    """The next tasks, fewer where they are long."""
    chunk, size = [], 0
    for index, task in numbered:
        chunk.append((index, task))
        size += len(task.response) if isinstance(task.response, str) else 0
        if len(chunk) == count or size > 2**20:
            break
    return chunk


def _work(pipe: Connection) -> None:
    """The worker: chunks in, one message a verdict out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # no such limit on this system: the time limit remains
    while True:
        try:
            chunk = pipe.recv()
        except EOFError:
            return
        for index, task in chunk:
            pipe.send((index, verdict_of(task)))
