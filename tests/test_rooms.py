"""Imports go one way between the rooms of the house, and torch stays where a model is made or trained."""

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest


PACKAGE = Path(__file__).parents[1] / "virgo_factory"
HEAVY = {"torch", "transformers", "llamafactory", "vllm", "deepspeed"}
READ = {"core", "io", "formats", "data/read"}
ROWS = READ | {"report", "answers", "data/tokens", "data/rows"}
DATA = ROWS | {"data/check", "data/make", "data/show", "data/fetch"}
ASKING = DATA | {"rollouts"}
MAY = {
    "core": set(),
    "io": {"core"},
    "report": {"core", "io"},
    "formats": {"core", "io", "answers"},  # a prompt's options are read, and its gold tried, by what will judge it
    "answers": {"core", "io"},
    "data/read": {"core", "io", "formats"},
    "data/tokens": READ,
    "data/rows": READ | {"answers", "data/tokens"},
    "data/check": ROWS,
    "data/show": ROWS,
    "data/make": ROWS | {"data/show", "data/check"},
    "data/fetch": ROWS | {"data/make"},
    "rollouts": ROWS,
    "distill": DATA | {"rollouts"},
    "evaluation": ASKING,
    "reinforce": ASKING,
    "synthesis": ASKING,
    "preflight": ASKING,  # a checkpoint is tried as it will be served
}
"""Room -> other rooms that it may use. Those at the top of the package (version, autoload) belong to all."""

WITH_MODELS = {
    "preflight/twin/twin.py",
    "preflight/checkpoint/forward.py",
    "rollouts/servers/cpu_server.py",
    "hooks",
    "demo",
}
"""Where models are made, run, served, trained or hooked into."""


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node has inside but expressions, which are most of a file and import nothing."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from statements(child)


@functools.cache
def imports(file: Path) -> set[str]:
    """Return the modules that a file imports anywhere, those inside functions too."""
    found = set()
    for node in statements(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names}

    return found


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def room_of(module: str) -> str | None:
    """Return the room of a module of the package; None for those at its top."""
    parts = module.split(".")[1:]
    found = [room for room in ROOMS if room.split("/") == parts[: room.count("/") + 1]]
    return max(found, key=len, default=None)


ROOMS = {*MAY, "hooks", "cli", "demo"}
COMING = {"evaluation", "synthesis"}
"""Rooms whose doors are known before they are there."""


@pytest.mark.slow
@pytest.mark.parametrize("room", MAY)
def test_a_room_uses_only_rooms_before_it(room):
    assert files(room) or room in COMING
    for file in files(room):
        used = {room_of(name) for name in imports(file) if name.startswith("virgo_factory.")} - {None, room}
        assert used <= MAY[room], f"{file.relative_to(PACKAGE)} uses {used - MAY[room]}"


def test_no_files_import_each_other_in_a_circle():
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if path.stem == "__init__" else parts)] = path

    graph = {}
    for name, path in names.items():
        used = imports(path) & names.keys()
        inside = {
            one.rpartition(".")[0] for one in used
        }  # `from package import module` is no import of the package's names
        graph[name] = used - inside - {name}

    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_file_is_in_a_room():
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert {folder for folder in folders if not room_of(f"virgo_factory.{folder.replace('/', '.')}")} == {".", "data"}


def test_no_room_has_more_than_twelve_files_flat():
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        flat = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(flat) <= 12, folder


def test_torch_stays_where_models_are():
    looked_at = 0
    for file in PACKAGE.rglob("*.py"):
        place = file.relative_to(PACKAGE).as_posix()
        if place not in WITH_MODELS and place.split("/")[0] not in WITH_MODELS:
            looked_at += 1
            assert not {name.split(".")[0] for name in imports(file)} & HEAVY, place

    assert looked_at > 100
