"""A recipe of `stage: grpo` as a folder for EasyR1: prompts as Parquet, the reward, its configuration, how it is launched.

EasyR1 (hiyouga/EasyR1) is a fork of verl with a smaller configuration, to which LLaMA-Factory's maintainers send those who
ask for GRPO. Names are those of its sources with `loss_type: gspo` (verl/utils/dataset.py, verl/workers/*/config.py); its
launcher refuses a key that it does not know, so that only keys stand here that all of these sources have. Nothing of it was
run here: it is on no package index.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from virgo_factory.core import reinforcement
from virgo_factory.core.errors import UserError
from virgo_factory.data.read.source import Settings
from virgo_factory.io.atomic import replace_file
from virgo_factory.reinforce.prompts import Prompt, Prompts, reward_file, write_prompts
from virgo_factory.reinforce.verl import SCHEDULES, Export, common_departures, course_of, loggers, read_keys


LOSSES: Mapping[str, Mapping[str, str]] = {
    "gspo": {"loss_type": "gspo", "loss_avg_mode": "seq"},
    "grpo": {"loss_type": "default", "loss_avg_mode": "token"},
    "dapo": {"loss_type": "default", "loss_avg_mode": "token"},
}
"""`rl_loss` -> EasyR1's actor; its advantages are always divided by the group's deviation, which is not dr_grpo."""


def export_easyr1(keys: Mapping[str, Any], prompts: Prompts, folder: Path, nodes: int = 1, gpus: int = 8) -> Export:
    """Write the folder (new or empty), run.sh last, and return what is in it; `gpus` are those of each of the `nodes` of the Ray cluster.

    Raises UserError: the recipe is of another stage, or says what EasyR1 cannot do; there are no prompts, or they have several system
    messages; the folder holds something.
    """
    chosen = config_of(keys, prompts.settings, nodes, gpus)
    rows = _Rows()
    count = write_prompts(prompts, folder, _schema(), rows.row, keys, chosen["data"]["rollout_batch_size"])
    chosen["worker"]["rollout"]["limit_images"] = rows.most
    told = departures(keys)
    template = _chat_template(str(keys["model_name_or_path"]))
    if rows.system and template:
        chosen["data"]["override_chat_template"] = with_system(template, rows.system)
    elif rows.system:
        told.append(
            "The model's chat template was not at hand: EasyR1 sends no system message, so that the template must write "
            f"this one itself (as one saved by a training with the recipe's template does): {rows.system!r}"
        )

    readme = _README.format(rows=count, departures="\n".join(f"- {line}" for line in told))
    replace_file(folder / "rewards.py", reward_file("EasyR1", "compute_scores"))
    text = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=120)
    replace_file(folder / "config.yaml", text.encode())
    replace_file(folder / "README.md", readme.encode())
    model = shlex.quote(str(keys["model_name_or_path"]))
    replace_file(folder / "run.sh", _LAUNCH.format(rows=count, nodes=nodes, gpus=gpus, model=model).encode())
    return Export(count, told)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        {"problem": pa.string(), "images": pa.list_(pa.struct({"bytes": pa.binary()})), "answer": pa.string()}
    )


class _Rows:
    """The rows while they are written.

    Attributes:
        system: their system message; "" without one.
        most: pictures of a prompt, at most.
    """

    def __init__(self) -> None:
        self.system: str | None = None
        self.most = 0

    def row(self, prompt: Prompt, index: int) -> dict[str, Any]:
        """Return a row. Its `answer` is all that the reward needs, and unlike that of any other prompt."""
        texts = {message["role"]: message["content"] for message in prompt.messages}
        system = texts.get("system", "")
        if self.system not in (None, system):
            raise UserError(
                f"{prompt.dataset} (id {prompt.example.id}): its system message is not that of the prompts before it, and "
                "EasyR1 has one for all. Export the sets one by one."
            )

        self.system, self.most = system, max(self.most, len(prompt.pictures))
        facts = {**prompt.example.asked, "id": f"{prompt.dataset}/{prompt.example.id}/{index}"}
        return {
            "problem": texts["user"],
            "images": [{"bytes": picture} for picture in prompt.pictures],
            "answer": json.dumps(facts, ensure_ascii=False),
        }


def config_of(keys: Mapping[str, Any], settings: Settings, nodes: int, gpus: int) -> dict[str, Any]:
    """Return EasyR1's configuration of a recipe, all but what depends on the rows; UserError with everything that is wrong."""
    rl, update, problems = read_keys(keys, nodes * gpus, "EasyR1")
    if rl["rl_loss"] not in LOSSES:
        problems.append(f"rl_loss: {rl['rl_loss']}: EasyR1 has {', '.join(LOSSES)}. Export to verl instead.")

    if problems:
        raise UserError("\n".join(problems))

    group, updates, response = rl["rl_num_generations"], rl["rl_updates_per_rollout"], rl["rl_max_response_tokens"]
    low, high = reinforcement.clips_of(rl)
    course = course_of(keys, updates)
    optimizer: dict[str, Any] = {
        "lr": float(keys.get("learning_rate", 5e-5)),
        "betas": [keys.get("adam_beta1", 0.9), keys.get("adam_beta2", 0.999)],
        "weight_decay": float(keys.get("weight_decay", 0.0)),
        "lr_scheduler_type": SCHEDULES[keys.get("lr_scheduler_type", "linear")],
    }
    if course.warmup:
        optimizer["lr_warmup_steps"] = course.warmup
    else:
        optimizer["lr_warmup_ratio"] = float(keys.get("warmup_ratio", 0.0))

    model: dict[str, Any] = {
        "model_path": str(keys["model_name_or_path"]),
        "enable_gradient_checkpointing": not keys.get("disable_gradient_checkpointing", False),
        "trust_remote_code": bool(keys.get("trust_remote_code", False)),
        "freeze_vision_tower": bool(keys.get("freeze_vision_tower", True)),
    }
    if keys.get("finetuning_type", "lora") == "lora":
        target = keys.get("lora_target", "all")
        rank = keys.get("lora_rank", 8)
        model["lora"] = {
            "rank": rank,
            "alpha": keys.get("lora_alpha") or 2 * rank,
            "target_modules": "all-linear" if target == "all" else target,
        }

    return {
        "data": {
            "train_files": "train.parquet",
            "val_files": "train.parquet",
            "prompt_key": "problem",
            "answer_key": "answer",
            "image_key": "images",
            "max_prompt_length": rl["rl_max_prompt_tokens"],
            "max_response_length": response,
            "rollout_batch_size": update * updates // group,
            "val_batch_size": 8,
            "format_prompt": None,
            "shuffle": rl["rl_curriculum"] == "shuffle",
            "seed": keys.get("seed", 42),
            "min_pixels": settings.image_min_pixels,
            "max_pixels": settings.image_max_pixels,
            "filter_overlong_prompts": True,
        },
        "algorithm": {
            "adv_estimator": "grpo",
            "disable_kl": not rl["rl_beta"],
            "use_kl_loss": True,
            "kl_penalty": "low_var_kl",
            "kl_coef": rl["rl_beta"],
        },
        "worker": {
            "actor": {
                "global_batch_size": update // group,
                "micro_batch_size_per_device_for_update": 1,
                "micro_batch_size_per_device_for_experience": 1,
                "max_grad_norm": float(keys.get("max_grad_norm", 1.0)),
                **LOSSES[rl["rl_loss"]],
                "clip_ratio_low": low,
                "clip_ratio_high": high,
                "model": model,
                "optim": optimizer,
            },
            "rollout": {
                "n": group,
                "temperature": rl["rl_temperature"],
                "top_p": 1.0,
                "top_k": -1,
                "tensor_parallel_size": 1,
                "gpu_memory_utilization": 0.6,
            },
            "reward": {
                "reward_function": "rewards.py:compute_scores",  # of a batch, its default; newer ones have no key for it
                "reward_function_kwargs": {
                    "format_weight": rl["rl_format_weight"],
                    "tags": rl["rl_tags"],
                    "rule": rl["rl_reward"],
                    "max_response_tokens": response,
                    "overlong_buffer": rl["rl_overlong_buffer"],
                },
            },
        },
        "trainer": {
            "total_epochs": course.epochs,
            "max_steps": course.steps,
            "project_name": "virgo-factory",
            "experiment_name": Path(str(keys.get("output_dir", "easyr1"))).name,
            "logger": loggers(keys.get("report_to", "none")),
            "nnodes": nodes,
            "n_gpus_per_node": gpus,
            "val_freq": -1,
            "val_before_train": False,
            "save_freq": course.save_every,
            "save_checkpoint_path": "checkpoints",
        },
    }


def departures(keys: Mapping[str, Any]) -> list[str]:
    """Return what EasyR1 does otherwise than the stage does with this recipe."""
    told = ["`default` also clips at clip_ratio_dual: 3 where the advantage is below 0."]
    if keys.get("finetuning_type") == "full" and keys.get("freeze_multi_modal_projector", True):
        told.append("freeze_multi_modal_projector: EasyR1 freezes the vision tower alone.")

    return told + common_departures(keys, "EasyR1", "algorithm.online_filtering=true")


def with_system(template: str, system: str) -> str:
    """Return a chat template that writes this system message where a conversation has none.

    EasyR1 sends one user turn; templates of the Qwen2-VL family would write a system message of their own.
    """
    message = f"{{'role': 'system', 'content': {json.dumps(system, ensure_ascii=False)}}}"
    first = "{% if messages[0]['role'] != 'system' %}{% set messages = [" + message + "] + messages %}{% endif %}"
    return first + template


def _chat_template(model: str) -> str:
    """Return the chat template in a model's folder; "" where there is none at hand."""
    folder = Path(model)
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")

    for name in ("chat_template.json", "tokenizer_config.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8")).get("chat_template")
        except (OSError, ValueError, AttributeError):
            continue

        if isinstance(found, str):
            return found

    return ""


_LAUNCH = """#!/usr/bin/env bash
# Train with EasyR1: {rows:,} prompts, {nodes} x {gpus} GPUs. Start Ray on all nodes first (README.md); then, on its head:
# bash run.sh. Settings of EasyR1 may follow: bash run.sh trainer.nnodes=2
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
MODEL=${{MODEL:-{model}}}

exec python -m verl.trainer.main config=config.yaml worker.actor.model.model_path="$MODEL" "$@"
"""

_README = """# Training with EasyR1

{rows:,} prompts (`train.parquet`, pictures in it), the reward (`rewards.py`), the configuration (`config.yaml`) and the launch
file (`run.sh`), written by virgo-factory from a recipe of `stage: grpo`. EasyR1 has an environment of its own, on every node:

```
git clone https://github.com/hiyouga/EasyR1 && cd EasyR1
uv venv --python 3.11 && source .venv/bin/activate && uv pip install -e .
uv pip install --no-deps virgo-factory        # or the path of its checkout; the reward needs nothing else
```

`ray start --head` on the first node, `ray start --address HEAD:6379` on any others, this folder where all of them see it,
then `bash run.sh` on the first. Its configuration was written by EasyR1's sources, not tried: if it names a key as unknown,
take a version that has `loss_type: gspo`.

## Otherwise than under `llamafactory-cli train`

{departures}
"""
