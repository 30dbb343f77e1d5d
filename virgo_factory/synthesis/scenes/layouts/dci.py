"""Densely Captioned Images: one JSON file a picture, with two captions and described masks (facebookresearch/DCI).

{"image": "sa_1.jpg", "short_caption": "..", "extra_caption": "..", "mask_data": {"0": {"label": "..", "caption": "..",
 "mask_quality": 0, "bounds": {"topLeft": {"x", "y"}, "bottomRight": {"x", "y"}}}}}
"""

from collections.abc import Iterator
from typing import Any

from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts.files import objects_of, scenes_of, size_of, stem_of
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped


UNUSABLE = "an object's mask is marked unusable"
_UNUSABLE = 2  # of mask_quality (densely_captioned_images/dataset/dense_image.py)


def found_scenes(source: SceneSource) -> Iterator[FoundScene | Dropped]:
    """Yield the pictures in the order of the files' names. Labels are people's own words: they are not counted."""
    return scenes_of(objects_of(source.file), _scene)


def _scene(place: str, row: dict[str, Any]) -> FoundScene:
    masks = row.get("mask_data")
    masks = [one for one in masks.values() if isinstance(one, dict)] if isinstance(masks, dict) else []
    image = row.get("image")
    return FoundScene(
        name=stem_of(image, place),
        image=image,
        captions=[row.get("short_caption"), row.get("extra_caption")],
        objects=[_object(one) for one in masks],
        box_format="xyxy",
        origin=place,
        size=size_of(row),
        has_all=False,
    )


def _object(one: dict[str, Any]) -> FoundObject:
    bounds = one.get("bounds")
    corners = [bounds.get(key) for key in ("topLeft", "bottomRight")] if isinstance(bounds, dict) else []
    box = [corner.get(axis) for corner in corners if isinstance(corner, dict) for axis in "xy"]
    left_out = UNUSABLE if one.get("mask_quality") == _UNUSABLE else ""
    return FoundObject(one.get("label"), box, phrase=one.get("caption"), left_out=left_out)
