"""What a training did, proved from the files that it left: each proof reads them and can fail."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from virgo_factory.core.errors import UserError
from virgo_factory.data.rows.account import FILE_NAME, from_json
from virgo_factory.demo.steps import Step
from virgo_factory.preflight.smoke.logs import logged_steps


LANGUAGE, VISION, CONNECTOR = "language model", "vision tower", "connector"


@dataclass(frozen=True)
class Proof:
    """One statement about the run, whether it holds, and the numbers that say so."""

    name: str
    holds: bool
    evidence: str


@dataclass(frozen=True)
class Change:
    """How many tensors of a part of the model differ from the start, of how many."""

    changed: int
    tensors: int

    def __str__(self) -> str:
        return f"{self.changed} of {self.tensors}"


def part_of(name: str) -> str:
    """Return the part of a Qwen2-VL model that a tensor belongs to.

    >>> part_of("visual.merger.ln_q.weight"), part_of("model.layers.0.mlp.up_proj.weight")
    ('connector', 'language model')
    """
    if ".merger." in f".{name}":
        return CONNECTOR

    return VISION if "visual." in name else LANGUAGE


def compare(start: Path, end: Path) -> dict[str, Change]:
    """Return by part how a checkpoint differs from another, bit by bit, one tensor at a time; ValueError where the tensors are others.

    Both sides are widened to float32 first, which loses nothing: LLaMA-Factory keeps trainable parameters in float32
    (model/adapter.py:53), so that a bfloat16 tensor that did not move is saved as the same numbers in float32.
    """
    counts: dict[str, list[int]] = {part: [0, 0] for part in (LANGUAGE, VISION, CONNECTOR)}
    with safe_open(start / "model.safetensors", "pt") as first, safe_open(end / "model.safetensors", "pt") as second:
        if different := set(first.keys()) ^ set(second.keys()):
            raise UserError(f"{start} and {end} do not hold the same tensors: {', '.join(sorted(different)[:5])}")

        for name in first.keys():
            one, two = (file.get_tensor(name).float().view(torch.int32) for file in (first, second))
            counts[part_of(name)][0] += not torch.equal(one, two)
            counts[part_of(name)][1] += 1

    return {part: Change(*count) for part, count in counts.items()}


def parts_trained(start: Path, end: Path, with_pictures: bool) -> Proof:
    """No tensor of the vision tower moved, and all of the language model; of the connector, which only pictures reach, all or none."""
    found = compare(start, end)
    vision, language, connector = (found[part] for part in (VISION, LANGUAGE, CONNECTOR))
    expected = Change(connector.tensors if with_pictures else 0, connector.tensors)
    holds = vision.changed == 0 < vision.tensors and language.changed == language.tensors > 0 and connector == expected
    told = f"tensors that moved: {VISION} {vision}, {LANGUAGE} {language}, {CONNECTOR} {connector}"
    return Proof(f"{end.name}: vision tower frozen", holds, told)


def loss_fell(step: Step, share: float = 0.7) -> Proof:
    """The mean of the last losses is below a share of the mean of the first ones."""
    losses = [entry["loss"] for entry in logged_steps(step.output)]
    name, few = f"{step.output.name}: loss fell", max(1, len(losses) // 10)
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return Proof(name, False, f"{len(losses)} losses in trainer_log.jsonl, not all of them numbers")

    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    return Proof(name, last < share * first, f"from {first:.2f} to {last:.2f}")


def rows_accounted(step: Step) -> Proof:
    """The account of each dataset adds up, names every row that is dropped, and stands in the log."""
    name, file = f"{step.output.name}: rows accounted for", step.output / FILE_NAME
    if not file.is_file():
        return Proof(name, False, f"{file} is not there")

    accounts = from_json(json.loads(file.read_text(encoding="utf-8")))
    log = step.log.read_text(encoding="utf-8", errors="replace")
    holds = bool(accounts) and all(
        account.rows_in == account.kept + account.dropped
        and account.dropped == len(account.dropped_rows) == sum(account.reasons.values())
        and str(account) in log
        for account in accounts
    )
    return Proof(name, holds, "; ".join(map(str, accounts)))
