"""Columns that may judge the response and are in no table: which are told, and which are left alone."""

from collections import Counter

import pytest

from virgo_factory.formats.marks.unread import MOST_VALUES, UnreadMarks, judging_value


def told(values, name="chk", named=()):
    """Return what is told of a column with some values, one a row."""
    unread, found = UnreadMarks(named), Counter()
    for value in values:
        for place, one in unread.of(
            {"question": "Which?", **({name: value} if isinstance(name, str) else {name[0]: {name[1]: value}})}
        ):
            assert place == (name if isinstance(name, str) else ".".join(name))
            found[one] += 1

    return judging_value(found)


JUDGING = [
    ([True] * 5 + [False], ("info", False)),
    ([1, 1, 0], ("info", 0)),
    ([1.0, 0.0, 1.0], ("info", 0.0)),
    (["yes", "yes", "No"], ("info", "No")),
    ([None, None, False], ("info", False)),
    ([0, 0], ("info", 0)),
    (["pass", "pass", "fail"], ("warning", "fail")),
    (["fine", "fine", "bad", "bad"], ("warning", "bad")),
    (["✓", "✗", "✓"], ("warning", "✗")),
    ([True, True], None),
    (["yes", "yes"], None),
    ([0, 1, 2, 0], None),
    ([0.5, 1, 0], None),
    (["math", "physics"], None),
    (["math", "no"], None),
    (["a long text about something that is none of all this", "wrong"], None),
    (["wrong", ["wrong"]], None),
    ([f"topic {n}" for n in range(MOST_VALUES + 1)] + ["wrong"], None),
    ([{"a": 1}], None),
]


@pytest.mark.parametrize(("values", "expected"), JUDGING)
def test_a_column_with_few_values_that_judge_is_told(values, expected):
    assert told(values) == expected
    if not isinstance(values[0], dict):
        assert told(values, ("meta", "chk")) == expected


@pytest.mark.parametrize(
    "name", ["correct", "score", "answer", "label", "id", "turn", "has_image", "is_multiple_choice", "A"]
)
def test_a_column_whose_name_is_known_is_left_alone(name):
    assert told([True, False], name) is None


def test_a_column_that_the_entry_names_is_left_alone():
    assert told([True, False], named=["chk"]) is None
