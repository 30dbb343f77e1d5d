"""OpenMMReasoner's reward as a scorer, for its tables alone: what it misreads it misreads here, and `misreads` counts it.

After custom_rewards/lmms_lab_recipe.py and lmms-eval's reasoning_utils.py; equality of formulas is that of the answers room,
the judge's prompt is ours.
"""

import re
from collections.abc import Sequence
from typing import Any

from virgo_factory.answers import judge
from virgo_factory.answers.model import Question
from virgo_factory.answers.prose.response import boxes
from virgo_factory.evaluation.scorers.step import JudgeRequest, Step, told, zero_one
from virgo_factory.rollouts.shown import asked_with_options, gold_text


SHORT = 500
"""Characters below which a response without any form is judged as a whole."""

_LETTERS = "ABCDEFGH"
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


_FORM = re.compile(r"<think>.*</think>.*<answer>.*</answer>", re.DOTALL)
_LAST_NUMBER = re.compile(r"\b(\d+(?:\.\d+)?)\b\s*\.?\s*$")
_PHRASE = re.compile(r"answer|(?:correct )?(?:option|choice) is|i (?:choose|select|pick)|my choice is", re.IGNORECASE)
_FORMS = ("({})", "{}.", "{}:", "{})", "{} ", "{}-", "{}_", "{}=")


def omr(response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
    """Return the next step: right by rule, else a judge on the answer, else one on a short response without any form."""
    wanted, said = _plain(gold_text(gold)), _plain(_said(response))
    if _matches(said, wanted) or judge(said, wanted).correct:
        return told(True, said, "whole")

    asked = asked_with_options(question)
    texts = [said, response] if _is_formless(response) and len(response) < SHORT else [said]
    for text, reply in zip(texts, [*replies, None], strict=False):
        if reply is None:
            return JudgeRequest("judge_zero_one.txt", {"question": asked, "gold": wanted, "answer": text})

        if zero_one(reply) is not False:
            return told(zero_one(reply), text, "whole", by_judge=True)

    return told(False, said, "whole", by_judge=True)


def misreads(gold: Any) -> bool:
    """Return whether a gold that is no letter is taken for one: any of A to H in it does.

    >>> misreads("Domain: y"), misreads("B"), misreads("12")
    (True, False, False)
    """
    text = _plain(gold_text(gold))
    return text not in _LETTERS and bool(letter_in(text))


def _said(response: str) -> str:
    """Return the first answer tag's inside, else the last box's, else the number at the end of the last line that has one."""
    if tagged := _ANSWER.search(response):
        return tagged[1].strip()

    if (boxed := boxes(response)[0]) and boxed[-1].text:
        return boxed[-1].text.strip()

    lines = (_LAST_NUMBER.search(line) for line in reversed(response.strip().split("\n")))
    return next((found[1] for found in lines if found), "")


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").strip()


def _matches(said: str, wanted: str) -> bool:
    if letter := letter_in(wanted):
        return letter_in(said) == letter

    inside = (said in wanted and len(said) >= 0.9 * len(wanted)) or (wanted in said and len(wanted) >= 0.9 * len(said))
    return inside or said == wanted


def letter_in(text: str) -> str:
    """Return the letter that a text is taken to name: at its start, at its end, behind a phrase, in some form, anywhere.

    >>> letter_in("Bear"), letter_in("it is (C) or D."), letter_in("no 12")
    ('B', 'D', '')
    """
    text = text.strip()
    for sign in ",.!?;:'\"":
        text = text.strip(sign)

    text = text.strip()
    for edge in (text[:1], text[-1:]):
        if edge and edge in _LETTERS:
            return edge

    numbered = (letter for number, letter in enumerate(_LETTERS, start=1) if f"{number}. {letter}" in text)
    if found := next(numbered, ""):
        return found

    if phrase := _PHRASE.search(text):
        if found := next((sign for sign in text[phrase.start() :] if sign in _LETTERS), ""):
            return found

    text = f" {text} "
    for form in (*_FORMS, "{}"):
        places = {text.rfind(form.format(letter)): letter for letter in _LETTERS if form.format(letter) in text}
        if places:
            return places[min(places)]

    return ""


def _is_formless(response: str) -> bool:
    """Return whether the reward gives nothing for the form of a response."""
    if _FORM.fullmatch(response) or any(box.text for box in boxes(response)[0]):
        return False

    return not (len(response.strip()) > 50 and re.search(r"[=+\-*/()\[\]\\]", response) and _said(response))
