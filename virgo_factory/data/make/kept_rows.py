"""Rows of a dataset as they stand in its files, in one file, without those that are left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.make.writing import partial_of
from virgo_factory.data.read.chunks import TABLE_SUFFIXES
from virgo_factory.data.read.reader import cut_file, place_of, read_chunk
from virgo_factory.data.read.source import Source
from virgo_factory.data.read.tables import table_batches


_OF_THE_FILE = (
    *("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "subset", "split", "folder"),
    *("num_rows", "sha256", "made_by"),
)


def numbered(source: Source) -> Iterator[tuple[int, str, Any, str]]:
    """Yield (number over all files, place, raw row, problem) of every row; where there is a problem it could not be read."""
    number = 0
    for file in source.files:
        for chunk in cut_file(file):
            for row in read_chunk(chunk):
                yield number, place_of(chunk.file, row.line, number), row.raw, row.problem
                number += 1


def suffix_for(source: Source) -> str:
    """Return how the rows of a source are written: tables as Parquet, which holds pictures, all others as JSONL."""
    return ".parquet" if all(file.suffix in TABLE_SUFFIXES for file in source.files) else ".jsonl"


def write_kept(source: Source, is_kept: np.ndarray, path: Path) -> None:
    """Write rows, unchanged, to `partial_of(path)`; memory does not grow with them.

    `is_kept` is by the row's number over all files, False for rows that cannot be read; the path has the suffix of
    `suffix_for`. Raises UserError for tables of different columns.
    """
    if path.suffix == ".jsonl":
        with partial_of(path).open("w", encoding="utf-8", newline="\n") as file:
            for number, _, raw, _ in numbered(source):
                if is_kept[number]:
                    file.write(json.dumps(raw, ensure_ascii=False) + "\n")

        return

    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, start = None, 0
    try:
        for file in source.files:
            for batch in table_batches(file):
                writer = writer or pq.ParquetWriter(partial_of(path), batch.schema, compression="zstd")
                mask = pa.array(is_kept[start : start + batch.num_rows])
                start += batch.num_rows
                if not batch.schema.equals(writer.schema):
                    raise UserError(
                        f"{source.name}: {file.name} has other columns than the files before it. Name each file alone."
                    )

                writer.write_batch(batch.filter(mask))
    finally:
        if writer:
            writer.close()


def kept_entry(source: Source, path: Path) -> dict[str, Any]:
    """Return the entry of dataset_info.json that reads a file of `write_kept` as the source is read."""
    as_before = {name: value for name, value in source.entry.items() if name not in _OF_THE_FILE}
    return {"file_name": path.name, "formatting": source.formatting, **as_before}
