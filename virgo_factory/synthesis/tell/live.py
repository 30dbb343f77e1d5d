"""What a run of a synthesis shows while it goes on: the role that is asked, and each file as it is made."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virgo_factory.rollouts.run.progress import Live, Track
from virgo_factory.synthesis.run.folder import Account


MOST_REASONS = 3
"""Reasons that are told in a line; the file's card has all."""


class StageLive(Live):
    """The view of one run: nothing is judged while it is asked, and each file that is made is a line.

    Args:
        console: a rich Console.
        folder: of the synthesis.
        servers: how many URLs are asked.
    """

    def __init__(self, console: Any, folder: Path, servers: int) -> None:
        super().__init__(console, folder, servers, "auto")

    def made(self, name: str, account: Account) -> None:
        """Tell what became of what went into a file."""
        with self._lock:
            self._refresh(ended=True)
            if self._live:
                self._live.stop()
                self._live = None

            self._current, self._passes = None, {}
            self._console.print(told_of(name, account), markup=False, soft_wrap=True)

    def _finish(self, rollout: Any) -> None:
        self._current.finish(rollout.completion_tokens, time.monotonic())

    def _words(self, at: Track, now: float) -> tuple[list[str], list[str]]:
        at.outcomes["had"] = at.finished  # none waits for a verdict
        return [], super()._words(at, now)[1]


def told_of(name: str, account: Account) -> str:
    """Return what became of what went into a file, as a line.

    >>> from collections import Counter
    >>> told_of("02_questions", Account(kept=3, dropped=Counter({"an unknown tag": 2})))
    '02_questions: 5 in, 3 kept, 2 dropped (2 an unknown tag)'
    """
    total, reasons = account.kept + account.dropped.total(), told_reasons(account.dropped, MOST_REASONS)
    dropped = f" ({', '.join(reasons)})" if reasons else ""
    return f"{name}: {total:,} in, {account.kept:,} kept, {account.dropped.total():,} dropped{dropped}"


def told_reasons(dropped: Mapping[str, int], most: int) -> list[str]:
    """Return the most frequent reasons with their counts, and how many more there are.

    >>> told_reasons({"a loop": 1, "cut off": 3, "no answer": 2}, 2)
    ['3 cut off', '2 no answer', '1 more reason']
    """
    reasons = [f"{count:,} {reason}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1])]
    more = len(reasons) - most
    return reasons[:most] + ([f"{more} more reason{'s' * (more > 1)}"] if more > 0 else [])
