"""The arithmetic of memory against what transformers and autograd really hold."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import forking
from tests.forking import SCRIPT, TRAININGS
from virgo_factory.preflight.plan.memory import (
    PROJECTIONS,
    Lora,
    Method,
    adapter_parameters,
    count_parameters,
    model_states,
    read_shape,
    saved_activations,
    saved_by_image_token,
    step_memory,
    trained_parameters,
)
from virgo_factory.preflight.plan.models import KNOWN, find_shape
from virgo_factory.preflight.twin.twin import make_twin
from virgo_factory.preflight.zero import Zero


ROOT = Path(__file__).parents[3]
TOKENIZER = ROOT.parent / "shared" / "data" / "qwen2.5_vl_tokenizer"
TOKENS = 256
SEVEN, SEVENTY_TWO = KNOWN["qwen2-vl-7b-instruct"], KNOWN["qwen2-vl-72b-instruct"]


@pytest.fixture(scope="module")
def measuring():
    """The benchmark's module, which measures."""
    spec = importlib.util.spec_from_file_location("plan_vs_measured", ROOT / "benchmarks" / "plan_vs_measured.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=[("qwen2_vl", 6, 4), ("qwen2_vl", 2, 8), ("qwen3_vl", 2, 8)])
def twin(request, tmp_path_factory):
    family, layers, heads = request.param
    return make_twin(tmp_path_factory.mktemp(family), family=family, layers=layers, heads=heads, vocabulary=600)


@pytest.mark.integration
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_autograd_saves_and_the_peak_what_is_allocated(twin, checkpointing, measuring):
    model = measuring.load_twin(twin, checkpointing)
    shape = read_shape(model.config.to_dict())
    predicted = saved_activations(shape, TOKENS, checkpointing, fused_loss=False)
    assert sum(predicted.values()) == pytest.approx(
        measuring.saved_bytes(model, measuring.text_inputs(TOKENS)), rel=0.01
    )

    memory = step_memory(shape, Method(checkpointing=checkpointing), TOKENS)
    at_work = memory.inputs + max(memory.layer, memory.loss)
    assert at_work == pytest.approx(measuring.step_peak(model, TOKENS), rel=0.1)


@pytest.mark.integration
def test_adapters_hold_what_they_say(twin, measuring):
    lora = Lora(16, PROJECTIONS)
    memory = step_memory(find_shape(str(twin))[0], Method(lora=lora, connector=False), TOKENS)
    predicted = memory.inputs + max(memory.layer, memory.loss)
    assert predicted == pytest.approx(measuring.adapted_peak(twin, lora.rank, lora.targets, TOKENS), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_of_a_picture_the_connector_saves_and_the_frozen_tower_does_not(family, tmp_path, measuring):
    folder = make_twin(tmp_path, family=family, vision_width=128, vocabulary=600)
    model = measuring.load_twin(folder, checkpointing=True)
    shape = read_shape(model.config.to_dict())
    inputs, image_tokens = measuring.image_inputs(folder, side=256 if family == "qwen3_vl" else 224)
    text = sum(saved_activations(shape, inputs["input_ids"].shape[1], True, False).values())
    by_connector = saved_by_image_token(shape, True) - saved_by_image_token(shape, False)
    assert image_tokens == 64
    assert by_connector * image_tokens == pytest.approx(measuring.saved_bytes(model, inputs) - text, rel=0.02)


@pytest.mark.integration
def test_model_states_are_what_deepspeed_holds(tmp_path, measuring, monkeypatch):
    """ZeRO-2 and ZeRO-3 on two CPU ranks, by the bytes of tensors.

    ZeRO-2 holds a gradient whole that its share begins or ends in: more than the arithmetic, less than two largest ones.
    """

    def forked(command: list[str], **how: object) -> subprocess.CompletedProcess:
        assert command[0] == sys.executable
        return subprocess.run(forking.command(TRAININGS, SCRIPT, *command[1:]), **how)

    monkeypatch.setattr(measuring, "subprocess", SimpleNamespace(run=forked))
    make_twin(tmp_path, **measuring.MANY_LAYERS)
    found = measuring.model_states(tmp_path)
    for stage in (2, 3):
        ranks = [held for held in found if held["stage"] == stage]
        predicted = model_states(ranks[0]["parameters"], ranks[0]["trained"], stage, len(ranks))
        measured = {part: sum(held[part] for held in ranks) / len(ranks) for part in predicted}
        assert sum(predicted.values()) == pytest.approx(sum(measured.values()), rel=0.01)
        for part, size in predicted.items():
            near = 0.03 if (stage, part) == (2, "gradients") else 0.001
            assert size == pytest.approx(measured[part], rel=near), (stage, part)


@pytest.mark.integration
def test_deepspeed_estimates_the_same_but_for_float32_gradients():
    """DeepSpeed's own estimate, which takes no model: 18 B a parameter, gradients in float32; ours are 2 B less."""
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs

    parameters = sum(count_parameters(SEVENTY_TWO).values())
    _, theirs, largest = estimate_zero3_model_states_mem_needs(
        parameters, 0, num_gpus_per_node=8, num_nodes=8, cpu_offload=False, cpu_offload_params=False
    )
    assert largest == 0
    assert sum(model_states(parameters, parameters, 3, 64).values()) + 2 * parameters / 64 == pytest.approx(theirs)


def test_checkpointing_and_a_fused_loss_save_what_they_say():
    full, kept = (saved_activations(SEVEN, 4096, checkpointing, False) for checkpointing in (False, True))
    assert kept["layers"] < full["layers"] / 10
    assert saved_activations(SEVEN, 4096, True, True)["loss"] == 0
    plain, fused = (step_memory(SEVEN, Method(fused_loss=is_fused), 4096) for is_fused in (False, True))
    assert plain.loss - fused.loss > 0.9 * 4096 * 152064 * 12 - 152064 * 3584 * 2


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_parameters_are_counted_exactly(family, tmp_path):
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = make_twin(tmp_path, family=family, vision_layers=3, vision_width=96, layers=3, heads=6)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    counted = {"vision_tower": 0, "connector": 0, "language_model": 0}
    for name, parameter in model.named_parameters():
        part = "connector" if "visual.merger" in name else "vision_tower" if "visual." in name else "language_model"
        counted[part] += parameter.numel()

    assert count_parameters(read_shape(AutoConfig.from_pretrained(folder).to_dict())) == counted


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", 8_291_375_616),
        ("Qwen/Qwen2-VL-72B-Instruct", 73_405_560_320),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656),
        ("Qwen/Qwen2.5-VL-72B-Instruct", 73_410_777_344),
        ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696),
        ("Qwen/Qwen3-VL-8B-Thinking", 8_767_123_696),
        ("Qwen/Qwen3-VL-32B-Instruct", 33_357_390_064),
    ],
)
def test_the_real_models(name, total):
    """Half the bytes of the published safetensors files."""
    shape, where = find_shape(name)
    assert sum(count_parameters(shape).values()) == total
    assert name in where


@pytest.mark.skipif(not TOKENIZER.is_dir(), reason="../shared/data is not there")
def test_our_sizes_are_those_of_the_real_configuration():
    assert find_shape(None, TOKENIZER)[0] == KNOWN["qwen2.5-vl-7b-instruct"]


def test_adapters_are_counted_as_peft_makes_them(tmp_path):
    assert adapter_parameters(SEVEN, Lora(64, PROJECTIONS)) == 161_480_704
    from peft import LoraConfig, get_peft_model

    folder = make_twin(tmp_path, layers=3, heads=6)
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder)
    shape = read_shape(model.config.to_dict())
    targets = ("q_proj", "v_proj", "down_proj")
    config = LoraConfig(r=4, target_modules=rf".*language_model.*\.({'|'.join(targets)})")
    counted, _ = get_peft_model(model, config).get_nb_trainable_parameters()
    assert adapter_parameters(shape, Lora(4, targets)) == counted


ZERO_3, OFFLOAD = Zero(stage=3), Zero(stage=3, offload_optimizer=True, offload_weights=True)


def test_ways_to_shard_differ_as_they_should():
    method = Method(zero=ZERO_3, ranks=64, fused_loss=True)
    memory = step_memory(SEVENTY_TWO, method, 8000)
    states = sum(memory.held[part] for part in ("weights", "gradients", "optimiser"))
    assert states == pytest.approx(16 * 73.4e9 / 64, rel=0.01)
    assert memory.inputs == 80 * 8192 * 2 * 8000
    offloaded = step_memory(SEVENTY_TWO, replace(method, zero=OFFLOAD), 8000)
    assert offloaded.host == pytest.approx(states)
    assert memory.peak - offloaded.peak == pytest.approx(states)
    stages = [step_memory(SEVENTY_TWO, replace(method, zero=zero), 8000).peak for zero in (None, Zero(2), ZERO_3)]
    assert stages == sorted(stages, reverse=True)


def test_lora_and_pairs():
    full = Method(zero=ZERO_3, ranks=8)
    lora = replace(full, lora=Lora(64, PROJECTIONS), connector=False)
    assert trained_parameters(SEVEN, lora) == 161_480_704
    held = step_memory(SEVEN, replace(lora, zero=None, ranks=1), 1000).held
    assert held["weights"] == 2 * 8_291_375_616 + 4 * 161_480_704
    pairs = replace(full, pairs=True, reference=True)
    one, two = step_memory(SEVEN, full, 4096), step_memory(SEVEN, pairs, 4096)
    assert two.inputs == 2 * one.inputs
    assert two.held["reference model"] == pytest.approx(2 * 8_291_375_616 / 8)


@pytest.mark.parametrize(
    ("stage", "ranks", "per_parameter"), [(0, 8, 16), (1, 8, 4 + 1.5), (2, 8, 2 + 14 / 8), (3, 8, 2), (3, 64, 0.25)]
)
def test_bytes_a_parameter(stage, ranks, per_parameter):
    assert sum(model_states(1000, 1000, stage, ranks).values()) == pytest.approx(1000 * per_parameter)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: model_states(1, 1, 3, 0), "ranks: 0"),
        (lambda: model_states(1, 1, 4, 1), "ZeRO stage: 4"),
        (lambda: read_shape({"model_type": "llama"}), "model_type 'llama' is not one of qwen2_vl"),
        (lambda: read_shape({"model_type": "qwen2_vl"}), "embed_dim is missing"),
    ],
)
def test_what_cannot_be_computed_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()
