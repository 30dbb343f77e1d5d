"""How a command ends that asked servers: what was not had is told, and whether it is exit code 1."""

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
        lines.append(f"{outcome.dropped:,} {what} could not be asked: {file} says why. {again}.")

    if outcome.gave_up:
        lines.append(f"{outcome.gave_up:,} requests failed again and again. The next start tries them again.")

    return lines


def end(outcome: Any) -> None:
    """End with 1 where requests failed, which `run && select` would go on without, or where all that was asked was refused."""
    if outcome.gave_up or (outcome.dropped and not outcome.finished):
        raise typer.Exit(1)
