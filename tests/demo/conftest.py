"""A folder with the recipes, in which demos run."""

import shutil
from pathlib import Path

import pytest

from virgo_factory.io.files import DATASET_INFO, RECIPES


def with_recipes(folder: Path) -> Path:
    """Return a folder that has the recipes, as `virgo-factory recipes copy` leaves it."""
    (folder / "recipes").symlink_to(RECIPES.resolve())
    shutil.copy(DATASET_INFO, folder / "dataset_info.json")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, which has the recipes and nothing else."""
    monkeypatch.chdir(with_recipes(tmp_path))
    return tmp_path
