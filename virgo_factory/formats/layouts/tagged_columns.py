"""A question, and a column of any name whose text shows by its tags that it is a response, or a thought.

For what the other families know by no name: OpenMathReasoning (`generated_solution`), MMFineReason
(`qwen3vl_235b_thinking_response`), R1-Distill-SFT (`reannotated_assistant_content`), Video-R1 (`process`, `solution`),
DeepMath-103K (`r1_solution_1` to `_3`, without tags in some copies).
"""

import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats.fields import OF_OTHERS, question_columns
from virgo_factory.formats.layouts.responses import choose
from virgo_factory.formats.layouts.tags import PAIRS, format_of, is_tagged, opens_thought, parse_response
from virgo_factory.formats.layouts.thought_columns import FOUND, long_thought, response_of
from virgo_factory.formats.marks.names import snake
from virgo_factory.formats.marks.response_marks import verdicts
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import Reading, RejectedRow, attempt, example_of, naming, question_of, row_id
from virgo_factory.formats.texts import unix


_DEEPMATH = re.compile(r"r1_solution_\d")


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a question, and a column that shows a thought."""
    return bool(_questions(row)) and bool(_columns(row))


def _questions(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in question_columns(tuple(row)) if isinstance(row[name], str))


def _columns(row: Mapping[str, Any]) -> list[str]:
    """Return the columns that show a thought, else those in which one begins; of DeepMath also those that show none."""
    shown = [name for name, value in row.items() if isinstance(value, str) and is_tagged(value)]
    shown = shown or [name for name, value in row.items() if isinstance(value, str) and opens_thought(value)]
    if not shown and isinstance(row.get("final_answer"), str):
        shown = [name for name, value in row.items() if isinstance(value, str) and _DEEPMATH.fullmatch(name)]

    return [name for name in shown if name not in _questions(row)[:1]]


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of a row; of several columns that are right the shortest, or all.

    Raises RejectedRow for several columns, where nothing says which are right, and one whose name says that it is no response
    to learn.
    """
    columns = _columns(row)
    correct = [True] * len(columns) if _are_right(row, columns) else verdicts(row, len(columns))
    if correct is None:
        told = f"{', '.join(columns[:5])}; say which: {naming(response=columns[0][:60])}"
        raise RejectedRow("several columns hold a thought", told)

    if other := next((name for name in columns if OF_OTHERS.fullmatch(snake(name))), None):
        told = f"{other[:60]}: by its name it is no response to learn. If it is one: {naming(response=other[:60])}"
        raise RejectedRow("the thought is in a column of another purpose", told)

    texts = [unix(row[name]) for name in columns]
    responses = [_response(row, name, text) for name, text in zip(columns, texts, strict=True)]
    name = format_of(texts[0]) or FOUND
    question = question_of(row, _questions(row)[:1])
    id = row_id(row, question)

    def make(position: int, _: Any, keep: bool) -> Example:
        found = responses[position]
        response = found if isinstance(found, LongThought) else parse_response(found, format_of(found), keep)
        own = f"{id}-{position}" if options.responses == "all" and len(columns) > 1 else id
        return example_of(row, question, response, name, own)

    if len(columns) == 1:
        return Reading(name, (attempt(lambda: make(0, None, options.keep_malformed)),))

    return Reading(name, choose(texts, correct, options, make), is_chosen=True)


def _are_right(row: Mapping[str, Any], columns: list[str]) -> bool:
    """Whether all columns are right: there is one, they say the same, or they are DeepMath's, which were checked."""
    is_deepmath = "final_answer" in row and all(map(_DEEPMATH.fullmatch, columns))
    return is_deepmath or len({row[name] for name in columns}) == 1


def _response(row: Mapping[str, Any], column: str, text: str) -> LongThought | str:
    """Return a response, or the long thought of a thought and the solution beside it."""
    name = format_of(text)
    if name is None:  # DeepMath's
        return long_thought(text, row["final_answer"])

    closing = PAIRS[name][1] if name in PAIRS else None
    beside = next((other for other in ("solution", "response", "answer") if isinstance(row.get(other), str)), None)
    if closing and text.rstrip().lower().endswith(closing.lower()) and beside:
        return response_of(row, column, beside)

    return text
