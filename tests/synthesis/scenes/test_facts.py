"""What boxes say of each other, and where they say nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.synthesis.scenes.facts import EXTREMES, RELATIONS, extreme, is_extreme
from virgo_factory.synthesis.words import SceneObject


def at(*box: int, tag: str = "") -> SceneObject:
    return SceneObject(tag, "cup", box)


A = at(100, 100, 140, 140)


@pytest.mark.parametrize(
    ("relation", "one", "expected"),
    [
        ("left", at(0, 100, 40, 140), True),
        ("left", at(300, 0, 340, 40), False),
        ("left", at(98, 300, 138, 340), None),  # by two pixels: nobody would say so
        ("left", at(60, 100, 180, 140), None),  # reaches out on both sides
        ("right", at(150, 0, 190, 40), True),
        ("above", at(100, 0, 140, 40), True),
        ("below", at(100, 0, 140, 40), False),
        ("below", at(0, 101, 40, 141), None),
        ("inside", at(110, 110, 120, 120), True),
        ("inside", at(0, 0, 10, 10), False),
        ("inside", at(90, 110, 120, 120), None),
        ("inside", at(100, 100, 140, 140), None),  # as large as the other
        ("overlaps", at(130, 130, 170, 170), True),
        ("overlaps", at(141, 100, 170, 140), False),
        ("overlaps", at(139, 100, 179, 140), None),
        ("larger", at(0, 0, 100, 100), True),
        ("larger", at(0, 0, 41, 41), None),
        ("smaller", at(0, 0, 30, 30), True),
    ],
)
def test_relations(relation, one, expected):
    assert RELATIONS[relation](one, A) is expected


boxes = st.tuples(*[st.integers(0, 300)] * 2, *[st.integers(3, 200)] * 2).map(
    lambda box: at(box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(boxes, boxes)
def test_what_is_left_of_something_has_it_to_its_right(one, other):
    for relation, reverse in (("left", "right"), ("above", "below"), ("larger", "smaller")):
        assert RELATIONS[relation](one, other) is RELATIONS[reverse](other, one)
        assert (RELATIONS[relation](one, other) is True) == (RELATIONS[relation](other, one) is False)


@given(boxes, boxes, st.integers(2, 5))
def test_facts_do_not_depend_on_the_size_of_the_picture(one, other, times):
    """But for the two pixels below which nothing is told: larger pictures say no less, and never otherwise."""
    grown = [at(*(side * times for side in some.box)) for some in (one, other)]
    for relation, holds in RELATIONS.items():
        before, after = holds(one, other), holds(*grown)
        assert after is before or before is None and relation in ("left", "right", "above", "below")


def test_extremes_are_clear_or_nothing():
    row = [at(0, 0, 20, 20), at(100, 5, 130, 35), at(200, 90, 280, 170)]
    assert extreme("leftmost", row) is row[0] and extreme("rightmost", row) is row[2]
    assert (
        extreme("lowest", row) is row[2] and extreme("largest", row) is row[2] and extreme("smallest", row) is row[0]
    )
    assert extreme("leftmost", [row[0], at(1, 90, 21, 110), row[2]]) is None
    assert is_extreme("leftmost", row[1], row) is False and is_extreme("leftmost", row[0], row[:1]) is None


@given(st.lists(boxes, min_size=2, max_size=6))
def test_at_most_one_is_at_an_end(some):
    for which in EXTREMES:
        assert sum(is_extreme(which, one, some) is True for one in some) <= 1


def test_margins_are_where_they_are_said_to_be():
    """Middles a tenth of the mean width apart, of boxes 100 wide: 10 pixels are nothing, 11 are a side."""
    one = at(0, 0, 100, 100)
    assert RELATIONS["left"](one, at(10, 0, 110, 100)) is None
    assert RELATIONS["left"](one, at(11, 0, 111, 100)) is True
    side = math.isqrt(12_000)
    assert RELATIONS["larger"](at(0, 0, side + 1, side + 1), one) is True
    assert RELATIONS["larger"](at(0, 0, side, side), one) is None
