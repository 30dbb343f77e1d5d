"""Drawn scenes and a server that plays every role; a whole synthesis that many tests look at."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from demo_scenes.scenes import write_scenes
from demo_scenes.server import ROLES, serving
from tests import forking
from virgo_factory.cli.main import main
from virgo_factory.synthesis.config import read_config
from virgo_factory.synthesis.run.launch import synthesize
from virgo_factory.synthesis.words import Reply


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder with drawn scenes and their pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    write_scenes(folder, 2)
    return folder


@pytest.fixture(scope="session")
def played():
    """A server that plays every role."""
    with serving() as server:
        yield server


def settings(drawn: Path, url: str, folder: Path) -> dict:
    """Return the configuration of a synthesis of the drawn scenes, into FOLDER/out."""
    return {
        "scenes": [{"reader": "rows", "file": str(drawn / "scenes.jsonl"), "box_format": "xyxy"}],
        "media_dir": str(drawn),
        "urls": [url],
        **{name: {"model_name_or_path": name} for name in ROLES},
        "sft_share": 0.5,
        "output_dir": str(folder / "out"),
        "dataset": "drawn",
        "dataset_dir": str(folder),
    }


def write(folder: Path, values: dict) -> Path:
    """Write a configuration and return its path."""
    path = folder / "synthesis.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture
def make(drawn, played, tmp_path):
    """Writes a configuration into the test's folder and returns its path."""
    return lambda **keys: write(tmp_path, settings(drawn, played.url, tmp_path) | keys)


@pytest.fixture(scope="session")
def whole(drawn, played, tmp_path_factory) -> Path:
    """A folder in which everything is made; nobody changes it."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = synthesize(read_config(write(folder, settings(drawn, played.url, folder))))
    assert not (outcome.waits or outcome.gave_up or outcome.dropped)
    return folder / "out"


@pytest.fixture(scope="session")
def say() -> Callable[..., Reply]:
    """Makes a reply with a response."""

    def reply(response: str, sample: int = 0, finish_reason: str = "stop", mode: str = "", **about) -> Reply:
        return Reply("key", "of", mode, sample, "model", response, finish_reason, 100, 50, 1.0, 0, "sha", about)

    return reply


@pytest.fixture
def call(capsys, monkeypatch) -> Callable[..., tuple[int, str]]:
    """A function that does what `virgo-factory synthesize` does, and returns its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["synthesize", *map(str, arguments)])

        return ended.value.code or 0, "".join(capsys.readouterr())

    return run


def run(*arguments: str) -> subprocess.Popen:
    """Start `virgo-factory synthesize`, forked behind its imports, in a process that can be killed."""
    code = "from virgo_factory.cli.main import main; main()"
    command = forking.command(forking.TRAININGS, code, "synthesize", *map(str, arguments))
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"COLUMNS": "160"}
    )
