"""Raw row -> Examples: one file a dataset family, one registry. Pure: no torch, no LLaMA-Factory."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.formats.any_row.api_log import with_messages
from virgo_factory.formats.any_row.cut_off import api_error, cut_off
from virgo_factory.formats.any_row.earlier_turns import check_history, with_history
from virgo_factory.formats.any_row.foreign_tokens import TAGGED, part_in_tags
from virgo_factory.formats.any_row.next_turns import REASON as RUNS_ON
from virgo_factory.formats.any_row.next_turns import next_turn
from virgo_factory.formats.any_row.placeholders import REASON as UNFILLED
from virgo_factory.formats.any_row.placeholders import unfilled
from virgo_factory.formats.any_row.prompts import without_requests
from virgo_factory.formats.any_row.rendered_prompt import UNFRAMED, with_rendered_prompt
from virgo_factory.formats.any_row.second_columns import (
    ADDED,
    SYSTEM_COLUMNS,
    SecondColumns,
    second_columns,
    with_second_columns,
    with_system,
    without_other_chats,
)
from virgo_factory.formats.any_row.tool_calls import REASON as TOOLS_REASON
from virgo_factory.formats.any_row.tool_calls import check_tools, tool_call
from virgo_factory.formats.families import long_thought, questions, virgo_dqvq, virgo_dsd, virgo_dt
from virgo_factory.formats.layouts import chat, tags, thought_columns
from virgo_factory.formats.layouts.messages import MESSAGE_COLUMNS
from virgo_factory.formats.layouts.question_response import RESPONSE_COLUMNS
from virgo_factory.formats.marks.response_marks import marks_beside
from virgo_factory.formats.marks.row_marks import check_row, with_marks_of_parts
from virgo_factory.formats.marks.values import BROKEN_OFF, CUT
from virgo_factory.formats.options import REQUIRED, Options, options_of
from virgo_factory.formats.pictures.only_named import picture_id, without_its_picture
from virgo_factory.formats.pictures.pictures import with_pictures
from virgo_factory.formats.pictures.values import at_path, is_blank
from virgo_factory.formats.row import (
    QUESTION_COLUMNS,
    Reading,
    RejectedRow,
    attempt,
    bare,
    check_ranking,
    columns_found,
    plain,
    question_of,
)
from virgo_factory.formats.texts import decoded, unix


__all__ = ["FORMATTINGS", "Options", "Reading", "RejectedRow", "kind_of", "options_of", "read_row"]

FORMATTINGS: dict[str, Callable[..., Example | Reading]] = {
    "virgo_dt": virgo_dt.adapt,
    "virgo_dsd": virgo_dsd.read,
    "virgo_dqvq": virgo_dqvq.adapt,
    "long_thought": long_thought.adapt,
    "questions": questions.read,
}
"""`formatting:` in dataset_info.json -> format: (row, options) -> its one Example, or a Reading.

A format may raise RejectedRow; `read_row` does not, and checks what it returns.
"""


MOST_COLUMNS = 5_000
"""Of a row; a vocabulary, say, is one object with a key a token, and looking at each name takes minutes."""

_KINDS = {**tags.KINDS, **thought_columns.KINDS, chat.FIELDS: "think"}


def kind_of(format: str) -> str:
    """Return the format of which another is a mere spelling, so that a dataset may mix both.

    `<think>` with and without its opening tag, other tags around it, a field of its own, the answer in tags or not (MMFineReason
    has both): it is the same thought.

    >>> kind_of("thinking"), kind_of("thought_columns"), kind_of("thinking_answer"), kind_of("headings")
    ('think', 'think', 'think', 'headings')
    """
    return _KINDS.get(format, format)


def read_row(row: Any, formatting: str, options: Options = Options()) -> Reading:
    """Return what a raw row gives under a `formatting:` name; never raises for a bad row."""
    raw, read = row, FORMATTINGS[formatting]
    named = None if formatting == "long_thought" else formatting
    try:
        if not isinstance(row, Mapping):
            raise RejectedRow("the row is not an object", f"found {type(row).__name__}")

        if len(row) > MOST_COLUMNS:
            raise RejectedRow("the row is a table of its own", f"{len(row):,} columns, {columns_found(row)}")

        check_tools(row)
        row = given = _with_columns(row, options.columns)
        unread: list[str] = []
        if formatting != "virgo_dt":  # read to the letter
            row = asked = with_rendered_prompt(row)
            unread += [UNFRAMED] if asked is not given else []

        if not named:
            row = whole = with_history(asked, options.columns)
            row, others = without_other_chats(row, options.columns)
            unread += others

        row = row if named or "messages" in options.columns else with_messages(row)
        row = with_marks_of_parts(row) if list in map(type, row.values()) else row
        row = with_pictures(_with_tags(row, options.tags) if options.tags else row, options.columns.get("images"))
        if second := second_columns(tuple(row)):
            row = with_system(row, second)

        found = read(row, options)
    except RejectedRow as error:
        return Reading(named, (_of_file(bare(error), row, raw),))

    if isinstance(found, Example):
        found = Reading(named, (attempt(lambda: found),))

    found = check_row(row, found, options.columns)
    has_history = not named and ("messages" in whole and "messages" not in asked or not is_blank(row.get("history")))
    if has_history and options.turns == "history":
        found = check_history(found)

    if second or options.columns or unread:
        found = with_second_columns(row, found, second, options.columns, unread)

    only = None if "images" in options.columns else picture_id(row)
    parts = [
        _of_file(part, row, raw) if isinstance(part, RejectedRow) else _checked(row, part, formatting, only, second)
        for part in found.parts
    ]
    return check_ranking(Reading(found.format, tuple(parts)), options.ranking)


def _of_file(error: RejectedRow, row: Any, raw: Any) -> RejectedRow:
    """Return an error that lists a row's columns with those that its file has, not those that it is read by."""
    if row is raw or not error.detail:
        return error

    return RejectedRow(error.reason, error.detail.replace(columns_found(row), columns_found(raw)))


def _checked(
    row: Mapping[str, Any], example: Example, formatting: str, only: str | None, second: SecondColumns | None
) -> Example | RejectedRow:
    """Return the example without requests for other tags, or why it is not learned.

    It calls tools, runs on, was cut off, has placeholders, or lacks its picture. `only`: where its row has the id of a
    picture; None where it has none, or the user says which pictures it has.
    """
    for turn in (*example.history, example):
        if turn.learned:
            said = turn.response
            thought, solution = ("", said) if isinstance(said, str) else (said.thought, said.solution)
            if call := tool_call(solution) or tool_call(thought):
                return RejectedRow(TOOLS_REASON, f"{call} in the response")

            if line := next_turn(turn.question, solution):
                return RejectedRow(RUNS_ON, f"behind its solution: {line!r}")

            if thought and (place := cut_off(thought, solution)):  # else it is kept as the text it is
                return RejectedRow(CUT, f"it ends {place}")

            may_be_none = len(solution) <= 100 or "rror" in solution[:100]
            if may_be_none and (error := api_error(solution, turn.question, thought)):
                return RejectedRow(BROKEN_OFF, f"in the place of its solution stands {error}")

            if "</" in solution and (tag := part_in_tags(solution)):
                example = replace(example, notes=(*example.notes, f"{TAGGED}: {tag}"))

    if placeholder := unfilled(row, example, second):
        return RejectedRow(UNFILLED, f"{placeholder}; write its value into the text")

    if ADDED in example.notes and isinstance(checked := attempt(lambda: example), RejectedRow):
        return checked

    example = example if formatting == "virgo_dt" else without_requests(example)  # read to the letter
    return without_its_picture(only) if only and not example.images else example


def _with_tags(row: dict[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the row with the keys and roles of its messages called as formats know them; see Options.tags."""
    keys = {key: usual for key, usual in tags.items() if usual in ("role", "content")}

    def usual(message: Any) -> Any:
        if not isinstance(message, Mapping):
            return message

        renamed = {keys.get(key, key): value for key, value in message.items()}
        if isinstance(role := renamed.get("role", renamed.get("from")), str):
            renamed["role"] = tags.get(role, role)

        return renamed

    def messages(value: Any) -> Any:
        found = decoded(value) if isinstance(value, str) else plain(value)
        if isinstance(found, Mapping):
            return usual(found)

        return (
            list(map(usual, found)) if isinstance(found, list) and found and isinstance(found[0], Mapping) else value
        )

    names = {"chosen", "rejected", *MESSAGE_COLUMNS, *(name for name in row if isinstance(row[name], list))}
    return {name: messages(value) if name in names else value for name, value in row.items()}


def _in_words(value: Any) -> str:
    """Return what a column adds to the question: a text, texts one below the other, or JSON."""
    if isinstance(value, str):
        return unix(value)

    is_texts = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return "\n".join(value) if is_texts else json.dumps(value, ensure_ascii=False, default=str)


_TARGETS = {
    # name in `columns`: the name under which formats look for it, and others that must not win over it
    "messages": ("messages", MESSAGE_COLUMNS),
    "prompt": ("question", QUESTION_COLUMNS),
    "question": ("question", QUESTION_COLUMNS),
    "response": ("response", RESPONSE_COLUMNS),
    "system": ("system", SYSTEM_COLUMNS),
}


def _with_columns(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the row with plain values, and with the columns that dataset_info.json names where formats find them."""
    given = {name: value if type(value) is str else plain(value) for name, value in row.items()}
    row = given
    for name, column in columns.items():
        if name == "images":  # pictures.py reads it
            continue

        found = [given[column]] if column in given else at_path(given, column.split("."))
        near = (
            []
            if found
            else get_close_matches(column, [str(other) for other in given if other not in columns.values()], 1, 0.75)
        )
        if not found and (name in REQUIRED or near):
            remedy = f"is {near[0]} meant? " if near else ""
            raise RejectedRow(f"no column {column}", f"dataset_info.json names it; {remedy}{columns_found(given)}")

        if found:
            target, others = _TARGETS.get(name, (name, ()))
            row = {other: kept for other, kept in row.items() if other == column or other not in others}
            row[target] = found[0] if len(found) == 1 else found

    if columns and any("." in column for column in columns.values()):
        row = {name: value for name, (_, value) in marks_beside(given, columns).items()} | row

    if "query" in columns and not is_blank(query := row.get("query")):  # LLaMA-Factory puts it behind the prompt
        row["question"] = f"{question_of(row)}\n{_in_words(query)}"

    return row
