"""A rollout: one response that a model gave to one question, what it was made with, and the verdict on it. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from virgo_factory.core.errors import UserError


GREEDY = -1  # sample index of the base model's greedy pass

State = Literal["complete", "truncated", "looping"]
Difficulty = Literal["easy", "medium", "hard", "unsolved", "undecided"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard", "unsolved", "undecided")


class Key(NamedTuple):
    """What a rollout is found by: no two in a folder share it."""

    question: str
    model: str
    sample: int


@dataclass(frozen=True)
class Rollout:
    """One sampled response; a line of rollouts.jsonl."""

    question: str
    model: str  # name or path of the model that answered
    sample: int  # 0 to n - 1, or GREEDY
    # the text as it came, control tokens of the chat left out, markers in; a thought that the server sent in a field
    # of its own stands in front in `<think>` tags
    response: str
    finish_reason: str  # "stop", "length" (cut off at max_tokens) or "loop" (cut off by us)
    prompt_tokens: int  # these and the next as the server counted them
    completion_tokens: int
    seconds: float  # from request to end of response
    seed: int
    prompt_sha256: str  # of text, pictures and template arguments as sent
    params: Mapping[str, Any]  # sampling parameters and server version

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
    """Return the rollout in a row of rollouts.jsonl; raises as check_rollout does."""
    check_rollout(row)
    return Rollout(**row)


def check_rollout(row: Any) -> None:
    """Raise ValueError where a field of a row of rollouts.jsonl is missing, unknown or of another type."""
    if not isinstance(row, dict):
        raise UserError("not an object")

    if tuple(map(type, map(row.get, _TYPES))) not in _USUAL:
        for name, kind in _TYPES.items():
            if name not in row:
                raise UserError(f"no {name}")

            if not isinstance(row[name], kind) or isinstance(row[name], bool):
                raise UserError(f"{name} is a {type(row[name]).__name__}")

    if len(row) > len(_TYPES):
        raise UserError(f"{', '.join(sorted(row.keys() - _TYPES.keys()))}: no such field of a rollout")

    if row["finish_reason"] not in FINISH_REASONS:
        raise UserError(f"finish_reason is none of {', '.join(FINISH_REASONS)}")

    if row["sample"] < GREEDY or min(row["prompt_tokens"], row["completion_tokens"]) < 0:
        raise UserError("sample or a number of tokens is negative")


_USUAL = {tuple({**_TYPES, "seconds": seconds}.values()) for seconds in (int, float)}


@dataclass(frozen=True)
class RolloutVerdict:
    """Whether a rollout is right, and why; a line of verdicts.jsonl."""

    question: str  # with model and sample the rollout's key
    model: str
    sample: int
    verdict: str  # correct, wrong or unverifiable (answers.Verdict). A rollout that was cut is wrong
    reason: str  # a key of answers.REASONS
    kind: str  # the kind of question it was judged as
    answer: str  # what was judged; "" where nothing was found
    rule: str  # for this and `where` see answers.Answer
    where: str
    state: State  # complete, truncated (at max_tokens) or looping (cut off by us)
    version: str  # of the package that judged
    response: str = ""  # sixteen digits of the response that was judged, so that no verdict is taken for another one's

    @property
    def key(self) -> Key:
        """Return the key of the rollout."""
        return Key(self.question, self.model, self.sample)

    @property
    def outcome(self) -> str:
        """Return what it counts as: correct, wrong, unverifiable, truncated or looping."""
        return self.verdict if self.state == "complete" else self.state


def verdict_of(row: Any) -> RolloutVerdict:
    """Return the verdict in a row of verdicts.jsonl; ValueError where a field is missing or unknown."""
    try:
        return RolloutVerdict(**row)
    except TypeError:
        raise UserError("not a verdict. Delete the file: it is made again.") from None


def difficulty_of(correct: int, wrong: int, samples: int, solved: bool = False) -> Difficulty:
    """Return the difficulty of a question, undecided as long as it could still become another.

    Virgo's levels (paper 2.2.1, five samples): medium 4-5 correct, hard 2-3, else unsolved. For other numbers of samples
    the same shares: medium from 4/5 on, hard from 2/5 on. Samples that are missing or unverifiable leave it open; those cut off are
    `wrong`. A question that the base model `solved` greedily is easy.

    >>> [difficulty_of(correct, 5 - correct, 5) for correct in range(6)]
    ['unsolved', 'unsolved', 'hard', 'hard', 'medium', 'medium']
    >>> difficulty_of(4, 0, 5), difficulty_of(3, 0, 5), difficulty_of(3, 1, 5)
    ('medium', 'undecided', 'undecided')
    """
    if solved:
        return "easy"

    lowest, highest = _level(correct, samples), _level(max(samples - wrong, correct), samples)
    return lowest if lowest == highest else "undecided"


def _level(correct: int, samples: int) -> Difficulty:
    if 5 * correct >= 4 * samples:
        return "medium"

    return "hard" if 5 * correct >= 2 * samples else "unsolved"
