"""Recipes and rows that cannot be packed, or not have the fused loss: a sentence each, before the model is loaded."""

import json
from types import SimpleNamespace

import pytest
from datasets import Dataset


@pytest.fixture
def model_of(tmp_path):
    def make(family):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
        return str(tmp_path)

    return make


def find(hook, model, keys, **changes):
    """Return the problems of a recipe of packing on CPU, with some keys changed, whichever arguments they belong to."""
    from llamafactory.hparams import ModelArguments

    values = {"flash_attn": "auto", "use_cpu": True, "template": "virgo", "stage": "sft", "do_train": True}
    values |= {"finetuning_type": "full", "lora_target": ["all"], "additional_target": None} | changes
    own = ModelArguments(model_name_or_path=model)
    for name, value in values.items():
        setattr(own, name, value)

    rest = SimpleNamespace(**values)
    return hook.packing_problems(keys, own, rest, rest, rest)


PACKED, FUSED = {"batch_order": "packed"}, {"fused_loss": True}
BOTH = [
    ({"use_dft_loss": True}, "not with use_dft_loss, since the loss"),
    ({"use_eaft_loss": True}, "not with use_eaft_loss, since the loss"),
    ({"use_asft_loss": True}, "not with use_asft_loss, since the loss"),
    ({"label_smoothing_factor": 0.1}, "not with label_smoothing_factor, since the loss"),
    ({"moe_aux_loss_coef": 0.01}, "not with moe_aux_loss_coef, since the loss"),
    ({"use_unsloth": True}, "not with use_unsloth, which has a forward pass"),
    ({"use_kt": True}, "not with use_kt, which has a forward pass"),
    ({"torch_compile": True}, "not with torch_compile, which it has not been tried with"),
    ({"finetuning_type": "lora", "lora_target": ["lm_head"]}, "not with lm_head in lora_target"),
]
ONLY_PACKED = [
    ({"neftune_noise_alpha": 5.0}, "not with neftune_noise_alpha, whose noise"),
    ({"shift_attn": True}, "not with shift_attn, which lets rows"),
    ({"fsdp": "full_shard"}, "not with fsdp, which it has not been tried with"),
    ({"flash_attn": "fa3"}, "not with flash_attn: fa3, under which"),
    ({"flash_attn": "disabled"}, "not with flash_attn: disabled, under which"),
    ({"template": "llava"}, "not with template: llava, whose pictures"),
    ({"template": "gemma3"}, "not with template: gemma3, whose pictures"),
]
CASES = [(keys, *case) for keys in (PACKED, FUSED) for case in BOTH] + [(PACKED, *case) for case in ONLY_PACKED]


@pytest.mark.parametrize(("keys", "changes", "message"), CASES)
def test_refused_with_a_reason(hook, model_of, keys, changes, message):
    model = model_of("qwen2_vl")
    assert find(hook, model, keys) == []
    (problem,) = find(hook, model, keys, **changes)
    assert problem.split(": ", 2)[2].startswith(message)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_families_that_can(hook, model_of, family):
    assert find(hook, model_of(family), PACKED | FUSED | {"packing_tokens": 8192}) == []


@pytest.mark.parametrize("family", ["llama", "qwen3_vl_moe", "qwen3_next", "llava", "mixtral"])
@pytest.mark.parametrize("keys", [PACKED, FUSED])
def test_families_that_cannot(hook, model_of, family, keys):
    (problem,) = find(hook, model_of(family), keys)
    assert f"not with a {family} model, only with qwen2_vl, qwen2_5_vl, qwen3_vl" in problem


def test_flash_attention_has_to_be_there_if_it_is_asked_for(hook, model_of, monkeypatch):
    monkeypatch.setattr(hook, "is_flash_attn_2_available", lambda: False)
    for attention in ("auto", "sdpa"):
        assert find(hook, model_of("qwen2_vl"), PACKED, flash_attn=attention, use_cpu=False) == []

    (problem,) = find(hook, model_of("qwen2_vl"), PACKED, flash_attn="fa2", use_cpu=False)
    assert "not installed" in problem
    monkeypatch.setattr(hook, "is_flash_attn_2_available", lambda: True)
    assert find(hook, model_of("qwen2_vl"), PACKED, flash_attn="fa2", use_cpu=False) == []


def test_windows_need_flash_attention(hook, tmp_path, monkeypatch):
    from transformers import Qwen2VLConfig

    monkeypatch.setattr(hook, "is_flash_attn_2_available", lambda: True)
    Qwen2VLConfig(text_config={"use_sliding_window": True}).save_pretrained(tmp_path)
    assert find(hook, str(tmp_path), PACKED, flash_attn="fa2") == []
    (problem,) = find(hook, str(tmp_path), PACKED, flash_attn="sdpa")
    assert "use_sliding_window is true. Set flash_attn: fa2" in problem


def test_keys_that_belong_to_others(hook, model_of):
    assert find(hook, model_of("llama"), {"batch_order": "balanced"}, use_dft_loss=True) == []
    (problem,) = find(hook, model_of("qwen2_vl"), {"packing_tokens": 4096})
    assert "only with batch_order: packed" in problem
    assert "only in the stage sft" in find(hook, model_of("qwen2_vl"), FUSED, stage="dpo")[0]
    assert "Remove fused_loss: false" in find(hook, model_of("qwen2_vl"), PACKED | {"fused_loss": False})[0]
    assert "only with do_train" in find(hook, model_of("qwen2_vl"), FUSED, do_train=False)[0]


@pytest.mark.parametrize(
    ("size", "changes", "message"),
    [
        (3, {}, "does not divide the ranks of this run, 8"),
        (8, {}, "does not divide the model's 28 attention heads and 4 key-value heads"),
        (2, {"per_device_train_batch_size": 2}, "needs per_device_train_batch_size: 1"),
    ],
)
def test_sizes_that_cannot_share(hook, tmp_path, size, changes, message):
    from transformers import Qwen2VLConfig

    Qwen2VLConfig(text_config={"num_attention_heads": 28, "num_key_value_heads": 4}).save_pretrained(tmp_path)
    keys = PACKED | {"sequence_parallel_size": size}
    changes = {"world_size": 8, "per_device_train_batch_size": 1} | changes
    found = find(hook, str(tmp_path), keys, **changes)
    assert any(f"sequence_parallel_size: {size}: {message}" in problem for problem in found)
    assert (
        find(hook, str(tmp_path), PACKED | {"sequence_parallel_size": 4}, world_size=8, per_device_train_batch_size=1)
        == []
    )
    assert "only with batch_order: packed" in find(hook, str(tmp_path), {"sequence_parallel_size": 2})[0]


def check(hook, videos=((), ()), processor=True, **keys):
    rows = Dataset.from_dict({"input_ids": [[1] * 30, [1] * 70], "videos": [list(one) for one in videos]})
    arguments = SimpleNamespace(batch_order="packed", packing_tokens=None, fused_loss=None)
    vars(arguments).update(keys)
    hook.check_packed_rows(rows, processor or None, arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"packing_tokens": 69}, "1 of 2 rows are longer, up to 70 tokens. Set packing_tokens: 70"),
        ({"videos": (["a.mp4"], ())}, "1 rows have videos"),
        ({"processor": None}, "no processor"),
        ({"batch_order": None, "fused_loss": True, "processor": None}, "no processor"),
    ],
)
def test_rows_that_cannot_be_packed(hook, changes, message):
    check(hook)
    check(hook, packing_tokens=70)
    check(hook, batch_order=None, fused_loss=True, videos=(["a.mp4"], ()))
    with pytest.raises(ValueError, match=message):
        check(hook, **changes)
