"""The script for a GPU runs where there is none, prints its one table, and computes what it says from what it measured."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from virgo_factory.preflight.plan.memory import count_parameters
from virgo_factory.preflight.plan.models import KNOWN
from virgo_factory.preflight.twin.twin import make_twin


SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("benchmark_gpu", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


WITHOUT_ROOM = """
import runpy, sys
sys.modules |= dict.fromkeys(("deepspeed", "vllm", "flash_attn", "liger_kernel", "pytest"))  # importing one is an error
import torch
from transformers import Trainer

stock = Trainer.training_step

def training_step(self, model, inputs, *rest):
    if inputs["input_ids"].numel() >= 400 and not self.finetuning_args.fused_loss:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    return stock(self, model, inputs, *rest)

Trainer.training_step = training_step
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""The script on a machine without those packages, where the logits of the longest rows do not fit."""


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_toy_on_the_cpu_that_runs_out_of_memory_once(gpu, tmp_path):
    lengths = tmp_path / "lengths.txt"
    lengths.write_text("\n".join(str(length) for length in range(900, 9000, 150)))
    command = [sys.executable, "-c", WITHOUT_ROOM, str(SCRIPT), "--tiny", "--rows", "5", "--lengths", str(lengths)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    command, model, rows, plan, blank, heading, rule, *lines = done.stdout.splitlines()
    assert "--tiny --rows 5" in command and "transformers 4." in command and "these are no figures" in command
    assert "in packed passes row by row" in model and "in float32" in model
    assert rows.startswith("Rows: 5 of ") and str(lengths) in rows and not blank
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [line[:2] for line in cells] == [
        *([order, loss] for loss in ("stock's loss", "fused_loss") for order in ("shuffle", "balanced", "grouped")),
        ["packed", "fused_loss"],
        *(["-", f"rows of 32,768, {loss}"] for loss in ("stock's loss", "fused_loss")),
    ]
    assert all(len(line) == len(gpu.COLUMNS) for line in cells)
    assert len({line[-2] for line in cells[:7]}) == 1, "the same rows and weights have the same loss"
    norms = [float(line[-1]) for line in cells[:7]]
    assert norms == pytest.approx([norms[0]] * 7, rel=1e-3) and norms[0] > 0
    assert [line[2] for line in cells[:3]] == ["5.0", "as shuffle", "as shuffle"] and float(cells[6][2]) < 5
    speeds = [[float(cell.replace(",", "")) for cell in line[6:8]] for line in cells[:7]]
    for shuffle, balanced, grouped in (speeds[:3], speeds[3:6]):
        assert 0 < shuffle[0] <= balanced[0] and shuffle[1] <= grouped[1]

    assert cells[7][2:4] == ["-", "out of memory"] and cells[8][2:4] == ["2.0", "-"] and float(cells[8][-2]) > 0
    assert not list(tmp_path.glob("out")) and "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_is_made_for_a_gpu_is_the_real_models_size(gpu, tmp_path):
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    path = make_twin(tmp_path) / "config.json"
    path.write_text(json.dumps(gpu.widened(json.loads(path.read_text()), KNOWN["qwen2-vl-7b-instruct"])))
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(tmp_path))

    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert sum(map(torch.Tensor.numel, model.parameters())) == sum(
        count_parameters(KNOWN["qwen2-vl-7b-instruct"]).values()
    )
    attention = model.model.language_model.layers[0].self_attn
    assert attention.head_dim == 128 == 2 * sum(attention.rope_scaling["mrope_section"])
    assert model.model.visual.blocks[0].attn.head_dim == 80


def test_lengths_are_those_that_are_stated(gpu, tmp_path):
    lengths = gpu.read_lengths(None)
    assert len(lengths) == 4922 and lengths.mean() == pytest.approx(1781, rel=0.01)
    assert gpu.spread(lengths, 16).max() == lengths.max() > 11_000
    assert gpu.spread(lengths, 64).mean() == pytest.approx(lengths.mean(), rel=0.05)
    (tmp_path / "lengths.txt").write_text("100\n2000\n")
    assert gpu.read_lengths(str(tmp_path / "lengths.txt")).tolist() == [100, 2000]
    for content in ("", "many\n", "4\n"):
        (tmp_path / "lengths.txt").write_text(content)
        with pytest.raises(SystemExit, match="--lengths: "):
            gpu.read_lengths(str(tmp_path / "lengths.txt"))


def test_the_law_of_a_pass_is_found_and_never_negative(gpu):
    tokens = np.array([200, 700, 1500, 4000, 11000])
    passes = [(1, int(n), int(n * n), 0.02 + 2e-4 * n + 1e-9 * n * n) for n in tokens]
    assert gpu.fit(passes) == pytest.approx((0.02, 2e-4, 1e-9), rel=1e-3)
    noisy = [
        (1, int(n), int(n * n), 2e-4 * n * factor) for n, factor in zip(tokens, (0.9, 1.1, 0.9, 1.1, 0.9), strict=True)
    ]
    assert min(gpu.fit(noisy)) >= 0


def test_ranks_that_wait(gpu):
    lengths = gpu.read_lengths(None)
    speed = {
        kind: gpu.computed_speed(kind, (0, 1e-3, 0), lengths, 8) / 1000 for kind in ("shuffle", "grouped", "packed")
    }
    assert speed["shuffle"] == pytest.approx(0.44, abs=0.03) and speed["grouped"] > 0.97 and speed["packed"] > 0.97
    slow = {kind: gpu.computed_speed(kind, (2.0, 1e-3, 0), lengths, 8) / 1000 for kind in ("grouped", "packed")}
    assert slow["packed"] / slow["grouped"] > 1.5


def test_a_case_ends_at_its_time(gpu):
    from transformers import Trainer

    stock = Trainer.training_step
    with pytest.raises(gpu.OutOfTime) as ended, gpu.timing(gpu.Result(), lambda: None, -1.0):
        Trainer.training_step(SimpleNamespace(state=SimpleNamespace(global_step=3)), None, {})

    assert ended.value.step == 3 and Trainer.training_step is stock
