"""What is known of questions and of their correct rollouts, as numbers: memory does not grow with the texts."""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from virgo_factory.adapters.row import RejectedRow, check_example
from virgo_factory.adapters.tags import format_of, parse_response
from virgo_factory.adapters.virgo_dqvq import split
from virgo_factory.answers.model import CORRECT
from virgo_factory.distill.config import AUTO, DistillConfig
from virgo_factory.distill.lines import hash_of, lines_of
from virgo_factory.distill.prompt import asked_text
from virgo_factory.distill.question import is_binary, read_questions
from virgo_factory.distill.rollout import GREEDY
from virgo_factory.distill.store import read_dropped
from virgo_factory.distill.verdicts import digest, read_verdicts
from virgo_factory.example import Example
from virgo_factory.thought import MARKERS, REASONS, LongThought, MalformedThought


OUTCOMES = ("correct", "wrong", "unverifiable", "truncated", "looping")
WELL_FORMED, SEVERAL = -1, -2


@dataclass
class Questions:
    """What is known of each question, in the order of the file: some 40 bytes each.

    Attributes:
        hashes: of the ids.
        source: place in `sources`.
        binary: see `question.is_binary`.
        texts: hashes of what is asked.
        counts: (questions, outcomes) of the samples.
        solved: by the base model.
        unaskable: a server refused it.
    """

    hashes: np.ndarray
    source: np.ndarray
    sources: list[str]
    binary: np.ndarray
    texts: np.ndarray
    counts: np.ndarray
    solved: np.ndarray
    unaskable: np.ndarray

    def __post_init__(self) -> None:
        self._order = np.argsort(self.hashes, kind="stable")
        self._ordered = self.hashes[self._order]

    def __len__(self) -> int:
        return len(self.hashes)

    def place(self, hash: int) -> int | None:
        """Return where a question stands; None for one that is not in the file."""
        at = int(np.searchsorted(self._ordered, np.uint64(hash)))
        return int(self._order[at]) if at < len(self) and self._ordered[at] == np.uint64(hash) else None


@dataclass(frozen=True)
class Candidates:
    """The correct and well-formed rollouts, about 24 bytes each, by question, the shortest first.

    Attributes:
        question: place of the question.
        sample: of the rollout.
        file, start: where its line begins.
        malformed: reason -> correct rollouts that are no candidates for it.
        reasons: those reasons.
        why: for each question, the reason that all its correct rollouts are malformed for (place in `reasons`), or
            SEVERAL of them, or WELL_FORMED.
    """

    question: np.ndarray
    sample: np.ndarray
    file: np.ndarray
    start: np.ndarray
    malformed: Counter
    reasons: list[str]
    why: np.ndarray

    def of(self, place: int) -> slice:
        """Return where a question's candidates are."""
        return slice(*np.searchsorted(self.question, [place, place + 1]))


def count_questions(path: Path) -> Questions:
    """Return the questions of a file, without any counts yet.

    Raises:
        ValueError: a line is broken, an id stands there twice, or there is none.
    """
    hashes, texts, source, binary = array("Q"), array("Q"), array("H"), bytearray()
    sources: dict[str, int] = {}
    for question in read_questions(path):
        hashes.append(hash_of(question.id))
        source.append(sources.setdefault(question.source, len(sources)))
        binary.append(is_binary(question))
        texts.append(hash_of(asked_text(question).strip()))

    count = len(hashes)
    if not count:
        raise ValueError(f"{path}: no questions in the file.")

    if len(np.unique(np.frombuffer(hashes, np.uint64))) < count:
        raise ValueError(
            f"{path}: an id stands there twice. Make the file again with virgo-factory distill questions."
        )

    return Questions(
        hashes=np.frombuffer(hashes, np.uint64),
        source=np.frombuffer(source, np.uint16),
        sources=list(sources),
        binary=np.frombuffer(binary, np.bool_),
        texts=np.frombuffer(texts, np.uint64),
        counts=np.zeros((count, len(OUTCOMES)), np.uint16),
        solved=np.zeros(count, bool),
        unaskable=np.zeros(count, bool),
    )


def count_verdicts(
    folder: Path, config: DistillConfig, questions: Questions
) -> tuple[Questions, dict[int, str], dict[str, int]]:
    """Fill in what the verdicts say; return with it the correct rollouts, and the outcomes of the samples.

    A correct rollout is the hash of its key -> the digest of the response that was judged.
    """
    last: dict[int, int] = {}  # rollout -> place and outcome: of several verdicts the last counts
    correct: dict[int, str] = {}
    for verdict in read_verdicts(folder):
        key = hash_of(*verdict.key)
        place = questions.place(hash_of(verdict.question))
        if place is None or verdict.sample >= config.samples:
            continue

        if verdict.sample == GREEDY:
            questions.solved[place] = verdict.outcome == CORRECT
            continue

        last[key] = place * len(OUTCOMES) + OUTCOMES.index(verdict.outcome)
        if verdict.outcome == CORRECT:
            correct[key] = verdict.response
        else:
            correct.pop(key, None)

    counts = np.bincount(
        np.fromiter(last.values(), np.int64, len(last)), minlength=len(questions) * len(OUTCOMES)
    ).reshape(-1, len(OUTCOMES))
    questions.counts[:] = counts
    outcomes = dict(zip(OUTCOMES, counts.sum(axis=0).tolist(), strict=True))
    for dropped in read_dropped(folder):
        if (place := questions.place(hash_of(dropped.question))) is not None:
            questions.unaskable[place] = True

    return questions, correct, outcomes


def find_candidates(
    paths: Sequence[Path],
    config: DistillConfig,
    questions: Questions,
    correct: dict[int, str],
    progress: Callable[[int, int], None],
) -> tuple[Candidates, dict[str, int]]:
    """Return the candidates, and how many rollouts there are of which kind."""
    place_of, sample_of, file_of, start_of, length_of = array("L"), array("l"), array("H"), array("Q"), array("L")
    malformed: Counter = Counter()
    names: dict[str, int] = {}
    why = np.full(len(questions), WELL_FORMED, np.int16)
    found: Counter = Counter()
    total, before = sum(path.stat().st_size for path in paths), 0
    for file, path in enumerate(paths):
        for _, start, row in lines_of(path):
            progress(before + start, total)
            place = questions.place(hash_of(row["question"]))
            kind = "base" if row["sample"] == GREEDY else "samples" if row["sample"] < config.samples else "beyond"
            found["stray" if place is None else kind] += 1
            key = hash_of(row["question"], row["model"], row["sample"])
            judged = correct.get(key)
            if judged is None or (judged and judged != digest(row["response"])):
                continue

            del correct[key]  # a second row of the same key is the same rollout
            try:
                thought = long_thought_of(row["response"], config.response_format)
                for name, part in (("thought", thought.thought), ("solution", thought.solution)):
                    if hash_of(part) == questions.texts[place]:  # as check_example says of the whole row
                        raise RejectedRow(f"the {name} repeats the question")

            except RejectedRow as error:
                malformed[error.reason] += 1
                code = names.setdefault(error.reason, len(names))
                why[place] = code if why[place] in (WELL_FORMED, code) else SEVERAL
                continue

            place_of.append(place)
            sample_of.append(row["sample"])
            file_of.append(file)
            start_of.append(start)
            length_of.append(len(row["response"]))

        before += path.stat().st_size

    columns = [_numbers(column) for column in (place_of, sample_of, file_of, start_of, length_of)]
    order = np.lexsort((columns[1], columns[4], columns[0]))
    question, sample, file_, start, _ = (column[order] for column in columns)
    return Candidates(question, sample, file_, start, malformed, list(names), why), dict(found)


def _numbers(values: array) -> np.ndarray:
    return np.frombuffer(values, f"{'i' if values.typecode.islower() else 'u'}{values.itemsize}") if values else _NONE


_NONE = np.empty(0, np.int64)


def long_thought_of(response: str, response_format: str) -> LongThought:
    """Return the long thought in a response, as one that can be trained on.

    Args:
        response: as the model gave it.
        response_format: AUTO for whichever the response shows, a key of `tags.FORMATS` such as `four_markers`, as a
            D_T model writes them, or `virgo_dqvq`, QVQ's untagged form.

    Raises:
        RejectedRow: the response is malformed, or holds a control token.
    """
    try:
        if response_format == "virgo_dqvq":
            if any(marker in response for marker in MARKERS):
                raise RejectedRow("it holds markers, which an untagged response has not")

            thought = split(response)
        elif response_format == "four_markers":
            thought = LongThought.parse(response)
        else:
            thought = parse_response(response, format_of(response) if response_format == AUTO else response_format)
    except MalformedThought as error:
        raise RejectedRow(REASONS[error.reason]) from None

    check_example(Example(id="rollout", question="question", response=thought))
    return thought
