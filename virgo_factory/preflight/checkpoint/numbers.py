"""What is wrong with the numbers of a model, by what was seen of each tensor: NaN, zeros where training leaves none, scale.

What random models have as well is no fault: norms of ones, biases of zeros.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from virgo_factory.preflight.checkpoint.look import Model, Numbers
from virgo_factory.preflight.checkpoint.weights import LAYER, VOCABULARY, Tensor, read_rows
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.twin.small_config import spread


TOO_LARGE = 1e4
"""No weight of a published Qwen2-VL comes near: magnitudes beyond it overflow within a few layers."""
OVERFLOWING = 1e19
"""Its square is beyond float32: a norm behind it gives zeros or NaN."""
OTHER_SCALE = 1e3
"""Times the largest of the base's tensor, or of the same tensor in other layers, that no training reaches."""

OUT_OF_LINE = 20.0
"""Times the typical number of the same tensor in other layers, the next ones among them, that no layer of a model reaches
in training: at random they are alike, and in published models norms differ by as much over the whole depth at the most."""

_NORM = re.compile(r"(?:norm\d*|ln_q)\.weight$")
_MOST = 6
_WIDE = 16
_LAYERS = 4
"""Of a stack, from which on one can be told from the others."""
_SAMPLE = 64
_FEW = 8
_DAMAGED = "copy the folder again; if it stays, take an earlier checkpoint: training diverged, or saving was cut off"
_NOT_GATHERED = "copy the folder again; if it stays, save or merge again: a part of the model was not gathered"


def judge_numbers(model: Model) -> Iterator[Diagnosis]:
    """Yield what is wrong with the numbers of a model, or that nothing is."""
    looks = (_not_finite, _all_alike, _tokens_without_numbers, _lines_of_zeros, _scale, _out_of_line)
    found = [item for look in looks for item in look(model)]
    yield from found
    if not found:
        what = f"{sum(tensor.count for tensor in model.tensors.values()):,} in {len(model.tensors)} tensors"
        yield Diagnosis("numbers", "ok", f"{what}: finite, of one scale, no line and no token all zero")


def _not_finite(model: Model) -> Iterator[Diagnosis]:
    for words, has_nan in (("NaN", True), ("Inf", False)):
        bad = {name: seen for name, seen in model.numbers.items() if seen.not_finite and seen.has_nan is has_nan}
        names = [name for name in bad if not VOCABULARY.search(name)]
        if names:
            where = _rows(bad[names[0]].not_finite, bad[names[0]].rows, {}) if len(names) == 1 else ""
            yield Diagnosis("numbers", "error", f"{words} in {listed(names)}{where}", _DAMAGED)

        for name in (name for name in bad if name not in names):
            where = _rows(bad[name].not_finite, bad[name].rows, model.tokens)
            yield Diagnosis("numbers", "error", f"{words} in {name}{where}", _DAMAGED)


def _all_alike(model: Model) -> Iterator[Diagnosis]:
    """Yield tensors whose numbers are all the same: no matrix of a trained model is so, nor a norm that is zero."""
    tensors, numbers, is_ours = model.tensors, model.numbers, model.is_ours
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
    lost = set(zero)
    return [name for names in _stacks(numbers).values() if sum(name in lost for name in names) < len(names) / 2 for name in names
            if name in lost and not _in_a_layer_of(name, dead)]  # fmt: skip


def _stacks(names: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Return the tensors that stand at the same place in each layer of a stack."""
    stacks: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        if match := LAYER.match(name):
            stacks.setdefault(_place_in_stack(match), []).append(name)

    return stacks


def _place_in_stack(match: re.Match[str]) -> tuple[str, ...]:
    return match[1] or "", match[2], match[4]


def _in_a_layer_of(name: str, others: Collection[str]) -> bool:
    match = LAYER.match(name)
    return match is not None and any(other.startswith(name[: match.start(4)]) for other in others)


def _tokens_without_numbers(model: Model) -> Iterator[Diagnosis]:
    """Yield tokens in use whose embedding, or whose row of the head, is all zero."""
    tokens, may_lack = model.tokens, () if model.is_ours else model.added
    for name, seen in model.numbers.items():
        if not VOCABULARY.search(name) or len(seen.zero) == seen.rows:
            continue

        used = [row for row in seen.zero if row in tokens]
        for severity, rows in (
            ("error", [row for row in used if row not in may_lack]),
            ("warning", [row for row in used if row in may_lack]),
        ):
            if rows:
                what = f"{name}: zero for {len(rows)} of {len(tokens):,} tokens in use{_rows(rows, 0, tokens)}"
                remedy = "initialise these rows before training (marker_tokens: true does for the markers)"
                yield Diagnosis("numbers", severity, what, f"{remedy}, or copy the folder again if the base has them")


def _lines_of_zeros(model: Model) -> Iterator[Diagnosis]:
    """Yield matrices with rows or columns of zeros: certain where the base has numbers there, or where it is half of them."""
    for word in ("row", "column"):
        lost, doubtful = [], []
        for name, seen in model.numbers.items():
            tensor, (zero, of) = model.tensors[name], _zeros(word, name, model)
            is_table = word == "row" and VOCABULARY.search(name)
            if not 0 < len(zero) < of or min(tensor.rows, tensor.width) < _WIDE or is_table:
                continue

            other = _same_shape(model, name)
            if other is None:
                (lost if len(zero) >= of / 2 else doubtful).append(name)
            elif seen.same is False and _has_numbers(other, word, zero[:: max(1, len(zero) // _SAMPLE)]):
                lost.append(name)

        for severity, names in (("error", lost), ("warning", doubtful)):
            if names:
                where = _rows(*_zeros(word, names[0], model), {}, word)
                yield Diagnosis("numbers", severity, f"{word}s of zeros: {listed(names)}{where}", _NOT_GATHERED)


def _zeros(word: str, name: str, model: Model) -> tuple[list[int], int]:
    seen = model.numbers[name]
    return (seen.zero, seen.rows) if word == "row" else (seen.zero_columns, model.tensors[name].width)


def _same_shape(model: Model, name: str) -> Tensor | None:
    other = model.before.get(name) if model.before else None
    return other if other is not None and other.shape == model.tensors[name].shape else None


def _has_numbers(tensor: Tensor, word: str, lines: Sequence[int]) -> bool:
    """Whether one of some rows, or of some columns within a few rows, is not all zero."""
    if word == "row":
        return bool(read_rows(tensor, lines).any())

    return bool(read_rows(tensor, spread(tensor.rows, _SAMPLE))[:, lines].any())


def _scale(model: Model) -> Iterator[Diagnosis]:
    """Yield tensors whose largest number is of another scale than the base's, or than in other layers."""
    numbers = model.numbers
    stacks = _stacks(numbers)
    other_scale: dict[str, list[str]] = {}
    for name, seen in numbers.items():
        tensor, other = model.tensors[name], _same_shape(model, name)
        if not seen.largest or seen.same or tensor.kind.startswith("F8"):
            continue

        if other is not None and not other.kind.startswith("F8"):
            usual, whose = _largest_of(other, seen.largest_row), "in the base"
        else:
            match = LAYER.match(name) if len(tensor.shape) > 1 else None  # biases differ by as much between layers
            like = stacks[_place_in_stack(match)] if match else []
            usual, whose = float(np.median([numbers[one].largest for one in like or [name]])), "in most layers"

        ratio = seen.largest / usual if usual else 1.0
        if ratio > OTHER_SCALE and seen.largest > 1 or ratio < 1 / OTHER_SCALE and usual > 1 / OTHER_SCALE:
            other_scale.setdefault(f"as large as {seen.largest:.3g}, {usual:.3g} {whose}", []).append(name)

    for what, names in other_scale.items():
        yield Diagnosis("numbers", "error", f"{what}: {listed(names)}", _DAMAGED)

    told = {name for names in other_scale.values() for name in names}
    for severity, least, most in (("error", OVERFLOWING, np.inf), ("warning", TOO_LARGE, OVERFLOWING)):
        names = [name for name, seen in numbers.items() if least < seen.largest <= most and name not in told]
        if names:
            largest = max(numbers[name].largest for name in names)
            yield Diagnosis("numbers", severity, f"as large as {largest:.3g}: {listed(names)}", _DAMAGED)


def _out_of_line(model: Model) -> Iterator[Diagnosis]:
    """Yield matrices and norms whose typical number is of another scale than in most layers and in both next to them.

    A base says more of a tensor than other layers do (`_scale`, change.py).
    """
    large, small, numbers = {}, {}, model.numbers
    for names in _stacks(numbers).values():
        sizes = np.array([numbers[name].typical for name in names])
        if len(names) < _LAYERS or not (sizes > 0).all():
            continue

        for at, name in enumerate(names):
            is_judged = len(model.tensors[name].shape) > 1 or _NORM.search(name)
            if not is_judged or numbers[name].same or _same_shape(model, name):
                continue

            like = [float(np.median(sizes)), *sizes[max(0, at - 1) : at], *sizes[at + 1 : at + 2]]
            ratio = sizes[at] / like[0]
            if not 1 / OTHER_SCALE <= ratio <= OTHER_SCALE:  # `_scale` tells of it
                continue

            if sizes[at] > OUT_OF_LINE * max(like):
                large[name] = ratio
            elif sizes[at] * OUT_OF_LINE < min(like):
                small[name] = ratio

    for found, severity in ((large, "error"), (small, "warning")):
        certain = [name for name in found if not _NORM.search(name)]
        for names, grade in ((certain, severity), ([name for name in found if name not in certain], "warning")):
            if names:
                what = f"{found[names[0]]:.2g} times as large as in other layers: {listed(names)}"
                yield Diagnosis("numbers", grade, what, _DAMAGED)


def _largest_of(tensor: Tensor, row: int) -> float:
    """Return the largest magnitude in a row of a tensor and in a few others; a vector is one row."""
    taken = np.abs(read_rows(tensor, [row, *spread(tensor.rows, _FEW)]))
    return float(taken[np.isfinite(taken)].max(initial=0))


def _rows(rows: Sequence[int], of: int, tokens: Mapping[int, str], word: str = "row") -> str:
    """Return which rows, with their tokens where they have some; "" where it is all of them."""
    if len(rows) == of:
        return ""

    told = [f"{row} {tokens[row]!r}" if row in tokens else str(row) for row in rows[:_MOST]] if tokens else []
    which = ", ".join(told) + (f" and {len(rows) - _MOST:,} more" if len(rows) > _MOST else "")
    return f" ({word} {which if tokens else spans(rows)}{f' of {of:,}' if of else ''})"


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
