"""Real training on twins small enough for two CPU cores: through the stock command, or forked from a warm process.

A forked run does what the stock command does from `run_exp` on, with byte-identical weights, without paying for the
imports and for torchrun. What a test is about decides: an environment that is read at import (`VIRGO_FACTORY_DISABLE`),
another LLaMA-Factory need `stock=True`, which pays for all but the imports of LLaMA-Factory's libraries.
"""

import contextlib
import functools
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests import forking
from tests.forking import COMMAND, PROGRAMS, TRAININGS, VLLM
from virgo_factory.preflight.checkpoint import reduced
from virgo_factory.rollouts.servers import server
from virgo_factory.rollouts.servers.server import free_port


BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
WARM = Path(__file__).parent / "warm.py"
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
}
SMALL = {"layers": 1, "heads": 2, "vision_layers": 1, "vision_width": 32}
"""Sizes of a twin with the whole vocabulary: its matrix of 152,064 rows is what a step costs."""


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

    def train(
        self, ranks: int = 0, env: dict[str, str] | None = None, ok: bool = True, stock: bool = False, **changes
    ) -> str:
        """Run the recipe with changes to its end and return what it printed; `stock` by `llamafactory-cli` itself."""
        return self.train_recipe(RECIPE | changes, ranks, env, ok, stock)

    def train_recipe(
        self,
        recipe: dict,
        ranks: int = 0,
        env: dict[str, str] | None = None,
        ok: bool = True,
        stock: bool = False,
    ) -> str:
        """Run any recipe to its end and return what it printed."""
        with self.start(recipe, ranks, env, stock) as run:
            run.wait(600)

        printed = run.log.read_text(errors="replace")
        assert (run.exit_code == 0) == ok, f"exit code {run.exit_code}\n{printed[-6000:]}"
        return printed

    def train_step(self, step, **changes) -> None:
        """Run a training of a demo with some keys changed; what it prints is its log."""
        recipe = yaml.safe_load(Path(step.command[2]).read_text(encoding="utf-8"))
        paths = dict(override.split("=") for override in step.command[3:])
        step.log.write_text(self.train_recipe(recipe | paths | changes))

    def train_and_kill(
        self,
        when: Callable[[], bool],
        ranks: int = 0,
        env: dict[str, str] | None = None,
        stock: bool = False,
        **changes,
    ) -> None:
        """Start a run and send SIGKILL to all of it as soon as `when()` is true."""
        with self.start(RECIPE | changes, ranks, env, stock) as run:
            deadline = time.monotonic() + 300
            while not when():
                assert run.exit_code is None, "ended before it could be killed\n" + _tail(run.log)
                assert time.monotonic() < deadline, "nothing to kill after 300 s\n" + _tail(run.log)
                time.sleep(0.02)

    @contextlib.contextmanager
    def start(self, recipe: dict, ranks: int, env: dict[str, str] | None, stock: bool) -> Iterator["Run"]:
        """Start a run; what is left of it at the end of the block is killed."""
        command = self.command(recipe)
        log = Path(command[-1]).with_suffix(".log")
        if stock:
            command = forking.command(PROGRAMS, COMMAND, *command[1:])

        environment = self.environment(ranks if stock else 0, **(env or {}))
        run = (_start_stock if stock else _fork)(command, self.folder, environment, log, ranks)
        try:
            yield run
        finally:
            run.kill()

    def rows_json(self, output: str = "out") -> dict[str, dict]:
        """Return the row account of a run, by dataset name."""
        content = json.loads((self.folder / output / "virgo_rows.json").read_text())
        return {entry["name"]: entry for entry in content["datasets"]}


@dataclass
class Run:
    """A training that was started: a stock command, or one forked process a rank."""

    processes: list[subprocess.Popen | multiprocessing.Process]
    log: Path

    @property
    def exit_code(self) -> int | None:
        """None while all ranks run; 0 when all ended well; else the code of one that did not."""
        codes = [
            process.poll() if isinstance(process, subprocess.Popen) else process.exitcode for process in self.processes
        ]
        return next((code for code in codes if code), None if None in codes else 0)

    def wait(self, seconds: float) -> None:
        """Wait until all ranks have ended, or one has failed."""
        deadline = time.monotonic() + seconds
        while self.exit_code is None:
            assert time.monotonic() < deadline, f"still running after {seconds:g} s\n" + _tail(self.log)
            time.sleep(0.02)

    def kill(self) -> None:
        """Send SIGKILL to every process of the run that is left."""
        for process in self.processes:
            for pid in _family(process.pid):
                with contextlib.suppress(ProcessLookupError):  # gone with its parent
                    os.kill(pid, signal.SIGKILL)

        for process in self.processes:
            process.wait() if isinstance(process, subprocess.Popen) else process.join()


def _start_stock(command: list[str], folder: Path, environment: dict[str, str], log: Path, ranks: int) -> Run:
    with open(log, "w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )

    return Run([process], log)


def _fork(command: list[str], folder: Path, environment: dict[str, str], log: Path, ranks: int) -> Run:
    """Start one process a rank from the fork server, which imports what a training needs when it is first asked."""
    port = free_port(None)
    processes = []
    for rank in range(max(ranks, 1)):
        launch = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
        launch |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        request = {
            "recipe": command[-1],
            "folder": str(folder),
            "environment": environment | ({name: str(value) for name, value in launch.items()} if ranks else {}),
            "log": str(log),
            "tests": os.getpid(),
        }
        processes.append(forking.start(TRAININGS, runpy.run_path, str(WARM), {"RANK": request}))

    return Run(processes, log)


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


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-4000:]


@pytest.fixture(scope="session")
def demo_lines() -> list[str]:
    """The well-formed rows of the demo dataset, as JSON lines."""
    rows = (ROOT / "recipes" / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in rows if row.count("<|end_of_thought|>") == 1]


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A tiny Qwen2-VL with the demo's tokenizer."""
    from virgo_factory.preflight.twin.twin import make_twin

    folder = tmp_path_factory.mktemp("twin") / "base"
    make_twin(folder, dtype="float32")
    return folder


@pytest.fixture(scope="session")
def shallow(tmp_path_factory) -> Path:
    """One layer of it, and of its tower: half of what a step costs, where no more is needed."""
    from virgo_factory.preflight.twin.twin import make_twin

    return make_twin(tmp_path_factory.mktemp("twin") / "shallow", layers=1, vision_layers=1, dtype="float32")


@pytest.fixture(scope="session")
def fork_training() -> Callable[..., Run]:
    """The function that forks a training: command, folder, environment, log, ranks -> Run.

    The fork server is started here, so that it has nothing of an environment that a test sets.
    """
    forking.server_of(TRAININGS)
    return _fork


@pytest.fixture(scope="module")
def forked_vllm() -> Iterator[None]:
    """vLLM servers are forked that this process starts, or a training with FORKED_VLLM in its environment."""
    pytest.importorskip("vllm", reason="vLLM is not installed (make test installs its CPU build)")
    forking.server_of(VLLM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "vllm_command", forking.vllm_command(server.vllm_command))
        yield


@pytest.fixture
def forked_loading(monkeypatch, tmp_path_factory) -> None:
    """The child in which `checkpoint check` and `smoke` load a model is forked; one of its own: preflight/checkpoint/test_check.py."""
    forking.server_of(TRAININGS)
    monkeypatch.setattr(reduced, "subprocess", SimpleNamespace(run=functools.partial(_run_module, tmp_path_factory)))


def _run_module(folders: pytest.TempPathFactory, command: list[str], **_: object) -> subprocess.CompletedProcess:
    """Run `python -m MODULE` in a forked process, and return what it printed."""
    assert command[:2] == [sys.executable, "-m"]
    out, err = (folders.mktemp("loading") / name for name in ("out", "err"))
    request = {"argv": command[2:], "out": str(out), "err": str(err), "tests": os.getpid()}
    child = forking.start(TRAININGS, runpy.run_path, str(WARM), {"MODULE": request})
    child.join()
    return subprocess.CompletedProcess(command, child.exitcode, out.read_text(), err.read_text())


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
