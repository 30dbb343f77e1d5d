"""The commands of README and docs/distil.md, from the questions to the training, against the replay server."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pages import blocks
from tests.test_commands import trained


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def commands(page: str, *words: str) -> list[str]:
    """Return the commands of those code blocks of a page in which a word stands."""
    return [line for word in words for block in blocks("bash", page) if word in block for line in block.splitlines()]


README = commands("README.md", "distill run")
PAGE = commands("docs/distil.md", "distill questions", "distill merge")


@pytest.fixture
def run(tmp_path, call) -> Callable[..., str]:
    """A function that runs a command in `tmp_path`, with what stands behind it, and returns what it printed."""
    return lambda command, *behind: call(shlex.join([*shlex.split(command), *behind]), tmp_path).output


@pytest.fixture
def overrides(run, sky_config, start_replay) -> list[str]:
    """Questions of the real responses' problems and a running server, in place of the 72B models; recipes copied."""
    run("virgo-factory recipes copy .")
    url = start_replay().url
    served = [f"urls=[{url}]", f"base_urls=[{url}]", "served_model_name=replay", "base_served_model_name=replay"]
    return [f"questions={sky_config(24).questions}", *served, "image_max_pixels=65536"]


def rollouts(folder: Path) -> list[dict]:
    files = sorted(folder.glob("rollouts*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_from_the_dry_run_to_the_training(tmp_path, run, overrides, reduced):
    dry, distil, status, select, train = README
    said = run(dry, *overrides)
    assert "Please first think deeply" in said
    assert not (tmp_path / "data/dsd_virgo72b/rollouts.jsonl").exists()

    run(distil, *overrides)
    rows = rollouts(tmp_path / "data/dsd_virgo72b")
    greedy = [row for row in rows if row["sample"] == -1]
    assert len(greedy) == 24
    assert len(rows) > 24 and (len(rows) - 24) % 5 == 0, "five responses to each question that is not solved"

    assert "24 questions" in run(status)
    assert "sky/" in (tmp_path / "status.html").read_text()

    run(select, "--difficulty", "any")
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["virgo72b_dsd_own"]
    assert (tmp_path / entry["file_name"]).is_file()

    trained(train, tmp_path, {**reduced, "dataset_dir": ".", "max_steps": 1})
    (account,) = json.loads((tmp_path / "saves/dsd_own/virgo_rows.json").read_text())["datasets"]
    assert account["name"] == "virgo72b_dsd_own" and account["kept"] == account["rows_in"] > 0


def test_questions_alone_and_two_halves_put_together(tmp_path, run, overrides):
    questions, first, second, merge = PAGE
    said = run(questions, *overrides, "output_dir=data/questions")
    assert "24" in said and (tmp_path / "data/questions/questions.jsonl").is_file()
    assert not (tmp_path / "data/questions/rollouts.jsonl").exists()

    for half in (first, second):
        run(half, *overrides)

    run(merge)
    halves = [rollouts(tmp_path / f"data/half{number}") for number in (1, 2)]
    assert all(halves)
    whole = {(row["question"], row["sample"]) for row in rollouts(tmp_path / "data/dsd_virgo72b")}
    assert len(whole) == sum(map(len, halves)) and len({key for key, _ in whole}) == 24
