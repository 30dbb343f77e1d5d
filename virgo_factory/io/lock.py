"""Locks that end with the process that holds them, however it dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from virgo_factory.core.errors import UserError


def try_lock(file: IO | int, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed, and return True; False where another process holds the lock.

    Raises UserError where the disk has no locks.
    """
    try:
        _lock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False

    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Context in which no other process holds the lock of a file, which is made; one that comes second waits."""
    with path.open("w") as file:
        _lock(file, fcntl.LOCK_EX)
        yield


def _lock(file: IO | int, how: int) -> None:
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        raise
    except OSError as error:  # ENOLCK, ENOSYS, EOPNOTSUPP: of some network disks
        raise UserError(
            f"The disk of this folder has no file locks ({error.strerror}), without which two runs could write into one "
            "file: use a folder on another disk, or mount this one with locks."
        ) from error
