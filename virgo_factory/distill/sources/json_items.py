"""The items of one large JSON value, one at a time: of a list, of a list inside an object, or an object's members."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from virgo_factory.core.errors import UserError


_READ = 1 << 20
_LONGEST = 64 << 20  # characters of one item; a file that is not JSON would else be read whole before that shows


def json_items(path: Path, member: str | None = None) -> Iterator[tuple[str | int, Any]]:
    """Yield (position, item) of a list, or (name, value) of an object; memory does not grow with the file.

    With a `member` the list under this name of an object is taken, and other members are skipped. ValueError names file and place: not
    JSON, or no such list.
    """
    with path.open(encoding="utf-8-sig") as file:
        text = _Text(file)
        try:
            yield from _items(text, member)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise UserError(f"{path}: not as expected at character {text.place():,}: {reason}.") from None


def _items(text: "_Text", member: str | None) -> Iterator[tuple[str | int, Any]]:
    if text.next() == "[" and member is None:
        yield from enumerate(_elements(text))
        return

    if not text.takes("{"):
        raise UserError(f"expected {'an object' if member else 'a list or an object'}")

    found = False
    while not text.takes("}"):
        name = text.value()
        if not text.takes(":"):
            raise UserError("expected a colon")

        if member is None:
            yield name, text.value()
        elif name == member and text.next() == "[":
            found = True
            yield from enumerate(_elements(text))
        else:
            text.value()

        if not text.takes(",") and text.next() != "}":
            raise UserError("expected a comma")

    if member is not None and not found:
        raise UserError(f"no list {member!r}")


def _elements(text: "_Text") -> Iterator[Any]:
    text.takes("[")
    while not text.takes("]"):
        yield text.value()
        if not text.takes(",") and text.next() != "]":
            raise UserError("expected a comma")


class _Text:
    """A text file read as far as it is needed."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.text, self.at, self.before, self.ended = file, "", 0, 0, False
        self.decode = json.JSONDecoder().raw_decode

    def place(self) -> int:
        return self.before + self.at

    def _more(self) -> None:
        """Read on, at least as much as there is, so that a long item is not looked at over and over."""
        chunk = self.file.read(max(_READ, len(self.text) - self.at))
        self.before += self.at
        self.text, self.at, self.ended = self.text[self.at :] + chunk, 0, not chunk

    def next(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            while self.at < len(self.text):
                if not self.text[self.at].isspace():
                    return self.text[self.at]

                self.at += 1

            if self.ended:
                return ""

            self._more()

    def takes(self, character: str) -> bool:
        """Whether this character comes next; then it is passed."""
        if self.next() != character:
            return False

        self.at += 1
        return True

    def value(self) -> Any:
        self.next()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
            except json.JSONDecodeError:
                if self.ended or len(self.text) - self.at > _LONGEST:
                    raise
            else:
                if end < len(self.text) or self.ended:  # else a number may go on
                    self.at = end
                    return value

            self._more()
