"""A DeepSpeed file: which stage, what is offloaded, how large its buffers are, and what it lacks."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.io.files import RECIPES


@dataclass(frozen=True)
class Zero:
    """What of a DeepSpeed file decides about memory."""

    stage: int  # of ZeRO, 0 to 3
    offload_optimizer: bool = False  # optimiser states and gradients live in the host's memory
    offload_weights: bool = False  # weights, too (stage 3)
    # elements of the bucket that gradients are reduced in; None: by the model's width (`auto`)
    reduce_bucket: int | None = None
    prefetch_bucket: int | None = None  # elements gathered ahead (stage 3); None: by the model's width
    max_live: int = 1_000_000_000  # elements that stay gathered (stage 3)
    sub_group: int = 1_000_000_000  # elements that the optimiser updates at once (stage 3)
    overlap: bool = False  # reduces while the backward pass goes on, in two buckets
    warnings: tuple[str, ...] = ()  # what is missing or does not fit, in words


def read_zero(path: Path | str) -> Zero:
    """Return what a DeepSpeed file says.

    Raises UserError where there is none, it is not JSON (transformers reads it with `json.load`: no comments), or for
    a value that DeepSpeed cannot use; with line and column.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = nearest_file(path)
        remedy = (
            f"Did you mean {near}?" if near else "Correct the path, or copy ours with: virgo-factory recipes copy ."
        )
        raise UserError(f"deepspeed: {path}: no such file, seen from {Path.cwd()}. {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"deepspeed: {path}: cannot be read ({error}).") from None

    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1].strip() if text.splitlines() else ""
        remedy = "Remove the comment" if "//" in line or "#" in line or "/*" in line else "Repair the line"
        raise UserError(
            f"deepspeed: {path}:{error.lineno}:{error.colno}: not JSON ({error.msg}); a run reads it without comments "
            f"and trailing commas. {remedy}."
        ) from None

    if not isinstance(content, dict):
        raise UserError(f"deepspeed: {path}: not an object. See recipes/deepspeed/ds_z3.json.")

    zero = content.get("zero_optimization", {})
    if not isinstance(zero, dict):
        raise UserError(f"deepspeed: {path}: zero_optimization is not an object. See recipes/deepspeed/ds_z3.json.")

    stage = zero.get("stage", 0)
    if isinstance(stage, bool) or stage not in (0, 1, 2, 3):
        raise UserError(f"deepspeed: {path}: zero_optimization.stage: {stage!r} is not one of 0, 1, 2, 3.")

    return Zero(
        stage=stage,
        offload_optimizer=_is_offloaded(zero, "offload_optimizer"),
        offload_weights=stage == 3 and _is_offloaded(zero, "offload_param"),
        reduce_bucket=_elements(zero, "reduce_bucket_size", None if stage == 3 else 500_000_000, path),
        prefetch_bucket=_elements(zero, "stage3_prefetch_bucket_size", 50_000_000, path),
        max_live=_elements(zero, "stage3_max_live_parameters", 1_000_000_000, path) or 1_000_000_000,
        sub_group=_elements(zero, "sub_group_size", 1_000_000_000, path) or 1_000_000_000,
        overlap=bool(zero.get("overlap_comm", stage == 3)),
        warnings=tuple(_warnings(content, zero, stage, path)),
    )


def file_problem(value: Any) -> str:
    """Return what is wrong with the file that a recipe's `deepspeed` names; "" of settings that are no path."""
    if not isinstance(value, str) or Path(value).suffix != ".json" or "${" in value:
        return ""

    try:
        read_zero(value)
    except ValueError as error:
        return str(error)

    return ""


def nearest_file(path: Path) -> Path | None:
    """Return the DeepSpeed file whose name is nearest to one that there is not: beside it, or in recipes/deepspeed.

    The path is as a recipe has it, relative to the folder of the call.
    """
    folders = (path.parent, path.parent / "deepspeed", Path("recipes/deepspeed"), RECIPES / "deepspeed")
    there = {file.stem: file for folder in reversed(folders) for file in folder.glob("*.json")
             if file.name.startswith("ds_") or folder == path.parent}  # fmt: skip
    near = difflib.get_close_matches(path.stem, there, 1, 0.6)
    return there[near[0]] if near else None


def _is_offloaded(zero: dict[str, Any], key: str) -> bool:
    value = zero.get(key)
    return isinstance(value, dict) and value.get("device") not in (None, "none")


def _elements(zero: dict[str, Any], key: str, default: int | None, path: Path) -> int | None:
    """Return a number of elements; None for `auto`, which transformers fills in from the model's width."""
    value = zero.get(key, default)
    if value is None or value == "auto":
        return None

    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise UserError(f"deepspeed: {path}: zero_optimization.{key}: {value!r} is not a number of elements or auto.")

    return int(value)


def _warnings(content: dict[str, Any], zero: dict[str, Any], stage: int, path: Path) -> list[str]:
    found = []
    if "zero_optimization" not in content or "stage" not in zero:
        found.append(f"{path}: no zero_optimization.stage: nothing is sharded, as with stage 0.")

    if not any(isinstance(content.get(key), dict) and content[key].get("enabled") for key in ("bf16", "fp16")):
        found.append(f'{path}: no "bf16": {{"enabled": "auto"}}: DeepSpeed would train in float32, twice the weights.')

    missing = [
        key
        for key in ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
        if key not in content
    ]
    if missing:
        found.append(f'{path}: {", ".join(missing)} missing; "auto" takes them from the recipe.')

    return found
