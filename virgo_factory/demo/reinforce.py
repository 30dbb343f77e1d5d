"""The demo of reinforcement: a base that looks or guesses, rewards, and whether it then looks; the control has blank pictures."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from virgo_factory.demo import looking, visual_rows
from virgo_factory.demo.base import Base
from virgo_factory.demo.steps import Step, begin, training
from virgo_factory.evaluation.statistics import Comparison, compare
from virgo_factory.io.files import DATASET_INFO
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.question import FILE
from virgo_factory.rollouts.store.store import read_rollouts


FOLDER = Path("saves/reinforce")
SEED = 42  # the recipe's
PICTURES = 4000  # rows that the base model learns to see from
QUESTIONS, HELD_OUT = 240, 240  # questions that are rewarded, and others that the models are scored on
DATASET = "virgo_demo_questions"
_TWIN = {"seed": visual_rows.SEED, "vocabulary": 512}
_BASE = {"learning_rate": 2.0e-3, "max_steps": 200}


def base() -> Base:
    """Return how the base model is made."""
    return Base(FOLDER, PICTURES, _TWIN, _BASE)


@dataclass(frozen=True)
class Reinforcement:
    """What is trained and scored: on pictures, or as a control where all of them are blank."""

    blank: bool = False

    @property
    def pictures(self) -> Path:
        """Folder of the questions that are rewarded (`questions`) and scored (`held_out`)."""
        return FOLDER / "blank" if self.blank else FOLDER

    def name(self, seed: int | None) -> str:
        """Return what a model and its evaluation are called; without a seed the base's."""
        kind = "base" if seed is None else "gspo"
        return kind + "-blank" * self.blank + (f"-{seed}" if seed not in (None, SEED) else "")

    def scores(self, seed: int | None) -> Path:
        """Return the folder of a model's evaluation."""
        return FOLDER / "evals" / self.name(seed)

    def training(self, seed: int) -> Step:
        """Return how the base is reinforced."""
        output, questions = FOLDER / self.name(seed), self.pictures / "questions"
        overrides = [f"dataset_dir={questions}", f"media_dir={questions}"] if self.blank else []
        overrides += [f"seed={seed}"] if seed != SEED else []
        overrides += [f"output_dir={output}"] if overrides else []
        return training("virgo_demo_gspo", output, "", *overrides)

    def evaluation(self, seed: int | None) -> Step:
        """Return how a model is scored on pictures that no model was trained on."""
        model = base().output if seed is None else FOLDER / self.name(seed)
        overrides = [f"model_name_or_path={model}", f"output_dir={self.scores(seed)}"]
        overrides += [f"questions={self.pictures / 'held_out' / FILE}"] if self.blank else []
        command = ("virgo-factory", "evaluate", "run", "recipes/evaluate/demo_gspo.yaml", *overrides)
        return Step(command, self.scores(seed))

    def steps(self, seeds: Sequence[int]) -> list[Step]:
        """Return all steps: the base is scored, and each model of it is trained and scored."""
        both = [step for seed in seeds for step in (self.training(seed), self.evaluation(seed))]
        return [self.evaluation(None), *both]


def prepare(demo: Reinforcement, seeds: Sequence[int]) -> bool:
    """Make questions and the random model that the base is trained from; return whether the base has to be trained.

    What an earlier demo left behind of these runs is removed. Its base stays if everything that made it is unchanged.
    """
    begin(FOLDER, [step.output for step in demo.steps(seeds)])
    made = base()
    if is_missing := not made.is_made:
        made.clear()
        rows = list(looking.base_rows(made.pictures, PICTURES))
        made.write(rows, [text for row in rows for text in looking.texts(row)])

    taken = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (made.pictures / "images").iterdir()}
    for name, count, seed in (
        ("questions", QUESTIONS, visual_rows.SEED),
        ("held_out", HELD_OUT, visual_rows.SEED + 1),
    ):
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        file = visual_rows.write_questions(folder, count, seed, taken, looking.SOURCES)
        taken |= {path.stem for path in folder.glob("images/??/*")}
        for place in (folder, looking.write_blanked(file, FOLDER / "blank" / name).parent):
            entry = {DATASET: {"file_name": FILE, "formatting": "questions"}}
            (place / DATASET_INFO.name).write_text(json.dumps(entry) + "\n", encoding="utf-8")

    return is_missing


@dataclass(frozen=True)
class Scored:
    """A model on the held-out questions."""

    right: tuple[float, ...]  # of each question the share of its responses that are right, in the order of their names
    looks: float  # share of the responses that say what they see before they answer


def scored(folder: Path) -> Scored:
    """Return what came out of an evaluation."""
    right: dict[str, list[bool]] = {}
    for verdict in read_verdicts(folder):
        right.setdefault(verdict.question, []).append(verdict.verdict == "correct")

    looks = [looking.LOOK in rollout.response for rollout in read_rollouts(folder)]
    return Scored(tuple(fmean(right[name]) for name in sorted(right)), fmean(looks))


def difference(after: Sequence[Scored], before: Scored) -> Comparison:
    """Return how models differ from their base, question by question, each question's score being the models' mean."""
    return compare([fmean(scores) for scores in zip(*(one.right for one in after), strict=True)], before.right)


def has_risen(found: Comparison) -> bool:
    """Whether a difference is above zero by more than twice its standard error."""
    return found.difference.score > 2 * found.difference.se
