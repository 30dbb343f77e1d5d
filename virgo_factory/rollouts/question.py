"""A question: pictures, text and the gold answer that responses are held against; and the file of them, questions.jsonl.

A row of the file has `id` and `gold`, text or a picture or both, and whatever else is known (see VisualQuestion; a column that
is not there has its default, one that is unknown is an error):

    {"id": "mmmu/validation_Art_1", "source": "mmmu", "images": ["images/ab/cd.png"], "image_sha256": ["..."],
     "question": "Which one is it?", "parts": ["Look at ", 0, " Which one is it?"], "gold": "B", "options": ["oil", "ink"],
     "kind": "choice", "unit": null, "precision": null, "tolerance": null, "several": null, "grading": "math",
     "groups": {"subject": "Art", "difficulty": "Hard"}, "cluster": "mmmu/Art_1", "origin": "validation.parquet: 1"}
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from virgo_factory.answers import GRADINGS, KINDS, Question
from virgo_factory.answers.options import LETTERS
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE
from virgo_factory.core.reasons import Reason
from virgo_factory.core.thought import MARKERS
from virgo_factory.data.read.files.chunks import CSV_SUFFIXES, suffix_of
from virgo_factory.data.read.files.opened import check_encoding
from virgo_factory.formats.families.questions import PASS_RATES
from virgo_factory.formats.row import CONTROL_TOKENS, RejectedRow


FILE = "questions.jsonl"
IMAGES = "images"  # folder of the pictures beside the file
ALWAYS = ("id", "gold")  # columns without which a row is no question; the others have a default

UNKNOWN = "unknown column"

FORGED = re.compile("|".join(map(re.escape, (IMAGE, *CONTROL_TOKENS, *MARKERS))))
"""What a text from outside may not hold: it would be read as something else than text."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class VisualQuestion:
    """One question that can be asked and whose answer can be checked; a line of questions.jsonl.

    Attributes:
        groups: what scores are given by, such as {"subject": "Art", "level": "3"}: texts.
    """

    id: str  # `SOURCE/ORIGINAL-ID`, unique in the file
    source: str  # which dataset or benchmark it is of, such as "tabmwp"
    images: tuple[str, ...]  # paths relative to the folder of questions.jsonl; none where text alone is asked
    image_sha256: tuple[str, ...]  # of each picture's bytes, in the same order
    # the text without `<image>` and without instructions on the form of the answer. It may be empty where there is a
    # picture, which then asks (`prompt.STAND_IN` is sent as text); with `parts` it may be left out: it is theirs
    question: str
    gold: Any  # the gold answer, as the source has it: text, number, or list of texts
    options: tuple[str, ...] = ()  # texts of the options in order, without letters
    kind: str | None = None  # one of answers.KINDS where it is known
    unit: str | None = None
    grading: str = "math"  # name of the answers' GradingConfig
    origin: str = ""  # where the row was read, such as `problems.json: 12` or `CONFIG/ID/PAIR`
    precision: int | None = None  # decimals that both sides are rounded to (MathVista)
    # largest absolute difference that counts as equal, one number or one for each answer (OlympiadBench)
    tolerance: float | tuple[float, ...] | None = None
    several: bool | None = None  # whether several answers are asked for; recognised where it is not known
    groups: Mapping[str, str] = field(default_factory=dict)
    # what questions that are not independent have in common, such as their problem; "" for the question alone
    cluster: str = ""
    # the text with the pictures in their places: texts, and positions of pictures in `images`, from 0 on, each once
    # and in order. Options follow as lines where no part holds them. Without parts the pictures stand first
    parts: tuple[str | int, ...] = ()

    @property
    def asked(self) -> Question:
        """What the answers need to know of it."""
        names = ("options", "kind", "unit", "precision", "tolerance", "several")
        return Question(self.question, **{name: getattr(self, name) for name in names})


def read_questions(path: str | Path, left_out: list[str] | None = None) -> Iterator[VisualQuestion]:
    """Yield the questions of a questions.jsonl, see `numbered_questions`."""
    return (question for _, question in numbered_questions(path, left_out))


def numbered_questions(path: str | Path, left_out: list[str] | None = None) -> Iterator[tuple[int, VisualQuestion]]:
    """Yield (line, question) of a questions.jsonl.

    ValueError, with file and line: not JSON, an unknown or missing column, another type, no gold answer. With `left_out` rows
    that are wrong are noted there, and passed over, those with the id of an earlier one as well; an unknown column, which all rows may
    have, for the first of them.
    """
    unknown: set[str] = set()
    first: dict[str, int] = {}
    for line, row in read_lines(Path(path)):
        problem, question = "", None
        try:
            question = question_of(row)
        except RejectedRow as error:
            problem = f"{path}:{line}: {error}"
            if error.reason == UNKNOWN and left_out is not None:
                if error.detail in unknown:
                    continue

                unknown.add(error.detail)
        else:
            if is_blank(question.gold):
                problem = f"{path}:{line} (id {question.id}): no gold answer, so nothing can be checked against it"
            elif left_out is not None and (before := first.setdefault(question.id, line)) != line:
                problem = (
                    f"{path}:{line} (id {question.id}): line {before} has this id already. Give each an id of its own"
                )

        if not problem:
            yield line, question
        elif left_out is None:
            raise UserError(f"{problem}.")
        else:
            left_out.append(problem)


def first_of(left_out: Sequence[str], most: int = 10) -> list[str]:
    """Return what is wrong with the first rows that `read_questions` left out, and how many more there are.

    >>> first_of(["q.jsonl:2: not an object", "q.jsonl:4: not an object"], 1)
    ['q.jsonl:2: not an object', '1 more rows cannot be asked']
    """
    rest = len(left_out) - most
    return [*left_out[:most], *([f"{rest:,} more rows cannot be asked"] if rest > 0 else [])]


def write_question(question: VisualQuestion) -> str:
    """Return a question as a line of questions.jsonl, every column in it; ValueError for a gold that JSON has not (NaN)."""
    return json.dumps(asdict(question), ensure_ascii=False, allow_nan=False) + "\n"


def read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of a JSONL file; ValueError, with file and line: no such file, not UTF-8, not JSON."""
    if not path.is_file():
        raise UserError(f"{path}: no such file. virgo-factory distill questions CONFIG makes one.")

    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if number == 1:
                _check_kind(path, line)
                line = line.removeprefix(b"\xef\xbb\xbf")

            if not line.strip():
                continue

            try:
                yield number, json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: not JSON in UTF-8 ({error}). One object a line.") from None


def _check_kind(path: Path, first: bytes) -> None:
    """Raise ValueError where a file's first line, or else its name, shows that it is none of JSON lines."""
    check_encoding(path)
    found = next((kind for start, kind in _KINDS.items() if first.startswith(start)), "")
    if not found and not first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and suffix_of(path) in CSV_SUFFIXES:
        found = "a table of separated values"

    if found:
        raise UserError(
            f"{path}: {found}. Questions are read from JSON lines in UTF-8, one object a line, such as "
            '{"id": "1", "question": "..", "images": ["a.png"], "gold": ".."}. Write the rows so.'
        )


_KINDS = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "a file packed by gzip",
    b"[": "a JSON list",
}
"""How a file begins -> what it is instead of JSON lines."""


def question_of(row: Any) -> VisualQuestion:
    """Return the question in a row of questions.jsonl; its gold may be empty, its pictures are not looked at.

    An id may be a number. Pass rates, which `stage: grpo` reads, are passed over.

    Raises RejectedRow: no object, an unknown or missing column, a value of another type, or a text that `check_texts` refuses.
    """
    if not isinstance(row, Mapping):
        raise RejectedRow("not an object", f"found {type(row).__name__}")

    row = {name: value for name, value in row.items() if name not in PASS_RATES}
    if unknown := [str(name)[:60] for name in row if name not in _COLUMNS]:
        raise RejectedRow(UNKNOWN, f"{', '.join(unknown[:5])}; there are {', '.join(_COLUMNS)}")

    if missing := [name for name in ALWAYS if name not in row]:
        raise RejectedRow("a column is missing", f"{', '.join(missing)}; needed are {', '.join(ALWAYS)}")

    values = {"question": "", **_DEFAULTS}
    for name, value in row.items():
        if value is None and name in _DEFAULTS:
            continue

        if name == "id" and _is_number(value):
            value = str(value)

        expected, is_such = _EXPECTED[name]
        if not is_such(value):
            raise RejectedRow(f"{name} is not {expected}", f"found {type(value).__name__}")

        values[name] = tuple(value) if isinstance(value, list) and name != "gold" else value

    for name, known in (("kind", (None, *KINDS)), ("grading", GRADINGS)):
        if values.get(name) not in known:
            raise RejectedRow(f"{name} unknown", f"{values[name]!r} is not one of {', '.join(filter(None, known))}")

    golds = values["gold"] if isinstance(values["gold"], list) else [values["gold"]]
    if any(isinstance(part, float) and math.isinf(part) for part in golds):
        raise RejectedRow("gold is not a finite number")

    if values["parts"] and not values["question"]:
        values["question"] = " ".join(part.strip() for part in values["parts"] if isinstance(part, str)).strip()

    question = VisualQuestion(**values)
    check_texts(question)
    return question


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _or_none(is_such: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_such(value)


def _each(is_such: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(is_such, value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_scalars(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_scalar, value))


_COLUMNS = tuple(column.name for column in fields(VisualQuestion))
_DEFAULTS = {"source": "questions", "images": (), "image_sha256": (), "options": (), "grading": "math", "origin": "",
             "groups": {}, "cluster": "", "parts": ()}  # fmt: skip

_EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("id", "source", "question", "grading", "origin", "cluster"), ("text", _is_text)),
    **dict.fromkeys(("kind", "unit"), ("text", _or_none(_is_text))),
    **dict.fromkeys(("images", "image_sha256", "options"), ("a list of texts", _each(_is_text))),
    "gold": ("a text, a number or a list of these", _or_none(lambda value: _is_scalar(value) or _is_scalars(value))),
    "precision": ("a number of decimals", _or_none(_is_count)),
    "tolerance": ("a number or a list of numbers", _or_none(lambda value: _is_number(value) or _each(_is_number)(value))),
    "several": ("true or false", _or_none(lambda value: isinstance(value, bool))),
    "groups": ("an object of texts", lambda value: isinstance(value, Mapping) and _each(_is_text)([*value, *value.values()])),
    "parts": ("a list of texts and positions of pictures", _each(lambda part: _is_text(part) or _is_count(part))),
}  # fmt: skip


def is_blank(gold: Any) -> bool:
    """Whether there is no gold answer: null, an empty text or list, NaN."""
    return gold is None or gold == [] or (isinstance(gold, str) and not gold.strip()) or gold != gold


def is_binary(question: VisualQuestion) -> bool:
    """Whether a coin would answer it half of the time."""
    return question.kind == "boolean" or len(question.options) == 2


def check_texts(question: VisualQuestion) -> None:
    """Raise RejectedRow if there is nothing to ask, or a text is not valid Unicode or would be read as anything but text.

    A question's text goes into a chat template, whose tokenizer reads control tokens wherever they stand.
    """
    if not question.id.strip():
        raise RejectedRow("the id is empty")

    if not question.question.strip() and not question.images:
        raise RejectedRow("neither text nor picture")

    places = [part for part in question.parts if isinstance(part, int)]
    if question.parts and places != list(range(len(question.images))):
        raise RejectedRow("parts do not name each picture once, in order", f"{places} of {len(question.images)}"[:300])

    written = [part for part in question.parts if isinstance(part, str)]
    golds = question.gold if isinstance(question.gold, list | tuple) else (question.gold,)
    texts = {"question": (question.question,), "id": (question.id,), "source": (question.source,)}
    texts |= {"option": question.options, "gold": golds, "parts": (*written, "".join(written))}
    texts |= {"groups": (*question.groups, *question.groups.values()), "cluster": (question.cluster,)}
    whole = "\n".join(text for some in texts.values() for text in some if isinstance(text, str))
    if _SURROGATE.search(whole) or FORGED.search(whole):  # seldom; which one it is takes longer
        for name, text in ((name, text) for name, some in texts.items() for text in some if isinstance(text, str)):
            if _SURROGATE.search(text):
                raise RejectedRow("text is not valid Unicode", f"in the {name}")

            if found := FORGED.search(text):
                raise RejectedRow(Reason.CONTROL_TOKEN.text(name), found.group())

    if len(question.options) > len(LETTERS):
        raise RejectedRow("too many options", f"{len(question.options)}")

    if any(not option.strip() for option in question.options):
        raise RejectedRow("an option is empty")
