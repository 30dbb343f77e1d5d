"""Florence-2: results by task, as its processor returns them, one row a picture.

    {"image": "a.jpg", "width": 640, "height": 480, "<MORE_DETAILED_CAPTION>": "..", "<OD>": {"bboxes": [[x1, y1, x2, y2]],
     "labels": [".."]}, "<DENSE_REGION_CAPTION>": {"bboxes", "labels"}}

The tasks may also stand in a column of their own (`result`). Objects are of the first of OBJECTS that is there; a dense
region says what the object in its place is, and is a caption otherwise.
"""

from collections.abc import Iterator
from typing import Any

from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import (
    first,
    objects_of,
    overlap_of,
    phrase_at,
    scenes_of,
    size_of,
    stem_of,
    texts,
)
from virgo_factory.synthesis.scenes.layouts.rows import ID, IMAGE
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped


CAPTIONS = ("<MORE_DETAILED_CAPTION>", "<DETAILED_CAPTION>", "<CAPTION>")
OBJECTS = ("<OD>", "<OPEN_VOCABULARY_DETECTION>", "<CAPTION_TO_PHRASE_GROUNDING>", "<DENSE_REGION_CAPTION>")
REGIONS = "<DENSE_REGION_CAPTION>"
_COLUMNS = ("result", "results", "answers", "florence2")


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the rows of a file, or of a folder with one JSON file a picture."""
    return scenes_of(objects_of(source.file), _scene)


def _scene(place: str, row: dict[str, Any]) -> FoundScene:
    tasks = first(row, _COLUMNS)
    tasks = {**row, **tasks} if isinstance(tasks, dict) else row
    task = next((task for task in OBJECTS if _pairs(tasks.get(task))), OBJECTS[0])
    regions = _pairs(tasks.get(REGIONS)) if task != REGIONS else []
    pairs = _pairs(tasks.get(task))
    image = first(row, IMAGE)
    boxes = [box for box, _ in pairs]
    return FoundScene(
        name=str(first(row, ID, stem_of(image, place))),
        image=image,
        captions=[
            *(caption for key in CAPTIONS for caption in texts(tasks.get(key))),
            *(label for box, label in regions if not any(overlap_of(box, other, "xyxy") for other in boxes)),
        ],
        objects=[FoundObject(label, box, phrase=phrase_at(box, regions, "xyxy")) for box, label in pairs],
        box_format="xyxy",
        origin=place,
        size=size_of(row) or _size(row.get("image_size", tasks.get("image_size"))),
        has_all=task in OBJECTS[:2],
    )


def _pairs(result: Any) -> list[tuple[Any, Any]]:
    """Return (box, label) of a task."""
    if not isinstance(result, dict):
        return []

    labels = texts(first(result, ("labels", "bboxes_labels")))
    return list(zip(texts(result.get("bboxes")), labels, strict=False))


def _size(value: Any) -> tuple[int, int] | None:
    is_size = isinstance(value, list) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)
    return tuple(value) if is_size else None
