"""From sources to a finished file: rows are read, their images made to resolve, written, and described by a card."""

import functools
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.make.card import DatasetCard, Input
from virgo_factory.data.make.sampling import Candidates
from virgo_factory.data.make.writing import (
    Spool,
    Written,
    check_target,
    normal_row,
    published,
    spooled,
    write_spool,
)
from virgo_factory.data.read.media import BadMedia, check_header, find_image, store_image
from virgo_factory.data.read.source import Source, raw_rows, read_source
from virgo_factory.data.show.stats import MOST_VALUES, NONE, OTHER
from virgo_factory.formats import read_row
from virgo_factory.formats.options import DIFFICULTIES
from virgo_factory.formats.row import RejectedRow, is_unicode
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.report.card import card_files, write_card


PEEKED = 1000
"""First rows of a source that are looked at to see how it gives its images."""

LISTED = 1000
"""Rows left out that a card names one by one; counts always tell of all."""


@dataclass(frozen=True)
class Media:
    """Where the images of a new file are."""

    folder: Path  # its media_dir, where relative paths start from
    store: Path  # where images that the rows carry as bytes are put


def media_of(sources: Sequence[Source], target: Path) -> Media:
    """Return where the images of a file made of `sources` are.

    Sources that name images keep their media_dir, or get what several have in common; where rows carry images, the
    folder of `target`, which they are stored in, is among these.
    """
    folders: dict[str, Path] = {}
    for source in sources:
        kinds = {"named" if isinstance(_path_in(image), str) else "carried" for image in first_images(source)}
        if "named" in kinds:
            folders[os.path.abspath(source.media_dir)] = source.media_dir

        if "carried" in kinds:
            folders[os.path.abspath(target.parent)] = target.parent

    if len(folders) > 1:
        common = Path(os.path.commonpath(list(folders)))
    else:
        common = next(iter(folders.values()), sources[0].media_dir)

    return Media(common, target.with_name(f"{target.stem}_images"))


def first_images(source: Source) -> Iterator[Any]:
    """Yield the images of the first rows, as they give them."""
    for row in itertools.islice(raw_rows(source), PEEKED):
        for part in () if row.problem else read_row(row.raw, source.formatting, source.options).parts:
            yield from part.images if isinstance(part, Example) else ()


def has_images_below(source: Source) -> bool:
    """Whether one of the first rows names an image that is there, from the source's media_dir."""
    paths = (path for image in first_images(source) if isinstance(path := _path_in(image), str))
    return any(not os.path.isabs(path) and os.path.isfile(os.path.join(source.media_dir, path)) for path in paths)


def _path_in(image: Any) -> Any:
    """Return the path of an image that a row names; the image itself, which is no text then, where it carries it."""
    if isinstance(image, Mapping) and image.get("bytes") is None and isinstance(image.get("path"), str):
        return image["path"]

    return {"bytes": image} if isinstance(image, str) and image.startswith("data:") else image


def portable_images(images: Iterable[Any], source: Source, media: Media) -> list[str]:
    """Return the images of an example as paths for a file whose media_dir is `media.folder`.

    A relative path stays as it is where the media_dir stays, and is rewritten from the new one otherwise; absolute
    paths stay; bytes are stored as a file of that content. Whether a path exists is not looked at: it may on another
    machine. Raises RejectedRow for an image that is neither a path nor readable bytes.
    """
    return [_portable(image, source, media) for image in images]


def _portable(image: Any, source: Source, media: Media) -> str:
    path = _path_in(image)
    if isinstance(path, str):
        if not is_unicode(path):
            raise RejectedRow("text is not valid Unicode", "in an image path")

        is_same = os.path.abspath(source.media_dir) == os.path.abspath(media.folder)
        return (
            path if is_same or os.path.isabs(path) or "://" in path else _below(media.folder, source.media_dir, path)
        )

    try:
        content = find_image(image, str(source.media_dir), source.hub)
        return _below(media.folder, store_image(content, check_header(content), media.store))
    except BadMedia as error:
        raise RejectedRow(error.reason, str(error)) from None


def _below(folder: Path, *parts: str | Path) -> str:
    """Return the path of a file relative to a folder, or its absolute path where it is not below it."""
    path, base = os.path.abspath(os.path.join(*parts)), os.path.abspath(folder)
    return os.path.relpath(path, base) if path.startswith(base.rstrip(os.sep) + os.sep) else path


def difficulty_of(row: Any) -> str | None:
    """Return a raw row's difficulty: its column `difficulty`, else the level by how many of its five scores are 1.

    >>> difficulty_of({"score": [1, 0, 1, 0, 1]}), difficulty_of({"difficulty": 7}), difficulty_of({"score": [1, 0]})
    ('hard', '7', None)
    """
    if not isinstance(row, Mapping):
        return None

    value = row.get("difficulty")
    if isinstance(value, (str, int, float)) and str(value).strip() and is_unicode(str(value)):
        return str(value).strip()

    scores = row.get("score")
    if not isinstance(scores, Sequence) or isinstance(scores, str) or len(scores) != 5:
        return None

    correct = sum(score in (1, True) for score in scores)
    return next((level for level, (low, high) in DIFFICULTIES.items() if low <= correct <= high), None)


def beside_example(row: Any) -> dict[str, str | None]:
    """Return the values of columns of the normal form that are no part of an example, from a raw row."""
    question_id = row.get("question_id") if isinstance(row, Mapping) else None
    is_text = isinstance(question_id, str) and is_unicode(question_id)
    return {"difficulty": difficulty_of(row), "question_id": question_id if is_text else None}


@dataclass(frozen=True)
class Inputs:
    """The files that rows are taken from, as they were before anything was read."""

    sources: tuple[Source, ...]
    states: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, sources: Sequence[Source]) -> "Inputs":
        """Return the inputs of these sources. Raises ValueError for rows that are not ours to read."""
        for source in sources:
            check_ours(source)

        return cls(tuple(sources), _states(sources))

    def described(self) -> tuple[Input, ...]:
        """Return the files with their hashes.

        Raises UserError where a file was changed since, so that the rows may not be those that were chosen.
        """
        if _states(self.sources) != self.states:
            names = ", ".join(str(file) for source in self.sources for file in source.files)
            raise UserError(
                f"an input was changed while it was read; nothing was written. Start again. Inputs: {names}"
            )

        found = []
        for source in self.sources:
            licence = source.entry.get("license", source.entry.get("licence"))
            for file in source.files:
                name = f"{source.hub}: {file.name}" if source.hub else str(file)
                found.append(Input(source.name, name, file.stat().st_size, file_hash(file), licence))

        return tuple(found)


def _states(sources: Sequence[Source]) -> tuple[tuple[int, int], ...]:
    stats = [file.stat() for source in sources for file in source.files]
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


def check_ours(source: Source) -> None:
    """Raise ValueError where no format of ours reads a source's rows."""
    if not source.is_ours:
        raise UserError(
            f"{source.name}: rows of formatting {source.formatting} are LLaMA-Factory's to read. If they are long "
            "thoughts, give the entry, or convert with, formatting long_thought."
        )


def check_kinds(sources: Sequence[Source]) -> None:
    """Raise UserError where rows of these sources cannot be trained on from one file of the normal form."""
    for source in sources:
        if source.formatting == "questions":
            raise UserError(
                f"{source.name}: prompts without responses, which the normal form cannot hold. stage: grpo takes them as they "
                "are, several sets as dataset: A,B; data slice --pass-rate and data dedup write them as prompts."
            )

    pairs = [source.name for source in sources if source.options.ranking]
    if pairs and len(pairs) < len(sources):
        other = next(source.name for source in sources if not source.options.ranking)
        raise UserError(
            f"{pairs[0]} holds preference pairs, {other} single responses: no stage trains on both, so nothing was written. "
            "Make a file of each."
        )


def read_chosen(
    sources: Sequence[Source], candidates: Candidates, chosen: np.ndarray
) -> Iterator[tuple[Source, Any, Example]]:
    """Yield (source, raw row, example) of chosen candidates, in the order in which they stand in the sources.

    `chosen` holds positions of candidates, rising. Raises UserError for a row that is no longer what it was when they
    were gathered.
    """
    of_source, numbers, parts = (candidates.column(name) for name in ("source", "number", "part"))
    for place, source in enumerate(sources):
        wanted = iter(chosen[of_source[chosen] == place])
        position = next(wanted, None)
        if position is None:
            continue

        for row in read_source(source):
            reading = None
            while position is not None and numbers[position] == row.number:
                reading = reading or read_row(row.raw, source.formatting, source.options)
                part = int(parts[position])
                example = reading.parts[part] if part < len(reading.parts) else None
                if not isinstance(example, Example):
                    raise UserError(f"{row.place}: the row was changed while it was read. Start again.")

                yield source, row.raw, example
                position = next(wanted, None)

            if position is None:
                break


def entry_for(written: Written, licences: Iterable[str | None]) -> dict[str, Any]:
    """Return the entry of dataset_info.json that reads a file in the normal form."""
    entry: dict[str, Any] = {"file_name": written.path.name, "formatting": "long_thought"}
    if "rejected" in written.used:
        entry["ranking"] = True

    known = set(licences)
    if len(known) == 1 and None not in known:
        entry["license"] = known.pop()

    return entry


def check_targets(paths: Sequence[Path], sources: Sequence[Source], overwrite: bool) -> None:
    """Raise ValueError where one of the outputs cannot be written, or is one of the inputs."""
    files = {os.path.realpath(file) for source in sources for file in source.files}
    for path in paths:
        check_target(path, overwrite)
        if os.path.realpath(path) in files:
            raise UserError(f"{path} is an input as well. Name another output.")

        _check_card(path)


def _check_card(path: Path) -> None:
    """Raise ValueError where the card would replace that of another file: of `a.jsonl`, for `a.parquet`."""
    _, card = card_files(path)
    try:
        other = json.loads(card.read_text(encoding="utf-8"))["output"]["file"]
    except (OSError, ValueError, LookupError, TypeError):
        return  # no card of ours

    if other != path.name and path.with_name(other).exists():
        raise UserError(f"{path}: {card} is the card of {other}. Name the output otherwise.")


@dataclass(frozen=True)
class Output:
    """A file to be written: its rows as positions in the spool, in order, and what its card says so far."""

    path: Path
    card: DatasetCard
    order: np.ndarray | None = None


def finish(spool: Spool, outputs: Sequence[Output]) -> list[DatasetCard]:
    """Write files of `spool` with their cards and return the cards; the files appear last, when all else is there.

    Raises AssertionError where rows in and rows out do not add up, which is a defect of this package.
    """
    cards = []
    with published([output.path for output in outputs]):
        for output in outputs:
            counts: dict[str, Counter] = {"domain": Counter(), "source": Counter()}
            written = write_spool(spool, output.path, output.order, functools.partial(_count, counts))
            cards.append(_completed(output.card, written, counts))

        for output, card in zip(outputs, cards, strict=True):
            write_card(output.path, card.card(), card.to_json())

    return cards


def _count(counts: dict[str, Counter], row: Mapping[str, Any]) -> None:
    for name, counted in counts.items():
        value = row[name] or NONE
        counted[value if value in counted or len(counted) < MOST_VALUES else OTHER] += 1


def _completed(card: DatasetCard, written: Written, counts: Mapping[str, Counter]) -> DatasetCard:
    notes = card.notes
    if written.promoted:
        notes += (
            f"{written.promoted} row(s) stand on top out of order, so that `datasets.load_dataset` learns the type of "
            "every column from the first 10 MiB.",
        )

    licences = (item.licence for item in card.inputs)
    return replace(
        card,
        output={"file": written.path.name, "rows": written.rows, "bytes": written.bytes, "sha256": written.sha256},
        kept=written.rows,
        by={**card.by, **{name: dict(counted.most_common()) for name, counted in counts.items()}},
        media_dir=card.media_dir if "images" in written.used else None,
        entry={written.path.stem: entry_for(written, licences)},
        notes=notes,
    )


def _by_dataset(sources: Sequence[Source], candidates: Candidates, positions: np.ndarray) -> dict[str, int]:
    counted = Counter()
    for place, count in enumerate(np.bincount(candidates.column("source")[positions], minlength=len(sources))):
        counted[sources[place].name] += int(count)

    return dict(counted.most_common())


def write_chosen(
    verb: str,
    sources: Sequence[Source],
    inputs: Inputs,
    candidates: Candidates,
    outputs: Sequence[tuple[Path, np.ndarray, Mapping[str, int]]],
    command: str,
    settings: Mapping[str, Any],
) -> list[DatasetCard]:
    """Write outputs of chosen candidates with their cards, and return the cards in the order of the outputs.

    The rows are read once, in the order of the sources, into a spool beside the first output, and written from there
    in the order asked for: memory holds numbers only. `inputs` are the files as they were before the candidates were
    gathered. An output is its path, the positions of its candidates in their order, each once, and reason ->
    candidates left out.
    """
    chosen = np.unique(np.concatenate([positions for _, positions, _ in outputs]))
    media = media_of(sources, outputs[0][0])
    rows = (
        normal_row(
            replace(example, images=tuple(portable_images(example.images, source, media))), **beside_example(raw)
        )
        for source, raw, example in read_chosen(sources, candidates, chosen)
    )
    with spooled(outputs[0][0], rows) as spool:
        described = inputs.described()
        planned = []
        for path, positions, left_out in outputs:
            dropped = Counter(candidates.dropped) + Counter(left_out)
            card = DatasetCard(
                verb=verb,
                command=command,
                inputs=described,
                rows_in=candidates.rows_in,
                examples_in=candidates.examples_in,
                dropped=dict(dropped.most_common()),
                settings=settings,
                media_dir=str(media.folder),
                by={"dataset": _by_dataset(sources, candidates, positions)} if len(sources) > 1 else {},
            )
            planned.append(Output(path, card, np.searchsorted(chosen, positions)))

        return finish(spool, planned)
