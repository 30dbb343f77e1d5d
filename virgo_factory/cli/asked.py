"""How a command ends that asked servers: what was not had is told, and is exit code 1, so that `run && select` does not go on without it."""

from typing import Any

import typer


def not_had(outcome: Any, what: str, file: str, again: str) -> list[str]:
    """Return what an outcome lacks, as lines.

    Args:
        outcome: of a start, with `dropped` and `gave_up`.
        what: that could not be asked, in the plural.
        file: that says why.
        again: how they are asked again.
    """
    lines = []
    if outcome.dropped:
        lines.append(
            f"{outcome.dropped:,} {what} could not be asked: {file} says why. {again}; allow_refused=true does without them."
        )

    if outcome.gave_up:
        lines.append(f"{outcome.gave_up:,} requests failed again and again. The next start tries them again.")

    return lines


def end(outcome: Any, allow_refused: bool) -> None:
    """End with 1 where requests failed, or were refused and that was not allowed."""
    if outcome.gave_up or (outcome.dropped and not allow_refused):
        raise typer.Exit(1)
