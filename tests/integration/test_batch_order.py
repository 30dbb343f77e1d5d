"""`batch_order` in real training: balanced and packed have the losses of shuffle, and all orders are resumed as they were.

Text and image rows of very different lengths, float32, so that nothing but the order of sums can tell two runs apart.
"""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from tests import forking
from tests.forking import SCRIPT, TRAININGS


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
CONFIGS = Path(__file__).parents[2] / "recipes" / "deepspeed"
EPOCHS = 2
STEPS = 3  # an epoch: 22 rows in global batches of 8, the last one padded where there are two ranks
RUN = {
    "dataset": "uneven",
    "question_prefix": None,
    "cutoff_len": 1024,
    "global_batch_size": 8,
    "num_train_epochs": float(EPOCHS),
    "learning_rate": 3.0e-4,
    "lr_scheduler_type": "constant",
}
KILLED_AT = 4  # inside the second epoch


@pytest.fixture
def bench(tmp_path, shallow, demo_lines, make_bench):
    """A bench with a twin in float32 and 22 rows of 30 to 350 tokens, every fifth with a picture."""
    bench = make_bench(tmp_path, shallow)
    folder = tmp_path / "data"
    folder.mkdir()
    texts = sorted((json.loads(line)["combined_text"] for line in demo_lines), key=len)
    rows = []
    for number in range(22):
        text = texts[number * 14] if number % 3 else " ".join(texts[number * 10 : number * 10 + 3])
        row = {"instruction": f"Question {number}", "input": "", "output": text[: len(text) // 2], "images": []}
        if number % 5 == 0:
            Image.new("RGB", (56 + 28 * number, 84), (10 * number, 90, 160)).save(folder / f"{number}.png")
            row |= {"instruction": f"<image>Question {number}", "images": [f"{number}.png"]}

        rows.append(json.dumps(row))

    columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    bench.add_dataset("uneven", rows, formatting="alpaca", columns=columns)
    return bench


def losses(folder):
    """Return the printed loss and the gradient norm of every step."""
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [(entry["loss"], entry["grad_norm"]) for entry in history if "loss" in entry]


def seen(file, ranks):
    """Return step -> rank -> its micro-batches in their order; a resumed run's steps replace those it repeats."""
    steps = {}
    for rank in range(max(ranks, 1)):
        runs = {}
        last = -1
        for line in Path(f"{file}.{rank}").read_text().splitlines():
            entry = json.loads(line)
            if entry["step"] < last:
                runs = {step: batches for step, batches in runs.items() if step < entry["step"]}

            last = entry["step"]
            runs.setdefault(last, []).append(tuple(entry["rows"]))

        for step, batches in runs.items():
            steps.setdefault(step, {})[rank] = batches

    return steps


def train(bench, name, ranks, **changes):
    """Train undisturbed and return (losses, micro-batches seen)."""
    env = {"SEEN_ROWS": str(bench.folder / name)}
    log = bench.train(ranks, env, output_dir=f"{name}_out", **RUN | changes)
    assert ("of ranks that wait for each other" in log) == (changes["batch_order"] != "shuffle")
    return losses(bench.folder / f"{name}_out"), seen(bench.folder / name, ranks)


def moved_apart(bench, one, other):
    """Return how far the weights of two runs are apart, as a share of the way that the first one's moved."""
    start, here, there = (load_file(folder / "model.safetensors") for folder in (
        bench.base, bench.folder / f"{one}_out", bench.folder / f"{other}_out"
    ))  # fmt: skip
    apart, way = (
        sum(float((left[name].double() - here[name].double()).square().sum()) for name in here) ** 0.5
        for left in (there, start)
    )
    assert way > 0
    return apart / way


def in_step(batches):
    """Return the micro-batches of one optimiser step, whatever their rank and place."""
    return Counter(batch for rank in batches.values() for batch in rank)


def check_same_training(shuffle, balanced):
    """Check that two runs have the same micro-batches in every step, handed out otherwise, and the same losses."""
    (expected, rows), (got, moved) = shuffle, balanced
    assert len(expected) == len(got) == EPOCHS * STEPS
    assert sorted(rows) == sorted(moved) == list(range(EPOCHS * STEPS))
    for step, batches in rows.items():
        assert in_step(batches) == in_step(moved[step]), f"rows of step {step}"

    assert rows != moved
    for step, ((loss, norm), (wanted, wanted_norm)) in enumerate(zip(got, expected, strict=True)):
        assert loss == pytest.approx(wanted, abs=2e-4), f"loss of step {step}"  # printed with four digits
        assert norm == pytest.approx(wanted_norm, rel=1e-3), f"gradient norm of step {step}"


SAVING = {"save_strategy": "steps", "save_steps": KILLED_AT}


def check_resume(bench, name, undisturbed, ranks, killed=False, **changes):
    """Resume a run inside its second epoch, and check it against the undisturbed one, which was saved there.

    `killed` starts a run of its own and sends SIGKILL; else what such a run leaves behind is copied from the undisturbed one.
    """
    again = f"{name}_again"
    env = {"SEEN_ROWS": str(bench.folder / again)}
    out, kept = bench.folder / f"{again}_out", f"checkpoint-{KILLED_AT}"
    done = out / kept / "trainer_state.json"
    changes |= {"batch_order": name, "output_dir": out.name}
    if killed:
        bench.train_and_kill(lambda: done.is_file() and done.stat().st_size > 0, ranks, env, **RUN | SAVING | changes)
    else:
        shutil.copytree(bench.folder / f"{name}_out" / kept, out / kept)
        for rank in range(max(ranks, 1)):
            lines = (bench.folder / f"{name}.{rank}").read_text().splitlines(keepends=True)
            before = [line for line in lines if json.loads(line)["step"] < KILLED_AT]
            (bench.folder / f"{again}.{rank}").write_text("".join(before))

    noted = json.loads(done.read_text())["stateful_callbacks"]["virgo_begun_with"]
    assert noted == {"batch_order": name, "global_batch": RUN["global_batch_size"], "seed": 7}
    assert "Resuming training from" in bench.train(ranks, env, **RUN | SAVING | changes)
    expected, rows = undisturbed
    assert seen(bench.folder / again, ranks) == rows
    for (loss, norm), (wanted, wanted_norm) in zip(losses(out), expected, strict=True):
        assert loss == pytest.approx(wanted, abs=2e-4)
        assert norm == pytest.approx(wanted_norm, rel=1e-3)


def test_two_ranks_under_zero2(bench):
    """ZeRO-2: grouped, and resumed."""
    config = json.loads((CONFIGS / "ds_z3.json").read_text())
    config["zero_optimization"] = {"stage": 2, "overlap_comm": False, "contiguous_gradients": True}
    (bench.folder / "ds_z2.json").write_text(json.dumps(config))
    run = {"deepspeed": str(bench.folder / "ds_z2.json")}
    undisturbed = train(bench, "grouped", 2, batch_order="grouped", **run | SAVING)
    check_resume(bench, "grouped", undisturbed, 2, **run)


def test_one_rank(bench):
    """Balanced with four rows a micro-batch and a shorter last one; grouped resumed."""
    run = {"per_device_train_batch_size": 4}
    check_same_training(*(train(bench, kind, 0, batch_order=kind, **run) for kind in ("shuffle", "balanced")))

    run = {"per_device_train_batch_size": 2}
    undisturbed = train(bench, "grouped", 0, batch_order="grouped", **run | SAVING)
    epochs = [
        [row for step in range(first, first + STEPS) for batch in undisturbed[1][step][0] for row in batch]
        for first in (0, STEPS)
    ]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert len(set(epochs[0])) == len(epochs[0]) == 22
    check_resume(bench, "grouped", undisturbed, 0, **run)


PACKED = {
    "one rank, a short last micro-batch, LoRA": (
        0,
        {"per_device_train_batch_size": 3, "global_batch_size": 6, "finetuning_type": "lora", "lora_target": "all"},
    ),
    "DDP, the tower trained, balanced, resumed": (2, {"freeze_vision_tower": False, "packing_tokens": 500}),
    "ZeRO-2": (2, {"deepspeed": "ds_z2.json"}),
    "ZeRO-3, two rows a micro-batch, balanced, resumed": (
        2,
        {"per_device_train_batch_size": 2, "deepspeed": str(CONFIGS / "ds_z3.json")},
    ),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed(bench, name):
    """The same rows in every optimiser step, in fewer forward passes, with the losses and weights of shuffle.

    Under DDP, where ranks meet once an optimiser step, and under ZeRO-3, where they meet at every micro-step and text rows
    get padding and a placeholder, balanced against the same shuffle; killed and resumed there: shuffle, balanced, packed.
    """
    ranks, changes = PACKED[name]
    changes = {"optim": "sgd", "learning_rate": 0.05, "image_max_pixels": 12544} | changes
    config = {"train_micro_batch_size_per_gpu": "auto", "zero_optimization": {"stage": 2, "overlap_comm": False}}
    config |= dict.fromkeys(("train_batch_size", "gradient_accumulation_steps", "gradient_clipping"), "auto")
    (bench.folder / "ds_z2.json").write_text(json.dumps(config))
    resumed, plain = SAVING if "resumed" in name else {}, changes | {"packing_tokens": None}
    expected, rows = train(bench, "shuffle", ranks, batch_order="shuffle", **plain | resumed)
    got, moved = train(bench, "packed", ranks, batch_order="packed", **changes | resumed)
    assert len(expected) == len(got) > 0
    assert sorted(rows) == sorted(moved)
    for step, batches in rows.items():
        wanted, found = (
            Counter(row for batch in in_step(one).elements() for row in batch) for one in (batches, moved[step])
        )
        assert wanted == found
        assert len({len(own) for own in moved[step].values()}) == 1

    passes, before = (sum(len(step[0]) for step in one.values()) for one in (moved, rows))
    assert passes < before
    for (loss, norm), (wanted, wanted_norm) in zip(got, expected, strict=True):
        assert loss == pytest.approx(wanted, abs=1.1e-4)  # the last digit that is printed
        assert norm == pytest.approx(wanted_norm, rel=1e-5)

    if ranks:
        assert moved_apart(bench, "shuffle", "packed") <= 1e-5

    if name == "ZeRO-2":
        fused, _ = train(bench, "fused", ranks, batch_order="shuffle", fused_loss=True, **changes)
        assert fused == [(pytest.approx(loss, abs=1.1e-4), pytest.approx(norm, rel=1e-5)) for loss, norm in expected]
        assert moved_apart(bench, "shuffle", "fused") <= 1e-5

    if "balanced" in name:
        balanced = train(bench, "balanced", ranks, batch_order="balanced", **plain)
        check_same_training((expected, rows), balanced)

    if name.startswith("DDP"):
        check_resume(bench, "shuffle", (expected, rows), ranks, **plain)
    elif resumed:
        check_resume(bench, "balanced", balanced, ranks, killed=True, **plain)
        check_resume(bench, "packed", (got, moved), ranks, **changes)


def test_two_ranks_share_each_sequence(bench):
    """ZeRO-3: the losses and weights of one rank that has every row to itself; resumed."""
    changes = {"optim": "sgd", "learning_rate": 0.05, "image_max_pixels": 12544}
    expected, _ = train(bench, "shuffle", 0, batch_order="shuffle", **changes)
    changes |= {"sequence_parallel_size": 2, "deepspeed": str(CONFIGS / "ds_z3.json")}
    got, rows = train(bench, "packed", 2, batch_order="packed", **changes | SAVING)
    assert len(got) == len(expected)
    assert all(batches[0] == batches[1] for batches in rows.values())
    for (loss, norm), (wanted, wanted_norm) in zip(got, expected, strict=True):
        assert loss == pytest.approx(wanted, abs=1.1e-4)
        assert norm == pytest.approx(wanted_norm, rel=1e-4)

    assert moved_apart(bench, "shuffle", "packed") <= 1e-5
    check_resume(bench, "packed", (got, rows), 2, **changes)


def test_gradients_of_shared_sequences():
    """Two ranks that share each sequence of the three model classes, pictures and deepstack among them, in float64."""
    command = forking.command(TRAININGS, SCRIPT, str(CONFIGS.parents[1] / "benchmarks" / "packing.py"), "parallel")
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=600
    )
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| qwen")]
    assert len(rows) == 12, done.stderr
    assert {row[0].strip() for row in rows} == {"qwen2_vl", "qwen2_5_vl", "qwen3_vl"}
    assert max(float(row[-1]) for row in rows) <= 1e-12
