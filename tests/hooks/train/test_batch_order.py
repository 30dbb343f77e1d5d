"""`batch_order` between accelerate and transformers: the rows that each rank really gets, beside those that stock gives."""

import importlib.metadata
import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader, skip_first_batches
from datasets import Dataset, concatenate_datasets
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
from transformers import TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices

from virgo_factory.core.batch_order import stock_grouped
from virgo_factory.preflight.versions import is_5


def table(count, seed=0):
    """Return a tokenised dataset whose rows are as uneven as long thoughts; `row` tells them apart."""
    lengths = np.random.default_rng(seed).lognormal(3, 1, count).astype(int) + 1
    return Dataset.from_dict({"input_ids": [[7] * length for length in lengths], "row": list(range(count))})


def loaders(dataset, make_sampler, ranks, per_device, drop_last=False, data_seed=None):
    """Return the loader of each rank, prepared as transformers' trainer has it done."""
    torch.manual_seed(11)
    prepared = []
    for rank in range(ranks):
        loader = DataLoader(
            dataset,
            batch_size=per_device,
            sampler=make_sampler(dataset),
            drop_last=drop_last,
            collate_fn=lambda rows: tuple(row["row"] for row in rows),
        )
        prepared.append(
            prepare_data_loader(
                loader, num_processes=ranks, process_index=rank, use_seedable_sampler=True, data_seed=data_seed
            )
        )

    return prepared


def epoch_of(loaders):
    """Return the micro-steps of the next epoch: the micro-batch of every rank."""
    return list(zip(*loaders, strict=True))


def global_batches(micro_steps, accumulation):
    return [
        list(itertools.chain(*micro_steps[start : start + accumulation]))
        for start in range(0, len(micro_steps), accumulation)
    ]


MACHINES = [
    # (rows, ranks, per device, accumulation)
    (37, 1, 1, 4),
    (37, 1, 4, 2),
    (37, 2, 1, 4),
    (37, 2, 2, 2),
    (38, 2, 4, 2),
    (40, 2, 2, 2),
    (41, 3, 2, 3),
    (5, 4, 2, 1),
    (3, 2, 4, 2),
    (101, 8, 1, 8),
    (67, 16, 1, 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("drop_last", "data_seed"), [(False, None), (True, 5)])
@pytest.mark.parametrize(("count", "ranks", "per_device", "accumulation"), MACHINES)
def test_rows_of_each_rank(hook, count, ranks, per_device, accumulation, drop_last, data_seed):
    dataset = table(count)
    options = {"ranks": ranks, "per_device": per_device, "drop_last": drop_last, "data_seed": data_seed}
    stock = loaders(dataset, RandomSampler, **options)
    ours = {
        kind: loaders(
            dataset,
            lambda rows, k=kind: hook.BatchOrderSampler(k, rows, accumulation=accumulation, **options),
            **options,
        )
        for kind in ("balanced", "grouped", "packed")
    }
    orders = {kind: [] for kind in ours}
    for _ in range(2):
        steps = epoch_of(stock)
        expected = global_batches(steps, accumulation)
        rows = Counter(itertools.chain(*itertools.chain(*steps)))
        for kind, prepared in ours.items():
            assert len(prepared[0]) == len(stock[0]) == len(steps)
            got_steps = epoch_of(prepared)
            orders[kind].append(got_steps)
            assert Counter(itertools.chain(*itertools.chain(*got_steps))) == rows
            if kind != "grouped":
                got = global_batches(got_steps, accumulation)
                assert list(map(Counter, got)) == list(map(Counter, expected))

    if count > 30 and steps:
        assert all(len({str(order) for order in epochs}) == 2 for epochs in orders.values())


@pytest.mark.parametrize(("count", "ranks", "share"), [(37, 2, 2), (37, 4, 2), (41, 8, 4), (5, 8, 2)])
def test_ranks_that_share_sequences_get_the_same_rows(hook, count, ranks, share):
    dataset, groups = table(count), ranks // share

    def sampler(rows):
        return hook.BatchOrderSampler("packed", rows, ranks=ranks, per_device=1, accumulation=3, share=share)

    ours, stock = loaders(dataset, sampler, ranks, 1), loaders(dataset, RandomSampler, groups, 1)
    assert len(ours[0]) == len(stock[0])
    for _ in range(2):
        steps, expected = epoch_of(ours), epoch_of(stock)
        for step in steps:
            assert all(step[rank] == step[rank // share * share] for rank in range(ranks))

        taken = [step[::share] for step in steps]
        for got, wanted in zip(global_batches(taken, 3), global_batches(expected, 3), strict=True):
            assert Counter(got) == Counter(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["balanced", "grouped", "packed"])
@pytest.mark.parametrize(("ranks", "per_device"), [(1, 1), (1, 4), (2, 1), (2, 2)])
def test_resuming_inside_any_epoch(hook, kind, ranks, per_device):
    from virgo_factory.hooks.train.resume import keeping_iteration

    dataset = table(37)

    def make_sampler(rows):
        return hook.BatchOrderSampler(kind, rows, ranks=ranks, per_device=per_device, accumulation=4)

    undisturbed = loaders(dataset, make_sampler, ranks, per_device)
    epochs = [epoch_of(undisturbed) for _ in range(3)]
    skip = keeping_iteration(skip_first_batches)
    for epoch in range(3):
        resumed = loaders(dataset, make_sampler, ranks, per_device)
        for loader in resumed:
            loader.set_epoch(epoch)  # transformers 4.57.6, trainer.py, `_inner_training_loop`

        assert epoch_of([skip(loader, 4) for loader in resumed]) == epochs[epoch][4:]
        if epoch < 2:
            for loader in resumed:
                loader.set_epoch(epoch + 1)

            assert epoch_of(resumed) == epochs[epoch + 1]


@pytest.mark.slow
@pytest.mark.parametrize(("per_device", "ranks"), [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2)])
def test_gradients_of_balanced_are_those_of_shuffle(hook, per_device, ranks):
    dataset = table(45)
    torch.manual_seed(0)
    targets = [torch.randint(50, (len(ids),)) for ids in dataset["input_ids"]]
    model = torch.nn.Linear(8, 50).double()
    inputs = [torch.randn(len(ids), 8, dtype=torch.float64) for ids in dataset["input_ids"]]

    def gradients(make_sampler):
        found = []
        for batch in global_batches(epoch_of(loaders(dataset, make_sampler, ranks, per_device)), accumulation=4):
            model.zero_grad()
            for rows in batch:
                logits = model(torch.cat([inputs[row] for row in rows]))
                loss = torch.nn.functional.cross_entropy(logits, torch.cat([targets[row] for row in rows]))
                (loss / len(batch)).backward()

            found.append(model.weight.grad.clone())

        return torch.stack(found)

    def balanced(rows):
        return hook.BatchOrderSampler("balanced", rows, ranks=ranks, per_device=per_device, accumulation=4)

    torch.testing.assert_close(gradients(balanced), gradients(RandomSampler), rtol=1e-12, atol=1e-14)


def test_lengths_of_any_dataset(hook):
    rows, more = table(50), table(20, seed=1)
    kinds = [
        rows,
        rows.select([3, 3, 40, 0]),
        rows.select(range(10, 20)),
        rows.shuffle(seed=0),
        rows.shuffle(seed=0).select(range(5, 25)),
        concatenate_datasets([rows, more]),
        concatenate_datasets([rows.shuffle(seed=0), more.select([4, 2])]),
        rows.train_test_split(test_size=0.2, seed=1)["train"],
        rows.filter(lambda row: len(row["input_ids"]) > 20),
        rows.flatten_indices(),
    ]
    for dataset in kinds:
        lengths = hook.token_lengths(dataset)
        assert lengths.tolist() == [len(ids) for ids in dataset["input_ids"]]


def test_lengths_of_a_saved_dataset(hook, tmp_path):
    table(50).shuffle(seed=0).save_to_disk(tmp_path / "rows")
    dataset = Dataset.load_from_disk(tmp_path / "rows")
    assert hook.token_lengths(dataset).tolist() == [len(ids) for ids in dataset["input_ids"]]


@pytest.mark.parametrize(("count", "per_device", "accumulation"), [(7, 1, 2), (400, 1, 8), (401, 2, 8), (5000, 1, 2)])
def test_the_peer_is_the_stock_key(count, per_device, accumulation):
    lengths = np.random.default_rng(0).lognormal(7, 1, count).astype(int)
    torch.manual_seed(3)
    expected = get_length_grouped_indices(lengths.tolist(), per_device * accumulation)
    torch.manual_seed(3)
    assert stock_grouped(torch.randperm(count).numpy(), lengths, per_device, accumulation).tolist() == expected


def test_a_replaced_sampler_or_another_number_of_ranks_stops_the_run(hook):
    dataset = table(20)

    def ours(rows):
        return hook.BatchOrderSampler("balanced", rows, ranks=2, per_device=1, accumulation=2)

    assert hook.check_order(loaders(dataset, ours, 2, 1)[1]).kind == "balanced"
    for wrong in (
        loaders(dataset, ours, 4, 1),
        loaders(dataset, ours, 1, 1),
        loaders(dataset, SequentialSampler, 2, 1),
    ):
        with pytest.raises(RuntimeError, match="batch_order cannot be kept"):
            hook.check_order(wrong[0])


def problems(hook, kind, data=None, training=None, finetuning=None, ranks=2):
    training_args = TrainingArguments(output_dir="out", use_cpu=True, do_train=True, **(training or {}))
    known = {"accelerator_config", next(iter(BY_LENGTH)), "average_tokens_across_devices", "do_train"}
    args = SimpleNamespace(**{name: getattr(training_args, name) for name in known}, world_size=ranks)
    args.average_tokens_across_devices = (training or {}).get("average_tokens_across_devices", True)
    data_args = SimpleNamespace(**({"streaming": False, "packing": False, "neat_packing": False} | (data or {})))
    finetuning_args = SimpleNamespace(**({"stage": "sft", "disable_shuffling": False} | (finetuning or {})))
    return hook.batch_order_problems(kind, data_args, args, finetuning_args)


IS_5 = is_5(importlib.metadata.version("transformers"))
BY_LENGTH = {"train_sampling_strategy": "group_by_length"} if IS_5 else {"group_by_length": True}


REFUSED = [
    ({"data": {"streaming": True}}, "not with streaming, since the lengths"),
    ({"data": {"packing": True}}, "not with packing, whose rows"),
    ({"data": {"packing": True, "neat_packing": True}}, "not with neat_packing, whose rows"),
    ({"finetuning": {"disable_shuffling": True}}, "not with disable_shuffling, which keeps"),
    ({"training": BY_LENGTH}, "not with group_by_length, which is another order"),
    ({"training": {"accelerator_config": {"split_batches": True}}}, "not with accelerator_config: split_batches"),
    (
        {"training": {"accelerator_config": {"dispatch_batches": True}}},
        "not with accelerator_config: dispatch_batches",
    ),
    (
        {"training": {"accelerator_config": {"even_batches": False}}},
        "not with accelerator_config: even_batches: false",
    ),
    (
        {"training": {"accelerator_config": {"use_seedable_sampler": False}}},
        "not with accelerator_config: use_seedable_sampler: false",
    ),
    ({"finetuning": {"stage": "dpo"}}, "only in the stage sft, not in dpo"),
    ({"finetuning": {"stage": "pt"}}, "only in the stage sft, not in pt"),
]


@pytest.mark.parametrize("kind", ["balanced", "grouped", "packed"])
@pytest.mark.parametrize(("keys", "message"), REFUSED)
def test_refused_with_a_reason(hook, kind, keys, message):
    assert problems(hook, kind) == []
    (problem,) = problems(hook, kind, **keys)
    assert problem.startswith(f"batch_order: {kind}: {message}")


def test_refused_together(hook):
    found = problems(hook, "grouped", data={"streaming": True}, finetuning={"stage": "kto", "disable_shuffling": True})
    assert len(found) == 3


def test_shuffle_is_stock_and_refused_only_where_it_contradicts(hook):
    for keys, _ in REFUSED:
        contradicts = keys.get("training") == BY_LENGTH or "disable_shuffling" in str(keys)
        assert len(problems(hook, "shuffle", **keys)) == contradicts


def test_token_means_over_one_rank_forbid_balanced(hook):
    keys = {"training": {"average_tokens_across_devices": False}}
    (problem,) = problems(hook, "balanced", **keys)
    assert "average_tokens_across_devices: false" in problem
    assert problems(hook, "balanced", ranks=1, **keys) == []
    assert problems(hook, "grouped", **keys) == []
