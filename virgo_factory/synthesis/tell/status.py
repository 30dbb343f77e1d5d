"""What a synthesis has asked, kept and dropped, from its files alone; a run may go on meanwhile."""

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.report.table import Table
from virgo_factory.report.text import quoted
from virgo_factory.rollouts.run.progress import duration
from virgo_factory.rollouts.store.index import DROPPED
from virgo_factory.rollouts.store.jsonl import lines_of as rows_of
from virgo_factory.rollouts.store.records import count_records
from virgo_factory.synthesis.config import SynthesisConfig, read_folder
from virgo_factory.synthesis.run.folder import card_of, is_behind, is_edited
from virgo_factory.synthesis.run.steps import NO_REPLY, STEPS, VOTES_LACK, Made
from virgo_factory.synthesis.tell.live import told_reasons


@dataclass(frozen=True)
class Stage:
    """One file.

    Attributes:
        name: of it.
        rows: replies, or rows that were kept; None where it is not there.
        tokens: of the replies.
        taken: what went in; None for replies.
        dropped: reason -> count.
        is_edited: whether it is not as it was made.
        is_behind: whether what it is made of has changed since.
    """

    name: str
    rows: int | None
    tokens: int = 0
    taken: int | None = None
    dropped: Mapping[str, int] | None = None
    is_edited: bool = False
    is_behind: bool = False


@dataclass(frozen=True)
class Status:
    """What is known of a folder.

    Attributes:
        folder: of the synthesis.
        config: that made it.
        stages: in their order.
        progress: of a role that is being asked; None without one.
        process: of this machine that works on the folder; None without one.
    """

    folder: Path
    config: SynthesisConfig
    stages: tuple[Stage, ...]
    progress: Mapping[str, Any] | None
    process: int | None = None

    @property
    def waits(self) -> str:
        """The first file that is not there, or to be made again; "" where all are made."""
        return next((stage.name for stage in self.stages if stage.rows is None or stage.is_behind), "")


def summarise(folder: Path) -> Status:
    """Return what is known of a folder.

    Raises:
        ValueError: it is no synthesis' folder, or a line of it is broken.
    """
    config = read_folder(folder)
    return Status(folder, config, tuple(_stage(folder, step) for step in STEPS), _progress(folder), _process(folder))


def _stage(folder: Path, step: Any) -> Stage:
    path = folder / f"{step.name}.jsonl"
    if not isinstance(step, Made):
        return Stage(step.name, *count_records(folder, step.name)) if path.is_file() else Stage(step.name, None)

    card = card_of(folder, step.name)
    if card is None or not path.is_file():
        return Stage(step.name, None)

    told = is_edited(folder, step.name), is_behind(folder, step.name)
    return Stage(step.name, card["kept"], 0, card["in"], card["dropped"], *told)


def not_asked(folder: Path) -> str:
    """Return how much could not be asked, by file, and why; "" where all was."""
    lacks = []
    for step in STEPS:
        dropped = (isinstance(step, Made) and card_of(folder, step.name) or {}).get("dropped", {})
        lacks += [
            f"{step.name}: {dropped[reason]:,} {reason}" for reason in (NO_REPLY, VOTES_LACK) if reason in dropped
        ]

    path = folder / f"{DROPPED}.jsonl"
    reasons = [row["reason"] for _, row in rows_of(path)] if path.is_file() else []
    why = f". Why (the first of {len(reasons):,} in {path}): {reasons[0].rstrip('.')}" if reasons else ""
    return "; ".join(lacks) + why if lacks else ""


def _progress(folder: Path) -> Mapping[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        found = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        os.kill(found["pid"], 0)
        return found if found["running"] else None

    return None


def _process(folder: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        held = json.loads((folder / ".lock").read_text(encoding="utf-8"))
        os.kill(held["pid"], 0)
        return held["pid"] if held["host"] == socket.gethostname() else None

    return None


MOST_REASONS = 4
"""Of a file that are told; its card has all."""


def tables_of(found: Status) -> list[Table]:
    """Return the account of all stages."""
    rows, styles = [], {}
    for number, stage in enumerate(found.stages):
        if stage.rows is None:
            styles[number] = "dim"

        told = told_reasons(stage.dropped or {}, MOST_REASONS)
        if stage.is_edited:
            told.append(f"edited by hand: {stage.taken - sum(stage.dropped.values()):,} were made")

        share = f"{stage.rows / stage.taken:.0%}" if stage.taken else ""
        is_replies = stage.rows is not None and stage.taken is None
        rows.append(
            (
                stage.name,
                stage.taken,
                None if is_replies else stage.rows,
                share,
                stage.rows if is_replies else None,
                stage.tokens if is_replies else None,
                "; ".join(told),
            )
        )

    columns = ("", "in", "kept", "share", "replies", "tokens", "dropped")
    return [Table("Stages", columns, rows, words=(6,), styles=styles)]


def lines_of(found: Status) -> list[str]:
    """Return what is going on, and what is next."""
    if progress := found.progress:
        left = progress["total"] - progress["done"]
        speed = progress["rollouts_per_second"]
        time_left = f", {duration(left / speed)} left" if speed else ""
        return [
            f"Running (process {progress['pid']}): {progress['model']}, {progress['done']:,} of {progress['total']:,} replies, "
            f"{progress['tokens_per_second']:,.0f} tokens/s{time_left}"
        ]

    if found.process and found.waits:  # between two roles
        return [f"Running (process {found.process}): {found.waits}.jsonl is the next file."]

    if found.waits:
        return [f"{found.waits}.jsonl is the next file. Go on: {found.config.resume_command()}"]

    told = "All is made."
    if lacks := not_asked(found.folder):
        again = f"Once that is put right, the next start asks it again: {found.config.resume_command()}"
        told = f"All else is made. Not all could be asked. {lacks}. {again}"

    return [told, f"Look: virgo-factory synthesize status {quoted(found.folder)} --html page.html"]


def to_json(found: Status) -> dict[str, Any]:
    """Return what is known, for programs."""
    stages = {
        stage.name: {
            "rows": stage.rows,
            "tokens": stage.tokens,
            "in": stage.taken,
            "dropped": dict(stage.dropped or {}),
            "edited": stage.is_edited,
        }
        for stage in found.stages
    }
    told = {"progress": found.progress, "waits": found.waits, "not_asked": not_asked(found.folder)}
    return {"folder": str(found.folder), "stages": stages, **told}
