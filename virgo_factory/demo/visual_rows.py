"""Files made of picture questions: what the base model learns to see from, D_T's scenes in words, questions to distil on.

The three share the kinds of question and no picture. In D_T there are no pictures at all: the scene stands in the
question in words, so that only the form of a long thought can carry over to pictures.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from virgo_factory.demo.problem import closing, opening
from virgo_factory.demo.visual import SOURCES, Task, draw
from virgo_factory.distill.question import VisualQuestion, write_question
from virgo_factory.files import RECIPES
from virgo_factory.prefix import add_prefix, read_prefix
from virgo_factory.thought import LongThought


SEED = 2501
SCENES = 800
SCENES_PATH = RECIPES / "demo" / "scenes.jsonl"
FORMS = {"describe": 0.45, "steps": 0.45, "answer": 0.1}
"""What the base model is asked for, and how often: all that is to be seen, an answer step by step, the answer alone."""

IN_WORDS = 0.2
"""Share of the base model's rows that tell the scene in words instead of showing it."""


def make_task(rng: Random, source: str) -> Task:
    """Return a question of a source."""
    return rng.choice(SOURCES[source])(rng)


def base_rows(folder: Path, count: int, seed: int = SEED) -> Iterator[dict]:
    """Yield what the base model is trained on, as chats, and write its pictures into `folder`/images.

    None of them is a long thought, and no marker occurs.
    """
    rng = Random(f"virgo-demo-base-{seed}")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        task = make_task(rng, rng.choice(list(SOURCES)))
        (form,) = rng.choices(list(FORMS), FORMS.values())
        question, answer = _asked(rng, task, form)
        images = []
        if rng.random() < IN_WORDS:
            question = "\n".join([*task.scene.lines(), question])
        else:
            images.append(f"images/{number:05}.png")
            (folder / images[0]).write_bytes(_png(task, rng))
            question = "<image>" + question

        question = add_prefix(question, read_prefix("virgo"))  # an instruction like any other to it
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield {"messages": messages, "images": images}


def _asked(rng: Random, task: Task, form: str) -> tuple[str, str]:
    """Return question and answer in a form. The first sentence of an answer varies, as the ones of a thought do."""
    told = f"The answer is \\boxed{{{task.answer}}}."
    if form == "answer":
        return task.question, told

    first = [opening(rng)] if rng.random() < 0.7 else []
    if form == "describe":
        return "What is there to see?", "\n".join([*first, *task.scene.lines()])

    return f"{task.question} Go step by step.", "\n".join([*first, *task.scene.lines(), *task.steps, told])


def scene_rows(seed: int = SEED) -> list[dict[str, str]]:
    """Return D_T's rows on scenes in words, in the public form of the other long thoughts; the same for a seed."""
    rng = Random(f"virgo-demo-scenes-{seed}")
    rows, asked = [], set()
    while len(rows) < SCENES:
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


def write_scenes(path: Path = SCENES_PATH) -> Path:
    """Write D_T's rows on scenes to a file, by default the one that ships with the project, and return its path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in scene_rows()), encoding="utf-8")
    return path


def write_questions(folder: Path, count: int, seed: int = SEED, taken: frozenset[str] = frozenset()) -> Path:
    """Write questions.jsonl with its pictures into a folder and return its path.

    Args:
        folder: made if it is not there.
        count: of questions, as many of each source as can be.
        seed: the same gives the same files.
        taken: SHA-256 of pictures that are not drawn again.
    """
    rng = Random(f"virgo-demo-questions-{seed}")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    drawn, lines = set(taken), []
    while len(lines) < count:
        source = list(SOURCES)[len(lines) % len(SOURCES)]
        task = make_task(rng, source)
        png = _png(task, rng)
        digest = hashlib.sha256(png).hexdigest()
        if digest in drawn:
            continue

        drawn.add(digest)
        image = f"images/{digest[:2]}/{digest}.png"
        (folder / image).parent.mkdir(exist_ok=True)
        (folder / image).write_bytes(png)
        question = VisualQuestion(
            id=f"{source}/{len(lines) + 1:04d}",
            source=source,
            images=(image,),
            image_sha256=(digest,),
            question=task.question,
            gold=task.answer,
            kind=task.kind,
            origin=f"drawn by program, seed {seed}: {' '.join(task.scene.lines())}",
        )
        lines.append(write_question(question))

    path = folder / "questions.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _png(task: Task, rng: Random) -> bytes:
    data = io.BytesIO()
    draw(task.scene, rng).save(data, format="PNG")
    return data.getvalue()
