"""One chunk of rows -> what is known of its examples before any limit is applied. Runs in worker processes."""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from virgo_factory.core.example import Example
from virgo_factory.data.read.files.chunks import Chunk
from virgo_factory.data.read.media import BadMedia, find_image, local_path
from virgo_factory.data.read.reader import ReadRow, place_of, read_chunk, why_unreadable
from virgo_factory.data.read.source import Settings, Source
from virgo_factory.data.rows.facts import facts_of
from virgo_factory.data.rows.final_answer import JUDGED, contradiction, may_contradict, plain_answer, with_gold
from virgo_factory.data.tokens.tokens import RowTokenizer, is_known_template, render
from virgo_factory.formats import read_row
from virgo_factory.formats.row import RejectedRow, own_id


NOT_OURS = "not in one of our formattings: not checked"


class RowRecord(NamedTuple):
    """One example of a row, or what the row gave instead: as it was measured, then what became of it under the settings.

    What is measured knows neither the settings' limits nor where its chunk stands; `stream.measure` adds both.
    """

    row: int  # number of its row within the chunk, from 0
    part: int  # which example of that row it is
    line: int  # 1-based; 0 in a table (Parquet, Arrow). As measured, from the chunk's first line on
    id: str = ""  # names it for people; "" where the row gave no example
    format: str | None = None  # the family by which the row was read; None where it shows none
    domain: str | None = None  # math, science, ... where the row says so
    origin: str | None = None  # the dataset that the row says it is from
    reason: str = ""  # why a run would not train on it, in its account's words. As measured, what format or media said
    detail: str = ""  # what is particular to this row
    control: list[str] | None = None  # where a special token of the model stands in it, and which
    prefix: bool = False  # see `policy.Facts`
    unreadable: str = ""  # likewise
    prompt_tokens: int = 0  # all that is context and no target, images among it
    response_tokens: int = (
        0  # of the rendered responses without ends of turn, markers as text: what the bounds look at
    )
    image_tokens: int = 0
    tokens: int = 0  # of the whole row, what `cutoff_len` looks at; of a preference pair those of the longer side
    shortest: int = 0  # of the responses
    longest: int = 0
    images: int = 0
    digest: int = 0  # of all of its texts and images, blanks aside: equal examples have equal ones
    question_digest: int = 0  # of the last question and the images
    answer_digest: int = 0  # of the whole number or letter that the only turn's solution boxes; 0 for another
    findings: Sequence = ()  # `Finding`s of the rules, and of what could not be read
    source: int = 0  # position of its source among those measured
    number: int = 0  # position of its row in the source, from 0
    file: str = ""  # where the row stands

    @property
    def place(self) -> str:
        return place_of(self.file, self.line, self.number)


@dataclass(frozen=True)
class Measured:
    """What a chunk's rows gave."""

    rows: int  # how many
    parts: list[RowRecord]  # their examples, in order
    # image file that was looked at -> its stamp then (see `stamp_of`); a later one must be the same
    files: dict[str, list[int] | None]

    def pack(self) -> bytes:
        content = [self.rows, self.files, self.parts]
        return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)

    @classmethod
    def unpack(cls, packed: bytes) -> "Measured":
        """Return what `pack` packed. Raises ValueError or zlib.error for anything else."""
        rows, files, parts = json.loads(zlib.decompress(packed))
        return cls(rows, [RowRecord(*part) for part in parts], files)


def stamp_of(path: str) -> list[int] | None:
    """Return what changes when a file's content does: size and times; None where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL byte in the name
        return None

    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


class Measurer:
    """Measures chunks of sources under settings; what is expensive is loaded when it is first needed."""

    def __init__(self, sources: Sequence[Source], settings: Settings, rules: bool) -> None:
        self.sources, self.settings, self.rules = list(sources), settings, rules
        self._tokenizer: Any = None
        self._verdicts = 0  # how many solutions of this chunk are still judged
        if rules:
            from virgo_factory.data.rows import rules as check  # half a second, better before the work is timed

            self._check = check

    def measure(self, source: int, chunk: Chunk) -> Measured:
        """Return what the rows of a chunk give; never raises for a bad row."""
        origin = self.sources[source]
        parts: list[dict[str, Any]] = []  # fields of each
        examples: list[tuple[int, Example, list[tuple[int, int]]]] = []  # position in parts, example, sizes
        files: dict[str, list[int] | None] = {}
        rows, self._verdicts = 0, JUDGED
        for row in read_chunk(chunk):
            place = {"row": rows, "part": 0, "line": row.line - chunk.line if row.line else 0}
            rows += 1
            if row.problem:
                parts.append(place | _unread(row))
            elif not origin.is_ours:
                parts.append(place | {"id": _text_id(row.raw), "format": origin.formatting, "detail": NOT_OURS})
            else:
                reading = read_row(row.raw, origin.formatting, origin.options)
                for number, found in enumerate(reading.parts):
                    part = place | {"part": number, "format": reading.format}
                    if isinstance(found, RejectedRow):
                        part |= {"id": _text_id(row.raw), "reason": found.reason, "detail": _plain(found.detail)}
                    else:
                        sizes = self._examine(origin, found, row.raw if len(reading.parts) < 2 else None, part, files)
                        if sizes is not None:
                            examples.append((len(parts), found if origin.options.ranking else _single(found), sizes))

                    parts.append(part)

        self._count(parts, examples)
        return Measured(rows, [RowRecord(**part) for part in parts], files)

    def _examine(
        self, origin: Source, example: Example, raw: Any, part: dict[str, Any], files: dict[str, list[int] | None]
    ) -> list[tuple[int, int]] | None:
        """Put what is known of an example but its tokens into a part; return the sizes of its images where these count."""
        images = [_identity(image) for image in example.images]
        turns = example.turns
        texts = [squeezed(text) for turn in turns for text in (turn.question, render(turn.response))]
        question = texts[-2]
        texts += [squeezed(text) for text in (example.system or "", *_rejected_text(example))]
        texts += [b"turn %d is not learned" % at for at, turn in enumerate(turns) if not turn.learned]
        identities = [image.encode("utf-8", "surrogatepass") for image in images]
        part |= {
            "id": example.id,
            "domain": example.domain,
            "origin": example.source,
            "images": len(images),
            "digest": digest(*texts, *identities),
            "question_digest": digest(question, *identities),
            "answer_digest": digest(answer.encode()) if (answer := plain_answer(example)) else 0,
        }
        seen = []
        if example.images:
            from virgo_factory.data.read.images import inspect

            for image in example.images:
                _note_files(image, origin, files)
                seen.append(inspect(image, origin.media_dir, self.settings.image_max_pixels, origin.hub))

        if self.rules:
            found = [*self._check.row_findings(example, seen)]
            if self._verdicts and may_contradict(gold := with_gold(example, raw)):
                self._verdicts -= 1
                if told := contradiction(gold):
                    found.append(self._check.Finding("gold_contradicted", "warning", told))

            part["findings"] = [[one.code, one.severity, _plain(one.detail)] for one in found]

        tokenizer = self.tokenizer if self.settings.tokenizer is not None else None
        facts = facts_of(example, seen, origin, origin.options.ranking, tokenizer)
        if facts.rejected:
            part |= {"reason": facts.rejected.reason, "detail": _plain(facts.rejected.detail)}
            return None

        control = list(facts.control_token) if facts.control_token else None
        part |= {"control": control, "prefix": facts.has_prefix, "unreadable": _plain(facts.unreadable)}
        return None if control else [(fact.width, fact.height) for fact in seen]

    def _count(self, parts: list[dict[str, Any]], examples: list[tuple[int, Example, list[tuple[int, int]]]]) -> None:
        """Fill in the tokens of the examples."""
        if self.settings.tokenizer is None or not examples:
            return

        for (position, _, _), tokens in zip(
            examples,
            self.tokenizer.count([example for _, example, _ in examples], [sizes for _, _, sizes in examples]),
            strict=True,
        ):
            parts[position] |= {
                "prompt_tokens": tokens.prompt,
                "response_tokens": tokens.response,
                "image_tokens": tokens.image,
                "tokens": tokens.total,
                "shortest": tokens.shortest,
                "longest": tokens.longest,
            }

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of rows, loaded when the first example comes."""
        if self._tokenizer is None:
            if is_known_template(self.settings.template):
                self._tokenizer = RowTokenizer(self.settings)
            else:
                from virgo_factory.data.tokens.llamafactory_template import ForeignTokenizer

                self._tokenizer = ForeignTokenizer(self.settings)

        return self._tokenizer


def _unread(row: ReadRow) -> dict[str, Any]:
    reason, code = why_unreadable(row.problem)
    return {"reason": reason, "detail": row.problem, "findings": [[code, "error", row.problem]]}


def _single(example: Example) -> Example:
    """Return an example without its rejected response, which only pairwise training reads."""
    return example if example.rejected is None else replace(example, rejected=None)


def _rejected_text(example: Example) -> list[str]:
    return [] if example.rejected is None else [render(example.rejected)]


def _note_files(image: Any, origin: Source, files: dict[str, list[int] | None]) -> None:
    """Note the stamp of an image's file before it is looked at."""
    if isinstance(image, dict) and image.get("bytes") is None:
        image = image.get("path")

    if not isinstance(image, str) or image.startswith("data:") or len(image) > 4096:
        return

    paths = [os.path.join(origin.media_dir, local_path(image))]
    if origin.hub is not None:
        try:
            paths.append(str(find_image(image, str(origin.media_dir), origin.hub)))
        except BadMedia:
            pass

    for path in paths:
        files.setdefault(_plain(path), stamp_of(path))


def _identity(image: Any) -> str:
    """Return a text that is equal for equal images of rows."""
    if isinstance(image, dict):
        image = image.get("bytes") if image.get("bytes") is not None else image.get("path")

    if isinstance(image, bytes | bytearray):
        return hashlib.blake2b(image, digest_size=16).hexdigest()

    return str(image)


def squeezed(text: str) -> bytes:
    """Return a text with one space for all blanks between two words; the quick way for nearly all texts."""
    content = text.encode("utf-8", "surrogatepass")
    if not text.isascii() and any(begin in content and blanks.search(content) for begin, blanks in _OTHER_BLANKS):
        return " ".join(text.split()).encode("utf-8", "surrogatepass")

    pieces = content.translate(_BLANKS).split(b"  ")
    return b" ".join(filter(None, map(bytes.strip, pieces)))


_OTHER_BLANKS = [
    (begin, re.compile(begin + more))
    for begin, more in ((b"\xc2", b"[\x85\xa0]"), (b"\xe1\x9a\x80", b""), (b"\xe2\x80", b"[\x80-\x8a\xa8\xa9\xaf]"),
                        (b"\xe2\x81\x9f", b""), (b"\xe3\x80\x80", b""))
]  # fmt: skip
"""The blanks of Unicode that are not ASCII, in UTF-8: how they begin, and all of one."""
_BLANKS = bytes.maketrans(b"\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f", b" " * 9)


def digest(*texts: bytes) -> int:
    """Return a 64-bit digest of texts in their order."""
    return int.from_bytes(hashlib.blake2b(b"\x1f".join(texts), digest_size=8).digest())


def _plain(text: str) -> str:
    """Return a text that can be written anywhere: half a surrogate pair in it is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _text_id(raw: Any) -> str:
    return _plain(own_id(raw)) if isinstance(raw, dict) else ""
