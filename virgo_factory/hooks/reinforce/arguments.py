"""What `stage: grpo` makes of a recipe: TRL's switches by the name of a loss, and TRL's arguments from the run's own."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from virgo_factory.core import reinforcement
from virgo_factory.core.recipe_keys import RL_DEFAULTS
from virgo_factory.core.reinforcement import clips_of
from virgo_factory.data.read.templates import TEMPLATE_TAGS
from virgo_factory.hooks.start.arguments import our_keys
from virgo_factory.hooks.versions import TRANSFORMERS_5, groups_by_length


RELIES_ON = {
    "trl/trainer/grpo_config.py:639": "    def __post_init__(self):",
    "trl/trainer/grpo_trainer.py:1730": '        if self.loss_type == "grpo":\n'
    "            loss = ((per_token_loss * completion_mask).sum(-1) / completion_mask.sum(-1).clamp(min=1.0)).mean()",
}

PRESETS: dict[str, dict[str, Any]] = {
    "gspo": {"importance_sampling_level": "sequence", "loss_type": "grpo", "scale_rewards": "group"},
    "grpo": {"importance_sampling_level": "token", "loss_type": "dapo", "scale_rewards": "group"},
    "dapo": {"importance_sampling_level": "token", "loss_type": "dapo", "scale_rewards": "group"},
    "dr_grpo": {"importance_sampling_level": "token", "loss_type": "dr_grpo", "scale_rewards": "none"},
}
"""`rl_loss` -> TRL's switches. TRL's own `loss_type: grpo` is the mean of each response's mean, which is none of the paper's
token losses; its `dapo` is the mean over all tokens, as verl's `token-mean`."""

SAMPLING = (
    *("do_sample", "temperature", "top_p", "top_k", "num_beams", "max_length", "max_new_tokens"),
    *("repetition_penalty", "length_penalty"),
)
"""Stock keys of sampling: with other values than 1.0, 1.0 and 0 the responses are not the policy's own."""

_MEASURE = "virgo-factory evaluate measures, before and after"
NOT_WITH = {
    "model_args": {
        "use_unsloth": "it puts its own trainer in",
        "use_kt": "KTransformers generates in no training",
        "mixture_of_depths": "it generates without a cache",
    },
    "data_args": {
        "streaming": "the rows could not be counted",
        **dict.fromkeys(("packing", "neat_packing"), "each prompt gets its own responses"),
        **dict.fromkeys(("eval_dataset", "val_size"), _MEASURE),
        **dict.fromkeys(("train_on_prompt", "mask_history"), "only responses are learned"),
    },
    "training_args": {
        **dict.fromkeys(("do_eval", "do_predict", "predict_with_generate"), _MEASURE),
        "load_best_model_at_end": "there is no evaluation to tell the best one",
        "neftune_noise_alpha": "noise would make two policies of one",
        "use_ray": "ranks are started by torchrun (FORCE_TORCHRUN=1)",
        "fp8": "log-probabilities would not be those of the sampled model",
    },
    "finetuning_args": {
        "batch_order": "prompts come in the order of rl_curriculum",
        "disable_shuffling": "set rl_curriculum: file",
        "pissa_init": "the servers and the reference need the weights as they were loaded",
        **dict.fromkeys(("use_mca", "use_hyper_parallel"), "its own trainer knows nothing of this stage"),
        "use_badam": "it trains a block at a time through a callback of another trainer",
        "compute_accuracy": "accuracy is logged as it is",
        **dict.fromkeys(("use_dft_loss", "use_eaft_loss", "use_asft_loss"), "it is a loss of sft"),
    },
}
"""Argument object -> its keys that cannot stand beside `stage: grpo`, with the reason."""


def refused_keys(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return which keys of a recipe cannot stand beside its `stage: grpo`, with the reason; stock would stop at the first."""
    if recipe.get("stage") != "grpo":
        return {}

    return {key: line for name in NOT_WITH for key, line in _refused(name, recipe).items()}


def _refused(name: str, keys: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: f"{key}: not with stage: grpo, since {why}. Remove it."
        for key, why in NOT_WITH[name].items()
        if keys.get(key)
    }


def settings_of(finetuning_args: Any, template: str = "virgo") -> dict[str, Any]:
    """Return every key of the stage with its value, those that the recipe does not say with their defaults."""
    tags = {"rl_tags": TEMPLATE_TAGS.get(template, "omr")}
    return reinforcement.settings_of(tags | our_keys(finetuning_args))


def reinforce_problems(
    keys: dict[str, Any],
    formattings: dict[str, str],
    written: set[str],
    model_args: Any,
    data_args: Any,
    training_args: Any,
    finetuning_args: Any,
) -> list[str]:
    """Return what is wrong with a recipe for this stage, or with keys of this stage in another one's."""
    own = [key for key in keys if key in RL_DEFAULTS]
    questions = [name for name, formatting in formattings.items() if formatting == "questions"]
    if finetuning_args.stage != "grpo":
        problems = [f"{', '.join(own)}: only with stage: grpo. Remove it."] if own else []
        if questions:
            problems.append(
                f"dataset {', '.join(questions)}: formatting questions has no responses to imitate. Set stage: grpo, or "
                "name a dataset with responses."
            )

        return problems

    arguments = {"model_args": model_args, "data_args": data_args, "training_args": training_args,
                 "finetuning_args": finetuning_args}  # fmt: skip
    if TRANSFORMERS_5:
        return [
            "stage: grpo: not with transformers 5, whose models ask where pictures are (mm_token_type_ids), which TRL 0.24 does "
            "not tell them. Install the set of constraints.txt, with transformers 4.57.6, and train a model that it saved."
        ]

    problems = [line for name in NOT_WITH for line in _refused(name, vars(arguments[name])).values()]
    if groups_by_length(training_args):
        problems.append("group_by_length: not with stage: grpo: prompts are not ordered by length; see rl_curriculum.")

    if not training_args.do_train:
        problems.append("stage: grpo only trains. Set do_train: true; measure with virgo-factory evaluate.")

    if stock := sorted(written.intersection(SAMPLING)):
        problems.append(
            f"{', '.join(stock)}: not with stage: grpo, whose responses are drawn from the whole distribution. Remove "
            "it; rl_temperature and rl_max_response_tokens are the keys of this stage."
        )

    if "cutoff_len" in written:
        problems.append(
            "cutoff_len: not with stage: grpo. Say rl_max_prompt_tokens and rl_max_response_tokens in its place."
        )

    if others := [name for name in data_args.dataset or [] if name not in questions]:
        problems.append(
            f"dataset {', '.join(others)}: not prompts with gold answers. Set formatting: questions in its "
            "dataset_info.json; a row needs a question and an answer (docs/reinforce.md)."
        )

    for key, value in (("overlong", "truncate"), ("malformed", "keep")):
        if keys.get(key) == value:
            problems.append(f"{key}: {value}: not with stage: grpo, where a prompt is asked whole. Set {key}: drop.")

    if bounds := [key for key in ("min_response_tokens", "max_response_tokens") if key in keys]:
        problems.append(f"{', '.join(bounds)}: prompts have no response. Remove it.")

    each, ranks = training_args.per_device_train_batch_size, training_args.world_size
    update = finetuning_args.global_batch_size or each * ranks * training_args.gradient_accumulation_steps
    strategy = str(getattr(training_args.save_strategy, "value", training_args.save_strategy))
    save_steps = training_args.save_steps if strategy == "steps" else None
    return problems + reinforcement.contradictions(keys, update, save_steps)


def rollout_size(settings: dict[str, Any], training_args: Any) -> int:
    """Return how many responses are made at a time, by all ranks together."""
    update = training_args.per_device_train_batch_size * training_args.world_size
    return update * training_args.gradient_accumulation_steps * settings["rl_updates_per_rollout"]


def grpo_arguments(training_args: Any, settings: dict[str, Any], extra: dict[str, Any] | None = None) -> Any:
    """Return TRL's arguments: those of the run, with what the stage says."""
    from trl import GRPOConfig

    names = {item.name for item in fields(GRPOConfig) if item.init} & vars(training_args).keys()
    given = {name: getattr(training_args, name) for name in names}
    given |= PRESETS[settings["rl_loss"]]
    given["epsilon"], given["epsilon_high"] = clips_of(settings)
    given |= {
        "num_generations": settings["rl_num_generations"],
        "steps_per_generation": training_args.gradient_accumulation_steps * settings["rl_updates_per_rollout"],
        "num_iterations": 1,
        "beta": 0.0,  # the trainer takes the reference from LLaMA-Factory
        "temperature": settings["rl_temperature"],
        "top_p": 1.0,
        "top_k": None,
        "max_prompt_length": None,  # its 512 would cut tokens of pictures, and not the pictures
        "max_completion_length": settings["rl_max_response_tokens"],
        "gradient_checkpointing": False,  # LLaMA-Factory's loader has switched its own on
        "remove_unused_columns": False,
        "use_vllm": False,  # TRL 0.24 speaks with vLLM 0.10.2 only; ours is rollouts/servers
        "log_completions": False,
        **(extra or {}),
    }
    return GRPOConfig(**given)
