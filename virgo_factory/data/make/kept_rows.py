"""Rows of a dataset as they stand in its files, in one file, without those that are left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.make.writing import partial_of
from virgo_factory.data.read.files.chunks import TABLE_SUFFIXES
from virgo_factory.data.read.files.tables import table_batches
from virgo_factory.data.read.source import Source, raw_rows
from virgo_factory.io.atomic import TEXT


_OF_THE_FILE = (
    *("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "subset", "split", "folder"),
    *("num_rows", "sha256", "made_by"),
)


def check_whole(source: Source) -> None:
    """Raise UserError where an entry's `split` leaves rows out; a part of a file is written as rows of its own first."""
    if source.ranges is not None:
        raise UserError(
            f"{source.name}: its entry has a split. Write that part first: virgo-factory data slice {source.name} OUT."
        )


def suffix_for(source: Source) -> str:
    """Return how the rows of a source are written: tables as Parquet, which holds pictures, all others as JSONL."""
    return ".parquet" if all(file.suffix in TABLE_SUFFIXES for file in source.files) else ".jsonl"


def write_kept(source: Source, is_kept: np.ndarray, path: Path) -> None:
    """Write rows, unchanged, to `partial_of(path)`; memory does not grow with them.

    `is_kept` is by the row's number, False for rows that cannot be read; the path has the suffix of
    `suffix_for`. Raises UserError for tables of different columns.
    """
    if path.suffix == ".jsonl":
        with partial_of(path).open("w", **TEXT) as file:
            for row in raw_rows(source):
                if is_kept[row.number]:
                    file.write(json.dumps(row.raw, ensure_ascii=False) + "\n")

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
