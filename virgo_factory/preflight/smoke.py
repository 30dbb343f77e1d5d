"""A recipe tried out in minutes: on a tiny twin of its model, on CPU ranks, through the stock command, killed and resumed.

Every stage is a `Result`; the first that fails ends the smoke run. What this machine cannot do is replaced, and every
replacement is told (`Substitution`), since it is what a passed smoke run does not prove.
"""

import contextlib
import dataclasses
import errno
import heapq
import importlib.util
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from virgo_factory.adapters import ADAPTERS, Options, options_of
from virgo_factory.batch_order import ORDERS
from virgo_factory.datasets.measure import measure
from virgo_factory.datasets.reader import TABLE_SUFFIXES, UnreadableFile, read_source
from virgo_factory.datasets.source import (
    PREFIX_TEMPLATES,
    STOCK_CUTOFF_LEN,
    Settings,
    Source,
    find_sources,
    load_recipe,
    packaged_entries,
    read_info,
)
from virgo_factory.datasets.tokens import model_folder
from virgo_factory.preflight.checkpoint import check_checkpoint, try_reduced
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.keys import unknown_keys
from virgo_factory.preflight.models import find_shape
from virgo_factory.preflight.zero import read_zero


STEPS = 2
"""Steps an epoch, that is to the checkpoint; the run has two epochs, and is killed one step behind the checkpoint."""

ACCUMULATION = 2
PER_DEVICE = 2
"""At most; the rows of a step otherwise follow the recipe."""

LOGITS = 100_000_000
"""Elements of a micro-batch's logits: 0.4 GB in float32, 1.2 GB with gradients and copies, a second of a CPU core."""

LONGEST = 4096
"""Tokens; a longer row is cut whatever the vocabulary."""

NEEDED = 1_000_000_000
"""Bytes: the twin, two checkpoints, the models kept and served, with Qwen's own 152,064 embedding rows."""

LIMIT = 600.0
"""Seconds without a new line in the log or a new step, after which a run is taken for hung."""

MARK = "VIRGO_FACTORY_SMOKE"
"""Environment variable by which all processes of a smoke run are known, orphans among them."""

HERE = "made_by_virgo_smoke.json"
PLUGIN_KEYS = (
    *("overlong", "malformed", "min_response_tokens", "max_response_tokens", "question_prefix"),
    *("marker_tokens", "global_batch_size", "keep_model_at_epochs", "batch_order"),
)
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")


@dataclass(frozen=True)
class Substitution:
    """What the recipe says, what was used instead, and what is not tested for that reason."""

    recipe: str
    used: str
    untested: str


@dataclass(frozen=True)
class Result:
    """What became of a stage.

    Attributes:
        stage: its name.
        seconds: it took.
        found: what it showed; of a failed stage the reason.
        remedy: of a failed stage: what to do.
        log: of a failed stage: where all of its output is.
        ok: whether it passed.
        notes: what is worth a look although it passed.
    """

    stage: str
    seconds: float
    found: str
    remedy: str = ""
    log: str = ""
    ok: bool = True
    notes: tuple[str, ...] = ()


class StageFailed(Exception):
    """A stage that did not pass: the reason, the remedy and the log."""

    def __init__(self, reason: str, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.log = reason, remedy, log


@dataclass
class Smoke:
    """A smoke run: what was asked for, and what its stages have found out so far.

    Attributes:
        recipe: a .yaml file, or the name of one that ships.
        work: folder for everything it writes; made by `run`.
        ranks: CPU processes; None: two for a recipe with DeepSpeed, else one.
        model: folder of tokenizer and processor; None: those of the recipe's model.
        data: file to take the rows from, in place of the recipe's datasets.
        serve: whether vLLM loads the result, where it is installed.
        overrides: recipe keys that were given on top.
        substituted: grows while the stages run.
    """

    recipe: str
    work: Path
    ranks: int | None = None
    model: Path | None = None
    data: Path | None = None
    serve: bool = True
    overrides: Mapping[str, Any] = field(default_factory=dict)
    substituted: list[Substitution] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    sources: list[Source] = field(default_factory=list)
    vocabulary: int = 0
    longest: int | None = None
    before: int = 0
    checkpoint: int = 0
    killed: str = ""

    @property
    def twin(self) -> Path:
        """The tiny model."""
        return self.work / "twin"

    @property
    def output(self) -> Path:
        """The `output_dir` of the training."""
        return self.work / "out"

    @property
    def tuned(self) -> Path:
        """The model that is served in the end: of a LoRA run the merged one."""
        return self.work / "merged" if self.keys.get("finetuning_type", "lora") == "lora" else self.output

    def substitute(self, recipe: str, used: str, untested: str) -> None:
        """Note a replacement."""
        self.substituted.append(Substitution(recipe, used, untested))


def run(smoke: Smoke, starting: Callable[[str], None] = lambda stage: None) -> Iterator[Result]:
    """Yield the result of each stage; the first that failed is the last. No process outlives it.

    Args:
        smoke: what to try.
        starting: called with the name of a stage that begins.

    Raises:
        ValueError: the work folder holds something that no smoke run made.
    """
    _make_work(smoke.work)
    token = uuid.uuid4().hex
    os.environ[MARK] = token
    try:
        for name, stage in _stages(smoke, token):
            starting(name)
            began = time.monotonic()
            try:
                found, notes = stage()
            except (StageFailed, OSError, ValueError) as error:
                yield _failure(name, time.monotonic() - began, error, smoke.work)
                return

            yield Result(name, time.monotonic() - began, found, notes=tuple(notes))
    finally:
        kill_all(token)
        del os.environ[MARK]


Found = tuple[str, Sequence[str]]


def _stages(smoke: Smoke, token: str) -> Iterator[tuple[str, Callable[[], Found]]]:
    yield "parse", lambda: parse(smoke)
    yield "twin", lambda: twin(smoke)
    yield "rows", lambda: rows(smoke)
    yield "train", lambda: train(smoke, token)
    yield "kill", lambda: (smoke.killed, ())
    yield "resume", lambda: resume(smoke)
    yield "export", lambda: export(smoke)
    yield "checkpoint", lambda: checkpoint(smoke)
    yield "load", lambda: load(smoke)


def _failure(stage: str, seconds: float, error: Exception, work: Path) -> Result:
    if isinstance(error, StageFailed):
        reason, remedy, log = error.reason, error.remedy, str(error.log or "")
    else:
        reason, remedy, log = str(error), "", ""

    if is_disk_full(error) or is_disk_full(reason):
        free = shutil.disk_usage(work).free
        reason = f"the disk of {work} is full ({free / 1e6:,.0f} MB free): {reason}"
        remedy = "free some space, or choose another disk with --work DIR"

    return Result(stage, seconds, reason, remedy, log, ok=False)


def is_disk_full(error: Exception | str) -> bool:
    """Return whether an error, or the line of a log, says that the disk is full.

    >>> is_disk_full("SafetensorError: I/O error: No space left on device (os error 28)"), is_disk_full("nan")
    (True, False)
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True

    return any(said in str(error) for said in ("No space left on device", "Disk quota exceeded"))


def _make_work(work: Path) -> None:
    if work.exists() and not (work / HERE).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise ValueError(f"{work} holds something that no smoke run made. Choose another --work, or remove it.")

    work.mkdir(parents=True, exist_ok=True)
    for old in work.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()

    (work / HERE).write_text('{"safe_to_replace": true}\n', encoding="utf-8")


# parse


def parse(smoke: Smoke) -> Found:
    """Read recipe and dataset entries; all that is wrong is told at once."""
    keys = smoke.keys = {"stage": "sft", **load_recipe(smoke.recipe), **smoke.overrides}
    problems = _stage_problems(keys)
    unknown = unknown_keys(keys)
    if unknown:
        names = sorted(line.split(":")[0] for line in unknown)
        problems += [f"Some keys are not used by the HfArgumentParser: {names}", *unknown]

    notes: list[str] = []
    zero = None
    if keys.get("deepspeed"):
        try:
            zero = read_zero(keys["deepspeed"]) if not isinstance(keys["deepspeed"], dict) else None
            notes += zero.warnings if zero else ()
        except ValueError as error:
            problems.append(str(error))

    if smoke.ranks is None:
        smoke.ranks = 2 if keys.get("deepspeed") else 1

    try:
        _find_rows(smoke)
    except ValueError as error:
        problems.append(str(error))

    try:
        family = find_family(keys.get("model_name_or_path"), smoke.model)
    except ValueError as error:
        problems.append(str(error))

    if problems:
        raise StageFailed("\n".join(dict.fromkeys(problems)), "repair the recipe; nothing has been started")

    method = keys.get("finetuning_type", "lora")
    parts = [keys["stage"], method, f"template {keys.get('template')}", family]
    parts += [f"ZeRO-{zero.stage}"] if zero else []
    parts.append(f"{smoke.ranks} CPU rank{'s' if smoke.ranks > 1 else ''}")
    return ", ".join(parts), [*notes, *differences(keys)]


def differences(keys: Mapping[str, Any]) -> list[str]:
    """Return what is done otherwise than for full supervised fine-tuning."""
    found = []
    if keys.get("finetuning_type", "lora") == "lora":
        found.append("LoRA: checkpoints hold the adapter; the export merges it, and the merged model is checked")

    if keys.get("stage") == "dpo":
        found.append("DPO: a frozen reference copy is loaded beside the model; a pair is as long as its longer side")

    return found


def _stage_problems(keys: Mapping[str, Any]) -> list[str]:
    problems = []
    if keys.get("stage", "sft") not in ("sft", "dpo"):
        problems.append(f"stage: {keys['stage']!r}: only sft and dpo can be tried out here.")

    if not keys.get("do_train"):
        problems.append("do_train: not true, so nothing would be trained. Add do_train: true.")

    for key in ("output_dir", "model_name_or_path", "dataset"):
        if not keys.get(key):
            problems.append(f"{key}: missing. Add it.")

    if keys.get("finetuning_type", "lora") not in ("full", "lora", "freeze"):
        problems.append(
            f"finetuning_type: {keys['finetuning_type']!r}: only full, lora and freeze can be tried out here."
        )

    if keys.get("batch_order") not in (None, *ORDERS):
        problems.append(f"batch_order: {keys['batch_order']!r} is not one of {', '.join(ORDERS)}.")

    return problems


def find_family(name: str | None, model: Path | None) -> str:
    """Return the architecture of a recipe's model: by its name or folder, else of the folder that was given.

    Raises:
        ValueError: it is not known.
    """
    try:
        return find_shape(name)[0].family
    except ValueError as error:
        if model is not None and (model / "config.json").is_file():
            return find_shape(None, model)[0].family

        raise ValueError(
            f"{str(error).split('Give its config.json')[0].strip()} Give a folder with its config.json and tokenizer "
            "with --model DIR."
        ) from None


def _find_rows(smoke: Smoke) -> None:
    """Set sources and settings: those of the recipe, or of the file that stands in for its datasets."""
    keys = smoke.keys
    if smoke.data is None:
        try:
            sources, smoke.settings = find_sources(smoke.recipe, **smoke.overrides)
        except ValueError as error:
            if "Hugging Face cache" in str(error) and "tokenizer" not in str(error):
                raise ValueError(f"{error} Or take rows of the same kind from a file: --data FILE.") from None

            raise

        smoke.sources = [source for source in sources if source.role == "train"]
        return

    names = keys.get("dataset") or ""
    names = [name.strip() for name in (names if isinstance(names, list) else str(names).split(",")) if name.strip()]
    entry = {**packaged_entries(), **read_info(keys.get("dataset_dir") or "data")}.get(names[0] if names else "", {})
    formatting = entry.get("formatting", "long_thought" if not entry else "alpaca")
    media = keys.get("media_dir") or smoke.data.parent
    given = {item.name: keys[item.name] for item in dataclasses.fields(Settings) if keys.get(item.name) is not None}
    given.setdefault("cutoff_len", STOCK_CUTOFF_LEN)
    given.pop("tokenizer", None)
    sources, settings = find_sources(str(smoke.data), formatting=formatting, media_dir=media, **given)
    options = options_of(entry, malformed=settings.malformed)
    smoke.sources = [dataclasses.replace(sources[0], name=names[0] if names else "rows", entry=entry, options=options)]
    smoke.settings = settings
    smoke.substitute(f"dataset: {', '.join(names)}", f"rows of {smoke.data}", "the dataset itself, its download")


# twin


def twin(smoke: Smoke) -> Found:
    """Make the tiny model, where there is room for it and all that comes of it."""
    free = shutil.disk_usage(smoke.work).free
    if free < NEEDED:
        raise StageFailed(
            f"the disk of {smoke.work} has {free / 1e6:,.0f} MB free, a smoke run writes up to {NEEDED / 1e6:,.0f} MB",
            "free some space, or choose another disk with --work DIR",
        )

    name = smoke.keys["model_name_or_path"]
    folder = find_tokenizer(name, smoke.model)
    family = find_family(name, smoke.model)
    log = smoke.work / "twin.log"
    try:
        with _started([sys.executable, "-c", _MAKE_TWIN, str(smoke.twin), str(folder), family], log) as child:
            _watch(child, log, smoke)
    except StageFailed as error:
        remedy = "give a folder of tokenizer and processor that fit the model, with --model DIR"
        raise StageFailed(f"{folder}: {error.reason}", remedy, log) from None

    config = json.loads((smoke.twin / "config.json").read_text(encoding="utf-8"))
    text = {**config, **(config.get("text_config") or {})}
    smoke.vocabulary = text["vocab_size"]
    size = sum(file.stat().st_size for file in smoke.twin.glob("*.safetensors"))
    smoke.substitute(
        f"weights of {name}",
        f"{size // 2 / 1e6:.1f}M random ones, {family}",
        "weights: their files, their size, what is learnt",
    )
    if smoke.model is not None and Path(name) != smoke.model:
        smoke.substitute(
            f"tokenizer and processor of {name}", str(smoke.model), f"those of {name}, unless they are the same"
        )

    return (
        f"{family} with {size // 2 / 1e6:.1f}M random weights, {smoke.vocabulary:,} embedding rows; tokenizer of {folder}",
        (),
    )


_MAKE_TWIN = "import sys; from virgo_factory.preflight.twin import make_twin; make_twin(*sys.argv[1:], heads=2)"
"""In a process of its own, since nothing else here takes torch."""


def find_tokenizer(name: str, model: Path | None) -> Path:
    """Return the folder of tokenizer and processor: the one given, the recipe's model, or that of the cache.

    Raises:
        StageFailed: there is none.
    """
    try:
        folder = model or model_folder(name)
    except ValueError as error:
        raise StageFailed(str(error), "give a folder of tokenizer and processor with --model DIR") from None

    if not folder.is_dir():
        raise StageFailed(f"{folder}: no such folder", "correct --model DIR")

    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise StageFailed(
            f"{folder}: no tokenizer in it (none of {', '.join(TOKENIZER_FILES)})",
            "give the folder of the base model, or one of its tokenizer files, with --model DIR",
        )

    return folder


# rows


@dataclass
class Chosen:
    """The shortest and the longest rows of a source while they are read: (tokens, row number), and what became of all."""

    short: list[tuple[int, int]] = field(default_factory=list)
    long: list[tuple[int, int]] = field(default_factory=list)
    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    cut: int = 0

    def add(self, tokens: int, number: int, room: int) -> None:
        """Take a row into account; `room` is how many shortest and how many longest are wanted."""
        self.kept += 1
        _push(self.short, (-tokens, -number), room)
        _push(self.long, (tokens, -number), room)

    def numbers(self, wanted: int) -> list[int]:
        """Return the rows in order: the longest half, the rest the shortest, repeated where there are too few."""
        longest = [-number for _, number in sorted(self.long, reverse=True)][: max(wanted // 2, 1)]
        shortest = [-number for _, number in sorted(self.short, reverse=True) if -number not in longest]
        rows = (longest + shortest)[:wanted]
        return sorted((rows * math.ceil(wanted / len(rows)))[:wanted]) if rows else []


def _push(heap: list[tuple[int, int]], entry: tuple[int, int], room: int) -> None:
    (heapq.heappush if len(heap) < room else heapq.heappushpop)(heap, entry)


def rows(smoke: Smoke) -> Found:
    """Measure all rows, and write the shortest and the longest as datasets of the same names."""
    keys = smoke.keys
    per_device, accumulation = batch(keys)
    wanted = STEPS * smoke.ranks * per_device * accumulation
    longest = longest_tokens(smoke.vocabulary, per_device * (2 if keys["stage"] == "dpo" else 1))
    smoke.settings = dataclasses.replace(smoke.settings, tokenizer=str(smoke.twin))
    found = _measure(smoke, wanted, longest)
    other = dataclasses.replace(smoke.sources[0], formatting="long_thought", entry={}, options=Options())
    if smoke.data and not any(chosen.kept for chosen in found) and smoke.sources[0].formatting in ADAPTERS:
        before, smoke.sources = smoke.sources, [other]
        again = _measure(smoke, wanted, longest)
        if any(chosen.kept for chosen in again):
            smoke.substitute(
                f"formatting: {before[0].formatting}", "long_thought, which reads that file", "that adapter"
            )
            found = again
        else:
            smoke.sources = before

    dropped = sum((chosen.dropped for chosen in found), Counter())
    kept = sum(chosen.kept for chosen in found)
    account = f"{kept + dropped.total():,} rows: {kept:,} kept, {dropped.total():,} dropped"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common(5))
    account += f" ({reasons})" if reasons else ""
    if not kept:
        raise StageFailed(
            f"{account}: nothing is left to train on",
            f"look at them: virgo-factory data check {smoke.data or smoke.recipe}",
        )

    if kept < smoke.ranks:
        raise StageFailed(f"{account}: fewer than the {smoke.ranks} ranks", "use fewer --ranks, or more rows")

    (smoke.work / "data").mkdir()
    entries, lengths = {}, []
    shares = [wanted // len(found) + (place < wanted % len(found)) for place in range(len(found))]
    for source, chosen, share in zip(smoke.sources, found, shares, strict=True):
        numbers = chosen.numbers(max(share, 1))
        if not numbers:
            raise StageFailed(f"{source.name}: none of its rows is kept ({account})", "repair or remove the dataset")

        tokens = {-number: length for length, number in chosen.long} | {-n: -length for length, n in chosen.short}
        lengths += [tokens[number] for number in numbers]
        file = write_rows(source, numbers, smoke.work / "data" / source.name.replace("/", "_"))
        entry = {key: value for key, value in source.entry.items() if key not in _PLACE_KEYS}
        entries[source.name] = {**entry, "file_name": file.name, "formatting": source.formatting}

    (smoke.work / "data" / "dataset_info.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    smoke.longest = longest if any(length > longest for length in lengths) else None
    unit = "tokens" if all(source.is_ours for source in smoke.sources) else "tokens by estimate"
    if smoke.longest:
        smoke.substitute(
            f"rows of up to {max(lengths):,} {unit}",
            f"cut to {longest:,} tokens",
            "memory and time of the longest rows",
        )

    cut = sum(chosen.cut for chosen in found)
    if cut:
        smoke.substitute(
            f"{cut:,} rows with images of more than {longest:,} {unit}", "left out", "memory and time of these rows"
        )

    picked = f"taken: {len(lengths)}, the shortest and the longest, {min(lengths):,} to {max(lengths):,} {unit}"
    return f"{account}; {picked}" + (f", cut to {longest:,}" if smoke.longest else ""), ()


_PLACE_KEYS = (
    *("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"),
    *("subset", "folder", "split", "num_samples", "made_by"),
)


def batch(keys: Mapping[str, Any]) -> tuple[int, int]:
    """Return rows a rank and forward pass, and accumulation steps, of the smoke run."""
    per_device = min(int(keys.get("per_device_train_batch_size") or 8), PER_DEVICE)
    accumulates = "global_batch_size" in keys or int(keys.get("gradient_accumulation_steps") or 1) > 1
    return per_device, ACCUMULATION if accumulates else 1


def longest_tokens(vocabulary: int, sequences: int) -> int:
    """Return how long a row may be, in tokens, for minutes on a CPU; a multiple of 8.

    >>> longest_tokens(152064, 1), longest_tokens(1600, 2)
    (656, 4096)
    """
    return max(min(LOGITS // (vocabulary * sequences), LONGEST) // 8 * 8, 256)


def _measure(smoke: Smoke, wanted: int, longest: int) -> list[Chosen]:
    found = [Chosen() for _ in smoke.sources]
    own = [source.is_ours for source in smoke.sources]
    seen = Counter()
    for record in measure(smoke.sources, smoke.settings):
        chosen = found[record.source]
        if record.reason:
            chosen.dropped[record.reason] += 1
        elif own[record.source] and record.number + 1 > seen[record.source]:  # of a row with several parts the first
            seen[record.source] = record.number + 1
            _take(chosen, record.tokens, record.images, record.number, wanted, longest)
        elif own[record.source]:
            chosen.kept += 1

    for place, source in enumerate(smoke.sources):
        if not own[place]:
            for row in read_source(source):
                tokens, images = estimate(row.raw, source.options.columns, smoke.settings.image_max_pixels)
                _take(found[place], tokens, images, row.number, wanted, longest)

    return found


def _take(chosen: Chosen, tokens: int, images: int, number: int, wanted: int, longest: int) -> None:
    if images and tokens > longest:  # cut in an image, a row would not fit its pixels
        chosen.kept += 1
        chosen.cut += 1
    else:
        chosen.add(tokens, number, wanted)


def estimate(raw: Any, columns: Mapping[str, str], max_pixels: int) -> tuple[int, int]:
    """Return about how many tokens a row in one of LLaMA-Factory's own formattings has, and how many images."""
    images = raw.get(columns.get("images", "images")) if isinstance(raw, dict) else None
    count = len(images) if isinstance(images, list) else bool(images)
    return len(json.dumps(raw, ensure_ascii=False, default=str)) // 3 + count * (max_pixels // (28 * 28)), count


def write_rows(source: Source, numbers: Sequence[int], stem: Path) -> Path:
    """Write rows of a source as they are, in JSONL or Parquet, and return the file."""
    raw = {}
    with contextlib.suppress(UnreadableFile):  # broken rows have been counted
        for row in read_source(source):
            if row.number in numbers:
                raw[row.number] = row.raw

            if row.number >= numbers[-1]:
                break

    if source.files[0].suffix in TABLE_SUFFIXES:
        import pyarrow
        import pyarrow.parquet

        file = stem.with_suffix(".parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([raw[number] for number in numbers]), file)
    else:
        file = stem.with_suffix(".jsonl")
        lines = [json.dumps(raw[number], ensure_ascii=False) + "\n" for number in numbers]
        file.write_text("".join(lines), encoding="utf-8")

    return file


# the recipe of the smoke run


def smoke_recipe(smoke: Smoke) -> dict[str, Any]:
    """Return the recipe's keys with what a CPU run of minutes needs, and note each replacement that hides something."""
    keys = dict(smoke.keys)
    per_device, accumulation = batch(keys)
    _replace_hardware(smoke, keys)
    if "global_batch_size" in keys:
        small = smoke.ranks * per_device * accumulation
        smoke.substitute(
            f"global_batch_size: {keys['global_batch_size']}", str(small), "the number of GPUs and nodes, NCCL"
        )
        keys["global_batch_size"] = small
    else:
        smoke.substitute("the GPUs", f"{smoke.ranks} CPU ranks", "the number of GPUs and nodes, NCCL")
        keys["gradient_accumulation_steps"] = accumulation

    if keys.get("per_device_train_batch_size", 8) != per_device:
        smoke.substitute(
            f"per_device_train_batch_size: {keys.get('per_device_train_batch_size', 8)}", str(per_device), ""
        )

    if keys.get("save_only_model"):
        smoke.substitute("save_only_model: true", "false", "nothing: such a run cannot be resumed once it is killed")

    if keys.get("overwrite_output_dir"):
        smoke.substitute("overwrite_output_dir: true", "false", "nothing: such a run starts anew instead of resuming")

    gone = [key for key in _LEFT_OUT if keys.pop(key, None) not in (None, False, [], "no", 0)]
    if gone:
        smoke.substitute(", ".join(gone), "left out", "what these keys do")

    length = (
        f"max_steps: {keys['max_steps']}" if keys.get("max_steps") else f"{keys.get('num_train_epochs', 3)} epochs"
    )
    smoke.substitute(length, f"{2 * STEPS} steps in 2 epochs", "what shows only after hours")
    if keys.get("keep_model_at_epochs"):
        smoke.substitute(f"keep_model_at_epochs: {keys['keep_model_at_epochs']}", "[1]", "")
        keys["keep_model_at_epochs"] = [1]

    by_epoch = keys.get("save_strategy") == "epoch" and not keys.get("packing") and not keys.get("streaming")
    keys.pop("max_samples", None)
    keys |= {
        "model_name_or_path": str(smoke.twin),
        "dataset": ",".join(source.name for source in smoke.sources),
        "dataset_dir": str(smoke.work / "data"),
        "media_dir": str(smoke.sources[0].media_dir.absolute()),
        "output_dir": str(smoke.output),
        "overwrite_output_dir": False,
        "overwrite_cache": True,
        "preprocessing_num_workers": 1,
        "per_device_train_batch_size": per_device,
        "num_train_epochs": 2.0,
        "save_strategy": "epoch" if by_epoch else "steps",
        "save_steps": 500 if by_epoch else STEPS,
        "save_only_model": False,
        "logging_steps": 1,
        "logging_strategy": "steps",
        "report_to": "none",
        "use_cpu": True,
    }
    keys.pop("max_steps", None)
    if not by_epoch:
        keys["max_steps"] = 2 * STEPS

    if smoke.longest:
        keys["cutoff_len"] = min(smoke.longest, keys.get("cutoff_len") or STOCK_CUTOFF_LEN)
        if any(source.is_ours for source in smoke.sources):
            keys["overlong"] = "truncate"

    ours = any(keys.get(key) is not None for key in PLUGIN_KEYS) or any(source.is_ours for source in smoke.sources)
    if not ours and keys.get("template") not in PREFIX_TEMPLATES:
        keys["marker_tokens"] = False
        smoke.substitute("a run without this plugin", "marker_tokens: false, which switches it on", "")

    return keys


_LEFT_OUT = (
    *("eval_dataset", "val_size", "do_eval", "eval_strategy", "eval_steps", "do_predict", "predict_with_generate"),
    *("tokenized_path", "resume_from_checkpoint", "push_to_hub", "adapter_name_or_path", "create_new_adapter"),
    *("ref_model", "ref_model_adapters", "use_ray", "use_swanlab", "load_best_model_at_end", "hub_model_id"),
)
_NOT_ON_CPU = {  # key -> what is used instead (None: the key is left out), what is not tested
    "enable_liger_kernel": (False, "liger kernels, the fused loss"),
    "use_unsloth": (False, "unsloth"),
    "use_unsloth_gc": (False, "unsloth's checkpointing"),
    "fp8": (False, "FP8"),
    "tf32": (None, "TF32"),
    "torch_compile": (False, "torch.compile"),
    "quantization_bit": (None, "quantised weights"),
    "quantization_method": (None, "quantised weights"),
    "double_quantization": (None, "quantised weights"),
    "fsdp": (None, "FSDP"),
    "fsdp_config": (None, "FSDP"),
}
_GPU_OPTIMIZERS = re.compile(r"8bit|4bit|paged|bnb|fused|galore|apollo")


def _replace_hardware(smoke: Smoke, keys: dict[str, Any]) -> None:
    for key, (instead, untested) in _NOT_ON_CPU.items():
        if keys.get(key):
            smoke.substitute(
                f"{key}: {_yaml(keys.pop(key))}", "left out" if instead is None else _yaml(instead), untested
            )
            if instead is not None:
                keys[key] = instead

    if keys.get("flash_attn") not in (None, "auto", "sdpa", "disabled"):
        smoke.substitute(f"flash_attn: {keys['flash_attn']}", "sdpa", "flash-attention")
        keys["flash_attn"] = "sdpa"

    if keys.pop("fp16", None):
        smoke.substitute("fp16: true", "bf16: true", "fp16 and its loss scale")
        keys["bf16"] = True

    if _GPU_OPTIMIZERS.search(str(keys.get("optim", ""))):
        smoke.substitute(f"optim: {keys['optim']}", "adamw_torch", "that optimiser")
        keys["optim"] = "adamw_torch"

    file = keys.get("deepspeed")
    if file:
        content = file if isinstance(file, dict) else json.loads(Path(file).read_text(encoding="utf-8"))
        zero = content.get("zero_optimization") or {}
        offloaded = [key for key in ("offload_optimizer", "offload_param") if key in zero]
        keys["deepspeed"] = file if isinstance(file, dict) else str(Path(file).absolute())
        if offloaded:
            zero = {key: value for key, value in zero.items() if key not in offloaded}
            own = smoke.work / "deepspeed.json"
            own.write_text(json.dumps({**content, "zero_optimization": zero}, indent=1), encoding="utf-8")
            keys["deepspeed"] = str(own)
            smoke.substitute(" and ".join(offloaded), "left out: the weights are in the host's memory", "offloading")


def _yaml(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


# training


def train(smoke: Smoke, token: str) -> Found:
    """Train until a step behind the first checkpoint has been logged, and kill every process of the run."""
    recipe = smoke.work / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(smoke_recipe(smoke), sort_keys=False), encoding="utf-8")
    log = smoke.work / "train.log"
    steps: list[dict[str, Any]] = []

    def is_past_checkpoint() -> bool:
        steps[:] = logged_steps(smoke.output)
        saved = checkpoints(smoke.output)
        return bool(saved and steps and steps[-1]["current_steps"] > saved[0])

    with _started(_stock("train", recipe), log, smoke.ranks) as child:
        _watch(child, log, smoke, is_past_checkpoint)
        killed = kill_all(token)

    saved = checkpoints(smoke.output)
    last = steps[-1]
    smoke.before = len(steps)
    smoke.checkpoint = saved[0]
    for later in saved[1:]:  # of a machine so fast, or so busy, that the next one was begun meanwhile
        shutil.rmtree(smoke.output / f"checkpoint-{later}")

    smoke.killed = (
        f"SIGKILL to {killed} processes behind step {last['current_steps']} of {last['total_steps']}, "
        f"checkpoint-{saved[0]} was whole"
    )
    losses = " ".join(f"{step['loss']:.3g}" for step in steps)
    return f"{last['current_steps']} of {last['total_steps']} steps, losses {losses}; checkpoint-{saved[0]} saved", ()


def resume(smoke: Smoke) -> Found:
    """Start the same command again; it must go on behind the checkpoint and come to the end."""
    log = smoke.work / "resume.log"
    with _started(_stock("train", smoke.work / "recipe.yaml"), log, smoke.ranks) as child:
        _watch(child, log, smoke)

    steps = logged_steps(smoke.output)[smoke.before :]
    first = steps[0]["current_steps"] if steps else None
    if first != smoke.checkpoint + 1:
        raise StageFailed(
            f"the second run began at step {first}, not behind checkpoint-{smoke.checkpoint}",
            "look at the log for why the checkpoint was not taken up",
            log,
        )

    last = steps[-1]
    if last["current_steps"] != last["total_steps"]:
        raise StageFailed(f"ended at step {last['current_steps']} of {last['total_steps']}", "look at the log", log)

    losses = " ".join(f"{step['loss']:.3g}" for step in steps)
    return f"went on from checkpoint-{smoke.checkpoint} to step {last['total_steps']}, losses {losses}", ()


def export(smoke: Smoke) -> Found:
    """Return the model that is to be served: for LoRA what `llamafactory-cli export` merges."""
    keys = smoke.keys
    if keys.get("finetuning_type", "lora") == "lora":
        recipe = smoke.work / "export.yaml"
        wanted = {
            "model_name_or_path": str(smoke.twin),
            "adapter_name_or_path": str(smoke.output),
            "template": keys.get("template"),
            "finetuning_type": "lora",
            "export_dir": str(smoke.tuned),
            "export_size": 5,
            "export_device": "cpu",
        }
        recipe.write_text(yaml.safe_dump(wanted), encoding="utf-8")
        log = smoke.work / "export.log"
        with _started(_stock("export", recipe), log) as child:
            _watch(child, log, smoke)

    files = sorted(smoke.tuned.glob("*.safetensors"))
    if not files:
        raise StageFailed(
            f"{smoke.tuned}: no *.safetensors", "see what the training wrote last", smoke.work / "resume.log"
        )

    size = sum(file.stat().st_size for file in files)
    kind = "adapter merged into the twin" if smoke.tuned != smoke.output else "final model"
    kept = [folder.name for folder in smoke.output.glob("epoch-*")]
    return f"{kind}, {size / 1e6:,.1f} MB" + (f"; kept {', '.join(kept)}" if kept else ""), ()


def checkpoint(smoke: Smoke) -> Found:
    """Return what the files of the model say."""
    frozen = smoke.keys.get("freeze_vision_tower", True)
    found = check_checkpoint(smoke.tuned, smoke.twin if frozen else None)
    named, notes = _judged(found, smoke)
    return f"{len(named)} checks in order: " + ", ".join(name.split(":")[0] for name in named), notes


def load(smoke: Smoke) -> Found:
    """Return what loading the model in transformers, and in vLLM, shows."""
    vllm = importlib.util.find_spec("vllm") is not None
    if not smoke.serve or not vllm:
        why = "not tried (--no-serve)" if not smoke.serve else "not installed here"
        smoke.substitute("serving with vLLM", why, "vLLM")

    if smoke.serve and vllm:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GB

    try:
        named, notes = _judged(try_reduced(smoke.tuned, smoke.work, vllm=smoke.serve and vllm), smoke)
        return "; ".join(_LOG_LINE.sub(r"\1: it answers", line) for line in named), notes
    except subprocess.TimeoutExpired as error:
        raise StageFailed(f"no answer after {error.timeout:.0f} s", "load the model in Python to see why") from None


_LOG_LINE = re.compile(r"^([\w ]+): \(?(?:Worker|EngineCore|INFO|WARNING)\b.*", re.DOTALL)
"""What vLLM's own processes still print behind the answer."""


def _judged(found: Sequence[Diagnosis], smoke: Smoke) -> tuple[list[str], list[str]]:
    """Return what is in order and what is worth a look; an error is a failed stage."""
    errors = [item for item in found if item.severity == "error"]
    if errors:
        raise StageFailed(
            "; ".join(f"{item.check}: {item.found}" for item in errors),
            "; ".join(dict.fromkeys(item.remedy for item in errors)),
            smoke.tuned,
        )

    fine = [f"{item.check}: {item.found}" for item in found if item.severity == "ok"]
    warned = [
        f"{item.check}: {item.found}" for item in found if item.severity == "warning" and item.check != "vision tower"
    ]
    return fine, warned


def checkpoints(output: Path) -> list[int]:
    """Return the steps of the checkpoints of an output folder, in order."""
    found = (re.fullmatch(r"checkpoint-(\d+)", folder.name) for folder in output.glob("checkpoint-*"))
    return sorted(int(match[1]) for match in found if match)


def logged_steps(output: Path) -> list[dict[str, Any]]:
    """Return the entries with a loss of LLaMA-Factory's trainer_log.jsonl."""
    file = output / "trainer_log.jsonl"
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        with contextlib.suppress(ValueError):  # a line that is being written just now
            entry = json.loads(line)
            if "loss" in entry:
                found.append(entry)

    return found


# processes


def _stock(verb: str, recipe: Path) -> list[str]:
    command = Path(sys.executable).parent / "llamafactory-cli"
    if not command.is_file():
        raise StageFailed(f"{command} is not there", "install llamafactory into this environment")

    return [str(command), verb, str(recipe)]


@contextlib.contextmanager
def _started(command: list[str], log: Path, ranks: int = 0) -> Iterator[subprocess.Popen]:
    """Start a command in the background, and see that nothing of it is left in the end."""
    with log.open("wb") as sink:
        child = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(os.environ, ranks, log.parent),
            start_new_session=True,  # Ctrl-C is for this program, which then ends them all
        )

    try:
        yield child
    finally:
        kill_all(os.environ[MARK])
        child.wait()


def environment(outer: Mapping[str, str], ranks: int, work: Path) -> dict[str, str]:
    """Return the environment of a run on CPU ranks of this machine alone, whatever job it is started in."""
    cluster = (
        "NNODES",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "NPROC_PER_NODE",
    )
    kept = {key: value for key, value in outer.items() if key not in (*cluster, "FORCE_TORCHRUN")}
    cores = len(os.sched_getaffinity(0))
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), outer.get("PATH", "")]),  # for torchrun
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(work / "cache"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        MARK: os.environ.get(MARK, ""),
    }
    launch = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(ranks)} if ranks else {}
    return {"OMP_NUM_THREADS": str(min(max(cores // max(ranks, 1), 1), 4)), **kept, **own, **launch}


def _watch(child: subprocess.Popen, log: Path, smoke: Smoke, until: Callable[[], bool] | None = None) -> None:
    """Wait for the end of a run, or for `until()`; a run that fails, hangs or loses its loss is a failed stage."""
    size, changed = -1, time.monotonic()
    known = len(logged_steps(smoke.output))
    while True:
        ended = child.poll() is not None
        if until is not None and until():
            return

        for step in logged_steps(smoke.output)[known:]:
            if not math.isfinite(step["loss"]):
                raise StageFailed(
                    f"the loss is {step['loss']} at step {step['current_steps']}",
                    "look at the rows and at learning_rate", log,
                )  # fmt: skip

        if ended:
            break

        now = log.stat().st_size
        if now != size:
            size, changed = now, time.monotonic()
        elif time.monotonic() - changed > LIMIT:
            raise StageFailed(f"nothing new for {LIMIT:.0f} s: it hangs", "look at the end of the log", log)

        time.sleep(0.01 if until is not None else 0.1)

    text = read_log(log)
    if child.returncode:
        reason = find_error(text)
        raise StageFailed(reason, find_remedy(reason), log)

    if until is not None:
        raise StageFailed("the run ended before there was a checkpoint and a step behind it", "look at the log", log)


def read_log(log: Path) -> str:
    """Return a log as it stood on a terminal: of each line what its progress bars left, without colours."""
    text = log.read_bytes().decode("utf-8", errors="replace")
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


_RANK = re.compile(r"^\[(?:rank|default)?\d+\]:\s?")
_ERROR = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?=:|$)")
_LAUNCHER = re.compile(r"ChildFailedError|CalledProcessError|SignalException|DistBackendError|DistNetworkError")
_NEXT = re.compile(r"^(?:$|\[|Traceback|[EWI]\d{4} |The above exception|During handling|\S+ \d\d:\d\d)")


def find_error(text: str) -> str:
    """Return the error that a log is about: of all ranks the first that is not the launcher's, all of its lines.

    >>> find_error("Traceback (most recent call last):\\n  File x\\n[rank0]: ValueError: no rows.\\n")
    'ValueError: no rows.'
    """
    lines = [_RANK.sub("", line) for line in text.splitlines()]
    full = next((line.strip() for line in lines if is_disk_full(line)), None)
    if full:
        return full

    for place, line in enumerate(lines):
        if _ERROR.match(line) and not _LAUNCHER.search(line):
            more = []
            for following in lines[place + 1 : place + 12]:
                if _NEXT.match(following) or _ERROR.match(following):
                    break

                more.append(following.rstrip())

            return "\n".join([line.rstrip(), *more])[:1500]

    if re.search(r"exitcode\s*: -9|Signal 9|SIGKILL", text):
        return "a rank was killed (signal 9): most likely the memory of this machine is full"

    said = [line for line in lines if line.strip()]
    return "no error in its log, which ends:\n" + "\n".join(said[-5:]) if said else "it ended without a word"


_REMEDIES = (
    (
        r"signal 9|out of memory|Cannot allocate memory|DefaultCPUAllocator",
        "use fewer --ranks, or a machine with more memory",
    ),
    (r"not used by the HfArgumentParser", "correct the key in the recipe"),
    (r"Undefined dataset|not found", "correct dataset and dataset_dir in the recipe"),
    (r"Template .* does not exist", "correct template in the recipe"),
    (r"global_batch_size", "correct the batch sizes in the recipe"),
    (r"Target modules .* not found|No `target_modules` passed", "correct lora_target in the recipe"),
    (r"No module named '(?P<name>[^']+)'|\b(?P<other>[\w-]+) is not installed", "install what is missing: {found}"),
)


def find_remedy(reason: str) -> str:
    """Return what to do about an error of the log."""
    for pattern, remedy in _REMEDIES:
        if match := re.search(pattern, reason):
            found = next((value for value in match.groupdict().values() if value), "")
            return remedy.format(found=found)

    return "repair what the error names; the whole output is in the log"


def kill_all(token: str) -> int:
    """Send SIGKILL to every process of the smoke run, by id, until none is left; return how many there were.

    They are known by what their environment says, so that those whose parent is gone are found as well (torchrun starts
    its ranks, and vLLM its engine, in sessions of their own).
    """
    killed: set[int] = set()
    deadline = time.monotonic() + 10
    while (living := marked(token)) and time.monotonic() < deadline:
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        killed |= set(living)
        time.sleep(0.01)

    return len(killed)


def marked(token: str) -> list[int]:
    """Return the processes whose environment has the token, this one excepted."""
    wanted = f"{MARK}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # gone, or another user's
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))

    return found
