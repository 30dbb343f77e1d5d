"""A tiny model and what a real training made of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from tests.cli.conftest import call
from tests.integration.conftest import forked_loading
from virgo_factory.preflight.twin.twin import make_twin


__all__ = ["FILE", "Weights", "call", "edited", "forked_loading", "put"]

FILE = "model.safetensors"
Weights = dict[str, torch.Tensor]


def edited(folder: Path, change: Callable[[Weights], object], name: str = FILE) -> Path:
    """Change the weights of a folder; a link to another model's file leaves that as it was."""
    weights = load_file(folder / name)
    change(weights)
    (folder / name).unlink()
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / name, metadata={"format": "pt"})
    return folder


def put(name: str, value: float, rows: slice | int | tuple = slice(None)) -> Callable[[Weights], None]:
    return lambda weights: weights[name].__setitem__(rows, value)


def train_twin(base: Path, folder: Path) -> Path:
    """Train the language model for some steps in bfloat16, as LLaMA-Factory does with `pure_bf16`, and save it."""
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.bfloat16)
    model.model.visual.requires_grad_(False)
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=1e-3)
    for _ in range(12):
        ids = torch.randint(0, 600, (2, 24))
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    shutil.copytree(base, folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def train() -> Callable[[Path, Path], Path]:
    return train_twin


@pytest.fixture(scope="session")
def twin_and_trained(tmp_path_factory) -> tuple[Path, Path]:
    """Folders of a base with four layers and of the model that was trained from it; not to be changed."""
    folder = tmp_path_factory.mktemp("twin")
    base = make_twin(folder / "base", layers=4, vision_layers=3)
    return base, train_twin(base, folder / "trained")
