"""Steps of a training from its files, however far they got, and the page of its rollouts."""

import json

import pytest
from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.reinforce import curves
from virgo_factory.reinforce.page import write_rollouts_page
from virgo_factory.reinforce.steps import read_steps, steps_table
from virgo_factory.report.terminal import console, fitted


def entry(step, **more):
    return {"step": step, "epoch": step / 9, "loss": 0.0, "reward": step / 100, "accuracy": 0.25, "format": 1.0,
            "frac_reward_zero_std": 0.5, "completions/mean_length": 1234.0, "entropy": 0.5} | more  # fmt: skip


def rollout(step, sample, reward=0.1, verdict="wrong", **more):
    return {"step": step, "question": "q", "asked": "How many?", "sample": sample, "response": f"It is {sample}.",
            "finish_reason": "stop", "completion_tokens": 10, "reward": reward, "accuracy": float(verdict == "correct"),
            "format": 1.0, "verdict": verdict, "reason": "other_value", "answer": str(sample), "gold": "4",
            "images": []} | more  # fmt: skip


def write(folder, log=(), rollouts=(), checkpoint=()):
    for place, entries in ((folder, log), (folder / "checkpoint-9", checkpoint)):
        if entries:
            place.mkdir(exist_ok=True)
            state = {"global_step": entries[-1]["step"], "log_history": [*entries, {"step": 9, "train_loss": 0.0}]}
            (place / "trainer_state.json").write_text(json.dumps(state))

    if rollouts:
        (folder / "rollouts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rollouts))


def test_steps_are_the_trainer_s_and_behind_them_those_of_the_rollouts(tmp_path):
    rollouts = [rollout(2, 0)]  # told by the trainer already
    rollouts += [rollout(3, 0, 1.0, "correct"), rollout(3, 1)]
    other = {"prompt_sha256": "of the same words about another picture"}
    rollouts += [rollout(3, 2, finish_reason="length", **other)]
    rollouts += [rollout(3, 3, verdict="unverifiable", accuracy=None, **other)]
    write(tmp_path, rollouts=rollouts, checkpoint=[entry(1), entry(2)])
    first, second, third = read_steps(tmp_path)
    assert (first["step"], first["reward"], first["tokens"]) == (1, 0.01, 1234.0) and second["step"] == 2
    assert third == {
        "step": 3, "reward": pytest.approx(0.325), "accuracy": pytest.approx(1 / 3), "format": 1.0, "truncated": 0.25,
        "unverifiable": 0.25, "no gradient": 0.5, "tokens": 10,
    }  # fmt: skip


def test_the_newest_whole_state_counts(tmp_path):
    write(tmp_path, log=[entry(1)], checkpoint=[entry(1), entry(5)])
    assert [step["step"] for step in read_steps(tmp_path)] == [1, 5]
    (tmp_path / "checkpoint-9" / "trainer_state.json").write_text('{"global_step": 9')
    assert [step["step"] for step in read_steps(tmp_path)] == [1]


def test_what_is_no_training_is_told(tmp_path):
    with pytest.raises(UserError, match="Name the output_dir of a training by stage: grpo"):
        read_steps(tmp_path)

    (tmp_path / "rollouts.jsonl").write_text(json.dumps(rollout(1, 0)) + "\nnone\n")
    with pytest.raises(UserError, match=r"rollouts.jsonl:2: no rollout of a training"):
        read_steps(tmp_path)

    (tmp_path / "rollouts.jsonl").write_text(json.dumps(rollout(1, 0)) + '\n{"step": 2, "que')
    assert [step["step"] for step in read_steps(tmp_path)] == [1], "a line that is being written"


def test_a_long_training_is_a_table_of_twenty_lines_of_80_characters(tmp_path):
    more = {"clip_ratio/region_mean": 0.001, "truncated": 0.05, "unverifiable": 0.0}
    write(tmp_path, log=[entry(step, **more) for step in range(1, 1233)])
    table = steps_table(read_steps(tmp_path))
    assert len(table.rows) == 20 and table.rows[0][0] == "1-62" and table.rows[-1][0] == "1179-1232"
    assert len(list(fitted(table, 80))) == 1, "one table, no column apart"
    shown = console(80)
    with shown.capture() as told:
        shown.print(next(fitted(table, 80)))

    assert max(map(len, told.get().splitlines())) <= 80 and "1,234" in told.get()


@pytest.mark.slow
def test_curves_are_left_beside_the_model(tmp_path):
    write(tmp_path, log=[entry(step) for step in range(1, 60)])
    path = curves.write(str(tmp_path))
    with Image.open(path) as picture:
        assert path.name == "training_curves.png" and picture.width == 1350


@pytest.mark.slow
def test_the_page_shows_first_and_last_groups_and_runs_nothing(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    rollouts = [
        rollout(step, sample, float(sample), images=[str(tmp_path / "red.png")], response="<script>alert(1)</script>")
        for step in range(1, 10)
        for sample in range(2)
    ]
    write(tmp_path, log=[entry(1)], rollouts=rollouts)
    assert write_rollouts_page(tmp_path / "page.html", tmp_path, groups=3) == 3
    page = (tmp_path / "page.html").read_text()
    assert all(f"Step {step}: q" in page for step in (1, 5, 9)) and "Step 2: q" not in page
    assert "<script>alert" not in page and "another value" in page and page.count("data:image/png") == 4
    write(tmp_path, log=[entry(1)], rollouts=[rollout(1, 0)])
    assert write_rollouts_page(tmp_path / "page.html", tmp_path) == 1
