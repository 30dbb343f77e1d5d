"""The demo of synthesis, shortened; and a trained model as thinker, served by vLLM."""

import contextlib
import json

import pytest

from demo_scenes.scenes import write_scenes
from demo_scenes.server import serving
from tests.demo.conftest import with_recipes
from virgo_factory.core.errors import UserError
from virgo_factory.demo import synthesize
from virgo_factory.demo.steps import run
from virgo_factory.synthesis.config import read_config
from virgo_factory.synthesis.run.folder import SHORT, THINKING, card_of
from virgo_factory.synthesis.run.launch import synthesize as make


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
STEPS = {"max_steps": 3, "save_strategy": "no", "logging_steps": 1}


@pytest.fixture(scope="module")
def folder(make_bench, tmp_path_factory):
    """The current folder, in which the demo was run."""
    folder = with_recipes(tmp_path_factory.mktemp("demo"))
    with contextlib.chdir(folder):
        synthesize.prepare()
        bench = make_bench(folder, synthesize.START)
        assert run(synthesize.STEPS[0]) == 0
        for step in synthesize.STEPS[1:]:
            bench.train_step(step, **STEPS)

        yield folder


def test_what_the_demo_proves(folder):
    for proof in (synthesize.faults_found(), synthesize.wrong_thoughts_masked()):
        assert proof.holds, proof


@pytest.mark.usefixtures("forked_vllm")
def test_the_trained_model_thinks_through_vllm(folder, tmp_path):
    """A server plays the other roles; vLLM goes on behind each beginning, whatever so small a model says."""
    scenes = [{"reader": "rows", "file": str(write_scenes(tmp_path / "pictures", 1, first=16)), "box_format": "xyxy"}]
    thinker = {"model_name_or_path": str(synthesize.FOLDER / "dpo"), "urls": [], "max_model_len": 1024}
    thinker |= {"max_tokens": 160, "samples": 2}
    with serving() as server:
        keys = {"scenes": scenes, "media_dir": str(tmp_path / "pictures"), "urls": [server.url], "thinker": thinker}
        keys |= {"compositions": 0, "output_dir": str(tmp_path / "out"), "dataset_dir": str(tmp_path)}
        config = read_config("recipes/synthesize/demo.yaml", [f"{key}={json.dumps(is_)}" for key, is_ in keys.items()])
        with contextlib.suppress(UserError):  # where no thought of so small a model gives a row
            make(config)

    card = card_of(tmp_path / "out", SHORT)
    rows = [json.loads(line) for line in (tmp_path / "out" / f"{THINKING}.jsonl").read_text().splitlines()]
    assert (
        sum(row["model"] == thinker["model_name_or_path"] and "vllm" in row["params"] for row in rows)
        == card["in"]
        > 0
    )
