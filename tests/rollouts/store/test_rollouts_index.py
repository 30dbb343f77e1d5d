"""One truth for all verbs: which verdict counts, what is there already, and that the index never says anything else."""

import json
import random
from dataclasses import asdict, replace

import pytest
from PIL import Image

from virgo_factory.distill.config import read_folder
from virgo_factory.distill.select.merge import merge
from virgo_factory.distill.select.select import choose
from virgo_factory.distill.tell.status import UNJUDGED, summarise, to_json
from virgo_factory.distill.todo import DistillTodo
from virgo_factory.io import index as indexing
from virgo_factory.io.index import NAME
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store import store as storing
from virgo_factory.rollouts.store.index import open_index
from virgo_factory.rollouts.store.jsonl import digest, lines_of
from virgo_factory.rollouts.store.store import RolloutStore


QUESTION = VisualQuestion("a/1", "a", ("images/a.png",), ("00" * 32,), "How many?", "12", kind="number")


@pytest.fixture
def start(folders, tmp_path):
    """A function that writes a folder with five correct rollouts, and lines of verdicts by name: `start("old", "new")`."""

    def start(*names: str, name="run", **keys):
        folder = tmp_path / name
        keys = {"base_model_name_or_path": None, "dataset_dir": tmp_path, "dataset": name} | keys
        folders.start(folder, [QUESTION], **keys)
        (folder / "images").mkdir()
        Image.new("RGB", (64, 48), "white").save(folder / "images/a.png")
        rollouts, verdicts = folders.sampled("a/1", ["correct"] * 5)
        pairs = zip(verdicts, rollouts, strict=True)
        verdicts = [replace(verdict, response=digest(one.response)) for verdict, one in pairs]
        old = replace(verdicts[0], verdict="wrong", reason="other_value", response=digest("an older response"))
        rows = {
            "old": [old],
            "new": verdicts,
            "others": verdicts[1:],
            "wrong": [replace(verdicts[0], verdict="wrong", reason="other_value")],
            "nameless": [replace(old, response="")],
        }
        folders.add(folder, rollouts, [row for name in names for row in rows[name]])
        return folder

    return start


VERDICTS = [
    # lines of verdicts, correct, wrong, without a verdict
    (["new"], 5, 0, 0),
    (["old", "new"], 5, 0, 0),  # a rollout whose line was lost was asked again
    (["new", "old"], 5, 0, 0),  # ... and the verdict on the first one came late
    (["nameless", "new"], 5, 0, 0),
    (["new", "nameless"], 4, 1, 0),  # of version 0.1.0's first ones, that do not say on which response, the last
    (["wrong", "new"], 5, 0, 0),
    (["new", "wrong"], 4, 1, 0),
    (["old", "others"], 4, 0, 1),
    (["old"], 0, 0, 5),
]


@pytest.mark.slow
@pytest.mark.parametrize(("names", "correct", "wrong", "unjudged"), VERDICTS)
def test_status_select_and_what_is_pending_count_the_same_verdicts(start, names, correct, wrong, unjudged):
    folder = start(*names, stop_when_decided=True)
    config = read_folder(folder)
    found = summarise(folder).all
    told = {name: count for name, count in found.outcomes.items() if count}
    expected = {"correct": correct, "wrong": wrong, UNJUDGED: unjudged}
    assert told == {name: count for name, count in expected.items() if count}
    with RolloutStore(folder) as store:
        store.sync()
        outcomes = list(store.samples("a/1", config.model_name_or_path).values())
        assert (outcomes.count("correct"), outcomes.count("wrong"), outcomes.count(None)) == (correct, wrong, unjudged)
        left = DistillTodo(config, store).left()
        assert (left.questions, left.samples) == (0, 0), "all five are there"

    if correct >= 4:
        with RolloutStore(folder):  # so that nobody judges what is left
            card = choose(folder)

        assert (card.outcomes["correct"], card.outcomes["wrong"], card.unjudged) == (correct, wrong, unjudged)
        assert found.accepted == card.candidates == correct

    assert judge_rollouts(folder) == unjudged, "judged is what has no verdict"
    assert summarise(folder).all.outcomes["correct"] + wrong == 5
    assert judge_rollouts(folder) == 0


def test_a_verdict_that_is_made_again_counts_once_in_what_is_asked_next(start, folders):
    """3 correct, 1 wrong of 5 leave open whether it is medium or hard; with the verdict counted twice it would be decided."""
    folder = start(stop_when_decided=True)
    lines = (folder / "rollouts.jsonl").read_text().splitlines(keepends=True)
    (folder / "rollouts.jsonl").write_text("".join(lines[:4]))
    with RolloutStore(folder) as store:
        pending = DistillTodo(read_folder(folder), store)
        for sample, outcome in ((0, "correct"), (1, "correct"), (2, "correct"), (3, "correct"), (3, "wrong")):
            store.judged(folders.verdict(folders.rollout("a/1", sample, ""), outcome))

        assert pending.missing(QUESTION) == [4]
        assert pending.wanted(QUESTION, 1) == 1


def test_merged_folders_keep_the_verdict_that_counts(start, tmp_path):
    for names, correct in ((("old", "new"), 5), (("new", "wrong"), 4), (("nameless", "new"), 5)):
        folder = start(*names, name="-".join(names))
        whole = tmp_path / f"merged-{folder.name}"
        assert merge([folder], whole).verdicts.kept == 5
        assert summarise(whole).all.outcomes == summarise(folder).all.outcomes
        assert summarise(whole).all.outcomes["correct"] == correct


def test_a_sample_that_stands_there_twice_counts_once(start):
    folder = start("new")
    path = folder / "rollouts.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[1])
    found, card = summarise(folder), choose(folder, ["responses=all"])
    assert (found.twice, found.all.rollouts, found.all.outcomes["correct"]) == (1, 5, 5)
    assert card.rollouts == {"samples": 5, "twice": 1} and card.output["rows"] == 5 and card.unjudged == 0


def test_a_run_leaves_an_index_that_says_all(start, monkeypatch):
    folder = start("new")
    with RolloutStore(folder):
        pass

    monkeypatch.setattr(indexing, "read_object", None)
    assert summarise(folder).all.outcomes["correct"] == 5


def test_a_run_keeps_the_index_up_to_date(start, folders, monkeypatch):
    folder = start("new")
    monkeypatch.setattr(storing, "INDEX_SECONDS", 0.05)
    with RolloutStore(folder) as store:
        store.append(folders.rollout("a/2", 0, "x"))
        for _ in range(200):
            with open_index(folder) as index:
                if index.db.execute("SELECT count(*) FROM rollouts").fetchone() == (6,):
                    return

            storing.time.sleep(0.05)

    raise AssertionError("the row did not come into the index")


def test_another_format_does_not_touch_the_folders_index(start, monkeypatch):
    folder = start("new")
    before = to_json(summarise(folder))
    with pytest.raises(ValueError, match="no correct response is well formed"):
        choose(folder, ["response_format=think"])

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "read_object", None)  # nothing is read again
        assert to_json(summarise(folder)) == before

    config = folder / "distill.yaml"
    config.write_text(config.read_text().replace("response_format: auto", "response_format: think"))
    assert summarise(folder).all.accepted == 0


@pytest.mark.parametrize("seed", range(6))
def test_step_by_step_it_says_what_a_new_one_says(folders, tmp_path, seed):
    """Rollouts, verdicts and dropped questions in any order, files rewritten and lost; looked at in between."""
    draw = random.Random(seed)
    questions = [replace(QUESTION, id=f"a/{n}", question=draw.choice(["How many?", "Let me look."])) for n in range(6)]
    folders.start(tmp_path, questions, samples=3)
    outcomes = ["correct", "wrong", "unverifiable", "truncated", "looping"]
    for _ in range(12):
        name = draw.choice(["rollouts", "verdicts", "rollouts-1of2", "verdicts-1of2", "rollouts-2of2"])
        with (tmp_path / f"{name}.jsonl").open("a") as file:
            for _ in range(draw.randrange(8)):
                text = folders.WELL_FORMED.format(draw.choice(["", "x"]), 12).replace(
                    "\n\n", draw.choice(["", "\n\n"])
                )
                rollout = folders.rollout(f"a/{draw.randrange(7)}", draw.randrange(-1, 4), text)
                verdict = folders.verdict(rollout, draw.choice(outcomes))
                verdict = replace(verdict, response=draw.choice(["", digest(text), digest("other")]))
                row = vars(rollout) if "rollouts" in name else asdict(verdict)
                file.write(json.dumps(row) + "\n")

        change = draw.random()
        path = draw.choice(sorted(tmp_path.glob("*-*.jsonl")) or [tmp_path / "none"])
        if change < 0.2 and path.exists():
            path.unlink()
        elif change < 0.4 and path.exists():
            path.write_text("".join(json.dumps(row) + "\n" for _, row in list(lines_of(path))[1:]))
        elif change < 0.5:
            (tmp_path / "dropped.jsonl").write_text('{"question": "a/1", "model": "m", "reason": "no"}\n')

        stepwise = to_json(summarise(tmp_path))
        (tmp_path / NAME).rename(tmp_path / "kept")
        assert stepwise == to_json(summarise(tmp_path))
        (tmp_path / "kept").replace(tmp_path / NAME)


def test_a_broken_index_is_no_matter_to_any_verb(start, tmp_path):
    folder = start("new")
    before = to_json(summarise(folder))
    (folder / NAME).rename(tmp_path / NAME)
    (folder / NAME).mkdir()  # no room for one
    assert to_json(summarise(folder)) == before and choose(folder).kept == 1
    (folder / NAME).rmdir()
    (tmp_path / NAME).rename(folder / NAME)
    content = bytearray((folder / NAME).read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        content[page : page + 200] = b"\xff" * 200

    verbs = (
        lambda: to_json(summarise(folder)) == before,
        lambda: choose(folder, overwrite=True).outcomes["correct"] == 5,
        lambda: judge_rollouts(folder) == 0,
        lambda: merge([folder], tmp_path / "whole").verdicts.kept == 5,
        lambda: RolloutStore(folder).close() is None,
    )
    for verb in verbs:
        (folder / NAME).write_bytes(content)
        assert verb()
