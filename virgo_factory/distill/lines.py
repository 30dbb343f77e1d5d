"""Lines of JSONL files that are found by their key while only numbers are held in memory."""

import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def hash_of(*parts: object) -> int:
    """Return 64 bits of a key; two of a million keys are the same with a chance of 3 in 100 million."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def lines_of(path: Path) -> Iterator[tuple[int, int, Any]]:
    """Yield (line number, byte at which it begins, value) of a JSONL file; a last line without its end is not there yet.

    Raises:
        ValueError: a line is not a JSON object, with file and line.
    """
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return

            if line.strip():
                try:
                    value = json.loads(line)
                    if not isinstance(value, dict):
                        raise ValueError(f"found {type(value).__name__}")
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{path}:{number}: not a JSON object ({error}).") from None

                yield number, start, value

            start += len(line)


def shards_of(folder: Path, name: str) -> list[Path]:
    """Return the files of a folder that hold `name`.jsonl and its shards (`name`-2of8.jsonl), in the order of their names."""
    whole = [folder / f"{name}.jsonl"]
    return [path for path in [*whole, *sorted(folder.glob(f"{name}-*of*.jsonl"))] if path.is_file()]


class LineIndex:
    """Where the line of each key is, 18 bytes a line.

    Args:
        paths: JSONL files.
        key: of a row, as numbers or texts; None for rows that are not looked for.
    """

    def __init__(self, paths: Sequence[Path], key: Callable[[dict[str, Any]], Sequence[object] | None]) -> None:
        hashes, files, starts = array("Q"), array("H"), array("Q")
        for place, path in enumerate(paths):
            for _, start, row in lines_of(path):
                if (of_row := key(row)) is not None:
                    hashes.append(hash_of(*of_row))
                    files.append(place)
                    starts.append(start)

        self._paths = list(paths)
        order = np.argsort(np.frombuffer(hashes, np.uint64), kind="stable") if hashes else np.empty(0, np.int64)
        self._hashes = np.frombuffer(hashes, np.uint64)[order] if hashes else np.empty(0, np.uint64)
        self._files = np.frombuffer(files, np.uint16)[order] if hashes else np.empty(0, np.uint16)
        self._starts = np.frombuffer(starts, np.uint64)[order] if hashes else np.empty(0, np.uint64)
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, *key: object) -> dict[str, Any] | None:
        """Return the row of a key, the first where several have it; None where none has."""
        wanted = np.uint64(hash_of(*key))
        at = int(np.searchsorted(self._hashes, wanted))
        if at == len(self) or self._hashes[at] != wanted:
            return None

        return self.read(int(self._files[at]), int(self._starts[at]))

    def read(self, place: int, start: int) -> dict[str, Any]:
        """Return the row that begins at a byte of a file."""
        if place not in self._open:
            self._open[place] = self._paths[place].open("rb")

        file = self._open[place]
        file.seek(start, os.SEEK_SET)
        return json.loads(file.readline())

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()

        self._open.clear()

    def __enter__(self) -> "LineIndex":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
