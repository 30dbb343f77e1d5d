"""Every number of a model looked at, once and in flat memory.

Numbers are looked at as the integers that they are stored as, without the sign: the largest of a row tells at once whether
a value is NaN or Inf and whether all are zero.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from virgo_factory.preflight.checkpoint.weights import KINDS, VOCABULARY, Tensor, as_floats, ask_ahead, fill, store_of


_BLOCK = 1 << 20
"""Bytes that are looked at together: they stay in a core's cache."""
_PIECE = 1 << 25
"""Bytes that one thread reads in a row."""
_START = 1 << 12
"""Numbers."""


@dataclass
class Numbers:
    """What the numbers of a tensor are like."""

    not_finite: list[int] = field(default_factory=list)  # rows with NaN or Inf
    has_nan: bool = False  # whether one of these is NaN
    zero: list[int] = field(default_factory=list)  # rows of nothing but zeros; a tensor of one dimension is one row
    # columns of nothing but zeros; none of a tensor with one row
    zero_columns: list[int] = field(default_factory=list)
    rows: int = 0  # how many there are
    constant: float | None = None  # the value, where every number is the same
    largest: float = 0.0  # magnitude of the largest finite number
    largest_row: int = 0  # where it stands
    # median over the rows of their largest magnitudes (of the blocks that were looked at together); of a tensor with
    # one row the median magnitude. A few outliers do not move it.
    typical: float = 0.0
    start: int = 0  # a checksum of its first bytes, for finding copies
    # of a tensor with a row for each token: a checksum of each row
    sums: list[np.ndarray] = field(default_factory=list)
    # whether it is the base's, byte by byte, or number by number where it is stored as another type; None where it was
    # not compared
    same: bool | None = None


@dataclass(frozen=True)
class Model:
    """A model that was looked at, and what is known of it."""

    tensors: Mapping[str, Tensor]  # by name
    numbers: Mapping[str, Numbers]  # what was seen of each
    tokens: Mapping[int, str] = field(default_factory=dict)  # id -> text, of the ids in use
    # ids of added or reserved tokens: their rows may begin alike, those of other families may lack numbers
    added: Collection[int] = ()
    before: Mapping[str, Tensor] | None = None  # tensors of the base
    is_ours: bool = True  # whether the family is one whose norms, matrices and added tokens are known here
    is_tied: bool | None = None  # whether the output head is to be the embedding; None where the settings do not say


def look_at_numbers(
    tensors: Mapping[str, Tensor],
    before: Mapping[str, Tensor] | None = None,
    on_bytes: Callable[[int], None] = lambda count: None,
    workers: int | None = None,
) -> dict[str, Numbers]:
    """Return what the numbers of each tensor are like; every one of them is looked at.

    A tensor of the base is read no further than to where it differs. `on_bytes` is called with the bytes of each piece
    that was read, from several threads: more than cores, so that the disk is never idle.
    """
    found = {name: Numbers() for name in tensors}
    watched = {name: _Watch(name, tensor, before) for name, tensor in tensors.items()}
    constants: dict[str, set[int]] = {name: set() for name in tensors}
    typical: dict[str, list[int]] = {name: [] for name in tensors}

    def look(pieces: list[tuple[str, int, int]]) -> list[tuple[str, _Block]]:
        looked = [(name, block) for name, first, end in pieces for block in _look(watched[name], first, end)]
        on_bytes(sum((end - first) * _row_bytes(tensors[name]) for name, first, end in pieces))
        return looked

    with ThreadPoolExecutor(workers or min(8, 2 + (os.cpu_count() or 1))) as pool:
        for blocks in pool.map(look, _handfuls(tensors)):
            for name, block in blocks:
                block.add_to(found[name])
                typical[name].append(block.typical)
                if len(constants[name]) < 2:
                    constants[name] |= {block.lowest, block.highest}

    for name, numbers in found.items():
        kind = tensors[name].kind
        numbers.same = None if before is None else not watched[name].differs
        numbers.largest = _value(int(numbers.largest), kind) if kind in KINDS else 0.0
        numbers.typical = _value(_middle(np.array(typical[name])), kind) if kind in KINDS else 0.0
        numbers.zero_columns = np.flatnonzero(watched[name].dead).tolist()
        if len(constants[name]) == 1 and kind in KINDS:
            numbers.constant = _value(constants[name].pop(), kind)

    return found


class _Watch:
    """What the threads that read a tensor tell one another: each of it only ever changes in one direction.

    Attributes:
        differs: whether it is known not to be the base's.
        dead: for each column, whether nothing but zeros was seen of it.
    """

    def __init__(self, name: str, tensor: Tensor, before: Mapping[str, Tensor] | None) -> None:
        self.tensor = tensor
        self.other = before.get(name) if before is not None else None
        self.differs = before is not None and (self.other is None or self.other.shape != tensor.shape)
        self.has_tokens = bool(VOCABULARY.search(name))
        self.dead = np.full(tensor.width if tensor.kind in KINDS and tensor.rows > 1 else 0, True)
        self._is_any_dead = len(self.dead) > 0

    def see_columns(self, unsigned: np.ndarray) -> None:
        """Take in what rows say of the columns that are still thought dead: after the first rows these are few or none."""
        if not self._is_any_dead:
            return

        rest = np.flatnonzero(
            self.dead.copy()
        )  # numpy counts before it fills: another thread must not change it between
        if 4 * len(rest) > len(self.dead):
            self.dead[np.bitwise_or.reduce(unsigned, axis=0) != 0] = False
        else:
            self.dead[rest[unsigned[:, rest].any(axis=0)]] = False

        self._is_any_dead = bool(self.dead.any())


@dataclass(frozen=True)
class _Block:
    """What some rows of a tensor say; `lowest` and `highest` are bit patterns."""

    not_finite: list[int]
    has_nan: bool
    zero: list[int]
    rows: int
    lowest: int
    highest: int
    largest: int
    largest_row: int
    typical: int
    start: int | None
    sums: np.ndarray | None

    def add_to(self, numbers: Numbers) -> None:
        numbers.not_finite += self.not_finite
        numbers.has_nan |= self.has_nan
        numbers.zero += self.zero
        numbers.rows += self.rows
        if self.largest > numbers.largest:
            numbers.largest, numbers.largest_row = self.largest, self.largest_row

        if self.start is not None:
            numbers.start = self.start

        if self.sums is not None:
            numbers.sums.append(self.sums)


def _place(item: tuple[str, Tensor]) -> tuple[Path, int]:
    return item[1].file, item[1].start


def _handfuls(tensors: Mapping[str, Tensor]) -> list[list[tuple[str, int, int]]]:
    """Return the pieces of all tensors in the order of the disk, small ones together: hundreds of a model are tiny."""
    found: list[list[tuple[str, int, int]]] = []
    room = 0
    for name, tensor in sorted(tensors.items(), key=_place):
        for piece in _pieces(name, tensor):
            size = (piece[2] - piece[1]) * _row_bytes(tensor)
            if size > room:
                found.append([])
                room = _PIECE

            found[-1].append(piece)
            room -= size

    return found


def _pieces(name: str, tensor: Tensor) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first row, row behind the last) of the parts of a tensor that a thread reads."""
    step = max(1, _PIECE // _row_bytes(tensor))
    for first in range(0, tensor.rows, step):
        yield name, first, min(first + step, tensor.rows)


def _row_bytes(tensor: Tensor) -> int:
    return max(1, (tensor.end - tensor.start) // max(1, tensor.rows))


def _look(watch: _Watch, first: int, end: int) -> Iterator[_Block]:
    """Yield what the blocks of some rows say, and tell where they are not the base's."""
    tensor, other = watch.tensor, watch.other
    kind = KINDS.get(tensor.kind)
    store = kind.store if kind else np.uint8
    size = _row_bytes(tensor)
    step = max(1, _BLOCK // size)
    block = np.empty((min(step, end - first), tensor.width if kind else size), store)
    unsigned = np.empty_like(block) if kind else block
    beside = None
    with tensor.file.open("rb", buffering=0) as source:
        ask_ahead(source, tensor.start + first * size, (end - first) * size)
        for row in range(first, end, step):
            rows = min(step, end - row)
            numbers = block[:rows]
            fill(source, numbers, tensor.start + row * size)
            if other is not None and not watch.differs:
                beside = np.empty(block.shape, store_of(other.kind)) if beside is None else beside
                if not _equals(numbers, tensor.kind, other, beside[:rows], row):
                    watch.differs = True

            if not kind:
                continue

            np.bitwise_and(numbers, store(kind.magnitude), out=unsigned[:rows])
            watch.see_columns(unsigned[:rows])
            tops = unsigned[:rows].max(axis=1)
            largest, is_alike = int(tops.max()), numbers.flat[0] == numbers.flat[-1]
            bad = tops >= kind.infinite if largest >= kind.infinite else None
            finite = tops if bad is None else np.where(bad, 0, tops)
            yield _Block(
                not_finite=[] if bad is None else (row + np.flatnonzero(bad)).tolist(),
                has_nan=largest > kind.infinite or largest == kind.infinite and tensor.kind == "F8_E4M3",
                zero=(row + np.flatnonzero(tops == 0)).tolist() if int(tops.min()) == 0 else [],
                rows=rows,
                lowest=int(numbers.min() if is_alike else numbers.flat[0]),
                highest=int(numbers.max() if is_alike else numbers.flat[-1]),
                largest=int(finite.max()),
                largest_row=row + int(finite.argmax()),
                typical=_middle(finite if tensor.rows > 1 else unsigned[0]),
                start=hash(numbers.reshape(-1)[:_START].tobytes()) if row == 0 else None,
                sums=_sums(numbers) if watch.has_tokens else None,
            )


def _middle(patterns: np.ndarray) -> int:
    """Return the median of bit patterns without a sign, which are in the order of their values."""
    at = len(patterns) // 2
    return int(np.partition(patterns, at)[at]) if len(patterns) else 0


def _equals(numbers: np.ndarray, kind: str, other: Tensor, beside: np.ndarray, row: int) -> bool:
    """Whether rows are the base's; numbers of another type are compared as that of the checkpoint."""
    if kind not in KINDS or other.kind not in KINDS:
        if kind != other.kind:
            return False

    with other.file.open("rb", buffering=0) as source:
        fill(source, beside, other.start + row * beside.shape[1] * beside.itemsize)

    if kind == other.kind:
        return np.array_equal(_words(numbers), _words(beside))

    return np.array_equal(as_floats(numbers, kind), as_floats(beside, other.kind, kind))


def _sums(numbers: np.ndarray) -> np.ndarray:
    """Return a checksum of each row: rows with the same are the same, but for a chance of one in 2^64 a pair."""
    if numbers.shape[1] * numbers.itemsize % 8 == 0:
        return numbers.view(np.uint64).sum(axis=1, dtype=np.uint64)

    return np.array([hash(row.tobytes()) for row in numbers], dtype=np.int64).view(np.uint64)


def _words(numbers: np.ndarray) -> np.ndarray:
    flat = numbers.reshape(-1)
    return flat.view(np.uint64) if flat.nbytes % 8 == 0 else flat


def _value(bits: int, kind: str) -> float:
    """Return the number that a bit pattern stands for; of eight bits 0 or 1, which is all that is asked of them.

    >>> _value(0x3F80, "BF16"), _value(0, "F16")
    (1.0, 0.0)
    """
    if kind.startswith("F8"):
        return float(bits & 0x7F != 0)

    with np.errstate(invalid="ignore"):
        return float(as_floats(np.array([bits], KINDS[kind].store), kind)[0])
