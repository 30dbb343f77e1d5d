"""Files made of picture questions: what the base model learns to see from, and questions to distil on.

The two share the kinds of question and no picture.
"""

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.demo.visual import SOURCES, Task, draw
from virgo_factory.rollouts.question import VisualQuestion, write_question


SEED = 2501
Sources = Mapping[str, Sequence[Callable[[Random], Task]]]
FORMS = {"describe": 0.45, "steps": 0.45, "answer": 0.1}
"""What the base model is asked for, and how often: all that is to be seen, an answer step by step, the answer alone."""

IN_WORDS = 0.2  # share of the base model's rows that tell the scene in words instead of showing it

OPENINGS = (
    "Okay, let me work through this carefully.",
    "Let me think about what is asked.",
    "Alright, I will go step by step.",
    "First I will write down what I know.",
    "Hmm, let me start from the beginning.",
)
CLOSINGS = ("That agrees, so I am confident.", "Good, both ways agree.", "The check works out.", "That fits.")


def make_task(rng: Random, source: str, sources: Sources = SOURCES) -> Task:
    """Return a question of a source."""
    return rng.choice(sources[source])(rng)


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


def opening(rng: Random) -> str:
    """Return how a thought starts."""
    return rng.choice(OPENINGS)


def closing(rng: Random) -> str:
    """Return how a thought ends after a check that holds."""
    return rng.choice(CLOSINGS)


def write_questions(
    folder: Path, count: int, seed: int = SEED, taken: Collection[str] = (), sources: Sources = SOURCES
) -> Path:
    """Write questions.jsonl with `count` questions, as many of each source as can be, and its pictures into a folder; return its path.

    The same seed gives the same files. `taken` are SHA-256 of pictures that are not drawn again, `sources` what draws a question of each.
    """
    rng = Random(f"virgo-demo-questions-{seed}")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    drawn, lines = set(taken), []
    while len(lines) < count:
        source = list(sources)[len(lines) % len(sources)]
        task = make_task(rng, source, sources)
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
