"""The normal form: one long thought a row, the same columns in every row, written as JSONL or Parquet."""

import contextlib
import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.files import check_file


SUFFIXES = (".jsonl", ".parquet")

ALWAYS = ("id", "question", "thought", "solution", "images", "answer", "source", "domain")
SOMETIMES = ("system", "assistant_prefix", "history", "rejected", "difficulty", "loss", "question_id")
"""Columns that a file has only if one of its rows has a value there."""
COLUMNS = ALWAYS + SOMETIMES

_EMPTY = {"images": [], "history": [], "loss": []}  # null elsewhere
_FIRST_LOOK = 8 << 20  # `datasets.load_dataset` fixes the type of a JSON column by the first 10 MiB of the file
_JSON = json.JSONEncoder(ensure_ascii=False)  # made once: json.dumps makes one for each row
_BATCH_ROWS, _BATCH_BYTES = 10_000, 32 << 20


@dataclass(frozen=True)
class Written:
    """A finished file."""

    path: Path
    rows: int
    bytes: int
    sha256: str
    used: tuple[str, ...]  # the columns of the normal form that have a value in one of the rows at least
    promoted: int = 0  # rows put on top because they are the first with a value in some column (see `write_spool`)


@dataclass(frozen=True)
class Spool:
    """Rows on disk in the order in which they came, from which a file is written in any order."""

    path: Path
    starts: array  # byte at which each row begins, and the file's length at the end
    used: array  # of each row, the bit set of the COLUMNS that have a value

    def __len__(self) -> int:
        return len(self.used)


def normal_row(example: Example, **more: Any) -> dict[str, Any]:
    """Return an example as a row of the normal form, without the columns that are empty in it.

    `formatting: long_thought` reads it back as the same example. Images must be paths by now. `more`: values of
    further columns (`difficulty`, `question_id`). Raises RejectedRow for a response that is no long thought
    (`malformed: keep`).
    """
    response = _parts(example.response, example.learned)
    row: dict[str, Any] = {"id": example.id, "question": example.question, **response}
    row["images"] = list(example.images)
    row["answer"], row["source"], row["domain"] = example.answer, example.source, example.domain
    row["system"] = example.system
    row["assistant_prefix"] = example.assistant_prefix
    row["history"] = [{"question": turn.question, **_parts(turn.response, turn.learned)} for turn in example.history]
    row["rejected"] = None if example.rejected is None else _parts(example.rejected)
    row["loss"] = [] if all(turn.learned for turn in example.turns) else [turn.learned for turn in example.turns]
    return {column: value for column, value in (row | more).items() if value not in (None, "", [])}


def _parts(response: LongThought | str, is_learned: bool = True) -> dict[str, str]:
    if isinstance(response, str):
        if not is_learned:
            return {"thought": "", "solution": response}

        raise RejectedRow("response is not a long thought", "the normal form keeps thought and solution apart")

    return {"thought": response.thought, "solution": response.solution}


def write_rows(path: Path, examples: Iterable[Example], overwrite: bool = False) -> int:
    """Write examples in the normal form and return how many; the file appears when it is complete.

    Raises UserError where the suffix is neither .jsonl nor .parquet, or the file is there and is not to be replaced;
    RejectedRow as `normal_row`.
    """
    path = Path(path)
    check_target(path, overwrite)
    with spooled(path, (normal_row(example) for example in examples)) as spool, published([path]):
        return write_spool(spool, path).rows


def check_target(path: Path, overwrite: bool = False) -> None:
    """Raise ValueError where `path` cannot become a file of rows: wrong suffix, there already, no folder."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: the name of an output ends with {' or '.join(SUFFIXES)}.")

    if path.is_file() and not overwrite:
        raise UserError(f"{path} exists. Name another file, or replace it with --overwrite.")

    check_file(path)


@contextlib.contextmanager
def spooled(target: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[Spool]:
    """Context of a spool beside `target` that is gone afterwards, whatever happens; a killed run's is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.spool")
    try:
        yield _spool(path, rows)
    finally:
        path.unlink(missing_ok=True)


def _spool(path: Path, rows: Iterable[dict[str, Any]]) -> Spool:
    starts, used = array("Q", [0]), array("L")
    bits = {column: 1 << position for position, column in enumerate(COLUMNS)}
    end = 0
    with path.open("wb") as file:
        for row in rows:
            line = _JSON.encode(row).encode() + b"\n"
            file.write(line)
            end += len(line)
            starts.append(end)
            used.append(sum(bits[column] for column in row))

    return Spool(path, starts, used)


def write_spool(
    spool: Spool,
    path: Path,
    order: Sequence[int] | np.ndarray | None = None,
    look: Callable[[Mapping[str, Any]], None] = lambda row: None,
) -> Written:
    """Write rows of a spool, all or those of `order`, to `partial_of(path)` and return what was written.

    The file still has to be published, so that several files, and what describes them, appear together.

    Every row of a JSONL file has the same columns, so that `datasets.load_dataset` reads it. That function takes the
    type of a column from the first 10 MiB alone; a column that gets its first value later would stop it, so the rows
    with these first values are moved to the top (seen only in large files put together from unlike parts). Parquet
    carries its types and keeps the order. `order` holds positions in the spool; `look` is shown every row of the
    normal form.
    """
    order = np.arange(len(spool)) if order is None else np.asarray(order, dtype=np.int64)
    used = np.array(spool.used, dtype=np.uint64)[order]
    some = int(np.bitwise_or.reduce(used)) if len(used) else 0
    has_value = tuple(name for bit, name in enumerate(COLUMNS) if some >> bit & 1)
    columns = [name for name in COLUMNS if name in ALWAYS or name in has_value]
    promoted = np.empty(0, dtype=np.int64)
    if path.suffix == ".jsonl":
        promoted = _late_first_values(spool, order, used)
        order = np.concatenate([order[promoted], np.delete(order, promoted)])

    partial = partial_of(path)
    write = _write_parquet if path.suffix == ".parquet" else _write_jsonl
    write(partial, _read(spool, order, columns, look), columns)
    with partial.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())

    return Written(path, len(order), partial.stat().st_size, digest, has_value, len(promoted))


def partial_of(path: Path) -> Path:
    """Return where a file is written before it is complete; what a killed run left there is replaced."""
    return path.with_name(f".{path.name}.partial")


@contextlib.contextmanager
def published(paths: Sequence[Path]) -> Iterator[None]:
    """Context that gives the files at `partial_of(path)` their names at its end, or removes them if it fails."""
    try:
        yield
        for path in paths:
            partial_of(path).replace(path)
    finally:
        for path in paths:
            partial_of(path).unlink(missing_ok=True)


def _late_first_values(spool: Spool, order: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the positions in `order` of rows that are first to use a column, and too late to be seen."""
    starts = np.frombuffer(spool.starts, dtype=np.uint64)
    before = np.cumsum((starts[1:] - starts[:-1])[order])
    bits = [used & np.uint64(1 << bit) for bit in range(len(COLUMNS))]
    firsts = {int(np.argmax(has > 0)) for has in bits if has.any()}
    return np.array(sorted(first for first in firsts if before[first] > _FIRST_LOOK), dtype=np.int64)


def _read(
    spool: Spool, order: np.ndarray, columns: list[str], look: Callable[[Mapping[str, Any]], None]
) -> Iterator[dict[str, Any]]:
    at = 0
    with spool.path.open("rb") as file:
        for position in order:
            start = spool.starts[position]
            if start != at:
                file.seek(start)

            line = file.readline()
            at = start + len(line)
            row = json.loads(line)
            row = {column: row.get(column, _EMPTY.get(column)) for column in columns}
            look(row)
            yield row


def _write_jsonl(path: Path, rows: Iterator[dict[str, Any]], columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(_JSON.encode(row) + "\n")


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]], columns: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    response = [("thought", pa.string()), ("solution", pa.string())]
    types = {
        "images": pa.list_(pa.string()),
        "history": pa.list_(pa.struct([("question", pa.string()), *response])),
        "rejected": pa.struct(response),
        "loss": pa.list_(pa.bool_()),
    }
    schema = pa.schema([(column, types.get(column, pa.string())) for column in columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        batch, size = [], 0
        for row in rows:
            batch.append(row)
            size += len(row["thought"] or "") + len(row["question"]) + len(row["solution"])
            if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                batch, size = [], 0

        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
