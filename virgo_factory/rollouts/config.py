"""What asking a model needs to be told: flat YAML in LLaMA-Factory's blocks, every error of it told at once.

A room that asks adds its own keys: `class DistillConfig(AskConfig)`; so do its blocks, contradictions and missing files.
"""

import contextlib
import difflib
import os
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.formats.layouts.tags import TAG_SETS
from virgo_factory.io.recipes import ASKING, asking_verb, is_training
from virgo_factory.io.yaml_text import loader_of, read_yaml
from virgo_factory.report.text import quoted


AUTO = "auto"
RESPONSE_FORMATS = (AUTO, *TAG_SETS, "virgo_dqvq")
"""Values of `response_format`: recognised in each response, a format of tagged responses, or QVQ's untagged one."""

FILES = ("distill.yaml", "evaluation.yaml", "synthesis.yaml")
"""Names of the resolved configuration inside a folder of rollouts; each room that asks has its own."""

COMMAND_LINE = -1  # stands for the line of a value that came from there

Count = Annotated[int, Field(ge=1)]
Problems = list[tuple[tuple[str, ...], str]]


def _can_be_named_in_a_recipe(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError("expected letters, digits, _, - and . (`dataset: a,b` parts names at commas)")

    return name


DatasetName = Annotated[str, AfterValidator(_can_be_named_in_a_recipe)]


class AskConfig(BaseModel):
    """What asking is told. Attributes have the names of the keys; paths start from the folder in which the command is entered.

    Attributes:
        FILE: one of FILES. KIND, EXAMPLE: how a person calls such a configuration, and one to begin with.
        START, RESUME: how a folder is begun (a sentence), and the command that goes on with one.
        BLOCKS: the keys of each block, in the order in which they are written.
        FREE: keys of the blocks that do not decide what a rollout is; nor do the blocks of FREE_BLOCKS.
        RENAMED: keys as folders of older versions call them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    FILE: ClassVar[str]
    KIND: ClassVar[str]
    EXAMPLE: ClassVar[str]
    START: ClassVar[str] = ""
    RESUME: ClassVar[str]
    BLOCKS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "prompt": ("question_prefix", "system", "layout", "image_max_pixels", "image_min_pixels"),
        "model": (
            *("model_name_or_path", "urls", "dialect", "served_model_name", "api_key_env", "tensor_parallel_size"),
            *("data_parallel_size", "max_model_len", "server_args", "server_start_minutes"),
        ),
        "sampling": (
            *("samples", "temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "cut_loops", "seed"),
        ),
        "budget": (
            *("requests_in_flight", "max_rollouts", "max_tokens_total", "max_hours", "request_timeout", "retries"),
        ),
        "output": ("response_format", "output_dir"),
    }
    FREE: ClassVar[tuple[str, ...]] = tuple(key for key in BLOCKS["model"] if key != "model_name_or_path")
    FREE_BLOCKS: ClassVar[tuple[str, ...]] = ("budget", "output")
    RENAMED: ClassVar[Mapping[str, str]] = {}

    question_prefix: str = "none"
    system: str = ""
    layout: Literal["inline", "first"] = "inline"
    image_max_pixels: Count = 768 * 768
    image_min_pixels: Count = 32 * 32

    model_name_or_path: str = Field(min_length=1)
    urls: tuple[str, ...] = ()
    dialect: Literal["vllm", "openai"] = "vllm"
    served_model_name: str | None = None
    api_key_env: str | None = None
    tensor_parallel_size: Count = 1
    data_parallel_size: Count = 1
    max_model_len: Count = 32768
    server_args: tuple[str, ...] = ()
    server_start_minutes: float = Field(60.0, gt=0, allow_inf_nan=False)

    seed: int = Field(42, ge=0, lt=2**63)
    samples: int = Field(5, ge=1, le=1024)
    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(-1, ge=-1)
    repetition_penalty: float = Field(1.0, gt=0, le=2)
    max_tokens: Count = 8192
    cut_loops: bool = True

    requests_in_flight: int = Field(64, ge=1, le=4096)
    max_rollouts: Count | None = None
    max_tokens_total: Count | None = None
    max_hours: float | None = Field(None, gt=0, allow_inf_nan=False)
    request_timeout: float = Field(300.0, gt=0, allow_inf_nan=False)
    retries: int = Field(8, ge=0)

    response_format: Literal[RESPONSE_FORMATS] = AUTO
    output_dir: Path

    @field_validator("urls", "base_urls", mode="before", check_fields=False)
    @classmethod
    def _several_in_a_text(cls, urls: Any) -> Any:
        return [url.strip() for url in urls.split(",")] if isinstance(urls, str) else urls

    @field_validator("urls", "base_urls", check_fields=False)
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

    @property
    def api_key(self) -> str | None:
        """Of the servers, from the environment."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None

    @property
    def server_options(self) -> dict[str, Any]:
        """How a server of our own is started, see servers.server.Server."""
        parallel = {key: getattr(self, key) for key in ("tensor_parallel_size", "data_parallel_size", "max_model_len")}
        return {**parallel, "args": self.server_args, "minutes": self.server_start_minutes}

    def resume_command(self, shard: tuple[int, int] | None = None) -> str:
        """Return the command that goes on with its folder, such as `virgo-factory distill resume out --shard 2/8`."""
        part = f" --shard {shard[0]}/{shard[1]}" if shard else ""
        return f"{self.RESUME} {shlex.quote(str(self.output_dir))}{part}"

    def text(self) -> str:
        """Return the configuration as YAML in blocks, every key that has a value; `read_config` reads it back."""
        values = self.model_dump(mode="json")
        blocks = []
        for block, keys in self.BLOCKS.items():
            chosen = {key: values[key] for key in keys if values[key] not in (None, [], {}, "")}
            if chosen:
                body = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=1000)
                blocks.append(f"### {block}\n{body}")

        return "\n".join(blocks)

    def shapes(self) -> dict[str, Any]:
        """Return the keys that decide what a rollout is, with plain values: two folders agree if these are equal."""
        values = self.model_dump(mode="json")
        shaping = (key for block, keys in self.BLOCKS.items() if block not in self.FREE_BLOCKS for key in keys)
        return {key: values[key] for key in shaping if key not in self.FREE}

    def missing_files(self) -> list[tuple[str, str]]:
        """Return (key, message) for whatever the configuration names on this machine that is not there."""
        found = self._missing_model("model_name_or_path", self.urls)
        if self.api_key_env and not os.environ.get(self.api_key_env):
            found.append(("api_key_env", f"api_key_env: the environment has no {self.api_key_env}"))

        return found

    def _missing_model(self, key: str, urls: Sequence[str]) -> list[tuple[str, str]]:
        name = getattr(self, key)
        if not name or urls or not _is_path(name) or Path(name).is_dir():
            return []

        return [(key, f"{key}: no folder {name}. Train the model first, or name the URLs that serve it")]

    def contradictions(self) -> Problems:
        """Return (keys, message) for values that are wrong together."""
        found: Problems = []
        if self.image_min_pixels > self.image_max_pixels:
            found.append((("image_min_pixels", "image_max_pixels"), "image_min_pixels: more than image_max_pixels"))

        found += self._no_room("max_tokens")
        if self.samples > 1 and self.temperature == 0:
            found.append((("samples", "temperature"), f"temperature: 0 makes all {self.samples} samples the same"))

        if self.dialect == "openai":
            if not self.urls:
                told = "dialect: openai needs urls; a server that is started here is vLLM's"
                found.append((("dialect", "urls"), told))

            for key in ("top_k", "repetition_penalty"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    found.append(((key, "dialect"), f"{key}: the public API of dialect: openai has none"))

        return found

    def _no_room(self, key: str) -> Problems:
        if getattr(self, key) < self.max_model_len:
            return []

        told = f"{key}: {getattr(self, key)} leaves no room for the question in max_model_len {self.max_model_len}"
        return [((key, "max_model_len"), told)]

    @classmethod
    def stand_ins(cls, wrong: set[str]) -> dict[str, Any]:
        """Return values in place of those that are there, and wrong: what depends on them is not told, too."""
        return {}


T = TypeVar("T", bound=AskConfig)


def read_config(
    kind: type[T], path: str | Path, overrides: Sequence[str] = (), files: bool | Collection[str] = True
) -> T:
    """Return the configuration in a YAML file; ValueError names every error at once, and no value of a key that could hold a secret.

    `overrides` are `key=value`, values YAML: `urls=[http://a:8000,http://b:8000]`, `sources='{geos: 3}'`. With `files` everything that
    it names on this machine has to be there (see `missing_files`), or what these keys name.
    """
    path = Path(path)
    values, lines, errors = _read(path, kind.EXAMPLE)
    values, lines = ({kind.RENAMED.get(key, key): at for key, at in found.items()} for found in (values, lines))
    if is_training(values):
        raise UserError(
            f"{path}: a training recipe, not {kind.KIND}'s configuration. Train with llamafactory-cli train {quoted(path)}; "
            f"here a configuration such as {kind.EXAMPLE} is needed."
        )

    names = {*values, *(override.partition("=")[0] for override in overrides)}
    verb = asking_verb(names)
    is_anothers = verb != "distill" or len(names - kind.model_fields.keys()) > 1  # whose keys others have, too
    if verb and ASKING[verb] != kind.KIND and is_anothers:
        raise UserError(
            f"{path}: {ASKING[verb]}'s configuration, not {kind.KIND}'s. Run it with virgo-factory {verb} run {quoted(path)}; "
            f"here a configuration such as {kind.EXAMPLE} is needed."
        )

    if len(values) > 2 and not kind.model_fields.keys() & values.keys():
        raise UserError(f"{path}: no key of {kind.KIND}'s configuration in it. One to begin with: {kind.EXAMPLE}.")

    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            errors.append((COMMAND_LINE, f"{override}: expected key=value"))
            continue

        try:
            values[key] = read_yaml(text)
            lines[key] = COMMAND_LINE
        except yaml.YAMLError:
            like = f"'{key}={{a: 1}}'"
            errors.append(
                (COMMAND_LINE, f"{key}: the value is not YAML. Quote it, with a blank behind colons: {like}")
            )

    for key, value in list(values.items()):
        if problem := _not_even_a_value(kind, key, value):
            errors.append((lines[key], problem))
            del values[key]

    config, wrong = None, {message.partition(":")[0] for _, message in errors}
    try:
        config = kind(**values)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] != "missing" or item["loc"][0] not in wrong:
                errors.append((lines.get(item["loc"][0], 0), told(item)))

    together = config or _partly(kind, values, errors)
    for keys, message in together.contradictions():
        places = {lines.get(key, 0) for key in keys}
        errors.append((COMMAND_LINE if COMMAND_LINE in places else max(places), message))

    if files:
        wrong = {message.partition(":")[0].split()[0] for _, message in errors}
        looked_at = (values.keys() if files is True else values.keys() & files) - wrong
        missing = [(key, message) for key, message in together.missing_files() if key in looked_at]
        errors += [(lines.get(key, 0), message) for key, message in missing]

    if errors:
        raise UserError(listed(path, errors))

    return config


def read_folder(kind: type[T], folder: Path, overrides: Sequence[str] = ()) -> T:
    """Return the configuration that made a folder, with keys that differ now; ValueError without one.

    Its `output_dir` is the folder where it is now.
    """
    path = folder / kind.FILE
    if not path.is_file():
        raise UserError(f"{folder} is no folder of {kind.KIND}: no {kind.FILE} in it.{kind.START}")

    return read_config(kind, path, overrides, files=False).model_copy(update={"output_dir": folder})


def common_config(kind: type[T], folders: Sequence[Path], shapes: Callable[[T], Mapping[str, Any]]) -> T:
    """Return the configuration of the first of some folders; ValueError where they differ in `shapes`, or one is named twice."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a folder is named twice.")

    first, *others = (read_folder(kind, folder) for folder in folders)
    for folder, config in zip(folders[1:], others, strict=True):
        old, new = shapes(first), shapes(config)
        if changed := [f"{key}: {old[key]!r} and {new.get(key)!r}" for key in old if old[key] != new.get(key)]:
            raise UserError(
                f"{folders[0]} and {folder} are not parts of one {kind.KIND.partition(' ')[2]}: {'; '.join(changed)}. "
                "Merge folders of the same configuration."
            )

    return first


def response_format_of(folder: Path) -> str:
    """Return the `response_format` of the configuration in a folder; AUTO where there is none, or a broken one."""
    for path in (folder / name for name in FILES):
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError, AttributeError):
            found = read_yaml(path.read_text(encoding="utf-8")).get("response_format")
            return found if found in RESPONSE_FORMATS else AUTO

    return AUTO


def _is_path(name: str) -> bool:
    """Whether a model's name can only be a folder: the hub's names have one slash."""
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or name.split("/")[0] in ("saves", "models")


def _read(path: Path, example: str) -> tuple[dict[str, Any], dict[str, int], list[tuple[int, str]]]:
    """Return values, the line of each key (`BLOCK.KEY` for those of a block), and errors so far."""
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
        node = yaml.compose(text, Loader=loader_of(text))
        values = read_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or 'cannot be read'}.") from None
    except (ValueError, RecursionError) as error:  # such as a date that is none
        raise UserError(f"{path}: not YAML: {error}.") from None

    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values, as in {example}.")

    lines: dict[str, int] = {}
    errors = []
    blocks = [(f"{key.value}.", value) for key, value in node.value if isinstance(value, yaml.MappingNode)]
    for prefix, block in [("", node), *blocks]:
        for key, _ in block.value:
            name = f"{prefix}{key.value}"
            if name in lines:
                errors.append((key.start_mark.line + 1, f"{name}: stands in line {lines[name]} already"))

            lines[name] = key.start_mark.line + 1

    return {str(key): value for key, value in values.items()}, lines, errors


def _not_even_a_value(kind: type[AskConfig], key: str, value: Any) -> str | None:
    """What is wrong with a key that no type is needed to see: unknown, empty, yes for a number."""
    fields = kind.model_fields
    if key not in fields:
        near = [name for name in fields if name.startswith(key)] or difflib.get_close_matches(key, fields, n=1)
        if re.search(r"key|token$|secret|password", key) and not near:
            return f"{key}: no such key. A key is read from the environment variable that api_key_env names"

        return f"{key}: no such key." + (f" Did you mean {near[0]}?" if near else " Remove it")

    if value is None and fields[key].default is not None:
        return f"{key}: no value. Give it one, or remove the line"

    if isinstance(value, bool) and fields[key].annotation is not bool:
        return f"{key}: {str(value).lower()} is not a value of this key"

    return None


def told(item: Mapping[str, Any]) -> str:
    """Return an error of pydantic in words, with the key in front."""
    key, *inside = item["loc"]
    where = "".join(f" {part}" for part in inside if isinstance(part, str) and part != "[key]")
    secret = key in ("api_key_env", "urls", "base_urls", "server_args")
    given = "" if secret or isinstance(item["input"], (dict, list)) else f"{item['input']!r}: "
    if item["type"] == "missing":
        return f"{key}: missing"

    if item["type"] == "unexpected_keyword_argument":
        return f"{key}{where}: no such key"

    if item["type"] == "literal_error":
        allowed = (
            item["ctx"]["expected"].replace("'", "").replace(" or ", ", ").removeprefix(", ")
        )  # "" is not to enter
        near = difflib.get_close_matches(str(item["input"]), allowed.split(", "), n=1)
        return f"{key}: {given}not one of {allowed}." + (f" Did you mean {near[0]}?" if near else "")

    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}"

    message = item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    message = message.replace("a valid ", "").replace("valid tuple", "list").replace("tuple", "list")
    return f"{key}{where}: {given}expected {message}"


def _partly(kind: type[T], values: Mapping[str, Any], errors: Sequence[tuple[int, str]]) -> T:
    """The configuration with its wrong values left out, so that contradictions among the others are told as well."""
    wrong = {message.partition(":")[0].split()[0] for _, message in errors}
    stand_ins: dict[str, Any] = {name: name for name, field in kind.model_fields.items() if field.is_required()}
    stand_ins |= {key: ["http://localhost"] for key in wrong & kind.model_fields.keys() & {"urls", "base_urls"}}
    right = {key: value for key, value in values.items() if key not in wrong}
    return kind(**stand_ins | kind.stand_ins(wrong) | right)


def listed(path: Path, errors: Sequence[tuple[int, str]]) -> str:
    lines = []
    for line, message in sorted(set(errors), key=lambda error: (error[0] <= 0, error)):
        where = "command line" if line == COMMAND_LINE else f"{path}:{line}" if line else f"{path}"
        lines.append(f"{where}: {message}")

    if len(lines) == 1:
        return lines[0] if lines[0].endswith("?") else f"{lines[0]}."

    return "\n".join([f"{path}: {len(lines)} errors; nothing was started.", *(f"  {line}" for line in lines)])
