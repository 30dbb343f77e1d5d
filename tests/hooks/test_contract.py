"""The lines of LLaMA-Factory that the hooks rely on are still there; else it says which hook and which file."""

import ast
import importlib
import importlib.util
import inspect
from pathlib import Path

import pytest

from virgo_factory.autoload import HOOKS, TESTED


FOLDER = Path(importlib.util.find_spec("virgo_factory.hooks").origin).parent
HOOK_FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
STOCK = Path(importlib.util.find_spec("llamafactory").origin).parent


def relies_on(name):
    """Return RELIES_ON of a hook file without importing it; None where it has none."""
    for node in ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "RELIES_ON":
            return ast.literal_eval(node.value)

    return None


def changed_lines(name, quoted, stock):
    """Return one sentence for every quoted text that is not in its file below the folder `stock`."""
    problems = []
    for file, texts in quoted.items():
        path = stock / file
        content = path.read_text(encoding="utf-8") if path.is_file() else None
        for text in texts:
            if content is None:
                problems.append(f"virgo_factory/hooks/{name}.py relies on llamafactory/{file}, which is gone.")
            elif text not in content:
                problems.append(
                    f"virgo_factory/hooks/{name}.py relies on llamafactory/{file}, where this has changed:\n{text}"
                )

    return problems


CONTRACTS = {name: quoted for name in HOOK_FILES if (quoted := relies_on(name)) is not None}


def test_every_hook_states_its_contract():
    hooked = {target.split(":")[0] for target in HOOKS.values()}
    assert hooked <= set(HOOK_FILES)
    assert hooked | {"rows"} <= set(CONTRACTS)
    assert all(texts and all(texts) for quoted in CONTRACTS.values() for texts in quoted.values())


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_the_lines_are_there(name):
    problems = changed_lines(name, CONTRACTS[name], STOCK)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_a_changed_line_is_found_and_named(name, tmp_path):
    """Every quoted line is changed in a copy of its file, one after the other: the check must see each."""
    for file, texts in CONTRACTS[name].items():
        copy = tmp_path / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        for text in texts:
            content = (STOCK / file).read_text(encoding="utf-8")
            middle = len(text) // 2
            copy.write_text(content.replace(text, f"{text[:middle]}#{text[middle:]}"), encoding="utf-8")
            problems = changed_lines(name, {file: [text]}, tmp_path)
            assert len(problems) == 1
            assert f"hooks/{name}.py" in problems[0] and f"llamafactory/{file}" in problems[0] and text in problems[0]

        copy.unlink()
        assert changed_lines(name, {file: texts}, tmp_path) == [
            f"virgo_factory/hooks/{name}.py relies on llamafactory/{file}, which is gone."
        ] * len(texts)


@pytest.mark.parametrize(("module", "hook"), HOOKS.items())
def test_every_hook_and_its_module_exist(module, hook):
    place = STOCK / Path(*module.split(".")[1:])
    assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
    file, function = hook.split(":")
    hook = getattr(importlib.import_module(f"virgo_factory.hooks.{file}"), function)
    assert list(inspect.signature(hook).parameters) == ["module"]


def test_every_hook_has_been_applied_here():
    importlib.import_module("llamafactory.train.tuner")
    autoload = importlib.import_module("virgo_factory.autoload")
    assert autoload.failures == {}


def test_the_installed_version_is_a_tested_one():
    assert importlib.metadata.version("llamafactory") in TESTED


def test_nothing_but_hooks_and_autoload_knows_hooks():
    package = FOLDER.parent
    users = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if path.parent != FOLDER and "virgo_factory.hooks" in path.read_text(encoding="utf-8")
    ]
    assert users == ["autoload.py"]
