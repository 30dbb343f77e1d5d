"""The folder for verl: rows as they were written, each row in counted, the recipe's values under verl's names."""

import io
import json
import stat
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from PIL import Image

from virgo_factory.answers.engines import compute_score
from virgo_factory.core.errors import UserError
from virgo_factory.data.read.source import find_sources
from virgo_factory.reinforce.prompts import Prompts
from virgo_factory.reinforce.verl import departures, export_verl, settings_of


RECIPE = {
    "model_name_or_path": "models/Qwen2.5-VL-7B-Instruct",
    "stage": "grpo",
    "finetuning_type": "full",
    "template": "virgo",
    "dataset": "asked",
    "global_batch_size": 8,
    "rl_num_generations": 4,
    "lr_scheduler_type": "constant_with_warmup",
    "learning_rate": 1.0e-6,
    "warmup_steps": 25,
    "weight_decay": 0.1,
    "image_max_pixels": 65536,
    "output_dir": "saves/omr7b_gspo",
}
ROWS = [
    {"id": "a", "question": "<image>What colour?", "gold": "red", "images": ["small.png"]},
    {"id": "b", "question": "2 + 2?", "gold": "4", "images": []},
    {
        "id": "c",
        "question": "<image>Which is it? <image>",
        "gold": "B",
        "options": ["first", "second"],
        "images": ["small.png", "clear.png"],
        "pass_rate": 0.5,
    },
    {"id": "d", "question": "Both roots?", "gold": ["1", "2"], "pass_rate": 0.75},
    {"id": "e", "question": "No gold?"},
    {"id": "f", "question": "<image>Gone?", "gold": "1", "images": ["gone.png"]},
    {"id": "g", "question": "<image>Is <video> here?", "gold": "1", "images": ["small.png"]},
]


@pytest.fixture
def prompts(tmp_path):
    """A function that gives the prompts of RECIPE with other values, and its keys."""
    Image.new("RGB", (60, 40), "red").save(tmp_path / "small.png")
    Image.new("RGBA", (800, 400), (0, 0, 255, 0)).save(tmp_path / "clear.png")
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    entry = {"file_name": "asked.jsonl", "formatting": "questions", "media_dir": "."}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"asked": entry, "other": {"file_name": "asked.jsonl"}}))

    def make(**more):
        keys = RECIPE | {"dataset_dir": str(tmp_path)} | more
        (tmp_path / "recipe.yaml").write_text(json.dumps(keys))
        sources, settings = find_sources(str(tmp_path / "recipe.yaml"))
        return keys, Prompts(sources, settings)

    return make


def test_rows_are_as_they_are_asked_and_those_left_out_are_counted(prompts, tmp_path):
    keys, found = prompts(question_prefix="virgo", default_system="Look.")
    assert export_verl(keys, found, tmp_path / "out", gpus=8).rows == 4
    assert (found.rows, dict(found.dropped)) == (
        7,
        {"no gold answer": 1, "image missing": 1, "control token in the question": 1},
    )
    assert f"{tmp_path / 'asked.jsonl'}:5: no gold answer" in found.examples[0]
    table = pq.read_table(tmp_path / "out" / "train.parquet")
    assert str(table.schema.field("images").type) == "list<element: struct<bytes: binary>>"
    rows = table.to_pylist()
    assert [row["reward_model"]["ground_truth"] for row in rows] == ["red", "4", "B", "1, 2"]
    assert {row["data_source"] for row in rows} == {"asked"}
    assert [row["extra_info"]["index"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        system, asked = row["prompt"]
        assert system == {"role": "system", "content": "Look."} and asked["role"] == "user"
        assert asked["content"].count("<image>") == len(row["images"])
        assert "Please" in asked["content"] or len(asked["content"]) > 100, "the prefix"

    assert rows[2]["prompt"][1]["content"].endswith("(A) first\n(B) second")


def test_pictures_are_those_that_the_model_sees(prompts, tmp_path):
    keys, found = prompts()
    export_verl(keys, found, tmp_path / "out")
    small, clear = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()[2]["images"]
    assert small["bytes"] == (tmp_path / "small.png").read_bytes()
    with Image.open(io.BytesIO(clear["bytes"])) as seen:
        assert (seen.mode, seen.size, seen.getpixel((0, 0))) == ("RGB", (362, 181), (255, 255, 255))


def test_rewards_of_its_rows_know_options_and_lists(prompts, tmp_path):
    keys, found = prompts()
    export_verl(keys, found, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    for row, said, other in ((rows[2], "second", "first"), (rows[3], "2 and 1", "1")):
        arguments = (row["reward_model"]["ground_truth"], row["extra_info"])
        assert compute_score("asked", f"<think>t</think><answer>{said}</answer>", *arguments)["score"] == 1.0
        assert compute_score("asked", f"<think>t</think><answer>{other}</answer>", *arguments)["acc"] == 0.0


def test_the_easiest_come_first_where_the_recipe_says_so(prompts, tmp_path):
    keys, found = prompts(rl_curriculum="pass_rate")
    with pytest.raises(UserError, match="2 prompts have no pass rate .* such as a, b"):
        export_verl(keys, found, tmp_path / "out")

    for row in ROWS[:2]:
        assert "pass_rate" not in row

    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[2:4]))
    keys, found = prompts(rl_curriculum="pass_rate")
    export_verl(keys, found, tmp_path / "easy")
    ids = [row["extra_info"]["id"] for row in pq.read_table(tmp_path / "easy" / "train.parquet").to_pylist()]
    assert ids == ["d", "c"]
    assert "data.shuffle=False" in (tmp_path / "easy" / "run.sh").read_text()


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (
            {"rl_loss": "gspo"},
            {"policy_loss.loss_mode": "gspo", "loss_agg_mode": "seq-mean-token-mean", "clip_ratio_low": 3e-4,
             "clip_ratio_high": 4e-4, "optim.lr": 1e-6, "optim.lr_scheduler_type": "constant", "optim.lr_warmup_steps": 25,
             "optim.weight_decay": 0.1, "use_kl_loss": False, "ppo_mini_batch_size": 2},
        ),
        (
            {"rl_loss": "grpo", "rl_beta": 0.01, "rl_clip_high": 0.3},
            {"policy_loss.loss_mode": "vanilla", "loss_agg_mode": "token-mean", "clip_ratio_low": 0.2, "clip_ratio_high": 0.3,
             "use_kl_loss": True, "kl_loss_coef": 0.01, "kl_loss_type": "low_var_kl"},
        ),
        ({"rl_loss": "dapo"}, {"loss_agg_mode": "token-mean", "clip_ratio_low": 0.2, "clip_ratio_high": 0.28}),
        (
            {"rl_loss": "dr_grpo", "rl_max_response_tokens": 1000},
            {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 1000},
        ),
    ],
)  # fmt: skip
def test_a_loss_under_its_names(more, wanted):
    found = settings_of(RECIPE | more, gpus=8)
    assert {name: found[f"actor_rollout_ref.actor.{name}"] for name in wanted} == wanted
    assert found["algorithm.norm_adv_by_std_in_grpo"] is (more["rl_loss"] != "dr_grpo")


def test_batches_lengths_and_reward_under_their_names():
    found = settings_of(
        RECIPE | {"rl_updates_per_rollout": 4, "global_batch_size": 512, "rl_num_generations": 16, "save_steps": 64}
        | {"rl_overlong_buffer": 4096, "rl_max_response_tokens": 28_696, "rl_format_weight": 0.3, "rl_reward": "omr"},
        gpus=64,
    )  # fmt: skip
    assert found["data.train_batch_size"] == 128 and found["actor_rollout_ref.actor.ppo_mini_batch_size"] == 32
    assert found["actor_rollout_ref.actor.ppo_max_token_len_per_gpu"] == 4096 + 28_696
    assert found["reward.reward_manager.name"] == "dapo" and found["+reward.reward_kwargs.max_resp_len"] == 28_696
    own = "+reward.custom_reward_function.reward_kwargs."
    assert {name.removeprefix(own): value for name, value in found.items() if name.startswith(own)} == {
        "format_weight": 0.3,
        "tags": "virgo",
        "rule": "omr",
    }
    assert (found["trainer.save_freq"], found["actor_rollout_ref.actor.optim.lr_warmup_steps"]) == (16, 7)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"stage": "sft"}, "stage: sft: only recipes of stage: grpo"),
        ({"rl_num_generations": 3}, "rl_num_generations: 3 does not divide the 8 responses"),
        ({"global_batch_size": 12}, "12 responses an update are no equal shares of 8 GPUs"),
        ({"lr_scheduler_type": "linear"}, "lr_scheduler_type: linear: verl has constant and cosine"),
        ({"finetuning_type": "freeze"}, "finetuning_type: freeze"),
        ({"rl_loss": "ppo"}, "rl_loss"),
    ],
)
def test_what_verl_cannot_do_is_told(more, told):
    with pytest.raises(UserError, match=told):
        settings_of(RECIPE | more, gpus=8)


def test_what_is_refused_leaves_nothing_behind(prompts, tmp_path):
    with pytest.raises(UserError, match="malformed: error, and 3 of 7 rows are no prompts"):
        export_verl(*prompts(malformed="error"), tmp_path / "out")

    with pytest.raises(UserError, match="4 prompts are kept, and one rollout asks 16"):
        export_verl(*prompts(global_batch_size=64), tmp_path / "few")

    with pytest.raises(UserError, match="Set formatting: questions"):
        export_verl(*prompts(dataset="other"), tmp_path / "other")

    for name in ("out", "few", "other"):
        assert not list((tmp_path / name).iterdir())

    export_verl(*prompts(), tmp_path / "whole")
    with pytest.raises(UserError, match="there is something in it"):
        export_verl(*prompts(), tmp_path / "whole")


@pytest.mark.slow
def test_the_launch_file_is_one_that_a_shell_reads(prompts, tmp_path):
    keys, found = prompts(model_name_or_path="models/it's a model")
    export_verl(keys, found, tmp_path / "out", nodes=2, gpus=4)
    script = tmp_path / "out" / "run.sh"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        ["bash", script, "trainer.nnodes=3"],
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
    )
    told = done.stdout.splitlines()
    assert told[:2] == ["-m", "virgo_factory.reinforce.check_verl"] and told[told.index("--rows") + 1] == "4"
    assert "actor_rollout_ref.model.path=models/it's a model" in told and "trainer.n_gpus_per_node=4" in told
    assert told[-1] == "trainer.nnodes=3"
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "verl[vllm]==0.9.1" in readme and all(line in readme for line in departures(keys))
    done = subprocess.run([sys.executable, "-c", "import rewards; print(rewards.compute_score)"], cwd=tmp_path / "out")
    assert done.returncode == 0
