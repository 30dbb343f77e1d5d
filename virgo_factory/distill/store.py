"""The store: finished rollouts appended to a file that survives being killed, one writer a file."""

from collections.abc import Iterator
from pathlib import Path

from virgo_factory.distill.rollout import Key, Rollout


class RolloutStore:
    """The rollouts of a folder, open for appending by this process alone; a context manager.

    Raises:
        ValueError: another process writes to the folder, or a line is not a rollout.
    """

    def __init__(self, folder: Path, shard: tuple[int, int] | None = None) -> None:
        raise NotImplementedError

    def has(self, key: Key) -> bool:
        """Return whether the rollout is in the file."""
        raise NotImplementedError

    def append(self, rollout: Rollout) -> None:
        """Write a finished rollout; on disk for good within a second."""
        raise NotImplementedError


def read_rollouts(folder: Path) -> Iterator[Rollout]:
    """Yield the rollouts of a folder, of all its shards, line by line."""
    raise NotImplementedError


@__import__("dataclasses").dataclass(frozen=True)
class Dropped:
    """A question that could not be asked; a line of dropped.jsonl (dropped-2of8.jsonl for a shard)."""

    question: str
    model: str
    reason: str


def read_dropped(folder: Path) -> Iterator[Dropped]:
    """Yield the questions that could not be asked, of all shards."""
    raise NotImplementedError
