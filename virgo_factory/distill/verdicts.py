"""Verdicts on rollouts, made while they come in, and the difficulty of a question that follows from them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from virgo_factory.distill.question import VisualQuestion
from virgo_factory.distill.rollout import Key, Rollout


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
        """Open verdicts.jsonl of `folder` (verdicts-2of8.jsonl for a shard), where a half-written last line is cut off.

        Args:
            folder: of the distillation.
            shard: (2, 8) for the second of eight.
            workers: processes; half of the usable cores by default, the rest is the client's.
            on_verdict: is called from the judge's thread with every new verdict, after it was written.
        """
        raise NotImplementedError

    def has(self, key: Key) -> bool:
        """Return whether the rollout was judged already, so that only those without are added after a restart."""
        raise NotImplementedError

    def add(self, question: VisualQuestion, rollout: Rollout) -> None:
        """Hand over a finished rollout. Blocks while very many wait, so never call it on the event loop's thread."""
        raise NotImplementedError

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *error: object) -> None:
        raise NotImplementedError


def judge_rollouts(folder: Path, on_verdict: Callable[[RolloutVerdict], None] = lambda verdict: None) -> int:
    """Judge the rollouts of a folder that have no verdict, and return how many were judged."""
    raise NotImplementedError


def read_verdicts(folder: Path) -> Iterable[RolloutVerdict]:
    """Yield the verdicts of a folder, of all its shards, without a half-written last line."""
    raise NotImplementedError


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
