"""The folder for EasyR1: rows, values and rewards as it reads them (hiyouga/EasyR1, verl/utils/dataset.py)."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from virgo_factory.answers.engines import compute_scores
from virgo_factory.core.errors import UserError
from virgo_factory.data.read.source import Settings, find_sources
from virgo_factory.reinforce.easyr1 import config_of, departures, export_easyr1
from virgo_factory.reinforce.prompts import Prompts


RECIPE = {
    "model_name_or_path": "models/Qwen2.5-VL-7B-Instruct",
    "stage": "grpo",
    "finetuning_type": "full",
    "template": "omr",
    "dataset": "asked",
    "global_batch_size": 8,
    "rl_num_generations": 4,
    "rl_updates_per_rollout": 2,
    "rl_max_response_tokens": 48,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 25,
    "image_max_pixels": 65536,
}
ROWS = [
    {"id": "a", "question": "<image>What colour?", "gold": "red", "images": ["small.png"]},
    {"id": "b", "question": "2 + 2?", "gold": "4", "images": []},
    {"id": "c", "question": "<image>Which? <image>", "gold": "B", "options": ["first", "second"], "images": ["small.png"] * 2},
    {"id": "d", "question": "2 + 2?", "gold": "4"},
    {"id": "e", "question": "No gold?"},
]  # fmt: skip


@pytest.fixture
def prompts(tmp_path):
    """A function that gives the prompts of RECIPE with other values, and its keys."""
    Image.new("RGB", (60, 40), "red").save(tmp_path / "small.png")
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    entry = {"file_name": "asked.jsonl", "formatting": "questions", "media_dir": "."}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"asked": entry}))

    def make(**more):
        keys = RECIPE | {"dataset_dir": str(tmp_path)} | more
        (tmp_path / "recipe.yaml").write_text(json.dumps(keys))
        return keys, Prompts(*find_sources(str(tmp_path / "recipe.yaml")))

    return make


@pytest.mark.slow
def test_the_folder(prompts, tmp_path):
    keys, found = prompts()
    made = export_easyr1(keys, found, tmp_path / "out", nodes=1, gpus=4)
    assert (made.rows, dict(found.dropped)) == (4, {"no gold answer": 1})
    rows = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert all(row["problem"].count("<image>") == len(row["images"]) for row in rows)
    assert [len(row["images"]) for row in rows] == [1, 0, 2, 0]
    assert len({row["answer"] for row in rows}) == 4, "by which a group is told"
    assert json.loads(rows[2]["answer"])["options"] == ["first", "second"]
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["worker"]["rollout"]["limit_images"] == 2
    assert "reward_type" not in config["worker"]["reward"], "newer ones refuse it"
    readme = (tmp_path / "out" / "README.md").read_text()
    assert all(line in readme for line in departures(keys)) and "was not at hand" in readme
    assert subprocess.run(["bash", "-n", tmp_path / "out" / "run.sh"]).returncode == 0
    done = subprocess.run([sys.executable, "-c", "from rewards import compute_scores"], cwd=tmp_path / "out")
    assert done.returncode == 0
    with pytest.raises(UserError, match="there is something in it"):
        export_easyr1(*prompts(), tmp_path / "out", gpus=4)


def test_values_under_its_names():
    keys = RECIPE | {
        "rl_loss": "gspo",
        "rl_beta": 0.01,
        "freeze_vision_tower": True,
        "max_steps": 100,
        "save_steps": 64,
    }
    found = config_of(keys, Settings(image_max_pixels=65536), 2, 2)
    assert (found["data"]["rollout_batch_size"], found["worker"]["actor"]["global_batch_size"]) == (4, 2)
    actor = found["worker"]["actor"]
    assert (actor["loss_type"], actor["loss_avg_mode"], actor["clip_ratio_low"], actor["clip_ratio_high"]) == (
        *("gspo", "seq", 3e-4, 4e-4),
    )
    assert (actor["model"]["freeze_vision_tower"], actor["optim"]["lr_warmup_steps"]) == (True, 13)
    assert (found["algorithm"]["disable_kl"], found["algorithm"]["kl_coef"]) == (False, 0.01)
    assert (found["trainer"]["max_steps"], found["trainer"]["save_freq"], found["trainer"]["nnodes"]) == (50, 32, 2)
    assert found["data"]["max_pixels"] == 65536
    grpo = config_of(RECIPE | {"rl_loss": "grpo", "finetuning_type": "lora"}, Settings(), 1, 4)["worker"]["actor"]
    assert (grpo["loss_type"], grpo["loss_avg_mode"], grpo["clip_ratio_high"]) == ("default", "token", 0.2)
    assert grpo["model"]["lora"] == {"rank": 8, "alpha": 16, "target_modules": "all-linear"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"rl_loss": "dr_grpo"}, "rl_loss: dr_grpo: EasyR1 has gspo, grpo, dapo"),
        ({"lr_scheduler_type": "linear"}, "lr_scheduler_type: linear: EasyR1 has constant and cosine"),
        ({"rl_num_generations": 3}, "3 does not divide the 8 responses of an update, as EasyR1 wants"),
    ],
)
def test_what_it_cannot_do_is_told(more, told):
    with pytest.raises(UserError, match=told):
        config_of(RECIPE | more, Settings(), 1, 4)


def test_several_system_messages_are_refused(prompts, tmp_path):
    keys, found = prompts()
    with (tmp_path / "asked.jsonl").open("a") as file:
        file.write(json.dumps(ROWS[1] | {"id": "f", "system": "Look."}) + "\n")

    with pytest.raises(UserError, match=r"asked \(id f\): its system message is not that of the prompts before it"):
        export_easyr1(keys, found, tmp_path / "out", gpus=4)


@pytest.mark.slow
def test_rewards_of_a_batch():
    """Correct, wrong, cut off, and one that cannot be told, which gets its group's mean."""
    gold, other = (json.dumps({"gold": "B", "options": ["x", "y"], "text": "Which?", "id": id}) for id in "ab")
    right, wrong = (f"<think>So.</think><answer>{letter}</answer>" for letter in "BA")
    asked = [(right, gold, 9), (wrong, gold, 9), (right[:-9], gold, 48), (right, other, 9)]
    rows = [{"response": text, "response_length": tokens, "ground_truth": answer} for text, answer, tokens in asked]
    found = compute_scores(rows, max_response_tokens=48, workers=1)
    assert [one["overall"] for one in found] == pytest.approx([1.0, 0.1, 0.0, 1.0])
    assert [one["accuracy"] for one in found] == [1.0, 0.0, 0.0, 1.0]
    half = json.dumps({"gold": "\\frac12", "text": "?", "id": "c"})
    cannot_be_read = "<think>So.</think><answer>\\frac{</answer>"
    group = [right.replace("B", "1/2"), wrong, cannot_be_read]
    rows = [{"response": text, "response_length": 9, "ground_truth": half} for text in group]
    found = compute_scores(rows, workers=1)
    assert [one["overall"] for one in found] == pytest.approx([1.0, 0.1, 0.55])
    assert [one["unverifiable"] for one in found] == [0.0, 0.0, 1.0]
    (alone,) = compute_scores(rows[2:], workers=1)
    assert alone["overall"] == 0.0, "no group, no gradient"
