"""What a recipe costs: counted steps, orders, disk and hours; and bad input, told before anything is read."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tests.pages import lines_of, sample
from virgo_factory.cli.main import main
from virgo_factory.core.batch_order import slot_use
from virgo_factory.data.rows.worker import NOT_OURS, RowRecord
from virgo_factory.io.recipes import read_recipe, recipe_files
from virgo_factory.io.yaml_text import read_yaml
from virgo_factory.preflight.keys import known_keys, unknown_keys, wrong_stock_values
from virgo_factory.preflight.plan.disk import saved_bytes
from virgo_factory.preflight.plan.duration import epoch_operations, row_operations
from virgo_factory.preflight.plan.fitting import largest_cutoff
from virgo_factory.preflight.plan.memory import Method, step_memory
from virgo_factory.preflight.plan.method import read_bytes, read_hardware
from virgo_factory.preflight.plan.models import KNOWN, find_shape
from virgo_factory.preflight.plan.plan import Dataset, Machine, Rows, gather_rows, make_plan, to_json
from virgo_factory.preflight.twin.twin import make_twin
from virgo_factory.preflight.zero import Zero, read_zero


ROOT = Path(__file__).parents[3]
SEVEN = KNOWN["qwen2-vl-7b-instruct"]
RECIPE = {
    "model_name_or_path": "Qwen/Qwen2-VL-7B-Instruct",
    "stage": "sft",
    "finetuning_type": "full",
    "freeze_multi_modal_projector": False,
    "deepspeed": str(ROOT / "recipes" / "deepspeed" / "ds_z3.json"),
    "flash_attn": "fa2",
    "enable_liger_kernel": True,
    "per_device_train_batch_size": 1,
    "global_batch_size": 128,
    "num_train_epochs": 10.0,
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "keep_model_at_epochs": [5],
}


def made_rows(count: int, seed: int = 0) -> Rows:
    """Rows of uneven lengths."""
    lengths = np.random.default_rng(seed).lognormal(7.5, 0.7, count).astype(np.int64) + 1
    return Rows((Dataset("rows", count, count, count, 0, {}),), lengths, np.zeros(count, dtype=np.int64))


def planned(recipe=RECIPE, rows=None, gpus=8, **machine):
    rows = made_rows(1000) if rows is None else rows
    return make_plan(recipe, rows, Machine(gpus, **machine), 32768, SEVEN, "7B")


# steps, as transformers counts them


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "gpus", "changes"),
    [
        (1000, 8, {}),
        (4922, 64, {}),
        (1000, 1, {"deepspeed": None, "global_batch_size": None, "gradient_accumulation_steps": 7}),
        (37, 4, {"global_batch_size": 16, "per_device_train_batch_size": 2}),
        (37, 4, {"global_batch_size": 16, "dataloader_drop_last": True}),
        (130, 8, {"max_steps": 3}),
        (130, 8, {"num_train_epochs": 0.5}),
        (1000, 8, {"val_size": 0.1}),
    ],
)
def test_steps_are_those_of_the_trainer(rows, gpus, changes):
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler
    from transformers import Trainer, TrainingArguments

    recipe = RECIPE | changes
    found = planned(recipe, made_rows(rows), gpus)
    trained = rows - int(rows * recipe.get("val_size", 0))
    drop_last = bool(recipe.get("dataloader_drop_last"))
    batches = BatchSampler(range(trained), recipe["per_device_train_batch_size"], drop_last)
    loader = [None] * len(BatchSamplerShard(batches, gpus, 0) if gpus > 1 else batches)
    steps = {"num_train_epochs": recipe["num_train_epochs"], "max_steps": recipe.get("max_steps", -1)}
    steps["gradient_accumulation_steps"] = found.accumulation
    arguments = TrainingArguments(output_dir="/nowhere", use_cpu=True, report_to=[], **steps)
    fake = SimpleNamespace(num_examples=lambda loader: trained, get_total_train_batch_size=lambda args: 1)
    counts = Trainer.set_initial_training_values(fake, arguments, loader, found.global_batch)
    assert (found.steps_epoch, found.steps) == (counts[1], counts[6])


def test_hours_hold_the_waiting():
    """Rows of one length: what all GPUs compute is what is useful; uneven rows take longer by 1 / slot use or more."""
    even = Rows(made_rows(1024).datasets, np.full(1024, 2048), np.zeros(1024, dtype=np.int64))
    method = Method(zero=Zero(3), ranks=8)
    useful = float(row_operations(SEVEN, method, even.lengths).sum())
    waited = epoch_operations(np.arange(1024), row_operations(SEVEN, method, even.lengths), method, 16)
    assert waited * 8 == pytest.approx(useful)
    found = planned(rows=even, tflops=100.0, mfu=0.5)
    assert found.hours == pytest.approx(useful * 10 / (8 * 100e12 * 0.5) / 3600, rel=1e-6)
    assert found.hours == pytest.approx(4 * 2 * 7.6e9 * 2048 * 1024 * 10 / (8 * 50e12) / 3600, rel=0.1)  # 8 P a token

    uneven = planned()
    orders = {order.name: order for order in uneven.orders}
    assert orders["grouped"].hours < orders["balanced"].hours < orders["shuffle"].hours
    assert orders["shuffle"].hours / orders["grouped"].hours > 1.5
    used = slot_use(np.random.default_rng(1).permutation(1000), uneven.rows.lengths, 8, 1)
    assert orders["shuffle"].slot_use == pytest.approx(used, rel=0.1)


def test_stocks_order_by_length_is_told_by_either_name(monkeypatch):
    """transformers 5 has another key for it than 4.57, of which each knows its own."""
    monkeypatch.setenv("ALLOW_EXTRA_ARGS", "1")
    keys = ({"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}, {})
    first, second, shuffled = (planned(RECIPE | key).hours for key in keys)
    assert first == second != shuffled


def test_ddp_waits_once_a_step():
    sharded, replicated = planned(), planned(RECIPE | {"deepspeed": None})
    assert replicated.orders[0].slot_use > sharded.orders[0].slot_use


def test_packed_bins_in_hours_memory_and_passes():
    stock, found = planned(), planned(RECIPE | {"batch_order": "packed"})
    packed = found.orders[-1]
    assert packed.name == "packed" and found.order == "packed" and found.hours == packed.hours
    assert packed.slot_use > stock.orders[0].slot_use and packed.hours < stock.hours
    assert 1 <= packed.passes < found.accumulation == stock.accumulation
    assert {order.passes for order in found.orders[:-1]} == {float(found.accumulation)}
    longest = int(found.rows.lengths.max())
    full = planned(RECIPE | {"batch_order": "packed", "packing_tokens": 2 * longest})
    assert full.orders[-1].passes < packed.passes
    assert full.memory.inputs == pytest.approx(2 * found.memory.inputs, rel=0.01)
    seeing = Rows(made_rows(1000).datasets, made_rows(1000).lengths, np.minimum(made_rows(1000).lengths, 300))
    few, many = (planned(RECIPE | changes, seeing) for changes in ({}, {"batch_order": "packed"}))
    assert many.memory.images > few.memory.images


def test_the_loss_in_chunks_holds_no_logits():
    plain = Method(zero=Zero(3), ranks=8)
    chunks = replace(plain, chunked_loss=True)
    assert step_memory(SEVEN, plain, 32768).loss > 50e9
    assert step_memory(SEVEN, chunks, 32768).loss < 7e9
    width = (step_memory(SEVEN, chunks, 32768).loss - step_memory(SEVEN, chunks, 16384).loss) / 16384
    assert width < 16 * SEVEN.hidden
    recipe = {key: value for key, value in RECIPE.items() if key != "enable_liger_kernel"}
    assert planned(recipe | {"fused_loss": True}).memory.loss < planned(recipe).memory.loss


@pytest.mark.slow
def test_shared_sequences_of_a_72b():
    lengths = made_rows(4922).lengths.clip(max=16384)
    lengths[0] = 32768
    rows = Rows(made_rows(4922).datasets, lengths, np.zeros(4922, dtype=np.int64))
    recipe = RECIPE | {"batch_order": "packed"}

    def plan(**changes):
        return make_plan(recipe | changes, rows, Machine(64), 32768, KNOWN["qwen2-vl-72b-instruct"], "72B")

    alone, shared = plan(), plan(sequence_parallel_size=4)
    assert not alone.fits and shared.fits
    assert [one.size for one in alone.shared] == [1, 2, 4, 8]
    assert [one.peak <= 80e9 for one in alone.shared] == [False, True, True, True]
    uses = [one.slot_use for one in alone.shared]
    assert uses == sorted(uses) and uses[2] > 0.9
    assert shared.memory.peak == alone.shared[2].peak
    assert (shared.global_batch, shared.accumulation, shared.steps) == (128, 8, alone.steps)
    assert any("sequence_parallel_size: 2" in change.what and change.fits for change in alone.changes)
    with pytest.raises(ValueError, match="sequence_parallel_size: 3 does not divide 64 GPUs"):
        plan(sequence_parallel_size=3)

    seven = make_plan(recipe, rows, Machine(64), 32768, SEVEN, "7B")
    assert [one.size for one in seven.shared] == [1, 2, 4]  # 28 heads, 4 of keys and values


# memory


def test_the_largest_cutoff_is_the_largest_that_fits():
    method = Method(zero=Zero(3), ranks=8, fused_loss=True)
    cutoff = largest_cutoff(SEVEN, method, 80e9)
    assert step_memory(SEVEN, method, cutoff).peak <= 80e9 < step_memory(SEVEN, method, cutoff + 64).peak
    assert largest_cutoff(SEVEN, replace(method, ranks=1), 80e9) is None


def test_changes_make_it_fit_cheapest_first():
    rows = made_rows(1000)
    rows.lengths[7] = 60000
    recipe = RECIPE | {"enable_liger_kernel": False, "per_device_train_batch_size": 2}
    found = planned(recipe, rows)
    assert not found.fits
    named = [change.what.split(":")[0] for change in found.changes]
    assert named == ["enable_liger_kernel", "per_device_train_batch_size"] and found.changes[-1].fits
    assert planned(recipe | {"enable_liger_kernel": True, "per_device_train_batch_size": 1}, rows).fits


def test_when_nothing_free_helps_the_dear_ones_are_named():
    rows = made_rows(1000)
    rows.lengths[7] = 30000
    found = planned(RECIPE, rows, gpus=2)
    changes = {change.what.split(":")[0] for change in found.changes if change.fits}
    assert any("ds_z3_offload" in change.what for change in found.changes if change.fits)
    assert any(what.endswith("GPUs") for what in changes)
    for change in found.changes:
        assert change.fits == (change.peak <= 80e9)


def test_lora_and_dpo_say_what_differs():
    adapters = {"finetuning_type": "lora", "lora_rank": 64, "lora_target": "all", "deepspeed": None}
    lora = planned(RECIPE | adapters, gpus=1)
    assert lora.trained == 161_480_704 and lora.fits
    assert any("adapter" in note for note in lora.notes)
    dpo = planned(RECIPE | {"stage": "dpo", "keep_model_at_epochs": None})
    assert dpo.memory.held["reference model"] > 0 and not dpo.method.fused_loss
    assert any("two sequences" in note and "reference" in note for note in dpo.notes)
    assert dpo.hours > 2 * planned().hours


# disk


def test_disk_is_what_a_run_left_behind(tmp_path):
    """Sizes of the demo's files, written by stock LLaMA-Factory without DeepSpeed."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForImageTextToText

    folder = make_twin(tmp_path / "twin")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16)
    trained = [value for name, value in model.named_parameters() if "visual." not in name or "merger" in name]
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    for parameter in trained:  # LLaMA-Factory, model/adapter.py:313
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
        parameter.grad = torch.ones_like(parameter)

    optimizer = torch.optim.AdamW(trained)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    save_file(dict(model.named_parameters()), tmp_path / "model.safetensors")
    written, states = ((tmp_path / name).stat().st_size for name in ("model.safetensors", "optimizer.pt"))
    told = saved_bytes(find_shape(str(folder))[0], Method())
    assert told == (pytest.approx(written, rel=0.02), pytest.approx(written + states, rel=0.02))


@pytest.mark.parametrize(
    ("changes", "checkpoints", "models"),
    [
        ({}, 2, 2),
        ({"save_total_limit": None, "num_train_epochs": 3.0}, 3, 2),
        ({"save_total_limit": 5, "num_train_epochs": 2.0}, 2, 2),
        ({"save_strategy": "no"}, 0, 2),
        ({"save_strategy": "steps", "save_steps": 30, "save_total_limit": None, "keep_model_at_epochs": None}, 3, 1),
    ],
)
def test_the_peak_of_the_disk(changes, checkpoints, models):
    disk = planned(RECIPE | changes).disk  # 8 steps an epoch
    assert (disk.checkpoints, disk.models) == (checkpoints, models)
    assert disk.peak == checkpoints * disk.checkpoint + models * disk.model


def test_a_checkpoint_of_the_7b_recipe():
    disk = planned().disk
    assert disk.model == 2 * 8_291_375_616
    assert disk.checkpoint == pytest.approx(14 * 8_291_375_616, rel=0.08)
    assert planned(RECIPE | {"save_only_model": True}).disk.checkpoint == disk.model


# the rows


def record(source=0, number=0, **fields):
    return RowRecord(0, 0, 0, source=source, number=number, **fields)


def test_rows_in_are_rows_kept_and_dropped():
    records = [
        record(0, 0, tokens=50, image_tokens=7),
        record(0, 1, reason="no end of thought"),
        record(0, 2, tokens=20),
        record(0, 2, tokens=30),  # a second example of the same row
        record(1, 0, tokens=0, detail=NOT_OURS),
    ]
    rows = gather_rows(records, ["a", "b"], "drop", 40)
    assert rows.lengths.tolist() == [50, 20, 30] and rows.images.tolist() == [7, 0, 0]
    assert rows.datasets == (Dataset("a", 3, 4, 3, 0, {"no end of thought": 1}), Dataset("b", 1, 1, 0, 1, {}))
    assert gather_rows(records, ["a", "b"], "truncate", 40).lengths.tolist() == [40, 20, 30]
    assert planned(rows=rows).trained_rows == 4


# bad input


@pytest.mark.parametrize(
    ("recipe", "gpus", "message"),
    [
        ({}, 0, "--gpus: 0 is not a number of GPUs"),
        ({"global_batch_size": 100}, 8, "Nearest possible: 96 or 104"),
        ({"per_device_train_batch_size": 0}, 8, "per_device_train_batch_size: 0 is not a whole number"),
        ({"cutof_len": 3}, 8, "cutof_len: no such key.*Did you mean cutoff_len"),
        ({"deepspeed": "nowhere.json"}, 8, "nowhere.json: no such file"),
        ({"finetuning_type": "lora", "lora_target": "qkv"}, 8, "lora_target: 'qkv' names none of q_proj"),
        (
            {"save_total_limit": "abc", "val_size": "1"},
            8,
            "limit: 'abc' is not a number.\nval_size: '1' is not a number",
        ),
        ({"stage": "foo"}, 8, "stage: 'foo' is not one of pt, sft, .*, grpo"),
        ({"save_strategy": "foo"}, 8, "save_strategy: 'foo' is not one of no, steps, epoch, best"),
        ({"keep_model_at_epochs": "abc"}, 8, "keep_model_at_epochs: 'abc' is not a list of epochs"),
        ({"num_train_epochs": -1}, 8, "num_train_epochs: -1 trains nothing"),
    ],
)
def test_what_is_certain_to_fail_says_why(recipe, gpus, message):
    with pytest.raises(ValueError, match=message):
        planned(RECIPE | recipe, gpus=gpus)


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError) as error:
        planned(RECIPE | {"cutof_len": 3, "global_batch_size": 100, "deepspeed": "nowhere.json"})

    assert len(str(error.value).splitlines()) == 3


def test_no_row_kept_names_the_reasons():
    rows = Rows((Dataset("thoughts", 9, 9, 0, 0, {"no end of thought": 9}),), np.zeros(0, int), np.zeros(0, int))
    with pytest.raises(ValueError, match=r"thoughts: no row is kept \(9 no end of thought\)"):
        planned(rows=rows)


def test_more_ranks_than_rows_is_a_warning():
    found = planned(rows=made_rows(3))
    assert found.steps_epoch == 1
    assert any("3 rows on 8 GPUs" in warning for warning in found.warnings)


def test_a_recipe_without_bf16_is_told_so():
    keys = {key: value for key, value in RECIPE.items() if key not in ("bf16", "deepspeed")}
    keys |= {"do_train": True, "finetuning_type": "full"}
    assert any("bf16: not set" in line and "Set bf16: true, and to train without a GPU use_cpu: true" in line
               for line in planned(keys).warnings)  # fmt: skip
    assert not any("bf16" in line for line in planned(keys | {"bf16": True}).warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n  // ZeRO\n  "zero_optimization": {"stage": 3}\n}', r"ds.json:2:3: not JSON.*Remove the comment"),
        ('{"zero_optimization": {"stage": 3},}', r"ds.json:1:\d+: not JSON"),
        ('{"zero_optimization": {"stage": 4}}', "stage: 4 is not one of 0, 1, 2, 3"),
        ('{"zero_optimization": []}', "zero_optimization is not an object"),
        (
            '{"zero_optimization": {"stage": 3, "reduce_bucket_size": "big"}}',
            "'big' is not a number of elements or auto",
        ),
        ("[]", "not an object"),
    ],
)
def test_deepspeed_files_that_cannot_be_read(text, message, tmp_path):
    (tmp_path / "ds.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_zero(tmp_path / "ds.json")


def test_deepspeed_files_that_lack_keys_warn(tmp_path):
    (tmp_path / "ds.json").write_text("{}")
    zero = read_zero(tmp_path / "ds.json")
    assert zero.stage == 0
    told = " ".join(zero.warnings)
    assert all(word in told for word in ("zero_optimization.stage", "bf16", "train_micro_batch_size_per_gpu"))
    offloaded = Zero(stage=3, offload_optimizer=True, offload_weights=True)
    assert read_zero(ROOT / "recipes" / "deepspeed" / "ds_z3_offload.json") == offloaded


@pytest.mark.parametrize("name", [name for name in recipe_files() if name.endswith(".yaml") and "/" not in name])
def test_our_recipes_have_known_keys_and_tell_their_hardware(name):
    text = read_recipe(name)
    assert unknown_keys(read_yaml(text)) == wrong_stock_values(read_yaml(text)) == {}
    assert (read_hardware(text) is None) == ("demo" in name)


def test_known_keys_are_those_of_the_parser():
    from llamafactory.hparams import DataArguments, FinetuningArguments, GeneratingArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    stock = (DataArguments, FinetuningArguments, GeneratingArguments, ModelArguments, Seq2SeqTrainingArguments)
    for arguments in stock:
        assert {name for name, item in arguments.__dataclass_fields__.items() if item.init} <= known_keys()


def test_sizes_of_a_gpu():
    assert [read_bytes(text) for text in ("80GB", "24 GiB", "40")] == [80e9, 24 * 2**30, 40e9]
    with pytest.raises(ValueError, match="'big' is not a size"):
        read_bytes("big")


# the command


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["plan", *map(str, arguments)])

    return stopped.value.code


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The demo's recipe with the base model's name only: no model folder is needed but for its tokenizer."""
    shared = ROOT.parent / "shared" / "data" / "qwen2.5_vl_tokenizer"
    if not shared.is_dir():
        pytest.skip("../shared/data is not there")

    monkeypatch.chdir(ROOT)

    def write(**changes) -> list[str]:
        recipe = yaml.safe_load(read_recipe("virgo_demo_dt.yaml")) | {"model_name_or_path": str(shared)} | changes
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(recipe))
        return [str(tmp_path / "run.yaml")]

    return write


@pytest.mark.slow
def test_the_command_tells_json(demo, capsys):
    assert run(*demo(), "--gpus", 2, "--json", "--workers", 1) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["datasets"][0]["rows"] == 320
    assert told["datasets"][0]["kept"] + sum(told["datasets"][0]["dropped"].values()) == 320
    assert told["global_batch"] == 16 and told["parameters"] == 8_292_166_656
    assert told["fits"] is False and any(change["fits"] for change in told["changes"])


@pytest.mark.slow
def test_keys_behind_the_recipe_count_as_in_training(demo, capsys):
    changed = [
        *demo(cutoff_len=300),
        "global_batch_size=8",
        "cutoff_len=null",
        "num_train_epochs=null",
        "max_samples=100",
    ]
    assert run(*changed, "--gpus", 2, "--json", "--workers", 1) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["global_batch"] == 8
    dropped = {"not drawn": 220, "no end of thought": 1}
    assert told["datasets"][0]["dropped"] == dropped, "none is longer than stock's cutoff_len"


@pytest.mark.slow
def test_the_command_shows_the_most_important_first(demo, capsys):
    assert run(*demo(), "--gpus", 2, "--workers", 1) == 0
    told = capsys.readouterr().out
    words = ("does not fit", "what makes it fit", "dropped", "slot use", "memory of a GPU")
    assert sorted(words, key=told.index) == list(words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"global_batch_size": 15}, ["--gpus", "2"], "Nearest possible: 8 or 16"),
        ({}, ["--gpus", "0"], "--gpus: 0 is not a number of GPUs"),
        ({"cutoff_len": 16}, [], "virgo_demo_dt: no row is kept"),
        ({"train_mm_proj_only": True}, [], "train_mm_proj_only: no such key"),
        ({"model_name_or_path": "no/model-here"}, [], "--tokenizer FOLDER_OR_HUB_ID"),
        ({"dataset": "nowhere"}, [], "nowhere: no such dataset"),
        ({}, ["dataset=nowhere"], "nowhere: no such dataset"),
        ({}, ["model_name_or_path=null"], "model_name_or_path: missing. Add it, or name a tokenizer"),
        (
            {},
            ["template=virgo_qwen3_vl", "--model-config", "Qwen/Qwen2-VL-7B-Instruct"],
            "is not the chat format of a qwen2_vl model. Say template: virgo or omr.",
        ),
        ({}, ["datset=nowhere"], "Did you mean dataset?"),
        ({}, ["nowhere"], "nowhere: not KEY=VALUE"),
        ({}, ["--mfu", "40"], "--mfu: 40 is not a share"),
        ({}, ["--model-config", "nowhere.json"], "--model-config: nowhere.json: no such file"),
    ],
)
def test_the_command_fails_with_one_clear_message(changes, arguments, message, demo, capsys):
    assert run(*demo(**changes), "--workers", 1, *arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_heeds_the_entry_and_the_template(demo, tmp_path, capsys):
    from virgo_factory.io.files import DATASET_INFO

    entry = json.loads(DATASET_INFO.read_text())["virgo_demo_dt"]
    entry |= {"file_name": str(DATASET_INFO.parent / entry["file_name"]), "split": "train[:25%]", "num_samples": 7}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"part": entry}))
    recipe = demo(dataset="part", dataset_dir=str(tmp_path))
    assert run(*recipe, "--gpus", 2, "--json", "--workers", 1) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["datasets"][0]["rows"] == 80
    assert any("part: num_samples: a run draws 7 of its rows" in line for line in told["warnings"])
    assert run(*demo(template="qwen3_vl", question_prefix="none"), "--workers", 1) == 1
    assert "Say template: virgo_qwen3_vl or think_qwen3_vl or qwen3_vl_nothink" in capsys.readouterr().err


def test_a_model_folder_without_tokenizer(demo, tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert run(*demo(model_name_or_path=str(tmp_path)), "--workers", 1) == 1
    told = capsys.readouterr().err
    assert "no tokenizer.json" in told and "--tokenizer" in told


@pytest.mark.slow
def test_a_model_of_unknown_size_still_gets_its_steps(demo, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert run(*demo(), "--model-config", tmp_path, "--workers", 1) == 0
    told = capsys.readouterr().out
    assert "not estimated" in told and "'llama' is not one of" in told and "40 in all" in told


@pytest.mark.slow
def test_the_page_shows_what_is_really_printed(tmp_path, monkeypatch, capsys):
    """docs/cluster.md: all lines but those that name the free space of a disk; the help names the command."""
    from virgo_factory.cli.plan import EXAMPLE
    from virgo_factory.io.recipes import copy_recipes

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    copy_recipes(Path())
    make_twin("saves/virgo_demo/base", seed=0, dtype="float32")
    command, shown = sample("docs/cluster.md", "virgo-factory plan ")
    assert command == " ".join(EXAMPLE.replace("\\\n", "").split())
    capsys.readouterr()
    assert run(*command.split()[2:], "--workers", 1) == 0
    printed = lines_of(capsys.readouterr().out)
    ours, theirs = ([line for line in lines if "are free" not in line] for lines in (printed, shown))
    assert ours == theirs


def test_to_json_has_no_arrays():
    json.dumps(to_json(planned()))
