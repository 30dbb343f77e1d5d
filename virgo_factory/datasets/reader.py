"""Read rows from JSON and JSONL files, one at a time, each with its line.

`datasets.load_dataset` needs one type a column and dies on a mixed one without saying where; here a row is whatever its
line says, and every complaint names file and line.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


SUFFIXES = (".json", ".jsonl")
SHOWN = 20
_CHUNK = 1 << 20


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
                json.loads(line)
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
            else:
                if not broken:
                    yield RawRow(number, line.strip())

    if broken:
        raise UnreadableFile("\n".join([*broken, "Repair or remove the line; a file cut off in the middle is no data."]))


def _list_items(path: Path) -> Iterator[RawRow]:
    """Yield the items of a JSON list, reading the file in pieces."""
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        buffer, line, ended = "", 1, False

        def skip(characters: str) -> None:
            """Drop leading characters of the buffer, reading on while only such are left."""
            nonlocal buffer, line, ended
            while True:
                rest = buffer.lstrip(characters)
                line += buffer.count("\n", 0, len(buffer) - len(rest))
                buffer = rest
                if buffer or ended:
                    return

                chunk = file.read(_CHUNK)
                buffer, ended = chunk, not chunk

        skip(" \t\r\n")
        buffer = buffer[1:]
        first = True
        while True:
            skip(" \t\r\n")
            if buffer.startswith("]"):
                return

            if not first:
                if not buffer.startswith(","):
                    raise UnreadableFile(f"{path}:{line}: not JSON (expecting ',' or ']' between rows).")

                buffer = buffer[1:]
                skip(" \t\r\n")

            while True:
                try:
                    _, end = decoder.raw_decode(buffer)
                    if end == len(buffer) and not ended:  # a number may go on in the next piece
                        raise json.JSONDecodeError("Unfinished", buffer, end)

                    break
                except RecursionError:
                    raise UnreadableFile(f"{path}:{line}: nested too deeply.") from None
                except json.JSONDecodeError as error:
                    # Read on, twice as far each time: a row of 50 MB costs linear time.
                    more = file.read(max(_CHUNK, len(buffer)))
                    if not more:
                        ended = True
                        at = line + buffer.count("\n", 0, error.pos)
                        raise UnreadableFile(f"{path}:{at}: not JSON ({error.msg}).") from None

                    buffer += more

            yield RawRow(line, buffer[:end])
            line += buffer.count("\n", 0, end)
            buffer = buffer[end:]
            first = False
