"""What a hook is, and the two things that it may do to LLaMA-Factory: `replace` and `rebind`.

Every hook is a file beside this one with a `HOOK`; virgo_factory/autoload.py lists them all.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Hook:
    """One place where the plugin puts itself into LLaMA-Factory.

    Attributes:
        modules: of LLaMA-Factory; `apply` is called with each, once a process, right after it has run.
        relies_on: `file:line` below site-packages -> the text that begins there, which the hook was written against. A
            file of this room that only helps hooks has a RELIES_ON of the same form (tests/hooks/test_contract.py).
        apply: puts ours into the module. What it raises makes every run of ours refuse to start, and no other run.
    """

    modules: tuple[str, ...]
    relies_on: Mapping[str, str]
    apply: Callable[[ModuleType], None]


_replacements: dict[tuple[str, str], list[Any]] = {}
"""(module, name) -> what was put there, in turn."""
_rebound: list[Any] = []
"""What no module of LLaMA-Factory is to hold any more."""


def replace(module: ModuleType, name: str, new: Any) -> None:
    """Replace what a module of LLaMA-Factory holds by a name, in this module only."""
    _replacements.setdefault((module.__name__, name), []).append(new)
    setattr(module, name, new)


def rebind(old: Any, new: Any) -> None:
    """Replace `old` by `new` in every loaded module of LLaMA-Factory, also inside module-level lists.

    Needed where a module was imported before the plugin (`import llamafactory.hparams` runs `data_args` before torch):
    its importers then hold the old object by name, and the parser holds it in the lists of argument classes.
    """
    _rebound.append(old)
    for module in _loaded():
        for key, value in list(vars(module).items()):
            if value is old:
                replace(module, key, new)
            elif isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]


def not_acting() -> list[str]:
    """Return the names, with their modules, under which LLaMA-Factory's own object stands where ours was put.

    What somebody else has put around ours is not among them.
    """
    ours = {id(new) for news in _replacements.values() for new in news}
    stock = {id(old) for old in _rebound} - ours
    loaded = {module.__name__: vars(module) for module in _loaded()}
    found = []
    for module, held in loaded.items():
        if not stock.isdisjoint(map(id, list(held.values()))):  # ten thousand values in each call
            found += [f"{module}.{name}" for name, value in list(held.items()) if id(value) in stock]

    known = ours | stock
    for module, name in _replacements:
        value = loaded.get(module, {}).get(name)
        if (
            id(value) not in known
            and str(getattr(value, "__module__", "")).startswith("llamafactory.")
            and not hasattr(value, "__wrapped__")
        ):
            found.append(f"{module}.{name}")

    return found


def _loaded() -> list[ModuleType]:
    names = [name for name in list(sys.modules) if name.startswith("llamafactory")]
    modules = [sys.modules.get(name) for name in names if name.partition(".")[0] == "llamafactory"]
    return [module for module in modules if module is not None]
