"""Boxes of any convention -> whole pixels of the picture as it is seen, checked."""

import math
from dataclasses import dataclass
from typing import Any

from virgo_factory.formats.row import RejectedRow


NO_BOX = "an object's box is not four numbers"
EMPTY = "an object's box has no area"
OUTSIDE = "an object's box is outside of the picture"
OTHER_SHAPE = "boxes made on a picture of another shape"

TOLERANCE = 1.0
"""Pixels by which a box may leave its picture: annotations are rounded, or count pixels from one."""

_LARGEST = 10**6
"""Pixels of a side that a picture may be said to have."""

_SHARES = {"unit": 1.0, "thousand": 1000.0, "percent": 100.0}
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Frame:
    """The picture that boxes were made on, beside the one that is seen.

    Attributes:
        size: width and height of that picture.
        seen: width and height of the picture as it is seen.
        turn: EXIF orientation, 5 to 8, where the boxes were made on the lying picture; 0 where on the upright one.
    """

    size: tuple[int, int]
    seen: tuple[int, int]
    turn: int = 0

    @property
    def is_scaled(self) -> bool:
        """Whether boxes are made larger or smaller."""
        return self.size != (self.seen[::-1] if self.turn else self.seen)


def frame_of(size: tuple[int, int] | None, seen: tuple[int, int], turn: int = 1) -> Frame:
    """Return how boxes that were made on a picture of `size` come to lie on the one that is seen.

    Args:
        size: None where it is not known, which is taken to be the one that is seen.
        seen: width and height.
        turn: EXIF orientation of the picture.

    Raises:
        RejectedRow: the two have another shape, so that no scaling makes one of the other.

    >>> frame_of((640, 480), (320, 240)).is_scaled
    True
    """
    if size is None or size == seen:
        return Frame(seen, seen)

    if turn >= 5 and size == seen[::-1] or not _is_alike(size, seen) and turn >= 5 and _is_alike(size, seen[::-1]):
        return Frame(size, seen, turn)

    if not _is_alike(size, seen):
        raise RejectedRow(OTHER_SHAPE, f"{size[0]}x{size[1]}, and the picture is {seen[0]}x{seen[1]}")

    return Frame(size, seen)


def _is_alike(size: tuple[int, int], seen: tuple[int, int]) -> bool:
    """Whether one size is the other made smaller, sides rounded to whole pixels."""
    if min(*size, *seen) < 1 or max(size) > _LARGEST:
        return False

    scale = seen[0] / size[0]
    return abs(size[1] * scale - seen[1]) <= max(1.0, scale, 0.01 * seen[1])


def box_of(box: Any, box_format: str, frame: Frame) -> Box:
    """Return a box in whole pixels of the picture as it is seen.

    Args:
        box: four numbers.
        box_format: one of source.FORMATS.
        frame: that it was made on.

    Raises:
        RejectedRow: not four finite numbers, without area, or outside of its picture by more than TOLERANCE.

    >>> box_of([10, 20, 30, 40], "xywh", Frame((100, 100), (50, 50)))
    (5, 10, 20, 30)
    """
    numbers = four_numbers(box)
    width, height = frame.size
    if box_format == "xywh":
        x, y, w, h = numbers
        if w <= 0 or h <= 0:
            raise RejectedRow(EMPTY, f"width and height {w:g}, {h:g}")

        numbers = [x, y, x + w, y + h]
    elif share := _SHARES.get(box_format):
        numbers = [number / share * side for number, side in zip(numbers, (width, height) * 2, strict=True)]

    x1, y1, x2, y2 = numbers
    if x2 <= x1 or y2 <= y1:
        raise RejectedRow(EMPTY, f"{box}: the second corner is not right of and below the first")

    if min(x1, y1) < -TOLERANCE or x2 > width + TOLERANCE or y2 > height + TOLERANCE:
        raise RejectedRow(OUTSIDE, f"{box} ({box_format}) in {width}x{height}")

    if frame.turn:
        x1, y1, x2, y2 = _turned((x1, y1, x2, y2), frame)
        width, height = height, width

    across, down = frame.seen[0] / width, frame.seen[1] / height
    found = (_pixel(x1 * across), _pixel(y1 * down), _pixel(x2 * across), _pixel(y2 * down))
    found = (max(found[0], 0), max(found[1], 0), min(found[2], frame.seen[0]), min(found[3], frame.seen[1]))
    if found[2] <= found[0] or found[3] <= found[1]:
        raise RejectedRow(EMPTY, f"{box}: less than a pixel")

    return found


def four_numbers(box: Any) -> list[float]:
    """Return the numbers of a box. Raises RejectedRow where they are not four finite ones."""
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise RejectedRow(NO_BOX, str(box)[:100])

    try:
        numbers = [float(number) for number in box if type(number) in (int, float)]
    except OverflowError:  # a whole number of 400 digits
        numbers = []

    if len(numbers) < 4 or not all(map(math.isfinite, numbers)):
        raise RejectedRow(NO_BOX, str(box)[:100])

    return numbers


def _pixel(number: float) -> int:
    return math.floor(number + 0.5)


def _turned(box: tuple[float, float, float, float], frame: Frame) -> tuple[float, float, float, float]:
    """Return a box of the lying picture on the upright one, of the same scale."""
    width, height = frame.size
    x1, y1, x2, y2 = box
    if frame.turn in (6, 7):  # the lying picture's bottom becomes the left side
        y1, y2 = height - y2, height - y1

    if frame.turn in (7, 8):  # its right side becomes the top
        x1, x2 = width - x2, width - x1

    return y1, x1, y2, x2
