"""Rows of Parquet and Arrow files in pieces, so that neither a big row group nor its images fill the memory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from virgo_factory.data.read.files.chunks import Chunk, UnreadableFile
from virgo_factory.io.fingerprint import file_hash


_CHUNK = 1 << 20
"""Bytes of a chunk, about: a group's rows are taken to be equally long."""
_MOST_ROWS = 4096


def cut_table(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a Parquet or Arrow file. Raises UnreadableFile where it is none."""
    digest = file_hash(path)[:32]
    groups = list(_groups(path))
    row_bytes = path.stat().st_size // max(sum(rows for rows, _ in groups), 1)
    for group, (rows, size) in enumerate(groups):
        step = min(max(_CHUNK * rows // max(size, 1), 1), _MOST_ROWS)
        for start in range(0, rows, step):
            count = min(step, rows - start)
            name = f"{digest}:{group}:{start}:{count}"
            yield Chunk(str(path), "table", start, count, 0, group, name, count * row_bytes)


def table_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet or Arrow file in small batches. Raises UnreadableFile where it is none."""
    for group, _ in enumerate(list(_groups(path))):
        with _told(path):
            yield from _batches(path, group)


def read_table_rows(chunk: Chunk) -> Iterator[Any]:
    """Yield the rows of a chunk as dictionaries. Chunks of one group are read fastest one after the other."""
    global _cursor
    if _cursor is None or not _cursor.reaches(chunk):
        _cursor = _Cursor(chunk)

    yield from _cursor.read(chunk)


class _Cursor:
    """A place in one group of a file: reads on, never back."""

    def __init__(self, chunk: Chunk) -> None:
        self.file, self.group = chunk.file, chunk.group
        self.row = 0
        self.batches = _batches(Path(chunk.file), chunk.group)
        self.rest: pa.RecordBatch | None = None

    def reaches(self, chunk: Chunk) -> bool:
        return (self.file, self.group) == (chunk.file, chunk.group) and self.row <= chunk.start

    def read(self, chunk: Chunk) -> Iterator[Any]:
        while self.row < chunk.start + chunk.size:
            if self.rest is None or not self.rest.num_rows:
                with _told(self.file):
                    self.rest = next(self.batches)

            skip = min(max(chunk.start - self.row, 0), self.rest.num_rows)
            take = min(chunk.start + chunk.size - self.row - skip, self.rest.num_rows - skip)
            part = self.rest.slice(skip, take)
            self.rest = self.rest.slice(skip + take)
            self.row += skip + take
            yield from part.to_pylist()


_cursor: _Cursor | None = None


@contextlib.contextmanager
def _told(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        kind = Path(path).suffix.removeprefix(".").capitalize()
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFile(
            f"{path}: not a readable {kind} file ({reason}). It may have been cut off: make or fetch it again."
        ) from None


def _groups(path: Path) -> Iterator[tuple[int, int]]:
    """Yield the rows and the size in bytes of every row group of a Parquet file, or of every batch of an Arrow file."""
    with _told(path):
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
                found = [(group.num_rows, group.total_byte_size) for group in groups]
        else:
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
                found = [(batch.num_rows, batch.nbytes) for batch in stream]

    yield from found


def _batches(path: Path, group: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a group in batches small enough for images; pages are read as they are needed."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path, buffer_size=_CHUNK, pre_buffer=False) as file:
            size = file.metadata.row_group(group).total_byte_size
            rows = file.metadata.row_group(group).num_rows
            step = min(max(_CHUNK * rows // max(size, 1), 1), _MOST_ROWS)
            yield from file.iter_batches(step, row_groups=[group], use_threads=False)
    else:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            for number, batch in enumerate(stream):
                if number == group:
                    yield batch
                    return
