"""Read rows from JSON and JSONL files, one at a time, each with its line.

`datasets.load_dataset` needs one type a column and dies on a mixed one without saying where; here a row is whatever its
line says, and every complaint names file and line.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


SUFFIXES = (".json", ".jsonl")
SHOWN = 20
_CHUNK = 1 << 20
_NOT_SPACE = re.compile(r"[^ \t\r\n]")


class UnreadableFile(ValueError):
    """A file that cannot be read as rows; the message lists up to 20 places."""


@dataclass(frozen=True)
class RawRow:
    """One row of a file, not yet decoded.

    Attributes:
        line: 1-based line at which it begins.
        text: its JSON text.
    """

    line: int
    text: str


def read_rows(path: str | Path) -> Iterator[RawRow]:
    """Yield the rows of a JSONL file, or of a JSON file that holds one list of objects; memory does not grow.

    Every row is valid JSON. Blank lines and a byte order mark are skipped.

    Raises:
        UnreadableFile: not UTF-8, not JSON, not a list, or without rows. All broken lines of a JSONL file are told at
            once (up to 20), after the good rows before them have been yielded.
    """
    path = Path(path)
    rows = 0
    try:
        for row in _list_items(path) if _is_list(path) else _lines(path):
            rows += 1
            yield row
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path}: not UTF-8 after row {rows} ({error.reason}). Save the file as UTF-8.") from None

    if rows == 0:
        raise UnreadableFile(f"{path}: no rows in the file.")


def _is_list(path: Path) -> bool:
    with path.open(encoding="utf-8-sig") as file:
        while chunk := file.read(4096):
            if chunk := chunk.lstrip():
                return chunk[0] == "["

    return False


def _lines(path: Path) -> Iterator[RawRow]:
    broken = []
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue

            try:
                json.loads(line.rstrip())
            except json.JSONDecodeError as error:
                if number == 1 and line.strip() == "{":
                    raise UnreadableFile(
                        f"{path}: one JSON object over several lines. A .json file must hold a list of rows, "
                        "a .jsonl file one row a line."
                    ) from None

                broken.append(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})")
                if len(broken) == SHOWN:
                    broken.append("... (the first 20 are shown)")
                    break
            except RecursionError:
                broken.append(f"{path}:{number}: nested too deeply")
            except ValueError as error:  # a whole number of more than 4,300 digits
                broken.append(f"{path}:{number}: {error}")
            else:
                if not broken:
                    yield RawRow(number, line.strip())

    if broken:
        raise UnreadableFile(
            "\n".join([*broken, "Repair or remove the line; a file cut off in the middle is no data."])
        )


def _list_items(path: Path) -> Iterator[RawRow]:
    """Yield the items of a JSON list, reading the file in pieces."""
    text = _Text(path)
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
                    raise UnreadableFile(f"{path}:{text.line}: not JSON (text after the end of the list).")

                return

            if mark != ",":
                raise UnreadableFile(f"{path}:{text.line}: not JSON (expecting ',' or ']' after a row).")

            text.take(",")
            text.skip_space()


class _Text:
    """A window over a file's text that is read on as far as a JSON value needs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open(encoding="utf-8-sig", newline="\n")
        self.window, self.at, self.line = "", 0, 1
        self.decoder = json.JSONDecoder()

    def read_on(self) -> bool:
        """Add a piece of the file, as long as what is open, so that a 50 MB row costs linear time."""
        rest = self.window[self.at :]
        more = self.file.read(max(_CHUNK, len(rest)))
        if more:
            self.window, self.at = rest + more, 0

        return bool(more)

    def skip_space(self) -> str:
        """Go to the next character that is not white, and return it; "" at the end of the file."""
        while True:
            found = _NOT_SPACE.search(self.window, self.at)
            end = found.start() if found else len(self.window)
            self.line += self.window.count("\n", self.at, end)
            self.at = end
            if found:
                return found.group()

            if not self.read_on():
                return ""

    def take(self, character: str) -> None:
        self.at += len(character)

    def take_value(self) -> str:
        """Return the text of the JSON value that begins here, and go behind it."""
        while True:
            try:
                _, end = self.decoder.raw_decode(self.window, self.at)
                cut = end + 2 >= len(self.window)  # a number may go on in the next piece: 1e+5 after 1e+
                error = None
            except RecursionError:
                raise UnreadableFile(f"{self.path}:{self.line}: nested too deeply.") from None
            except json.JSONDecodeError as found:
                error = found
                cut = found.msg.startswith("Unterminated string") or found.pos >= len(self.window) - 12
            except ValueError as found:  # a whole number of more than 4,300 digits
                raise UnreadableFile(f"{self.path}:{self.line}: {found}") from None

            if cut and self.read_on():
                continue

            if error:
                line = self.line + self.window.count("\n", self.at, error.pos)
                raise UnreadableFile(f"{self.path}:{line}: not JSON ({error.msg}).") from None

            value = self.window[self.at : end]
            self.line += value.count("\n")
            self.at = end
            return value
