"""The trainer of supervised fine-tuning, in runs that use the plugin: right resuming, kept epochs, batch order.

Two faults of the stock stack are repaired (reference: feasibility.md, point 2):
- accelerate's `skip_first_batches` begins a new loader at iteration 0, so that a run resumed inside a later epoch goes
  on in the row order of epoch 0 (accelerate 1.11.0, data_loader.py:1375; fixed in huggingface/accelerate#4071);
- transformers 4.52 to 4.57 load a checkpoint's weights without converting its key names and without complaint
  (trainer.py:2987, `strict=False`; transformers issue 43701): a resumed Qwen2-VL goes on from the base weights.
"""

import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers.trainer
from llamafactory.extras import logging
from safetensors import safe_open
from transformers import TrainerCallback
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from virgo_factory.hooks.batch_order import BatchOrderSampler, check_order


RELIES_ON = {
    "train/sft/workflow.py": [
        "    trainer = CustomSeq2SeqTrainer(\n        model=model,\n        args=training_args,\n        finetuning_args=finetuning_args,",
    ],
    "train/sft/trainer.py": [
        '        processor: Optional["ProcessorMixin"],',
        "            self.add_callback(SaveProcessorCallback(processor))",
    ],
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def choose_trainer(module: ModuleType) -> None:
    """Hook on llamafactory.train.sft.workflow: runs that do not use the plugin keep the stock class."""
    stock = module.CustomSeq2SeqTrainer

    class VirgoTrainer(stock):
        """LLaMA-Factory's trainer, resuming rightly, with `keep_model_at_epochs` and `batch_order`."""

        def __init__(self, finetuning_args, processor, **kwargs):
            super().__init__(finetuning_args=finetuning_args, processor=processor, **kwargs)
            if finetuning_args.keep_model_at_epochs:
                self.add_callback(KeepModelAtEpochs(self, processor, finetuning_args.keep_model_at_epochs))

            if not hasattr(transformers.trainer.skip_first_batches, "keeps_iteration"):
                transformers.trainer.skip_first_batches = _keeping_iteration(transformers.trainer.skip_first_batches)

        def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
            target = self.model if model is None else model
            mapping = getattr(target, "_checkpoint_conversion_mapping", None)
            if mapping and not self.is_fsdp_enabled and Path(resume_from_checkpoint, "config.json").is_file():
                load_weights(target, Path(resume_from_checkpoint))
            else:
                super()._load_from_checkpoint(resume_from_checkpoint, model)

        def _get_train_sampler(self, train_dataset=None, *args, **kwargs):
            kind = self.finetuning_args.batch_order
            if kind in (None, "shuffle"):
                return super()._get_train_sampler(train_dataset, *args, **kwargs)

            return BatchOrderSampler(
                kind,
                self.train_dataset if train_dataset is None else train_dataset,
                ranks=self.accelerator.num_processes,
                per_device=self._train_batch_size,
                accumulation=self.args.gradient_accumulation_steps,
                drop_last=self.args.dataloader_drop_last,
                data_seed=self.args.data_seed,
            )

        def get_train_dataloader(self):
            loader = super().get_train_dataloader()
            if self.finetuning_args.batch_order in ("balanced", "grouped"):
                sampler = check_order(loader)
                each = self.is_fsdp_enabled or (
                    self.is_deepspeed_enabled and self.accelerator.state.deepspeed_plugin.zero_stage >= 2
                )
                logger.info_rank0(
                    f"virgo-factory: batch_order: {sampler.kind}, slot use {sampler.slot_use(sampler.kind, each):.2f} "
                    f"(shuffle: {sampler.slot_use('shuffle', each):.2f}), of ranks that wait for each other once "
                    f"{'a micro-step' if each else 'an optimiser step'}."
                )

            return loader

    def trainer(finetuning_args, **kwargs):
        kind = VirgoTrainer if getattr(finetuning_args, "virgo_used", False) else stock
        return kind(finetuning_args=finetuning_args, **kwargs)

    module.CustomSeq2SeqTrainer = trainer


def _keeping_iteration(stock: Any) -> Any:
    def skip_first_batches(dataloader, num_batches=0):
        skipped = stock(dataloader, num_batches)
        if hasattr(dataloader, "iteration"):
            skipped.iteration = dataloader.iteration

        return skipped

    skip_first_batches.keeps_iteration = True
    return skip_first_batches


def load_weights(model: Any, checkpoint: Path) -> None:
    """Load a checkpoint's weights into a model of transformers 4.52-4.57, whose saved key names differ from its own.

    Raises:
        ValueError: a parameter of the model is not in the checkpoint, or the other way round.
    """
    files = [checkpoint / SAFE_WEIGHTS_NAME]
    if (checkpoint / SAFE_WEIGHTS_INDEX_NAME).is_file():
        files = sorted(checkpoint.glob("model-*.safetensors"))

    if not all(file.is_file() for file in files):
        raise ValueError(f"{checkpoint}: no safetensors weights to resume from (save_safetensors: true writes them).")

    own = model.state_dict()
    missing = set(own) - set(getattr(model, "_tied_weights_keys", None) or [])
    logger.info_rank0(f"virgo-factory: resuming from the weights of {checkpoint}.")
    for file in files:
        with safe_open(file, framework="pt") as tensors, torch.no_grad():
            for saved in tensors.keys():  # noqa: SIM118 (not a dictionary)
                name = own_name(saved, model._checkpoint_conversion_mapping)
                if name not in own:
                    raise ValueError(f"{file}: {saved} is no parameter of this model ({name}).")

                own[name].copy_(tensors.get_tensor(saved))
                missing.discard(name)

    if missing:
        raise ValueError(f"{checkpoint}: no weights for {', '.join(sorted(missing)[:5])} ({len(missing)} parameters).")


def own_name(saved: str, mapping: dict[str, str]) -> str:
    """Return the parameter that a saved name stands for, as `from_pretrained` would (the first pattern that fits)."""
    for pattern, replacement in mapping.items():
        name, found = re.subn(pattern, replacement, saved)
        if found:
            return name

    return saved


class KeepModelAtEpochs(TrainerCallback):
    """Saves weights, tokenizer and processor to OUTPUT_DIR/epoch-N at the end of the chosen epochs.

    Such a folder is no checkpoint: `save_total_limit` does not count it and resuming does not look at it. It appears
    when it is complete, so a killed run leaves at most `epoch-N.partial`.
    """

    def __init__(self, trainer: Any, processor: Any, epochs: list[int]) -> None:
        self.trainer, self.processor, self.epochs = trainer, processor, set(epochs)

    def on_epoch_end(self, args, state, control, **kwargs):
        """Save if this epoch is one of them; every rank takes part, since ZeRO-3 gathers the weights."""
        epoch = round(state.epoch)
        if epoch not in self.epochs or abs(state.epoch - epoch) > 1e-6:
            return

        folder = Path(args.output_dir, f"epoch-{epoch}")
        partial = folder.with_name(f"{folder.name}.partial")
        self.trainer.save_model(str(partial))
        self.trainer.accelerator.wait_for_everyone()
        if args.should_save:
            if self.processor is not None:
                self.processor.save_pretrained(partial)

            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
            logger.info_rank0(f"virgo-factory: the model of epoch {epoch} is kept in {folder}.")
