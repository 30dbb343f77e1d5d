"""Tests of virgo_factory/rollouts/question.py: the file of questions, row by row."""

import json

import pytest

from virgo_factory.answers import Question
from virgo_factory.core.thought import MARKERS
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.question import (
    VisualQuestion,
    is_binary,
    is_blank,
    question_of,
    read_questions,
    write_question,
)


ROW = {"id": "a/1", "images": ["x.png"], "question": "How many?", "gold": "3"}
FULL = VisualQuestion(
    *("geos/1", "geos", ("images/ab/x.png",), ("0" * 64,), "Which angle, “α”?", "60°"),
    *(("30°", "60°"), "choice", None, "math", "1/question.json"),
)


@pytest.mark.parametrize(
    "question", [FULL, question_of(ROW), question_of({**ROW, "gold": 3.5}), question_of({**ROW, "gold": ["a", 2]})]
)
def test_what_is_written_is_read_again(question, tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(write_question(question) * 2, encoding="utf-8")
    first, second = read_questions(path)
    assert first == second
    assert first == question if not isinstance(question.gold, list) else first.gold == ["a", 2]
    written = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert set(written) == set(VisualQuestion.__dataclass_fields__)


def test_defaults():
    question = question_of({**ROW, "kind": None, "options": None, "unit": None, "grading": None, "source": None})
    assert (question.source, question.options, question.kind, question.unit) == ("questions", (), None, None)
    assert question.grading == "math"


@pytest.mark.parametrize(
    "row",
    [
        {"id": "aime/1", "question": "What is 1 + 1?", "gold": 2},
        {"id": "mathverse/1", "images": ["x.png"], "question": "", "gold": "A"},
        {"id": "mmmu/1", "images": ["x.png"], "parts": ["Look at ", 0, " and say."], "gold": "A"},
    ],
)
def test_text_or_picture_may_be_missing(row):
    question = question_of(row)
    assert question.question == ("Look at and say." if "parts" in row else row["question"])
    assert len(question.images) == len(row.get("images", ()))


def test_an_id_may_be_a_number_and_rows_with_pass_rates_are_read():
    assert question_of({**ROW, "id": 7, "pass_rate": 0.4, "avg_reward": None}) == question_of({**ROW, "id": "7"})


def test_what_is_known_of_the_answer_is_handed_on():
    known = {
        "options": ["a", "b"],
        "kind": "number",
        "unit": "cm",
        "precision": 2,
        "tolerance": [0.1, 1],
        "several": True,
    }
    asked = question_of({**ROW, **known}).asked
    assert asked == Question("How many?", ("a", "b"), "number", "cm", 2, (0.1, 1), True)


NO_PARTS = "parts do not name each picture once, in order"
REFUSED = {  # reason -> what is changed in a good row
    "unknown column": [{"option": ["a"]}],
    "gold is not a text, a number or a list of these": [{"gold": {"a": 1}}, {"gold": [["a"]]}],
    "gold is not a finite number": [{"gold": float("inf")}, {"gold": [1, float("-inf")]}],
    "images is not a list of texts": [{"images": "x.png"}, {"images": [None]}],
    "neither text nor picture": [{"images": [], "question": " "}],
    "question is not text": [{"question": 3}],
    "the id is empty": [{"id": ""}],
    "id is not text": [{"id": ["7"]}, {"id": True}],
    "an option is empty": [{"options": ["a", ""]}],
    "options is not a list of texts": [{"options": "ab"}],
    "too many options": [{"options": ["x"] * 27}],
    "kind unknown": [{"kind": "letter"}],
    "grading unknown": [{"grading": "lenient"}],
    "unit is not text": [{"unit": 3}],
    "precision is not a number of decimals": [{"precision": 1.5}, {"precision": True}],
    "tolerance is not a number or a list of numbers": [{"tolerance": "1e-2"}, {"tolerance": [0.1, None]}],
    "several is not true or false": [{"several": 1}],
    "groups is not an object of texts": [{"groups": {"level": 3}}],
    "cluster is not text": [{"cluster": 7}],
    "parts is not a list of texts and positions of pictures": [{"parts": "Look"}, {"parts": ["Look", -1]}],
    NO_PARTS: [
        {"parts": ["Look"]},
        {"parts": [0, "Look", 0]},
        {"images": ["x.png", "y.png"], "parts": [1, "Look", 0]},
    ],
    "control token in the parts": [{"parts": [f"Look at {text}", 0]} for text in ("<image>", "<|im_end|>")],
    "control token in the groups": [{"groups": {"level": "<|im_end|>"}}],
    "control token in the question": [
        {"question": f"How {text} many?"} for text in ("<image>", "<|im_end|>", MARKERS[0])
    ],
    "control token in the option": [{"options": ["a", "<|image_pad|>"]}],
    "control token in the gold": [{"gold": "3<|im_end|>"}, {"gold": ["3", "<image>"]}],
    "control token in the id": [{"id": "<|im_start|>"}],
    "text is not valid Unicode": [{"question": "half \ud800 of a pair"}],
}
REFUSED["control token in the parts"] += [
    {"parts": ["Look at <im", "age> ", 0]},
    {"parts": ["Look <|im_", 0, "end|>"]},
]


@pytest.mark.parametrize(("changed", "reason"), [(row, reason) for reason, rows in REFUSED.items() for row in rows])
def test_refused_rows(changed, reason, tmp_path):
    with pytest.raises(RejectedRow) as error:
        question_of({**ROW, **changed})

    assert error.value.reason == reason
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(ROW) + "\n\n" + json.dumps({**ROW, **changed}) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"q\.jsonl:3: "):
        list(read_questions(path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"id": \n', r"q\.jsonl:2: not JSON in UTF-8"),
        (b"\xff\xfe\n", r"q\.jsonl:2: not JSON in UTF-8"),
        (b"[1]\n", r"q\.jsonl:2: not an object"),
        (b'{"id": "a"}', r"q\.jsonl:2: a column is missing: gold; needed are id, gold"),
        (b'{"gold": "a"}', r"q\.jsonl:2: a column is missing: id; needed are id, gold"),
        (json.dumps({**ROW, "gold": " "}).encode(), r"q\.jsonl:2 \(id a/1\): no gold answer"),
        (None, "distill questions CONFIG makes one"),
    ],
)
def test_broken_lines_name_the_place_and_a_missing_file_what_makes_one(content, told, tmp_path):
    path = tmp_path / "q.jsonl"
    if content is not None:
        path.write_bytes(json.dumps(ROW).encode() + b"\n" + content)

    with pytest.raises(ValueError, match=told):
        list(read_questions(path))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.parquet", b"PAR1\x15\0\x15", "a Parquet file. Questions are read from JSON lines in UTF-8"),
        ("q.csv", b"id,gold\n1,2\n", "a table of separated values. Questions"),
        ("q.json", b'[\n{"id": "1"}]', "a JSON list. Questions"),
        ("q.jsonl", '{"id": "1"}\n'.encode("utf-16"), "not UTF-8, but UTF-16 .* Convert it: iconv"),
    ],
)
def test_another_file_is_told_in_words(name, content, told, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=told):
        list(read_questions(tmp_path / name))


def test_an_unknown_column_is_told_once(tmp_path):
    path, left_out = tmp_path / "q.jsonl", []
    path.write_text(f"{json.dumps(ROW | {'answer_text': '4'})}\n" * 3, encoding="utf-8")
    assert (
        not list(read_questions(path, left_out))
        and len(left_out) == 1
        and "q.jsonl:1: unknown column: answer_text" in left_out[0]
    )


def test_blank_golds_and_binary_questions():
    assert all(map(is_blank, (None, "", "  ", [], float("nan")))) and not any(map(is_blank, (0, "0", False)))
    rows = ({"kind": "boolean"}, {"options": ["a", "b"]}, {"options": ["a", "b", "c"]}, {})
    assert [is_binary(question_of(ROW | row)) for row in rows] == [True, True, False, False]
