"""Claims in the form for them, held against boxes and against the options, whatever the words of the question."""

import pytest

from virgo_factory.synthesis.scenes.claims import contradiction
from virgo_factory.synthesis.words import Question


@pytest.fixture
def table(boxed):
    """Three cups and two plates from left to right, a clock high over them; the last cup close to the bottle."""
    return boxed(
        ("cup", (40, 200, 100, 270), {"color": "red"}),
        ("cup", (200, 220, 260, 290), {"color": "blue"}),
        ("cup", (420, 210, 480, 280), {"color": "red"}),
        ("plate", (120, 300, 220, 340)),
        ("plate", (340, 310, 460, 360)),
        ("bottle", (470, 205, 530, 290)),
        ("clock", (200, 20, 260, 90)),
        uncounted=("plate",),
    )


NUMBERS = ("Three", "Two", "Four", "At least two")
THINGS = ("cup 1", "cup 2", "the clock", "something else")
SIDES = ("To the left of it", "To the right", "Below it", "Nobody knows")
NOT_TRUE, OF_OTHER, TWO = "claim does not hold", "of another answer", "another option is right too"
SAID = [
    # numbers
    (NUMBERS[:3], "count(cup) = 3", None),
    (NUMBERS[:3], "count(cup)=three.", None),
    (NUMBERS[:3], "count(cup) = 4", NOT_TRUE),
    (("Two", "Three", "Four"), "count(cup) = 3", OF_OTHER),
    (NUMBERS, "count(cup) = 3", TWO),
    (("Two", "One", "Three"), "count(red cup) = 2", None),
    (("Two", "One", "Three"), "count(red cup) = 1", NOT_TRUE),
    (("Four", "One", "Three"), "count(cup, clock) = 4", None),
    (("Three", "One", "Four"), "count(cup, clock) = 3", NOT_TRUE),
    (("Two", "One", "Three"), "count(cup, left_of cup 3) = 2", None),
    (("Three", "One", "Two"), "count(cup, left_of cup 3) = 3", NOT_TRUE),
    (("Two", "One", "Three"), "count(cup) - count(clock) = 2", None),
    (("One", "Two", "Three"), "count(cup) - count(clock) = 1", NOT_TRUE),
    (("Cups", "Clocks", "Bottles"), "count(clock) = 1", OF_OTHER),
    (("Clocks", "Cups", "Bottles"), "count(clock) = 1", TWO),
    (("2 to 1", "1 to 1", "x"), "count(cup) = 3", None),
    (("No", "Yes", "x"), "count(cup) = 3", None),
    (("No", "Yes", "x"), "count(cup) = 2", NOT_TRUE),
    (("Five", "One", "Three"), "count(plate) = 5", None),  # not all of them have boxes
    (("Cups", "Clocks", "equal"), "more(cup, clock)", None),
    (("Clocks", "Cups", "equal"), "more(clock, cup)", NOT_TRUE),
    (("Clocks", "Cups", "equal"), "more(cup, clock)", OF_OTHER),
    (("As many", "More cups", "x"), "same_number(cup, clock)", NOT_TRUE),
    (("As many", "More cups", "x"), "same_number(bottle, clock)", None),
    # places
    (THINGS, "left_of(cup 1, cup 3)", TWO),
    (THINGS, "left_of(cup 1, cup 2)", None),
    (THINGS, "left of (cup 1, cup 2)", None),
    (THINGS, "right_of(cup 1, cup 2)", NOT_TRUE),
    (THINGS, "left_of(plate 1, plate 2)", OF_OTHER),
    (("cup 2", "cup 1", "x"), "left_of(cup 1, cup 2)", OF_OTHER),
    (("cup 2", "cup 3", "x"), "left_of(cup 1, cup 2)", None),  # what it is left of
    (("cup 3", "cup 1", "x"), "left_of(cup 3, bottle 1)", TWO),
    (("the bottle", "cup 1", "x"), "left_of(bottle 1, cup 3)", NOT_TRUE),
    (("the clock", "plate 1", "x"), "above(clock 1, cup 2)", None),
    (SIDES, "left_of(cup 1, cup 2)", None),
    (("Behind it", "In front of it", "x"), "left_of(cup 1, cup 2)", None),
    (("To the right", "To the left", "x"), "left_of(cup 1, cup 2)", OF_OTHER),
    (("On the left", "Left of it", "x"), "left_of(cup 1, cup 2)", TWO),
    (("In the upper right", "In the lower left", "x"), "above(clock 1, cup 3)", None),  # of the picture: the cup is to its right
    (("At the bottom", "At the top", "x"), "above(clock 1, cup 3)", OF_OTHER),
    (("In the lower right", "In the upper right", "x"), "above(clock 1, cup 3)", OF_OTHER),
    (("Cup 2 is right of cup 1", "x", "y"), "left_of(cup 1, cup 2)", None),
    (("Cup 2 is left of cup 1", "x", "y"), "left_of(cup 1, cup 2)", OF_OTHER),
    (("Yes", "No", "x"), "left_of(cup 2, cup 1)", NOT_TRUE),
    (("cup 2", "cup 1", "x"), "between(cup 2, cup 1, cup 3)", None),
    (("cup 1", "cup 2", "x"), "between(cup 1, cup 2, cup 3)", NOT_TRUE),
    (("cup 1", "cup 2", "x"), "leftmost(cup 1, cup)", None),
    (("cup 2", "cup 1", "x"), "leftmost(cup 2, cup)", NOT_TRUE),
    (("cup 2", "cup 1", "x"), "leftmost(cup 1, cup 2, cup 3)", OF_OTHER),
    (("plate 2", "clock", "x"), "larger(plate 2, clock 1)", None),
    (("clock", "plate 2", "x"), "larger(clock 1, plate 2)", NOT_TRUE),
    (("clock", "plate 2", "x"), "covers(clock 1, plate 2)", NOT_TRUE),
    # what is no claim says nothing
    *[(THINGS, claim, None) for claim in ("", "cup 1", "tallest(cup 1)", "left_of(cup 1)", "left_of(sky, cup 1)", "count() = 3", "count(cup) = red")],
]  # fmt: skip


@pytest.mark.parametrize(("options", "claim", "told"), SAID)
def test_a_claim_is_held_against_boxes_and_answer(options, claim, told, table):
    options = (*options, "w", "v")[:4]
    found = contradiction(Question("q", "s/1", "Whose spot deserves it?", options, "A", claim=claim), table)
    assert (found is None) if told is None else told in (found or ""), found


def test_an_answer_that_is_right_may_say_the_claim_from_the_other_side(table):
    def told(answer: str) -> str | None:
        question = "Relative to the clock, where is cup 2?"
        return contradiction(
            Question("q", "s/1", question, ("Below it", "Above it", "x", "y"), answer, claim="above(clock 1, cup 2)"),
            table,
        )

    assert told("A") is None and told("B")


def test_what_sort_is_asked_for_may_not_be_all_that_stands_there(table):
    def asked(question: str) -> str | None:
        options = ("cup 1", "the clock", "x", "y")
        return contradiction(Question("q", "s/1", question, options, "A", claim="left_of(cup 1, bottle 1)"), table)

    assert asked("Which vessel has its spot there?") is None
    assert TWO in asked("Which of these has its spot there?")
