"""Verdicts on rollouts while they come in, and the difficulty that follows; on real questions by expectations of hand."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from virgo_factory import __version__
from virgo_factory.distill.sources import read_source
from virgo_factory.rollouts.judge.verdicts import Judge, judge_rollouts, read_verdicts
from virgo_factory.rollouts.question import VisualQuestion
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
    said = ((good, "stop"), (bad, "stop"), (good, "length"), (good, "loop"))
    for one in questions:
        rows = [folders.rollout(one.id, at, text, finish_reason=why) for at, (text, why) in enumerate(said)]
        folders.add(folder, rows)

    assert judge_rollouts(folder) == 12
    return folder


@pytest.fixture
def folder(judged, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(judged, tmp_path / "folder"))


def test_only_a_complete_rollout_can_be_correct_and_a_row_says_what_was_judged(folder):
    verdicts = list(read_verdicts(folder))
    assert {(verdict.sample, verdict.outcome, verdict.verdict, verdict.state) for verdict in verdicts} == {
        (0, "correct", "correct", "complete"),
        (1, "wrong", "wrong", "complete"),
        (2, "truncated", "wrong", "truncated"),
        (3, "looping", "wrong", "looping"),
    }
    row = next(verdict for verdict in verdicts if verdict.sample == 1)
    told = (row.answer, row.rule, row.where, row.reason, row.kind)
    assert told == ("13", "box", "solution", "other_value", "number")


@pytest.mark.slow
def test_what_is_judged_is_not_judged_again_and_the_file_may_be_deleted(folder):
    path = folder / "verdicts.jsonl"
    before = path.read_text()
    assert judge_rollouts(folder) == 0 and path.read_text() == before
    path.unlink()
    assert judge_rollouts(folder) == 12
    assert set(path.read_text().splitlines()) == set(before.splitlines())


SPOILT = [
    (lambda text: text[:-1], 0),  # a line that lacks nothing but its end gets it
    *((lambda text: text[:-2], 1), (lambda text: text[:-40], 1)),
    (lambda text: text.replace(f'"version": "{__version__}"', '"version": "0.0.1"', 1), 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "again"), SPOILT)
def test_a_half_written_last_line_and_what_another_version_judged_are_judged_again(folder, spoil, again):
    path = folder / "verdicts.jsonl"
    before = path.read_text()
    path.write_text(spoil(before))
    assert len(list(read_verdicts(folder))) in (11, 12), "a reader beside a run does not stumble"
    assert judge_rollouts(folder) == again
    assert sorted(path.read_text().splitlines()) == sorted(before.splitlines())


@pytest.mark.slow
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


@pytest.mark.slow
def test_shards_have_files_of_their_own(folders, folder):
    with Judge(folder, shard=(2, 8)) as judge:
        judge.add(question("b/1"), folders.rollout("b/1", 0, folders.WELL_FORMED.format("", 12)))

    assert (folder / "verdicts-2of8.jsonl").is_file()
    folders.add(folder, [folders.rollout("gone/1", 0, "12")])
    assert judge_rollouts(folder) == 0, "one of an unknown question stays without a verdict"
    assert sum(1 for _ in read_verdicts(folder)) == 13


@pytest.mark.slow
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


@pytest.mark.slow
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


# (source, id, what a response boxes that is right, that is wrong): by hand; more of them in distill/sources/test_sources.py
REAL = [
    ("tabmwp", "880", "B", "\\text{women's floor exercise event}"),
    ("tabmwp", "2201", "\\$6{,}830.00", "6803"),
    ("chartqa", "multi_col_40409-0beeab", "2.4", "2.6"),
    ("figureqa", "1-0-72", "Yes", "\\text{No}"),
    ("clevr", "CLEVR_train_000000-1", "big", "small"),
    ("geos", "968", "60^\\circ", "C"),
    ("geometry3k", "15", "5\\sqrt{3}", "5\\sqrt{2}"),
    ("iconqa", "choose_img/118", "A", "the fourth picture"),
]


@pytest.mark.slow
def test_real_questions_by_hand(shared_data, folders, tmp_path):
    asked = {
        (name, found.id): found.asked
        for name in {row[0] for row in REAL}
        for found in read_source(name, shared_data, "", tmp_path)
    }
    questions, rollouts = [], []
    for source, id, *boxed in REAL:
        one = asked[source, id]
        values = {"options": one.options, "kind": one.kind, "unit": one.unit, "grading": one.grading}
        name = f"{source}/{id}"
        questions.append(VisualQuestion(name, source, ("images/a.png",), ("",), one.question, one.gold, **values))
        texts = (folders.WELL_FORMED.format("I look at it.", "@").replace("@", text) for text in boxed)
        rollouts += [folders.rollout(name, sample, text) for sample, text in enumerate(texts)]

    folders.start(tmp_path, questions)
    folders.add(tmp_path, rollouts)
    judge_rollouts(tmp_path)
    told = [(verdict.key, verdict.verdict) for verdict in read_verdicts(tmp_path)]
    assert sorted(told) == sorted((one.key, ("correct", "wrong")[one.sample]) for one in rollouts)


# level -> correct, wrong, samples
LEVELS = {
    "medium": [(5, 0, 5), (4, 1, 5), (4, 0, 5), (7, 1, 8), (1, 0, 1), (6, 0, 5)],  # the last: more rows than samples
    "hard": [(3, 2, 5), (2, 3, 5), (2, 2, 5), (6, 2, 8), (4, 4, 8)],  # 2 or 3 of 5
    "unsolved": [(1, 4, 5), (0, 5, 5), (0, 4, 5), (3, 5, 8), (0, 1, 1)],
    "undecided": [(0, 0, 5), (3, 1, 5), (1, 3, 5), (0, 3, 5)],  # such as 3 or 4 of 5, one being unverifiable
}


@pytest.mark.parametrize("level", LEVELS)
def test_difficulty(level):
    assert {difficulty_of(*counts) for counts in LEVELS[level]} == {level} <= set(DIFFICULTIES)
    assert {difficulty_of(*counts, solved=True) for counts in LEVELS[level]} == {"easy"}


@pytest.mark.parametrize("samples", range(1, 17))
def test_a_level_once_certain_stays(samples):
    for correct in range(samples + 1):
        for wrong in range(samples - correct + 1):
            level = difficulty_of(correct, wrong, samples)
            if level != "undecided":
                ends = range(samples - wrong - correct + 1)
                assert {difficulty_of(correct + more, samples - correct - more, samples) for more in ends} == {level}
