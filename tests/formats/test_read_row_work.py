"""A plain row costs little work: calls are counted, not seconds, so that a loaded machine tells the same."""

import sys

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.formats import read_row


RESPONSE = LongThought("Let me see. " * 300, "It is [4].").render()
ROWS = [
    # (formatting, row, calls of Python functions that are enough; 64 and 118 when this was written)
    ("virgo_dt", {"question": "What is [1, 2]?", "combined_text": RESPONSE, "domain": "math"}, 75),
    ("long_thought", {"conversations": [{"from": "human", "value": "What is [1, 2]?"}, {"from": "gpt", "value": RESPONSE}]}, 140),
]  # fmt: skip


@pytest.mark.parametrize(("formatting", "row", "enough"), ROWS)
def test_a_plain_row_costs_few_calls(formatting, row, enough):
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    read_row(row, formatting)  # what is known of its columns is kept
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        reading = read_row(row, formatting)
    finally:
        sys.setprofile(before)

    assert reading.parts[0].response.solution == "It is [4]." and calls <= enough
