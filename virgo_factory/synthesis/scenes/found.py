"""What a reader finds in the files of a layout, before pictures are opened and boxes are checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundObject:
    """Something with a box; nothing of it is checked yet. Attributes as of SceneObject, the box in the format of its scene."""

    name: Any
    box: Any
    score: Any = 1.0
    phrase: Any = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundScene:
    """A picture that a file names.

    Attributes:
        name: of the picture in its source, which its id ends with.
        image: as its file names it.
        captions: texts; blank ones count as none.
        objects: in any order.
        box_format: of the boxes, one of source.FORMATS.
        origin: `FILE:LINE`.
        size: width and height in pixels of the picture that the boxes were made on; None where the file does not say.
        image_sha256: that the picture's bytes must have; "" where the file does not say.
    """

    name: str
    image: Any
    captions: Sequence[Any]
    objects: Sequence[FoundObject]
    box_format: str
    origin: str
    size: tuple[int, int] | None = None
    image_sha256: str = ""
