"""How a recipe trains: the keys of it that decide about memory and time, and what of them is certain to stop a run."""

import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.global_batch import accumulation_steps
from virgo_factory.core.recipe_keys import told_together, wrong_values
from virgo_factory.preflight.keys import unknown_keys, wrong_stock_values
from virgo_factory.preflight.plan.memory import PROJECTIONS, Lora, Method
from virgo_factory.preflight.zero import read_zero


def read_hardware(text: str) -> tuple[int, float] | None:
    """Return GPUs and bytes of one from a recipe's header; None where it says nothing.

    >>> read_hardware("# Hardware: 64 GPUs of 80 GB (8 nodes x 8)")
    (64, 80000000000.0)
    """
    found = re.search(r"^# *Hardware: *(\d+) GPUs? of (\d+) ?GB", text, re.MULTILINE)
    return (int(found[1]), int(found[2]) * 1e9) if found else None


def read_bytes(text: str) -> float:
    """Return the bytes of "80GB" (10^9), "80GiB" (2^30) or "80" (GB). Raises ValueError for anything else.

    >>> read_bytes("80GB"), read_bytes("24 GiB")
    (80000000000.0, 25769803776.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(GB|GiB|G)?\s*", text, re.IGNORECASE)
    if not found:
        raise UserError(f"--gpu-memory: {text!r} is not a size. Give it as 80GB or 79.1GiB.")

    return float(found[1]) * (2**30 if (found[2] or "").lower() == "gib" else 1e9)


def read_method(recipe: Mapping[str, Any], ranks: int) -> tuple[Method, int]:
    """Return how a recipe trains, and its accumulation steps.

    Raises UserError for what is certain to stop the run, all of it at once: unknown keys, values that a key cannot have, a
    global batch that does not divide (with the nearest that do), a DeepSpeed file that is missing or cannot be read.
    """
    wrong = wrong_values(recipe) | wrong_stock_values(recipe)
    problems = list(unknown_keys(recipe).values())
    zero, per_device, accumulation, share = None, 8, 1, 1
    try:
        if recipe.get("deepspeed"):
            zero = read_zero(recipe["deepspeed"])
    except (TypeError, ValueError) as error:
        problems.append(str(error))

    try:
        per_device = _whole(recipe, "per_device_train_batch_size", 8)  # transformers' default
        accumulation = _whole(recipe, "gradient_accumulation_steps", 1)
        share = _whole(recipe, "sequence_parallel_size", 1)
        if ranks % share:
            raise UserError(f"sequence_parallel_size: {share} does not divide {ranks} GPUs. Choose one that does.")

        if recipe.get("global_batch_size") is not None:
            accumulation = accumulation_steps(_whole(recipe, "global_batch_size", 1), ranks // share, per_device)
    except ValueError as error:
        problems.append(str(error))

    lora = None
    try:
        if recipe.get("finetuning_type", "lora") == "lora":  # LLaMA-Factory's default
            lora = Lora(_whole(recipe, "lora_rank", 8), _targets(recipe.get("lora_target", "all")))
    except ValueError as error:
        problems.append(str(error))

    if problems := told_together(wrong, problems):
        raise UserError("\n".join(problems))

    stage, packs = recipe.get("stage", "sft"), recipe.get("batch_order") == "packed"
    pairs = stage in ("dpo", "rm")
    has_reference = stage == "dpo" and recipe.get("pref_loss", "sigmoid") not in ("orpo", "simpo")
    method = Method(
        zero=zero,
        ranks=ranks,
        per_device=per_device,
        tower=not recipe.get("freeze_vision_tower", True) and lora is None,
        connector=not recipe.get("freeze_multi_modal_projector", True) and lora is None,
        language=not recipe.get("freeze_language_model", False),
        lora=lora,
        pairs=pairs,
        reference=has_reference and (lora is None or bool(recipe.get("ref_model"))),
        checkpointing=not recipe.get("disable_gradient_checkpointing", False),
        fused_loss=bool(recipe.get("enable_liger_kernel")) and stage in ("sft", "pt"),
        chunked_loss=bool(recipe.get("fused_loss")) or packs,
        packing_tokens=recipe.get("packing_tokens") if packs else None,
        share=share,
        flash=recipe.get("flash_attn") == "fa2" or packs,
    )
    return method, accumulation


def _whole(recipe: Mapping[str, Any], key: str, default: int) -> int:
    value = recipe.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{key}: {value!r} is not a whole number of at least 1.")

    return value


def _targets(value: Any) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)
    if "all" in names:
        return PROJECTIONS

    known = tuple(name for name in names if name in PROJECTIONS)
    if not known:
        raise UserError(f"lora_target: {value!r} names none of {', '.join(PROJECTIONS)}, all.")

    return known
