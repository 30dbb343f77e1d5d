"""The recipe keys of the plugin, as fields of LLaMA-Factory's own argument classes, so that its parser reads them.

Each key stands in the class where LLaMA-Factory itself would look for it. All default to None, "not in the recipe":
whether a run uses the plugin at all depends on it (hooks/start/run.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import Any, Literal

from virgo_factory.autoload import check_hooks
from virgo_factory.core.errors import UserError
from virgo_factory.core.recipe_keys import wrong_values
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.hooks.hook import Hook, rebind


RELIES_ON = {
    "llamafactory/hparams/data_args.py:22": "@dataclass\nclass DataArguments:",
    "llamafactory/hparams/data_args.py:147": "    def __post_init__(self):",
    "llamafactory/hparams/model_args.py:541": "@dataclass\nclass ModelArguments(",
    "llamafactory/hparams/finetuning_args.py:443": "@dataclass\nclass FinetuningArguments(",
    "llamafactory/hparams/parser.py:50": "_TRAIN_ARGS = [\n    ModelArguments,\n    DataArguments,",
    "llamafactory/hparams/parser.py:107": "parser.parse_dict(args",
}


def our_keys(arguments: Any) -> dict[str, Any]:
    """Return the plugin's keys that stand in the recipe, with their values, of one argument object."""
    own = getattr(arguments, "VIRGO_KEYS", ())
    return {name: getattr(arguments, name) for name in own if getattr(arguments, name) is not None}


def _extend(module: ModuleType, name: str, extension: type) -> None:
    """Replace a dataclass of LLaMA-Factory by one that also has the fields of `extension`."""
    stock = getattr(module, name)

    def __post_init__(self) -> None:
        check_values(self)
        if hasattr(stock, "__post_init__"):
            stock.__post_init__(self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out keys that are not set: `datasets` names its caches by it, and those of stock runs are to stay."""
        return {key: value for key, value in vars(self).items() if key not in own or value is not None}

    own = tuple(item.name for item in fields(extension) if item.name not in stock.__dataclass_fields__)
    namespace = {
        "__getstate__": __getstate__,
        "__module__": stock.__module__,
        "__doc__": stock.__doc__,
        "__post_init__": __post_init__,
        "VIRGO_KEYS": own,
    }
    extended = dataclass(type(name, (extension, stock), namespace))  # in this order the stock fields stay first
    extended.__qualname__ = stock.__qualname__  # pickled by reference, as the stock class
    rebind(stock, extended)


def check_values(arguments: Any) -> None:
    """Raise a ValueError that names the allowed values if one of the plugin's keys has a wrong one."""
    keys = our_keys(arguments)
    if keys:
        check_hooks()  # here, too, since hooks/start/run.py may be what failed

    if wrong := find_wrong(keys):
        raise UserError("\n".join(wrong.values()))


def find_wrong(keys: Mapping[str, Any]) -> dict[str, str]:
    """Return what `wrong_values` finds in a recipe, and a `question_prefix` that cannot be read."""
    wrong = wrong_values(keys)
    try:
        read_prefix(keys.get("question_prefix"))
    except ValueError as error:
        wrong["question_prefix"] = str(error)

    return wrong


def _key(what: str) -> Any:
    """Return the field of a key that the recipe need not say, with what `--help` tells of it."""
    return field(default=None, metadata={"help": f"virgo-factory: {what}"})


def _rl_key(what: str) -> Any:
    return field(default=None, metadata={"help": f"virgo-factory, stage grpo: {what}"})


@dataclass
class _DataKeys:
    overlong: str | None = _key(
        "what happens to a row whose tokens exceed `cutoff_len` (drop, error, truncate). Unset: drop in datasets of "
        "the plugin's formattings, stock in others."
    )
    malformed: str | None = _key(
        "what happens to a row of the plugin's formattings that is not one thought and one solution, or whose images "
        "are missing or unreadable (drop, error, keep). Unset: drop."
    )
    min_response_tokens: int | None = _key("drop rows whose response has fewer tokens (inclusive bound).")
    max_response_tokens: int | None = _key("drop rows whose response has more tokens (inclusive bound).")
    question_prefix: str | None = _key(
        "text between the images and the question (none, virgo, or a file). Unset: none in training, and in serving "
        "and evaluation what the checkpoint was trained with."
    )


@dataclass
class _ModelKeys:
    marker_tokens: bool | None = _key(
        "make the four markers single, plain vocabulary entries, initialised from the mean of their text pieces if "
        "the loaded tokenizer lacks them. Unset: false."
    )


@dataclass
class _FinetuningKeys:
    global_batch_size: int | None = _key("rows an optimiser step over all ranks; sets gradient_accumulation_steps.")
    stage: Literal["pt", "sft", "rm", "ppo", "dpo", "kto", "grpo"] = field(
        default="sft", metadata={"help": "Which stage will be performed in training (grpo: virgo-factory)."}
    )
    keep_model_at_epochs: list[int] | None = _key(
        "epochs whose weights, tokenizer and processor are kept in OUTPUT_DIR/epoch-N, outside the rotation of "
        "checkpoints, such as [5]."
    )
    rl_loss: str | None = _rl_key(
        "gspo (ratio of the sequence, mean over sequences), grpo (ratio of the token, mean over tokens), dapo (as "
        "grpo, with a higher upper clip), dr_grpo (sum over a constant). Unset: gspo."
    )
    rl_num_generations: int | None = _rl_key("responses to each prompt. Unset: 16.")
    rl_updates_per_rollout: int | None = _rl_key(
        "optimiser steps on the responses of one rollout, each on its own part of them; with 1 the ratio is 1 and the"
        " clip cannot act. Unset: 1."
    )
    rl_clip_low: float | None = _rl_key("lower clip of the ratio. Unset: by rl_loss.")
    rl_clip_high: float | None = _rl_key("upper clip of the ratio. Unset: by rl_loss.")
    rl_beta: float | None = _rl_key("weight of the divergence from the first model. Unset: 0.")
    rl_temperature: float | None = _rl_key("temperature of the responses. Unset: 1.0.")
    rl_max_prompt_tokens: int | None = _rl_key(
        "longest prompt, pictures counted; `overlong` drops others. Unset: 4096."
    )
    rl_max_response_tokens: int | None = _rl_key("a response is cut off there. Unset: 8192.")
    rl_reward: str | None = _rl_key("rules of the reward (ours, omr: OpenMMReasoner's). Unset: ours.")
    rl_tags: str | None = _rl_key(
        "what form the reward asks for (virgo: the four markers; omr: <think> and <answer>; think: <think> and a "
        "solution behind it). Unset: what the template trains on, else omr."
    )
    rl_format_weight: float | None = _rl_key("share of the format in the reward, the rest is accuracy. Unset: 0.1.")
    rl_overlong_buffer: int | None = _rl_key(
        "last tokens of a response in which the reward falls by up to 1. Unset: 0."
    )
    rl_curriculum: str | None = _rl_key(
        "order of the prompts (shuffle, file, pass_rate: by the column pass_rate or avg_reward, easy first). Unset: "
        "shuffle."
    )
    rl_log_rollouts: int | None = _rl_key("responses of a step that go into rollouts.jsonl. Unset: 64; 0: none.")
    rl_server: str | None = _rl_key(
        "where responses are made (vllm: servers that the run starts; or their URLs, with commas). Unset: in the "
        "trainer itself, by Hugging Face's generate."
    )
    rl_server_wait: float | None = _rl_key(
        "minutes without any server after which the run saves a checkpoint and ends. Unset: 10."
    )
    rl_max_logprob_gap: float | None = _rl_key(
        "mean gap between the servers' and the trainer's log-probabilities above which the run stops. Unset: 0.05."
    )
    batch_order: str | None = _key(
        "which rows meet in a micro-step (shuffle; balanced: by length inside each global batch, same gradients; "
        "grouped: by length in the whole epoch; packed: those of a global batch joined into few forward passes, same "
        "gradients). Unset: shuffle."
    )
    packing_tokens: int | None = _key(
        "tokens of a forward pass of batch_order: packed. Unset: as many as stock's largest could have, "
        "per_device_train_batch_size times the longest row."
    )
    sequence_parallel_size: int | None = _key(
        "ranks that share the tokens of each forward pass of batch_order: packed, for rows too long for one GPU. "
        "Unset: 1."
    )
    fused_loss: bool | None = _key(
        "compute logits in chunks, and of answers only, so that they are never all in memory; the same loss. Unset: "
        "false; batch_order: packed always does."
    )


EXTENSIONS = {
    "llamafactory.hparams.data_args": ("DataArguments", _DataKeys),
    "llamafactory.hparams.model_args": ("ModelArguments", _ModelKeys),
    "llamafactory.hparams.finetuning_args": ("FinetuningArguments", _FinetuningKeys),
}
"""Module -> its class of arguments and our keys in it."""


def extend_arguments(module: ModuleType) -> None:
    """Put our keys into the module's class of arguments."""
    _extend(module, *EXTENSIONS[module.__name__])


HOOK = Hook(modules=tuple(EXTENSIONS), relies_on=RELIES_ON, apply=extend_arguments)
