"""GRIT (Kosmos-2): a caption of the web, and spans of it with their boxes.

    {"key": "000373938", "caption": "a dog in a field", "width": 256, "height": 192,
     "noun_chunks": [[0, 5, x1, y1, x2, y2, score]], "ref_exps": [[0, 16, x1, y1, x2, y2, score]]}

Spans are characters of the caption; boxes are in shares of the picture. Only what the caption speaks of has a box: boxes
are not counted.
"""

from collections.abc import Iterator
from typing import Any

from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import first, objects_of, phrase_at, scenes_of, size_of, texts
from virgo_factory.synthesis.scenes.layouts.rows import IMAGE
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the rows of a file, or of a folder with one JSON file a picture (as img2dataset leaves them)."""
    return scenes_of(objects_of(source.file), _scene)


def _scene(place: str, row: dict[str, Any]) -> FoundScene:
    caption = row.get("caption")
    name = str(first(row, ("key", "id"), place))
    chunks, longer = texts(row.get("noun_chunks")), texts(row.get("ref_exps"))
    told = [(span[2:6], _words(caption, span)) for span in longer if isinstance(span, list)]
    objects = []
    for span in chunks or longer:
        span = span if isinstance(span, list) else []
        box, score = span[2:6], span[6] if len(span) > 6 else 1.0
        objects.append(FoundObject(_words(caption, span), box, score, phrase_at(box, told, "unit")))

    return FoundScene(
        name=name,
        image=first(row, IMAGE, f"{name}.jpg"),
        captions=[caption],
        objects=objects,
        box_format="unit",
        origin=place,
        size=size_of(row),
        has_all=False,
    )


def _words(caption: Any, span: list[Any]) -> str:
    """Return the words of a span, whose places may be written as 3.0."""
    try:
        start, end = (int(at) for at in span[:2])
    except (TypeError, ValueError, OverflowError):
        return ""

    if not isinstance(caption, str):
        return ""

    return caption[start:end] if 0 <= start < end <= len(caption) else ""
