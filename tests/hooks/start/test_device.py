"""A training that sees no GPU is told what there is without one."""

import json

import pytest


@pytest.fixture
def folder(tmp_path):
    """A dataset_info.json with a dataset of ours and one of stock's."""
    info = {"ours": {"file_name": "a.jsonl", "formatting": "virgo_dt"}, "stock": {"file_name": "b.json"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    return tmp_path


NO_GPU = "no GPU is visible to this training .* `make demo` or `virgo-factory demo` .* `virgo-factory smoke RECIPE` .* use_cpu: true and bf16: true"


@pytest.mark.parametrize(
    ("recipe", "outcome"),
    [
        ({"bf16": True}, "ends"),
        ({"fp16": "true"}, "ends"),
        ({"deepspeed": "z3.json"}, "ends"),
        ({}, "is told"),
        ({"bf16": True, "use_cpu": True}, "goes on"),
        ({"bf16": True, "do_train": False}, "goes on"),
        ({"bf16": True, "template": "qwen2_vl", "dataset": "stock"}, "goes on"),
        ({"bf16": True, "template": "qwen2_vl", "dataset": "ours"}, "ends"),
        ({"bf16": True, "template": "qwen2_vl", "dataset": "stock", "overlong": "drop"}, "ends"),
    ],
    ids=str,
)
@pytest.mark.parametrize("gpus", [0, 1])
def test_a_training_that_sees_no_gpu(hook, told, folder, monkeypatch, recipe, outcome, gpus):
    monkeypatch.setattr(hook, "get_device_count", lambda: gpus)
    keys = {"do_train": True, "template": "virgo", "dataset": "ours", "dataset_dir": str(folder)} | recipe
    if gpus == 0 and outcome == "ends":
        with pytest.raises(ValueError, match=NO_GPU):
            hook.check_device(keys)
    else:
        hook.check_device(keys)

    assert len(told) == (gpus == 0 and outcome == "is told")
    hook.check_device(["--template", "virgo", "--do_train"])  # a command line is left to transformers
