"""One rank of a training, in a process that was forked after all that a training imports had been imported.

Three quarters of a short training's processor time are imports. `multiprocessing`'s fork server pays them once; each
rank is then this file, run with RANK in its globals: {"recipe", "folder", "environment", "log", "tests"}, the last one
the id of the process that it must not outlive. With SEEN_ROWS in its environment, each training step adds a line to that
file, with the rank behind a dot; with FORKED_VLLM, servers of vLLM that it starts are forked, too. With MODULE in place of RANK it is `python -m`: {"argv", "out", "err", "tests"}.
"""

import hashlib
import json
import os
import runpy
import select
import signal
import sys
from pathlib import Path
from threading import Thread

import datasets
from llamafactory.train import tuner
from transformers import Trainer

from tests import forking
from virgo_factory.rollouts.servers import server


def main(recipe: str, folder: str, environment: dict[str, str], log: str, tests: int) -> None:
    """Do what `llamafactory-cli train RECIPE`, or `export`, does in `folder`, with its output appended to `log`."""
    os.setsid()
    Thread(target=end_with, args=(os.pidfd_open(tests),), daemon=True).start()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    cache = environment.get("HF_DATASETS_CACHE") or Path(environment["HF_HOME"], "datasets")
    datasets.config.HF_DATASETS_CACHE = Path(cache)  # else read at import
    sys.argv = ["llamafactory-cli", recipe]
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if seen := environment.get("SEEN_ROWS"):
        record(f"{seen}.{environment.get('RANK', '0')}")

    if "FORKED_VLLM" in environment:
        server.vllm_command = forking.vllm_command(server.vllm_command)

    export = "export_dir:" in Path(recipe).read_text(encoding="utf-8")
    tuner.export_model() if export else tuner.run_exp()


def run_module(argv: list[str], out: str, err: str, tests: int) -> None:
    """Do what `python -m ARGV` does, with its output in two files."""
    os.setsid()
    Thread(target=end_with, args=(os.pidfd_open(tests),), daemon=True).start()
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)

    sys.argv[:] = argv
    runpy.run_module(argv[0], run_name="__main__")


def end_with(process: int) -> None:
    """Kill this run when the process of a descriptor ends (the parent, the fork server, lives as long as its children)."""
    select.select([process], [], [])
    os.killpg(0, signal.SIGKILL)


def record(path: str) -> None:
    """Replace the training step of the stock trainer by one that writes to a file what it was given, as hashes."""
    stock = Trainer.training_step

    def training_step(self, model, inputs, *args, **kwargs):
        loss = stock(self, model, inputs, *args, **kwargs)
        rows, labels = (
            [hashlib.sha1(ids.numpy().tobytes()).hexdigest()[:12] for ids in each_row(inputs, name)]
            for name in ("input_ids", "labels")
        )
        line = {"step": self.state.global_step, "rows": rows, "labels": labels, "loss": float(loss)}
        if (pixels := inputs.get("pixel_values")) is not None:
            line["pixels"] = hashlib.sha256(pixels.float().contiguous().numpy().tobytes()).hexdigest()

        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")

        return loss

    Trainer.training_step = training_step


def each_row(inputs, name):
    """Return what a forward pass was given of each row, without padding; of a packed one without the blank picture."""
    if "attention_mask" in inputs:
        return [ids[mask.bool()] for ids, mask in zip(inputs[name], inputs["attention_mask"], strict=True)]

    begins = (inputs["position_ids"][0, 0] == 0).nonzero()[1:, 0]
    parts = zip(inputs[name][0].tensor_split(begins), inputs["labels"][0].tensor_split(begins), strict=True)
    return [ids for ids, labels in parts if labels.max() >= 0]


run_module(**MODULE) if "MODULE" in globals() else main(**RANK)  # noqa: F821
