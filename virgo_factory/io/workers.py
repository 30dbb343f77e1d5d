"""A function in worker processes that can be killed: order kept, memory bounded, an item that ends its worker is known.

`concurrent.futures` says only that some process died, and cannot end one that hangs. Here each worker has a pipe of its own.
"""

import gc
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple


START_SECONDS = 120.0
"""Grace for the start of a worker, and for what it imports, on a busy machine."""

_END = object()


class Known(NamedTuple):
    """An item whose result is known already: it keeps its place among the others."""

    result: Any


@dataclass(frozen=True)
class Lost:
    """In place of a result: the worker that had this item is gone.

    Attributes:
        reason: `timeout`, or `crashed`.
        exitcode: of the process; negative: the signal that ended it.
    """

    item: Any
    reason: str
    exitcode: int | None


class Workers:
    """Processes for one `map` after another, started when they are needed; `close` ends them.

    A worker ends by itself when the process that made it is gone.

    Args:
        make: called once in each worker; returns the function. Pickled, as items and results are.
        count: processes.
        seconds: hard limit of one item, after which its worker is killed and another one takes over.
        memory: address space of a worker, in bytes.
        batch: items that are sent to an idle worker at once.
        ahead: whether a worker gets its next item before the last is done; then it never waits, but no limit of time holds.
        window: items a worker that may be taken before the first of them is yielded.
    """

    def __init__(
        self,
        make: Callable[[], Callable[[Any], Any]],
        count: int,
        *,
        seconds: float = float("inf"),
        memory: int | None = None,
        batch: int = 1,
        ahead: bool = False,
        window: int = 8,
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._arguments = make, memory
        self._count, self._seconds = count, seconds
        self._batch, self._refill, self._window = batch, int(ahead), count * window
        self._workers: list[_Worker] = []

    def map(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield what the function returns for each item, in their order, or `Lost`; to be read to its end.

        Args:
            items: taken as they are needed.

        Raises:
            Exception: what the function raised; afterwards the workers can only be closed.
        """
        source = iter(items)
        results: dict[int, Any] = {}
        again: deque[list[tuple[int, Any]]] = deque()
        taken = yielded = 0
        exhausted = False
        while True:
            while self._has_room():
                batch = again.popleft() if again else []
                while not exhausted and len(batch) < self._batch and taken - yielded < self._window:
                    item = next(source, _END)
                    if item is _END:
                        exhausted = True
                        break

                    if isinstance(item, Known):
                        results[taken] = item.result
                    else:
                        batch.append((taken, item))

                    taken += 1

                if not batch:
                    break

                self._send(batch, results, again)

            while yielded in results:
                yield results.pop(yielded)
                yielded += 1

            if exhausted and yielded == taken:
                return

            if any(worker.owed for worker in self._workers):  # else all that was taken is done
                self._receive(results, again)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.kill()

        self._workers.clear()

    def _has_room(self) -> bool:
        return len(self._workers) < self._count or any(len(worker.owed) <= self._refill for worker in self._workers)

    def _send(self, batch: list[tuple[int, Any]], results: dict[int, Any], again: deque) -> None:
        worker = min(self._workers, key=lambda worker: len(worker.owed), default=None)
        if (worker is None or worker.owed) and len(self._workers) < self._count:
            worker = _Worker(self._context, *self._arguments)
            self._workers.append(worker)

        if not worker.owed:
            worker.give(self._seconds if worker.is_ready else max(self._seconds, START_SECONDS))

        worker.owed.extend(batch)
        try:
            worker.pipe.send(batch)
        except OSError:
            self._lose(worker, "crashed", results, again)

    def _receive(self, results: dict[int, Any], again: deque) -> None:
        """Take what has come, at most one result a worker, and end the workers whose time is over."""
        busy = {worker.pipe: worker for worker in self._workers if worker.owed}
        deadline = min(worker.deadline for worker in busy.values())
        for pipe in wait(list(busy), None if deadline == float("inf") else max(0.0, deadline - time.monotonic())):
            worker = busy[pipe]
            try:
                number, raised, result = pipe.recv()
            except (EOFError, OSError):
                self._lose(worker, "crashed", results, again)
                continue

            if raised:
                raise result

            worker.is_ready = True
            worker.owed.popleft()
            results[number] = result
            worker.give(self._seconds)

        for worker in list(self._workers):
            if worker.owed and worker.deadline < time.monotonic() and not worker.pipe.poll():
                self._lose(worker, "timeout", results, again)

    def _lose(self, worker: "_Worker", reason: str, results: dict[int, Any], again: deque) -> None:
        """Give up the item that a worker was at, and hand its other ones to another worker."""
        if reason == "crashed":
            worker.process.join(10)

        exitcode = worker.process.exitcode
        worker.kill()
        self._workers.remove(worker)
        number, item = worker.owed.popleft()
        results[number] = Lost(item, reason, exitcode)
        if worker.owed:
            again.append(list(worker.owed))


class _Worker:
    """A process with its pipe, the items it still owes, and when the first of them must be done."""

    def __init__(self, context: Any, make: Callable[[], Callable[[Any], Any]], memory: int | None) -> None:
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, make, memory), daemon=True)
        self.process.start()
        other.close()
        self.owed: deque[tuple[int, Any]] = deque()
        self.deadline = float("inf")
        self.is_ready = False

    def give(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, make: Callable[[], Callable[[Any], Any]], memory: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    if memory is not None:
        with suppress(ImportError, ValueError, OSError):  # no such limit on this system: that of time remains
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    batches: queue.SimpleQueue[list[tuple[int, Any]]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, batches), daemon=True).start()
    function = None
    while True:
        for number, item in batches.get():
            try:
                if function is None:
                    function = make()
                    gc.freeze()  # what was imported stays as long as the worker does
                message = (number, False, function(item))
            except Exception as error:
                message = (number, True, error)

            try:
                pipe.send(message)
            except OSError:  # the parent is gone
                return
            except Exception as error:  # it does not pickle
                pipe.send((number, True, RuntimeError(f"{type(error).__name__}: {error}")))


def _listen(pipe: Connection, batches: queue.SimpleQueue) -> None:
    """Take what the parent sends, so that it never waits for a worker; end with it."""
    while True:
        try:
            batches.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)
