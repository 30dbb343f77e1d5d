"""The demo's loop: a base that sees a little, D_T -> M0, M0's rollouts -> D_SD, and two models of that base on it.

Every step is a command that can be entered by hand; all of it lies in one folder.
"""

import hashlib
import shutil
from pathlib import Path

from virgo_factory.demo import visual, visual_rows
from virgo_factory.demo.base import Base
from virgo_factory.demo.run import Step, check_folder, mark, names_file, script
from virgo_factory.io.files import DATASET_INFO, RECIPES


FOLDER = Path("saves/loop")  # where the recipes themselves put everything
PICTURES = 16_000  # rows that the base model learns to see from
QUESTIONS = HELD_OUT = 200  # questions that are distilled on, and others that the models are scored on

TWIN = {"seed": visual_rows.SEED, "vocabulary": 1024}
_RECIPES = {"m0": "virgo_demo_m0.yaml", "dsd": "virgo_demo_dsd.yaml", "dt_dsd": "virgo_demo_dt_dsd.yaml"}
_CONFIG = "distill/demo.yaml"
_EVALUATION = "evaluate/demo.yaml"
SCORED = {"base": "base", "m0": "M0 (D_T)", "dsd": "D_SD", "dt_dsd": "D_T + D_SD"}
"""Models whose scores end the loop, and what they are called."""


class Loop:
    """The files of one loop, run with the recipes of a folder.

    They fit `as_they_are`, without overrides, in a checkout, or where they were copied, and in the usual folder.
    """

    def __init__(self, folder: Path, recipes: Path, as_they_are: bool) -> None:
        self.folder, self.recipes, self.as_they_are = folder, recipes, as_they_are
        self.base = self.made.output  # sees a little; it stands for Qwen2-VL-Instruct
        self.questions = folder / "questions" / "questions.jsonl"  # that are distilled on
        self.held_out = folder / "held_out" / "questions.jsonl"  # that no model was trained on
        self.rollouts = folder / "rollouts"
        self.selected = self.rollouts / "selected.jsonl"  # D_SD

    @property
    def made(self) -> Base:
        """How the base model is made."""
        return Base(self.folder, PICTURES, TWIN, (visual, visual_rows))

    def scores(self, name: str) -> Path:
        """Return the folder of a model's evaluation, see SCORED."""
        return self.folder / "evals" / name

    def evaluation(self, name: str) -> Step:
        """Return how a model is scored on the held-out questions."""
        model = self.base if name == "base" else self.output(name)
        overrides = [f"model_name_or_path={model}", f"output_dir={self.scores(name)}"]
        if not self.as_they_are:
            overrides.append(f"questions={self.held_out}")

        command = (script("virgo-factory"), "evaluate", "run", str(self.recipes / _EVALUATION), *overrides)
        return Step(command, self.folder / "evals.log", self.scores(name))

    def output(self, name: str) -> Path:
        """Return the model's folder: "m0", "dsd" or "dt_dsd"."""
        return self.folder / name

    def training(self, name: str) -> Step:
        """Return how "m0", "dsd" or "dt_dsd" is trained."""
        overrides = []
        if not self.as_they_are:
            overrides = [f"model_name_or_path={self.base}", f"output_dir={self.output(name)}"]
            overrides.append(f"dataset_dir={self.folder}")
            if name != "m0":
                overrides.append(f"media_dir={self.rollouts}")

        command = (script("llamafactory-cli"), "train", str(self.recipes / _RECIPES[name]), *overrides)
        return Step(command, self.folder / f"{name}.log", self.output(name))

    @property
    def distillation(self) -> Step:
        """How M0 is asked."""
        overrides = []
        if not self.as_they_are:
            overrides = [
                f"questions={self.questions}",
                f"base_model_name_or_path={self.base}",
                f"model_name_or_path={self.output('m0')}",
                f"output_dir={self.rollouts}",
                f"dataset_dir={self.folder}",
            ]

        command = (script("virgo-factory"), "distill", "run", str(self.recipes / _CONFIG), *overrides)
        return Step(command, self.folder / "rollouts.log", self.rollouts)

    @property
    def selection(self) -> Step:
        """How D_SD is chosen."""
        command = (script("virgo-factory"), "distill", "select", str(self.rollouts))
        return Step(command, self.folder / "rollouts.log", self.rollouts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The loop, in order."""
        return (self.training("m0"), self.distillation, self.selection, self.training("dsd"), self.training("dt_dsd"))


def plan(folder: Path = FOLDER) -> Loop:
    """Return the loop of a folder, as it would run from the current directory; ValueError where it holds something else. Writes nothing."""
    check_folder(folder)
    own = all(Path("recipes", name).is_file() for name in (*_RECIPES.values(), _CONFIG, _EVALUATION))
    own = own and names_file("virgo_demo_dt") and names_file("virgo_demo_scenes")
    own = own and names_file("virgo_demo_dsd", FOLDER / "rollouts" / "selected.jsonl")
    return Loop(folder, Path("recipes") if own else RECIPES, own and folder == FOLDER)


def prepare(loop: Loop) -> bool:
    """Make questions and the random model that the base is trained from; return whether the base has to be trained.

    What an earlier loop left behind is removed. Its base stays if everything that made it is unchanged.
    """
    from virgo_factory.preflight.twin.twin import demo_texts

    mark(loop.folder)
    made = (loop.questions.parent, loop.held_out.parent, loop.rollouts, loop.folder / "evals")
    for folder in (*made, *map(loop.output, _RECIPES)):
        shutil.rmtree(folder, ignore_errors=True)

    for name in ("rollouts", *_RECIPES):
        (loop.folder / f"{name}.log").unlink(missing_ok=True)

    if not loop.as_they_are:
        (loop.folder / DATASET_INFO.name).write_text("{}\n", encoding="utf-8")

    if loop.made.is_made:
        write_questions(loop)
        return False

    loop.made.clear()
    rows = list(visual_rows.base_rows(loop.made.pictures, PICTURES))
    loop.made.write(rows, demo_texts("long_thoughts", "scenes"))
    write_questions(loop)
    return True


def write_questions(loop: Loop) -> None:
    """Write the visual questions, and those that are held out; no picture is one that a model was trained on."""
    seen = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (loop.made.pictures / "images").iterdir()}
    visual_rows.write_questions(loop.questions.parent, QUESTIONS, taken=seen)
    seen |= {path.stem for path in loop.questions.parent.glob("images/??/*")}
    visual_rows.write_questions(loop.held_out.parent, HELD_OUT, seed=visual_rows.SEED + 1, taken=seen)
