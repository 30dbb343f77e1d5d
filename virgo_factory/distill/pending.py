"""What of a distillation is still to be asked, from the rollouts and verdicts that are there."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from virgo_factory.distill.config import DistillConfig
from virgo_factory.distill.lines import hash_of
from virgo_factory.distill.question import VisualQuestion
from virgo_factory.distill.rollout import GREEDY, Key
from virgo_factory.distill.store import RolloutStore
from virgo_factory.distill.verdicts import RolloutVerdict, difficulty_of


@dataclass(frozen=True)
class Left:
    """What is still to be asked, at most: the base model may solve some of the questions.

    Attributes:
        greedy: questions that the base model has not been asked.
        greedy_done: questions that it has been asked.
        questions: that lack samples.
        samples: that they lack.
        samples_done: samples that are there.
        unsolved: of the samples, those of questions that the base model did not solve.
    """

    greedy: int
    greedy_done: int
    questions: int
    samples: int
    samples_done: int
    unsolved: int


class Pending:
    """What each question still lacks. Memory: some 100 bytes a question that has verdicts, where these decide anything.

    Args:
        config: of the distillation.
        store: of its rollouts.
        verdicts: on them.
    """

    def __init__(self, config: DistillConfig, store: RolloutStore, verdicts: Iterable[RolloutVerdict] = ()) -> None:
        self.config, self.store = config, store
        self._counts: dict[int, tuple[bool | None, int, int]] = {}  # solved greedily, samples correct, samples wrong
        for verdict in verdicts:
            self.add(verdict)

    def add(self, verdict: RolloutVerdict) -> None:
        """Take a verdict into account."""
        config = self.config
        if not (config.base_model_name_or_path or config.stop_when_decided):
            return

        place, is_correct = hash_of(verdict.question), verdict.outcome == "correct"
        solved, correct, wrong = self._counts.get(place, (None, 0, 0))
        if verdict.sample == GREEDY and verdict.model == config.base_model_name_or_path:
            solved = is_correct
        elif 0 <= verdict.sample < config.samples and verdict.model == config.model_name_or_path:
            correct += is_correct
            wrong += not is_correct and verdict.outcome != "unverifiable"

        self._counts[place] = (solved, correct, wrong)

    def solved(self, question: VisualQuestion) -> bool | None:
        """Return whether the base model solved a question; None where that is not known."""
        return self._counts.get(hash_of(question.id), (None, 0, 0))[0]

    def missing(self, question: VisualQuestion) -> list[int]:
        """Return the samples of a question that are not there."""
        name = self.config.model_name_or_path
        return [sample for sample in range(self.config.samples) if not self.store.has(Key(question.id, name, sample))]

    def wanted(self, question: VisualQuestion, missing: int) -> int:
        """Return how many samples of a question are asked next: what could decide its difficulty, or all that is missing."""
        if not self.config.stop_when_decided:
            return missing

        _, correct, wrong = self._counts.get(hash_of(question.id), (None, 0, 0))
        return min(missing, wave(correct, wrong, self.config.samples - missing, self.config.samples))

    def is_dropped(self, question: VisualQuestion) -> bool:
        """Return whether a question could not be asked."""
        models = (self.config.base_model_name_or_path, self.config.model_name_or_path)
        return any(self.store.is_dropped(question.id, model) for model in models if model)

    def left(self, questions: Iterable[VisualQuestion]) -> Left:
        """Count what is still to be asked of questions."""
        base = self.config.base_model_name_or_path
        greedy = greedy_done = lacking = samples = samples_done = unsolved = 0
        for question in questions:
            if self.is_dropped(question):
                continue

            solved = None
            if base:
                is_asked = self.store.has(Key(question.id, base, GREEDY))
                greedy, greedy_done = greedy + (not is_asked), greedy_done + is_asked
                solved = self.solved(question)

            missing = len(self.missing(question))
            samples_done += self.config.samples - missing
            if not solved and self.wanted(question, missing):
                lacking += 1
                samples += missing
                unsolved += missing if solved is False else 0

        return Left(greedy, greedy_done, lacking, samples, samples_done, unsolved)


def used_up(config: DistillConfig, store: RolloutStore, rollouts: int, deadline: float) -> str:
    """Return which budget has no room for so many rollouts more; "" where there is room.

    `max_rollouts` and `max_tokens_total` count what is in the folder (a shard counts its own), `max_hours` this start.

    Args:
        config: has the budgets.
        store: has the rollouts so far.
        rollouts: that would be asked.
        deadline: of time.monotonic().
    """
    if config.max_rollouts is not None and store.count + rollouts > config.max_rollouts:
        return f"max_rollouts: {config.max_rollouts:,}"

    if config.max_tokens_total is not None and store.tokens >= config.max_tokens_total:
        return f"max_tokens_total: {config.max_tokens_total:,}"

    return f"max_hours: {config.max_hours:g}" if time.monotonic() >= deadline else ""


def wave(correct: int, wrong: int, asked: int, samples: int) -> int:
    """Return how many samples more could decide a question's difficulty at the earliest; 0 where it is decided.

    >>> [wave(0, 0, 0, 5), wave(3, 1, 4, 5), wave(4, 0, 4, 5), wave(2, 2, 4, 5)]
    [4, 1, 0, 0]
    """
    if difficulty_of(correct, wrong, samples) != "undecided":
        return 0

    for more in range(1, samples - asked + 1):
        ends = (difficulty_of(correct + right, wrong + more - right, samples) for right in range(more + 1))
        if any(end != "undecided" for end in ends):
            return more

    return samples - asked


def seed_of(seed: int, question: str, sample: int) -> int:
    """Return the seed of a rollout: 48 bits of a hash, which every reader of JSON keeps exactly.

    >>> seed_of(42, "tabmwp/12", 0) == seed_of(42, "tabmwp/12", 0) != seed_of(42, "tabmwp/12", 1)
    True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sample}\0{question}".encode()).digest()[:6])
