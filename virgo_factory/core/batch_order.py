"""Which rows meet in a batch, and how much of the ranks' time that costs: the order of an epoch. Pure, numpy only.

Words: a micro-batch is the rows that one rank takes in one forward pass; a micro-step is one micro-batch a rank; a
global batch is the micro-steps of one optimiser step. An order is the row numbers of one epoch as the stock sampler
deals them out: micro-batch after micro-batch, one to each rank in turn (accelerate 1.11.0, `BatchSamplerShard`).

Micro-batches are handed out for both ways in which ranks wait for each other at once. Under ZeRO-2, ZeRO-3 and FSDP
they meet at every micro-step: micro-batches of like length go into one micro-step, and sorting makes the sum of the
micro-steps' longest as small as it can be. Under DDP and ZeRO-1 they meet once an optimiser step, so the ranks' sums
must be alike: which rank takes which micro-batch of a micro-step is still free, and the longest goes to the rank that
has had least so far.

A bin is what `packed` gives a rank in one forward pass instead: as many rows of the global batch as it has room for, one
behind the other, without padding.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


ORDERS = ("shuffle", "balanced", "grouped", "packed")
SAME_BATCHES = ("shuffle", "balanced", "packed")
"""Orders whose global batches have the same rows, so that a run may go on with another of them."""

JITTER = 0.02
"""`grouped` sorts by lengths made longer by up to this share at random, so that each epoch other rows meet."""


def epoch_rows(shuffled: np.ndarray, ranks: int, per_device: int, drop_last: bool = False) -> np.ndarray:
    """Return the rows of an epoch in stock order, those that pad its last micro-step included.

    With several ranks accelerate repeats the epoch's first rows until every rank has a whole last micro-batch
    (`even_batches`). With one rank the last micro-batch is shorter instead; with `drop_last` it is left out.

    >>> epoch_rows(np.array([3, 0, 4, 1, 2]), ranks=2, per_device=2).tolist()
    [3, 0, 4, 1, 2, 3, 0, 4]
    """
    micro_step = ranks * per_device
    if drop_last:
        return shuffled[: len(shuffled) // micro_step * micro_step]

    if ranks == 1:
        return shuffled

    return np.resize(shuffled, -(-len(shuffled) // micro_step) * micro_step)


def balanced(rows: np.ndarray, lengths: np.ndarray, ranks: int, per_device: int, accumulation: int) -> np.ndarray:
    """Return the rows with whole micro-batches handed out by length inside each global batch, longest first.

    No row changes its micro-batch and no micro-batch its global batch. A shorter last micro-batch (one rank) stays last.

    >>> lengths = np.array([10, 70, 20, 80, 30, 60, 40, 50])
    >>> balanced(np.arange(8), lengths, ranks=2, per_device=1, accumulation=4).tolist()
    [3, 1, 7, 5, 6, 4, 0, 2]
    """
    whole = len(rows) // per_device
    batches = rows[: whole * per_device].reshape(whole, per_device)
    longest = lengths[batches].max(axis=1)
    size = ranks * accumulation
    full = whole // size * size
    order = (_deal(longest[:full].reshape(-1, size), ranks) + np.arange(0, full, size)[:, None]).ravel()
    last = (_deal(longest[None, full:], ranks) + full).ravel()
    return np.concatenate([batches[order].ravel(), batches[last].ravel(), rows[whole * per_device :]])


def _deal(longest: np.ndarray, ranks: int) -> np.ndarray:
    """Return the micro-batches of each global batch, a line of their lengths, in the order to hand them out."""
    by_length = np.argsort(-longest, axis=1, kind="stable")
    order = np.empty_like(by_length)
    load = np.zeros((len(longest), ranks), dtype=np.int64)
    for start in range(0, longest.shape[1], ranks):
        micro_step = by_length[:, start : start + ranks]
        least_first = np.argsort(load, axis=1, kind="stable")
        np.put_along_axis(order[:, start : start + ranks], least_first, micro_step, axis=1)
        more = np.zeros_like(load)
        np.put_along_axis(more, least_first, np.take_along_axis(longest, micro_step, axis=1), axis=1)
        load += more

    return order


def grouped(rows: np.ndarray, lengths: np.ndarray, ranks: int, per_device: int, accumulation: int) -> np.ndarray:
    """Return the rows in micro-steps of like length, the micro-steps in random order with the longest row's first.

    The rows are those of the epoch, padding included, but in other global batches than stock's. All chance comes from
    the order given, so the same order gives the same result.

    >>> lengths = np.array([10, 70, 20, 80, 30, 60, 40, 50])
    >>> grouped(np.arange(8), lengths, ranks=2, per_device=1, accumulation=1)[:2].tolist()
    [3, 1]
    """
    micro_step = ranks * per_device
    whole = len(rows) // micro_step * micro_step
    if whole == 0:
        return rows

    chance = np.random.default_rng(rows[:64])
    rows = rows.copy()
    longest = lengths[rows].argmax()
    rows[[0, longest]] = rows[[longest, 0]]  # never in a shorter last micro-batch
    keys = lengths[rows[:whole]] * (1 + JITTER * chance.random(whole))
    groups = rows[np.argsort(-keys, kind="stable")].reshape(-1, micro_step)
    order = chance.permutation(len(groups))
    first = np.flatnonzero(order == lengths[groups].max(axis=1).argmax())[0]
    order[[0, first]] = order[[first, 0]]
    rows = np.concatenate([groups[order].ravel(), rows[whole:]])
    return balanced(rows, lengths, ranks, per_device, accumulation)


def packed(rows: np.ndarray, lengths: np.ndarray, ranks: int, per_device: int, accumulation: int) -> np.ndarray:
    """Return the rows with whole micro-batches handed out inside each global batch, so that ranks get as many tokens each.

    The longest first, each to the rank that has had least and still has room; every rank gets as many as in stock's order.

    >>> lengths = np.array([10, 70, 20, 80, 30, 60, 40, 50])
    >>> packed(np.arange(8), lengths, ranks=2, per_device=1, accumulation=4).reshape(-1, 2).T.tolist()
    [[3, 7, 6, 0], [1, 5, 4, 2]]
    """
    if ranks == 1:
        return rows

    batches = rows.reshape(-1, per_device)
    tokens = lengths[batches].sum(axis=1)
    size = ranks * accumulation
    places = [start + _level(tokens[start : start + size], ranks) for start in range(0, len(batches), size)]
    return batches[np.concatenate(places)].ravel() if places else rows


def _level(tokens: np.ndarray, ranks: int) -> np.ndarray:
    """Return the micro-batches of one global batch in the order to hand them out."""
    room = len(tokens) // ranks
    dealt: list[list[int]] = [[] for _ in range(ranks)]
    least = [(0, rank) for rank in range(ranks)]
    for place in np.argsort(-tokens, kind="stable").tolist():
        load, rank = heapq.heappop(least)
        dealt[rank].append(place)
        if len(dealt[rank]) < room:
            heapq.heappush(least, (load + int(tokens[place]), rank))

    return np.array(dealt).T.ravel()


def bins(lengths: Sequence[int], capacity: int, least: int = 1) -> list[list[int]]:
    """Return the places of rows in as few bins as first fit, longest first, needs; the fullest bin first.

    Full bins beside full bins, rather than all alike full: ranks that wait for each other at every pass then wait least.

    Args:
        lengths: tokens of each row.
        capacity: tokens of a bin; a longer row has one to itself.
        least: bins to return at least, the last ones empty if need be.

    >>> bins([5, 2, 6, 3], capacity=8)
    [[2, 1], [0, 3]]
    >>> bins([5], capacity=8, least=2)
    [[0], []]
    """
    found: list[list[int]] = []
    loads: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        at = next((at for at, load in enumerate(loads) if load + lengths[place] <= capacity), len(loads))
        if at == len(loads):
            found.append([])
            loads.append(0)

        found[at].append(place)
        loads[at] += lengths[place]

    found.sort(key=lambda places: -sum(lengths[place] for place in places))
    return found + [[] for _ in range(least - len(found))]


def packed_steps(
    rows: np.ndarray, lengths: np.ndarray, ranks: int, per_device: int, accumulation: int, capacity: int
) -> Iterator[list[list[np.ndarray]]]:
    """Yield, for each optimiser step, the rows of each rank's bins; every rank has equally many."""
    size = ranks * per_device * accumulation
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        dealt = [batch] if ranks == 1 else batch.reshape(-1, ranks, per_device).transpose(1, 0, 2).reshape(ranks, -1)
        tokens = [lengths[own].tolist() for own in dealt]
        most = max(len(bins(own, capacity)) for own in tokens)
        yield [
            [own[places] for places in bins(lengths_, capacity, most)]
            for own, lengths_ in zip(dealt, tokens, strict=True)
        ]


def packed_time(steps: Iterable[list[list[np.ndarray]]], costs: np.ndarray, each: bool) -> float:
    """Return what the bins of an epoch cost the busiest rank where ranks wait for each other, summed.

    Args:
        steps: from `packed_steps`.
        costs: of every row, by row number: tokens, operations.
        each: ranks wait at every forward pass (ZeRO-2, ZeRO-3, FSDP); otherwise once an optimiser step (DDP, ZeRO-1).
    """
    whole = 0.0
    for step in steps:
        work = np.array([[costs[rows].sum() for rows in own] for own in step])
        whole += work.max(axis=0).sum() if each else work.sum(axis=1).max()

    return float(whole)


def packed_use(steps: Sequence[list[list[np.ndarray]]], lengths: np.ndarray, each: bool) -> tuple[float, float]:
    """Return the slot use of the bins of an epoch, and the forward passes of a rank in an optimiser step; see `packed_time`.

    >>> lengths = np.array([10, 70, 20, 80, 30, 60, 40, 50])
    >>> packed_use(list(packed_steps(np.arange(8), lengths, 2, 1, 4, 80)), lengths, each=True)
    (0.6923076923076923, 4.0)
    """
    useful = sum(int(lengths[rows].sum()) for step in steps for own in step for rows in own)
    passes = float(np.mean([len(step[0]) for step in steps]))
    return useful / len(steps[0]) / packed_time(steps, lengths, each), passes


def epoch_order(
    kind: str,
    shuffled: np.ndarray,
    lengths: np.ndarray,
    ranks: int,
    per_device: int,
    accumulation: int,
    drop_last: bool = False,
) -> np.ndarray:
    """Return the rows of an epoch in one of ORDERS; see `epoch_rows`, `balanced`, `grouped`, `packed`."""
    rows = epoch_rows(shuffled, ranks, per_device, drop_last)
    if kind == "shuffle":
        return rows

    return {"balanced": balanced, "grouped": grouped, "packed": packed}[kind](
        rows, lengths, ranks, per_device, accumulation
    )


def stock_grouped(shuffled: np.ndarray, lengths: np.ndarray, per_device: int, accumulation: int) -> np.ndarray:
    """Return every row once in the order of the stock key `group_by_length: true`, before padding.

    Transformers 4.57.6, trainer_pt_utils.py, `get_length_grouped_indices`, with the batch size that `Trainer` gives it:
    rows a rank and optimiser step, whatever the number of ranks.
    """
    batch = per_device * accumulation
    mega = max(min(len(lengths) // (batch * 4), 50), 1) * batch
    starts = range(0, len(shuffled), mega)
    order = [part[np.argsort(-lengths[part], kind="stable")] for part in (shuffled[at : at + mega] for at in starts)]
    longest = int(np.argmax([lengths[part[0]] for part in order]))
    order[0][0], order[longest][0] = order[longest][0], order[0][0]
    return np.concatenate(order)


def slot_use(rows: np.ndarray, lengths: np.ndarray, ranks: int, per_device: int, accumulation: int = 1) -> float:
    """Return useful tokens / slots of an epoch, where a slot is a token's time on one rank, padding and waiting included.

    Args:
        rows: the order of an epoch, padding rows included; they count as useful.
        lengths: tokens of every row, by row number.
        ranks: number of training processes.
        per_device: rows of a micro-batch.
        accumulation: 1 = ranks wait for each other at every micro-step (ZeRO-2, ZeRO-3, FSDP); the micro-steps
            of a global batch = they wait once an optimiser step (DDP, ZeRO-1).

    >>> slot_use(np.arange(4), np.array([10, 30, 20, 20]), ranks=2, per_device=1)
    0.8
    """
    starts = np.arange(0, len(rows), per_device)
    slots = np.maximum.reduceat(lengths[rows], starts) * np.diff(starts, append=len(rows))
    meeting = np.zeros(-(-len(slots) // (ranks * accumulation)) * ranks * accumulation, dtype=np.int64)
    meeting[: len(slots)] = slots
    waited = meeting.reshape(-1, accumulation, ranks).sum(axis=1).max(axis=1).sum() * ranks
    return float(lengths[rows].sum() / waited)
