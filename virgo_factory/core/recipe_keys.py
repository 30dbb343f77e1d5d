"""The recipe keys of the plugin and what each may be: one wording for run, data verbs, plan and smoke."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.batch_order import ORDERS
from virgo_factory.core.errors import UserError


CHOICES = {"overlong": ("drop", "error", "truncate"), "malformed": ("drop", "error", "keep"), "batch_order": ORDERS}
COUNTS = (
    "min_response_tokens",
    "max_response_tokens",
    "global_batch_size",
    "packing_tokens",
    "sequence_parallel_size",
)
SWITCHES = ("marker_tokens", "fused_loss")
KEYS = (*CHOICES, *COUNTS, *SWITCHES, "question_prefix", "keep_model_at_epochs")


def check_keys(keys: Mapping[str, Any], counts: tuple[str, ...] = COUNTS) -> None:
    """Check those of our keys that are there and not None; `question_prefix` is `read_prefix`'s to check.

    Args:
        keys: key -> value; others than ours are passed over.
        counts: keys that take a whole number of at least 1.

    Raises:
        ValueError: a value is none of those that the key may have; the message names these.
    """
    for key, value in keys.items():
        if value is None:
            continue

        if key in CHOICES and value not in CHOICES[key]:
            raise UserError(f"{key}: {value!r} is not one of {', '.join(CHOICES[key])}.")

        if key in counts and not _is_count(value):
            raise UserError(f"{key}: {value!r} is not a whole number of at least 1.")

        if key in SWITCHES and not isinstance(value, bool):
            raise UserError(f"{key}: {value!r} is not one of true, false.")

        if key == "keep_model_at_epochs" and not (isinstance(value, list) and value and all(map(_is_count, value))):
            raise UserError(f"{key}: {value!r} is not a list of epochs, each at least 1, such as [5].")

    low, high = keys.get("min_response_tokens"), keys.get("max_response_tokens")
    if low is not None and high is not None and low > high:
        raise UserError(f"min_response_tokens: {low} is more than max_response_tokens: {high}, so no row is kept.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
