"""Rows found by a key of any kind: appended to a file of a folder as rollouts are, with an index of their keys beside it."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.io.index import Index, Source
from virgo_factory.rollouts.store.index import ASK_AGAIN
from virgo_factory.rollouts.store.jsonl import Shard, shards_of
from virgo_factory.rollouts.store.store import Store


_TABLE = "records"
_SCHEMA = (
    f"CREATE TABLE {_TABLE} (place INTEGER PRIMARY KEY, key TEXT, tokens INTEGER)",
    f"CREATE INDEX records_by_key ON {_TABLE} (key)",
)


def index_of(folder: Path, name: str, row: Callable[[Mapping[str, Any]], tuple[str, int]]) -> Index:
    """Return the index of NAME.jsonl and its shards: `records` has place, key and tokens of each row, as `row` reads them."""
    source = Source(_TABLE, ("key", "tokens"), lambda: shards_of(folder, name), row, ASK_AGAIN)
    return Index(folder, [source], _SCHEMA, file=f".{name}.sqlite")


def count_records(folder: Path, name: str) -> tuple[int, int]:
    """Return how many rows such files have, and their completion tokens; another process may write to them."""
    with index_of(folder, name, lambda row: (row["key"], int(row.get("completion_tokens", 0)))) as index:
        return _count(index)


def _count(index: Index) -> tuple[int, int]:
    return index.sync().db.execute(f"SELECT count(*), ifnull(sum(tokens), 0) FROM {_TABLE}").fetchone()


class Records(Store):
    """The rows of NAME.jsonl and its shards by their keys; of several with one key the first counts. A context manager.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Records(folder, "captions", lambda row: row["image"]) as records:
    ...         records.append({"image": "a.png", "response": "A cat."})
    ...     with Records(folder, "captions", lambda row: row["image"]) as records:
    ...         print("a.png" in records, "b.png" in records, records.get("a.png")["response"])
    True False A cat.

    `key` raises ValueError or KeyError for what is no such row. `lock` is held while a row is looked for or written: threads may share it.
    """

    def __init__(
        self, folder: Path | str, name: str, key: Callable[[Mapping[str, Any]], str], shard: Shard | None = None
    ) -> None:
        self._key, self.lock, self._new = key, threading.RLock(), set()
        super().__init__(Path(folder), name, shard, f".{name}.lock")

    def _open(self, stack: contextlib.ExitStack) -> None:
        self._index = stack.enter_context(index_of(self.folder, self.name, self._row))
        self.count, self.tokens = _count(self._index)
        self._index.release()

    def _row(self, row: Mapping[str, Any]) -> tuple[str, int]:
        try:
            return self._key(row), int(row.get("completion_tokens", 0))
        except (KeyError, TypeError) as error:
            raise UserError(f"no row of {self.name} ({error!r})") from None

    def __contains__(self, key: str) -> bool:
        with self.lock:
            return key in self._new or self._place(key) is not None

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the row of a key, from whichever shard."""
        with self.lock:
            if key in self._new:
                self._index.sync()
                self._index.release()
                self._new.clear()

            place = self._place(key)
            return None if place is None else json.loads(self._index.line(_TABLE, place))

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row, see `write`; ValueError where its key is there already."""
        key, tokens = self._row(row)
        with self.lock:
            if key in self:
                raise UserError(f"{self._path}: {key} is there already.")

            self.write(row, tokens)
            self._new.add(key)

    def close(self) -> None:
        """Make everything safe and give the file free."""
        with contextlib.suppress(ValueError, OSError, sqlite3.Error):  # only behind: the next start takes it in
            self._index.sync()
            self._index.release()

        if not self._path.stat().st_size:  # nothing was asked
            self._path.unlink()

        super().close()

    def _place(self, key: str) -> int | None:
        found = self._index.db.execute(f"SELECT min(place) FROM {_TABLE} WHERE key = ?", (key,)).fetchone()
        return found[0]
