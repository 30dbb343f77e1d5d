"""Which checkpoint a run goes on from."""

import json
import shutil
from types import SimpleNamespace

import pytest

from virgo_factory.preflight.versions import reads_5


BY_LENGTH = {"group_by_length": True, "train_sampling_strategy": "group_by_length"}  # of transformers 4.57, of 5
STOCK = SimpleNamespace(disable_shuffling=False, stage="sft", finetuning_type="full")


@pytest.mark.parametrize(
    ("complete", "broken", "expected"),
    [([10, 20], [], 20), ([10, 20], [30], 20), ([10], [30, 20], 10), ([], [30], None), ([], [], None)],
)
@pytest.mark.parametrize("left", [None, "", '{"global_step": 1'], ids=["missing", "empty", "half"])
def test_a_found_checkpoint_that_was_cut_short_is_passed_over(
    hook, told, tmp_path, complete, broken, expected, left, checkpoint, arguments, found_by_llamafactory
):
    for step in [*complete, *broken]:
        state = checkpoint(tmp_path, step) / "trainer_state.json"
        if step in broken:
            state.unlink() if left is None else state.write_text(left)

    (tmp_path / "checkpoint-best").mkdir()
    chosen = hook.choose_checkpoint(found_by_llamafactory(tmp_path), arguments(tmp_path), STOCK)
    assert chosen == (str(tmp_path / f"checkpoint-{expected}") if expected else None)
    assert any("cut short while it was saved" in line for line in told) == bool(broken)


def weights_only(folder):
    (folder / "checkpoint-8" / "trainer_state.json").unlink()


def an_adapters_weights_only(folder):
    for name in ("trainer_state.json", "model.safetensors"):
        (folder / "checkpoint-8" / name).unlink()

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / "checkpoint-8" / name).write_text("{}")


def nothing_in_it(folder):
    for path in (folder / "checkpoint-8").iterdir():
        path.unlink()


NAMED = [
    # (what is done to checkpoint-8 of 4 and 8, the name, part of the error)
    (lambda folder: shutil.rmtree(folder / "checkpoint-8"), "checkpoint-8", "is missing: there is no such folder. {} has checkpoint-4."),
    (lambda folder: None, "gone/checkpoint-8", "is missing: there is no such folder."),
    (lambda folder: None, "epoch-1", "is missing"),
    (weights_only, "checkpoint-8", "has weights only, no trainer_state.json, so it is not known where to go on. {} has checkpoint-4. To begin a new run with its weights, set model_name_or_path to it"),
    (an_adapters_weights_only, "checkpoint-8", "set adapter_name_or_path to it"),
    (nothing_in_it, "checkpoint-8", "is no checkpoint: it has neither weights nor a trainer_state.json."),
    (lambda folder: (folder / "checkpoint-8" / "trainer_state.json").write_text(""), "checkpoint-8", "was cut short while it was saved: its trainer_state.json is not whole. {} has checkpoint-4."),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "name", "part"), NAMED, ids=[case[2][:40] for case in NAMED])
def test_a_named_checkpoint_is_never_replaced_by_another(
    hook, told, tmp_path, harm, name, part, checkpoint, arguments
):
    checkpoint(tmp_path, 4), checkpoint(tmp_path, 8)
    harm(tmp_path)
    with pytest.raises(ValueError) as error:
        hook.choose_checkpoint(str(tmp_path / name), arguments(tmp_path), STOCK)

    assert str(error.value).startswith(f"resume_from_checkpoint: {tmp_path / name} ")
    assert part.format(tmp_path) in str(error.value)


@pytest.mark.parametrize("asked", [True, "true", False, "False", None])
def test_true_and_false(hook, told, tmp_path, asked, checkpoint, arguments):
    chosen = str(asked).lower() == "true"
    if chosen:
        with pytest.raises(ValueError, match="resume_from_checkpoint: true, but there is no complete checkpoint in"):
            hook.choose_checkpoint(asked, arguments(tmp_path), STOCK)

    checkpoint(tmp_path, 4), checkpoint(tmp_path, 12)
    (checkpoint(tmp_path, 100) / "trainer_state.json").unlink()
    expected = str(tmp_path / "checkpoint-12") if chosen else None
    assert hook.choose_checkpoint(asked, arguments(tmp_path), STOCK) == expected


def test_a_checkpoint_of_any_name_and_without_optimiser_state(hook, told, tmp_path, checkpoint, arguments):
    folder = checkpoint(tmp_path, 4).rename(tmp_path / "moved")
    assert hook.choose_checkpoint(str(folder), arguments(tmp_path), STOCK) == str(folder)
    assert told == []
    (folder / "optimizer.pt").unlink()
    assert hook.choose_checkpoint(str(folder), arguments(tmp_path), STOCK) == str(folder)
    assert "has no optimiser state" in told[0]


@pytest.mark.skipif(reads_5(), reason="transformers 5 goes on with the recipe's")
def test_another_batch_than_the_checkpoints_is_refused(
    hook, told, tmp_path, checkpoint, arguments, found_by_llamafactory
):
    folder = checkpoint(tmp_path, 4, train_batch_size=2)
    for asked in (str(folder), found_by_llamafactory(tmp_path), True):
        with pytest.raises(ValueError, match="was made with 2 rows a device and micro-step, and this recipe has 1"):
            hook.choose_checkpoint(asked, arguments(tmp_path), STOCK)

    assert hook.choose_checkpoint(str(folder), arguments(tmp_path, auto_find_batch_size=True), STOCK) == str(folder)


RUN = {"world_size": 8, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
OTHERS = [
    # (this recipe's training arguments and keys beside RUN and batch_order: packed, epoch, part of the error; None: it goes on)
    ({}, {}, 1.5, None),
    ({}, {"batch_order": None}, 1.5, None),
    ({}, {"batch_order": "balanced"}, 1.5, None),
    ({}, {"packing_tokens": 4096}, 1.5, None),
    ({"world_size": 16}, {"sequence_parallel_size": 2}, 1.5, None),
    ({"world_size": 4, "gradient_accumulation_steps": 8}, {}, 1.5, None),
    ({"world_size": 16}, {}, 1.5, "made with a global batch of 64 rows, and this recipe has 128"),
    ({}, {"sequence_parallel_size": 2}, 1.0, "made with a global batch of 64 rows, and this recipe has 32"),
    ({}, {"batch_order": "grouped"}, 1.5, "(1.5) that was begun with batch_order: packed, and this recipe has batch_order: grouped"),
    ({}, {"batch_order": "grouped"}, 2.0, None),
    (BY_LENGTH, {"batch_order": None}, 1.5, "and this recipe has group_by_length: true"),
    ({}, {"batch_order": None, "disable_shuffling": True}, 1.5, "and this recipe has disable_shuffling: true"),
    ({"seed": 7}, {}, 0.5, "begun with seed: 42, and this recipe has seed: 7"),
    ({"data_seed": 7}, {}, 0.5, "begun with seed: 42, and this recipe has seed: 7"),
    ({"seed": 7, "data_seed": 42}, {}, 0.5, None),
    ({"world_size": 16, "auto_find_batch_size": True}, {}, 0.5, None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "keys", "epoch", "part"), OTHERS)
def test_a_run_does_not_go_on_with_other_batches(
    hook, told, tmp_path, changes, keys, epoch, part, checkpoint, arguments
):
    first = SimpleNamespace(**vars(STOCK) | {"batch_order": "packed"})
    state = SimpleNamespace(stateful_callbacks={})
    added = []
    hook.note_batches(
        SimpleNamespace(args=arguments(tmp_path, **RUN), finetuning_args=first, add_callback=added.append)
    )
    added[0].on_train_begin(None, state, None)
    folder = checkpoint(tmp_path, 4, epoch=epoch, stateful_callbacks=state.stateful_callbacks)
    own = SimpleNamespace(**vars(first) | keys)
    run = arguments(tmp_path, **RUN | changes)
    if part is None:
        assert hook.choose_checkpoint(str(folder), run, own) == str(folder)
        return

    with pytest.raises(ValueError) as error:
        hook.choose_checkpoint(str(folder), run, own)

    assert part in str(error.value) and "trained on twice" in str(error.value)
    older = checkpoint(tmp_path, 5, epoch=epoch)  # says nothing
    assert hook.choose_checkpoint(str(older), run, own) == str(older)


def test_llamafactorys_parser_takes_every_kind_of_the_key(hook, told, tmp_path, checkpoint):
    from llamafactory.hparams import get_train_args

    (tmp_path / "stock.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"stock": {"file_name": "stock.json"}}))
    out = tmp_path / "out"
    recipe = {"model_name_or_path": "m", "stage": "sft", "do_train": True, "dataset": "stock", "output_dir": str(out)}
    recipe |= {"dataset_dir": str(tmp_path), "template": "virgo", "use_cpu": True, "report_to": "none"}
    recipe |= {"finetuning_type": "full", "per_device_train_batch_size": 1}

    def chosen(**keys):
        return get_train_args(recipe | keys)[2].resume_from_checkpoint

    assert chosen() is chosen(resume_from_checkpoint=False) is None
    with pytest.raises(ValueError, match="  - resume_from_checkpoint: true, but there is no complete checkpoint in"):
        chosen(resume_from_checkpoint=True)

    checkpoint(out, 4)
    (checkpoint(out, 8) / "trainer_state.json").unlink()
    assert chosen() == chosen(resume_from_checkpoint=True) == str(out / "checkpoint-4")
    with pytest.raises(
        ValueError, match="checkpoint-4 holds a whole model, and finetuning_type: lora trains an adapter"
    ):
        chosen(finetuning_type="lora")

    (out / "checkpoint-4" / "model.safetensors").rename(out / "checkpoint-4" / "adapter_model.safetensors")
    assert chosen(finetuning_type="lora") == str(out / "checkpoint-4")
    with pytest.raises(ValueError, match="checkpoint-4 holds an adapter, and finetuning_type: full trains the model"):
        chosen()

    assert chosen(resume_from_checkpoint=False) is chosen(overwrite_output_dir=True) is None
    for name, why in (("checkpoint-8", "has weights only"), ("checkpoint-9", "is missing")):
        with pytest.raises(ValueError, match=f"{name} {why}"):
            chosen(resume_from_checkpoint=str(out / name))

    assert chosen(do_train=False, do_eval=True, eval_dataset="stock", resume_from_checkpoint="gone") == "gone"
