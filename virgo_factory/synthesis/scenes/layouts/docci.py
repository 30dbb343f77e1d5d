"""DOCCI and others with one long caption a picture, and the boxes that Grounded-SAM found, one JSON file a picture.

captions: {"example_id": "train_00000", "image_file": "train_00000.jpg", "description": ".."}
boxes:    FOLDER/train_00000.json: {"annotations": [{"class_name", "bbox", "score"}], "box_format": "xyxy",
          "img_width", "img_height"}
"""

import functools
from collections.abc import Iterator
from typing import Any

from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import (
    first,
    read_object,
    rows_of,
    scenes_of,
    size_of,
    stem_of,
    texts,
)
from virgo_factory.synthesis.scenes.layouts.rows import CAPTIONS, ID, IMAGE, NAME
from virgo_factory.synthesis.scenes.source import FORMATS, SceneSource
from virgo_factory.synthesis.words import Dropped


NO_BOXES = "no file of boxes"
NO_FORMAT = "the file of boxes names no known box_format"


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the rows of the captions, each with the boxes of the file that is named as its picture is."""
    return scenes_of(rows_of(source.captions), functools.partial(_scene, source))


def _scene(source: SceneSource, place: str, row: dict[str, Any]) -> FoundScene | Dropped:
    image = first(row, IMAGE)
    name = str(first(row, ("example_id", *ID), stem_of(image, place)))
    file = source.boxes / f"{stem_of(image, name)}.json"
    if not file.is_file():
        return Dropped(f"{source.prefix}/{name}", NO_BOXES, f"{place}: {file}")

    read = read_object(file)
    if isinstance(read, Dropped):
        return read

    boxes = read[1]
    box_format = boxes.get("box_format", "xyxy")
    if box_format not in FORMATS:
        return Dropped(f"{source.prefix}/{name}", NO_FORMAT, f"{file}: {box_format!r}")

    objects = [
        FoundObject(first(one, NAME), one.get("bbox"), next(iter(texts(one.get("score", 1.0))), None))
        for one in texts(boxes.get("annotations"))
        if isinstance(one, dict)
    ]  # a score of SAM 2 is a list of one
    return FoundScene(
        name=name,
        image=image,
        captions=texts(first(row, ("description", *CAPTIONS))),
        objects=objects,
        box_format=box_format,
        origin=place,
        size=size_of(boxes, "img_width", "img_height"),
    )
