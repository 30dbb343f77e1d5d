"""Resuming, and loading the best model, of every stage: from the right checkpoint, its weights, in the right row order.

Whatever the stage, training passes through `transformers.Trainer.train`; in runs that use the plugin three faults of the
stock stack are repaired there:
- transformers 4.52 to 5.5 load a checkpoint's weights by the names that they were saved under, which are not the
  model's own, and leave out what does not fit (`strict=False`; transformers issue 43701): a resumed Qwen2-VL goes on from
  the base weights, and the best model is the last one with the best one's output head. Not so under DeepSpeed, which
  restores its own state, and FSDP, whose checkpoint has the model's own names (accelerate, utils/fsdp_utils.py);
- accelerate's `skip_first_batches` begins a new loader at iteration 0, so that a run resumed inside a later epoch goes
  on in the row order of epoch 0 (accelerate 1.11.0, data_loader.py:1375; fixed in huggingface/accelerate#4071). Nor does the
  new loader's `set_epoch`, which transformers 5 calls after skipping, reach the sampler of `batch_order` on several ranks.
Another one of every stage is repaired in the same place: LoRA has no parameter without weight decay, DeepSpeed leaves that empty
group out, and the schedule, made before, has a rate for it: since torch 2.11 its first step raises (lr_scheduler.py:296).
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from llamafactory.extras import logging

from virgo_factory.hooks.hook import Hook
from virgo_factory.hooks.train.checkpoints import note_batches
from virgo_factory.hooks.train.kept_epochs import add_kept_epochs
from virgo_factory.hooks.train.weights import load_weights, saved_names
from virgo_factory.hooks.versions import stock_loads


RELIES_ON = {
    "llamafactory/train/sft/workflow.py:121": "trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)",
    "llamafactory/train/sft/trainer.py:73": "        self.finetuning_args = finetuning_args\n",
    "llamafactory/train/dpo/workflow.py:81": "trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)",
    "llamafactory/train/dpo/trainer.py:35": "from ..trainer_utils import",
    "llamafactory/train/dpo/trainer.py:62": "        self.finetuning_args = finetuning_args\n",
    "transformers/trainer.py:2297": "                self._load_from_checkpoint(resume_from_checkpoint)\n",
    "transformers/trainer.py:2812": "            self._load_best_model()\n",
    "transformers/trainer.py:2618": "                batch_samples, num_items_in_batch = self.get_batch_samples(epoch_iterator, num_batches, args.device)\n",
    "transformers/trainer.py:2600": "                    epoch_dataloader = skip_first_batches(epoch_dataloader, steps_trained_in_current_epoch)\n",
    "accelerate/utils/fsdp_utils.py:130": 'f"{FSDP_MODEL_NAME}.bin"',
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def repair_training(module: ModuleType) -> None:
    """Repair `Trainer.train`; of all stages, which import llamafactory.train.trainer_utils."""
    from transformers import Trainer

    stock = Trainer.train
    if hasattr(stock, "repaired"):
        return

    def train(self, *args, **kwargs):
        if not getattr(getattr(self, "finetuning_args", None), "virgo_used", False):
            return stock(self, *args, **kwargs)

        add_kept_epochs(self)
        note_batches(self)
        train_no_step_more(self)
        if self.is_deepspeed_enabled:  # elsewhere a checkpoint may have the empty group, and needs it to be loaded
            leave_out_empty_groups(self)

        with _own_order(), _own_names(self):
            return stock(self, *args, **kwargs)

    train.repaired = True
    Trainer.train = train


def leave_out_empty_groups(trainer: Any) -> None:
    """Let a trainer's optimiser have no group without parameters."""
    stock = trainer.create_optimizer

    def create_optimizer(*args, **kwargs):
        optimizer = stock(*args, **kwargs)
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        return optimizer

    trainer.create_optimizer = create_optimizer


def train_no_step_more(trainer: Any) -> None:
    """Let a trainer that goes on from a checkpoint with all steps of its run come to its end: stock trains one more inside an epoch."""
    stock = trainer.get_batch_samples

    def get_batch_samples(*args, **kwargs):
        return ([], None) if trainer.state.global_step >= trainer.state.max_steps else stock(*args, **kwargs)

    trainer.get_batch_samples = get_batch_samples


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
    """Return accelerate's `skip_first_batches` as it should be: the new loader goes on in the epoch of the old one, and sets it."""

    def skip_first_batches(dataloader, num_batches=0):
        skipped = stock(dataloader, num_batches)
        if hasattr(dataloader, "iteration"):
            skipped.iteration = dataloader.iteration
            own = skipped.set_epoch

            def set_epoch(epoch):
                own(epoch)
                dataloader.set_epoch(epoch)

            skipped.set_epoch = set_epoch

        return skipped

    return skip_first_batches


@contextlib.contextmanager
def _own_names(trainer: Any) -> Iterator[None]:
    """Let a trainer load a whole model's checkpoint by the model's own names. Adapters are saved under theirs."""
    from transformers.trainer import _is_peft_model

    stock_resume, stock_best = trainer._load_from_checkpoint, trainer._load_best_model

    def by_name(self, model, checkpoint):
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or _is_peft_model(model):
            return False

        names = saved_names(Path(checkpoint))
        return not (names and stock_loads(model, names))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        target = self.model if model is None else model
        if not by_name(self, target, resume_from_checkpoint):
            return stock_resume(resume_from_checkpoint, model)

        logger.info_rank0(f"virgo-factory: resuming from the weights of {resume_from_checkpoint}.")
        load_weights(target, Path(resume_from_checkpoint))

    def _load_best_model(self):
        best = Path(self.state.best_model_checkpoint)
        if not best.is_dir() or not by_name(self, self.model, best):  # on another machine: stock says so
            return stock_best()

        logger.info_rank0(f"virgo-factory: the best model is that of {best} (score: {self.state.best_metric}).")
        load_weights(self.model, best)

    trainer._load_from_checkpoint = MethodType(_load_from_checkpoint, trainer)
    trainer._load_best_model = MethodType(_load_best_model, trainer)
    try:
        yield
    finally:
        del trainer._load_from_checkpoint, trainer._load_best_model


HOOK = Hook(modules=("llamafactory.train.trainer_utils",), relies_on=RELIES_ON, apply=repair_training)
