"""The loop's folders and commands: the recipes fit together, and what comes out is told."""

from pathlib import Path

import folders
import pytest
import yaml

from virgo_factory.demo import distill
from virgo_factory.distill.config import read_config
from virgo_factory.evaluation.config import read_config as read_evaluation
from virgo_factory.rollouts.question import VisualQuestion, write_question


ROOT = Path(__file__).parents[2]


def recipe(name: str) -> dict:
    """Return a training recipe of the loop."""
    return yaml.safe_load((ROOT / "recipes" / f"virgo_demo_{name}.yaml").read_text(encoding="utf-8"))


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


def test_the_steps_are_the_recipes(monkeypatch):
    """Each step names a recipe of the loop, and its folder is the one that this makes."""
    monkeypatch.chdir(ROOT)
    for name in distill.MODELS:
        (step,) = (step for step in distill.STEPS if step.output.name == name)
        assert step.shown == f"llamafactory-cli train recipes/virgo_demo_{name}.yaml"
        assert recipe(name)["output_dir"] == str(step.output)

    config = read_config("recipes/distill/demo.yaml", files=False)
    assert str(distill.base().output) == config.base_model_name_or_path
    assert (distill.ASKED / "questions.jsonl", distill.ROLLOUTS) == (config.questions, config.output_dir)
    assert config.model_name_or_path == str(distill.STEPS[0].output)


@pytest.mark.parametrize("name", distill.SCORED)
def test_the_models_are_scored_on_the_held_out_questions(monkeypatch, name):
    monkeypatch.chdir(ROOT)
    _, verb, run, path, *overrides = distill.evaluation(name).command
    config = read_evaluation(path, overrides, files=False)
    assert (verb, run) == ("evaluate", "run") and config.model_name_or_path == str(distill.FOLDER / name)
    assert config.questions == distill.SCORED_ON / "questions.jsonl"
    assert config.output_dir == distill.evaluation(name).output
    assert config.question_prefix == recipe("m0")["question_prefix"]
    assert config.image_max_pixels == recipe("m0")["image_max_pixels"]


def test_scores_have_their_intervals(here):
    for right, name in enumerate(distill.SCORED):
        folder = distill.evaluation(name).output
        folder.mkdir(parents=True)
        for n in range(10):
            folders.add(folder, *folders.sampled(f"{n}", ["correct" if n < right else "wrong"]))

    lines = list(distill.scores())
    assert [line.partition("%")[0].split()[-1] for line in lines] == ["0.0", "10.0", "20.0", "30.0"]
    assert lines[0] == "base         0.0%  95 %  0.0 - 27.8  of 10 questions", "Wilson's interval"
    assert lines[3].startswith("D_T + D_SD  30.0%  95 % 10.8 - 60.3")


def test_every_question_is_asked_and_judged(here):
    """Proved, and not where a rollout, a sample of a question or a verdict is missing."""
    questions = [
        VisualQuestion(f"bars/{n}", "bars", ("a.png",), ("00" * 32,), "How tall?", "12", kind="number")
        for n in range(2)
    ]
    folders.start(distill.ROLLOUTS, questions)
    distill.ASKED.mkdir()
    (distill.ASKED / "questions.jsonl").write_text("".join(map(write_question, questions)), encoding="utf-8")
    folders.add(distill.ROLLOUTS, *folders.sampled("bars/0", ["base:correct"]))
    assert not distill.every_question_asked().holds
    rollouts, verdicts = folders.sampled("bars/1", ["base:wrong", *["correct"] * 5])
    folders.add(distill.ROLLOUTS, rollouts, verdicts[:-1])
    assert not distill.every_question_asked().holds
    folders.add(distill.ROLLOUTS, [], verdicts[-1:])
    assert distill.every_question_asked().holds
    folders.add(distill.ROLLOUTS, *folders.sampled("bars/1", ["wrong"], first=5))
    assert not distill.every_question_asked().holds
