"""The run: questions in, rollouts appended as they finish; what dies is gone around, what was finished is never asked again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virgo_factory.distill.rollout import Rollout


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Event:
    """Something that happened in a run; `on_event` is called with it in the run's own thread, in order.

    Attributes:
        kind: what happened, and which of the other fields are set:
            "start"    a pass begins: `model`, `total` rollouts it may ask at most, `done` of them there already
            "rollout"  one is finished and in the file: `rollout`, `source`
            "verdict"  it has been judged: `question`, `model`, `sample`, `source`, `verdict` (a row of verdicts.jsonl)
            "solved"   the base model solved the question greedily, its samples are not asked: `question`, `source`
            "dropped"  the question cannot be asked: `question`, `source`, `message` says why
            "retry"    a request failed and is sent again: `question`, `sample`, `url`, `message`
            "gave_up"  a request failed too often; the next start asks it again: `question`, `sample`, `message`
            "lost"     a server does not answer, its requests go to the others: `url`, `message`
            "back"     it answers again: `url`
            "budget"   a budget is used up, no more is asked: `message` says which
            "server"   a server of our own starts or stops: `message`
        message: one line for people.
        source: of the question.
        flying: requests in flight at that moment.
    """

    kind: str
    message: str = ""
    question: str = ""
    source: str = ""
    model: str = ""
    sample: int | None = None
    url: str = ""
    rollout: Rollout | None = None
    verdict: "Mapping[str, Any] | None" = None
    total: int = 0
    done: int = 0
    flying: int = 0
