"""What a source gives, before pictures are looked at: a question, or why a row gives none."""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from virgo_factory.answers.options import LETTERS
from virgo_factory.data.read.files.json_lists import read_lists
from virgo_factory.data.read.reader import cut_file, read_chunk
from virgo_factory.formats.row import RejectedRow, bare


Picture = str | Callable[[], Any]
"""A path below the folder of the source, or what returns a picture's bytes (None where there are none)."""

CONTRADICTION = "two gold answers to one question on one picture"

_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "dev": "val", "test": "test"}


@dataclass(frozen=True)
class Asked:
    """What a raw row asks; attributes as in VisualQuestion."""

    question: str
    gold: Any
    options: tuple[str, ...] = ()
    kind: str | None = None
    unit: str | None = None
    grading: str = "math"


@dataclass(frozen=True)
class Found:
    """One question of a source."""

    id: str
    origin: str  # where it was read, for people
    asked: Asked | RejectedRow  # the question, or why there is none
    pictures: tuple[Picture, ...] = ()  # in the order in which they are shown
    split: str | None = None  # "train", "val" or "test" where the names of the source's files say it
    is_first: bool = True  # whether it is its row's first; a row of LLaVA-OneVision may hold several


def attempt(ask: Callable[[Mapping[str, Any]], Asked], raw: Any) -> Asked | RejectedRow:
    """Return what a raw row asks, or the reason why it asks nothing (`raw` itself where that is one already)."""
    if isinstance(raw, RejectedRow):
        return raw

    if not isinstance(raw, Mapping):
        return RejectedRow("not an object", f"found {type(raw).__name__}")

    try:
        return ask(raw)
    except RejectedRow as error:
        return bare(error)


def without_contradictions(founds: Iterable[Found]) -> Iterator[Found]:
    """Yield what was found, without questions that have two gold answers on one picture: both cannot be right.

    Looked at are questions that follow each other on one picture; FigureQA has such pairs.
    """
    for _, group in itertools.groupby(founds, key=lambda found: found.pictures):
        listed = list(group)
        golds: defaultdict[str, set[str]] = defaultdict(set)
        for found in listed:
            if isinstance(found.asked, Asked):
                golds[found.asked.question].add(json.dumps(found.asked.gold))

        for found in listed:
            if isinstance(found.asked, Asked) and len(told := golds[found.asked.question]) > 1:
                yield replace(found, asked=RejectedRow(CONTRADICTION, " and ".join(sorted(told))[:120]))
            else:
                yield found


def rows_in(path: Path, member: str = "") -> Iterator[Any]:
    """Yield the rows of a JSON file: a list, or rows by their ids; with a `member` those of the list under this name of an object.

    Memory does not grow with the file. ValueError names file and place: not JSON, or no rows.
    """
    if member:
        yield from (row for _, _, row in read_lists(path, [member]))
    else:
        yield from (row.raw for chunk in cut_file(path) for row in read_chunk(chunk))


def object_in(*paths: Path) -> dict[str, Any] | RejectedRow:
    """Return the members of small JSON files together, or why there are none: one broken file of many is one row."""
    try:
        return {name: value for path in paths for name, value in json.loads(path.read_text("utf-8-sig")).items()}
    except (ValueError, OSError, AttributeError, RecursionError) as error:
        return RejectedRow("its file cannot be read", str(error))


def chosen(options: Sequence[str], place: int) -> str:
    """Return the gold answer of a choice question: the option's text, or its letter where the text stands there twice.

    The text, since a letter or a number may be the text of another option. RejectedRow: there is no option at this place (from 0 on), or
    there are more options than letters.

    >>> chosen(("B", "A"), 0), chosen(("2", "2", "3"), 1)
    ('B', 'B')
    """
    if len(options) > len(LETTERS):
        raise RejectedRow("too many options", f"{len(options)}")

    if not 0 <= place < len(options):
        raise RejectedRow("the gold answer is none of the options", f"{place + 1} of {len(options)}")

    return options[place] if options.count(options[place]) == 1 else LETTERS[place]


def letter_place(letter: Any) -> int:
    """Return the place (from 0) of an option's letter; RejectedRow for what is no letter."""
    if isinstance(letter, str) and len(letter.strip()) == 1 and letter.strip().upper() in LETTERS:
        return LETTERS.index(letter.strip().upper())

    raise RejectedRow("no gold answer" if letter in (None, "") else "the gold answer is no letter", f"{letter!r}"[:60])


def texts_of(value: Any, column: str) -> tuple[str, ...]:
    """Return a list of texts or numbers as texts, () for None; RejectedRow for something else."""
    if value is None:
        return ()

    if not isinstance(value, list) or not all(isinstance(part, str | int | float) for part in value):
        raise RejectedRow(f"{column} is not a list of texts", f"found {type(value).__name__}")

    return tuple(str(part).strip() for part in value)


def split_of(name: str) -> str | None:
    """Return the split that a file's or folder's name says.

    >>> [split_of(name) for name in ("CLEVR_val_questions.json", "problems_test1k", "testament.json", "train1")]
    ['val', 'test', None, 'train']
    """
    for part in re.split(r"[^a-z0-9]+", name.lower()):
        if found := _SPLITS.get(part.rstrip("0123456789k")):
            return found

    return None


def train_first(paths: Sequence[Path], root: Path) -> list[tuple[Path, str | None]]:
    """Return paths below a folder with their splits, those of the train split first, else in the order of their names."""
    told = []
    for path in sorted(paths):
        parts = path.relative_to(root).parts
        told.append((path, next(filter(None, map(split_of, parts)), None)))

    return sorted(told, key=lambda entry: entry[1] != "train")
