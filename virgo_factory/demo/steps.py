"""The steps of a demo: commands of the recipes in this folder, run one by one; a training says where it stands."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from virgo_factory.core.errors import UserError
from virgo_factory.preflight.smoke.logs import logged_steps, read_log


MARKER = "made_by_virgo_demo.json"


@dataclass(frozen=True)
class Step:
    """A command of a demo, the folder that it makes, and what it does in a sentence."""

    command: tuple[str, ...]
    output: Path
    told: str = ""

    @property
    def log(self) -> Path:
        """The file for all that a training prints."""
        return self.output.with_name(f"{self.output.name}.log")

    @property
    def is_training(self) -> bool:
        """Whether it trains; the others show their own progress."""
        return self.command[0] == "llamafactory-cli"

    @property
    def shown(self) -> str:
        """The command as it is entered."""
        return " ".join(self.command)


@dataclass(frozen=True)
class Progress:
    """Where training stands: step of steps (0 of 0 while it starts), and the last reward or loss that was logged."""

    step: int = 0
    steps: int = 0
    told: str = ""


def training(recipe: str, output: Path, told: str = "", *overrides: str) -> Step:
    """Return the training of a recipe with the stock command."""
    return Step(("llamafactory-cli", "train", f"recipes/{recipe}.yaml", *overrides), output, told)


def begin(folder: Path, replaced: Iterable[Path]) -> None:
    """Make a demo's folder without what an earlier demo left there.

    Raises UserError where it holds something that no demo made, or where the recipes are not in the current folder.
    """
    if not Path("recipes", "virgo_demo_dt.yaml").is_file():
        raise UserError("the demo's recipes are not in this folder. First: virgo-factory recipes copy .")

    if folder.exists() and not (folder / MARKER).is_file() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something that the demo did not make. Move it away, or remove it.")

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text('{"safe_to_replace": ["all of it"]}\n', encoding="utf-8")
    for made in replaced:
        shutil.rmtree(made, ignore_errors=True)
        made.with_name(f"{made.name}.log").unlink(missing_ok=True)


def _script(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).parent / name)


def _environment() -> dict[str, str]:
    """Return the environment of a step: no hub, and torchrun is found."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}


def run(step: Step) -> int:
    """Run a step that shows its own progress on this terminal, and return its exit code."""
    return subprocess.run([_script(step.command[0]), *step.command[1:]], env=_environment()).returncode


def train(step: Step) -> Iterator[Progress]:
    """Run a training to its end, yielding where it stands; what it prints goes to its log.

    It sees no accelerator and no hub. It gets two threads (OMP_NUM_THREADS, unless that is set): for matrices this
    small more of them only wait for each other. A ValueError holds the end of its output.
    """
    command = [_script(step.command[0]), *step.command[1:]]
    if not Path(command[0]).is_file():
        raise UserError(f"{command[0]} is not there. Install llamafactory into this environment.")

    environment = (
        {"OMP_NUM_THREADS": str(min(len(os.sched_getaffinity(0)), 2))} | _environment() | {"CUDA_VISIBLE_DEVICES": ""}
    )
    with open(step.log, "wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)

    try:
        while child.poll() is None:
            yield _progress(step)
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
            f"the training command ended with {child.returncode}: {step.shown}\n"
            f"The end of {step.log}:\n{_tail(step.log)}"
        )

    yield _progress(step)


def _progress(step: Step) -> Progress:
    entries = logged_steps(step.output)
    if not entries:
        return Progress()

    last = entries[-1]
    told = next(name for name in ("reward", "loss") if name in last)
    return Progress(last["current_steps"], last["total_steps"], f"{told} {last[told]:.2f}")


def _tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join([line for line in read_log(log).splitlines() if line.strip()][-lines:])
