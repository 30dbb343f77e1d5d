"""The block at the start of a run: its numbers are those of the rows, and only a certainty stops the run."""

import importlib.metadata
from types import SimpleNamespace

import pytest
from datasets import Dataset

from virgo_factory.preflight.twin.twin import make_twin


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return str(make_twin(tmp_path_factory.mktemp("twin")))


@pytest.fixture
def said(hook, monkeypatch):
    """What the hook tells, by level."""
    lines = SimpleNamespace(info=[], warning=[])
    logger = SimpleNamespace(info_rank0=lines.info.append, warning_rank0=lines.warning.append)
    monkeypatch.setattr(hook, "logger", logger)
    return lines


def arguments(model: str, folder, **training):
    """Model, data, training and fine-tuning arguments of a small full fine-tuning on the CPU."""
    run = {
        "do_train": True,
        "should_log": True,
        "use_cpu": True,
        "world_size": 2,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 2,
        "num_train_epochs": 3.0,
        "max_steps": -1,
        "output_dir": str(folder),
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "deepspeed": None,
    }
    return (
        SimpleNamespace(model_name_or_path=model, flash_attn="disabled", image_max_pixels=28 * 28 * 10),
        SimpleNamespace(cutoff_len=2048),
        SimpleNamespace(**run | training),
        SimpleNamespace(stage="sft", finetuning_type="full", batch_order=None, keep_model_at_epochs=None),
    )


def rows(*lengths: int, images: list | None = None) -> Dataset:
    table = {"input_ids": [[1] * length for length in lengths], "images": images or [None] * len(lengths)}
    return Dataset.from_dict(table)


def test_the_block_counts_the_rows_of_the_run(hook, said, twin, tmp_path):
    hook.tell_ahead(rows(100, 300, 200, 400, 500), *arguments(twin, tmp_path))
    (block,) = said.info
    assert "rows: 5, 300 tokens on average, 500 the longest" in block
    assert "steps: 6 = 3 epochs of 2, 4 rows a step = 2 ranks x 1 x 2" in block
    assert "with batch_order: shuffle (balanced " in block
    assert "GB at the peak" in block and "memory:" not in block, "there is no GPU"


def test_selected_rows_and_pictures_are_counted_as_they_are(hook, twin, tmp_path):
    table = rows(100, 300, 200, 400, images=[["a"], None, ["b", "c"], None]).select([2, 1])
    recipe, counted, machine, *_ = hook._asked(table, *arguments(twin, tmp_path))
    assert counted.lengths.tolist() == [200, 300]
    assert counted.images.tolist() == [20, 0], "two pictures at the budget of 10 tokens"
    assert machine.gpus == 2 and recipe["save_strategy"] == "epoch"


def test_pairs_count_by_their_longer_side(hook, twin, tmp_path):
    table = Dataset.from_dict({"chosen_input_ids": [[1] * 5, [1] * 9], "rejected_input_ids": [[1] * 7, [1] * 2]})
    _, counted, *_ = hook._asked(table, *arguments(twin, tmp_path))
    assert counted.lengths.tolist() == [7, 9]


@pytest.mark.parametrize(("variable", "training"), [("1", {}), ("", {"should_log": False}), ("", {"do_train": False})])
def test_it_is_silent_when_told_to_be_and_beside_rank_0(hook, said, twin, tmp_path, monkeypatch, variable, training):
    monkeypatch.setenv("VIRGO_FACTORY_SKIP_PREFLIGHT", variable)
    hook.tell_ahead(rows(10, 20), *arguments(twin, tmp_path, **training))
    assert not said.info and not said.warning


def test_an_estimate_that_cannot_be_made_stops_nothing(hook, said, twin, tmp_path):
    hook.tell_ahead(rows(10, 20), *arguments(twin, tmp_path, deepspeed="no/such/file.json"))
    assert not said.info
    assert "no look ahead (deepspeed: no/such/file.json: no such file" in said.warning[0]


def test_a_model_of_another_family_has_no_estimate_of_disk(hook, said, tmp_path):
    hook.tell_ahead(rows(10, 20), *arguments("some/llama", tmp_path))
    assert "rows: 2" in said.info[0] and "disk" not in said.info[0]


def test_too_little_disk_and_memory_are_warnings(hook, said, twin, tmp_path, monkeypatch):
    monkeypatch.setattr("virgo_factory.preflight.plan.plan.free_bytes", lambda folder: 1000)
    monkeypatch.setattr(hook.torch.cuda, "is_available", lambda: True)
    tiny = SimpleNamespace(total_memory=1_000_000)
    monkeypatch.setattr(hook.torch.cuda, "get_device_properties", lambda device: tiny)
    hook.tell_ahead(rows(10, 20), *arguments(twin, tmp_path, use_cpu=False, device="cuda:0"))
    assert "of 0 GB a GPU at the longest row" in said.info[0]
    assert [line for line in said.warning if "the longest row may not fit" in line]
    assert [line for line in said.warning if "are free on its disk" in line]


def test_a_version_pair_that_is_known_to_crash_stops_the_run(hook, said, twin, tmp_path, monkeypatch):
    real = importlib.metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.6.0" if name == "transformers" else real(name))
    hook.tell_ahead(rows(10, 20), *arguments(twin, tmp_path))
    run = arguments(twin, tmp_path)
    run[0].flash_attn = "fa2"
    with pytest.raises(ValueError, match="5.6.0 stops in the first forward pass"):
        hook.tell_ahead(rows(10, 20), *run)
