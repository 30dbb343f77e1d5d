"""Folders of distillations for the tests: written by the classes that a run writes with."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from virgo_factory import __version__
from virgo_factory.distill.config import FILE, DistillConfig
from virgo_factory.rollouts.judge.verdicts import RolloutVerdict
from virgo_factory.rollouts.question import VisualQuestion, write_question
from virgo_factory.rollouts.store.rollout import GREEDY, Rollout
from virgo_factory.rollouts.store.store import RolloutStore


BASE, MODEL = "Qwen/Qwen2-VL-7B-Instruct", "saves/virgo7b_dt"
WELL_FORMED = (
    "<|begin_of_thought|>\n\nLet me look. {0}\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\n\\boxed{{{1}}}\n\n<|end_of_solution|>"
)
FINISHED = {"truncated": "length", "looping": "loop"}


@contextlib.contextmanager
def read_only_copy(folder: Path) -> Iterator[Path]:
    """Yield a copy of a folder that this process may not write to, beside which it may: root is somebody else meanwhile."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        there = shutil.copytree(folder, Path(place) / folder.name)
        paths = [there, *there.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)

        try:
            if is_root:
                os.seteuid(65534)

            yield there
        finally:
            if is_root:
                os.seteuid(0)

            for path in paths:
                path.chmod(0o755)


def start(folder: Path, questions: Iterable[VisualQuestion], **keys) -> DistillConfig:
    """Write what a run writes before its first rollout."""
    keys = {"base_model_name_or_path": BASE, "model_name_or_path": MODEL, "dataset": "mine", "samples": 5} | keys
    config = DistillConfig(questions=folder / "questions.jsonl", output_dir=folder, **keys)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(config.text(), encoding="utf-8")
    (folder / "questions.jsonl").write_text("".join(map(write_question, questions)), encoding="utf-8")
    return config


def rollout(question: str, sample: int, response: str, tokens: int = 100, finish_reason: str = "stop") -> Rollout:
    """Return a rollout; sample GREEDY is the base model's."""
    model = BASE if sample == GREEDY else MODEL
    return Rollout(question, model, sample, response, finish_reason, 300, tokens, 4.0, 7, "ab" * 32, {"top_p": 1.0})


def verdict(of: Rollout, outcome: str, answer: str = "12") -> RolloutVerdict:
    """Return a verdict, by what it is to count as."""
    said = {"unverifiable": "unverifiable", "correct": "correct"}.get(outcome, "wrong")
    reason = {"correct": "same_value", "wrong": "other_value", "unverifiable": "gold_unclear"}.get(
        outcome, "cut_answer"
    )
    state = outcome if outcome in FINISHED else "complete"
    return RolloutVerdict(*of.key, said, reason, "number", answer, "box", "solution", state, __version__)


def add(folder: Path, rollouts: Iterable[Rollout], verdicts: Iterable[RolloutVerdict] = (), shard=None) -> None:
    """Append to a folder as a run does."""
    with RolloutStore(folder, shard) as store:
        for row in rollouts:
            store.append(row)

    name = "verdicts.jsonl" if shard is None else "verdicts-{}of{}.jsonl".format(*shard)
    with (folder / name).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(row)) + "\n" for row in verdicts)


def answer(folder: Path, question: str, texts: Iterable[str], outcomes=("correct",), first: int = 0) -> None:
    """Append responses to a question and their verdicts; of the last outcome are all that follow."""
    outcomes = list(outcomes)
    rollouts = [rollout(question, at, text) for at, text in enumerate(texts, start=first)]
    outcomes += outcomes[-1:] * (len(rollouts) - len(outcomes))
    add(folder, rollouts, [verdict(row, outcome) for row, outcome in zip(rollouts, outcomes, strict=True)])


def sampled(
    question: str, outcomes: Iterable[str], tokens: int = 100, response: str | None = None, first: int = 0
) -> tuple[list[Rollout], list[RolloutVerdict]]:
    """Return the rollouts of a question and their verdicts, a sample for each outcome; "base:correct" is the greedy one."""
    rollouts, verdicts, sample = [], [], first
    for outcome in outcomes:
        base, _, outcome = outcome.rpartition(":")
        at = GREEDY if base else sample
        sample += not base
        text = response or WELL_FORMED.format(f"Sample {at}.", "12")
        rollouts.append(rollout(question, at, text, tokens, FINISHED.get(outcome, "stop")))
        if outcome != "unjudged":
            verdicts.append(verdict(rollouts[-1], outcome))

    return rollouts, verdicts
