"""What a training by `stage: grpo` did: its steps from trainer_state.json, its responses from rollouts.jsonl.

Where the trainer has not told yet (a run that goes on, one that was killed) a step is the mean of its rollouts on file.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from virgo_factory.core.errors import UserError
from virgo_factory.report.table import Cell, Table


ROLLOUTS = "rollouts.jsonl"
STATE = "trainer_state.json"
SERIES = {
    "reward": "reward",
    "accuracy": "accuracy",
    "format": "format",
    "unverifiable": "unverifiable",
    "truncated": "truncated",
    "no gradient": "frac_reward_zero_std",
    "tokens": "completions/mean_length",
    "entropy": "entropy",
    "clipped": "clip_ratio/region_mean",
    "KL": "kl",
    "gap": "sampling/sampling_logp_difference/mean",
}
"""What a step is told by -> its name in the trainer's log; `gap` is that between the trainer's and the server's log-probabilities."""
MOST_ROWS = 20  # rows of the table; of more steps several are told together
Step = Mapping[str, float]  # `step`, and of SERIES what is known of it


def read_rollouts(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of rollouts.jsonl, a half-written last one not yet; UserError names a line that is none."""
    path = folder / ROLLOUTS
    if not path.exists():
        return

    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return

            try:
                row = orjson.loads(line)
                _ = row["step"], row["question"], row["response"], row["verdict"]
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{path}:{number}: no rollout of a training. Take the line out.") from None

            yield row


def prompt_of(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return what the responses to one prompt share: prompts without ids that ask the same of other pictures share the name."""
    return row["question"], row.get("prompt_sha256")


def outcome_of(row: Mapping[str, Any]) -> str:
    """Return what a rollout counts as: truncated, or its verdict."""
    return "truncated" if row.get("finish_reason") == "length" else row["verdict"]


def read_steps(folder: Path) -> list[Step]:
    """Return the steps of a training, in their order; UserError where there is none in the folder."""
    steps = {int(step["step"]): step for step in _logged(folder)}
    last = max(steps, default=0)
    held: list[dict[str, Any]] = []
    for row in read_rollouts(folder):
        if row["step"] > last:
            slim = {name: row.get(name) for name in ("step", "reward", "accuracy", "format", "verdict")}
            held.append(
                slim
                | {"prompt": prompt_of(row), "tokens": row.get("completion_tokens", 0), "outcome": outcome_of(row)}
            )

    by_step = defaultdict(list)
    for row in held:
        by_step[row["step"]].append(row)

    steps |= {step: _step_of(step, rows) for step, rows in by_step.items()}
    if not steps:
        lacks = f"no rewards in {STATE}, and no {ROLLOUTS}" if folder.is_dir() else "no such folder"
        raise UserError(f"{folder}: {lacks}. Name the output_dir of a training by stage: grpo.")

    return [steps[step] for step in sorted(steps)]


def steps_table(steps: Sequence[Step], narrow: bool = True) -> Table:
    """Return the steps as a table, several together where they are more than MOST_ROWS; `narrow` for a terminal of 80 characters."""
    names = [name for name in SERIES if any(name in step for step in steps)]
    size = -(-len(steps) // MOST_ROWS)
    rows = []
    for start in range(0, len(steps), size):
        part = steps[start : start + size]
        first, last = int(part[0]["step"]), int(part[-1]["step"])
        cells = [Cell(_shown(name, [step[name] for step in part if name in step])) for name in names]
        rows.append([f"{first}" if first == last else f"{first}-{last}", *cells])

    headings = [_SHORT.get(name, name) if narrow else name for name in names]
    return Table("Steps", ("step", *headings), rows)


_SHORT = {"unverifiable": "unverif.", "truncated": "cut", "no gradient": "flat", "accuracy": "right", "format": "form"}


def _shown(name: str, values: Sequence[float]) -> str:
    if not values:
        return ""

    mean = fmean(values)
    if name == "tokens":
        return f"{mean:,.0f}"

    if name in ("unverifiable", "truncated", "no gradient", "clipped", "accuracy", "format"):
        return f"{mean:.1%}" if 0 < mean < 0.1 else f"{mean:.0%}"

    return f"{mean:.4f}" if name in ("KL", "gap") else f"{mean:.3f}"


def _logged(folder: Path) -> list[Step]:
    """Return the steps of the newest whole trainer_state.json, of the folder or of a checkpoint."""
    newest: dict[str, Any] = {}
    for path in (folder / STATE, *folder.glob(f"checkpoint-*/{STATE}")):
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there, or being written
            continue

        if state.get("global_step", 0) > newest.get("global_step", 0):
            newest = state

    found = []
    for entry in newest.get("log_history", ()):
        step = {name: float(entry[key]) for name, key in SERIES.items() if isinstance(entry.get(key), int | float)}
        if "reward" in step:
            found.append({"step": entry["step"], **step})

    return found


def _step_of(step: int, rows: Sequence[Mapping[str, Any]]) -> Step:
    groups = defaultdict(set)
    for row in rows:
        groups[row["prompt"]].add(row["reward"])

    found = {
        "step": step,
        "unverifiable": fmean(row["verdict"] == "unverifiable" for row in rows),
        "truncated": fmean(row["outcome"] == "truncated" for row in rows),
        "no gradient": fmean(len(rewards) == 1 for rewards in groups.values()),
        "tokens": fmean(row["tokens"] for row in rows),
    }
    for name in ("reward", "accuracy", "format"):
        if values := [row[name] for row in rows if row[name] is not None]:
            found[name] = fmean(values)

    return found
