"""Several folders or shards of one distillation put together into a new folder; rows are copied as they are."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from virgo_factory.datasets.card import card_files
from virgo_factory.distill.config import FILE as CONFIG
from virgo_factory.distill.config import DistillConfig, config_text, read_folder, shapes
from virgo_factory.distill.lines import hash_of, raw_lines, shards_of
from virgo_factory.distill.question import FILE as QUESTIONS
from virgo_factory.distill.question import check_texts, question_of
from virgo_factory.distill.rollout import rollout_of
from virgo_factory.distill.store import DROPPED, ROLLOUTS, lock


VERDICTS = "verdicts"

NOT_CONTENT = ("seconds", "params")
"""Of a rollout: how long it took and which server answered are not what it is."""


@dataclass(frozen=True)
class Copied:
    """Rows of one kind: read = kept + twice + stray.

    Attributes:
        read: lines of all folders.
        kept: that were written.
        twice: that are there already, with the same content.
        stray: verdicts on no rollout.
    """

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
    """Put folders of one distillation together into a new one; it appears when it is complete.

    Memory: some 100 bytes a row.

    Args:
        folders: of the same configuration; each with one file of rollouts, or several shards.
        out: is made.

    Raises:
        ValueError: `out` is there, a folder is in use or was made with another configuration, a row is broken, or two rows
            of one key say different things (both places are named).
    """
    folders, out = [Path(folder) for folder in folders], Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already. Name a new folder.")

    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError("a folder is named twice.")

    config = _common_config(folders)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with contextlib.ExitStack() as stack:
            for folder in folders:
                stack.enter_context(lock(folder))

            partial.mkdir(parents=True)
            merged = _copy(folders, partial)
            (partial / CONFIG).write_text(config_text(config.model_copy(update={"output_dir": out})), encoding="utf-8")

        if out.is_dir():
            out.rmdir()

        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

    return merged


def _common_config(folders: Sequence[Path]) -> DistillConfig:
    """Return the configuration of the first folder.

    Raises:
        ValueError: one of the others would have made other rollouts.
    """
    first = read_folder(folders[0])
    for folder in folders[1:]:
        old, new = shapes(first), shapes(read_folder(folder))
        if changed := [f"{key}: {old[key]!r} and {new[key]!r}" for key in old if old[key] != new[key]]:
            raise ValueError(
                f"{folders[0]} and {folder} are not parts of one distillation: {'; '.join(changed)}. "
                "Merge folders of the same configuration."
            )

    return first


def _copy(folders: Sequence[Path], out: Path) -> Merged:
    def paths(name: str) -> list[Path]:
        return [path for folder in folders for path in shards_of(folder, name)]

    def picture(row: dict[str, Any], source: Path) -> None:
        nonlocal pictures
        for name in row["images"]:
            if not (out / name).resolve().is_relative_to(out.resolve()):
                raise ValueError(f"{source}: picture {name} is outside the folder.")

            pictures += _copy_picture(source.parent / name, out / name)

    pictures = 0
    whole = [path for folder in folders if (path := folder / QUESTIONS).is_file()]
    questions, _ = _merge_rows(whole, out / QUESTIONS, _question_key, also=picture)
    rollouts, keys = _merge_rows(paths(ROLLOUTS), out / f"{ROLLOUTS}.jsonl", _rollout_key, NOT_CONTENT)
    verdicts, _ = _merge_rows(paths(VERDICTS), out / f"{VERDICTS}.jsonl", _verdict_key, among=keys)
    dropped, _ = _merge_rows(paths(DROPPED), out / f"{DROPPED}.jsonl", lambda row: (row["question"], row["model"]))
    if len(whole) and questions.kept * len(whole) == questions.read:  # all folders have the same questions
        for old, new in zip(card_files(whole[0]), card_files(out / QUESTIONS), strict=True):
            if old.is_file():
                shutil.copyfile(old, new)

    return Merged(questions, rollouts, verdicts, dropped, pictures)


def _question_key(row: Any) -> tuple[object, ...]:
    question = question_of(row)
    check_texts(question)
    return (question.id,)


def _rollout_key(row: Any) -> tuple[object, ...]:
    return rollout_of(row).key


def _verdict_key(row: Any) -> tuple[object, ...]:
    return row["question"], row["model"], row["sample"]


def _merge_rows(
    sources: Sequence[Path],
    target: Path,
    key: Callable[[Any], tuple[object, ...]],
    not_content: Sequence[str] = (),
    among: dict[int, int] | None = None,
    also: Callable[[dict[str, Any], Path], None] = lambda row, source: None,
) -> tuple[Copied, dict[int, int]]:
    """Copy rows, each key once.

    Args:
        sources: JSONL files.
        target: is written where there is a row.
        key: of a row; raises where it is broken.
        not_content: columns in which rows of one key may differ.
        among: hashes of the keys that are copied; derived rows of others are stray. Of these the first is taken, whatever a
            later one says.
        also: is called with each row that is kept, and its file.

    Returns:
        The counts, and hash of key -> file and byte of its line.
    """
    places: dict[int, int] = {}
    read = twice = stray = 0
    with contextlib.ExitStack() as stack:
        written: BinaryIO | None = None
        for file, source in enumerate(sources):
            for number, start, line, row in _lines(source, key):
                read += 1
                hashed = hash_of(*row[0])
                if among is not None and hashed not in among:
                    stray += 1
                elif hashed not in places:
                    places[hashed] = file << 48 | start
                    written = written or stack.enter_context(target.open("wb"))
                    written.write(line)
                    also(row[1], source)
                else:
                    twice += 1
                    if among is None:
                        _check_equal(sources, places[hashed], source, number, row, not_content)

    return Copied(read, len(places), twice, stray), places


def _lines(path: Path, key: Callable[[Any], tuple[object, ...]]) -> Iterator[tuple[int, int, bytes, tuple[Any, Any]]]:
    """Yield line number, byte, line, and (key, row); the half of a last line is left out."""
    for number, start, line in raw_lines(path):
        try:
            row = json.loads(line)
            found = key(row)
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: {error or 'broken row'}. Repair the line, or remove it.") from None

        yield number, start, line, (found, row)


def _check_equal(
    sources: Sequence[Path], place: int, path: Path, number: int, row: tuple[Any, Any], not_content: Sequence[str]
) -> None:
    """Raise ValueError, naming both places, where a row differs from the one of the same key."""
    first, start = sources[place >> 48], place & (1 << 48) - 1
    with first.open("rb") as file:
        file.seek(start)
        other = json.loads(file.readline())

    new = row[1]
    names = [
        name for name in new.keys() | other.keys() if name not in not_content and new.get(name) != other.get(name)
    ]
    if names:
        line = next(line for line, at, _, _ in _lines(first, lambda row: row) if at == start)
        raise ValueError(
            f"{path}:{number} and {first}:{line} are both {' '.join(map(str, row[0]))}, but differ in "
            f"{', '.join(sorted(names))}. Remove one of them."
        )


def _copy_picture(source: Path, target: Path) -> bool:
    """Copy a picture, and return whether it was not there yet."""
    if target.exists():
        return False

    if not source.is_file():
        raise ValueError(f"{source}: no such picture. Copy it there, and merge again.")

    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return True
