"""The run of `stage: grpo`: what is looked at before it begins."""

import json
from types import SimpleNamespace

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.reinforce.stage import check_unfinished


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
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    arguments = SimpleNamespace(
        resume_from_checkpoint=str(tmp_path), output_dir="saves/x", max_steps=max_steps, num_train_epochs=float(epochs)
    )
    if not finished:
        return check_unfinished(arguments)

    with pytest.raises(UserError, match=rf"saves/x holds a finished run \({done} of \d steps\)"):
        check_unfinished(arguments)


def test_a_run_that_begins_is_not_asked():
    check_unfinished(SimpleNamespace(resume_from_checkpoint=None))
