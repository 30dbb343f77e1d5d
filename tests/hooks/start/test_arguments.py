"""The recipe keys stand in LLaMA-Factory's own argument classes: parsed, checked, listed, and in nobody's way."""

import dataclasses
import pickle
import sys

import pytest

from virgo_factory.core.recipe_keys import RL_DEFAULTS


OURS = {
    "data_args": ("overlong", "malformed", "min_response_tokens", "max_response_tokens", "question_prefix"),
    "model_args": ("marker_tokens",),
    "finetuning_args": (
        "global_batch_size",
        "keep_model_at_epochs",
        *RL_DEFAULTS,
        "batch_order",
        "packing_tokens",
        "sequence_parallel_size",
        "fused_loss",
    ),
}
KEYS = [key for keys in OURS.values() for key in keys]


@pytest.fixture(scope="module")
def hparams():
    import llamafactory.hparams as hparams

    return hparams


def parse(hparams, folder, how="recipe", **keys):
    """Parse a recipe with some keys through LLaMA-Factory's own parser, without its checks of the machine."""
    recipe = {"model_name_or_path": "m", "output_dir": str(folder), "template": "virgo", "dataset": "d", **keys}
    parser = sys.modules["llamafactory.hparams.parser"]
    if how == "recipe":
        return parser._parse_train_args(recipe)

    words = []
    for key, value in recipe.items():
        words += [f"--{key}", *(map(str, value) if isinstance(value, list) else [str(value)])]

    return parser._parse_train_args(words)


VALUES = {
    "overlong": ["drop", "error", "truncate"],
    "malformed": ["drop", "error", "keep"],
    "min_response_tokens": [1],
    "max_response_tokens": [32768],
    "question_prefix": ["none", "virgo"],
    "marker_tokens": [True, False],
    "global_batch_size": [128],
    "keep_model_at_epochs": [[5], [2, 5]],
    "batch_order": ["shuffle", "balanced", "grouped", "packed"],
    "packing_tokens": [16384],
    "sequence_parallel_size": [4],
    "fused_loss": [True, False],
    "rl_loss": ["dr_grpo"],
    "rl_num_generations": [16],
    "rl_updates_per_rollout": [4],
    "rl_clip_low": [0.0003],
    "rl_clip_high": [0.0004],
    "rl_beta": [0.01],
    "rl_temperature": [1.4],
    "rl_max_prompt_tokens": [4096],
    "rl_max_response_tokens": [28696],
    "rl_reward": ["omr"],
    "rl_tags": ["virgo"],
    "rl_format_weight": [0.3],
    "rl_overlong_buffer": [4096],
    "rl_curriculum": ["pass_rate"],
    "rl_log_rollouts": [0],
    "rl_server": ["http://a:8000,http://b:8000"],
    "rl_max_logprob_gap": [0.1],
    "rl_server_wait": [2.5],
}
GOOD = [(key, value) for key, values in VALUES.items() for value in values]


def value_of(parsed, key):
    place = next(place for place, keys in OURS.items() if key in keys)
    model_args, data_args, _, finetuning_args, _ = parsed
    return getattr({"model_args": model_args, "data_args": data_args, "finetuning_args": finetuning_args}[place], key)


@pytest.mark.parametrize("how", ["recipe", "command line"])
@pytest.mark.parametrize(("key", "value"), GOOD)
def test_every_key_parses(hparams, tmp_path, how, key, value):
    parsed = parse(hparams, tmp_path, how, **{key: value})
    assert value_of(parsed, key) == value
    assert all(value_of(parsed, other) is None for other in KEYS if other != key)


def test_the_table_has_every_key(hparams):
    assert set(VALUES) == set(KEYS)
    for kind, keys in zip(("DataArguments", "ModelArguments", "FinetuningArguments"), OURS.values(), strict=True):
        assert getattr(hparams, kind).VIRGO_KEYS == keys


BAD = [
    ("overlong", ["cut", "Drop", False, ["drop"]], "is not one of drop, error, truncate."),
    ("malformed", ["truncate", ""], "is not one of drop, error, keep."),
    ("min_response_tokens", [0, 2.5], "is not a whole number of at least 1."),
    ("max_response_tokens", [-1, "4000", True], "is not a whole number"),
    ("global_batch_size", [0, "auto"], "is not a whole number of at least 1."),
    (
        "keep_model_at_epochs",
        [[], 5, "5", [0], [1, 2.5], [True]],
        "is not a list of epochs, each at least 1, such as [5].",
    ),
    ("batch_order", ["sorted", "Balanced", True, ""], "is not one of shuffle, balanced, grouped, packed."),
    ("rl_loss", ["ppo"], "is not one of gspo, grpo, dapo, dr_grpo."),
    ("rl_temperature", [0], "is not a number above 0."),
    ("rl_format_weight", [1.5], "is not a number of at least 0 and at most 1."),
    ("rl_log_rollouts", [0.5], "is not a whole number of at least 0."),
    ("rl_beta", [float("nan")], "is not a number of at least 0."),
    ("rl_server", ["node2:8000", []], "is neither vllm nor the URL of a server (http://"),
    ("marker_tokens", ["yes", 1], "is not one of true, false."),
    ("question_prefix", ["virgi", True], "is not one of none, virgo, and no such file exists."),
]
WRONG = [(key, value, f"{key}: {value!r} {told}") for key, values, told in BAD for value in values]


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_a_wrong_value_names_the_right_ones(hparams, tmp_path, key, value, message):
    with pytest.raises(ValueError) as caught:
        parse(hparams, tmp_path, **{key: value})

    assert message in str(caught.value)


def test_bounds_that_exclude_each_other(hparams, tmp_path):
    parse(hparams, tmp_path, min_response_tokens=2001, max_response_tokens=4000)
    parse(hparams, tmp_path, min_response_tokens=7, max_response_tokens=7)
    with pytest.raises(ValueError, match="min_response_tokens: 4000 is more than max_response_tokens: 2001"):
        parse(hparams, tmp_path, min_response_tokens=4000, max_response_tokens=2001)


@pytest.mark.parametrize("how", ["recipe", "command line"])
def test_an_unknown_key_still_stops_the_run(hparams, tmp_path, how):
    with pytest.raises(ValueError, match="not used by the HfArgumentParser.*over_long"):
        parse(hparams, tmp_path, how, over_long="drop")


def test_the_stock_checks_still_run(hparams):
    with pytest.raises(ValueError, match="val_size"):
        hparams.DataArguments(val_size=0.1)

    with pytest.raises(ValueError, match="model_name_or_path"):
        hparams.ModelArguments()

    assert hparams.DataArguments(dataset="a, b").dataset == ["a", "b"]
    assert hparams.FinetuningArguments(lora_target="q,v").lora_target == ["q", "v"]


def test_positional_arguments_mean_what_they_meant(hparams):
    first, second = (field.name for field in dataclasses.fields(hparams.DataArguments)[:2])
    data_args = hparams.DataArguments("virgo", "some_data")
    assert (getattr(data_args, first), getattr(data_args, second)) == ("virgo", ["some_data"])


def test_a_copy_keeps_our_keys_and_may_change_the_model(hparams):
    model_args = hparams.ModelArguments(model_name_or_path="a", marker_tokens=True)
    model_args.model_max_length = 77
    copy = hparams.ModelArguments.copyfrom(model_args, model_name_or_path="b")
    assert (copy.model_name_or_path, copy.marker_tokens, copy.model_max_length) == ("b", True, 77)
    assert type(copy) is type(model_args) is hparams.ModelArguments


def test_arguments_cross_processes(hparams, tmp_path):
    parsed = parse(hparams, tmp_path, overlong="error", marker_tokens=True, keep_model_at_epochs=[5])
    model_args, data_args, _, finetuning_args, _ = parsed
    for arguments in (model_args, data_args, finetuning_args):
        again = pickle.loads(pickle.dumps(arguments))
        assert again == arguments
        assert type(again) is type(arguments)

    assert data_args.to_dict()["overlong"] == "error"
    assert model_args.to_dict()["marker_tokens"] is True
    assert finetuning_args.to_dict()["keep_model_at_epochs"] == [5]


def test_there_is_one_class_of_each(hparams):
    import llamafactory.train.tuner  # noqa: F401

    for kind in ("DataArguments", "ModelArguments", "FinetuningArguments"):
        stock = {
            f"{name}.{key}"
            for name, module in sys.modules.items()
            if name.startswith("llamafactory.") and module is not None
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__name__ == kind and not hasattr(value, "VIRGO_KEYS")
        }
        assert stock == set()

    parser = sys.modules["llamafactory.hparams.parser"]
    assert sum(hasattr(kind, "VIRGO_KEYS") for kind in parser._TRAIN_ARGS) == 3
    assert sum(hasattr(kind, "VIRGO_KEYS") for kind in parser._INFER_ARGS) == 3
