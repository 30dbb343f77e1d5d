"""Chunks measured by worker processes: order kept, memory bounded, a worker that dies told with the rows that it was at.

`concurrent.futures` says only that some process died; here each worker has a pipe of its own, so it is known at which chunk.
"""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection, wait
from typing import Any

from virgo_factory.datasets.measuring import Measured, Measurer
from virgo_factory.datasets.reader import Chunk, place_of, read_chunk


AHEAD = 2
"""Chunks that a worker holds: one in work, one to go on with."""
WINDOW = 8
"""Chunks a worker that may be done before the first of them is taken."""


WORTH = 4.0
"""Seconds of work from which it is worth to start processes, each of which needs about one to get ready."""


@dataclass
class Task:
    """A chunk to be measured.

    Attributes:
        chunk: None where `problem` says why there is none.
        measured: what it gave; set from the start where that is known already.
        packed: the same as bytes, where it was measured just now.
        problem: what was wrong with the file behind the last chunk.
        line: at which.
    """

    source: int
    chunk: Chunk | None
    measured: Measured | None = None
    packed: bytes | None = None
    problem: str = ""
    line: int = 0

    @property
    def is_done(self) -> bool:
        return self.chunk is None or self.measured is not None


def run_tasks(tasks: Iterator[Task], make_measurer: Callable[[], Measurer], workers: int, size: int) -> Iterator[Task]:
    """Yield the tasks in their order, measured.

    Args:
        tasks: taken as they are needed.
        make_measurer: called here, and pickled for the worker processes.
        workers: processes.
        size: bytes of all chunks; where little is left, no processes are started for it.

    Raises:
        ChildProcessError: a worker died; the message names its rows.
        ValueError, OSError: what the measuring raised.
    """
    measurer, first = None, None
    spent, done = 0.0, 0
    for task in tasks:
        if not task.is_done:
            if workers > 1 and done and spent / done * (size - done) > WORTH:
                first = task
                break

            measurer = measurer or make_measurer()
            start = time.monotonic()
            task.measured = measurer.measure(task.source, task.chunk)
            task.packed = task.measured.pack()
            spent += time.monotonic() - start
            done += task.chunk.bytes
        elif task.chunk is not None:
            size -= task.chunk.bytes

        yield task

    if first is not None:
        del measurer
        yield from _run_in_workers(chain([first], tasks), make_measurer, workers)


def _run_in_workers(tasks: Iterator[Task], make_measurer: Callable[[], Measurer], count: int) -> Iterator[Task]:
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    pending: deque[Task] = deque()
    waiting: deque[Task] = deque()
    exhausted = False
    try:
        while True:
            while not exhausted and len(pending) < count * WINDOW:
                task = next(tasks, None)
                if task is None:
                    exhausted = True
                    break

                pending.append(task)
                if not task.is_done:
                    waiting.append(task)

            while waiting:
                worker = min(workers, key=lambda worker: len(worker.tasks), default=None)
                if (worker is None or worker.tasks) and len(workers) < count:
                    worker = _Worker(context, make_measurer)
                    workers.append(worker)

                if len(worker.tasks) == AHEAD:
                    break

                worker.send(waiting.popleft())

            while pending and pending[0].is_done:
                yield pending.popleft()

            if exhausted and not pending:
                return

            if pending and not pending[0].is_done:
                busy = {worker.pipe: worker for worker in workers if worker.tasks}
                for pipe in wait(list(busy)):
                    busy[pipe].receive()
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A process, its pipe, and the chunks it still owes."""

    def __init__(self, context: Any, make_measurer: Callable[[], Measurer]) -> None:
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, make_measurer), daemon=True)
        self.process.start()
        other.close()
        self.tasks: deque[Task] = deque()

    def send(self, task: Task) -> None:
        self.tasks.append(task)
        try:
            self.pipe.send((task.source, task.chunk))
        except OSError:
            self._raise_death()

    def receive(self) -> None:
        """Take the result of the oldest chunk."""
        try:
            found = self.pipe.recv()
        except (EOFError, OSError):
            self._raise_death()

        if isinstance(found, Exception):
            raise found

        task = self.tasks.popleft()
        task.packed, task.measured = found, Measured.unpack(found)

    def _raise_death(self) -> None:
        self.process.join(10)
        code = self.process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        memory = " (9 is what the system sends when memory runs out)" if code == -9 else ""
        raise ChildProcessError(
            f"{_lines(self.tasks[0].chunk)}: the process that measured these rows {how}{memory}. Look at them, or use "
            "fewer processes; what was measured before is kept."
        ) from None

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _lines(chunk: Chunk) -> str:
    """Return where a chunk stands, for messages."""
    if chunk.kind == "table":
        return f"{chunk.file} (row group {chunk.group + 1}, rows {chunk.start + 1} to {chunk.start + chunk.size})"

    last = max((row.line for row in read_chunk(chunk)), key=abs, default=chunk.line)
    return f"{place_of(chunk.file, chunk.line, 0)} to {'line ' if last > 0 else ''}{abs(last)}"


def _work(pipe: Connection, make_measurer: Callable[[], Measurer]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    measurer = None
    while True:
        try:
            source, chunk = pipe.recv()
        except EOFError:  # the parent is gone
            return

        try:
            measurer = measurer or make_measurer()
            pipe.send(measurer.measure(source, chunk).pack())
        except BrokenPipeError:
            return
        except Exception as error:
            try:
                pipe.send(error)
            except Exception:  # it does not pickle
                pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
