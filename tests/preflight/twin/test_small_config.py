"""Tiny models of families that are not ours, made by the names that transformers' configurations share."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.reduced import try_reduced
from virgo_factory.preflight.checkpoint.weights import read_tensors
from virgo_factory.preflight.twin.small_config import LAYERS, cut_layers, reduce_config
from virgo_factory.preflight.twin.twin import make_reduced_twin


FILE = "model.safetensors"
MROPE = {"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True}
"""Of Qwen3-VL as published; the class's own default is none."""
SIZES = {"vocab_size": 1600, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _whole(folder: Path, family: str) -> Path:
    """Write the config.json of a family at the sizes that transformers gives as its default; only the vocabulary is small."""
    config = CONFIG_MAPPING[family]()
    text = config.get_text_config()
    for key, value in SIZES.items():
        setattr(text, key, value)

    if family.startswith("qwen3_vl"):
        text.rope_scaling = MROPE

    names = {**MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, **MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES}
    config.architectures = [names[family]]
    config.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        *("llama", "qwen2", "qwen3", "qwen3_moe", "gemma3_text", "phi3", "gpt_oss", "deepseek_v3"),
        *("qwen3_vl", "llava", "internvl"),
    ],
)
def test_a_tiny_model_of_a_family(tmp_path, family):
    source = _whole(tmp_path / "source", family)
    folder = make_reduced_twin(tmp_path / "twin", source)
    config, whole = AutoConfig.from_pretrained(folder), AutoConfig.from_pretrained(source)
    assert (config.model_type, config.architectures) == (family, whole.architectures)
    text, before = config.get_text_config(), whole.get_text_config()
    assert text.num_hidden_layers == LAYERS < before.num_hidden_layers
    assert text.vocab_size == before.vocab_size == 1600
    if getattr(before, "layer_types", None):
        assert len(text.layer_types) == LAYERS and set(text.layer_types) == set(before.layer_types)

    model = getattr(transformers, config.architectures[0]).from_pretrained(folder, dtype=torch.bfloat16)
    assert sum(weights.numel() for weights in model.parameters()) < 120e6
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[1, 2, 3, 4]])).logits

    assert logits.shape == (1, 4, 1600) and torch.isfinite(logits).all()


def test_the_same_seed_gives_the_same_weights(tmp_path):
    source = _whole(tmp_path / "source", "qwen3")
    one, other = (make_reduced_twin(tmp_path / name, source) / "model.safetensors" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert (
        make_reduced_twin(tmp_path / "third", source, seed=1) / "model.safetensors"
    ).read_bytes() != one.read_bytes()


def test_every_kind_of_layer_is_kept_once():
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 6}
    small = reduce_config({**sizes, "layer_types": ["linear", "linear", "full", "linear", "sliding", "full"]})
    assert (small["num_hidden_layers"], small["layer_types"]) == (3, ["linear", "full", "sliding"])
    cut = cut_layers({**sizes, "layer_types": ["linear", "linear", "full", "linear", "sliding", "full"]}, 2)
    assert (cut["num_hidden_layers"], cut["layer_types"], cut["hidden_size"]) == (2, ["linear", "full"], 64)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "model_type 'gpt2': no hidden_size"),
        ({"model_type": "bloom", "architectures": ["BloomForCausalLM"]}, "model_type 'bloom': no hidden_size"),
        ({"model_type": "llama", "architectures": ["TheirOwnModel"]}, "architecture TheirOwnModel is not in transf"),
        ({"model_type": "llama"}, "architecture none is not in transformers"),
    ],
)
def test_what_cannot_be_made_small_is_told(tmp_path, config, said):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=said):
        make_reduced_twin(tmp_path / "twin", tmp_path)


@pytest.mark.slow
def test_a_checkpoint_of_another_family_is_compared_with_its_base(tmp_path):
    base = make_reduced_twin(tmp_path / "base", _whole(tmp_path / "source", "qwen3"))
    trained = make_reduced_twin(tmp_path / "trained", tmp_path / "source", seed=1)

    def of(check: str, *args: Path) -> list[str]:
        return [f"{item.severity} {item.found}" for item in check_checkpoint(*args) if item.check == check]

    assert [text.split()[0] for text in of("numbers", trained, base)] == ["ok"]
    names = len(read_tensors(base))
    assert of("names", trained, base) == [f"ok all {names} names are the base's"]
    assert of("names", trained) == [f"warning {names} tensors, not compared"]
    assert of("rope", trained) == of("vision tower", trained, base) == []
    (loading,) = try_reduced(trained, tmp_path)
    assert loading.severity == "warning" and "not tried" in loading.found

    renamed = {
        name.replace("model.layers.1.", "model.layer.1."): weights
        for name, weights in load_file(trained / FILE).items()
    }
    save_file(renamed, trained / FILE, {"format": "pt"})
    (said,) = of("names", trained, base)
    assert said.startswith("error ") and "model.layers.1." in said
    (base / FILE).write_bytes(b"")
    assert any(item.startswith("error") for item in of("base", trained, base))
