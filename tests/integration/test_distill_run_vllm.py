"""`distill run` with a vLLM of its own on real pictures: killed, gone on with, and nothing stays behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.store.store import read_rollouts


pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]

SOURCES = ("tabmwp", "chartqa", "figureqa", "clevr", "geometry3k", "iconqa")


@pytest.fixture
def config(tmp_path, shared_data) -> Path:
    """A config of 18 real questions for a twin with the real tokenizer, whose responses are noise."""
    pytest.importorskip("vllm", reason="vLLM is not installed (make test installs its CPU build)")
    from virgo_factory.preflight.twin import make_twin

    keys = {
        "sources": dict.fromkeys(SOURCES, 3),
        "source_dir": str(shared_data),
        "question_prefix": "virgo",
        "image_max_pixels": 50_176,
        "model_name_or_path": str(make_twin(tmp_path / "model", shared_data / "qwen2.5_vl_tokenizer")),
        "max_model_len": 2048,
        "max_tokens": 40,
        "requests_in_flight": 8,
        "output_dir": str(tmp_path / "out"),
        "dataset": "noise",
    }
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(keys), encoding="utf-8")
    return path


def begin(config: Path, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", "from virgo_factory.cli.main import main; main()", "distill", "run", str(config)]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("w") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


def serving(config: Path) -> list[psutil.Process]:
    """Return the processes that serve one of this test's models."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "vllm.entrypoints" in line and str(config.parent) in line:
            found.append(process)

    return found


def test_killed_while_it_samples_it_goes_on_where_it_was(config, tmp_path):
    path, log = tmp_path / "out" / "rollouts.jsonl", tmp_path / "log"
    process = begin(config, log)
    try:
        end = time.monotonic() + 1200
        while not path.exists() or path.read_bytes().count(b"\n") < 20:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)

        assert serving(config)
        process.send_signal(signal.SIGKILL)  # this process alone: its server has to notice by itself
        process.wait()
        gone, alive = psutil.wait_procs(serving(config), timeout=60)
        assert not alive

        before = path.read_bytes()
        before = before[: before.rfind(b"\n") + 1]
        process = begin(config, log)
        assert process.wait(1200) == 0, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    assert not serving(config)
    after = path.read_bytes()
    assert after.startswith(before)
    told = re.search(r"(\d+) rollouts were made in this start", log.read_text())
    assert int(told[1]) == after.count(b"\n") - before.count(b"\n")

    rollouts = list(read_rollouts(tmp_path / "out"))
    assert Counter(rollout.question for rollout in rollouts) == {
        question.id: 5 for question in read_questions(tmp_path / "out" / "questions.jsonl")
    }
    assert len({rollout.key for rollout in rollouts}) == len(rollouts) == 90
    assert {verdict.key for verdict in read_verdicts(tmp_path / "out")} == {rollout.key for rollout in rollouts}
