"""A folder that version 0.1.0 wrote is read, gone on with and selected from: its files lie in tests/assets, made by its code."""

import json
import shutil

import pytest

from virgo_factory.distill.config import read_folder
from virgo_factory.distill.launch import distil, resumed
from virgo_factory.distill.select.select import choose
from virgo_factory.distill.tell.status import summarise
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.run.questions import prompts_of
from virgo_factory.rollouts.store.store import read_rollouts


@pytest.fixture
def old(root, tmp_path):
    """A copy of the folder."""
    shutil.copytree(root / "tests" / "assets" / "distilled_by_0_1_0", tmp_path / "old")
    return tmp_path / "old"


def test_it_is_gone_on_with_and_selected_from(old, replaying, judge_at_hand):
    before = list(read_rollouts(old))
    status = summarise(old)
    assert (status.left, status.all.outcomes["correct"], status.all.outcomes["wrong"]) == (15, 6, 4)
    with replaying.replay([old / "responses.jsonl"], max_model_len=250) as server:
        outcome = distil(resumed(old, [f"urls=[{server.url}]", "max_rollouts=null"]))
        asked = server.asked()

    assert (outcome.finished, outcome.dropped, outcome.left.samples) == (10, 1, 0), "one is too long for the server"
    assert set(asked["finished"].values()) == {1} and len(asked["finished"]) == 10
    rollouts = list(read_rollouts(old))
    assert rollouts[:10] == before and len({one.key for one in rollouts}) == 20
    card = choose(old, [f"dataset_dir={old}", "difficulty=any"])
    rows = [json.loads(line) for line in (old / "selected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert card.output["rows"] == len(rows) >= 2


def test_what_is_sent_is_what_was_sent(old):
    make, questions = (
        prompts_of(read_folder(old), old),
        {one.id: one for one in read_questions(old / "questions.jsonl")},
    )
    for rollout in read_rollouts(old):
        assert make(questions[rollout.question]).sha256 == rollout.prompt_sha256
