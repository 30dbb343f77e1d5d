"""Which rows are meant: a dataset's name, a recipe or a file -> the files to read, and the settings to read them with."""

import json
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.policy import Policy
from virgo_factory.core.recipe_keys import COUNTS, RL_DEFAULTS, check_keys
from virgo_factory.data.read.data_files import data_files, is_archive, is_pattern, part_files
from virgo_factory.data.read.files.chunks import DATA_SUFFIXES, PACKED, is_data_file, suffix_of
from virgo_factory.data.read.files.json_values import DECODER, KeyTwice
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.read.reader import (
    all_broken,
    count_rows,
    cut_file,
    first_row,
    place_of,
    read_chunk,
)
from virgo_factory.data.read.split import check_entry, named_parts, row_ranges
from virgo_factory.data.read.templates import TEMPLATE_TAGS, template_problem
from virgo_factory.formats import FORMATTINGS, Options, options_of, read_row
from virgo_factory.formats.families.questions import shows_prompts
from virgo_factory.io.files import DATASET_INFO, RECIPES
from virgo_factory.io.recipes import ASKING, asking_verb, find_recipe


INFO = "dataset_info.json"
STOCK_FORMATTINGS = ("alpaca", "sharegpt", "openai")
"""LLaMA-Factory's own `formatting` names (llamafactory/data/parser.py:30); their rows are not ours to judge."""

STOCK_CUTOFF_LEN = 2048
"""LLaMA-Factory's `cutoff_len` where a recipe does not say (llamafactory/hparams/data_args.py:46)."""

PREFIX_TEMPLATES = tuple(TEMPLATE_TAGS)
"""Templates that a run takes a question prefix with (hooks/start/run.py)."""

_COUNTS = (*COUNTS, "cutoff_len", "image_min_pixels", "image_max_pixels", "max_samples")
_KEYS = {"model_name_or_path": "tokenizer"}
"""Recipe key -> the field of Settings that has another name."""


@dataclass(frozen=True)
class Source:
    """One dataset: its files and how their rows are read."""

    name: str  # in dataset_info.json, or the file's or folder's
    files: tuple[Path, ...]  # in the order in which they are read
    formatting: str  # one of ours (`formats.FORMATTINGS`), or one of LLaMA-Factory's, whose rows are only counted
    media_dir: Path  # folder of the rows' image paths
    options: Options = field(default_factory=Options)  # of the formats
    entry: Mapping[str, Any] = field(default_factory=dict)  # of dataset_info.json; {} for a file
    hub: str | None = None  # the dataset's id on the Hugging Face hub; None for local files
    role: str = "train"  # `train`, or `eval` for a dataset of a recipe's `eval_dataset`
    # which rows of the files the entry's `split` means, counted over all files from 0; None: all
    ranges: tuple[range, ...] | None = None

    def positions(self, number: int) -> range:
        """Return where a row of the files stands in the dataset: nowhere where the split leaves it out, twice in `a+a`.

        `number`: of the row over all files, from 0. Rows of a split keep the order of the files.
        """
        if self.ranges is None:
            return range(number, number + 1)

        before = sum(min(max(number - part.start, 0), len(part)) for part in self.ranges)
        return range(before, before + sum(number in part for part in self.ranges))

    @property
    def is_ours(self) -> bool:
        """Whether a format reads the rows; those of other formattings are counted, not checked."""
        return self.formatting in FORMATTINGS


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source."""

    source: int  # position of the source among those that were asked for
    number: int  # position in the source, from 0, over all of its files; of the rows that its split means
    file: str
    line: int  # as `ReadRow.line`; 0 in a table (Parquet, Arrow)
    raw: Any  # the decoded row
    problem: str = ""  # why it could not be read; "" for a row

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return place_of(self.file, self.line, self.number)


def raw_rows(source: Source, index: int = 0, read: Callable[[int], None] = lambda more: None) -> Iterator[SourceRow]:
    """Yield the rows of a source, those with a problem among them, file after file; memory does not grow with them.

    `index` is the source's position among the sources, for `SourceRow.source`; `read` is told how many more bytes have been
    read. Raises UnreadableFile for a file that is not what its name says.
    """
    number = 0
    for file in source.files:
        for chunk in cut_file(file):
            for row in read_chunk(chunk):
                for position in source.positions(number):
                    yield SourceRow(index, position, chunk.file, row.line, row.raw, row.problem)

                number += 1

            read(chunk.bytes)


def read_source(source: Source, index: int = 0) -> Iterator[SourceRow]:
    """Yield the rows of a source that can be read, see `raw_rows`.

    Raises UnreadableFile for a file that is not what its name says, or has broken rows: all are told at once (up to 20),
    after the good rows of all files have been yielded.
    """
    broken = []
    for row in raw_rows(source, index):
        if row.problem:
            broken.append(f"{row.place}: {row.problem}")
        else:
            yield row

    if broken:
        raise all_broken(broken)


@dataclass(frozen=True)
class Settings:
    """What decides about a row: the recipe keys of the same names, with the values that a run would use."""

    # a folder or a hub id (`model_name_or_path` of a recipe); None: tokens are not counted
    tokenizer: str | None = None
    template: str = "virgo"
    question_prefix: str | None = None
    cutoff_len: int | None = None  # in tokens, as the run uses it (`packing` takes one); None: no limit
    image_min_pixels: int = 32 * 32
    image_max_pixels: int = 768 * 768
    overlong: str = "drop"
    malformed: str = "drop"
    min_response_tokens: int | None = None
    max_response_tokens: int | None = None
    marker_tokens: bool = False
    max_samples: int | None = None  # rows of each dataset that a run draws, the first ones; None: all
    default_system: str | None = None  # system message of rows without one, in place of the template's

    def __post_init__(self) -> None:
        """Raise ValueError, naming the allowed values, for a value that no run could have."""
        check_keys(vars(self), _COUNTS)
        if read_prefix(self.question_prefix) and self.template not in PREFIX_TEMPLATES:
            raise UserError(
                f"question_prefix: needs template: {' or '.join(PREFIX_TEMPLATES)}, whose chat template is saved with it; "
                f"not {self.template!r}."
            )

    def policy(self) -> Policy:
        """Return what a run asks of rows of ours."""
        bounds = self.min_response_tokens, self.max_response_tokens
        return Policy(self.cutoff_len, self.overlong == "truncate", *bounds)


_SETTINGS = tuple(item.name for item in fields(Settings))
_PLACES = ("media_dir", "formatting")


def find_sources(
    what: str, dataset_dir: str | Path | None = None, changes: Mapping[str, Any] | None = None, **overrides: Any
) -> tuple[list[Source], Settings]:
    """Return the sources that `what` means, in order, and the settings that decide about their rows.

    `what` is a name in dataset_info.json (several with commas), a recipe (a .yaml file, or the name of one that ships with
    the package), or a data file (.jsonl, .json, .csv, .parquet, packed by gzip or not), a folder or a pattern of them, or
    what `save_to_disk` wrote, read as `shown_formatting` says. `dataset_dir` is the folder of dataset_info.json, by default
    the recipe's `dataset_dir`, else that of `info_folder`; a name that it lacks is taken from the package, as a training run
    does. `changes` are a recipe's keys as they are given behind it (None: as if it had none). `overrides` are fields of Settings, `media_dir`, and `formatting` (reads the rows in another way than the entry
    says), for a recipe any of its keys; None means "not given". Raises ValueError where there is no such thing, or it is
    broken; the message says what, where and the remedy.
    """
    sources, settings = _find_sources(what, dataset_dir, changes or {}, overrides)
    ours = [source.name for source in sources if source.is_ours]
    if ours and (problem := template_problem(settings.template)):
        raise UserError(f"{', '.join(ours)}: {problem}")

    return sources, settings


def _find_sources(
    what: str, dataset_dir: str | Path | None, changes: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[list[Source], Settings]:
    given = {key: value for key, value in overrides.items() if value is not None} | changes
    given = {_KEYS.get(key, key): value for key, value in given.items()}
    path = Path(what)
    if is_data_file(path) or is_pattern(what) or is_archive(path):
        settings = _settings(given)
        return [_file_source(path, given)], settings

    if path.suffix in (".yaml", ".yml"):
        return _recipe_sources(_recipe_file(what), dataset_dir, given)

    names = [name.strip() for name in what.split(",") if name.strip()]
    folder = info_folder(dataset_dir, names)
    info = read_info(folder)
    if names and all(name in info or name in packaged_entries() for name in names):
        settings = _settings(given)
        return [_entry_source(name, folder, info, given, settings.malformed) for name in names], settings

    if (RECIPES / f"{what.removeprefix('recipes/')}.yaml").is_file():
        return _recipe_sources(_recipe_file(what), dataset_dir, given)

    if path.is_dir():
        settings = _settings(given)
        return [_file_source(path, given)], settings

    if path.is_file():
        raise UserError(
            f"{what}: files with such an ending are not read. Rows are read from {', '.join(DATA_SUFFIXES)}; rename it, or save it as one."
        )

    names = dict.fromkeys((*info, *packaged_entries()))
    near = get_close_matches(what, names, 1)
    shown = f"Did you mean {near[0]}?" if near else f"Datasets: {', '.join(names)}."
    place = folder / INFO
    raise UserError(
        f"{what}: no dataset of that name in {place}{'' if place.is_file() else ' (no such file)'}, no recipe and no data file. "
        f"{shown} Name a dataset, a recipe (.yaml) or a file "
        f"({', '.join(DATA_SUFFIXES)}), or give the folder of your dataset_info.json with --dataset-dir."
    )


def _settings(given: Mapping[str, Any]) -> Settings:
    if unknown := [key for key in given if key not in _SETTINGS + _PLACES]:
        raise UserError(f"{', '.join(unknown)}: not a setting; there are {', '.join(_SETTINGS + _PLACES)}.")

    return Settings(**{key: value for key, value in given.items() if key in _SETTINGS})


def _file_source(path: Path, given: Mapping[str, Any]) -> Source:
    if not path.exists() and not is_pattern(str(path)):
        raise UserError(f"{path}: no such file. Paths are relative to the current folder, {Path.cwd()}.")

    files = data_files(path, f"{path}")
    formatting = _formatting(given.get("formatting") or shown_formatting(files), f"{path}")
    is_beside = files[0].stem == "metadata"  # an image folder of `datasets`: paths start from there
    return Source(
        name=_name(path),
        files=files,
        formatting=formatting,
        media_dir=Path(given.get("media_dir") or (files[0].parent if is_beside or not path.is_dir() else path)),
        options=_options({}, given.get("malformed", "drop"), f"{path}"),
        entry={"file_name": str(path)} if path.is_dir() else {},
    )


def shown_formatting(files: Sequence[Path]) -> str:
    """Return how rows without an entry are read: as thoughts, or as questions where the first shows a set of prompts."""
    row = first_row(files[0])
    if not shows_prompts(row) or any(isinstance(part, Example) for part in read_row(row, "long_thought").parts):
        return "long_thought"

    return "questions"


def _name(path: Path) -> str:
    """Return what a file, a folder or a pattern is called: of a pattern the folder that it begins in."""
    if path.is_file():
        return path.name.removesuffix(PACKED).removesuffix(suffix_of(path))

    while is_pattern(str(path)):
        path = path.parent

    return path.resolve().name


# recipes


def _recipe_file(what: str) -> Path:
    """Return the recipe that is meant: a file of the user's own, or one that ships with the package."""
    path = Path(what)
    return path if path.is_file() else RECIPES / find_recipe(what)


def load_recipe(what: str) -> dict[str, Any]:
    """Return the keys of a recipe: a .yaml file, or the name of one that ships. Raises ValueError as below."""
    return read_recipe_file(_recipe_file(what))


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Return a recipe's keys. Raises ValueError, with the line, where it is not YAML or not a mapping."""
    import yaml  # only here: workers start faster

    from virgo_factory.io.yaml_text import read_yaml

    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text.") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise UserError(f"{place}: not YAML ({getattr(error, 'problem', None) or error}). Repair the line.") from None

    if not isinstance(content, dict):
        raise UserError(f"{path}: not a recipe. A recipe is `key: value` lines, such as `dataset: virgo_dt`.")

    if verb := asking_verb(content):
        raise UserError(
            f"{path}: {ASKING[verb]}'s configuration, not a training recipe. Start it with virgo-factory {verb} run "
            f"{shlex.quote(str(path))}; estimate it with --dry-run."
        )

    return content


def _recipe_sources(
    path: Path, dataset_dir: str | Path | None, given: dict[str, Any]
) -> tuple[list[Source], Settings]:
    recipe = {**{_KEYS.get(key, key): value for key, value in read_recipe_file(path).items()}, **given}
    names = {role: _names(recipe.get(key), f"{path}: {key}") for role, key in _ROLES.items()}
    if not any(names.values()):
        raise UserError(f"{path}: names no dataset. Add a line `dataset: NAME`.")

    for key in ("model_name_or_path", "dataset_dir", "media_dir"):
        if not isinstance(value := recipe.get(_KEYS.get(key, key)) or "", str | Path):
            raise UserError(f"{path}: {key}: {value!r} is not a name or a path.")

    values = {key: recipe[key] for key in _SETTINGS if recipe.get(key) is not None}
    if recipe.get("stage") == "grpo":  # where a row is its prompt
        values["cutoff_len"] = recipe.get("rl_max_prompt_tokens") or RL_DEFAULTS["rl_max_prompt_tokens"]

    cutoff = values.setdefault("cutoff_len", STOCK_CUTOFF_LEN)
    if "template" not in values:
        near = get_close_matches("template", list(recipe), 1)
        raise UserError(
            f"{path}: no template. "
            + (f"Is {near[0]} meant to be it?" if near else "Add a line such as `template: virgo`.")
        )

    try:
        if recipe.get("packing") or recipe.get("neat_packing"):
            values["cutoff_len"] = cutoff - 1  # llamafactory/hparams/data_args.py:185
        settings = Settings(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None

    folder = Path(dataset_dir or recipe.get("dataset_dir") or "data")
    info = read_info(folder)
    places = {key: recipe[key] for key in _PLACES if recipe.get(key)}
    sources = [
        _entry_source(name, folder, info, places, settings.malformed, role)
        for role, listed in names.items()
        for name in listed
    ]
    return sources, settings


_ROLES = {"train": "dataset", "eval": "eval_dataset"}


def _names(value: Any, where: str) -> list[str]:
    """Return the names of `dataset:`, which LLaMA-Factory reads as a text with commas or as a list."""
    if value is None:
        return []

    listed = value if isinstance(value, list) else str(value).split(",") if isinstance(value, str) else None
    if listed is None or not all(isinstance(name, str) for name in listed):
        raise UserError(f"{where}: {value!r} is not a name or a list of names.")

    return [name.strip() for name in listed if name.strip()]


# dataset_info.json


def info_folder(given: str | Path | None = None, names: Collection[str] = ()) -> Path:
    """Return the folder of dataset_info.json: by default the current one, or `data` (LLaMA-Factory's own) where only that has one, or a name."""
    if given or not Path("data", INFO).is_file():
        return Path(given or ".")

    here = Path(INFO).is_file() and (not names or not read_info(Path()).keys().isdisjoint(names))
    return Path() if here or names and read_info("data").keys().isdisjoint(names) else Path("data")


def read_info(folder: str | Path) -> dict[str, Any]:
    """Return the entries of a folder's dataset_info.json; {} where there is no such file.

    Raises ValueError for what LLaMA-Factory could not read: not UTF-8, a byte order mark, not JSON (a trailing comma is
    named), not an object of objects. The message has line and column.
    """
    path = Path(folder) / INFO
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None

    if content.startswith(b"\xef\xbb\xbf"):
        raise UserError(
            f"{path}:1:1: begins with a byte order mark, which LLaMA-Factory cannot read. Save it as UTF-8 without one."
        )

    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte {error.start}). Save the file as UTF-8.") from None

    try:
        info = DECODER.decode(text)
    except KeyTwice as error:  # the last would silently win
        line = text[: text.rindex(json.dumps(error.args[1], ensure_ascii=False))].count("\n") + 1
        raise UserError(f"{path}:{line}: {error.args[1]} stands there a second time. Remove one of them.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{_json_problem(text, error)}") from None

    if not isinstance(info, dict):
        raise UserError(f"{path}:1:1: not an object. It must be {{dataset name: entry, ...}}.")

    for name, entry in info.items():
        if not isinstance(entry, dict):
            raise UserError(f"{path}: the entry {name} is not an object. It must be {{key: value, ...}}.")

    return info


def _json_problem(text: str, error: json.JSONDecodeError) -> str:
    """Return line, column, what is wrong and what to do."""
    before = text[: error.pos].rstrip()
    if before.endswith(",") and text[error.pos : error.pos + 1] in ("}", "]", ""):
        comma = len(before) - 1
        line, column = text.count("\n", 0, comma) + 1, comma - text.rfind("\n", 0, comma)
        return f"{line}:{column}: a comma behind the last entry, which JSON does not allow. Remove it."

    return f"{error.lineno}:{error.colno}: not JSON ({error.msg}). Repair it."


def packaged_entries() -> dict[str, dict[str, Any]]:
    """Return the entries of the package's own dataset_info.json."""
    return json.loads(DATASET_INFO.read_text(encoding="utf-8"))


def _entry_source(
    name: str, folder: Path, info: Mapping[str, Any], given: Mapping[str, Any], malformed: str, role: str = "train"
) -> Source:
    where = f"{folder / INFO}: {name}"
    base = folder
    if name in info:
        entry = info[name]
    elif name in (packaged := packaged_entries()):
        entry = packaged[name]
        where = f"{INFO} of the package: {name}"
        if (DATASET_INFO.resolve().parent / str(entry.get("file_name"))).is_file():
            base = DATASET_INFO.resolve().parent  # a file that ships; others are made in the user's own folder
    else:
        near = get_close_matches(name, (*info, *packaged), 1)
        hint = f". Did you mean {near[0]}?" if near else f"; there are: {', '.join(info) or 'none'}."
        if name in read_info("."):  # a recipe of LLaMA-Factory's own looks into data/ where it does not say
            hint = f", but in {INFO} of the current folder: say dataset_dir: ."

        raise UserError(
            f"{where}: no such dataset{hint} Add it with `virgo-factory data add {name} FILE "
            f"--dataset-dir {folder}`, or correct the name."
        )

    formatting = _formatting(given.get("formatting") or entry.get("formatting") or "alpaca", where)
    check_entry(entry, where)
    hub, ranges = entry.get("hf_hub_url"), None
    if hub is not None:
        files, ranges = _hub_files(hub, entry, where)
    elif "file_name" in entry:
        path, split = _local_path(base, entry, where), entry.get("split")
        if formatting in FORMATTINGS:
            parts = part_files(path, where, split)
        else:
            parts = {name: _files_at(path, where) for name in named_parts(split, ["train"], where)}

        files = tuple(chain(*parts.values()))
        ranges = row_ranges(split, parts, count_rows, where)
    else:
        kinds = [key for key in ("ms_hub_url", "om_hub_url", "script_url", "cloud_file_name") if key in entry]
        raise UserError(
            f"{where}: {f'{kinds[0]} is not read here' if kinds else 'neither file_name nor hf_hub_url'}. "
            "Give it `file_name` (a file beside dataset_info.json) or `hf_hub_url`."
        )

    samples = entry.get("num_samples")
    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int) or samples < 1):
        raise UserError(f"{where}: num_samples {samples!r} is not a whole number of at least 1.")

    return Source(
        name=name,
        files=files,
        formatting=formatting,
        media_dir=Path(given.get("media_dir") or folder),
        options=_options(entry, malformed, where),
        entry=entry,
        hub=hub,
        role=role,
        ranges=None if ranges is None else tuple(ranges),
    )


def _formatting(formatting: Any, where: str) -> str:
    if formatting not in (*FORMATTINGS, *STOCK_FORMATTINGS):
        raise UserError(
            f"{where}: formatting {formatting!r} is not known. One of ours: {', '.join(FORMATTINGS)}; "
            f"of LLaMA-Factory: {', '.join(STOCK_FORMATTINGS)}."
        )

    return formatting


def _options(entry: Mapping[str, Any], malformed: str, where: str) -> Options:
    try:
        return options_of(entry, malformed=malformed)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _local_path(base: Path, entry: Mapping[str, Any], where: str) -> Path:
    name = entry["file_name"]
    if not isinstance(name, str) or not name:
        raise UserError(f"{where}: file_name {name!r} is not a path.")

    path = base / name
    if not path.exists() and not is_pattern(str(path)):
        made_by = entry.get("made_by")
        remedy = f"Make it with: {made_by}" if made_by else "Correct file_name; it is relative to dataset_info.json"
        raise UserError(f"{where}: no file {path}. {remedy}")

    return path


def _files_at(path: Path, where: str) -> tuple[Path, ...]:
    """Return a file, or all files of a folder in the order of their names (llamafactory/data/loader.py:71-87)."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{where}: the folder {path} is empty.")

    for file in files:
        if file.suffix not in DATA_SUFFIXES:
            raise UserError(
                f"{where}: {file} is not {', '.join(DATA_SUFFIXES[:-1])} or {DATA_SUFFIXES[-1]}. "
                + ("A folder must hold data files only." if path.is_dir() else "Convert the file.")
            )

        if file.suffix != files[0].suffix:
            raise UserError(f"{where}: {files[0].name} and {file.name} differ in type. Use one type in a folder.")

    return tuple(files)


def _hub_files(hub: str, entry: Mapping[str, Any], where: str) -> tuple[tuple[Path, ...], list[range] | None]:
    """Return the Arrow files that `datasets` made of a hub dataset, as LLaMA-Factory loads it (data/loader.py:131).

    And which of their rows the split means; None: all.
    """
    split = entry.get("split") or "train"
    is_whole = isinstance(split, str) and split.isidentifier() and split != "all"
    arguments = {"name": entry.get("subset"), "data_dir": entry.get("folder"), "split": split if is_whole else None}
    import datasets  # a second; only where a hub dataset is read

    try:
        tables = datasets.load_dataset(hub, **arguments)
    except Exception as error:  # the library raises ValueError, OSError, its own and requests' errors for "not there"
        call = ", ".join(f"{key}={value!r}" for key, value in {"path": hub, **arguments}.items() if value is not None)
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{where}: {hub} is not in the Hugging Face cache ({_cache_folder()}) and could not be downloaded "
            f"({type(error).__name__}: {reason[0] if reason else ''}). Where there is a network, run: "
            f'HF_HUB_OFFLINE=0 python -c "from datasets import load_dataset; load_dataset({call})"'
        ) from None

    if is_whole:
        return tuple(Path(file["filename"]) for file in tables.cache_files), None

    parts = {name: tables[name] for name in named_parts(split, list(tables), where)}
    files = tuple(Path(file["filename"]) for table in parts.values() for file in table.cache_files)
    return files, row_ranges(split, parts, len, where)


def _cache_folder() -> str:
    return os.environ.get("HF_DATASETS_CACHE") or os.path.join(
        os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface"), "datasets"
    )
