"""Resuming, and loading the best model, of every stage: from the right checkpoint, its weights, in the right row order.

Whatever the stage, training passes through `transformers.Trainer.train`; in runs that use the plugin three faults of the
stock stack are repaired there:
- transformers 4.52 to 4.57 load a checkpoint's weights by the names that they were saved under, which are not the
  model's own, and leave out what does not fit (`strict=False`; transformers issue 43701): a resumed Qwen2-VL goes on from
  the base weights, and the best model is the last one with the best one's output head. Not so under DeepSpeed, which
  restores its own state, and FSDP, whose checkpoint has the model's own names (accelerate, utils/fsdp_utils.py);
- accelerate's `skip_first_batches` begins a new loader at iteration 0, so that a run resumed inside a later epoch goes
  on in the row order of epoch 0 (accelerate 1.11.0, data_loader.py:1375; fixed in huggingface/accelerate#4071).
"""

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

import torch
from llamafactory.extras import logging
from safetensors import safe_open
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

from virgo_factory.datasets.account import FILE_NAME, DatasetAccount, from_json
from virgo_factory.hooks.kept_epochs import add_kept_epochs, tell_kept_epochs


RELIES_ON = {
    "hparams/parser.py": [
        "        last_checkpoint = get_last_checkpoint(training_args.output_dir)\n",
        "            training_args.resume_from_checkpoint = last_checkpoint\n",
    ],
    "train/sft/workflow.py": ["trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)"],
    "train/sft/trainer.py": ["        self.finetuning_args = finetuning_args\n"],
    "train/dpo/workflow.py": ["trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)"],
    "train/dpo/trainer.py": ["from ..trainer_utils import", "        self.finetuning_args = finetuning_args\n"],
}

RELIES_ON_STACK = {
    "transformers/trainer.py": [
        "                self._load_from_checkpoint(resume_from_checkpoint)\n",
        "            self._load_best_model()\n",
        "                    epoch_dataloader = skip_first_batches(epoch_dataloader, steps_trained_in_current_epoch)\n",
        "                load_result = model.load_state_dict(state_dict, False)\n",
        "                self._train_batch_size = state.train_batch_size\n",
    ],
    "accelerate/utils/fsdp_utils.py": ['f"{FSDP_MODEL_NAME}.bin"'],
}
"""Lines of transformers 4.57.6 and accelerate 1.11.0, checked as those of LLaMA-Factory are."""

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

    module.get_last_checkpoint = get_last_checkpoint


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
            raise ValueError(
                f"resume_from_checkpoint: true, but there is no complete checkpoint in {folder}. Remove the key to "
                "begin a new run."
            )

        chosen = FoundCheckpoint(folder / f"{PREFIX_CHECKPOINT_DIR}-{steps[-1]}")
    elif isinstance(asked, FoundCheckpoint):
        chosen = _complete_or_earlier(folder)
    elif problem := _problem(folder):
        raise ValueError(f"resume_from_checkpoint: {asked} {problem}")
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
    """Raise where transformers would go on with another batch than the recipe's (trainer.py, `Trainer.train`).

    That it has no optimiser to go on with is a warning: such a checkpoint is resumed on purpose, too.
    """
    before = (read_state(checkpoint) or {}).get("train_batch_size")
    if before not in (None, training_args.train_batch_size) and not training_args.auto_find_batch_size:
        raise ValueError(
            f"{checkpoint} was made with {before} rows a device and micro-step, and this recipe has "
            f"{training_args.train_batch_size}: transformers would go on with {before} and the recipe's accumulation, another "
            f"global batch. Set per_device_train_batch_size back, or another output_dir."
        )

    if not any(checkpoint.glob("optimizer*")) and not any(checkpoint.glob("global_step*")):
        logger.warning_rank0(
            f"virgo-factory: {checkpoint} has no optimiser state (save_only_model: true leaves it out): its moments and "
            "the learning rate schedule begin anew."
        )


def steps_an_epoch(rows: int, training_args: Any) -> int:
    """Return the optimiser steps of an epoch, as transformers counts them (trainer.py, set_initial_training_values)."""
    micro_step = training_args.per_device_train_batch_size * training_args.world_size
    batches = rows // micro_step if training_args.dataloader_drop_last else math.ceil(rows / micro_step)
    return max(math.ceil(batches / training_args.gradient_accumulation_steps), 1)


def check_steps_left(dataset: Any, accounts: list[DatasetAccount], training_args: Any) -> None:
    """Raise if nothing is left to train, or what is left is not the rest of the run that was begun.

    Called before the row account of that run is written over. Warns if the run ends before an epoch that is to be kept.

    Args:
        dataset: the tokenised rows to train on, or None.
        accounts: of this run's rows; what the run began with stands in its output_dir.
        training_args: after `choose_checkpoint`.

    Raises:
        ValueError: LLaMA-Factory would train 0 steps and exit 0, or go on with a finished run whose rows have changed.
    """
    if not training_args.do_train or dataset is None:
        return

    per_epoch = steps_an_epoch(len(dataset), training_args)
    epochs, max_steps = training_args.num_train_epochs, training_args.max_steps
    finetuning_args = getattr(training_args, "virgo_finetuning_args", None)
    tell_kept_epochs(getattr(finetuning_args, "keep_model_at_epochs", None), per_epoch, max_steps)
    checkpoint = training_args.resume_from_checkpoint
    state = read_state(Path(checkpoint)) if checkpoint else None
    if state is None:
        return

    steps = max_steps if max_steps > 0 else math.ceil(epochs * per_epoch)
    done, planned = state["global_step"], state.get("max_steps", 0)
    finished = done >= planned > 0
    changes = _changed_rows(accounts, Path(training_args.output_dir))
    whole = state.get("epoch") == state.get("num_train_epochs") == epochs  # an end of an epoch, then and now
    if not changes and finished and whole and max_steps <= 0 and steps != planned:
        changes = f"{planned} steps then, {steps} now, by other rows or another batch"

    told = f"{done} of {planned if finished else steps} steps"
    if changes and (done >= steps or (finished and isinstance(checkpoint, FoundCheckpoint))):
        raise ValueError(
            f"{training_args.output_dir} holds a {'finished run' if finished else 'run'} ({told}) on other data than this "
            f"recipe's, which makes {steps} steps: {changes}. Choose another output_dir, set overwrite_output_dir: true to "
            "start again"
            + (f", or go on all the same with resume_from_checkpoint: {checkpoint}." if done < steps else ".")
        )

    if done >= steps:
        raise ValueError(
            f"{training_args.output_dir} holds a finished run ({done} of {steps} steps), so this one would train "
            "0 steps. Choose another output_dir, set overwrite_output_dir: true to start again, or raise "
            "num_train_epochs to go on."
        )

    if changes:
        logger.warning_rank0(
            f"virgo-factory: {checkpoint} comes from other data than this recipe's: {changes}. The run goes on at step "
            f"{done} of {steps} of the new data's order."
        )


def _changed_rows(accounts: list[DatasetAccount], output_dir: Path) -> str:
    try:
        before = from_json(json.loads((output_dir / FILE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # none, or of another version

    def trained(entries):
        return {one.name: one.kept_for["train"] for one in entries if one.kept_for.get("train")}

    then, now = trained(before), trained(accounts)
    if not then:
        return ""  # of an evaluation

    names = [name for name in {**then, **now} if then.get(name, 0) != now.get(name, 0)]
    return ", ".join(f"{name} {then.get(name, 0)} rows then, {now.get(name, 0)} now" for name in names)


def repair_training(module: ModuleType) -> None:
    """Hook on llamafactory.train.trainer_utils, which the trainer of every stage imports."""
    from transformers import Trainer

    stock = Trainer.train
    if hasattr(stock, "repaired"):
        return

    def train(self, *args, **kwargs):
        if not getattr(getattr(self, "finetuning_args", None), "virgo_used", False):
            return stock(self, *args, **kwargs)

        add_kept_epochs(self)
        with _own_order(), _own_names(self):
            return stock(self, *args, **kwargs)

    train.repaired = True
    Trainer.train = train


@contextlib.contextmanager
def _own_order() -> Iterator[None]:
    import transformers.trainer

    stock = transformers.trainer.skip_first_batches
    transformers.trainer.skip_first_batches = keeping_iteration(stock)
    try:
        yield
    finally:
        transformers.trainer.skip_first_batches = stock


def keeping_iteration(stock: Callable) -> Callable:
    """Return accelerate's `skip_first_batches` as it should be: the new loader goes on in the epoch of the old one."""

    def skip_first_batches(dataloader, num_batches=0):
        skipped = stock(dataloader, num_batches)
        if hasattr(dataloader, "iteration"):
            skipped.iteration = dataloader.iteration

        return skipped

    return skip_first_batches


@contextlib.contextmanager
def _own_names(trainer: Any) -> Iterator[None]:
    """Let a trainer load a whole model's checkpoint by the model's own names. Adapters are saved under theirs."""
    from transformers.trainer import _is_peft_model

    stock_resume, stock_best = trainer._load_from_checkpoint, trainer._load_best_model

    def by_name(self, model):
        return not (self.is_deepspeed_enabled or self.is_fsdp_enabled or _is_peft_model(model))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        target = self.model if model is None else model
        if not by_name(self, target):
            return stock_resume(resume_from_checkpoint, model)

        logger.info_rank0(f"virgo-factory: resuming from the weights of {resume_from_checkpoint}.")
        load_weights(target, Path(resume_from_checkpoint))

    def _load_best_model(self):
        best = Path(self.state.best_model_checkpoint)
        if not by_name(self, self.model) or not best.is_dir():  # on another machine: stock says so
            return stock_best()

        logger.info_rank0(f"virgo-factory: the best model is that of {best} (score: {self.state.best_metric}).")
        load_weights(self.model, best)

    trainer._load_from_checkpoint = MethodType(_load_from_checkpoint, trainer)
    trainer._load_best_model = MethodType(_load_best_model, trainer)
    try:
        yield
    finally:
        del trainer._load_from_checkpoint, trainer._load_best_model


def load_weights(model: Any, checkpoint: Path) -> None:
    """Load a checkpoint's weights into a model of transformers 4.52-4.57, whose saved key names differ from its own.

    Raises:
        ValueError: a parameter of the model is not in the checkpoint, or the other way round, or has another shape.
    """
    own, mapping = model.state_dict(), getattr(model, "_checkpoint_conversion_mapping", None) or {}
    loaded = set()
    for saved, tensor in saved_tensors(checkpoint):
        name = own_name(saved, mapping)
        name = name if name in own else saved  # few families are saved under other names than their own
        if name not in own:
            raise ValueError(f"{checkpoint}: {saved} is no parameter of this model.")

        if own[name].shape != tensor.shape:
            raise ValueError(
                f"{checkpoint}: {saved} has the shape {tuple(tensor.shape)}, this model's {tuple(own[name].shape)}."
            )

        with torch.no_grad():
            own[name].copy_(tensor)

        loaded |= {name, own[name].data_ptr()}

    unsaved = set(getattr(model, "_keys_to_ignore_on_save", None) or [])
    missing = [
        name
        for name, tensor in own.items()
        if name not in loaded | unsaved and tensor.data_ptr() not in loaded  # a tied weight is saved once
    ]
    if missing:
        raise ValueError(f"{checkpoint}: no weights for {', '.join(sorted(missing)[:5])} ({len(missing)} parameters).")


def saved_tensors(checkpoint: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and tensor of a saved model, one at a time: safetensors or PyTorch's own files, in shards or whole.

    Raises:
        ValueError: there are none, or a shard is missing.
    """
    for index, whole in ((SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME), (WEIGHTS_INDEX_NAME, WEIGHTS_NAME)):
        files = [checkpoint / whole]
        if (checkpoint / index).is_file():
            shards = json.loads((checkpoint / index).read_text(encoding="utf-8"))["weight_map"].values()
            files = [checkpoint / name for name in sorted(set(shards))]
        elif not files[0].is_file():
            continue

        if lacking := [file.name for file in files if not file.is_file()]:
            raise ValueError(f"{checkpoint}: {', '.join(lacking)} of its weights is missing.")

        for file in files:
            if whole == WEIGHTS_NAME:
                yield from torch.load(file, map_location="cpu", weights_only=True, mmap=True).items()
                continue

            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (not a dictionary)
                    yield name, tensors.get_tensor(name)

        return

    raise ValueError(f"{checkpoint}: no weights in it.")


def own_name(saved: str, mapping: dict[str, str]) -> str:
    """Return the parameter that a saved name stands for, as `from_pretrained` would (the first pattern that fits)."""
    for pattern, replacement in mapping.items():
        name, found = re.subn(pattern, replacement, saved)
        if found:
            return name

    return saved
