"""A rollout: one response that a model gave to one question, and what it was made with. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


GREEDY = -1
"""Sample index of the base model's greedy pass."""


class Key(NamedTuple):
    """What a rollout is found by: no two in a folder share it."""

    question: str
    model: str
    sample: int


@dataclass(frozen=True)
class Rollout:
    """One sampled response; a line of rollouts.jsonl.

    Attributes:
        question: id of the question.
        model: name or path of the model that answered.
        sample: 0 to n - 1, or GREEDY.
        response: the text as it came, control tokens of the chat left out, markers in.
        finish_reason: "stop", "length" (cut off at max_tokens) or "loop" (cut off by us).
        prompt_tokens: as the server counted them.
        completion_tokens: likewise.
        seconds: from request to end of response.
        seed: that was sent.
        prompt_sha256: of text, pictures and template arguments as sent.
        params: sampling parameters and server version.
    """

    question: str
    model: str
    sample: int
    response: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    seed: int
    prompt_sha256: str
    params: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Return what the rollout is found by."""
        return Key(self.question, self.model, self.sample)
