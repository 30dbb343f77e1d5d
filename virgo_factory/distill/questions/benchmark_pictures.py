"""The pictures of benchmarks, by which questions on them are left out of a distillation."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.data.make.holdout import picture_digest
from virgo_factory.data.read.files.chunks import is_data_file
from virgo_factory.data.read.reader import cut_file, read_chunk
from virgo_factory.formats.pictures.columns import picture_values
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.question import IMAGES


def benchmark_pictures(path: Path) -> tuple[set[bytes], int]:
    """Return the pixel digests of a benchmark's pictures, and how many that its rows name could not be opened.

    Pictures are looked for in columns that are named like them (formats/pictures/columns.py): bytes of a Parquet file, or
    paths from the folder of the file or from `images/` in it.
    """
    digests: set[bytes] = set()
    missing = 0
    known: set[Any] = set()
    for value in _values(path):
        key = value if isinstance(value, str) else hashlib.sha256(value).digest()
        if key in known:
            continue

        known.add(key)
        digest = picture_digest(value, [path.parent, path.parent / IMAGES])
        if digest is None:
            missing += 1
        else:
            digests.add(digest)

    return digests, missing


def _values(path: Path) -> Iterator[str | bytes]:
    """Yield what stands in a benchmark's image columns; a file of texts has none."""
    if is_data_file(path):
        for chunk in cut_file(path):
            for row in read_chunk(chunk):
                if isinstance(row.raw, Mapping):
                    yield from _in_row(row.raw)


def _in_row(row: Mapping[str, Any]) -> Iterator[str | bytes]:
    with contextlib.suppress(RejectedRow):  # a column of numbers
        for value in picture_values(row):
            value = (value.get("bytes") or value.get("path")) if isinstance(value, Mapping) else value
            if isinstance(value, str | bytes) and value:
                yield value
