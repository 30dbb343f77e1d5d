"""The run of `stage: grpo`: what is looked at before it begins."""

from types import SimpleNamespace

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.core.reinforcement import settings_of


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
def test_a_finished_run_is_not_gone_on_with(hook, done, planned, epochs, max_steps, finished, tmp_path, checkpoint):
    folder = checkpoint(tmp_path, done, max_steps=planned, num_train_epochs=2)
    for name in ("train_results.json", "trainer_state.json"):
        (tmp_path / name).write_text("{}")

    arguments = SimpleNamespace(
        resume_from_checkpoint=str(folder),
        output_dir=str(tmp_path),
        max_steps=max_steps,
        num_train_epochs=float(epochs),
    )
    if not finished:
        return hook._check_steps_left(arguments)

    with pytest.raises(UserError, match=rf"{tmp_path} holds a finished run \({done} of \d steps\)"):
        hook._check_steps_left(arguments)

    arguments.resume_from_checkpoint = None
    return hook._check_steps_left(arguments)


def test_what_a_loss_lacks_is_told(hook, told):
    arguments = SimpleNamespace(per_device_train_batch_size=8, world_size=2, gradient_accumulation_steps=2)
    hook._tell(settings_of({"rl_loss": "dapo"}), arguments, 5)
    assert (
        "a rollout is 2 prompts x 16 responses = 32, used in 1 update of 32; 2 rollouts an epoch, 1 prompts" in told[0]
    )
    assert "the clip never acts" in told[1] and "rl_loss: dapo is without its sampling again" in told[2]
    told.clear()
    hook._tell(settings_of({"rl_loss": "gspo", "rl_updates_per_rollout": 4}), arguments, 8)
    assert len(told) == 1
