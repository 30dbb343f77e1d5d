"""GEOS (seominjoon/geosolver): SAT geometry; ID/question.json, ID/answer.json, ID/diagram.png."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import Asked, Found, attempt, chosen, object_in
from virgo_factory.formats.row import RejectedRow, text_of


LAYOUT = "ID/question.json, ID/answer.json, ID/diagram.png"

_TIMES = re.compile(r"(?<=\d)\s*\*\s*(?=[A-Za-z\\])")


def read(folder: Path) -> Iterator[Found]:
    """Yield the question of every folder."""
    for path in sorted(folder.glob("*/question.json")):
        id = path.parent.name
        raw = object_in(path, *path.parent.glob("answer.json"))
        yield Found(id, f"{id}/{path.name}", attempt(ask, raw), (f"{id}/diagram.png",))


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a question asks. Its options are keyed "1" to "5" and its answer is such a number, as 2.0."""
    question, choices, answer = text_of(raw, "text").strip(), raw.get("choices"), raw.get("answer")
    if not isinstance(choices, Mapping) or sorted(choices) != [str(n) for n in range(1, len(choices) + 1)]:
        raise RejectedRow("options not understood", "expected choices with the keys 1, 2, 3, ...")

    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)

    if isinstance(answer, bool) or not isinstance(answer, int):
        raise RejectedRow("no gold answer", f"expected the number of an option, found {answer!r}"[:80])

    options = tuple(plain_option(text_of(choices, str(number))) for number in range(1, len(choices) + 1))
    return Asked(question, chosen(options, answer - 1), options, "choice")


def plain_option(text: str) -> str:
    r"""Return an option of GEOS as people write it.

    >>> plain_option("15*\\degree"), plain_option("4*x^2")
    ('15°', '4x^2')
    """
    return _TIMES.sub("", text).replace("\\degree", "°").strip()
