"""A function in worker processes that can be killed: order kept, memory bounded, an item that ends its worker is known.

`concurrent.futures` says only that some process died, and cannot end one that hangs. Here each worker has a pipe of its own.
`multiprocessing` runs the caller's main module again in each process it starts: a script without `if __name__ == "__main__"`,
a notebook or a Ray actor would do its work anew in each of them, so that workers are plain `python -c` here.
"""

import gc
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NamedTuple


START_SECONDS = 120.0
"""Grace for the start of a worker, and for what it imports, on a busy machine."""
STARTS = 3
"""Workers that may fail to start one after the other: a single one may have met a moment without memory."""

_END = object()
_CODE = "import sys; fds, sys.path[:], sys.argv[1:] = sys.argv[1], sys.argv[2:], []\nfrom virgo_factory.io.workers import _work; _work(*map(int, fds.split()))"


class Known(NamedTuple):
    """An item whose result is known already: it keeps its place among the others."""

    result: Any


@dataclass(frozen=True)
class Lost:
    """In place of a result: the worker that had this item is gone.

    Attributes:
        exitcode: of the process; negative: the signal that ended it.
    """

    item: Any
    reason: str
    exitcode: int | None


class Workers:
    """Processes for one `map` after another, started when they are needed; `close` ends them.

    A worker ends by itself when the process that made it is gone.

    Args:
        make: called once in each worker; returns the function. Pickled, as items and results are; not of the main module.
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
        self._arguments = make, memory
        self._count, self._seconds = count, seconds
        self._batch, self._refill, self._window = batch, int(ahead), count * window
        self._workers: list[_Worker] = []
        self._not_started = 0

    def map(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield what the function returns for each item, in their order, or `Lost`; to be read to its end.

        Raises:
            Exception: what `make` or the function raised; afterwards the workers can only be closed.
            ChildProcessError: workers cannot start, with what the last of them wrote to its standard error.
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
            worker = _Worker(*self._arguments)
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

            if worker.is_ready:
                worker.owed.popleft()
                results[number] = result
            else:  # this is what its first message says
                worker.is_ready = True
                self._not_started = 0

            worker.give(self._seconds)

        for worker in list(self._workers):
            if worker.owed and worker.deadline < time.monotonic() and not worker.pipe.poll():
                self._lose(worker, "timeout", results, again)

    def _lose(self, worker: "_Worker", reason: str, results: dict[int, Any], again: deque) -> None:
        """Give up the item that a worker was at, and hand its other ones to another worker; all, where it never started."""
        if reason == "crashed":
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(10)

        exitcode = worker.process.poll()
        said = worker.kill()
        self._workers.remove(worker)
        if worker.is_ready:
            number, item = worker.owed.popleft()
            results[number] = Lost(item, reason, exitcode)
        else:
            self._not_started += 1
            if self._not_started == STARTS:
                how = f"ended with code {exitcode}" if reason == "crashed" else f"was not ready in {START_SECONDS:g} s"
                raise ChildProcessError(f"a worker process {how} before its first item. It wrote: {said or 'nothing'}")

        if worker.owed:
            again.append(list(worker.owed))


class _Worker:
    """A process with its pipe, the items it still owes, and when the first of them must be done."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], memory: int | None) -> None:
        self.pipe, other = Pipe()
        self._said = tempfile.TemporaryFile()
        self.owed: deque[tuple[int, Any]] = deque()
        self.deadline = float("inf")
        self.is_ready = False
        handed = [other.fileno()]
        with suppress(OSError):  # a daemon may have closed it
            handed.append(os.dup(2))

        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CODE, " ".join(map(str, handed)), *sys.path],
                pass_fds=handed,
                stdin=subprocess.DEVNULL,
                stderr=self._said,
            )
        finally:
            other.close()
            for copy in handed[1:]:
                os.close(copy)

        with suppress(OSError):  # gone already: to be met when its first message is waited for
            self.pipe.send((make, memory))

    def give(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds

    def kill(self) -> str:
        """End the process, and return the end of what it wrote to its standard error before it was ready."""
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        with self._said:
            self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 2000))
            return self._said.read().decode(errors="replace").strip()


def _work(pipe: int, stderr: int | None = None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    pipe = Connection(pipe)
    batches: queue.SimpleQueue[list[tuple[int, Any]]] = queue.SimpleQueue()
    try:
        make, memory = pipe.recv()
        if memory is not None:
            with suppress(ImportError, ValueError, OSError):  # no such limit on this system: that of time remains
                import resource

                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

        threading.Thread(target=_listen, args=(pipe, batches), daemon=True).start()
        function = make()
        gc.freeze()  # what was imported stays as long as the worker does
        pipe.send((None, False, None))
    except Exception as error:
        _send_error(pipe, None, error)
        return

    if stderr is not None:
        os.dup2(stderr, 2)
        os.close(stderr)

    while True:
        for number, item in batches.get():
            try:
                message = (number, False, function(item))
            except Exception as error:
                message = (number, True, error)

            try:
                pipe.send(message)
            except OSError:  # the parent is gone
                return
            except Exception as error:
                _send_error(pipe, number, RuntimeError(f"{type(error).__name__}: {error}"))


def _send_error(pipe: Connection, number: int | None, error: Exception) -> None:
    try:
        pipe.send((number, True, error))
    except OSError:
        return
    except Exception:  # it does not pickle
        pipe.send((number, True, RuntimeError(f"{type(error).__name__}: {error}")))


def _listen(pipe: Connection, batches: queue.SimpleQueue) -> None:
    """Take what the parent sends, so that it never waits for a worker; end with it."""
    while True:
        try:
            batches.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)
