"""Several folders or shards of one distillation put together into a new folder; rows are copied as they are."""

import contextlib
import functools
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from virgo_factory.core.errors import UserError
from virgo_factory.distill.config import FILE as CONFIG
from virgo_factory.distill.config import DistillConfig
from virgo_factory.io.atomic import new_folder
from virgo_factory.io.index import Index
from virgo_factory.report.card import card_files
from virgo_factory.rollouts.config import common_config
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.store.index import DROPPED, ROLLOUTS, VERDICTS, open_index
from virgo_factory.rollouts.store.store import lock


NOT_CONTENT = ("seconds", "params")  # of a rollout: how long it took and which server answered are not what it is


@dataclass(frozen=True)
class Copied:
    """Rows of one kind: read = kept + twice (there already, with the same content) + stray (verdicts on no rollout)."""

    read: int
    kept: int
    twice: int
    stray: int = 0


@dataclass(frozen=True)
class Merged:
    """A finished merge: rows of questions, rollouts, verdicts, dropped questions, and how many pictures were copied."""

    questions: Copied
    rollouts: Copied
    verdicts: Copied
    dropped: Copied
    pictures: int


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Put folders (or shards in one) of one distillation together into a new one; it appears when it is complete.

    Raises ValueError: `out` is there, a folder is in use or was made with another configuration, a row is broken, or two rows
    of one key say different things (both places are named).
    """
    folders, out = [Path(folder) for folder in folders], Path(out)
    config = common_config(DistillConfig, folders, DistillConfig.shapes)
    with new_folder(out) as partial, contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(lock(folder, reads=True))

        merged = _copy(folders, partial)
        (partial / CONFIG).write_text(config.model_copy(update={"output_dir": out}).text(), encoding="utf-8")

    return merged


def _copy(folders: Sequence[Path], out: Path) -> Merged:
    def picture(row: dict[str, Any], source: Path) -> None:
        nonlocal pictures
        for name in set(row["images"]) - seen:
            seen.add(name)
            if not (out / name).resolve().is_relative_to(out.resolve()):
                raise UserError(f"{source}: picture {name} is outside the folder.")

            pictures += _copy_picture(source.parent / name, out / name)

    pictures, seen = 0, set()
    whole = [path for folder in folders if (path := folder / QUESTIONS).is_file()]
    with contextlib.ExitStack() as stack:
        lines = _Lines(folders, stack)
        questions = lines.merge("questions", out / QUESTIONS, also=picture)
        rollouts = lines.merge(ROLLOUTS, out / f"{ROLLOUTS}.jsonl", NOT_CONTENT)
        verdicts = lines.merge(VERDICTS, out / f"{VERDICTS}.jsonl")
        dropped = lines.merge(DROPPED, out / f"{DROPPED}.jsonl")

    if len(whole) and questions.kept * len(whole) == questions.read:  # all folders have the same questions
        for old, new in zip(card_files(whole[0]), card_files(out / QUESTIONS), strict=True):
            if old.is_file():
                shutil.copyfile(old, new)

    return Merged(questions, rollouts, verdicts, dropped, pictures)


_KEYS = {
    "questions": ("id",),
    ROLLOUTS: ("question", "model", "sample"),
    VERDICTS: ("question", "model", "sample"),
    DROPPED: ("question", "model"),
}


class _Lines:
    """Where the lines of all folders stand, with their keys, taken from the folders' indexes."""

    def __init__(self, folders: Sequence[Path], stack: contextlib.ExitStack) -> None:
        self._db = sqlite3.connect("")  # on disk, gone when it is closed
        stack.callback(self._db.close)
        self._indexes = [stack.enter_context(open_index(folder)) for folder in folders]
        for table, key in _KEYS.items():
            columns = ("folder", "place", *key, *(["response"] if table in (ROLLOUTS, VERDICTS) else []))
            self._db.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            for number, index in enumerate(self._indexes):
                index.ask(functools.partial(self._take, table, number, columns))

            self._db.execute(f"CREATE INDEX {table}_by_key ON {table} ({', '.join(key)})")

    def _take(self, table: str, number: int, columns: Sequence[str], index: Index) -> None:
        self._db.execute(f"DELETE FROM {table} WHERE folder = ?", (number,))
        rows = index.db.execute(f"SELECT {number}, {', '.join(columns[1:])} FROM {table} ORDER BY place")
        self._db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)

    def merge(
        self,
        table: str,
        target: Path,
        not_content: Sequence[str] = (),
        also: Callable[[dict[str, Any], Path], None] | None = None,
    ) -> Copied:
        """Copy the lines of a table, each key once: the first one, but of verdicts on the rollout that is kept the last one.

        Rows of one key may differ in `not_content`; `also` is called with each row that is kept, and its file.
        """
        key = ", ".join(_KEYS[table])
        if table == VERDICTS:  # derived: whether two of them say the same is no matter
            kept = (
                f"SELECT max(v.rowid) AS number, count(*) AS lines FROM {VERDICTS} AS v JOIN {ROLLOUTS} AS r USING ({key}) "
                f"JOIN {ROLLOUTS}_kept ON number = r.rowid WHERE ifnull(v.response, r.response) = r.response GROUP BY {key}"
            )
        else:
            kept = f"SELECT min(rowid) AS number, count(*) AS lines FROM {table} GROUP BY {key}"

        self._db.execute(f"CREATE TABLE {table}_kept AS {kept}")
        if table != VERDICTS:
            for places in self._db.execute(
                f"SELECT one.folder, one.place, other.folder, other.place FROM {table}_kept JOIN {table} AS one ON one.rowid = number "
                f"JOIN {table} AS other USING ({key}) WHERE lines > 1 AND other.rowid > number ORDER BY other.rowid"
            ):
                self._check_equal(table, places[:2], places[2:], not_content)

        with contextlib.ExitStack() as stack:
            written: BinaryIO | None = None
            select = f"SELECT folder, place FROM {table}_kept JOIN {table} ON {table}.rowid = number ORDER BY number"
            for folder, place in self._db.execute(select):
                line = self._indexes[folder].line(table, place)
                written = written or stack.enter_context(target.open("wb"))
                written.write(line)
                if also:
                    also(json.loads(line), self._indexes[folder].path(table, place))

        read, kept, lines = self._db.execute(
            f"SELECT (SELECT count(*) FROM {table}), count(*), ifnull(sum(lines), 0) FROM {table}_kept"
        ).fetchone()
        return Copied(read, kept, lines - kept, read - lines)

    def _check_equal(
        self, table: str, first: tuple[int, int], second: tuple[int, int], not_content: Sequence[str]
    ) -> None:
        """Raise ValueError, naming both places, where two rows of one key differ."""
        old, new = (self._indexes[folder].line(table, place) for folder, place in (first, second))
        if old == new:
            return

        old, new = json.loads(old), json.loads(new)
        names = [
            name for name in new.keys() | old.keys() if name not in not_content and new.get(name) != old.get(name)
        ]
        if names:
            places = [self._indexes[folder].where(table, place) for folder, place in (second, first)]
            raise UserError(
                f"{places[0]} and {places[1]} are both {' '.join(str(new[name]) for name in _KEYS[table])}, but differ in "
                f"{', '.join(sorted(names))}. Remove one of them."
            )


def _copy_picture(source: Path, target: Path) -> bool:
    """Copy a picture, and return whether it was not there yet."""
    if target.exists():
        return False

    if not source.is_file():
        raise UserError(f"{source}: no such picture. Copy it there, and merge again.")

    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return True
