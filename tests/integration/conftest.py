"""Real training through the stock command, on twins small enough for two CPU cores."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml


BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "DISABLE_VERSION_CHECK": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
RECIPE = {
    "image_max_pixels": 50176,
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "freeze_vision_tower": True,
    "freeze_multi_modal_projector": False,
    "template": "virgo",
    "question_prefix": "virgo",
    "dataset_dir": "data",
    "dataset": "thoughts",
    "cutoff_len": 2048,
    "output_dir": "out",
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "per_device_train_batch_size": 1,
    "global_batch_size": 4,
    "learning_rate": 1.0e-3,
    "lr_scheduler_type": "cosine",
    "num_train_epochs": 1.0,
    "seed": 7,
    "use_cpu": True,
    "bf16": True,
}


@dataclass
class Bench:
    """A folder with a twin, datasets and recipes, and the stock command to run there."""

    folder: Path
    base: Path

    def add_dataset(self, name: str, lines: list[str], **entry) -> Path:
        """Write a JSONL file and its entry in data/dataset_info.json."""
        info = self.folder / "data" / "dataset_info.json"
        info.parent.mkdir(exist_ok=True)
        entries = json.loads(info.read_text()) if info.is_file() else {}
        entries[name] = {"file_name": f"{name}.jsonl", "formatting": "virgo_dt"} | entry
        info.write_text(json.dumps(entries))
        file = info.with_name(f"{name}.jsonl")
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def command(self, recipe: dict, **changes) -> list[str]:
        """Return the stock command of a recipe with some keys changed; a key of None is left out."""
        recipe = {"model_name_or_path": str(self.base)} | recipe | changes
        path = self.folder / f"recipe_{time.monotonic_ns()}.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in recipe.items() if value is not None}))
        return [str(BIN / "llamafactory-cli"), "train", str(path)]

    def environment(self, ranks: int = 0, **more: str) -> dict[str, str]:
        """Return the environment of a run; `ranks` > 0 starts it under torchrun."""
        launch = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(ranks)} if ranks else {}
        environment = {**os.environ, **ENVIRONMENT, **launch, **more}
        environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
        environment["HF_HOME"] = str(self.folder / "hf")
        return environment

    def train(self, ranks: int = 0, env: dict[str, str] | None = None, ok: bool = True, **changes) -> str:
        """Run the recipe with changes to its end and return what it printed."""
        return self.train_recipe(RECIPE | changes, ranks, env, ok)

    def train_recipe(self, recipe: dict, ranks: int = 0, env: dict[str, str] | None = None, ok: bool = True) -> str:
        """Run any recipe to its end and return what it printed."""
        done = subprocess.run(
            self.command(recipe),
            cwd=self.folder,
            env=self.environment(ranks, **(env or {})),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
        assert (done.returncode == 0) == ok, f"exit code {done.returncode}\n{done.stdout[-6000:]}"
        return done.stdout

    def train_and_kill(
        self, when: Callable[[], bool], ranks: int = 0, env: dict[str, str] | None = None, **changes
    ) -> None:
        """Start a run and send SIGKILL to all of it as soon as `when()` is true."""
        with open(self.folder / "killed.log", "w") as log:
            process = subprocess.Popen(
                self.command(RECIPE, **changes),
                cwd=self.folder,
                env=self.environment(ranks, **(env or {})),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                deadline = time.monotonic() + 300
                while not when():
                    assert process.poll() is None, "ended before it could be killed\n" + _tail(log.name)
                    assert time.monotonic() < deadline, "nothing to kill after 300 s\n" + _tail(log.name)
                    time.sleep(0.02)
            finally:
                for pid in _family(process.pid):
                    with contextlib.suppress(ProcessLookupError):  # gone with its parent
                        os.kill(pid, signal.SIGKILL)

                process.wait()

    def rows_json(self, output: str = "out") -> dict[str, dict]:
        """Return the row account of a run, by dataset name."""
        content = json.loads((self.folder / output / "virgo_rows.json").read_text())
        return {entry["name"]: entry for entry in content["datasets"]}


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants (torchrun starts its ranks in sessions of their own)."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue

    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]

    return family


def _tail(path: str) -> str:
    return Path(path).read_text(errors="replace")[-4000:]


@pytest.fixture(scope="session")
def demo_lines() -> list[str]:
    """The well-formed rows of the demo dataset, as JSON lines."""
    rows = (ROOT / "recipes" / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in rows if row.count("<|end_of_thought|>") == 1]


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A tiny Qwen2-VL with the demo's tokenizer."""
    from virgo_factory.preflight.twin import make_twin

    folder = tmp_path_factory.mktemp("twin") / "base"
    make_twin(folder)
    return folder


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    """The class itself, for fixtures of a wider scope than `bench`."""
    return Bench


@pytest.fixture
def bench(tmp_path, base, demo_lines) -> Bench:
    """An empty folder with the twin and one dataset, `thoughts`, of 37 rows."""
    bench = Bench(tmp_path, base)
    short = sorted(demo_lines, key=len)[:37]
    bench.add_dataset("thoughts", short)
    return bench
