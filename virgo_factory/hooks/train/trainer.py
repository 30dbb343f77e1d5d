"""The trainer of supervised fine-tuning, in runs that use the plugin: the batch order, packed bins, the fused loss, shared sequences."""

import contextlib
from types import ModuleType

import torch
from accelerate.utils import DistributedType
from llamafactory.extras import logging

from virgo_factory.core.batch_order import bins
from virgo_factory.hooks.hook import Hook, replace
from virgo_factory.hooks.train.batch_order import BatchOrderSampler, check_order
from virgo_factory.hooks.train.fused_loss import use_fused_loss
from virgo_factory.hooks.train.packed_rows import RowCollator, attend_by_rows, join
from virgo_factory.hooks.train.sequence_parallel import Group, share_sequences


RELIES_ON = {
    "llamafactory/train/sft/workflow.py:106": "    trainer = CustomSeq2SeqTrainer(\n"
    "        model=model,\n"
    "        args=training_args,\n"
    "        finetuning_args=finetuning_args,",
    "llamafactory/train/sft/trainer.py:53": '        processor: Optional["ProcessorMixin"],',
    "transformers/trainer.py:2618": "                batch_samples, num_items_in_batch = self.get_batch_samples(epoch_iterator, num_batches, args.device)\n",
    "transformers/trainer.py:2621": "                self.current_gradient_accumulation_steps = len(batch_samples)\n",
    "transformers/trainer.py:4064": "                    loss = loss / self.current_gradient_accumulation_steps\n",
    "accelerate/utils/deepspeed.py:264": "    def backward(self, loss, sync_gradients=True, **kwargs):\n",
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def choose_trainer(module: ModuleType) -> None:
    """Give runs that use the plugin our trainer; others keep the stock class."""
    stock = module.CustomSeq2SeqTrainer

    class VirgoTrainer(stock):
        """LLaMA-Factory's trainer with `batch_order`, `fused_loss` and `sequence_parallel_size`."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.packs = self.finetuning_args.batch_order == "packed" and self.args.do_train
            self.share = (self.finetuning_args.sequence_parallel_size or 1) if self.packs else 1
            group = Group(self.share) if self.share > 1 else None
            if self.packs or self.finetuning_args.fused_loss:
                use_fused_loss(self.model, group)

            if self.packs:
                attend_by_rows(self.model)

            if group is not None:
                share_sequences(self.model, group)

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
                capacity=self.finetuning_args.packing_tokens,
                share=self.share,
            )

        def get_train_dataloader(self):
            if self.finetuning_args.batch_order in (None, "shuffle"):
                return super().get_train_dataloader()

            collator = self.data_collator
            if self.packs:
                self.data_collator = RowCollator(collator, self.model)
                self.blank = self.data_collator.blank()

            try:
                loader = super().get_train_dataloader()
            finally:
                self.data_collator = collator

            sampler = check_order(loader)
            self.capacity = sampler.capacity
            each = self.is_fsdp_enabled or (
                self.is_deepspeed_enabled and self.accelerator.state.deepspeed_plugin.zero_stage >= 2
            )
            logger.info_rank0(
                f"virgo-factory: batch_order: {sampler.kind}, slot use {sampler.slot_use(sampler.kind, each):.2f} "
                f"(shuffle: {sampler.slot_use('shuffle', each):.2f}), of ranks that wait for each other once "
                f"{'a micro-step' if each else 'an optimiser step'}."
            )
            if self.packs:
                logger.info_rank0(
                    f"virgo-factory: {sampler.passes():.2f} forward passes a rank and optimiser step instead of "
                    f"{self.args.gradient_accumulation_steps}, each of at most {self.capacity:,} tokens."
                )
            return loader

        def get_batch_samples(self, epoch_iterator, num_batches, device):
            """Return as many entries as stock, so that steps are counted as in stock; the last has all of the bins."""
            batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
            if not self.packs or not batches:
                return batches, items

            rows = [row for batch in batches for row in batch["rows"]]
            lengths = [row["input_ids"].shape[-1] for row in rows]
            count = torch.tensor([len(bins(lengths, self.capacity))], device=self.args.device)
            most = int(self.accelerator.gather(count).max())  # ranks that gather weights do so equally often
            blank = self._prepare_inputs(self.blank)
            joined = [
                join([rows[at] for at in places], blank, self.share) for places in bins(lengths, self.capacity, most)
            ]
            whole = torch.cat([one["input_ids"] for one in joined], dim=-1)  # stock counts tokens and operations by it
            skipped = [{"input_ids": whole[:, :0], "bins": []} for _ in batches[1:]]
            return [*skipped, {"input_ids": whole, "bins": joined}], items

        def training_step(self, model, inputs, num_items_in_batch=None):
            if "bins" not in inputs:
                return super().training_step(model, inputs, num_items_in_batch)

            loss = torch.zeros((), device=self.args.device)
            for number, one in enumerate(inputs["bins"], 1):
                with self._syncing(model, number == len(inputs["bins"])):
                    loss += super().training_step(model, one, num_items_in_batch)

            return loss

        @contextlib.contextmanager
        def _syncing(self, model, last: bool):
            """Reduce gradients, and under DeepSpeed update, after the last bin only, as stock does with micro-batches."""
            self.accelerator.gradient_state._set_sync_gradients(last)
            waits = last or self.accelerator.distributed_type == DistributedType.DEEPSPEED
            with contextlib.nullcontext() if waits else self.accelerator.no_sync(model=model):
                yield

    def trainer(finetuning_args, **kwargs):
        kind = VirgoTrainer if getattr(finetuning_args, "virgo_used", False) else stock
        return kind(finetuning_args=finetuning_args, **kwargs)

    replace(module, "CustomSeq2SeqTrainer", trainer)


HOOK = Hook(modules=("llamafactory.train.sft.workflow",), relies_on=RELIES_ON, apply=choose_trainer)
