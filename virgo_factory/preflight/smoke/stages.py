"""A recipe tried out in minutes: on a tiny twin of its model, on CPU ranks, through the stock command, killed and resumed.

Every stage is a `Result`; the first that fails ends the smoke run. What this machine cannot do is replaced, and every
replacement is told (`Substitution`), since it is what a passed smoke run does not prove.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from virgo_factory.core.errors import UserError
from virgo_factory.data.tokens.tokens import MODEL_FILES, model_folder
from virgo_factory.formats.row import QWEN_VL_FAMILIES
from virgo_factory.io.cpu import has_bf16
from virgo_factory.io.files import check_folder
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.reduced import try_loading
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.plan.models import find_family, find_shape
from virgo_factory.preflight.precision import is_float32
from virgo_factory.preflight.smoke.logs import checkpoints, is_disk_full, logged_steps
from virgo_factory.preflight.smoke.parse import parse
from virgo_factory.preflight.smoke.processes import MARK, kill_all, started, stock_command, watch
from virgo_factory.preflight.smoke.recipe import smoke_recipe
from virgo_factory.preflight.smoke.rows import rows
from virgo_factory.preflight.smoke.trial import Found, Result, Smoke, StageFailed
from virgo_factory.preflight.twin.small_config import TEXT_CONFIGS


NEEDED = 1_000_000_000
"""Bytes: the twin, two checkpoints, the models kept and served, with Qwen's own 152,064 embedding rows."""

PER_PARAMETER = 36
"""Bytes of the same: 14 a checkpoint, 2 for each of four models."""

MAKE_ROOM = "free some space, or choose another disk with --work DIR"
HERE = "made_by_virgo_smoke.json"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")


def run(smoke: Smoke, starting: Callable[[str], None] = lambda stage: None) -> Iterator[Result]:
    """Yield the result of each stage; the first that failed is the last. No process outlives it.

    Raises UserError where the work folder holds something that no smoke run made.
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
        remedy = MAKE_ROOM

    return Result(stage, seconds, reason, remedy, log, ok=False)


def _make_work(work: Path) -> None:
    if work.exists() and not (work / HERE).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise UserError(f"{work} holds something that no smoke run made. Choose another --work, or remove it.")

    check_folder(work)
    work.mkdir(parents=True, exist_ok=True)
    for old in work.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()

    (work / HERE).write_text('{"safe_to_replace": true}\n', encoding="utf-8")


def twin(smoke: Smoke) -> Found:
    """Make the tiny model, where there is room for it and all that comes of it."""
    _check_room(smoke.work, NEEDED)
    name = smoke.keys["model_name_or_path"]
    family = find_family(name, smoke.model)
    folder = find_tokenizer(name, smoke.model, MODEL_FILES if family in QWEN_VL_FAMILIES else CONFIG_FILES)
    log = smoke.work / "twin.log"
    make = _MAKE_TWIN if family in QWEN_VL_FAMILIES else _MAKE_REDUCED_TWIN
    head = "tied" if _is_tied(name, smoke.model) else "of its own"
    dtype, width = ("bfloat16", 2) if has_bf16() and not is_float32(name) else ("float32", 4)
    try:
        with started([sys.executable, "-c", make, str(smoke.twin), str(folder), family, dtype, head], log) as child:
            watch(child, log, smoke.output)
    except StageFailed as error:
        remedy = "give a folder of tokenizer and processor that fit the model, with --model DIR"
        raise StageFailed(f"{folder}: {error.reason}", remedy, log) from None

    config = json.loads((smoke.twin / "config.json").read_text(encoding="utf-8"))
    part = next((config[key] for key in TEXT_CONFIGS if isinstance(config.get(key), dict)), config)
    smoke.vocabulary = part.get("vocab_size") or config["vocab_size"]
    parameters = sum(file.stat().st_size for file in smoke.twin.glob("*.safetensors")) // width
    _check_room(smoke.work, parameters * PER_PARAMETER)
    size, lost = f"{parameters / 1e6:.1f}M random", "weights: their files, their size, what is learnt"
    smoke.substitute(f"weights of {name}", f"{size} ones, {family}", lost)
    if smoke.model is not None and Path(name) != smoke.model:
        lost = f"those of {name}, unless they are the same"
        smoke.substitute(f"tokenizer and processor of {name}", str(smoke.model), lost)

    return f"{family} with {size} weights, {smoke.vocabulary:,} embedding rows; tokenizer of {folder}", ()


def _is_tied(name: str, model: Path | None) -> bool:
    """Whether the model's output head is its embedding, which decides what LoRA may train of it."""
    try:
        return find_shape(name, model if model and (model / "config.json").is_file() else None)[0].tied
    except ValueError:
        return False


def _check_room(work: Path, needed: int) -> None:
    free = shutil.disk_usage(work).free
    if free < needed:
        told = f"has {free / 1e6:,.0f} MB free, a smoke run writes up to {needed / 1e6:,.0f} MB"
        raise StageFailed(f"the disk of {work} {told}", MAKE_ROOM)


_MAKE_TWIN = (
    "import sys; from virgo_factory.preflight.twin.twin import make_twin; "
    "make_twin(*sys.argv[1:4], heads=2, dtype=sys.argv[4], tied=sys.argv[5] == 'tied')"
)
"""In a process of its own, since nothing else here takes torch."""
_MAKE_REDUCED_TWIN = (
    "import sys; from virgo_factory.preflight.twin.twin import make_reduced_twin; "
    "make_reduced_twin(*sys.argv[1:3], dtype=sys.argv[4])"
)
CONFIG_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
"""Of a model whose sizes do not ship with this package."""


def find_tokenizer(name: str, model: Path | None, files: Sequence[str] = MODEL_FILES) -> Path:
    """Return the folder of tokenizer and processor: the one given, the recipe's model, or that of the cache.

    Raises StageFailed where there is none.
    """
    try:
        folder = model or model_folder(name, files)
    except ValueError as error:
        raise StageFailed(str(error), "give a folder of tokenizer and processor with --model DIR") from None

    if not folder.is_dir():
        raise StageFailed(f"{folder}: no such folder", "correct --model DIR")

    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        remedy = "give the folder of the base model, or one of its tokenizer files, with --model DIR"
        raise StageFailed(f"{folder}: no tokenizer in it (none of {', '.join(TOKENIZER_FILES)})", remedy)

    return folder


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

    with started(stock_command("train", recipe), log, smoke.ranks) as child:
        watch(child, log, smoke.output, is_past_checkpoint)
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
    with started(stock_command("train", smoke.work / "recipe.yaml"), log, smoke.ranks) as child:
        watch(child, log, smoke.output)

    steps = logged_steps(smoke.output)[smoke.before :]
    first = steps[0]["current_steps"] if steps else None
    if first != smoke.checkpoint + 1:
        what = f"the second run began at step {first}, not behind checkpoint-{smoke.checkpoint}"
        raise StageFailed(what, "look at the log for why the checkpoint was not taken up", log)

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
        with started(stock_command("export", recipe), log) as child:
            watch(child, log, smoke.output)

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
    frozen = smoke.keys.get("freeze_vision_tower", True)
    found = check_checkpoint(smoke.tuned, smoke.twin, same_tower=frozen, may_be_base=True)
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
        named, notes = _judged(try_loading(smoke.tuned, vllm=smoke.serve and vllm), smoke)
        return "; ".join(_LOG_LINE.sub(r"\1: it answers", line) for line in named), notes
    except subprocess.TimeoutExpired as error:
        raise StageFailed(f"no answer after {error.timeout:.0f} s", "load the model in Python to see why") from None


_LOG_LINE = re.compile(r"^([\w ]+): \(?(?:Worker|EngineCore|INFO|WARNING)\b.*", re.DOTALL)
"""What vLLM's own processes still print behind the answer."""


def _judged(found: Sequence[Diagnosis], smoke: Smoke) -> tuple[list[str], list[str]]:
    """Return what is in order and what is worth a look; an error is a failed stage."""
    errors = [item for item in found if item.severity == "error"]
    told = {item: f"{item.check}: {item.found}" for item in found}
    if errors:
        remedies = "; ".join(dict.fromkeys(item.remedy for item in errors))
        raise StageFailed("; ".join(map(told.get, errors)), remedies, smoke.tuned)

    warned = [told[item] for item in found if item.severity == "warning" and item.check != "vision tower"]
    return [told[item] for item in found if item.severity == "ok"], warned
