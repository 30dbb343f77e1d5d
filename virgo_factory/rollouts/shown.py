"""What people and judges are shown of a question: its text with the options, its pictures, responses to it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from virgo_factory.answers import Question
from virgo_factory.answers.options import LETTERS
from virgo_factory.data.read.look import scaled
from virgo_factory.data.read.media import BadMedia, resolve_image
from virgo_factory.report.page import Picture, Section, Text
from virgo_factory.rollouts.long_thoughts import read_thought


END_SHOWN = 600  # characters shown of the end of a response that is not one thought and one solution

_COLOURS = {"correct": "trained", "wrong": "rejected"}
"""Outcome -> how its solution is coloured; what is neither right nor wrong stands on yellow."""

LEGEND = (
    Text("question", "prompt"),
    Text("correct", "trained"),
    Text("wrong", "rejected"),
    Text("unverifiable, truncated or looping", "context"),
)


def asked_with_options(question: Question) -> str:
    """Return a question with its options as lines, as judges see it."""
    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, question.options, strict=False)]
    return "\n".join([question.text, *lines])


def picture_of(folder: Path, name: str) -> Picture:
    """Return a picture of a folder, scaled down to be looked at; without it where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(resolve_image(name, str(folder))) as image:
            return Picture(scaled(image), f"{name}, {image.width}x{image.height}")
    except (BadMedia, OSError, ValueError, Image.DecompressionBombError) as error:
        return Picture(b"", f"{name}: {error}")


def response_sections(
    title: str, response: str, response_format: str, outcome: str, notes: Sequence[str]
) -> Iterator[Section]:
    """Yield what is to be seen of a response: its solution or end, and folded its thought or the whole."""
    colour = _COLOURS.get(outcome, "context")
    head = Section(title, [], note=" · ".join(filter(None, notes)), apart=True)
    thought, malformed = read_thought(response, response_format)
    if thought:
        yield replace(head, content=[Text(thought.solution, colour)])
        yield Section("Thought", [Text(thought.thought)], True, f"{len(thought.thought):,} characters")
    elif len(response) <= END_SHOWN:
        yield replace(head, content=[Text(response, colour)])
    else:
        yield replace(head, content=[Text(f"... {response[-END_SHOWN:].lstrip()}", colour)])
        yield Section("Whole response", [Text(response)], True, f"{len(response):,} characters; {malformed}")
