"""What every test may rely on: no network, and the shared real data where it exists."""

import os
from pathlib import Path


# Before any import of transformers or datasets; child processes inherit it.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; a test that needs it is skipped where it does not exist."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
