"""Put a replacement for a class or function of LLaMA-Factory wherever it has been imported to already, and see it stay."""

import sys
from types import ModuleType
from typing import Any


_replacements: dict[tuple[str, str], list[Any]] = {}
"""(module, name) -> what was put there, in turn."""
_rebound: list[Any] = []
"""What no module of LLaMA-Factory is to hold any more."""


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


def replace(module: ModuleType, name: str, new: Any) -> None:
    """Replace what a module of LLaMA-Factory holds by a name, in this module only."""
    _replacements.setdefault((module.__name__, name), []).append(new)
    setattr(module, name, new)


def not_acting() -> list[str]:
    """Return the names, with their modules, under which LLaMA-Factory's own object stands where ours was put.

    What somebody else has put around ours is not among them.
    """
    ours = {id(new) for news in _replacements.values() for new in news}
    stock = {id(old) for old in _rebound} - ours
    found = []
    for module in _loaded():
        for name, value in list(vars(module).items()):
            reloaded = (
                (module.__name__, name) in _replacements
                and id(value) not in ours
                and str(getattr(value, "__module__", "")).startswith("llamafactory.")
                and not hasattr(value, "__wrapped__")
            )
            if reloaded or id(value) in stock:
                found.append(f"{module.__name__}.{name}")

    return found


def _loaded() -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if module is not None and (name == "llamafactory" or name.startswith("llamafactory."))
    ]
