"""A run goes on only as it was begun; what it was begun with stands in its checkpoints."""

import json
import logging
from types import SimpleNamespace

import pytest
from transformers import TrainerState

from virgo_factory.core.errors import UserError
from virgo_factory.core.reinforcement import settings_of
from virgo_factory.hooks.reinforce.begun import check_begun, values_of
from virgo_factory.hooks.train.checkpoints import BegunWith, begun_with


ARGUMENTS = SimpleNamespace(
    per_device_train_batch_size=4, world_size=2, gradient_accumulation_steps=8, data_seed=None, seed=42
)


def values(**keys):
    return values_of(settings_of({"rl_loss": "gspo", "rl_num_generations": 16} | keys), ARGUMENTS) | {"prompts": 100}


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint's trainer_state.json, as transformers writes it."""
    state = TrainerState(global_step=4)
    BegunWith(values()).on_train_begin(None, state, None)
    state.save_to_json(str(tmp_path / "trainer_state.json"))
    return tmp_path


@pytest.mark.parametrize(
    ("now", "before", "after"),
    [
        ({"rl_loss": "dapo"}, "rl_loss: gspo", "rl_loss: dapo"),
        ({"rl_num_generations": 8}, "rl_num_generations: 16", "rl_num_generations: 8"),
        ({"rl_updates_per_rollout": 4}, "rl_updates_per_rollout: 1", "rl_updates_per_rollout: 4"),
        ({"rl_curriculum": "pass_rate"}, "rl_curriculum: shuffle", "rl_curriculum: pass_rate"),
        ({"global_batch_size": 128}, "global_batch_size: 64", "global_batch_size: 128"),
        ({"prompts": 99}, "prompts: 100", "prompts: 99"),
        ({"seed": 1}, "seed: 42", "seed: 1"),
    ],
)
def test_another_run_is_refused_with_both_values(checkpoint, now, before, after):
    with pytest.raises(UserError) as caught:
        check_begun(str(checkpoint), values() | now)

    assert f"{checkpoint} was made with {before}, and this recipe has {after}: " in str(caught.value)


def test_all_differences_stand_in_one_sentence(checkpoint):
    with pytest.raises(
        UserError, match="rl_loss: gspo, rl_num_generations: 16, and this recipe has rl_loss: grpo, rl_num"
    ):
        check_begun(str(checkpoint), values(rl_loss="grpo", rl_num_generations=8))


def test_what_may_change_is_told_and_the_rest_is_not(checkpoint, caplog):
    with caplog.at_level(logging.WARNING):
        check_begun(str(checkpoint), values())
        check_begun(str(checkpoint), values(rl_log_rollouts=0, rl_server="vllm"))
        assert not caplog.records
        check_begun(str(checkpoint), values(rl_temperature=0.7, rl_clip_low=0.1))

    assert (
        "was made with rl_clip_low: unset, rl_temperature: 1.0; the run goes on with rl_clip_low: 0.1" in caplog.text
    )


@pytest.mark.parametrize("state", [{"global_step": 4}, {"global_step": 4, "stateful_callbacks": {}}, None])
def test_a_checkpoint_that_does_not_say_passes(tmp_path, state):
    if state is not None:
        (tmp_path / "trainer_state.json").write_text(json.dumps(state))

    check_begun(str(tmp_path), values(rl_loss="grpo"))
    check_begun(None, values())


def test_a_checkpoint_that_does_not_say_is_gone_on_with_and_saved(tmp_path):
    state = TrainerState(global_step=4, stateful_callbacks={})
    BegunWith(values()).on_train_begin(None, state, None)
    state.save_to_json(str(tmp_path / "trainer_state.json"))
    assert begun_with(tmp_path)["rl_loss"] == "gspo"
