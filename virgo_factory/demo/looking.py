"""Questions that one look answers, and answers that look or guess: what the demo of reinforcement is made of.

A picture shows two to five equal shapes. The base learns two habits: it says what it sees and answers by that, or it guesses
without a word on the picture; which of the two is right only a reward can tell it.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from PIL import Image

from virgo_factory.demo.visual import COLOURS, HEIGHT, NOTHING, SHAPES, WIDTH, Scene, Task, draw
from virgo_factory.demo.visual_rows import SEED
from virgo_factory.rollouts.question import FILE, read_questions, write_question


ANSWERS = {"colour": tuple(COLOURS)[:3], "form": tuple(f"{shape}s" for shape in SHAPES), "count": ("2", "3", "4", "5")}
"""What is asked for -> its answers, each as often as the others."""

_ASKED = {
    "colour": ("What colour are the shapes?", "text"),
    "form": ("What are the shapes?", "text"),
    "count": ("How many shapes are there?", "count"),
}
LOOK, GUESS = "I look:", "I guess."  # how the two habits begin

GUESSES = 0.6
"""Share of the base's answers that guess: read greedily it always does, sampled it looks often enough to be rewarded for it."""

BLANKED = 0.1
"""Share of the base's pictures that are blank, so that what it says of a blank one is any answer as likely as any other."""


def look(rng: Random, asked: str) -> Task:
    """Return a question on equal shapes that asks for their colour, form or number."""
    facts = {name: rng.choice(answers) for name, answers in ANSWERS.items()}
    places = [NOTHING] * 6
    for place in rng.sample(range(6), int(facts["count"])):
        places[place] = f"{facts['colour']} {facts['form'].removesuffix('s')}"

    seen = f"{LOOK} {facts['count']} {facts['colour']} {facts['form']}."
    question, kind = _ASKED[asked]
    scene = Scene("shapes", (tuple(places[:3]), tuple(places[3:])))
    return Task(asked, scene, question, (seen,), facts[asked], kind)


SOURCES = {asked: (partial(look, asked=asked),) for asked in ANSWERS}  # as `visual.SOURCES`


def base_rows(folder: Path, count: int, seed: int = SEED) -> Iterator[dict]:
    """Yield what the base model is trained on, as chats, and write its pictures into `folder`/images."""
    rng = Random(f"virgo-demo-looking-{seed}")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        task = look(rng, rng.choice(list(ANSWERS)))
        image = f"images/{number:05}.png"
        picture = blank_picture() if rng.random() < BLANKED else draw(task.scene, rng)
        picture.save(folder / image)
        thought, answer = task.steps[0], task.answer
        if rng.random() < GUESSES:
            thought, answer = GUESS, rng.choice(ANSWERS[task.source])

        answer = f"<think>\n{thought}\n</think>\n<answer>{answer}</answer>"
        messages = [{"role": "user", "content": f"<image>{task.question}"}, {"role": "assistant", "content": answer}]
        yield {"messages": messages, "images": [image]}


def texts(row: dict) -> Iterator[str]:
    """Yield what of a row a tokenizer is trained on: all that the model reads and writes, so that it is few tokens."""
    yield "system\nYou are a helpful assistant."
    for turn in row["messages"]:
        yield f"{turn['role']}\n{turn['content']}"


def blank_picture() -> Image.Image:
    """Return a picture that shows nothing, as large as the others."""
    return Image.new("RGB", (WIDTH, HEIGHT), "grey")


def write_blanked(questions: Path, folder: Path) -> Path:
    """Write the same questions with the same gold answers into a folder, each on a blank picture, and return the file."""
    data = io.BytesIO()
    blank_picture().save(data, format="PNG")
    digest = hashlib.sha256(data.getvalue()).hexdigest()
    image = f"images/{digest[:2]}/{digest}.png"
    (folder / image).parent.mkdir(parents=True, exist_ok=True)
    (folder / image).write_bytes(data.getvalue())
    lines = [
        write_question(replace(question, images=(image,), image_sha256=(digest,)))
        for question in read_questions(questions)
    ]
    (folder / FILE).write_text("".join(lines), encoding="utf-8")
    return folder / FILE
