"""What of a folder is still to be asked, from the rollouts that are there, and what the budgets have room for."""

import hashlib
import time
from dataclasses import dataclass

from virgo_factory.rollouts.config import AskConfig
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store.index import count_cases
from virgo_factory.rollouts.store.store import RolloutStore, Store


@dataclass(frozen=True)
class Left:
    """What is still to be asked, at most: questions that lack samples, and samples that they lack; and samples that are there."""

    questions: int
    samples: int
    samples_done: int


class Todo:
    """What each question still lacks, by the verdicts that the store knows."""

    def __init__(self, config: AskConfig, store: RolloutStore) -> None:
        self.config, self.store = config, store

    def missing(self, question: VisualQuestion) -> list[int]:
        """Return the samples of a question that are not there."""
        existing = self.store.samples(question.id, self.config.model_name_or_path)
        return [sample for sample in range(self.config.samples) if sample not in existing]

    def is_dropped(self, question: VisualQuestion) -> bool:
        """Return whether a question could not be asked."""
        return self.store.is_dropped(question.id, self.config.model_name_or_path)

    def left(self) -> Left:
        """Count what is still to be asked of the questions of this shard."""
        self.count_cases()
        select = "SELECT count(*) FILTER (WHERE samples < ?1), ?1 * count(*) - sum(samples), sum(samples) FROM cases WHERE NOT dropped"
        return Left(*(count or 0 for count in self.store.index.db.execute(select, (self.config.samples,)).fetchone()))

    def count_cases(self) -> None:
        """Make the table `cases` of this shard, see index.count_cases."""
        count_cases(self.store.index, self.config.samples, [self.store.shard] if self.store.shard else [])


def used_up(config: AskConfig, store: Store, rollouts: int, deadline: float) -> str:
    """Return which budget has no room for so many rollouts more; "" where there is room.

    `max_rollouts` and `max_tokens_total` count what is in the folder (a shard counts its own), `max_hours` this start: `deadline` is
    of time.monotonic().
    """
    if config.max_rollouts is not None and store.count + rollouts > config.max_rollouts:
        return f"max_rollouts: {config.max_rollouts:,}"

    if config.max_tokens_total is not None and store.tokens >= config.max_tokens_total:
        return f"max_tokens_total: {config.max_tokens_total:,}"

    return f"max_hours: {config.max_hours:g}" if time.monotonic() >= deadline else ""


def seed_of(seed: int, question: str, sample: int) -> int:
    """Return the seed of a rollout: 48 bits of a hash, which every reader of JSON keeps exactly.

    >>> seed_of(42, "tabmwp/12", 0) == seed_of(42, "tabmwp/12", 0) != seed_of(42, "tabmwp/12", 1)
    True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sample}\0{question}".encode()).digest()[:6])
