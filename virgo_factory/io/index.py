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

from virgo_factory.core.errors import UserError


T = TypeVar("T")
Progress = Callable[[int, int], None]
NAME = ".index.sqlite"

WAIT = 120.0
"""Seconds for which another process may hold the lock, such as one that makes the index of a large file."""

_TAIL = 1 << 16
_BITS = 40  # of a place, for the byte at which a line begins
_NEW = 2 * 10**9  # nanoseconds in which a file may change and have the same time
_HARMLESS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
             sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}  # fmt: skip
"""Errors that say nothing against the file: it is left alone, and a copy is used."""


@dataclass(frozen=True)
class Source:
    """JSONL files of one kind, and the table that is made of their lines.

    Attributes:
        table: its name; beside `columns` it has `place INTEGER`, which says where the line is, and grows with it.
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

    `version`: of the rows; an index of another one is made anew.
    `is_own`: work on a copy, gone when it is closed, that may be written to.

    Attributes:
        db: the connection; reading keeps others from writing until `release` or `close`.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[Source],
        schema: Sequence[str],
        version: str = "",
        is_own: bool = False,
        file: str = NAME,
    ) -> None:
        self._path, self._sources, self._schema = Path(folder) / file, sources, schema
        self._about = json.dumps([version, *schema, *((source.table, *source.columns) for source in sources)])
        self._open: dict[Path, BinaryIO] = {}
        self._files: dict[str, Sequence[Path]] = {}
        self._is_own = is_own
        self.db: sqlite3.Connection | None = None
        try:
            self.db = self._copied() if is_own else _connected(self._path)
        except sqlite3.Error as error:
            self._mend(error)

    def sync(self, tables: Collection[str] | None = None, progress: Progress = lambda done, total: None) -> Self:
        """Take in what the files have now; what is read afterwards is of this moment.

        Raises:
            ValueError: a line is no JSON object, or wrong, with file and line.
            OSError: neither the index nor a copy can be written.
        """
        for may_mend in (True, True, False):
            try:
                self.release()
                self._take([one for one in self._sources if tables is None or one.table in tables], progress)
                self.db.execute("BEGIN")
                return self
            except sqlite3.Error as error:
                if self._is_own or not may_mend:
                    told = f"{self._path}: no index can be made ({error}). Is there room for temporary files (TMPDIR)?"
                    raise OSError(told) from error

                self._mend(error)

        raise AssertionError

    def ask(self, work: Callable[["Index"], T], progress: Progress = lambda done, total: None) -> T:
        """Return what `work` reads, of this moment; where the file turns out to be broken it is made anew, and read again.

        Raises:
            ValueError, OSError: see `sync`.
        """
        try:
            return work(self.sync(progress=progress))
        except sqlite3.DatabaseError as error:
            self._mend(error)
            return work(self.sync(progress=progress))

    def release(self) -> None:
        """Let others write: what is read from now on may be of several moments."""
        if self.db.in_transaction:
            self.db.execute("COMMIT")

    def line(self, table: str, place: int) -> bytes:
        """Return the line of a row."""
        path, start = self.path(table, place), place & (1 << _BITS) - 1
        if path not in self._open:
            self._open[path] = path.open("rb")

        self._open[path].seek(start)
        return self._open[path].readline()

    def path(self, table: str, place: int) -> Path:
        """Return the file that a row's line is in."""
        return self._files[table][place >> _BITS]

    def where(self, table: str, place: int) -> str:
        """Return file and line number of a row, as errors name them."""
        return _where(self.path(table, place), place & (1 << _BITS) - 1)

    def close(self) -> None:
        """Close all files."""
        for file in (self.db, *self._open.values()):
            file.close()

        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _mend(self, error: sqlite3.Error) -> None:
        """Go on after an error: with an empty index where the file is broken and can be replaced, else with a copy."""
        if self.db is not None:
            self.db.close()

        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _HARMLESS:
            with contextlib.suppress(OSError, sqlite3.Error):
                for path in (self._path.with_name(f"{self._path.name}-journal"), self._path):
                    path.unlink(missing_ok=True)

                self.db = _connected(self._path)
                return

        self._is_own, self.db = True, self._copied()

    def _copied(self) -> sqlite3.Connection:
        """Return a copy of the index on this machine's disk, empty where there is none that can be used."""
        with contextlib.suppress(sqlite3.Error):
            shared = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(shared):
                shared.backup(db := _connected(""))

            if db.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]:
                return db

        return _connected("")

    def _take(self, sources: Sequence[Source], progress: Progress) -> None:
        self._files |= {source.table: list(source.files()) for source in sources}
        if self._is_mine() and not self._behind(sources):
            return

        self.db.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_mine():
                self._begin()

            work = self._behind(sources)  # another process may have done it meanwhile
            total, done = sum(path.stat().st_size - start for *_, path, start in work if path), 0
            for source, position, path, start in work:
                done += self._read(source, position, path, start, lambda read, done=done: progress(done + read, total))

            self.db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")

            raise

    def _is_mine(self) -> bool:
        """Whether this is an index of such tables."""
        there = self.db.execute("SELECT 1 FROM sqlite_master WHERE name = '_about'").fetchone()
        return bool(there) and self.db.execute("SELECT text FROM _about").fetchall() == [(self._about,)]

    def _begin(self) -> None:
        """Make empty tables in place of whatever there is."""
        there = "SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'table'"
        for kind, name in self.db.execute(there).fetchall():
            self.db.execute(f'DROP {kind} IF EXISTS "{name}"')

        columns = "source TEXT, position INTEGER, name TEXT, size INTEGER, time INTEGER, read INTEGER, tail BLOB"
        self.db.execute(f"CREATE TABLE _files ({columns}, PRIMARY KEY (source, position))")
        self.db.execute("CREATE TABLE _about (text TEXT)")
        self.db.execute("INSERT INTO _about VALUES (?)", (self._about,))
        for statement in self._schema:
            self.db.execute(statement)

    def _behind(self, sources: Sequence[Source]) -> list[tuple[Source, int, Path | None, int]]:
        """Return (source, position, file, first byte that is not read yet) of what changed; no file where one is gone."""
        found = []
        for source in sources:
            select = "SELECT position, name, size, time, read, tail FROM _files WHERE source = ?"
            known = {position: row for position, *row in self.db.execute(select, (source.table,))}
            files = dict(enumerate(self._files[source.table]))
            for position in sorted({*known, *files}):
                path = files.get(position)
                name, size, changed, read, tail = known.get(position, ("", 0, 0, 0, b""))
                if path is None or name != self._name(path):
                    found.append((source, position, path, 0))
                elif (stamp := _stamp(path)) != (size, changed):
                    is_longer = stamp[0] != size or not changed
                    has_grown = is_longer and stamp[0] >= read and _tail(path, read) == tail
                    found.append((source, position, path, read if has_grown else 0))

        return found

    def _read(
        self, source: Source, position: int, path: Path | None, start: int, progress: Callable[[int], None]
    ) -> int:
        """Take in a file's whole lines from a byte on, anew from 0 on; return how many bytes these were."""
        if not start:
            places = (position << _BITS, (position + 1) << _BITS)
            self.db.execute(f"DELETE FROM {source.table} WHERE place >= ? AND place < ?", places)
            self.db.execute("DELETE FROM _files WHERE source = ? AND position = ?", (source.table, position))

        if path is None:
            return 0

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
                        if line.strip():
                            yield position << _BITS | at, *source.row(read_object(line))
                    except ValueError as error:
                        raise UserError(f"{_where(path, at)}: {error}{source.remedy}") from None

        names = ("place", *source.columns)
        marks = ", ".join("?" * len(names))
        self.db.executemany(f"INSERT INTO {source.table} ({', '.join(names)}) VALUES ({marks})", rows())
        changed = changed if time.time_ns() - changed > _NEW else 0
        row = source.table, position, self._name(path), size, changed, end, _tail(path, end)
        self.db.execute("INSERT OR REPLACE INTO _files VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return end - start

    def _name(self, path: Path) -> str:
        """Return a name that stays the same when the folder is moved."""
        return path.name if path.parent == self._path.parent else str(path.absolute())


def _connected(path: Path | str) -> sqlite3.Connection:
    """Return a connection to a file, or with "" to one that is gone when it is closed."""
    db = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -65536")  # 64 MB: rows come in another order than they stand
    return db


def read_object(line: bytes) -> dict[str, Any]:
    """Return the object in a line, which may be the first of a file that begins with a mark of its encoding.

    Raises:
        ValueError: it is not a JSON object.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(line.decode("utf-8-sig"))  # NaN, half a character; or its message
        except (ValueError, RecursionError) as error:
            raise UserError(f"not a JSON object ({error})") from None

    if not isinstance(value, dict):
        raise UserError(f"not a JSON object (found {type(value).__name__})")

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
    number = 1
    with path.open("rb") as file:
        while piece := file.read(min(start, 1 << 20)):
            number, start = number + piece.count(b"\n"), start - len(piece)

    return f"{path}:{number}"
