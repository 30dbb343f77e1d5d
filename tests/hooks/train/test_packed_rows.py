"""Packed bins have the gradients of stock's micro-batches, and would not if any part of what makes them so were left out."""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def packing():
    """The benchmark, whose models, rows and comparison these are."""
    spec = importlib.util.spec_from_file_location("benchmark_packing", ROOT / "benchmarks" / "packing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = [
    # (rows, precision, rows a micro-batch, tokens of a bin, forward passes)
    ("text", torch.float64, 3, 200, 3),
    ("pictures", torch.float64, 1, 1 << 20, 1),
    ("both", torch.float64, 3, 200, 3),
    ("both", torch.float32, 1, 1 << 20, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize(("content", "dtype", "per_device", "capacity", "passes"), CASES)
def test_gradients_are_those_of_stock(packing, family, content, dtype, per_device, capacity, passes):
    loss, apart, found = packing.difference(family, content, dtype, per_device, capacity, count=6)
    exact = dtype == torch.float64
    assert loss <= (1e-12 if exact else 1e-6)
    assert apart <= (1e-12 if exact else 1e-6)
    assert found == passes


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("control", ["temporal row", "no restart", "unweighted"])
def test_each_part_is_needed(packing, family, control):
    assert packing.difference(family, "pictures", torch.float32, control=control, count=3)[1] > 0.1


def test_rows_come_without_padding_and_blank_pictures(hook, packing):
    model = packing.tiny_model("qwen2_vl", torch.float32)
    rows = packing.make_rows("both", 4)
    lengths = [len(row["input_ids"]) for row in rows]
    learned = sum(label != -100 for row in rows for label in row["labels"])
    collate = hook.RowCollator(packing.stock_collator(model, torch.float32), model)
    found = collate([dict(row) for row in rows])["rows"]
    assert [row["input_ids"].shape for row in found] == [(1, length) for length in lengths]
    assert [row["input_ids"][0].tolist() for row in found] == [row["input_ids"] for row in rows]
    assert ["pixel_values" in row for row in found] == [False, True, False, True]
    assert {int(row["loss_divisors"].unique()) for row in found} == {learned}
    blank = collate.blank()
    assert blank["labels"].max() == -100 and blank["image_grid_thw"].shape == (1, 3)

    text, mixed = hook.join([found[0], found[2]], blank), hook.join(found, blank)
    assert mixed["input_ids"].shape[-1] == sum(lengths)
    assert text["input_ids"].shape[-1] == lengths[0] + lengths[2] + blank["input_ids"].shape[-1]
    assert (mixed["position_ids"][0] == 0).sum() == 4 and mixed["image_grid_thw"].shape[0] == sum(
        len(row["images"]) for row in rows
    )


def test_a_bin_of_nothing_still_reaches_every_weight(hook, packing):
    from virgo_factory.hooks.train.fused_loss import use_fused_loss

    model = copy.deepcopy(packing.tiny_model("qwen3_vl", torch.float32)).train()
    use_fused_loss(model)
    blank = hook.RowCollator(packing.stock_collator(model, torch.float32), model).blank()
    loss = model(**hook.join([], blank)).loss
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_each_row_is_attended_to_by_itself_and_without_a_mask(hook, packing, family):
    model, seen = copy.deepcopy(packing.tiny_model(family, torch.float32)), []
    collate = hook.RowCollator(packing.stock_collator(model, torch.float32), model)
    joined = hook.join(collate([dict(row) for row in packing.make_rows("both", 4)])["rows"], collate.blank())
    joined = {name: values for name, values in joined.items() if name not in ("labels", "loss_divisors")}
    joined["use_cache"] = False
    expected = model.eval()(**joined).logits
    with packing.stock_attention():
        stock = ALL_ATTENTION_FUNCTIONS["sdpa"]

        def counting(module, query, key, value, attention_mask, **how):
            if module in {layer.self_attn for layer in model.model.language_model.layers}:
                seen.append((query.shape[2], attention_mask))

            return stock(module, query, key, value, attention_mask, **how)

        ALL_ATTENTION_FUNCTIONS.register("sdpa", counting)
        hook.attend_by_rows(model)
        assert torch.equal(model.eval()(**joined).logits, expected)
        assert len(seen) == 2 and seen.pop()[1] is not None and seen.pop()

        found = model.train()(**joined).logits
        lengths = [len(row["input_ids"]) for row in packing.make_rows("both", 4)]
        assert seen == [(length, None) for length in lengths * 2]
        torch.testing.assert_close(found, expected)
