"""`keep_model_at_epochs`: a folder for every epoch of it, made at its end or from its checkpoint, or a word why not."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest


class Trainer:
    """Writes its number of steps as the weights."""

    def __init__(self):
        self.accelerator = SimpleNamespace(wait_for_everyone=lambda: None)
        self.step = 0

    def save_model(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "model.safetensors").write_text(str(self.step))


PROCESSOR = SimpleNamespace(save_pretrained=lambda folder: Path(folder, "preprocessor_config.json").write_text("{}"))


def train(hook, folder, epochs, steps, begin=0, batches=6, accumulation=2):
    """Go through the events of a run of 6 batches, 3 steps, an epoch."""
    trainer = Trainer()
    callback = hook.KeepModelAtEpochs(trainer, PROCESSOR, epochs)
    args = SimpleNamespace(output_dir=str(folder), should_save=True, gradient_accumulation_steps=accumulation)
    state = SimpleNamespace(global_step=begin, epoch=begin / 3)
    callback.on_train_begin(args, state, None, train_dataloader=range(batches))
    for step in range(begin + 1, steps + 1):
        trainer.step, state.global_step, state.epoch = step, step, step / 3
        if step % 3 == 0:
            callback.on_epoch_end(args, state, None)

    callback.on_train_end(args, state, None)
    return {path.name: (path / "model.safetensors").read_text() for path in sorted(Path(folder).glob("epoch-*"))}


def checkpoint(folder, step, whole=True):
    """Write a checkpoint of the same weights, with what only resuming needs."""
    path = folder / f"checkpoint-{step}"
    (path / "global_step3").mkdir(parents=True)
    (path / "model.safetensors").write_text(str(step))
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "rng_state_1.pth", "latest", "tokenizer.json"):
        (path / name).write_text("")

    if whole:
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))


def test_the_epochs_that_are_asked_for_are_kept(hook, told, tmp_path):
    (tmp_path / "epoch-1.partial").mkdir()
    (tmp_path / "epoch-1.partial" / "model-00001-of-00002.safetensors").write_text("of a killed run")
    assert train(hook, tmp_path, [1, 3], 9) == {"epoch-1": "3", "epoch-3": "9"}
    assert sorted(path.name for path in (tmp_path / "epoch-1").iterdir()) == [
        "model.safetensors",
        "preprocessor_config.json",
    ]
    assert not any("not kept" in line for line in told)


def test_an_epoch_that_a_killed_run_did_not_keep_is_made_from_its_checkpoint(hook, told, tmp_path):
    checkpoint(tmp_path, 3)
    assert train(hook, tmp_path, [1, 2], 6, begin=3) == {"epoch-1": "3", "epoch-2": "6"}
    assert sorted(path.name for path in (tmp_path / "epoch-1").iterdir()) == [
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
    ]
    assert not any("not kept" in line for line in told)


def test_an_epoch_that_is_there_is_left_as_it_is(hook, told, tmp_path):
    train(hook, tmp_path, [1], 3)
    (tmp_path / "epoch-1" / "model.safetensors").write_text("as it was")
    checkpoint(tmp_path, 3)
    assert train(hook, tmp_path, [1], 6, begin=4) == {"epoch-1": "as it was"}
    assert not any("not kept" in line for line in told)


@pytest.mark.parametrize("left", ["nothing", "another step", "half a checkpoint"])
def test_an_epoch_whose_checkpoint_is_gone_is_told_at_the_end(hook, told, tmp_path, left):
    if left != "nothing":
        checkpoint(tmp_path, 4 if left == "another step" else 3, whole=left == "another step")

    assert train(hook, tmp_path, [1, 2], 6, begin=4) == {"epoch-2": "6"}
    assert told[-1] == (
        "virgo-factory: the model of epoch 1 was not kept: the run was resumed after its end, and the checkpoint of it "
        "is gone."
    )


def test_a_run_that_ends_early_says_what_it_did_not_keep(hook, told, tmp_path):
    (tmp_path / "epoch-2").mkdir()  # of an earlier run
    (tmp_path / "epoch-2" / "model.safetensors").write_text("earlier")
    train(hook, tmp_path, [1, 2], 4)
    assert told[-1] == "virgo-factory: the model of epoch 2 was not kept: the run ended in epoch 1.333."


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "max_steps", "warning"),
    [
        ([5], 10, 3, "keep_model_at_epochs: [5], but max_steps: 3 ends the run in epoch 0.3, an epoch of these rows having 10 steps: epoch 5 will not be kept. Set max_steps to 50"),
        ([1, 2], 10, 19, "ends the run in epoch 1.9"),
        ([1, 2], 10, 20, None),
        ([5], 10, -1, None),
        (None, 10, 3, None),
    ],
)  # fmt: skip
def test_max_steps_that_end_before_a_kept_epoch(told, tmp_path, epochs, per_epoch, max_steps, warning):
    from virgo_factory.hooks.train.steps_left import check_steps_left

    training_args = SimpleNamespace(
        do_train=True,
        output_dir=str(tmp_path),
        resume_from_checkpoint=None,
        per_device_train_batch_size=1,
        world_size=1,
        gradient_accumulation_steps=4,
        dataloader_drop_last=False,
        num_train_epochs=3.0,
        max_steps=max_steps,
        virgo_finetuning_args=SimpleNamespace(keep_model_at_epochs=epochs),
    )
    rows = range(per_epoch * 4 - 1)
    check_steps_left(rows, [], training_args)
    assert [warning in line for line in told] == ([True] if warning else [])
