"""How long training computes: floating-point operations of a row, and of an epoch with the waiting of ranks in it.

A multiplication and an addition are two operations. Counted: the linear layers of the language model and lm_head, the
causal half of attention (it grows with the square of the length), the backward pass (twice a forward pass; once where
weights are frozen), the forward pass that checkpointing repeats, the vision tower's and the connector's linear layers.
Not counted: norms, attention inside the tower, communication, the data loader, saving.
"""

import numpy as np

from virgo_factory.preflight.plan.memory import Method, Shape, adapter_parameters, count_parameters


def row_operations(shape: Shape, method: Method, tokens: np.ndarray, image_tokens: float = 0.0) -> np.ndarray:
    """Return the operations of a sequence of each length, forward, backward and repeated.

    Lengths include padding; of a pair both sequences are counted; `image_tokens` are those of a row on average.
    """
    tokens = np.asarray(tokens, dtype=np.float64)
    counts = count_parameters(shape)
    head = shape.vocabulary * shape.hidden
    layers = counts["language_model"] - head * (1 if shape.tied else 2)
    again = 1 if method.checkpointing else 0
    weights = 1 if method.language and not method.lora else 0  # gradients of the weights, beside those of the inputs
    adapters = adapter_parameters(shape, method.lora) if method.lora else 0
    reference = 1 if method.reference or (method.pairs and method.lora) else 0
    linear = 2 * (
        layers * (2 + weights + again + reference) + head * (2 + weights + reference) + adapters * (3 + again)
    )
    attention = 2 * shape.query_width * shape.layers * (3 + again + reference)
    merge = shape.vision.merge**2
    tower = 2 * counts["vision_tower"] * merge * (3 if method.tower else 1)
    connector = 2 * counts["connector"] * (3 if method.connector and not method.lora else 1)
    sequence = linear * tokens + attention * tokens**2 + (tower + connector) * image_tokens
    return sequence * (2 if method.pairs else 1)


def epoch_operations(rows: np.ndarray, costs: np.ndarray, method: Method, accumulation: int) -> float:
    """Return the operations that one GPU has time for in an epoch: those of the busiest rank where ranks meet, summed.

    `rows` is the order of an epoch, padding rows included (`batch_order.epoch_order`); all rows of a micro-batch cost
    what its longest does. Under ZeRO-2 and 3 ranks meet at every micro-step, else once an optimiser step.
    """
    starts = np.arange(0, len(rows), method.per_device)
    work = np.maximum.reduceat(costs[rows], starts) * np.diff(starts, append=len(rows))
    meets = 1 if method.stage >= 2 else accumulation
    padded = np.zeros(-(-len(work) // (method.ranks * meets)) * method.ranks * meets)
    padded[: len(work)] = work
    return float(padded.reshape(-1, meets, method.ranks).sum(axis=1).max(axis=1).sum())


def moved_bytes(parameters: int, method: Method) -> float:
    """Return the bytes that one GPU receives in a micro-step: ZeRO-3 gathers the weights twice and reduces gradients."""
    return 3 * 2 * parameters * (method.ranks - 1) / method.ranks if method.stage == 3 else 0.0
