"""Raw row -> Examples: one file a dataset family, one registry. Pure: no torch, no LLaMA-Factory."""

from collections.abc import Callable, Mapping
from typing import Any

from virgo_factory.adapters import long_thought, virgo_dqvq, virgo_dsd, virgo_dt
from virgo_factory.adapters.messages import MESSAGE_COLUMNS
from virgo_factory.adapters.options import REQUIRED, Options, options_of
from virgo_factory.adapters.pictures import with_pictures
from virgo_factory.adapters.question_response import RESPONSE_COLUMNS
from virgo_factory.adapters.row import (
    QUESTION_COLUMNS,
    Reading,
    RejectedRow,
    attempt,
    bare,
    check_ranking,
    columns_found,
    plain,
    question_of,
    text_of,
)
from virgo_factory.example import Example


__all__ = ["ADAPTERS", "Options", "Reading", "RejectedRow", "options_of", "read_row"]

ADAPTERS: dict[str, Callable[..., Example | Reading]] = {
    "virgo_dt": virgo_dt.adapt,
    "virgo_dsd": virgo_dsd.read,
    "virgo_dqvq": virgo_dqvq.adapt,
    "long_thought": long_thought.adapt,
}
"""`formatting:` in dataset_info.json -> adapter: (row, options) -> its one Example, or a Reading.

An adapter may raise RejectedRow; `read_row` does not, and checks what it returns.
"""


def read_row(row: Any, formatting: str, options: Options = Options()) -> Reading:
    """Return what a raw row gives under a `formatting:` name; never raises for a bad row."""
    adapter = ADAPTERS[formatting]
    named = None if formatting == "long_thought" else formatting
    try:
        if not isinstance(row, Mapping):
            raise RejectedRow("the row is not an object", f"found {type(row).__name__}")

        row = with_pictures(_with_columns(row, options.columns), options.columns.get("images"))
        found = adapter(row, options)
    except RejectedRow as error:
        return Reading(named, (bare(error),))

    if isinstance(found, Example):
        found = Reading(named, (attempt(lambda: found),))

    return check_ranking(found, options.ranking)


_TARGETS = {
    # LLaMA-Factory's name: the name under which adapters look for it, and others that must not win over it
    "messages": ("messages", MESSAGE_COLUMNS),
    "prompt": ("question", QUESTION_COLUMNS),
    "response": ("response", RESPONSE_COLUMNS),
}


def _with_columns(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the row with plain values, and with the columns that dataset_info.json names where adapters find them."""
    row = {name: plain(value) for name, value in row.items()}
    for name, column in columns.items():
        if name == "images":  # pictures.py reads it
            continue

        if column not in row and name in REQUIRED:
            raise RejectedRow(f"no column {column}", f"dataset_info.json names it; {columns_found(row)}")

        if column in row:
            target, others = _TARGETS.get(name, (name, ()))
            value = row[column]
            row = {other: kept for other, kept in row.items() if other == column or other not in others}
            row[target] = value

    if "query" in columns and row.get("query"):  # LLaMA-Factory puts it behind the prompt
        row["question"] = f"{question_of(row)}\n{text_of(row, 'query')}"

    return row
