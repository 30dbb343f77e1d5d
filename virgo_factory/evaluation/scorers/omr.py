"""OpenMMReasoner's reward as a scorer, for its tables alone: its rule, then a judge, whose prompt is ours."""

from collections.abc import Sequence
from typing import Any

from virgo_factory.answers.model import Question, gold_text
from virgo_factory.answers.omr import omr_format, omr_verdict
from virgo_factory.evaluation.scorers.step import JudgeRequest, Step, told, zero_one
from virgo_factory.rollouts.shown import asked_with_options


SHORT = 500
"""Characters below which a response without any form is judged as a whole."""


def omr(response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
    """Return the next step: right by rule, else a judge on the answer, else one on a short response without any form."""
    verdict = omr_verdict(response, gold)
    if verdict.correct:
        return verdict

    said, wanted, asked = (
        verdict.answer.text,
        gold_text(gold).strip().removesuffix(".").strip(),
        asked_with_options(question),
    )
    texts = [said, response] if not omr_format(response) and len(response) < SHORT else [said]
    for text, reply in zip(texts, [*replies, None], strict=False):
        if reply is None:
            return JudgeRequest("judge_zero_one.txt", {"question": asked, "gold": wanted, "answer": text})

        if zero_one(reply) is not False:
            return told(zero_one(reply), text, "whole", by_judge=True)

    return told(False, said, "whole", by_judge=True)
