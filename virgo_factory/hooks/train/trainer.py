"""The trainer of supervised fine-tuning, in runs that use the plugin: the batch order."""

from types import ModuleType

from llamafactory.extras import logging

from virgo_factory.hooks.hook import Hook, replace
from virgo_factory.hooks.train.batch_order import BatchOrderSampler, check_order


RELIES_ON = {
    "llamafactory/train/sft/workflow.py:106": "    trainer = CustomSeq2SeqTrainer(\n"
    "        model=model,\n"
    "        args=training_args,\n"
    "        finetuning_args=finetuning_args,",
    "llamafactory/train/sft/trainer.py:53": '        processor: Optional["ProcessorMixin"],',
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def choose_trainer(module: ModuleType) -> None:
    """Give runs that use the plugin our trainer; others keep the stock class."""
    stock = module.CustomSeq2SeqTrainer

    class VirgoTrainer(stock):
        """LLaMA-Factory's trainer with `batch_order`."""

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

    replace(module, "CustomSeq2SeqTrainer", trainer)


HOOK = Hook(modules=("llamafactory.train.sft.workflow",), relies_on=RELIES_ON, apply=choose_trainer)
