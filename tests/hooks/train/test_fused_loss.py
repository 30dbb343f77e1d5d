"""The fused loss beside the model's own: the same number, the same gradients, and never all logits at once."""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch


ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("benchmark_packing", ROOT / "benchmarks" / "packing.py")


@pytest.fixture(scope="module")
def packing():
    module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    return module


@pytest.fixture
def fused(hook, monkeypatch):
    import virgo_factory

    virgo_factory.register()

    monkeypatch.setattr(hook, "CHUNK", 50)
    return hook


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("adapted", [False, True])
def test_loss_and_gradients_are_the_models_own(packing, fused, dtype, near, adapted):
    model = copy.deepcopy(packing.tiny_model("qwen2_vl", dtype)).train()
    if adapted:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["lm_head"])
        model = get_peft_model(model, config)

    batch = packing.stock_collator(model, dtype)(packing.make_rows("both", 4))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    expected = model(**batch)
    wanted = torch.autograd.grad(expected.loss, trained, allow_unused=True)
    fused.use_fused_loss(model)
    projected = []
    head = model.get_base_model().lm_head if adapted else model.lm_head
    inner = head.modules_to_save["default"] if adapted else head
    inner.register_forward_hook(lambda module, given, found: projected.append((given[0].shape, found.shape)))
    loss = model(**batch).loss
    found = torch.autograd.grad(loss, trained, allow_unused=True)
    assert loss.item() == pytest.approx(expected.loss.item(), rel=near)
    for one, other in zip(wanted, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None and one.any():
            assert float((one - other).float().norm() / one.float().norm()) <= near

    learned = int((batch["labels"][:, 1:] != -100).sum())
    assert projected == [((learned, 64), ())]  # once, of what is learned, and a loss comes out


def test_no_more_logits_than_a_chunk(packing, fused, monkeypatch):
    model = copy.deepcopy(packing.tiny_model("qwen3_vl", torch.float32)).train()
    batch = packing.stock_collator(model, torch.float32)(packing.make_rows("text", 4))
    sizes, stock = [], fused.functional.cross_entropy
    monkeypatch.setattr(
        fused.functional,
        "cross_entropy",
        lambda logits, *args, **how: sizes.append(len(logits)) or stock(logits, *args, **how),
    )
    fused.use_fused_loss(model)
    model(**batch).loss.backward()
    assert max(sizes) == 50 and sum(sizes) == 2 * int((batch["labels"][:, 1:] != -100).sum())  # forward, and again


def test_evaluation_and_generation_are_stocks(packing, fused):
    model = copy.deepcopy(packing.tiny_model("qwen2_5_vl", torch.float32)).eval()
    batch = packing.stock_collator(model, torch.float32)(packing.make_rows("both", 2))
    expected = model(**batch)
    fused.use_fused_loss(model)
    found = model(**batch)
    assert torch.equal(found.logits, expected.logits) and torch.equal(found.loss, expected.loss)
    asked = {name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values", "image_grid_thw")}
    assert model.generate(**asked, max_new_tokens=2, do_sample=False).shape[1] == asked["input_ids"].shape[1] + 2


def test_a_forward_that_liger_has_replaced_is_left_out_in_training(packing, fused, monkeypatch):
    model = copy.deepcopy(packing.tiny_model("qwen2_vl", torch.float32)).train()
    batch = packing.stock_collator(model, torch.float32)(packing.make_rows("text", 4))
    expected, stock = model(**batch).loss, type(model).forward

    def lce_forward(self, *given, **inputs):
        assert not self.training, "Liger's loss in training"
        return stock(self, *given, **inputs)

    monkeypatch.setattr(type(model), "forward", lce_forward)
    fused.use_fused_loss(model)
    divisors = torch.full_like(batch["labels"], int((batch["labels"] != -100).sum()))
    for given in ({}, {"loss_divisors": divisors}):
        assert model(**batch, **given).loss.item() == pytest.approx(expected.item(), rel=1e-6)

    assert model.eval()(**batch).logits.shape[-1] == 1600
