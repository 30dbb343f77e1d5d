"""Every number is looked at: what no trained model has is found with the tensor's name, and good models raise no alarm."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.preflight.conftest import FILE, Weights, edited, put
from virgo_factory.preflight.checkpoint import look as look_module
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.look import Numbers, look_at_numbers
from virgo_factory.preflight.checkpoint.weights import read_tensors
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.twin.twin import make_twin


INDEX = "model.safetensors.index.json"
DOWN = "model.layers.{}.mlp.down_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_twin(tmp_path_factory.mktemp("base") / "model", layers=8, vision_layers=3)


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory) -> Path:
    """A trained model: every number but the vision tower's is a little off the base's; zeros, as of a bias, stay."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    shutil.copytree(base, folder)
    return edited(folder, train)


def train(weights: Weights) -> None:
    for name, value in weights.items():
        if not name.startswith("visual.") or "merger" in name:
            weights[name] = (value.float() * 1.01).to(value.dtype)


def deeper(weights: Weights) -> None:
    """Norms that grow with the depth, by more over all of it than one layer may differ from the next."""
    for layer in range(8):
        weights[f"model.layers.{layer}.input_layernorm.weight"] *= 2.5**layer


def told(folder: Path, base: Path | None = None, check: str = "numbers", **more) -> list[Diagnosis]:
    found = [item for item in check_checkpoint(folder, base, **more) if item.check == check]
    assert all(item.severity == "ok" or item.remedy for item in found)
    return found


def times(name: str, factor: float) -> Callable[[Weights], None]:
    return lambda weights: weights.update({name: (weights[name].float() * factor).to(weights[name].dtype)})


def zero_layers(*layers: int) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        for name in weights:
            if name.startswith(tuple(f"model.layers.{layer}." for layer in layers)):
                weights[name] = torch.zeros_like(weights[name])

    return change


@pytest.mark.parametrize(
    ("change", "severity", "said"),
    [
        (put(DOWN.format(6), float("nan")), "error", f"NaN in {DOWN.format(6)}"),
        (put(DOWN.format(6), float("inf"), 3), "error", f"Inf in {DOWN.format(6)} (row 3 of 128)"),
        (put(DOWN.format(0), float("-inf"), (5, 7)), "error", f"Inf in {DOWN.format(0)} (row 5 of 128)"),
        (put("model.layers.3.input_layernorm.weight", float("nan"), 9), "error", "NaN in model.layers.3.input_layernorm"),
        (put("visual.blocks.2.mlp.fc2.bias", float("nan"), 0), "error", "NaN in visual.blocks.2.mlp.fc2.bias"),
        (put("model.layers.2.self_attn.q_proj.bias", float("inf"), -1), "error", "Inf in model.layers.2.self_attn.q_proj"),
        (put(EMBEDDING, float("nan"), 812), "error", f"NaN in {EMBEDDING} (row 812 "),
        (put(EMBEDDING, float("nan"), -1), "error", f"NaN in {EMBEDDING} (row 1471 of 1,472)"),
        (put("lm_head.weight", float("nan"), 5), "error", "NaN in lm_head.weight (row 5 "),
        (zero_layers(4, 5, 6), "error", "all zero: model.layers.4.input_layernorm.weight, model.layers.5."),
        (zero_layers(7), "error", "all zero: model.layers.7."),
        (put("model.norm.weight", 0), "error", "all zero: model.norm.weight"),
        (put(DOWN.format(1), 0.5), "error", f"every number 0.5: {DOWN.format(1)}"),
        (put("visual.blocks.0.attn.qkv.weight", 0), "error", "all zero: visual.blocks.0.attn.qkv.weight"),
        (put("lm_head.weight", 0), "error", "all zero: lm_head.weight"),
        (put(EMBEDDING, 0, slice(40, 43)), "error", f"{EMBEDDING}: zero for 3 of 1,454 tokens in use (row 40 "),
        (put("lm_head.weight", 0, 7), "error", "lm_head.weight: zero for 1 of 1,454 tokens in use (row 7 "),
        (put(DOWN.format(5), 0, slice(64, None)), "error", f"rows of zeros: {DOWN.format(5)} (row 64-127 of 128)"),
        (put(DOWN.format(5), 0, slice(64, 70)), "warning", f"rows of zeros: {DOWN.format(5)} (row 64-69 of 128)"),
        (put(DOWN.format(5), 0, (slice(None), slice(128))), "error", f"columns of zeros: {DOWN.format(5)} (column 0-127 of 256)"),
        (put(DOWN.format(5), 0, (slice(None), 9)), "warning", f"columns of zeros: {DOWN.format(5)} (column 9 of 256)"),
        (put(EMBEDDING, 0, (slice(None), slice(7, 9))), "warning", f"columns of zeros: {EMBEDDING} (column 7-8 of 128)"),
        (put(DOWN.format(5), 3e38, (0, 0)), "error", "as large as 3e+38, 0.0"),
        (times(DOWN.format(5), 1e30), "error", "as large as "),
        (times(DOWN.format(5), 2e3), "error", "as large as "),
        (times(DOWN.format(5), 1e-6), "error", "as large as "),
        (times(DOWN.format(5), 50), "error", "50 times as large as in other layers: "),
        (times(DOWN.format(0), 50), "error", "5"),
        (times(DOWN.format(7), 0.02), "warning", "0.02 times as large as in other layers: "),
        (times("model.layers.5.input_layernorm.weight", 50), "warning", "50 times as large as in other layers: "),
        (times(EMBEDDING, 1e30), "error", "as large as "),
        (times("model.norm.weight", 2e4), "warning", "as large as 2"),
    ],
)  # fmt: skip
def test_what_no_trained_model_has(trained, change, severity, said):
    (found,) = told(edited(trained, change))
    assert (found.severity, found.found[: len(said)]) == (severity, said)


def test_several_faults_are_told_side_by_side(trained):
    def change(weights: Weights) -> None:
        put(EMBEDDING, float("nan"), 812)(weights)
        put(DOWN.format(6), float("nan"))(weights)
        zero_layers(4, 5)(weights)

    found = told(edited(trained, change))
    assert [item.severity for item in found] == ["error"] * 3
    assert found[0].found == f"NaN in {DOWN.format(6)}" and f"NaN in {EMBEDDING} (row 812 " in found[1].found
    assert "model.layers.4." in found[2].found and "model.layers.5." in found[2].found and "more" in found[2].found


def test_the_token_without_numbers_is_named(trained, base):
    vocabulary = json.loads((base / "tokenizer.json").read_text())["model"]["vocab"]
    token = next(token for token, id in vocabulary.items() if id == 812)
    (found,) = told(edited(trained, put(EMBEDDING, float("nan"), 812)))
    assert repr(token) in found.found


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: None,
        put(EMBEDDING, 0, slice(1454, None)),  # rows that pad the embedding
        put("lm_head.weight", 0, slice(1454, None)),
        put("model.layers.3.input_layernorm.weight", 1),  # as in every random model
        put("model.layers.3.self_attn.q_proj.bias", 0),
        put(DOWN.format(3), 60.0, (0, slice(9))),
        times("model.layers.3.self_attn.k_proj.bias", 900),  # those of published models differ so between layers
        times(DOWN.format(3), 10),
        put(DOWN.format(3), 60.0, (slice(None, None, 9), 0)),  # outliers, as published models have
        deeper,
        lambda weights: weights.update({"model.embed_tokens.weight": weights[EMBEDDING].half()}),
        lambda weights: weights.update({name: value.float() for name, value in weights.items()}),
    ],
)
def test_no_alarm(trained, change):
    (found,) = told(edited(trained, change))
    assert found.severity == "ok", found
    assert found.found.startswith(f"{sum(value.numel() for value in load_file(trained / FILE).values()):,} in ")


def test_a_bias_that_is_zero_in_one_layer_only(trained):
    def change(weights: Weights) -> None:
        for layer in range(8):
            weights[f"model.layers.{layer}.self_attn.q_proj.bias"][:] = float(layer != 5)

    (found,) = told(edited(trained, change))
    assert (found.severity, "model.layers.5.self_attn.q_proj.bias" in found.found) == ("warning", True)


@pytest.mark.parametrize("lines", [slice(64, 70), (slice(None), slice(64, 70))])
def test_rows_and_columns_that_the_base_has_are_lost_for_certain(trained, base, lines):
    (found,) = told(edited(trained, put(DOWN.format(5), 0, lines)), base)
    assert (found.severity, DOWN.format(5) in found.found) == ("error", True)


@pytest.mark.parametrize("lines", [slice(64, None), (slice(None), slice(3, 9))])
def test_rows_and_columns_that_pad_the_base_as_well_are_no_fault(trained, base, tmp_path, lines):
    padded = edited(Path(shutil.copytree(base, tmp_path / "padded")), put(DOWN.format(5), 0, lines))
    (found,) = told(edited(trained, put(DOWN.format(5), 0, lines)), padded)
    assert found.severity == "ok"


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (times(EMBEDDING, 1e30), "error"),
        (times("lm_head.weight", 5e3), "error"),
        (times("model.norm.weight", 2e3), "error"),
        (times("model.layers.3.input_layernorm.weight", 1e-4), "error"),
        (times(DOWN.format(2), 1e-5), "error"),
        (put(EMBEDDING, 1e5, (700, 3)), "error"),
        (times("model.norm.weight", 300), "ok"),
        (put("model.layers.3.self_attn.k_proj.bias", 0.5), "ok"),  # zero in a random base
    ],
)
def test_another_scale_than_the_base(trained, base, change, severity):
    (found,) = told(edited(trained, change), base)
    assert (found.severity, severity == "ok" or "in the base" in found.found) == (severity, True), found


def test_the_base_given_as_the_checkpoint(base, whole):
    (found,) = told(base, base, "training")
    assert found.severity == "error" and "changed nothing" in found.found and "--unchanged" in found.remedy
    (found,) = told(base, base, "training", may_be_base=True)
    assert found.severity == "ok"


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_the_base_saved_as_another_type_is_the_base(trained, base, kind):
    shutil.copy(base / FILE, trained / FILE)
    edited(trained, lambda weights: weights.update({name: value.to(kind) for name, value in weights.items()}))
    (found,) = told(trained, base, "training")
    assert found.severity == "error" and "changed nothing" in found.found
    (found,) = told(trained, base, "vision tower")
    assert found.severity == "ok" and "number by number" in found.found


def test_a_wider_base_rounded_to_the_checkpoint_is_the_base(base, tmp_path):
    wide = Path(shutil.copytree(base, tmp_path / "wide"))
    edited(wide, lambda weights: weights.update({name: value.float() * 1.001 for name, value in weights.items()}))
    narrow = Path(shutil.copytree(wide, tmp_path / "narrow"))
    edited(narrow, lambda weights: weights.update({name: value.bfloat16() for name, value in weights.items()}))
    (found,) = told(narrow, wide, "training")
    assert "changed nothing" in found.found


def test_what_was_trained_is_told_part_by_part(whole, base, trained):
    (found,) = told(whole, base, "training")
    assert found.severity == "ok"
    assert "language model 73 of 97, embedding and head 2 of 2, vision tower 0 of 37, projector 3 of 6" in found.found
    before = load_file(base / FILE)

    def as_before(weights: Weights) -> None:
        for layer in (0, 1, 2):
            weights |= {name: before[name] for name in weights if name.startswith(f"model.layers.{layer}.")}

    (found,) = told(edited(trained, as_before), base, "training")
    assert found.severity == "warning" and "layers 0-2 of the language model as before" in found.found


def shard(folder: Path) -> None:
    """Split the model into three files with an index, as large ones are saved."""
    weights = load_file(folder / FILE)
    names = sorted(weights)
    placed = {
        name: f"model-0000{1 + 3 * place // len(names)}-of-00003.safetensors" for place, name in enumerate(names)
    }
    for file in set(placed.values()):
        part = {name: weights[name] for name in names if placed[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})

    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    (folder / FILE).unlink()


@pytest.mark.slow
def test_a_sharded_model(trained, base):
    edited(trained, put(DOWN.format(6), float("nan"), 3))
    shard(trained)
    (found,) = told(trained, base)
    assert found.found == f"NaN in {DOWN.format(6)} (row 3 of 128)"
    assert [item.severity for item in told(trained, base, "vision tower")] == ["ok"]


def forget(folder: Path, name: str) -> None:
    index = json.loads((folder / INDEX).read_text())
    del index["weight_map"][name]
    (folder / INDEX).write_text(json.dumps(index))


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + bytes(64))


@pytest.mark.parametrize(
    ("breaking", "said"),
    [
        (lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(), "names model-00002-of-00003"),
        (lambda folder: os.truncate(folder / "model-00003-of-00003.safetensors", 9000), "cut short"),
        (lambda folder: os.truncate(folder / "model-00003-of-00003.safetensors", 4), "cut short in its header"),
        (lambda folder: shutil.copy(folder / "model-00001-of-00003.safetensors", folder / "model-00003-of-00003.safetensors"), f" tensors that {INDEX} puts there are not in it, such as "),
        (lambda folder: forget(folder, DOWN.format(5)), f"model-00002-of-00003.safetensors: 1 tensors in it that {INDEX} does not put there, such as {DOWN.format(5)}"),
        (lambda folder: shutil.copy(folder / "model-00001-of-00003.safetensors", folder / FILE), f"both {FILE}"),
        (lambda folder: [(folder / f"model-0000{place}-of-00003.safetensors").unlink() for place in (1, 3)], "names model-00001-of-00003.safetensors and 1 more, which are missing"),
        (lambda folder: append(folder / "model-00002-of-00003.safetensors"), "model-00002-of-00003.safetensors: "),
        (lambda folder: (folder / INDEX).write_text('{"weight_map": ["a"]}'), "no weight_map"),
        (lambda folder: (folder / INDEX).write_text('[1]'), "not a JSON object"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{}"), "no weight_map"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text('{"a":\n 1,}'), f"{INDEX}:2:4: not JSON"),
    ],
)  # fmt: skip
def test_shards_that_do_not_belong_together(trained, breaking, said):
    shard(trained)
    breaking(trained)
    (found,) = check_checkpoint(trained)
    assert (found.check, found.severity, said in found.found) == ("weights", "error", True), found


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"{not json", "header cannot be read"),
        (b'{"a": {"dtype": "BF16", "shape": [4, 4]}}', "header cannot be read"),
        (b'{"a": {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, 30]}}', "model.safetensors: Error"),
    ],
)
def test_headers_that_lie(tmp_path, header, said):
    (tmp_path / FILE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    (found,) = check_checkpoint(tmp_path)
    assert said in found.found


def test_tied_embeddings(trained):
    def tie(weights: Weights) -> None:
        del weights["lm_head.weight"]
        weights[EMBEDDING][3, 3] = float("nan")

    edited(trained, tie)
    config = json.loads((trained / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    (trained / "config.json").write_text(json.dumps(config))
    assert [item.found.split(" (")[0] for item in told(trained)] == [f"NaN in {EMBEDDING}"]
    assert [item.severity for item in told(trained, check="names")] == ["ok"]


KINDS = (torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [64, 4096, 1 << 20])
def test_what_is_seen_of_a_tensor(tmp_path, monkeypatch, kind, block):
    monkeypatch.setattr(look_module, "_BLOCK", block)
    monkeypatch.setattr(look_module, "_PIECE", 4 * block)
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "plain": torch.randn(37, 24, generator=generator),
        "vector": torch.randn(301, generator=generator),
        "cube": torch.randn(3, 5, 16, generator=generator),
        "scalar": torch.tensor(2.0),
        "empty": torch.zeros(0, 4),
        "bad": torch.randn(37, 24, generator=generator),
        "ones": torch.ones(6, 20),
    }
    tensors["bad"][(5, 36), (0, 23)] = float("nan")
    tensors["plain"][[4, 9]] = 0
    tensors["plain"][:, [0, 7]] = 0
    tensors["bad"][:, 3] = 0
    if kind is not torch.float8_e4m3fn:  # which has no Inf
        tensors["bad"][11, 2] = float("-inf")

    tensors = {name: value.to(kind) for name, value in tensors.items()} | {"count": torch.arange(20)}
    save_file(tensors, tmp_path / FILE)
    found = look_at_numbers(read_tensors(tmp_path), workers=3)
    for name in set(tensors) - {"count", "empty"}:
        value = tensors[name].double()
        rows = value.reshape(-1, value.shape[-1] if value.ndim > 1 else max(1, value.numel()))
        seen, finite = found[name], value[value.isfinite()].abs()
        assert seen.not_finite == torch.nonzero(~rows.isfinite().all(1)).flatten().tolist(), name
        assert seen.has_nan == bool(value.isnan().any()), name
        assert seen.zero == torch.nonzero((rows == 0).all(1)).flatten().tolist(), name
        dead = torch.nonzero((rows == 0).all(0)).flatten().tolist() if len(rows) > 1 else []
        assert seen.zero_columns == dead, name
        assert (seen.rows, seen.same) == (len(rows), None), name
        if kind not in (torch.float8_e4m3fn, torch.float8_e5m2):
            assert seen.largest == (finite.max().item() if name != "bad" else seen.largest)
            assert seen.largest <= finite.max().item()
            assert name == "bad" or rows[seen.largest_row].abs().max().item() == seen.largest

    assert found["ones"].constant == 1 and found["plain"].constant is None
    assert found["empty"] == Numbers() and not found["count"].not_finite


def test_a_difference_is_found_wherever_it_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(look_module, "_BLOCK", 256)
    monkeypatch.setattr(look_module, "_PIECE", 1024)
    chance = np.random.default_rng(0)
    value = torch.tensor(chance.standard_normal((70, 30)), dtype=torch.bfloat16)
    for place in (0, 1, 999, 1050, 2099):
        other = value.clone()
        other.view(-1)[place] += 1
        for name, tensor in (("one", value), ("other", other)):
            (tmp_path / name).mkdir(exist_ok=True)
            save_file({"changed": tensor.clone(), "same": value}, tmp_path / name / FILE)

        found = look_at_numbers(read_tensors(tmp_path / "one"), read_tensors(tmp_path / "other"))
        assert (found["changed"].same, found["same"].same) == (False, True)


def test_the_command_ends_with_1(base, trained, call):
    edited(trained, put(DOWN.format(6), float("nan")))
    for arguments, said in (((trained, "--base", base), DOWN.format(6)), ((base, "--base", base), "changed nothing")):
        code, out, _ = call("checkpoint", "check", *arguments, "--files-only", "--json")
        assert code == 1
        assert any(item["severity"] == "error" and said in item["found"] for item in json.loads(out))


def test_biases_of_experts_are_zero_in_every_random_model(tmp_path):
    """Those of gpt-oss have a row for each expert; matrices beside them must not be zero."""
    (tmp_path / "config.json").write_text('{"model_type": "gpt_oss"}')
    weights = {
        f"model.layers.{layer}.mlp.experts.{name}": torch.randn(4, 32) * (name == "down_proj")
        for layer in (0, 1)
        for name in ("down_proj", "down_proj_bias")
    }
    save_file(weights, tmp_path / FILE)
    assert [item.severity for item in told(tmp_path)] == ["ok"]
    save_file(weights | {"model.layers.1.mlp.experts.down_proj": torch.zeros(4, 32)}, tmp_path / FILE)
    (found,) = told(tmp_path)
    assert (found.severity, found.found) == ("error", "all zero: model.layers.1.mlp.experts.down_proj")


def test_threads_that_look_at_the_columns_of_one_tensor(tmp_path, monkeypatch):
    """numpy counts what is left, then fills: columns that come to life between would leave it garbage, once in many runs."""
    tensor = look_module.Tensor(tmp_path / FILE, "BF16", (1000, 64), 0, 2000 * 64)
    watch = look_module._Watch("a.weight", tensor, None)
    stock, shared = np.flatnonzero, []
    monkeypatch.setattr(np, "flatnonzero", lambda array: (shared.append(array is watch.dead), stock(array))[1])
    rows = np.arange(64, dtype=np.uint16)[None] % 5
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(watch.see_columns, [rows, rows, rows]))

    assert shared and not any(shared)
    assert np.array_equal(watch.dead, rows[0] == 0)
