"""What a question asks for, and what of a clause tells of that."""

import functools
import re

from virgo_factory.answers.model import Question
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose.phrases import MATHS, quantities
from virgo_factory.answers.values.latex import tidy, words
from virgo_factory.answers.values.numbers import read_number, told


SPLIT = re.compile(
    r"[;；，]\s*|(?<=[a-z]):\s(?=\d+ [a-z])|,?\s*\b(?:and|while|whereas|but|then)\b\s*|,\s+(?=[a-z]|\d[\d.]*%\s[a-z])|,(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff]),"
)
_LAST_SENTENCE = re.compile(r"[^.。!?？\n]*[.。!?？\s]*\Z")
_WORDED = re.compile(r"[^\W\d_]{2,}|[\u4e00-\u9fff]")
_PERIOD = re.compile(r"(?:from|between) (?:1[5-9]|20)\d\d (?:to|and) (?:1[5-9]|20)\d\d$")
_YEAR = re.compile(r"(?<![\d.$])(?<!\d,)(?:1[5-9]|20)\d\d(?![.,]?\d|%|(?<![\"“]\d{4})[\"”])")
_COUNTS = re.compile(
    r"\bhow many (?:of (?:the |these )?(?:\d+ )?)?((?:[a-z]+ ){1,3}?)(?:are|is|was|were|do|does|did|have|has|had|can|will|would|of|in|on|with|there|mention|show|contain|include|depict|feature|use|need|like|live|work|play|belong|[a-z]{2,}ed)\b|\bnumber of ([a-z]+)|(?:几|多少)([只个条张本人辆棵头种次件位名层块朵根颗支把间座台页岁天])",
    re.IGNORECASE,
)
_ASKS_YEAR = re.compile(r"\b(?:which|what) year\b|哪一?年", re.IGNORECASE)
_ASKS_CHANGE = re.compile(r"\b(?:how much|how many|by how|by what)\b", re.IGNORECASE)
_BY = re.compile(r"\bby (?:about |only )?(?=\W?\d)")
_OF_THINGS = re.compile(
    rf"(?<!of )(?<!of the )(?<!of all )\b((?:{P.NUMBER})(?: (?:hundred|thousand|[mbtr]+illion)\b)?)\s+"
    rf"(?:(?:out )?of (?:the |all |these |those )?(?:(?:{P.NUMBER})\s+)?)?(?=([a-z]+)(?:\s+([a-z]+))?)",
    re.IGNORECASE,
)
"""How many of what: its next two words."""
_TOTAL = re.compile(
    rf"\b(?=.*(?:in total|in all|altogether)\b)(?!.*\d.*\d.*(?:in total|in all|altogether)\b)({P.NUMBER})\b",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s*\([^()]*\)")
_FORMS = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(form))
    for asked, form in (
        (r"\bpercent|百分", "%|％|‰|per ?cent"),
        (r"\b(?:what|which) time\b|几点", r"\d:\d|\b[ap]\.?m\b|clock|[点时]"),
        (r"\bratio\b|之比", r"[:：]|\bto\b|frac|/"),
        (r"\bfraction\b", "/|frac"),
        (r"\b(?:what|which) date\b|\bthe date\b|\bdate (?:on|of|is|was)\b|日期", "[A-Z][a-z][a-z]|[/年月]|\\d-\\d"),
    )
)
"""What a question asks for, and what such a value holds."""
_SHORT = frozenset(
    "the and are was for how did does its has had who two what which that this one percent percentage".split()
)
_SPEAKS_OF = re.compile(r"^\W*the ((?:[a-z]+-)?[a-z]+(?: [a-z]+)?) (?:is|was|equals)\b", re.IGNORECASE)
_WHAT_OF = re.compile(r"\b(?:what|which) \w+ (?:is|are|was|were) the ((?:[a-z]+-)?[a-z]+(?: [a-z]+)?)")
_GENERAL = frozenset(
    "answer result value total sum number solution set interval difference product amount final correct quotient remainder ratio "
    "rate size measure".split()
)
_LED_TO = re.compile(r"\b(?:rose|fell|grew|drop\w*|increas\w*|decreas\w*|went up|went down|rise|fall)(\s+to\s+)\W?")
_OPPOSITES = tuple(
    tuple(map(re.compile, pair))
    for one, other in (
        (r"\b(?:start|began|begin|open|depart)", r"\b(?:end|finish|clos|arriv)"),
        (r"\b(?:eaten|sold|spent|gave|given|used|lost)\b", r"\b(?:left|remain\w*|still)\b"),
    )
    for pair in ((one, other), (other, one))
)
"""What a question asks for where a statement may tell of the other."""
_SOME_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")


def wants_several(question: Question) -> bool:
    """Whether a question asks for several answers, or is not known."""
    return _asks_several(question.text) if question.several is None else question.several


@functools.lru_cache(4)
def _asks_several(question: str) -> bool:
    text = question[-3_000:].strip()
    return not text or P.SEVERAL.search(text) is not None


def stems(text: str) -> set[str]:
    """The beginnings of the words of a text, and the pairs of its Chinese characters."""
    said = {word[:4] for word in words(tidy(text)).split() if len(word) > 2 and word not in _SHORT}
    return said | set(re.findall(r"(?=([\u4e00-\u9fff]{2}))", text))


@functools.lru_cache(4)
def _counted(question: str) -> re.Match[str] | None:
    return _COUNTS.search(question)


@functools.lru_cache(4)
def _known(question: str) -> frozenset:
    return frozenset(map(_what, quantities(question)))


@functools.lru_cache(128)
def _what(quantity: str):
    """A quantity to be compared: its value and unit, however it is spelled."""
    number = read_number(quantity)
    return quantity if number is None else (number.value, number.units or number.unit, number.marks)


def about(clause: str, question: str) -> str:
    """Return of a clause with several numbers the part that tells of what is asked: with most of its words, and fewest others."""
    parts = [part for part in SPLIT.split(clause) if _WORDED.search(part)] if len(quantities(clause)) > 1 else ()
    known = _known(question[-300:]) if len(parts) > 1 else ()
    parts = [
        part
        for part in parts
        if MATHS.search(part)
        or any(formed(value, question) and _what(value) not in known for value in quantities(part))
    ]
    if len(parts) < 2:
        return clause
    asked, last = stems(question[-300:]), stems(_LAST_SENTENCE.search(question[-300:])[0])
    marked = {word[:4].lower() for word in P.QUALIFIES.findall(question[-300:])}
    shared = []
    for part in parts:
        own = {word[:4].lower() for word in P.QUALIFIES.findall(part)}
        shared.append(
            len(asked & stems(part)) + len(last & stems(part)) + 2 * (len(marked & own) - len(own - asked - marked))
        )
    best = [part for part, score in zip(parts, shared, strict=True) if score == max(shared)]
    return best[0] if len(best) == 1 else clause


def sought(clause: str, question: str) -> str | None:
    """Return the number of a clause that the words of a question tell: of what it counts, a year, by how much something changed."""
    counted = _counted(question)
    if counted and (part := _part_of(clause, counted[1] or "") or _TOTAL.search(clause)):
        return part[1]
    measured = rf"(?<!第)(?:\d+\s?|{P.CHINESE_NUMERAL.pattern}){counted[3]}" if counted and counted[3] else ""
    whole = re.split("[,，]?(?:其中|包括)", clause)[0] if "其中" not in question else clause
    if measured and (whole != clause or not quantities(clause)) and (found := re.findall(measured, whole)):
        return found[-1]
    if asks_year(question):
        told_of = about(clause, question) if len(_YEAR.findall(clause)) > 1 else clause
        return next(iter(_YEAR.findall(told_of)), None)
    clause = about(clause, question)
    if _ASKS_CHANGE.search(question) and (by := _BY.search(clause)):
        return next(iter(quantities(clause[by.end() :])), None)
    several = counted and len(quantities(clause)) > 1
    if found := list(P.THERE.finditer(clause)) if not (several and with_noun(clause, question)) else []:
        there = found[-1]
        if there[1][0].isdigit():
            return quantities(clause[there.start(1) :])[0]
        return "0" if there[1].lower() == "no" else there[1]
    return with_noun(clause, question)


def number_in(clause: str, question: str) -> str | None:
    """Return the number of a clause that the question asks for: by its words, of its form, not one of its own; else the last."""
    if (said := sought(clause, question)) or asks_year(question):
        return said
    clause, asked = about(clause, question), _known(question[-300:])
    values = [value for value in quantities(_BRACKETS.sub("", clause)) if _what(value) not in asked] or quantities(
        clause
    )
    values = [value for value in values if not _PERIOD.match(value) and formed(value, question)] or values
    return values[-1] if values else None


def _part_of(clause: str, names: str) -> re.Match[str] | None:
    """Behind how many there are of a kind, the number of those that are as is asked: 2 in "5 cars, 2 of them red"."""
    rest = clause[there.end() :] if (there := P.THERE.search(clause)) else ""
    said, wanted = re.split(r"[,;:]| and ", rest, maxsplit=1)[0], names.split()[:-1]
    place = next((at for word in wanted if word not in said and (at := rest.find(f" {word}")) > 0), 0)
    return [None, *re.finditer(rf"\b({P.NUMBER})\b", rest[:place], re.IGNORECASE)][-1]


def with_noun(clause: str, question: str) -> str | None:
    """The number of a clause that stands with what a question counts: 3 in "3 of the 8 years"."""
    counted = _counted(question)
    if not counted or not (noun := counted[1] or counted[2]):
        return None
    names = tuple(name[:4].lower() for name in noun.split())
    said = [
        found[1] for found in _OF_THINGS.finditer(clause)
        if found[2].lower().startswith(names) or (found[3] or "").lower().startswith(names)
    ]  # fmt: skip
    return said[-1] if said else None


def formed(value: str, question: str) -> bool:
    """Whether a value has the form that a question asks for."""
    return all(form.search(value) for asked, form in _FORMS if asked.search(question))


def asks_year(question: str) -> bool:
    """Whether a question asks for a year."""
    return _ASKS_YEAR.search(question) is not None


def counts(question: str) -> bool:
    """Whether a question asks how many there are."""
    return _counted(question) is not None


_WHICH = re.compile(r"\b(?:which|what|who)\b", re.IGNORECASE)
_WORD = re.compile(r"[\w'’-]+")
_AUXILIARY = frozenset("is are was were has have had does did can will".split())
_OTHER_VERB = re.compile(r"[a-z]{3,}(?:s|ed)|won|got|came|went|took|made|wrote|grew|fell|rose")
_OPENS = re.compile(
    r"\b(?:not|never|whether|if|think|thought|neither|nor|than|or|would|might|wrong|of)\b|n['’]t\b", re.IGNORECASE
)
_LED = re.compile(
    r"^(?:.*[;:，]\s|(?:.*\b(?:is|are|was|were|has|have)\b.*|\W*(?:in|on|at|from|among|according|based|looking|unlike|with|while)\b.*),\s"
    r"|.*\b(?:so|thus|hence|therefore|that)\b)?(?:\W*(?:so|thus|hence|and|only)\b|\W*(?:in|by) (?:1[5-9]|20)\d\d\b)?[\W_]*",
    re.IGNORECASE,
)
"""What leads to a subject: another clause, a place or a year, "so"."""


def in_place(question: str, statement: str) -> str | None:
    """Return what a statement has in the place of the question's "which ...": three words of its predicate follow; None without one.

    >>> said = "In all, Porto and Lyon had the same population."
    >>> in_place("Which two cities had the same population?", said)
    'Porto and Lyon'
    """
    if not (wh := list(_WHICH.finditer(question := question[-300:]))):
        return None
    asked = [word.lower() for word in _WORD.findall(question[wh[-1].end() :])]
    if asked[:1] and asked[0] in _AUXILIARY and wh[-1][0].lower() == "what":
        return None  # "What is the sum?": its subject follows
    said = list(_WORD.finditer(statement))
    told = [word[0].lower() for word in said]
    first = next((place for place, word in enumerate(asked[:6]) if word in _AUXILIARY), None)
    others = (place for place, word in enumerate(asked[:6]) if _OTHER_VERB.fullmatch(word))
    for begins in others if first is None else (first,):
        run = asked[begins : begins + 3]
        place = next((at for at in range(1, len(told) - 2) if len(run) == 3 and told[at : at + 3] == run), None)
        if place is not None and not _OPENS.search(head := statement[: said[place].start()][-300:]):
            subject = re.sub(r"[*_\"]", "", _LED.sub("", head)).strip()
            told_of = {*_WORD.findall(subject.lower())} - {*asked, "the", "it", "this", "that", "there"}
            return subject if told_of and not _WHICH.fullmatch(subject) else None
    return None


_ASKS_LABEL = re.compile(r"\b(?i:label(?:l?ed)?|letter|part|point|marked(?: as)?|structure|layer) \(?([A-Z])\b")


_TOLD_OF = re.compile(
    r"(?<![A-Za-z])([A-Z])\)? (?:is|represents|shows|marks|points to) [^,;]+?(?=,|;| and [A-Z]\b|\W*$)"
)


def labelled(text: str, question: str) -> str:
    """Return what a text that tells of several labels says of the one that a question asks for; nothing without it."""
    label = _ASKS_LABEL.search(question)
    told = list(_TOLD_OF.finditer(text)) if label else []
    return next((one[0] for one in reversed(told) if one[1] == label[1]), "") if len(told) > 1 else ""


def on_subject(statement: str, question: str) -> str:
    """Return a statement without what it says, behind a semicolon, of another thing than the question names."""
    if question.lower().startswith("why") and " because " in statement:
        return statement.rpartition(" because ")[2]
    parts = statement.split("; ")
    subjects = (_SPEAKS_OF.match(part) for part in parts)
    kept = [
        part
        for part, named in zip(parts, subjects, strict=True)
        if not named or stems(named[1]) & stems(question[-300:])
    ]
    return "; ".join(kept) if kept else statement


@functools.lru_cache(4)
def _asked_of(question: str) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    return tuple((one, other) for one, other in _OPPOSITES if one.search(question) and not other.search(question))


def tells_of_another(statement: str, value: str, question: str) -> bool:
    """Return whether a statement tells of another thing, year or way than a question asks for, or where a change led to."""
    question = question[-1_000:]
    subject, wanted = _SPEAKS_OF.match(statement), P.ASKS_FOR.search(question)
    if subject and wanted:
        named, asked = (set(found[1].lower().split()) for found in (subject, wanted))
        told_of = set(re.findall(r"[a-z-]+", statement.lower()))
        of_it = (whose := _WHAT_OF.search(question.lower())) and f"{whose[1]} ".startswith(f"{subject[1].lower()} ")
        has_form = any(asks.search(question) and form.search(value) for asks, form in _FORMS)
        if not (_GENERAL & (named | asked) or asked & told_of or of_it or has_form):
            return True
    for one, other in _asked_of(question):
        if other.search(statement) and not one.search(statement):
            return True
    years, asked_years = (set(_SOME_YEAR.findall(text)) - {value} for text in (statement, question))
    if years and asked_years and not years & asked_years:
        return True
    led = _LED_TO.finditer(statement) if _ASKS_CHANGE.search(question) else ()
    if any(statement.startswith(value, to.end(way)) for to in led for way in (0, 1)):
        return True
    said, asked = ({way for axis, way in told(text)[0] if axis == "change"} for text in (statement, question))
    return bool(said and asked) and not said & asked
