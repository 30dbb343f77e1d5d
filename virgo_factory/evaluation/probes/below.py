"""Questions made of those of an evaluation, in a folder below it that is the folder of an evaluation, too."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.io import lock
from virgo_factory.io.atomic import new_file
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import question_of, write_question


def alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Context in which nobody else makes the questions of a folder, which is made; shards begin at once, and wait for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    return lock.alone(folder / ".questions.lock")


def write_below(folder: Path, target: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write TARGET/questions.jsonl with the pictures of `folder`, as links where the disk has them; return the questions."""
    count = 0
    with new_file(target / QUESTIONS) as lines:
        for count, row in enumerate(rows, start=1):
            for name in row["images"]:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    _link(folder / name, target / name)

            lines.write(write_question(question_of(row)))

    return count


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
