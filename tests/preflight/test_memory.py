"""The arithmetic of memory against what transformers and autograd really hold."""

import pytest

from virgo_factory.preflight.memory import count_parameters, model_states, read_shape, saved_activations
from virgo_factory.preflight.twin import make_twin


TOKENS = 192
SIZES = {"small": {"layers": 2, "heads": 4}, "wide": {"layers": 2, "heads": 16}, "deep": {"layers": 6, "heads": 8}}


@pytest.fixture(scope="module", params=SIZES)
def twin(request, tmp_path_factory):
    return make_twin(tmp_path_factory.mktemp(request.param), **SIZES[request.param])


def load(folder):
    import torch
    from transformers import Qwen2VLForConditionalGeneration

    return Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa")


def saved_bytes(model, tokens: int) -> int:
    """The bytes that autograd holds after a forward pass, each storage once, weights not counted."""
    import torch

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    ids = torch.randint(0, 1000, (1, tokens), generator=torch.Generator().manual_seed(1))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, use_cache=False)

    assert output.loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in saved.items() if place not in weights)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_autograd_saves(twin, checkpointing):
    model = load(twin).train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": True})
        model.enable_input_require_grads()

    predicted = saved_activations(read_shape(model.config.to_dict()), TOKENS, checkpointing, fused_loss=False)
    assert sum(predicted.values()) == pytest.approx(saved_bytes(model, TOKENS), rel=0.01)


def test_checkpointing_and_a_fused_loss_save_what_they_say(twin):
    shape = read_shape(load(twin).config.to_dict())
    full, kept = (saved_activations(shape, TOKENS, checkpointing, False) for checkpointing in (False, True))
    assert kept["layers"] < full["layers"] / 10
    assert saved_activations(shape, TOKENS, True, True)["loss"] == 0


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
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
    ("hidden", "mlp", "layers", "heads", "kv_heads", "total"),
    [(3584, 18944, 28, 28, 4, 8_291_375_616), (8192, 29568, 80, 64, 8, 73_405_560_320)],
    ids=["7B", "72B"],
)
def test_the_real_models(hidden, mlp, layers, heads, kv_heads, total):
    """The totals that the recipes' headers name, which tests/test_recipes.py counts in transformers' own models."""
    shape = read_shape(
        {
            "model_type": "qwen2_vl",
            "hidden_size": hidden,
            "intermediate_size": mlp,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "vocab_size": 152064,
            "vision_config": {"depth": 32, "embed_dim": 1280, "num_heads": 16, "hidden_size": hidden},
        }
    )
    assert sum(count_parameters(shape).values()) == total


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
