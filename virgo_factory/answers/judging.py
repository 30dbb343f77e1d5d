"""The verdict on an answer, and on a whole response."""

import re
from typing import Any

from virgo_factory.answers.choice import answered_options, gold_options
from virgo_factory.answers.choosing import option_letter
from virgo_factory.answers.equality import same
from virgo_factory.answers.extraction import extract
from virgo_factory.answers.grading import MATH, GradingConfig
from virgo_factory.answers.latex import characters
from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Answer, Question, Verdict
from virgo_factory.answers.numbers import read_number
from virgo_factory.answers.options import list_in_string, options_of
from virgo_factory.answers.phrases import MAX_ANSWER
from virgo_factory.answers.response import answer_tag, boxes


def score(response: str, gold: Any, question: Question | None = None, config: GradingConfig = MATH) -> Verdict:
    """Return the verdict on a response: `judge` on what `extract` finds in it.

    >>> score("<think>6 * 7</think>So \\\\boxed{42.0}.", "42").verdict
    'correct'
    """
    question = question or Question()
    return judge(extract(response, question), gold, question, config)


def judge(answer: Answer | str, gold: Any, question: Question | None = None, config: GradingConfig = MATH) -> Verdict:
    r"""Return the verdict on an answer.

    Args:
        answer: what `extract` found, or an answer's text.
        gold: the gold answer: text, number, list of several, or a string that spells a list.
        question: what is known about the question.
        config: how strict to be.

    >>> judge(r"\frac{1}{2}", "0.5").verdict, judge("blue", "B", Question(options=("red", "blue"))).verdict
    ('correct', 'correct')
    """
    question = question or Question()
    if not isinstance(answer, Answer):
        answer = Answer("" if answer is None else str(answer)[: MAX_ANSWER + 1], "given", "given")
    verdict = _judge(answer, gold, question, config)
    return Verdict(verdict.verdict, verdict.reason, verdict.kind, answer)


def _judge(answer: Answer, gold: Any, question: Question, config: GradingConfig) -> Verdict:
    options = options_of(question)
    kind = question.kind or ("choice" if options else "text")
    golds = _golds(gold, options, config)
    if golds is None:
        return Verdict(UNVERIFIABLE, "gold_missing", kind)
    if not golds:
        return Verdict(UNVERIFIABLE, "gold_unclear", kind)
    text = characters(answer.text[: MAX_ANSWER + 1]).strip()
    if not text:
        return Verdict(WRONG, "cut_answer" if answer.rule == "cut" else "no_answer", kind)
    if answer.where == "thought" and not config.accept_thought:
        return Verdict(WRONG, "answer_in_thought", kind)

    verdicts = [_one(text, wanted, question, options, config) for wanted in golds]
    for wanted in (CORRECT, UNVERIFIABLE, WRONG):
        for verdict in verdicts:
            if verdict.verdict == wanted:
                return verdict
    raise AssertionError("a gold answer without a verdict")


def _one(text: str, gold: str, question: Question, options: tuple[str, ...], config: GradingConfig) -> Verdict:
    if options and question.kind in (None, "choice"):
        wanted = gold_options(gold, options, config)
        if wanted:
            return _choice(text, wanted, options, question, config)
        if question.kind == "choice":
            return Verdict(UNVERIFIABLE, "gold_unclear", "choice")
    if not options and re.fullmatch(r"\(?[A-J]\)?", gold.strip()) and question.kind in (None, "choice"):
        letter = option_letter(text)
        if letter and (len(text.strip("()[]{}.:$*\\ ")) == 1 or not re.search(r"[\\=^+*]", text)):
            equal = letter == gold.strip("() ")
            return Verdict(CORRECT if equal else WRONG, "same_option" if equal else "other_option", "choice")
        letters = set(re.findall(r"(?<![A-Za-z])[A-J](?![A-Za-z])", text))
        if question.kind == "choice" or (question.text and not letters and read_number(text) is not None):
            return Verdict(UNVERIFIABLE, "options_missing", "choice")
    return same(gold, text, question, config)


def _choice(
    text: str, wanted: set[int], options: tuple[str, ...], question: Question, config: GradingConfig
) -> Verdict:
    named = answered_options(text, options, config)
    if not named:
        named = {
            index
            for index, option in enumerate(options)
            if read_number(option) is not None
            and read_number(text) is not None
            and same(option, text, Question(), config).correct
        }
    if not named and not re.fullmatch(r"\W*[A-Za-z]\W*", text):
        named = {
            index
            for index, option in enumerate(options)
            if re.search(r"[\\^=/:]|[a-z]\s*[-+*]", option) and same(option, text, Question(), config).correct
        }
    if not named:
        return Verdict(WRONG, "not_an_option", "choice")
    if named <= wanted:
        return Verdict(CORRECT, "same_option", "choice")
    if named & wanted:
        return Verdict(UNVERIFIABLE, "two_options", "choice")
    return Verdict(WRONG, "other_option", "choice")


def _golds(gold: Any, options: tuple[str, ...], config: GradingConfig) -> list[str] | None:
    """The gold answers of which one has to be met: None where there is no gold, empty where it cannot be read."""
    if gold is None or (isinstance(gold, float) and gold != gold):
        return None
    if isinstance(gold, bool):
        return ["yes" if gold else "no"]
    if isinstance(gold, (int, float)):
        return [repr(gold)]
    if isinstance(gold, (list, tuple)):
        several = [part for part in gold if part is not None and str(part).strip()]
    else:
        text = characters(str(gold)).strip()
        if not text:
            return None
        if len(text) > 20_000:
            return []
        if text in options:
            return [text]
        several = list_in_string(text) if config.gold_list == "any" or re.search(r"^\[\s*['\"]", text) else None
        if several is None and re.fullmatch(r"\[[^\[\]]*[^\W\d_]{3,}[^\[\]]*\]", text) and "\\" not in text:
            several = [part.strip() for part in text[1:-1].split(",")]  # ChartQA's [Slovenia, Turkey]
        if several is None:
            return _one_gold(text)
    if not several:
        return None
    if config.gold_list == "any":
        return [found for part in several for found in _one_gold(str(part))]
    parts = [found for part in several for found in _one_gold(str(part))]
    return [", ".join(part.strip("$ ") for part in parts)]


def _one_gold(text: str) -> list[str]:
    """A gold answer, taken out of a box or tag where it stands in one; nothing where it has two."""
    tagged = answer_tag(text)
    text = tagged if tagged is not None else text
    if "boxed" in text:
        found = extract(text, Question(several=True))
        texts = {box.text.strip() for box in boxes(text)[0]}
        if found.text:
            joined = all(inside in found.text for inside in texts)
            return [found.text] if joined or len(text) > 300 else []  # a whole solution may box its steps
        return []
    if len(text) > 300 or re.search(r"\b(?:final answer|answer is)\b", text):
        found = extract(text, Question())
        return [found.text] if found.text and found.rule in ("phrase", "bold", "maths") else [text[:MAX_ANSWER]]
    return [text]
