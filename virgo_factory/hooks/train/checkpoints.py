"""Which checkpoint a run resumes from: the one that its recipe names, or the last whole one of its folder."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.hook import replace
from virgo_factory.hooks.versions import goes_on_with_the_old_batch


RELIES_ON = {
    "llamafactory/hparams/parser.py:491": "        last_checkpoint = get_last_checkpoint(training_args.output_dir)\n",
    "llamafactory/hparams/parser.py:498": "            training_args.resume_from_checkpoint = last_checkpoint\n",
}

STATE = "trainer_state.json"
WEIGHTS = (
    *(SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME),
    *("adapter_model.safetensors", "adapter_model.bin"),
)

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


class FoundCheckpoint(str):
    """A checkpoint that LLaMA-Factory found itself in `output_dir`, not one that the recipe names."""


def tell_found_checkpoints(module: ModuleType) -> None:
    """Let llamafactory.hparams.parser return the checkpoints that it finds as FoundCheckpoint."""
    stock = module.get_last_checkpoint

    def get_last_checkpoint(folder):
        found = stock(folder)
        return found and FoundCheckpoint(found)

    replace(module, "get_last_checkpoint", get_last_checkpoint)


def choose_checkpoint(asked: Any, training_args: Any) -> str | None:
    """Return the checkpoint to resume from; None for a new run.

    A run that was killed while it saved leaves a folder that LLaMA-Factory finds and cannot load: then it is the last
    complete one. The trainer writes trainer_state.json last (transformers 4.57.6, trainer.py, `_save_checkpoint`).

    Args:
        asked: `resume_from_checkpoint`, after LLaMA-Factory's parser: a folder, true or false.
        training_args: with the output_dir and the batch of the run.

    Raises:
        ValueError: the recipe asks for a checkpoint that cannot be resumed from, with what is wrong with it.
    """
    if isinstance(asked, str) and asked.lower() in ("true", "false"):  # of the command line
        asked = asked.lower() == "true"

    if asked is None or asked is False:
        return None

    folder = Path(training_args.output_dir if asked is True else asked)
    if asked is True:
        steps = _complete_steps(folder)
        if not steps:
            raise UserError(
                f"resume_from_checkpoint: true, but there is no complete checkpoint in {folder}. Remove the key to "
                "begin a new run."
            )

        chosen = FoundCheckpoint(folder / f"{PREFIX_CHECKPOINT_DIR}-{steps[-1]}")
    elif isinstance(asked, FoundCheckpoint):
        chosen = _complete_or_earlier(folder)
    elif problem := _problem(folder):
        raise UserError(f"resume_from_checkpoint: {asked} {problem}")
    else:
        chosen = asked

    if chosen is not None:
        _check_state(Path(chosen), training_args)

    return chosen


def _complete_steps(folder: Path) -> list[int]:
    numbers = [
        path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-") for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
    ]
    return sorted(
        int(number)
        for number in numbers
        if number.isdigit() and read_state(folder / f"{PREFIX_CHECKPOINT_DIR}-{number}") is not None
    )


def _complete_or_earlier(checkpoint: Path) -> str | None:
    if read_state(checkpoint) is not None:
        return FoundCheckpoint(checkpoint)

    own = int(checkpoint.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-"))
    earlier = [step for step in _complete_steps(checkpoint.parent) if step < own]
    instead = str(checkpoint.parent / f"{PREFIX_CHECKPOINT_DIR}-{earlier[-1]}") if earlier else None
    logger.warning_rank0(
        f"virgo-factory: {checkpoint} was cut short while it was saved (no whole {STATE}); "
        + (f"resuming from {instead}." if instead else "no complete checkpoint is left, so training starts again.")
    )
    return instead and FoundCheckpoint(instead)


def _problem(checkpoint: Path) -> str | None:
    """Return why a checkpoint that the recipe names cannot be resumed from, with a remedy; None if it can."""
    beside = _complete_steps(checkpoint.parent)
    others = (
        f" {checkpoint.parent} has {', '.join(f'{PREFIX_CHECKPOINT_DIR}-{step}' for step in beside)}."
        if beside
        else ""
    )
    if not checkpoint.is_dir():
        return f"is missing: there is no such folder.{others}"

    weights = any((checkpoint / name).is_file() for name in WEIGHTS)
    if not (checkpoint / STATE).is_file():
        if not weights:
            return f"is no checkpoint: it has neither weights nor a {STATE}.{others}"

        name = "adapter_name_or_path" if (checkpoint / "adapter_config.json").is_file() else "model_name_or_path"
        return (
            f"has weights only, no {STATE}, so it is not known where to go on.{others} To begin a new run with its "
            f"weights, set {name} to it and remove resume_from_checkpoint."
        )

    if read_state(checkpoint) is None:
        return f"was cut short while it was saved: its {STATE} is not whole.{others}"

    return None


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """Return trainer_state.json; None where it is missing or, after a kill between its opening and writing, not whole."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

    return state if isinstance(state, dict) else None


def _check_state(checkpoint: Path, training_args: Any) -> None:
    """Raise where transformers 4.57 would go on with another batch than the recipe's (trainer.py, `Trainer.train`).

    That it has no optimiser to go on with is a warning: such a checkpoint is resumed on purpose, too.
    """
    before = (read_state(checkpoint) or {}).get("train_batch_size")
    if before not in (None, training_args.train_batch_size) and goes_on_with_the_old_batch(training_args):
        raise UserError(
            f"{checkpoint} was made with {before} rows a device and micro-step, and this recipe has "
            f"{training_args.train_batch_size}: transformers would go on with {before} and the recipe's accumulation, another "
            f"global batch. Set per_device_train_batch_size back, or another output_dir."
        )

    if not any(checkpoint.glob("optimizer*")) and not any(checkpoint.glob("global_step*")):
        logger.warning_rank0(
            f"virgo-factory: {checkpoint} has no optimiser state (save_only_model: true leaves it out): its moments and "
            "the learning rate schedule begin anew."
        )
