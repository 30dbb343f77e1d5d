"""The examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest


pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FILES = [path for path in sorted((ROOT / "virgo_factory").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT / "virgo_factory").as_posix())
def test_examples(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(parts[:-1] if file.stem == "__init__" else parts))
    done = doctest.testmod(module)
    assert done.attempted and not done.failed
