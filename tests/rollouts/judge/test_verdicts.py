"""Verdicts on rollouts while they come in, and the difficulty that follows; on real questions by expectations of hand."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from virgo_factory.distill.sources import read_source
from virgo_factory.rollouts.judge.verdicts import Judge, judge_rollouts, read_verdicts
from virgo_factory.rollouts.question import VisualQuestion, write_question
from virgo_factory.rollouts.store.rollout import DIFFICULTIES, difficulty_of


def question(id: str, gold: str = "12", **more) -> VisualQuestion:
    return VisualQuestion(id, id.partition("/")[0], ("images/a.png",), ("00" * 32,), f"What is {id}?", gold, **more)


@pytest.fixture(scope="module")
def judged(folders, tmp_path_factory):
    """Three questions with four rollouts each: right, wrong, cut at the limit with the answer in it, looping; judged."""
    folder = tmp_path_factory.mktemp("judged")
    questions = [question(f"a/{number}") for number in range(3)]
    folders.start(folder, questions)
    good, bad = folders.WELL_FORMED.format("Yes.", 12), folders.WELL_FORMED.format("No.", 13)
    for one in questions:
        folders.add(
            folder,
            [
                folders.rollout(one.id, 0, good),
                folders.rollout(one.id, 1, bad),
                folders.rollout(one.id, 2, good, finish_reason="length"),
                folders.rollout(one.id, 3, good, finish_reason="loop"),
            ],
        )

    assert judge_rollouts(folder) == 12
    return folder


@pytest.fixture
def folder(judged, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(judged, tmp_path / "folder"))


def test_only_a_complete_rollout_can_be_correct(folder):
    outcomes = {(verdict.sample, verdict.outcome, verdict.verdict, verdict.state) for verdict in read_verdicts(folder)}
    assert outcomes == {
        (0, "correct", "correct", "complete"),
        (1, "wrong", "wrong", "complete"),
        (2, "truncated", "wrong", "truncated"),
        (3, "looping", "wrong", "looping"),
    }


def test_a_row_says_what_was_judged_and_how(folder):
    row = next(row for row in map(vars, read_verdicts(folder)) if row["sample"] == 1)
    assert (row["answer"], row["rule"], row["where"], row["reason"], row["kind"]) == (
        "13",
        "box",
        "solution",
        "other_value",
        "number",
    )


def test_what_is_judged_is_not_judged_again(folder):
    before = (folder / "verdicts.jsonl").read_bytes()
    assert judge_rollouts(folder) == 0
    assert (folder / "verdicts.jsonl").read_bytes() == before


def test_the_file_may_be_deleted(folder):
    before = set((folder / "verdicts.jsonl").read_text().splitlines())
    (folder / "verdicts.jsonl").unlink()
    assert judge_rollouts(folder) == 12
    assert set((folder / "verdicts.jsonl").read_text().splitlines()) == before


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_half_written_last_line_is_judged_again(folder, cut):
    path = folder / "verdicts.jsonl"
    before = path.read_bytes()
    path.write_bytes(before[:-cut])
    assert sum(1 for _ in read_verdicts(folder)) == 11, "a reader beside a run does not stumble"
    assert judge_rollouts(folder) == (0 if cut == 1 else 1), "a line that lacks nothing but its end gets it"
    assert sorted(path.read_bytes().splitlines()) == sorted(before.splitlines())


def test_what_another_version_judged_is_judged_again(folder):
    path = folder / "verdicts.jsonl"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {"version": "0.0.1"}), *others, ""]))
    assert judge_rollouts(folder) == 1
    assert sorted(path.read_text().splitlines()) == sorted([first, *others])


def test_a_response_that_was_made_again_is_judged_again(folders, folder):
    lines = (folder / "rollouts.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    again = first | {"response": first["response"].replace("12", "13")}
    (folder / "rollouts.jsonl").write_text("\n".join([json.dumps(again), *lines[1:], ""]))
    assert judge_rollouts(folder) == 1
    found = [verdict.outcome for verdict in read_verdicts(folder) if verdict.key == ("a/0", folders.MODEL, 0)]
    assert found == ["correct", "wrong"], "the last counts"
    assert judge_rollouts(folder) == 0


def test_a_broken_line_is_told_with_its_place(folder):
    with (folder / "verdicts.jsonl").open("a") as file:
        file.write('{"question": "a/0"}\n')

    with pytest.raises(ValueError, match=r"verdicts.jsonl:13: not a verdict. Delete the file"):
        list(read_verdicts(folder))


def test_shards_have_files_of_their_own(folders, folder):
    with Judge(folder, shard=(2, 8)) as judge:
        judge.add(question("b/1"), folders.rollout("b/1", 0, folders.WELL_FORMED.format("", 12)))

    assert (folder / "verdicts-2of8.jsonl").is_file()
    assert judge_rollouts(folder) == 0
    assert sum(1 for _ in read_verdicts(folder)) == 13


def test_a_rollout_of_an_unknown_question_stays_without_a_verdict(folders, folder):
    folders.add(folder, [folders.rollout("gone/1", 0, "12")])
    assert judge_rollouts(folder) == 0


def test_verdicts_come_while_rollouts_do(folders, folder):
    seen, came = [], threading.Event()

    def on_verdict(verdict):
        seen.append(verdict.key)
        came.set()

    with Judge(folder, on_verdict=on_verdict) as judge:
        rollouts = [folders.rollout("b/1", sample, folders.WELL_FORMED.format("", 12)) for sample in range(3)]
        for rollout in rollouts:
            came.clear()
            judge.add(question("b/1"), rollout)
            assert came.wait(60), "no verdict until more come: who asks no further once decided would wait for ever"

    assert seen == [rollout.key for rollout in rollouts]


def test_an_error_of_the_judge_reaches_who_adds(folders, folder):
    def on_verdict(verdict):
        raise OSError(28, "No space left on device")

    judge = Judge(folder, on_verdict=on_verdict)
    judge.add(question("b/1"), folders.rollout("b/1", 0, "12"))
    judge._thread.join(60)
    with pytest.raises(OSError, match="No space left"):
        judge.add(question("b/1"), folders.rollout("b/1", 1, "12"))

    with pytest.raises(OSError, match="No space left"):
        judge.__exit__(None, None, None)


def test_an_interrupted_judge_ends_at_once(folders, folder):
    long = "\\boxed{" + "9^" * 40 + "9}"  # takes a worker seconds, or its whole limit
    with pytest.raises(KeyboardInterrupt), Judge(folder, workers=1) as judge:
        for sample in range(200):
            judge.add(question("b/1"), folders.rollout("b/1", sample, f"{long} {sample}"))

        raise KeyboardInterrupt

    assert sum(verdict.question == "b/1" for verdict in read_verdicts(folder)) < 200, "the rest is for the next start"


# (source, id, what a response boxes, what the verdict must be): written by hand after looking at question and picture.
REAL = [
    ("tabmwp", "880", "men's vault event", "correct"),
    ("tabmwp", "880", "B", "correct"),
    ("tabmwp", "880", "\\text{women's floor exercise event}", "wrong"),
    ("tabmwp", "2008", "1:20 P.M.", "correct"),
    ("tabmwp", "2008", "4:00 P.M.", "wrong"),
    ("tabmwp", "2201", "6830", "correct"),
    ("tabmwp", "2201", "\\$6{,}830.00", "correct"),
    ("tabmwp", "2201", "6803", "wrong"),
    ("tabmwp", "4251", "linear", "correct"),
    ("tabmwp", "4251", "nonlinear", "wrong"),
    ("tabmwp", "5332", "\\frac{2}{7}", "correct"),
    ("tabmwp", "5332", "\\frac{7}{2}", "wrong"),
    ("tabmwp", "27864", "No", "correct"),
    ("tabmwp", "27864", "Yes", "wrong"),
    ("chartqa", "multi_col_1536-bc3050", "2011", "correct"),
    ("chartqa", "multi_col_1536-bc3050", "2012", "wrong"),
    ("chartqa", "multi_col_20159-54c013", "Germany", "correct"),
    ("chartqa", "multi_col_20159-54c013", "Norway", "wrong"),
    ("chartqa", "multi_col_40409-0beeab", "2.4", "correct"),
    ("chartqa", "multi_col_40409-0beeab", "2.6", "wrong"),
    ("chartqa", "multi_col_20086-0c6807", "32.3\\%", "correct"),
    ("figureqa", "1-0-72", "Yes", "correct"),
    ("figureqa", "1-0-72", "\\text{No}", "wrong"),
    ("figureqa", "1-0-12", "no", "correct"),
    ("figureqa", "1-0-12", "Cyan", "wrong"),
    ("clevr", "CLEVR_train_000000-0", "Purple", "correct"),
    ("clevr", "CLEVR_train_000000-0", "green", "wrong"),
    ("clevr", "CLEVR_train_000000-1", "big", "correct"),
    ("clevr", "CLEVR_train_000000-1", "small", "wrong"),
    ("clevr", "CLEVR_train_000000-2", "matte", "correct"),
    ("clevr", "CLEVR_train_000000-2", "metal", "wrong"),
    ("geos", "1018", "60", "correct"),
    ("geos", "1018", "B", "correct"),
    ("geos", "1018", "30", "wrong"),
    ("geos", "968", "60^\\circ", "correct"),
    ("geos", "968", "C", "wrong"),
    ("geometry3k", "15", "5\\sqrt{3}", "correct"),
    ("geometry3k", "15", "C", "correct"),
    ("geometry3k", "15", "5\\sqrt{2}", "wrong"),
    ("iconqa", "choose_img/118", "the second picture", "correct"),
    ("iconqa", "choose_img/118", "A", "correct"),
    ("iconqa", "choose_img/118", "the fourth picture", "wrong"),
]


def test_real_questions_by_hand(shared_data, folders, tmp_path):
    asked = {
        (name, found.id): found.asked
        for name in {row[0] for row in REAL}
        for found in read_source(name, shared_data, "", tmp_path)
    }
    folders.start(tmp_path, [])
    rollouts, samples = [], {}
    with (tmp_path / "questions.jsonl").open("w") as file:
        for source, id, boxed, _ in REAL:
            if (source, id) not in samples:
                one = asked[source, id]
                values = {"options": one.options, "kind": one.kind, "unit": one.unit, "grading": one.grading}
                file.write(write_question(VisualQuestion(f"{source}/{id}", source, ("images/a.png",), ("",), one.question, one.gold, **values)))  # fmt: skip

            sample = samples[source, id] = samples.get((source, id), -1) + 1
            response = folders.WELL_FORMED.format("I look at it.", "X").replace("\\boxed{X}", f"\\boxed{{{boxed}}}")
            rollouts.append(folders.rollout(f"{source}/{id}", sample, response))

    folders.add(tmp_path, rollouts)
    judge_rollouts(tmp_path)
    found = {verdict.key: verdict for verdict in read_verdicts(tmp_path)}
    told = [
        (*row[:3], found[rollout.key].verdict, found[rollout.key].reason)
        for row, rollout in zip(REAL, rollouts, strict=True)
        if found[rollout.key].verdict != row[3]
    ]
    assert not told
    assert sum(verdict.outcome == "correct" for verdict in found.values()) == sum(row[3] == "correct" for row in REAL)


LEVELS = [
    # correct, wrong, samples, solved, level
    (0, 0, 5, True, "easy"),
    (5, 0, 5, True, "easy"),
    (5, 0, 5, False, "medium"),
    (4, 1, 5, False, "medium"),
    (3, 2, 5, False, "hard"),
    (2, 3, 5, False, "hard"),
    (1, 4, 5, False, "unsolved"),
    (0, 5, 5, False, "unsolved"),
    (0, 0, 5, False, "undecided"),
    (4, 0, 5, False, "medium"),  # whatever the last one is
    (3, 1, 5, False, "undecided"),  # one unverifiable: 3 or 4
    (2, 2, 5, False, "hard"),  # 2 or 3
    (1, 3, 5, False, "undecided"),
    (0, 4, 5, False, "unsolved"),
    (0, 3, 5, False, "undecided"),
    (7, 1, 8, False, "medium"),
    (6, 2, 8, False, "hard"),
    (4, 4, 8, False, "hard"),
    (3, 5, 8, False, "unsolved"),
    (1, 0, 1, False, "medium"),
    (0, 1, 1, False, "unsolved"),
    (6, 0, 5, False, "medium"),  # more rows than samples
]


@pytest.mark.parametrize(("correct", "wrong", "samples", "solved", "level"), LEVELS)
def test_difficulty(correct, wrong, samples, solved, level):
    assert difficulty_of(correct, wrong, samples, solved) == level
    assert level in DIFFICULTIES


@pytest.mark.parametrize("samples", range(1, 17))
def test_a_level_once_certain_stays(samples):
    for correct in range(samples + 1):
        for wrong in range(samples - correct + 1):
            level = difficulty_of(correct, wrong, samples)
            if level != "undecided":
                ends = range(samples - wrong - correct + 1)
                assert {difficulty_of(correct + more, samples - correct - more, samples) for more in ends} == {level}
