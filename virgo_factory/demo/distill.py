"""The demo's loop: a base that sees a little, D_T -> M0, M0's rollouts -> D_SD, and two models of that base on it.

Every step is a command that can be entered by hand; all of it lies in one folder.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from virgo_factory.demo import visual, visual_rows
from virgo_factory.demo.run import MARKER, Progress, check_folder, train
from virgo_factory.io.files import DATASET_INFO, RECIPES


FOLDER = Path("saves/loop")
"""Where the recipes themselves put everything."""

PICTURES = 16_000
"""Rows that the base model learns to see from."""

QUESTIONS = HELD_OUT = 200
"""Questions that are distilled on, and others that the models are scored on."""

TWIN = {"seed": visual_rows.SEED, "vocabulary": 1024}
ROPE_THETA = 20.0
"""Base of the rotary positions, a million in the real models: a head of 32 could not tell neighbouring image tokens
apart by it (their column has the slowest sixteenths of a turn)."""

SCALE = 3.0
"""By which the twin's random matrices are multiplied: at a width of 128, 0.02 is so small that learning starts late."""

BASE_RECIPE = {
    "image_max_pixels": 65536,
    "disable_gradient_checkpointing": True,
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "freeze_vision_tower": False,
    "freeze_multi_modal_projector": False,
    "dataset": "pictures",
    "template": "qwen2_vl",
    "cutoff_len": 512,
    "preprocessing_num_workers": 1,
    "logging_steps": 10,
    "plot_loss": True,
    "report_to": "none",
    "save_strategy": "no",
    "overwrite_output_dir": True,
    "use_cpu": True,
    "per_device_train_batch_size": 32,
    "gradient_accumulation_steps": 1,
    "adam_beta2": 0.99,
    "learning_rate": 3.0e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 30,
    "max_steps": 1000,
    "seed": 42,
}
"""How the base model learns to see: stock LLaMA-Factory, without anything of this package."""

MADE_WITH = "made_with.json"
"""Beside the base model: what it was made with."""

_RECIPES = {"m0": "virgo_demo_m0.yaml", "dsd": "virgo_demo_dsd.yaml", "dt_dsd": "virgo_demo_dt_dsd.yaml"}
_CONFIG = "distill/demo.yaml"
_EVALUATION = "evaluate/demo.yaml"
SCORED = {"base": "base", "m0": "M0 (D_T)", "dsd": "D_SD", "dt_dsd": "D_T + D_SD"}
"""Models whose scores end the loop, and what they are called."""


@dataclass(frozen=True)
class Step:
    """A command of the loop, the file for what it prints, the folder that it makes."""

    command: tuple[str, ...]
    log: Path
    output: Path

    @property
    def is_training(self) -> bool:
        """Whether it trains; the others show their own progress."""
        return Path(self.command[0]).name == "llamafactory-cli"

    @property
    def shown(self) -> str:
        """Return the command as it is entered."""
        return " ".join([Path(self.command[0]).name, *self.command[1:]])


@dataclass(frozen=True)
class Loop:
    """The files of one loop.

    Attributes:
        folder: holds everything.
        recipes: the folder of recipes that are run.
        as_they_are: whether the recipes fit without overrides: a checkout, or copied recipes, with the usual folder.
    """

    folder: Path
    recipes: Path
    as_they_are: bool

    @property
    def start(self) -> Path:
        """The tiny random model."""
        return self.folder / "start"

    @property
    def base(self) -> Path:
        """The model that sees a little; it stands for Qwen2-VL-Instruct."""
        return self.folder / "base"

    @property
    def pictures(self) -> Path:
        """What it learned from."""
        return self.folder / "pictures"

    @property
    def questions(self) -> Path:
        """The visual questions that are distilled on."""
        return self.folder / "questions" / "questions.jsonl"

    @property
    def rollouts(self) -> Path:
        """The folder of the distillation."""
        return self.folder / "rollouts"

    @property
    def selected(self) -> Path:
        """D_SD."""
        return self.rollouts / "selected.jsonl"

    @property
    def held_out(self) -> Path:
        """The questions that no model was trained on."""
        return self.folder / "held_out" / "questions.jsonl"

    def scores(self, name: str) -> Path:
        """Return the folder of a model's evaluation, see SCORED."""
        return self.folder / "evals" / name

    def evaluation(self, name: str) -> Step:
        """Return how a model is scored on the held-out questions."""
        model = self.base if name == "base" else self.output(name)
        overrides = [f"model_name_or_path={model}", f"output_dir={self.scores(name)}"]
        if not self.as_they_are:
            overrides.append(f"questions={self.held_out}")

        command = (_script("virgo-factory"), "evaluate", "run", str(self.recipes / _EVALUATION), *overrides)
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

        command = (_script("llamafactory-cli"), "train", str(self.recipes / _RECIPES[name]), *overrides)
        return Step(command, self.folder / f"{name}.log", self.output(name))

    @property
    def base_training(self) -> Step:
        """How the base model learns to see."""
        command = (_script("llamafactory-cli"), "train", str(self.folder / "base.yaml"))
        return Step(command, self.folder / "base.log", self.base)

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

        command = (_script("virgo-factory"), "distill", "run", str(self.recipes / _CONFIG), *overrides)
        return Step(command, self.folder / "rollouts.log", self.rollouts)

    @property
    def selection(self) -> Step:
        """How D_SD is chosen."""
        command = (_script("virgo-factory"), "distill", "select", str(self.rollouts))
        return Step(command, self.folder / "rollouts.log", self.rollouts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The loop, in order."""
        return (
            self.training("m0"),
            self.distillation,
            self.selection,
            self.training("dsd"),
            self.training("dt_dsd"),
        )


def plan(folder: Path = FOLDER) -> Loop:
    """Return the loop of a folder, as it would run from the current directory. Writes nothing.

    Raises:
        ValueError: the folder holds something that no demo made.
    """
    check_folder(folder)
    own = (
        all(Path("recipes", name).is_file() for name in (*_RECIPES.values(), _CONFIG, _EVALUATION))
        and _knows_datasets()
    )
    return Loop(folder, Path("recipes") if own else RECIPES, own and folder == FOLDER)


def _knows_datasets() -> bool:
    """Whether a dataset_info.json of the current directory names the demo's datasets."""
    try:
        info = json.loads(Path(DATASET_INFO.name).read_text(encoding="utf-8"))
        return all(Path(info[name]["file_name"]).is_file() for name in ("virgo_demo_dt", "virgo_demo_scenes")) and (
            info["virgo_demo_dsd"]["file_name"] == str(FOLDER / "rollouts" / "selected.jsonl")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def prepare(loop: Loop) -> bool:
    """Make questions and the random model that the base is trained from; return whether the base has to be trained.

    What an earlier loop left behind is removed. Its base stays if everything that made it is unchanged.
    """
    from virgo_factory.preflight.twin.twin import demo_texts, make_twin

    loop.folder.mkdir(parents=True, exist_ok=True)
    (loop.folder / MARKER).write_text('{"safe_to_replace": ["all of it"]}\n', encoding="utf-8")
    made = (loop.questions.parent, loop.held_out.parent, loop.rollouts, loop.folder / "evals")
    for folder in (*made, *map(loop.output, _RECIPES)):
        shutil.rmtree(folder, ignore_errors=True)

    for name in ("rollouts", *_RECIPES):
        (loop.folder / f"{name}.log").unlink(missing_ok=True)

    if not loop.as_they_are:
        (loop.folder / DATASET_INFO.name).write_text("{}\n", encoding="utf-8")

    if is_made(loop):
        write_questions(loop)
        return False

    for folder in (loop.base, loop.start, loop.pictures):
        shutil.rmtree(folder, ignore_errors=True)

    rows = list(visual_rows.base_rows(loop.pictures, PICTURES))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (loop.pictures / "pictures.jsonl").write_text(lines, encoding="utf-8")
    entry = {"file_name": "pictures.jsonl", "formatting": "sharegpt"}
    entry["columns"] = {"messages": "messages", "images": "images"}
    entry["tags"] = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    (loop.pictures / DATASET_INFO.name).write_text(json.dumps({"pictures": entry}), encoding="utf-8")
    make_twin(loop.start, texts=demo_texts("long_thoughts", "scenes"), **TWIN)
    _make_learnable(loop.start)
    keys = {"model_name_or_path": loop.start, "dataset_dir": loop.pictures, "media_dir": loop.pictures}
    recipe = {key: str(path) for key, path in keys.items()} | BASE_RECIPE | {"output_dir": str(loop.base)}
    (loop.folder / "base.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    write_questions(loop)
    return True


def write_questions(loop: Loop) -> None:
    """Write the visual questions, and those that are held out; no picture is one that a model was trained on."""
    seen = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (loop.pictures / "images").iterdir()}
    visual_rows.write_questions(loop.questions.parent, QUESTIONS, taken=frozenset(seen))
    seen |= {path.stem for path in loop.questions.parent.glob("images/??/*")}
    visual_rows.write_questions(loop.held_out.parent, HELD_OUT, seed=visual_rows.SEED + 1, taken=frozenset(seen))


def train_base(loop: Loop) -> Iterator[Progress]:
    """Train the base model, yielding where it stands, and note what made it; see `run.train`."""
    yield from train(loop.base_training)
    weights = (loop.base / "model.safetensors").read_bytes()
    made = {"sha256": hashlib.sha256(weights).hexdigest(), **_made_with()}
    (loop.base / MADE_WITH).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def is_made(loop: Loop) -> bool:
    """Whether the base model is there, and everything that makes it is as it was then."""
    file, weights = loop.base / MADE_WITH, loop.base / "model.safetensors"
    if not (file.is_file() and weights.is_file() and loop.pictures.is_dir()):
        return False

    made = {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), **_made_with()}
    return json.loads(file.read_text(encoding="utf-8")) == made


def _made_with() -> dict:
    """Return all that decides what the base model is: settings, the code that draws and tells, package versions."""
    code = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (visual, visual_rows))
    packages = ("llamafactory", "transformers", "torch", "pillow", "tokenizers")
    return {
        "recipe": BASE_RECIPE,
        "twin": TWIN,
        "rope_theta": ROPE_THETA,
        "scale": SCALE,
        "rows": PICTURES,
        "code": hashlib.sha256(code.encode()).hexdigest(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def _make_learnable(folder: Path) -> None:
    """Change positions and scale of a twin's weights so that it learns within minutes; see ROPE_THETA and SCALE."""
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto")
    for config in (model.config, model.config.text_config):
        config.rope_theta = ROPE_THETA

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(2.0 if "patch_embed" in name else SCALE)

    model.save_pretrained(folder)


def ask(step: Step) -> int:
    """Run a step that shows its own progress on this terminal, and return its exit code."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(step.command, env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}).returncode


def _script(name: str) -> str:
    return str(Path(sys.executable).parent / name)
