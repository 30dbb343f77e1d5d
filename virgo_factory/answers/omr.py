"""OpenMMReasoner's reward by rule, with its faults, so that what its tables and its training rest on can be had again.

After custom_rewards/lmms_lab_recipe.py and lmms-eval's reasoning_utils.py; equality of formulas is that of this room. Known
faults, kept: a gold with a capital letter A to H in it is a letter, and an answer that begins with one names it ("A bird" is A);
containment at nine tenths of the length is equality (123456789 is 1234567890); a choice that failed is compared as a formula;
what cannot be compared is wrong; any box earns the whole of the format, without a thought, and a long text with a sign of
mathematics in it 0.8; a response that was cut off may be right.
"""

import re
from typing import Any

from virgo_factory.answers.batch import Task, verdict_of
from virgo_factory.answers.model import CORRECT, WRONG, Answer, Verdict, gold_text
from virgo_factory.answers.prose.phrases import MAX_ANSWER
from virgo_factory.answers.prose.response import boxes


_LETTERS = "ABCDEFGH"
_LAST_NUMBER = re.compile(r"\b(\d+(?:\.\d+)?)\b\s*\.?\s*$")
_PHRASE = re.compile(r"answer|(?:correct )?(?:option|choice) is|i (?:choose|select|pick)|my choice is", re.IGNORECASE)
_FORMS = ("({})", "{}.", "{}:", "{})", "{} ", "{}-", "{}_", "{}=")


def omr_verdict(response: str, gold: Any) -> Verdict:
    """Return whether a response is right by rule; never unverifiable.

    >>> omr_verdict("<think>t</think><answer>A bird</answer>", "A").verdict
    'correct'
    """
    wanted, said = _plain(gold_text(gold)), _plain(_said(response))
    is_right = (
        _matches(said, wanted)
        or verdict_of(Task(Answer(said[: MAX_ANSWER + 1], "given", "given"), wanted)).correct is True
    )
    reason = "same_text" if is_right else "other_text" if said else "no_answer"
    return Verdict(CORRECT if is_right else WRONG, reason, answer=Answer(said, "whole", "response"))


def omr_format(response: str) -> float:
    """Return what the form of a response earns: 1, 0.8 for a long text with a sign of mathematics and an answer, or 0.

    >>> omr_format("<think></think><answer>2</answer>"), omr_format("x" * 50 + " = 2"), omr_format("1 + 1 = 2")
    (1.0, 0.8, 0.0)
    """
    if _has_form(response) or any(box.text for box in boxes(response)[0]):
        return 1.0

    return 0.8 * (len(response.strip()) > 50 and bool(re.search(r"[=+\-*/()\[\]\\]", response) and _said(response)))


def _has_form(response: str) -> bool:
    """Return whether the whole response matches ``<think>.*</think>.*<answer>.*</answer>``, in linear time."""
    thought_end = response.find("</think>", len("<think>"))
    answer = response.find("<answer>", thought_end)
    ends = response.startswith("<think>") and response.endswith("</answer>")
    return ends and 0 < thought_end < answer <= len(response) - len("<answer></answer>")


def misreads(gold: Any) -> bool:
    """Return whether a gold that is no letter is taken for one: any of A to H in it does.

    >>> misreads("Domain: y"), misreads("B"), misreads("12")
    (True, False, False)
    """
    text = _plain(gold_text(gold))
    return text not in _LETTERS and bool(letter_in(text))


def _said(response: str) -> str:
    """Return the first answer tag's inside, else the last box's, else the number at the end of the last line that has one."""
    start = response.find("<answer>")
    if (
        start >= 0 and (end := response.find("</answer>", start)) >= 0
    ):  # a pattern would look from every tag to the end
        return response[start + len("<answer>") : end].strip()

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
