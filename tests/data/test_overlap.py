"""Overlap with benchmarks by 8-grams: real benchmarks, against sets of word tuples."""

import csv
import functools
import json
import re
from collections import Counter

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from virgo_factory.data.check.overlap import Overlaps, Question, question_grams, read_benchmark


BENCHMARKS = {
    "mathverse/testmini_text_only.json": 387,
    "mathvision/test.jsonl": 1_556,
    "olympiadbench/OE_TO_maths_en_COMP.json": 346,
    "mathvista/testmini.json": 449,
}
"""File -> different questions."""

ONE = "A train leaves the station at noon and travels at sixty miles an hour until it stops."
TWO = "Find the smallest prime number that divides one more than the product of the first five primes."


def _overlaps(questions, rows):
    overlaps = Overlaps(Question(f"q{number}", text) for number, text in enumerate(questions))
    for number, row in enumerate(rows):
        overlaps.add_grams(number, np.unique(question_grams(row)))

    return overlaps, list(overlaps.found(len(rows)))


def test_a_copy_and_a_phrase_and_nothing():
    _, found = _overlaps(
        [ONE, TWO],
        [
            "Please think. " + ONE.upper().replace(",", " ;"),
            "A bus leaves at noon and travels at sixty miles an hour for two days.",
            "Something else that has nothing to do with any of these questions, at all.",
        ],
    )
    assert [(overlap.row, overlap.question, overlap.is_copy) for overlap in found] == [(0, 0, True), (1, 0, False)]
    assert (found[0].shared, found[0].of) == (len(ONE.split()) - 7, len(ONE.split()) - 7)
    assert found[1].shared == 2  # "at noon and travels at sixty miles an hour" is nine words
    assert found[1].of == found[0].of


def test_the_question_that_is_shared_most_is_named():
    _, found = _overlaps([ONE, TWO], [f"{ONE[:60]} {TWO}"])
    assert [overlap.question for overlap in found] == [1]


def test_short_questions_are_counted_not_looked_for():
    area = "What is the area of the triangle?"
    overlaps, found = _overlaps(["Find x.", area], [area])
    assert (overlaps.short, found) == (2, [])


def test_phrases_of_many_benchmark_questions_do_not_count():
    phrase = "Answer the question using a single word or phrase, please."
    questions = [
        f"{phrase} Colour number {number} of the {number} tall bars in this figure is what?" for number in range(40)
    ]
    _, found = _overlaps(questions, [f"How many dogs are there? {phrase}"])
    assert found == []


@pytest.mark.parametrize(("rows", "found"), [(100, 0), (15, 15)])
def test_phrases_of_many_training_rows_do_not_count(rows, found):
    phrase = "Please reason step by step, and put your final answer in a box."
    own = [f"Row {number} of them all. {phrase}" for number in range(rows)]
    assert len(_overlaps([f"How old is Ann? {phrase}"], own)[1]) == found


def test_places_of_images_are_no_words():
    words = "one two three four{} five six seven eight"
    _, found = _overlaps([f"<image1> {words.format('')}"], [words.format(" <image>")])
    assert [overlap.is_copy for overlap in found] == [True]


@pytest.mark.parametrize(("name", "questions"), BENCHMARKS.items())
def test_real_benchmarks_are_read(name, questions, shared_data):
    text = (shared_data / name).read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
    rows = list(rows.values()) if isinstance(rows, dict) else rows
    assert len({row["question"] for row in rows}) == questions
    read = read_benchmark(shared_data / name)
    assert [question.text for question in read] == list(dict.fromkeys(row["question"] for row in rows))


@pytest.mark.slow
def test_real_rows_and_real_benchmarks_agree_with_sets_of_words(shared_data):
    questions = [question for name in BENCHMARKS for question in read_benchmark(shared_data / name)]
    rows = []
    for path in sorted([*shared_data.glob("skythought/*.jsonl"), *shared_data.glob("olympiadbench/outputs/*.jsonl")]):
        rows += [json.loads(line)["question"] for line in path.read_text(encoding="utf-8").splitlines()]

    overlaps, found = _overlaps([question.text for question in questions], rows)

    @functools.cache
    def grams(text):
        words = re.findall(r"\w+", re.sub(r"<image\d*>", " ", text).casefold())
        return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

    of = [grams(question.text) for question in questions]
    standing = Counter(gram for own in of for gram in own)
    counted = {gram for gram, times in standing.items() if times <= max(10, len(questions) / 100)}
    rows_with = Counter(gram for row in rows for gram in grams(row) & counted)
    counted = {gram for gram in counted if rows_with[gram] <= max(20, len(rows) // 50)}
    expected, copies = [], []
    for number, row in enumerate(rows):
        if shared := grams(row) & counted:
            expected.append(number)
            if any(own and len(own & shared) >= len(own) / 3 for own in of):
                copies.append(number)

    assert [overlap.row for overlap in found] == expected
    assert [overlap.row for overlap in found if overlap.is_copy] == copies
    assert overlaps.short == sum(not own for own in of)


def test_every_kind_of_file(tmp_path):
    rows = [{"id": 1, "question": ONE}, {"id": 2, "question": TWO}, {"id": 3, "question": ONE}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"1": rows[0], "2": rows[1]}))
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "d.json").write_text(json.dumps([ONE, TWO]))
    (tmp_path / "e.txt").write_text(f"{ONE}\n\n{TWO}\n")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "f.parquet")
    with (tmp_path / "g.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "question"])
        writer.writeheader()
        writer.writerows(rows)

    for path in sorted(tmp_path.iterdir()):
        assert [question.text for question in read_benchmark(path)] == [ONE, TWO], path


def test_a_column_can_be_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"frage": ONE, "question": TWO}))
    assert read_benchmark(f"{path}:frage")[0].text == ONE
    assert read_benchmark(path)[0] == Question("a.jsonl question 1", TWO)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"frage": "x", "n": 1}\n', "row 1: no question. Columns found: frage, n; name one, as in"),
        ("[1, 2]", "row 1: found int, not an object or a text"),
        ('[{"question": ""}]', "no questions in the file"),
        ('{"question": "x"\n', "a.json"),
    ],
)
def test_files_without_questions(content, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_benchmark(path)


def test_no_such_file():
    with pytest.raises(ValueError, match="--benchmark gone.jsonl: no such file"):
        read_benchmark("gone.jsonl")
