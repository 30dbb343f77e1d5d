"""A training of ours that sees no GPU is told what to do about it."""

from typing import Any

from llamafactory.extras import logging
from llamafactory.extras.misc import get_device_count

from virgo_factory.core.errors import UserError
from virgo_factory.preflight.doctor.names import uses_plugin


RELIES_ON = {"llamafactory/extras/misc.py:187": "def get_device_count() -> int:"}

NEED_GPU = ("bf16", "fp16", "pure_bf16", "tf32", "fp8", "deepspeed")
"""Keys with which transformers ends a run that sees no GPU and does not say use_cpu; without them it would train on the CPU."""

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def check_device(recipe: Any) -> None:
    """Tell a training of ours that sees no GPU what to do about it, before transformers speaks of bf16.

    Raises:
        ValueError: it would end for want of a GPU.
    """
    if not isinstance(recipe, dict) or not _is_yes(recipe.get("do_train")) or get_device_count() > 0:
        return

    if _is_yes(recipe.get("use_cpu")) or _is_yes(recipe.get("no_cuda")) or not uses_plugin(recipe):
        return

    told = (
        "virgo-factory: no GPU is visible to this training (nvidia-smi and CUDA_VISIBLE_DEVICES say which there are); "
        "without one, `make demo` or `virgo-factory demo` shows a whole training, and `virgo-factory smoke RECIPE` tries "
        "this recipe on a tiny model, both on the CPU. To train the real one there, set use_cpu: true and bf16: true."
    )
    if any(recipe.get(key) not in (None, False, "false") for key in NEED_GPU):
        raise UserError(told)

    logger.warning_rank0(told)


def _is_yes(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes", "y", "t")
