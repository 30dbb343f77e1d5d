"""Slot use of the batch orders on real lengths, and the time of a useful token on two CPU ranks.

python benchmarks/batch_order.py slots
python benchmarks/batch_order.py time [--repetitions 3] [--rows 64] [--ddp]

`slots` tokenises the shared long-thought responses and simulates ten epochs. `time` trains a small twin through the stock
command on real rows, two ranks x 8 accumulation steps, and needs two idle cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
CUTOFF = 16_384
"""Tokens; the 72B recipe's header calls longer rows unsafe."""

MACHINES = ((64, 2), (32, 4), (16, 8), (8, 16))
"""Ranks and accumulation steps of a global batch of 128, one row a rank and forward pass."""

SHORTER = 2
"""`time` keeps this fraction of each response, so that a CPU trains on it in seconds: the unevenness stays."""

RANKS, ACCUMULATION = 2, 8
MARKERS = ("<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>")
PEERS = {
    "shuffle": {},
    "group_by_length": {"group_by_length": True},
    "balanced": {"batch_order": "balanced"},
    "grouped": {"batch_order": "grouped"},
}
STEP_TIMES = """
import importlib.abc, importlib.machinery, json, os, sys, time
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "transformers.trainer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            stock = module.Trainer.training_step
            def training_step(self, *args, **kwargs):
                begin = time.process_time()
                loss = stock(self, *args, **kwargs)
                seconds = time.process_time() - begin
                with open(f"{os.environ['STEP_TIMES']}.{os.environ.get('RANK', '0')}", "a") as file:
                    file.write(json.dumps([self.state.global_step, seconds]) + "\\n")
                return loss
            module.Trainer.training_step = training_step
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
"""
"""A sitecustomize.py: the processor seconds of every micro-step of every rank, which other work on the machine and
waiting for the other rank do not lengthen."""


def responses() -> list[str]:
    """Return the shared SkyThought responses."""
    texts = []
    for path in sorted((DATA / "skythought").iterdir()):
        if path.suffix == ".json":
            for problem in json.loads(path.read_text(encoding="utf-8")).values():
                texts += [response["content"] for response in problem["responses"].values()]
        elif path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as lines:
                texts += [response for line in lines for response in json.loads(line)["code"]]

    return texts


def real_lengths(texts: list[str]) -> np.ndarray:
    """Return the tokens of each text under the tokenizer of Qwen2.5-VL."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(DATA / "qwen2.5_vl_tokenizer")
    return np.array([len(ids) for ids in tokenizer(texts).input_ids])


def group_by_length(lengths: np.ndarray, per_device: int, accumulation: int, seed: int) -> np.ndarray:
    """Return an epoch of transformers' own LengthGroupedSampler."""
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    chance = torch.Generator().manual_seed(seed)
    sampler = LengthGroupedSampler(per_device * accumulation, lengths=lengths.tolist(), generator=chance)
    return np.array(list(sampler))


def packed_slot_use(
    rows: np.ndarray, lengths: np.ndarray, ranks: int, accumulation: int, capacity: int
) -> tuple[float, float, float]:
    """Return the slot use of an epoch in the order `packed`, waiting each pass and once a step, and passes a step."""
    from virgo_factory.core.batch_order import packed, packed_steps, packed_use

    steps = list(
        packed_steps(packed(rows, lengths, ranks, 1, accumulation), lengths, ranks, 1, accumulation, capacity)
    )
    return packed_use(steps, lengths, True)[0], *packed_use(steps, lengths, False)


def slots(epochs: int = 10) -> None:
    """Print the slot use of every order, mean over epochs, for ranks that meet at every micro-step / once a step."""
    from virgo_factory.core.batch_order import ORDERS, epoch_order, epoch_rows, slot_use

    texts = responses()
    lengths = real_lengths(texts)
    whole = np.array([all(text.count(marker) == 1 for marker in MARKERS) for text in texts])
    fits = lengths <= CUTOFF
    chance = np.random.default_rng(0)
    samples = {
        f"at most {CUTOFF:,} tokens": lengths[fits],
        f"at most {CUTOFF:,} tokens, 4,922 rows drawn from them": chance.choice(lengths[fits], 4922),
        "with all four markers": lengths[whole & fits],
        "with all four markers, 4,922 rows drawn from them": chance.choice(lengths[whole & fits], 4922),
        "all, those cut off at 32K included": lengths,
    }
    print(
        "| lengths | ranks x steps | shuffle | group_by_length | balanced | grouped | packed; passes | packed, 32K |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, rows in samples.items():
        label = f"{name}: {len(rows):,} rows, mean {rows.mean():,.0f}, 95th percentile {np.percentile(rows, 95):,.0f}"
        for ranks, accumulation in MACHINES:
            found: dict[str, list[tuple[float, ...]]] = {key: [] for key in (*PEERS, "packed", "32K")}
            for epoch in range(epochs):
                shuffled = chance.permutation(len(rows))
                kinds = [kind for kind in ORDERS if kind != "packed"]
                orders = {kind: epoch_order(kind, shuffled, rows, ranks, 1, accumulation) for kind in kinds}
                orders["group_by_length"] = epoch_rows(group_by_length(rows, 1, accumulation, epoch), ranks, 1)
                for kind, order in orders.items():
                    found[kind].append(
                        (slot_use(order, rows, ranks, 1), slot_use(order, rows, ranks, 1, accumulation), 0.0)
                    )

                stock = epoch_rows(shuffled, ranks, 1)
                for key, capacity in (("packed", int(rows.max())), ("32K", 32_768)):
                    found[key].append(packed_slot_use(stock, rows, ranks, accumulation, capacity))

            means = {key: np.mean(values, axis=0) for key, values in found.items()}
            cells = [
                f"{each:.2f} / {once:.2f}{f'; {passes:.1f}' * bool(passes)}" for each, once, passes in means.values()
            ]
            print(f"| {label} | {ranks} x {accumulation} | {' | '.join(cells)} |")


def time_orders(repetitions: int, count: int, ddp: bool) -> None:
    """Train on the same rows in every order and print the time of a useful token beside the simulated one."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Path(folder)
        prepare(bench, count)
        results: dict[str, list[tuple[float, float]]] = {key: [] for key in PEERS}
        for repetition in range(repetitions):
            for kind in PEERS if repetition % 2 == 0 else reversed(PEERS):
                results[kind].append(run(bench, kind, repetition, ddp))
                print(kind, repetition, *(f"{seconds:.1f} s" for seconds in results[kind][-1]), flush=True)

        lengths = np.load(bench / "lengths.npy")
        report(results, lengths, ddp)


def prepare(bench: Path, count: int) -> None:
    """Write a twin in float32 with a tokenizer of the responses, and rows that represent their lengths."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    from virgo_factory.preflight.twin.twin import make_twin

    texts = responses()
    lengths = real_lengths(texts)
    fits = sorted((int(tokens), text) for tokens, text in zip(lengths, texts, strict=True) if tokens <= CUTOFF)
    picked = [fits[place][1] for place in np.linspace(0, len(fits) - 1, count + 2).astype(int)[1:-1]]
    picked = [text[: len(text) // SHORTER] for text in picked]
    base = make_twin(bench / "base", texts=picked, vocabulary=4096, layers=2, heads=12)
    tensors = {name: tensor.float() for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    (base / "config.json").write_text((base / "config.json").read_text().replace("bfloat16", "float32"))
    (bench / "data").mkdir()
    rows = [{"instruction": "Think.", "input": "", "output": text} for text in picked]
    np.random.default_rng(0).shuffle(rows)
    (bench / "data" / "rows.json").write_text(json.dumps(rows))
    (bench / "data" / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    tokenizer = AutoTokenizer.from_pretrained(base)
    np.save(bench / "lengths.npy", [len(ids) for ids in tokenizer([row["output"] for row in rows]).input_ids])
    (bench / "sitecustomize.py").write_text(STEP_TIMES)


def run(bench: Path, kind: str, repetition: int, ddp: bool) -> tuple[float, float]:
    """Train one epoch and return (seconds on the clock, processor seconds on the critical path)."""
    name = f"{kind}_{repetition}"
    recipe = {
        "model_name_or_path": "base",
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "template": "qwen2_vl",
        "dataset": "rows",
        "dataset_dir": "data",
        "cutoff_len": 8192,
        "output_dir": name,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": ACCUMULATION,
        "learning_rate": 1.0e-4,
        "num_train_epochs": 1.0,
        "seed": repetition,
        "use_cpu": True,
        **({} if ddp else {"deepspeed": str(ROOT / "recipes" / "deepspeed" / "ds_z3.json")}),
        **PEERS[kind],
    }
    if kind == "shuffle":
        recipe["batch_order"] = "shuffle"  # stock's order; ZeRO-3 on CPU ranks needs the plugin
    elif kind == "group_by_length":
        recipe["global_batch_size"] = RANKS * recipe.pop("gradient_accumulation_steps")

    (bench / f"{name}.yaml").write_text(json.dumps(recipe))
    environment = os.environ | {
        "FORCE_TORCHRUN": "1",
        "NPROC_PER_NODE": str(RANKS),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(bench / "hf"),
        "PYTHONPATH": str(bench),
        "STEP_TIMES": str(bench / f"{name}.times"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [str(Path(sys.executable).with_name("llamafactory-cli")), "train", f"{name}.yaml"]
    done = subprocess.run(command, cwd=bench, env=environment, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")

    seconds = json.loads((bench / name / "train_results.json").read_text())["train_runtime"]
    return seconds, critical_path(bench / f"{name}.times", ddp)


def critical_path(file: Path, ddp: bool) -> float:
    """Return the processor seconds of the slower rank, summed over the points where ranks wait for each other."""
    ranks = [[json.loads(line) for line in Path(f"{file}.{rank}").read_text().splitlines()] for rank in range(RANKS)]
    sums = [{} for _ in ranks]
    for own, steps in zip(sums, ranks, strict=True):
        for place, (step, seconds) in enumerate(steps):
            meeting = step if ddp else place
            own[meeting] = own.get(meeting, 0.0) + seconds

    return sum(max(own[meeting] for own in sums) for meeting in sums[0])


def report(results: dict[str, list[tuple[float, float]]], lengths: np.ndarray, ddp: bool) -> None:
    """Print medians and ratios."""
    from virgo_factory.core.batch_order import epoch_order, epoch_rows, slot_use

    tokens = int(lengths.sum())
    print(f"{len(lengths)} rows, {tokens:,} useful tokens, mean {lengths.mean():,.0f}, longest {lengths.max():,}")
    print(
        "| order | ms a useful token, median (all) | ratio | processor ms on the critical path | ratio | simulated |"
    )
    print("|---|---|---|---|---|---|")
    chance = np.random.default_rng(0)
    use: dict[str, list[float]] = {kind: [] for kind in results}
    for seed in range(50):
        shuffled = chance.permutation(len(lengths))
        for kind in results:
            if kind == "group_by_length":
                order = epoch_rows(group_by_length(lengths, 1, ACCUMULATION, seed), RANKS, 1)
            else:
                order = epoch_order(kind, shuffled, lengths, RANKS, 1, ACCUMULATION)

            use[kind].append(slot_use(order, lengths, RANKS, 1, ACCUMULATION if ddp else 1))

    medians = {
        kind: [statistics.median(column) for column in zip(*times, strict=True)] for kind, times in results.items()
    }
    for kind, times in results.items():
        wall, path = (seconds * 1000 / tokens for seconds in medians[kind])
        ratios = [base / own for base, own in zip(medians["shuffle"], medians[kind], strict=True)]
        every = ", ".join(f"{seconds * 1000 / tokens:.3f}" for seconds, _ in times)
        print(
            f"| {kind} | {wall:.3f} ({every}) | {ratios[0]:.2f} | {path:.3f} | {ratios[1]:.2f} "
            f"| {np.mean(use[kind]) / np.mean(use['shuffle']):.2f} |"
        )


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("slots", "time"))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--ddp", action="store_true", help="ranks meet once an optimiser step; without it ZeRO-3")
    arguments = parser.parse_args()
    if arguments.part == "slots":
        slots()
    else:
        time_orders(arguments.repetitions, arguments.rows, arguments.ddp)


if __name__ == "__main__":
    main()
