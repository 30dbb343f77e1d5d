"""How fast `virgo-factory checkpoint check` looks at every number of a checkpoint, against reading the same files.

python benchmarks/checkpoint_check.py [--gigabytes 6] [--repeat 3] [--work DIR]

Checkpoint: the widths of Qwen2-VL-7B-Instruct, as many layers as fill the space, random bfloat16 numbers, shards of 2 GB, in
a temporary folder; the base is a copy with other numbers in the language model. Sides, each a process of its own, in turns:

- cat: `cat *.safetensors > /dev/null`;
- files: `checkpoint check --files-only`;
- base: the same with `--base`;
- run: `checkpoint check` with the forward pass.

Each side once with the files in memory and once after they were dropped from it (as far as the machine lets go of them). Start
up is in the time. GB/s are of the checkpoint's bytes; ratios are to `cat`, of the medians; memory is the largest of the
process and of its child, and of it what is not a mapped file.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np


SHARD = 2e9
SIZES = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}
LAYER_GB, REST_GB = 0.466, 2.3


def make(folder: Path, layers: int) -> dict[str, tuple[int, ...]]:
    """Write settings and tokenizer of the checkpoint; return name -> shape of its tensors, as they are saved."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    from virgo_factory.preflight.twin.twin import make_twin

    make_twin(folder)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["text_config"].pop("layer_types", None)
    config["text_config"] |= SIZES | {"num_hidden_layers": layers, "max_window_layers": layers}
    config["vision_config"] |= {"embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        shapes = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**config)).state_dict()

    return {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): tuple(value.shape)
        for name, value in shapes.items()
    }


def fill(folder: Path, shapes: dict[str, tuple[int, ...]], seed: int) -> None:
    """Write random numbers in shards, others for each tensor; those of the vision tower are the same for every seed."""
    shards: list[list[str]] = [[]]
    size = 0.0
    for name, shape in shapes.items():
        size += 2 * np.prod(shape)
        if size > SHARD and shards[-1]:
            shards.append([])
            size = 2 * np.prod(shape)

        shards[-1].append(name)

    placed = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        header, offset = {}, 0
        for name in names:
            end = offset + 2 * int(np.prod(shapes[name]))
            header[name] = {"dtype": "BF16", "shape": list(shapes[name]), "data_offsets": [offset, end]}
            offset = end

        text = json.dumps(header).encode()
        with (folder / file).open("wb") as sink:
            sink.write(len(text).to_bytes(8, "little") + text)
            for name in names:
                chance = np.random.default_rng([zlib.crc32(name.encode()), 0 if name.startswith("visual.") else seed])
                left = int(np.prod(shapes[name]))
                block = chance.standard_normal(min(left, 1 << 22), dtype=np.float32) * np.float32(0.02)
                bits = (block.view(np.uint32) >> 16).astype(np.uint16)
                while left:
                    bits[: min(left, len(bits))].tofile(sink)
                    left -= min(left, len(bits))

        placed |= dict.fromkeys(names, file)

    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))


def drop(folder: Path) -> None:
    """Let the files go from memory."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(command: list[str]) -> tuple[float, float, float, float]:
    """Return seconds, CPU seconds, and the largest memory in GB of the processes: all of it, and what is no mapped file."""
    peak, ended = [0.0], threading.Event()
    before = os.times()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def look() -> None:
        while not ended.wait(0.02):
            for pid in (process.pid, *children(process.pid)):
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue

                peak[0] = max(
                    [peak[0], *(int(line.split()[1]) / 1e6 for line in status.splitlines() if "RssAnon" in line)]
                )

    watching = threading.Thread(target=look)
    watching.start()
    error = process.stderr.read()
    pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    ended.set()
    process.returncode = os.waitstatus_to_exitcode(status)
    watching.join()
    assert process.returncode == 0, error
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, cpu, usage.ru_maxrss / 1e6, peak[0]


def children(pid: int) -> list[int]:
    """Return the children of all of a process's threads."""
    with contextlib.suppress(OSError):
        lists = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(child) for text in lists for child in text.split()]

    return []


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=6.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        folder, base = Path(work) / "trained", Path(work) / "base"
        layers = max(2, round((options.gigabytes - REST_GB) / LAYER_GB))
        with ProcessPoolExecutor(1) as apart:  # torch's memory would be told as that of each command
            shapes = apart.submit(make, folder, layers).result()

        shutil.copytree(folder, base)
        fill(folder, shapes, 1)
        fill(base, shapes, 2)
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e9
        check = [sys.executable, "-m", "virgo_factory.cli.main", "checkpoint", "check", str(folder)]
        sides = {
            "cat": ["sh", "-c", f"cat {folder}/*.safetensors"],
            "files": [*check, "--files-only"],
            "base": [*check, "--files-only", "--base", str(base)],
            "run": check,
        }
        print(f"{size:.1f} GB, {len(shapes)} tensors, {os.cpu_count()} cores, medians of {options.repeat}\n")
        print("| side | files | seconds | CPU s | GB/s | of cat | GB/s a CPU core | memory GB | not files GB |")
        print("|---|---|---|---|---|---|---|---|---|")
        rows: dict[tuple[str, str], list] = {}
        for _ in range(options.repeat):
            for state in ("in memory", "dropped"):
                for side, command in sides.items():
                    if state == "dropped":
                        drop(folder)
                        drop(base)
                    else:
                        subprocess.run(["sh", "-c", f"cat {folder}/*.safetensors > /dev/null"], check=True)

                    rows.setdefault((side, state), []).append(measured(command))

        for (side, state), runs in sorted(rows.items(), key=lambda row: row[0][1], reverse=True):
            seconds, cpu, memory, plain = (statistics.median(values) for values in zip(*runs, strict=True))
            ratio = statistics.median(run[0] for run in rows["cat", state]) / seconds
            print(
                f"| {side} | {state} | {seconds:.1f} | {cpu:.1f} | {size / seconds:.2f} | {ratio:.2f} | "
                f"{size / cpu:.2f} | {memory:.2f} | {plain:.2f} |"
            )


if __name__ == "__main__":
    main()
