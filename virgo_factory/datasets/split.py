"""`split` of an entry of dataset_info.json: which rows of its files are meant, as `datasets` reads it in a stock run."""

from collections.abc import Mapping
from typing import Any


WHOLE = (None, "train", "all")
"""Values that mean every row of local files: `datasets` gives them one split, `train`, and reads `all` as all splits."""


def check_entry(entry: Mapping[str, Any], where: str, part: str = "train") -> None:
    """Raise ValueError where an entry asks of local files what only a hub dataset has, which would go unheeded.

    Args:
        entry: of dataset_info.json.
        where: what the message begins with.
        part: what its files are called in a split (`data_files.part_of`).
    """
    if any(key in entry for key in ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url")):
        return

    if "cloud_file_name" in entry and entry.get("split") not in WHOLE:
        raise ValueError(
            f"{where}: split: LLaMA-Factory reads all rows of a cloud file. Fetch it, and name it in file_name."
        )

    if idle := [key for key in ("subset", "folder") if entry.get(key) is not None]:
        raise ValueError(
            f"{where}: {', '.join(idle)}: only of a hub dataset; local files have none, so it would go unheeded. Name the "
            "file or folder in file_name, and remove the key."
        )

    if entry.get("split") not in (*WHOLE, part):
        split_ranges(entry["split"], {part: 100}, where)


def split_ranges(split: Any, sizes: Mapping[str, int], where: str) -> list[tuple[str, range]]:
    """Return the rows that a split means, in its order: (part, rows of that part), one for each term of a sum.

    Args:
        split: such as `train[:90%]` or `train[:10]+train[-10:]`; None: `train`.
        sizes: rows of each part that there is; local files are one, `train`.
        where: what a message begins with.

    Raises:
        ValueError: not a split, or of a part that there is not.
    """
    if split == "all":
        return [(name, range(size)) for name, size in sizes.items()]

    from datasets import ReadInstruction  # a second, so only where an entry has a split

    try:
        terms = ReadInstruction.from_spec("train" if split is None else split).to_absolute(dict(sizes))
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        wanted = (
            "local files are one part, so it begins with train: train[:90%], train[90%:], train[:100]+train[-100:]. For "
            "files of a part of their own make an entry with that file_name"
            if list(sizes) == ["train"]
            else f"there are {', '.join(sizes)}"
        )
        raise ValueError(f"{where}: split {split!r}: {str(error).rstrip('.')}; {wanted}.") from None

    return [(term.splitname, range(term.from_, max(term.from_, term.to))) for term in terms]


def empty_problem(split: str, rows: int, where: str) -> str:
    """Return what is wrong with a split that leaves no row."""
    return f"{where}: split {split!r} leaves none of {rows:,} rows. Widen it."
