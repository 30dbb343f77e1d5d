"""An example: one item to train on, as every format returns it. Pure data."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from virgo_factory.core.thought import LongThought


IMAGE = "<image>"
"""LLaMA-Factory's place of an image in a question (llamafactory/extras/constants.py:43)."""


@dataclass(frozen=True)
class Turn:
    """A question that was asked and the long thought that answered it.

    `response` is a text where it is no long thought and the user asked to keep such rows (`malformed: keep`), or where
    it is not learned.

    Attributes:
        learned: whether the response is a target; else it is context for the turns behind it.
    """

    question: str
    response: LongThought | str
    learned: bool = True


@dataclass(frozen=True)
class Example:
    """One question with its long thought.

    Attributes:
        id: names the row for people; not empty, unique within its file where the source has ids.
        question: the user's text, with one `<image>` for every entry of `images` over all turns.
        response: what is trained on; a text, as in `Turn`, only with `malformed: keep`.
        images: what the row gives for them (paths, bytes, dictionaries), in the order of their places.
        history: earlier turns of the same conversation, trained on as well where they are `learned`.
        system: the system message, or None for the template's own.
        answer: the gold answer where the source has one.
        source: the family or dataset the row comes from.
        domain: math, science, code, puzzle, ... where the source says so.
        rejected: the response that `response` is preferred to, in a preference pair; trained on by DPO only.
        assistant_prefix: the beginning of the response, letter by letter as it is rendered, that is context and no
            target (LongPerceptualThoughts), of both sides of a pair; "" where the whole response is trained on.
        format: the family by which the row was read, such as "think_answer".
        learned: as in `Turn`; at least one turn of an example is, but of a prompt (see `asked`).
        asked: of a prompt whose responses are to be judged, its gold, options and kind (formats/families/questions.py); its
            `response` is empty. None of every other example.
        notes: short words by which kept rows are counted: what was done to the row, or not understood. They tell of the
            reading, and make no other example.
    """

    id: str
    question: str
    response: LongThought | str
    images: tuple[Any, ...] = ()
    history: tuple[Turn, ...] = ()
    system: str | None = None
    answer: str | None = None
    source: str | None = None
    domain: str | None = None
    rejected: LongThought | str | None = None
    assistant_prefix: str = ""
    format: str | None = None
    learned: bool = True
    asked: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @functools.cached_property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, oldest first; the last is `question` and `response`."""
        return (*self.history, Turn(self.question, self.response, self.learned))
