"""Raw row -> Examples: one file a dataset family, one registry. Pure: no torch, no LLaMA-Factory."""

from collections.abc import Callable, Mapping
from typing import Any

from virgo_factory.adapters import long_thought, virgo_dqvq, virgo_dsd, virgo_dt
from virgo_factory.adapters.options import REQUIRED, Options, options_of
from virgo_factory.adapters.row import Reading, RejectedRow, attempt, check_ranking, columns_found, plain
from virgo_factory.example import Example


__all__ = ["ADAPTERS", "Options", "Reading", "RejectedRow", "options_of", "read_row"]

ADAPTERS: dict[str, Callable[..., Example | Reading]] = {
    "virgo_dt": virgo_dt.adapt,
    "virgo_dsd": virgo_dsd.read,
    "virgo_dqvq": virgo_dqvq.adapt,
    "long_thought": long_thought.adapt,
}
"""`formatting:` in dataset_info.json -> adapter: (row, options) -> its one Example, or a Reading; raises RejectedRow."""


def read_row(row: Any, formatting: str, options: Options = Options()) -> Reading:
    """Return what a raw row gives under a `formatting:` name; never raises for a bad row."""
    adapter = ADAPTERS[formatting]
    named = None if formatting == "long_thought" else formatting
    try:
        if not isinstance(row, Mapping):
            raise RejectedRow("the row is not an object", f"found {type(row).__name__}")

        found = adapter(_with_columns(row, options.columns), options)
    except RejectedRow as error:
        return Reading(named, (error.with_traceback(None),))

    if isinstance(found, Example):
        found = Reading(named, (attempt(lambda: found),))

    return check_ranking(found, options.ranking)


def _with_columns(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the row with plain values, and the columns that dataset_info.json names under LLaMA-Factory's names."""
    row = {name: plain(value) for name, value in row.items()}
    for name, column in columns.items():
        if column not in row and name in REQUIRED:
            raise RejectedRow(f"no column {column}", f"dataset_info.json names it; {columns_found(row)}")

    renamed = {column: name for name, column in columns.items() if column != name and column in row}
    if not renamed:
        return row

    kept = {name: value for name, value in row.items() if name not in renamed and name not in renamed.values()}
    return kept | {name: row[column] for column, name in renamed.items()}


def to_example(row: Any, formatting: str, keep_malformed: bool = False) -> Example:
    """Return the checked example of a raw row.

    Raises:
        RejectedRow: the row gives no example, or one that cannot be trained on as it reads.
    """
    (part,) = read_row(row, formatting, Options(keep_malformed)).parts
    if isinstance(part, RejectedRow):
        raise part

    return part
