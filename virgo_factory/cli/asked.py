"""What the verbs that ask servers have in common: shards, a run that is stopped, and how one ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.text import amount


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Return the shard that a command line names.

    >>> shard_of("2/8")
    (2, 8)
    """
    if text is None:
        return None

    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UserError(f"--shard {text}: expected I/N with I from 1 to N, such as 2/8.")

    return int(index), int(count)


@contextlib.contextmanager
def stoppable(folder: Path, again: str) -> Iterator[None]:
    """End with 130 where Ctrl-C is pressed, and say where what was finished is, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Stopped. What was finished is in {folder}. {again}", err=True)
        raise typer.Exit(130) from None


def not_had(outcome: Any, what: str, file: str, again: str) -> list[str]:
    """Return what an outcome lacks, as lines: `what` could not be asked (the file says why), and how it is asked again."""
    lines = []
    if outcome.dropped:
        lines.append(f"{amount(outcome.dropped, what)} could not be asked: {file} says why. {again}.")

    if outcome.gave_up:
        lines.append(f"{amount(outcome.gave_up, 'request')} failed again and again. The next start tries them again.")

    return lines


def left(outcome: Any, what: str) -> str:
    """Return the line on what is left."""
    budget = f" The budget is used up ({outcome.stopped}): raise it first." if outcome.stopped else ""
    return f"Left: {what}.{budget}"


def end(outcome: Any) -> None:
    """End with 1 where requests failed, which `run && select` would go on without, or where all that was asked was refused."""
    if outcome.gave_up or (outcome.dropped and not outcome.finished):
        raise typer.Exit(1)
