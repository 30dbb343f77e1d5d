"""Questions of several sources, drawn, checked and written with their pictures: DIR/questions.jsonl and its card.

One pass over a source: the questions with the smallest numbers of a seeded hash are held, and only their pictures are
opened. Which ones these are depends on what the source holds, not on the order of its files.
"""

import contextlib
import fcntl
import hashlib
import heapq
import json
import math
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from virgo_factory import __version__
from virgo_factory.adapters.row import RejectedRow, text_id
from virgo_factory.answers import grading, judge
from virgo_factory.datasets.account import write_json
from virgo_factory.datasets.card import card_files
from virgo_factory.datasets.fingerprint import file_hash
from virgo_factory.datasets.matching import match_text
from virgo_factory.datasets.overlap import Overlaps, question_grams, read_benchmark
from virgo_factory.datasets.writing import partial_of, published
from virgo_factory.distill.pictures import StoredPicture, benchmark_pictures, remove_others, store_picture
from virgo_factory.distill.question import (
    FILE,
    VisualQuestion,
    check_texts,
    is_blank,
    question_of,
    read_lines,
    read_questions,
    write_question,
)
from virgo_factory.distill.sources import Asked, Found, Picture, read_source
from virgo_factory.recipes import replace_file


PARTS, LOCK = ".questions", ".questions.lock"
"""Folder of the sources that are done while others are not, and the lock of the process that writes."""

_DIGITS = 20
"""Of a place in the draw, in front of a line of a part."""

NOT_DRAWN = "not drawn"
DUPLICATE = "the same question on the same picture"
SAME_PICTURE = "another question on its picture is asked"
OVERLAP = "its question is a benchmark's"
PICTURE_OVERLAP = "its picture is a benchmark's"
OTHER_SPLIT = "not of the train split"
NO_GOLD = "no gold answer"
UNCHECKABLE = "the gold answer cannot be checked"
SAME_ID = "the id stands there twice"
QUIET = (NOT_DRAWN, SAME_PICTURE, OTHER_SPLIT, DUPLICATE)
"""Reasons that are nothing wrong with a row: rows left out for them are counted, not listed."""

LISTED = 20
"""Rows left out that the card lists, of each source."""

Progress = Callable[[str, int, int], None]
"""Is called with the source, the questions seen and the questions held so far."""


@dataclass(frozen=True)
class SourceCount:
    """What became of one source: `rows_in` + `extra` = `kept` + all of `dropped`.

    Attributes:
        wanted: how many were asked for; None where all are taken.
        extra: questions beyond the first of rows that hold several.
        dropped: reason -> questions, most frequent first.
        images: different pictures of the kept questions.
        binary: kept questions that are answered with yes or no, or by one of two options.
        listed: the first left out that something is wrong with: id, origin, reason, detail.
    """

    source: str
    wanted: int | None
    rows_in: int
    extra: int
    kept: int
    dropped: Mapping[str, int]
    images: int
    binary: int
    listed: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class QuestionsCard:
    """What questions.jsonl was made of.

    Attributes:
        settings: what decided about it.
        sources: of each source what became of it; of a ready-made file a single entry.
        notes: sentences that a reader must know.
        output: rows, bytes and SHA-256 of the file, and its number of pictures.
    """

    settings: Mapping[str, Any]
    sources: tuple[SourceCount, ...]
    notes: tuple[str, ...] = ()
    output: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    @property
    def kept(self) -> int:
        """Questions in the file."""
        return sum(count.kept for count in self.sources)


def build_questions(config: Any, folder: Path, progress: Progress | None = None) -> QuestionsCard:
    """Write FOLDER/questions.jsonl with its pictures and card, and return the card; a complete file is kept as it is.

    Args:
        config: a `DistillConfig`; its block `questions` and `image_max_pixels` are looked at.
        folder: of the distillation.
        progress: see Progress.

    Raises:
        ValueError: a source is not there or cannot be read, no question is left, or the file there was made with other
            settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / LOCK):
        if (folder / FILE).is_file():
            return _as_it_was(folder, settings_of(config))

        benchmarks = [_Benchmark.read(Path(path)) for path in config.benchmarks]
        if config.questions is not None:
            counts = [_take(Path(config.questions), folder, config, benchmarks, progress)]
        else:
            counts = [
                _part(name, math.ceil(wanted * config.pool_factor), folder, config, benchmarks, progress)
                for name, wanted in config.sources.items()
                if wanted
            ]

        return _finish(folder, config, counts, benchmarks)


def settings_of(config: Any) -> dict[str, Any]:
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


def place_in_draw(seed: int, question: VisualQuestion) -> int:
    """Return the number by which questions are drawn and ordered, the smallest first: the same everywhere."""
    named = json.dumps([seed, question.id, question.question, question.gold], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(named.encode("utf-8", "replace"), digest_size=8).digest(), "big")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Context in which no other process makes this folder's questions; one that comes second waits and finds them."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _as_it_was(folder: Path, settings: Mapping[str, Any]) -> QuestionsCard:
    """Return the card of a complete file.

    Raises:
        ValueError: the file was made with other settings, or is broken.
    """
    _, programs = card_files(folder / FILE)
    if not programs.is_file():  # put there by hand, or merged
        return _counted(folder)

    content = json.loads(programs.read_text(encoding="utf-8"))
    made_with = content["settings"]
    for key in {**settings, **made_with}:
        if settings.get(key) != made_with.get(key):
            raise ValueError(
                f"{folder / FILE} was made with {key}: {made_with.get(key)!r}, now it is {settings.get(key)!r}. "
                "Choose another output_dir, or set it back."
            )

    sources = tuple(map(_count_of, content["sources"]))
    return QuestionsCard(made_with, sources, tuple(content["notes"]), content["output"], content["version"])


def _count_of(told: Mapping[str, Any]) -> SourceCount:
    return SourceCount(**{**told, "listed": tuple(told["listed"])})


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
            raise ValueError(f"{folder / FILE} (id {question.id}): no picture {folder / gone[0]}.")

    if not kept:
        raise ValueError(f"{folder / FILE}: no questions in the file.")

    counts = [SourceCount(name, None, n, 0, n, {}, len(images[name]), binary[name]) for name, n in kept.items()]
    output = {"rows": sum(kept.values()), "images": len(set().union(*images.values()))}
    return QuestionsCard({}, tuple(counts), ("The file was there already.",), output)


def is_binary(question: VisualQuestion) -> bool:
    """Whether a coin would answer it half of the time."""
    return question.kind == "boolean" or len(question.options) == 2


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
            raise ValueError(str(error).replace("--benchmark", "benchmarks:")) from None

        pictures, missing = benchmark_pictures(path)
        return cls(path, questions, frozenset(pictures), missing)


@dataclass(frozen=True)
class _Held:
    """A question that is drawn for now: where its line stands in the spool, and its place in the source."""

    text: bytes
    start: int
    number: int


class _Draw:
    """The questions of the smallest numbers: at most `wanted`, at most `per_picture` on a picture, none twice.

    These sets are the independent sets of a matroid (laminar: question on picture, picture, all), so that holding the
    best one while questions come and go gives the same in whatever order they come.
    """

    def __init__(self, wanted: int, per_picture: int) -> None:
        self.wanted, self.per_picture = wanted, per_picture
        self.held: dict[tuple[int, bytes], _Held] = {}
        self._largest: list[tuple[int, bytes]] = []
        self._by_text: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}
        self._by_picture: defaultdict[bytes, list[tuple[int, bytes]]] = defaultdict(list)

    def has_room(self, place: int) -> bool:
        """Whether a question with this number would be held, as far as can be told without its picture."""
        if len(self.held) < self.wanted:
            return True

        self._forget()
        return bool(self._largest) and place < -self._largest[0][0]

    def offer(self, place: int, picture: bytes, held: _Held) -> str | None:
        """Hold a question if it belongs to the best, and return why it, or the one it drove out, is not held."""
        key = (place, picture)
        same = self._by_text.get((picture, held.text))
        if same is not None and same <= key:
            return DUPLICATE

        if same is not None:
            self._remove(same)
            self._add(key, held)
            return DUPLICATE

        self._add(key, held)
        others = self._by_picture[picture]
        if len(others) > self.per_picture:
            self._remove(max(others))
            return SAME_PICTURE

        if len(self.held) > self.wanted:
            self._forget()
            number, picture = self._largest[0]
            self._remove((-number, picture))
            return NOT_DRAWN

        return None

    def drop(self, numbers: Mapping[int, str]) -> list[_Held]:
        """Let go of the questions at these places in the source, and return them."""
        gone = {key: held for key, held in self.held.items() if held.number in numbers}
        for key in gone:
            self._remove(key)

        return list(gone.values())

    def best(self, count: int) -> list[tuple[int, bytes]]:
        """Return the keys of the held questions, the smallest numbers first."""
        return sorted(self.held)[:count]

    def _add(self, key: tuple[int, bytes], held: _Held) -> None:
        self.held[key] = held
        self._by_text[key[1], held.text] = key
        self._by_picture[key[1]].append(key)
        heapq.heappush(self._largest, (-key[0], key[1]))

    def _remove(self, key: tuple[int, bytes]) -> None:
        held = self.held.pop(key)
        del self._by_text[key[1], held.text]
        self._by_picture[key[1]].remove(key)

    def _forget(self) -> None:
        """Take what is no longer held from the top of the heap."""
        while self._largest and (-self._largest[0][0], self._largest[0][1]) not in self.held:
            heapq.heappop(self._largest)


class _Account:
    """What becomes of a source's questions, while it is read."""

    def __init__(self) -> None:
        self.rows_in = self.extra = 0
        self.dropped: Counter[str] = Counter()
        self.listed: list[dict[str, str]] = []

    def drop(self, id: str, origin: str, reason: str, detail: str = "") -> None:
        self.dropped[reason] += 1
        if reason not in QUIET and len(self.listed) < LISTED:
            self.listed.append({"id": id, "origin": origin, "reason": reason, "detail": detail[:300]})

    def settled(self, source: str, wanted: int | None, kept: "_Kept") -> SourceCount:
        """Return the count of the source.

        Raises:
            AssertionError: the numbers do not add up, which is a defect of this package.
        """
        reasons = {reason: count for reason, count in self.dropped.most_common() if count}
        count = SourceCount(
            *(source, wanted, self.rows_in, self.extra, kept.rows, reasons),
            *(len(kept.images), kept.binary, tuple(self.listed)),
        )
        if count.rows_in + count.extra != count.kept + sum(count.dropped.values()):
            raise AssertionError(f"the account of {source} does not add up: {count}")

        return count


@dataclass
class _Kept:
    """What is counted of the questions that are written."""

    rows: int = 0
    binary: int = 0
    images: set[str] = field(default_factory=set)

    def add(self, question: VisualQuestion) -> None:
        self.rows += 1
        self.binary += is_binary(question)
        self.images.update(question.images)


def _part(
    name: str,
    wanted: int,
    folder: Path,
    config: Any,
    benchmarks: Sequence[_Benchmark],
    progress: Progress | None,
) -> SourceCount:
    """Draw a source's questions into PARTS/NAME.jsonl and return its count; one that a killed run finished is kept."""
    part = _part_of(folder, name)
    told = part.with_suffix(".json")
    settings = {**settings_of(config), "sources": name, "pool_factor": wanted, "version": __version__}
    if told.is_file() and part.is_file():
        content = json.loads(told.read_text(encoding="utf-8"))
        if content["settings"] == settings:
            return _count_of(content["count"])

    part.parent.mkdir(exist_ok=True)
    told.unlink(missing_ok=True)
    spool = part.with_suffix(".spool")
    try:
        with spool.open("wb+") as lines:
            count = _draw(name, wanted, lines, folder, config, benchmarks, progress)
    finally:
        spool.unlink(missing_ok=True)

    write_json(told, {"settings": settings, "count": asdict(count)})
    return count


def _part_of(folder: Path, name: str) -> Path:
    return folder / PARTS / f"{name}.jsonl"


def _draw(
    name: str,
    wanted: int,
    spool: IO[bytes],
    folder: Path,
    config: Any,
    benchmarks: Sequence[_Benchmark],
    progress: Progress | None,
) -> SourceCount:
    """Draw a source's questions and write those that stay, each behind its place in the draw."""
    # Which phrases are fixed ones shows when all rows have been seen: some more are held until then.
    more = wanted // 4 + 100 if benchmarks else 0
    account, draw, copies = _stream(name, wanted + more, {}, spool, folder, config, benchmarks, progress)
    for held in draw.drop(copies):
        row = json.loads(_line_at(spool, held.start))
        account.drop(row["id"], row["origin"], OVERLAP, copies[held.number])

    best = draw.best(wanted)
    if copies and len(best) < wanted:  # others may take their places
        account, draw, _ = _stream(name, wanted, copies, spool, folder, config, benchmarks, progress)
        best = draw.best(wanted)

    account.dropped[NOT_DRAWN] += len(draw.held) - len(best)
    ids = Counter(json.loads(_line_at(spool, draw.held[key].start))["id"] for key in best)
    kept = _Kept()
    part = _part_of(folder, name)
    with published([part]), partial_of(part).open("w", encoding="utf-8", newline="\n") as file:
        for key in best:
            question = question_of(json.loads(_line_at(spool, draw.held[key].start)))
            if ids[question.id] > 1:
                question = replace(question, id=f"{question.id}-{_own_digits(question)}")

            kept.add(question)
            file.write(f"{key[0]:0{_DIGITS}} {write_question(question)}")

    return account.settled(name, wanted, kept)


def _own_digits(question: VisualQuestion) -> str:
    """Return digits by which two questions of one id differ."""
    return text_id(f"{question.question} {question.gold} {question.image_sha256}")[:8]


def _line_at(spool: IO[bytes], start: int) -> bytes:
    spool.seek(start)
    return spool.readline()


def _stream(
    name: str,
    wanted: int,
    excluded: Mapping[int, str],
    spool: IO[bytes],
    folder: Path,
    config: Any,
    benchmarks: Sequence[_Benchmark],
    progress: Progress | None,
) -> tuple[_Account, _Draw, dict[int, str]]:
    """Go through a source once.

    Returns:
        Its account so far, the questions that are held, and of all those that are a benchmark's the benchmark's question.
    """
    account, draw = _Account(), _Draw(wanted, config.questions_per_image)
    overlaps = [] if excluded else [Overlaps(benchmark.questions) for benchmark in benchmarks]
    known_pictures = frozenset().union(*(benchmark.pictures for benchmark in benchmarks))
    source_dir = None if config.source_dir is None else Path(config.source_dir)
    media_dir = folder if source_dir is None else source_dir / name
    spool.seek(0)
    spool.truncate()
    end = number = 0
    train_only = False
    known: dict[str, StoredPicture] = {}
    found: Found
    for number, found in enumerate(read_source(name, source_dir, config.onevision, folder / PARTS / "downloads"), 1):
        if progress is not None and not number % 64:
            progress(name, number, min(len(draw.held), wanted))

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
                store_picture(_opened(picture), media_dir, folder, config.image_max_pixels, known)
                for picture in found.pictures
            ]
            if any(picture.pixels in known_pictures for picture in stored):
                raise RejectedRow(PICTURE_OVERLAP)

        except RejectedRow as error:
            account.drop(f"{name}/{found.id}", found.origin, error.reason, error.detail)
            continue

        line = write_question(_with_pictures(question, stored)).encode()
        spool.write(line)
        if reason := draw.offer(place, _pixels_of(stored), _Held(_text_of(question), end, number)):
            account.drop(question.id, question.origin, reason)

        end += len(line)

    if progress is not None:
        progress(name, number, min(len(draw.held), wanted))

    return account, draw, _copies(overlaps, benchmarks, number)


def _opened(picture: Picture) -> Any:
    return picture() if callable(picture) else picture


def _copies(overlaps: Sequence[Overlaps], benchmarks: Sequence[_Benchmark], rows: int) -> dict[int, str]:
    """Return row -> the benchmark's question that it copies."""
    copies: dict[int, str] = {}
    for overlap, benchmark in zip(overlaps, benchmarks, strict=False):
        for found in overlap.found(rows):
            if found.is_copy:
                question = benchmark.questions[found.question]
                copies[found.row] = f"{question.place}: {question.text}"

    return copies


def _question(name: str, found: Found) -> VisualQuestion:
    """Return the question that was found; of its pictures only the number is known yet.

    Raises:
        RejectedRow: there is none, or its texts cannot be asked.
    """
    if isinstance(found.asked, RejectedRow):
        raise found.asked

    asked: Asked = found.asked
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
    except Exception as error:  # formulas: math-verify and its parser raise anything
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


def _take(
    path: Path, folder: Path, config: Any, benchmarks: Sequence[_Benchmark], progress: Progress | None
) -> SourceCount:
    """Check all questions of a ready-made file, store their pictures here, and return the count of the file.

    Raises:
        ValueError: with file and line: not JSON.
    """
    account, kept = _Account(), _Kept()
    ids: set[bytes] = set()
    seen: set[bytes] = set()
    overlaps = [Overlaps(benchmark.questions) for benchmark in benchmarks]
    for number, (_, row) in enumerate(read_lines(path), 1) if overlaps else ():
        if isinstance(row, Mapping) and isinstance(row.get("question"), str):
            for overlap in overlaps:
                overlap.add(number, row["question"])

    copies = _copies(overlaps, benchmarks, sum(1 for _ in read_lines(path)) if overlaps else 0)
    known_pictures = frozenset().union(*(benchmark.pictures for benchmark in benchmarks))
    part = _part_of(folder, "questions")
    part.parent.mkdir(exist_ok=True)
    with published([part]), partial_of(part).open("w", encoding="utf-8", newline="\n") as file:
        for number, (line, row) in enumerate(read_lines(path), 1):
            account.rows_in += 1
            if progress is not None and not number % 64:
                progress(path.name, number, kept.rows)

            id = str(row.get("id")) if isinstance(row, Mapping) else ""
            try:
                question = question_of(row)
                _check_gold(question)
                digest = hashlib.blake2b(question.id.encode(), digest_size=16).digest()
                if digest in ids:
                    raise RejectedRow(SAME_ID, question.id)

                if number in copies:
                    raise RejectedRow(OVERLAP, copies[number])

                stored = _given_pictures(question, path.parent, folder, config.image_max_pixels)
                if any(picture.pixels in known_pictures for picture in stored):
                    raise RejectedRow(PICTURE_OVERLAP)

                content = _text_of(question) + _pixels_of(stored)
                if content in seen:
                    raise RejectedRow(DUPLICATE)

            except RejectedRow as error:
                account.drop(id, f"{path}:{line}", error.reason, error.detail)
                continue

            ids.add(digest)
            seen.add(content)
            question = _with_pictures(question, stored)
            kept.add(question)
            file.write(f"{number:0{_DIGITS}} {write_question(question)}")

    return account.settled("questions", None, kept)


def _given_pictures(question: VisualQuestion, media_dir: Path, folder: Path, max_pixels: int) -> list[StoredPicture]:
    """Store the pictures of a ready-made question.

    Raises:
        RejectedRow: see store_picture; or a picture is another one than its hash says.
    """
    hashes = question.image_sha256
    if hashes and len(hashes) != len(question.images):
        raise RejectedRow("images and image_sha256 do not match", f"{len(question.images)} and {len(hashes)}")

    stored = [store_picture(image, media_dir, folder, max_pixels) for image in question.images]
    for name, digest, picture in zip(question.images, hashes, stored, strict=False):
        if digest not in (picture.sha256, picture.given_sha256):
            raise RejectedRow("the picture is not the one of image_sha256", name)

    return stored


def _finish(
    folder: Path, config: Any, counts: Sequence[SourceCount], benchmarks: Sequence[_Benchmark]
) -> QuestionsCard:
    """Put the parts together, the smallest numbers of the draw first, and publish file and cards."""
    path = folder / FILE
    if not any(count.kept for count in counts):
        shutil.rmtree(folder / PARTS)
        remove_others(folder, set())
        why = "; ".join(f"{count.source}: {_words_of(count.dropped)}" for count in counts)
        first = next((row for count in counts for row in count.listed), None)
        shown = f" The first: {first['origin']}: {first['reason']} {first['detail']}".rstrip() if first else ""
        raise ValueError(f"no question is left. {why}.{shown}")

    names = ["questions"] if config.questions is not None else [count.source for count in counts]
    images: set[str] = set()
    rows = 0
    with published([path]):
        with contextlib.ExitStack() as files, partial_of(path).open("w", encoding="utf-8", newline="\n") as out:
            parts = [files.enter_context(_part_of(folder, name).open(encoding="utf-8")) for name in names]
            for line in heapq.merge(*parts, key=lambda line: line[:_DIGITS]):
                out.write(line[_DIGITS + 1 :])
                images.update(json.loads(line[_DIGITS + 1 :])["images"])
                rows += 1

            out.flush()
            os.fsync(out.fileno())

        content = partial_of(path)
        output = {"rows": rows, "images": len(images), "bytes": content.stat().st_size, "sha256": file_hash(content)}
        card = QuestionsCard(settings_of(config), tuple(counts), _notes(counts, benchmarks), output)
        people, programs = card_files(path)
        write_json(programs, asdict(card))
        replace_file(people, markdown(card).encode())

    remove_others(folder, images)
    shutil.rmtree(folder / PARTS)
    return card


def _notes(counts: Sequence[SourceCount], benchmarks: Sequence[_Benchmark]) -> tuple[str, ...]:
    notes = [
        f"{count.source}: {count.wanted:,} asked for, {count.kept:,} there."
        for count in counts
        if count.wanted is not None and count.kept < count.wanted
    ]
    notes += [
        f"{benchmark.path}: {benchmark.missing:,} of its pictures could not be opened, so that only texts were compared there."
        for benchmark in benchmarks
        if benchmark.missing
    ]
    return tuple(notes)


def _words_of(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "no rows"


def markdown(card: QuestionsCard) -> str:
    """Return the card for people."""
    lines = [
        f"# {FILE}",
        "",
        f"{card.kept:,} questions on {card.output['images']:,} pictures, made by `virgo-factory distill questions` {card.version}.",
        *card.notes,
        "",
        "| source | asked for | rows read | questions in them | kept | pictures | yes/no or one of two |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in card.sources:
        wanted = "all" if count.wanted is None else f"{count.wanted:,}"
        numbers = (count.rows_in, count.rows_in + count.extra, count.kept, count.images)
        share = f"{count.binary / count.kept:.0%}" if count.kept else "-"
        lines.append(table_row((count.source, wanted, *(f"{number:,}" for number in numbers), share)))

    for count in card.sources:
        if not count.dropped:
            continue

        lines += ["", f"## {count.source}: left out", "", "| questions | why |", "|---|---|"]
        lines += [table_row((f"{number:,}", reason)) for reason, number in count.dropped.items()]
        if count.listed:
            lines += [
                "",
                f"The first {len(count.listed)} that something is wrong with:",
                "",
                "| row | why |",
                "|---|---|",
            ]
            lines += [
                table_row((row["origin"], ": ".join(filter(None, (row["reason"], row["detail"])))))
                for row in count.listed
            ]

    lines += ["", "## Settings", "", "| | |", "|---|---|"]
    for name, value in card.settings.items():
        lines.append(table_row((name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))))

    lines.append(f"| SHA-256 of the output | `{card.output['sha256']}` |")
    return "\n".join(lines) + "\n"


def table_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table; a value from a dataset cannot leave its cell, nor become a link or a picture.

    >>> table_row(("a", "b|c\\n![x](y)"))
    '| a | b\\\\|c !\\\\[x](y) |'
    """
    clean = (
        " ".join(str(cell).split()).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;") for cell in cells
    )
    return "| " + " | ".join(clean) + " |"
