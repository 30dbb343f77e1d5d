"""Put a replacement for a class or function of LLaMA-Factory wherever it has been imported to already."""

import sys
from typing import Any


def rebind(old: Any, new: Any) -> None:
    """Replace `old` by `new` in every loaded module of LLaMA-Factory, also inside module-level lists.

    Needed where a module was imported before the plugin (`import llamafactory.hparams` runs `data_args` before torch):
    its importers then hold the old object by name, and the parser holds it in the lists of argument classes.
    """
    for name, module in list(sys.modules.items()):
        if module is None or not (name == "llamafactory" or name.startswith("llamafactory.")):
            continue

        for key, value in list(vars(module).items()):
            if value is old:
                setattr(module, key, new)
            elif isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
