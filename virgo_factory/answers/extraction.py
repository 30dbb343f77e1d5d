"""From a response to the answer it gives: after the thought, by the first rule that finds something."""

import re
from dataclasses import replace

from virgo_factory.answers.choice import STATED, choose, claimed, restated
from virgo_factory.answers.model import Answer, Question
from virgo_factory.answers.options import LETTERS, options_of
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose import phrases
from virgo_factory.answers.prose.asked import clause_asked, tells_of_another, value_of_asked
from virgo_factory.answers.prose.phrases import (
    MAX_ANSWER,
    affirmed,
    numerals,
    said_answer,
    said_boolean,
    tighten,
)
from virgo_factory.answers.prose.response import answer_tag, boxes, parts
from virgo_factory.answers.values.latex import tidy, unwrap, words
from virgo_factory.answers.values.numbers import read_number
from virgo_factory.answers.values.reading import value_side
from virgo_factory.answers.values.sequences import read_bound, read_sequence
from virgo_factory.answers.values.units import read_unit
from virgo_factory.core.thought import BEGIN_SOLUTION, END_SOLUTION, END_THOUGHT


_TAIL = 60_000
"""Rules weaker than a box look only at so many last characters."""
_END = 300
"""In a response that was cut off, a phrase counts only within so many last characters."""
_LONG = 2_000
"""A response longer than this that stops inside a sentence was cut off by a token limit."""
_WEAK = frozenset(("whole", "bold", "maths", "number", "option", "none", "cut"))
_SUMMED = re.compile(r"\b(?:total|sum|altogether|so|therefore|thus|hence|plus|minus|leaves?|left(?= with| over|\W*$))\b|[+=×]", re.IGNORECASE)  # fmt: skip
_COUNTED = re.compile(r"\bhow many\b|\bnumber of\b|多少|几", re.IGNORECASE)
_TOTAL = re.compile(
    rf"\btotal of ({P.NUMBER})\b|\b({P.NUMBER})(?: [a-z]+)? (?:in total|in all|altogether)\b",
    re.IGNORECASE,
)
_OF_THEM = re.compile(rf"\W*({P.NUMBER})\s+of\s+(?:them|these|those|which)\b", re.IGNORECASE)
_ASKS_WHICH = re.compile(r"\b(?:which|what) (?:year|number|month|one|row|page|day)\b|\bwhen\b", re.IGNORECASE)
_ASKS_YEAR = re.compile(r"\b(?:which|what) year\b|哪一?年", re.IGNORECASE)
_A_YEAR = re.compile(r"(?<![\d.$])(?<!\d,)(?:1[5-9]|20)\d\d(?![\d.,]*\d|%)")


def extract(response: str, question: Question | None = None) -> Answer:
    r"""Return the answer that a response gives, with the rule that found it and the part it stands in.

    Linear in the response's length. What follows the thought is looked at; the thought only where nothing follows.

    >>> extract(r"<think>\boxed{1}?</think> So it is \boxed{\frac{1}{2}}.")
    Answer(text='\\frac{1}{2}', rule='box', where='solution')
    >>> extract("The answer is (B).", Question("Which? (A) red (B) blue")).text
    'B'
    """
    if not isinstance(response, str):
        return Answer("", "none", "response")
    question = question or Question()
    options = options_of(question)
    part, ended = parts(response)
    text, where = part.text.replace("\x00", ""), part.where
    if not text.strip():
        return Answer("", "none", where)

    behind = text.lower().rfind("</answer>")
    boxed_behind = behind >= 0 and boxes(text[behind:])[0]
    if not boxed_behind and (tagged := answer_tag(text)) is not None:
        if inner := _from_box(tagged, question, options, "answer_tag"):
            return inner
        short = unwrap(tagged.strip())
        inner = _from_text(tagged, question, options, "answer_tag") if len(short) > 40 else Answer("", "none", "")
        kept = inner.rule != "none" or len(short) > MAX_ANSWER
        return inner if kept else Answer(short, "answer_tag", "answer_tag")

    found = _from_box(text, question, options, where)
    if P.UNDONE.search(text[-100:]) or found and where == "thought" and not ended and _is_revised(text):
        return Answer("", "cut", where)
    if found is None:
        text = phrases.without_courtesy(text)
        if (where == "thought" and not ended) or _is_cut(text):
            # Numbers and phrases on the way are not the answer; only what the end says, if anything, is.
            found = _from_text(text[-_END:], question, options, where)
            return found if found.rule == "phrase" else Answer("", "cut", where)
        found = _from_text(text[-_TAIL:], question, options, where)
        if found.rule in ("option", "letter", "number", "maths") and (
            len(text.split()) > 3
            and P.DANGLES.search(text)
            and not re.search(r"(?:\banswer is|:) a\W*\Z", text, re.IGNORECASE)
            or phrases.refuses_at_end(text)
            and not phrases.refuses(found.text)
        ):
            return Answer("", "none", where)
    if where == "solution" and found.rule in _WEAK and BEGIN_SOLUTION in response and END_SOLUTION not in response:
        # The solution was cut off before it came to an answer: the thought is all there is.
        concluded = _from_box(response.partition(END_THOUGHT)[0], question, options, "thought")
        if concluded is not None and concluded.text:
            return concluded
    return found


def _is_revised(text: str) -> bool:
    """Whether a thought that does not end begins another attempt behind its last box."""
    last = boxes(text)[0]
    return bool(last) and P.REVISED.search(text, last[-1].end) is not None


def wants_several(question: Question) -> bool | None:
    """Return whether a question asks for several answers; None where there is no question to ask."""
    if question.several is not None:
        return question.several
    return bool(P.SEVERAL.search(question.text[-3_000:])) if question.text.strip() else None


def _from_box(text: str, question: Question, options: tuple[str, ...], where: str) -> Answer | None:
    found, cut = boxes(text)
    if cut is not None and (not found or found[-1].end < cut):
        if not found:
            return Answer("", "cut", where)
    found = [box for box in found if box.text.strip()]
    if not found:
        return None
    last = [found[-1]]
    if len(found) > 1 and wants_several(question) is not False:
        for box in reversed(found[:-1]):
            if len(last) >= 50 or not P.BETWEEN_BOXES.fullmatch(text, box.end, last[0].start):
                break
            last.insert(0, box)
    if (later := _said_after(text[found[-1].end :][-_TAIL:], options)) is not None:
        return Answer(later, "phrase", where)
    inside = [unwrap(box.text) for box in last]
    return Answer(", ".join(inside[:1] if len(set(inside)) == 1 else inside)[:MAX_ANSWER], "box", where)


def _is_cut(text: str) -> bool:
    """Whether a long text stops inside a sentence."""
    return len(text) > _LONG and text.rstrip()[-1:] not in set(".!?。)]}$*`|>\"'…:")


def _said_after(text: str, options: tuple[str, ...]) -> str | None:
    """The answer said in so many words after the last box, which it overrules; None without one."""
    if not text.strip():
        return None
    if options:
        claim = claimed(text, count := min(len(options), 26))
        return claim[0] if claim and claim[1] == STATED and claim[0][0] in LETTERS[:count] else None
    found = list(phrases.FINAL.finditer(text))
    said = tighten(phrases.sentence(text, found[-1].end()), Question()) if found else ""
    return said if said and read_number(said) is not None else None


def _from_text(text: str, question: Question, options: tuple[str, ...], where: str) -> Answer:
    if options or question.kind == "choice":
        chosen = choose(text, options, where, question)
        if options or chosen.text:
            return chosen
        question = replace(question, kind=None)

    if (items := _NUMBERED.search(text)) and len(items[1].split()) < 6 * items[1].count("\n") + 6:
        lines = [re.sub(r"^\s*\d[.)]\s*", "", line) for line in items[1].strip().split("\n")]
        if not any(re.search(r"[.=:]", line.rstrip(".")) for line in lines):
            return Answer(", ".join(line.strip(" .") for line in lines), "whole", where)
    said = said_answer(text, question.text)
    if question.kind == "boolean":
        for told in (said_boolean(said) if said else None, said_boolean(text), restated(question.text, text)):
            if told is not None:
                return Answer("yes" if told else "no", "phrase", where)
    if said:
        named = value_of_asked(said, question.text) if " so " in said else None
        return Answer(named or tighten(said, question), "phrase", where)
    if year := _year_asked(text, question.text):
        return Answer(year, "number", where)
    whole = unwrap(affirmed(text, asides=False)) if len(text) <= 600 else unwrap(text)
    last = phrases.CONCEDED.sub("", next(reversed(phrases.sentences(whole[-600:])), ""))
    if len(last) <= 150 and (value := _computed(last)):
        return Answer(value, "whole", where)
    if (
        len(whole) <= 300
        and (got := P.SOLVED.search(whole))
        and not re.search(r"[\u4e00-\u9fff](?<![且或和])", got[1])
    ):
        return Answer(unwrap(got[1]), "whole", where)
    if len(whole) <= 300 and (got := P.NAMED_VALUES.search(whole)):
        return Answer(got[1], "whole", where)
    if len(last) <= 150 and (got := _SO.search(last)) and _concludes(unwrap(got[1])):
        return Answer(unwrap(got[1]), "whole", where)
    if len(last) <= 150 and (got := _LISTING.search(last)) and not re.search(P.NOT, got[1]):
        return Answer(got[2], "whole", where)
    if (
        len(whole) <= 300
        and re.search(r"[\u4e00-\u9fff].*\d", whole)
        and (value := phrases.value_in(last))
        and not phrases.relates(last, value)
    ):
        cut = P.DANGLES.search(whole)
        return Answer("", "cut", where) if cut else Answer(value, "number", where)
    if len(whole) <= 150 and (bound := P.BOUNDED.search(last)):
        return Answer(bound[1] or bound[2], "whole", where)
    if len(whole) <= 150 and _is_list(whole):
        return Answer(whole, "whole", where)
    *others, line = whole.rpartition("\n")
    if others[1] and "=" in line and len(line) <= 40 and "\\begin" not in whole:
        whole = unwrap(line)
    for part in dict.fromkeys((whole, *phrases.sentences(text[-600:])[-1:])):
        if len(part) <= 150 and (said := P.QUOTED.search(part.strip())):
            return Answer(unwrap(next(filter(None, said.groups()))), "whole", where)
    short = unwrap(P.REMARK.sub("", whole)) if len(whole) <= 300 else whole
    whole = short if short != whole and read_number(short) is not None else whole
    if len(whole) <= 300 and (
        read_number(whole) is not None or read_bound(whole, "") or (_is_answer(whole) and not P.THERE.search(whole))
    ):
        return Answer(whole, "whole", where)
    return _weaker(text, question, where)


def _year_asked(text: str, question: str) -> str | None:
    """The only year of the last statement, where the question asks for one."""
    if not _ASKS_YEAR.search(question[-300:]):
        return None
    last = next(reversed(phrases.sentences(text[-600:])), "")
    years = set(_A_YEAR.findall(last))
    return year if len(years) == 1 and not phrases.relates(last, year := years.pop()) else None


_COMPUTED = re.compile(
    r"(?:=[^=,;A-Za-z]*|\w[ $]*(?:[-+*/×÷−·][^=,;A-Za-z]*|\)+[ $]*))(?<![<>!])=[\s*$]*"
    r"([^=,;A-Za-z\u4e00-\u9fff]*\d[^=,;A-Za-z\u4e00-\u9fff]*?)[.\s$*]*$"
)
"""What a computation at the end comes to."""
_CHECKS = re.compile(r"\b(?:check|verif|indeed)|✓|检验|验证|验算", re.IGNORECASE)


def _computed(statement: str) -> str | None:
    """What a statement computes; nothing of an equation, or where it only checks."""
    found = _COMPUTED.search(statement)
    if not found or _CHECKS.search(statement):
        return None
    side = re.split(r"[=,;:]|[A-Za-z]{2,}", statement[: found.start(1)].rstrip(" =*$"))[-1]
    if re.search("[A-Za-z](?![(])", side):
        return None
    aside = found[1].count(")") > found[1].count("(")
    return unwrap(found[1].rstrip(")") if aside else found[1])


_SO = re.compile(r"[,;:]\s*(?:so|thus|hence|therefore|that is|i\.e\.|which is),?\s+(.+?)[.\s]*$")
"""What a statement concludes, in values only."""


def _concludes(text: str) -> bool:
    """Whether a clause is nothing but values: assignments, bounds, a number with its sign, names one after another."""
    found = read_sequence(text)
    names = found and found.held == "" and len(found.parts) > 2
    named = bool(names) and all(re.fullmatch(r"[A-Z]\w*", part) for part in found.parts)
    ratio = bool(found) and found.held == ":"
    share = re.fullmatch(rf"{P.NUMBER}(?: ?/ ?{P.NUMBER}| ?\\?%)", text)
    return named or ratio or _is_list(text) or bool(found and found.name) or share is not None


_ITEM = r"[^\W\d][\w'’ -]{0,30}"
_LISTING = re.compile(
    rf"^((?:[A-Z][^\d,]*, )?[^\d,]*)\b(?:(?:are|shows?|includes?):? (?=.* and )|is: )((?:{_ITEM}, )*{_ITEM}(?:,|,? and) {_ITEM})\W*$"
)
"""What a statement lists in words."""
_NUMBERED = re.compile(r"(?:\A|[:：]\s*\n)((?:[ \t]*\d[.)][ \t]+[^\n]{1,40}(?:\n|\Z)){2,9})\s*\Z")


def _is_list(text: str) -> bool:
    """Whether a short text is nothing but values: assignments, numbers with what they count, steps."""
    found = None if re.search(r"(?<!\d)[.:] |\bso\b", text) else read_sequence(text)
    if not found or found.held == "1":
        return found is not None and re.match(r"\(?1[.)][^\n]*\Z", text) is not None
    values = (value_side(part) or read_number(part) for part in found.parts)
    return found.held == "" and len(found.parts) > 1 and all(values)


def _is_answer(text: str) -> bool:
    """Whether a short text is an answer as it stands: a formula, or a few words."""
    if "**" in text or re.search(r"\d.*\b(?:is|are|was|were)\b|\b(?:is|are|was|were)\b.*\d", text):
        return False
    prose = len(re.findall(r"(?<![\\\w])[^\W\d_]{3,}", re.sub(r"\\[A-Za-z]+|\{[A-Za-z]*matrix\}", " ", text)))
    if re.search(r"[\d\\$=^<>]", text):
        return prose == 0 or (prose <= 2 and (len(text.split()) <= 3 or text[0] in "$\\0123456789"))
    return prose <= 4


def _weaker(text: str, question: Question, where: str) -> Answer:
    """No box and no phrase: the last bold part, the first or last sentence's value, the last maths, the last number."""
    numeric = question.kind in (None, "number", "count")
    text = text[-4_000:]
    lines = [line for line in text.strip().splitlines() if line.strip()]
    last = affirmed(lines[-1], asides=False) if lines else ""
    if numeric and len(lines) > 1 and len(last) <= 40 and read_number(unwrap(last)) is not None:
        return Answer(unwrap(last), "number", where)
    bold = [
        found[1] for found in phrases.BOLD.finditer(text)
        if not found[1].rstrip().endswith(":") and not re.search(r"(?m)^[ \t]*\d{1,2}[.)][ \t]*\Z", text[max(0, found.start() - 12) : found.start()])
    ]  # fmt: skip
    if bold and (not numeric or re.search(r"\d", bold[-1]) or text.rstrip(" .!。\n").endswith(f"**{bold[-1]}**")):
        tight = tighten(bold[-1], question)
        if read_number(tight) is not None or question.kind != "number":
            return Answer(tight, "bold", where)
    if question.kind in ("text", "boolean", "date"):
        return Answer(unwrap(last)[:MAX_ANSWER], "whole", where)
    counts = question.kind in ("number", "count") or _COUNTED.search(question.text[-1_000:])
    if counts and (total := _TOTAL.search(last)):
        return Answer(total[1] or total[2], "number", where)
    asks = re.search(r"\bwould\b|\bif\b|若|如果", question.text[-1_000:]) is not None
    told = [affirmed(part, asides=False) for part in phrases.sentences(text) if asks or not phrases.supposed(part)]
    if numeric and len(text) <= 600 and told and (first := _answered_first(told, question)):
        return Answer(first, "number", where)
    if numeric and (value := value_of_asked(text, question.text)):
        return Answer(value, "number", where)
    stated = phrases.states(text)
    last = text.strip() if text.rstrip().endswith(("\\]", "$$")) and "\n" in text.strip() else last
    found = list(phrases.MATHS.finditer(last))
    segments = [next(filter(None, match.groups())) for match in found]
    if segments and (stated or re.search(r"[0-9\\]", segments[-1])) and not numerals(last[found[-1].end() :]):
        segment = segments[-1].split(r"\implies")[-1].split(r"\Rightarrow")[-1]
        behind = tidy(last[found[-1].end() :])
        unit = behind[: read_unit(behind)[1]]
        return Answer(f"{unwrap(segment)} {unit}".strip(), "maths", where)
    asked = set(numerals(question.text[-300:]))
    for part in reversed(() if stated else told):
        statement, part = part, clause_asked(part, question.text)
        found = phrases.quantities(part)
        found = [value for value in found if value not in asked] or found
        if value := (told[-1].endswith(part) and phrases.value_in(part)) or next(reversed(found), None):
            denied = (
                phrases.relates(statement, value)
                and " not " not in question.text
                or tells_of_another(statement, value, question.text)
            )
            open_ = any(map(phrases.refuses, told[-4:])) or P.DANGLES.search(text)
            return Answer("", "none", where) if denied or open_ else Answer(value, "number", where)
    return Answer(unwrap(last)[:MAX_ANSWER], "whole", where) if last else Answer("", "none", where)


def _answered_first(told: list[str], question: Question) -> str | None:
    """The number that the first of several sentences answers with: "There are 4. They are at 25 and 31.", "2016 had the largest gap, 5.2."."""
    asked = question.text[-1_000:]
    there = P.THERE.match(told[0].strip())
    known = {word for word in words(asked[-300:]).split() if len(word) > 2}
    parts = [part for part in told[1:] if (found := _OF_THEM.match(part)) and found[1]]
    if parts and len(known & set(words(parts[-1]).split())) >= len(known & set(words(told[0]).split())):
        return _OF_THEM.match(parts[-1])[1]
    counted = question.kind == "count" or _COUNTED.search(asked)
    if (counted or not asked) and not _SUMMED.search(" ".join(told)):
        if there and (len(told) > 1 or counted):
            return phrases.counted(told[0].strip(), there.start(1), there[1])
        if counted and re.match(
            rf"\W*(?:{P.NUMBER})\s+(?!more than|less than|fewer than)[a-z]", told[0], re.IGNORECASE
        ):
            return unwrap(told[0]).split()[0]
    subject = P.SUBJECT.match(told[0])
    return subject[1] if subject and _ASKS_WHICH.search(asked) else None
