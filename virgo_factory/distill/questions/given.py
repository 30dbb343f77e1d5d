"""The questions that a distillation is given by `questions:`, instead of drawing them from sources.

A questions.jsonl (rollouts/question.py), or whatever `formatting: questions` reads, as for `stage: grpo`: another data file,
a folder of them, or datasets by their names in dataset_info.json.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE, Example
from virgo_factory.data.read.source import Source, find_sources, raw_rows
from virgo_factory.formats import read_row
from virgo_factory.formats.row import RejectedRow, own_id
from virgo_factory.rollouts.question import VisualQuestion, check_texts, question_of, read_lines


FORMATTING = "questions"


@dataclass(frozen=True)
class Given:
    """One row."""

    id: str  # as the row has it; "" where it has none
    place: str  # file and line, or file and row
    asked: VisualQuestion | RejectedRow  # the question, or why the row gives none
    # of the question, in their order: paths below `media_dir`, or what a row holds of their bytes
    pictures: tuple[Any, ...]
    media_dir: Path  # nothing outside is opened
    is_unnamed: bool = (
        False  # the row has no id of its own: the question's is made of its text, whatever its pictures are
    )


def is_own(what: Path) -> bool:
    """Whether this is a questions.jsonl, whatever its name: a .jsonl file, whose every column is known."""
    return what.suffix == ".jsonl"


def problem_of(what: Path, dataset_dir: Path) -> str:
    """Return why there are no such questions on this machine; "" where there are."""
    if is_own(what):
        return "" if what.is_file() else f"no file {what}"

    try:
        sources_of(what, dataset_dir)
    except ValueError as error:
        return str(error)

    return ""


def sources_of(what: Path, dataset_dir: Path) -> list[Source]:
    """Return the sources of prompts that are meant: a data file, a folder of them, or names in dataset_info.json, with commas.

    Raises UserError: there is no such thing, or a recipe is named.
    """
    if what.suffix in (".yaml", ".yml"):
        raise UserError(f"{what} is a recipe. Name its datasets, or a file.")

    return find_sources(str(what), dataset_dir, formatting=FORMATTING)[0]


def read_given(what: Path, dataset_dir: Path) -> Iterator[Given]:
    """Yield the rows; memory does not grow. ValueError: no such file or dataset; with file and line: not JSON."""
    if is_own(what):
        yield from _own(what)
        return

    for source in sources_of(what, dataset_dir):
        for row in raw_rows(source):
            id, place = str(row.raw.get("id", "")) if isinstance(row.raw, dict) else "", row.place
            try:
                if row.problem:
                    raise RejectedRow("the row cannot be read", row.problem)

                (example,) = read_row(row.raw, FORMATTING, source.options).parts
                if isinstance(example, RejectedRow):
                    raise example

                question = visual_question(example, source.name, place)
            except RejectedRow as error:
                yield Given(id, place, error, (), source.media_dir)
            else:
                is_unnamed = not own_id(row.raw) and "/" not in example.id  # verl's own is SOURCE/INDEX
                yield Given(question.id, place, question, example.images, source.media_dir, is_unnamed)


def _own(path: Path) -> Iterator[Given]:
    for line, row in read_lines(path):
        id, place = str(row.get("id")) if isinstance(row, dict) else "", f"{path}:{line}"
        try:
            question = question_of(row)
        except RejectedRow as error:
            yield Given(id, place, error, (), path.parent)
        else:
            yield Given(id, place, question, question.images, path.parent)


def visual_question(example: Example, source: str, place: str = "") -> VisualQuestion:
    """Return a prompt of `stage: grpo` as a question to ask, or raise RejectedRow; of its pictures only the number is known yet.

    Its system message is left out: a distillation says its own.
    """
    facts = {name: value for name, value in example.asked.items() if name not in ("text", "pass_rate")}
    for name in ("options", "tolerance"):
        if isinstance(facts.get(name), list):
            facts[name] = tuple(facts[name])

    pieces = example.question.split(IMAGE)
    parts: list[str | int] = []
    for number, piece in enumerate(pieces):
        parts += [*([number - 1] if number else []), *([piece] if piece.strip() else [])]

    is_plain = not any(piece.strip() for piece in pieces[:-1])  # its pictures stand first
    question = VisualQuestion(
        id=f"{source}/{example.id}",
        source=source,
        images=("",) * (len(pieces) - 1),
        image_sha256=(),
        question=" ".join(piece.strip() for piece in pieces if piece.strip()),
        origin=place,
        parts=() if is_plain else tuple(parts),
        **facts,
    )
    check_texts(question)
    return question
