"""The replay server, and folders of distillations, for the tests of this folder."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """Return a module beside this file, which is no package's."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def replaying() -> ModuleType:
    """The module replay.py."""
    return load("replay")


@pytest.fixture(scope="session")
def folders() -> ModuleType:
    """The module folders.py."""
    return load("folders")


@pytest.fixture
def start_replay(replaying, shared_data):
    """A function that starts a replay server with options, stopped at the test's end: `start_replay(share_429=0.1).url`."""
    import contextlib

    with contextlib.ExitStack() as stack:
        files = sorted((shared_data / "skythought").glob("*.json*"))
        yield lambda **options: stack.enter_context(replaying.replay(files, **options))
