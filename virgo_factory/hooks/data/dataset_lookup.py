"""A dataset that the user's dataset_info.json lacks but the package knows is taken from the package."""

import functools
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging

from virgo_factory.data.read.data_files import is_pattern
from virgo_factory.formats import FORMATTINGS
from virgo_factory.hooks.hook import Hook, rebind
from virgo_factory.io.files import DATASET_INFO


RELIES_ON = {
    "llamafactory/data/parser.py:74": '        self.set_attr("ranking", attr, default=False)',
    "llamafactory/data/parser.py:104": '            config_path = hf_hub_download(repo_id=dataset_dir[7:], filename=DATA_CONFIG, repo_type="dataset")',
    "llamafactory/data/parser.py:93": 'def get_dataset_list(dataset_names: list[str] | None, dataset_dir: str | dict) -> list["DatasetAttr"]:',
    "llamafactory/data/parser.py:98": "    if isinstance(dataset_dir, dict):\n        dataset_info = dataset_dir",
    "llamafactory/data/parser.py:126": 'raise ValueError(f"Undefined dataset {name} in {DATA_CONFIG}.")',
    "llamafactory/data/parser.py:144": 'dataset_attr = DatasetAttr("file", dataset_name=dataset_info[name]["file_name"])',
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def packaged_datasets() -> dict[str, dict[str, Any]]:
    """Return the entries of the package's own dataset_info.json, files that ship with it as absolute paths.

    Files that are made first (`made_by`) are looked for in the user's own `dataset_dir`.
    """
    entries = json.loads(DATASET_INFO.read_text(encoding="utf-8"))
    for entry in entries.values():
        if "file_name" in entry and "made_by" not in entry:
            entry["file_name"] = str((DATASET_INFO.parent / entry["file_name"]).resolve())

    return entries


NOTES = ("virgo_name", "virgo_entry")
"""What we note at a dataset's attributes."""


def wrap_dataset_list(module: ModuleType) -> None:
    """Let a dataset be looked up in the package too, and keep its whole entry beside its attributes."""
    stock = module.get_dataset_list

    def __getstate__(self) -> dict[str, Any]:
        """Leave our notes out of stock datasets: `datasets` names its caches by them, and those are to stay."""
        ours = self.formatting in FORMATTINGS
        return {key: value for key, value in vars(self).items() if ours or key not in NOTES}

    module.DatasetAttr.__getstate__ = __getstate__

    def get_dataset_list(dataset_names, dataset_dir):
        names = dataset_names or []
        info = _with_packaged(names, dataset_dir)
        attributes = stock(dataset_names, info)
        ours = any(attribute.formatting in FORMATTINGS for attribute in attributes)
        entries = (info if isinstance(info, dict) else _entries(info)) if ours else {}
        for name, attribute in zip(names, attributes, strict=True):
            attribute.virgo_name = name
            attribute.virgo_entry = entries[name] if attribute.formatting in FORMATTINGS else {}

        return attributes

    rebind(stock, get_dataset_list)


def datasets_of(data_args: Any) -> list[Any]:
    """Return what LLaMA-Factory knows of a run's datasets, those of its evaluation among them."""
    from llamafactory.data.parser import get_dataset_list

    return get_dataset_list([*(data_args.dataset or []), *(data_args.eval_dataset or [])], data_args.dataset_dir)


def our_formattings(attributes: list[Any]) -> dict[str, str]:
    """Return name -> formatting of those datasets that are in one of the plugin's formattings."""
    return {
        attribute.virgo_name: attribute.formatting for attribute in attributes if attribute.formatting in FORMATTINGS
    }


def local_path(attribute: Any, dataset_dir: Any) -> Path | None:
    """Return the file, folder or pattern of a dataset on this machine; None of one of a hub, and where nothing is."""
    path = Path(str(dataset_dir), attribute.dataset_name)
    return path if attribute.load_from == "file" and (path.exists() or is_pattern(str(path))) else None


def _entries(dataset_dir: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a dataset_info.json, of which LLaMA-Factory keeps only the keys that it knows."""
    if dataset_dir.startswith("REMOTE:"):
        from huggingface_hub import hf_hub_download

        path = hf_hub_download(repo_id=dataset_dir[7:], filename="dataset_info.json", repo_type="dataset")
    else:
        path = os.path.join(dataset_dir, "dataset_info.json")

    with open(path) as file:
        return json.load(file)


def _with_packaged(names: list[str], dataset_dir: str | dict) -> str | dict:
    """Return `dataset_dir` unchanged, or the user's entries with those of the package that they lack."""
    if isinstance(dataset_dir, dict):
        info = dataset_dir
    elif dataset_dir == "ONLINE" or dataset_dir.startswith("REMOTE:"):
        return dataset_dir
    else:
        try:
            info = _entries(dataset_dir)
        except FileNotFoundError:
            info = {}
        except (OSError, ValueError):
            return dataset_dir  # stock says what is wrong with it

        if not isinstance(info, dict):
            return dataset_dir

    packaged = packaged_datasets()
    missing = [name for name in names if name not in info]
    if not missing or any(name not in packaged for name in missing):
        return dataset_dir

    for name in missing:
        _tell(name, dataset_dir if isinstance(dataset_dir, str) else "the program")

    return {**info, **{name: packaged[name] for name in missing}}


@functools.cache  # LLaMA-Factory and our hooks look a dataset up several times a run
def _tell(name: str, dataset_dir: str) -> None:
    logger.info_rank0(
        f"virgo-factory: dataset {name} is not in dataset_info.json of {dataset_dir!r}; it is taken from the package."
    )


HOOK = Hook(modules=("llamafactory.data.parser",), relies_on=RELIES_ON, apply=wrap_dataset_list)
