"""Raw row -> Example: one file a dataset family, one registry. Pure: no torch, no LLaMA-Factory."""

from collections.abc import Callable, Mapping
from typing import Any

from virgo_factory.adapters import virgo_dt
from virgo_factory.adapters.row import RejectedRow, check_example
from virgo_factory.example import Example


ADAPTERS: dict[str, Callable[[Mapping[str, Any], bool], Example]] = {
    "virgo_dt": virgo_dt.adapt,
}
"""`formatting:` in dataset_info.json -> adapter."""


def to_example(row: Any, formatting: str, keep_malformed: bool = False) -> Example:
    """Return the checked example of a raw row.

    Raises:
        RejectedRow: the row gives no example, or one that cannot be trained on as it reads.
    """
    if not isinstance(row, Mapping):
        raise RejectedRow("the row is not an object", f"found {type(row).__name__}")

    return check_example(ADAPTERS[formatting](row, keep_malformed))
