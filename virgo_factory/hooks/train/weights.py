"""A checkpoint's weights into a model that has other names for them than it saves them under.

transformers 4.52 to 5.5 load them by the names that they were saved under (trainer.py, `_load_from_checkpoint`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.versions import renaming


RELIES_ON = {
    "transformers/trainer.py:2987": "                load_result = model.load_state_dict(state_dict, False)\n"
}


def load_weights(model: Any, checkpoint: Path) -> None:
    """Load a checkpoint's weights into a model whose saved key names may differ from its own.

    Raises:
        ValueError: a parameter of the model is not in the checkpoint, or the other way round, or has another shape.
    """
    own, rename = model.state_dict(), renaming(model)
    loaded = set()
    for saved, tensor in saved_tensors(checkpoint):
        name = rename(saved)
        name = name if name in own else saved  # few families are saved under other names than their own
        if name not in own:
            raise UserError(f"{checkpoint}: {saved} is no parameter of this model.")

        if own[name].shape != tensor.shape:
            raise UserError(
                f"{checkpoint}: {saved} has the shape {tuple(tensor.shape)}, this model's {tuple(own[name].shape)}."
            )

        with torch.no_grad():
            own[name].copy_(tensor)

        loaded |= {name, own[name].data_ptr()}

    unsaved = set(getattr(model, "_keys_to_ignore_on_save", None) or [])
    missing = [
        name
        for name, tensor in own.items()
        if name not in loaded | unsaved and tensor.data_ptr() not in loaded  # a tied weight is saved once
    ]
    if missing:
        raise UserError(f"{checkpoint}: no weights for {', '.join(sorted(missing)[:5])} ({len(missing)} parameters).")


def saved_names(checkpoint: Path) -> list[str]:
    """Return the names of the tensors of a saved model that are in safetensors; [] where there are none.

    Raises:
        ValueError: a shard is missing.
    """
    names = []
    for file in _files(checkpoint, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME):
        with safe_open(file, framework="pt") as tensors:
            names += tensors.keys()

    return names


def saved_tensors(checkpoint: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and tensor of a saved model, one at a time: safetensors or PyTorch's own files, in shards or whole.

    Raises:
        ValueError: there are none, or a shard is missing.
    """
    for index, whole in ((SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME), (WEIGHTS_INDEX_NAME, WEIGHTS_NAME)):
        files = _files(checkpoint, index, whole)
        if not files:
            continue

        for file in files:
            if whole == WEIGHTS_NAME:
                yield from torch.load(file, map_location="cpu", weights_only=True, mmap=True).items()
                continue

            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (not a dictionary)
                    yield name, tensors.get_tensor(name)

        return

    raise UserError(f"{checkpoint}: no weights in it.")


def _files(checkpoint: Path, index: str, whole: str) -> list[Path]:
    files = [checkpoint / whole]
    if (checkpoint / index).is_file():
        shards = json.loads((checkpoint / index).read_text(encoding="utf-8"))["weight_map"].values()
        files = [checkpoint / name for name in sorted(set(shards))]
    elif not files[0].is_file():
        return []

    if lacking := [file.name for file in files if not file.is_file()]:
        raise UserError(f"{checkpoint}: {', '.join(lacking)} of its weights is missing.")

    return files
