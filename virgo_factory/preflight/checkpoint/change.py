"""Whether what training made of each tensor is plausible, beside the base and beside the other tensors that it changed.

Of a few ten thousand numbers of a tensor it is asked how much of the base is left in them, <now, base> / <base, base>, and how
large the rest is, as a share of the base. However long a training is, and whatever its learning rate, nearly all of the base is
left in every tensor (twins trained with rates of up to 0.01: 0.7 to 1.05, while the rest grew to six times the base). In a layer
that was redrawn, or that stands in another one's place, nothing is left; in one that was added twice, double.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from virgo_factory.preflight.checkpoint.look import Model, Numbers
from virgo_factory.preflight.checkpoint.numbers import listed
from virgo_factory.preflight.checkpoint.weights import KINDS, LAYER, Tensor, as_floats, fill, store_of
from virgo_factory.preflight.diagnosis import Diagnosis


_SAMPLE, _PARTS = 1 << 16, 64
"""Numbers of a tensor that are looked at, in so many places."""
_KEPT = 1 << 12
"""Of these the numbers that stay, to be compared with all other tensors': by chance their cosine is below 0.1."""
_CERTAIN, _DOUBTFUL = 0.5, 0.25
"""By how much the share of the base that is left may differ from the others'."""
_OUTLIER = 10
"""Times what is usual among the others."""
_FEWEST = 3
"""Others, without which nothing is certain."""
_SAME = 0.9
"""Cosine of a tensor with the one of the base that it is."""
_REMEDY = "copy the folder again; if it stays, save or merge again, or name the base that the training began from"


@dataclass(frozen=True)
class Change:
    """What became of a tensor of the base."""

    left: float  # how much of the base is in it: 1 is all
    rest: float  # size of all else, as a share of the base's
    now: np.ndarray  # some of its numbers, of length 1
    was: np.ndarray  # the base's at the same places, of length 1
    chance: float  # what `left` may be off by, as few numbers were looked at


def judge_changes(model: Model) -> Iterator[Diagnosis]:
    """Yield tensors that differ from the base as no training makes them differ, or that there are none."""
    tensors, numbers, before = model.tensors, model.numbers, model.before or {}
    looked_at = _look(tensors, numbers, before)
    changes = {name: change for name, change in looked_at.items() if not numbers[name].same}
    moved = {name: source for name, change in changes.items()
             if change.left < _CERTAIN and (source := _source(name, looked_at, tensors, before))}  # fmt: skip
    found: dict[tuple[str, str], list[str]] = {}
    figures: dict[tuple[str, str], str] = {}
    for name, source in moved.items():
        found.setdefault(("error", f"the numbers of the base's {source}"), []).append(name)

    stayed = {name: change for name, change in changes.items() if name not in moved}
    for name, others in _beside(tensors, stayed).items():
        change = stayed[name]
        usual, rest = (float(np.median([getattr(other, key) for other in others] or [default]))
                       for key, default in (("left", 1), ("rest", 0)))  # fmt: skip
        is_of_base = usual > _CERTAIN
        usual = usual if is_of_base else 1.0
        off = abs(change.left - usual)
        strays = float(np.median([abs(other.left - usual) for other in others] or [0]))
        is_swollen = len(tensors[name].shape) > 1 and others and change.rest > max(1.0, _OUTLIER * rest)
        if off <= max(_DOUBTFUL, _OUTLIER * strays * is_of_base, change.chance) and not is_swollen:
            continue

        is_certain = is_of_base and len(others) >= _FEWEST and (is_swollen or off > _CERTAIN)
        is_multiple = change.rest <= max(0.1, 1.5 * rest) * abs(change.left)
        key = (
            "error" if is_certain else "warning",
            f"{change.left:.2g} times the base's" if is_multiple else "unlike the base",
        )
        found.setdefault(key, []).append(name)
        figures.setdefault(key, "" if is_multiple else
                           f" ({change.left:.2f} of it left and {change.rest:.2g} times its size added, "
                           f"usual are {usual:.2f} and {rest:.2g})")  # fmt: skip

    for key, names in found.items():
        yield Diagnosis("changes", key[0], f"{key[1]}{figures.get(key, '')}: {listed(names)}", _REMEDY)

    if changes and not found:
        sizes = {name: float(np.hypot(change.left - 1, change.rest)) for name, change in changes.items()}
        most = max(sizes, key=sizes.__getitem__)
        usual = float(np.median(list(sizes.values())))
        yield Diagnosis(
            "changes", "ok", f"tensors changed by {usual:.2g} of their size, {most} most: by {sizes[most]:.2g}"
        )


def _look(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], before: Mapping[str, Tensor]
) -> dict[str, Change]:
    """Return what became of each tensor of the base; NaN, zeros and other shapes are told elsewhere."""

    def look(name: str) -> Change | None:
        tensor, other = tensors[name], before[name]
        count = min(tensor.count, other.count)  # a vocabulary grows
        now, was = _sample(tensor, count), _sample(other, count)
        length, base = float(np.linalg.norm(now)), float(np.linalg.norm(was))
        if not (0 < length < np.inf and 0 < base < np.inf):
            return None

        left = float(now @ was) / base**2
        kept = slice(None, None, max(1, len(now) // _KEPT))
        short = [
            (part / max(float(np.linalg.norm(part)), 1e-300)).astype(np.float32) for part in (now[kept], was[kept])
        ]
        rest = max(0.0, (length / base) ** 2 - left**2) ** 0.5
        return Change(left, rest, *short, chance=6 * rest / len(now) ** 0.5)

    names = [name for name, seen in numbers.items()
             if not seen.not_finite and (other := before.get(name)) and tensors[name].count
             and other.shape[1:] == tensors[name].shape[1:]
             and all(kind in KINDS and not kind.startswith("F8") for kind in (tensors[name].kind, other.kind))]  # fmt: skip
    with ThreadPoolExecutor(min(8, 2 + (os.cpu_count() or 1))) as pool:
        return {name: change for name, change in zip(names, pool.map(look, names), strict=True) if change}


def _sample(tensor: Tensor, count: int) -> np.ndarray:
    """Return numbers from all over the first `count` of a tensor, from the same places of all that are of that size."""
    taken = np.empty(min(count, _SAMPLE), store_of(tensor.kind))
    parts = np.array_split(taken, _PARTS if count > _SAMPLE else 1)
    with tensor.file.open("rb", buffering=0) as source:
        for part, place in zip(parts, np.linspace(0, count - len(parts[0]), len(parts)).astype(int), strict=True):
            fill(source, part, tensor.start + int(place) * taken.itemsize)

    return as_floats(taken, tensor.kind).astype(np.float64)


def _beside(tensors: Mapping[str, Tensor], changes: Mapping[str, Change]) -> dict[str, list[Change]]:
    """Return the same tensor in other layers, or, where these are few, all that have as many dimensions."""
    kinds: dict[object, list[str]] = {}
    for name in changes:
        match = LAYER.match(name)
        for kind in (match and (match[1], match[2], match[4]), len(tensors[name].shape)):
            kinds.setdefault(kind, []).append(name)

    beside = {}
    for kind, names in sorted(kinds.items(), key=lambda item: isinstance(item[0], int), reverse=True):
        if kind is not None and (isinstance(kind, int) or len(names) > _FEWEST):
            beside |= {name: [changes[other] for other in names if other != name] for name in names}

    return {name: beside[name] for name in changes}


def _source(
    name: str, looked_at: Mapping[str, Change], tensors: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> str:
    """Return which tensor of the base a tensor is, if it is another one, or its own transposed; "" if none."""
    now, other = looked_at[name].now, before[name]
    same = [one for one in looked_at if before[one].shape == other.shape and one != name]
    if same and len(now) >= _KEPT // 4:
        cosines = np.stack([looked_at[one].was for one in same]) @ now
        if cosines.max() > _SAME:
            source, mine = same[int(cosines.argmax())], LAYER.match(name)
            found = LAYER.match(source)
            return source[: found.start(4) - 1] if mine and found and mine[4] == found[4] else source

    return f"{name}, transposed" if len(other.shape) == 2 and _is_transposed(tensors[name], other) else ""


def _is_transposed(tensor: Tensor, base: Tensor) -> bool:
    places = np.linspace(0, base.count - 1, _KEPT // 4).astype(int)
    down, across = np.divmod(places, base.rows)
    now, was = (_numbers_at(one, at) for one, at in ((tensor, places), (base, across * base.width + down)))
    return float(now @ was) > _SAME * float(np.linalg.norm(now) * np.linalg.norm(was))


def _numbers_at(tensor: Tensor, places: np.ndarray) -> np.ndarray:
    taken = np.empty(len(places), store_of(tensor.kind))
    with tensor.file.open("rb", buffering=0) as source:
        for at, place in enumerate(places.tolist()):
            fill(source, taken[at : at + 1], tensor.start + place * taken.itemsize)

    return as_floats(taken, tensor.kind).astype(np.float32)
