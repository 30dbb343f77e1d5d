"""CSV and TSV files with a header."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

from virgo_factory.data.read.files import chunks
from virgo_factory.data.read.files.chunks import Chunk, UnreadableFile, suffix_of
from virgo_factory.data.read.files.opened import UNPACKING, broken_off, convert_it, opened, position


def cut_csv(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a CSV file, which are JSON: [line, row, problem] a line."""
    lines: list[bytes] = []
    first = size = done = 0

    def chunk() -> Chunk:
        content = b"\n".join(lines)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        return Chunk(str(path), "cells", 0, len(content), first, 0, digest, position(file) - done, content)

    with opened(path) as file:
        try:
            for line, row, problem in _csv_rows(path, file):
                first = first or line
                lines.append(json.dumps([line, row, problem]).encode())
                size += len(lines[-1])
                if size >= chunks.CHUNK:
                    yield chunk()
                    lines, first, size, done = [], 0, 0, position(file)
        except UnreadableFile:
            if lines:
                yield chunk()
            raise

        if lines:
            yield chunk()


def _csv_rows(path: Path, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """Yield (line, row, problem) of a CSV or TSV file with a header; an empty cell is null.

    Raises UnreadableFile for no header, two columns of one name, what is not UTF-8, or a quotation mark that is never closed.
    """
    csv.field_size_limit(1 << 30)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    number = 1
    try:
        head = text.readline()
        tab = suffix_of(path) == ".tsv"
        delimiter = "\t" if tab else max(",;\t", key=re.sub(r'"[^"]*"', "", head).count)
        reader = csv.reader(chain([head], text), delimiter=delimiter, strict=True)
        names = next(reader, [])
        indexed = len(names) > 1 and not names[0]  # numbers of the rows, as pandas writes them
        names = names[indexed:]
        if any("\n" in name.strip() or "</" in name or len(name) > 300 for name in names):
            raise UnreadableFile(
                f"{path}:1: no header, but a row of texts. The first line of a CSV file names its columns: write question, "
                "thought, solution, or whatever they are, above it."
            )

        again = [name for name in names if not name.strip() or names.count(name) > 1]
        if again or not names:
            raise UnreadableFile(
                f"{path}:1: the header has {f'{again[0]!r} twice or an empty name' if names else 'no column'}. The first line "
                "of a CSV file names its columns."
            )

        number = reader.line_num + 1
        for cells in reader:
            if not any(cells):
                pass
            elif len(cells) != len(names) + indexed:
                yield number, None, f"{len(cells)} cells, where the header has {len(names) + indexed}"
            else:
                yield number, {name: cell or None for name, cell in zip(names, cells[indexed:], strict=True)}, ""

            number = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(
            f"{path}:{number}: not CSV ({error}). A quotation mark may not be closed: inside quotes it is written twice.",
            number,
        ) from None
    except UnicodeDecodeError as error:
        told = convert_it(error.object[max(error.start - 60, 0) :][:2000])
        raise UnreadableFile(
            f"{path}:{number}: not UTF-8 (byte 0x{error.object[error.start]:02x}). {told}", number
        ) from None
    except UNPACKING as error:
        raise broken_off(path, number, error) from None
    finally:
        text.detach()
