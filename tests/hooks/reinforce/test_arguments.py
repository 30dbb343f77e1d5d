"""What a recipe of `stage: grpo` must satisfy, told at once and before a model is loaded; other stages stay as they are."""

import sys

import pytest

from virgo_factory.core.errors import UserError


@pytest.fixture(scope="module")
def parser():
    import virgo_factory

    virgo_factory.register()
    import llamafactory.hparams  # noqa: F401

    return sys.modules["llamafactory.hparams.parser"]


@pytest.fixture
def recipe(write_data, tmp_path):
    row = {"question": "1 + 1?", "answer": "2", "response": "<think>1</think>2"}
    write_data(prompts=([row], {"formatting": "questions"}), thoughts=[row])
    return {
        "model_name_or_path": "m",
        "template": "virgo",
        "stage": "grpo",
        "do_train": True,
        "finetuning_type": "full",
        "freeze_vision_tower": True,
        "dataset": "prompts",
        "dataset_dir": str(tmp_path),
        "output_dir": str(tmp_path / "out"),
        "report_to": "none",
        "per_device_train_batch_size": 8,
        "global_batch_size": 32,
        "rl_num_generations": 16,
        "use_cpu": True,
        "bf16": True,
    }


def problems(parser, recipe, **changes):
    try:
        parsed = parser.get_train_args(recipe | changes)
    except UserError as error:
        return str(error)

    return parsed


def test_a_right_recipe_passes(parser, recipe):
    model_args, data_args, training_args, finetuning_args, _ = problems(
        parser, recipe, rl_max_prompt_tokens=300, rl_max_response_tokens=700
    )
    assert (data_args.cutoff_len, model_args.model_max_length) == (300, 1000)
    assert training_args.gradient_accumulation_steps == 4
    assert finetuning_args.virgo_used and data_args.virgo_used


REFUSED = [
    ({"rl_num_generations": 1}, "rl_num_generations: 1 has no group to compare with"),
    ({"rl_num_generations": 12}, "12 does not divide the 32 responses of a rollout"),
    ({"rl_updates_per_rollout": 4, "save_steps": 6}, "save_steps: 6 is no multiple of rl_updates_per_rollout: 4"),
    ({"packing": True}, "packing: not with stage: grpo"),
    ({"batch_order": "balanced"}, "batch_order: not with stage: grpo"),
    ({"batch_order": "packed"}, "batch_order: not with stage: grpo"),
    ({"disable_shuffling": True}, "set rl_curriculum: file"),
    ({"use_dft_loss": True}, "use_dft_loss: not with stage: grpo"),
    ({"temperature": 0.95, "top_p": 0.7}, "temperature, top_p: not with stage: grpo"),
    ({"max_new_tokens": 1024}, "rl_max_response_tokens are the keys of this stage"),
    ({"cutoff_len": 4096}, "cutoff_len: not with stage: grpo"),
    ({"overlong": "truncate"}, "overlong: truncate: not with stage: grpo"),
    ({"malformed": "keep"}, "malformed: keep: not with stage: grpo"),
    ({"max_response_tokens": 9}, "max_response_tokens: prompts have no response"),
    ({"dataset": "thoughts"}, "dataset thoughts: not prompts with gold answers"),
    ({"eval_dataset": "prompts"}, "eval_dataset: not with stage: grpo"),
    ({"rl_max_logprob_gap": 0.1}, "rl_max_logprob_gap: does nothing without rl_server"),
    ({"rl_server_wait": 5}, "rl_server_wait: does nothing without rl_server"),
    ({"rl_overlong_buffer": 8192}, "rl_overlong_buffer: 8192 is not less than rl_max_response_tokens: 8192"),
    ({"stage": "sft", "dataset": "thoughts"}, "rl_num_generations: only with stage: grpo"),
    ({"stage": "sft", "rl_num_generations": None}, "formatting questions has no responses to imitate"),
    ({"do_train": False}, "stage: grpo only trains"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_what_cannot_be_is_told_with_its_remedy(parser, recipe, changes, told):
    found = problems(parser, recipe, **changes)
    assert isinstance(found, str) and told in found, found


def test_transformers_5_is_refused_before_anything_is_loaded(hook, parser, recipe, monkeypatch):
    monkeypatch.setattr(hook, "TRANSFORMERS_5", True)
    found = problems(parser, recipe)
    assert found.count("\n  - ") == 1 and "stage: grpo: not with transformers 5" in found
    assert "Install the set of constraints.txt" in found


def test_all_problems_come_at_once(parser, recipe):
    found = problems(parser, recipe, rl_num_generations=5, packing=True, top_k=50)
    assert found.count("\n  - ") == 3


def test_all_wrong_values_come_at_once(parser, recipe):
    wrong = {
        "rl_loss": "ppo",
        "rl_num_generations": 0,
        "rl_temperature": 0,
        "rl_format_weight": 2,
        "rl_server": "host:1",
    }
    found = problems(parser, recipe, **wrong, rl_beta=-1, overlong="cut", packing=True, rl_overlong_buffer=9000)
    told = [line.removeprefix("  - ").split(":")[0] for line in found.splitlines()[1:]]
    assert sorted(told) == sorted([*wrong, "rl_beta", "overlong", "packing", "rl_overlong_buffer"])
    found = problems(parser, recipe, rl_loss="ppo", rl_los="gspo")  # what stock stops at is told with ours
    assert "rl_los" in found
    assert "'ppo' is not one of" in found


def test_every_key_of_another_stage_is_one_and_is_refused(hook, parser, recipe):
    names = ("model_args", "data_args", "training_args", "finetuning_args")
    for name, refused in hook.NOT_WITH.items():
        for key, why in refused.items():
            parsed = dict(zip(names, parser.get_train_args(recipe)[:4], strict=True))
            parsed["finetuning_args"].stage = "grpo"
            assert not hook.reinforce_problems({}, {"prompts": "questions"}, set(), **parsed)
            assert hasattr(parsed[name], key), key
            setattr(parsed[name], key, True)
            (found,) = hook.reinforce_problems({}, {"prompts": "questions"}, set(), **parsed)
            assert found == f"{key}: not with stage: grpo, since {why}. Remove it."


def test_the_tuner_is_led_to_the_stage_and_to_no_other(parser, recipe, monkeypatch):
    from llamafactory.train import tuner

    from virgo_factory.hooks.reinforce import stage

    stock = tuner.run_sft
    ran = []
    monkeypatch.setattr(stage, "run_grpo", lambda *args: ran.append(args[3].stage))
    monkeypatch.setattr(stage, "replace", lambda module, name, new: monkeypatch.setattr(module, name, new))
    parsed = parser.get_train_args(recipe)
    assert parsed[3].stage == "sft"  # for the branch of the tuner
    tuner.run_sft(*parsed, callbacks=[])
    assert ran == ["grpo"]
    sft = parser.get_train_args({**recipe, "stage": "sft", "dataset": "thoughts", "rl_num_generations": None})
    calls = []
    monkeypatch.undo()
    assert tuner.run_sft is stock
    monkeypatch.setattr(tuner, "run_sft", lambda *args: calls.append(args[3].stage))
    stage.enter(parsed[3])
    tuner.run_sft(*sft)
    assert calls == ["sft"]
    monkeypatch.undo()
    tuner.run_sft = stock


def test_a_loss_is_these_switches_of_trl(hook, parser, recipe):
    expected = {
        "gspo": ("sequence", "grpo", 3e-4, 4e-4, "group"),
        "grpo": ("token", "dapo", 0.2, 0.2, "group"),
        "dapo": ("token", "dapo", 0.2, 0.28, "group"),
        "dr_grpo": ("token", "dr_grpo", 0.2, 0.2, "none"),
    }
    names = ("importance_sampling_level", "loss_type", "epsilon", "epsilon_high", "scale_rewards")
    for loss, values in expected.items():
        _, _, training_args, finetuning_args, _ = parser.get_train_args(recipe | {"rl_loss": loss})
        made = hook.grpo_arguments(training_args, hook.settings_of(finetuning_args))
        assert tuple(getattr(made, name) for name in names) == values

    own = {"rl_loss": "dapo", "rl_clip_high": 0.2, "rl_updates_per_rollout": 2, "learning_rate": 3e-6}
    _, _, training_args, finetuning_args, _ = parser.get_train_args(recipe | own)
    made = hook.grpo_arguments(training_args, hook.settings_of(finetuning_args))
    assert (made.epsilon_high, made.learning_rate, made.max_prompt_length, made.top_k) == (0.2, 3e-6, None, None)
    assert (made.gradient_accumulation_steps, made.steps_per_generation, made.generation_batch_size) == (4, 8, 64)
