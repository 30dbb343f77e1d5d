"""Rows of a file, and objects of a folder of JSON files, each with its place; what cannot be read is dropped."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.reader import NOT_JSON, cut_file, place_of, read_chunk, why_unreadable
from virgo_factory.formats.row import RejectedRow
from virgo_factory.synthesis.scenes.boxes import four_numbers
from virgo_factory.synthesis.scenes.found import FoundScene
from virgo_factory.synthesis.words import Dropped


NO_OBJECT = "not a row of names and values"


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, Any]] | Dropped]:
    """Yield (place, row) of a file of rows: JSON, JSONL, CSV, Parquet or Arrow; memory does not grow.

    Raises:
        ValueError: not a file of rows, or a list that breaks off.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder. Name the file of rows in it: JSON, JSONL, CSV, Parquet or Arrow.")

    number = 0
    for chunk in cut_file(path):
        for row in read_chunk(chunk):
            place = place_of(path.name, row.line, number)
            number += 1
            if row.problem:
                yield Dropped(place, why_unreadable(row.problem)[0], row.problem)
            elif isinstance(row.raw, dict):
                yield place, row.raw
            else:
                yield Dropped(place, NO_OBJECT, type(row.raw).__name__)


def objects_of(path: Path) -> Iterator[tuple[str, dict[str, Any]] | Dropped]:
    """Yield (place, object) of each JSON file of a folder, in the order of the names; of a file its rows (`rows_of`).

    Raises:
        ValueError: a folder without JSON files.
    """
    if not path.is_dir():
        yield from rows_of(path)
        return

    files = sorted(path.glob("*.json"))
    if not files:
        raise UserError(f"{path}: no JSON file in the folder. Name the folder that holds one file a picture.")

    for file in files:
        yield read_object(file)


def scenes_of(
    rows: Iterable[tuple[str, dict[str, Any]] | Dropped],
    scene_of: Callable[[str, dict[str, Any]], FoundScene | Dropped],
) -> Iterator[FoundScene | Dropped]:
    """Yield what is made of each place and row; what was dropped stays so."""
    return (one if isinstance(one, Dropped) else scene_of(*one) for one in rows)


def stem_of(image: Any, default: str) -> str:
    """Return the name of a picture's file without its ending; `default` where it is no path."""
    return Path(image).stem if isinstance(image, str) else default


def read_object(file: Path) -> tuple[str, dict[str, Any]] | Dropped:
    """Return (name of the file, the object in it)."""
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        return Dropped(file.name, NOT_JSON, str(error)[:200])

    return (file.name, found) if isinstance(found, dict) else Dropped(file.name, NO_OBJECT, type(found).__name__)


def first(row: dict[str, Any], names: tuple[str, ...], default: Any = None) -> Any:
    """Return the value of the first of several columns that a row has."""
    return next((row[name] for name in names if row.get(name) is not None), default)


def texts(value: Any) -> list[Any]:
    """Return one text, or a list of them, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def size_of(row: dict[str, Any], width: str = "width", height: str = "height") -> tuple[int, int] | None:
    """Return width and height where a row has them."""
    found = row.get(width), row.get(height)
    return found if all(type(side) is int and side > 0 for side in found) else None


_SAME_PLACE = 0.6
"""Intersection over union from which on two boxes are of one thing."""


def phrase_at(box: Any, told: list[tuple[Any, Any]], box_format: str) -> str:
    """Return what is told of the place of a box: the text of the box that overlaps it most; "" where none is near.

    Args:
        box: four numbers, not checked yet.
        told: (box, text).
        box_format: of all of them: xywh, else two corners.
    """
    best, most = "", 0.0
    for other, text in told:
        if (part := overlap_of(box, other, box_format)) > most and isinstance(text, str):
            best, most = text, part

    return best


def overlap_of(one: Any, other: Any, box_format: str) -> float:
    """Return the intersection over union of two boxes; 0 below _SAME_PLACE, and for what is no box.

    >>> overlap_of([0, 0, 4, 4], [0, 0, 4, 3], "xyxy"), overlap_of([0, 0, 4, 4], None, "xyxy")
    (0.75, 0.0)
    """
    try:
        (x1, y1, x2, y2), (u1, v1, u2, v2) = four_numbers(one), four_numbers(other)
    except RejectedRow:
        return 0.0

    if box_format == "xywh":
        x2, y2, u2, v2 = x1 + x2, y1 + y2, u1 + u2, v1 + v2

    both = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
    whole = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - both
    part = both / whole if whole > 0 else 0.0
    return part if part >= _SAME_PLACE else 0.0
