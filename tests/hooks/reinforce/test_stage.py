"""The run of `stage: grpo`: what is looked at before it begins."""

import json
import os
from types import SimpleNamespace

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.reinforce.finish import finish, lacks_only_its_end


@pytest.mark.parametrize(
    ("done", "planned", "epochs", "max_steps", "finished"),
    [
        (3, 3, 1, 3, True),
        (3, 3, 1, 2, True),
        (3, 3, 1, 5, False),
        (2, 3, 1, 3, False),
        (6, 6, 2, -1, True),
        (4, 6, 2, -1, False),
        (6, 6, 3, -1, False),  # other epochs than then
    ],
)
def test_a_finished_run_is_not_gone_on_with(done, planned, epochs, max_steps, finished, tmp_path):
    state = {"global_step": done, "max_steps": planned, "num_train_epochs": 2}
    checkpoint = tmp_path / f"checkpoint-{done}"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "train_results.json").write_text("{}")
    arguments = SimpleNamespace(
        resume_from_checkpoint=str(checkpoint),
        output_dir=str(tmp_path),
        max_steps=max_steps,
        num_train_epochs=float(epochs),
    )
    if not finished:
        assert not lacks_only_its_end(arguments)
        return

    with pytest.raises(UserError, match=rf"{tmp_path} holds a finished run \({done} of \d steps\)"):
        lacks_only_its_end(arguments)


def test_a_run_that_begins_is_not_asked():
    assert not lacks_only_its_end(SimpleNamespace(resume_from_checkpoint=None))


@pytest.mark.parametrize("older", [False, True])
def test_a_run_that_was_killed_behind_its_last_step_is_finished(tmp_path, older):
    """Its model is that of the checkpoint, and the next start tells a finished run; also where a shorter one was before."""
    checkpoint = tmp_path / "checkpoint-3"
    (checkpoint / "global_step3").mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json", "optimizer.pt", "rng_state.pth"):
        (checkpoint / name).write_text(name)

    state = {"global_step": 3, "max_steps": 3, "num_train_epochs": 1, "epoch": 1.0, "total_flos": 5.0}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    if older:
        (tmp_path / "train_results.json").write_text("{}")
        os.utime(tmp_path / "train_results.json", (1, 1))

    arguments = SimpleNamespace(
        resume_from_checkpoint=str(checkpoint), output_dir=str(tmp_path), max_steps=3, num_train_epochs=1.0
    )
    assert lacks_only_its_end(arguments)
    finish(SimpleNamespace(**vars(arguments), should_save=False))
    assert not (tmp_path / "model.safetensors").exists()
    finish(SimpleNamespace(**vars(arguments), should_save=True))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("checkpoint-3", "model.safetensors", "tokenizer.json", "trainer_state.json", "train_results.json")
    }
    assert json.loads((tmp_path / "train_results.json").read_text()) == {"epoch": 1.0, "total_flos": 5.0}
    with pytest.raises(UserError, match="finished run"):
        lacks_only_its_end(arguments)
