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
        response: the text as it came, control tokens of the chat left out, markers in; a thought that the server sent in
            a field of its own stands in front in `<think>` tags.
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


FINISH_REASONS = ("stop", "length", "loop")

_TYPES = {
    **dict.fromkeys(("question", "model", "response", "finish_reason", "prompt_sha256"), str),
    **dict.fromkeys(("sample", "prompt_tokens", "completion_tokens", "seed"), int),
    "seconds": (int, float),
    "params": dict,
}


def rollout_of(row: Any) -> Rollout:
    """Return the rollout in a row of rollouts.jsonl.

    Raises:
        ValueError: a field is missing, unknown or of another type.
    """
    if not isinstance(row, dict):
        raise ValueError("not an object")

    for name, kind in _TYPES.items():
        if name not in row:
            raise ValueError(f"no {name}")

        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            raise ValueError(f"{name} is a {type(row[name]).__name__}")

    if unknown := row.keys() - _TYPES.keys():
        raise ValueError(f"{', '.join(sorted(unknown))}: no such field of a rollout")

    if row["finish_reason"] not in FINISH_REASONS:
        raise ValueError(f"finish_reason is none of {', '.join(FINISH_REASONS)}")

    if row["sample"] < GREEDY or min(row["prompt_tokens"], row["completion_tokens"]) < 0:
        raise ValueError("sample or a number of tokens is negative")

    return Rollout(**row)
