"""A recipe of `stage: grpo` as a folder for verl 0.9 on Ray: prompts as Parquet, the reward, and how it is launched.

Names of settings are those of verl 0.9.1 (trainer/config); they moved between versions, so that the launch file refuses
another one. What verl does otherwise than the stage is told in the folder's README (`departures`).
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from virgo_factory.answers.model import gold_text
from virgo_factory.core import reinforcement
from virgo_factory.core.errors import UserError
from virgo_factory.core.recipe_keys import RL_DEFAULTS, told_together, wrong_values
from virgo_factory.data.read.templates import TEMPLATE_TAGS
from virgo_factory.io.atomic import replace_file
from virgo_factory.reinforce.prompts import Prompts, reward_file, write_prompts


VERSION = "0.9"
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "gspo": {"policy_loss.loss_mode": "gspo", "loss_agg_mode": "seq-mean-token-mean"},
    "grpo": {"policy_loss.loss_mode": "vanilla", "loss_agg_mode": "token-mean"},
    "dapo": {"policy_loss.loss_mode": "vanilla", "loss_agg_mode": "token-mean"},
    "dr_grpo": {"policy_loss.loss_mode": "vanilla", "loss_agg_mode": "seq-mean-token-sum-norm"},
}
"""`rl_loss` -> verl's actor, as hooks/reinforce/arguments.py has it for TRL."""

SCHEDULES = {"constant": "constant", "constant_with_warmup": "constant", "cosine": "cosine"}


@dataclass(frozen=True)
class Export:
    """What was written: prompts in train.parquet, and what the engine does otherwise than the recipe says."""

    rows: int
    departures: list[str]


def export_verl(keys: Mapping[str, Any], prompts: Prompts, folder: Path, nodes: int = 1, gpus: int = 8) -> Export:
    """Write the folder (new or empty), run.sh last, and return what is in it; `gpus` are those of each of the `nodes` of the Ray cluster.

    Raises UserError: the recipe is of another stage, or says what verl cannot do; there are no prompts; the folder holds something.
    """
    chosen, told = settings_of(keys, nodes * gpus), departures(keys)
    rows = write_prompts(prompts, folder, _schema(), _row, keys, chosen["data.train_batch_size"])
    replace_file(folder / "rewards.py", reward_file("verl", "compute_score"))
    replace_file(folder / "README.md", _readme(rows, nodes * gpus, told).encode())
    replace_file(folder / "run.sh", _launch(keys, chosen, rows, nodes, gpus).encode())
    return Export(rows, told)


def _schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "images": pa.list_(pa.struct({"bytes": pa.binary()})),
            "reward_model": pa.struct({"style": text, "ground_truth": text}),
            "extra_info": pa.struct(
                {"index": pa.int64(), "id": text, "split": text, "question": text, "answer": text, "asked": text}
            ),
        }
    )


def _row(prompt: Any, index: int) -> dict[str, Any]:
    example = prompt.example
    gold, asked = gold_text(example.asked["gold"]), json.dumps(dict(example.asked), ensure_ascii=False)
    return {
        "data_source": prompt.dataset,
        "prompt": prompt.messages,
        "images": [{"bytes": picture} for picture in prompt.pictures],
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"index": index, "id": example.id, "split": "train", "question": example.asked["text"],
                       "answer": gold, "asked": asked},
    }  # fmt: skip


def check_stage(keys: Mapping[str, Any]) -> None:
    """Raise UserError where a recipe is of another stage: before its datasets are looked for."""
    if keys.get("stage") != "grpo":
        raise UserError(f"stage: {keys.get('stage', 'sft')}: only recipes of stage: grpo are exported.")


def read_keys(keys: Mapping[str, Any], gpus: int, engine: str) -> tuple[dict[str, Any], int, list[str]]:
    """Return the settings of the stage, the responses of an update, and what verl and its forks cannot do, on so many GPUs in all."""
    check_stage(keys)
    wrong = wrong_values({key: value for key, value in keys.items() if key in RL_DEFAULTS})
    right = {key: value for key, value in keys.items() if key not in wrong}
    rl = reinforcement.settings_of(right)
    rl["rl_tags"] = rl["rl_tags"] or TEMPLATE_TAGS.get(keys.get("template"), "omr")
    group, updates = rl["rl_num_generations"], rl["rl_updates_per_rollout"]
    update = keys.get("global_batch_size") or (
        keys.get("per_device_train_batch_size", 8) * keys.get("gradient_accumulation_steps", 1) * gpus
    )
    problems = reinforcement.contradictions(right)
    if update % group:
        problems.append(
            f"rl_num_generations: {group} does not divide the {update} responses of an update, as {engine} wants. Set "
            f"global_batch_size to a multiple of {group}."
        )
    elif update * updates // group * group % gpus:
        problems.append(f"global_batch_size: {update} responses an update are no equal shares of {gpus} GPUs.")

    schedule = keys.get("lr_scheduler_type", "linear")
    if schedule not in SCHEDULES:
        problems.append(
            f"lr_scheduler_type: {schedule}: {engine} has constant and cosine. Set constant_with_warmup (as OpenMMReasoner) or "
            "cosine."
        )

    for key in ("freeze_trainable_layers", "use_galore", "use_badam", "use_apollo", "quantization_bit"):
        if keys.get(key) and not (key == "freeze_trainable_layers" and keys.get("finetuning_type") != "freeze"):
            problems.append(f"{key}: {engine} has nothing like it. Remove it.")

    if keys.get("finetuning_type", "lora") not in ("full", "lora"):
        problems.append(f"finetuning_type: {keys['finetuning_type']}: {engine} trains full or lora.")

    if not keys.get("model_name_or_path"):
        problems.append("model_name_or_path: missing.")

    return rl, update, told_together(wrong, problems)


class Course(NamedTuple):
    """How long a run of verl or a fork of it is, in its own steps: those are rollouts."""

    epochs: int
    steps: int | None
    save_every: int
    warmup: int


def course_of(keys: Mapping[str, Any], updates: int) -> Course:
    """Return the course of a recipe with so many updates a rollout; without `max_steps` it has as many steps as its epochs."""
    steps, by_steps = keys.get("max_steps", -1), keys.get("save_strategy", "steps") == "steps"
    return Course(
        epochs=max(1, round(keys.get("num_train_epochs", 3))),
        steps=steps // updates if steps > 0 else None,
        save_every=keys.get("save_steps", 500) // updates if by_steps else -1,
        warmup=-(-(keys.get("warmup_steps") or 0) // updates),
    )


def settings_of(keys: Mapping[str, Any], gpus: int) -> dict[str, Any]:
    """Return verl's settings of a recipe, Hydra's names -> values, on so many GPUs in all; UserError with everything that is wrong."""
    rl, update, problems = read_keys(keys, gpus, "verl")
    if problems:
        raise UserError("\n".join(problems))

    group, updates, response = rl["rl_num_generations"], rl["rl_updates_per_rollout"], rl["rl_max_response_tokens"]
    schedule = keys.get("lr_scheduler_type", "linear")
    loss, course = LOSSES[rl["rl_loss"]], course_of(keys, updates)
    low, high = reinforcement.clips_of(rl)
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    found: dict[str, Any] = {
        "algorithm.adv_estimator": "grpo",
        "algorithm.use_kl_in_reward": False,
        "algorithm.norm_adv_by_std_in_grpo": rl["rl_loss"] != "dr_grpo",
        "data.train_batch_size": update * updates // group,
        "data.max_prompt_length": rl["rl_max_prompt_tokens"],
        "data.max_response_length": response,
        "data.filter_overlong_prompts": True,
        "data.filter_overlong_prompts_workers": 8,
        "data.truncation": "error",
        "data.shuffle": rl["rl_curriculum"] == "shuffle",
        "data.seed": keys.get("seed", 42),
        "data.image_key": "images",
        "data.val_max_samples": 8,
        f"{actor}.ppo_mini_batch_size": update // group,
        f"{actor}.use_dynamic_bsz": True,
        f"{actor}.ppo_max_token_len_per_gpu": max(rl["rl_max_prompt_tokens"] + response, 16384),
        **{f"{actor}.{name}": value for name, value in loss.items()},
        f"{actor}.clip_ratio_low": low,
        f"{actor}.clip_ratio_high": high,
        f"{actor}.entropy_coeff": 0,
        f"{actor}.use_kl_loss": rl["rl_beta"] > 0,
        f"{actor}.optim.lr": float(keys.get("learning_rate", 5e-5)),
        f"{actor}.optim.lr_scheduler_type": SCHEDULES[schedule],
        f"{actor}.optim.weight_decay": float(keys.get("weight_decay", 0.0)),
        f"{actor}.optim.betas": f"[{keys.get('adam_beta1', 0.9)},{keys.get('adam_beta2', 0.999)}]",
        f"{actor}.optim.clip_grad": float(keys.get("max_grad_norm", 1.0)),
        f"{actor}.grad_clip": float(keys.get("max_grad_norm", 1.0)),
        "actor_rollout_ref.model.enable_gradient_checkpointing": not keys.get("disable_gradient_checkpointing", False),
        "actor_rollout_ref.model.use_remove_padding": True,
        "actor_rollout_ref.model.trust_remote_code": bool(keys.get("trust_remote_code", False)),
        f"{rollout}.name": "vllm",
        f"{rollout}.n": group,
        f"{rollout}.temperature": rl["rl_temperature"],
        f"{rollout}.top_p": 1.0,
        f"{rollout}.top_k": -1,
        f"{rollout}.tensor_model_parallel_size": 1,
        f"{rollout}.gpu_memory_utilization": 0.6,
        f"{rollout}.calculate_log_probs": True,
        "reward.reward_manager.name": "dapo" if rl["rl_overlong_buffer"] else "naive",
        "+reward.custom_reward_function.reward_kwargs.format_weight": rl["rl_format_weight"],
        "+reward.custom_reward_function.reward_kwargs.tags": rl["rl_tags"],
        "+reward.custom_reward_function.reward_kwargs.rule": rl["rl_reward"],
        "trainer.total_epochs": course.epochs,
        "trainer.save_freq": course.save_every,
        "trainer.test_freq": -1,
        "trainer.val_before_train": False,
        "trainer.logger": f"[{','.join(loggers(keys.get('report_to', 'none')))}]",
        "trainer.project_name": "virgo-factory",
        "trainer.experiment_name": Path(str(keys.get("output_dir", "verl"))).name,
    }
    if rl["rl_loss"] == "dr_grpo":
        found[f"{actor}.loss_scale_factor"] = response  # TRL's divides by the longest response too

    if rl["rl_beta"]:
        found |= {f"{actor}.kl_loss_coef": rl["rl_beta"], f"{actor}.kl_loss_type": "low_var_kl"}

    if rl["rl_overlong_buffer"]:
        found |= {
            "+reward.reward_kwargs.max_resp_len": response,
            "+reward.reward_kwargs.overlong_buffer_cfg.enable": True,
            "+reward.reward_kwargs.overlong_buffer_cfg.len": rl["rl_overlong_buffer"],
            "+reward.reward_kwargs.overlong_buffer_cfg.penalty_factor": 1.0,
            "+reward.reward_kwargs.overlong_buffer_cfg.log": True,
        }

    if course.warmup:
        found[f"{actor}.optim.lr_warmup_steps"] = course.warmup
    else:
        found[f"{actor}.optim.lr_warmup_steps_ratio"] = float(keys.get("warmup_ratio", 0.0))

    if course.steps:
        found["trainer.total_training_steps"] = course.steps

    if keys.get("finetuning_type", "lora") == "lora":
        target = keys.get("lora_target", "all")
        found |= {
            "actor_rollout_ref.model.lora_rank": keys.get("lora_rank", 8),
            "actor_rollout_ref.model.lora_alpha": keys.get("lora_alpha") or 2 * keys.get("lora_rank", 8),
            "actor_rollout_ref.model.target_modules": "all-linear" if target == "all" else f"[{target}]",
            f"{rollout}.load_format": "safetensors",
        }

    return found


def departures(keys: Mapping[str, Any]) -> list[str]:
    """Return what verl 0.9.1 does otherwise than the stage does with this recipe."""
    told = [
        "An unverifiable response earns its form alone (verl asks for one response at a time, and no group's mean).",
        "A response is told from its text: one that was cut off inside its answer is wrong, but cut off behind it may be right.",
        "Advantages are divided by the standard deviation + 1e-6, in TRL 0.24 + 1e-4; `vanilla` also clips at clip_ratio_c: 3.",
    ]
    if keys.get("finetuning_type") == "full" and any(
        keys.get(key, True) for key in ("freeze_vision_tower", "freeze_multi_modal_projector")
    ):
        told.append("freeze_vision_tower, freeze_multi_modal_projector: verl 0.9.1 trains every part of the model.")

    return told + common_departures(keys, "verl", "algorithm.filter_groups.enable=True")


def common_departures(keys: Mapping[str, Any], engine: str, sampling_again: str) -> list[str]:
    """Return what verl and what is made of it (`engine`) do otherwise than the stage with this recipe.

    `sampling_again` is the setting by which it samples groups of equal reward again.
    """
    told = []
    if keys.get("rl_loss") == "dapo":
        told.append(f"{sampling_again} would sample groups of equal reward again; it is off, as in the stage.")

    if keys.get("rl_updates_per_rollout", 1) > 1 and keys.get("save_steps"):
        told.append(
            f"Steps of {engine} are rollouts, not updates: save_steps, max_steps and warmup_steps are divided by "
            "rl_updates_per_rollout."
        )

    if keys.get("eval_dataset") or keys.get("val_size"):
        told.append("Nothing is evaluated on the way: measure checkpoints with virgo-factory evaluate.")

    return told


def loggers(report_to: Any) -> list[str]:
    """Return what verl and its forks log to, of a recipe's `report_to`."""
    named = [report_to] if isinstance(report_to, str) else list(report_to or [])
    known = ("wandb", "tensorboard", "mlflow", "swanlab")
    return ["console", *(name for name in known if name in named or "all" in named)]


_LAUNCH = """#!/usr/bin/env bash
# Train with verl {version}: {rows:,} prompts, {prompts} a rollout x {group} responses, {nodes} x {gpus} GPUs.
# Start Ray on all nodes first (README.md); then, on its head: bash run.sh. Settings of verl may follow: bash run.sh trainer.nnodes=2
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
HERE=$(pwd)
MODEL=${{MODEL:-{model}}}

python -m virgo_factory.reinforce.check_verl "$HERE/train.parquet" --rows {rows} --model "$MODEL" \\
  --max-prompt-tokens {prompt_tokens}

exec python -m verl.trainer.main_ppo \\
  data.train_files="$HERE/train.parquet" \\
  data.val_files="$HERE/train.parquet" \\
  actor_rollout_ref.model.path="$MODEL" \\
  reward.custom_reward_function.path="$HERE/rewards.py" \\
  trainer.default_local_dir="$HERE/checkpoints" \\
  trainer.nnodes={nodes} \\
  trainer.n_gpus_per_node={gpus} \\
{settings} \\
  "$@"
"""


def _launch(keys: Mapping[str, Any], chosen: Mapping[str, Any], rows: int, nodes: int, gpus: int) -> str:
    return _LAUNCH.format(
        version=VERSION,
        rows=rows,
        prompts=chosen["data.train_batch_size"],
        group=chosen["actor_rollout_ref.rollout.n"],
        nodes=nodes,
        gpus=gpus,
        model=shlex.quote(str(keys["model_name_or_path"])),
        prompt_tokens=chosen["data.max_prompt_length"],
        settings=" \\\n".join(f"  {shlex.quote(f'{name}={value}')}" for name, value in chosen.items()),
    )


_README = """# Training with verl

{rows:,} prompts (`train.parquet`, pictures in it), the reward (`rewards.py`) and the launch file (`run.sh`), written by
virgo-factory from a recipe of `stage: grpo`. verl has an environment of its own, on every node:

```
uv venv verl --python 3.11 && source verl/bin/activate
uv pip install "verl[vllm]==0.9.1" qwen_vl_utils
uv pip install --no-deps virgo-factory        # or the path of its checkout; the reward needs nothing else
```

`ray start --head` on the first node, `ray start --address HEAD:6379` on {others}, this folder where all of them see it,
then `bash run.sh` on the first. It reads all prompts with verl's own class before it begins, and stops if one of them is lost:
verl counts a prompt that it cannot read as too long, and goes on without it.

Checkpoints are verl's (`checkpoints/`): `python -m verl.model_merger merge --backend fsdp --local_dir .../actor --target_dir OUT`
makes a model of one, `virgo-factory checkpoint check OUT` looks at it before it is served by transformers 4.

## Otherwise than under `llamafactory-cli train`

{departures}
"""


def _readme(rows: int, gpus: int, told: list[str]) -> str:
    others = "the others" if gpus > 8 else "any others"
    return _README.format(rows=rows, others=others, departures="\n".join(f"- {line}" for line in told))
