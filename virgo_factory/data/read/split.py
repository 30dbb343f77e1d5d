"""`split` of an entry of dataset_info.json: which rows of its files are meant, as `datasets` reads it in a stock run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.formats import FORMATTINGS


_logger = logging.getLogger(__name__)


_KEYS = (
    *("file_name", "formatting", "columns", "tags", "ranking", "split", "subset", "folder", "num_samples"),
    *("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name", "responses", "turns", "difficulty"),
)
"""Keys of an entry that are read, LLaMA-Factory's and ours."""
_SAYINGS = frozenset(
    "made_by num_rows license licence description comment comments note notes source url homepage citation revision version "
    "file_sha1 name title author".split()
)
"""Keys that only people read; so is one that begins with a line (`_was`)."""


def _check_keys(entry: Mapping[str, Any], where: str) -> None:
    unknown = [key for key in entry if key not in _KEYS and key not in _SAYINGS and not key.startswith("_")]
    for key in unknown:
        (near, *_) = [*get_close_matches(key.casefold(), _KEYS, 1, 0.5), ""]
        told = f"{where}: {key}: no key of an entry is called so, and it goes unheeded"
        if get_close_matches(key.casefold(), _KEYS, 1, 0.75):
            raise UserError(f"{told}. Is {near} meant? Correct it, or write _{key} if it is a note.")

        _logger.warning("%s%s.", told, f"; perhaps {near} is meant" if near else "")


def check_entry(entry: Mapping[str, Any], where: str) -> None:
    """Raise ValueError where a key of an entry would go unheeded: nearly one that is read, or one of hub datasets only.

    Other unknown keys of our entries are a warning. `where` begins the messages.
    """
    if any(isinstance(value, str) and value in FORMATTINGS for value in entry.values()):  # also of `formating`
        _check_keys(entry, where)

    if any(key in entry for key in ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url")):
        return

    if "cloud_file_name" in entry and entry.get("split") not in (None, "train", "all"):
        raise UserError(
            f"{where}: split: LLaMA-Factory reads all rows of a cloud file. Fetch it, and name it in file_name."
        )

    if idle := [key for key in ("subset", "folder") if entry.get(key) is not None]:
        raise UserError(
            f"{where}: {', '.join(idle)}: only of a hub dataset; local files have none, so it would go unheeded. Name the "
            "file or folder in file_name, and remove the key."
        )


def named_parts(split: Any, there: Sequence[str], where: str) -> list[str]:
    """Return the parts that a split names, in its order.

    `split` is such as `train`, `train[:90%]+test` or `all`; None: `train`, or the only part. `there` are the parts that there
    are; local files are one, `train`. Raises ValueError for no split, or a part that there is not.

    >>> named_parts("test+train[:10%]+train[90%:]", ["train", "dev", "test"], "d")
    ['test', 'train']
    """
    if split == "all":
        return list(there)

    if split is None:
        split = there[0] if len(there) == 1 else "train"

    names = [term.partition("[")[0].strip() for term in split.split("+")] if isinstance(split, str) else [split]
    if unknown := [name for name in names if name not in there]:
        remedy = (
            "local files are one part, train: train[:90%], train[90%:], train[:100]+train[-100:]. For files of a part of "
            "their own make an entry with that file_name"
            if list(there) == ["train"]
            else f"there are {', '.join(there) or 'none'}. Name one, or several with +, in `split` of the entry"
        )
        raise UserError(f"{where}: split {split!r}: there is no part {unknown[0]!r}; {remedy}.")

    return list(dict.fromkeys(names))


def row_ranges(split: Any, parts: Mapping[str, Any], count: Callable[[Any], int], where: str) -> list[range] | None:
    """Return the rows that a split means of its parts, one behind the other: a range for each term; None: all, in order.

    `parts` are those that the split names, in its order (`named_parts`); `count` returns the rows of one, and is asked only
    where that decides. Raises ValueError for no split, or one that leaves no row.
    """
    if split in (None, "all", "+".join(parts)):
        return None

    from datasets import ReadInstruction  # a second, so only where an entry has a split

    sizes = {name: count(part) for name, part in parts.items()}
    try:
        terms = ReadInstruction.from_spec(split).to_absolute(sizes)
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        told = str(error).rstrip(".")
        raise UserError(f"{where}: split {split!r}: {told}; write it like train[:90%] or train[:100].") from None

    begins = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
    ranges = [range(begins[term.splitname] + term.from_, begins[term.splitname] + term.to) for term in terms]
    if not any(ranges):
        raise UserError(f"{where}: split {split!r} leaves none of {sum(sizes.values()):,} rows. Widen it.")

    return ranges
