"""What a benchmark is: where its rows are, how many were published, and the question that a row asks. Pure data."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from virgo_factory.answers.options import LETTERS, list_in_string
from virgo_factory.formats.row import RejectedRow


Row = Mapping[str, Any]
Part = str | int
"""A piece of a prompt: text, or the place of a picture among the question's pictures, from 0."""

LETTERED = {"kind": "choice", "grading": "letters"}
"""Columns of a choice question whose gold is a letter, also where its options are letters."""

_PLACE = re.compile(r"<image[ _]?(\d+)>")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as it was published.

    Attributes:
        name: what recipes and folders call it.
        title: what papers call it.
        hub: of the dataset on the hub.
        split: word in the names of its files.
        count: questions published, after the subset rule.
        licence: of the dataset.
        columns: that a row must have.
        ask: a row and the path of its file -> the questions that it asks, see `question_row`; none where the subset rule
            leaves it out. Raises RejectedRow where it should ask one and cannot.
        config: word in the paths of its files; "" for all.
        subset: the rule in words; "" where all rows are asked.
        groups: by which scores are told besides the whole.
        cluster: what questions share that do not count as independent; "" where each stands for itself.
        metrics: see scores.METRICS; the first is the one that papers print.
        needs_judge: whether rules cannot decide on its answers.
        differs: what is known to differ from the papers' runs, or is unknown of them.
        draw_by: the group that a draw of some questions is stratified by.
        drawn_whole: whether a draw takes whole clusters, since a metric is of these.
        samples: a question, and `temperature` for more than one.
        megabytes: of its files on the hub; None where that is not known.
    """

    name: str
    title: str
    hub: str
    split: str
    count: int
    licence: str
    columns: tuple[str, ...]
    ask: Callable[[Row, str], Iterable[dict[str, Any]]]
    config: str = ""
    subset: str = ""
    groups: tuple[str, ...] = ()
    cluster: str = ""
    metrics: tuple[str, ...] = ("accuracy",)
    needs_judge: bool = False
    differs: str = ""
    draw_by: str = ""
    drawn_whole: bool = False
    samples: int = 1
    temperature: float = 0.0
    megabytes: int | None = None


def question_row(
    id: Any,
    question: str,
    gold: Any,
    images: Sequence[Any] = (),
    groups: Mapping[str, Any] | None = None,
    cluster: Any = None,
    **columns: Any,
) -> dict[str, Any]:
    """Return a question as a line of questions.jsonl has it; `images` still hold what the row holds, not paths.

    `question`: without pictures; "" where it stands in its picture with its options, which then are for judging alone.
    `cluster`: what it shares with others that are not independent of it; None where it stands for itself.
    `columns`: others of a question: options, kind, unit, grading, precision, tolerance, several, parts.

    Raises:
        RejectedRow: there is no gold answer.
    """
    if gold is None or gold == [] or not str(gold).strip():
        raise RejectedRow("no gold answer")

    told = {name: str(value).strip() for name, value in (groups or {}).items() if value not in (None, "", [])}
    row = {
        "id": str(id),
        "question": question,
        "images": [image for image in images if image is not None],
        "gold": gold,
    }
    named = {name: value for name, value in columns.items() if value not in (None, (), [], "")}
    return {**row, **named, "groups": told, "cluster": "" if cluster is None else str(cluster)}


def picture(row: Row, *names: str) -> Any:
    """Return what stands in the first of these columns that has a picture; None where none has.

    >>> picture({"decoded_image": {"bytes": None, "path": None}, "image": "images/1.jpg"}, "decoded_image", "image")
    'images/1.jpg'
    """
    for name in names:
        value = row.get(name)
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")

        if value:
            return value

    return None


def pictures(row: Row, name: str, most: int) -> list[Any]:
    """Return the pictures of the columns NAME_1 to NAME_`most`; None stands for one that is not there."""
    return [picture(row, f"{name}_{number}") for number in range(1, most + 1)]


def without_places(text: str) -> str:
    """Return a text that speaks of one picture, which stands in front, without its place; several places are names, and stay.

    >>> without_places("How much is it?\\n<image1>"), without_places("<image1> + <image2> = <image3>, so?")
    ('How much is it?', '<image1> + <image2> = <image3>, so?')
    """
    return _PLACE.sub("", text).strip() if len(set(_PLACE.findall(text))) == 1 else text.strip()


def inline_parts(question: str, options: Sequence[str], there: Sequence[Any]) -> tuple[list[Part], list[Any]]:
    """Return a text in parts, its pictures where `<image N>` first stands, and the pictures in that order.

    Options are in it only where a picture is in one; pictures that no text names stand in front. A second mention of one
    stays text, as does that of one that is not there: validation_Math_7 names thirty, which are all drawn in the first.

    Raises:
        RejectedRow: pictures are named, and none is there.

    >>> inline_parts("See <image 1>: which?", ("red", "<image 2>"), ("P", "Q"))
    (['See ', 0, ': which?\\n(A) red\\n(B) ', 1], ['P', 'Q'])
    """
    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)]
    pieces = _PLACE.split("\n".join([question.strip(), *(lines if any(map(_PLACE.search, options)) else ())]))
    named = {int(number) for number in pieces[1::2]}
    used = [number for number, image in enumerate(there, start=1) if image is not None and number not in named]
    parts: list[Part] = list(range(len(used)))
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            parts += [piece] if piece else []
            continue

        number = int(piece)
        is_there = 0 < number <= len(there) and there[number - 1] is not None
        parts.append(len(used) if is_there and number not in used else f"image {number}")
        used += [number] if is_there and number not in used else []

    if named and not used:
        raise RejectedRow("a picture is missing", f"<image {min(named)}> in the text")

    return parts, [there[number - 1] for number in used]


def listed(value: Any) -> tuple[str, ...]:
    """Return a list of options, also one that is written as text; literals only, nothing is evaluated.

    >>> listed("['a', 'b']"), listed(["a"]), listed(None), listed("[['A', 'B']]")
    (('a', 'b'), ('a',), (), ('A', 'B'))
    """
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("[[") and text.endswith("]]"):  # one row of MMMU-Pro
        value = text[1:-1]

    found = list_in_string(value) if isinstance(value, str) else value
    if found is None and isinstance(value, str) and value.strip():
        raise RejectedRow("options are not a list", value[:60])

    return tuple(str(option) for option in found or ())
