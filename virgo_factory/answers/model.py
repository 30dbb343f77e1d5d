"""What goes in and out of scoring: a question, an answer found in a response, a verdict. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


Kind = Literal["choice", "boolean", "number", "count", "date", "sequence", "expression", "text"]
KINDS: tuple[str, ...] = ("choice", "boolean", "number", "count", "date", "sequence", "expression", "text")

CORRECT, WRONG, UNVERIFIABLE = "correct", "wrong", "unverifiable"

REASONS = {
    "same_text": "answer and gold are the same text",
    "same_option": "the same option",
    "other_option": "another option",
    "not_an_option": "the answer is none of the options",
    "two_options": "the answer names more than one option",
    "same_value": "the same value",
    "other_value": "another value",
    "other_unit": "another unit",
    "same_parts": "the same parts",
    "other_parts": "other parts",
    "same_expression": "the formulas are equal",
    "other_expression": "the formulas differ",
    "other_text": "another text",
    "unreadable": "one of the two formulas cannot be read",
    "no_answer": "no answer in the response",
    "cut_answer": "the response was cut off before or inside its answer",
    "answer_in_thought": "the answer stands only inside the thought, which this grading does not accept",
    "gold_missing": "no gold answer",
    "gold_unclear": "the gold answer names no option of this question",
    "gold_unreadable": "the gold answer cannot be checked: a placeholder, or broken",
    "options_missing": "of gold and answer one is a letter, the other is not, and the options are not known",
    "too_large": "too large or too deep to be evaluated",
    "timeout": "no verdict within the time limit",
    "crashed": "the worker process died",
    "error": "scoring failed",
    "judge_says_correct": "the language model judge says correct",
    "judge_says_wrong": "the language model judge says wrong",
    "judge_failed": "the language model judge gave no usable reply",
}
"""Every reason a verdict can carry: code -> words for people."""


@dataclass(frozen=True)
class Question:
    """What is known about a question; every field but the text may stay empty.

    Attributes:
        text: the question; options written inside it are found there.
        options: texts of the options in order, without their letters.
        kind: one of KINDS where it is known; otherwise it is recognised.
        unit: unit the answer is asked in.
        precision: decimals both sides are rounded to (MathVista).
        tolerance: largest absolute difference that counts as equal, one number or one for each answer (OlympiadBench's `error`).
        several: whether several answers are asked for; otherwise it is recognised.
    """

    text: str = ""
    options: tuple[str, ...] = ()
    kind: str | None = None
    unit: str | None = None
    precision: int | None = None
    tolerance: float | tuple[float, ...] | None = None
    several: bool | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Answer:
    """An answer found in a response.

    Attributes:
        text: the answer as written, without its box or phrase; empty where nothing was found.
        rule: what found it: answer_tag, box, phrase, option, bold, letter, maths, number, whole; cut or none without an answer.
        where: the part of the response it stands in: solution, answer_tag, response (no thought is marked), thought.
    """

    text: str
    rule: str
    where: str


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is the gold answer, and why.

    Attributes:
        verdict: correct, wrong or unverifiable.
        reason: a key of REASONS.
        kind: the kind of question it was judged as.
        answer: what was judged, where the verdict comes from a response.
    """

    verdict: str
    reason: str
    kind: str = "text"
    answer: Answer | None = None

    @classmethod
    def of(cls, equal: bool | None, what: str, kind: str) -> "Verdict":
        """Return the verdict where an answer is the same, or another, value, text, option, ...; None: that is not decided."""
        if equal is None:
            return cls(UNVERIFIABLE, "unreadable", kind)

        return cls(CORRECT if equal else WRONG, f"{'same' if equal else 'other'}_{what}", kind)

    @property
    def correct(self) -> bool | None:
        """True, False, or None where the verdict is unverifiable."""
        return None if self.verdict == UNVERIFIABLE else self.verdict == CORRECT

    @property
    def uncheckable(self) -> bool:
        """Whether the verdict is unverifiable because of the gold, whatever the answer."""
        return self.reason.startswith("gold_")

    @property
    def words(self) -> str:
        """The reason in words."""
        return REASONS[self.reason]


def gold_text(gold: Any) -> str:
    """Return a gold answer as one text."""
    return ", ".join(map(str, gold)) if isinstance(gold, list | tuple) else str(gold)


def question_from(facts: Mapping[str, Any]) -> Question:
    """Return what a row knows about its question: `text` and any other field of Question, None where it is not known."""
    tolerance = facts.get("tolerance")
    return Question(
        facts.get("text") or "",
        tuple(facts.get("options") or ()),
        facts.get("kind"),
        **{name: facts.get(name) for name in ("unit", "precision", "several")},
        tolerance=tuple(tolerance) if isinstance(tolerance, list) else tolerance,
    )
