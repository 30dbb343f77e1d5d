"""What a reader finds in the files of a layout, before pictures are opened and boxes are checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundObject:
    """Something with a box; nothing of it is checked yet.

    Attributes:
        name, score, phrase, attributes: as of SceneObject.
        box: in the format of its scene.
        left_out: why its source says that it is no object; "" for one that is.
    """

    name: Any
    box: Any
    score: Any = 1.0
    phrase: Any = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class FoundScene:
    """A picture that a file names.

    Attributes:
        name: of the picture in its source, which its id ends with.
        image: as its file names it.
        captions: texts; blank ones count as none.
        objects: in any order; or what makes them of the picture's width and height, where the file does not say the size.
        box_format: of the boxes, one of source.FORMATS.
        origin: `FILE:LINE`.
        size: width and height in pixels of the picture that the boxes were made on; None where the file does not say.
        image_sha256: that the picture's bytes must have; "" where the file does not say.
        has_all: whether every object of a name that occurs has a box, so that boxes can be counted.
        uncounted: names for which that does not hold although it does for others.
    """

    name: str
    image: Any
    captions: Sequence[Any]
    objects: Sequence[FoundObject] | Callable[[tuple[int, int]], Sequence[FoundObject]]
    box_format: str
    origin: str
    size: tuple[int, int] | None = None
    image_sha256: str = ""
    has_all: bool = True
    uncounted: Sequence[Any] = ()
