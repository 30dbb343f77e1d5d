"""What of a distillation is still to be asked, from the rollouts and verdicts that are there."""

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, fields

from virgo_factory.distill.config import DistillConfig
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store.index import count_cases
from virgo_factory.rollouts.store.rollout import GREEDY, difficulty_of
from virgo_factory.rollouts.store.store import RolloutStore


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
    """What each question still lacks.

    Args:
        config: of the distillation.
        store: of its rollouts; knows their verdicts, too.
    """

    def __init__(self, config: DistillConfig, store: RolloutStore) -> None:
        self.config, self.store = config, store

    def solved(self, question: VisualQuestion) -> bool | None:
        """Return whether the base model solved a question; None where that is not known."""
        outcome = self.store.samples(question.id, self.config.base_model_name_or_path or "").get(GREEDY)
        return None if outcome is None else outcome == "correct"

    def missing(self, question: VisualQuestion) -> list[int]:
        """Return the samples of a question that are not there."""
        there = self.store.samples(question.id, self.config.model_name_or_path)
        return [sample for sample in range(self.config.samples) if sample not in there]

    def wanted(self, question: VisualQuestion, missing: int) -> int:
        """Return how many samples of a question are asked next: what could decide its difficulty, or all that is missing."""
        there = self.store.samples(question.id, self.config.model_name_or_path)
        outcomes = [outcome for sample, outcome in there.items() if 0 <= sample < self.config.samples]
        correct = outcomes.count("correct")
        wrong = len(outcomes) - correct - outcomes.count("unverifiable") - outcomes.count(None)
        return self._wanted(correct, wrong, missing)

    def _wanted(self, correct: int, wrong: int, missing: int) -> int:
        if not self.config.stop_when_decided:
            return missing

        return min(missing, wave(correct, wrong, self.config.samples - missing, self.config.samples))

    def is_dropped(self, question: VisualQuestion) -> bool:
        """Return whether a question could not be asked."""
        models = (self.config.base_model_name_or_path, self.config.model_name_or_path)
        return self.store.is_dropped(question.id, *filter(None, models))

    def left(self) -> Left:
        """Count what is still to be asked of the questions of this shard."""
        base, samples = self.config.base_model_name_or_path, self.config.samples
        index, shard = self.store.index, self.store.shard
        count_cases(index, samples, [shard] if shard else [])
        found = Counter()
        for base_asked, solved, there, correct, wrong, count in index.db.execute(
            "SELECT base, solved, samples, correct, wrong + truncated + looping, count(*) FROM cases WHERE NOT dropped "
            "GROUP BY 1, 2, 3, 4, 5"
        ):
            found["samples_done"] += there * count
            if base:
                found["greedy_done" if base_asked else "greedy"] += count

            missing = samples - there
            if not (base and solved) and self._wanted(correct, wrong, missing):
                found["questions"] += count
                found["samples"] += missing * count
                found["unsolved"] += missing * count if base and solved == 0 else 0

        return Left(**{field.name: found[field.name] for field in fields(Left)})


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
