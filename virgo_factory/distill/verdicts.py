"""Verdicts on rollouts, made while they come in, and the difficulty of a question that follows from them."""

import contextlib
import itertools
import json
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from virgo_factory import __version__
from virgo_factory.answers import Answer, Task, Verdict, grading
from virgo_factory.answers.batch import Scorers
from virgo_factory.answers.model import WRONG
from virgo_factory.distill.config import FILE as CONFIG
from virgo_factory.distill.config import read_folder
from virgo_factory.distill.lines import LineIndex, hash_of, lines_of, shards_of
from virgo_factory.distill.question import FILE as QUESTIONS
from virgo_factory.distill.question import VisualQuestion, question_of
from virgo_factory.distill.rollout import Key, Rollout
from virgo_factory.distill.store import append_line, open_to_append, read_rollouts, shard_suffix


NAME = "verdicts"
BATCH = 64
"""Verdicts that are asked for together."""
MOST_WAITING = 1000
"""Rollouts that wait for a verdict before `add` blocks; some ten thousand characters each."""
MOST_ANSWER = 2000
"""Characters of an answer that are kept."""


State = Literal["complete", "truncated", "looping"]
Difficulty = Literal["easy", "medium", "hard", "unsolved", "undecided"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard", "unsolved", "undecided")


@dataclass(frozen=True)
class RolloutVerdict:
    """Whether a rollout is right, and why; a line of verdicts.jsonl.

    Attributes:
        question, model, sample: the rollout's key.
        verdict: correct, wrong or unverifiable (answers.Verdict). A rollout that was cut is wrong.
        reason: a key of answers.REASONS.
        kind: the kind of question it was judged as.
        answer: what was judged; "" where nothing was found.
        rule, where: see answers.Answer.
        state: complete, truncated (at max_tokens) or looping (cut off by us).
        version: of the package that judged.
        response: sixteen digits of the response that was judged, so that no verdict is taken for another one's.
    """

    question: str
    model: str
    sample: int
    verdict: str
    reason: str
    kind: str
    answer: str
    rule: str
    where: str
    state: State
    version: str
    response: str = ""

    @property
    def key(self) -> Key:
        """Return the key of the rollout."""
        return Key(self.question, self.model, self.sample)

    @property
    def outcome(self) -> str:
        """Return what it counts as: correct, wrong, unverifiable, truncated or looping."""
        return self.verdict if self.state == "complete" else self.state


class Judge:
    """Verdicts while rollouts come in: a thread that hands them to worker processes and appends to verdicts.jsonl.

    A context manager; leaving it waits for all that was added. Only one may be open on a folder (and shard).
    """

    def __init__(
        self,
        folder: Path,
        shard: tuple[int, int] | None = None,
        workers: int | None = None,
        on_verdict: Callable[[RolloutVerdict], None] = lambda verdict: None,
    ) -> None:
        """Open verdicts.jsonl of `folder` (verdicts-2of8.jsonl for a shard).

        A half-written last line is cut off, and verdicts of another version of this package are taken out: the file is
        derived, so whatever is missing in it is made again.

        Args:
            folder: of the distillation.
            shard: (2, 8) for the second of eight.
            workers: processes; half of the usable cores by default, the rest is the client's.
            on_verdict: is called from the judge's thread with every new verdict, after it was written.
        """
        path = folder / f"{NAME}{shard_suffix(shard)}.jsonl"
        for written in [path] if shard else shards_of(folder, NAME):
            _drop_old(written)

        self._file = open_to_append(path)
        self._judged = {hash_of(*verdict.key, verdict.response) for verdict in read_verdicts(folder)}
        self._on_verdict = on_verdict
        self._scorers = Scorers(workers or max(1, len(os.sched_getaffinity(0)) // 2))
        self._waiting: queue.Queue[tuple[VisualQuestion, Rollout] | None] = queue.Queue(MOST_WAITING)
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="judge", daemon=True)
        self._thread.start()

    def has(self, rollout: Rollout) -> bool:
        """Return whether this very response was judged already, or handed over."""
        return not self._judged.isdisjoint(
            (hash_of(*rollout.key, digest(rollout.response)), hash_of(*rollout.key, ""))
        )

    def add(self, question: VisualQuestion, rollout: Rollout) -> None:
        """Hand over a finished rollout, unless it was handed over before.

        Blocks while very many wait, so never call it on the event loop's thread.

        Raises:
            OSError, ValueError: what stopped the judge's thread, such as a full disk.
        """
        if not self.has(rollout):
            self._judged.add(hash_of(*rollout.key, digest(rollout.response)))
            self._put((question, rollout))

    def check(self) -> None:
        """Raise what stopped the judge's thread, if something did: whoever waits for a verdict asks now and then."""
        if self._error:
            raise self._error

    def catch_up(self, rollouts: Iterable[Rollout], question_of: Callable[[str], VisualQuestion | None]) -> int:
        """Add the rollouts that have no verdict yet, and return how many these are.

        Args:
            rollouts: of the folder.
            question_of: id -> question; rollouts of questions that are not there stay without a verdict.
        """
        added = 0
        for rollout in rollouts:
            if not self.has(rollout) and (question := question_of(rollout.question)) is not None:
                self.add(question, rollout)
                added += 1

        return added

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for all that was added (not after an error or Ctrl-C: the next start judges what is left)."""
        try:
            if error[0] is not None:
                self._stopped = True
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._waiting.get_nowait()

            with contextlib.suppress(Exception):
                self._put(None)

            self._thread.join()
        finally:
            self._file.close()

        if self._error and error[0] is None:
            raise self._error

    def _put(self, item: tuple[VisualQuestion, Rollout] | None) -> None:
        while not self._error:
            try:
                return self._waiting.put(item, timeout=1)
            except queue.Full:
                continue

        raise self._error

    def _work(self) -> None:
        try:
            while batch := self._batch():
                self._judge(batch)
        except BaseException as error:  # told to whoever adds the next one
            self._error = error
        finally:
            self._scorers.close()

    def _batch(self) -> list[tuple[VisualQuestion, Rollout]]:
        """Return what waits, at least one; nothing at the end."""
        batch = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while batch[-1] is not None and len(batch) < BATCH:
                batch.append(self._waiting.get_nowait())

        if batch[-1] is None:
            batch.pop()
            if batch:
                self._waiting.put(None)

        return batch

    def _judge(self, batch: list[tuple[VisualQuestion, Rollout]]) -> None:
        complete = [(question, rollout) for question, rollout in batch if state_of(rollout) == "complete"]
        judged = self._scorers.score([_task(question, rollout) for question, rollout in complete])
        cut = ((rollout, _CUT) for _, rollout in batch if state_of(rollout) != "complete")
        whole = ((rollout, verdict) for (_, rollout), verdict in zip(complete, judged, strict=True))
        for rollout, verdict in itertools.chain(cut, whole):
            found = _verdict(rollout, verdict)
            append_line(self._file, asdict(found))
            self._on_verdict(found)
            if self._stopped:
                return


def judge_rollouts(folder: Path, workers: int | None = None) -> int:
    """Judge the rollouts of a folder that have no verdict, and return how many these were.

    The caller holds the folder's lock, or knows that nobody else writes there.
    """
    with Judge(folder, workers=workers) as judge, question_index(folder) as questions:
        return judge.catch_up(
            read_rollouts(folder),
            lambda id: None if (row := questions.find(id)) is None else question_of(row),
        )


def question_file(folder: Path) -> Path:
    """Return the file of a distillation's questions: its own, or the one that its configuration names.

    Raises:
        ValueError: there is none.
    """
    own = folder / QUESTIONS
    if own.is_file() or not (folder / CONFIG).is_file():
        named = own
    else:
        named = read_folder(folder).questions or own

    if not named.is_file():
        raise ValueError(f"{named}: no such file, so nothing is known of the questions.")

    return named


def question_index(folder: Path) -> LineIndex:
    """Return the questions of a folder by id."""
    return LineIndex(question_file(folder), "id")


def read_verdicts(folder: Path) -> Iterator[RolloutVerdict]:
    """Yield the verdicts of a folder, of all its shards; a half-written last line is not there yet.

    Of several on one rollout the last counts: its response was made again.

    Raises:
        ValueError: a line that is no verdict, with file and line.
    """
    for path in shards_of(folder, NAME):
        for number, _, row in lines_of(path):
            try:
                yield RolloutVerdict(**row)
            except TypeError:
                raise ValueError(f"{path}:{number}: not a verdict. Delete the file: it is made again.") from None


def state_of(rollout: Rollout) -> State:
    """Return whether a rollout came to its end, and what cut it off otherwise."""
    return _STATES.get(rollout.finish_reason, "truncated")


_STATES: dict[str, State] = {"stop": "complete", "length": "truncated", "loop": "looping"}
_CUT = Verdict(WRONG, "cut_answer", "text", Answer("", "cut", "response"))


def _task(question: VisualQuestion, rollout: Rollout) -> Task:
    return Task(rollout.response, question.gold, question.asked, grading(question.grading))


def _verdict(rollout: Rollout, verdict: Verdict) -> RolloutVerdict:
    answer = verdict.answer or Answer("", "none", "response")
    return RolloutVerdict(
        *rollout.key,
        verdict=verdict.verdict,
        reason=verdict.reason,
        kind=verdict.kind,
        answer=answer.text[:MOST_ANSWER],
        rule=answer.rule,
        where=answer.where,
        state=state_of(rollout),
        version=__version__,
        response=digest(rollout.response),
    )


def digest(response: str) -> str:
    """Return sixteen digits that tell a response from others.

    >>> digest("12") == digest("12"), digest("12") == digest("13")
    (True, False)
    """
    return f"{hash_of(response):016x}"


def _drop_old(path: Path) -> None:
    """Take out of a file of verdicts what another version of this package judged."""
    if not path.is_file():
        return

    with path.open("rb") as file:
        if all(_version(line) == __version__ for line in file if line.endswith(b"\n")):
            return

    partial = path.with_name(f".{path.name}.partial")
    with path.open("rb") as old, partial.open("wb") as new:
        new.writelines(line for line in old if line.endswith(b"\n") and _version(line) == __version__)

    partial.replace(path)


def _version(line: bytes) -> str | None:
    """Return which version judged; None for a line that is no verdict."""
    try:
        return json.loads(line).get("version")
    except (ValueError, AttributeError):
        return None


def difficulty_of(correct: int, wrong: int, samples: int, solved: bool = False) -> Difficulty:
    """Return the difficulty of a question, undecided as long as it could still become another.

    Virgo's levels (paper 2.2.1, five samples): medium 4-5 correct, hard 2-3, else unsolved. For other numbers of samples
    the same shares: medium from 4/5 on, hard from 2/5 on. Samples that are missing or unverifiable leave it open.

    Args:
        correct: samples that are correct.
        wrong: samples that are wrong, truncated or looping.
        samples: that every question gets.
        solved: whether the base model solved it greedily.

    >>> [difficulty_of(correct, 5 - correct, 5) for correct in range(6)]
    ['unsolved', 'unsolved', 'hard', 'hard', 'medium', 'medium']
    >>> difficulty_of(4, 0, 5), difficulty_of(3, 0, 5), difficulty_of(3, 1, 5)
    ('medium', 'undecided', 'undecided')
    """
    if solved:
        return "easy"

    lowest, highest = _level(correct, samples), _level(max(samples - wrong, correct), samples)
    return lowest if lowest == highest else "undecided"


def _level(correct: int, samples: int) -> Difficulty:
    if 5 * correct >= 4 * samples:
        return "medium"

    return "hard" if 5 * correct >= 2 * samples else "unsolved"
