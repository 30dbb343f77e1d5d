"""Rewards of the responses of one rank, by the rules of the recipe."""

from collections.abc import Sequence
from typing import Any

from virgo_factory.answers.model import question_from
from virgo_factory.answers.rewards import Reward, RewardConfig, Rewards, RewardTask
from virgo_factory.hooks.reinforce.generation import Sample


class Scorer:
    """Gives rewards; its processes start with the first one, and end with `close`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._rewards = Rewards(
            RewardConfig(
                format_weight=settings["rl_format_weight"],
                tags=settings["rl_tags"],
                rule=settings["rl_reward"],
                max_response_tokens=settings["rl_max_response_tokens"],
                overlong_buffer=settings["rl_overlong_buffer"],
            )
        )

    def score(self, rows: Sequence[dict[str, Any]], samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        """Return the reward of each response."""
        return self._rewards.score(
            [
                RewardTask(
                    response=text,
                    gold=row["asked"]["gold"],
                    question=question_from(row["asked"]),
                    grading=row["asked"].get("grading", "math"),
                    tokens=len(sample.ids),
                    truncated=sample.finish_reason == "length",
                )
                for row, sample, text in zip(rows, samples, texts, strict=True)
            ]
        )

    def close(self) -> None:
        """End the processes."""
        self._rewards.close()
