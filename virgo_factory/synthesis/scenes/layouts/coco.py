"""COCO: a file of captions and one of boxes (instances, panoptic, Objects365), joined by the picture's id.

    captions: {"images": [{"id", "file_name", "width", "height"}], "annotations": [{"image_id", "caption"}]}
    boxes:    {"annotations": [{"image_id", "category_id", "bbox": [x, y, w, h], "iscrowd"}], "categories": [{"id", "name"}]}

Each is one JSON object, read in pieces; neither need be in the order of the pictures.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.files.json_lists import read_lists
from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import NO_OBJECT, size_of, stem_of
from virgo_factory.synthesis.scenes.layouts.shelf import Shelf
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped


CROWD = "an object's box is of a crowd"


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the pictures of a file of captions in its order, each with its boxes."""
    with Shelf() as shelf:
        _take_captions(source.captions, shelf)
        names = _take_boxes(source.boxes, shelf)
        shelf.close_up()
        for image in shelf.every("image"):
            yield _scene(source, image, shelf, names)


def _take_captions(path: Path, shelf: Shelf) -> None:
    has = set()
    for key, line, one in read_lists(path, ("images", "annotations")):
        has.add(key)
        _check(path, line, one)
        if key == "images":
            shelf.add("image", "", [line, one.get("id"), one.get("file_name"), size_of(one)])
        elif "caption" in one:
            shelf.add("caption", one.get("image_id"), one["caption"])
        else:
            raise UserError(f"{path}:{line}: an annotation without `caption`. Is this the file of captions?")

    if len(has) < 2:
        raise UserError(f"{path}: no list `images` or `annotations`, or an empty one. COCO's captions have both.")


def _take_boxes(path: Path, shelf: Shelf) -> dict[str, Any]:
    names, has = {}, set()
    for key, line, one in read_lists(path, ("annotations", "categories")):
        has.add(key)
        _check(path, line, one)
        if key == "categories":
            names[str(one.get("id"))] = one.get("name")
            continue

        segments = one.get("segments_info")
        for box in segments if isinstance(segments, list) else [one]:
            if not isinstance(box, dict) or "bbox" not in box:
                raise UserError(f"{path}:{line}: an annotation without `bbox`. Is this the file of boxes?")

            value = [box.get("category_id"), box["bbox"], box.get("score", 1.0), bool(box.get("iscrowd"))]
            shelf.add("box", one.get("image_id"), value)

    if "categories" not in has:
        raise UserError(f"{path}: no list `categories`, which names the boxes.")

    return names


def _check(path: Path, line: int, one: Any) -> None:
    if not isinstance(one, dict):
        raise UserError(f"{path}:{line}: {NO_OBJECT}, but {type(one).__name__}.")


def _scene(source: SceneSource, image: list[Any], shelf: Shelf, names: dict[str, Any]) -> FoundScene:
    line, id, file, size = image
    objects = [
        FoundObject(names.get(str(category)), box, score, left_out=CROWD if is_crowd else "")
        for category, box, score, is_crowd in shelf.of("box", id)
    ]
    return FoundScene(
        name=stem_of(file, str(id)),
        image=file,
        captions=shelf.of("caption", id),
        objects=objects,
        box_format="xywh",
        origin=f"{source.captions.name}:{line}",
        size=tuple(size) if size else None,
    )
