"""Which files hold the rows of a dataset: a file, all files of a folder or of a pattern, or what `save_to_disk` wrote."""

import glob
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.reader import DATA_SUFFIXES, PACKED, is_data_file, suffix_of
from virgo_factory.data.read.split import named_parts


STATE = "state.json"
SPLITS = "dataset_dict.json"
"""What `datasets` writes beside the Arrow files of a Dataset and of a DatasetDict (datasets/config.py)."""


def is_pattern(name: str) -> bool:
    """Return whether a name stands for several files, such as part-*.jsonl."""
    return glob.has_magic(name) and not Path(name).exists()


def part_files(path: Path, where: str, split: Any = None) -> dict[str, tuple[Path, ...]]:
    """Return the files of each part that a `split` names, in its order: of a DatasetDict its own, else all as `train`.

    Args:
        path: a file, a folder, a folder of `save_to_disk`, or a pattern.
        where: for messages.
        split: of an entry of dataset_info.json; None: the part `train`, or the only one.

    Raises:
        ValueError: no such part; or as `data_files`.
    """
    if (path / SPLITS).is_file():
        names = _read(path / SPLITS, where).get("splits")
        names = names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
        try:
            parts = named_parts(split, names, where)
        except ValueError as error:
            raise UserError(f"{error} Each is also a folder of its own: {path}/NAME.") from None

        return {name: data_files(path / name, where) for name in parts}

    return {name: data_files(path, where) for name in named_parts(split, ["train"], where)}


def data_files(path: Path, where: str) -> tuple[Path, ...]:
    """Return the files that hold the rows, in the order of their names; of one type.

    In a folder whatever is no data file is passed over: pictures, notes, hidden files. Of a DatasetDict the part `train`.

    Args:
        path: a file, a folder, a folder of `save_to_disk`, or a pattern.
        where: for messages.

    Raises:
        ValueError: there are none, or of several types.
    """
    if is_pattern(str(path)):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        files = _of_one_type([file for file in found if file.is_file() and is_data_file(file)], where)
        if not files:
            raise UserError(f"{where}: no data file is named like {path} ({_kinds()}).")

        return files

    if not path.is_dir():
        if not is_data_file(path):
            raise UserError(f"{where}: {path} is not {_kinds()}. Convert the file.")

        return (path,)

    if (path / SPLITS).is_file():
        (files,) = part_files(path, where).values()
        return files

    if (path / STATE).is_file():
        return _saved(path, where)

    files = _of_one_type(
        [file for file in sorted(path.iterdir()) if file.is_file() and is_data_file(file) and not _is_beside(file)],
        where,
    )
    if not files:
        raise UserError(f"{where}: the folder {path} holds no data file ({_kinds()}).")

    return files


def _is_beside(file: Path) -> bool:
    """Whether a file tells of others: it is hidden, or the dataset_info.json of a folder."""
    return file.name.startswith((".", "_")) or file.name == "dataset_info.json"


def _of_one_type(files: Iterable[Path], where: str) -> tuple[Path, ...]:
    files = tuple(files)
    for file in files:
        if suffix_of(file) != suffix_of(files[0]):
            raise UserError(f"{where}: {files[0].name} and {file.name} differ in type. Use one type in a folder.")

    return files


def _saved(path: Path, where: str) -> tuple[Path, ...]:
    listed = _read(path / STATE, where).get("_data_files")
    names = [item.get("filename") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    files = [path / Path(str(name)).name for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        raise UserError(f"{where}: {missing[0] if missing else path / STATE}: {STATE} names it, and it is not there.")

    return tuple(files)


def _read(path: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{where}: {path} cannot be read ({error}). Save the dataset again.") from None

    return content if isinstance(content, dict) else {}


def _kinds() -> str:
    return f"{', '.join(DATA_SUFFIXES[:-1])} or {DATA_SUFFIXES[-1]}; JSON and CSV also with {PACKED}"
