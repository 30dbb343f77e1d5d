"""What boxes alone say of a scene: how many there are, how two stand to each other, which is the largest. Pure geometry.

Each answer is True, False or None: between the two lies a margin within which nothing is said, since a box is not the thing.
"""

from collections.abc import Callable, Sequence

from virgo_factory.synthesis.words import SceneObject


MARGIN = 0.1
"""Part of two objects' mean width (or height) by which their middles must differ to be side by side (or one above the other)."""

LARGER = 1.2
"""How many times as large a box must be to be called larger."""

INSIDE, NOT_INSIDE = 0.97, 0.5
"""Part of a box from which on it lies inside of another, and up to which it does not."""

_PIXELS = 2.0
Holds = bool | None


def middle(one: SceneObject) -> tuple[float, float]:
    """Return the middle of a box, in pixels."""
    return (one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2


def area(one: SceneObject) -> int:
    """Return the area of a box, in pixels."""
    return (one.box[2] - one.box[0]) * (one.box[3] - one.box[1])


def shared(one: SceneObject, other: SceneObject) -> int:
    """Return the area that two boxes have in common, in pixels."""
    across = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    down = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return max(across, 0) * max(down, 0)


def is_left_of(one: SceneObject, other: SceneObject) -> Holds:
    """Whether one object stands to the left of another.

    >>> cup, plate = SceneObject("cup 1", "cup", (0, 0, 10, 10)), SceneObject("plate 1", "plate", (20, 0, 60, 10))
    >>> is_left_of(cup, plate), is_left_of(plate, cup), is_left_of(cup, cup)
    (True, False, None)
    """
    return _is_before(one, other, 0)


def is_right_of(one: SceneObject, other: SceneObject) -> Holds:
    """Whether one object stands to the right of another."""
    return _is_before(other, one, 0)


def is_above(one: SceneObject, other: SceneObject) -> Holds:
    """Whether one object stands higher in the picture than another."""
    return _is_before(one, other, 1)


def is_below(one: SceneObject, other: SceneObject) -> Holds:
    """Whether one object stands lower in the picture than another."""
    return _is_before(other, one, 1)


def _is_before(one: SceneObject, other: SceneObject, axis: int) -> Holds:
    """Whether a box begins, has its middle and ends before another; the reverse is False, and anything between is None."""
    if _is_clearly_before(one, other, axis):
        return True

    return False if _is_clearly_before(other, one, axis) else None


def _is_clearly_before(one: SceneObject, other: SceneObject, axis: int) -> bool:
    (low, high), (other_low, other_high) = one.box[axis::2], other.box[axis::2]
    margin = max(_PIXELS, MARGIN * (high - low + other_high - other_low) / 2)
    return middle(other)[axis] - middle(one)[axis] > margin and low < other_low and high < other_high


def is_inside(one: SceneObject, other: SceneObject) -> Holds:
    """Whether the box of one object lies inside of that of another, larger one."""
    part = shared(one, other) / area(one)
    if part >= INSIDE and area(other) >= LARGER * area(one):
        return True

    return False if part <= NOT_INSIDE else None


def overlaps(one: SceneObject, other: SceneObject) -> Holds:
    """Whether two boxes have something in common; False is certain of the things too, True is of boxes only."""
    part = shared(one, other) / min(area(one), area(other))
    return True if part > 0.05 else False if not part else None


def is_larger(one: SceneObject, other: SceneObject) -> Holds:
    """Whether one box has the larger area."""
    if area(one) >= LARGER * area(other):
        return True

    return False if area(other) >= LARGER * area(one) else None


def is_smaller(one: SceneObject, other: SceneObject) -> Holds:
    """Whether one box has the smaller area."""
    return is_larger(other, one)


RELATIONS: dict[str, Callable[[SceneObject, SceneObject], Holds]] = {
    "left": is_left_of,
    "right": is_right_of,
    "above": is_above,
    "below": is_below,
    "inside": is_inside,
    "overlaps": overlaps,
    "larger": is_larger,
    "smaller": is_smaller,
}
"""What one object can be to another -> whether it is."""


def is_between(one: SceneObject, left: SceneObject, right: SceneObject) -> Holds:
    """Whether an object stands between two, from left to right where these stand so, else from top to bottom."""
    for axis, holds in ((1, is_left_of), (0, is_above)):
        if holds(left, right) is None:
            continue

        first, last = (left, right) if holds(left, right) else (right, left)
        held = holds(first, one), holds(one, last)
        low, high = min(left.box[axis], right.box[axis]), max(left.box[axis + 2], right.box[axis + 2])
        is_beside = one.box[axis] < high and one.box[axis + 2] > low  # else it is far over them, or below
        return False if False in held else True if all(held) and is_beside else None

    return None


_VAGUE = 0.1
"""Part of the picture's side, around its middle, in which nothing is on one side of it."""


def in_half(one: SceneObject, relation: str, size: tuple[int, int]) -> Holds:
    """Whether an object is in the left, right, upper ("above") or lower half of a picture of that size."""
    if relation not in ("left", "right", "above", "below"):
        return None

    axis = 0 if relation in ("left", "right") else 1
    part = middle(one)[axis] / size[axis]
    return None if abs(part - 0.5) < _VAGUE else (part < 0.5) == (relation in ("left", "above"))


def is_plain(relation: str, one: SceneObject, other: SceneObject) -> bool:
    """Return whether nobody would say otherwise of two that stand in a relation: one box ends before the other begins.

    Of what is above or below something: that it stands over it too, and not far to the side.
    """
    if relation not in ("left", "right", "above", "below"):
        return True

    is_beside = one.box[2] <= other.box[0] or other.box[2] <= one.box[0]
    return is_beside == (relation in ("left", "right"))


EXTREMES = {
    "leftmost": is_left_of,
    "rightmost": is_right_of,
    "topmost": is_above,
    "lowest": is_below,
    "largest": is_larger,
    "smallest": is_smaller,
}
"""What one object can be among several -> what it then is to each of the others."""


def is_extreme(which: str, one: SceneObject, objects: Sequence[SceneObject]) -> Holds:
    """Whether one object is `which` of EXTREMES among several: True where it holds against each, False where one is so of it."""
    others = [other for other in objects if other is not one]
    holds = [EXTREMES[which](one, other) for other in others]
    if any(held is False for held in holds):
        return False

    return True if others and all(holds) else None


def extreme(which: str, objects: Sequence[SceneObject]) -> SceneObject | None:
    """Return the object that is `which` of EXTREMES; None where no one clearly is."""
    return next((one for one in objects if is_extreme(which, one, objects)), None)
