"""The second look of a check, at the texts themselves: near duplicates and overlap with benchmarks, chunk by chunk."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from virgo_factory.adapters import read_row
from virgo_factory.datasets.duplicates import HASHES, sketch
from virgo_factory.datasets.overlap import question_grams
from virgo_factory.datasets.reader import Chunk, UnreadableFile, cut_file, read_chunk
from virgo_factory.datasets.source import Source
from virgo_factory.example import Example


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
                sketches.append(sketch(_whole_text(example)))

            if questions:
                grams.append(np.unique(question_grams("\n".join(turn.question for turn in example.turns))))

    stacked = np.array(sketches, np.uint16).reshape(-1, HASHES) if near else None
    return TextsOfChunk(rows, lines, numbers, ids, stacked, grams if questions else None)


def _whole_text(example: Example) -> str:
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
) -> Iterator[tuple[int, Chunk, TextsOfChunk]]:
    """Yield (source, chunk, what its texts are compared by) in file order; read in `workers` processes.

    A JSON list that breaks off ends its file here without an error: the check's first pass has told of it.
    """
    workers = workers or os.cpu_count() or 1
    total = sum(Path(file).stat().st_size for source in sources for file in source.files)
    done = 0
    waiting: deque[tuple[int, Chunk, Future[TextsOfChunk]]] = deque()
    with ProcessPoolExecutor(workers) as pool:
        chunks = chain.from_iterable(_chunks(index, source) for index, source in enumerate(sources) if source.is_ours)
        while True:
            while len(waiting) < 3 * workers and (found := next(chunks, None)):
                index, chunk = found
                waiting.append((index, chunk, pool.submit(compare_texts, chunk, sources[index], near, questions)))

            if not waiting:
                return

            index, chunk, future = waiting.popleft()
            yield index, chunk, future.result()
            done += chunk.size if chunk.kind != "table" else 0
            if progress:
                progress(done, total)


def _chunks(index: int, source: Source) -> Iterator[tuple[int, Chunk]]:
    for file in source.files:
        try:
            for chunk in cut_file(file):
                yield index, chunk
        except UnreadableFile:
            return
