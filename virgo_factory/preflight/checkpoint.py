"""What of a checkpoint survives in the programs that serve it: files whole, names, tokenizer, template, vision tower.

What the files say is read from the files alone, without torch: safetensors' headers give every tensor's name, type and
place, so the vision tower is compared byte by byte in flat memory. `try_reduced` then proves it: a copy with the first
layers only, the real tensors in them, is loaded and run by transformers, and by vLLM where that is asked for.
"""

import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.memory import FAMILIES
from virgo_factory.preflight.small_config import LAYERS, cut_layers
from virgo_factory.thought import MARKERS


INDEX = "model.safetensors.index.json"
PROCESSOR = "preprocessor_config.json"
KEY = re.compile(r"(?:model\.(?:layers\.\d+|embed_tokens|norm)|visual\.(?:blocks\.\d+|merger|patch_embed)|lm_head)\.")
"""Names of tensors as transformers 4.x and vLLM read Qwen2-VL and Qwen2.5-VL; 5.x knows others."""
TOWER = re.compile(r"visual\.(?!merger\.)")
TOLD = "told: "
"""What a child says of the copy begins so; the libraries print lines of their own."""
_LAYER = re.compile(r"(model\.layers|visual\.blocks)\.(\d+)\.")
_PREFIX = re.compile(r'question_prefix \| default\(("(?:[^"\\]|\\.)*")\)')
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's bytes are."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


class BrokenCheckpoint(ValueError):
    """A checkpoint whose files cannot be read."""


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a model folder by name; headers only are read.

    Raises:
        BrokenCheckpoint: no weights, a file of the index that is missing, or one that was cut short.
    """
    if (folder / INDEX).is_file():
        files = sorted(set(_read_json(folder / INDEX)["weight_map"].values()))
    elif (folder / "model.safetensors").is_file():
        files = ["model.safetensors"]
    else:
        sharded = any(folder.glob("global_step*"))
        raise BrokenCheckpoint(
            f"{folder}: no model.safetensors. "
            + (
                "It holds DeepSpeed's partitions only: set stage3_gather_16bit_weights_on_model_save in the DeepSpeed "
                "file, or gather them with the zero_to_fp32.py beside them."
                if sharded
                else "Name the folder of a trained model."
            )
        )

    tensors = {}
    for name in files:
        file = folder / name
        if not file.is_file():
            raise BrokenCheckpoint(f"{folder}: {INDEX} names {name}, which is missing. Copy the whole folder again.")

        tensors |= _read_header(file)

    return tensors


def _read_header(file: Path) -> dict[str, Tensor]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length + 8 > size:
            raise BrokenCheckpoint(f"{file}: cut short in its header ({size} bytes). Copy the file again.")

        header = json.loads(stream.read(length))

    header.pop("__metadata__", None)
    body = 8 + length
    tensors = {
        name: Tensor(file, entry["dtype"], tuple(entry["shape"]), *(body + offset for offset in entry["data_offsets"]))
        for name, entry in header.items()
    }
    end = max((tensor.end for tensor in tensors.values()), default=body)
    if end > size:
        raise BrokenCheckpoint(f"{file}: cut short, {size} of {end} bytes. Copy the file again.")

    return tensors


def check_checkpoint(folder: Path, base: Path | None = None, same_tower: bool = True) -> list[Diagnosis]:
    """Return what the files of a checkpoint say, those in order as well.

    What is known of Qwen2-VL and Qwen2.5-VL (names, rotary positions, vision tower) is asked of them alone; the tensors
    of another family are to have the names that the base's have.

    Args:
        folder: of the trained model.
        base: of the model that the training began from, to compare with.
        same_tower: whether the vision tower has to be the base's.
    """
    try:
        tensors = read_tensors(folder)
    except BrokenCheckpoint as error:
        what, remedy = str(error).split(". ", 1)
        return [Diagnosis("weights", "error", what, remedy)]

    found = [
        Diagnosis("weights", "ok", f"{len(tensors)} tensors, every file whole"),
        *_files(folder),
        *_config(folder),
    ]
    try:
        before = read_tensors(base) if base else None
    except BrokenCheckpoint as error:
        found.append(Diagnosis("base", "error", str(error), "name the folder of the base model"))
        before = None

    found += _names(tensors, folder) if _is_ours(folder) else _names_of_base(tensors, before)
    found += [*_tokenizer(folder, tensors), *_template(folder)]
    if _is_ours(folder):
        found += _tower(tensors, before if same_tower else None)

    return found


def _is_ours(folder: Path) -> bool:
    """Whether the family is one whose names and settings are known here."""
    file = folder / "config.json"
    return not file.is_file() or _read_json(file).get("model_type") in FAMILIES


def _files(folder: Path) -> Iterator[Diagnosis]:
    for name in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        *((PROCESSOR,) if _is_ours(folder) else ()),
    ):
        if not (folder / name).is_file():
            yield Diagnosis("files", "error", f"{name} is missing", "copy it from the base model's folder")


def _config(folder: Path) -> Iterator[Diagnosis]:
    if not (folder / "config.json").is_file():
        return

    config = _read_json(folder / "config.json")
    text = {**config, **(config.get("text_config") or {})}
    scaling = text.get("rope_scaling")
    if isinstance(scaling, dict) and scaling.get("mrope_section"):
        yield Diagnosis("rope", "ok", f"mrope_section {scaling['mrope_section']}")
    elif "rope_parameters" in text:
        yield Diagnosis(
            "rope", "error", "saved as rope_parameters (transformers 5.x), which 4.x readers do not find",
            'train with "transformers>=4.57.1,<5", or rename it to rope_scaling',
        )  # fmt: skip
    elif _is_ours(folder):
        yield Diagnosis(
            "rope", "error", "no rope_scaling with an mrope_section", "copy it from the base's config.json"
        )

    version = str(config.get("transformers_version", ""))
    if version and not version.startswith("4."):
        yield Diagnosis(
            "transformers", "error", f"saved by {version}; 4.x readers break", "train with transformers 4.57"
        )
    elif version:
        yield Diagnosis("transformers", "ok", f"saved by {version}")


def _names(tensors: Mapping[str, Tensor], folder: Path) -> Iterator[Diagnosis]:
    unknown = [name for name in tensors if not KEY.match(name)]
    if unknown:
        yield Diagnosis(
            "names", "error", f"{len(unknown)} tensors have names that vLLM and transformers 4.x do not read, such as "
            f"{unknown[0]}", 'save with "transformers>=4.57.1,<5"',
        )  # fmt: skip
        return

    config = _read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    text = {**config, **(config.get("text_config") or {})}
    depths = {
        "model.layers": text.get("num_hidden_layers"),
        "visual.blocks": (config.get("vision_config") or {}).get("depth"),
    }
    found = {stack: {int(match[2]) for name in tensors if (match := _LAYER.match(name)) and match[1] == stack}
             for stack in depths}  # fmt: skip
    for stack, depth in depths.items():
        if depth is not None and found[stack] != set(range(depth)):
            yield Diagnosis(
                "names",
                "error",
                f"{len(found[stack])} of {depth} {stack}",
                "copy the whole folder again, or save again",
            )
            return

    if not text.get("tie_word_embeddings") and "lm_head.weight" not in tensors:
        yield Diagnosis("names", "error", "no lm_head.weight, though it is not tied", "save the model again")
        return

    yield Diagnosis("names", "ok", "all names are those that vLLM and transformers 4.x read")


def _names_of_base(tensors: Mapping[str, Tensor], before: Mapping[str, Tensor] | None) -> Iterator[Diagnosis]:
    if before is None:
        yield Diagnosis("names", "warning", f"{len(tensors)} tensors, not compared", "name the base with --base DIR")
        return

    missing, new = sorted(before.keys() - tensors.keys()), sorted(tensors.keys() - before.keys())
    if missing or new:
        yield Diagnosis(
            "names", "error", f"{len(missing)} of the base's tensors are missing and {len(new)} new, such as "
            f"{(missing or new)[0]}", "save with the transformers that the base was saved with",
        )  # fmt: skip
    else:
        yield Diagnosis("names", "ok", f"all {len(tensors)} names are the base's")


def _tokenizer(folder: Path, tensors: Mapping[str, Tensor]) -> Iterator[Diagnosis]:
    if not (folder / "tokenizer.json").is_file() or not (folder / "tokenizer_config.json").is_file():
        return

    from tokenizers import Tokenizer

    settings = _read_json(folder / "tokenizer_config.json")
    if isinstance(settings.get("extra_special_tokens"), list):
        yield Diagnosis(
            "tokenizer", "error", "extra_special_tokens is a list (transformers 5.x): 4.x readers stop",
            "copy tokenizer_config.json from the base model, and add the new tokens to added_tokens_decoder",
        )  # fmt: skip

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    rows = next((tensor.shape[0] for name, tensor in tensors.items() if name.endswith("embed_tokens.weight")), None)
    if rows is not None and max(vocabulary.values()) >= rows:
        yield Diagnosis(
            "tokenizer", "error", f"token {max(vocabulary.values())} has no row among {rows} embeddings",
            "train with resize_vocab, or with the tokenizer that the model belongs to",
        )  # fmt: skip
    else:
        yield Diagnosis("tokenizer", "ok", f"{len(vocabulary):,} tokens, {rows or 0:,} embedding rows")

    single = [marker for marker in MARKERS if marker in vocabulary]
    if single and len(single) < len(MARKERS):
        missing = ", ".join(marker for marker in MARKERS if marker not in single)
        yield Diagnosis("markers", "error", f"{missing} is no token, the others are", "use the trained tokenizer")
    else:
        yield Diagnosis("markers", "ok", "one token each" if single else "plain text")


def _template(folder: Path) -> Iterator[Diagnosis]:
    file = folder / "chat_template.jinja"
    if file.is_file():
        text = file.read_text(encoding="utf-8")
    else:
        kept = [_read_json(folder / name) for name in ("tokenizer_config.json", "chat_template.json")
                if (folder / name).is_file()]  # fmt: skip
        text = next((entry["chat_template"] for entry in kept if isinstance(entry.get("chat_template"), str)), "")

    if not text:
        yield Diagnosis("chat template", "error", "none: a server would refuse chat requests", "copy the base's")
    elif found := _PREFIX.search(text):
        prefix = json.loads(found[1])
        yield Diagnosis("chat template", "ok", f"virgo, question prefix {prefix!r}" if prefix else "virgo, no prefix")
    else:
        yield Diagnosis("chat template", "ok", "the base model's own, without a question prefix")


def _tower(tensors: Mapping[str, Tensor], before: Mapping[str, Tensor] | None) -> Iterator[Diagnosis]:
    tower = sorted(name for name in tensors if TOWER.match(name))
    if before is None:
        yield Diagnosis(
            "vision tower", "warning", f"{len(tower)} tensors, not compared", "name the base with --base DIR"
        )
        return

    differing = [name for name in tower if name not in before or not _same(tensors[name], before[name])]
    missing = [name for name in before if TOWER.match(name) and name not in tensors]
    if differing or missing:
        yield Diagnosis(
            "vision tower", "error", f"{len(differing) + len(missing)} of {len(tower)} tensors differ from the base, "
            f"such as {(differing or missing)[0]}", "set freeze_vision_tower: true, or name the base it was trained from",
        )  # fmt: skip
    else:
        yield Diagnosis("vision tower", "ok", f"all {len(tower)} tensors are the base's, byte by byte")


def _same(one: Tensor, other: Tensor) -> bool:
    if (one.kind, one.shape) != (other.kind, other.shape):
        return False

    with one.file.open("rb") as left, other.file.open("rb") as right:
        left.seek(one.start)
        right.seek(other.start)
        for at in range(0, one.end - one.start, _CHUNK):
            size = min(_CHUNK, one.end - one.start - at)
            if left.read(size) != right.read(size):
                return False

    return True


def reduce_checkpoint(folder: Path, target: Path, layers: int = LAYERS) -> Path:
    """Write a copy of a checkpoint with the first layers only, of the language model and of the vision tower.

    The tensors in it are the checkpoint's own, byte by byte; memory does not grow with their number.
    """
    tensors = read_tensors(folder)
    kept = {name: tensor for name, tensor in tensors.items()
            if not (match := _LAYER.match(name)) or int(match[2]) < layers}  # fmt: skip
    target.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file() and file.suffix in (".json", ".jinja", ".txt", ".model") and file.name != INDEX:
            shutil.copy(file, target)

    config = cut_layers(_read_json(folder / "config.json"), layers)
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    _write_tensors(kept, target / "model.safetensors")
    return target


def _write_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        size = tensor.end - tensor.start
        header[name] = {"dtype": tensor.kind, "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size

    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as sink:
        sink.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            with tensor.file.open("rb") as source:
                source.seek(tensor.start)
                left = tensor.end - tensor.start
                while left:
                    chunk = source.read(min(_CHUNK, left))
                    sink.write(chunk)
                    left -= len(chunk)


def try_reduced(folder: Path, work: Path, vllm: bool = False) -> list[Diagnosis]:
    """Return what loading and running a reduced copy shows.

    Args:
        folder: of the trained model.
        work: where the copy is written.
        vllm: whether vLLM is tried as well.
    """
    if _is_ours(folder):
        return try_loading(reduce_checkpoint(folder, work / "reduced"), vllm)

    remedy = "nothing, if the server that you use knows it; virgo-factory smoke tries a tiny twin of it"
    return [Diagnosis("loading", "warning", f"not tried: no reduced copy of a model other than {FAMILIES}", remedy)]


def try_loading(folder: Path, vllm: bool = False) -> list[Diagnosis]:
    """Return what loading and running a small model shows, in a child process each, side by side."""
    tried = {"transformers": _TRANSFORMERS} | ({"vllm": _VLLM} if vllm else {})
    with ThreadPoolExecutor(len(tried)) as pool:  # side by side: most of it is starting up
        return list(pool.map(lambda name: _try(name, tried[name], folder), tried))


def _try(name: str, code: str, folder: Path) -> Diagnosis:
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=900)
    lines = (run.stdout if run.returncode == 0 else run.stderr).strip().splitlines() or ["no output"]
    told = next((line.removeprefix(TOLD) for line in lines if line.startswith(TOLD)), "")
    if run.returncode == 0 and told:
        return Diagnosis(f"{name} loads it", "ok", told)

    said = next((line for line in reversed(lines) if re.match(r"\w*(Error|Exception|Exit)\b", line)), lines[-1])
    return Diagnosis(f"{name} loads it", "error", said[:300], "load the model in Python to see the whole error")


_TRANSFORMERS = """
import sys, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from PIL import Image
sees = hasattr(AutoConfig.from_pretrained(sys.argv[1]), "vision_config")
auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
model, info = auto.from_pretrained(sys.argv[1], dtype=torch.bfloat16, output_loading_info=True)
wrong = {key: sorted(map(str, value))[:3] for key, value in info.items() if value}
if wrong:
    raise ValueError(f"tensors do not fit: {wrong}")
if sees:
    processor = AutoProcessor.from_pretrained(sys.argv[1])
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[text], images=[Image.new("RGB", (112, 112), "red")], return_tensors="pt")
else:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    text = tokenizer.apply_chat_template([{"role": "user", "content": "What is this?"}], tokenize=False)
    inputs = tokenizer(text, return_tensors="pt")
with torch.no_grad():
    logits = model(**inputs).logits
if not torch.isfinite(logits).all():
    raise ValueError("the logits are not finite: weights are damaged")
read = f"{logits.shape[1]} tokens {'with an image ' if sees else ''}read"
print(f"told: every tensor in its place, {read}, logits finite")
"""
_VLLM = """
import sys
from transformers import AutoConfig
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    sees = hasattr(AutoConfig.from_pretrained(sys.argv[1]), "vision_config")
    images = {"limit_mm_per_prompt": {"image": 1, "video": 0}, "skip_mm_profiling": True} if sees else {}
    llm = LLM(sys.argv[1], enforce_eager=True, max_model_len=1024, max_num_batched_tokens=1024, max_num_seqs=1,
              gpu_memory_utilization=0.3, seed=0, **images)
    out = llm.chat([{"role": "user", "content": "What is this?"}], SamplingParams(max_tokens=4, temperature=0))
    print(f"told: {len(out[0].prompt_token_ids)} prompt tokens read, {len(out[0].outputs[0].token_ids)} written")
"""


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenCheckpoint(f"{file}: not JSON ({error}). Copy the file again.") from None

    return content if isinstance(content, dict) else {}
