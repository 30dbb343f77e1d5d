"""What a response that has no box says, read by its clauses: the last one that commits to a value."""

import re
from dataclasses import replace

from virgo_factory.answers.model import Answer, Question
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose import phrases
from virgo_factory.answers.prose.asked import (
    SPLIT,
    about,
    asks_year,
    counts,
    formed,
    in_place,
    number_in,
    sought,
    stems,
    tells_of_another,
    wants_several,
    with_noun,
)
from virgo_factory.answers.prose.clauses import ASIDE, CONCLUDES, clauses, committed, statements
from virgo_factory.answers.prose.phrases import BOLD, IS_ANSWER, MATHS, MAX_ANSWER, quantities
from virgo_factory.answers.values.dates import Moment
from virgo_factory.answers.values.latex import balanced, tidy, unwrap
from virgo_factory.answers.values.numbers import Number, read_number
from virgo_factory.answers.values.reading import SAID, Words, read
from virgo_factory.answers.values.sequences import Sequence, read_bound
from virgo_factory.answers.values.units import Unit, asked_units, read_unit


_PROSE = re.compile(
    r"(?<![\\\w{])(?!(?:and|all|from|than|greater|less|larger|smaller|more|equal)\b)(?:[^\W\d_\u4e00-\u9fff]{3,}|(?:at|in|on|is|so|by|of|we|it|as|an|if|be|up)\b)|[\u4e00-\u9fff]{2,}"
)
_MARKUP = re.compile(r"[₀-₉⁰¹²³⁴-⁹]|\\[A-Za-z]+|\{[A-Za-z]*matrix\}|sqrt|sin|cos|tan|log|ln")
_ITEM = r"[^\W\d_](?:[^\W\d_]|['’ -]){0,30}"
_NAMES = re.compile(rf"(?:{_ITEM}, )*{_ITEM}(?:,|,? and) {_ITEM}")
_EQUALS = re.compile(r"=(?!.*=)")
_AGAIN = re.compile(r"(?<![A-Za-z])([A-Za-z]) ?= ?[^=]{1,40}?(?:,|\band|\bor|[和或])\s?\1 ?=[^=]*$")
_MODULO, _CONGRUENT = re.compile(r"\bremainder\b|余数|余多少|余几"), re.compile(r"[^$]*?(?:≡|\\equiv(?![A-Za-z]))\s*")
_INDEX = re.compile(r"(\\(?:sum|prod))_\{[^{}]*\}")
"""What a sum runs over, whose sign of equality is none of its value."""
_WHERE = re.compile(r"\s+(?:at|when|for)\s+\$?[A-Za-z]\s*=[^=]*$")
_QUOTED = re.compile(
    r"[\"“「'`]([^\"“”「」`]{1,80})[\"”」'`]((?:(?<=[”」]),|\s|[一二三四五六七八九十]个?大?字)[^\"“”「」`]*)?"
)
_ROW = re.compile(r"^\s*\|.*\|\s*$|(?<!\{)(?<!\{ )\b\w+\s+\|\s+[\w-]")
_CONCLUDED = re.compile(
    r"\W*(?:so|thus|hence|therefore|in conclusion|in summary|overall)\b|所以|因此|综上", re.IGNORECASE
)
_BOUNDED = re.compile(r"\A[a-z] is (?=greater|larger|more|less|smaller)|[大小]于(?:或?等于)?|的?(?:全体|所有)?实数|且")
_HAS = re.compile(r":|(?<![\d%]\*\*) (?:is|are|was|were|equals)(?: [a-z]+)? \W?\d|\*{0,2}=")
"""What stands behind a name in bold whose value follows."""
_WOULD = re.compile(r"\bwould\b|\bif\b|若|如果", re.IGNORECASE)
_UNDONE = re.compile(r"(?:\bnot|n['’]t) (?!the\b|an?\b)([a-z]{3,})")
_LEADS = re.compile(r"\)?[*_]*:?[*_]*\s+")
_WHEN = frozenset(("between", "from", "over", "since", "during", "on", "at"))
_SUBJECT = re.compile(r"(?:It|They|He|She|This|[Tt]here|I|We)\b")
_FURTHER = re.compile(r"^\W*(?:It|They|He|She|There)\b|\b(?:also|as well|in addition|additionally)\b")
"""What a statement has that says more of what has been said."""
_FURTHER_SAID = re.compile(
    r"^((?:(?! (?:is|are|was|were|has|have) )[^\n])*?),? and (?:it|they|this|that|we|the [a-z]+)(?: [a-z]+)? (?:is|are|was|were|has|have|can|cannot|does|do|fits?|match(?:es)?|means|shows)\b.*$"
)
_LISTS = re.compile(
    r".*(?:\b(?:is(?= \w+ and \w+$)|are|were|shows?|includes?) |: )(?:those (?:of|for) )?(.*)", re.DOTALL
)
_LISTED = re.compile(r"(?:\A|[:：]\s*\n)((?:[ \t]*\d[.)][ \t]+[^\n]{1,40}(?:\n|\Z)){2,9})\s*\Z")
_EXPLAINED = re.compile(
    r"\s*([^\n]{1,60})\n\s*[*_#]*(?:Explanation|Reasoning|Justification|Rationale|Reason|解释|解析|理由)\b",
    re.IGNORECASE,
)
"""A first line that answers, and then says why."""
_LABEL = re.compile(r"[\s*_-]*([A-Za-z][\w '()-]{0,40}|[\u4e00-\u9fff]{1,12})[*_]*\s*[:：=]\s*[*_]*(?=\S)")


def has_prose(text: str) -> bool:
    """Whether a text has words that are no unit, function or name of a variable."""
    return _PROSE.search(_MARKUP.sub(" ", text)) is not None


def is_value(text: str) -> bool:
    """Return whether a text is a value as it stands: a number, a moment, a bound, values one after another, a formula."""
    if not text or len(text) > 300 or _SUBJECT.match(text):
        return False
    if read_bound(text, ""):
        return True
    said = read(text)
    if isinstance(said.what, Number):
        return SAID not in said.what.words and (" " not in said.name or not has_prose(said.name))
    if isinstance(said.what, Sequence) and said.what.held == "":
        names = [read(part).name for part in said.what.parts]
        recurs = any(
            name and name in part.partition("=")[2] for name, part in zip(names, said.what.parts, strict=True)
        )
        return len(names) > 1 and not recurs and all(map(_is_part, said.what.parts, names))
    return isinstance(said.what, Moment) or not isinstance(said.what, Words) and not has_prose(_BOUNDED.sub("", text))


def _is_part(text: str, name: str) -> bool:
    """Whether a text is one of several values: a number of what, or what has a name."""
    if name:
        return re.search("[A-Za-z\u4e00-\u9fff]", name) is not None and not has_prose(text)
    what = read(text).what
    if isinstance(what, Sequence):
        return what.held != "" and not has_prose(text)
    return isinstance(what, Number) and SAID not in what.words and len(text.split()) < 4 and "=" not in text


def value_of(clause: str, question: Question) -> str | None:
    """Return the value that a clause says its subject has: as it stands, read out, in bold, behind "is" or "=", in maths; None where it says none."""
    bold = in_bold(clause)
    whole = unwrap(IS_ANSWER.sub("", P.ASIDE.sub("", clause.replace("**", ""))))
    if whole.count("=") > 1 and "_{" in whole:
        whole = _INDEX.sub(r"\1", whole)
    if _MODULO.search(question.text) and (congruent := _CONGRUENT.match(whole)):
        whole = unwrap(whole[congruent.end() :])
    if is_value(whole):
        return whole
    if told := read_out(whole) or bold:
        return told
    if (
        question.text
        and wants_several(question)
        and len(parts := [part for part in SPLIT.split(whole) if part.strip()]) > 1
    ):
        values = [value_of(part, replace(question, several=False)) for part in parts]
        if all(values):
            return ", ".join(values)
    if (again := _AGAIN.search(whole)) and is_value(tail := whole[again.start() :]):
        return tail
    part = about(whole, question.text)
    for text in dict.fromkeys((whole, part)):
        for found in reversed(list(P.VALUE.finditer(text))[-4:]):
            tail = unwrap(text[found.end() :].lstrip())
            if found[0] in "=≈:：" or tail.count("{") != tail.count("}"):
                continue
            named = P.BESIDE_THAT.sub("", tail)
            named = named if _NAMES.fullmatch(named) and formed(named, question.text) and not quantities(text) else ""
            if (named or is_value(tail)) and (text == part or isinstance(read(named or tail).what, Sequence)):
                return named or tail
    found = list(MATHS.finditer(part))
    if len(found) > 1 and is_value(tail := unwrap(part[found[0].start() :])):
        return tail
    if found and not quantities(part[found[-1].end() :]):
        segment = unwrap(next(filter(None, found[-1].groups())))
        if re.search(r"[0-9\\]", segment) or is_value(segment):
            behind = tidy(part[found[-1].end() :])
            return f"{segment} {behind[: read_unit(behind)[1]]}".strip()
    equal = _EQUALS.search(part)
    led = equal and (has_prose(part[: equal.start()]) or part.count("=") > 1)
    if led and is_value(tail := unwrap(part[equal.end() :])):
        return tail
    return _at_end(part)


def _at_end(clause: str) -> str | None:
    """The value of several signs that a clause ends with, behind its last word: "we get [2, 5]"."""
    words = [*_PROSE.finditer(_MARKUP.sub(lambda found: "0" * len(found[0]), clause))]
    led = _LEADS.match(clause, words[-1].end()) if words and words[-1][0] not in _WHEN else None
    tail = unwrap(clause[led.end() :]) if led else ""
    number = quantities(clause)[-1:]
    if not tail or (tail,) == number or tail.split()[0] in _WHEN or number != quantities(tail)[-1:]:
        return None
    beside = tail[0] == "(" and read_number(tail.strip("()")) is not None
    torn = tail.endswith("=") or not balanced(tail, "([{", ")]}")
    summed = (
        words[-1][0] == "of" and isinstance(read(tail).what, Sequence) and not read(tail).what.held
    )  # "the sum of 3 and 4"
    return tail if not (beside or torn or summed) and is_value(tail) else None


def read_out(clause: str) -> str | None:
    """What a clause says is written somewhere, or quotes to its end."""
    says = [clause[told.end() :].strip(" .\n") for told in P.READS.finditer(clause)]
    if said := next((said for said in says if said[:1] in tuple("\"“「'`")), ""):
        quoted = _QUOTED.fullmatch(said)
        return quoted[1].strip(" .") if quoted and not P.VALUE.search((quoted[2] or "").partition(",")[0]) else None
    return unwrap(says[0]) if says and not re.search('["“「`]', says[0]) else None


def in_bold(clause: str) -> str | None:
    """The last bold part of a clause that is no heading."""
    bold = [
        unwrap(found[1])
        for found in BOLD.finditer(clause)
        if not found[1].endswith(":")
        and not _HAS.match(clause, found.end())
        and not (has_prose(found[1]) and P.VALUE.search(found[1]))
    ]
    return bold[-1] if bold else None


def tells(statement: str, question: str) -> bool:
    """Whether a statement may answer: it is no question, no beginning, no check and no word on what has been said."""
    asks = statement.rstrip(" *_").endswith(("?", "？"))
    if asks or "|" in statement and _ROW.search(statement) or P.CHECKS.search(statement):
        return False
    if P.BEGINS.match(statement) and len(committed(statement)) < 2:
        return False
    if not (phrases.supposed(statement) and phrases.supposed(P.ASIDE.sub("", statement))) or _WOULD.search(question):
        return True
    return len(committed(statement)) > 1


def denied(clause: str, value: str, question: str) -> bool:
    """Whether a clause takes its value back, makes another one of it, or tells of something else than the question asks for."""
    before, found, behind = clause.rpartition(value)
    other = found and (P.ANOTHER.search(before) or P.MADE_ANOTHER.match(behind))
    return bool(other) or tells_of_another(clause, value, question)


def _without_where(clause: str) -> str:
    """A clause without where its value holds: "20 m at t = 2 s"."""
    shorter = _WHERE.sub("", clause)
    return shorter if re.search(r"\d", shorter) else clause


def chosen(run: list[str], question: Question) -> str | None:
    """The value of one commitment: of what it states, unless what is said beside it fits the question better; empty where it is denied."""
    text, said = question.text, []
    for clause in run:
        clause = _without_where(clause)
        plain = not in_bold(clause) and not is_value(unwrap(clause))
        told = plain and sought(clause, text)
        if value := told or value_of(clause, question) or number_in(clause, text):
            said.append((clause, value))
    kept = [pair for pair in said if not denied(*pair, question.text)]
    if len(kept) < 2:
        return kept[0][1] if kept else "" if said else None
    units, asked = asked_units(question.text[-1_000:]), stems(question.text[-300:])

    first = read_number(kept[0][1].rpartition("=")[2])

    def fit(pair: tuple[str, str]) -> tuple:
        clause, value = pair
        units_of = [number.units for number in (first, read_number(value)) if number and number.units]
        return (
            bool(with_noun(clause, text)),
            formed(value, text),
            _has_unit(value, units),
            is_value(value),
            len(units_of) > 1 and units_of[0] != units_of[1] and not P.ABOUT.match(clause),
            len(asked & stems(clause)),
        )

    return max(kept, key=fit)[1]


def _has_unit(value: str, units: tuple[Unit, ...]) -> bool:
    """Whether a value is in one of some units."""
    number = read_number(value.rpartition("=")[2].replace("$", "")) if units else None
    return number is not None and not {*units}.isdisjoint(number.units)


def announced(said: str, question: Question) -> str:
    """Return the answer in what an announcement says: its value, else all of it without what is said beside it."""
    said = unwrap(said if wants_several(question) else _FURTHER_SAID.sub(r"\1", said))
    if question.kind == "text":
        return said
    kept = [_without_where(run[0]) for run in reversed(committed(said)) if run[0]] or [said]
    number = (
        question.kind in ("number", "count")
        or re.search("几|多少", question.text)
        and not wants_several(question)
        or len(quantities(said)) == 1
        and re.search(r"\b(?:is|are|was|were) [a-z]{3,} \W?\d", said)
    )
    value = (
        " out of " in kept[0]
        and with_noun(kept[0], question.text)
        or value_of(kept[0], question)
        or number
        and number_in(kept[0], question.text)
    )
    return value or unwrap(P.ASIDE.sub("", kept[0]))


def stands_alone(text: str, question: Question) -> bool:
    """Whether a response is nothing but its answer: maths or values without a sentence, or a few words."""
    text, told = unwrap(text), statements(text)
    if not text or len(text) > 300 or has_prose(text) and len(told) > 1:
        return False
    if len(told) > 1 and (text[0] in "\\([{" or isinstance(read(text).what, Sequence)) and is_value(text):
        return True
    if text[0] in "$\\" or MATHS.search(text):
        if any(one.role == CONCLUDES for one in clauses(text)[1:]):
            return False
        return text[0] in "$\\" and len(_PROSE.findall(_MARKUP.sub(" ", text))) <= 2
    short = len(text.split()) <= 4 and len(text) < (50 if text.isascii() else 12)
    bare = not has_prose(text) and not (text.count("=") > 2 and "," in text and not is_value(text))
    sentence = P.VALUE.search(text) or P.READS.search(text) or _SUBJECT.match(text)
    return "\n" not in text and not counts(question.text) and (bare or short and not sentence)


def listed_in(text: str) -> list[str]:
    """The items of a numbered list of short names that a text is, or ends with."""
    found = _LISTED.search(text) if text.rstrip().rpartition("\n")[2].lstrip()[:1].isdigit() else None
    items = [re.sub(r"^\s*\d[.)]\s*", "", line).strip(" .") for line in found[1].strip().split("\n")] if found else []
    return items


def telling(text: str, question: Question) -> list[str]:
    """Return the statements of a response up to the last that may answer: the one under a name that is asked for, or with a value in bold."""
    told = [part for part in statements(text) if tells(part, question.text)]
    spoken = [
        first
        for part in statements(text)[-2:]
        if (first := part.partition(";")[0]) != part and tells(first, question.text)
    ]
    told += [first for first in spoken if not any(part.startswith(first) for part in told)]
    real = "would" in question.text
    while len(told) > 1 and (
        P.ELABORATES.match(told[-1])
        or not real
        and "would" in told[-1]
        and re.search(r"\bwould\b", P.ASIDE.sub("", told[-1]))
    ):
        first, would, _ = told.pop().partition(";")
        told += [first] if would and "would" not in first and not P.ELABORATES.match(first) else []
    asked = stems(question.text[-300:])
    while question.kind == "text" and len(told) > 1 and (_FURTHER.search(told[-1]) or not stems(told[-1]) & asked):
        if len(stems(told[-1]) & asked) >= len(stems(told[-2]) & asked):
            break
        told.pop()
    labels = [found if (found := _LABEL.match(part)) and len(found[1].split()) < 6 else None for part in told]
    named = [len(stems(found[1]) & asked) if found else 0 for found in labels]
    if named and labels[-1] and named[-1] < max(named) and not _CONCLUDED.match(told[-1]):
        return told[: named.index(max(named)) + 1]
    bold = [
        place
        for place, part in enumerate(told)
        if (said := in_bold(part)) and (re.search(r"\d", said) and is_value(said) or question.kind == "text")
    ]
    shared = [len(stems(told[place]) & asked) for place in (-1, bold[-1])] if bold else (0, 0)
    later = shared[0] > shared[1] and quantities(told[-1]) or question.kind == "text" and shared[0] >= shared[1]
    return told[: bold[-1] + 1] if bold and not later else told


def last_said(text: str, question: Question, where: str) -> Answer:
    """Return the value that a response says, in its last clause that commits to one."""
    text = text[-4_000:]
    if (led := _EXPLAINED.match(text)) and stands_alone(led[1], question):
        text = led[1]
    if stands_alone(text, question):
        return Answer(unwrap(text), "whole", where)
    told = telling(text, question)
    if not told:
        return Answer("", "none", where)
    if (named := in_place(question.text, told[-1])) and len(named.split()) <= 6:
        return Answer(named, "whole", where)
    if question.kind in ("text", "boolean") or question.kind == "date" and not asks_year(question.text):
        plain = IS_ANSWER.sub("", P.CONTRAST.sub("", told[-1]).replace("**", ""))
        listed = filter(None, (_LISTS.fullmatch(run[0]) for run in committed(plain)))
        named = (P.BESIDE_THAT.sub("", found[1]) for found in listed)
        said = in_bold(told[-1]) or read_out(plain) or next(filter(_NAMES.fullmatch, named), unwrap(plain))
        return Answer(said[:MAX_ANSWER], "whole", where)
    if undone := _UNDONE.search(question.text):  # "the probability that it is not green is 1/2"
        told = [re.sub(rf"(?: is| are| was| were)?(?: not|n['’]t) (?={undone[1]}\b)", " un", part) for part in told]
    asked = P.NAME.search(question.text[-1_000:])
    for statement in reversed(told[-1:] if P.HEADED.search(text) else told):
        runs = committed(statement)
        if asked:  # "x = 12, so the other side is 24"
            runs.sort(key=lambda run: not re.search(rf"(?<![A-Za-z]){asked[1]}\s*=", run[0]))
        values = [value for run in runs if (value := chosen(run, question)) is not None]
        values = values or [
            value
            for one in clauses(statement)
            if one.role == ASIDE and len(stems(one.text) & stems(question.text[-300:])) > 1
            if (value := number_in(one.text, question.text))
        ]
        units = asked_units(question.text[-1_000:]) if len(values) > 1 else ()
        values.sort(key=lambda value: not _has_unit(value, units))
        if values:
            bare = values[0].replace("\\$", "")
            torn = bare.count("{") != bare.count("}") or "\\" in bare and bare.count("$") % 2 == 1
            torn = torn or P.DANGLES.search(text[-300:])
            unsaid = torn or any(map(phrases.refuses, told[-4:]))
            rule = "bold" if f"**{values[0]}" in statement else "number"
            return Answer("", "none", where) if unsaid else Answer(values[0], rule, where)
        if _CONCLUDED.match(statement):
            break
    last = next(iter(committed(IS_ANSWER.sub("", told[-1]))), [""])[0]
    return Answer(unwrap(last)[:MAX_ANSWER], "whole", where)
