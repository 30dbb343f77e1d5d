"""The recipe of a smoke run: the one under trial, with what a run of minutes on CPU ranks needs."""

import json
import re
from pathlib import Path
from typing import Any

from virgo_factory.core.recipe_keys import KEYS, RL_DEFAULTS
from virgo_factory.data.read.source import PREFIX_TEMPLATES, STOCK_CUTOFF_LEN
from virgo_factory.io.cpu import has_bf16
from virgo_factory.preflight.smoke.rows import batch, longest_tokens
from virgo_factory.preflight.smoke.trial import STEPS, Smoke


def smoke_recipe(smoke: Smoke) -> dict[str, Any]:
    """Return the recipe's keys with what a CPU run of minutes needs, and note each replacement that hides something."""
    keys = dict(smoke.keys)
    per_device, accumulation = batch(keys)
    _replace_hardware(smoke, keys)
    untested = "the number of GPUs and nodes, NCCL"
    if "global_batch_size" in keys:
        small = smoke.ranks * per_device * accumulation
        smoke.substitute(f"global_batch_size: {keys['global_batch_size']}", str(small), untested)
        keys["global_batch_size"] = small
    else:
        smoke.substitute("the GPUs", f"{smoke.ranks} CPU rank{'s' if smoke.ranks > 1 else ''}", untested)
        keys["gradient_accumulation_steps"] = accumulation

    if (rows := keys.get("per_device_train_batch_size", 8)) != per_device:
        smoke.substitute(f"per_device_train_batch_size: {rows}", str(per_device), "")

    if keys.get("save_only_model"):
        smoke.substitute("save_only_model: true", "false", "nothing: such a run cannot be resumed once it is killed")

    if keys.get("overwrite_output_dir"):
        smoke.substitute("overwrite_output_dir: true", "false", "nothing: such a run starts anew instead of resuming")

    gone = [key for key in _LEFT_OUT if keys.pop(key, None) not in (None, False, [], "no", 0)]
    if gone:
        smoke.substitute(", ".join(gone), "left out", "what these keys do")

    epochs = f"{keys.get('num_train_epochs', 3)} epochs"
    length = f"max_steps: {keys['max_steps']}" if keys.get("max_steps") else epochs
    smoke.substitute(length, f"{2 * STEPS} steps in 2 epochs", "what shows only after hours")
    if keys.get("keep_model_at_epochs"):
        smoke.substitute(f"keep_model_at_epochs: {keys['keep_model_at_epochs']}", "[1]", "")
        keys["keep_model_at_epochs"] = [1]

    is_grpo = keys["stage"] == "grpo"
    packs = bool(keys.get("packing") or keys.get("neat_packing"))
    by_epoch = keys.get("save_strategy") == "epoch" and not (packs or keys.get("streaming") or is_grpo)
    keys.pop("max_samples", None)
    keys |= {
        "model_name_or_path": str(smoke.twin),
        "dataset": ",".join(source.name for source in smoke.sources),
        "dataset_dir": str(smoke.work / "data"),
        "media_dir": str(smoke.sources[0].media_dir.absolute()),
        "output_dir": str(smoke.output),
        "overwrite_output_dir": False,
        "overwrite_cache": True,
        "preprocessing_num_workers": 1,
        "per_device_train_batch_size": per_device,
        "num_train_epochs": 2.0,
        "save_strategy": "epoch" if by_epoch else "steps",
        "save_steps": 500 if by_epoch else STEPS,
        "save_only_model": False,
        "logging_steps": 1,
        "logging_strategy": "steps",
        "report_to": "none",
        "use_cpu": True,
    }
    keys.pop("max_steps", None)
    if not by_epoch:
        keys["max_steps"] = 2 * STEPS

    if is_grpo:
        _shorten_rollouts(smoke, keys)
    elif smoke.longest or packs:
        cutoff = keys.get("cutoff_len") or STOCK_CUTOFF_LEN
        longest = smoke.longest or longest_tokens(smoke.vocabulary, per_device)
        if not smoke.longest and longest < cutoff:  # each packed row is filled up to it, and has a mask of its square
            smoke.substitute(f"cutoff_len: {cutoff}", str(longest), "memory and time of full packed rows")

        keys["cutoff_len"] = min(longest, cutoff)
        if any(source.is_ours for source in smoke.sources):
            keys["overlong"] = "truncate"

    ours = any(keys.get(key) is not None for key in KEYS) or any(source.is_ours for source in smoke.sources)
    if not ours and keys.get("template") not in PREFIX_TEMPLATES:
        keys["marker_tokens"] = False
        smoke.substitute("a run without this plugin", "marker_tokens: false, which switches it on", "")

    return keys


def _shorten_rollouts(smoke: Smoke, keys: dict[str, Any]) -> None:
    """Let the trainer itself give few and short responses, two updates a rollout at most."""
    own = RL_DEFAULTS | {key: value for key, value in keys.items() if value is not None}
    per_device, accumulation = batch(keys)
    updates = min(own["rl_updates_per_rollout"], STEPS)
    rollout = smoke.ranks * per_device * accumulation * updates
    small = {
        "rl_num_generations": 4 if own["rl_num_generations"] >= 4 and rollout % 4 == 0 else 2,
        "rl_updates_per_rollout": updates,
        "rl_max_response_tokens": RESPONSE,
        "rl_overlong_buffer": min(own["rl_overlong_buffer"], RESPONSE // 2),
    }
    changed = [key for key, value in small.items() if own[key] != value]
    told = ", ".join(f"{key}: {own[key]}" for key in changed)
    smoke.substitute(told, ", ".join(str(small[key]) for key in changed), "long responses")
    keys |= small
    if keys.pop("rl_server", None):
        keys.pop("rl_max_logprob_gap", None)
        smoke.substitute("rl_server", "Hugging Face's generate", "servers, and the hand-over of weights to them")


RESPONSE = 16
"""Tokens of a response."""

_LEFT_OUT = (
    *("eval_dataset", "val_size", "do_eval", "eval_strategy", "eval_steps", "do_predict", "predict_with_generate"),
    *("tokenized_path", "resume_from_checkpoint", "push_to_hub", "adapter_name_or_path", "create_new_adapter"),
    *("ref_model", "ref_model_adapters", "use_ray", "use_swanlab", "load_best_model_at_end", "hub_model_id"),
)

_NOT_ON_CPU = {  # key -> what is used instead (None: the key is left out), what is not tested
    "enable_liger_kernel": (False, "liger kernels, the fused loss"),
    "use_unsloth": (False, "unsloth"),
    "use_unsloth_gc": (False, "unsloth's checkpointing"),
    "fp8": (False, "FP8"),
    "sequence_parallel_size": (None, "sequences shared by ranks"),
    "tf32": (None, "TF32"),
    "torch_compile": (False, "torch.compile"),
    "quantization_bit": (None, "quantised weights"),
    "quantization_method": (None, "quantised weights"),
    "double_quantization": (None, "quantised weights"),
    "fsdp": (None, "FSDP"),
    "fsdp_config": (None, "FSDP"),
}

_GPU_OPTIMIZERS = re.compile(r"8bit|4bit|paged|bnb|fused|galore|apollo")


def _replace_hardware(smoke: Smoke, keys: dict[str, Any]) -> None:
    for key, (instead, untested) in _NOT_ON_CPU.items():
        if keys.get(key):
            used = "left out" if instead is None else _yaml(instead)
            smoke.substitute(f"{key}: {_yaml(keys.pop(key))}", used, untested)
            if instead is not None:
                keys[key] = instead

    if keys.get("flash_attn") not in (None, "auto", "sdpa", "disabled"):
        smoke.substitute(f"flash_attn: {keys['flash_attn']}", "sdpa", "flash-attention")
        keys["flash_attn"] = "sdpa"

    emulated = "float32, since this CPU emulates bfloat16"
    if keys.pop("fp16", None):
        smoke.substitute("fp16: true", "bf16: true" if has_bf16() else emulated, "fp16 and its loss scale")
        keys |= {"bf16": True} if has_bf16() else {}

    for key in ("bf16", "pure_bf16") if not has_bf16() else ():
        if keys.pop(key, None):
            smoke.substitute(f"{key}: true", emulated, "bfloat16")

    if _GPU_OPTIMIZERS.search(str(keys.get("optim", ""))):
        smoke.substitute(f"optim: {keys['optim']}", "adamw_torch", "that optimiser")
        keys["optim"] = "adamw_torch"

    file = keys.get("deepspeed")
    if file:
        content = file if isinstance(file, dict) else json.loads(Path(file).read_text(encoding="utf-8"))
        zero = content.get("zero_optimization") or {}
        offloaded = [key for key in ("offload_optimizer", "offload_param") if key in zero]
        zero = {key: value for key, value in zero.items() if key not in offloaded}
        here = content | ({"zero_optimization": zero} if offloaded else {})
        if not has_bf16() and (content.get("bf16") or {}).get("enabled") is True:  # "auto" follows the recipe
            del here["bf16"]

        keys["deepspeed"] = file if isinstance(file, dict) else str(Path(file).absolute())
        if here != content:
            own = smoke.work / "deepspeed.json"
            own.write_text(json.dumps(here, indent=1), encoding="utf-8")
            keys["deepspeed"] = str(own)

        if offloaded:
            smoke.substitute(" and ".join(offloaded), "left out: the weights are in the host's memory", "offloading")


def _yaml(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
