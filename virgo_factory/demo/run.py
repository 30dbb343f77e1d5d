"""The demo's way: make the base model, let the stock command train it, hand over what there is to prove."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from virgo_factory.core.errors import UserError
from virgo_factory.io.files import BUNDLE, DATASET_INFO, RECIPES


RECIPE = "virgo_demo_dt.yaml"
DATASET = "virgo_demo_dt"
FOLDER = Path("saves/virgo_demo")  # where the recipe itself puts base model and checkpoint

MARKER = "made_by_virgo_demo.json"
SEED = 2501


class Demo:
    """The files of one demo: its recipe is the one below the current directory, else the one in the package.

    `overrides` are what has to be said on top of it, `key=value`; empty in a checkout with the usual folder.
    """

    def __init__(self, folder: Path, recipe: Path, overrides: tuple[str, ...]) -> None:
        self.folder, self.recipe, self.overrides = folder, recipe, overrides
        self.base = folder / "base"  # the tiny random model that training starts from
        self.output = folder / "dt"  # checkpoint, row account, loss curve
        self.log = folder / "train.log"  # all that the training command printed
        self.picture = folder / "chart.png"  # that the trained model is asked about

    @property
    def settings(self) -> dict:
        """The recipe's keys and values."""
        return yaml.safe_load(self.recipe.read_text(encoding="utf-8"))

    @property
    def rows(self) -> Path:
        """The long thoughts that are trained on, as the recipe names them."""
        own = not any(override.startswith("dataset_dir=") for override in self.overrides)
        folder = Path() if own else BUNDLE
        info = json.loads((folder / DATASET_INFO.name).read_text(encoding="utf-8"))
        return folder / info[DATASET]["file_name"]

    @property
    def command(self) -> list[str]:
        """The stock command of the same environment."""
        return [script("llamafactory-cli"), "train", str(self.recipe), *self.overrides]


@dataclass(frozen=True)
class Step:
    """A command of a demo, the file for what it prints, the folder that it makes."""

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


def script(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).parent / name)


def ask(step: Step) -> int:
    """Run a step that shows its own progress on this terminal, and return its exit code."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(step.command, env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}).returncode


@dataclass(frozen=True)
class Progress:
    """Where training stands: step of steps (0 of 0 while it starts), and the last reward or loss that was logged."""

    step: int = 0
    steps: int = 0
    told: str = ""


def plan(folder: Path = FOLDER) -> Demo:
    """Return the demo of a folder, as it would run from the current directory; ValueError where it holds something else. Writes nothing."""
    check_folder(folder)
    overrides = []
    recipe = Path("recipes", RECIPE)
    if not recipe.is_file():
        recipe = RECIPES / RECIPE

    if not names_file(DATASET):
        overrides.append(f"dataset_dir={BUNDLE}")

    if folder != FOLDER:
        overrides += [f"model_name_or_path={folder / 'base'}", f"output_dir={folder / 'dt'}"]

    return Demo(folder, recipe, tuple(overrides))


def check_folder(folder: Path) -> None:
    """Raise ValueError if the folder holds something that no demo made."""
    if folder.exists() and not (folder / MARKER).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something that the demo did not make. Choose another --dir, or remove it.")


def names_file(dataset: str, file: Path | None = None) -> bool:
    """Whether a dataset_info.json of the current directory names that file for a dataset; without one, a file that is there."""
    try:
        named = Path(json.loads(Path(DATASET_INFO.name).read_text(encoding="utf-8"))[dataset]["file_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return False

    return named == file if file else named.is_file()


def mark(folder: Path, replaced: Sequence[str] = ("all of it",)) -> None:
    """Make a demo's folder, and note what of it the next demo may replace."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"safe_to_replace": replaced}) + "\n", encoding="utf-8")


def prepare(demo: Demo) -> None:
    """Make the base model of a demo anew, and remove what an earlier demo left behind."""
    from virgo_factory.preflight.twin.twin import make_twin

    mark(demo.folder, ["base", "dt"])
    for folder in (demo.base, demo.output):
        shutil.rmtree(folder, ignore_errors=True)

    for file in (demo.log, demo.picture):
        file.unlink(missing_ok=True)

    make_twin(demo.base, seed=SEED)


def train(demo: Demo | Step) -> Iterator[Progress]:
    """Run the training command to its end, yielding where it stands; what it prints goes to `demo.log`.

    The child sees no accelerator and no hub. It gets one thread (OMP_NUM_THREADS, unless that is set): for matrices
    this small more threads only wait for each other, badly so on a busy machine. A ValueError holds the end of its output.
    """
    if not Path(demo.command[0]).is_file():
        raise UserError(f"{demo.command[0]} is not there. Install llamafactory into this environment.")

    path = os.pathsep.join([str(Path(demo.command[0]).parent), os.environ.get("PATH", "")])  # for torchrun
    quiet = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PATH": path}
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | quiet
    with open(demo.log, "wb") as log:
        child = subprocess.Popen(demo.command, stdout=log, stderr=subprocess.STDOUT, env=environment)

    try:
        while child.poll() is None:
            yield _progress(demo)
            time.sleep(0.5)
    finally:
        if child.poll() is None:  # interrupted
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    if child.returncode:
        raise UserError(
            f"the training command ended with {child.returncode}: {' '.join(demo.command)}\n"
            f"The end of {demo.log}:\n{_tail(demo.log)}"
        )

    yield _progress(demo)


def losses(demo: Demo | Step) -> list[tuple[int, int, float]]:
    """Return step, steps and loss of every logged step, from LLaMA-Factory's trainer_log.jsonl."""
    return [(entry["current_steps"], entry["total_steps"], entry["loss"]) for entry in _entries(demo)]


def _entries(demo: Demo | Step) -> list[dict]:
    file = demo.output / "trainer_log.jsonl"
    if not file.is_file():
        return []

    entries = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # a line that is being written just now
            continue

        if "loss" in entry:
            entries.append(entry)

    return entries


def _progress(demo: Demo | Step) -> Progress:
    entries = _entries(demo)
    if not entries:
        return Progress()

    last = entries[-1]
    told = next(name for name in ("reward", "loss") if name in last)
    return Progress(last["current_steps"], last["total_steps"], f"{told} {last[told]:.2f}")


def _tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, each as it stood when its progress bars had been drawn."""
    text = log.read_bytes().decode("utf-8", errors="replace")
    kept = [line.rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "\n".join([line for line in kept if line.strip()][-lines:])
