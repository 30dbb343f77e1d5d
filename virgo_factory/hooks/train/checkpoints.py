"""Which checkpoint a run resumes from: the one that its recipe names, or the last whole one of its folder."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

from virgo_factory.core.batch_order import SAME_BATCHES
from virgo_factory.core.errors import UserError
from virgo_factory.hooks.hook import replace
from virgo_factory.hooks.versions import goes_on_with_the_old_batch, groups_by_length


RELIES_ON = {
    "llamafactory/hparams/parser.py:491": "        last_checkpoint = get_last_checkpoint(training_args.output_dir)\n",
    "llamafactory/hparams/parser.py:498": "            training_args.resume_from_checkpoint = last_checkpoint\n",
    "transformers/trainer.py:3362": "            self.state.save_to_json(os.path.join(output_dir, TRAINER_STATE_NAME))\n",
    "transformers/trainer_callback.py:120": "        if self.stateful_callbacks is None:\n",
}

STATE = "trainer_state.json"
BEGUN_WITH = "virgo_begun_with"
"""Where a checkpoint's trainer_state.json says what its run was begun with: an entry of `stateful_callbacks`."""
STOCK_ORDERS = ("group_by_length", "disable_shuffling")
"""LLaMA-Factory's own keys for another order; the first is a training argument, the second one of fine-tuning."""
WHOLE = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME)
ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")

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


def choose_checkpoint(asked: Any, training_args: Any, finetuning_args: Any) -> str | None:
    """Return the checkpoint to resume from; None for a new run.

    A run that was killed while it saved leaves a folder that LLaMA-Factory finds and cannot load: then it is the last
    complete one. The trainer writes trainer_state.json last (transformers 4.57.6, trainer.py, `_save_checkpoint`).

    `asked`: `resume_from_checkpoint`, after LLaMA-Factory's parser: a folder, true or false.

    Raises:
        ValueError: the recipe asks for a checkpoint that cannot be resumed from, or not by this recipe's batches, with
            what is wrong with it.
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
        _check_parameters(Path(chosen), finetuning_args.finetuning_type)
        if not training_args.auto_find_batch_size:
            _check_batches(Path(chosen), batches_of(training_args, finetuning_args))

    return chosen


def batches_of(training_args: Any, finetuning_args: Any) -> dict[str, Any]:
    """Return what decides which rows each optimiser step of a run has, beside the rows themselves."""
    share = getattr(finetuning_args, "sequence_parallel_size", None) or 1
    order = getattr(finetuning_args, "batch_order", None) or "shuffle"
    said = (groups_by_length(training_args), finetuning_args.disable_shuffling)
    for name, is_said in zip(STOCK_ORDERS, said, strict=True):
        order = name if is_said else order

    ranks, rows = training_args.world_size // share, training_args.per_device_train_batch_size
    return {
        "batch_order": order,
        "global_batch": ranks * rows * training_args.gradient_accumulation_steps,
        "seed": training_args.seed if training_args.data_seed is None else training_args.data_seed,
    }


def note_batches(trainer: Any) -> None:
    """Let the checkpoints of a trainer say by which batches they were made."""
    if trainer.finetuning_args.stage != "grpo":  # whose steps are of prompts
        trainer.add_callback(BegunWith(batches_of(trainer.args, trainer.finetuning_args)))


class BegunWith(TrainerCallback):
    """Writes values of a run (of `batches_of`, or of reinforce/begun.py) into the state that is saved with each checkpoint."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def on_train_begin(self, args, state, control, **kwargs):
        """Note them: the state is new, or read from a checkpoint."""
        state.stateful_callbacks[BEGUN_WITH] = self.values


def begun_with(checkpoint: Path) -> dict[str, Any] | None:
    """Return what `BegunWith` wrote into a checkpoint; None where nothing was."""
    found = ((read_state(checkpoint) or {}).get("stateful_callbacks") or {}).get(BEGUN_WITH)
    return found if isinstance(found, dict) else None


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

    weights = any((checkpoint / name).is_file() for name in (*WHOLE, *ADAPTER))
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


def _check_parameters(checkpoint: Path, method: str) -> None:
    """Raise where weights and optimiser of a checkpoint are an adapter's and the recipe trains the model, or the other way."""
    of_adapter, of_model = (any((checkpoint / name).is_file() for name in names) for names in (ADAPTER, WHOLE))
    if of_adapter != of_model and of_adapter != (method in ("lora", "oft")):
        has, trains = ("an adapter", "the model itself") if of_adapter else ("a whole model", "an adapter")
        raise UserError(
            f"{checkpoint} holds {has}, and finetuning_type: {method} trains {trains}. Set finetuning_type back, or another "
            "output_dir."
        )


def _check_batches(checkpoint: Path, now: dict[str, Any]) -> None:
    """Raise where rows would be trained on twice and others never: by steps done, transformers counts rows to pass over.

    `packing_tokens`, `sequence_parallel_size`, the number of ranks, and orders of the same batches may change. Checkpoints
    that say nothing, of a run without the plugin or of an older one, are taken as they are.
    """
    before = begun_with(checkpoint)
    if before is None or not before.keys() >= now.keys():
        return

    twice = "so that rows of this epoch would be trained on twice and others never"
    if before["global_batch"] != now["global_batch"]:
        raise UserError(
            f"{checkpoint} was made with a global batch of {before['global_batch']} rows, and this recipe has "
            f"{now['global_batch']}: its steps are counted in the recipe's, {twice}. Set global_batch_size: "
            f"{before['global_batch']}, or another output_dir."
        )

    epoch = float(read_state(checkpoint).get("epoch") or 0)
    if epoch.is_integer():
        return  # the next epoch has an order of its own

    for key, alike in (("batch_order", SAME_BATCHES), ("seed", ())):
        if before[key] != now[key] and not {before[key], now[key]} <= set(alike):
            raise UserError(
                f"{checkpoint} stands inside an epoch ({epoch:.4g}) that was begun with {_said(key, before)}, and "
                f"this recipe has {_said(key, now)}, {twice}. Set {_said(key, before)} again, resume from a checkpoint at "
                "the end of an epoch, or set another output_dir."
            )


def _said(key: str, batches: dict[str, Any]) -> str:
    """Return what a recipe says for it."""
    value = batches[key]
    return f"{key}: {value}" if value not in STOCK_ORDERS else f"{value}: true"
