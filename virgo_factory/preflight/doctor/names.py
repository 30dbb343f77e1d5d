"""Names in a recipe that there are not, told with the nearest ones before LLaMA-Factory's ten seconds of imports.

Keys, values, templates, datasets and DeepSpeed files; only what is certain to end the run, and only where the run is one of ours or the
name is nearly one of ours: all else is LLaMA-Factory's to tell.
"""

import difflib
import functools
import importlib.util
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.core.recipe_keys import KEYS, wrong_values
from virgo_factory.io.recipes import ASKING, asking_verb
from virgo_factory.preflight.keys import unknown_keys, wrong_stock_values
from virgo_factory.preflight.zero import file_problem
from virgo_factory.report.text import quoted


COMMANDS = ("train", "api", "chat", "export", "webchat")
"""Of llamafactory-cli, those that take a recipe."""

NEAR = 0.75
"""How alike two names are (difflib) of which one is taken for a slip of the pen."""


def check_command_line(argv: Sequence[str]) -> None:
    """End this process, with one message, where it is LLaMA-Factory's and its recipe names what there is not.

    The message is the code of SystemExit, on rank 0 alone.
    """
    found = recipe_of(argv)
    if found is None or any(os.environ.get(name, "0").lower() in ("1", "true", "y") for name in ("USE_MCA", "USE_V1")):
        return

    path, recipe = found
    verb = asking_verb(recipe)
    told = f"this is the configuration of {ASKING.get(verb)}, not a training recipe. Run it with:"
    problems = [f"{told} virgo-factory {verb} run {quoted(path)}"] if verb else misspelt(recipe)
    if problems:
        is_first = os.environ.get("LOCAL_RANK", "0") == "0"
        lines = "".join(f"\n  - {problem}" for problem in problems)
        sys.exit(f"virgo-factory: {path}{lines}" if is_first else 1)


def recipe_of(argv: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """Return path and keys of the recipe that a process of LLaMA-Factory was called with; None for everything else."""
    program = Path(argv[0]) if argv else Path()
    if program.name in ("llamafactory-cli", "lmf", "llamafactory-cli.exe", "lmf.exe", "cli.py"):
        if (
            len(argv) < 2
            or argv[1] not in COMMANDS
            or (program.name == "cli.py" and program.parent.name != "llamafactory")
        ):
            return None

        arguments = argv[2:]
    elif program.name == "launcher.py" and program.parent.name == "llamafactory":  # a rank under torchrun
        arguments = argv[1:]
    else:
        return None

    if not arguments or Path(arguments[0]).suffix not in (".yaml", ".yml", ".json"):
        return None

    from virgo_factory.io.yaml_text import read_yaml

    recipe = read_yaml(Path(arguments[0]).read_text(encoding="utf-8"))  # JSON is YAML
    if not isinstance(recipe, dict):
        return None

    for argument in arguments[1:]:
        key, is_value, value = argument.partition("=")
        if is_value and key.isidentifier():
            recipe[key] = read_yaml(value)

    if program.name != "launcher.py" and argv[1] != "train":  # only a training looks datasets up
        recipe = {key: value for key, value in recipe.items() if key not in ("dataset", "eval_dataset")}

    return arguments[0], recipe


def misspelt(recipe: Mapping[str, Any]) -> list[str]:
    """Return a line for each key, value, template, dataset and DeepSpeed file that a recipe names and there is not."""
    ours = uses_plugin(recipe)
    problems = []
    for key, line in unknown_keys(recipe).items():
        if ours or difflib.get_close_matches(str(key), KEYS, cutoff=NEAR):
            problems.append(line)

    if ours and recipe.get("do_train"):
        said = {key: value for key, value in recipe.items() if "${" not in str(value)}  # OmegaConf's to fill in
        problems += (wrong_values(said) | wrong_stock_values(said)).values()

    if problem := unknown_template(recipe.get("template"), {*TEMPLATES, *stock_templates()}, ours):
        problems.append(problem)

    if ours and (problem := file_problem(recipe.get("deepspeed"))):
        problems.append(problem)

    return problems + unknown_datasets(recipe, ours)


def unknown_template(template: Any, known: Collection[str], ours: bool) -> str | None:
    """Return a line about a template that there is not, with the nearest one; None where there is nothing to tell.

    Of a run that is not ours, and without LLaMA-Factory's names among the known ones, only a name that is nearly one
    of ours is told.
    """
    if not isinstance(template, str) or template in known or "${" in template:
        return None

    near = _near(template, TEMPLATES) or _near(template, sorted(known), 0.6)
    if near not in TEMPLATES and not (ours and len(known) > len(TEMPLATES)):
        return None

    hint = f"Did you mean {near}?" if near else f"Ours are {', '.join(TEMPLATES)}."
    return f"template: {template}: no such template. {hint}"


@functools.cache
def stock_templates() -> tuple[str, ...]:
    """Return the names of LLaMA-Factory's templates, read from its source; none where it is not installed."""
    spec = importlib.util.find_spec("llamafactory")
    if spec is None:
        return ()

    source = Path(spec.origin).with_name("data") / "template.py"
    return tuple(re.findall(r'(?m)^register_template\(\s*name="([^"]+)"', source.read_text(encoding="utf-8")))


def unknown_datasets(recipe: Mapping[str, Any], ours: bool) -> list[str]:
    """Return a line for each dataset that a recipe names and there is not, with the nearest one.

    Of a run that is not ours only names that are nearly those of our datasets are told.
    """
    entries, places = _entries(recipe)
    if entries is None or recipe.get("tokenized_path"):
        return []

    own = [name for name, entry in entries.items() if _is_ours(entry)]
    problems = []
    for name in _names(recipe):
        if name not in entries and (ours or _near(name, own)):
            near = _near(name, entries, 0.6)
            hint = f"Did you mean {near}?" if near else f"There are: {', '.join(sorted(entries))}."
            if name in (_entries({"dataset_dir": "."})[0] or ()):
                hint = "It is in that of the current folder: say dataset_dir: ."

            problems.append(f"dataset: {name}: not in {places}. {hint}")

    return problems


TEMPLATES = ("virgo", "virgo_qwen3_vl", "omr", "think_qwen3_vl")
"""Ours. Those of LLaMA-Factory are none of them near (tests/preflight/doctor/test_names.py)."""


def uses_plugin(recipe: Mapping[str, Any]) -> bool:
    """Whether a run is one of ours: by its template, its stage, a key, or the formatting of a dataset."""
    named = recipe.get("template") in TEMPLATES or recipe.get("stage") == "grpo"
    if named or any(recipe.get(key) is not None for key in KEYS):
        return True

    entries = _entries(recipe)[0] or {}
    return any(_is_ours(entries.get(name)) for name in _names(recipe))


def _is_ours(entry: Any) -> bool:
    from virgo_factory.formats import FORMATTINGS

    return isinstance(entry, dict) and entry.get("formatting") in FORMATTINGS


def _names(recipe: Mapping[str, Any]) -> list[str]:
    names = []
    for value in (recipe.get("dataset"), recipe.get("eval_dataset")):
        listed = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else []
        names += [name.strip() for name in listed if isinstance(name, str) and "${" not in name]

    return [name for name in names if name]


def _entries(recipe: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the datasets that a run would find, and where; None where that is not in a local file."""
    from virgo_factory.io.files import DATASET_INFO

    folder = recipe.get("dataset_dir", "data")
    if not isinstance(folder, str) or folder == "ONLINE" or folder.startswith("REMOTE:") or "${" in folder:
        return None, ""

    path = Path(folder, DATASET_INFO.name)
    try:
        own = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        own = {}
    except (OSError, ValueError):
        return None, ""  # LLaMA-Factory says what is wrong with it

    if not isinstance(own, dict):
        return None, ""

    packaged = json.loads(DATASET_INFO.read_text(encoding="utf-8"))
    return packaged | own, f"{path}{'' if own or path.is_file() else ' (no such file)'} nor among those of the package"


def _near(name: str, names: Iterable[str] | Collection[str], cutoff: float = NEAR) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(names), 1, cutoff)), None)
