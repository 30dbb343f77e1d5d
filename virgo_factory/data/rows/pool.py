"""Chunks measured in their order, in worker processes where it is worth it; a worker that dies is told with its rows."""

import functools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from virgo_factory.data.read.files.chunks import Chunk, UnreadableFile
from virgo_factory.data.read.reader import cut_file, place_of, read_chunk
from virgo_factory.data.read.source import Source
from virgo_factory.data.rows.worker import Measured, Measurer
from virgo_factory.io.workers import Known, Lost, Workers


WORTH = 4.0
"""Seconds of work from which it is worth to start processes, each of which needs about one to get ready."""
WORTH_BYTES = 16 << 20
"""Likewise of data, where it is not measured but looked at."""

T = TypeVar("T")


@dataclass
class Task:
    """A chunk to be measured."""

    source: int
    chunk: Chunk | None  # None where `problem` says why there is none
    measured: Measured | None = None  # what it gave; set from the start where that is known already
    packed: bytes | None = None  # the same as bytes, where it was measured just now
    problem: str = ""  # what was wrong with the file behind the last chunk
    line: int = 0  # at which

    @property
    def is_done(self) -> bool:
        return self.chunk is None or self.measured is not None


def run_tasks(tasks: Iterator[Task], make_measurer: Callable[[], Measurer], workers: int, size: int) -> Iterator[Task]:
    """Yield the tasks in their order, measured.

    `make_measurer` is called here, and pickled for the processes; where little of `size` (bytes) is left, none are
    started. Raises ChildProcessError where a worker died, with its rows, and what the measuring raised.
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
    pool = Workers(functools.partial(_make, make_measurer), count, ahead=True)
    pending: deque[Task] = deque()

    def items() -> Iterator[Known | tuple[int, Chunk]]:
        for task in tasks:
            pending.append(task)
            yield Known(None) if task.is_done else (task.source, task.chunk)

    try:
        for found in pool.map(items()):
            task = pending.popleft()
            if isinstance(found, Lost):
                raise _death(task.chunk, found.exitcode)

            if found is not None:
                task.packed, task.measured = found, Measured.unpack(found)

            yield task
    finally:
        pool.close()


def _make(make_measurer: Callable[[], Measurer]) -> Callable[[tuple[int, Chunk]], bytes]:
    measurer = make_measurer()
    return lambda item: measurer.measure(*item).pack()


def _death(chunk: Chunk, exitcode: int | None) -> ChildProcessError:
    how = (
        f"was killed by signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"ended with code {exitcode}"
    )
    memory = " (9 is what the system sends when memory runs out)" if exitcode == -9 else ""
    return ChildProcessError(
        f"{_lines(chunk)}: the process that measured these rows {how}{memory}. Look at them, or use fewer processes; what "
        "was measured before is kept."
    )


def _lines(chunk: Chunk) -> str:
    """Return where a chunk stands, for messages."""
    if chunk.kind == "table":
        return f"{chunk.file} (row group {chunk.group + 1}, rows {chunk.start + 1} to {chunk.start + chunk.size})"

    last = max((row.line for row in read_chunk(chunk)), key=abs, default=chunk.line)
    return f"{place_of(chunk.file, chunk.line, 0)} to {'line ' if last > 0 else ''}{abs(last)}"


def each_chunk(
    sources: Sequence[Source],
    look: Callable[[tuple[int, Chunk]], tuple[int, Chunk, T]],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Chunk, T]]:
    """Yield what `look` makes of each chunk, in file order; large data is read in `workers` processes."""
    workers = workers or len(os.sched_getaffinity(0))
    total = sum(Path(file).stat().st_size for source in sources for file in source.files)
    chunks = chain.from_iterable(_chunks_of(index, source) for index, source in enumerate(sources) if source.is_ours)
    done = 0
    pool = None
    if workers > 1 and total >= WORTH_BYTES:
        pool = Workers(functools.partial(_made, look), workers, ahead=True)

    try:
        for found in pool.map(chunks) if pool else map(look, chunks):
            if isinstance(found, Lost):
                raise ChildProcessError(
                    "a process that compared the texts was killed, perhaps for memory. Use fewer: --workers 1."
                )

            _, chunk, _ = found
            yield found
            done += chunk.bytes
            if progress:
                progress(done, total)
    finally:
        if pool:
            pool.close()


def _made(look: Any) -> Any:
    return look


def _chunks_of(index: int, source: Source) -> Iterator[tuple[int, Chunk]]:
    for file in source.files:
        try:
            for chunk in cut_file(file):
                yield index, chunk
        except UnreadableFile:
            return
