"""Runs as processes: killed, interrupted, two at once, out of disk; what was finished stays, and is not asked again."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from types import ModuleType

import pytest

from virgo_factory.rollouts.store.store import read_rollouts


pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kills(root) -> ModuleType:
    """benchmarks/rollouts_kills.py."""
    spec = importlib.util.spec_from_file_location("rollouts_kills", root / "benchmarks" / "rollouts_kills.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rollouts_kills"] = module
    spec.loader.exec_module(module)
    return module


def test_killed_at_random_moments_it_ends_as_if_undisturbed(kills, shared_data, tmp_path):
    result = kills.measure(tmp_path, questions=40, kills=3, seed=1, delay=0.1, in_flight=16)
    assert result.rollouts == 200
    assert (result.differing, result.differing_verdicts, result.asked_again) == (0, 0, 0)
    assert result.lost > 0  # else no kill met the run at work


def begin(config, *arguments: str, before: str = "") -> subprocess.Popen:
    """Start `distill run` as a process of its own."""
    file = config.output_dir.parent / "config.yaml"
    file.write_text(config.text(), encoding="utf-8")
    code = f"{before}\nfrom virgo_factory.cli.main import main; main()"
    command = [sys.executable, "-c", code, "distill", "run", str(file), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for_rows(config, count: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        if config.output_dir.is_dir() and sum(1 for _ in read_rollouts(config.output_dir)) >= count:
            return

        time.sleep(0.05)

    raise AssertionError(process.communicate()[0])


def end(process: subprocess.Popen) -> str:
    """Return what it printed; dead afterwards, whatever happened."""
    try:
        return process.communicate(timeout=300)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_asks_no_more_and_says_how_to_go_on(start_replay, sky_config, number):
    server = start_replay(max_chars=4000, delay=1.0)
    config = sky_config(40, urls=[server.url])
    process = begin(config)
    try:
        wait_for_rows(config, 8, process)
        os.killpg(process.pid, number)  # as a terminal does: workers get it, too
        asked = len(server.asked()["started"])
    finally:
        told = end(process)

    folder, in_flight = config.output_dir, config.requests_in_flight
    assert len(server.asked()["started"]) <= asked + in_flight < 200, "200 rollouts are wanted"
    assert process.returncode == 130 and "Traceback" not in told
    assert f"Stopped. What was finished is in {folder}. Go on: virgo-factory distill resume {folder}" in told
    assert (folder / "rollouts.jsonl").read_bytes().endswith(b"\n") and (folder / ".lock").read_bytes() == b""


def test_a_full_disk_ends_the_run_and_leaves_it_whole(start_replay, sky_config):
    server = start_replay(max_chars=4000)
    config = sky_config(20, urls=[server.url])
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    process = begin(config, before=limit)
    told = end(process)
    assert process.returncode == 1
    assert "cannot be written: File too large. Make room, then start again" in told
    assert "Traceback" not in told
    there = {rollout.key for rollout in read_rollouts(config.output_dir)}
    assert 0 < len(there) < 100
    process = begin(config)
    assert "All is asked" in end(process)
    assert {rollout.key for rollout in read_rollouts(config.output_dir)} > there
    asked = [seed for _, seed in server.asked()["started"]]
    assert len(asked) - len(set(asked)) <= 8  # only what was in flight
