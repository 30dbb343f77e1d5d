"""The loop's folders and commands: the recipes fit together, and fit another folder by overrides alone."""

import json
from pathlib import Path

import pytest
import yaml

from virgo_factory.demo import distill, loop_proofs
from virgo_factory.distill.config import read_config
from virgo_factory.evaluation.config import read_config as read_evaluation


ROOT = Path(__file__).parents[2]


def recipe(name: str) -> dict:
    """Return a training recipe of the loop."""
    return yaml.safe_load((ROOT / "recipes" / f"virgo_demo_{name}.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def in_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_recipes_are_one_loop():
    """Each file that one step writes is the one that the next step names."""
    config = read_config(ROOT / "recipes/distill/demo.yaml", files=False)
    m0, dsd, both = map(recipe, ("m0", "dsd", "dt_dsd"))
    assert {m0["model_name_or_path"], dsd["model_name_or_path"], both["model_name_or_path"]} == {
        config.base_model_name_or_path
    }
    assert config.model_name_or_path == m0["output_dir"]
    assert {dsd["media_dir"], both["media_dir"]} == {str(config.output_dir)}
    assert dsd["dataset"] == config.dataset
    assert both["dataset"] == f"{m0['dataset']},{config.dataset}"
    for trained in (m0, dsd, both):
        assert trained["question_prefix"] == config.question_prefix
        assert trained["image_max_pixels"] == config.image_max_pixels
        assert trained["freeze_vision_tower"] and not trained["freeze_multi_modal_projector"]

    assert both["max_response_tokens"] == m0["max_response_tokens"] > config.max_tokens, "D_SD is kept whole"


def test_in_a_checkout_the_recipes_run_as_they_are(in_checkout):
    loop = distill.plan()
    assert loop.as_they_are
    assert [len(step.command) for step in loop.steps] == [3, 4, 4, 3, 3]
    config = read_config("recipes/distill/demo.yaml", files=False)
    assert (str(loop.base), loop.questions) == (config.base_model_name_or_path, config.questions)
    assert (loop.rollouts, str(loop.output("m0"))) == (config.output_dir, config.model_name_or_path)
    assert str(loop.output("dsd")) == recipe("dsd")["output_dir"]
    assert str(loop.output("dt_dsd")) == recipe("dt_dsd")["output_dir"]


@pytest.mark.parametrize("where", ["another folder", "no checkout"])
def test_elsewhere_every_path_is_told(where, tmp_path, monkeypatch, in_checkout):
    folder = tmp_path / "loop"
    if where == "no checkout":
        monkeypatch.chdir(tmp_path)
        folder = Path("loop")

    loop = distill.plan(folder)
    assert not loop.as_they_are
    _, ask, _, dsd, both = loop.steps
    for step in (dsd, both):
        told = dict(override.split("=") for override in step.command[3:])
        assert set(told) == {"model_name_or_path", "output_dir", "dataset_dir", "media_dir"}
        assert told["model_name_or_path"] == str(folder / "base")

    config = read_config(ask.command[3], ask.command[4:], files=False)
    paths = (config.questions, config.output_dir, config.dataset_dir)
    assert all(path.is_relative_to(folder) for path in (*paths, Path(config.model_name_or_path)))
    assert Path(config.base_model_name_or_path).is_relative_to(folder)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("ten years")
    with pytest.raises(ValueError, match="holds something that the demo did not make"):
        distill.plan(tmp_path)


@pytest.mark.parametrize("name", distill.SCORED)
def test_the_models_are_scored_on_the_held_out_questions(in_checkout, tmp_path, name):
    for folder in (distill.FOLDER, tmp_path / "other"):
        loop = distill.plan(folder)
        _, verb, run, path, *overrides = loop.evaluation(name).command
        config = read_evaluation(path, overrides, files=False)
        model = loop.base if name == "base" else loop.output(name)
        assert (verb, run) == ("evaluate", "run") and config.model_name_or_path == str(model)
        assert config.questions == loop.held_out and config.output_dir == loop.scores(name)
        assert config.question_prefix == recipe("m0")["question_prefix"]
        assert config.image_max_pixels == recipe("m0")["image_max_pixels"]


def test_scores_have_their_intervals(tmp_path):
    loop = distill.plan(tmp_path / "loop")
    keys = {"model": "m", "sample": 0, "reason": "same_value", "kind": "number", "answer": "1", "rule": "box"}
    keys |= {"where": "solution", "state": "complete", "version": "0"}
    for right, name in enumerate(distill.SCORED):
        loop.scores(name).mkdir(parents=True)
        rows = [keys | {"question": str(n), "verdict": "correct" if n < right else "wrong"} for n in range(10)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (loop.scores(name) / "verdicts.jsonl").write_text(text, encoding="utf-8")

    lines = loop_proofs.scores(loop)
    assert [line.partition("%")[0].split()[-1] for line in lines] == ["0.0", "10.0", "20.0", "30.0"]
    assert lines[0] == "base         0.0%  95 %  0.0 - 27.8  of 10 questions", "Wilson's interval"
    assert lines[3].startswith("D_T + D_SD  30.0%  95 % 10.8 - 60.3")
