"""Which number type a recipe trains in, and whether its run can work in it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


SET = "set bf16: true, and to train without a GPU use_cpu: true as well"
_TYPES = ("bf16", "pure_bf16", "fp16", "fp8", "deepspeed")
_PARTS = ("freeze_vision_tower", "freeze_multi_modal_projector")


def precision_problem(recipe: Mapping[str, Any]) -> str:
    """Return what is wrong with the number type of a training without a GPU; "" where nothing is.

    LLaMA-Factory 0.9.5 loads weights that are stored in bfloat16 as they are and makes float32 of those that are trained
    (model/adapter.py); without autocast the two meet in a layer behind a frozen part. LoRA converts by itself.
    """
    if any(recipe.get(key) for key in _TYPES) or not recipe.get("do_train"):
        return ""

    if is_float32(recipe.get("model_name_or_path")):  # so that no two types meet
        return ""

    method = recipe.get("finetuning_type", "lora")
    has_frozen = any(recipe.get(key, True) for key in _PARTS) or bool(recipe.get("freeze_language_model"))
    if method == "freeze" or method == "full" and has_frozen:
        return "not set: without a GPU frozen parts stay in bfloat16, trained ones become float32, and the first step stops"

    return ""


def is_float32(model: Any) -> bool:
    """Return whether the `model_name_or_path` of a recipe is a folder whose weights are stored in float32."""
    try:
        config = json.loads(Path(str(model), "config.json").read_text(encoding="utf-8"))
        return (config.get("dtype") or config.get("torch_dtype")) == "float32"
    except (OSError, ValueError, AttributeError):
        return False
