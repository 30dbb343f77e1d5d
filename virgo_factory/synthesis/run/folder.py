"""The files of a synthesis: replies found by what was asked, and files that are made of them, in the order of the scenes."""

import contextlib
import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from virgo_factory import __version__
from virgo_factory.core.errors import UserError
from virgo_factory.io.atomic import new_file, replace_file, write_json
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.io.index import read_object
from virgo_factory.report.card import Card, card_files, write_card
from virgo_factory.report.table import Table, account
from virgo_factory.rollouts.store.records import Records
from virgo_factory.rollouts.store.store import lock
from virgo_factory.synthesis.config import SynthesisConfig
from virgo_factory.synthesis.words import Ask, Dropped, Reply, of_row, row_of


T = TypeVar("T")
U = TypeVar("U")

SCENES = "00_scenes"
WRITTEN, QUESTIONS = "01_written", "02_questions"
VOTES, VALIDATED = "03_votes", "03_validated"
COMPOSING, CANDIDATES = "04_composing", "04_candidates"
ABLATIONS, COMPOSED = "04_ablations", "04_composed"
THINKING, SHORT = "05_thinking", "05_short"
EXPANDING, FILTERED = "06_expanding", "07_filtered"
SFT, DPO, PROMPTS = "08_sft", "09_dpo", "10_rl_questions"

REPLIES = (WRITTEN, VOTES, COMPOSING, ABLATIONS, THINKING, EXPANDING)
"""Files of what was asked; all others are made of them, and can be made again."""

_MADE = ".made.json"


@dataclass
class Account:
    """What became of what went into a made file.

    Attributes:
        kept: rows written.
        dropped: how many by reason; one each in NAME.dropped.jsonl.
        apart: likewise, of parts of what was kept, such as objects of scenes.
        notes: sentences for its card.
        content: numbers for programs, beside these.
    """

    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    apart: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)


class Folder:
    """An open folder, of which this process alone changes the files. A context manager.

    Args:
        config: of the synthesis.

    Raises:
        ValueError: another process works on it.
    """

    def __init__(self, config: SynthesisConfig) -> None:
        self.config, self.path = config, config.output_dir
        self._open: dict[str, Records] = {}
        self._roles = {name: config.role(name) for name in config.roles}

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(lock(self.path, None, ".lock"))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def file(self, name: str) -> Path:
        """Return the path of a file."""
        return self.path / f"{name}.jsonl"

    def replies(self, name: str) -> Records:
        """Return the replies of a file, open to append."""
        if name not in self._open:
            self._open[name] = self._stack.enter_context(Records(self.path, name, lambda row: row["key"]))

        return self._open[name]

    @contextlib.contextmanager
    def spending(self, name: str) -> Iterator[None]:
        """Context in which replies of a file are asked: budgets count what all files hold."""
        stores = [self.replies(one) for one in REPLIES]
        store, own = self.replies(name), (self.replies(name).count, self.replies(name).tokens)
        before = sum(one.count for one in stores), sum(one.tokens for one in stores)
        store.count, store.tokens = before
        try:
            yield
        finally:
            store.count += own[0] - before[0]
            store.tokens += own[1] - before[1]

    def answered(self, name: str, ask: Ask, role: str) -> list[Reply]:
        """Return the replies of a role to something, in the order of their samples."""
        settings, store = self._roles[role], self.replies(name)
        keys = (ask.key(settings.model_name_or_path, sample) for sample in range(settings.samples))
        return [of_row(Reply, row) for key in keys if (row := store.get(key)) is not None]

    def forget(self, name: str) -> None:
        """Have a made file made again by the next start."""
        made = _made(self.path)
        made.pop(name, None)
        write_json(self.path / _MADE, made)

    def rows(self, name: str, kind: type[T]) -> Iterator[T]:
        """Yield the lines of a made file.

        Raises:
            ValueError: one is broken, with file and line.
        """
        path = self.file(name)
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue

                try:
                    row = of_row(kind, read_object(line))  # an editor may have left the last line without its end
                except ValueError as error:
                    raise UserError(
                        f"{path}:{number}: {error}. Mend the line, or remove the file: it is made again."
                    ) from None

                yield row

    def beside(
        self, units: Iterator[T], name: str, kind: type[U], of: Callable[[U], str], by: Callable[[T], str]
    ) -> Iterator[tuple[T, list[U]]]:
        """Yield each unit with the rows of a made file that are its own: both come in the same order.

        Raises:
            ValueError: rows stand where they do not belong.
        """
        groups = itertools.groupby(self.rows(name, kind), of)
        key, rows = next(groups, (None, iter(())))
        for unit in units:
            if key != by(unit):
                yield unit, []
                continue

            found = list(rows)
            if twice := [one for one, count in Counter(row.id for row in found).items() if count > 1]:
                raise UserError(
                    f"{self.file(name)}: {twice[0]} stands there twice. Remove a line, or the file: it is made again."
                )

            yield unit, found
            key, rows = next(groups, (None, iter(())))

        if key is not None:
            raise UserError(
                f"{self.file(name)}: rows of {key} stand out of order, or are of nothing in this folder. Put them where they "
                "were, or remove the file: it is made again."
            )

    def make(
        self,
        name: str,
        inputs: Sequence[str],
        settings: Mapping[str, Any],
        lead: str,
        rows: Callable[[Account], Iterator[Any]],
        is_apart: Callable[[Dropped], bool] = lambda dropped: False,
    ) -> Account | None:
        """Make a file of others, if it was not made of just these; return what became of them, None where nothing is to be done.

        A file that was edited since is kept as it is, as long as what it is made of stays the same.

        Args:
            name: of the file.
            inputs: names or paths of what it is made of.
            settings: that shape it.
            lead: of its card.
            rows: yields what is kept, and Dropped; may add to the account.
            is_apart: whether a Dropped is of a part of what was kept.

        Raises:
            ValueError: it was edited, and what it is made of has changed.
        """
        path, made = self.file(name), _made(self.path)
        paths = {str(one): self.file(one) if one in _NAMES else Path(one) for one in inputs}
        wanted, before = _wanted(settings), made.get(name)
        if before and path.is_file():
            edited, told = is_edited(self.path, name), before["inputs"]
            is_same = {key: before[key] for key in wanted} == wanted and told.keys() == paths.keys()
            if (
                is_same
                and all(_is_as(paths[one], told[one]) for one in paths)
                and (edited or card_of(self.path, name))
            ):
                _mark(path, f"{_EDITED} {_count_lines(path):,} lines now." if edited else "")
                return None

            if edited:
                raise UserError(_LOST.format(path))

        if made.pop(name, None):  # killed behind this line, it is made again
            write_json(self.path / _MADE, made)

        count, told = Account(), {one: _state(path, one in _NAMES) for one, path in paths.items()}
        with new_file(path) as file, new_file(path.with_suffix(".dropped.jsonl")) as dropped:
            for row in rows(count):
                if isinstance(row, Dropped):
                    (count.apart if is_apart(row) else count.dropped)[row.reason] += 1
                    dropped.write(row_of(row))
                else:
                    count.kept += 1
                    file.write(_line(row))

        if not count.dropped and not count.apart:
            path.with_suffix(".dropped.jsonl").unlink()

        state = _state(path)
        total = count.kept + count.dropped.total()
        content = {"in": total, "kept": count.kept, "dropped": dict(count.dropped), "apart": dict(count.apart)}
        tables = [account(total, count.kept, count.dropped)]
        if count.apart:
            tables.append(Table("Parts left out of what was kept", ("reason", "parts"), count.apart.most_common()))

        write_card(path, Card(path.name, lead, tables, dict(settings), state[2], count.notes), content | count.content)
        made[name] = wanted | {"inputs": told, "stamp": state[:2], "sha256": state[2]}
        write_json(self.path / _MADE, made)
        return count

    def check_edits(self, name: str, settings: Mapping[str, Any]) -> None:
        """Raise ValueError where a made file was edited, and other settings would make it again."""
        wanted = _wanted(settings)
        if is_edited(self.path, name) and {key: _made(self.path)[name][key] for key in wanted} != wanted:
            raise UserError(_LOST.format(self.file(name)))


_LOST = "{}: was edited, and what it is made of has changed since. Remove it, and it is made again without the edits."
_EDITED = "Edited by hand since this was written:"


def _wanted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file is made again for, beside its inputs, as JSON reads it."""
    return json.loads(json.dumps({"settings": settings, "version": __version__}))


def _mark(path: Path, mark: str) -> None:
    """Say below the title of a file's card that the file was edited, or no longer say so."""
    card = card_files(path)[0]
    if card.is_file():
        before = card.read_text(encoding="utf-8")
        title, *rest = (part for part in before.split("\n\n") if not part.startswith(_EDITED))
        text = "\n\n".join(filter(None, (title, mark, *rest)))
        if text != before:
            replace_file(card, text.encode())


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(bool(line.strip()) for line in file)


_NAMES = frozenset(
    (*(SCENES, WRITTEN, QUESTIONS, VOTES, VALIDATED, COMPOSING, CANDIDATES, ABLATIONS, COMPOSED, THINKING, SHORT),
     *(EXPANDING, FILTERED, SFT, DPO, PROMPTS))
)  # fmt: skip


def card_of(folder: Path, name: str) -> Mapping[str, Any] | None:
    """Return what the card of a made file says to programs; None without one, or where it says less.

    Of a file that was edited since, `kept` is the lines that are there.
    """
    path = folder / f"{name}.jsonl"
    try:
        card = json.loads(card_files(path)[1].read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

    if not (isinstance(card, dict) and {"in", "kept", "dropped"} <= card.keys()):
        return None

    return card | {"kept": _count_lines(path)} if is_edited(folder, name) else card


def is_edited(folder: Path, name: str) -> bool:
    """Return whether a file is there, and not as it was made."""
    before, path = _made(folder).get(name), folder / f"{name}.jsonl"
    return bool(before) and path.is_file() and not _is_as(path, [*before["stamp"], before["sha256"]])


def is_behind(folder: Path, name: str) -> bool:
    """Return whether a file is to be made again: what it is made of is unknown, or has changed since."""
    before = _made(folder).get(name)
    return not before or any(
        one in _NAMES and not _is_as(folder / f"{one}.jsonl", state) for one, state in before["inputs"].items()
    )


def _line(row: Any) -> str:
    if isinstance(row, str):
        return row

    return json.dumps(row, ensure_ascii=False) + "\n" if isinstance(row, dict) else row_of(row)


def _made(folder: Path) -> dict[str, Any]:
    """Return what is known of the files that were made: name -> what of."""
    try:
        return json.loads((folder / _MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # everything is made again


def _state(path: Path, with_hash: bool = True) -> list[Any]:
    """Return size and time of a file, and on request its SHA-256; [] where there is none."""
    try:
        found = path.stat()
    except OSError:
        return []

    return [found.st_size, found.st_mtime_ns, *([_hash(path, found.st_mtime_ns)] if with_hash else ())]


@functools.lru_cache(maxsize=64)
def _hash(path: Path, time: int) -> str:
    return file_hash(path)


def _is_as(path: Path, state: Sequence[Any]) -> bool:
    """Return whether a file is as it was: with the same time, or, where only that differs (it was copied), with the same content."""
    now = _state(path, with_hash=False)
    return now == list(state[:2]) or bool(state[2:]) and now[:1] == state[:1] and _hash(path, now[1]) == state[2]
