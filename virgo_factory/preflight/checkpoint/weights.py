"""The tensors of a model folder: which there are, in which file and at which byte, and rows of them.

safetensors' headers give each tensor's name, type and place; the library itself says whether a header is in order, but
not where a tensor's bytes are.
"""

import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from virgo_factory.core.errors import UserError
from virgo_factory.formats.row import QWEN_VL_FAMILIES


WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
LAYER = re.compile(r"(.*?\.)?(layers|blocks|layer|h)\.(\d+)\.(.+)")
"""A tensor that stands in a stack: what is in front, the stack's name, the layer, the name within it."""
VOCABULARY = re.compile(r"(?:embed_tokens|lm_head|wte|word_embeddings)(?:\.\w+)?\.weight$")
"""Tensors with a row for each token id."""

_LONGEST_HEADER = 100_000_000
"""Bytes, as safetensors has it."""


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's bytes are."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    @cached_property
    def width(self) -> int:
        """Numbers of a row; a tensor without rows is one of as many as there are."""
        return max(1, self.shape[-1] if len(self.shape) > 1 else self.count)

    @cached_property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @cached_property
    def rows(self) -> int:
        """How many there are of `width` numbers."""
        return self.count // self.width


@dataclass(frozen=True)
class Kind:
    """How numbers are stored: as which integer, what is left without the sign, and from where on they are not finite."""

    store: type
    magnitude: int
    infinite: int


KINDS = {
    "BF16": Kind(np.uint16, 0x7FFF, 0x7F80),
    "F16": Kind(np.uint16, 0x7FFF, 0x7C00),
    "F32": Kind(np.uint32, 0x7FFFFFFF, 0x7F800000),
    "F64": Kind(np.uint64, 0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000),
    "F8_E5M2": Kind(np.uint8, 0x7F, 0x7C),
    "F8_E4M3": Kind(np.uint8, 0x7F, 0x7F),
}
"""Those whose numbers can be judged; all others are bytes."""


class BrokenCheckpoint(UserError):
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

    Raises BrokenCheckpoint for no weights, a file that is missing or was cut short, or files that do not hold what the
    index says.
    """
    if not is_adapter(folder) and (folder / INDEX).is_file():
        return _read_shards(folder)

    file = folder / (ADAPTER if is_adapter(folder) else WEIGHTS)
    if not file.is_file():
        raise BrokenCheckpoint(f"{folder}: no {file.name}", _how_to_get_weights(folder))

    return _read_header(file)


def _read_shards(folder: Path) -> dict[str, Tensor]:
    placed = read_json(folder / INDEX).get("weight_map")
    if not isinstance(placed, dict) or not placed or not all(isinstance(name, str) for name in placed.values()):
        raise BrokenCheckpoint(f"{folder / INDEX}: no weight_map", "copy the whole folder again")

    files = sorted(set(placed.values()))
    if WEIGHTS not in files and (folder / WEIGHTS).is_file():
        what = f"{folder}: both {WEIGHTS}, which transformers reads, and {INDEX} with its files, which vLLM reads"
        raise BrokenCheckpoint(what, "remove the one that is of another save")

    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        which = missing[0] + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        what = f"{folder}: {INDEX} names {which}, which {'are' if len(missing) > 1 else 'is'} missing"
        raise BrokenCheckpoint(what, "copy the whole folder again")

    tensors: dict[str, Tensor] = {}
    for name in files:
        there = _read_header(folder / name)
        told = {tensor for tensor, file in placed.items() if file == name}
        for wrong, words in (
            (sorted(told - there.keys()), f"{{}} tensors that {INDEX} puts there are not in it"),
            (sorted(there.keys() - told), f"{{}} tensors in it that {INDEX} does not put there"),
        ):
            if wrong:
                raise BrokenCheckpoint(
                    f"{folder / name}: {words.format(len(wrong))}, such as {wrong[0]}",
                    "copy the whole folder again: index and files are of two saves",
                )

        tensors |= there

    return tensors


def _how_to_get_weights(folder: Path) -> str:
    if any(folder.glob("global_step*")):
        return (
            "it holds DeepSpeed's partitions only: set stage3_gather_16bit_weights_on_model_save in the DeepSpeed "
            "file, or gather them with the zero_to_fp32.py beside them"
        )

    if pickled := next(folder.glob("*.bin"), None):
        return f"{pickled.name} is a pickle, which is not opened here: save again with save_safetensors: true"

    below = sorted(file.parent.name for name in (WEIGHTS, INDEX, ADAPTER) for file in folder.glob(f"*/{name}"))
    return "name the folder of a trained model" + (f"; below it there are {', '.join(below)}" if below else "")


def _read_header(file: Path) -> dict[str, Tensor]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        if start == b"version ":
            raise BrokenCheckpoint(f"{file}: a Git LFS pointer, not the weights", "fetch them with git lfs pull")

        length = int.from_bytes(start, "little") if len(start) == 8 else size
        if length + 8 > size:
            raise BrokenCheckpoint(f"{file}: cut short in its header ({size} bytes)", "copy the file again")

        text = stream.read(min(length, _LONGEST_HEADER))

    body = 8 + length
    remedy = "copy the file again, or save the model again"
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        tensors = {
            name: Tensor(file, entry["dtype"], tuple(entry["shape"]), *(body + at for at in entry["data_offsets"]))
            for name, entry in header.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenCheckpoint(f"{file}: its header cannot be read ({type(error).__name__})", remedy) from None

    end = max((tensor.end for tensor in tensors.values()), default=body)
    if end > size:
        raise BrokenCheckpoint(f"{file}: cut short, {size} of {end} bytes", "copy the file again")

    try:
        with safe_open(file, "np"):
            return tensors
    except SafetensorError as error:
        raise BrokenCheckpoint(f"{file}: {error}", remedy) from None


def ask_ahead(source: Any, at: int, size: int) -> None:
    """Ask for bytes of an open file that are read soon."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(source.fileno(), at, size, os.POSIX_FADV_WILLNEED)


def read_ahead(tensors: Iterable[Tensor]) -> None:
    """Ask for tensors that are mapped soon: page by page they would come at a tenth of the disk's speed."""
    for tensor in tensors:
        with tensor.file.open("rb", buffering=0) as source:
            ask_ahead(source, tensor.start, tensor.end - tensor.start)


def fill(source: Any, numbers: np.ndarray, at: int) -> None:
    """Read numbers from a byte of an open file on. Raises BrokenCheckpoint where it ends before."""
    source.seek(at)
    view = memoryview(numbers.reshape(-1).view(np.uint8))
    while view:
        count = source.readinto(view)
        if not count:
            raise BrokenCheckpoint(f"{source.name}: became shorter while it was read", "copy the file again")

        view = view[count:]


def store_of(kind: str) -> type:
    """Return the integers that numbers of a kind are stored as."""
    return KINDS[kind].store if kind in KINDS else np.uint8


def as_floats(numbers: np.ndarray, kind: str, rounded_to: str | None = None) -> np.ndarray:
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


def read_rows(tensor: Tensor, rows: list[int]) -> np.ndarray:
    """Return some rows of a tensor as float32, one line each."""
    taken = np.empty((len(rows), tensor.width), store_of(tensor.kind))
    with tensor.file.open("rb", buffering=0) as source:
        for line, row in zip(taken, rows, strict=True):
            fill(source, line, tensor.start + row * line.nbytes)

    return as_floats(taken, tensor.kind).astype(np.float32)


def is_ours(folder: Path) -> bool:
    """Whether a model's family is one whose names and settings are known here; so is one that does not say.

    Of others it is asked that names stay as the base's are.
    """
    return read_settings(folder).get("model_type", QWEN_VL_FAMILIES[0]) in QWEN_VL_FAMILIES


def read_settings(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Return the object in a file of a model's folder; {} where there is none, or none that can be read."""
    try:
        return read_json(folder / name) if (folder / name).is_file() else {}
    except BrokenCheckpoint:
        return {}


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a file.

    Raises BrokenCheckpoint where it is none, with line and column.
    """
    remedy = "copy the file again"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise BrokenCheckpoint(f"{file}:{error.lineno}:{error.colno}: not JSON ({error.msg})", remedy) from None
    except (OSError, ValueError) as error:
        raise BrokenCheckpoint(f"{file}: cannot be read ({error})", remedy) from None

    if not isinstance(content, dict):
        raise BrokenCheckpoint(f"{file}: not a JSON object", remedy)

    return content
