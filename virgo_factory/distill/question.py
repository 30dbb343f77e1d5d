"""A visual question: pictures, text and the gold answer that rollouts are held against. Pure data."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class VisualQuestion:
    """One question that can be asked and whose answer can be checked; a line of questions.jsonl.

    Attributes:
        id: `SOURCE/ORIGINAL-ID`, unique in the file.
        source: which dataset it is of, such as "tabmwp".
        images: paths relative to the folder of questions.jsonl.
        image_sha256: of each picture's bytes, in the same order.
        question: the text without `<image>` and without instructions on the form of the answer.
        options: texts of the options in order, without letters; empty where there are none.
        gold: the gold answer, as the source has it: text, number, or list of texts.
        kind: one of answers.KINDS where it is known.
        unit: of the answer, where the source has one.
        grading: name of the answers' GradingConfig.
        origin: where the row was read, such as `problems.json: 12` or `CONFIG/ID/PAIR`.
    """

    id: str
    source: str
    images: tuple[str, ...]
    image_sha256: tuple[str, ...]
    question: str
    gold: Any
    options: tuple[str, ...] = ()
    kind: str | None = None
    unit: str | None = None
    grading: str = "math"
    origin: str = ""
