"""An index beside JSONL files: SQLite tables made of their lines, so that a question need not read all of them again.

The files are the truth, and the index never is: it may be behind or deleted at any moment. Opening it takes in what was
appended since, and reads again a file that changed otherwise (known by its size and time, and the end of what was read). It
is one file in the folder, written by one process at a time under SQLite's own lock, which works on NFS with the rollback
journal that is used here. A broken one, or another version's, is made anew; who may not write works on a copy of its own.
"""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

import orjson


T = TypeVar("T")
NAME = ".index.sqlite"

WAIT = 120.0
"""Seconds for which another process may hold the lock, such as one that makes the index of a large file."""

_TAIL = 1 << 16
_PLACE_BITS = 40
_NEW = 2 * 10**9  # nanoseconds in which a file may change without another time
_HARMLESS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
           sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)  # fmt: skip
"""Errors that say nothing against the file: it is left alone, and a copy is used."""


@dataclass(frozen=True)
class Source:
    """JSONL files of one kind, and the table that is made of their lines.

    Attributes:
        table: its name; beside `columns` it has `place INTEGER`, which says where the line is.
        columns: that `row` fills.
        files: returns the files there are, in the order in which their lines count.
        row: values of the columns, from the object in a line. Raises ValueError: what is wrong with it.
        remedy: what to do about a line that is wrong.
    """

    table: str
    columns: Sequence[str]
    files: Callable[[], Sequence[Path]]
    row: Callable[[Any], Sequence[object]]
    remedy: str = ""


class Index:
    """The tables of a folder's JSONL files, as of the moment of the last `sync`. A context manager.

    Args:
        folder: where the index is kept.
        sources: what it is made of.
        schema: statements that make their tables, indexes and triggers.
        version: of the rows; an index of another one is made anew.
        is_own: work on a copy, gone when it is closed, that may be written to.

    Attributes:
        db: the connection; reading leaves files in peace until `release` or `close`.
    """

    def __init__(
        self, folder: Path, sources: Sequence[Source], schema: Sequence[str], version: str = "", is_own: bool = False
    ) -> None:
        self.folder, self._sources, self._schema = Path(folder), {source.table: source for source in sources}, schema
        self._about = json.dumps([version, *schema, *((one.table, *one.columns) for one in sources)])
        self._open: dict[Path, BinaryIO] = {}
        self._paths: dict[str, Sequence[Path]] = {}
        self._is_own = is_own
        self.db: sqlite3.Connection | None = None
        try:
            self.db = self._copied() if is_own else self._connected(self.folder / NAME)
        except sqlite3.Error as error:
            self._mend(error)

    def sync(
        self, tables: Collection[str] | None = None, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Self:
        """Take in what the files have now; what is read afterwards is of this moment.

        Args:
            tables: only of these sources.
            progress: called with the bytes read, and of all that are to be read.

        Raises:
            ValueError: a line is no JSON object, or wrong, with file and line.
            OSError: neither the index nor a copy can be written.
        """
        sources = [source for table, source in self._sources.items() if tables is None or table in tables]
        for may_mend in (True, True, False):
            try:
                self.release()
                self._take(sources, progress)
                self.db.execute("BEGIN")
                return self
            except sqlite3.Error as error:
                if not may_mend or self._is_own:
                    raise OSError(
                        f"{self.folder}: no index can be made ({error}). Is there room for temporary files (TMPDIR)?"
                    ) from error

                self._mend(error)

        raise AssertionError

    def ask(self, work: Callable[["Index"], T], progress: Callable[[int, int], None] = lambda done, total: None) -> T:
        """Return what `work` reads, of this moment; where the file turns out to be broken it is made anew, and read again.

        Raises:
            ValueError, OSError: see `sync`.
        """
        try:
            return work(self.sync(progress=progress))
        except sqlite3.DatabaseError as error:
            self._mend(error)
            return work(self.sync(progress=progress))

    def _mend(self, error: sqlite3.Error) -> None:
        """Go on after an error of SQLite: with an empty index where the file is broken, else with a copy of it."""
        if self.db is not None:
            self.db.close()

        path = self.folder / NAME
        if _code(error) not in _HARMLESS:
            try:
                for name in (f"{NAME}-journal", NAME):
                    (self.folder / name).unlink(missing_ok=True)

                self.db = self._connected(path)
                return
            except (OSError, sqlite3.Error):
                pass

        self._is_own, self.db = True, self._copied()

    def release(self) -> None:
        """Let others write: what is read from now on may be of several moments."""
        if self.db.in_transaction:
            self.db.execute("COMMIT")

    def line(self, table: str, place: int) -> bytes:
        """Return the line of a row."""
        path, start = self.path(table, place), place & (1 << _PLACE_BITS) - 1
        if path not in self._open:
            self._open[path] = path.open("rb")

        file = self._open[path]
        if file.tell() != start:
            file.seek(start)

        return file.readline()

    def path(self, table: str, place: int) -> Path:
        """Return the file that a row's line is in."""
        return self._paths[table][place >> _PLACE_BITS]

    def where(self, table: str, place: int) -> str:
        """Return file and line number of a row, as errors name them."""
        return _where(self.path(table, place), place & (1 << _PLACE_BITS) - 1)

    def close(self) -> None:
        """Close the files."""
        self.db.close()
        for file in self._open.values():
            file.close()

        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @staticmethod
    def _connected(path: Path | str) -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -65536")  # 64 MB: rows come in another order than they stand
        return db

    def _copied(self) -> sqlite3.Connection:
        """Return a copy of the index on this machine's disk, empty where there is none that can be used."""
        path = self.folder / NAME
        if path.is_file():
            db = self._connected("")
            try:
                with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as index:
                    index.backup(db)

                if db.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]:
                    return db
            except sqlite3.Error:
                pass

            db.close()

        return self._connected("")

    def _take(self, sources: Sequence[Source], progress: Callable[[int, int], None]) -> None:
        files = {source.table: list(source.files()) for source in sources}
        self._paths |= files
        if self._is_current(files):
            return

        self.db.execute("BEGIN IMMEDIATE")
        try:
            if self._known() is None:
                self._begin()

            behind = [
                (source, position, path, start)
                for source in sources
                for position, path, start in self._behind(source.table, files[source.table])
            ]
            total, done = sum(path.stat().st_size - start for *_, path, start in behind), 0
            for source, position, path, start in behind:
                done += self._read(source, position, path, start, lambda read, done=done: progress(done + read, total))

            self.db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")

            raise

    def _known(self) -> dict[tuple[str, int], tuple[Any, ...]] | None:
        """Return (table, position) -> what is known of the file; None where this is no index, or another version's."""
        if self.db.execute("SELECT 1 FROM sqlite_master WHERE name = '_files'").fetchone() is None:
            return None

        if self.db.execute("SELECT name FROM _files WHERE source = ''").fetchall() != [(self._about,)]:
            return None

        return {(table, position): known for table, position, *known in self.db.execute("SELECT * FROM _files")}

    def _is_current(self, files: dict[str, list[Path]]) -> bool:
        known = self._known()
        if known is None:
            return False

        there = {
            (table, position): (self._name(path), *_stamp(path))
            for table, paths in files.items()
            for position, path in enumerate(paths)
        }
        return there == {key: tuple(row[:3]) for key, row in known.items() if key[0] in files}

    def _begin(self) -> None:
        """Make empty tables in place of whatever there is."""
        for kind, name in self.db.execute(
            "SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'table'"
        ).fetchall():
            self.db.execute(f'DROP {kind} IF EXISTS "{name}"')

        self.db.execute(
            "CREATE TABLE _files (source TEXT, position INTEGER, name TEXT, size INTEGER, time INTEGER, read INTEGER, "
            "tail BLOB, PRIMARY KEY (source, position))"
        )
        self.db.execute("INSERT INTO _files (source, position, name) VALUES ('', 0, ?)", (self._about,))
        for statement in self._schema:
            self.db.execute(statement)

    def _behind(self, table: str, paths: Sequence[Path]) -> Iterator[tuple[int, Path, int]]:
        """Yield position, path and first byte of what is to be read, after rows that no longer count are gone."""
        known = {position: row for (name, position), row in self._known().items() if name == table}
        for position in sorted({*known, *range(len(paths))}):
            path = paths[position] if position < len(paths) else None
            row = known.get(position)
            if path is not None and row is not None and self._has_grown(path, *row):
                yield position, path, row[3]
                continue

            if row is not None:
                first, end = position << _PLACE_BITS, (position + 1) << _PLACE_BITS
                self.db.execute(f"DELETE FROM {table} WHERE place >= ? AND place < ?", (first, end))
                self.db.execute("DELETE FROM _files WHERE source = ? AND position = ?", (table, position))

            if path is not None:
                yield position, path, 0

    def _has_grown(self, path: Path, name: str, size: int, time: int, read: int, tail: bytes) -> bool:
        """Whether a file is what was read of it, and more; of one that is as long as before the time says it."""
        now, changed = _stamp(path)
        if name != self._name(path) or now < read or (now == size and time and changed != time):
            return False

        return _tail(path, read) == tail

    def _read(self, source: Source, position: int, path: Path, start: int, progress: Callable[[int], None]) -> int:
        """Take in a file's whole lines from a byte on, and return how many bytes these were."""
        size, changed = _stamp(path)
        end = start

        def rows() -> Iterator[tuple[object, ...]]:
            nonlocal end
            with path.open("rb", buffering=1 << 18) as file:
                file.seek(start)
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        return

                    if not number % 1024:
                        progress(end - start)

                    at, end = end, end + len(line)
                    try:
                        value = _object(line.removeprefix(b"\xef\xbb\xbf") if not at else line)
                        if value is not None:
                            yield position << _PLACE_BITS | at, *source.row(value)
                    except (ValueError, RecursionError) as error:
                        raise ValueError(f"{_where(path, at)}: {error}{source.remedy}") from None

        names = ("place", *source.columns)
        marks = ", ".join("?" * len(names))
        self.db.executemany(f"INSERT INTO {source.table} ({', '.join(names)}) VALUES ({marks})", rows())
        if time.time_ns() - changed < _NEW:
            changed = 0  # it may change once more and have the same time

        self.db.execute(
            "INSERT OR REPLACE INTO _files VALUES (?, ?, ?, ?, ?, ?, ?)",
            (source.table, position, self._name(path), size, changed, end, _tail(path, end)),
        )
        return end - start

    def _name(self, path: Path) -> str:
        """Return a name that stays the same when the folder is moved."""
        return path.name if path.parent == self.folder else str(path.absolute())


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line, None of a blank one."""
    if not line.strip():
        return None

    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(line.decode())  # NaN, half a character; or its message
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not a JSON object ({error})") from None

    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object (found {type(value).__name__})")

    return value


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _tail(path: Path, end: int) -> bytes:
    """Return a digest of a file's last bytes before `end`."""
    with path.open("rb") as file:
        file.seek(max(0, end - _TAIL))
        return hashlib.blake2b(file.read(min(end, _TAIL)), digest_size=16).digest()


def _where(path: Path, start: int) -> str:
    number, left = 1, start
    with path.open("rb") as file:
        while left and (piece := file.read(min(left, 1 << 20))):
            number += piece.count(b"\n")
            left -= len(piece)

    return f"{path}:{number}"


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
