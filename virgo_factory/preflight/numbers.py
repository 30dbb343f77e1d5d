"""What is wrong with the numbers of a model, by what was seen of each tensor: NaN, zeros where training leaves none, copies.

What random models have as well is no fault: norms of ones, biases of zeros.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.weights import LAYER, Numbers, Tensor, read_rows


VOCABULARY = re.compile(r"(?:embed_tokens|lm_head|wte|word_embeddings)(?:\.\w+)?\.weight$")
"""Tensors with a row for each token id."""
TOO_LARGE = 1e4
"""No weight of a published Qwen2-VL comes near: magnitudes beyond it overflow within a few layers."""

_NORM = re.compile(r"(?:norm\d*|ln_q)\.weight$")
_MOST = 6
_WIDE = 16
_DAMAGED = "copy the folder again; if it stays, take an earlier checkpoint: training diverged, or saving was cut off"
_NOT_GATHERED = "copy the folder again; if it stays, save or merge again: a part of the model was not gathered"


def judge_numbers(
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, Numbers],
    tokens: Mapping[int, str],
    added: Collection[int] = (),
    before: Mapping[str, Tensor] | None = None,
    is_ours: bool = True,
) -> Iterator[Diagnosis]:
    """Yield what is wrong with the numbers of a model, or that nothing is.

    Args:
        tensors: of the checkpoint.
        numbers: what was seen of each.
        tokens: id -> text, of the ids in use.
        added: ids that other families may leave without a row: entries that are added or reserved.
        before: tensors of the base.
        is_ours: whether the family is one whose norms and added tokens are known here.
    """
    found = [
        *_not_finite(numbers, tokens),
        *_all_alike(tensors, numbers, is_ours),
        *_tokens_without_numbers(tensors, numbers, tokens, () if is_ours else added),
        *_rows_of_zeros(tensors, numbers, before),
        *_too_large(numbers),
        *_layers_twice(tensors, numbers),
    ]
    yield from found
    if not found:
        count = sum(tensor.count for tensor in tensors.values())
        yield Diagnosis(
            "numbers", "ok", f"{count:,} in {len(tensors)} tensors: finite, no matrix and no token all zero"
        )


def _not_finite(numbers: Mapping[str, Numbers], tokens: Mapping[int, str]) -> Iterator[Diagnosis]:
    for words, has_nan in (("NaN", True), ("Inf", False)):
        bad = {name: seen for name, seen in numbers.items() if seen.not_finite and seen.has_nan is has_nan}
        names = [name for name in bad if not VOCABULARY.search(name)]
        if names:
            where = _rows(bad[names[0]].not_finite, bad[names[0]].rows, {}) if len(names) == 1 else ""
            yield Diagnosis("numbers", "error", f"{words} in {listed(names)}{where}", _DAMAGED)

        for name in (name for name in bad if name not in names):
            where = _rows(bad[name].not_finite, bad[name].rows, tokens)
            yield Diagnosis("numbers", "error", f"{words} in {name}{where}", _DAMAGED)


def _all_alike(tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], is_ours: bool) -> Iterator[Diagnosis]:
    """Yield tensors whose numbers are all the same: no matrix of a trained model is so, nor a norm that is zero."""
    zero = [name for name, seen in numbers.items() if seen.rows and len(seen.zero) == seen.rows]
    dead = [name for name in zero
            if len(tensors[name].shape) > 1 and not name.endswith("bias") or is_ours and _NORM.search(name)]  # fmt: skip
    for severity, chosen in _by_severity(dead, numbers, is_ours):
        yield Diagnosis("numbers", severity, f"all zero: {listed(chosen)}", _NOT_GATHERED)

    flat = [name for name, seen in numbers.items()
            if seen.constant and not seen.not_finite and len(tensors[name].shape) > 1 and tensors[name].count >= _WIDE]  # fmt: skip
    for severity, chosen in _by_severity(flat, numbers, is_ours):
        values = f"every number {numbers[chosen[0]].constant:g}"
        yield Diagnosis("numbers", severity, f"{values}: {listed(chosen)}", _NOT_GATHERED)

    lost = _unlike_other_layers([name for name in zero if name not in dead], numbers, dead)
    if lost:
        what = f"all zero, though not so in other layers: {listed(lost)}"
        yield Diagnosis("numbers", "warning", what, _NOT_GATHERED)


def _by_severity(
    names: Sequence[str], numbers: Mapping[str, Numbers], is_ours: bool
) -> Iterator[tuple[str, list[str]]]:
    """Yield names by how bad they are: what another family's base has as well may belong there."""
    for severity, is_known in (("error", False), ("warning", True)):
        chosen = [name for name in names if (not is_ours and numbers[name].same is True) is is_known]
        if chosen:
            yield severity, chosen


def _unlike_other_layers(zero: Sequence[str], numbers: Mapping[str, Numbers], dead: Collection[str]) -> list[str]:
    """Return vectors of zeros whose like is not zero in most other layers."""
    stacks: dict[tuple[str, ...], list[str]] = {}
    for name in numbers:
        if match := LAYER.match(name):
            stacks.setdefault((match[1] or "", match[2], match[4]), []).append(name)

    lost = set(zero)
    return [name for names in stacks.values() if sum(name in lost for name in names) < len(names) / 2 for name in names
            if name in lost and not _in_a_layer_of(name, dead)]  # fmt: skip


def _in_a_layer_of(name: str, others: Collection[str]) -> bool:
    match = LAYER.match(name)
    return match is not None and any(other.startswith(name[: match.start(4)]) for other in others)


def _tokens_without_numbers(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], tokens: Mapping[int, str], may_lack: Collection[int]
) -> Iterator[Diagnosis]:
    """Yield tokens in use whose embedding, or whose row of the head, is all zero."""
    for name, seen in numbers.items():
        if not VOCABULARY.search(name) or len(seen.zero) == seen.rows:
            continue

        used = [row for row in seen.zero if row in tokens]
        for severity, rows in (
            ("error", [row for row in used if row not in may_lack]),
            ("warning", [row for row in used if row in may_lack]),
        ):
            if rows:
                what = f"{name}: zero for {len(rows)} of {len(tokens):,} tokens in use{_rows(rows, 0, tokens)}"
                remedy = (
                    "initialise these rows before training (marker_tokens: true does for the markers), or copy the "
                )
                yield Diagnosis("numbers", severity, what, remedy + "folder again if the base has them")


def _rows_of_zeros(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], before: Mapping[str, Tensor] | None
) -> Iterator[Diagnosis]:
    """Yield matrices with rows of zeros: certain where the base has numbers there, or where it is half of them."""
    lost, doubtful = [], []
    for name, seen in numbers.items():
        tensor, share = tensors[name], len(seen.zero) / max(1, seen.rows)
        if not 0 < share < 1 or VOCABULARY.search(name) or len(tensor.shape) < 2 or tensor.width < _WIDE:
            continue

        other = before.get(name) if before else None
        if other is None or other.shape != tensor.shape:
            (lost if share >= 0.5 else doubtful).append(name)
        elif seen.same is False:
            sample = seen.zero[:: max(1, len(seen.zero) // 64)]
            if read_rows(other, sample).any(axis=1).all():
                lost.append(name)

    for severity, names in (("error", lost), ("warning", doubtful)):
        if names:
            rows = _rows(numbers[names[0]].zero, numbers[names[0]].rows, {})
            yield Diagnosis("numbers", severity, f"rows of zeros: {listed(names)}{rows}", _NOT_GATHERED)


def _too_large(numbers: Mapping[str, Numbers]) -> Iterator[Diagnosis]:
    names = [name for name, seen in numbers.items() if seen.largest > TOO_LARGE]
    if names:
        largest = max(numbers[name].largest for name in names)
        yield Diagnosis("numbers", "warning", f"as large as {largest:.3g}: {listed(names)}", _DAMAGED)


def _layers_twice(tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers]) -> Iterator[Diagnosis]:
    """Yield stacks in which a layer is another one's copy, by a few rows of every matrix."""
    stacks: dict[str, dict[int, list[tuple[str, Tensor]]]] = {}
    for name, tensor in tensors.items():
        match = LAYER.match(name)
        if match and len(tensor.shape) > 1 and numbers[name].constant is None and not numbers[name].not_finite:
            stack = stacks.setdefault(f"{match[1] or ''}{match[2]}", {})
            stack.setdefault(int(match[3]), []).append((match[4], tensor))

    for stack, layers in stacks.items():
        alike: dict[tuple, list[int]] = {}
        for layer, parts in sorted(layers.items()):
            alike.setdefault(tuple(_glance(suffix, tensor) for suffix, tensor in sorted(parts)), []).append(layer)

        for copies in alike.values():
            if len(copies) > 1:
                what = f"{stack}: layers {spans(copies)} are one another's copies"
                yield Diagnosis(
                    "numbers", "warning", what, "look how the model was made or merged; training ends this"
                )


def _glance(suffix: str, tensor: Tensor) -> tuple:
    with tensor.file.open("rb", buffering=0) as source:
        taken = []
        for place in (0, (tensor.end - tensor.start) // 2, max(0, tensor.end - tensor.start - 1024)):
            source.seek(tensor.start + place)
            taken.append(source.read(min(1024, tensor.end - tensor.start)))

    return suffix, tensor.kind, tensor.shape, *taken


def _rows(rows: Sequence[int], of: int, tokens: Mapping[int, str]) -> str:
    """Return which rows, with their tokens where they have some; "" where it is all of them."""
    if len(rows) == of:
        return ""

    told = [f"{row} {tokens[row]!r}" if row in tokens else str(row) for row in rows[:_MOST]] if tokens else []
    which = ", ".join(told) + (f" and {len(rows) - _MOST:,} more" if len(rows) > _MOST else "")
    return f" (row {which if tokens else spans(rows)}{f' of {of:,}' if of else ''})"


def spans(numbers: Sequence[int]) -> str:
    """Return numbers in words.

    >>> spans([1, 2, 3, 7, 9, 10])
    '1-3, 7, 9-10'
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])

    told = [f"{first}-{last}" if first < last else f"{first}" for first, last in spans[:_MOST]]
    return ", ".join(told) + (f" and {len(spans) - _MOST:,} more" if len(spans) > _MOST else "")


def listed(names: Sequence[str]) -> str:
    """Return a few names, those of different layers first, and how many there are.

    >>> listed([f"model.layers.{layer}.mlp.up_proj.weight" for layer in (4, 5)])
    'model.layers.4.mlp.up_proj.weight, model.layers.5.mlp.up_proj.weight'
    """
    seen: dict[str, int] = {}
    turns = []
    for name in names:
        match = LAYER.match(name)
        layer = name[: match.start(4)] if match else ""
        seen[layer] = seen.get(layer, 0) + 1
        turns.append((seen[layer], len(turns), name))

    shown = [name for _, _, name in sorted(turns)[:_MOST]]
    return ", ".join(shown) + (f" and {len(names) - _MOST:,} more" if len(names) > _MOST else "")
