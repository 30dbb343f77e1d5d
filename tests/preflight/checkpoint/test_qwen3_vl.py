"""A checkpoint of Qwen3-VL, whose tensors have names of their own, whole and broken; run over layers from its whole depth."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.preflight.conftest import FILE, Weights, edited, put
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.reduced import try_reduced
from virgo_factory.preflight.twin.twin import make_twin


EMBEDDING = "model.language_model.embed_tokens.weight"
DOWN = "model.language_model.layers.6.mlp.down_proj.weight"
MERGER = "model.visual.deepstack_merger_list.1.linear_fc2.weight"
QKV = "model.visual.blocks.2.attn.qkv.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_twin(tmp_path_factory.mktemp("base") / "model", family="qwen3_vl", layers=8, vision_layers=6)


@pytest.fixture
def trained(base, tmp_path) -> Path:
    """Another language model and connector, the same tower and deepstack mergers, as LLaMA-Factory trains it."""
    folder = Path(shutil.copytree(base, tmp_path / "trained"))
    return edited(folder, lambda weights: weights.update(
        {name: (value.float() * 1.01).bfloat16() for name, value in weights.items()
         if ".visual." not in name or ".visual.merger." in name}
    ))  # fmt: skip


def without(start: str) -> Callable[[Weights], None]:
    return lambda weights: [weights.pop(name) for name in list(weights) if name.startswith(start)]


def as_qwen2(weights: Weights) -> None:
    for name in list(weights):
        weights[name.replace("model.language_model.", "model.")] = weights.pop(name)


def test_a_good_checkpoint_is_in_order(trained, base):
    found = check_checkpoint(trained, base)
    assert {item.severity for item in found} == {"ok"}, found
    told = {item.check: item.found for item in found}
    tower = [name for name in load_file(base / FILE) if ".visual." in name and ".visual.merger." not in name]
    assert any("deepstack" in name for name in tower) and any("pos_embed" in name for name in tower)
    assert told["vision tower"] == f"all {len(tower)} tensors are the base's, byte by byte"
    assert f"vision tower 0 of {len(tower)}, projector 3 of 6" in told["training"] and "others" not in told["training"]


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (put(DOWN, float("nan")), "numbers", f"NaN in {DOWN}"),
        (put(MERGER, float("inf"), (3, 5)), "numbers", f"Inf in {MERGER} (row 3 "),
        (put(EMBEDDING, 0, slice(40, 43)), "numbers", f"{EMBEDDING}: zero for 3 of 1,454 tokens in use (row 40 "),
        (put("lm_head.weight", 0, 7), "numbers", "lm_head.weight: zero for 1 of 1,454 tokens in use (row 7 "),
        (put(DOWN, 0, slice(64, None)), "numbers", f"rows of zeros: {DOWN} (row 64-127 of 128)"),
        (put("model.language_model.layers.3.self_attn.q_norm.weight", 0), "numbers", "all zero: model.language_model.layers.3"),
        (put(MERGER, 0), "numbers", f"all zero: {MERGER}"),
        (without("model.language_model.layers.5."), "names", "7 of 8 layers"),
        (without("model.visual.blocks.5."), "names", "5 of 6 visual.blocks"),
        (without("model.visual.deepstack_merger_list.1."), "names", "2 of 3 visual.deepstack_merger_list"),
        (without("lm_head."), "names", "no lm_head.weight"),
        (without("model.language_model.layers.5.self_attn.k_norm."), "shapes", "layers.5.self_attn.k_norm.weight is missing"),
        (as_qwen2, "names", "tensors have names that vLLM and transformers"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compared", [False, True])
def test_every_way_of_breaking_it_is_found(trained, base, change, check, said, compared):
    edited(trained, change)
    errors = [item for item in check_checkpoint(trained, base if compared else None) if item.severity == "error"]
    assert any(item.check == check and said in item.found and item.remedy for item in errors), errors


@pytest.mark.parametrize("name", [QKV, MERGER, "model.visual.pos_embed.weight"])
def test_a_tower_that_moved_is_found(trained, base, name):
    edited(trained, lambda weights: weights.update({name: weights[name] * 1.5}))
    errors = [(item.check, item.found) for item in check_checkpoint(trained, base) if item.severity == "error"]
    assert [check for check, _ in errors if check == "vision tower"] and any(name in told for _, told in errors)


def test_rotary_positions_that_are_not_there(trained):
    config = json.loads((trained / "config.json").read_text())
    for key in ("rope_scaling", "rope_parameters"):
        config["text_config"].pop(key, None)

    (trained / "config.json").write_text(json.dumps(config))
    assert [item.severity for item in check_checkpoint(trained) if item.check == "rope"] == ["error"]


@pytest.mark.integration
@pytest.mark.usefixtures("forked_loading")
def test_it_runs_over_sampled_layers_with_pictures_in_the_first_of_them(trained, tmp_path):
    (found,) = try_reduced(trained, tmp_path / "good")
    assert (found.severity, "with an image read, logits finite" in found.found) == ("ok", True), found
    edited(trained, put("model.visual.deepstack_merger_list.2.linear_fc1.weight", float("nan")))
    (found,) = try_reduced(trained, tmp_path / "broken")
    assert (found.severity, "not finite" in found.found) == ("error", True), found
