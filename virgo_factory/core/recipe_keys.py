"""The recipe keys of the plugin and what each may be: one wording for run, data verbs, plan and smoke."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from virgo_factory.core.batch_order import ORDERS
from virgo_factory.core.errors import UserError


RL_DEFAULTS: Mapping[str, Any] = {
    "rl_loss": "gspo",
    "rl_num_generations": 16,
    "rl_updates_per_rollout": 1,
    "rl_clip_low": None,
    "rl_clip_high": None,
    "rl_beta": 0.0,
    "rl_temperature": 1.0,
    "rl_max_prompt_tokens": 4096,
    "rl_max_response_tokens": 8192,
    "rl_reward": "ours",
    "rl_tags": None,
    "rl_format_weight": 0.1,
    "rl_overlong_buffer": 0,
    "rl_curriculum": "shuffle",
    "rl_log_rollouts": 64,
    "rl_server": None,
    "rl_server_wait": 10.0,
    "rl_max_logprob_gap": 0.05,
}
"""Key of `stage: grpo` -> what it is where the recipe is silent; None: by `rl_loss` (clips) or the
template (tags), or Hugging Face generation (server)."""

CHOICES = {
    "overlong": ("drop", "error", "truncate"),
    "malformed": ("drop", "error", "keep"),
    "batch_order": ORDERS,
    "rl_loss": ("gspo", "grpo", "dapo", "dr_grpo"),
    "rl_reward": ("ours", "omr"),
    "rl_tags": ("virgo", "omr", "think"),
    "rl_curriculum": ("shuffle", "file", "pass_rate"),
}
COUNTS = (
    *("min_response_tokens", "max_response_tokens", "global_batch_size", "packing_tokens", "sequence_parallel_size"),
    *("rl_num_generations", "rl_updates_per_rollout", "rl_max_prompt_tokens", "rl_max_response_tokens"),
)
RANGES = {
    **dict.fromkeys(("rl_beta", "rl_overlong_buffer", "rl_log_rollouts"), (0, None)),
    **dict.fromkeys(("rl_format_weight", "rl_clip_low"), (0, 1)),
    **dict.fromkeys(("rl_temperature", "rl_clip_high", "rl_max_logprob_gap", "rl_server_wait"), (1e-6, None)),
}
"""Key that takes a number -> the least and the greatest that it may be; None: without bound."""
WHOLE = ("rl_overlong_buffer", "rl_log_rollouts")
SWITCHES = ("marker_tokens", "fused_loss")
KEYS = (*dict.fromkeys((*CHOICES, *COUNTS, *SWITCHES, "question_prefix", "keep_model_at_epochs", *RL_DEFAULTS)),)


def wrong_values(keys: Mapping[str, Any], counts: tuple[str, ...] = COUNTS) -> dict[str, str]:
    """Return which of our keys have a value that they cannot have -> a line that names those that they can.

    Args:
        keys: key -> value; None and others than ours are passed over, and `question_prefix` is `read_prefix`'s to check.
        counts: keys that take a whole number of at least 1.
    """
    wrong = {
        key: problem for key, value in keys.items() if value is not None if (problem := _problem(key, value, counts))
    }
    bounds = ("min_response_tokens", "max_response_tokens")
    low, high = (None if key in wrong else keys.get(key) for key in bounds)
    if low is not None and high is not None and low > high:
        wrong[bounds[0]] = f"min_response_tokens: {low} is more than max_response_tokens: {high}, so no row is kept."

    return wrong


def check_keys(keys: Mapping[str, Any], counts: tuple[str, ...] = COUNTS) -> None:
    """Raise if `wrong_values` finds any.

    Raises:
        ValueError: with all its lines.
    """
    if wrong := wrong_values(keys, counts):
        raise UserError("\n".join(wrong.values()))


def told_together(wrong: Mapping[str, str], problems: Sequence[str]) -> list[str]:
    """Return what is wrong with values, then what else is, looked at without them, where it is not about these keys.

    >>> told_together({"rl_loss": "rl_loss: 1"}, ["rl_loss: gspo, by default, does not go", "rl_losses: none"])
    ['rl_loss: 1', 'rl_losses: none']
    """
    return [*wrong.values(), *(one for one in problems if not any(re.search(rf"\b{key}\b", one) for key in wrong))]


def _problem(key: str, value: Any, counts: tuple[str, ...]) -> str:
    """Return what is wrong with a value; "" where nothing is."""
    if key in CHOICES and value not in CHOICES[key]:
        return f"{key}: {value!r} is not one of {', '.join(CHOICES[key])}."

    if key in counts and not _is_count(value):
        return f"{key}: {value!r} is not a whole number of at least 1."

    if key in RANGES and not _is_between(value, *RANGES[key], whole=key in WHOLE):
        low, high = RANGES[key]
        kind = "a whole number" if key in WHOLE else "a number"
        least = "above 0" if low == 1e-6 else f"of at least {low}"
        return f"{key}: {value!r} is not {kind} {least}{f' and at most {high}' if high else ''}."

    if key == "rl_server" and not _names_servers(value):
        return f"{key}: {value!r} is neither vllm nor the URL of a server (http://HOST:PORT), or a list of these URLs."

    if key in SWITCHES and not isinstance(value, bool):
        return f"{key}: {value!r} is not one of true, false."

    if key == "keep_model_at_epochs" and not (isinstance(value, list) and value and all(map(_is_count, value))):
        return f"{key}: {value!r} is not a list of epochs, each at least 1, such as [5]."

    return ""


def _is_between(value: Any, low: float, high: float | None, whole: bool) -> bool:
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    return is_number and low <= value <= (math.inf if high is None else high)


def _names_servers(value: Any) -> bool:
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return False

    given = [part for part in parts if part]
    return bool(given) and (given == ["vllm"] or all(part.startswith(("http://", "https://")) for part in given))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
