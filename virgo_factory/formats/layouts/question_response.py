"""A question column and one response column, in any of the tag sets.

Reference raw_formats.md: sections 1 (STILL-2: combined_text) and 11 (VLAA-Thinking: ds_answer, gt), 18 (Marco-o1:
instruction, response); alpaca's spellings (instruction, input, output); judged outputs (model_response).
"""

from collections.abc import Callable, Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats.fields import question_columns
from virgo_factory.formats.layouts.chat import prefix_of
from virgo_factory.formats.layouts.messages import content_text
from virgo_factory.formats.layouts.tags import format_of, is_tagged, parse_response, shows
from virgo_factory.formats.layouts.thought_columns import (
    FOUND,
    pair_of,
    response_of,
)
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import (
    Reading,
    RejectedRow,
    attempt,
    example_of,
    first_column,
    naming,
    plain,
    question_of,
    text_of,
)
from virgo_factory.formats.texts import decoded


RESPONSE_COLUMNS = ("combined_text", "ds_answer", "model_response", "response", "output", "completion", "generation")
ANY_OF = RESPONSE_COLUMNS


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a question and a response."""
    return first_column(row, RESPONSE_COLUMNS) is not None and first_column(row, _questions(row)) is not None


def _questions(row: Mapping[str, Any]) -> tuple[str, ...]:
    return question_columns(tuple(row))


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of a row. Raises RejectedRow where question or response is no text."""
    column = first_column(row, RESPONSE_COLUMNS)
    if isinstance(items := plain(row[column]), list) and items and isinstance(items[0], dict):
        thoughts: list[str] = []
        text = content_text(items, [], thoughts)
        row = {**row, column: {"thinking": "\n\n".join(thoughts), "response": text} if thoughts else text}

    if found := _of_object(row[column]):
        return Reading(
            FOUND,
            (attempt(lambda: example_of(row, question_of(row, _questions(row)), found(), FOUND)),),
        )

    response = text_of(row, column)
    if "response" not in options.columns:
        _check_second(row, column, response)

    name = format_of(response)
    return Reading(name if shows(response, name) else None, (attempt(lambda: _example(row, response, name, options)),))


def _check_second(row: Mapping[str, Any], column: str, response: str) -> None:
    """Raise RejectedRow where `answer` is another whole response."""
    answer = row.get("answer")
    if isinstance(answer, str) and "</" in answer and is_tagged(answer) and answer.strip() != response.strip():
        told = f"{column} and answer differ; say which is meant: {naming(response=column)}"
        raise RejectedRow("two responses in the row", told)


def _of_object(value: Any) -> Callable[[], LongThought] | None:
    """Return what makes the long thought of a response that is an object with a thought and a solution, or its text."""
    value = decoded(value) if isinstance(value, str) else value
    pair = pair_of(value) if isinstance(value, dict) else None
    return (lambda: response_of(value, *pair)) if pair and value[pair[0]] else None


def _example(row: Mapping[str, Any], text: str, name: str | None, options: Options) -> Example:
    question, system = question_of(row, _questions(row)), row.get("system") or None
    response = parse_response(text, name, options.keep_malformed)
    prefix = prefix_of(row, response, name)
    return example_of(row, question, response, name, system=system, assistant_prefix=prefix)
