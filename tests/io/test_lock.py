"""Locks: one holder at a time, and one sentence where a disk has none."""

import errno
import fcntl

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.io.lock import alone, try_lock


def test_one_holds_it_at_a_time(tmp_path):
    path = tmp_path / "lock"
    with alone(path), path.open() as second:
        assert not try_lock(second) and not try_lock(second, shared=True)

    with path.open() as one, path.open() as other:
        assert try_lock(one, shared=True) and try_lock(other, shared=True)


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch):
    def refused(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(UserError, match="no file locks .No locks available.*another disk"), alone(tmp_path / "lock"):
        pass
