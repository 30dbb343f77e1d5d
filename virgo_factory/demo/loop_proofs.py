"""What came out of the demo's loop, and its proofs: read from the files that it left, and each proof can fail."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoTokenizer

from virgo_factory.datasets.account import FILE_NAME, from_json
from virgo_factory.demo.distill import MADE_WITH, Loop
from virgo_factory.demo.proofs import CONNECTOR, LANGUAGE, VISION, Proof, compare
from virgo_factory.distill.question import VisualQuestion, read_questions
from virgo_factory.distill.rollout import DIFFICULTIES
from virgo_factory.distill.status import OUTCOMES, Status, summarise
from virgo_factory.distill.store import read_rollouts
from virgo_factory.distill.verdicts import read_verdicts
from virgo_factory.thought import LongThought, MalformedThought


DSD = "virgo_demo_dsd"
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


def prove(loop: Loop) -> Iterator[Proof]:
    """Yield one proof after the other."""
    yield every_question_asked(loop)
    yield some_right_some_wrong(loop)
    yield rows_are_right(loop)
    for name in MODELS:
        yield from_the_base(loop, name)
        yield vision_frozen(loop, name)

    yield not_from_m0(loop)
    yield pictures_used(loop)
    for name in ("dsd", "dt_dsd"):
        yield rows_accounted(loop, name)


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


def some_right_some_wrong(loop: Loop) -> Proof:
    """There are right and wrong rollouts, and both on the same question somewhere."""
    by_question: dict[str, Counter] = {}
    for row in read_verdicts(loop.rollouts):
        if row.sample >= 0:
            by_question.setdefault(row.question, Counter())[row.outcome] += 1

    total = sum(by_question.values(), Counter())
    mixed = sum(found["correct"] > 0 and found["wrong"] > 0 for found in by_question.values())
    holds = total["correct"] > 0 and total["wrong"] > 0 and mixed > 0
    return Proof(
        "some right, some wrong",
        holds,
        f"{total['correct']} right, {total['wrong']} wrong; both on {mixed} of {len(by_question)} questions",
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


def from_the_base(loop: Loop, name: str) -> Proof:
    """The training loaded the base's weights, and those are still what the base's own training left."""
    log = loop.training(name).log.read_text(encoding="utf-8", errors="replace")
    loaded = set(re.findall(r"loading weights file (\S+)", log))
    weights = loop.base / "model.safetensors"
    same = (
        hashlib.sha256(weights.read_bytes()).hexdigest() == json.loads((loop.base / MADE_WITH).read_text())["sha256"]
    )
    holds = {str(Path(path)) for path in loaded} == {str(weights)} and same
    return Proof(f"{MODELS[name]}: from the base", holds, f"log: loaded {', '.join(sorted(loaded)) or 'nothing'}")


def vision_frozen(loop: Loop, name: str) -> Proof:
    """Every tensor of the vision tower equals the base's, and the language model moved."""
    changes = compare(loop.base, loop.output(name))
    vision, language = changes[VISION], changes[LANGUAGE]
    holds = vision.tensors > 0 and vision.changed == 0 and language.changed == language.tensors > 0
    return Proof(
        f"{MODELS[name]}: vision frozen",
        holds,
        f"{vision.changed} of {vision.tensors} tensors of the vision tower differ from the base, "
        f"{language.changed} of {language.tensors} of the language model",
    )


def not_from_m0(loop: Loop) -> Proof:
    """Words that D_T has and D_SD has not: their embeddings moved on the way to M0, and are the base's in the D_SD model.

    A row of the embedding that no token asks for has a gradient of exactly zero, and Adam leaves it as it is.
    """
    base, m0, dsd = (_embedding(folder) for folder in (loop.base, loop.output("m0"), loop.output("dsd")))
    used = _tokens_of(loop)
    of_m0 = (m0 != base).any(dim=1)
    of_dsd = (dsd != base).any(dim=1)
    only_m0 = int((of_m0 & ~of_dsd).sum())
    stray = [token for token in of_dsd.nonzero().flatten().tolist() if token not in used]
    holds = only_m0 > 0 and not stray and bool(of_dsd.any())
    return Proof(
        "D_SD: not from M0",
        holds,
        f"of {int(of_m0.sum())} words that M0 learned anew, {only_m0} do not occur in D_SD and are bit by bit the base's",
    )


def _embedding(folder: Path) -> torch.Tensor:
    with safe_open(folder / "model.safetensors", "pt") as weights:
        (name,) = (name for name in weights.keys() if name.endswith("embed_tokens.weight"))
        return weights.get_tensor(name).float()


def _tokens_of(loop: Loop) -> set[int]:
    """Return every token that training on D_SD can have read: its rows in the chat template, and padding."""
    tokenizer = AutoTokenizer.from_pretrained(loop.output("dsd"))
    used = set(tokenizer.all_special_ids)
    for line in _lines(loop.selected):
        row = json.loads(line)
        response = LongThought(row["thought"], row["solution"]).render()
        content = [{"type": "image"}, {"type": "text", "text": row["question"].replace("<image>", "")}]
        chat = [{"role": "user", "content": content}, {"role": "assistant", "content": response}]
        used.update(tokenizer.apply_chat_template(chat))

    return used


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


def rows_accounted(loop: Loop, name: str) -> Proof:
    """All rows of D_SD went into the training, and every dataset's account adds up."""
    title = f"{MODELS[name]}: rows accounted"
    file = loop.output(name) / FILE_NAME
    if not file.is_file():
        return Proof(title, False, f"{file} is not there")

    accounts = {account.name: account for account in from_json(json.loads(file.read_text(encoding="utf-8")))}
    expected = {DSD} | ({"virgo_demo_dt", "virgo_demo_scenes"} if name == "dt_dsd" else set())
    rows = len(_lines(loop.selected))
    holds = (
        set(accounts) == expected
        and all(account.rows_in == account.kept + account.dropped for account in accounts.values())
        and accounts[DSD].rows_in == accounts[DSD].kept == rows > 0
    )
    return Proof(title, holds, "; ".join(str(account) for account in accounts.values()))


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
