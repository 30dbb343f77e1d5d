"""Read rows from JSON, JSONL, Parquet and Arrow files, one at a time, each with its place.

`datasets.load_dataset` needs one type a column and dies on a mixed one without saying where; here a row is whatever its
line says, and every complaint names file and line. Files are cut into chunks of about 200 kB, which can be read
anywhere and in any order; where a JSONL file is cut depends on the lines there, so that an edited row leaves most other
chunks as they were.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from virgo_factory.datasets.source import Source

SUFFIXES = (".json", ".jsonl")
TABLE_SUFFIXES = (".parquet", ".arrow")
DATA_SUFFIXES = SUFFIXES + TABLE_SUFFIXES
SHOWN = 20
_CHUNK = 1 << 18
"""Bytes. Small: a row of 300 bytes may have an image that takes 20 ms to decode, and a kill loses a chunk."""
_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_BOM = b"\xef\xbb\xbf"
_REMEDY = "Repair or remove the line; a file cut off in the middle is no data."


class UnreadableFile(ValueError):
    """A file that cannot be read as rows; the message lists up to 20 places.

    Attributes:
        line: 1-based, where a JSON list breaks off in the middle; 0 for anything else.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line

    def __reduce__(self):
        return type(self), (str(self), self.line)


@dataclass(frozen=True)
class RawRow:
    """One row of a file, not yet decoded.

    Attributes:
        line: 1-based line at which it begins.
        text: its JSON text.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file that holds whole rows.

    Attributes:
        kind: `lines` (JSONL), `list` (items of a JSON list) or `table` (Parquet, Arrow).
        start: its first byte; of a table its first row in the group.
        size: in bytes; of a table in rows.
        line: 1-based line at which it begins; 0 for a table.
        group: row group of a Parquet file.
        digest: of what it holds: equal digests, equal rows.
        bytes: of the file that it stands for.
    """

    file: str
    kind: str
    start: int
    size: int
    line: int
    group: int
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row as it was read: decoded, or what is wrong with it.

    Attributes:
        line: 1-based line at which it begins; 0 in a table.
        raw: the decoded row; None where it could not be read.
        problem: why it could not be read; "" for a row.
    """

    line: int
    raw: Any
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source.

    Attributes:
        source: position of the source among those that were asked for.
        number: position in the source, from 0, over all of its files; of the rows that its split means.
        line: 1-based line at which it begins; 0 in a table (Parquet, Arrow).
        raw: the decoded row.
    """

    source: int
    number: int
    file: str
    line: int
    raw: Any

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return place_of(self.file, self.line, self.number)


def place_of(file: str, line: int, number: int) -> str:
    """Return where a row stands, for messages.

    >>> place_of("a.jsonl", 7, 6), place_of("a.parquet", 0, 6)
    ('a.jsonl:7', 'a.parquet row 7')
    """
    return f"{file}:{line}" if line else f"{file} row {number + 1}"


def read_source(source: "Source", index: int = 0) -> Iterator[SourceRow]:
    """Yield the rows of a source, file after file; memory does not grow with them.

    Args:
        source: whose files are read.
        index: its position among the sources, for `SourceRow.source`.

    Raises:
        UnreadableFile: a file is not what its name says, or has broken rows: all are told at once (up to 20), after the
            good rows of all files have been yielded.
    """
    number, broken = 0, []
    for file in source.files:
        for chunk in cut_file(file):
            for row in read_chunk(chunk):
                for position in source.positions(number):
                    if row.problem:
                        broken.append(f"{place_of(chunk.file, row.line, position)}: {row.problem}")
                    else:
                        yield SourceRow(index, position, chunk.file, row.line, row.raw)

                number += 1

    if broken:
        more = [f"... and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise UnreadableFile("\n".join([*broken[:SHOWN], *more, _REMEDY]))


def count_rows(files: Iterable[str | Path]) -> int:
    """Return how many rows files have, broken ones included; what stands behind the end of a broken JSON list has none.

    Raises:
        UnreadableFile: a file that is none of rows.
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


def read_rows(path: str | Path) -> Iterator[RawRow]:
    """Yield the rows of a JSONL file, or of a JSON file that holds one list of objects; memory does not grow.

    Every row is valid JSON. Blank lines and a byte order mark are skipped.

    Raises:
        UnreadableFile: not UTF-8, not JSON, not a list, or without rows. All broken lines of a JSONL file are told at
            once (up to 20), after the good rows before them have been yielded.
    """
    path = Path(path)
    _check_encoding(path)
    rows = 0
    for row in _list_items(path) if is_list(path) else _lines(path):
        rows += 1
        yield row

    if rows == 0:
        raise UnreadableFile(f"{path}: no rows in the file.")


def cut_file(path: str | Path) -> Iterator[Chunk]:
    """Yield the chunks of a file in order, each of about 200 kB and of whole rows.

    Raises:
        UnreadableFile: in another encoding than UTF-8, not a table, or without rows; a JSON list that breaks off does
            so after the chunks before that place.
    """
    path = Path(path)
    if path.suffix in TABLE_SUFFIXES:
        from virgo_factory.datasets.tables import cut_table

        chunks = cut_table(path)
    else:
        _check_encoding(path)
        chunks = _cut_list(path) if is_list(path) else _cut_lines(path)

    empty = True
    for chunk in chunks:
        empty = False
        yield chunk

    if empty:
        raise UnreadableFile(f"{path}: no rows in the file.")


def read_chunk(chunk: Chunk) -> Iterator[ReadRow]:
    """Yield the rows of a chunk, those that cannot be read with the reason."""
    if chunk.kind == "table":
        from virgo_factory.datasets.tables import read_table_rows

        for raw in read_table_rows(chunk):
            yield ReadRow(0, raw)
        return

    with open(chunk.file, "rb") as file:
        file.seek(chunk.start)
        content = file.read(chunk.size)

    if chunk.kind == "lines":
        for number, line in enumerate(content.split(b"\n"), start=chunk.line):
            if line := line.strip():
                yield ReadRow(number, *_decoded(line))
    else:
        yield from _decoded_items(content.decode(), chunk.line)


def _decoded(line: bytes) -> tuple[Any, str]:
    """Return the value of one line of JSONL, or None and what is wrong with it."""
    try:
        return json.loads(line.decode()), ""
    except UnicodeDecodeError as error:
        return None, (
            f"not UTF-8 (byte 0x{line[error.start]:02x} at column {error.start + 1}). If the file is Latin-1 or "
            "Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
        )
    except json.JSONDecodeError as error:
        if zeros := line.count(b"\0"):  # \u0000 is the way to write one in JSON; a raw one comes of damage
            return None, (
                f"not JSON ({zeros} NUL bytes: the file was damaged, or cut off by a crash while it was written)"
            )

        if line == b"{":
            return None, (
                "one JSON object over several lines. A .json file must hold a list of rows, a .jsonl file one row a line"
            )

        return None, f"not JSON ({error.msg} at column {error.colno})"
    except RecursionError:
        return None, "nested too deeply"
    except ValueError as error:  # a whole number of more than 4,300 digits
        return None, f"{error}"


def _decoded_items(text: str, line: int) -> Iterator[ReadRow]:
    """Yield the items of a piece of a JSON list that `_list_items` has been through."""
    decode, at = json.JSONDecoder().raw_decode, 0
    while at < len(text):
        found = _NOT_SPACE.search(text, at)
        if found is None:
            return

        start = found.start() + (found.group() == ",")
        if start > found.start():
            line += text.count("\n", at, start)
            at = start
            continue

        line += text.count("\n", at, start)
        raw, at = decode(text, start)
        yield ReadRow(line, raw)
        line += text.count("\n", start, at)


def _check_encoding(path: Path) -> None:
    """Raise UnreadableFile for a file in UTF-16 or UTF-32, which every line of it would be told to be broken for."""
    with path.open("rb") as file:
        head = file.read(4096)

    name = None
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        name = "UTF-32"
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")) or re.match(rb"(?:[\t\n\r -~]\0){2}|(?:\0[\t\n\r -~]){2}", head):
        name = "UTF-16"

    if name:
        raise UnreadableFile(
            f"{path}: not UTF-8, but {name} (byte 0). Convert it: iconv -f {name} -t UTF-8 {path.name} > NEW{path.suffix}"
        )

    if head.startswith(b"\x1f\x8b"):
        raise UnreadableFile(f"{path}: not UTF-8, but compressed (gzip). Unpack it first.")


def is_list(path: Path) -> bool:
    """Return whether a file holds one JSON list, whatever its name says."""
    if path.suffix in TABLE_SUFFIXES:
        return False

    with path.open("rb") as file:
        at_start = True
        while chunk := file.read(4096):
            if chunk := (chunk.removeprefix(_BOM) if at_start else chunk).lstrip():
                return chunk[:1] == b"["

            at_start = False

    return False


def _lines(path: Path) -> Iterator[RawRow]:
    broken = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            line = (line.removeprefix(_BOM) if number == 1 else line).strip()
            if not line:
                continue

            _, problem = _decoded(line)
            if not problem:
                if not broken:
                    yield RawRow(number, line.decode())
                continue

            if number == 1 and line == b"{":
                raise UnreadableFile(f"{path}: {problem}.")

            broken.append(f"{path}:{number}: {problem}")
            if len(broken) == SHOWN:
                broken.append("... (the first 20 are shown)")
                break

    if broken:
        raise UnreadableFile("\n".join([*broken, _REMEDY]))


def _cut_lines(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a JSONL file, cut behind the line of the least checksum in the second half of _CHUNK."""
    with path.open("rb") as file:
        start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(start)
        window, line = b"", 1
        while True:
            more = file.read(max(2 * _CHUNK - len(window), len(window), 1))
            window += more
            while cut := _cut(window, at_end=not more):
                content = window[:cut]
                if not content.isspace():
                    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
                    yield Chunk(str(path), "lines", start, cut, line, 0, digest, cut)

                line += content.count(b"\n")
                start, window = start + cut, window[cut:]

            if not more:
                return


def _cut(window: bytes, at_end: bool) -> int:
    """Return where the first chunk of a window ends; 0 where more of the file is needed (or nothing is left)."""
    if len(window) <= _CHUNK:
        return len(window) if at_end else 0

    best, least = 0, 1 << 32
    start = window.find(b"\n", _CHUNK // 2, _CHUNK) + 1
    while start:
        end = window.find(b"\n", start, _CHUNK) + 1
        if (checksum := zlib.crc32(window[start : end or _CHUNK])) < least and end:
            best, least = end, checksum

        best, start = best or start, end

    if not best:  # a row of more than half a chunk
        best = window.find(b"\n", _CHUNK // 2) + 1

    return best or (len(window) if at_end else 0)


def _cut_list(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a JSON list: items until they are _CHUNK together."""
    first, start, end, digest = 0, 0, 0, hashlib.blake2b(digest_size=16)
    text = _Text(path)

    def chunk() -> Chunk:
        return Chunk(str(path), "list", start, end - start, first, 0, digest.hexdigest(), end - start)

    try:
        for item in _items(text):
            content = item.text.encode()
            if not first:
                first, start = item.line, text.byte - len(content)

            end = text.byte
            digest.update(b"%d\n" % (item.line - first))
            digest.update(content)
            if end - start >= _CHUNK:
                yield chunk()
                first, digest = 0, hashlib.blake2b(digest_size=16)
    except UnreadableFile:
        if first:
            yield chunk()
        raise

    if first:
        yield chunk()


def _list_items(path: Path) -> Iterator[RawRow]:
    """Yield the items of a JSON list, reading the file in pieces."""
    return _items(_Text(path))


def _items(text: "_Text") -> Iterator[RawRow]:
    with text.file:
        text.skip_space()
        text.take("[")
        if text.skip_space() == "]":
            return  # no rows is an error anyway

        while True:
            line = text.line
            yield RawRow(line, text.take_value())
            mark = text.skip_space()
            if mark == "]":
                text.take(mark)
                if text.skip_space():  # a second list, say, whose rows would be lost
                    raise UnreadableFile(
                        f"{text.path}:{text.line}: not JSON (text after the end of the list).", text.line
                    )

                return

            if mark != ",":
                raise UnreadableFile(
                    f"{text.path}:{text.line}: not JSON (expecting ',' or ']' after a row).", text.line
                )

            text.take(",")
            text.skip_space()


class _Text:
    """A window over a file's text that is read on as far as a JSON value needs; `line` and `byte` say where it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.byte = len(_BOM) if file.read(len(_BOM)) == _BOM else 0

        self.file = path.open(encoding="utf-8-sig", newline="\n")
        self.window, self.at, self.line = "", 0, 1
        self.decoder = json.JSONDecoder()

    def read_on(self) -> bool:
        """Add a piece of the file, as long as what is open, so that a 50 MB row costs linear time."""
        rest = self.window[self.at :]
        try:
            more = self.file.read(max(_CHUNK, len(rest)))
        except UnicodeDecodeError as error:
            raise UnreadableFile(*self._not_utf8(error)) from None

        if more:
            self.window, self.at = rest + more, 0

        return bool(more)

    def _not_utf8(self, error: UnicodeDecodeError) -> tuple[str, int]:
        """Return message and line of where the file is not UTF-8: the first such byte, which the decoder tells within a piece only."""
        before = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as found:
                    place = (
                        f"{self.path}:{number}: not UTF-8 (byte 0x{line[found.start]:02x} at {before + found.start})"
                    )
                    return (
                        f"{place}. If it is Latin-1 or Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
                        number,
                    )

                before += len(line)

        return f"{self.path}: not UTF-8 ({error.reason}). Save the file as UTF-8.", 0

    def skip_space(self) -> str:
        """Go to the next character that is not white, and return it; "" at the end of the file."""
        while True:
            found = _NOT_SPACE.search(self.window, self.at)
            end = found.start() if found else len(self.window)
            self.line += self.window.count("\n", self.at, end)
            self.byte += end - self.at
            self.at = end
            if found:
                return found.group()

            if not self.read_on():
                return ""

    def take(self, character: str) -> None:
        self.at += len(character)
        self.byte += len(character)

    def take_value(self) -> str:
        """Return the text of the JSON value that begins here, and go behind it."""
        while True:
            try:
                _, end = self.decoder.raw_decode(self.window, self.at)
                cut = end + 2 >= len(self.window)  # a number may go on in the next piece: 1e+5 after 1e+
                error = None
            except RecursionError:
                raise UnreadableFile(f"{self.path}:{self.line}: nested too deeply.", self.line) from None
            except json.JSONDecodeError as found:
                error = found
                cut = found.msg.startswith("Unterminated string") or found.pos >= len(self.window) - 12
            except ValueError as found:  # a whole number of more than 4,300 digits
                raise UnreadableFile(f"{self.path}:{self.line}: {found}", self.line) from None

            if cut and self.read_on():
                continue

            if error:
                line = self.line + self.window.count("\n", self.at, error.pos)
                raise UnreadableFile(f"{self.path}:{line}: not JSON ({error.msg}).", line) from None

            value = self.window[self.at : end]
            self.line += value.count("\n")
            self.byte += len(value) if value.isascii() else len(value.encode())
            self.at = end
            return value
