"""A plain row costs little work: calls are counted, not seconds, so that a loaded machine tells the same."""

import re
import sys

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.formats import read_row
from virgo_factory.formats.any_row import next_turns
from virgo_factory.formats.any_row.foreign_tokens import foreign_token, outside_code, part_in_tags


RESPONSE = LongThought("Let me see. " * 300, "It is [4].").render()
ROWS = [
    # (formatting, row, calls of Python functions that are enough; 75 and 137 when this was written)
    ("virgo_dt", {"question": "What is [1, 2]?", "combined_text": RESPONSE, "domain": "math"}, 82),
    ("long_thought", {"conversations": [{"from": "human", "value": "What is [1, 2]?"}, {"from": "gpt", "value": RESPONSE}]}, 150),
]  # fmt: skip


def calls(work, names=None):
    """Return how many functions are called, of Python, or of C with some names."""
    count = 0

    def look(frame, event, argument):
        nonlocal count
        count += event == "call" if names is None else event == "c_call" and argument.__name__ in names

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)

    return count


@pytest.mark.parametrize(("formatting", "row", "enough"), ROWS)
def test_a_plain_row_costs_few_calls(formatting, row, enough):
    reading = read_row(row, formatting)  # what is known of its columns is kept
    assert reading.parts[0].response.solution == "It is [4]."
    assert calls(lambda: read_row(row, formatting)) <= enough


REPEATED = ["`<|psi|>` ", "`a` <|psi|> ", '"<verify>x</verify>" ', "`<|begin_of_thought|>` ", "`<think>` "]


@pytest.mark.parametrize("text", REPEATED)
def test_thousands_of_tags_and_of_pieces_of_code_are_not_compared_with_each_other(text):
    def look(count):
        long = f"It is {text * count} 4."
        return calls(lambda: (foreign_token(long), part_in_tags(long), outside_code(long, re.compile("<"))))

    look(1)
    assert look(2000) < 2.5 * look(1000)


def test_a_text_is_made_small_once_whatever_number_of_passages_it_strikes_out():
    look = [calls(lambda: foreign_token("<s>a</s> " * count), ("lower",)) for count in (10, 1000)]
    assert look[0] == look[1]


def test_a_reply_is_looked_for_once_whatever_number_of_turns_a_text_has(monkeypatch):
    looks = []

    class Counted:
        def __init__(self, pattern):
            self.pattern = pattern

        def __getattr__(self, name):
            looks.append(name)
            return getattr(self.pattern, name)

    for name in ("_REPLY", "_DIALOGUE"):
        monkeypatch.setattr(next_turns, name, Counted(getattr(next_turns, name)))

    assert next_turns.next_turn("Which?", "It is 4.\n" + "User: And?\n" * 1000) == ""
    assert len(looks) == 2
