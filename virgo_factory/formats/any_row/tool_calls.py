"""Rows whose responses call tools: the prompt of a target has no place for tools, so such rows are not trained on.

LLaMA-Factory writes a column `tools` into the system message. Without it a model would learn to call what it was never
shown, and to write the results itself.
"""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.any_row.foreign_tokens import outside_code
from virgo_factory.formats.row import RejectedRow, plain


REASON = "tool calls are not trained"
COLUMNS = (
    "tools", "functions", "available_tools", "tool_calls", "function_calls", "function_call", "tool_definitions",
)  # fmt: skip
_MESSAGES = ("messages", "conversations")
_KEYS = ("function", "name", "type", "parameters", "arguments", "input_schema")
"""What the description of a tool, or a call, has one of; a list of words is no tools."""
_TEXT = LazyPattern(
    r"<(?=[/tfcie])(?P<tag>/?(?:tool|function)_?(?:calls?|responses?|results?|outputs?)|/?(?:code_)?interpreter|/?execute|function=[\w.]+"
    r"|invoke name=\"[^\"\n]*\"|(?P<search>information))>"
)
_EARLY = 4000
"""Characters in which a first action stands: a plain row is to cost little."""
_REACT = LazyPattern(r"^Action: ?.+\n(?:.*\n){0,20}?Observation:", re.MULTILINE)
_CODE_RUN = LazyPattern(r"^```(?:python|py)\n(?:(?!```).*\n)+```\s*\n```output\b", re.MULTILINE)


def runs_code(text: str) -> bool:
    """Whether a response has a block of code with its output behind it, as an interpreter gives it."""
    return "```output" in text and bool(_CODE_RUN.search(text))


@functools.lru_cache(1024)
def _named(columns: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(name for name in COLUMNS if name in columns)


def check_tools(row: Mapping[str, Any]) -> None:
    """Raise RejectedRow if a row, or the first of its messages, comes with tools."""
    found = [(column, row[column]) for column in _named(tuple(row))]
    for column in _MESSAGES:
        messages = row.get(column)
        first = messages[0] if isinstance(messages, list) and messages else None
        if isinstance(first, dict) and len(first) > 2:
            found += [(f"{column}.{name}", first[name]) for name in COLUMNS if name in first]

    for where, value in found:
        if count := _tools(value):
            raise RejectedRow(
                REASON,
                f"{count} in {where}, which the prompt would lack. Where the response needs none, take the column out",
            )


def _tools(value: Any) -> int:
    """Return how many tools, or calls of tools, a column holds, also as JSON text."""
    if isinstance(value, str):
        if value.lstrip()[:1] not in ("[", "{"):
            return 0

        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return 0

    value = plain(value)
    items = value if isinstance(value, list) else [value]
    return sum(
        isinstance(item, dict) and any(item.get(key) for key in _KEYS) or isinstance(item, str) and _tools(item) > 0
        for item in items
    )


def tool_call(text: str) -> str:
    """Return what a response calls a tool with, or the result that it was given; "" where it is only talked about.

    >>> tool_call('<tool_call>{"name": "zoom"}</tool_call>'), tool_call("`<tool_call>` is a tag.")
    ('<tool_call>', '')
    """
    if "Action:" in text[:_EARLY] and _REACT.search(text):
        return "Action: ... Observation:"

    if "<" not in text or not _TEXT.search(text):
        return ""

    found = (found for found in outside_code(text, _TEXT) if not found["search"] or "<search>" in text)
    return next((match.group() for match in found), "")
