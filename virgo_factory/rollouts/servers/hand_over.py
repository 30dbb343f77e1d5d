"""A folder through which a run hands weights over: in memory where there is room, whole or not at all, gone with the run."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from virgo_factory.io.lock import try_lock


MEMORY = Path("/dev/shm")
NAME = "virgo-weights-"


class HandOverFolder:
    """A folder of this run alone for `size` bytes, as a context manager; those that killed runs left are removed.

    It is `elsewhere` where memory has no room or is not to be used, as where servers on other machines read.
    """

    def __init__(self, size: int, elsewhere: Path, memory: bool = True) -> None:
        self._size, self._elsewhere, self._memory = size, Path(elsewhere), memory
        self._at: Path | None = None
        self._lock: int | None = None

    def __enter__(self) -> "HandOverFolder":
        """Make it."""
        for parent in (MEMORY, self._elsewhere):
            _remove_left(parent)

        has_room = self._memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1.1 * self._size
        parent = MEMORY if has_room and os.access(MEMORY, os.W_OK) else self._elsewhere
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{NAME}", dir=parent))
        self._lock = os.open(made, os.O_RDONLY)
        with contextlib.suppress(OSError):  # some network file systems have no locks
            try_lock(self._lock)

        self._at = made.rename(made.with_name(made.name.removeprefix(".")))  # only what is locked has this name
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it with all weights."""
        shutil.rmtree(self._at, ignore_errors=True)
        os.close(self._lock)

    @contextlib.contextmanager
    def new(self, step: int) -> Iterator[Path]:
        """Yield an empty folder to write weights to; at the end of the block it becomes the one that is yielded by `at`.

        The weights before are removed first: both would need twice the memory, and nobody asks a server meanwhile.
        """
        for old in self._at.iterdir():
            shutil.rmtree(old)

        partial = self._at / f".step-{step}.partial"
        partial.mkdir()
        yield partial
        partial.rename(self.at(step))

    def at(self, step: int) -> Path:
        """Return where the weights of a step are."""
        return self._at / f"step-{step}"


def _remove_left(parent: Path) -> None:
    """Remove folders of runs that are no more: nobody holds their lock."""
    for folder in parent.glob(f"{NAME}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                if try_lock(lock):
                    shutil.rmtree(folder)
            finally:
                os.close(lock)
