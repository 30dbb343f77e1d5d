"""JSON files: one list of rows, bare or in an object, or one object of rows by their ids; read on as far as an item needs."""

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from virgo_factory.data.read.files import chunks
from virgo_factory.data.read.files.chunks import (
    CSV_SUFFIXES,
    TABLE_SUFFIXES,
    Chunk,
    ReadRow,
    UnreadableFile,
    suffix_of,
)
from virgo_factory.data.read.files.json_values import decoded_item
from virgo_factory.data.read.files.opened import (
    BOM,
    UNPACKING,
    broken_off,
    check_encoding,
    convert_it,
    is_packed,
    opened,
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

_HEAD = 1 << 16
_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_TO_NEXT_ITEM = re.compile(r"\s*(,\s*)?")
_COLON = re.compile(r"\s*:\s*")


def is_list(path: Path) -> bool:
    """Return whether a file holds one JSON list, bare or as the one list of an object, or one object of rows by their ids.

    Raises UnreadableFile for one object over several lines, which is no list of rows.
    """
    return path.suffix not in TABLE_SUFFIXES and suffix_of(path) not in CSV_SUFFIXES and _list_key(path) is not None


def _list_key(path: Path) -> str | None:
    """Return the key under which the rows of a file stand as a list; "" where all of it is a list, None where it is none.

    MEMBERS where the rows are the values of an object.
    """
    with opened(path) as file:
        content = b""
        with contextlib.suppress(*UNPACKING):
            while not content and (more := file.read(4096)):
                content = more.removeprefix(BOM).lstrip()

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


def cut_list(path: Path) -> Iterator[Chunk]:
    """Yield the chunks of a JSON list: items until they are CHUNK bytes together."""
    first, start, end, digest = 0, 0, 0, hashlib.blake2b(digest_size=16)
    text = _Text(path)
    packed = is_packed(path)
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
            if end - start >= chunks.CHUNK:
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


def read_items(text: str, line: int, are_members: bool) -> Iterator[ReadRow]:
    """Yield the items of a piece of a JSON list or object that `cut_list` has been through; `line` is that of the first."""
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
        raw, at, problem = decoded_item(text, start)
        if are_members:
            id = raw
            raw, at, problem = decoded_item(text, _COLON.match(text, at).end())
            raw = {"id": id, **raw} if isinstance(raw, dict) else raw

        yield ReadRow(line if has_lines else number, raw, problem)
        line += text.count("\n", start, at)
        number -= 1


def read_lists(path: str | Path, keys: Collection[str]) -> Iterator[tuple[str, int, Any]]:
    """Yield (key, line, item) of several lists in one JSON object, such as COCO's, in the order of the file.

    Memory does not grow with the lists; those of other keys are read over. Raises UnreadableFile for what is not one object,
    not JSON, or no list under one of the keys.
    """
    path = Path(path)
    check_encoding(path)
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
        with opened(path) as file:
            self.byte = len(BOM) if file.read(len(BOM)) == BOM else 0

        self.key = _list_key(path) if key is None else key
        self.file = io.TextIOWrapper(opened(path), encoding="utf-8-sig", newline="\n")
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
            more = self.file.read(max(chunks.CHUNK, len(rest)))
        except UnicodeDecodeError as error:
            raise UnreadableFile(*self._not_utf8(error)) from None
        except UNPACKING as error:
            raise broken_off(self.path, self.line, error) from None

        if more:
            self.window, self.at = rest + more, 0

        return bool(more)

    def _not_utf8(self, error: UnicodeDecodeError) -> tuple[str, int]:
        """Return message and line of where the file is not UTF-8: the first such byte, which the decoder tells within a piece only."""
        before = 0
        with opened(self.path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as found:
                    place = (
                        f"{self.path}:{number}: not UTF-8 (byte 0x{line[found.start]:02x} at {before + found.start})"
                    )
                    return f"{place}. {convert_it(line)}", number

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
