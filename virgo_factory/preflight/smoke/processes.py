"""The processes of a smoke run: started, watched, and every one of them gone in the end."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from virgo_factory.preflight.smoke.logs import find_error, find_remedy, logged_steps, read_log
from virgo_factory.preflight.smoke.trial import StageFailed


LIMIT = 600.0
"""Seconds without a new line in the log or a new step, after which a run is taken for hung."""

MARK = "VIRGO_FACTORY_SMOKE"
"""Environment variable by which all processes of a smoke run are known, orphans among them."""


def stock_command(verb: str, recipe: Path) -> list[str]:
    """Return the command of LLaMA-Factory in this environment."""
    command = Path(sys.executable).parent / "llamafactory-cli"
    if not command.is_file():
        raise StageFailed(f"{command} is not there", "install llamafactory into this environment")

    return [str(command), verb, str(recipe)]


@contextlib.contextmanager
def started(command: list[str], log: Path, ranks: int = 0) -> Iterator[subprocess.Popen]:
    """Start a command in the background, and see that nothing of it is left in the end."""
    with log.open("wb") as sink:
        child = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(os.environ, ranks, log.parent),
            start_new_session=True,  # Ctrl-C is for this program, which then ends them all
        )

    try:
        yield child
    finally:
        kill_all(os.environ[MARK])
        child.wait()


def environment(outer: Mapping[str, str], ranks: int, work: Path) -> dict[str, str]:
    """Return the environment of a run on CPU ranks of this machine alone, whatever job it is started in."""
    cluster = (
        "NNODES NODE_RANK MASTER_ADDR MASTER_PORT RANK WORLD_SIZE LOCAL_RANK NPROC_PER_NODE FORCE_TORCHRUN".split()
    )
    kept = {key: value for key, value in outer.items() if key not in cluster}
    cores = len(os.sched_getaffinity(0))
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), outer.get("PATH", "")]),  # for torchrun
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(work / "cache"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        MARK: os.environ.get(MARK, ""),
    }
    launch = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(ranks)} if ranks else {}
    return {"OMP_NUM_THREADS": str(min(max(cores // max(ranks, 1), 1), 4)), **kept, **own, **launch}


def watch(child: subprocess.Popen, log: Path, output: Path, until: Callable[[], bool] | None = None) -> None:
    """Wait for the end of a run, or for `until()`; a run that fails, hangs or loses its loss is a failed stage."""
    size, changed = -1, time.monotonic()
    known = len(logged_steps(output))
    while True:
        ended = child.poll() is not None
        if until is not None and until():
            return

        for step in logged_steps(output)[known:]:
            if not math.isfinite(step["loss"]):
                raise StageFailed(
                    f"the loss is {step['loss']} at step {step['current_steps']}",
                    "look at the rows and at learning_rate", log,
                )  # fmt: skip

        if ended:
            break

        now = log.stat().st_size
        if now != size:
            size, changed = now, time.monotonic()
        elif time.monotonic() - changed > LIMIT:
            raise StageFailed(f"nothing new for {LIMIT:.0f} s: it hangs", "look at the end of the log", log)

        time.sleep(0.01 if until is not None else 0.1)

    text = read_log(log)
    if child.returncode:
        reason = find_error(text)
        raise StageFailed(reason, find_remedy(reason), log)

    if until is not None:
        raise StageFailed("the run ended before there was a checkpoint and a step behind it", "look at the log", log)


def kill_all(token: str) -> int:
    """Send SIGKILL to every process of the smoke run, by id, until none is left; return how many there were.

    They are known by what their environment says, so that those whose parent is gone are found as well (torchrun starts
    its ranks, and vLLM its engine, in sessions of their own).
    """
    killed: set[int] = set()
    deadline = time.monotonic() + 10
    while (living := marked(token)) and time.monotonic() < deadline:
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        killed |= set(living)
        time.sleep(0.01)

    return len(killed)


def marked(token: str) -> list[int]:
    """Return the processes whose environment has the token, this one excepted."""
    wanted = f"{MARK}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # gone, or another user's
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))

    return found
