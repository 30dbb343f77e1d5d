"""Read rows from JSON, JSONL, CSV, Parquet and Arrow files, one at a time, each with its place; packed by gzip or not.

`datasets.load_dataset` needs one type a column and dies on a mixed one without saying where; here a row is whatever its
line says, and every complaint names file and line. Files are cut into chunks of about 200 kB, which can be read
anywhere and in any order; where a JSONL file is cut depends on the lines there, so that an edited row leaves most other
chunks as they were.
"""

import contextlib
import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import orjson

from virgo_factory.data.read.chunks import (
    CSV_SUFFIXES,
    TABLE_SUFFIXES,
    Chunk,
    UnreadableFile,
    suffix_of,
)


LISTS = (
    *("train", "training", "data", "dataset", "rows", "examples", "samples", "instances", "items", "records", "entries"),
    *("questions", "annotations", "results", "test", "val", "valid", "validation", "dev", "eval"),
)  # fmt: skip
"""Keys of an object whose list holds the rows; in a .json file any other key may, if it is none of a row's own."""

ROW_KEYS = (
    *("messages", "conversations", "conversation", "steps", "turns", "history", "tools", "images", "image", "choices"),
    *("options", "question", "problem", "instruction", "prompt", "chosen", "rejected", "solutions", "generations"),
)
"""Keys that say that an object is a row itself."""

MEMBERS = "{}"
"""In place of such a key: the rows are the values of an object, by their ids, as benchmarks have them."""

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
_CHUNK = 1 << 18
"""Bytes. Small: a row of 300 bytes may have an image that takes 20 ms to decode, and a kill loses a chunk."""
_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_TO_NEXT_ITEM = re.compile(r"\s*(,\s*)?")
_COLON = re.compile(r"\s*:\s*")
_BOM = b"\xef\xbb\xbf"
_REMEDY = "Repair or remove the line; a file cut off in the middle is no data."
_HEAD = 1 << 16
_UNPACKING = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row as it was read: decoded, or what is wrong with it."""

    # 1-based line at which it begins; of a JSON list on one line minus the number of the item in it; 0 in a table
    line: int
    raw: Any  # the decoded row; None where it could not be read
    problem: str = ""  # why it could not be read; "" for a row
    text: str = ""  # of a line, or out of `read_rows`, its JSON; else ""


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
        from virgo_factory.data.read.tables import cut_table

        chunks = cut_table(path)
    else:
        _check_encoding(path)
        cut = _cut_csv if suffix_of(path) in CSV_SUFFIXES else _cut_list if is_list(path) else _cut_lines
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
        from virgo_factory.data.read.tables import read_table_rows

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
                raw, problem = _decoded(line)
                yield ReadRow(number, raw, problem, "" if problem else line.decode())
    else:
        yield from _decoded_items(content.decode(), chunk.line, chunk.kind == "members")


def first_row(path: Path) -> Any:
    """Return the first row of a file, without a look at the others; None where it cannot be read."""
    with contextlib.suppress(UnreadableFile, StopIteration):
        if path.suffix in TABLE_SUFFIXES:
            from virgo_factory.data.read.tables import table_batches

            return next(table_batches(path)).slice(0, 1).to_pylist()[0]

        return next(read_chunk(next(cut_file(path)))).raw

    return None


_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 19
"""Whole numbers of so many digits may be more than 64 bits, of which orjson makes a float."""


def _decoded(line: bytes) -> tuple[Any, str]:
    """Return the value of one line of JSONL, or None and what is wrong with it."""
    if _LONG not in line.translate(_ONE_DIGIT):
        try:
            value = orjson.loads(line)
            written, keys = line.count(b'":'), _count_keys(value)
            if (written == keys or written - line.count(b'\\":') == keys) and b'" :' not in line:  # none stands twice
                return value, ""
        except (orjson.JSONDecodeError, RecursionError):  # NaN, half a character; or its message
            pass

    try:
        return DECODER.decode(line.decode()), ""
    except UnicodeDecodeError as error:
        return None, (f"not UTF-8 (byte 0x{line[error.start]:02x} at column {error.start + 1}). {_convert_it(line)}")
    except json.JSONDecodeError as error:
        if zeros := line.count(b"\0"):  # \u0000 is the way to write one in JSON; a raw one comes of damage
            return None, (
                f"not JSON ({zeros} NUL bytes: the file was damaged, or cut off by a crash while it was written)"
            )

        return None, f"not JSON ({error.msg} at column {error.colno})"
    except RecursionError:
        return None, "nested too deeply"
    except ValueError as error:  # a key that stands twice, a whole number of more than 4,300 digits
        return None, error.args[0]


def _count_keys(value: Any) -> int:
    """Return how many keys a value has with all that it holds."""
    if type(value) is dict:
        return len(value) + sum(map(_count_keys, value.values()))

    return sum(map(_count_keys, value)) if type(value) is list else 0


class KeyTwice(ValueError):
    """An object with a key that stands twice: which of its values is meant is not known."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise KeyTwice(f"the key {key[:60]} stands twice in one object", key)

    return found


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _decoded_item(text: str, start: int) -> tuple[Any, int, str]:
    """Return the value that begins at a place of a text, where it ends, and what is wrong with it."""
    try:
        return *DECODER.raw_decode(text, start), ""
    except KeyTwice as error:
        return None, json.JSONDecoder().raw_decode(text, start)[1], error.args[0]


def _decoded_items(text: str, line: int, are_members: bool) -> Iterator[ReadRow]:
    """Yield the items of a piece of a JSON list or object that `_items` has been through; `line` is that of the first."""
    at, number, has_lines = 0, line, line > 0
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
        raw, at, problem = _decoded_item(text, start)
        if are_members:
            id = raw
            raw, at, problem = _decoded_item(text, _COLON.match(text, at).end())
            raw = {"id": id, **raw} if isinstance(raw, dict) else raw

        yield ReadRow(line if has_lines else number, raw, problem)
        line += text.count("\n", start, at)
        number -= 1


def _check_encoding(path: Path) -> None:
    """Raise UnreadableFile for a file in UTF-16 or UTF-32, which every line of it would be told to be broken for."""
    head = _head(path, 4096)
    name = None
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        name = "UTF-32"
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")) or re.match(rb"(?:[\t\n\r -~]\0){2}|(?:\0[\t\n\r -~]){2}", head):
        name = "UTF-16"

    if name:
        raise UnreadableFile(
            f"{path}: not UTF-8, but {name} (byte 0). Convert it: iconv -f {name} -t UTF-8 {path.name} > NEW{path.suffix}"
        )


def _convert_it(content: bytes) -> str:
    """Return how to make UTF-8 of a text in another encoding: GBK where that gives Chinese, else Windows-1252."""
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode("gb18030")
        words = re.findall(
            "[\u4e00-\u9fff]{2,}", text
        )  # one alone may be two letters with accents: \u9c9e is \u00f6\u00df
        if len("".join(words)) > sum(ord(letter) > 127 for letter in text) / 2:
            return "If the file is in GBK: iconv -f GB18030 -t UTF-8 FILE > NEW"

    return "If the file is Latin-1 or Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"


# packed files


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if _is_packed(path) else path.open("rb")


def _broken_off(path: Path, line: int, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{path}:{line}: the packed file breaks off or is damaged here ({error}). Fetch it again.", line
    )


def _head(path: Path, size: int = _HEAD) -> bytes:
    with _open(path) as file:
        try:
            return file.read(size)
        except _UNPACKING as error:
            raise _broken_off(path, 1, error) from None


# lists, bare or in an object


def is_list(path: Path) -> bool:
    """Return whether a file holds one JSON list, bare or as the one list of an object, or one object of rows by their ids.

    Raises UnreadableFile for one object over several lines, which is no list of rows.
    """
    return path.suffix not in TABLE_SUFFIXES and suffix_of(path) not in CSV_SUFFIXES and _list_key(path) is not None


def _list_key(path: Path) -> str | None:
    """Return the key under which the rows of a file stand as a list; "" where all of it is a list, None where it is none.

    MEMBERS where the rows are the values of an object.
    """
    with _open(path) as file:
        content = b""
        with contextlib.suppress(*_UNPACKING):
            while not content and (more := file.read(4096)):
                content = more.removeprefix(_BOM).lstrip()

            if content[:1] == b"{":
                content += file.read(_HEAD)

    if content[:1] != b"{":
        return "" if content[:1] == b"[" else None

    first, newline, rest = content.partition(b"\n")
    if newline and rest.strip() and _is_object(first):
        return None  # JSONL

    text = content.decode("utf-8", "ignore")
    if suffix_of(path) == ".json" and _are_rows(text):
        return MEMBERS

    keys = []
    for key, at in _keys(text):
        if not keys and re.match(r'\{\s*"0"\s*:', text[at : at + 200]):
            raise UnreadableFile(
                f"{path}: a table by its columns ({key}, ...), as pandas writes it. Write rows: "
                "to_json(FILE, orient='records', lines=True)."
            )

        keys.append(key)
        if key in ROW_KEYS:
            break

        if re.match(r"\[\s*\{", text[at : at + 200]) and (key in LISTS or suffix_of(path) == ".json"):
            return key

    if newline and rest.strip() and not _is_object(first) and not _is_object(rest.lstrip().partition(b"\n")[0]):
        named = f" (its keys: {', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''})" if keys else ""
        raise UnreadableFile(
            f"{path}: one JSON object over several lines{named}. A .json file must hold a list of rows, an object with one "
            'list of them ({"train": [...]}), or rows by their ids ({"1": {...}, ...}); a .jsonl file one row a line.'
        )

    return None


def _keys(text: str) -> Iterator[tuple[str, int]]:
    """Yield the keys of the object that a text begins with, each with the place of its value, as far as the text goes."""
    decoder, at = json.JSONDecoder(), 1
    with contextlib.suppress(ValueError, RecursionError):
        while found := re.compile(r'\s*,?\s*"').match(text, at):
            key, at = json.decoder.scanstring(text, found.end())
            if not (colon := re.compile(r"\s*:\s*").match(text, at)):
                return

            yield key, colon.end()
            _, at = decoder.raw_decode(text, colon.end())


def _are_rows(text: str) -> bool:
    """Whether the values of the object that a text begins with are rows, by their ids: objects with keys in common."""
    found = list(islice(_keys(text), 3))
    if not found or any(key in ROW_KEYS or text[at] != "{" for key, at in found):
        return False

    first, *others = ({key for key, _ in _keys(text[at:])} for _, at in found)
    if not others:
        return not first.isdisjoint(ROW_KEYS)

    shared = [first & other for other in others]
    are_alike = (
        len(both) * 2 >= len(first | other) or not both.isdisjoint(ROW_KEYS)
        for both, other in zip(shared, others, strict=True)
    )
    return all(like or other < first for like, other in zip(are_alike, others, strict=True))  # the last may be cut off


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8", "replace")), dict)
    except (ValueError, RecursionError):
        return False


# CSV


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
        told = _convert_it(error.object[max(error.start - 60, 0) :][:2000])
        raise UnreadableFile(
            f"{path}:{number}: not UTF-8 (byte 0x{error.object[error.start]:02x}). {told}", number
        ) from None
    except _UNPACKING as error:
        raise _broken_off(path, number, error) from None
    finally:
        text.detach()


def all_broken(broken: list[str]) -> UnreadableFile:
    more = [f"... and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
    return UnreadableFile("\n".join([*broken[:SHOWN], *more, _REMEDY]))


def _cut_csv(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a CSV file, which are JSON: [line, row, problem] a line."""
    lines: list[bytes] = []
    first = size = done = 0

    def chunk() -> Chunk:
        content = b"\n".join(lines)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        return Chunk(str(path), "cells", 0, len(content), first, 0, digest, _position(file) - done, content)

    with _open(path) as file:
        try:
            for line, row, problem in _csv_rows(path, file):
                first = first or line
                lines.append(json.dumps([line, row, problem]).encode())
                size += len(lines[-1])
                if size >= _CHUNK:
                    yield chunk()
                    lines, first, size, done = [], 0, 0, _position(file)
        except UnreadableFile:
            if lines:
                yield chunk()
            raise

        if lines:
            yield chunk()


def _position(file: IO[bytes]) -> int:
    """Return how many bytes of the file itself have been read."""
    return getattr(file, "fileobj", file).tell()


# lines


def _cut_lines(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a JSONL file, cut behind the line of the least checksum in the second half of _CHUNK."""
    packed = _is_packed(path)
    with _open(path) as file:
        window = file.read(len(_BOM))
        start = len(_BOM) if window == _BOM else 0
        window, line, done = window[start:], 1, 0
        broken = None
        while True:
            more = b""
            try:
                more = file.read(max(2 * _CHUNK - len(window), len(window), 1))
            except _UNPACKING as error:
                broken, window = error, window[: window.rfind(b"\n") + 1]

            window += more
            while cut := _cut(window, at_end=not more):
                content = window[:cut]
                size = cut
                if packed:
                    size, done = _position(file) - done, _position(file)

                if not content.isspace():
                    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
                    yield Chunk(str(path), "lines", start, cut, line, 0, digest, size, content if packed else None)

                line += content.count(b"\n")
                start, window = start + cut, window[cut:]

            if broken:
                raise _broken_off(path, line, broken)

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
    packed = _is_packed(path)
    pieces: list[bytes] = []

    def chunk() -> Chunk:
        content = b"".join(pieces) if packed else None
        pieces.clear()
        kind = "members" if text.key == MEMBERS else "list"
        return Chunk(str(path), kind, start, end - start, first, 0, digest.hexdigest(), end - start, content)

    try:
        for place, item in _items(text):
            content = item.encode()
            if not first:
                first, start = place, text.start
                line = first

            if packed:
                pieces += [b"\n" * (place - line), content, b","]
                line = place + content.count(b"\n")

            end = text.byte
            digest.update(b"%d\n" % (place - first))
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


def _items(text: "_Text") -> Iterator[tuple[int, str]]:
    """Yield (line, JSON) of the items of a list, or of the members of an object with their keys in front."""
    are_members = text.key == MEMBERS
    begin, end = "{}" if are_members else "[]"
    with text.file:
        if text.skip_space() == "{" and not are_members:
            text.go_to_list()

        text.take(begin)
        if text.skip_space() == end:
            return  # no rows is an error anyway

        has_lines, number = True, 0
        while True:
            line, number = text.line, number + 1
            text.start = text.byte
            try:
                id = f"{json.dumps(text.take_key())}:" if are_members else ""
                value = id + text.take_value()
            except UnreadableFile as error:
                if has_lines:
                    raise

                raise UnreadableFile(f"{str(error).rstrip('.')}, in item {number}.", error.line) from None

            if number == 1:  # are two on one line, all may be, and a line is no place
                between = text.look_ahead(_TO_NEXT_ITEM)
                has_lines = "," not in between or "\n" in value + between

            yield line if has_lines else -number, value
            mark = text.skip_space()
            if mark == end:
                text.take(mark)
                if text.key and not are_members:
                    text.leave_object()

                if text.skip_space():  # a second list, say, whose rows would be lost
                    raise UnreadableFile(
                        f"{text.path}:{text.line}: not JSON (text after the end of the {'object' if are_members else 'list'}).",
                        text.line,
                    )

                return

            if mark != ",":
                row = "a row" if has_lines else f"item {number}"
                raise UnreadableFile(
                    f"{text.path}:{text.line}: not JSON (expecting ',' or '{end}' after {row}).", text.line
                )

            text.take(",")
            text.skip_space()


def read_lists(path: str | Path, keys: Collection[str]) -> Iterator[tuple[str, int, Any]]:
    """Yield (key, line, item) of several lists in one JSON object, such as COCO's, in the order of the file.

    Memory does not grow with the lists; those of other keys are read over. Raises UnreadableFile for what is not one object,
    not JSON, or no list under one of the keys.
    """
    path = Path(path)
    _check_encoding(path)
    text = _Text(path, key="")
    with text.file:
        _expect(text, "{", "an object with the lists " + ", ".join(keys))
        while text.skip_space() != "}":
            key = text.take_key()
            if text.skip_space() != "[":
                if key in keys:
                    raise UnreadableFile(f"{path}:{text.line}: {key} is not a list.", text.line)

                text.take_value()
            else:
                text.take("[")
                while text.skip_space() != "]":
                    line = text.line
                    item, _ = text.take_decoded()
                    if key in keys:
                        yield key, line, item

                    if text.skip_space() != "]":
                        _expect(text, ",", f"',' or ']' in {key}")

                text.take("]")

            if text.skip_space() != "}":
                _expect(text, ",", "',' or '}' after a list")


def _expect(text: "_Text", mark: str, told: str) -> None:
    if text.skip_space() != mark:
        raise UnreadableFile(f"{text.path}:{text.line}: not JSON (expecting {told}).", text.line)

    text.take(mark)


class _Text:
    """A window over a file's text that is read on as far as a JSON value needs; `line` and `byte` say where it is."""

    def __init__(self, path: Path, key: str | None = None) -> None:
        self.path = path
        with _open(path) as file:
            self.byte = len(_BOM) if file.read(len(_BOM)) == _BOM else 0

        self.key = _list_key(path) if key is None else key
        self.file = io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="\n")
        self.window, self.at, self.line = "", 0, 1
        self.start = self.byte  # of the item that is taken
        self.decoder = json.JSONDecoder()

    def look_ahead(self, pattern: re.Pattern[str]) -> str:
        """Return what a pattern finds here, and stay."""
        while (found := pattern.match(self.window, self.at)).end() == len(self.window) and self.read_on():
            pass

        return found.group()

    def read_on(self) -> bool:
        """Add a piece of the file, as long as what is open, so that a 50 MB row costs linear time."""
        rest = self.window[self.at :]
        try:
            more = self.file.read(max(_CHUNK, len(rest)))
        except UnicodeDecodeError as error:
            raise UnreadableFile(*self._not_utf8(error)) from None
        except _UNPACKING as error:
            raise _broken_off(self.path, self.line, error) from None

        if more:
            self.window, self.at = rest + more, 0

        return bool(more)

    def _not_utf8(self, error: UnicodeDecodeError) -> tuple[str, int]:
        """Return message and line of where the file is not UTF-8: the first such byte, which the decoder tells within a piece only."""
        before = 0
        with _open(self.path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as found:
                    place = (
                        f"{self.path}:{number}: not UTF-8 (byte 0x{line[found.start]:02x} at {before + found.start})"
                    )
                    return f"{place}. {_convert_it(line)}", number

                before += len(line)

        return f"{self.path}: not UTF-8 ({error.reason}). Save the file as UTF-8.", 0

    def go_to_list(self) -> None:
        """Go to the list of the rows in an object."""
        self.take(self.skip_space())
        while self.take_key() != self.key:
            self.take_value()
            if self.skip_space() == ",":
                self.take(",")

    def leave_object(self) -> None:
        """Go behind the end of the object that the list stands in.

        Raises UnreadableFile where it holds another list of objects, whose rows would be lost.
        """
        while self.skip_space() == ",":
            self.take(",")
            key, line = self.take_key(), self.line
            if re.match(r"\[\s*\{", self.take_value()):
                raise UnreadableFile(
                    f"{self.path}:{line}: a second list of objects, {key}, beside {self.key}. Put each into a file of its own.",
                    line,
                )

        if self.skip_space() != "}":
            raise UnreadableFile(
                f"{self.path}:{self.line}: not JSON (expecting ',' or '}}' after the list).", self.line
            )

        self.take("}")

    def take_key(self) -> str:
        """Return the key that begins here, and go to its value."""
        if self.skip_space() != '"':
            raise UnreadableFile(f"{self.path}:{self.line}: not JSON (expecting a key in quotes).", self.line)

        key = json.loads(self.take_value())
        if self.skip_space() != ":":
            raise UnreadableFile(f"{self.path}:{self.line}: not JSON (expecting ':' after a key).", self.line)

        self.take(":")
        self.skip_space()
        return key

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
        return self.take_decoded()[1]

    def take_decoded(self) -> tuple[Any, str]:
        """Return the JSON value that begins here and its text, and go behind it."""
        while True:
            decoded = None
            try:
                decoded, end = self.decoder.raw_decode(self.window, self.at)
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
            return decoded, value
