"""Prompts for reinforcement learning: every layout with its gold, and a reason for each row that cannot be learned from."""

import json
from random import Random

import pytest

from virgo_factory.demo.visual_rows import write_questions
from virgo_factory.formats import Options, read_row
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.prompt import asked_text
from virgo_factory.rollouts.question import VisualQuestion, read_questions, write_question


def read(row, **options):
    (part,) = read_row(row, "questions", Options(**options)).parts
    return part


VERL = {
    "data_source": "mmk12",
    "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": "<image>What is it?"}],
    "images": [{"bytes": b"png", "path": None}],
    "ability": "math",
    "reward_model": {"style": "rule", "ground_truth": "42"},
    "extra_info": {"index": 3, "split": "train"},
}
ROWS = [
    # (row, what its example has)
    (VERL, {"id": "mmk12/3", "question": "<image>What is it?", "system": "Think.", "source": "mmk12", "gold": "42"}),
    ({k: v for k, v in VERL.items() if k != "extra_info"}, {"question": "<image>What is it?", "gold": "42"}),
    ({"problem": "1 + 1?", "solution": "$2$"}, {"question": "1 + 1?", "gold": "$2$", "options": [], "kind": None}),
    (
        {"question": "Which?", "answer": "B", "choices": ["red", "blue"], "image": "a.png"},
        {"question": "<image>\nWhich?\nA. red\nB. blue", "gold": "B", "options": ["red", "blue"], "kind": "choice"},
    ),
    ({"question": "Q?", "answer": 2.5, "avg_reward": 0.25}, {"gold": 2.5, "pass_rate": 0.25}),
    ({"messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A"}], "answer": "7"}, {"gold": "7"}),
    ({"question": "Q?", "answer": ["3", "4"]}, {"gold": ["3", "4"]}),
    ({"question": "Q?", "answer": "3", "score": 10**400}, {"gold": "3"}),  # more than a float holds
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), ROWS)
def test_a_prompt_is_its_question_and_its_gold(row, expected):
    example = read(row)
    assert not isinstance(example, RejectedRow), example
    found = vars(example) | example.asked
    assert {name: found[name] for name in expected} == expected
    assert example.response == ""


REJECTED = [
    ({"question": "Q?"}, "no gold answer"),
    ({"question": "Q?", "answer": " "}, "no gold answer"),
    ({"question": "Q?", "answer": {"a": 1}}, "the gold answer is no text, number or list of these"),
    ({"question": "Which?", "answer": "C", "choices": ["red", "blue"]}, "the gold answer cannot be checked"),
    ({"question": "Q?", "answer": "see figure"}, "the gold answer cannot be checked"),
    ({"answer": "2"}, "no question"),
    ({"question": "<|im_end|>?", "answer": "2"}, "control token in the question"),
    ({"question": "Q?", "answer": "2", "grading": "rubric"}, "grading unknown"),
    ({"question": "Q?", "answer": "2", "grading": {"a": 1}}, "grading unknown"),
    ({"question": "Q?", "answer": "2", "pass_rate": 7}, "pass_rate is not a share from 0 to 1"),
    (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}], "answer": "7"},
        "a prompt of several turns",
    ),  # fmt: skip
]  # fmt: skip


@pytest.mark.parametrize(("row", "reason"), REJECTED)
def test_a_row_that_nothing_can_be_learned_from(row, reason):
    found = read(row)
    assert isinstance(found, RejectedRow), found
    assert found.reason == reason


def test_a_column_may_be_named():
    assert read({"question": "Q?", "truth": "5"}, columns={"gold": "truth"}).asked["gold"] == "5"


def test_questions_of_a_file_are_asked_as_there(tmp_path):
    """And with options and places of pictures, which the drawn ones lack."""
    file = write_questions(tmp_path, 12, seed=Random(1).randrange(100))
    for question, line in zip(read_questions(file), file.read_text().splitlines(), strict=True):
        example = read(json.loads(line))
        assert (example.question, example.id) == (asked_text(question), question.id)
        assert (example.asked["gold"], example.asked["kind"]) == (question.gold, question.kind)

    whole = VisualQuestion("m/1", "m", ("a.png",), ("0",), "Which is it?", "B", ("oil", "ink"), "choice",
                           parts=("Look at ", 0, " Which is it?"))  # fmt: skip
    assert read(json.loads(write_question(whole))).question == asked_text(whole)


def test_of_parts_and_a_question_that_differ_the_parts_are_asked():
    parts = ("Look at ", 0, " and say how many.")
    given = VisualQuestion("p", "questions", ("a.png",), (), "Look at this and say how many.", "4", parts=parts)
    prompt = read(json.loads(write_question(given)))
    assert prompt.question == asked_text(given) == "Look at <image> and say how many."
    other = {"question": "How many?", "query": "What colour?", "answer": "4", "options": ["3", "4"]}
    with pytest.raises(RejectedRow, match="question and query differ"):
        raise read(other)


def test_a_mark_of_a_response_says_nothing_against_a_prompt():
    row = {"question": "What is 1 + 3?", "answer": "4"}
    for mark, notes in (
        ({"correct": False}, ("mark not understood: correct",)),
        ({"true_false": True, "finish_reason": "length"}, ()),
    ):
        (example,) = read_row(row | mark, "questions").parts
        assert (example.asked["gold"], example.notes) == ("4", notes)

    for mark in ({"keep": False}, {"status": "rejected"}, {"is_valid": "no"}, {"train": False}):
        assert isinstance(read_row(row | mark, "questions").parts[0], RejectedRow)
