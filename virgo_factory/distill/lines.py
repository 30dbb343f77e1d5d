"""Lines of JSONL files that are found by their key while only numbers are held in memory."""

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np


def hash_of(*parts: object) -> int:
    """Return 64 bits of a key; two of a million keys are the same with a chance of 3 in 100 million."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def raw_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (line number, byte at which it begins, line) of what is written; a last line without its end is not there yet."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return

            if line.strip():
                yield number, start, line

            start += len(line)


def lines_of(path: Path) -> Iterator[tuple[int, int, Any]]:
    """Yield (line number, byte at which it begins, value) of a JSONL file.

    Raises:
        ValueError: a line is not a JSON object, with file and line.
    """
    for number, start, line in raw_lines(path):
        try:
            value = json.loads(line.decode())
            if not isinstance(value, dict):
                raise ValueError(f"found {type(value).__name__}")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}:{number}: not a JSON object ({error}).") from None

        yield number, start, value


def shards_of(folder: Path, name: str) -> list[Path]:
    """Return the files of a folder that hold `name`.jsonl and its shards (`name`-2of8.jsonl), in the order of their names."""
    whole = [folder / f"{name}.jsonl"]
    return [path for path in [*whole, *sorted(folder.glob(f"{name}-*of*.jsonl"))] if path.is_file()]


class Lines:
    """Rows of JSONL files, read by where they begin; a context manager that closes the files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._open: dict[int, Any] = {}

    def read(self, place: int, start: int) -> dict[str, Any]:
        """Return the row that begins at byte `start` of the file at `place` in the paths."""
        if place not in self._open:
            self._open[place] = self._paths[place].open("rb")

        file = self._open[place]
        file.seek(start)
        return json.loads(file.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._open.values():
            file.close()

        self._open.clear()


class LineIndex(Lines):
    """Rows of a JSONL file that are found by one of their columns, 16 bytes a row.

    Raises:
        ValueError: a line is not a JSON object.
    """

    def __init__(self, path: Path, column: str) -> None:
        super().__init__([path])
        hashes, starts = array("Q"), array("Q")
        for _, start, row in lines_of(path):
            hashes.append(hash_of(row.get(column)))
            starts.append(start)

        keys = np.array(hashes, np.uint64)
        order = np.argsort(keys, kind="stable")
        self._keys, self._starts = keys[order], np.array(starts, np.uint64)[order]

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the first row whose column holds `key`; None where none does."""
        wanted = np.uint64(hash_of(key))
        at = int(np.searchsorted(self._keys, wanted))
        if at == len(self._keys) or self._keys[at] != wanted:
            return None

        return self.read(0, int(self._starts[at]))
