"""The second look of a check, at the texts themselves: near duplicates and overlap with benchmarks, chunk by chunk."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from virgo_factory.core.example import Example
from virgo_factory.data.check.duplicates import HASHES, sketch
from virgo_factory.data.check.overlap import question_grams
from virgo_factory.data.read.chunks import Chunk, UnreadableFile
from virgo_factory.data.read.reader import cut_file, read_chunk
from virgo_factory.data.read.source import Source
from virgo_factory.formats import read_row
from virgo_factory.io.workers import Lost, Workers


WORTH = 16 << 20
"""Bytes of data from which it is worth to start processes."""


@dataclass(frozen=True)
class TextsOfChunk:
    """What the texts of a chunk's examples are compared by.

    Attributes:
        rows: in the chunk, those without an example included.
        lines, numbers: of each example, its line and its row in the chunk, from 0.
        ids: of each example.
        sketches: (examples, HASHES) of uint16; None where they were not asked for.
        grams: of each example's question, its different 8-grams; None where they were not asked for.
    """

    rows: int
    lines: list[int]
    numbers: list[int]
    ids: list[str]
    sketches: np.ndarray | None
    grams: list[np.ndarray] | None


T = TypeVar("T")
Compared = tuple[int, Chunk, TextsOfChunk]
"""Position of the source, the chunk, and what its texts are compared by."""


def compare_texts(chunk: Chunk, source: Source, near: bool, questions: bool) -> TextsOfChunk:
    """Return what the texts of a chunk's examples are compared by; rows that give no example are passed over."""
    lines, numbers, ids, sketches, grams = [], [], [], [], []
    rows = 0
    for number, row in enumerate(read_chunk(chunk)):
        rows += 1
        if row.problem:
            continue

        for example in read_row(row.raw, source.formatting, source.options).parts:
            if not isinstance(example, Example):
                continue

            lines.append(row.line)
            numbers.append(number)
            ids.append(example.id)
            if near:
                sketches.append(sketch(whole_text(example)))

            if questions:
                grams.append(np.unique(question_grams("\n".join(turn.question for turn in example.turns))))

    stacked = np.array(sketches, np.uint16).reshape(-1, HASHES) if near else None
    return TextsOfChunk(rows, lines, numbers, ids, stacked, grams if questions else None)


def whole_text(example: Example) -> str:
    """Return question and response of all turns. Images are not in it: two questions of one picture are two rows."""
    texts = []
    for turn in example.turns:
        answer = turn.response
        texts += [turn.question, *((answer,) if isinstance(answer, str) else (answer.thought, answer.solution))]

    return "\n".join(texts)


def read_texts(
    sources: Sequence[Source],
    near: bool,
    questions: bool,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Compared]:
    """Yield what the texts of each chunk are compared by, in file order; large data is read in `workers` processes.

    A JSON list that breaks off ends its file here without an error: the check's first pass has told of it.
    """
    compare = functools.partial(_compare, sources=list(sources), near=near, questions=questions)
    yield from compare_chunks(sources, compare, workers, progress)


def compare_chunks(
    sources: Sequence[Source],
    compare: Callable[[tuple[int, Chunk]], tuple[int, Chunk, T]],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, Chunk, T]]:
    """Yield what `compare` makes of each chunk, in file order; large data is read in `workers` processes."""
    workers = workers or len(os.sched_getaffinity(0))
    total = sum(Path(file).stat().st_size for source in sources for file in source.files)
    chunks = chain.from_iterable(_chunks(index, source) for index, source in enumerate(sources) if source.is_ours)
    done = 0
    pool = None
    if workers > 1 and total >= WORTH:
        pool = Workers(functools.partial(_make, compare), workers, ahead=True)

    try:
        for found in pool.map(chunks) if pool else map(compare, chunks):
            if isinstance(found, Lost):
                raise ChildProcessError(
                    "a process that compared the texts was killed, perhaps for memory. Use fewer: --workers 1."
                )

            _, chunk, _ = found
            yield found
            done += chunk.bytes
            if progress:
                progress(done, total)
    finally:
        if pool:
            pool.close()


def _make(compare: Callable[[tuple[int, Chunk]], Any]) -> Callable[[tuple[int, Chunk]], Any]:
    return compare


def _compare(found: tuple[int, Chunk], sources: Sequence[Source], near: bool, questions: bool) -> Compared:
    index, chunk = found
    return index, chunk, compare_texts(chunk, sources[index], near, questions)


def _chunks(index: int, source: Source) -> Iterator[tuple[int, Chunk]]:
    for file in source.files:
        try:
            for chunk in cut_file(file):
                yield index, chunk
        except UnreadableFile:
            return
