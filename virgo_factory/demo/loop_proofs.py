"""What came out of the demo's loop, and its proofs: read from the files that it left, and each proof can fail."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from virgo_factory.core.thought import LongThought, MalformedThought
from virgo_factory.demo.base import MADE_WITH
from virgo_factory.demo.distill import SCORED, Loop
from virgo_factory.demo.proofs import CONNECTOR, LANGUAGE, VISION, Proof, compare
from virgo_factory.distill.tell.status import OUTCOMES, Status, summarise
from virgo_factory.evaluation.statistics import share
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.question import VisualQuestion, read_questions
from virgo_factory.rollouts.store.rollout import DIFFICULTIES
from virgo_factory.rollouts.store.store import read_rollouts


MODELS = {"m0": "M0 (D_T)", "dsd": "D_SD", "dt_dsd": "D_T + D_SD"}


def counts(loop: Loop) -> list[str]:
    """Return what the rollouts were: right, wrong, by source and by difficulty, as lines."""
    status = summarise(loop.rollouts)
    everything = status.all
    lines = [
        f"base, greedily: {everything.base_solved} of {everything.base_asked} questions right "
        f"({_percent(everything.base_solved, everything.base_asked)}); these are not asked again",
        f"M0, {status.config.samples} samples of each other question: {everything.rollouts} rollouts, "
        + ", ".join(
            f"{everything.outcomes.get(name, 0)} {name} ({_percent(everything.outcomes.get(name, 0), everything.rollouts)})"
            for name in OUTCOMES
        ),
        f"with the four markers: {_percent(*_well_formed(loop, status))} of them",
    ]
    for name, group in status.by_source.items():
        right = group.outcomes.get("correct", 0)
        lines.append(
            f"  {name:8} base {_percent(group.base_solved, group.base_asked):>4} right, "
            f"M0 {_percent(right, group.rollouts):>4} of {group.rollouts} on what the base fails"
        )

    levels = ", ".join(f"{everything.levels.get(name, 0)} {name}" for name in DIFFICULTIES)
    rows = len(_lines(loop.selected))
    lines.append(f"difficulty: {levels}")
    lines.append(f"D_SD: {rows} rows")
    return lines


def scores(loop: Loop) -> list[str]:
    """Return the score of each model on the held-out questions with its interval, as lines."""
    lines = []
    for name, title in SCORED.items():
        found = share([row.verdict == "correct" for row in read_verdicts(loop.scores(name))])
        lines.append(
            f"{title:10} {100 * found.score:5.1f}%  95 % {100 * found.low:4.1f} - {100 * found.high:4.1f}  of {found.n} questions"
        )

    return lines


def prove(loop: Loop) -> Iterator[Proof]:
    """Yield one proof after the other."""
    yield every_question_asked(loop)
    yield rows_are_right(loop)
    yield from_the_base(loop)
    yield vision_frozen(loop)
    yield pictures_used(loop)


def every_question_asked(loop: Loop) -> Proof:
    """Each question has its greedy rollout, and each one that the base failed all its samples, once, with a verdict."""
    status = summarise(loop.rollouts)
    solved = {row.question for row in read_verdicts(loop.rollouts) if row.sample < 0 and row.verdict == "correct"}
    ids = {question.id for question in read_questions(loop.questions)}
    expected = {(id, -1) for id in ids} | {
        (id, sample) for id in ids - solved for sample in range(status.config.samples)
    }
    asked = Counter((row.question, row.sample) for row in read_rollouts(loop.rollouts))
    judged = {(row.question, row.sample) for row in read_verdicts(loop.rollouts)}
    holds = set(asked) == expected == judged and set(asked.values()) == {1}
    return Proof(
        "every question asked",
        holds,
        f"{sum(asked.values())} rollouts of {len(ids)} questions, {len(expected)} expected, {len(judged)} judged",
    )


def rows_are_right(loop: Loop) -> Proof:
    """Each row of D_SD is one of M0's rollouts, has the gold answer in its box, and the very picture that was drawn."""
    name = "D_SD right, with pictures"
    questions = {question.id: question for question in read_questions(loop.questions)}
    said: dict[str, set[LongThought]] = {}
    for rollout in read_rollouts(loop.rollouts):
        if rollout.sample >= 0 and (thought := _thought(rollout.response)):
            said.setdefault(rollout.question, set()).add(thought)

    rows = [json.loads(line) for line in _lines(loop.selected)]
    wrong = [row["id"] for row in rows if not _is_right(loop, row, questions.get(row["id"]), said)]
    told = f"{len(rows) - len(wrong)} of {len(rows)} rows" + (f"; not: {wrong[:5]}" if wrong else "")
    return Proof(name, bool(rows) and not wrong, told)


def _is_right(loop: Loop, row: dict, question: VisualQuestion | None, said: dict[str, set[LongThought]]) -> bool:
    if question is None or LongThought(row["thought"], row["solution"]) not in said.get(row["id"], ()):
        return False

    files = [loop.rollouts / image for image in row["images"]]
    digests = tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file())
    boxes = re.findall(r"\\boxed\{([^{}]*)\}", row["solution"])
    return bool(boxes) and boxes[-1].strip() == question.gold and digests == question.image_sha256 != ()


def from_the_base(loop: Loop) -> Proof:
    """Each training loaded the base's weights, none M0's, and those are still what the base's own training left."""
    weights = loop.base / "model.safetensors"
    made = json.loads((loop.base / MADE_WITH).read_text())["sha256"]
    loaded = {}
    for name in MODELS:
        log = loop.training(name).log.read_text(encoding="utf-8", errors="replace")
        loaded[name] = {str(Path(path)) for path in re.findall(r"loading weights file (\S+)", log)}

    same = hashlib.sha256(weights.read_bytes()).hexdigest() == made
    holds = same and all(found == {str(weights)} for found in loaded.values())
    told = "; ".join(f"{MODELS[name]} {', '.join(sorted(found)) or 'nothing'}" for name, found in loaded.items())
    return Proof("each model from the base", holds, f"loaded: {told}{'' if same else '; its weights have changed'}")


def vision_frozen(loop: Loop) -> Proof:
    """In each model every tensor of the vision tower equals the base's, and the language model moved."""
    changes = {name: compare(loop.base, loop.output(name)) for name in MODELS}
    holds = all(
        found[VISION].tensors > 0 == found[VISION].changed and found[LANGUAGE].changed == found[LANGUAGE].tensors > 0
        for found in changes.values()
    )
    told = ", ".join(
        f"{MODELS[name]} {found[VISION].changed} of {found[VISION].tensors} ({found[LANGUAGE].changed} of "
        f"{found[LANGUAGE].tensors})"
        for name, found in changes.items()
    )
    return Proof("vision tower frozen", holds, f"its tensors that moved (of the language model): {told}")


def pictures_used(loop: Loop) -> Proof:
    """The connector, which only pictures reach, moved in both models that saw pictures, and not in M0, which saw none."""
    moved = {name: compare(loop.base, loop.output(name))[CONNECTOR] for name in MODELS}
    holds = (
        moved["m0"].tensors > 0 == moved["m0"].changed
        and moved["dsd"].changed == moved["dsd"].tensors
        and moved["dt_dsd"].changed == moved["dt_dsd"].tensors
    )
    told = ", ".join(f"{MODELS[name]} {change.changed} of {change.tensors}" for name, change in moved.items())
    return Proof("pictures used in training", holds, f"tensors of the connector that moved: {told}")


def _well_formed(loop: Loop, status: Status) -> tuple[int, int]:
    """Return how many samples are one thought and one solution between the four markers, of how many."""
    samples = [row.response for row in read_rollouts(loop.rollouts) if row.sample >= 0]
    return sum(_thought(response) is not None for response in samples), len(samples)


def _thought(response: str) -> LongThought | None:
    try:
        return LongThought.parse(response)
    except MalformedThought:
        return None


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"
