"""The verdict on an answer, and on a whole response."""

import re
from dataclasses import replace
from functools import partial
from typing import Any

from virgo_factory.answers.choice import ENDS_LETTERED, answered_options, gold_options, letter_of, letters_of
from virgo_factory.answers.equality import same
from virgo_factory.answers.extraction import extract
from virgo_factory.answers.grading import MATH, GradingConfig
from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Answer, Question, Verdict
from virgo_factory.answers.options import list_in_string, options_of
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose.phrases import MAX_ANSWER, MAX_GOLD, refuses, says_boolean
from virgo_factory.answers.prose.response import answer_tag, boxes
from virgo_factory.answers.values.latex import characters, tidy, unwrap
from virgo_factory.answers.values.numbers import read_number


_option = partial(Verdict.of, what="option", kind="choice")
_LARGEST = 10**4000
_NAME = r"(?:[^\W\d_]{3,}|(?:(?:[A-Z]|[DM]r|M[rs]s?)\. ?)+[^\W\d_]{3,})(?: [^\W\d_]{2,}| [A-Z]\.){0,4}"
_NAMED = re.compile(
    rf"(?!.*\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b)\[?{_NAME}(?:, {_NAME})*\]?",
    re.IGNORECASE,
)
_CHOOSES = re.compile(r"\b(?:options?|choices?|choose|select|following)\b|选|下列|以下", re.IGNORECASE)
"""A gold that is letters of options, and a question that tells several of them from a word or a figure's points."""
_LISTED = re.compile(r"[(\[]?[A-J][)\].:、]\s+\S")
_SIGNED = re.compile(r"[A-Z][#*]|[~¬][A-Za-z]")
"""A letter whose sign is part of it: a note, a star, a negation."""


def score(response: str, gold: Any, question: Question | None = None, config: GradingConfig = MATH) -> Verdict:
    """Return the verdict on a response: `judge` on what `extract` finds in it.

    >>> score("<think>6 * 7</think>So \\\\boxed{42.0}.", "42").verdict
    'correct'
    """
    question = question or Question()
    asked = question
    if question.kind is None and not options_of(question):
        is_huge = isinstance(gold, int) and abs(gold) >= _LARGEST
        if isinstance(gold, bool) or not is_huge and says_boolean(str(gold)[:20]):
            asked = replace(question, kind="boolean")
        elif isinstance(gold, str) and P.LETTERED.fullmatch(gold.strip()) and letters_of(gold, 10):
            if len(letters_of(gold, 10)) == 1 or _CHOOSES.search(question.text):
                asked = replace(question, kind="choice")
        elif isinstance(gold, str) and _NAMED.fullmatch(gold.strip()) and read_number(gold) is None:
            asked = replace(question, kind="text")  # numbers beside it are no answer
    return judge(extract(response, asked), gold, question, config)


def judge(answer: Answer | str, gold: Any, question: Question | None = None, config: GradingConfig = MATH) -> Verdict:
    r"""Return the verdict on an answer; the gold may be a text, a number, a list of several, or a string that spells a list.

    >>> judge(r"\frac{1}{2}", "0.5").verdict, judge("blue", "B", Question(options=("red", "blue"))).verdict
    ('correct', 'correct')
    """
    question = question or Question()
    if not isinstance(answer, Answer):
        answer = Answer("" if answer is None else str(answer)[: MAX_GOLD + 1], "given", "given")
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

    if len(answer.text) > MAX_ANSWER and not options and any(len(wanted) >= MAX_ANSWER for wanted in golds):
        said = characters(answer.text).split()
        is_same = any(said == characters(wanted).split() for wanted in golds)
        return Verdict(CORRECT, "same_text", kind) if is_same else Verdict(UNVERIFIABLE, "too_large", kind)

    verdicts = [_one(text, wanted, question, options, config) for wanted in golds]
    return min(verdicts, key=lambda verdict: (CORRECT, UNVERIFIABLE, WRONG).index(verdict.verdict))


def _one(text: str, gold: str, question: Question, options: tuple[str, ...], config: GradingConfig) -> Verdict:
    if _SIGNED.fullmatch(gold.strip()) and len(short := unwrap(text).strip(" $.")) <= 3:
        return Verdict.of(re.sub(r"\W*\s", "", short) == re.sub(r"\s", "", gold.strip()), "text", "text")
    if question.kind in (None, "choice"):
        if options:
            wanted = gold_options(gold, options, config)
            if wanted:
                return _choice(text, wanted, options, config)
            if wanted is None or question.kind == "choice":
                return Verdict(UNVERIFIABLE, "gold_unclear", "choice")
        elif (verdict := _lettered(text, gold, question, config)) is not None:
            return verdict
    return same(gold, text, question, config)


def _choice(text: str, wanted: tuple[frozenset[int], ...], options: tuple[str, ...], config: GradingConfig) -> Verdict:
    named = answered_options(text, options, config)
    if not named:
        return Verdict(WRONG, "not_an_option", "choice")
    accepted = frozenset().union(*wanted)
    if named in wanted or (len(wanted) > 1 and named <= accepted):
        return _option(True)
    if named & accepted and len(wanted[0]) == 1:
        return Verdict(UNVERIFIABLE, "two_options", "choice")
    return _option(False)


def _lettered(text: str, gold: str, question: Question, config: GradingConfig) -> Verdict | None:
    """The verdict where gold or answer is an option's letter and the options are not known; None where neither is."""
    wanted = letters_of(gold, 10) if re.search(r"[A-J]", gold) or question.kind == "choice" else None
    if wanted and len(wanted) > 1 and question.kind != "choice":
        return None
    if wanted and (ended := ENDS_LETTERED.fullmatch(text)):
        text = f"({ended[2]}) {ended[1]}".strip()
    got = letters_of(text, 10)
    formula = re.search(r"[\\=^+*]", tidy(text)) and not (wanted and _LISTED.match(text))
    letter, rest = letter_of(text, 10) or ("", "") if not formula else ("", "")
    if wanted:
        if got := got or frozenset(letter):
            two = len(wanted) == 1 < len(got) and wanted & got
            return Verdict(UNVERIFIABLE, "two_options", "choice") if two else _option(got == wanted)
        if refuses(text):
            return Verdict(WRONG, "no_answer", "choice")
        missing = question.kind == "choice" or not re.search(r"(?<![A-Za-z])[A-J](?![A-Za-z])", text)
        return Verdict(UNVERIFIABLE, "options_missing", "choice") if missing else None
    known = letter_of(gold, 10) if gold.strip() != text and re.match(r"\W{0,2}[A-J]", gold) else None
    if known and known[1]:
        if got or not rest:
            return _option(got == {known[0]}) if got else same(known[1], text, question, config)
        alike = same(known[1], rest, question, config).correct is True
        return _option(alike) if alike == (letter == known[0]) else Verdict(UNVERIFIABLE, "two_options", "choice")
    if got and question.kind == "choice":
        return Verdict(UNVERIFIABLE, "options_missing", "choice")
    return _option(True) if rest and same(gold, rest, question, config).correct else None


def _golds(gold: Any, options: tuple[str, ...], config: GradingConfig) -> list[str] | None:
    """The gold answers of which one has to be met: None where there is no gold, empty where it cannot be read."""
    if gold is None or (isinstance(gold, float) and gold != gold):
        return None
    if isinstance(gold, bool):
        return ["yes" if gold else "no"]
    if isinstance(gold, (int, float)):
        return [repr(gold)] if abs(gold) < _LARGEST else []  # Python writes no longer integers out
    if isinstance(gold, (list, tuple)):
        several = [part for part in gold if part is not None and str(part).strip()]
    else:
        text = characters(str(gold)).strip()
        if not text or len(text) > MAX_GOLD:
            return [] if text else None
        if text in options:
            return [text]
        several = list_in_string(text) if config.gold_list == "any" else None
        if several is None and re.fullmatch(r"\[[^\[\]\\]*[^\W\d_]{3,}[^\[\]\\]*\]", text):
            several = [part.strip() for part in text[1:-1].split(",")]  # ChartQA's [Slovenia, Turkey]
        if several is None:
            return _one_gold(text)
    parts = [found for part in several for found in _one_gold(str(part))]
    if not several or config.gold_list == "any":
        return parts if several else None
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
    return [text]
