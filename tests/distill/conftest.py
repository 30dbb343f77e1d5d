"""The replay server for the tests of this folder."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def replaying() -> ModuleType:
    """The module replay.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("replay", Path(__file__).with_name("replay.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["replay"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start_replay(replaying, shared_data):
    """A function that starts a replay server with options, stopped at the test's end: `start_replay(share_429=0.1).url`."""
    import contextlib

    with contextlib.ExitStack() as stack:
        files = sorted((shared_data / "skythought").glob("*.json*"))
        yield lambda **options: stack.enter_context(replaying.replay(files, **options))
