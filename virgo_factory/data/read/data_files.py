"""Which files hold the rows of a dataset: a file, all files of a folder or of a pattern, or what `save_to_disk` wrote."""

import glob
import json
import os
import re
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.files.chunks import DATA_SUFFIXES, PACKED, is_data_file, suffix_of
from virgo_factory.data.read.split import named_parts


STATE = "state.json"
SPLITS = "dataset_dict.json"
"""What `datasets` writes beside the Arrow files of a Dataset and of a DatasetDict (datasets/config.py)."""
CARD = "README.md"
_PARTS = {"train": "train|training", "validation": "validation|valid|val|dev", "test": "test|testing|eval|evaluation"}
_PART = re.compile(
    rf"(?:^|[/._ -])(?:{'|'.join(f'(?P<{name}>{words})' for name, words in _PARTS.items())})(?=[/._ -]|\d|$)",
    re.IGNORECASE,
)
"""How `datasets` finds the parts of a folder in the names of its files (datasets/data_files.py)."""
_ARCHIVES = (".tar", ".tgz", ".zip", ".7z", ".rar", ".zst", ".xz", ".bz2", ".gz")
_DEEPEST = 3
"""Folders below one that are looked into for data files."""


def is_pattern(name: str) -> bool:
    """Return whether a name stands for several files, such as part-*.jsonl."""
    return glob.has_magic(name) and not Path(name).exists()


def part_files(path: Path, where: str, split: Any = None) -> dict[str, tuple[Path, ...]]:
    """Return the files of each part that a `split` names, in its order: of a DatasetDict its own, else all as `train`.

    `path` is a file, a folder, a folder of `save_to_disk`, or a pattern; `where` begins the messages; a `split` of None
    means the part `train`, or the only one. Raises ValueError for no such part, and as `data_files`.
    """
    if (path / SPLITS).is_file():
        names = _read(path / SPLITS, where).get("splits")
        names = names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
        try:
            parts = named_parts(split, names, where)
        except ValueError as error:
            raise UserError(f"{error} Each is also a folder of its own: {path}/NAME.") from None

        return {name: data_files(path / name, where) for name in parts}

    parts = _parts_of_folder(path, where) if path.is_dir() and not (path / STATE).is_file() else {}
    names = named_parts(split, list(parts) or ["train"], where)
    return {name: parts[name] if parts else data_files(path, where) for name in names}


def data_files(path: Path, where: str) -> tuple[Path, ...]:
    """Return the files that hold the rows, in the order of their names; of one type.

    In a folder whatever is no data file is passed over: pictures, notes, hidden files. Of a DatasetDict, and of a folder
    laid out as on the Hugging Face hub, the part `train`.

    Raises ValueError where there are none, or of several types.
    """
    if is_pattern(str(path)):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        files = _of_one_type([file for file in found if _has_rows(file)], where)
        if not files:
            raise UserError(f"{where}: no data file is named like {path} ({_kinds()}).")

        return files

    if not path.is_dir():
        if not is_data_file(path):
            raise UserError(f"{where}: {path} is not {_kinds()}. {not_rows(path)}")

        return (path,)

    if (path / STATE).is_file():
        return _saved(path, where)

    (files,) = part_files(path, where).values()
    return files


def _parts_of_folder(path: Path, where: str) -> dict[str, tuple[Path, ...]]:
    """Return the files of each part of a folder: those that its card names, else those in it, or in folders below it.

    Files are of parts where all of their names tell one (`data/train-00000-of-00002.parquet`, `test/metadata.jsonl`).
    """
    if parts := _parts_of_card(path, where):
        return parts

    files = [file for file in sorted(path.iterdir()) if not _is_beside(file) and _has_rows(file)]
    for depth in range(1, _DEEPEST + 1):
        below = sorted(path.glob("*/" * depth + "*")) if not files else []
        files += [file for file in below if not _is_beside(file) and _has_rows(file)]

    if not files:
        tar = next((file for file in sorted(path.rglob("*")) if file.suffix in _ARCHIVES and file.is_file()), None)
        raise UserError(
            f"{where}: the folder {path} holds no data file ({_kinds()}).{f' {not_rows(tar)}' if tar else ''}"
        )

    found = [_PART.search(file.relative_to(path).as_posix()) for file in files]
    folders = {_PART.sub("", file.parent.relative_to(path).as_posix()) for file in files} - {"."}
    if len(folders) > 1:
        names = ", ".join(sorted({file.relative_to(path).parts[0] for file in files})[:10])
        raise UserError(f"{where}: the folder {path} holds several datasets: {names}. Name the folder of one.")

    if not all(found):
        return {"train": _of_one_type(files, where)}

    parts = {
        name: [file for file, part in zip(files, found, strict=True) if part.lastgroup == name] for name in _PARTS
    }
    return {name: _of_one_type(own, where) for name, own in parts.items() if own}


def _parts_of_card(path: Path, where: str) -> dict[str, tuple[Path, ...]]:
    """Return the files of each part that the `configs` of a dataset's card name; {} where it names none."""
    if not (path / CARD).is_file():
        return {}

    import yaml  # only here: workers start faster

    _, _, head = (path / CARD).read_text(encoding="utf-8", errors="replace").partition("---\n")
    try:
        card = yaml.safe_load(head.partition("\n---")[0])
    except yaml.YAMLError:
        return {}

    configs = card.get("configs") if isinstance(card, dict) else None
    configs = [config for config in configs if isinstance(config, dict) and config.get("data_files")] if isinstance(configs, list) else []  # fmt: skip
    if not configs:
        return {}

    chosen = [config for config in configs if config.get("default") or config.get("config_name") == "default"]
    if len(configs) > 1 and not chosen:
        listed = "; ".join(
            f"{config.get('config_name')}: {json.dumps(config['data_files'])}" for config in configs[:8]
        )
        raise UserError(
            f"{where}: {path / CARD} names several datasets, and none as the default. Name the files of one: {listed}."
        )

    named = (chosen or configs)[0]["data_files"]
    if isinstance(named, str) or isinstance(named, list) and all(isinstance(item, str) for item in named):
        named = {"train": named}
    elif isinstance(named, list):
        named = {item.get("split", "train"): item.get("path") for item in named if isinstance(item, dict)}

    parts = {}
    for part, patterns in named.items() if isinstance(named, Mapping) else ():
        patterns = [patterns] if isinstance(patterns, str) else patterns or []
        names = [glob.glob(str(pattern).lstrip("/"), root_dir=path, recursive=True) for pattern in patterns]
        files = sorted({path / name for name in chain(*names) if _has_rows(path / name)})
        if files:
            parts[str(part)] = _of_one_type(files, where)

    return parts


def is_archive(path: Path) -> bool:
    """Whether a file is packed in a way that is not read."""
    return path.suffix in _ARCHIVES and path.is_file() and not is_data_file(path)


def not_rows(path: Path) -> str:
    """Return what to do with a file that is none of rows."""
    if path.suffix not in _ARCHIVES:
        return "Convert it to JSONL or Parquet."

    if ".tar" not in path.suffixes and path.suffix != ".tgz":
        return f"{path.name} is packed: unpack it."

    return (
        f'{path.name} is an archive: unpack it. Shards of WebDataset become Parquet by: python -c "from datasets import '
        f"load_dataset; load_dataset('webdataset', data_files='{path}', split='train').to_parquet('rows.parquet')\""
    )


def _has_rows(file: Path) -> bool:
    """Whether there is a data file. Raises UserError for a link to one that is gone: its rows would be missing silently."""
    if not is_data_file(file):
        return False

    if file.is_symlink() and not file.exists():
        raise UserError(
            f"{file}: a link to {os.readlink(file)}, which is not there. Fetch it again, or remove the link."
        )

    return file.is_file()


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
