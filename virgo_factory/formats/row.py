"""What every format needs to read a raw row: rejecting with a reason, columns in their usual spellings, ids."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.reasons import Reason
from virgo_factory.core.thought import LongThought
from virgo_factory.formats.any_row.foreign_tokens import foreign_token
from virgo_factory.formats.texts import unix


IMAGE_COLUMNS = ("images", "image")
QUESTION_COLUMNS = ("question", "problem", "instruction", "prompt")
ALPACA_PROMPTS = ("instruction", "prompt")
ANSWER_COLUMNS = (
    *("Ground-True Answer", "standard_answer", "gt", "ground_truth", "answer", "final_answer", "expected_answer"),
    *("original_answer", "gold", "gold_answer"),
)
"""Columns that are read as the gold answer, the likeliest first; see GOLD_COLUMN."""
GOLD_COLUMN = re.compile(
    r"(?:(?:gold|golden|correct|reference|ref|expected|target|true|gt|ground_truth|final|standard|original|right|objective|numeric|numerical)_?)?"
    r"(?:answers?|label|option|choice|solution)(?:_key)?|answer_?key|gold|expected|gts?|ground_truths?|target|(?:标准|参考|正确|最终)?答案"
)
"""Names, in snake_case, of columns that hold the gold answer beside a response."""
OPTION_COLUMN = re.compile(
    r"(?:(?:answer|question|mc|mcq|multiple_choice|candidate|possible)_)?(?:options?|choices?|alternatives)"
    r"(?:_(?:list|text|str))?|(?:candidate|possible)_answers|answer_candidates|multiple_choices?|endings|opts"
    r"|(?:options?|choices?|opt|ending)_?(?:[a-j]|\d)|op_?[a-e]|[a-e]"
)
"""Names, in snake_case, of columns that hold the options of a question."""

QWEN_VL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""The special tokens of Qwen2-VL, in the order of its vocabulary; the later Qwen-VL models have them all."""

QWEN_VL_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""`model_type` of the models whose names, sizes and forward pass are known here."""

CONTROL_TOKENS = ("<video>", "<audio>", *QWEN_VL_TOKENS)
"""Texts that LLaMA-Factory or the Qwen-VL tokenizers read as something else than text."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("|".join(map(re.escape, CONTROL_TOKENS)))
_NOT_IN_RESPONSE = re.compile("|".join(map(re.escape, (IMAGE, *CONTROL_TOKENS))))


class RejectedRow(ValueError):
    """A row that no example can be made of.

    Attributes:
        reason: short words by which rows are counted, such as "no end of thought".
        detail: what is particular to this row; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self):
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class Reading:
    """What became of one row."""

    format: str | None  # the family recognised; None where the row shows none
    # examples, and reasons why there is none; never empty, several for a row with several questions or responses
    parts: tuple[Example | RejectedRow, ...]
    is_chosen: bool = False  # whether the parts are chosen among several responses: lists of the row speak of those


def attempt(make: Callable[[], Example]) -> Example | RejectedRow:
    """Return the example that `make` returns, checked, or the reason why there is none."""
    try:
        return check_example(make())
    except RejectedRow as error:
        return bare(error)


def bare(error: RejectedRow) -> RejectedRow:
    """Return the error without the frames it went through, which would keep the texts of its row alive."""
    error.__context__ = None
    return error.with_traceback(None)


def plain(value: Any) -> Any:
    """Return NumPy's arrays and numbers, and tuples, as what JSON would have given."""
    if hasattr(value, "tolist"):
        return value.tolist()

    return list(value) if isinstance(value, tuple) else value


def columns_found(row: Mapping[str, Any]) -> str:
    """Return the names of the columns that hold something, for a message; as short as a message has to be."""
    names = [str(name)[:60] for name, value in row.items() if value is not None]
    more = f", ... ({len(names)} in all)" if len(names) > 20 else ""
    return f"columns found: {', '.join(names[:20]) or 'none'}{more}"


def naming(**columns: str) -> str:
    """Return the line that says in an entry which columns are meant, for a message.

    >>> naming(images="a, b")
    '"columns": {"images": "a, b"} in its entry of dataset_info.json'
    """
    return f'"columns": {json.dumps(columns, ensure_ascii=False)} in its entry of dataset_info.json'


def text_of(row: Mapping[str, Any], column: str) -> str:
    """Return the text of a column, with Unix line ends. Raises RejectedRow if it is missing, null or not text."""
    if column not in row:
        raise RejectedRow(f"no column {column}", columns_found(row))

    value = row[column]
    if value is None:
        raise RejectedRow(f"{column} is null")

    if not isinstance(value, str):
        raise RejectedRow(f"{column} is not text", f"found {type(value).__name__}")

    return unix(value)


def first_column(row: Mapping[str, Any], columns: tuple[str, ...]) -> str | None:
    """Return the first of some columns that the row has with a value; None without one."""
    for column in columns:
        if row.get(column) is not None:
            return column

    return None


def question_of(row: Mapping[str, Any], columns: tuple[str, ...] = QUESTION_COLUMNS) -> str:
    """Return the question, of the first of some columns that has a value; `input` of an alpaca row is part of it.

    Raises RejectedRow where there is none, or it is not text.
    """
    column = first_column(row, columns)
    if column is None:
        raise RejectedRow("no question", f"{columns_found(row)}; expected one of {', '.join(columns)}")

    question = text_of(row, column)
    if column in ALPACA_PROMPTS and row.get("input") and row["input"] not in _NO_INPUT:
        question = f"{question}\n{text_of(row, 'input')}"

    return question


def read_images(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the images of a row: of `images` or `image`, one or a list; () if there are none."""
    for column in IMAGE_COLUMNS:
        images = row.get(column)
        if images is not None and images != []:
            return tuple(images) if isinstance(images, list) else (images,)

    return ()


def with_image(question: str, images: tuple[Any, ...]) -> str:
    """Return the question with an `<image>` for each image in front, in their order, if it has no place for any."""
    return f"{IMAGE * len(images)}\n{question}" if images and IMAGE not in question else question


def example_of(
    row: Mapping[str, Any],
    question: str,
    response: LongThought | str,
    format: str | None,
    id: str = "",
    **more: Any,
) -> Example:
    """Return the example of a question and a response, with the row's pictures and what it says of itself.

    An `<image>` for each picture is put in front of a question that has none, and no history before it; the format is the
    source of a row that names none; `more` are fields of the Example, which are not read from the row then.
    """
    images = more.pop("images") if "images" in more else read_images(row)
    known = {"answer": answer_of(row), "source": source_of(row) or format, "domain": domain_of(row)} | more
    id = id or row_id(row, question)
    question = question if more.get("history") else with_image(question, images)
    return Example(id=id, question=question, response=response, images=images, format=format, **known)


def answer_of(row: Mapping[str, Any], but: str = "") -> str | None:
    """Return the gold answer as text: of the first of ANSWER_COLUMNS, but one, that holds a text or a number."""
    for column in ANSWER_COLUMNS:
        value = row.get(column) if column != but else None
        if isinstance(value, (str, int, float)) and (text := str(value).strip()):
            return text

    return None


def domain_of(row: Mapping[str, Any]) -> str | None:
    """Return the row's domain; None where it has none, or one that is not valid text."""
    return _name_of(row, "domain")


def source_of(row: Mapping[str, Any]) -> str | None:
    """Return the dataset that the row says it comes from; None where it says none."""
    return _name_of(row, "source")


def _name_of(row: Mapping[str, Any], column: str) -> str | None:
    value = row.get(column)
    return value if isinstance(value, str) and value and is_unicode(value) else None


def own_id(row: Mapping[str, Any]) -> str:
    """Return the row's own id as text; "" where it has none."""
    for column in ("id", "uuid", "idx", "unique_id", "qid"):
        if column in row and isinstance(value := row[column], (str, int, float)) and value != "":
            return str(value)

    return ""


def row_id(row: Mapping[str, Any], question: str) -> str:
    """Return the row's own id, or twelve hexadecimal digits of its question's SHA-256 where it has none."""
    return own_id(row) or text_id(question)


def text_id(text: str) -> str:
    """Return twelve hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def check_ranking(reading: Reading, ranking: bool) -> Reading:
    """Return the reading with preference pairs rejected where the dataset is none, and other rows where it is one."""
    if not ranking and not any(isinstance(part, Example) and part.rejected is not None for part in reading.parts):
        return reading

    def checked(part: Example | RejectedRow) -> Example | RejectedRow:
        if isinstance(part, RejectedRow) or ranking == (part.rejected is not None):
            return part

        if ranking:
            return RejectedRow("no preference pair", 'chosen and rejected are expected: "ranking": true')

        return RejectedRow("a preference pair", 'expected only with "ranking": true in dataset_info.json')

    return Reading(reading.format, tuple(map(checked, reading.parts)))


_NO_RESPONSE = ("None", "nan", "NaN", "<NA>")
_NO_INPUT = (*_NO_RESPONSE, "null", "N/A", "<noinput>")
_NO_QUESTION = re.compile(
    r"none|nan|null|na|n/a|<na>|todo|tbd|[.…]+|\?{2,}|%s|%\(\w+\)s|\$?\{{1,2}\s*[a-z_][\w.]{2,}\s*\}{1,2}|[\[<(](?:deleted|removed|empty|blank|missing|no question)[\])>]"
    r"|[<\[](?:(?:insert|your|the|user)[ _])*(?:question|problem|prompt|instruction|query|input|task|text|content|message)s?(?:[ _](?:text|here))?[>\]]",
    re.IGNORECASE,
)
_DASH = re.compile(r"[-\u2013\u2014_]+")
"""What is left of a missing value when a table's columns are made into texts, what stands for one (OpenCodeReasoning),
and placeholders that nobody has filled. That a response with nan is rejected is as it should be (LongPerceptualThoughts)."""


def check_example(example: Example) -> Example:
    """Return the example unchanged, if its texts cannot be read as anything but text.

    Raises RejectedRow for a control token in a text, `<image>` outside a question, a blank question, or another number of
    `<image>` than of images (LLaMA-Factory stops on these, or trains on forged image tokens: reference llamafactory_095.md
    section 5); half a surrogate pair (JSON allows it, Arrow stops on it); a thought or solution that is None, or nan, or the
    question again (raw_formats.md section 18, rule 8); an `assistant_prefix` that the rendered response, or the rejected one,
    does not begin with; two equal responses in a pair; a control token of another model in a response.
    """
    for place, text in (("id", example.id), ("answer", example.answer), ("source", example.source)):
        if text and not is_unicode(text):
            raise RejectedRow("text is not valid Unicode", f"in the {place}")

    places = 0
    for turn in (*example.history, example):
        parts = turn.question.split(IMAGE)
        asked = "".join(parts).strip()
        if not asked or _DASH.fullmatch(asked):
            raise RejectedRow("the question is empty", asked)

        if _NO_QUESTION.fullmatch(asked):
            raise RejectedRow("the question is a missing value", f"the text {asked!r}")

        places += len(parts) - 1
        _check_text("question", turn.question)
        _check_response("response", turn.response, asked)

    if example.rejected is not None:
        _check_response("rejected response", example.rejected, asked)
        if example.rejected == example.response:
            raise RejectedRow("chosen and rejected response are the same")

    if example.system:
        if not is_unicode(example.system):
            raise RejectedRow("text is not valid Unicode", "in the system message")

        if found := _NOT_IN_RESPONSE.search(example.system):
            raise RejectedRow(Reason.CONTROL_TOKEN.text("system message"), found.group())

    if places != len(example.images):
        raise RejectedRow(
            "<image> and images do not match",
            f"{places} <image> and {len(example.images)} images; a question has one <image> for each picture, in their "
            "order",
        )

    if prefix := example.assistant_prefix:
        if not rendered(example.response).startswith(prefix):
            raise RejectedRow("the response does not begin with assistant_prefix")

        if example.rejected is not None and not rendered(example.rejected).startswith(prefix):
            raise RejectedRow("the rejected response does not begin with assistant_prefix")

    return example


def rendered(response: LongThought | str) -> str:
    """Return the text of a response that is trained on."""
    return response if isinstance(response, str) else response.render()


def _check_response(place: str, response: LongThought | str, asked: str) -> None:
    is_text = isinstance(response, str)
    parts = (("response", response),) if is_text else (("thought", response.thought), ("solution", response.solution))
    for name, part in parts:
        _check_text(place, part, _NOT_IN_RESPONSE)
        if found := foreign_token(part):
            raise RejectedRow("a control token of another model in the response", found)

        if part in _NO_RESPONSE[: 1 if place == "rejected response" else None] and part is not response:
            raise RejectedRow(f"the {name} is {part}", f"in the {place}")

        if part == asked and part is not response:
            raise RejectedRow(f"the {name} repeats the question", f"in the {place}")


def _check_text(place: str, text: str, tokens: re.Pattern[str] = _CONTROL) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise RejectedRow("text is not valid Unicode", f"in the {place}")

    if "<" in text and (found := tokens.search(text)):
        raise RejectedRow(Reason.CONTROL_TOKEN.text(place), found.group())


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which JSON allows and UTF-8 does not."""
    return text.isascii() or not _SURROGATE.search(text)
