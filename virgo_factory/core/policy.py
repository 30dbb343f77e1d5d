"""Why a row that could be read is not trained on all the same: one judgement, for run, check, statistics and preview."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from virgo_factory.core.reasons import Reason


class Drop(NamedTuple):
    """Why a row is dropped: short words by which rows are counted, and what is particular to this one."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Policy:
    """What a run asks of its rows.

    Attributes:
        cutoff_len: tokens of a row; None or 0: no limit.
        truncates: whether a longer row is cut there, as stock LLaMA-Factory does, instead of dropped.
        min_response_tokens, max_response_tokens: inclusive bounds of each learned response; None or 0: none.
        takes_prefix: whether a response may begin with context; nothing else than training knows how.
    """

    cutoff_len: int | None = None
    truncates: bool = False
    min_response_tokens: int | None = None
    max_response_tokens: int | None = None
    takes_prefix: bool = True

    @property
    def has_bounds(self) -> bool:
        """Whether the length of responses matters."""
        return bool(self.min_response_tokens or self.max_response_tokens)


class Facts(Protocol):
    """What is known of a row. A run finds out in this order and asks for nothing behind the first thing that is wrong.

    Attributes:
        rejected: what its format or its media said.
        control_token: where a special token of the model stands in its text, "question" or "response", and which.
        responses: tokens of each learned response by itself (of a pair its two: earlier turns are context), without end of
            turn, markers as text.
        has_prefix: whether a response begins with context that is no target.
        unreadable: why the pixels of a picture cannot be decoded; "" where they can.
        tokens: of the whole row; of a pair those of the longer side.
        is_learned: whether any token is a target.
    """

    rejected: Drop | None
    control_token: tuple[str, str] | None
    responses: Sequence[int]
    has_prefix: bool
    unreadable: str
    tokens: int
    is_learned: bool


def judge(facts: Facts, policy: Policy) -> Drop | None:
    """Return why a row is dropped under a policy, or None for a row that is kept."""
    if facts.rejected:
        return facts.rejected

    if facts.control_token:
        place, token = facts.control_token
        return Drop(Reason.CONTROL_TOKEN.text(place), token)

    if policy.has_bounds and (responses := facts.responses):
        shortest, longest = min(responses), max(responses)
        if policy.min_response_tokens and shortest < policy.min_response_tokens:
            return Drop(Reason.TOO_SHORT.text(policy.min_response_tokens), f"{shortest} tokens")

        if policy.max_response_tokens and longest > policy.max_response_tokens:
            return Drop(Reason.TOO_LONG.text(policy.max_response_tokens), f"{longest} tokens")

    if facts.has_prefix and not policy.takes_prefix:
        return Drop(Reason.PREFIX.text(), "only in training a response can begin with context")

    if facts.unreadable:
        return Drop(Reason.UNREADABLE.text(), facts.unreadable[:300])

    if policy.cutoff_len and facts.tokens > policy.cutoff_len and not policy.truncates:
        return Drop(Reason.OVERLONG.text(policy.cutoff_len), f"{facts.tokens} tokens")

    if not facts.is_learned:
        return Drop(Reason.NOT_LEARNED.text(), "after mask_history or at cutoff_len")

    return None


def cut_note(tokens: int, policy: Policy) -> str:
    """Return what a kept row is counted by if it is cut at `cutoff_len`; "" for one that is not."""
    return f"cut off at {policy.cutoff_len} tokens" if policy.cutoff_len and tokens > policy.cutoff_len else ""


@dataclass(frozen=True)
class KnownFacts:
    """Facts that are all known already; see `Facts`."""

    rejected: Drop | None = None
    control_token: tuple[str, str] | None = None
    responses: Sequence[int] = ()
    has_prefix: bool = False
    unreadable: str = ""
    tokens: int = 0
    is_learned: bool = True
