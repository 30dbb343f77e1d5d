"""Visual Genome: described regions, named objects and the list of pictures, joined by the picture's id.

    regions: [{"id", "regions": [{"x", "y", "width", "height", "phrase"}]}]
    objects: [{"image_id", "objects": [{"x", "y", "w", "h", "names": [..]}]}]
    images:  [{"image_id", "url", "width", "height"}]

Phrases of regions are the captions; a region that is an object's place also says what that object is. Objects are named
by people who did not look for all of a kind, and at times twice: their boxes are not counted.
"""

import functools
from collections.abc import Iterator
from typing import Any

from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import phrase_at, rows_of, scenes_of, size_of, texts
from virgo_factory.synthesis.scenes.layouts.shelf import Shelf
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the pictures in the order of `images`."""
    with Shelf() as shelf:
        for kind, path, id in (("regions", source.regions, "id"), ("objects", source.objects, "image_id")):
            for found in rows_of(path):
                if isinstance(found, Dropped):
                    yield found
                else:
                    row = found[1]
                    shelf.add(kind, row.get(id, row.get("image_id")), texts(row.get(kind)))

        shelf.close_up()
        yield from scenes_of(rows_of(source.images), functools.partial(_scene, shelf=shelf))


def _scene(place: str, row: dict[str, Any], shelf: Shelf) -> FoundScene:
    id = row.get("image_id", row.get("id"))
    regions = [one for some in shelf.of("regions", id) for one in some if isinstance(one, dict)]
    objects = [one for some in shelf.of("objects", id) for one in some if isinstance(one, dict)]
    told = [(_box(one, "width", "height"), one.get("phrase")) for one in regions]
    found = []
    for one in objects:
        box = _box(one, "w", "h")
        name = next(iter(texts(one.get("names"))), one.get("name"))
        found.append(FoundObject(name, box, phrase=phrase_at(box, told, "xywh")))

    return FoundScene(
        name=str(id),
        image=_image(row, id),
        captions=[phrase for _, phrase in told],
        objects=found,
        box_format="xywh",
        origin=place,
        size=size_of(row),
        has_all=False,
    )


def _box(one: dict[str, Any], width: str, height: str) -> list[Any]:
    return [one.get("x"), one.get("y"), one.get(width), one.get(height)]


def _image(row: dict[str, Any], id: Any) -> str:
    """Return the path of a picture: folder and name in the URL that it was published at, such as VG_100K_2/1.jpg."""
    url = row.get("url")
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) and url.count("/") > 3 else f"{id}.jpg"
