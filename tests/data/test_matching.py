"""Tests of virgo_factory/data/fetch/picture_match.py: spellings of one question, and turns that are no pairs."""

import pytest

from virgo_factory.data.fetch.picture_match import match_answer, match_text, pairs_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("<image>\nHow many?", "How many?\n<image>", True),
        ("<image>Please first think deeply about the question, and then put the final answer in \\boxed{}.\nHow many?", "How many?", True),
        ("Hint: Please answer the question.\nQuestion: How many?", "how  MANY?", True),
        ("Is it 5 cm?\nAnswer the question with a single word.", "Is it 5 cm?", True),
        ("What is x?\nChoices:\nA: 1\nB: 2", "What is x?", False),
        ("Which answer is shorter?", "Which?", False),
        ("How many?", "How many", False),
        ("Answer briefly.", "", False),
    ],
)  # fmt: skip
def test_match_text(one, other, same):
    assert (match_text(one) == match_text(other)) is same


@pytest.mark.parametrize("piece", ["answer ", "!", " ", "? ", "\n", "<image>", "hint:"])
def test_a_megabyte_of_anything_is_read_in_linear_time(piece, grows_linearly):
    grows_linearly(lambda size: match_text(f"What? {piece * (size // len(piece))}"), 250_000, 1_000_000)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The answer is 58", "58", True),
        ("Yes.", "yes", True),
        ("(B)", "b", True),
        ("3.", "3", True),
        ("3.0", "3", False),
        ("(AB)", "AB", False),
        ("The answer is", "", False),
    ],
)
def test_match_answer(one, other, same):
    assert (match_answer(one) == match_answer(other)) is same


def test_pairs_need_their_order():
    human, gpt = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
    assert pairs_of([human, gpt, human, gpt]) == [("q", "a")] * 2
    for turns in (None, [], [human], [human, human], [gpt, human], [human, gpt, gpt, human], ["x", "y"]):
        assert pairs_of(turns) == []
