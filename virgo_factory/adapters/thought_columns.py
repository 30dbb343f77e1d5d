"""Thought and solution in columns of their own: no tags to parse.

Reference raw_formats.md section 5 (OpenThoughts-114k metadata); HuatuoGPT-o1 (rows of its released demo data); the
project's own normal form, which also carries history, rejected response and context prefix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virgo_factory.adapters.marks import learned_turns
from virgo_factory.adapters.options import Options
from virgo_factory.adapters.row import (
    QUESTION_COLUMNS,
    Reading,
    RejectedRow,
    answer_of,
    attempt,
    domain_of,
    plain,
    question_of,
    read_images,
    row_id,
    source_of,
    text_of,
    with_image,
)
from virgo_factory.example import IMAGE, Example, Turn
from virgo_factory.thought import REASONS, LongThought, MalformedThought


@dataclass(frozen=True)
class Columns:
    """Names of the columns of one layout."""

    format: str
    thought: str
    solution: str
    question: tuple[str, ...] = QUESTION_COLUMNS
    answer: tuple[str, ...] = ("answer",)


HUATUO_QUESTIONS = ("Question", "Open-ended Verifiable Question")
LAYOUTS = (
    Columns("thought_solution", "thought", "solution"),
    Columns("openthoughts_metadata", "deepseek_reasoning", "deepseek_solution", answer=()),
    Columns("huatuogpt_o1", "Complex_CoT", "Response", HUATUO_QUESTIONS, ("Ground-True Answer",)),
    Columns("reasoning_solution", "reasoning", "solution"),
)


def layout_of(row: Mapping[str, Any]) -> Columns | None:
    """Return the layout of which the row has both columns, and something in one of them."""
    for layout in LAYOUTS:
        if layout.thought in row and layout.solution in row:
            if row[layout.thought] is not None or row[layout.solution] is not None:
                return layout

    return None


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a thought and a solution."""
    return layout_of(row) is not None


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of a row."""
    layout = layout_of(row)
    return Reading(layout.format, (attempt(lambda: _example(row, layout)),))


def _example(row: Mapping[str, Any], layout: Columns) -> Example:
    images = read_images(row)
    question = question_of(row, layout.question)
    earlier = _objects(row, "history")
    why, notes = learned_turns(row, (*earlier, {}))
    history = tuple(_turn(item, reason is None) for item, reason in zip(earlier, why[:-1], strict=True))
    if not any(IMAGE in turn.question for turn in history):
        question = with_image(question, images)

    rejected = _objects(row, "rejected")
    prefix = row.get("assistant_prefix")
    for column, text in (("system", row.get("system")), ("assistant_prefix", prefix)):
        if not (text is None or isinstance(text, str)):
            raise RejectedRow(f"{column} is not text", f"found {type(text).__name__}")

    is_learned = why[-1] is None
    return Example(
        id=row_id(row, question),
        question=question,
        response=_response(row, layout.thought, layout.solution, is_learned),
        images=images,
        history=history,
        system=row.get("system") or None,
        answer=answer_of(row, layout.answer),
        source=source_of(row) or layout.format,
        domain=domain_of(row),
        rejected=_response(rejected[0]) if rejected else None,
        assistant_prefix=(prefix or "").replace("\r\n", "\n") if is_learned else "",
        format=layout.format,
        learned=is_learned,
        notes=notes,
    )


def long_thought(thought: str, solution: str) -> LongThought:
    """Return the long thought of two texts. Raises RejectedRow if one is blank or holds a marker."""
    try:
        return LongThought(thought, solution)
    except MalformedThought as error:
        raise RejectedRow(REASONS[error.reason], f"line {error.line} of the thought or solution") from None


def _objects(row: Mapping[str, Any], column: str) -> list[Mapping[str, Any]]:
    """Return the objects of a column: none, one, or a list."""
    value = plain(row.get(column))
    items = [] if value is None else value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, Mapping):
            raise RejectedRow(f"{column} is not in the normal form", f"found {type(item).__name__}")

    return items


def _turn(item: Mapping[str, Any], is_learned: bool) -> Turn:
    return Turn(text_of(item, "question"), _response(item, is_learned=is_learned), is_learned)


def _response(
    item: Mapping[str, Any], thought: str = "thought", solution: str = "solution", is_learned: bool = True
) -> LongThought | str:
    """Return a response; of one that is context only the solution may be there, which is the whole text then."""
    if not is_learned and not item.get(thought):
        return text_of(item, solution)

    return long_thought(text_of(item, thought), text_of(item, solution))
