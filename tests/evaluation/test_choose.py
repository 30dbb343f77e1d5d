"""The choice of an epoch: by its rule, the same after a kill, and refused where the development set was seen."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from rollout_fixtures import judge_at_hand, replaying, sky_config, sky_problems, start_replay  # noqa: F401

from tests.jsonl import write_jsonl
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation import choose as room
from virgo_factory.evaluation.choose import CHOICE, choose, chosen, config_of, epochs_of
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.rollouts.store.jsonl import digest
from virgo_factory.rollouts.store.rollout import Rollout, RolloutVerdict


THOUGHT = "<|begin_of_thought|>\n\nSo.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n4\n\n<|end_of_solution|>"


def kept(run: Path, count: int) -> Path:
    """Make a run's folder with so many kept epochs."""
    for epoch in range(1, count + 1):
        (run / f"epoch-{epoch}").mkdir(parents=True)
        (run / f"epoch-{epoch}/config.json").write_text("{}")

    return run


def answered(folder: Path, right: list[bool]) -> EvaluationConfig:
    """Write a folder in which an epoch answered questions, so many of them right."""
    folder.mkdir(parents=True)
    (folder / "evaluation.yaml").write_text("model_name_or_path: m\nsamples: 1\n")
    files = {name: (folder / f"{name}.jsonl").open("w") for name in ("questions", "rollouts", "verdicts")}
    for number, is_right in enumerate(right):
        key = {"question": str(number), "model": "m", "sample": 0}
        files["questions"].write(json.dumps({"id": str(number), "question": "?", "gold": "1", "source": ""}) + "\n")
        rollout = Rollout(**key, response="1", finish_reason="stop", prompt_tokens=1, completion_tokens=10, seconds=1.0,
                          seed=1, prompt_sha256="", params={})  # fmt: skip
        files["rollouts"].write(json.dumps(vars(rollout)) + "\n")
        verdict = RolloutVerdict(**key, verdict="correct" if is_right else "wrong", reason="same_value", kind="number",
                                 answer="1", rule="box", where="solution", state="complete", version="0", response=digest("1"))  # fmt: skip
        files["verdicts"].write(json.dumps(vars(verdict)) + "\n")

    for file in files.values():
        file.close()

    return EvaluationConfig(questions="q.jsonl", model_name_or_path="m", output_dir=folder)


@pytest.mark.parametrize(
    ("shares", "one_se", "best"),
    [
        # of 100 questions, the first ones right: nested, so the paired error is that of the difference alone
        ((50, 58, 60, 60, 55), 3, 3),  # of equal ones the earliest; 58 is 2 away, its paired error 1.4
        ((59, 60), 1, 2),  # 1 away, its paired error 1.0
        ((40, 60, 59), 2, 2),
        ((60, 40, 60), 1, 1),
    ],
)
def test_the_rules(tmp_path, shares, one_se, best):
    configs = {
        epoch: answered(tmp_path / f"epoch-{epoch}", [number < right for number in range(100)])
        for epoch, right in enumerate(shares, start=1)
    }
    assert chosen(configs, "one-se", {})[:2] == (one_se, best)
    epoch, found, _, rows, questions = chosen(configs, "best", {1: 0.7})
    assert (epoch, found, questions) == (best, best, 100)
    assert [row.score for row in rows] == [float(right) for right in shares]
    assert rows[0].loss == 0.7 and rows[best - 1].difference == rows[best - 1].difference_se == 0.0
    for row, right in zip(rows, shares, strict=True):
        apart = max(shares) - right
        expected = (apart / 100 * (1 - apart / 100) / 99) ** 0.5
        assert row.difference == -apart and row.difference_se == pytest.approx(100 * expected, abs=1e-3)


def test_epochs_that_answered_nothing_are_no_choice(tmp_path):
    configs = {epoch: answered(tmp_path / f"epoch-{epoch}", []) for epoch in (1, 2)}
    with pytest.raises(UserError, match="no question was answered by all epochs; see dropped.jsonl"):
        chosen(configs, "one-se", {})


def test_it_needs_two_epochs_and_a_set_that_is_no_benchmark(tmp_path):
    with pytest.raises(UserError, match="gone: no such folder"):
        epochs_of(tmp_path / "gone")

    with pytest.raises(UserError, match="kept epochs: epoch-1. A choice needs two: train with keep_model_at_epochs"):
        epochs_of(kept(tmp_path / "one", 1))

    run = kept(tmp_path / "run", 2)
    with pytest.raises(UserError, match="--dev mathvision_testmini: a benchmark .it is inside of mathvision"):
        config_of(run, "mathvision_testmini")

    with pytest.raises(UserError, match="--dev gone.jsonl: neither mmmu_dev nor a file"):
        config_of(run, "gone.jsonl")


@pytest.fixture
def asked(tmp_path, start_replay, sky_config):  # noqa: F811
    """A run with three kept epochs, a server that has all of them, and a development set of real problems."""
    run = kept(tmp_path / "run", 3)
    server = start_replay(model=("epoch-1", "epoch-2", "epoch-3"), max_chars=4000)
    dev = sky_config(30).questions
    return run, server, config_of(run, str(dev), [f"urls=[{server.url}]", "requests_in_flight=8"]), dev


def rows_file(path: Path, *rows: dict) -> str:
    return str(write_jsonl(path, [row | {"id": str(n), "response": THOUGHT} for n, row in enumerate(rows)]))


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_what_was_seen_in_training_is_refused_before_a_request(asked, tmp_path):
    run, server, config, dev = asked
    seen = json.loads(dev.read_text(encoding="utf-8").splitlines()[3])
    with pytest.raises(UserError, match=r"virgo_rows.json: not there.*--trained-on RECIPE"):
        choose(run, config)

    Image.new("RGB", (56, 56), "white").save(tmp_path / "other.bmp")
    data = rows_file(
        tmp_path / "seen.jsonl",
        {"question": "1 + 1?"},
        {"question": f"<image>{seen['question']}\nSay.", "images": ["other.bmp"]},
    )
    with pytest.raises(
        UserError, match=rf"1 of the development set stand in the training data .*: {seen['id']} = seen: .*2"
    ):
        choose(run, config, trained_on=[data])

    assert not server.asked()["started"]
    Image.new("RGB", (56, 56), "black").save(tmp_path / "other.bmp")
    found = choose(run, config, trained_on=[data])
    assert found.questions == 30 and found.notes == ("compared with no benchmark: benchmark_dir names none",)
    written = json.loads((run / CHOICE).read_text(encoding="utf-8"))
    assert written["epoch"] == found.epoch and len(written["epochs"]) == 3 and written["questions_sha256"]
    assert os.readlink(run / "best") == f"epoch-{found.epoch}" and (run / "best/config.json").is_file()
    assert (run / "choice.png").read_bytes().startswith(b"\x89PNG")
    assert len(server.asked()["started"]) == 90
    again = choose(run, config, "best", trained_on=[data])
    assert again.epoch == found.best and len(server.asked()["started"]) == 90, "another rule asks nothing"


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_another_epoch_that_happens_to_be_served_is_not_asked(asked, tmp_path):
    run, server, config, _ = asked
    server.control(model=["epoch-1"])
    with pytest.raises(UserError, match="serves epoch-1, not epoch-2"):
        choose(run, config, trained_on=[rows_file(tmp_path / "rows.jsonl", {"question": "1 + 1?"})])

    assert not (run / "best").exists() and not (run / CHOICE).exists()


@pytest.mark.integration
def test_killed_it_goes_on(asked, tmp_path):
    run, server, _, dev = asked
    server.control(delay=0.2)
    data = rows_file(tmp_path / "rows.jsonl", {"question": "1 + 1?"})
    code = "from virgo_factory.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "evaluate",
        "choose",
        str(run),
        f"urls=[{server.url}]",
        "requests_in_flight=8",
    ]
    command += ["--dev", str(dev), "--trained-on", data]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    file, end = run / room.DEV / "epoch-2/rollouts.jsonl", time.monotonic() + 120
    while not file.exists() or file.read_bytes().count(b"\n") < 10:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{run}/best -> epoch-" in done.stdout
    assert 90 <= sum(server.asked()["finished"].values()) <= 98, "what was in flight is asked again, at most"
    for epoch in (1, 2, 3):
        rows = (run / room.DEV / f"epoch-{epoch}/rollouts.jsonl").read_text(encoding="utf-8").splitlines()
        assert len({json.loads(row)["question"] for row in rows}) == len(rows) == 30
