"""Our own normal form, and rows of unknown make that have a picture, captions and named boxes.

    {"id": "coco/000000296284", "image": "images/a.png", "width": 640, "height": 480, "image_sha256": "..",
     "captions": [".."], "objects": [{"name": "donut", "box": [x1, y1, x2, y2], "score": 0.9, "phrase": ""}]}

Columns of other names are understood: see IMAGE, CAPTIONS, OBJECTS, NAME, BOX.
"""

import functools
import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import first, rows_of, scenes_of, size_of, stem_of, texts
from virgo_factory.synthesis.scenes.source import FORMATS, SceneSource
from virgo_factory.synthesis.words import Dropped


logger = logging.getLogger(__name__)

ID = ("id", "key", "image_id", "example_id")
IMAGE = ("image", "image_file", "image_path", "file_name")
CAPTIONS = ("captions", "caption", "description", "text")
OBJECTS = ("objects", "annotations", "instances", "boxes")
NAME = ("name", "class_name", "category", "label", "class")
BOX = ("box", "bbox")

_LOOKED_AT = 200
"""Rows from which a box format is guessed."""
_ORDERED = 0.95
"""Share of boxes whose second pair is right of and below the first, from which on these are corners."""


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield what a file of rows names."""
    rows = rows_of(source.file)
    box_format = source.box_format
    if not box_format:
        some = list(islice(rows, _LOOKED_AT))
        rows = chain(some, rows)
        box_format = _guessed(source.file, [row for row in some if not isinstance(row, Dropped)])

    return scenes_of(rows, functools.partial(_scene, box_format=box_format))


def _scene(place: str, row: dict[str, Any], box_format: str) -> FoundScene:
    image = first(row, IMAGE)
    name = first(row, ID, stem_of(image, place))
    objects = [FoundObject(one.get("name"), one["box"], **_rest(one)) for one in _objects(row)]
    sha256 = row.get("image_sha256")
    return FoundScene(
        name=str(name),
        image=image,
        captions=texts(first(row, CAPTIONS)),
        objects=objects,
        box_format=box_format,
        origin=place,
        size=size_of(row),
        image_sha256=sha256 if isinstance(sha256, str) else "",
        uncounted=texts(row.get("uncounted")),
    )


def _objects(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in texts(first(row, OBJECTS)):
        one = one if isinstance(one, dict) else {}
        yield {**one, "name": first(one, NAME), "box": first(one, BOX)}


def _rest(one: dict[str, Any]) -> dict[str, Any]:
    attributes = one.get("attributes")
    found = {key: one[key] for key in ("score", "phrase") if one.get(key) is not None}
    return found | ({"attributes": attributes} if isinstance(attributes, dict) else {})


def _guessed(file: Path, rows: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Return the format of the boxes in some rows, and tell it where it is a guess.

    Raises:
        ValueError: several formats are possible.
    """
    rows = [row for _, row in rows]
    boxes = [one["box"] for row in rows for one in _objects(row)]
    boxes = [box for box in boxes if isinstance(box, list) and len(box) == 4 and all(_is_number(one) for one in box)]
    if not boxes or all("image_sha256" in row and size_of(row) for row in rows):
        return "xyxy"  # our own form, of which it is part

    # Nearly all: a few without area, or turned round, must not make corners of all others widths.
    is_ordered = sum(box[0] < box[2] and box[1] < box[3] for box in boxes) > _ORDERED * len(boxes)
    most = max(max(box) for box in boxes)
    guess = "unit" if most <= 1 and is_ordered else "xyxy" if most > 1 and is_ordered else "xywh" if most > 1 else ""
    if not guess:
        raise UserError(
            f"{file}: in which format are its boxes? Name it: `box_format:` one of {', '.join(FORMATS)}. The first boxes: "
            f"{', '.join(map(str, boxes[:3]))}."
        )

    logger.warning(
        "%s: box_format is not named; from %s boxes of its first rows it is taken to be %s. Name it to be sure.",
        file,
        len(boxes),
        guess,
    )
    return guess


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
