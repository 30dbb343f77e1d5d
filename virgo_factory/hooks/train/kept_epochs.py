"""The recipe key `keep_model_at_epochs`: the model of chosen epochs, outside the rotation of checkpoints."""

import math
import shutil
from pathlib import Path
from typing import Any

from llamafactory.extras import logging
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


RELIES_ON = {
    "llamafactory/train/sft/trainer.py:79": "            self.add_callback(SaveProcessorCallback(processor))",
    "llamafactory/train/dpo/trainer.py:112": "            self.add_callback(SaveProcessorCallback(processor))",
    "llamafactory/train/callbacks.py:118": "        self.processor = processor\n",
}

STAGES = ("sft", "dpo")
STATE_OF_TRAINING = (
    *("optimizer*", "scheduler.pt", "rng_state*", "scaler.pt", "trainer_state.json", "latest", "zero_to_fp32.py"),
    "pytorch_model_fsdp*",
)
"""Files of a checkpoint that are no part of its model; neither are its folders."""

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def kept_epochs_problems(epochs: list[int], stage: str, streaming: bool, training_args: Any) -> list[str]:
    """Return why a recipe cannot have this `keep_model_at_epochs`, one sentence each."""
    if stage not in STAGES or not training_args.do_train:
        return [f"keep_model_at_epochs: only in the stages {' and '.join(STAGES)} with do_train: true."]

    if streaming:
        return ["keep_model_at_epochs: not with streaming: true, where it is not known when an epoch ends."]

    if training_args.max_steps <= 0 and max(epochs) > training_args.num_train_epochs:
        return [
            f"keep_model_at_epochs: {epochs}, but the run has num_train_epochs: {training_args.num_train_epochs:g}."
        ]

    return []


def tell_kept_epochs(epochs: list[int] | None, per_epoch: int, max_steps: int) -> None:
    """Say so if `max_steps` ends the run before the last epoch that is to be kept: a few steps are how a recipe is tried."""
    if epochs and max_steps > 0 and max_steps < max(epochs) * per_epoch:
        logger.warning_rank0(
            f"virgo-factory: keep_model_at_epochs: {epochs}, but max_steps: {max_steps} ends the run in epoch "
            f"{max_steps / per_epoch:.4g}, an epoch of these rows having {per_epoch} steps: epoch {max(epochs)} will not be "
            f"kept. Set max_steps to {max(epochs) * per_epoch}, or leave it out."
        )


def add_kept_epochs(trainer: Any) -> None:
    """Give a trainer of any stage the callback, if the recipe has the key."""
    epochs = trainer.finetuning_args.keep_model_at_epochs
    if epochs:
        callbacks = trainer.callback_handler.callbacks  # the stock one holds the processor
        processor = next((one.processor for one in callbacks if hasattr(one, "processor")), None)
        trainer.add_callback(KeepModelAtEpochs(trainer, processor, epochs))


class KeepModelAtEpochs(TrainerCallback):
    """Saves weights, tokenizer and processor to OUTPUT_DIR/epoch-N at the end of the chosen epochs.

    Such a folder is no checkpoint: `save_total_limit` does not count it and resuming does not look at it. It appears
    when it is complete, so a killed run leaves at most `epoch-N.partial`.
    """

    def __init__(self, trainer: Any, processor: Any, epochs: list[int]) -> None:
        self.trainer, self.processor, self.epochs = trainer, processor, sorted(set(epochs))
        self.kept: set[int] = set()

    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        """Take the epochs that a resumed run has behind it, and did not keep, from the checkpoints of their ends."""
        per_epoch = max(math.ceil(len(train_dataloader) / args.gradient_accumulation_steps), 1)
        for epoch in self.epochs:
            folder = Path(args.output_dir, f"epoch-{epoch}")
            checkpoint = Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{epoch * per_epoch}")
            if epoch * per_epoch > state.global_step:
                continue

            if args.should_save and not folder.is_dir() and (checkpoint / "trainer_state.json").is_file():
                keep_checkpoint(checkpoint, folder, self.processor)
                self.kept.add(epoch)
            elif folder.is_dir():
                self.kept.add(epoch)

    def on_epoch_end(self, args, state, control, **kwargs):
        """Save if this epoch is one of them; every rank takes part, since ZeRO-3 gathers the weights."""
        epoch = round(state.epoch)
        if epoch not in self.epochs or abs(state.epoch - epoch) > 1e-6:
            return

        folder = Path(args.output_dir, f"epoch-{epoch}")
        partial = _new_folder(folder) if args.should_save else folder.with_name(f"{folder.name}.partial")
        self.trainer.save_model(str(partial))
        self.trainer.accelerator.wait_for_everyone()
        if args.should_save:
            if self.processor is not None:
                self.processor.save_pretrained(partial)

            _rename(partial, folder, "")
            self.kept.add(epoch)

    def on_train_end(self, args, state, control, **kwargs):
        """Say which epochs are missing: the run ended before them, or was resumed after them."""
        for epoch in self.epochs:
            if args.should_save and epoch not in self.kept:
                why = "the run was resumed after its end, and the checkpoint of it is gone"
                if state.epoch < epoch:
                    why = f"the run ended in epoch {state.epoch:.4g}"

                logger.warning_rank0(f"virgo-factory: the model of epoch {epoch} was not kept: {why}.")


def keep_checkpoint(checkpoint: Path, folder: Path, processor: Any) -> None:
    """Copy the model of a checkpoint, which lacks its processor if it was saved in the moment of a kill, to OUTPUT_DIR/epoch-N."""
    partial = _new_folder(folder)
    partial.mkdir(parents=True)
    if processor is not None:
        processor.save_pretrained(partial)  # first, since its chat template may be another than the model's

    shutil.copytree(checkpoint, partial, ignore=_state_of_training, dirs_exist_ok=True)
    _rename(partial, folder, f", of {checkpoint},")


def _rename(partial: Path, folder: Path, source: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    epoch = folder.name.removeprefix("epoch-")
    logger.info_rank0(f"virgo-factory: the model of epoch {epoch}{source} is kept in {folder}.")


def _new_folder(folder: Path) -> Path:
    """Return the path of the folder that becomes `folder` when it is complete, without what a killed run left there."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    return partial


def _state_of_training(folder: str, names: list[str]) -> set[str]:
    """Return which names in a checkpoint are no part of its model, as `shutil.copytree` asks."""
    unwanted = shutil.ignore_patterns(*STATE_OF_TRAINING)(folder, names)
    return unwanted | {name for name in names if Path(folder, name).is_dir()}
