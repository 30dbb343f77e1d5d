"""Questions that are held out: rows that ask one of them, on the same pictures, are found whatever file they are in.

Words are compared without case and punctuation, pictures by their pixels. With pictures, a row that says more than the
question (options, an instruction) asks it, too; without, its words have to be the question's.
"""

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.read.look import as_seen, pixel_digest
from virgo_factory.data.read.media import check_header, find_image
from virgo_factory.data.read.reader import read_rows
from virgo_factory.data.read.source import Source, raw_rows
from virgo_factory.data.rows.stream import RowRecord
from virgo_factory.formats import read_row


HELD_OUT = "held out"

_WORD = re.compile(r"\w+")
_IMAGE = re.compile(r"<image[ _]?\d*>", re.IGNORECASE)
_FIRST = 3
"""Words by which the questions that may stand in a row are found."""


class Holdout:
    """Questions with the pixels of their pictures."""

    def __init__(self) -> None:
        self._by_words: dict[tuple[str, ...], list[tuple[str, tuple[str, ...], frozenset[bytes]]]] = defaultdict(list)
        self.count = 0

    @classmethod
    def read(cls, path: Path) -> "Holdout":
        """Return the questions of a questions.jsonl; their pictures are beside it.

        Raises UserError for no such file, a line that is no question, or a picture that cannot be opened; with file
        and line.
        """
        if not path.is_file():
            raise UserError(
                f"{path}: no such file. Expected are questions, a JSON object a line, as in docs/distil.md."
            )

        found = cls()
        for row in read_rows(path):
            try:
                id, text, images = row.raw["id"], row.raw.get("question") or "", row.raw.get("images") or ()
            except (KeyError, TypeError, AttributeError):
                raise UserError(f"{path}:{row.line}: no question. Expected id, question and images.") from None

            digests = [picture_digest(image, [path.parent]) for image in images]
            if None in digests:
                raise UserError(f"{path}:{row.line} (id {id}): {images[digests.index(None)]} cannot be opened.")

            found.add(str(id), text, digests)

        return found

    def add(self, id: str, text: str, pictures: Sequence[bytes]) -> None:
        words = _words(text)
        self._by_words[words[:_FIRST]].append((id, words, frozenset(pictures)))
        self.count += 1

    def asked(self, text: str, pictures: Callable[[], Sequence[bytes | None]]) -> str | None:
        """Return the id of a question that a text asks on these pictures; None where it asks none of them.

        `pictures` opens the row's pictures, where the words are those of a question.
        """
        words, there = _words(text), None
        for start in range(len(words) + 1):
            for size in range(min(_FIRST, len(words) - start) + 1):
                for id, own, digests in self._by_words.get(words[start : start + size], ()):
                    if words[start : start + len(own)] != own or not (digests or own == words):
                        continue

                    there = frozenset(pictures()) if there is None else there
                    if digests <= there:
                        return id

        return None


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(_IMAGE.sub(" ", text).casefold()))


def picture_digest(
    value: Any, folders: Sequence[Path], digest: Callable[[Any], bytes] = pixel_digest, hub: str | None = None
) -> bytes | None:
    """Return what is equal for pictures of the same size and colours; None where it cannot be opened.

    `value` is bytes, or a path below one of `folders`, outside of which nothing is opened, or in the files of the
    hub's dataset. `digest`: `difference_hash` for what is alike in pictures that look alike.
    """
    for place in folders:
        try:
            found = find_image(value, str(place), hub)
            check_header(found)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(found if isinstance(found, str) else io.BytesIO(found)) as opened:
                    return digest(as_seen(opened))
        except Exception:  # BadMedia, and whatever decoders raise on broken bytes
            continue

    return None


def rows_that_ask(holdout: Holdout, sources: Sequence[Source]) -> Iterator[tuple[int, int, int, str, str]]:
    """Yield (source, number, part) of the examples that ask a question which is held out, its id, and the row's place.

    `sources`: whose rows a format of ours reads.
    """
    for source_number, source in enumerate(sources):
        for row in raw_rows(source):
            parts = () if row.problem else read_row(row.raw, source.formatting, source.options).parts
            for part, example in enumerate(parts):
                if not isinstance(example, Example):
                    continue

                if id := asks_any(holdout, example.question, example.images, source.media_dir):
                    yield source_number, row.number, part, id, row.place


def rejecting(path: Path | None, sources: Sequence[Source]) -> Callable[[RowRecord], str]:
    """Return what says of a record that it asks a question of a file, "" where it does not, or where there is no file."""
    if path is None:
        return lambda record: ""

    found = {(source, row, part) for source, row, part, *_ in rows_that_ask(Holdout.read(path), sources)}
    return lambda record: HELD_OUT if (record.source, record.number, record.part) in found else ""


def asks_any(holdout: Holdout, text: str, images: Sequence[Any], folder: Path) -> str | None:
    """Return the id of a question that is held out and that this text asks on these pictures, as rows hold them."""
    return holdout.asked(text, lambda: [picture_digest(image, [folder]) for image in images])
