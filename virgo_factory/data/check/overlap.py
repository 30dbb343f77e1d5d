"""Training questions that share 8-grams with a benchmark's questions: time linear in the rows, memory in the benchmark.

Words are compared without case and punctuation. What stands in many benchmark questions, or in many training rows, is a
fixed phrase ("answer the question using a single word") and does not count.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.check.duplicates import sequence_hashes, word_hashes
from virgo_factory.data.read.reader import cut_file, place_of, read_chunk


GRAM = 8
QUESTION_COLUMNS = ("question", "problem", "Question", "query", "prompt", "text", "instruction")
MANY_QUESTIONS = 0.01
"""Share of a benchmark's different questions, but no less than 10 of them, in which a fixed phrase stands."""
MANY_ROWS = 1_000
"""Training rows in which an 8-gram is counted; one that stands in 2 % of the rows (20 at least) is a fixed phrase, too."""
COPY = 1 / 3
"""Share of a benchmark question's 8-grams in one row from which it counts as a copy."""

_WORD = re.compile(r"\w+")
_IMAGE = re.compile(r"<image\d*>|<image_\d+>", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """A question of a benchmark."""

    place: str
    text: str


@dataclass(frozen=True)
class Overlap:
    """What a training row shares with the benchmark question that it shares most of."""

    row: int  # as given to `Overlaps.add_grams`
    question: int  # position in the benchmark
    shared: int  # 8-grams of that question that stand in the row's question
    of: int  # all 8-grams of that question

    @property
    def is_copy(self) -> bool:
        """Whether the row holds a third of the question or more."""
        return self.shared >= COPY * self.of


class Overlaps:
    """The 8-grams of a benchmark, and which rows have them: 12 bytes an 8-gram, 8 bytes a hit.

    Attributes:
        short: questions without an 8-gram, which are not looked for.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        grams, owners = [], []
        self.short = 0
        self.questions: list[Question] = []
        sizes = []
        for question in questions:
            own = np.unique(question_grams(question.text))
            self.short += not len(own)
            grams.append(own)
            owners.append(np.full(len(own), len(self.questions), np.uint32))
            sizes.append(len(own))
            self.questions.append(question)

        all_grams = np.concatenate([*grams, np.empty(0, np.uint64)])
        order = np.argsort(all_grams, kind="stable")
        self._owners = np.concatenate([*owners, np.empty(0, np.uint32)])[order]
        self._grams, self._starts, counts = np.unique(all_grams[order], return_index=True, return_counts=True)
        self._counts = counts.astype(np.int64)
        self._sizes = np.array(sizes, np.int64)
        self._is_phrase = self._counts > max(10, MANY_QUESTIONS * len(sizes))
        self._rows_with = np.zeros(len(self._grams), np.int64)
        self._hit_rows, self._hit_grams = array("Q"), array("I")

    def add_grams(self, row: int, own: np.ndarray) -> None:
        """Look up different 8-grams of a training row's question, as `question_grams` returns them."""
        if not len(self._grams):
            return

        at = np.minimum(np.searchsorted(self._grams, own), len(self._grams) - 1)
        hits = at[(self._grams[at] == own) & ~self._is_phrase[at]]
        if not len(hits):
            return

        self._rows_with[hits] += 1
        for hit in hits[self._rows_with[hits] <= MANY_ROWS].tolist():
            self._hit_rows.append(row)
            self._hit_grams.append(hit)

    def found(self, rows: int) -> Iterator[Overlap]:
        """Yield the overlap of every row that has one, in the order of the rows.

        Fixed phrases are told by how many rows were looked up.
        """
        limit = min(MANY_ROWS, max(20, rows // 50))
        hit_rows, hit_grams = np.array(self._hit_rows, np.int64), np.array(self._hit_grams, np.int64)
        counted = self._rows_with[hit_grams] <= limit
        hit_rows, hit_grams = hit_rows[counted], hit_grams[counted]
        if not len(hit_rows):
            return

        starts = np.flatnonzero(np.append(True, hit_rows[1:] != hit_rows[:-1]))
        for start, end in zip(starts, [*starts[1:], len(hit_rows)], strict=True):
            shared: Counter[int] = Counter()
            for gram in hit_grams[start:end]:
                first = self._starts[gram]
                shared.update(self._owners[first : first + self._counts[gram]].tolist())

            question = max(shared, key=lambda number: (shared[number] / self._sizes[number], shared[number]))
            yield Overlap(int(hit_rows[start]), question, shared[question], int(self._sizes[question]))


def question_grams(text: str) -> np.ndarray:
    """Return a number for each 8-gram of a text: (words - 7,) of uint64, none for a shorter text."""
    return sequence_hashes(word_hashes(_WORD.findall(_IMAGE.sub(" ", text).casefold())), GRAM)


def read_benchmark(path: str | Path) -> list[Question]:
    """Return the questions of a benchmark's file.

    Reads all that `data` reads, and text with a question a line. The question is the first column of QUESTION_COLUMNS, or the one named as
    in `file.jsonl:COLUMN`. Raises UserError for no such file, one that cannot be read, or no such column; with what was found and what to do.
    """
    path, column = _path_and_column(str(path))
    questions = []
    seen: set[str] = set()
    for number, row in enumerate(_benchmark_rows(path), start=1):
        text = row if isinstance(row, str) else _question_of(row, column, f"{path}, row {number}")
        if text.strip() and text not in seen:
            seen.add(text)
            questions.append(Question(f"{path.name} question {number}", text))

    if not questions:
        raise UserError(f"{path}: no questions in the file.")

    return questions


def _path_and_column(given: str) -> tuple[Path, str | None]:
    if Path(given).is_file():
        return Path(given), None

    name, _, column = given.rpartition(":")
    if name and Path(name).is_file():
        return Path(name), column

    raise UserError(f"--benchmark {given}: no such file.")


def _question_of(row: Any, column: str | None, where: str) -> str:
    if not isinstance(row, dict):
        raise UserError(f"{where}: found {type(row).__name__}, not an object or a text.")

    for name in (column,) if column else QUESTION_COLUMNS:
        if isinstance(row.get(name), str):
            return row[name]

    raise UserError(
        f"{where}: no question. Columns found: {', '.join(map(str, row))}; name one, as in {where.split(', ')[0]}:COLUMN."
    )


def _benchmark_rows(path: Path) -> Iterator[Any]:
    if path.suffix.lower() == ".txt":
        yield from path.read_text(encoding="utf-8-sig").splitlines()
        return

    for chunk in cut_file(path):
        for row in read_chunk(chunk):
            if row.problem:
                raise UserError(f"{place_of(str(path), row.line, 0)}: {row.problem}")

            yield row.raw
