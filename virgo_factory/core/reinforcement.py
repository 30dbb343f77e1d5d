"""What a recipe of `stage: grpo` says where it is silent, and what a rollout needs: one rule for run, plan and export."""

from collections.abc import Mapping, Sequence
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.recipe_keys import RL_DEFAULTS


CLIPS = {"gspo": (3e-4, 4e-4), "grpo": (0.2, 0.2), "dapo": (0.2, 0.28), "dr_grpo": (0.2, 0.2)}
"""`rl_loss` -> bounds of the ratio below and above 1 (OpenMMReasoner's scripts, DAPO's paper), unless rl_clip_* say others."""


def settings_of(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return every key of the stage with its value, those that the recipe does not say with their defaults."""
    return {key: keys[key] if keys.get(key) is not None else default for key, default in RL_DEFAULTS.items()}


def clips_of(settings: Mapping[str, Any]) -> tuple[float, float]:
    """Return the bounds of the ratio, below and above 1.

    >>> clips_of(settings_of({"rl_loss": "dapo", "rl_clip_low": 0.1}))
    (0.1, 0.28)
    """
    given = settings["rl_clip_low"], settings["rl_clip_high"]
    low, high = (own if said is None else said for said, own in zip(given, CLIPS[settings["rl_loss"]], strict=True))
    return low, high


def contradictions(keys: Mapping[str, Any], update: int | None = None, save_steps: int | None = None) -> list[str]:
    """Return what cannot stand together in a recipe of the stage, one sentence each.

    `update`: responses of an update; None where groups need not divide those of a rollout.

    >>> contradictions({"rl_num_generations": 6}, update=8)[0][:60]
    'rl_num_generations: 6 does not divide the 8 responses of a r'
    """
    settings = settings_of(keys)
    group, updates = settings["rl_num_generations"], settings["rl_updates_per_rollout"]
    problems = []
    if update is not None and update * updates % group:
        problems.append(
            f"rl_num_generations: {group} does not divide the {update * updates} responses of a rollout ({update} an update x "
            f"rl_updates_per_rollout: {updates}). Set global_batch_size (responses an update) to a multiple of {group}."
        )

    if save_steps is not None and save_steps % updates:
        problems.append(
            f"save_steps: {save_steps} is no multiple of rl_updates_per_rollout: {updates}; a run resumed inside a rollout "
            "would make its responses again. Set a multiple."
        )

    if group < 2:
        problems.append(
            "rl_num_generations: 1 has no group to compare with, so nothing is learned. Set at least 2 (16)."
        )

    if settings["rl_overlong_buffer"] >= settings["rl_max_response_tokens"]:
        problems.append(
            f"rl_overlong_buffer: {settings['rl_overlong_buffer']} is not less than rl_max_response_tokens: "
            f"{settings['rl_max_response_tokens']}, so that every response would be punished."
        )

    if settings["rl_server"] is None:
        alone = [key for key in ("rl_server_wait", "rl_max_logprob_gap") if keys.get(key) is not None]
        problems += [f"{key}: does nothing without rl_server. Remove it." for key in alone]

    return problems


LASTING = (
    *("rl_loss", "rl_num_generations", "rl_updates_per_rollout", "rl_curriculum", "global_batch_size"),
    *("seed", "prompts"),
)
"""Of a run that goes on from a checkpoint these are what they were: with others its steps would be those of another run."""
PASSING = ("rl_log_rollouts", "rl_server", "rl_server_wait", "rl_max_logprob_gap")
"""Of these nothing that is learned depends."""


def changes_of(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[dict[str, tuple[Any, Any]], dict[str, tuple[Any, Any]]]:
    """Return key -> (before, now) of what a run that goes on must not change, and of what it may and should tell.

    >>> changes_of({"rl_loss": "gspo", "rl_beta": 0.0}, {"rl_loss": "dapo", "rl_beta": 0.01, "seed": 1})
    ({'rl_loss': ('gspo', 'dapo')}, {'rl_beta': (0.0, 0.01)})
    """
    changed = {key: (before[key], now[key]) for key in now if key in before and before[key] != now[key]}
    refused = {key: pair for key, pair in changed.items() if key in LASTING}
    return refused, {key: pair for key, pair in changed.items() if key not in (*LASTING, *PASSING)}


def check_enough(prompts: int, asked: int) -> None:
    """Raise if there are fewer prompts than one rollout asks.

    Raises:
        UserError: with both numbers.
    """
    if prompts < asked:
        raise UserError(
            f"{prompts:,} prompts are kept, and one rollout asks {asked:,}. Add prompts, or make global_batch_size or "
            "rl_updates_per_rollout smaller."
        )


def easiest_first(rates: Sequence[tuple[str, float | None]]) -> list[int]:
    """Return the places of prompts in the order of `rl_curriculum: pass_rate`; equal ones keep theirs.

    Raises:
        UserError: some have no rate.

    >>> easiest_first([("a", 0.2), ("b", 0.9), ("c", 0.2)])
    [1, 0, 2]
    """
    if missing := [name for name, rate in rates if rate is None]:
        raise UserError(
            f"rl_curriculum: pass_rate, but {len(missing)} prompts have no pass rate (a column pass_rate or avg_reward, or the one "
            f'that "columns": {{"pass_rate": ...}} of their entry names), such as {", ".join(missing[:5])}. Add it, or set '
            "rl_curriculum: shuffle."
        )

    return sorted(range(len(rates)), key=lambda at: -rates[at][1])
