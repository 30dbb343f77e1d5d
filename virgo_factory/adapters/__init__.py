"""Raw row -> Examples: one file a dataset family, one registry. Pure: no torch, no LLaMA-Factory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from virgo_factory.adapters import virgo_dt
from virgo_factory.adapters.options import Options, options_of
from virgo_factory.adapters.row import RejectedRow, check_example
from virgo_factory.example import Example


__all__ = ["ADAPTERS", "Options", "Reading", "options_of", "read_row"]

ADAPTERS: dict[str, Callable[..., Example]] = {
    "virgo_dt": virgo_dt.adapt,
}
"""`formatting:` in dataset_info.json -> adapter."""


@dataclass(frozen=True)
class Reading:
    """What became of one row.

    Attributes:
        format: the family recognised; None where the row shows none.
        parts: examples, and reasons why there is none; never empty, several for a row with several questions or
            responses.
    """

    format: str | None
    parts: tuple[Example | RejectedRow, ...]


def read_row(row: Any, formatting: str, options: Options = Options()) -> Reading:
    """Return what a raw row gives under a `formatting:` name; never raises for a bad row."""
    if not isinstance(row, Mapping):
        return Reading(None, (RejectedRow("the row is not an object", f"found {type(row).__name__}"),))

    try:
        return Reading(formatting, (check_example(ADAPTERS[formatting](row, options.keep_malformed)),))
    except RejectedRow as error:
        return Reading(formatting, (error.with_traceback(None),))


def to_example(row: Any, formatting: str, keep_malformed: bool = False) -> Example:
    """Return the checked example of a raw row.

    Raises:
        RejectedRow: the row gives no example, or one that cannot be trained on as it reads.
    """
    if not isinstance(row, Mapping):
        raise RejectedRow("the row is not an object", f"found {type(row).__name__}")

    return check_example(ADAPTERS[formatting](row, keep_malformed))
