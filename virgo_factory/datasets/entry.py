"""A dataset's entry in a team's dataset_info.json: what its rows show, and how it gets there."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virgo_factory.datasets.source import INFO, read_info
from virgo_factory.recipes import merge_entries, read_text, replace_file


def write_entry(folder: Path, name: str, entry: Mapping[str, Any]) -> Path:
    """Put an entry into a folder's dataset_info.json, which is made if missing, and return the file.

    What is there keeps its order and formatting, and the file is replaced in one move.

    Raises:
        ValueError: the name is taken, or the file is broken; nothing is written.
    """
    info = read_info(folder)
    path = (folder / INFO).resolve()  # a link stays a link
    if name in info:
        raise ValueError(
            f"{folder / INFO}: {name} is there already: {json.dumps(info[name], ensure_ascii=False)}. "
            "Choose another name, or remove that entry first."
        )

    text, _, _ = merge_entries(read_text(path) if path.exists() else "{}\n", {name: dict(entry)})
    replace_file(path, text.encode("utf-8"))
    return folder / INFO


def file_name(path: Path, folder: Path) -> str:
    """Return how a folder's dataset_info.json names a file: relative to the folder where it lies below it.

    >>> file_name(Path("data/a/rows.jsonl"), Path("data")), file_name(Path("/x/rows.jsonl"), Path("/y"))
    ('a/rows.jsonl', '/x/rows.jsonl')
    """
    whole, base = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)
