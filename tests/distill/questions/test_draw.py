"""Tests of virgo_factory/distill/questions/draw.py: what is held depends on what there is, not on the order it comes in."""

import random
from collections import Counter

import pytest

from virgo_factory.distill.questions.draw import DUPLICATE, NOT_DRAWN, SAME_PICTURE, Draw, Held


def by_hand(rows, wanted, per_picture):
    """The rule in its plainest form: all rows in the order of their places, each taken unless a bound forbids it."""
    taken, pictures, texts = [], Counter(), set()
    for place, picture, text in sorted(rows):
        if (picture, text) not in texts and pictures[picture] < per_picture and len(taken) < wanted:
            taken.append((place, picture))
            pictures[picture] += 1
            texts.add((picture, text))

    return taken


def keys(drawn, count):
    return [held[:2] for held in drawn.best(count)]


def draw(rows, wanted, per_picture):
    """Return what is held of rows in their order, and why the others are not."""
    drawn, reasons = Draw(wanted, per_picture), Counter()
    for number, (place, picture, text) in enumerate(rows):
        if not drawn.has_room(place):
            reasons[NOT_DRAWN] += 1
            continue

        if reason := drawn.offer(Held(place, picture, text, 0, number)):
            reasons[reason] += 1

    return drawn, reasons


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("wanted", "per_picture"), [(5, 1), (12, 2), (1, 1), (200, 3)])
def test_the_order_of_the_rows_does_not_count(seed, wanted, per_picture):
    rng = random.Random(seed)
    rows = [(rng.randrange(10**9), b"%d" % rng.randrange(20), b"%d" % rng.randrange(4)) for _ in range(120)]
    expected = by_hand(rows, wanted, per_picture)
    for _ in range(3):
        rng.shuffle(rows)
        drawn, reasons = draw(rows, wanted, per_picture)
        assert keys(drawn, wanted) == expected
        assert len(drawn) + sum(reasons.values()) == len(rows), "every row is held or has a reason"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(1, b"p", b"t"), (2, b"p", b"t")], DUPLICATE),
        ([(2, b"p", b"t"), (1, b"p", b"t")], DUPLICATE),
        ([(1, b"p", b"t"), (1, b"p", b"t")], DUPLICATE),
        ([(1, b"p", b"t"), (2, b"p", b"u")], SAME_PICTURE),
        ([(2, b"p", b"t"), (1, b"p", b"u")], SAME_PICTURE),
    ],
)
def test_reasons(rows, reason):
    drawn, reasons = draw(rows, 5, 1)
    assert reasons == {reason: 1}
    assert keys(drawn, 5) == [(1, b"p")]


def test_the_same_text_on_two_pictures_is_two_questions():
    drawn, reasons = draw([(1, b"p", b"t"), (2, b"q", b"t")], 5, 1)
    assert not reasons and len(drawn) == 2


def test_what_is_let_go_is_returned_and_makes_room():
    drawn, _ = draw([(1, b"p", b"t"), (2, b"q", b"t")], 2, 1)
    assert not drawn.has_room(3)
    assert [held.number for held in drawn.drop({0: "why"})] == [0]
    assert keys(drawn, 2) == [(2, b"q")] and drawn.has_room(3)
