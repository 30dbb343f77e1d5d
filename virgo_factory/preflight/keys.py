"""The keys that a recipe may have: read from the sources of LLaMA-Factory and transformers, which takes no import of them."""

import ast
import difflib
import functools
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virgo_factory.core.recipe_keys import KEYS


def unknown_keys(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return each key that LLaMA-Factory would stop a run for, with a line that names the nearest key that there is.

    Nothing where LLaMA-Factory is not installed, or ALLOW_EXTRA_ARGS is set (hparams/parser.py:106-107).
    """
    known = known_keys()
    if not known or os.environ.get("ALLOW_EXTRA_ARGS", "").lower() in ("1", "true", "y"):
        return {}

    found = {}
    for key in recipe:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Remove it."
            found[key] = f"{key}: no such key; LLaMA-Factory stops at keys that it does not know. {hint}"

    return found


@functools.cache
def known_keys() -> frozenset[str]:
    """Return every key of LLaMA-Factory's, transformers' and our arguments; none where LLaMA-Factory is not installed."""
    packages = {name: importlib.util.find_spec(name) for name in ("llamafactory", "transformers")}
    if not all(packages.values()):
        return frozenset()

    folders = {name: Path(spec.origin).parent for name, spec in packages.items()}
    files = [
        *sorted((folders["llamafactory"] / "hparams").glob("*.py")),
        folders["transformers"] / "training_args.py",
        folders["transformers"] / "training_args_seq2seq.py",
    ]
    return frozenset(KEYS) | {name for file in files for name in _fields(file)}


def _fields(file: Path) -> list[str]:
    """Return the annotated attributes of a file's classes, which is what fields of dataclasses are."""
    return [
        line.target.id
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    ]
