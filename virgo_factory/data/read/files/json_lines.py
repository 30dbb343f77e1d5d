"""JSONL files, cut where an edited row leaves most other chunks as they were."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from virgo_factory.data.read.files import chunks
from virgo_factory.data.read.files.chunks import Chunk
from virgo_factory.data.read.files.opened import BOM, UNPACKING, broken_off, is_packed, opened, position


def cut_lines(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a JSONL file, cut behind the line of the least checksum in the second half of CHUNK bytes."""
    packed = is_packed(path)
    with opened(path) as file:
        window = file.read(len(BOM))
        start = len(BOM) if window == BOM else 0
        window, line, done = window[start:], 1, 0
        broken = None
        while True:
            more = b""
            try:
                more = file.read(max(2 * chunks.CHUNK - len(window), len(window), 1))
            except UNPACKING as error:
                broken, window = error, window[: window.rfind(b"\n") + 1]

            window += more
            while cut := _cut(window, at_end=not more):
                content = window[:cut]
                size = cut
                if packed:
                    size, done = position(file) - done, position(file)

                if not content.isspace():
                    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
                    yield Chunk(str(path), "lines", start, cut, line, 0, digest, size, content if packed else None)

                line += content.count(b"\n")
                start, window = start + cut, window[cut:]

            if broken:
                raise broken_off(path, line, broken)

            if not more:
                return


def _cut(window: bytes, at_end: bool) -> int:
    """Return where the first chunk of a window ends; 0 where more of the file is needed (or nothing is left)."""
    if len(window) <= chunks.CHUNK:
        return len(window) if at_end else 0

    best, least = 0, 1 << 32
    start = window.find(b"\n", chunks.CHUNK // 2, chunks.CHUNK) + 1
    while start:
        end = window.find(b"\n", start, chunks.CHUNK) + 1
        if (checksum := zlib.crc32(window[start : end or chunks.CHUNK])) < least and end:
            best, least = end, checksum

        best, start = best or start, end

    if not best:  # a row of more than half a chunk
        best = window.find(b"\n", chunks.CHUNK // 2) + 1

    return best or (len(window) if at_end else 0)
