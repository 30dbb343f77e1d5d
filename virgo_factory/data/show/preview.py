"""Rows as the model sees them: the very segments that are tokenised and trained on, with their pictures and numbers."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.policy import judge
from virgo_factory.core.thought import END_THOUGHT, TAGS
from virgo_factory.data.read.images import ImageFacts, inspect
from virgo_factory.data.read.look import scaled
from virgo_factory.data.read.media import find_image
from virgo_factory.data.read.source import Settings, Source, SourceRow, read_source
from virgo_factory.data.rows.entry import is_pair
from virgo_factory.data.rows.facts import facts_of, media_problem
from virgo_factory.data.tokens.tokens import RowTokenizer, Segment, Tokens
from virgo_factory.formats import Options, read_row
from virgo_factory.formats.row import QWEN_VL_TOKENS, RejectedRow, own_id
from virgo_factory.report.page import Article, Picture, Section, Text
from virgo_factory.report.text import visible


RAW_SHOWN = 4000
"""Characters shown of a row that could not be read."""

LEGEND = (
    Text("given to the model", "prompt"),
    Text("given: of a response, not learned", "context"),
    Text("trained on", "trained"),
    Text("rejected side of a pair", "rejected"),
    Text("<|control token|>", "plain", dim=True),
)

_NUMBERS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")

_ENDS = (END_THOUGHT, *(tags[END_THOUGHT].strip() for tags in TAGS.values()))


@dataclass(frozen=True)
class Piece:
    """A stretch of a row of one kind."""

    # `prompt`, `context` (a response, or a prefix of one, that is not a target), `trained`, or `rejected` (the worse
    # side of a preference pair)
    kind: str
    text: str  # as it is tokenised; of an image how people call it
    control: bool = False  # a control token of the model, such as `<|im_end|>`
    image: int | None = None  # which image of the row this is, from 0; None for text


@dataclass(frozen=True)
class Part:
    """Segments of one kind in a row, in order: a prompt, a context prefix, or a response."""

    title: str  # for people
    kind: str
    tokens: int  # how many token ids it has
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class ImageView:
    """An image of a row: how people call it, its size in pixels, its tokens, and why it cannot be used."""

    name: str
    width: int = 0
    height: int = 0
    tokens: int = 0
    problem: str = ""  # short words; "" for an image that can be used
    detail: str = ""  # the whole story, with the remedy

    def __str__(self) -> str:
        shown = self.name if len(self.name) <= 60 else f"...{self.name[-57:]}"
        return f"{shown}, {self.problem or f'{self.width}x{self.height}, {self.tokens:,} tokens'}"


@dataclass(frozen=True)
class RowPreview:
    """One example of a row, or why it gives none."""

    dataset: str
    place: str  # file and line
    number: int  # of the row, from 1
    id: str
    format: str | None
    domain: str | None
    reason: str  # why it is not trained on; "" if it is
    detail: str
    tokens: Tokens | None = None
    parts: tuple[Part, ...] = ()
    images: tuple[ImageView, ...] = ()
    raw: str = ""  # of a row that gives no example, its beginning as JSON
    source: Source | None = None
    example: Example | None = None

    @property
    def is_pair(self) -> bool:
        return any(part.kind == "rejected" for part in self.parts)

    def facts(self, settings: Settings) -> list[tuple[str, str]]:
        """Return the numbers of the row, as names and values."""
        if self.tokens is None:
            return []

        limit = f" of cutoff_len {settings.cutoff_len:,}" if settings.cutoff_len else ""
        found = [
            ("whole row", f"{self.tokens.total:,} tokens{limit}"),
            ("prompt", f"{self.tokens.prompt:,} tokens"),
            ("both responses" if self.is_pair else "response", f"{self.tokens.response:,} tokens"),
        ]
        if self.images and not any(image.problem for image in self.images):
            found.insert(2, ("of these images", f"{self.tokens.image:,} tokens"))

        return found

    def to_json(self) -> dict[str, Any]:
        """Return all that is known of the row."""
        plain = asdict(replace(self, source=None, example=None))
        return {key: value for key, value in plain.items() if key not in ("source", "example")}


def preview(sources: Sequence[Source], settings: Settings, wanted: str) -> Iterator[RowPreview]:
    """Yield the wanted rows as the model sees them.

    Rows of all sources are counted through, from 1; wanted are numbers (`5`, `1,5,9`, `3-7`), or an id (`math-17`;
    `id:17` for one that looks like a number). Raises UserError for no such row, no tokenizer, or rows that our formats
    do not read.
    """
    for source in sources:
        if not source.is_ours:
            raise UserError(
                f"{source.name}: its formatting {source.formatting!r} is LLaMA-Factory's own, whose rows are not read here. "
                "See them as long thoughts with --formatting long_thought."
            )

    tokenizer = RowTokenizer(settings)
    for source, row, number in _find_rows(sources, wanted):
        reading = read_row(row.raw, source.formatting, _options(source, row.raw))
        for part in reading.parts:
            if wanted_id := _wanted_id(wanted):
                of_part = part.id if isinstance(part, Example) else own_id(row.raw)
                if wanted_id not in (of_part, own_id(row.raw)):
                    continue

            yield _look(source, row, number, reading.format, part, tokenizer)


def _wanted_id(wanted: str) -> str:
    return "" if _NUMBERS.fullmatch(wanted) else wanted.removeprefix("id:")


def _wanted_numbers(wanted: str) -> list[range]:
    """Return the numbers that are asked for, as ranges.

    >>> _wanted_numbers("1,5-7")
    [range(1, 2), range(5, 8)]
    """
    found = []
    for item in wanted.split(","):
        first, _, last = item.partition("-")
        found.append(range(int(first), int(last or first) + 1))
        if not found[-1] or int(first) == 0:
            raise UserError(f"rows {item}: there is no such row. Rows are counted from 1, and a range rises: 3-7.")

    return found


def _find_rows(sources: Sequence[Source], wanted: str) -> Iterator[tuple[Source, SourceRow, int]]:
    sought = _wanted_id(wanted)
    ranges = [] if sought else _wanted_numbers(wanted)
    first, last = (max((numbers[end] for numbers in ranges), default=0) for end in (0, -1))
    number = found = 0
    for index, source in enumerate(sources):
        before = number
        for row in read_source(source, index):
            number = before + row.number + 1  # broken rows count as well
            if _is_id(row.raw, source, sought) if sought else any(number in numbers for numbers in ranges):
                found += 1
                yield source, row, number

            if not sought and number >= last and not found:
                raise UserError(f"{source.name}: row {wanted} is broken. `virgo-factory data check` says how.")

            if found and (sought or number >= last):
                return

    names = ", ".join(source.name for source in sources)
    if sought:
        raise UserError(f"{names}: no row with the id {sought} among {number:,} rows. A row's number works as well.")

    if number < first:
        raise UserError(f"{names}: no row {first}; there are {number:,}. For the id {wanted} say id:{wanted}.")


def _options(source: Source, raw: Any) -> Options:
    """Return how to read a row: a file that has no entry yet does not say whether its rows are preference pairs."""
    pair = not source.entry and is_pair(raw)
    return replace(source.options, ranking=True) if pair else source.options


def _is_id(raw: Any, source: Source, sought: str) -> bool:
    own = own_id(raw) if isinstance(raw, dict) else ""
    if own and sought != own and not sought.startswith(f"{own}-"):
        return False

    parts = read_row(raw, source.formatting, _options(source, raw)).parts
    return own == sought or any(isinstance(part, Example) and part.id == sought for part in parts)


def _look(
    source: Source,
    row: SourceRow,
    number: int,
    format: str | None,
    part: Example | RejectedRow,
    tokenizer: RowTokenizer,
) -> RowPreview:
    seen = RowPreview(source.name, row.place, number, "", format, None, "", "", source=source)
    if isinstance(part, RejectedRow):
        id = own_id(row.raw) if isinstance(row.raw, dict) else ""
        return replace(seen, id=id, reason=part.reason, detail=part.detail, raw=_raw(row.raw))

    settings = tokenizer.settings
    looks = [inspect(image, source.media_dir, settings.image_max_pixels, source.hub) for image in part.images]
    images = [_view(image, facts, source, tokenizer) for image, facts in zip(part.images, looks, strict=True)]
    sizes = [(image.width, image.height) for image in images if not image.problem]
    known = sizes if len(sizes) == len(images) else None
    segments = tokenizer.encode(part, known)
    parts = list(_parts(segments, part, images))
    if part.rejected is not None:
        rejected = replace(part, response=part.rejected, rejected=None)
        *_, worse = _parts(tokenizer.encode(rejected, known), rejected, images)
        parts[-1] = replace(parts[-1], title="chosen")
        pieces = tuple(replace(piece, kind="rejected") for piece in worse.pieces)
        parts.append(Part("rejected", "rejected", worse.tokens, pieces))

    (tokens,) = tokenizer.count([part], [sizes])
    facts = replace(
        facts_of(part, looks, source, part.rejected is not None, tokenizer),
        responses=(tokens.shortest, tokens.longest),
        tokens=tokens.total,
    )
    reason, detail = judge(facts, settings.policy()) or ("", "")
    if not reason and settings.cutoff_len and tokens.total > settings.cutoff_len:
        cut = f"LLaMA-Factory cuts it to cutoff_len {settings.cutoff_len:,} (overlong: truncate)"
        detail = f"{tokens.total:,} tokens: {cut}"

    if reason:
        parts = [replace(part, title="would be trained on") if part.title == "trained on" else part for part in parts]

    return replace(
        seen, id=part.id, domain=part.domain, reason=reason, detail=detail, tokens=tokens, parts=tuple(parts),
        images=tuple(images), example=part,
    )  # fmt: skip


def _view(image: Any, facts: ImageFacts, source: Source, tokenizer: RowTokenizer) -> ImageView:
    problem, _ = media_problem(image, facts, source)
    if problem:
        detail = next(finding.detail for finding in facts.findings if finding.severity == "error")
        return ImageView(_image_name(image), problem=problem.reason, detail=detail)

    tokens = tokenizer.image_tokens(facts.width, facts.height)
    return ImageView(_image_name(image), facts.width, facts.height, tokens)


def _parts(segments: Sequence[Segment], example: Example, images: Sequence[ImageView]) -> Iterator[Part]:
    """Yield the segments, those of one kind that follow each other together."""
    control = re.compile(f"({'|'.join(map(re.escape, QWEN_VL_TOKENS))})")
    open_part: Part | None = None
    for segment in segments:
        kind = "trained" if segment.trained else "context" if segment.response else "prompt"
        if segment.image is None:
            texts = [text for text in control.split(segment.text) if text]
            pieces = [Piece(kind, text, bool(control.fullmatch(text))) for text in texts]
        else:
            start, end = segment.text.partition(_PAD)[0], segment.text.rpartition(_PAD)[2]
            picture = Piece(kind, f"image {segment.image + 1}: {images[segment.image]}", image=segment.image)
            pieces = [Piece(kind, start, True), picture, Piece(kind, end, True)]

        if open_part and open_part.kind == kind:
            tokens = open_part.tokens + len(segment.ids)
            open_part = replace(open_part, tokens=tokens, pieces=(*open_part.pieces, *pieces))
        else:
            if open_part:
                yield open_part

            is_prefix = kind == "context" and segment.text == example.assistant_prefix
            open_part = Part(PREFIX if is_prefix else _TITLES[kind], kind, len(segment.ids), tuple(pieces))

    if open_part:
        yield open_part


_PAD = "<|image_pad|>"
_TITLES = {"prompt": "prompt", "context": "response: context, not trained on", "trained": "trained on"}
PREFIX = "prefix of the response: context, not trained on"


def _image_name(image: Any) -> str:
    if isinstance(image, dict) and isinstance(image.get("path"), str):
        image = image["path"]

    return image if isinstance(image, str) and len(image) < 200 else "in the row itself"


def _raw(raw: Any) -> str:
    text = json.dumps(raw, ensure_ascii=False, indent=1, default=lambda value: f"({type(value).__name__})")
    more = len(text) - RAW_SHOWN
    return text if more <= 0 else f"{text[:RAW_SHOWN]}\n... and {more:,} more characters"


def articles(rows: Iterator[RowPreview], settings: Settings, folded: bool) -> Iterator[Article]:
    """Yield the rows as articles of a page.

    `folded`: a thought is shown on a click only.
    """
    for row in rows:
        title = f"Row {row.number:,}" + (f", id {row.id}" if row.id else "")
        facts = [("place", row.place), ("format", row.format or "not known")]
        if row.domain:
            facts.append(("domain", row.domain))

        facts += [("note", note) for note in (row.example.notes if row.example else ())]
        if row.reason or row.detail:
            facts.append(
                ("not trained on" if row.reason else "note", ": ".join(filter(None, (row.reason, row.detail))))
            )

        kind = f"dropped: {row.reason}" if row.reason else row.domain or row.format or "kept"
        sections = [section for part in row.parts for section in _sections(part, row, folded)]
        if row.raw:
            sections = [Section("The row", [Text(row.raw)])]

        yield Article(title, kind, sections, [*facts, *row.facts(settings)])


def _sections(part: Part, row: RowPreview, folded: bool) -> Iterator[Section]:
    title = part.title[0].upper() + part.title[1:]
    note = f"{part.tokens:,} tokens"
    content = [_content(piece, row) for piece in part.pieces]
    if part.kind not in ("trained", "rejected"):
        yield Section(title, content, note=note)
        return

    for position, piece in enumerate(part.pieces):
        mark = next((mark for mark in _ENDS if mark in piece.text), None)
        if mark is not None:
            end = piece.text.find(mark) + len(mark)
            end += len(piece.text[end:]) - len(piece.text[end:].lstrip())  # no section begins with blank lines
            thought = [*content[:position], Text(piece.text[:end], piece.kind)]
            solution = [Text(piece.text[end:], piece.kind), *content[position + 1 :]]
            yield Section(f"{title}: thought", thought, folded, f"{note} with the solution")
            yield Section(f"{title}: solution", solution)
            return

    yield Section(title, content, note=note)


def _content(piece: Piece, row: RowPreview) -> Text | Picture:
    if piece.image is None:
        return Text(piece.text, piece.kind, piece.control)

    return Picture(b"" if row.images[piece.image].problem else _picture(row, piece.image), piece.text)


def _picture(row: RowPreview, image: int) -> bytes:
    from PIL import Image

    found = find_image(row.example.images[image], str(row.source.media_dir), row.source.hub)
    with Image.open(found if isinstance(found, str) else io.BytesIO(found)) as opened:
        return scaled(opened)


def lines(row: RowPreview, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the row as (kind, text) for a terminal: kinds of Piece, `control`, `image`, `title` and `problem`."""
    named = (row.place, f"row {row.number:,}", row.id and f"id {visible(row.id)}", row.format)
    yield "title", " · ".join(filter(None, named)) + "\n"
    for part in row.parts:
        yield "title", f"\n--- {part.title} ({part.tokens:,} tokens) ---\n"
        for piece in part.pieces:
            kind = "image" if piece.image is not None else "control" if piece.control else piece.kind
            yield kind, f"[{visible(piece.text)}]" if kind == "image" else visible(piece.text)

    if row.raw:
        yield "title", "\n--- the row ---\n"
        yield "prompt", visible(row.raw) + "\n"

    if facts := row.facts(settings):
        yield "title", "\n" + " · ".join(f"{name} {value}" for name, value in facts) + "\n"

    for note in row.example.notes if row.example else ():
        yield "title", f"\n{visible(note)}\n"

    if row.reason or row.detail:
        told = ": ".join(filter(None, (row.reason, row.detail)))
        yield "problem", f"\nnot trained on: {visible(told)}\n" if row.reason else f"\n{visible(told)}\n"
