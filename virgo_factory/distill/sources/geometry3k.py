"""Geometry3K (lupantech/InterGPS): ID/data.json and ID/img_diagram.png, or VisualSketchpad's ID/ex.json and ID/image.png."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import (
    Asked,
    Found,
    attempt,
    chosen,
    letter_place,
    object_in,
    texts_of,
    train_first,
)
from virgo_factory.formats.row import RejectedRow, text_of


LAYOUT = "[SPLIT/]ID/data.json, [SPLIT/]ID/img_diagram.png; or ID/ex.json, ID/image.png"

_PICTURES = {"data.json": "img_diagram.png", "ex.json": "image.png"}
_SPACED_LETTERS = re.compile(r"(?<![A-Za-z\\])[A-Z](?: [A-Z])+(?![A-Za-z])")
_OVER = re.compile(r"\\(widehat|overline|overrightarrow) ([A-Z]+)")
_BEFORE_VARIABLE = re.compile(r"(?<=\d) (?=[a-z](?![a-z]))")


def read(folder: Path) -> Iterator[Found]:
    """Yield the problem of every folder."""
    for path, split in train_first([path for name in _PICTURES for path in folder.rglob(name)], folder):
        place = path.parent.relative_to(folder)
        asked = attempt(ask, object_in(path))
        yield Found(str(place), str(place / path.name), asked, (str(place / _PICTURES[path.name]),), split)


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a problem asks.

    VisualSketchpad's redrawn diagrams have no measures on them; they are given in words, in Geometry3K's own logic forms.
    """
    question = compact(text_of(raw, "problem_text"))
    options = texts_of(raw.get("compact_choices") or raw.get("choices"), "choices")
    if not options:
        raise RejectedRow("no options")

    logic = raw.get("logic_form")
    if isinstance(logic, Mapping):
        facts = texts_of(logic.get("diagram_logic_form"), "diagram_logic_form")
        question = f"{question}\nIn the figure: {'; '.join(facts)}." if facts else question

    gold = chosen(options, letter_place(raw.get("answer")))
    return Asked(question, gold, options, "choice", grading="geometry3k")


def compact(text: str) -> str:
    r"""Return a problem's text without the spaces that part the letters of a name.

    >>> compact(r"In \odot X, A B = 30 and m \widehat C Z = 10 x. Find m \widehat A B.")
    'In \\odot X, AB = 30 and m \\widehat{CZ} = 10x. Find m \\widehat{AB}.'
    """
    text = _SPACED_LETTERS.sub(lambda found: found.group().replace(" ", ""), " ".join(text.split()))
    return _OVER.sub(r"\\\1{\2}", _BEFORE_VARIABLE.sub("", text))
