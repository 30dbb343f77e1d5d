"""What belongs to a picture, found by its id although the files have another order: a table on the disk, gone at the end."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Self


_CACHE = -65_536  # KiB
_AT_ONCE = 10_000


class Shelf:
    """Lists of values by kind and id, on the disk (TMPDIR). Filled first, then `close_up`, then read. A context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # on disk, gone when it is closed
        for setting in (f"cache_size = {_CACHE}", "journal_mode = OFF", "synchronous = OFF"):
            self._db.execute(f"PRAGMA {setting}")

        self._db.execute("CREATE TABLE value (kind TEXT, id TEXT, text TEXT)")
        self._db.execute("BEGIN")
        self._waiting: list[tuple[str, str, str]] = []

    def add(self, kind: str, id: Any, value: Any) -> None:
        """Put a value, which JSON can hold, behind those of its kind and id."""
        self._waiting.append((kind, str(id), json.dumps(value)))
        if len(self._waiting) >= _AT_ONCE:
            self._flush()

    def close_up(self) -> None:
        """Make everything findable."""
        self._flush()
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX by_id ON value (kind, id)")

    def of(self, kind: str, id: Any) -> list[Any]:
        """Return the values of a kind and id, in the order in which they were added."""
        select = "SELECT text FROM value WHERE kind = ? AND id = ? ORDER BY rowid"
        return [json.loads(text) for (text,) in self._db.execute(select, (kind, str(id)))]

    def every(self, kind: str) -> Iterator[Any]:
        """Yield all values of a kind, in the order in which they were added."""
        for (text,) in self._db.execute("SELECT text FROM value WHERE kind = ? ORDER BY rowid", (kind,)):
            yield json.loads(text)

    def _flush(self) -> None:
        self._db.executemany("INSERT INTO value VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._db.close()
