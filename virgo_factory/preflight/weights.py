"""The tensors of a model folder: where they are, and what every number of them says, read once in flat memory.

safetensors' headers give each tensor's name, type and place. Numbers are looked at as the integers that they are stored
as, without the sign: the largest of a row tells at once whether a value is NaN or Inf and whether all are zero.
"""

import json
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.preflight.memory import FAMILIES


WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
LAYER = re.compile(r"(.*?\.)?(layers|blocks|layer|h)\.(\d+)\.(.+)")
"""A tensor that stands in a stack: what is in front, the stack's name, the layer, the name within it."""

_BLOCK = 1 << 20
"""Bytes that are looked at together: they stay in a core's cache."""
_PIECE = 1 << 25
"""Bytes that one thread reads in a row."""


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's bytes are."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def width(self) -> int:
        """Numbers of a row; a tensor without rows is one of as many as there are."""
        return max(1, self.shape[-1] if len(self.shape) > 1 else self.count)

    @property
    def count(self) -> int:
        """Numbers in it."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class _Kind:
    """How numbers are stored: as which integer, what is left without the sign, and from where on they are not finite."""

    store: type
    magnitude: int
    infinite: int


_KINDS = {
    "BF16": _Kind(np.uint16, 0x7FFF, 0x7F80),
    "F16": _Kind(np.uint16, 0x7FFF, 0x7C00),
    "F32": _Kind(np.uint32, 0x7FFFFFFF, 0x7F800000),
    "F64": _Kind(np.uint64, 0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000),
    "F8_E5M2": _Kind(np.uint8, 0x7F, 0x7C),
    "F8_E4M3": _Kind(np.uint8, 0x7F, 0x7F),
}
_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8, "F8_E8M0": 1} | {
    name: np.dtype(kind.store).itemsize for name, kind in _KINDS.items()
}


class BrokenCheckpoint(ValueError):
    """A checkpoint whose files cannot be read.

    Attributes:
        what: is wrong, and where.
        remedy: what to do.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy[:1].upper()}{remedy[1:]}.")
        self.what, self.remedy = what, remedy


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    is_model = (folder / WEIGHTS).is_file() or (folder / INDEX).is_file()
    return not is_model and any((folder / name).is_file() for name in (ADAPTER, "adapter_config.json"))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a model's or an adapter's folder by name; headers only are read.

    Raises:
        BrokenCheckpoint: no weights, a file of the index that is missing, or one that was cut short.
    """
    placed: Mapping[str, str] = {}
    if is_adapter(folder):
        files = [ADAPTER]
    elif (folder / INDEX).is_file():
        placed = read_json(folder / INDEX).get("weight_map") or {}
        if not placed:
            raise BrokenCheckpoint(f"{folder / INDEX}: no weight_map", "copy the whole folder again")

        files = sorted(set(placed.values()))
    else:
        files = [WEIGHTS]

    if not placed and not (folder / files[0]).is_file():
        raise BrokenCheckpoint(f"{folder}: no {files[0]}", _how_to_get_weights(folder))

    tensors: dict[str, Tensor] = {}
    for name in files:
        if not (folder / name).is_file():
            raise BrokenCheckpoint(f"{folder}: {INDEX} names {name}, which is missing", "copy the whole folder again")

        tensors |= _read_header(folder / name)

    absent = [name for name in placed if name not in tensors]
    if absent:
        what = f"{folder}: {len(absent)} tensors of {INDEX} are in no file, such as {absent[0]}"
        raise BrokenCheckpoint(what, "copy the whole folder again: index and files are of two saves")

    return tensors


def _how_to_get_weights(folder: Path) -> str:
    if any(folder.glob("global_step*")):
        return (
            "it holds DeepSpeed's partitions only: set stage3_gather_16bit_weights_on_model_save in the DeepSpeed "
            "file, or gather them with the zero_to_fp32.py beside them"
        )

    if pickled := next(folder.glob("*.bin"), None):
        return f"{pickled.name} is a pickle, which is not opened here: save again with save_safetensors: true"

    return "name the folder of a trained model"


def _read_header(file: Path) -> dict[str, Tensor]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        if start == b"version ":
            raise BrokenCheckpoint(f"{file}: a Git LFS pointer, not the weights", "fetch them with git lfs pull")

        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length + 8 > size:
            raise BrokenCheckpoint(f"{file}: cut short in its header ({size} bytes)", "copy the file again")

        text = stream.read(length)

    body = 8 + length
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        tensors = {
            name: Tensor(file, entry["dtype"], tuple(entry["shape"]), *(body + at for at in entry["data_offsets"]))
            for name, entry in header.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{file}: its header cannot be read ({type(error).__name__})"
        raise BrokenCheckpoint(what, "copy the file again, or save the model again") from None

    for name, tensor in tensors.items():
        expected = tensor.count * _BYTES[tensor.kind] if tensor.kind in _BYTES else tensor.end - tensor.start
        if tensor.end - tensor.start != expected:
            what = f"{file}: {name} has {tensor.end - tensor.start} bytes, not the {expected} of its shape"
            raise BrokenCheckpoint(what, "copy the file again, or save the model again")

    end = max((tensor.end for tensor in tensors.values()), default=body)
    if end > size:
        raise BrokenCheckpoint(f"{file}: cut short, {size} of {end} bytes", "copy the file again")

    return tensors


@dataclass
class Numbers:
    """What the numbers of a tensor are like.

    Attributes:
        not_finite: rows with NaN or Inf.
        has_nan: whether one of these is NaN.
        zero: rows of nothing but zeros; a tensor of one dimension is one row.
        rows: how many there are.
        constant: the value, where every number is the same.
        largest: magnitude of the largest finite number.
        same: whether it is the base's, byte by byte, or number by number where it is stored as another type; None where it
            was not compared.
    """

    not_finite: list[int] = field(default_factory=list)
    has_nan: bool = False
    zero: list[int] = field(default_factory=list)
    rows: int = 0
    constant: float | None = None
    largest: float = 0.0
    same: bool | None = None


def look_at_numbers(
    tensors: Mapping[str, Tensor],
    before: Mapping[str, Tensor] | None = None,
    on_bytes: Callable[[int], None] = lambda count: None,
    workers: int | None = None,
) -> dict[str, Numbers]:
    """Return what the numbers of each tensor are like; every one of them is looked at.

    A tensor of the base is read no further than to where it differs.

    Args:
        tensors: of a checkpoint, by name.
        before: tensors of the base, to compare with those of the same name.
        on_bytes: is called with the bytes of each piece that was read, from several threads.
        workers: threads; by default more than cores, so that the disk is never idle.
    """
    found = {name: Numbers() for name in tensors}
    differing = {name for name, tensor in tensors.items()
                 if before is not None and (name not in before or before[name].shape != tensor.shape)}  # fmt: skip
    constants: dict[str, set[int]] = {name: set() for name in tensors}

    def look(piece: tuple[str, int, int]) -> list[_Piece]:
        name, first, end = piece
        tensor = tensors[name]
        other = before.get(name) if before is not None and name not in differing else None
        looked = list(_look(tensor, other, first, end, lambda: name in differing, lambda: differing.add(name)))
        on_bytes((end - first) * tensor.width * _BYTES.get(tensor.kind, 1))
        return looked

    pieces = [piece for name, tensor in sorted(tensors.items(), key=_place) for piece in _pieces(name, tensor)]
    with ThreadPoolExecutor(workers or min(8, 2 + (os.cpu_count() or 1))) as pool:
        for (name, _, _), blocks in zip(pieces, pool.map(look, pieces), strict=True):
            for block in blocks:
                block.add_to(found[name])
                if len(constants[name]) < 2:
                    constants[name] |= {block.lowest, block.highest}

    for name, numbers in found.items():
        kind = tensors[name].kind
        numbers.same = None if before is None else name not in differing
        numbers.largest = _value(int(numbers.largest), kind) if kind in _KINDS else 0.0
        if len(constants[name]) == 1 and kind in _KINDS:
            numbers.constant = _value(constants[name].pop(), kind)

    return found


@dataclass(frozen=True)
class _Piece:
    """What some rows of a tensor say; `lowest` and `highest` are bit patterns."""

    not_finite: list[int]
    has_nan: bool
    zero: list[int]
    rows: int
    lowest: int
    highest: int
    largest: int

    def add_to(self, numbers: Numbers) -> None:
        numbers.not_finite += self.not_finite
        numbers.has_nan |= self.has_nan
        numbers.zero += self.zero
        numbers.rows += self.rows
        numbers.largest = max(numbers.largest, self.largest)


def _place(item: tuple[str, Tensor]) -> tuple[Path, int]:
    return item[1].file, item[1].start


def _pieces(name: str, tensor: Tensor) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first row, row behind the last) of the parts of a tensor that a thread reads."""
    rows = tensor.count // tensor.width
    step = max(1, _PIECE // (tensor.width * _BYTES.get(tensor.kind, 1)))
    for first in range(0, rows, step):
        yield name, first, min(first + step, rows)


def _look(
    tensor: Tensor,
    other: Tensor | None,
    first: int,
    end: int,
    is_other: Callable[[], bool],
    tell_other: Callable[[], None],
) -> Iterator[_Piece]:
    """Yield what the blocks of some rows say, and tell where they are not the base's."""
    kind = _KINDS.get(tensor.kind)
    store = kind.store if kind else np.uint8
    width = tensor.width if kind else (tensor.end - tensor.start) * tensor.width // max(1, tensor.count)
    step = max(1, _BLOCK // (width * np.dtype(store).itemsize))
    block = np.empty((min(step, end - first), width), store)
    unsigned = np.empty_like(block) if kind else block
    beside = None
    with tensor.file.open("rb", buffering=0) as source:
        size = width * block.itemsize
        _read_ahead(source, tensor.start + first * size, (end - first) * size)
        for row in range(first, end, step):
            rows = min(step, end - row)
            numbers = block[:rows]
            _fill(source, numbers, tensor.start + row * size)
            if other is not None and not is_other():
                beside = np.empty(block.shape, _store(other.kind)) if beside is None else beside
                if not _equals(numbers, tensor.kind, other, beside[:rows], row):
                    tell_other()

            if not kind:
                continue

            np.bitwise_and(numbers, store(kind.magnitude), out=unsigned[:rows])
            tops = unsigned[:rows].max(axis=1)
            largest, is_alike = int(tops.max()), numbers.flat[0] == numbers.flat[-1]
            bad = tops >= kind.infinite if largest >= kind.infinite else None
            yield _Piece(
                not_finite=[] if bad is None else (row + np.flatnonzero(bad)).tolist(),
                has_nan=largest > kind.infinite or largest == kind.infinite and tensor.kind == "F8_E4M3",
                zero=(row + np.flatnonzero(tops == 0)).tolist() if int(tops.min()) == 0 else [],
                rows=rows,
                lowest=int(numbers.min() if is_alike else numbers.flat[0]),
                highest=int(numbers.max() if is_alike else numbers.flat[-1]),
                largest=largest if bad is None else int(tops[~bad].max(initial=0)),
            )


def _read_ahead(source: Any, at: int, size: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(source.fileno(), at, size, os.POSIX_FADV_WILLNEED)


def read_ahead(tensors: Iterable[Tensor]) -> None:
    """Ask for tensors that are mapped soon: page by page they would come at a tenth of the disk's speed."""
    for tensor in tensors:
        with tensor.file.open("rb", buffering=0) as source:
            _read_ahead(source, tensor.start, tensor.end - tensor.start)


def _fill(source: Any, numbers: np.ndarray, at: int) -> None:
    source.seek(at)
    view = memoryview(numbers.reshape(-1).view(np.uint8))
    while view:
        count = source.readinto(view)
        if not count:
            raise BrokenCheckpoint(f"{source.name}: became shorter while it was read", "copy the file again")

        view = view[count:]


def _store(kind: str) -> type:
    return _KINDS[kind].store if kind in _KINDS else np.uint8


def _equals(numbers: np.ndarray, kind: str, other: Tensor, beside: np.ndarray, row: int) -> bool:
    """Whether rows are the base's; numbers of another type are compared as that of the checkpoint."""
    if kind not in _KINDS or other.kind not in _KINDS:
        if kind != other.kind:
            return False

    with other.file.open("rb", buffering=0) as source:
        _fill(source, beside, other.start + row * beside.shape[1] * beside.itemsize)

    if kind == other.kind:
        return np.array_equal(_words(numbers), _words(beside))

    return np.array_equal(_as_floats(numbers, kind), _as_floats(beside, other.kind, kind))


def _words(numbers: np.ndarray) -> np.ndarray:
    flat = numbers.reshape(-1)
    return flat.view(np.uint64) if flat.nbytes % 8 == 0 else flat


def _as_floats(numbers: np.ndarray, kind: str, rounded_to: str | None = None) -> np.ndarray:
    """Return bit patterns as numbers, rounded to nearest even as another type would have them."""
    if kind == "BF16":
        floats = (numbers.astype(np.uint32) << 16).view(np.float32)
    elif kind.startswith("F8"):
        return numbers
    else:
        floats = numbers.view({"F16": np.float16, "F32": np.float32, "F64": np.float64}[kind])

    if rounded_to == "BF16":
        bits = np.ascontiguousarray(floats, np.float32).view(np.uint32).astype(np.uint64)
        return (((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint32) << 16).view(np.float32)

    if rounded_to in ("F16", "F32"):
        with np.errstate(over="ignore"):
            return floats.astype(np.float16 if rounded_to == "F16" else np.float32)

    return floats


def _value(bits: int, kind: str) -> float:
    """Return the number that a bit pattern stands for; of eight bits 0 or 1, which is all that is asked of them.

    >>> _value(0x3F80, "BF16"), _value(0, "F16")
    (1.0, 0.0)
    """
    if kind.startswith("F8"):
        return float(bits & 0x7F != 0)

    with np.errstate(invalid="ignore"):
        return float(_as_floats(np.array([bits], _KINDS[kind].store), kind)[0])


def read_rows(tensor: Tensor, rows: list[int]) -> np.ndarray:
    """Return some rows of a tensor as float32, one line each."""
    taken = np.empty((len(rows), tensor.width), _store(tensor.kind))
    with tensor.file.open("rb", buffering=0) as source:
        for line, row in zip(taken, rows, strict=True):
            _fill(source, line, tensor.start + row * line.nbytes)

    return _as_floats(taken, tensor.kind).astype(np.float32)


def is_ours(folder: Path) -> bool:
    """Whether a model's family is one whose names and settings are known here."""
    file = folder / "config.json"
    return not file.is_file() or read_json(file).get("model_type") in FAMILIES


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a file; {} where it is something else.

    Raises:
        BrokenCheckpoint: it is not JSON.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenCheckpoint(f"{file}: not JSON ({error})", "copy the file again") from None

    return content if isinstance(content, dict) else {}
