"""A checkpoint tried out: layers from its whole depth, the real tensors in them, loaded and run in a child process."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from virgo_factory.formats.row import QWEN_VL_FAMILIES
from virgo_factory.io.cpu import has_bf16
from virgo_factory.preflight.checkpoint.weights import (
    INDEX,
    LAYER,
    VOCABULARY,
    is_ours,
    read_ahead,
    read_json,
    read_tensors,
)
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.twin.small_config import cut_layers, spread
from virgo_factory.rollouts.servers.server import CPU_EXECUTOR, CPU_WITHOUT_BF16, environment, is_cpu_build


DEPTH = 4
"""Layers of the language model and of the vision tower that are run: the first, the last and two between."""
PLACES = "reduced_tensors.json"
TOLD = "told: "
"""As `forward` has them, which is not imported here: it loads torch."""

_MODULE = ("-m", "virgo_factory.preflight.checkpoint.forward")


def reduce_checkpoint(folder: Path, target: Path, layers: int = DEPTH) -> Path:
    """Write the settings of a checkpoint of which only layers from the whole depth are left, and where their tensors are.

    Of the language model and of the vision tower; the tensors are the checkpoint's own, in its files.
    """
    tensors = read_tensors(folder)
    depth: dict[str, int] = {}
    for name in tensors:
        if match := LAYER.match(name):
            depth[name[: match.start(3)]] = max(depth.get(name[: match.start(3)], 0), int(match[3]) + 1)

    kept = {}
    for name, tensor in tensors.items():
        if not (match := LAYER.match(name)):
            kept[name] = (tensor, name)
        elif int(match[3]) in (chosen := spread(depth[name[: match.start(3)]], layers)):
            place = chosen.index(int(match[3]))
            kept[f"{name[: match.start(3)]}{place}.{match[4]}"] = (tensor, name)

    target.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file() and file.suffix in (".json", ".jinja", ".txt", ".model") and file.name != INDEX:
            shutil.copy(file, target)

    config = cut_layers(read_json(folder / "config.json"), layers)
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    places = {name: (str(tensor.file.resolve()), old) for name, (tensor, old) in kept.items()}
    (target / PLACES).write_text(json.dumps(places), encoding="utf-8")
    read_ahead(tensor for tensor, name in kept.values() if not VOCABULARY.search(name))
    return target


def try_reduced(folder: Path, work: Path) -> list[Diagnosis]:
    """Return what loading and running layers from the whole depth shows; their settings are written into `work`."""
    if is_ours(folder):
        return _side_by_side({"transformers": (*_MODULE, str(reduce_checkpoint(folder, work / "reduced")))})

    remedy = "nothing, if the server that you use knows it; virgo-factory smoke tries a tiny twin of it"
    return [
        Diagnosis("loading", "warning", f"not tried: no reduced copy of a model other than {QWEN_VL_FAMILIES}", remedy)
    ]


def try_loading(folder: Path, vllm: bool = False) -> list[Diagnosis]:
    """Return what loading and running a small model shows, in a child process each, side by side."""
    tried = {"transformers": (*_MODULE, str(folder))}
    if vllm:
        tried["vllm"] = ("-c", _VLLM, str(folder), json.dumps(_options() if is_cpu_build() else {}))

    return _side_by_side(tried)


def _options() -> dict[str, str]:
    """Return what the CPU build is told, as where it serves for rollouts."""
    given = (*CPU_EXECUTOR, *(() if has_bf16() else CPU_WITHOUT_BF16))
    return {key.removeprefix("--").replace("-", "_"): is_ for key, is_ in zip(given[::2], given[1::2], strict=True)}


def _side_by_side(tried: Mapping[str, tuple[str, ...]]) -> list[Diagnosis]:
    with ThreadPoolExecutor(len(tried)) as pool:  # most of it is starting up
        return list(pool.map(lambda name: _try(name, tried[name]), tried))


def _try(name: str, arguments: tuple[str, ...]) -> Diagnosis:
    own = environment(os.environ, _IN_ONE_PROCESS) if name == "vllm" else None
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=900, env=own)
    lines = (run.stdout if run.returncode == 0 else run.stderr).strip().splitlines() or ["no output"]
    told = next((line.removeprefix(TOLD) for line in lines if line.startswith(TOLD)), "")
    if run.returncode == 0 and told:
        return Diagnosis(f"{name} loads it", "ok", told)

    said = next((line for line in reversed(lines) if re.match(r"\w*(Error|Exception|Exit)\b", line)), lines[-1])
    return Diagnosis(f"{name} loads it", "error", said[:300], "load the model in Python to see the whole error")


_IN_ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""Of vLLM, which else starts an engine that imports all of it once more, and on the CPU a worker that does so again."""

_VLLM = """
import json
import sys
from transformers import AutoConfig
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    sees = hasattr(AutoConfig.from_pretrained(sys.argv[1]), "vision_config")
    images = {"limit_mm_per_prompt": {"image": 1, "video": 0}, "skip_mm_profiling": True} if sees else {}
    llm = LLM(sys.argv[1], enforce_eager=True, max_model_len=1024, max_num_batched_tokens=1024, max_num_seqs=1,
              gpu_memory_utilization=0.3, seed=0, **images, **json.loads(sys.argv[2]))
    out = llm.chat([{"role": "user", "content": "What is this?"}], SamplingParams(max_tokens=4, temperature=0))
    print(f"told: {len(out[0].prompt_token_ids)} prompt tokens read, {len(out[0].outputs[0].token_ids)} written")
"""
