"""Shards become one folder: everything once, what differs is an error with both places, half a merge is none."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from folders import read_only_copy
from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.distill.config import DistillConfig, read_folder
from virgo_factory.distill.select.merge import merge
from virgo_factory.rollouts.judge.verdicts import judge_rollouts, read_verdicts
from virgo_factory.rollouts.question import question_of, read_questions, write_question
from virgo_factory.rollouts.store.jsonl import lines_of
from virgo_factory.rollouts.store.rollout import Rollout
from virgo_factory.rollouts.store.store import RolloutStore, lock, read_rollouts


CONFIG = DistillConfig(questions=Path("q.jsonl"), model_name_or_path="dt", output_dir=Path("out"), dataset="d")


def rollout(question: int, sample: int, **more) -> Rollout:
    said = f"\\boxed{{{sample}}}"
    made = Rollout(f"sky/{question}", "dt", sample, said, "stop", 9, 5, 1.0, sample, "", {"url": "http://a"})
    return replace(made, **more)


@pytest.fixture
def part(tmp_path):
    """A function that makes a folder of a distillation with rollouts: `part("a", [rollout(0, 1)], shard=(1, 2))`."""

    def make(name: str, rollouts: list[Rollout], shard=None, config: DistillConfig = CONFIG, questions=4) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 30), "white").save(folder / "images" / "white.png")
        rows = [
            {"id": f"sky/{number}", "source": "sky", "images": ["images/white.png"], "question": "?", "gold": "1"}
            for number in range(questions)
        ]
        with (folder / "questions.jsonl").open("w") as file:
            file.writelines(write_question(question_of(row)) for row in rows)

        (folder / "distill.yaml").write_text(config.text())
        with RolloutStore(folder, shard) as store:
            for one in rollouts:
                store.append(one)

        return folder

    return make


@pytest.mark.slow
def test_shards_of_several_machines_become_one_folder(part, tmp_path):
    first = part("a", [rollout(0, 0), rollout(0, 1)], (1, 2))
    second = part("b", [rollout(1, 0), rollout(1, 1)], (2, 2))
    judge_rollouts(first)
    with RolloutStore(second, (2, 2)) as store:
        store.drop("sky/3", "dt", "broken")

    merged = merge([first, second], tmp_path / "whole")
    whole = tmp_path / "whole"
    assert [one.key[::2] for one in read_rollouts(whole)] == [("sky/0", 0), ("sky/0", 1), ("sky/1", 0), ("sky/1", 1)]
    assert [question.id for question in read_questions(whole / "questions.jsonl")] == [f"sky/{n}" for n in range(4)]
    assert {verdict.question for verdict in read_verdicts(whole)} == {"sky/0"}  # the rest is made when it is needed
    assert [row["question"] for _, row in lines_of(whole / "dropped.jsonl")] == ["sky/3"]
    assert (whole / "images/white.png").read_bytes() == (first / "images/white.png").read_bytes()
    assert read_folder(whole).output_dir == whole
    assert (merged.questions.read, merged.questions.kept, merged.questions.twice) == (8, 4, 4)
    assert (merged.rollouts.read, merged.rollouts.kept, merged.rollouts.twice) == (4, 4, 0)
    assert (merged.verdicts.kept, merged.dropped.kept, merged.pictures) == (2, 1, 1)
    with RolloutStore(whole) as store:  # it can be gone on with
        assert store.count == 4


def test_shards_in_one_folder_and_the_half_of_a_last_line(part, tmp_path):
    part("a", [rollout(0, 0)], (1, 2))
    folder = part("a", [rollout(1, 0)], (2, 2))
    with (folder / "rollouts-2of2.jsonl").open("a") as file:
        file.write(json.dumps(vars(rollout(0, 1)))[:40])

    assert merge([folder], tmp_path / "whole").rollouts.kept == 2
    assert sorted(path.name for path in (tmp_path / "whole").glob("rollouts*")) == ["rollouts.jsonl"]


def test_two_that_differ_are_an_error_with_both_places(part, tmp_path):
    first = part("a", [rollout(0, 1), rollout(0, 0)])
    second = part("b", [rollout(0, 0, response="other", completion_tokens=6)])
    with pytest.raises(ValueError) as raised:
        merge([first, second], tmp_path / "whole")

    assert str(raised.value) == (
        f"{second}/rollouts.jsonl:1 and {first}/rollouts.jsonl:2 are both sky/0 dt 0, but differ in completion_tokens, "
        "response. Remove one of them."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]  # half a merge is none


def test_questions_that_differ_are_an_error(part, tmp_path):
    first, second = part("a", []), part("b", [])
    path = second / "questions.jsonl"
    path.write_text(path.read_text().replace('"gold": "1"', '"gold": "2"', 1))
    with pytest.raises(
        ValueError, match="b/questions.jsonl:1 and .*a/questions.jsonl:1 are both sky/0, but differ in gold"
    ):
        merge([first, second], tmp_path / "whole")


@pytest.mark.slow
def test_verdicts_on_no_rollout_are_left_out(part, tmp_path):
    folder = part("a", [rollout(0, 0), rollout(0, 1)])
    judge_rollouts(folder)
    path = folder / "rollouts.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    merged = merge([folder], tmp_path / "whole")
    assert (merged.verdicts.read, merged.verdicts.kept, merged.verdicts.stray) == (2, 1, 1)


def test_another_configuration_is_no_part(part, tmp_path):
    other = CONFIG.model_copy(update={"temperature": 0.3, "max_hours": 2.0})
    with pytest.raises(
        ValueError, match="a and .*b are not parts of one distillation: temperature: 1.0 and 0.3. Merge"
    ):
        merge([part("a", []), part("b", [], config=other)], tmp_path / "whole")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "images/white.png").unlink(), "images/white.png: no such picture"),
        (lambda folder: (folder / "distill.yaml").unlink(), "no folder of a distillation"),
        (lambda folder: (folder / "rollouts.jsonl").write_text('{"question": 1}\n'), "rollouts.jsonl:1: "),
        (lambda folder: (folder / "verdicts.jsonl").write_text("[]\n"), "verdicts.jsonl:1: "),
        (lambda folder: (folder / "questions.jsonl").write_text("{}\n"), "questions.jsonl:1: "),
    ],
)
def test_a_broken_part_is_named(part, tmp_path, spoil, message):
    folder = part("a", [rollout(0, 0)])
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        merge([folder], tmp_path / "whole")

    assert not (tmp_path / "whole").exists()


def test_a_picture_outside_is_not_copied(part, tmp_path):
    folder = part("a", [])
    shutil.copy(folder / "images/white.png", tmp_path / "outside.png")
    path = folder / "questions.jsonl"
    path.write_text(path.read_text().replace("images/white.png", "../outside.png"))
    with pytest.raises(ValueError, match="outside"):
        merge([folder], tmp_path / "deep" / "whole")

    assert not (tmp_path / "deep" / "outside.png").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_merged_and_rated_by_its_verdicts(part, tmp_path, command):
    folder = part("a", [rollout(0, 1), rollout(1, 0)])
    judge_rollouts(folder, 1)
    for name in (".lock", ".index.sqlite"):
        (folder / name).unlink(missing_ok=True)

    with read_only_copy(folder) as there:
        assert merge([there], there.parent / "whole").verdicts.kept == 2
        rated = there.parent / "rated.jsonl"
        code, told, error = command("data", "slice", there, rated, "--pass-rate", "0:1")
        assert (code, error) == (0, "") and "4 rows read, 2 written" in told
        with pytest.raises(UserError, match=r"a: cannot be written to \(Permission denied\)"), lock(there):
            pass

    (folder / "verdicts.jsonl").unlink()
    with read_only_copy(folder) as there:
        code, _, error = command("data", "slice", there, there.parent / "rated.jsonl", "--pass-rate", "0:1")
        assert code == 1 and "Work on a copy of it. None of its rollouts is judged yet." in error


def test_a_folder_that_is_in_use_or_there_or_named_twice_is_refused(part, tmp_path):
    folder = part("a", [rollout(0, 0)])
    with RolloutStore(folder, (1, 2)), pytest.raises(ValueError, match=f"process {os.getpid()} on .* writes to it"):
        merge([folder], tmp_path / "whole")

    with pytest.raises(ValueError, match="is there already"):
        merge([folder], folder)

    with pytest.raises(ValueError, match="named twice"):
        merge([folder, tmp_path / "." / "a"], tmp_path / "whole")


def test_the_command_tells_what_was_read_and_written(part, tmp_path, command):
    """The same rollout twice is there once, however long it took and whichever server answered."""
    same = replace(rollout(0, 0), seconds=7.0, params={"url": "http://b"})
    first, second = part("a", [rollout(0, 0)]), part("b", [same, rollout(1, 0)])
    code, told, _ = command("distill", "merge", first, second, "--out", tmp_path / "whole")
    lines = told.splitlines()
    assert code == 0 and lines[1].split() == "rollouts 3 read, 2 written, left out: 1 there already".split()
    assert lines[-1].endswith(f"Next: virgo-factory distill status {tmp_path}/whole")
