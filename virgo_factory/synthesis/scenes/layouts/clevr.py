"""CLEVR: scenes with the whole truth and neither captions nor boxes; sentences say the truth, boxes are the things projected.

    {"scenes": [{"image_filename", "split", "objects": [{"shape", "color", "size", "material", "3d_coords", "pixel_coords",
     "rotation"}], "directions": {"front", "right"}}]}

On the 15 real pictures of our tests a box and the pixels of its thing overlap by 0.76 to 0.97 (intersection over union; cubes
least, since how they are turned is known up to the model they were made of only).
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import objects_of
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped


FOCAL = 35 / 32
"""Focal length in widths of the picture: a lens of 35 mm before a sensor of 32 mm, as Blender has them."""

PITCH = math.radians(28.3)
"""By which the camera looks down: its place in CLEVR's base scene, before it is jittered."""

CUBE, CUBE_TURN = 0.9, math.radians(45)
"""Half a cube's side in its `size`, less for its round corners, and by how much its model is turned: measured."""

NO_OBJECTS = "no objects that CLEVR has"
_STEPS = 24


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the scenes of a file. Pictures stand below `pictures` in folders of their split, as CLEVR's own do."""
    for found in objects_of(source.file):
        if isinstance(found, Dropped):
            yield found
            continue

        place, row = found
        try:
            yield _scene(place, row)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
            name = str(row.get("image_filename") or place)
            yield Dropped(f"{source.prefix}/{Path(name).stem}", NO_OBJECTS, f"{place}: {error!r}"[:200])


def _scene(place: str, row: dict[str, Any]) -> FoundScene:
    image, objects = row["image_filename"], row["objects"]
    _boxes(row, (480, 320))  # what is missing is told here
    return FoundScene(
        name=Path(image).stem,
        image=f"{row['split']}/{image}" if row.get("split") else image,
        captions=_captions(objects, row["directions"]["front"]),
        objects=lambda size: _boxes(row, size),
        box_format="xyxy",
        origin=place,
    )


def _boxes(row: dict[str, Any], size: tuple[int, int]) -> list[FoundObject]:
    camera = _camera(row["directions"])
    found = []
    for one in row["objects"]:
        attributes = {"color": one["color"], "size": one["size"], "material": one["material"]}
        box = _box(one, camera, size)
        if (
            box[2] > 0 and box[3] > 0 and box[0] < size[0] and box[1] < size[1]
        ):  # what stands out at an edge is cut off
            box = [max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])]

        found.append(FoundObject(one["shape"], box, phrase=_looks(one), attributes=attributes))

    return found


Vector = Sequence[float]


def _camera(directions: dict[str, Vector]) -> tuple[Vector, Vector, Vector]:
    """Return what is right, up and away for the camera, which looks against `front` and down."""
    right, front = directions["right"], directions["front"]
    away = [-math.cos(PITCH) * front[0], -math.cos(PITCH) * front[1], -math.sin(PITCH)]
    up = [-math.sin(PITCH) * front[0], -math.sin(PITCH) * front[1], math.cos(PITCH)]
    return right, up, away


def _box(one: dict[str, Any], camera: tuple[Vector, Vector, Vector], size: tuple[int, int]) -> list[float]:
    """Return the box of a thing in pixels: its surface's points around its middle, whose pixel and distance are given."""
    x, y, distance = one["pixel_coords"]
    scale = FOCAL * size[0]
    xs, ys = [], []
    for point in _surface(one["shape"], one["3d_coords"][2], math.radians(one["rotation"])):
        right, up, away = (sum(a * b for a, b in zip(point, axis, strict=True)) for axis in camera)
        nearer = distance / (distance + away)
        xs.append(size[0] / 2 + ((x - size[0] / 2) + scale * right / distance) * nearer)
        ys.append(size[1] / 2 + ((y - size[1] / 2) - scale * up / distance) * nearer)

    return [min(xs), min(ys), max(xs), max(ys)]


def _surface(shape: str, radius: float, turn: float) -> Iterator[Vector]:
    around = [2 * math.pi * step / _STEPS for step in range(_STEPS)]
    if shape == "cube":
        half = CUBE * radius
        for at in (math.pi / 4 + math.pi / 2 * corner + turn + CUBE_TURN for corner in range(4)):
            for up in (-half, half):
                yield half * math.sqrt(2) * math.cos(at), half * math.sqrt(2) * math.sin(at), up
    elif shape == "cylinder":
        for at in around:
            for up in (-radius, radius):
                yield radius * math.cos(at), radius * math.sin(at), up
    elif shape == "sphere":
        for at in around:
            for rise in around:
                flat = radius * math.cos(rise)
                yield flat * math.cos(at), flat * math.sin(at), radius * math.sin(rise)
    else:
        raise ValueError(f"shape {shape!r}")


def _looks(one: dict[str, Any]) -> str:
    return f"{one['size']} {one['color']} {one['material']} {one['shape']}"


def _captions(objects: Sequence[dict[str, Any]], front: Vector) -> list[str]:
    """Return sentences that say what there is, from left to right and from front to back."""
    if not objects:
        return []

    def nearness(one: dict[str, Any]) -> float:
        return sum(a * b for a, b in zip(one["3d_coords"], front, strict=True))

    across = _listed(sorted(objects, key=lambda one: one["pixel_coords"][0]))
    if len(objects) == 1:
        return [f"{across[:1].upper()}{across[1:]} stands on a plain grey ground."]

    near = _listed(sorted(objects, key=nearness, reverse=True))
    return [
        f"{len(objects)} things stand on a plain grey ground. From left to right: {across}.",
        f"From the nearest to the farthest: {near}.",
    ]


def _listed(objects: Sequence[dict[str, Any]]) -> str:
    told = [f"a {_looks(one)}" for one in objects]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
