"""The order of an epoch: what may move and what may not, for any lengths, ranks and sizes."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from virgo_factory.core import batch_order
from virgo_factory.core.batch_order import (
    ORDERS,
    balanced,
    bins,
    epoch_order,
    epoch_rows,
    grouped,
    packed_steps,
    packed_time,
    slot_use,
    stock_grouped,
)


@st.composite
def epochs(draw):
    """Rows with lengths, a shuffled order of them, and a machine to train on."""
    count, seed, ties = draw(st.integers(1, 120)), draw(st.integers(0, 2**32)), draw(st.booleans())
    chance = np.random.default_rng(seed)
    lengths = chance.integers(1, 9, count) if ties else chance.lognormal(7, 1.5, count).astype(int) + 1
    shuffled = chance.permutation(count)
    ranks, per_device, accumulation = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return shuffled, lengths, ranks, per_device, accumulation, draw(st.booleans())


def global_batches(rows, ranks, per_device, accumulation):
    """Return the rows of each optimiser step, as stock cuts an epoch."""
    size = ranks * per_device * accumulation
    return [rows[start : start + size].tolist() for start in range(0, len(rows), size)]


def micro_batches(rows, per_device):
    return [tuple(rows[start : start + per_device].tolist()) for start in range(0, len(rows), per_device)]


def micro_steps(rows, ranks, per_device):
    """Return, for each micro-step, the micro-batch of every rank."""
    batches = micro_batches(rows, per_device)
    return [batches[start : start + ranks] for start in range(0, len(batches), ranks)]


@given(epochs())
def test_the_rows_of_an_epoch(epoch):
    shuffled, _, ranks, per_device, _, drop_last = epoch
    rows = epoch_rows(shuffled, ranks, per_device, drop_last)
    micro_step = ranks * per_device
    if drop_last:
        assert rows.tolist() == shuffled.tolist()[: len(rows)]
        assert len(rows) % micro_step == 0 and len(shuffled) - len(rows) < micro_step
    elif ranks == 1:
        assert rows.tolist() == shuffled.tolist()
    else:
        assert len(rows) % micro_step == 0 and 0 <= len(rows) - len(shuffled) < micro_step
        assert rows.tolist() == [shuffled[place % len(shuffled)] for place in range(len(rows))]


@pytest.mark.parametrize("kind", ["balanced", "packed"])
@given(epoch=epochs())
def test_whole_micro_batches_move_inside_their_global_batch(kind, epoch):
    shuffled, lengths, ranks, per_device, accumulation, drop_last = epoch
    rows = epoch_rows(shuffled, ranks, per_device, drop_last)
    order = epoch_order(kind, shuffled, lengths, ranks, per_device, accumulation, drop_last)
    machine = (ranks, per_device, accumulation)
    stock = global_batches(rows, *machine)
    ours = global_batches(order, *machine)
    assert len(stock) == len(ours)
    for before, after in zip(stock, ours, strict=True):
        assert Counter(micro_batches(np.array(before), per_device)) == Counter(
            micro_batches(np.array(after), per_device)
        )


@given(epochs())
def test_balanced_hands_out_by_length(epoch):
    shuffled, lengths, ranks, per_device, accumulation, drop_last = epoch
    order = epoch_order("balanced", shuffled, lengths, ranks, per_device, accumulation, drop_last)
    for batch in global_batches(order, ranks, per_device, accumulation):
        steps = [
            [max(lengths[list(rows)]) for rows in step if len(rows) == per_device]  # a shorter last one stays last
            for step in micro_steps(np.array(batch), ranks, per_device)
        ]
        steps = [step for step in steps if step]
        assert all(min(before) >= max(after) for before, after in zip(steps, steps[1:], strict=False))


@given(epochs())
def test_balanced_is_never_worse_for_ranks_that_meet_at_every_micro_step(epoch):
    shuffled, lengths, ranks, per_device, accumulation, drop_last = epoch
    rows = epoch_rows(shuffled, ranks, per_device, drop_last)
    if len(rows):
        order = balanced(rows, lengths, ranks, per_device, accumulation)
        assert slot_use(order, lengths, ranks, per_device) >= slot_use(rows, lengths, ranks, per_device) - 1e-12


@given(epochs())
def test_balanced_keeps_the_ranks_alike(epoch):
    shuffled, lengths, ranks, per_device, accumulation, _ = epoch
    order = epoch_order("balanced", shuffled, lengths, ranks, per_device, accumulation, True)
    for batch in global_batches(order, ranks, per_device, accumulation):
        steps = micro_steps(np.array(batch), ranks, per_device)
        loads = [sum(max(lengths[list(step[rank])]) for step in steps) for rank in range(ranks)]
        assert max(loads) - min(loads) <= max(lengths[batch])


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(60, 300), st.integers(1, 6))
def test_bins_hold_every_row_once(lengths, capacity, least):
    found = bins(lengths, capacity, least)
    assert sorted(itertools.chain(*found)) == list(range(len(lengths)))
    loads = [sum(lengths[place] for place in places) for places in found]
    assert loads == sorted(loads, reverse=True)
    assert all(load <= capacity or len(places) == 1 for load, places in zip(loads, found, strict=True))
    assert len(found) == max(least, len(bins(lengths, capacity)))
    assert len(bins(lengths, capacity)) <= 2 * -(-sum(lengths) // capacity) + sum(one > capacity for one in lengths)


@given(epochs(), st.floats(1, 4))
def test_packed_bins_of_every_step(epoch, room):
    shuffled, lengths, ranks, per_device, accumulation, drop_last = epoch
    order = epoch_order("packed", shuffled, lengths, ranks, per_device, accumulation, drop_last)
    capacity = int(room * lengths.max())
    steps = list(packed_steps(order, lengths, ranks, per_device, accumulation, capacity))
    size = ranks * per_device * accumulation
    each = once = 0
    for step, start in zip(steps, range(0, len(order), size), strict=True):
        micro = micro_steps(order[start : start + size], ranks, per_device)
        for rank, own in enumerate(step):
            expected = itertools.chain(*(batches[rank] for batches in micro))
            assert sorted(itertools.chain(*(rows.tolist() for rows in own))) == sorted(expected)
            assert all(lengths[rows].sum() <= capacity for rows in own)

        assert len({len(own) for own in step}) == 1
        each += sum(max(lengths[own[at]].sum() for own in step) for at in range(len(step[0])))
        once += max(sum(lengths[rows].sum() for rows in own) for own in step)

    assert packed_time(steps, lengths, each=True) == each >= packed_time(steps, lengths, each=False) == once


@given(epochs())
def test_grouped_has_the_rows_of_the_epoch(epoch):
    shuffled, lengths, ranks, per_device, accumulation, drop_last = epoch
    rows = epoch_rows(shuffled, ranks, per_device, drop_last)
    order = epoch_order("grouped", shuffled, lengths, ranks, per_device, accumulation, drop_last)
    assert Counter(order.tolist()) == Counter(rows.tolist())
    if len(rows) >= ranks * per_device:
        assert max(lengths[order[: ranks * per_device]]) == max(lengths[rows])


NEIGHBOURS_OF_ONE_LONG_ROW = (np.array([0, 1, 3, 2]), np.array([9000, 1000, 1001, 1001]), 2, 1, 1, True)
"""The jitter puts the row of 1,000 beside that of 9,000: its micro-step begins below the other one and ends far above."""


@given(epochs())
@example(NEIGHBOURS_OF_ONE_LONG_ROW)
def test_grouped_micro_steps_are_neighbours_in_length(epoch):
    """Of two micro-steps one has no micro-batch that is longer than the other's shortest, but for the jitter.

    By jittered length one stands whole before the other; its own shortest and longest may be any distance apart. Handing
    out by length inside global batches keeps that: of a global batch's n longest micro-batches none is shorter than the
    shortest of its first n, and none of the rest is longer than the longest of its last.
    """
    shuffled, lengths, ranks, per_device, accumulation, _ = epoch
    order = epoch_order("grouped", shuffled, lengths, ranks, per_device, accumulation, True)
    spans = []
    for step in micro_steps(order, ranks, per_device):
        longest = [max(lengths[list(rows)]) for rows in step]
        spans.append((min(longest), max(longest)))

    room = 1 + batch_order.JITTER
    for (low, high), (other_low, other_high) in itertools.combinations(spans, 2):
        assert high <= room * other_low or other_high <= room * low


@pytest.mark.parametrize("kind", ORDERS)
@given(epoch=epochs())
def test_the_same_order_gives_the_same_order(kind, epoch):
    before = epoch[0].copy()
    assert epoch_order(kind, *epoch).tolist() == epoch_order(kind, *epoch).tolist()
    assert epoch[0].tolist() == before.tolist()


@pytest.mark.parametrize(("ranks", "per_device", "accumulation"), [(1, 1, 8), (2, 1, 8), (2, 4, 2), (64, 1, 2)])
@pytest.mark.parametrize("kind", ORDERS)
def test_every_epoch_has_its_own_order(kind, ranks, per_device, accumulation):
    chance = np.random.default_rng(0)
    lengths = chance.lognormal(7, 1, 1000).astype(int)
    orders = [epoch_order(kind, chance.permutation(1000), lengths, ranks, per_device, accumulation) for _ in range(5)]
    assert len({order.tobytes() for order in orders}) == 5
    if ranks * per_device > 1:
        size = ranks * per_device
        together = [{frozenset(order[at : at + size].tolist()) for at in range(0, 1000, size)} for order in orders]
        shared = len(together[0] & together[1]) / len(together[0])
        assert shared < 0.7


def test_grouped_micro_steps_come_in_random_order():
    chance = np.random.default_rng(0)
    lengths = chance.lognormal(7, 1, 4000).astype(int)
    order = epoch_order("grouped", chance.permutation(4000), lengths, 4, 1, 1)
    longest = lengths[order].reshape(-1, 4).max(axis=1)
    assert longest[0] == lengths.max()
    assert abs(np.corrcoef(np.arange(999), np.argsort(np.argsort(longest[1:])))[0, 1]) < 0.1


def test_the_longest_goes_to_the_rank_that_has_had_least():
    chance = np.random.default_rng(0)
    lengths = chance.lognormal(7, 0.75, 4096).astype(int)
    rows = chance.permutation(4096)
    descending = np.concatenate([batch[np.argsort(-lengths[batch])] for batch in rows.reshape(-1, 128)])
    ours = balanced(rows, lengths, ranks=16, per_device=1, accumulation=8)
    assert slot_use(ours, lengths, 16, 1) == pytest.approx(slot_use(descending, lengths, 16, 1))
    assert slot_use(ours, lengths, 16, 1, 8) > 1.1 * slot_use(descending, lengths, 16, 1, 8)


def test_ties_are_broken_by_chance():
    lengths = np.full(64, 100)
    orders = {
        epoch_order("grouped", np.random.default_rng(seed).permutation(64), lengths, 2, 2, 2).tobytes()
        for seed in range(20)
    }
    assert len(orders) == 20


def test_the_longest_row_in_a_short_last_micro_batch():
    lengths = np.array([5, 5, 5, 5, 5, 5, 5, 5, 900])
    order = grouped(np.arange(9), lengths, ranks=1, per_device=4, accumulation=1)
    assert 8 in order[:4]
    assert sorted(order.tolist()) == list(range(9))


def test_fewer_rows_than_a_micro_step():
    lengths = np.array([3, 1, 2])
    assert epoch_order("grouped", np.array([2, 0, 1]), lengths, 1, 4, 2).tolist() == [2, 0, 1]
    padded = epoch_order("balanced", np.array([2, 0, 1]), lengths, 4, 2, 2)
    assert Counter(padded.tolist()) == Counter([2, 0, 1, 2, 0, 1, 2, 0])
    assert epoch_order("balanced", np.array([2, 0, 1]), lengths, 2, 4, 1, drop_last=True).tolist() == []


@given(epochs(), st.booleans())
def test_slot_use_counted_slot_by_slot(epoch, once_a_step):
    shuffled, lengths, ranks, per_device, accumulation, _ = epoch
    rows = epoch_rows(shuffled, ranks, per_device)
    meet = accumulation if once_a_step else 1
    steps = micro_steps(rows, ranks, per_device)
    busy = 0
    for start in range(0, len(steps), meet):
        sums = [0] * ranks
        for step in steps[start : start + meet]:
            for rank, batch in enumerate(step):
                sums[rank] += max(lengths[list(batch)]) * len(batch)

        busy += max(sums) * ranks

    assert slot_use(rows, lengths, ranks, per_device, meet) == pytest.approx(lengths[rows].sum() / busy)


def test_slot_use_of_equal_rows_is_one():
    assert slot_use(np.arange(8), np.full(8, 7), ranks=2, per_device=2) == 1.0
    assert slot_use(np.arange(8), np.full(8, 7), ranks=2, per_device=1, accumulation=4) == 1.0


@given(epochs())
def test_the_stock_key_keeps_every_row(epoch):
    shuffled, lengths, _, per_device, accumulation, _ = epoch
    order = stock_grouped(shuffled, lengths, per_device, accumulation)
    assert sorted(order.tolist()) == sorted(shuffled.tolist())
    assert lengths[order[0]] == lengths.max()


def test_gains_on_a_heavy_tail():
    chance = np.random.default_rng(0)
    lengths = np.clip(chance.lognormal(7.5, 0.75, 5000), 50, 16384).astype(int)
    use = {}
    for ranks, accumulation in ((64, 2), (16, 8)):
        shuffled = chance.permutation(5000)
        for kind in ORDERS:
            order = epoch_order(kind, shuffled, lengths, ranks, 1, accumulation)
            use[kind, ranks] = slot_use(order, lengths, ranks, 1)

        stock = epoch_rows(stock_grouped(shuffled, lengths, 1, accumulation), ranks, 1)
        use["group_by_length", ranks] = slot_use(stock, lengths, ranks, 1)
        order = epoch_order("packed", shuffled, lengths, ranks, 1, accumulation)
        steps = packed_steps(order, lengths, ranks, 1, accumulation, int(lengths.max()))
        use["packed", ranks] = lengths[order].sum() / ranks / packed_time(steps, lengths, each=True)

    assert use["balanced", 64] > 1.3 * use["shuffle", 64]
    assert use["balanced", 16] > 1.8 * use["shuffle", 16]
    assert use["grouped", 64] > 0.9 and use["grouped", 16] > 0.95
    assert use["group_by_length", 64] < use["balanced", 64]
    assert use["packed", 64] > use["balanced", 64] and use["packed", 16] > 0.95
    assert use["group_by_length", 16] > use["balanced", 16]
