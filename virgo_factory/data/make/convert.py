"""Any known format -> the normal form: what is read becomes a row, what is not is counted, listed and explained."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.make.card import DatasetCard
from virgo_factory.data.make.pipeline import (
    LISTED,
    Inputs,
    Media,
    Output,
    beside_example,
    check_kinds,
    check_targets,
    finish,
    media_of,
    portable_images,
)
from virgo_factory.data.make.writing import normal_row, spooled
from virgo_factory.data.read.reader import why_unreadable
from virgo_factory.data.read.source import Source, raw_rows
from virgo_factory.formats import kind_of, read_row
from virgo_factory.formats.row import RejectedRow, own_id


class _Account:
    """What has been read and what became of it."""

    def __init__(self) -> None:
        self.rows = self.examples = 0
        self.dropped: Counter = Counter()
        self.listed: list[dict[str, str]] = []
        self.formats: Counter = Counter()
        self.notes: Counter = Counter()
        self.first: dict[str, str] = {}

    def reject(self, place: str, row_id: str, error: RejectedRow) -> None:
        self.dropped[error.reason] += 1
        if len(self.listed) < LISTED:
            row = {"place": place, "id": row_id, "reason": error.reason, "detail": error.detail}
            self.listed.append({name: text.encode("utf-8", "backslashreplace").decode() for name, text in row.items()})


def convert(
    sources: Sequence[Source],
    target: Path,
    command: str,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetCard:
    """Write the examples of all sources in the normal form, in their order, and return the card.

    Nothing is tokenised, and no image is opened unless the row itself carries it. Raises UserError where an output is in
    the way, or no row can be converted.
    """
    check_targets([target], sources, overwrite)
    inputs = Inputs.of(sources)
    sources = [_as_pairs_if_they_are(source) for source in sources]
    check_kinds(sources)
    media = media_of(sources, target)
    account = _Account()
    with spooled(target, _rows(sources, media, account, progress)) as spool:
        if not len(spool):
            raise UserError(_nothing(sources, account))

        card = DatasetCard(
            verb="convert",
            command=command,
            inputs=inputs.described(),
            rows_in=account.rows,
            examples_in=account.examples,
            dropped=dict(account.dropped.most_common()),
            settings={
                "formats read": ", ".join(f"{name} {count:,}" for name, count in account.formats.most_common()),
                "responses": ", ".join(sorted({source.options.responses for source in sources})),
            },
            media_dir=str(media.folder),
            listed=tuple(account.listed),
            notes=_notes(account),
        )
        (card,) = finish(spool, [Output(target, card)])

    return card


def _as_pairs_if_they_are(source: Source) -> Source:
    """Return a file whose first row is a preference pair as a source of pairs; an entry says `ranking` itself."""
    if source.entry:
        return source

    pairs = replace(source, options=replace(source.options, ranking=True))
    first = next((row.raw for row in raw_rows(source) if not row.problem), None)
    (part, *_) = read_row(first, pairs.formatting, pairs.options).parts
    return pairs if isinstance(part, Example) and part.rejected is not None else source


def _rows(
    sources: Sequence[Source], media: Media, account: _Account, progress: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    size = sum(file.stat().st_size for source in sources for file in source.files)
    done = 0

    def read(more: int) -> None:
        nonlocal done
        done += more
        progress(done, size)

    for source in sources:
        options = replace(source.options, keep_malformed=False)
        for row in raw_rows(source, read=read):
            account.rows += 1
            place, raw = row.place, row.raw
            if row.problem:
                account.examples += 1
                account.reject(place, "", RejectedRow(why_unreadable(row.problem)[0], row.problem))
                continue

            reading = read_row(raw, source.formatting, options)
            if reading.format:
                account.formats[reading.format] += 1
                account.first.setdefault(reading.format, place)

            for part in reading.parts:
                account.examples += 1
                if isinstance(part, RejectedRow):
                    account.reject(place, own_id(raw) if isinstance(raw, dict) else "", part)
                    continue

                try:
                    images = tuple(portable_images(part.images, source, media))
                    yield normal_row(replace(part, images=images), **beside_example(raw))
                    account.notes.update(part.notes)
                except RejectedRow as error:
                    account.reject(place, part.id, error)


def _notes(account: _Account) -> tuple[str, ...]:
    """Return what was particular in rows, and that rows of several formats were brought to one.

    Training refuses several formats, as a likely mistake; what the notes tell cannot be seen in the new file.
    """
    noted = tuple(f"{count:,} {note}." for note, count in account.notes.most_common())
    if len(set(map(kind_of, account.formats))) < 2:
        return noted

    seen = ", ".join(
        f"{name} ({count:,}, first at {account.first[name]})" for name, count in account.formats.most_common()
    )
    return (f"The rows were in several formats and are in one now: {seen}.", *noted)


def _nothing(sources: Sequence[Source], account: _Account) -> str:
    names = ", ".join(source.name for source in sources)
    why = "\n".join(f"  {count:,} {reason}" for reason, count in account.dropped.most_common(10))
    first = account.listed[0]
    return (
        f"{names}: none of {account.rows:,} rows can be converted; nothing was written.\n{why}\n"
        f"  the first: {first['place']}: {first['reason']} {first['detail']}"
    )
