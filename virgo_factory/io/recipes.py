"""The recipes that ship with the package: which there are, what they say, and a copy of them for a user's own folder."""

import json
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from virgo_factory.core.errors import UserError
from virgo_factory.io.atomic import replace_file
from virgo_factory.io.files import DATASET_INFO, RECIPES, check_folder


SKIPPED = {"__pycache__"}


def recipe_files() -> list[str]:
    """Return every file under recipes/, as a path relative to it, in alphabetical order."""
    paths = (path for path in RECIPES.rglob("*") if path.is_file() and not SKIPPED & set(path.parts))
    return sorted(path.relative_to(RECIPES).as_posix() for path in paths)


def headline(name: str) -> str:
    """Return the first comment line of a recipe, which says what it trains; "" where there is none."""
    with open(RECIPES / name, encoding="utf-8") as file:
        line = file.readline()

    return line.lstrip("#").strip() if line.startswith("#") else ""


_TRAINING_KEYS = frozenset(
    ("stage", "do_train", "do_eval", "do_predict", "finetuning_type", "template", "cutoff_len", "export_dir")
    + ("num_train_epochs", "per_device_train_batch_size", "adapter_name_or_path", "freeze_vision_tower")
)
_DISTILLATION_KEYS = frozenset(
    (
        *("questions", "sources", "samples", "difficulty", "urls", "base_model_name_or_path"),
        *("response_format", "pool_factor"),
    )
)


def is_training(keys: Collection[str]) -> bool:
    """Whether the keys of a YAML file are those of a recipe that LLaMA-Factory runs.

    >>> is_training(["stage", "do_train", "dataset"]), is_training(["samples", "sources", "dataset"])
    (True, False)
    """
    return len(_TRAINING_KEYS.intersection(keys)) > max(1, 2 * len(_DISTILLATION_KEYS.intersection(keys)))


ASKING = {"distill": "a distillation", "evaluate": "an evaluation", "synthesize": "a synthesis"}
"""Verb that runs a configuration -> what that is called."""


def asking_verb(keys: Collection[str]) -> str:
    """Return the verb that runs a configuration with these keys; "" where it is none of those that ask models.

    >>> asking_verb(["model_name_or_path", "questions", "dataset"]), asking_verb(["benchmarks", "model_name_or_path"])
    ('distill', 'evaluate')
    >>> asking_verb(["scenes", "media_dir", "dataset"]), asking_verb(["stage", "samples"])
    ('synthesize', '')
    """
    names = set(keys)
    if "stage" not in names and "scenes" in names:
        return "synthesize"

    if names & {"benchmarks", "scorer", "benchmark_dir"} and not names & {"sources", "dataset", "stage"}:
        return "evaluate"

    return "distill" if len(names & _DISTILLATION_KEYS) > 2 * len(names & _TRAINING_KEYS) else ""


def find_recipe(name: str) -> str:
    """Return the file under recipes/ that a user means by `name`, with or without recipes/ and .yaml.

    Raises:
        ValueError: there is none; the message names the nearest one.
    """
    files = recipe_files()
    for candidate in (name, f"{name}.yaml"):
        candidate = candidate.removeprefix("recipes/")
        if candidate in files:
            return candidate

    recipes = [file.removesuffix(".yaml") for file in files if file.endswith(".yaml")]
    near = get_close_matches(name.removeprefix("recipes/").removesuffix(".yaml"), recipes, 1)
    shown = f"Did you mean {near[0]}?" if near else "All there are: virgo-factory recipes list"
    raise UserError(f"no recipe {name}. {shown}")


def read_recipe(name: str) -> str:
    """Return the text of a file under recipes/ (see `find_recipe`)."""
    return (RECIPES / find_recipe(name)).read_text(encoding="utf-8")


def copy_recipes(folder: Path, force: bool = False) -> tuple[list[str], list[str]]:
    """Copy recipes/ and the entries of dataset_info.json into `folder`, so that LLaMA-Factory runs them from there.

    Nothing is written while one file or entry in the way differs, unless `force`. Each file is written beside its
    place and moved there, so that none is ever half written; dataset_info.json comes last.

    Returns:
        The paths that were written and the names that were added to or replaced in dataset_info.json.

    Raises:
        ValueError: the folder's dataset_info.json cannot be read, or something differs; the message lists all of it.
    """
    info_file = (folder / "dataset_info.json").resolve()
    ours = json.loads(DATASET_INFO.read_text(encoding="utf-8"))
    text = read_text(info_file) if info_file.exists() else "{}\n"
    try:
        merged, names, differing = merge_entries(text, ours, force)
    except ValueError as error:
        raise UserError(f"{info_file}{error}") from None

    differing = [f"entry {name} of {info_file}" for name in differing]
    new: list[tuple[Path, bytes]] = []
    for name in recipe_files():
        content = (RECIPES / name).read_bytes()
        target = folder / "recipes" / name
        if not target.exists():
            new.append((target, content))
        elif target.read_bytes() != content:
            new.append((target, content))
            differing.append(str(target))

    if differing and not force:
        listed = "".join(f"\n  {item}" for item in differing)
        raise UserError(f"nothing was copied, because these differ (--force replaces them):{listed}")

    if names:
        new.append((info_file, merged.encode("utf-8")))

    for place in dict.fromkeys((folder, *(target.parent for target, _ in new)) if new else ()):
        check_folder(place)

    for target, content in new:
        replace_file(target, content)

    return [str(target) for target, _ in new], names


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, line ends as they are.

    Raises:
        ValueError: it is not UTF-8; the message names file and line.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text. Repair the file first.") from None


def merge_entries(text: str, entries: dict[str, dict], force: bool = False) -> tuple[str, list[str], list[str]]:
    """Return the text of a dataset_info.json with `entries` in it, the names written, and the names that differ.

    What is there keeps its order and its formatting: missing entries are put behind the last one, with the
    indentation of the file; a differing entry is replaced in its place with `force` and left alone without.

    Raises:
        ValueError: not a JSON object; the message begins with the line, to be put behind a file name.

    >>> merge_entries('{"mine": {"file_name": "a.json"}}', {"theirs": {"file_name": "b.json"}})[1:]
    (['theirs'], [])
    """
    values, spans, end = scan_object(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = "  "
    if spans:
        first_key = text.index('"')
        line_start = text.rfind("\n", 0, first_key) + 1
        before = text[line_start:first_key]
        indent = before if before and not before.strip() else indent

    def render(entry: dict) -> str:
        step = "\t" if "\t" in indent else len(indent)
        return json.dumps(entry, indent=step, ensure_ascii=False).replace("\n", newline + indent)

    written, differing, edits = [], [], []
    missing = []
    for name, entry in entries.items():
        if name not in values:
            missing.append(f"{indent}{json.dumps(name)}: {render(entry)}")
            written.append(name)
        elif values[name] != entry:
            differing.append(name)
            if force:
                written.append(name)
                edits.append((*spans[name], render(entry)))

    if missing:
        added = f",{newline}".join(missing)
        start = max((stop for _, stop in spans.values()), default=text.index("{") + 1)
        edits.append((start, end, f"{',' if spans else ''}{newline}{added}{newline}"))

    for start, stop, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[stop:]

    return text, written, differing


def scan_object(text: str) -> tuple[dict, dict[str, tuple[int, int]], int]:
    """Return a JSON object's values, where in the text each value stands, and where the closing brace stands.

    Raises:
        ValueError: not a JSON object, or a name stands in it twice; the message begins with the line.
    """
    decoder = json.JSONDecoder()

    def skip(position: int) -> int:
        while position < len(text) and text[position] in " \t\r\n":
            position += 1

        return position

    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f":{error.lineno}: broken JSON: {error.msg} (column {error.colno}). Repair it first."
        ) from None

    if not isinstance(values, dict):
        raise UserError(":1: not a JSON object of dataset names. Repair it first.")

    spans: dict[str, tuple[int, int]] = {}
    position = skip(skip(0) + 1)
    while text[position] != "}":
        key_start = position
        name, position = decoder.raw_decode(text, position)
        if name in spans:
            line = text.count("\n", 0, key_start) + 1
            raise UserError(f":{line}: {name} stands there a second time. Remove one of them first.")

        start = skip(skip(position) + 1)
        _, stop = decoder.raw_decode(text, start)
        spans[name] = (start, stop)
        position = skip(stop)
        if text[position] == ",":
            position = skip(position + 1)

    return values, spans, position
