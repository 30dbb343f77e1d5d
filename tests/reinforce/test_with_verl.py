"""The exported folder in verl's own environment: its dataset class, its configuration, its reward managers, its losses.

VIRGO_VERL_PYTHON names the python of an environment with verl 0.9 (its three lines are in an exported README.md, but `verl`
without the extra `vllm`, and with torch's CPU build, is enough).
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

import virgo_factory
from virgo_factory.data.read.source import find_sources
from virgo_factory.reinforce.prompts import Prompts
from virgo_factory.reinforce.verl import LOSSES, export_verl, settings_of


PYTHON = os.environ.get("VIRGO_VERL_PYTHON")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PYTHON, reason="VIRGO_VERL_PYTHON: no environment with verl is named"),
]

ACTOR = "actor_rollout_ref.actor."
LOSS_SCRIPT = """
import json, sys
import torch
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.workers.config import ActorConfig, PolicyLossConfig

torch.manual_seed(0)
mask = torch.ones(6, 9)
mask[1, 4:] = mask[4, 7:] = 0
old = -torch.rand(6, 9)
advantages = torch.randn(6, 1).expand(6, 9)
for name, (level, kind, settings) in json.loads(sys.argv[1]).items():
    # Small enough for ratios below 3, where verl's `vanilla` clips once more.
    new = (old + 0.1 * torch.randn(6, 9)).requires_grad_()
    low, high = settings["clip_ratio_low"], settings["clip_ratio_high"]
    log_ratio = new - old  # TRL 0.24, grpo_trainer.py:1689-1745
    if level == "sequence":
        log_ratio = ((log_ratio * mask).sum(-1) / mask.sum(-1)).unsqueeze(-1)

    ratio = log_ratio.exp()
    each = -torch.min(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)
    wanted = {
        "grpo": lambda: ((each * mask).sum(-1) / mask.sum(-1)).mean(),
        "dapo": lambda: (each * mask).sum() / mask.sum(),
        "dr_grpo": lambda: (each * mask).sum() / (len(mask) * settings["loss_scale_factor"]),
    }[kind]()
    (gradient,) = torch.autograd.grad(wanted, new)
    more = {"loss_scale_factor": settings["loss_scale_factor"]} if "loss_scale_factor" in settings else {}
    config = ActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, clip_ratio_low=low,
                         clip_ratio_high=high, loss_agg_mode=settings["loss_agg_mode"],
                         policy_loss=PolicyLossConfig(loss_mode=settings["policy_loss.loss_mode"]), **more)
    config.global_batch_info.update(more)
    found, _ = get_policy_loss_fn(settings["policy_loss.loss_mode"])(
        old, new, advantages, mask, settings["loss_agg_mode"], config)
    (theirs,) = torch.autograd.grad(found, new)
    assert abs(found - wanted) < 1e-6 and (theirs - gradient).abs().max() < 1e-6, (name, found, wanted)
    print(name, found.item())
"""

REWARD_SCRIPT = """
import asyncio, sys
import numpy as np, torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

class Letters:
    def decode(self, ids, skip_special_tokens=True):
        return "".join(map(chr, ids.tolist()))

config = OmegaConf.load(sys.argv[1])
rank, config.actor_rollout_ref.model.lora_rank = config.actor_rollout_ref.model.lora_rank, 0  # asks vLLM, not needed here
assert rank == 8
validate_config(config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
manager = load_reward_manager(config, Letters())
text = "<think>a</think><answer>second</answer>"
ids = torch.tensor([[ord(sign) for sign in text]])
data = DataProto(
    batch=TensorDict({"responses": ids, "attention_mask": torch.ones_like(ids)}, batch_size=1),
    non_tensor_batch={name: np.array([value], dtype=object) for name, value in {
        "data_source": "asked", "reward_model": {"ground_truth": "B"},
        "extra_info": {"asked": '{"gold": "B", "options": ["first", "second"], "text": "Which?"}'}}.items()})
print(asyncio.get_event_loop().run_until_complete(manager.run_single(data)))
"""


@pytest.fixture(scope="module")
def verl():
    """A function that runs verl's python, and gives its standard output and error together."""

    def run(*arguments, code=0, **environment):
        path = str(Path(virgo_factory.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **environment}
        done = subprocess.run(
            list(map(str, arguments)), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
        assert done.returncode == code, done.stdout[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def exported(tmp_path_factory, shared_data):
    """The folder of four prompts: of words, of one and of two pictures, one of them transparent."""
    folder = tmp_path_factory.mktemp("export")
    shutil.copytree(shared_data / "qwen2.5_vl_tokenizer", folder / "model")
    Image.new("RGB", (60, 40), "red").save(folder / "small.png")
    Image.new("RGBA", (800, 400), (0, 0, 255, 0)).save(folder / "clear.png")
    rows = [
        {"question": "<image>What colour?", "gold": "red", "images": ["small.png"]},
        {"question": "2 + 2?", "gold": "4"},
        {
            "question": "<image>Which? <image>",
            "gold": "B",
            "options": ["a", "b"],
            "images": ["small.png", "clear.png"],
        },
        {"question": "Both roots?", "gold": ["1", "2"], "images": []},
    ]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = {"file_name": "asked.jsonl", "formatting": "questions", "media_dir": "."}
    (folder / "dataset_info.json").write_text(json.dumps({"asked": entry}))
    keys = {
        **{"model_name_or_path": str(folder / "model"), "stage": "grpo", "template": "qwen2_vl", "dataset": "asked"},
        **{"finetuning_type": "lora", "global_batch_size": 8, "rl_num_generations": 4, "rl_overlong_buffer": 16},
        **{"rl_max_response_tokens": 48, "lr_scheduler_type": "cosine", "dataset_dir": str(folder), "rl_beta": 0.01},
    }
    (folder / "recipe.yaml").write_text(json.dumps(keys))
    sources, settings = find_sources(str(folder / "recipe.yaml"))
    assert export_verl(keys, Prompts(sources, settings), folder / "out", nodes=1, gpus=8).rows == 4
    return folder / "out", keys


def test_its_dataset_class_reads_every_prompt(verl, exported, tmp_path):
    folder, keys = exported
    command = [PYTHON, "-m", "virgo_factory.reinforce.check_verl", folder / "train.parquet", "--model"]
    command += [keys["model_name_or_path"], "--max-prompt-tokens"]
    environment = {"HF_HOME": str(tmp_path)}
    told = verl(*command, 40, "--rows", 4, **environment)
    assert "4 prompts, 1 of them longer than 40 tokens. The first:" in told
    assert "<|vision_start|><|image_pad|><|vision_end|>What colour?<|im_end|>" in told
    assert "verl reads 4 of the 5 prompts" in verl(*command, 4096, "--rows", 5, code=1, **environment)


def test_its_configuration_and_reward_manager_take_what_the_launch_file_says(verl, exported, tmp_path):
    folder, _ = exported
    script = (folder / "run.sh").read_text().replace("python -m virgo_factory.reinforce.check_verl", ": ")
    (folder / "no_check.sh").write_text(script)
    environment = {"PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}", "HYDRA_FULL_ERROR": "1"}
    told = verl("bash", folder / "no_check.sh", "--cfg", "job", **environment)
    (folder / "job.yaml").write_text(told[told.index("actor_rollout_ref:") :])
    (tmp_path / "reward.py").write_text(REWARD_SCRIPT)
    told = verl(PYTHON, tmp_path / "reward.py", folder / "job.yaml")
    assert "'score': 1.0" in told and "'acc': 1.0" in told and "overlong_reward" in told


def test_its_losses_are_those_of_the_stage(verl, exported, tmp_path):
    import llamafactory.hparams  # noqa: F401

    from virgo_factory.hooks.reinforce.arguments import PRESETS

    keys = exported[1] | {"rl_clip_low": 0.05, "rl_clip_high": 0.1}  # so that both sides act
    wanted = {}
    for name in LOSSES:
        found = settings_of(keys | {"rl_loss": name}, gpus=8)
        wanted[name] = (
            PRESETS[name]["importance_sampling_level"],
            PRESETS[name]["loss_type"],
            {key.removeprefix(ACTOR): value for key, value in found.items() if key.startswith(ACTOR)},
        )

    (tmp_path / "losses.py").write_text(LOSS_SCRIPT)
    assert verl(PYTHON, tmp_path / "losses.py", json.dumps(wanted)).count("\n") >= len(LOSSES)
