"""Which rows meet in a batch, and how much of the ranks' time that costs: the order of an epoch. Pure, numpy only.

Words: a micro-batch is the rows that one rank takes in one forward pass; a micro-step is one micro-batch a rank; a
global batch is the micro-steps of one optimiser step. An order is the row numbers of one epoch as the stock sampler
deals them out: micro-batch after micro-batch, one to each rank in turn (accelerate 1.11.0, `BatchSamplerShard`).

Micro-batches are handed out for both ways in which ranks wait for each other at once. Under ZeRO-2, ZeRO-3 and FSDP
they meet at every micro-step: micro-batches of like length go into one micro-step, and sorting makes the sum of the
micro-steps' longest as small as it can be. Under DDP and ZeRO-1 they meet once an optimiser step, so the ranks' sums
must be alike: which rank takes which micro-batch of a micro-step is still free, and the longest goes to the rank that
has had least so far.
"""

import numpy as np


ORDERS = ("shuffle", "balanced", "grouped")

JITTER = 0.02
"""`grouped` sorts by lengths made longer by up to this share at random, so that each epoch other rows meet."""


def epoch_rows(shuffled: np.ndarray, ranks: int, per_device: int, drop_last: bool = False) -> np.ndarray:
    """Return the rows of an epoch in stock order, those that pad its last micro-step included.

    With several ranks accelerate repeats the epoch's first rows until every rank has a whole last micro-batch
    (`even_batches`). With one rank the last micro-batch is shorter instead; with `drop_last` it is left out.

    Args:
        shuffled: every row once, in the order of the stock sampler.
        ranks: number of training processes.
        per_device: rows of a micro-batch.
        drop_last: `dataloader_drop_last`.

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

    Args:
        rows: the order of an epoch, from `epoch_rows`.
        lengths: tokens of every row, by row number.
        ranks: number of training processes.
        per_device: rows of a micro-batch.
        accumulation: micro-steps of a global batch.

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

    Args:
        rows: the order of an epoch, from `epoch_rows`.
        lengths: tokens of every row, by row number.
        ranks: number of training processes.
        per_device: rows of a micro-batch.
        accumulation: micro-steps of a global batch.

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


def epoch_order(
    kind: str,
    shuffled: np.ndarray,
    lengths: np.ndarray,
    ranks: int,
    per_device: int,
    accumulation: int,
    drop_last: bool = False,
) -> np.ndarray:
    """Return the rows of an epoch in one of ORDERS; see `epoch_rows`, `balanced` and `grouped`."""
    rows = epoch_rows(shuffled, ranks, per_device, drop_last)
    if kind == "shuffle":
        return rows

    return {"balanced": balanced, "grouped": grouped}[kind](rows, lengths, ranks, per_device, accumulation)


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
