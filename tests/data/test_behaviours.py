"""Behaviours: what sentences begin with, which answers they decide for, and that planted cues are no behaviour."""

import json

import pytest

from tests.data.conftest import write
from virgo_factory.core.example import Example
from virgo_factory.core.thought import BEGIN_THOUGHT, LongThought
from virgo_factory.data.read.source import find_sources
from virgo_factory.data.show.behaviours import UNKNOWN, Behaviours, answers_of, events_of, shown_by
from virgo_factory.data.show.read_behaviours import read_behaviours, read_examples


OPTIONS = ("red", "blue", "green", "white")
QUESTION = "<image>What colour is the cup?\n(A) red\n(B) blue\n(C) green\n(D) white"


def example(thought, solution="(B) blue", prefix="", question=QUESTION):
    prefix = f"{BEGIN_THOUGHT}\n\n{prefix}" if prefix else ""
    return Example("a", question, LongThought(thought, solution), ("1.png",), assistant_prefix=prefix)


@pytest.mark.parametrize(
    ("sentence", "behaviour"),
    [
        ("Let me double-check the cup.", "verification"),
        ("Looking again, it is blue.", "verification"),
        ("Upon closer inspection, it is blue.", "verification"),
        ("Okay, so let's verify that.", "verification"),
        ("Wait, no.", "backtracking"),
        ("But wait, it is blue.", "backtracking"),
        ("Hmm, that's not right.", "backtracking"),
        ("- Actually, it is blue.", "backtracking"),
        ("I made a mistake earlier.", "backtracking"),
        ("First, I look at the cup.", "sub-goals"),
        ("Step 2: the handle.", "sub-goals"),
        ("2. Next, the table.", "sub-goals"),
        ("Suppose the answer is (B).", "backward chaining"),
        ("Let's go through the options.", "backward chaining"),
        ("We wait, and check nothing.", None),
        ("The waiter checks the cup.", None),
        ("No cup is red.", None),
        ("The text says wait.", None),
        ("Letters stand on it.", None),
    ],
)
def test_a_sentence(sentence, behaviour):
    for text in (sentence, f"It is a cup. {sentence}", f"It is a cup\n{sentence}"):
        assert [event.behaviour for event in events_of(text)] == ([behaviour] if behaviour else []), text


@pytest.mark.parametrize(
    ("thought", "answers"),
    [
        ("The answer is (A). Wait, no. The answer is (B).", [0, 1]),
        ("So it is red. Looking again, it is actually blue. So the answer is red after all.", [0, 1, 0]),
        ("(A) red - no.\n(B) blue - yes.\n(C) green - no.\nSo the correct answer is (B).", [1]),
        ("A. red: no\nB. blue: it fits\nTherefore, B is correct.", [1]),
        ("It is not red. The table is green.", []),
        ("", []),
    ],
)
def test_answers_in_their_order(thought, answers):
    assert answers_of(thought, OPTIONS) == answers


def test_an_answer_that_changes_and_returns():
    found = Behaviours()
    for thought in ("", "So it is red. No, ", "So it is blue. Or, the answer is (A). "):
        found.add(shown_by(example(f"{thought}So it is blue.")))

    found.add(shown_by(example("So it is blue.", question="How many?")))  # no choice question
    assert (found.choices, found.changed, found.changes, found.returned, found.returns) == (3, 2, 3, 1, 1)


def test_a_corrected_beginning_is_a_change_by_construction():
    shown = shown_by(example("I see a cup.\nWait, it is blue. So it is blue.", prefix="I see a cup."))
    assert shown.answers == (UNKNOWN, 1)


def test_planted_cues_are_not_counted():
    """Behind a prefix it is certain; then the first one of each row without is not counted either, and later ones are."""
    found = Behaviours()
    found.add(shown_by(example("It is red.\nWait, it is blue. Wait, let me see. So blue.", prefix="It is red.")))
    found.add(shown_by(example("It is blue. Wait, it is blue.")))
    found.add(shown_by(example("It is blue. Wait, no. Wait, yes, blue.")))
    found.add(shown_by(example("It is blue. Hold on. It is blue.")))
    assert found.planted == {"Wait,": 1}
    told = found.told()["backtracking"]
    assert (told["events"], told["rows"]) == (1 + 0 + 1 + 1, 3)


def test_cues_are_behaviour_where_nothing_says_that_they_were_planted():
    found = Behaviours()
    found.add(shown_by(example("It is blue. Wait, it is blue.")))
    assert found.told()["backtracking"]["events"] == 1 and found.told(["Wait,"])["backtracking"]["events"] == 0


@pytest.mark.slow
def test_released_rows_do_not_all_backtrack(shared_data, tmp_path):
    """84 of 94 rows hold LongPerceptualThoughts' planted `Wait,`; each of the 47 corrections changes its answer, no short one does."""
    file = shared_data / "long_perceptual_thoughts" / "sft_docci_all_extended_cots.json"
    (tmp_path / "rows.json").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    sources, _ = find_sources(str(tmp_path / "rows.json"))
    found = read_behaviours(sources)
    assert (found.thoughts, found.planted) == (94, {"Wait,": 47})
    assert sum("Wait," in row["messages"][-1]["content"] for row in json.loads(file.read_text(encoding="utf-8"))) == 84
    assert found.told()["backtracking"]["share"] < 0.4
    assert found.choices == 94 and 47 <= found.changed <= 50


@pytest.mark.slow
def test_processes_count_what_one_counts(tmp_path, monkeypatch):
    row = {"question": QUESTION[7:], "solution": "(B) blue"}
    rows = [row | {"id": str(n), "thought": f"It is {n}. Wait, let me check. So blue."} for n in range(500)]
    sources, _ = find_sources(str(write(tmp_path / "rows.jsonl", rows)))
    monkeypatch.setattr("virgo_factory.data.rows.pool.WORTH_BYTES", 0)
    monkeypatch.setattr("virgo_factory.data.read.files.chunks.CHUNK", 1 << 14)
    done = []
    assert read_behaviours(sources, None, 2, lambda *told: done.append(told)) == read_behaviours(sources, None, 1)
    assert done[-1][0] == done[-1][1] > 0


@pytest.mark.parametrize(("split", "ids"), [("train[1:3]", "bc"), ("train[2:]+train[2:]", "cdcd"), ("train", "abcd")])
def test_only_rows_of_the_split_are_looked_at(split, ids, tmp_path):
    row = {"question": "Q?", "thought": "Wait, let me see.", "solution": "4"}
    write(tmp_path / "rows.jsonl", [row | {"id": id} for id in "abcd"])
    entry = {"mine": {"file_name": "rows.jsonl", "formatting": "long_thought", "split": split}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entry))
    sources, _ = find_sources("mine", tmp_path)
    assert sorted(example.id for example in read_examples(sources)) == sorted(ids)
    assert read_behaviours(sources).thoughts == len(ids)


def test_rows_whose_thoughts_are_not_told_apart(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "rows.json", "formatting": "sharegpt"}}')
    (tmp_path / "rows.json").write_text('[{"conversations": []}]')
    sources, _ = find_sources("mine", tmp_path)
    with pytest.raises(ValueError, match="--formatting long_thought"):
        read_behaviours(sources)
