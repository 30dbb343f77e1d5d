"""The run of `stage: grpo`: what is looked at before it begins."""

from types import SimpleNamespace

import pytest

from virgo_factory.core.errors import UserError


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
def test_a_finished_run_is_not_gone_on_with(done, planned, epochs, max_steps, finished, tmp_path, checkpoint):
    from virgo_factory.hooks.reinforce.stage import _check_steps_left

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
        return _check_steps_left(arguments)

    with pytest.raises(UserError, match=rf"{tmp_path} holds a finished run \({done} of \d steps\)"):
        _check_steps_left(arguments)

    arguments.resume_from_checkpoint = None
    return _check_steps_left(arguments)
