"""One rank of a training, in a process that was forked after LLaMA-Factory had been imported.

Three quarters of a short training's processor time are imports. `multiprocessing`'s fork server pays them once; each
rank is then this file, run with RANK in its globals: {"recipe", "folder", "environment", "log"}.
"""

import os
import runpy
import sys
from pathlib import Path

from llamafactory.train import tuner
from transformers import Trainer


def main(recipe: str, folder: str, environment: dict[str, str], log: str) -> None:
    """Do what `llamafactory-cli train RECIPE` does in `folder`, with its output appended to `log`."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["llamafactory-cli", recipe]
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if os.environ.get("SEEN_ROWS"):
        recorder = runpy.run_path(str(Path(__file__).parent / "seen_rows" / "sitecustomize.py"))
        recorder["record"](Trainer)

    tuner.run_exp()


main(**RANK)  # noqa: F821
