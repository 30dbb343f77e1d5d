"""Questions of several sources, drawn, checked and written with their pictures: DIR/questions.jsonl and its card.

One pass over a source: the questions with the smallest numbers of a seeded hash are held, and only their pictures are
opened. Which ones these are depends on what the source holds, not on the order of its files.
"""

import contextlib
import hashlib
import heapq
import json
import math
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from virgo_factory import __version__
from virgo_factory.answers import grading, judge
from virgo_factory.core.errors import UserError
from virgo_factory.data.check.overlap import Overlaps, question_grams, read_benchmark
from virgo_factory.data.fetch.picture_match import match_text
from virgo_factory.data.make.writing import partial_of, published
from virgo_factory.distill.config import DistillConfig
from virgo_factory.distill.questions.benchmark_pictures import benchmark_pictures
from virgo_factory.distill.questions.draw import DUPLICATE, NOT_DRAWN, Draw, Held, place_in_draw
from virgo_factory.distill.questions.given import Given, read_given
from virgo_factory.distill.questions.question_card import (
    NO_GOLD,
    OTHER_SPLIT,
    OVERLAP,
    PICTURE_OVERLAP,
    SAME_ID,
    UNCHECKABLE,
    Account,
    Kept,
    QuestionsCard,
    SourceCount,
    count_of,
    read_card,
    write_cards,
)
from virgo_factory.distill.sources import Asked, Found, read_source
from virgo_factory.formats.row import RejectedRow, text_id
from virgo_factory.io.atomic import write_json
from virgo_factory.io.files import check_folder
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.io.lock import alone
from virgo_factory.report.card import card_files
from virgo_factory.report.text import visible
from virgo_factory.rollouts.pictures import StoredPicture, remove_others, store_picture
from virgo_factory.rollouts.question import (
    FILE,
    VisualQuestion,
    check_texts,
    is_binary,
    is_blank,
    question_of,
    read_questions,
    write_question,
)


PARTS, LOCK = ".questions", ".questions.lock"
"""Folder of the sources that are done while others are not, and the lock of the process that writes."""

_DIGITS = 20  # of a place in the draw, in front of a line of a part

Progress = Callable[[str, int, int], None]
"""Is called with the source, the questions seen and the questions held so far."""


def build_questions(config: DistillConfig, folder: Path, progress: Progress | None = None) -> QuestionsCard:
    """Write FOLDER/questions.jsonl with its pictures and card, and return the card; a complete file is kept as it is.

    Of the config the block `questions` and `image_max_pixels` are looked at. Raises ValueError: a source is not there or cannot be read, no
    question is left, or the file there was made with other settings.
    """
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / LOCK):  # one that comes second waits, and finds them
        if (folder / FILE).is_file():
            card = _as_it_was(folder, settings_of(config))
            _clean_up(folder, config)
            return card

        benchmarks = tuple(_Benchmark.read(Path(path)) for path in config.benchmarks)
        job = _Job(config, folder, benchmarks, progress or (lambda source, seen, held: None))
        if config.questions is not None:
            return _finish(job, [_take(job, Path(config.questions))])

        wanted = {name: math.ceil(count * config.pool_factor) for name, count in config.sources.items() if count}
        return _finish(job, [_part(job, name, count) for name, count in wanted.items()])


def settings_of(config: DistillConfig) -> dict[str, Any]:
    """Return the settings that decide about questions.jsonl, as its card tells them."""
    if config.questions is not None:
        taken = {"questions": str(config.questions)}
    else:
        taken = {"sources": dict(config.sources), "pool_factor": config.pool_factor}
        if config.source_dir is not None:
            taken["source_dir"] = str(config.source_dir)
        else:
            taken["onevision"] = config.onevision

        taken |= {"questions_per_image": config.questions_per_image, "seed": config.seed}

    return {**taken, "benchmarks": [str(path) for path in config.benchmarks], "max_pixels": config.image_max_pixels}


def _as_it_was(folder: Path, settings: Mapping[str, Any]) -> QuestionsCard:
    """Return the card of a complete file; ValueError where it was made with other settings, or is broken."""
    card = read_card(folder / FILE)
    if card is None:  # put there by hand, or merged
        return _counted(folder)

    for key in {**settings, **card.settings}:
        if settings.get(key) != card.settings.get(key):
            raise UserError(
                f"{folder / FILE} was made with {key}: {card.settings.get(key)!r}, now it is {settings.get(key)!r}. "
                "Choose another output_dir, or set it back."
            )

    return card


def _counted(folder: Path) -> QuestionsCard:
    """Return the card of a file that has none: all that its rows tell."""
    kept: Counter[str] = Counter()
    binary: Counter[str] = Counter()
    images: defaultdict[str, set[str]] = defaultdict(set)
    for question in read_questions(folder / FILE):
        kept[question.source] += 1
        binary[question.source] += is_binary(question)
        images[question.source].update(question.images)
        if gone := [name for name in question.images if not (folder / name).is_file()]:
            raise UserError(f"{folder / FILE} (id {question.id}): no picture {folder / gone[0]}.")

    if not kept:
        raise UserError(f"{folder / FILE}: no questions in the file.")

    counts = [SourceCount(name, None, n, 0, n, {}, len(images[name]), binary[name]) for name, n in kept.items()]
    output = {"rows": sum(kept.values()), "images": len(set().union(*images.values()))}
    return QuestionsCard({}, tuple(counts), ("The file was there already.",), output)


@dataclass(frozen=True)
class _Benchmark:
    """A benchmark that questions are held against."""

    path: Path
    questions: Sequence[Any]
    pictures: frozenset[bytes]
    missing: int

    @classmethod
    def read(cls, path: Path) -> "_Benchmark":
        try:
            questions = read_benchmark(path)
        except ValueError as error:
            raise UserError(str(error).replace("--benchmark", "benchmarks:")) from None

        pictures, missing = benchmark_pictures(path)
        return cls(path, questions, frozenset(pictures), missing)


@dataclass(frozen=True)
class _Job:
    """What every step of one call works with."""

    config: DistillConfig
    folder: Path
    benchmarks: tuple[_Benchmark, ...]
    progress: Progress

    @cached_property
    def known_pictures(self) -> frozenset[bytes]:
        """The pixel digests of the benchmarks' pictures."""
        return frozenset().union(*(benchmark.pictures for benchmark in self.benchmarks))


def _part(job: _Job, name: str, wanted: int) -> SourceCount:
    """Draw a source's questions into PARTS/NAME.jsonl and return its count; one that a killed run finished is kept."""
    part = _part_of(job, name)
    told = part.with_suffix(".json")
    settings = {**settings_of(job.config), "sources": name, "pool_factor": wanted, "version": __version__}
    if told.is_file() and part.is_file():
        content = json.loads(told.read_text(encoding="utf-8"))
        if content["settings"] == settings:
            return count_of(content["count"])

    part.parent.mkdir(exist_ok=True)
    told.unlink(missing_ok=True)
    spool = part.with_suffix(".spool")
    try:
        with spool.open("wb+") as lines:
            count = _draw(job, name, wanted, lines)
    finally:
        spool.unlink(missing_ok=True)

    write_json(told, {"settings": settings, "count": asdict(count)})
    return count


def _part_of(job: _Job, name: str) -> Path:
    return job.folder / PARTS / f"{name}.jsonl"


def _draw(job: _Job, name: str, wanted: int, spool: IO[bytes]) -> SourceCount:
    """Draw a source's questions and write those that stay, each behind its place in the draw."""
    # Which phrases are fixed ones shows when all rows have been seen: some more are held until then.
    more = wanted // 4 + 100 if job.benchmarks else 0
    account, draw, copies = _stream(job, name, wanted + more, {}, spool)
    for held in draw.drop(copies):
        row = json.loads(_line_at(spool, held.start))
        account.drop(row["id"], row["origin"], OVERLAP, copies[held.number])

    best = draw.best(wanted)
    if copies and len(best) < wanted:  # others may take their places
        account, draw, _ = _stream(job, name, wanted, copies, spool)
        best = draw.best(wanted)

    account.dropped[NOT_DRAWN] += len(draw) - len(best)
    ids = Counter(json.loads(_line_at(spool, held.start))["id"] for held in best)
    kept = Kept()
    part = _part_of(job, name)
    with published([part]), partial_of(part).open("w", encoding="utf-8", newline="\n") as file:
        for held in best:
            question = question_of(json.loads(_line_at(spool, held.start)))
            if ids[question.id] > 1:
                question = replace(question, id=f"{question.id}-{_own_digits(question)}")

            kept.add(question)
            file.write(f"{held.place:0{_DIGITS}} {write_question(question)}")

    return account.settled(name, wanted, kept)


def _own_digits(question: VisualQuestion) -> str:
    """Return digits by which two questions of one id differ."""
    return text_id(f"{question.question} {question.gold} {question.image_sha256}")[:8]


def _line_at(spool: IO[bytes], start: int) -> bytes:
    spool.seek(start)
    return spool.readline()


def _stream(
    job: _Job, name: str, wanted: int, excluded: Mapping[int, str], spool: IO[bytes]
) -> tuple[Account, Draw, dict[int, str]]:
    """Go through a source once.

    Return its account so far, the questions that are held, and of all those that are a benchmark's the benchmark's question.
    """
    config = job.config
    account, draw = Account(), Draw(wanted, config.questions_per_image)
    overlaps = [] if excluded else [Overlaps(benchmark.questions) for benchmark in job.benchmarks]
    known_pictures = job.known_pictures
    source_dir = None if config.source_dir is None else Path(config.source_dir)
    media_dir = job.folder if source_dir is None else source_dir / name
    spool.seek(0)
    spool.truncate()
    end = number = 0
    train_only = False
    known: dict[str, StoredPicture] = {}
    found: Found
    for number, found in enumerate(
        read_source(name, source_dir, config.onevision, job.folder / PARTS / "downloads"), 1
    ):
        if not number % 64:
            job.progress(name, number, min(len(draw), wanted))

        account.rows_in += found.is_first
        account.extra += not found.is_first
        train_only = train_only or (number == 1 and found.split == "train")
        try:
            if train_only and found.split != "train":
                raise RejectedRow(OTHER_SPLIT)

            question = _question(name, found)
            if overlaps:
                grams = np.unique(question_grams(question.question))
                for overlap in overlaps:
                    overlap.add_grams(number, grams)

            if number in excluded:
                raise RejectedRow(OVERLAP, excluded[number])

            place = place_in_draw(config.seed, question)
            if not draw.has_room(place):
                raise RejectedRow(NOT_DRAWN)

            _check_gold(question)
            stored = [
                store_picture(image, media_dir, job.folder, config.image_max_pixels, known)
                for image in (picture() if callable(picture) else picture for picture in found.pictures)
            ]
            if any(picture.pixels in known_pictures for picture in stored):
                raise RejectedRow(PICTURE_OVERLAP)

        except RejectedRow as error:
            account.drop(f"{name}/{found.id}", found.origin, error.reason, error.detail)
            continue

        line = write_question(_with_pictures(question, stored)).encode()
        spool.write(line)
        if reason := draw.offer(Held(place, _pixels_of(stored), _text_of(question), end, number)):
            account.drop(question.id, question.origin, reason)

        end += len(line)

    job.progress(name, number, min(len(draw), wanted))
    return account, draw, _copies(job, overlaps, number)


def _copies(job: _Job, overlaps: Sequence[Overlaps], rows: int) -> dict[int, str]:
    """Return row -> the benchmark's question that it copies."""
    copies: dict[int, str] = {}
    for overlap, benchmark in zip(overlaps, job.benchmarks, strict=False):
        for found in overlap.found(rows):
            if found.is_copy:
                question = benchmark.questions[found.question]
                copies[found.row] = f"{question.place}: {question.text}"

    return copies


def _question(name: str, found: Found) -> VisualQuestion:
    """Return the question that was found, or raise RejectedRow; of its pictures only the number is known yet."""
    if isinstance(found.asked, RejectedRow):
        raise found.asked

    asked: Asked = found.asked
    if not asked.question.strip():
        raise RejectedRow("the question is empty")

    question = VisualQuestion(
        id=f"{name}/{found.id}",
        source=name,
        images=("",) * len(found.pictures),
        image_sha256=(),
        question=asked.question,
        gold=asked.gold,
        options=asked.options,
        kind=asked.kind,
        unit=asked.unit,
        grading=asked.grading,
        origin=found.origin,
    )
    check_texts(question)
    return question


def _check_gold(question: VisualQuestion) -> None:
    """Raise RejectedRow where there is no gold answer, or one that is not even found equal to itself."""
    gold = question.gold
    if is_blank(gold):
        raise RejectedRow(NO_GOLD)

    said = "yes" if gold is True else "no" if gold is False else gold
    said = ", ".join(map(str, said)) if isinstance(said, list | tuple) else str(said)
    try:
        verdict = judge(said, gold, question.asked, grading(question.grading))
    except Exception as error:  # one question must never end the others
        raise RejectedRow(UNCHECKABLE, f"{said[:60]}: {type(error).__name__}") from None

    if not verdict.correct:
        raise RejectedRow(UNCHECKABLE, f"{said[:60]}: {verdict.words}")


def _with_pictures(question: VisualQuestion, stored: Sequence[StoredPicture]) -> VisualQuestion:
    paths, hashes = zip(*((picture.path, picture.sha256) for picture in stored), strict=True)
    return replace(question, images=paths, image_sha256=hashes)


def _pixels_of(stored: Sequence[StoredPicture]) -> bytes:
    return hashlib.blake2b(b"".join(picture.pixels for picture in stored), digest_size=16).digest()


def _text_of(question: VisualQuestion) -> bytes:
    text = "\n".join([match_text(question.question), *map(str.casefold, question.options)])
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def _take(job: _Job, path: Path) -> SourceCount:
    """Check all questions that are given, store their pictures here, and return their count."""
    account, kept = Account(), Kept()
    ids: set[bytes] = set()
    seen: set[bytes] = set()
    known: dict[str, StoredPicture] = {}
    overlaps = [Overlaps(benchmark.questions) for benchmark in job.benchmarks]
    number = 0
    for number, given in enumerate(read_given(path, job.config.dataset_dir), 1) if overlaps else ():
        if isinstance(given.asked, VisualQuestion):
            for overlap in overlaps:
                overlap.add(number, given.asked.question)

    copies = _copies(job, overlaps, number)
    part = _part_of(job, "questions")
    part.parent.mkdir(exist_ok=True)
    with published([part]), partial_of(part).open("w", encoding="utf-8", newline="\n") as file:
        for number, given in enumerate(read_given(path, job.config.dataset_dir), 1):
            account.rows_in += 1
            if not number % 64:
                job.progress(path.name, number, kept.rows)

            try:
                if isinstance(given.asked, RejectedRow):
                    raise given.asked

                question = given.asked
                _check_gold(question)
                digest = hashlib.blake2b(question.id.encode(), digest_size=16).digest()
                if digest in ids and not given.is_unnamed:
                    raise RejectedRow(SAME_ID, question.id)

                if number in copies:
                    raise RejectedRow(OVERLAP, copies[number])

                stored = _given_pictures(job, question, given, known)
                if any(picture.pixels in job.known_pictures for picture in stored):
                    raise RejectedRow(PICTURE_OVERLAP)

                content = _text_of(question) + _pixels_of(stored)
                if content in seen:
                    raise RejectedRow(DUPLICATE)

                if digest in ids:  # the same question, without an id, about another picture
                    question = replace(question, id=f"{question.id}-{text_id(content.hex())[:8]}")

            except RejectedRow as error:
                account.drop(given.id, given.place, error.reason, error.detail)
                continue

            ids.add(digest)
            seen.add(content)
            question = _with_pictures(question, stored)
            kept.add(question)
            file.write(f"{number:0{_DIGITS}} {write_question(question)}")

    return account.settled("questions", None, kept)


def _given_pictures(
    job: _Job, question: VisualQuestion, given: Given, known: dict[str, StoredPicture]
) -> list[StoredPicture]:
    """Store the pictures of a question that is given; RejectedRow where it has none, or another one than its hash says."""
    if not question.images:
        raise RejectedRow("no picture")

    hashes = question.image_sha256
    if hashes and len(hashes) != len(question.images):
        raise RejectedRow("images and image_sha256 do not match", f"{len(question.images)} and {len(hashes)}")

    max_pixels = job.config.image_max_pixels
    stored = [store_picture(image, given.media_dir, job.folder, max_pixels, known) for image in given.pictures]
    for name, digest, picture in zip(question.images, hashes, stored, strict=False):
        if digest not in (picture.sha256, picture.given_sha256):
            raise RejectedRow("the picture is not the one of image_sha256", name)

    return stored


def _finish(job: _Job, counts: Sequence[SourceCount]) -> QuestionsCard:
    """Put the parts together, the smallest numbers of the draw first, and publish file and cards."""
    folder, path = job.folder, job.folder / FILE
    if not any(count.kept for count in counts):
        shutil.rmtree(folder / PARTS)
        why = "; ".join(f"{count.source}: {_words_of(count.dropped)}" for count in counts)
        first = next((row for count in counts for row in count.listed), None)
        shown = f" The first: {first['origin']}: {first['reason']}, {first['detail']}".rstrip(", ") if first else ""
        raise UserError(visible(f"no question is left. {why}.{shown}"))

    names = ["questions"] if job.config.questions is not None else [count.source for count in counts]
    images: set[str] = set()
    rows = 0
    with published([*card_files(path), path]):  # the file last: where it is, so are its cards
        with contextlib.ExitStack() as files, partial_of(path).open("w", encoding="utf-8", newline="\n") as out:
            parts = [files.enter_context(_part_of(job, name).open(encoding="utf-8")) for name in names]
            for line in heapq.merge(*parts, key=lambda line: line[:_DIGITS]):
                out.write(line[_DIGITS + 1 :])
                images.update(json.loads(line[_DIGITS + 1 :])["images"])
                rows += 1

            out.flush()
            os.fsync(out.fileno())

        content = partial_of(path)
        output = {"rows": rows, "images": len(images), "bytes": content.stat().st_size, "sha256": file_hash(content)}
        card = QuestionsCard(settings_of(job.config), tuple(counts), _notes(job, counts), output)
        write_cards(path, card)

    _clean_up(folder, job.config)
    return card


def _clean_up(folder: Path, config: DistillConfig) -> None:
    """Remove what was needed on the way to a complete file; also what a kill behind its last step left."""
    if not (folder / PARTS).is_dir():
        return

    if config.questions is None or Path(config.questions).resolve().parent != folder.resolve():
        remove_others(folder, {name for question in read_questions(folder / FILE) for name in question.images})

    shutil.rmtree(folder / PARTS)


def _notes(job: _Job, counts: Sequence[SourceCount]) -> tuple[str, ...]:
    notes = [
        f"{count.source}: {count.wanted:,} asked for, {count.kept:,} there."
        for count in counts
        if count.wanted is not None and count.kept < count.wanted
    ]
    notes += [
        f"{benchmark.path}: {benchmark.missing:,} of its pictures could not be opened, so that only texts were compared there."
        for benchmark in job.benchmarks
        if benchmark.missing
    ]
    if not job.benchmarks:
        notes.append("No benchmarks are named: whether a question is also a benchmark's was not looked at.")

    return tuple(notes)


def _words_of(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "no rows"
