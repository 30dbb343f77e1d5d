"""What makes a run fit a GPU: the ways to shard it, the largest cutoff_len, and the cheapest changes to its recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from virgo_factory.preflight.plan.memory import Method, Shape, step_memory
from virgo_factory.preflight.zero import Zero


MOST_GPUS = 4096
SHARDED = Zero(stage=3)
OFFLOADED = Zero(stage=3, offload_optimizer=True, offload_weights=True)


@dataclass(frozen=True)
class Way:
    """One way to shard, with the bytes of a GPU at the longest micro-batch and the largest cutoff_len that fits."""

    name: str
    peak: float
    host: float
    cutoff: int | None


@dataclass(frozen=True)
class Change:
    """One change to the recipe, on top of the free ones before it, and what it gives."""

    what: str
    peak: float
    fits: bool
    price: str


def largest_cutoff(shape: Shape, method: Method, capacity: float, image_tokens: int = 0) -> int | None:
    """Return the largest cutoff_len, a multiple of 64, whose longest micro-batch fits; None: not even 64 tokens."""
    low, high = 0, 2**14  # in 64 tokens: 1,048,576
    while low < high:
        middle = (low + high + 1) // 2
        if step_memory(shape, method, 64 * middle, image_tokens).peak <= capacity:
            low = middle
        else:
            high = middle - 1

    return 64 * low or None


def ways(shape: Shape, method: Method, capacity: float, tokens: int, image_tokens: int) -> list[Way]:
    """Return what each way to shard needs, with everything else as the recipe has it."""
    kinds = {"DDP": None, "ZeRO-2": Zero(stage=2), "ZeRO-3": SHARDED, "ZeRO-3, offload": OFFLOADED}
    found = []
    for name, zero in kinds.items():
        way = replace(method, zero=zero)
        memory = step_memory(shape, way, tokens, image_tokens)
        found.append(Way(name, memory.peak, memory.host, largest_cutoff(shape, way, capacity, image_tokens)))

    return found


def changes(
    shape: Shape, method: Method, capacity: float, lengths: np.ndarray, images: int, recipe: Mapping[str, Any]
) -> list[Change]:
    """Return the changes that make a run fit, the cheapest first: free ones one upon the other, then one of the others."""
    longest = int(lengths.max())
    found: list[Change] = []

    def peak(method: Method, tokens: int = longest) -> float:
        return step_memory(shape, method, tokens, images).peak

    def add(what: str, method: Method, price: str, tokens: int = longest) -> bool:
        needed = peak(method, tokens)
        found.append(Change(what, needed, needed <= capacity, price))
        return needed <= capacity

    if peak(method) <= capacity:
        return []

    free = []
    if not (method.fused_loss or method.chunked_loss) and recipe.get("stage", "sft") in ("sft", "pt"):
        free.append(("enable_liger_kernel: true (fused loss)", {"fused_loss": True}, "nothing"))

    if not method.flash:
        free.append(("flash_attn: fa2", {"flash": True}, "nothing"))

    if method.per_device > 1:
        price = "nothing: accumulation keeps the global batch"
        free.append(("per_device_train_batch_size: 1", {"per_device": 1}, price))

    if not method.checkpointing:
        free.append(("disable_gradient_checkpointing: false", {"checkpointing": True}, "a third more time"))

    for what, values, price in free:
        changed = replace(method, **values)
        if peak(changed) > 0.99 * peak(method):  # it costs nothing, and gives nothing here
            continue

        method = changed
        if add(what, method, price):
            return found

    cutoff = largest_cutoff(shape, method, capacity, images)
    if cutoff and cutoff < longest:
        lost = int((lengths > cutoff).sum())
        told = f"{lost:,} of {len(lengths):,} rows ({lost / len(lengths):.1%})"
        add(f"cutoff_len: {cutoff}", method, told, cutoff)

    if method.stage == 3 and not (method.pairs or method.share > 1):
        for size in (2, 4, 8):
            shared = replace(method, share=size, per_device=1, chunked_loss=True, flash=True)
            divides = not (method.ranks % size or shape.heads % size or shape.kv_heads % size)
            if divides and peak(shared) <= capacity:
                add(f"batch_order: packed, sequence_parallel_size: {size}", shared, f"{size} GPUs a row")
                break

    if method.stage < 3:
        add("deepspeed: recipes/deepspeed/ds_z3.json", replace(method, zero=SHARDED), "weights are gathered each time")

    offloaded = replace(method, zero=OFFLOADED)
    if not (method.zero and method.zero.offload_weights):
        host = step_memory(shape, offloaded, longest, images).host
        price = f"{host / 1e9:,.0f} GB of the node's memory a GPU; a slower optimiser step"
        add("deepspeed: recipes/deepspeed/ds_z3_offload.json", offloaded, price)

    sharded = method if method.stage >= 2 else replace(method, zero=SHARDED)
    for name, base in (("", sharded), (" and offload", offloaded)):
        gpus = method.ranks * 2
        while gpus <= MOST_GPUS and peak(replace(base, ranks=gpus)) > capacity:
            gpus *= 2

        if gpus <= MOST_GPUS:
            how = name or ("" if method.stage >= 2 else " with ZeRO-3")
            add(f"{gpus} GPUs{how}", replace(base, ranks=gpus), f"{gpus // method.ranks} times the GPUs")
            break

    return found
