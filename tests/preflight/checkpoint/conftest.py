"""The base of the tests, what was trained from it, and a copy of that to be spoilt."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def base(twin_and_trained) -> Path:
    return twin_and_trained[0]


@pytest.fixture
def whole(twin_and_trained) -> Path:
    return twin_and_trained[1]


@pytest.fixture
def trained(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "trained"))
