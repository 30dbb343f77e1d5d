"""The demo of synthesis: what is recorded answers all that its run asks, and its proofs can fail."""

import json
from pathlib import Path

import pytest

from virgo_factory.demo import synthesize
from virgo_factory.demo.synthesize import ROWS
from virgo_factory.synthesis.config import read_config
from virgo_factory.synthesis.run.folder import DPO, QUESTIONS, SFT
from virgo_factory.synthesis.run.launch import synthesize as make


@pytest.fixture
def made(here):
    """The rows, made of what is recorded."""
    synthesize.prepare()
    outcome = make(read_config("recipes/synthesize/demo.yaml"))
    assert not outcome.finished, "recorded with other templates or scenes: PYTHONPATH=tools python -m demo_scenes"
    assert not (outcome.waits or outcome.dropped)


def edit(name: str, change) -> None:
    path = ROWS / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in change(rows)), encoding="utf-8")


def test_nobody_is_asked_and_faults_are_found(made):
    assert synthesize.faults_found().holds and synthesize.wrong_thoughts_masked().holds
    fault = next(
        row
        for row in map(json.loads, (synthesize.RECORDED / "faults.jsonl").open())
        if row["fault"] in synthesize.FORM
    )
    edit(QUESTIONS, lambda rows: [*rows, fault | {"scene": fault["about"]}])
    edit(SFT, lambda rows: [row | {"assistant_prefix": ""} for row in rows])
    assert not synthesize.faults_found().holds and not synthesize.wrong_thoughts_masked().holds
    assert Path(f"{ROWS}/{DPO}.jsonl").is_file()
