"""The reward as other engines ask for it: verl a response at a time, EasyR1 and TRL a batch; without torch, TRL or LLaMA-Factory.

verl loads this file by its path (`reward.custom_reward_function.path`), or one that imports `compute_score` from it.
"""

import functools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from virgo_factory.answers.model import question_from
from virgo_factory.answers.rewards import Reward, RewardConfig, Rewards, RewardTask, fill_groups


FACTS = ("options", "kind", "unit", "precision", "tolerance", "several", "grading")
"""Columns that TRL's rows may have beside `gold` and `question`."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    format_weight: float = 0.1,
    tags: str = "omr",
    rule: str = "ours",
    workers: int = 1,
    **_: Any,
) -> dict[str, float]:
    """Return what verl logs and trains on: numbers under the same names for every row, `score` first.

    verl sees no group here, so that an unverifiable response earns its form alone; `unverifiable` tells how many. Penalties
    for overlong responses are verl's own (`reward.reward_kwargs.overlong_buffer_cfg`). `extra_info` has `asked`, as
    `virgo-factory reinforce export` writes it, or `question`. What `RewardConfig` explains comes from
    `reward.custom_reward_function.reward_kwargs`.
    """
    found = _rewards(os.getpid(), RewardConfig(format_weight, tags, rule), workers)
    extra = extra_info or {}
    facts = json.loads(extra["asked"]) if extra.get("asked") else {"gold": ground_truth, "text": extra.get("question")}
    (one,) = found.score([_task(str(solution_str), facts)])
    return {
        "score": format_weight * one.format if one.score is None else one.score,
        "acc": one.accuracy or 0.0,
        "fmt": one.format,
        "unverifiable": float(one.score is None),
        "no_answer": float(one.reason in ("no_answer", "cut_answer")),
    }


def compute_scores(
    reward_inputs: Sequence[Mapping[str, Any]],
    *,
    format_weight: float = 0.1,
    tags: str = "omr",
    rule: str = "ours",
    max_response_tokens: int = 8192,
    overlong_buffer: int = 0,
    workers: int | None = None,
) -> list[dict[str, float]]:
    """Return what EasyR1 logs and trains on (`reward_type: batch`): numbers under the same names for every row.

    An unverifiable response gets the mean of its group: those of the batch with the same `ground_truth`, the JSON text that
    `virgo-factory reinforce export --easyr1` writes. A response of `max_response_tokens` was cut off. What `RewardConfig`
    explains comes from `worker.reward.reward_function_kwargs`.
    """
    config = RewardConfig(format_weight, tags, rule, max_response_tokens, overlong_buffer)
    found = _rewards(os.getpid(), config, workers).score(
        [
            _task(row["response"], json.loads(row["ground_truth"]), row["response_length"], max_response_tokens)
            for row in reward_inputs
        ]
    )
    groups = defaultdict(list)
    for row, one in zip(reward_inputs, found, strict=True):
        groups[row["ground_truth"]] += [] if one.score is None else [one.score]

    means = {gold: fmean(scores) if scores else 0.0 for gold, scores in groups.items()}
    return [
        {
            "overall": means[row["ground_truth"]] if one.score is None else one.score,
            "accuracy": one.accuracy or 0.0,
            "format": one.format,
            "overlong": one.overlong,
            "unverifiable": float(one.score is None),
        }
        for row, one in zip(reward_inputs, found, strict=True)
    ]


def trl_reward(config: RewardConfig, group_size: int, workers: int | None = None) -> Callable[..., list[float]]:
    """Return a reward function for TRL's GRPOTrainer: always numbers, since TRL counts None of its only function as 0.

    Rows have a column `gold`, and may have `question` and those of FACTS. A response of `max_response_tokens` was cut off.
    `group_size` is `num_generations`; a rank must hold whole groups.
    """
    rewards = Rewards(config, workers)

    def virgo_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
        lengths = [len(ids) for ids in columns["completion_ids"]] if "completion_ids" in columns else None
        tasks = []
        for at, completion in enumerate(completions):
            response = completion if isinstance(completion, str) else completion[-1]["content"]
            facts = {name: columns[name][at] for name in ("gold", *FACTS) if name in columns}
            facts["text"] = columns["question"][at] if "question" in columns else ""
            tasks.append(_task(response, facts, None if lengths is None else lengths[at], config.max_response_tokens))

        found: list[Reward] = rewards.score(tasks)
        return fill_groups([one.score for one in found], group_size).scores

    return virgo_reward


@functools.cache
def _rewards(process: int, config: RewardConfig, workers: int | None) -> Rewards:
    """Return the processes of this one: a fork has its own."""
    return Rewards(config, workers)


def _task(response: str, facts: Mapping[str, Any], tokens: int | None = None, limit: int | None = None) -> RewardTask:
    is_cut = tokens is not None and limit is not None and tokens >= limit
    grading = facts.get("grading") or "math"
    return RewardTask(response, facts["gold"], question_from(facts), grading, tokens, is_cut)
