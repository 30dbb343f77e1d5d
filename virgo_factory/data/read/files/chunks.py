"""Pieces of files that hold whole rows, and by their names which files do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError


SUFFIXES = (".json", ".jsonl")
CSV_SUFFIXES = (".csv", ".tsv")
TABLE_SUFFIXES = (".parquet", ".arrow")
DATA_SUFFIXES = (*SUFFIXES, *CSV_SUFFIXES, *TABLE_SUFFIXES)
PACKED = ".gz"
CHUNK = 1 << 18
"""Bytes. Small: a row of 300 bytes may have an image that takes 20 ms to decode, and a kill loses a chunk."""


class UnreadableFile(UserError):
    """A file that cannot be read as rows; the message lists up to 20 places.

    Attributes:
        line: 1-based, where a JSON list breaks off in the middle; 0 for anything else.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line

    def __reduce__(self):
        return type(self), (str(self), self.line)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file that holds whole rows."""

    file: str
    kind: str  # `lines` (JSONL), `list` (items of a JSON list), `cells` (CSV) or `table` (Parquet, Arrow)
    start: int  # its first byte; of a table its first row in the group
    size: int  # in bytes; of a table in rows
    line: int  # that of its first row (`ReadRow.line`); 0 for a table
    group: int  # row group of a Parquet file
    digest: str  # of what it holds: equal digests, equal rows
    bytes: int  # of the file that it stands for
    # its bytes, where they cannot be read from the file at `start`: of a packed file, and of CSV
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row as it was read: decoded, or what is wrong with it."""

    # 1-based line at which it begins; of a JSON list on one line minus the number of the item in it; 0 in a table
    line: int
    raw: Any  # the decoded row; None where it could not be read
    problem: str = ""  # why it could not be read; "" for a row
    text: str = ""  # of a line, or out of `read_rows`, its JSON; else ""


def suffix_of(path: Path) -> str:
    """Return the suffix that says what a file holds.

    >>> suffix_of(Path("a.jsonl.gz")), suffix_of(Path("a.csv"))
    ('.jsonl', '.csv')
    """
    return Path(path.stem).suffix if path.suffix == PACKED else path.suffix


def is_data_file(path: Path) -> bool:
    """Return whether a file's name says that its rows can be read."""
    return suffix_of(path) in (DATA_SUFFIXES if path.suffix != PACKED else (*SUFFIXES, *CSV_SUFFIXES))
