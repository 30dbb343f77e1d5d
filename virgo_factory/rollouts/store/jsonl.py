"""The JSONL files of a folder: their lines, and the shards that several machines write."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from virgo_factory.core.errors import UserError
from virgo_factory.io.index import read_object


T = TypeVar("T")
Shard = tuple[int, int]


def hash_of(text: str) -> int:
    """Return 64 bits of a text; two of a million texts have the same with a chance of 3 in 100 million."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def digest(response: str) -> str:
    """Return sixteen digits that tell a response from others.

    >>> digest("12") == digest("12"), digest("12") == digest("13")
    (True, False)
    """
    return f"{hash_of(response):016x}"


def lines_of(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of a JSONL file; ValueError, with file and line, where one is no JSON object.

    A last line without its end is not there yet.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return

            if line.strip():
                try:
                    yield number, read_object(line)
                except ValueError as error:
                    raise UserError(f"{path}:{number}: {error}.") from None


def rows_of(folder: Path, name: str, make: Callable[[Any], T], remedy: str = "") -> Iterator[T]:
    """Yield what `make` makes of the lines of a folder's files of a name, see `shards_of`; a broken line's error ends with `remedy`."""
    for path in shards_of(folder, name):
        for number, row in lines_of(path):
            try:
                yield make(row)
            except ValueError as error:
                raise UserError(f"{path}:{number}: {error}{remedy}") from None


def shards_of(folder: Path, name: str) -> list[Path]:
    """Return the files of a folder that hold `name`.jsonl and its shards (`name`-2of8.jsonl), in the order of their names."""
    whole = [folder / f"{name}.jsonl"]
    return [path for path in [*whole, *sorted(folder.glob(f"{name}-*of*.jsonl"))] if path.is_file()]


def shard_suffix(shard: Shard | None) -> str:
    """Return what the names of a shard's files end with.

    >>> shard_suffix((2, 8)), shard_suffix(None)
    ('-2of8', '')
    """
    return "" if shard is None else f"-{shard[0]}of{shard[1]}"


def is_in_shard(question: str, shard: Shard | None) -> bool:
    """Return whether a question is asked by a shard; each is by exactly one of n.

    >>> [is_in_shard("tabmwp/12", (index, 3)) for index in (1, 2, 3)].count(True)
    1
    """
    if shard is None:
        return True

    index, count = shard
    return int.from_bytes(hashlib.sha256(question.encode()).digest()) % count == index - 1
