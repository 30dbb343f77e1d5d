"""OUTPUT_DIR/rollouts.jsonl: responses of a training with their rewards, appended as they come.

A run that goes on from a checkpoint takes back what a killed one had written behind it, as it takes back its weights: so
no response stands there twice, and every line belongs to the weights that are there in the end.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


FILE = "rollouts.jsonl"


class RolloutLog:
    """The file, open for the lines of one run.

    Args:
        folder: OUTPUT_DIR; made if it is not there.
        done: optimiser steps that the run begins behind; lines of later ones are taken back.
    """

    def __init__(self, folder: Path, done: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / FILE).open("a+b")
        self._file.truncate(_end_of(self._file, done))
        self._file.seek(0, os.SEEK_END)

    def write(self, lines: list[Mapping[str, Any]]) -> None:
        """Append some lines, all of them or none if the process is killed before the file system has them."""
        text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
        self._file.write(text.encode("utf-8", "backslashreplace"))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _end_of(file: Any, done: int) -> int:
    """Return where the lines of steps behind `done` begin, or a line that was cut off."""
    file.seek(0)
    end = 0
    for line in file:
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > done:
                break
        except (ValueError, KeyError, TypeError):
            break

        end += len(line)

    return end
