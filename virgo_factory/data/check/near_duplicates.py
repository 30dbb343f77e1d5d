"""The second look of a check, at the texts themselves: near duplicates and overlap with benchmarks, chunk by chunk."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from virgo_factory.core.example import Example
from virgo_factory.data.check.duplicates import HASHES, sketch
from virgo_factory.data.check.overlap import question_grams
from virgo_factory.data.read.files.chunks import Chunk
from virgo_factory.data.read.reader import read_chunk
from virgo_factory.data.read.source import Source
from virgo_factory.data.rows.pool import each_chunk
from virgo_factory.formats import read_row


@dataclass(frozen=True)
class TextsOfChunk:
    """What the texts of a chunk's examples are compared by."""

    rows: int  # in the chunk, those without an example included
    lines: list[int]  # of each example
    numbers: list[int]  # of each example, its row in the chunk, from 0
    ids: list[str]
    sketches: np.ndarray | None  # (examples, HASHES) of uint16; None where they were not asked for
    grams: list[np.ndarray] | None  # of each example's question, its different 8-grams; likewise


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
    yield from each_chunk(sources, compare, workers, progress)


def _compare(found: tuple[int, Chunk], sources: Sequence[Source], near: bool, questions: bool) -> Compared:
    index, chunk = found
    return index, chunk, compare_texts(chunk, sources[index], near, questions)
