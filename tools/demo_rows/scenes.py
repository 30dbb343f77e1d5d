"""D_T's rows on scenes told in words, in the public form of the other long thoughts.

In D_T there are no pictures at all: the scene stands in the question, so that only the form of a long thought can carry
over to pictures.
"""

import json
from pathlib import Path
from random import Random

from virgo_factory.core.thought import LongThought
from virgo_factory.demo.visual import SOURCES, Task
from virgo_factory.demo.visual_rows import SEED, closing, make_task, opening
from virgo_factory.io.files import RECIPES


COUNT = 800
PATH = RECIPES / "demo" / "scenes.jsonl"


def make_rows(seed: int = SEED) -> list[dict[str, str]]:
    """Return the rows: id, question, combined_text, domain; the same for a seed."""
    rng = Random(f"virgo-demo-scenes-{seed}")
    rows, asked = [], set()
    while len(rows) < COUNT:
        source = list(SOURCES)[len(rows) % len(SOURCES)]
        task = make_task(rng, source)
        question = "\n".join([*task.scene.lines(), task.question])
        if question in asked:
            continue

        asked.add(question)
        response = long_thought(rng, task).render()
        row_id = f"scene-{source}-{len(rows) + 1:04d}"
        rows.append({"id": row_id, "question": question, "combined_text": response, "domain": "scene"})

    return rows


def long_thought(rng: Random, task: Task) -> LongThought:
    """Return the long thought that answers a task: what is there, the steps, and the solution."""
    thought = [opening(rng), *task.scene.lines(), *task.steps, closing(rng)]
    return LongThought("\n".join(thought), f"{task.steps[-1]}\nThe answer is \\boxed{{{task.answer}}}.")


def write(path: Path = PATH) -> Path:
    """Write the rows to a file, by default the one that ships with the project, and return its path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in make_rows()), encoding="utf-8")
    return path
