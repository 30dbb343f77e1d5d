"""The store: finished rows appended to a file that survives being killed, one writer a file.

A row is written in one piece as soon as it is finished: a killed process loses what was in flight, and at most the
half of a last line, which the next start cuts off. A batch of rows is made safe against loss of power at once (fsync).
"""

import contextlib
import errno
import json
import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from virgo_factory.core.errors import UserError
from virgo_factory.io.lock import try_lock
from virgo_factory.report.text import quoted
from virgo_factory.rollouts.store.index import ASK_AGAIN, DROPPED, ROLLOUTS, model_hash, open_index
from virgo_factory.rollouts.store.jsonl import Shard, is_in_shard, rows_of, shard_suffix, shards_of
from virgo_factory.rollouts.store.rollout import Key, Rollout, RolloutVerdict, rollout_of


SYNC_ROWS = 64
SYNC_SECONDS = 1.0  # rows are on disk for good after so many more of them, or so many seconds

INDEX_SECONDS = 10.0
"""The index of the folder is behind by at most so many seconds of a run, for whoever looks at it from outside."""

_JSON = json.JSONEncoder(ensure_ascii=False)


class Store:
    """Files of a folder that this process alone appends to, as long as the context lasts; ValueError where another one writes there.

    NAME.jsonl is appended to, of the second of eight shards NAME-2of8.jsonl. `count` are the rows of the folder and this shard, `tokens`
    their completion tokens.
    """

    def __init__(self, folder: Path, name: str, shard: Shard | None = None, lock_name: str = ".lock") -> None:
        self.folder, self.name, self.shard = Path(folder), name, shard
        self.count = self.tokens = 0
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock(self.folder, shard, lock_name))
            self._path = self.folder / f"{name}{shard_suffix(shard)}.jsonl"
            self._check_split()
            self._file = stack.enter_context(open_to_append(self._path))
            self._open(stack)
            self._sync = stack.enter_context(_Syncing([self._file]))
            self._stack = stack.pop_all()

    def _open(self, stack: contextlib.ExitStack) -> None:
        """Take in what is there."""

    def _check_split(self) -> None:
        """Two ways to split at once would ask questions twice."""
        for path in shards_of(self.folder, self.name) if self.shard else []:
            match = re.search(r"of(\d+)\.jsonl$", path.name)
            if match and int(match[1]) != self.shard[1]:
                raise UserError(
                    f"{self.folder}: {path.name} is of a run split into {match[1]}. Split it so again, or merge first: "
                    f"virgo-factory distill merge {quoted(self.folder)} --out FOLDER"
                )

    def write(self, row: Mapping[str, Any], tokens: int = 0) -> None:
        """Write a row: safe from our own death at once, from loss of power within a second.

        OSError: the disk is full or broken; the file is whole without the row.
        """
        self._write(self._file, self._path, row)
        self.count += 1
        self.tokens += tokens

    def drop(self, question: str, model: str, reason: str) -> None:
        """Write that a question cannot be asked, so that it is not tried again."""
        path = self.folder / f"{DROPPED}{shard_suffix(self.shard)}.jsonl"
        with open_to_append(path) as file:
            self._write(file, path, {"question": question, "model": model, "reason": reason})
            os.fsync(file.fileno())

    def _write(self, file: BinaryIO, path: Path, row: Mapping[str, Any]) -> None:
        self._sync.check()
        try:
            append_line(file, row)
        except OSError as error:
            raise OSError(error.errno, _full(path, error)) from error

        self._sync.added()

    def close(self) -> None:
        """Make everything safe and give the folder free; OSError where rows could not be made safe."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class RolloutStore(Store):
    """The rollouts of a folder: those that are there are known by the index, new ones are appended by this process alone.

    What is known is a copy of the folder's index (`index`), to which this process adds what it appends; the index itself is brought up
    to date by a thread. ValueError: another process writes there, a line is no rollout, or a key stands there twice.
    """

    def __init__(self, folder: Path, shard: Shard | None = None) -> None:
        super().__init__(folder, ROLLOUTS, shard)

    def _open(self, stack: contextlib.ExitStack) -> None:
        with open_index(self.folder) as index:
            index.sync((ROLLOUTS, DROPPED))  # broken verdicts are no matter: they are made again

        stack.enter_context(_indexing(self.folder))
        self.index = stack.enter_context(open_index(self.folder, is_own=True))
        db = self.index.sync((ROLLOUTS, DROPPED)).db
        key = "question, sample, model"
        for question, sample, *places in db.execute(
            f"SELECT question, sample, min(place), max(place) FROM rollouts GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        ):
            first, second = (self.index.where(ROLLOUTS, place) for place in places)
            raise UserError(f"{second}: sample {sample} of {question} stands in {first}, too. Remove one of them.")

        db.create_function("is_mine", 1, lambda question: is_in_shard(question, self.shard), deterministic=True)
        self.count, self.tokens = db.execute(
            "SELECT count(*), coalesce(sum(tokens), 0) FROM rollouts"
            + (" WHERE is_mine(question)" if self.shard else "")
        ).fetchone()

    def __len__(self) -> int:
        return self.index.db.execute("SELECT count(*) FROM rollouts").fetchone()[0]

    @property
    def is_empty(self) -> bool:
        """Return whether nobody was asked anything yet: no rollout is there, nor a question that a server refused."""
        select = "SELECT EXISTS (SELECT 1 FROM rollouts) OR EXISTS (SELECT 1 FROM dropped)"
        return not self.index.db.execute(select).fetchone()[0]

    def has(self, key: Key) -> bool:
        """Return whether the rollout is in the folder."""
        return key.sample in self.samples(key.question, key.model)

    def samples(self, question: str, model: str) -> dict[int, str | None]:
        """Return the samples of a question by a model that are there -> their outcome; None of one that is not judged."""
        select = "SELECT sample, outcome FROM rollouts WHERE question = ? AND model = ?"
        return dict(self.index.db.execute(select, (question, model_hash(model))))

    def append(self, rollout: Rollout) -> None:
        """Write a finished rollout, see `write`; ValueError where it is there already."""
        if self.has(rollout.key):
            raise UserError(f"{self._path}: {rollout.key} is there already.")

        self.write(vars(rollout), rollout.completion_tokens)
        self.index.db.execute(
            "INSERT INTO rollouts (question, sample, place, model, tokens) VALUES (?, ?, ?, ?, ?)",
            (rollout.question, rollout.sample, -self.count, model_hash(rollout.model), rollout.completion_tokens),
        )

    def sync(self) -> None:
        """Know what all files have now, verdicts and questions too."""
        for table in (ROLLOUTS, DROPPED):
            self.index.db.execute(f"DELETE FROM {table} WHERE place < 0")  # they stand in the files

        self.index.sync()

    def judged(self, verdict: RolloutVerdict) -> None:
        """Note a new verdict."""
        self.index.db.execute(
            "UPDATE rollouts SET outcome = ? WHERE question = ? AND sample = ? AND model = ?",
            (verdict.outcome, verdict.question, verdict.sample, model_hash(verdict.model)),
        )

    def drop(self, question: str, model: str, reason: str) -> None:
        """Write that a question cannot be asked, so that it is not tried again."""
        super().drop(question, model, reason)
        insert = "INSERT OR IGNORE INTO dropped (question, model, place, reason) VALUES (?, ?, -1, ?)"
        self.index.db.execute(insert, (question, model_hash(model), reason))

    def is_dropped(self, question: str, *models: str) -> bool:
        """Return whether a question could not be asked of one of these models."""
        select = f"SELECT 1 FROM dropped WHERE question = ? AND model IN ({', '.join('?' * len(models))})"
        return bool(self.index.db.execute(select, (question, *map(model_hash, models))).fetchone())


def read_rollouts(folder: Path) -> Iterator[Rollout]:
    """Yield the rollouts of a folder, of all its shards, line by line; a half-written last line is left out."""
    return rows_of(Path(folder), ROLLOUTS, rollout_of, ASK_AGAIN)


def open_to_append(path: Path) -> BinaryIO:
    """Return a file opened for `append_line`: the half of a last line is cut off, one that lacks nothing but its end gets it."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("ab+", buffering=0))
        end = file.seek(0, os.SEEK_END)
        start = _last_line(file, end)
        if start < end:
            file.seek(start)
            try:
                json.loads(_read_all(file, end - start))
                file.write(b"\n")
            except (ValueError, RecursionError):
                file.truncate(start)

            os.fsync(file.fileno())

        stack.pop_all()
        return file


def _read_all(file: BinaryIO, size: int) -> bytes:
    pieces = []
    while size and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)

    return b"".join(pieces)


def _last_line(file: BinaryIO, end: int) -> int:
    """Return where the last line that has no end begins; `end` where the file ends with a line's end."""
    at = end
    while at > 0:
        start = max(0, at - (1 << 16))
        file.seek(start)
        found = _read_all(file, at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1

        at = start

    return 0


def append_line(file: BinaryIO, row: Any) -> None:
    """Write a row at the end of an unbuffered file, or leave the file as it was and raise OSError."""
    line = memoryview(_JSON.encode(row).encode("utf-8", "replace") + b"\n")
    before = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), before)

        raise


class _Syncing:
    """A thread that makes what was written safe in batches, so that no append waits for the disk."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        self._rows = 0
        self._error: OSError | None = None
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="fsync", daemon=True)

    def __enter__(self) -> "_Syncing":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()

        self._thread.join()
        self.check()

    def added(self) -> None:
        with self._wake:
            self._rows += 1
            if self._rows in (1, SYNC_ROWS):
                self._wake.notify()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._rows or self._closed)
                self._wake.wait_for(lambda: self._rows >= SYNC_ROWS or self._closed, timeout=SYNC_SECONDS)
                self._rows, closed = 0, self._closed

            try:
                for file in self._files:
                    os.fsync(file.fileno())
            except OSError as error:
                self._error = OSError(error.errno, _full(Path(file.name), error))

            if closed:
                return


@contextlib.contextmanager
def _indexing(folder: Path) -> Iterator[None]:
    """Context in which a thread keeps the index of a folder up to date; at its end once more."""
    ended = threading.Event()

    def work() -> None:
        is_last = False
        while not is_last:
            is_last = ended.wait(INDEX_SECONDS)
            with contextlib.suppress(ValueError, OSError, sqlite3.Error):  # only behind; whoever reads it is told
                with open_index(folder) as index:
                    index.sync()

    thread = threading.Thread(target=work, name="index", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _full(path: Path, error: OSError) -> str:
    return (
        f"{path}: cannot be written: {error.strerror}. Make room, then start again: nothing that was finished is lost"
    )


@contextlib.contextmanager
def lock(folder: Path, shard: Shard | None = None, name: str = ".lock", reads: bool = False) -> Iterator[None]:
    """Context in which no other process writes to a folder, or to a shard of it; ends with the process, however it dies.

    Shards of one folder may run at once; a run without shards runs alone. ValueError names the one that writes, or says that
    the folder cannot be written to; who only `reads` has it then as it is.
    """
    names = [name] if shard is None else [name, f"{name}{shard_suffix(shard)}"]
    with contextlib.ExitStack() as stack:
        for one in names:
            try:
                file = stack.enter_context((folder / one).open("ab+"))
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise

                if reads:
                    yield
                    return

                raise UserError(f"{folder}: cannot be written to ({error.strerror}). Work on a copy of it.") from None

            if not try_lock(file, shared=one != names[-1]):
                raise UserError(
                    f"{folder}: {_holders(folder, name)}. Wait for it, stop it, or name another output_dir."
                )

        told = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(file.fileno(), 0)
        file.write(json.dumps(told).encode())
        file.flush()
        try:
            yield
        finally:
            os.ftruncate(file.fileno(), 0)


def _holders(folder: Path, name: str) -> str:
    """Say who holds the locks of a folder, as far as they said."""
    found = []
    for path in sorted(folder.glob(f"{name}*")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            holder = json.loads(path.read_bytes())
            with path.open("ab") as file:
                if try_lock(file):  # of a process that was killed
                    continue

            shard = path.name.removeprefix(name).removeprefix("-")
            found.append(
                f"process {holder['pid']} on {holder['host']} writes to it since {holder['since']}"
                + (f" (shard {shard.replace('of', '/')})" if shard else "")
            )

    return "; ".join(found) or "another process writes to it"
