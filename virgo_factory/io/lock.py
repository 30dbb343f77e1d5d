"""Locks that end with the process that holds them, however it dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def try_lock(file: IO | int, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed, and return True; False where another process holds the lock."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False

    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Context in which no other process holds the lock of a file, which is made; one that comes second waits."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
