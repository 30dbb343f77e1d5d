"""Local files of our formattings as a table of raw rows, each with its file and line, cut to the entry's `split`."""

from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features, NamedSplit, Value, config
from datasets.fingerprint import Hasher
from datasets.table import MemoryMappedTable, concat_tables

from virgo_factory.data.read.reader import count_rows, read_rows
from virgo_factory.data.read.split import row_ranges
from virgo_factory.hooks.data.converter import RAW_COLUMNS
from virgo_factory.io.atomic import new_path
from virgo_factory.io.fingerprint import code_hash, file_hash


BATCH_BYTES = 1 << 25
"""Of raw rows converted at a time; at most BATCH_ROWS. Rows with pictures in them may be megabytes each."""
BATCH_ROWS = 1000
RAW_FEATURES = Features({"raw": Value("string"), "file": Value("string"), "line": Value("int64")})


def read_table(files: list[str], cache_dir: str | None) -> Dataset:
    """Return a table of raw rows (columns `raw`: JSON text, `file`, `line`), cached by the files' contents."""
    key = Hasher.hash([*((file, file_hash(file)) for file in files), code_hash()])
    path = Path(cache_dir or config.HF_DATASETS_CACHE, "virgo_factory_rows", f"{key}.arrow")
    if not path.is_file():
        with new_path(path) as partial:
            _write_rows(files, partial)

    table = MemoryMappedTable.from_file(str(path))
    return Dataset(table, DatasetInfo(features=RAW_FEATURES), NamedSplit("train"), fingerprint=key)


def cut_table(dataset: Dataset, split: str | None, name: str, parts: dict[str, tuple[Path, ...]]) -> Dataset:
    """Return the rows of a table that an entry's `split` means, in its order, as `load_dataset` would.

    Raises:
        ValueError: not a split of local files, or one without rows.
    """
    count = count_rows if len(parts) > 1 else lambda files: len(dataset)
    ranges = row_ranges(split, parts, count, name)
    if ranges is None:
        return dataset

    table = concat_tables([dataset.data.slice(rows.start, len(rows)) for rows in ranges])
    return Dataset(table, dataset.info, dataset.split, fingerprint=Hasher.hash([dataset._fingerprint, split]))


def _write_rows(files: list[str], path: Path) -> None:
    """Write the rows of the files as an Arrow stream, a few megabytes at a time."""
    schema = RAW_FEATURES.arrow_schema
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        batch, size = {name: [] for name in RAW_COLUMNS}, 0
        for file in files:
            for row in read_rows(file):
                for name, value in zip(RAW_COLUMNS, (row.text, file, row.line), strict=True):
                    batch[name].append(value)

                size += len(row.text)
                if size > BATCH_BYTES or len(batch["raw"]) == BATCH_ROWS:
                    stream.write_batch(pa.RecordBatch.from_pydict(batch, schema=schema))
                    batch, size = {name: [] for name in RAW_COLUMNS}, 0

        stream.write_batch(pa.RecordBatch.from_pydict(batch, schema=schema))
