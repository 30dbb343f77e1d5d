"""Tables of aligned rows: ours converted with a fixed schema, others with the place of each row; pictures are looked at anew."""

import contextlib
import hashlib
import os
import time
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset
from datasets.fingerprint import Hasher

from virgo_factory.core.errors import UserError
from virgo_factory.data.rows.account import SHOWN, DroppedRow
from virgo_factory.formats import kind_of
from virgo_factory.hooks.data.converter import ALIGNED_FEATURES, PREFIX_FEATURE, ROW_FEATURES, LongThoughtConverter
from virgo_factory.hooks.data.raw_table import BATCH_BYTES, BATCH_ROWS


PARTS = 1 << 20
"""More than the examples of any row: row number * PARTS + part names an example."""


def with_places(aligned: Dataset, name: str, rows: np.ndarray) -> Dataset:
    """Return a table of stock's with the columns that ours have."""
    columns = PREFIX_FEATURE | ROW_FEATURES
    own = {"_row_dataset": np.full(len(rows), name), "_row_number": rows.astype(np.int64)}
    for column, kind in columns.items():
        blank = np.full(len(rows), "") if kind.dtype == "string" else np.zeros(len(rows), dtype=np.int64)
        aligned = aligned.add_column(column, own.get(column, blank))

    return aligned


def convert_rows(dataset: Dataset, converter: LongThoughtConverter, training_args: Any) -> Dataset:
    """Return the aligned rows, cached; rows with images anew in every run, since images come, go and change."""
    dataset = dataset.with_format("arrow")  # `datasets` would decode every picture of an Image column
    row_bytes = dataset.data.nbytes // max(len(dataset.data), 1) + 1

    def convert(cached: bool) -> Dataset:
        return dataset.map(
            converter,
            batched=True,
            batch_size=min(max(BATCH_BYTES // row_bytes, 1), BATCH_ROWS),
            remove_columns=dataset.column_names,
            features=ALIGNED_FEATURES,
            num_proc=converter.data_args.preprocessing_num_workers,
            load_from_cache_file=cached,
            desc="Converting format of dataset",
        ).with_format(None)

    began, is_first = time.time(), training_args.local_process_index == 0
    aligned = convert(not (is_first and converter.data_args.overwrite_cache))
    bad = pc.starts_with(aligned.data.column("_row_reason"), "image")
    if not (pc.any(bad).as_py() or pc.any(pc.is_valid(aligned.data.column("_images"))).as_py()):
        return aligned

    if is_first and any(os.stat(file["filename"]).st_mtime < began for file in aligned.cache_files):
        aligned = convert(False)

    aligned._fingerprint = Hasher.hash([aligned._fingerprint, bad.to_pylist(), _state(aligned)])  # of what comes after
    return aligned


def _state(aligned: Dataset) -> str:
    """Return a hash of the sizes and times of all image files of a table."""
    digest = hashlib.sha256()
    for image in pc.unique(pc.list_flatten(aligned.data.column("_images"))).to_pylist():
        with contextlib.suppress(OSError):  # gone since
            found = os.stat(image)
            digest.update(f"{image} {found.st_size} {found.st_mtime_ns}\n".encode())

    return digest.hexdigest()


def examples_of(table: Dataset) -> np.ndarray:
    """Return the names, as integers, of a table's examples within their datasets."""
    numbers, parts = (table.data.column(name).to_numpy() for name in ("_row_number", "_row_part"))
    return numbers * PARTS + parts


def extra_examples(aligned: Dataset) -> int:
    """Return how many different examples are not the first of their row."""
    examples = examples_of(aligned)
    return len(np.unique(examples[examples % PARTS > 0]))


def the_format(aligned: Dataset, name: str) -> str:
    """Return the one format that the rows of a dataset show, or "" if they show none.

    Raises:
        ValueError: they show several; with up to 20 rows, those of the rarest format first.
    """
    counts = {
        entry["values"]: entry["counts"]
        for entry in pc.value_counts(aligned.data.column("_row_format")).to_pylist()
        if entry["values"]
    }
    if len(set(map(kind_of, counts))) < 2:
        return max(counts, key=counts.get, default="")

    formats = sorted(counts, key=counts.get)
    places: list[str] = []
    for which in formats:
        room = SHOWN - len(places) - (formats[-1] != which)  # one line is left for the most common format
        found = np.flatnonzero(pc.equal(aligned.data.column("_row_format"), which).to_numpy())
        for row in aligned.select(found[: max(room, 1)]).select_columns(list(ROW_FEATURES)):
            place = DroppedRow(row["_row_number"], row["_row_file"], row["_row_line"], row["_row_id"], which)
            places.append(f"  {place}")

    shown = ", ".join(f"{counts[which]} {which}" for which in reversed(formats))
    raise UserError(
        f"{name}: its rows are in {len(formats)} formats ({shown}). A dataset has one, or rows would be read in a way that "
        "nobody chose.\n" + "\n".join(places[:SHOWN]) + "\nPut each format into a file and an entry of its own, or "
        "bring all to one with: virgo-factory data convert."
    )
