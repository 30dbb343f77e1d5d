"""Weights are in their folder whole or not at all, and nothing of them outlives the run."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from virgo_factory.rollouts.servers import hand_over
from virgo_factory.rollouts.servers.hand_over import HandOverFolder


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """A folder in the place of /dev/shm."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(hand_over, "MEMORY", folder)
    return folder


def test_the_next_weights_take_the_place_of_the_last(memory, tmp_path):
    with HandOverFolder(10, tmp_path / "out") as folder:
        for step in (3, 4):
            with folder.new(step) as new:
                (new / "model.safetensors").write_text(str(step))
                assert not folder.at(step).exists()

            (only,) = folder.at(step).parent.iterdir()
            assert only == folder.at(step) and (only / "model.safetensors").read_text() == str(step)
            assert only.parent.parent == memory

    assert not list(memory.iterdir())


def test_half_a_set_has_not_the_name_of_a_whole_one(memory, tmp_path):
    with HandOverFolder(10, tmp_path) as folder:
        with pytest.raises(OSError), folder.new(1) as new:
            (new / "half").write_text("")
            raise OSError("no space left")

        assert not folder.at(1).exists()
        with folder.new(1) as new:
            assert not list(new.iterdir())

        assert [one.name for one in folder.at(1).parent.iterdir()] == ["step-1"]


@pytest.mark.parametrize(("size", "wanted"), [(2**60, True), (10, False)], ids=["no room", "not wanted"])
def test_elsewhere(memory, tmp_path, size, wanted):
    with HandOverFolder(size, tmp_path / "out", memory=wanted) as folder:
        assert folder.at(1).parents[1] == tmp_path / "out"


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_is_not(memory, tmp_path):
    script = textwrap.dedent(f"""\
        import pathlib, sys, time
        from virgo_factory.rollouts.servers import hand_over
        hand_over.MEMORY = pathlib.Path({str(memory)!r})
        with hand_over.HandOverFolder(10, pathlib.Path({str(tmp_path)!r})) as folder:
            with folder.new(1) as new:
                (new / "weights").write_text("1")
            print(folder.at(1), flush=True)
            time.sleep(600)
        """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        left = other.stdout.readline().strip()
        with HandOverFolder(10, tmp_path):
            assert os.path.exists(left)

        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert os.path.exists(left)
        with HandOverFolder(10, tmp_path) as folder:
            assert not os.path.exists(left) and list(memory.iterdir()) == [folder.at(1).parent]
