"""Read rows from JSON, JSONL, CSV, Parquet and Arrow files, one at a time, each with its place; packed by gzip or not.

`datasets.load_dataset` needs one type a column and dies on a mixed one without saying where; here a row is whatever its
line says, and every complaint names file and line. Files are cut into chunks of about 200 kB, which can be read
anywhere and in any order; where a JSONL file is cut depends on the lines there, so that an edited row leaves most other
chunks as they were.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from virgo_factory.data.read.files.chunks import (
    CSV_SUFFIXES,
    TABLE_SUFFIXES,
    Chunk,
    ReadRow,
    UnreadableFile,
    suffix_of,
)
from virgo_factory.data.read.files.csv_rows import cut_csv
from virgo_factory.data.read.files.json_lines import cut_lines
from virgo_factory.data.read.files.json_lists import cut_list, is_list, read_items
from virgo_factory.data.read.files.json_values import decoded
from virgo_factory.data.read.files.opened import check_encoding


NOT_JSON = "not JSON"
UNREADABLE = {
    "a row with more or fewer cells than the header": ("other_cells", re.compile(r"\d+ cells?, ")),
    "a second list of objects": ("second_list", re.compile("a second list of objects, ")),
    "not CSV": ("not_csv", re.compile("not CSV ")),
    "not UTF-8": ("not_utf8", re.compile("not UTF-8 ")),
    "a key stands twice": ("key_twice", re.compile("the key ")),
    NOT_JSON: ("not_json", re.compile("")),
}
"""Reason of what cannot be read -> the code of its finding, and how the words about one begin."""
SHOWN = 20
_REMEDY = "Repair or remove the line; a file cut off in the middle is no data."


def why_unreadable(problem: str) -> tuple[str, str]:
    """Return the reason by which what cannot be read is counted, and the code of its finding.

    >>> why_unreadable("2 cells, where the header has 3")
    ('a row with more or fewer cells than the header', 'other_cells')
    """
    return next((reason, code) for reason, (code, begin) in UNREADABLE.items() if begin.match(problem))


def place_of(file: str, line: int, number: int) -> str:
    """Return where a row stands, for messages.

    >>> place_of("a.jsonl", 7, 6), place_of("a.parquet", 0, 6), place_of("a.json.gz", -7, 6)
    ('a.jsonl:7', 'a.parquet row 7', 'a.json.gz item 7')
    """
    if line < 0:
        return f"{file} item {-line}"

    return f"{file}:{line}" if line else f"{file} row {number + 1}"


def count_rows(files: Iterable[str | Path]) -> int:
    """Return how many rows files have, broken ones included; what stands behind the end of a broken JSON list has none.

    Raises UnreadableFile for a file that is none of rows.
    """
    rows = 0
    for file in files:
        try:
            for chunk in cut_file(file):
                rows += chunk.size if chunk.kind == "table" else sum(1 for _ in read_chunk(chunk))
        except UnreadableFile as error:
            if not error.line:
                raise

    return rows


def read_rows(path: str | Path) -> Iterator[ReadRow]:
    """Yield the rows of a file of text, with valid JSON; memory does not grow. Blank lines and a byte order mark are skipped.

    Raises UnreadableFile for what is not UTF-8, not JSON, no file of rows, or without any. All broken lines are told at
    once (up to 20), after the good rows before them have been yielded.
    """
    broken = []
    for chunk in cut_file(path):
        for row in read_chunk(chunk):
            if row.problem:
                broken.append(f"{path}:{row.line}: {row.problem}")
            elif not broken:
                yield ReadRow(row.line, row.raw, text=row.text or json.dumps(row.raw, ensure_ascii=False))

    if broken:
        raise all_broken(broken)


def cut_file(path: str | Path) -> Iterator[Chunk]:
    """Yield the chunks of a file in order, each of about 200 kB and of whole rows.

    Raises UnreadableFile for another encoding than UTF-8, no table, or no rows; of a JSON list that breaks off after the
    chunks before that place.
    """
    path = Path(path)
    if path.suffix in TABLE_SUFFIXES:
        from virgo_factory.data.read.files.tables import cut_table

        chunks = cut_table(path)
    else:
        check_encoding(path)
        cut = cut_csv if suffix_of(path) in CSV_SUFFIXES else cut_list if is_list(path) else cut_lines
        chunks = cut(path)

    empty = True
    for chunk in chunks:
        empty = False
        yield chunk

    if empty:
        raise UnreadableFile(f"{path}: no rows in the file.")


def read_chunk(chunk: Chunk) -> Iterator[ReadRow]:
    """Yield the rows of a chunk, those that cannot be read with the reason."""
    if chunk.kind == "table":
        from virgo_factory.data.read.files.tables import read_table_rows

        for raw in read_table_rows(chunk):
            yield ReadRow(0, raw)
        return

    content = chunk.content
    if content is None:
        with open(chunk.file, "rb") as file:
            file.seek(chunk.start)
            content = file.read(chunk.size)

    if chunk.kind == "cells":
        for line in content.splitlines():
            yield ReadRow(*json.loads(line))
    elif chunk.kind == "lines":
        for number, line in enumerate(content.split(b"\n"), start=chunk.line):
            if line := line.strip():
                raw, problem = decoded(line)
                yield ReadRow(number, raw, problem, "" if problem else line.decode())
    else:
        yield from read_items(content.decode(), chunk.line, chunk.kind == "members")


def first_row(path: Path) -> Any:
    """Return the first row of a file, without a look at the others; None where it cannot be read."""
    with contextlib.suppress(UnreadableFile, StopIteration):
        if path.suffix in TABLE_SUFFIXES:
            from virgo_factory.data.read.files.tables import table_batches

            return next(table_batches(path)).slice(0, 1).to_pylist()[0]

        return next(read_chunk(next(cut_file(path)))).raw

    return None


def all_broken(broken: list[str]) -> UnreadableFile:
    more = [f"... and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
    return UnreadableFile("\n".join([*broken[:SHOWN], *more, _REMEDY]))
