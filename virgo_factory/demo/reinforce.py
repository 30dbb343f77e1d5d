"""The demo of reinforcement: a base that looks or guesses, rewards, and whether it then looks; the control has blank pictures.

Every step is a command that can be entered by hand; all of it lies in one folder.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from virgo_factory.demo import looking, visual, visual_rows
from virgo_factory.demo.base import Base
from virgo_factory.demo.run import Step, check_folder, mark, names_file, script
from virgo_factory.evaluation.statistics import Comparison, compare
from virgo_factory.io.files import DATASET_INFO, RECIPES
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.question import FILE
from virgo_factory.rollouts.store.store import read_rollouts


FOLDER = Path("saves/reinforce")  # where the recipes themselves put everything
SEED = 42  # the recipe's
PICTURES = 4000  # rows that the base model learns to see from
QUESTIONS, HELD_OUT = 240, 240  # questions that are rewarded, and others that the models are scored on

DATASET = "virgo_demo_questions"
_TWIN = {"seed": visual_rows.SEED, "vocabulary": 512}
_BASE = {"learning_rate": 2.0e-3, "max_steps": 200}
_RECIPE = "virgo_demo_gspo.yaml"
_EVALUATION = "evaluate/demo_gspo.yaml"


class Reinforcement:
    """The files of one demo, run with the recipes of a folder, which fit `as_they_are` or need overrides of paths.

    All pictures may be blank, those that are rewarded and those that are scored.
    """

    def __init__(self, folder: Path, recipes: Path, as_they_are: bool, blank: bool) -> None:
        self.folder, self.recipes, self.as_they_are, self.blank = folder, recipes, as_they_are, blank
        pictures = folder / "blank" if blank else folder
        self.questions = pictures / "questions" / FILE  # that are rewarded
        self.held_out = pictures / "held_out" / FILE  # on pictures that no model was trained on

    @property
    def base(self) -> Base:
        """How the base model is made."""
        return Base(self.folder, PICTURES, _TWIN, (visual, visual_rows, looking), _BASE)

    def name(self, seed: int | None) -> str:
        """Return what a model and its evaluation are called; without a seed the base's."""
        kind = "base" if seed is None else "gspo"
        return kind + "-blank" * self.blank + (f"-{seed}" if seed not in (None, SEED) else "")

    def output(self, seed: int | None) -> Path:
        """Return a model's folder."""
        return self.base.output if seed is None else self.folder / self.name(seed)

    def scores(self, seed: int | None) -> Path:
        """Return the folder of a model's evaluation."""
        return self.folder / "evals" / self.name(seed)

    def training(self, seed: int) -> Step:
        """Return how the base is reinforced."""
        overrides = []
        if not self.as_they_are:
            overrides.append(f"model_name_or_path={self.base.output}")

        if not self.as_they_are or self.blank:
            overrides += [f"dataset_dir={self.questions.parent}", f"media_dir={self.questions.parent}"]

        if seed != SEED:
            overrides.append(f"seed={seed}")

        if overrides:
            overrides.append(f"output_dir={self.output(seed)}")

        command = (script("llamafactory-cli"), "train", str(self.recipes / _RECIPE), *overrides)
        return Step(command, self.folder / f"{self.name(seed)}.log", self.output(seed))

    def evaluation(self, seed: int | None) -> Step:
        """Return how a model is scored on the held-out questions."""
        overrides = [f"model_name_or_path={self.output(seed)}", f"output_dir={self.scores(seed)}"]
        if not self.as_they_are or self.blank:
            overrides.append(f"questions={self.held_out}")

        command = (script("virgo-factory"), "evaluate", "run", str(self.recipes / _EVALUATION), *overrides)
        return Step(command, self.folder / "evals.log", self.scores(seed))


def plan(folder: Path = FOLDER, blank: bool = False) -> Reinforcement:
    """Return the demo of a folder, as it would run from the current directory; ValueError where it holds something else. Writes nothing."""
    check_folder(folder)
    own = all(Path("recipes", name).is_file() for name in (_RECIPE, _EVALUATION))
    own = own and names_file(DATASET, FOLDER / "questions" / FILE)
    return Reinforcement(folder, Path("recipes") if own else RECIPES, own and folder == FOLDER, blank)


def prepare(demo: Reinforcement, seeds: Sequence[int]) -> bool:
    """Make questions and the random model that the base is trained from; return whether the base has to be trained.

    What an earlier demo left behind of these runs is removed. Its base stays if everything that made it is unchanged.
    """
    mark(demo.folder)
    made = [demo.scores(None), *map(demo.scores, seeds), *map(demo.output, seeds)]
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)

    is_missing = not demo.base.is_made
    if is_missing:
        demo.base.clear()
        rows = list(looking.base_rows(demo.base.pictures, PICTURES))
        demo.base.write(rows, [text for row in rows for text in looking.texts(row)])

    _write_questions(demo)
    return is_missing


def _write_questions(demo: Reinforcement) -> None:
    """Write the questions, and those that are held out; no picture is one that a model was trained on."""
    taken = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (demo.base.pictures / "images").iterdir()}
    wanted = (("questions", QUESTIONS, visual_rows.SEED), ("held_out", HELD_OUT, visual_rows.SEED + 1))
    for name, count, seed in wanted:
        folder = demo.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        file = visual_rows.write_questions(folder, count, seed, taken, looking.SOURCES)
        taken |= {path.stem for path in folder.glob("images/??/*")}
        for place in (folder, looking.write_blanked(file, demo.folder / "blank" / name).parent):
            entry = {DATASET: {"file_name": FILE, "formatting": "questions"}}
            (place / DATASET_INFO.name).write_text(json.dumps(entry) + "\n", encoding="utf-8")


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
