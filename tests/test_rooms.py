"""Imports go one way between the rooms of the house, and torch stays where a model is made or trained."""

import ast
from pathlib import Path

import pytest


PACKAGE = Path(__file__).parents[1] / "virgo_factory"
HEAVY = {"torch", "transformers", "llamafactory", "vllm", "deepspeed"}
MAY = {
    "io": set(),
    "adapters": {"io"},
    "answers": {"io"},
    "datasets": {"io", "adapters", "answers"},
    "rollouts": {"io", "adapters", "answers", "datasets"},
    "distill": {"io", "adapters", "answers", "datasets", "rollouts"},
    "preflight": {"io", "adapters", "answers", "datasets"},
}
"""Room -> other rooms that it may use; the modules at the top belong to all."""

WITH_MODELS = {"preflight/twin.py", "preflight/forward.py", "hooks", "demo"}
"""Where models are made, run, trained or hooked into."""


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports anywhere, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names}

    return found


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY)
def test_a_room_uses_only_rooms_before_it(room):
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"bundle"}
    assert files(room)
    for file in files(room):
        used = {name.split(".")[1] for name in imports(file) if name.startswith("virgo_factory.")} & rooms
        assert used <= MAY[room] | {room}, f"{file.relative_to(PACKAGE)} uses {used - MAY[room] - {room}}"


def test_torch_stays_where_models_are():
    looked_at = 0
    for file in PACKAGE.rglob("*.py"):
        place = file.relative_to(PACKAGE).as_posix()
        if place not in WITH_MODELS and place.split("/")[0] not in WITH_MODELS:
            looked_at += 1
            assert not {name.split(".")[0] for name in imports(file)} & HEAVY, place

    assert looked_at > 100
