"""The recipe key `batch_order`: its sampler for the stock trainer, and the recipes that it cannot be used in.

The sampler starts from the order that the stock stack would use: accelerate replaces the trainer's `RandomSampler` by
its `SeedableRandomSampler`, which depends on seed and epoch only. Ours asks that one and moves the rows
(virgo_factory/core/batch_order.py), so it is as exact after a resume as stock's is (with the repair in hooks/train/resume.py).
"""

from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from torch.utils.data import Sampler

from virgo_factory.core.batch_order import epoch_order, packed_steps, packed_use, slot_use
from virgo_factory.hooks.versions import groups_by_length


RELIES_ON = {
    "llamafactory/train/sft/trainer.py:144": '    def _get_train_sampler(self, *args, **kwargs) -> Optional["torch.utils.data.Sampler"]:\n'
    "        if self.finetuning_args.disable_shuffling:\n",
    "llamafactory/train/sft/trainer.py:148": "        return super()._get_train_sampler(*args, **kwargs)\n",
    "llamafactory/train/sft/trainer.py:71": "            self.model_accepts_loss_kwargs = False\n",  # with a processor: a token mean a micro-batch
    "llamafactory/hparams/parser.py:459": "    training_args.remove_unused_columns = False",
    "llamafactory/data/processor/supervised.py:128": '            model_inputs["input_ids"].append(input_ids)\n',
    "accelerate/data_loader.py:99": "        seed = self.epoch + self.initial_seed\n",
    "accelerate/data_loader.py:1176": "    if isinstance(sampler, RandomSampler) and use_seedable_sampler:\n",
    "accelerate/data_loader.py:616": "            self.batch_sampler.batch_sampler.sampler.set_epoch(epoch)\n",
    "accelerate/data_loader.py:258": "                    batch += initial_data[cycle_index:end_index]\n",
    "transformers/trainer.py:1144": "            sampler_fn=self._get_train_sampler,\n",
    "transformers/trainer.py:5468": "                dataloader_config.data_seed = self.args.data_seed\n",
    "transformers/trainer.py:2617": "            num_batches = args.gradient_accumulation_steps if update_step != (total_updates - 1) else remainder\n",
}


class BatchOrderSampler(Sampler[int]):
    """The rows of an epoch in one of the orders, its padding rows included.

    It is no `RandomSampler`, which accelerate would replace. Its length is a whole number of micro-steps when there
    are several ranks, so that accelerate has nothing left to pad.

    `data_seed`: as the training argument of that name; None stands for the run's `seed`, as in accelerate.
    `capacity`: tokens of a bin of `packed`; None stands for those of a micro-batch of the longest rows.
    `share`: ranks that share a sequence, which get the same rows; with one row a micro-batch.
    """

    def __init__(
        self,
        kind: str,
        dataset: Any,
        ranks: int,
        per_device: int,
        accumulation: int,
        drop_last: bool = False,
        data_seed: int | None = None,
        capacity: int | None = None,
        share: int = 1,
    ) -> None:
        self.stock = SeedableRandomSampler(dataset, data_seed=data_seed)
        self.lengths = token_lengths(dataset)
        self.kind, self.ranks = kind, ranks
        self.capacity = capacity or per_device * int(self.lengths.max())
        self.machine, self.share = (ranks // share, per_device, accumulation, drop_last), share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to iterate; accelerate calls it at the start of each."""
        self.epoch = epoch

    def order(self, kind: str) -> np.ndarray:
        """Return the rows of the current epoch in any of the orders."""
        self.stock.set_epoch(self.epoch)
        shuffled = np.fromiter(self.stock, dtype=np.int64, count=len(self.stock))
        return epoch_order(kind, shuffled, self.lengths, *self.machine)

    def slot_use(self, kind: str, meet_each_micro_step: bool) -> float:
        """Return the slot use of the current epoch in any of the orders."""
        ranks, per_device, accumulation, _ = self.machine
        if kind == "packed":
            return packed_use(self._steps(), self.lengths, meet_each_micro_step)[0]

        return slot_use(self.order(kind), self.lengths, ranks, per_device, 1 if meet_each_micro_step else accumulation)

    def passes(self) -> float:
        """Return the forward passes of a rank in an optimiser step of `packed`, on average over the current epoch."""
        return packed_use(self._steps(), self.lengths, True)[1]

    def _steps(self) -> list:
        return list(packed_steps(self.order("packed"), self.lengths, *self.machine[:3], self.capacity))

    def __iter__(self):
        return iter(np.repeat(self.order(self.kind), self.share).tolist())

    def __len__(self) -> int:
        ranks, per_device, _, drop_last = self.machine
        rows, micro_step = len(self.lengths), ranks * per_device
        if drop_last:
            return rows // micro_step * micro_step * self.share

        return (rows if ranks == 1 else -(-rows // micro_step) * micro_step) * self.share


def check_order(loader: Any) -> BatchOrderSampler:
    """Return the sampler that a prepared loader uses, which must be ours and made for its number of ranks.

    Raises:
        RuntimeError: it is not, so the rows would come in another order than the recipe says.
    """
    batches, ranks = loader.batch_sampler, 1
    if isinstance(batches, BatchSamplerShard):
        batches, ranks = batches.batch_sampler, batches.num_processes

    sampler = getattr(batches, "sampler", None)
    if not isinstance(sampler, BatchOrderSampler) or sampler.ranks != ranks:
        raise RuntimeError(
            f"virgo-factory: batch_order cannot be kept, because rows are handed to {ranks} data-parallel ranks through "
            f"{type(batches).__name__} of {type(sampler).__name__}. Remove batch_order."
        )

    return sampler


def token_lengths(dataset: Any, column: str = "input_ids") -> np.ndarray:
    """Return the number of tokens (or images) of every row, from the offsets of the Arrow column: no row is read.

    A selected or shuffled dataset keeps its whole table and the numbers of its rows beside it (`_indices`).
    """
    lists = dataset.data.column(column)
    if pyarrow.types.is_null(lists.type):
        return np.zeros(len(dataset), dtype=np.int64)

    lengths = pyarrow.compute.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
    if dataset._indices is not None:
        lengths = lengths[dataset._indices.column(0).to_numpy()]

    return lengths


def batch_order_problems(kind: str, data_args: Any, training_args: Any, finetuning_args: Any) -> list[str]:
    """Return why a recipe cannot have this `batch_order`, one sentence each with its remedy."""
    key = f"batch_order: {kind}"
    problems = []
    if finetuning_args.disable_shuffling:
        problems.append(f"{key}: not with disable_shuffling, which keeps the order of the file. Remove one of them.")

    if groups_by_length(training_args):
        problems.append(f"{key}: not with group_by_length, which is another order. Remove one of them.")

    if kind == "shuffle":
        return problems

    stage, loader = finetuning_args.stage, training_args.accelerator_config
    reasons = {
        "streaming": (data_args.streaming, "since the lengths are not known beforehand"),
        "neat_packing": (data_args.neat_packing, "whose rows are all about as long as cutoff_len already"),
        "packing": (
            data_args.packing and not data_args.neat_packing,
            "whose rows are all about as long as cutoff_len already",
        ),
        "accelerator_config: split_batches": (loader.split_batches, "which cuts a micro-batch into the ranks' parts"),
        "accelerator_config: dispatch_batches": (loader.dispatch_batches, "where one rank reads for all"),
    }
    problems += [f"{key}: not with {name}, {why}. Remove one of them." for name, (on, why) in reasons.items() if on]
    for switch, why in (
        ("even_batches", "the ranks would have different numbers of micro-steps"),
        ("use_seedable_sampler", "the order that it starts from would not depend on the seed alone"),
    ):
        if not getattr(loader, switch):
            problems.append(f"{key}: not with accelerator_config: {switch}: false, since {why}. Remove that setting.")

    if kind == "balanced" and training_args.world_size > 1 and not training_args.average_tokens_across_devices:
        problems.append(
            f"{key}: not with average_tokens_across_devices: false, since a row would weigh differently on another "
            "rank. Remove that setting, or choose batch_order: grouped."
        )

    if stage != "sft":
        problems.append(f"{key}: only in the stage sft, not in {stage}.")
    elif not training_args.do_train:
        problems.append(f"{key}: only with do_train: true. Remove it.")

    return problems
