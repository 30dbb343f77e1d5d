"""Drawn scenes and a server that plays every role; a whole synthesis that many tests look at."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from virgo_factory.demo.scenes import write_scenes
from virgo_factory.demo.synthesis.server import ROLES, serving
from virgo_factory.synthesis.config import read_config
from virgo_factory.synthesis.run.launch import synthesize


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder with drawn scenes and their pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    write_scenes(folder, 5)
    return folder


@pytest.fixture(scope="session")
def played():
    """A server that plays every role."""
    with serving() as server:
        yield server


@pytest.fixture
def make(drawn, played, tmp_path):
    """Writes a configuration into the test's folder and returns its path."""

    def write(**keys) -> Path:
        roles = {name: {"model_name_or_path": name} for name in ROLES}
        values = {
            "scenes": [{"reader": "rows", "file": str(drawn / "scenes.jsonl"), "box_format": "xyxy"}],
            "media_dir": str(drawn),
            "urls": [played.url],
            **roles,
            "sft_share": 0.5,
            "output_dir": str(tmp_path / "out"),
            "dataset": "drawn",
            "dataset_dir": str(tmp_path),
        }
        path = tmp_path / "synthesis.yaml"
        path.write_text(yaml.safe_dump(values | keys, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def whole(drawn, played, tmp_path_factory) -> Path:
    """A folder in which everything is made; nobody changes it."""
    folder = tmp_path_factory.mktemp("whole")
    config = {
        "scenes": [{"reader": "rows", "file": str(drawn / "scenes.jsonl"), "box_format": "xyxy"}],
        "media_dir": str(drawn),
        "urls": [played.url],
        **{name: {"model_name_or_path": name} for name in ROLES},
        "sft_share": 0.5,
        "output_dir": str(folder / "out"),
        "dataset": "drawn",
        "dataset_dir": str(folder),
    }
    (folder / "synthesis.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    outcome = synthesize(read_config(folder / "synthesis.yaml"))
    assert not (outcome.waits or outcome.gave_up or outcome.dropped)
    return folder / "out"


def run(*arguments: str, kill: bool = False) -> subprocess.Popen:
    """Start `virgo-factory synthesize`."""
    command = ["virgo-factory", "synthesize", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"COLUMNS": "160"}
    )
