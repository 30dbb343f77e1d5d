"""The keys that a recipe may have, and what each may be: from the sources of LLaMA-Factory and transformers, without an import of them."""

import ast
import difflib
import functools
import importlib.util
import os
from collections.abc import Iterator, Mapping
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


def wrong_stock_values(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return each of LLaMA-Factory's and transformers' keys with a value that stops a run -> a line that says what it may be.

    What is no number where a number is asked for, and what is none of a key's choices; null is taken as stock's default.
    Nothing where LLaMA-Factory is not installed.
    """
    kinds, found = _kinds(), {}
    for key, value in recipe.items():
        kind = kinds.get(key)
        if value is None or kind is None:
            continue

        if kind == NUMBER:
            if not isinstance(value, int | float):
                found[key] = f"{key}: {value!r} is not a number."
        elif value not in kind:
            found[key] = f"{key}: {value!r} is not one of {', '.join(map(str, kind))}."

    epochs, steps = recipe.get("num_train_epochs"), recipe.get("max_steps")
    if kinds and isinstance(epochs, int | float) and "max_steps" not in found:
        if not (epochs > 0 or (steps or 0) > 0):
            found["num_train_epochs"] = f"num_train_epochs: {epochs!r} trains nothing. Give a number above 0."

    return found


NUMBER = ("a number",)
"""What `_kind` says of a key that takes an int or a float."""


@functools.cache
def known_keys() -> frozenset[str]:
    """Return every key of LLaMA-Factory's, transformers' and our arguments; none where LLaMA-Factory is not installed."""
    return frozenset(KEYS).union(_fields()) if _fields() else frozenset()


@functools.cache
def _kinds() -> dict[str, tuple[Any, ...]]:
    """Return key -> NUMBER, or its choices; keys that take anything else are not among them."""
    enums = {
        node.name: tuple(
            value.value
            for line in node.body
            if isinstance(line, ast.Assign)
            if isinstance(value := line.value, ast.Constant)
        )
        for node in _classes("llamafactory/extras/constants.py", "transformers/trainer_utils.py", _TRAINING)
    }
    kinds = {key: kind for key, annotation in _fields().items() if (kind := _kind(annotation, enums))}
    return kinds | {"stage": (*kinds["stage"], "grpo")} if "stage" in kinds else kinds


_TRAINING = "transformers/training_args.py"


@functools.cache
def _fields() -> dict[str, ast.expr]:
    """Return the annotated attributes of the argument classes, which is what fields of dataclasses are."""
    return {
        line.target.id: line.annotation
        for node in _classes("llamafactory/hparams/*.py", _TRAINING, "transformers/training_args_seq2seq.py")
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def _classes(*patterns: str) -> Iterator[ast.ClassDef]:
    """Yield the classes of files such as `transformers/training_args.py`; none where a package is not installed."""
    packages = {name: importlib.util.find_spec(name) for name in ("llamafactory", "transformers")}
    if all(packages.values()):
        for name, _, pattern in (one.partition("/") for one in patterns):
            for file in sorted(Path(packages[name].origin).parent.glob(pattern)):
                body = ast.parse(file.read_text(encoding="utf-8")).body
                yield from (node for node in body if isinstance(node, ast.ClassDef))


def _kind(annotation: ast.expr, enums: Mapping[str, tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return NUMBER, or the choices of a field by its annotation; () for what takes anything else.

    >>> [_kind(ast.parse(text).body[0].value, {"E": ("a", "b")}) for text in ("float | None", "Union[E, str]", "str")]
    [('a number',), ('a', 'b'), ()]
    """
    parts = _parts(annotation)
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    if names and names <= {"int", "float"} and len(parts) == len(names):
        return NUMBER

    if len(parts) == 1 and isinstance(parts[0], ast.Subscript) and ast.unparse(parts[0].value) == "Literal":
        return ast.literal_eval(parts[0].slice) if isinstance(parts[0].slice, ast.Tuple) else ()

    named = [enums[name] for name in names if name in enums]
    return named[0] if len(named) == 1 and len(parts) == len(names) and names <= {*enums, "str"} else ()


def _parts(annotation: ast.expr) -> list[ast.expr]:
    """Return the members of a union other than None; of anything else itself."""
    if isinstance(annotation, ast.BinOp):
        return _parts(annotation.left) + _parts(annotation.right)

    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in ("Optional", "Union"):
        inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return [part for one in inner for part in _parts(one)]

    return [] if isinstance(annotation, ast.Constant) and annotation.value is None else [annotation]
