"""The commands of README.md and docs/synthesize.md are run as they stand, with a server that plays every role behind them."""

import shlex
import subprocess
from pathlib import Path

import pytest

from demo_scenes.scenes import write_scenes
from tests.pages import commands


pytestmark = pytest.mark.integration

PAGES = ("README.md", "docs/synthesize.md")
MODELS = ("Qwen/Qwen2.5-VL-72B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder of a user's own with the recipes, and scenes where none of DOCCI are; it is the current one."""
    subprocess.run(["virgo-factory", "recipes", "copy", "."], cwd=tmp_path, check=True, capture_output=True)
    write_scenes(tmp_path / "drawn", 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command(place, serving_models, call):
    """In the order of the pages; where they name DOCCI's files, drawn scenes stand behind the command."""
    scenes = "scenes=[{reader: rows, file: drawn/scenes.jsonl, box_format: xyxy}]"
    behind = [scenes, "media_dir=drawn", f"urls=[{serving_models.url}]"]
    for page in PAGES:
        for line in commands(page, "virgo-factory synthesize"):
            asks = line.startswith("virgo-factory synthesize run")
            if "merge" in line:
                whole = (place / "data/lgt").rename(place / "whole")

            code, said = call(*shlex.split(line)[2:], *(behind if asks else ()))
            assert code == 0, (line, said)
            if "--dry-run" in line:
                assert "to the writer" in said and "To be put right" not in said
            elif asks and "--shard" not in line:
                assert "All is done" in said, said

        assert (place / "data/lgt/08_sft.jsonl").is_file() and (place / "lgt.html").is_file()

    assert (whole / "08_sft.jsonl").read_bytes() == (place / "data/lgt/08_sft.jsonl").read_bytes()


@pytest.fixture
def serving_models():
    """A server that has the models that the recipe names."""
    from demo_scenes.server import serving

    with serving(model=MODELS) as server:
        yield server
