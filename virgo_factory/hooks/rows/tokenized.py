"""A tokenised dataset on disk (`tokenized_path`), with the account and the settings of its rows beside it."""

import json
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from virgo_factory.core.errors import UserError
from virgo_factory.data.rows.account import FILE_NAME, DatasetAccount, from_json


def dataset_dict(module: dict[str, Any]) -> DatasetDict:
    """Return what LLaMA-Factory's get_dataset_module (data/data_utils.py:148) takes apart."""
    evaluation = module.get("eval_dataset")
    parts = {"train": module.get("train_dataset")}
    if isinstance(evaluation, dict):
        parts |= {f"validation_{name}": part for name, part in evaluation.items()}
    else:
        parts["validation"] = evaluation

    return DatasetDict({name: part for name, part in parts.items() if part is not None})


def read_tokenized(folder: Path, settings: dict[str, Any]) -> list[DatasetAccount]:
    """Return the accounts stored beside a tokenised dataset, if it was made with these settings."""
    where = f"tokenized_path: {folder}"
    if not (folder / FILE_NAME).is_file():
        raise UserError(
            f"{where} holds rows without a row account ({FILE_NAME}): they were made without virgo-factory, or their "
            "making was cut short. Delete the folder, or choose another tokenized_path."
        )

    stored = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    then = stored["settings"]
    changed = [
        f"{key}: {then.get(key)!r} there, {settings.get(key)!r} now"
        for key in dict.fromkeys([*then, *settings])
        if then.get(key) != settings.get(key)
    ]
    if changed:
        raise UserError(
            f"{where} holds rows made with other settings; training on them would not be what the recipe says. "
            "Delete the folder, or choose another tokenized_path.\n  " + "\n  ".join(changed)
        )

    return from_json(stored)
