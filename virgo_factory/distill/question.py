"""A visual question: pictures, text and the gold answer that rollouts are held against; and the file of them."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from virgo_factory.answers import GRADINGS, KINDS, Question
from virgo_factory.answers.options import LETTERS
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE
from virgo_factory.core.reasons import Reason
from virgo_factory.core.thought import MARKERS
from virgo_factory.formats.row import CONTROL_TOKENS, RejectedRow


FILE = "questions.jsonl"
IMAGES = "images"
"""Folder of the pictures beside the file."""

ALWAYS = ("id", "images", "question", "gold")
"""Columns without which a row is no question; the others have a default."""

_FORGED = re.compile("|".join(map(re.escape, (IMAGE, *CONTROL_TOKENS, *MARKERS))))
_SURROGATE = re.compile("[\ud800-\udfff]")


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

    @property
    def asked(self) -> Question:
        """What the answers need to know of it."""
        return Question(self.question, options=self.options, kind=self.kind, unit=self.unit)


def read_questions(path: str | Path) -> Iterator[VisualQuestion]:
    """Yield the questions of a questions.jsonl; memory does not grow.

    Raises:
        ValueError: with file and line: not JSON, an unknown or missing column, a value of another type.
    """
    for line, row in read_lines(Path(path)):
        try:
            question = question_of(row)
        except RejectedRow as error:
            raise UserError(f"{path}:{line}: {error}") from None

        if is_blank(question.gold):
            raise UserError(f"{path}:{line} (id {question.id}): no gold answer, so nothing can be checked against it.")

        yield question


def write_question(question: VisualQuestion) -> str:
    """Return a question as a line of questions.jsonl, every column in it.

    Raises:
        ValueError: the gold answer is nothing that JSON has (NaN, infinity).
    """
    return json.dumps(asdict(question), ensure_ascii=False, allow_nan=False) + "\n"


def read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of a JSONL file.

    Raises:
        ValueError: no such file, or with file and line: not UTF-8, not JSON.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. virgo-factory distill questions CONFIG makes one.")

    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not line.strip():
                continue

            try:
                yield number, json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: not JSON in UTF-8 ({error}). One object a line.") from None


def question_of(row: Any) -> VisualQuestion:
    """Return the question in a row of questions.jsonl; its gold may be empty, its pictures are not looked at.

    Raises:
        RejectedRow: no object, an unknown or missing column, a value of another type, or a text that `check_texts`
            refuses.
    """
    if not isinstance(row, Mapping):
        raise RejectedRow("not an object", f"found {type(row).__name__}")

    names = [field.name for field in fields(VisualQuestion)]
    if unknown := [str(name)[:60] for name in row if name not in names]:
        raise RejectedRow("unknown column", f"{', '.join(unknown[:5])}; there are {', '.join(names)}")

    if missing := [name for name in ALWAYS if name not in row]:
        raise RejectedRow("a column is missing", f"{', '.join(missing)}; needed are {', '.join(ALWAYS)}")

    def told(name: str, expected: str) -> RejectedRow:
        return RejectedRow(f"{name} is not {expected}", f"found {type(row[name]).__name__}")

    values: dict[str, Any] = {"source": "questions", "image_sha256": (), **row}
    values |= {name: default for name, default in _DEFAULTS.items() if values.get(name) is None}
    for name in ("id", "source", "question", "grading", "origin"):
        if not isinstance(values[name], str):
            raise told(name, "text")

    for name in ("kind", "unit"):
        if not isinstance(values.get(name), str | None):
            raise told(name, "text")

    for name in ("images", "image_sha256", "options"):
        if not isinstance(values[name], list | tuple) or not all(isinstance(part, str) for part in values[name]):
            raise told(name, "a list of texts")

        values[name] = tuple(values[name])

    gold = values["gold"]
    if not (gold is None or isinstance(gold, str | int | float)) and not (
        isinstance(gold, list) and all(isinstance(part, str | int | float) for part in gold)
    ):
        raise told("gold", "a text, a number or a list of these")

    for name, known in (("kind", (None, *KINDS)), ("grading", GRADINGS)):
        if values.get(name) not in known:
            raise RejectedRow(f"{name} unknown", f"{values[name]!r} is not one of {', '.join(filter(None, known))}")

    if any(isinstance(part, float) and math.isinf(part) for part in (gold if isinstance(gold, list) else [gold])):
        raise RejectedRow("gold is not a finite number")

    question = VisualQuestion(**values)
    check_texts(question)
    return question


_DEFAULTS = {"source": "questions", "image_sha256": (), "options": (), "grading": "math", "origin": ""}


def is_blank(gold: Any) -> bool:
    """Whether there is no gold answer: null, an empty text or list, NaN."""
    return gold is None or gold == [] or (isinstance(gold, str) and not gold.strip()) or gold != gold


def is_binary(question: VisualQuestion) -> bool:
    """Whether a coin would answer it half of the time."""
    return question.kind == "boolean" or len(question.options) == 2


def check_texts(question: VisualQuestion) -> None:
    """Raise RejectedRow if a text is empty, is not valid Unicode, or would be read as anything but text.

    A question's text goes into a chat template, whose tokenizer reads control tokens wherever they stand.
    """
    if not question.id.strip():
        raise RejectedRow("the id is empty")

    if not question.question.strip():
        raise RejectedRow("the question is empty")

    if not question.images:
        raise RejectedRow("no picture")

    golds = question.gold if isinstance(question.gold, list | tuple) else (question.gold,)
    told = (("question", question.question), ("id", question.id), ("source", question.source))
    for name, text in (*told, *(("option", text) for text in question.options), *(("gold", gold) for gold in golds)):
        if not isinstance(text, str):
            continue

        if _SURROGATE.search(text):
            raise RejectedRow("text is not valid Unicode", f"in the {name}")

        if found := _FORGED.search(text):
            raise RejectedRow(Reason.CONTROL_TOKEN.text(name), found.group())

    if len(question.options) > len(LETTERS):
        raise RejectedRow("too many options", f"{len(question.options)}")

    if any(not option.strip() for option in question.options):
        raise RejectedRow("an option is empty")
