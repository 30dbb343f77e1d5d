"""A distillation's configuration: flat YAML in LLaMA-Factory's blocks, every error of it told at once."""

import difflib
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.formats.tags import TAG_SETS
from virgo_factory.io.recipes import is_training


FILE = "distill.yaml"
"""The resolved configuration inside the folder that it made."""

SOURCES = (
    *("geos", "geoqa_plus", "geometry3k", "unigeo", "tabmwp", "figureqa", "chartqa", "clevr"),  # Virgo, Table 1
    "iconqa",
)

AUTO = "auto"
RESPONSE_FORMATS = (AUTO, *TAG_SETS, "virgo_dqvq")
"""Values of `response_format`: recognised in each response, a format of tagged responses, or QVQ's untagged one."""

COMMAND_LINE = -1
"""Stands for the line of a value that came from there."""

Count = Annotated[int, Field(ge=1)]


class DistillConfig(BaseModel):
    """What a distillation is told. Attributes have the names of the keys; `BLOCKS` says which belongs where.

    Paths are relative to the folder in which the command is entered, as LLaMA-Factory's are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    questions: Path | None = None
    sources: dict[str, Annotated[int, Field(ge=0)]] = {}
    pool_factor: float = Field(1.0, ge=1, le=1000, allow_inf_nan=False)
    source_dir: Path | None = None
    onevision: str = "lmms-lab/LLaVA-OneVision-Data"
    benchmarks: tuple[str, ...] = ()
    questions_per_image: Count = 1
    seed: int = Field(42, ge=0, lt=2**63)

    question_prefix: str = "none"
    image_max_pixels: Count = 768 * 768
    image_min_pixels: Count = 32 * 32

    base_model_name_or_path: str | None = Field(None, min_length=1)
    base_urls: tuple[str, ...] = ()
    base_served_model_name: str | None = None

    model_name_or_path: str = Field(min_length=1)
    urls: tuple[str, ...] = ()
    served_model_name: str | None = None
    api_key_env: str | None = None
    tensor_parallel_size: Count = 1
    data_parallel_size: Count = 1
    max_model_len: Count = 32768
    server_args: tuple[str, ...] = ()
    server_start_minutes: float = Field(60.0, gt=0, allow_inf_nan=False)

    samples: int = Field(5, ge=1, le=1024)
    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(-1, ge=-1)
    repetition_penalty: float = Field(1.0, gt=0, le=2)
    max_tokens: Count = 8192
    base_max_tokens: Count = 2048
    cut_loops: bool = True
    stop_when_decided: bool = False

    requests_in_flight: int = Field(64, ge=1, le=4096)
    max_rollouts: Count | None = None
    max_tokens_total: Count | None = None
    max_hours: float | None = Field(None, gt=0, allow_inf_nan=False)
    request_timeout: float = Field(300.0, gt=0, allow_inf_nan=False)
    retries: int = Field(8, ge=0)

    response_format: Literal[RESPONSE_FORMATS] = AUTO
    responses: Literal["shortest", "all", "diverse"] = "shortest"
    diverse: Count = 4
    difficulty: Literal["medium", "hard", "random", "any"] = "medium"
    source_quota: bool = True
    max_binary_share: float | None = Field(None, ge=0, le=1)

    output_dir: Path
    dataset: str
    dataset_dir: Path = Path(".")

    @field_validator("urls", "base_urls")
    @classmethod
    def _urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        clean = tuple(url.rstrip("/") for url in urls)
        for url in clean:
            if not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", url):
                raise UserError(
                    "expected http://HOST:PORT, without user or password (a key goes into api_key_env's variable)"
                )

        if len(set(clean)) < len(clean):
            raise UserError("a URL stands there twice")

        return clean

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name):
            raise UserError(
                "expected the NAME of an environment variable in capitals, such as VLLM_API_KEY, never the key itself"
            )

        return name

    @field_validator("server_args")
    @classmethod
    def _no_key_in_the_arguments(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        if any(argument.startswith("--api-key") for argument in arguments):
            raise UserError("no --api-key: this file is kept. A server that is started here listens on loopback only")

        return arguments

    @field_validator("question_prefix")
    @classmethod
    def _there_is_such_a_prefix(cls, name: str) -> str:
        try:
            read_prefix(name)
        except ValueError as error:
            raise UserError(str(error).removeprefix("question_prefix: ")) from None

        return name

    @field_validator("dataset")
    @classmethod
    def _can_be_named_in_a_recipe(cls, name: str) -> str:
        if not re.fullmatch(r"[\w.-]+", name):
            raise UserError("expected letters, digits, _, - and . (`dataset: a,b` parts names at commas)")

        return name

    @field_validator("sources")
    @classmethod
    def _known_sources(cls, sources: dict[str, int]) -> dict[str, int]:
        unknown = [name for name in sources if name not in SOURCES]
        if unknown:
            raise UserError(f"{', '.join(unknown)}: not one of {', '.join(SOURCES)}")

        return sources


BLOCKS: Mapping[str, tuple[str, ...]] = {
    "questions": (
        *("questions", "sources", "pool_factor", "source_dir", "onevision", "benchmarks", "questions_per_image"),
        "seed",
    ),
    "prompt": ("question_prefix", "image_max_pixels", "image_min_pixels"),
    "base model": ("base_model_name_or_path", "base_urls", "base_served_model_name"),
    "rollout model": (
        *("model_name_or_path", "urls", "served_model_name", "api_key_env", "tensor_parallel_size"),
        *("data_parallel_size", "max_model_len", "server_args", "server_start_minutes"),
    ),
    "sampling": (
        *("samples", "temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "base_max_tokens"),
        *("cut_loops", "stop_when_decided"),
    ),
    "budget": (
        *("requests_in_flight", "max_rollouts", "max_tokens_total", "max_hours", "request_timeout", "retries"),
    ),
    "selection": ("response_format", "responses", "diverse", "difficulty", "source_quota", "max_binary_share"),
    "output": ("output_dir", "dataset", "dataset_dir"),
}
"""The keys of each block, in the order in which they are written."""

SHAPING = (
    *BLOCKS["questions"],
    *BLOCKS["prompt"],
    "base_model_name_or_path",
    "model_name_or_path",
    *(key for key in BLOCKS["sampling"] if key != "stop_when_decided"),
)
"""Keys that decide what a rollout is. `stop_when_decided` only decides how many there are."""


def read_config(path: str | Path, overrides: Sequence[str] = (), files: bool = True) -> DistillConfig:
    """Return the configuration in a YAML file, with `key=value` overrides as llamafactory-cli takes them.

    Args:
        path: the file.
        overrides: values are YAML: `urls=[http://a:8000,http://b:8000]`, `sources='{geos: 3}'`.
        files: whether what it names on this machine has to be there (see `missing_files`).

    Raises:
        ValueError: naming every error: line, key, what is wrong, and what is allowed. Values of keys that could hold
            a secret are never repeated.
    """
    path = Path(path)
    values, lines, errors = _read(path)
    if is_training(values):
        raise UserError(
            f"{path}: a training recipe, not a distillation's configuration. Train with llamafactory-cli train {path}; "
            "distil with a configuration such as recipes/distill/dsd_virgo7b.yaml."
        )

    if len(values) > 2 and not DistillConfig.model_fields.keys() & values.keys():
        raise UserError(
            f"{path}: no key of a distillation's configuration in it. One to begin with: recipes/distill/dsd_virgo7b.yaml."
        )

    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            errors.append((COMMAND_LINE, f"{override}: expected key=value"))
            continue

        try:
            values[key] = yaml.safe_load(text)
            lines[key] = COMMAND_LINE
        except yaml.YAMLError:
            errors.append((COMMAND_LINE, f"{key}: the value is not YAML"))

    config = None
    for key, value in list(values.items()):
        if problem := _not_even_a_value(key, value):
            errors.append((lines[key], problem))
            del values[key]

    wrong = {message.partition(":")[0] for _, message in errors}
    try:
        config = DistillConfig(**values)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] != "missing" or item["loc"][0] not in wrong:
                errors.append((lines.get(item["loc"][0], 0), _told(item)))

    together = config or _partly(values, errors)
    errors += [(max(lines.get(key, 0) for key in keys), message) for keys, message in _contradictions(together)]
    if files:
        wrong = {message.partition(":")[0].split()[0] for _, message in errors}
        missing = [(key, message) for key, message in missing_files(together) if key in values and key not in wrong]
        errors += [(lines.get(key, 0), message) for key, message in missing]

    if errors:
        raise UserError(listed(path, errors))

    return config


def read_folder(folder: Path) -> DistillConfig:
    """Return the configuration that made a distillation's folder; its `output_dir` is the folder where it is now.

    Raises:
        ValueError: there is none, or it is broken.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{folder} is no folder of a distillation: no {FILE} in it. Start one: distill run CONFIG")

    return read_config(path, files=False).model_copy(update={"output_dir": folder})


def config_text(config: DistillConfig) -> str:
    """Return the configuration as YAML in blocks, every key that has a value; `read_config` reads it back."""
    values = config.model_dump(mode="json")
    blocks = []
    for block, keys in BLOCKS.items():
        chosen = {key: values[key] for key in keys if values[key] not in (None, [], {})}
        if chosen:
            body = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=1000)
            blocks.append(f"### {block}\n{body}")

    return "\n".join(blocks)


def shapes(config: DistillConfig) -> dict[str, Any]:
    """Return the keys that shape rollouts, with plain values: two folders agree if these are equal."""
    values = config.model_dump(mode="json")
    return {key: values[key] for key in SHAPING}


def missing_files(config: DistillConfig) -> list[tuple[str, str]]:
    """Return (key, message) for whatever the configuration names on this machine that is not there."""
    found = []
    for key in ("questions", "source_dir"):
        path = getattr(config, key)
        if path is not None and not (path.is_file() if key == "questions" else path.is_dir()):
            found.append((key, f"{key}: no {'file' if key == 'questions' else 'folder'} {path}"))

    for given in config.benchmarks:
        if not Path(given).is_file() and not Path(given.rpartition(":")[0]).is_file():
            found.append(("benchmarks", f"benchmarks: no file {given}"))

    for key, urls in (("base_model_name_or_path", config.base_urls), ("model_name_or_path", config.urls)):
        name = getattr(config, key)
        if name and not urls and _is_path(name) and not Path(name).is_dir():
            found.append((key, f"{key}: no folder {name}. Train the model first, or name the URLs that serve it"))

    if config.api_key_env and not os.environ.get(config.api_key_env):
        found.append(("api_key_env", f"api_key_env: the environment has no {config.api_key_env}"))

    return found


def _is_path(name: str) -> bool:
    """Whether a model's name can only be a folder: the hub's names have one slash."""
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or name.split("/")[0] in ("saves", "models")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int], list[tuple[int, str]]]:
    """Return values, the line of each key, and errors so far."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(
            f"{path}: no such file. Configurations that ship with the package: virgo-factory recipes list; "
            "copies of them: virgo-factory recipes copy FOLDER"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text.") from None

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or 'cannot be read'}.") from None
    except (ValueError, RecursionError) as error:  # such as a date that is none
        raise UserError(f"{path}: not YAML: {error}.") from None

    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values, as in recipes/distill/dsd_virgo7b.yaml.")

    lines: dict[str, int] = {}
    errors = []
    for key, _ in node.value:
        if key.value in lines:
            errors.append((key.start_mark.line + 1, f"{key.value}: stands in line {lines[key.value]} already"))

        lines[key.value] = key.start_mark.line + 1

    return {str(key): value for key, value in values.items()}, lines, errors


def _not_even_a_value(key: str, value: Any) -> str | None:
    """What is wrong with a key that no type is needed to see: unknown, empty, yes for a number."""
    fields = DistillConfig.model_fields
    if key not in fields:
        near = difflib.get_close_matches(key, fields, n=1)
        if re.search(r"key|token$|secret|password", key) and not near:
            return f"{key}: no such key. A key is read from the environment variable that api_key_env names"

        return f"{key}: no such key." + (f" Did you mean {near[0]}?" if near else " Remove it")

    if value is None and fields[key].default is not None:
        return f"{key}: no value. Give it one, or remove the line"

    if isinstance(value, bool) and fields[key].annotation is not bool:
        return f"{key}: {str(value).lower()} is not a value of this key"

    return None


def _told(item: Mapping[str, Any]) -> str:
    """A pydantic error in words, with the key in front."""
    key, *inside = item["loc"]
    where = "".join(f" {part}" for part in inside if isinstance(part, str) and part != "[key]")
    secret = key in ("api_key_env", "urls", "base_urls", "server_args")
    given = "" if secret or isinstance(item["input"], (dict, list)) else f"{item['input']!r}: "
    if item["type"] == "missing":
        return f"{key}: missing"

    if item["type"] == "literal_error":
        allowed = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        near = difflib.get_close_matches(str(item["input"]), allowed.split(", "), n=1)
        return f"{key}: {given}not one of {allowed}." + (f" Did you mean {near[0]}?" if near else "")

    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}"

    message = item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    message = message.replace("a valid ", "").replace("valid tuple", "list").replace("tuple", "list")
    return f"{key}{where}: {given}expected {message}"


def _partly(values: Mapping[str, Any], errors: Sequence[tuple[int, str]]) -> DistillConfig:
    """The configuration with its wrong values left out, so that contradictions among the others are told as well."""
    wrong = {message.partition(":")[0].split()[0] for _, message in errors}
    stand_ins = {"model_name_or_path": "model", "output_dir": "out", "dataset": "dataset"}
    if wrong & {"sources", "questions"}:  # there, though not as they should be
        stand_ins["questions"] = "questions.jsonl"

    return DistillConfig(**stand_ins | {key: value for key, value in values.items() if key not in wrong})


def _contradictions(config: DistillConfig) -> list[tuple[tuple[str, ...], str]]:
    """Return (keys, message) for values that are wrong together."""
    found: list[tuple[tuple[str, ...], str]] = []
    if config.questions is None and not sum(config.sources.values()):
        found.append((("questions", "sources"), "sources: missing; name at least one, or a file of questions"))

    if config.image_min_pixels > config.image_max_pixels:
        found.append((("image_min_pixels", "image_max_pixels"), "image_min_pixels: more than image_max_pixels"))

    if config.base_urls and not config.base_model_name_or_path:
        found.append((("base_urls",), "base_urls: base_model_name_or_path is missing"))

    for key in ("max_tokens", "base_max_tokens"):
        if getattr(config, key) >= config.max_model_len and (key == "max_tokens" or config.base_model_name_or_path):
            message = f"{key}: {getattr(config, key)} leaves no room for the question in max_model_len"
            found.append(((key, "max_model_len"), f"{message} {config.max_model_len}"))

    if config.samples > 1 and config.temperature == 0:
        found.append((("samples", "temperature"), f"temperature: 0 makes all {config.samples} samples the same"))

    if config.difficulty == "random" and config.base_model_name_or_path:
        found.append(
            (
                ("difficulty", "base_model_name_or_path"),
                "difficulty: random takes questions whether or not the base model solves them; "
                "leave base_model_name_or_path out",
            )
        )

    if config.responses == "diverse" and config.diverse > config.samples:
        found.append((("diverse", "samples"), f"diverse: {config.diverse} of only {config.samples} samples"))

    return found


def listed(path: Path, errors: Sequence[tuple[int, str]]) -> str:
    lines = []
    for line, message in sorted(set(errors), key=lambda error: (error[0] <= 0, error)):
        where = "command line" if line == COMMAND_LINE else f"{path}:{line}" if line else f"{path}"
        lines.append(f"{where}: {message}")

    if len(lines) == 1:
        return f"{lines[0]}."

    return "\n".join([f"{path}: {len(lines)} errors; nothing was started.", *(f"  {line}" for line in lines)])


def questions_wanted(config: DistillConfig) -> int | None:
    """Return how many questions are drawn from the sources; None where a file of questions is given.

    >>> questions_wanted(
    ...     DistillConfig(sources={"geos": 3}, pool_factor=1.5, model_name_or_path="m", output_dir="out", dataset="d")
    ... )
    5
    """
    if config.questions is not None:
        return None

    return sum(math.ceil(count * config.pool_factor) for count in config.sources.values())
