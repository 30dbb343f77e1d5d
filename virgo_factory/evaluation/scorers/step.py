"""One step of a scorer: a verdict, or what a judge has to be asked first."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Answer, Question, Verdict


@dataclass(frozen=True)
class JudgeRequest:
    """What a language model is asked: the file in templates/, and the texts for its places."""

    template: str
    texts: Mapping[str, str]


Step = Verdict | JudgeRequest


class Scorer(Protocol):
    """What a scorer is: called again with one more reply as long as it returns a request, so that replies can be stored."""

    def __call__(self, response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
        """Return the next step for a response; the same for the same replies."""


def told(is_right: bool | None, text: str, rule: str, by_judge: bool = False) -> Verdict:
    """Return the verdict on a text; `is_right` None where a judge's reply was of no use."""
    answer = Answer(text, rule, "response")
    if is_right is None:
        return Verdict(UNVERIFIABLE, "judge_failed", answer=answer)

    if not text.strip() and not is_right:
        return Verdict(WRONG, "no_answer", answer=answer)

    reasons = ("judge_says_correct", "judge_says_wrong") if by_judge else ("same_text", "other_text")
    return Verdict(CORRECT if is_right else WRONG, reasons[not is_right], answer=answer)


def zero_one(reply: str) -> bool | None:
    """Return what a judge said, None where it said neither.

    >>> zero_one("1"), zero_one(" 0."), zero_one("1 or 0")
    (True, False, None)
    """
    found = re.fullmatch(r"\s*([01])\s*\.?\s*", reply)
    return found[1] == "1" if found else None
