"""The demo's loop: a base that sees a little, D_T -> M0, M0's rollouts -> D_SD, and two models of that base on it."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from virgo_factory.demo import visual_rows
from virgo_factory.demo.base import Base
from virgo_factory.demo.proofs import Proof, parts_trained
from virgo_factory.demo.steps import Step, begin, training
from virgo_factory.distill.tell.status import summarise
from virgo_factory.evaluation.statistics import share
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.store.rollout import GREEDY
from virgo_factory.rollouts.store.store import read_rollouts


FOLDER = Path("saves/loop")
PICTURES = 16_000  # rows that the base model learns to see from
QUESTIONS = HELD_OUT = 200  # questions that are distilled on, and others that the models are scored on
TWIN = {"seed": visual_rows.SEED, "vocabulary": 1024}
ASKED, SCORED_ON, ROLLOUTS = FOLDER / "questions", FOLDER / "held_out", FOLDER / "rollouts"
MODELS = {"m0": "M0 (D_T)", "dsd": "D_SD", "dt_dsd": "D_T + D_SD"}
"""Folder of a model that is trained here -> what it is called."""
SCORED = {"base": "base"} | MODELS
"""Models whose scores end the loop."""


def base() -> Base:
    """Return how the base model is made: it sees a little, and stands for Qwen2-VL-Instruct."""
    return Base(FOLDER, PICTURES, TWIN)


STEPS = (
    training("virgo_demo_m0", FOLDER / "m0", "D_T -> M0: long thoughts in text alone, on the base."),
    Step(
        ("virgo-factory", "distill", "run", "recipes/distill/demo.yaml"), ROLLOUTS,
        "M0 answers the visual questions that the base fails, five times each, through vLLM.",
    ),
    Step(
        ("virgo-factory", "distill", "select", str(ROLLOUTS)), ROLLOUTS,
        "D_SD: the shortest correct response of each question, if it has the four markers.",
    ),
    Step(("virgo-factory", "distill", "status", str(ROLLOUTS)), ROLLOUTS, "What the rollouts were."),
    training("virgo_demo_dsd", FOLDER / "dsd", "D_SD -> model, from the original base."),
    training("virgo_demo_dt_dsd", FOLDER / "dt_dsd", "D_T + D_SD -> model, from the original base."),
)  # fmt: skip
"""The loop, in order."""


def evaluation(name: str) -> Step:
    """Return how a model is scored on the held-out questions, see SCORED."""
    paths = (f"model_name_or_path={FOLDER / name}", f"output_dir={FOLDER / 'evals' / name}")
    return Step(("virgo-factory", "evaluate", "run", "recipes/evaluate/demo.yaml", *paths), FOLDER / "evals" / name)


def prepare() -> bool:
    """Make questions and the random model that the base is trained from; return whether the base has to be trained.

    What an earlier loop left behind is removed. Its base stays if everything that made it is unchanged.
    """
    from virgo_factory.preflight.twin.twin import demo_texts

    begin(FOLDER, (ASKED, SCORED_ON, ROLLOUTS, FOLDER / "evals", *(FOLDER / name for name in MODELS)))
    made = base()
    if is_missing := not made.is_made:
        made.clear()
        rows = list(visual_rows.base_rows(made.pictures, PICTURES))
        made.write(rows, demo_texts("long_thoughts", "scenes"))

    seen = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (made.pictures / "images").iterdir()}
    visual_rows.write_questions(ASKED, QUESTIONS, taken=seen)
    seen |= {path.stem for path in ASKED.glob("images/??/*")}
    visual_rows.write_questions(SCORED_ON, HELD_OUT, seed=visual_rows.SEED + 1, taken=seen)
    return is_missing


def scores() -> Iterator[str]:
    """Yield the score of each model on the held-out questions with its interval, a line each."""
    for name, title in SCORED.items():
        found = share([row.verdict == "correct" for row in read_verdicts(FOLDER / "evals" / name)])
        interval = f"95 % {100 * found.low:4.1f} - {100 * found.high:4.1f}"
        yield f"{title:10} {100 * found.score:5.1f}%  {interval}  of {found.n} questions"


def prove() -> Iterator[Proof]:
    """Yield one proof after the other."""
    yield every_question_asked()
    for name in MODELS:
        yield parts_trained(base().output, FOLDER / name, with_pictures=name != "m0")


def every_question_asked() -> Proof:
    """Each question has its greedy rollout, and each one that the base failed all its samples, once, with a verdict."""
    samples = summarise(ROLLOUTS).config.samples
    verdicts = list(read_verdicts(ROLLOUTS))
    solved = {row.question for row in verdicts if row.sample == GREEDY and row.verdict == "correct"}
    ids = {question.id for question in read_questions(ASKED / "questions.jsonl")}
    expected = {(id, GREEDY) for id in ids} | {(id, sample) for id in ids - solved for sample in range(samples)}
    asked = Counter((row.question, row.sample) for row in read_rollouts(ROLLOUTS))
    judged = {(row.question, row.sample) for row in verdicts}
    holds = asked.keys() == expected == judged and set(asked.values()) == {1}
    told = f"{asked.total()} rollouts of {len(ids)} questions, {len(expected)} expected, {len(judged)} judged"
    return Proof("every question asked", holds, told)
