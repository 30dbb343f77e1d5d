"""What a question asks for, and whether a statement tells of that or of something else."""

import re

from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose.phrases import quantities
from virgo_factory.answers.values.latex import unwrap, words
from virgo_factory.answers.values.numbers import read_number, told


_SPEAKS_OF = re.compile(r"^\W*the ((?:[a-z]+-)?[a-z]+(?: [a-z]+)?) (?:is|was|equals)\b", re.IGNORECASE)
_GENERAL = frozenset(
    "answer result value total sum number solution difference product amount final correct quotient remainder ratio "
    "rate".split()
)
_HOW_MUCH = re.compile(r"\b(?:how much|how many|by how|by what)\b", re.IGNORECASE)
_LED_TO = r"\b(?:rose|fell|grew|drop\w*|increas\w*|decreas\w*|went up|went down|rise|fall)\s+to\s+\W?"
_BY = re.compile(r"\bby (?:about |only )?(?=\W?\d)")
_CONVERTED = re.compile(r"\d[^,]*,\s+(?:which (?:is|equals)|that is|i\.e\.|or) (?:about |equal to )?(\d[^,]*)$")
_OPPOSITES = (
    (r"\b(?:start|began|begin|open|depart)", r"\b(?:end|finish|clos|arriv)"),
    (r"\b(?:eaten|sold|spent|gave|given|used|lost)\b", r"\b(?:left|remain\w*|still)\b"),
)
"""What a statement tells of where the question asks for the other."""
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_CLAUSES = re.compile(r"[;；，]\s*|,?\s*\b(?:and|while|whereas|but|then)\b\s*|,\s+(?=[a-z])")
_SHORT = frozenset("the and are was for how did does its has had who two".split())
_ELSEWHERE = re.compile(r"\b(?:next to|beside|behind|(?:an)?other|opposite|instead)\b")


def value_of_asked(text: str, question: str) -> str | None:
    """Return the value of the name that a question asks for ("find x"), where a text assigns it one number only.

    >>> value_of_asked("Thus x = 24. We check that 24/8 = 3.", "Find x.")
    '24'
    """
    if not (asked := P.NAME.search(question[-1_000:])):
        return None
    end = r"(?=[,;，。\n]|\.(?!\d)|\s+(?:so|and|because|which)\b|$)"
    start = rf"(?<![\w(])(?<![Cc]ase )(?<![Ll]et )(?<![Ii]f ){asked[1]}\s*=\s*\$?\s*"
    found = re.findall(rf"{start}([^,;=，。\n]{{1,40}}?)\$?{end}", text)
    values = {value for part in found if read_number(value := unwrap(part.replace("$", ""))) is not None}
    return values.pop() if len(values) == 1 else None


def clause_asked(statement: str, question: str) -> str:
    """Return of a statement with several numbers the clause that tells of what is asked: behind "by", or by its words.

    >>> clause_asked("The mean is 6.5, while the median is 7", "What is the mean?")
    'The mean is 6.5'
    """
    if P.GENERALLY.search(statement):  # "Usually it is 8, but here it is 5"
        statement = re.split(r",?\s+but\s+", statement)[-1]
    if (by := _BY.search(statement)) and _HOW_MUCH.search(question[-300:]):
        return re.split(r"\b(?:from|over|in|to|since)\b|, ", statement[by.end() :])[0]
    if P.WORKED_OUT.search(statement):
        return statement
    plain, converted = P.BESIDE.sub("", statement), _CONVERTED.search(statement)
    if converted and (number := read_number(converted[1].strip(" ."))) and number.units:
        return converted[1]  # "0.25 kg, which is 250 g"
    statement = plain if re.search(r"\d", plain) else statement
    clauses = [part for part in _CLAUSES.split(statement) if quantities(part)]
    clauses = [part for part in clauses if re.search(r"[^\W\d_]{3,}|[\u4e00-\u9fff]", part)]
    if len(clauses) < 2:
        return statement
    if re.match(r"(?:so|hence|thus|therefore)\b", clauses[-1]):
        return clauses[-1]
    times = {word.lower() for word in P.WHEN.findall(question[-300:])}
    then = [part for part in clauses if times & {word.lower() for word in P.WHEN.findall(part)}]
    if len(then) == 1:
        return then[0]
    asked = {word[:4] for word in words(question[-300:]).split() if len(word) > 2 and word not in _SHORT}
    shared = [len(asked & {word[:4] for word in words(part).split()}) for part in clauses]
    best = max(shared)
    clause = clauses[shared.index(best)]
    return clause if shared[-1] < best and shared.count(best) == 1 and not _ELSEWHERE.search(clause) else statement


def tells_of_another(statement: str, value: str, question: str) -> bool:
    """Return whether a statement tells of another thing, year or way than a question asks for, or where a change led to."""
    question = question[-1_000:]
    subject, wanted = _SPEAKS_OF.match(statement), P.ASKS_FOR.search(question)
    if subject and wanted:
        named, asked = (set(found[1].lower().split()) for found in (subject, wanted))
        known, told_of = (set(re.findall(r"[a-z-]+", text.lower())) for text in (question, statement))
        if not (_GENERAL & (named | asked) or known & named or asked & told_of):
            return True
    for pair in _OPPOSITES:
        for one, other in (pair, pair[::-1]):
            ways = [bool(re.search(way, text)) for text in (statement, question) for way in (one, other)]
            if ways == [True, False, False, True]:
                return True
    years, asked_years = (set(_YEAR.findall(text)) - {value} for text in (statement, question))
    if years and asked_years and not years & asked_years:
        return True
    if _HOW_MUCH.search(question) and re.search(_LED_TO + re.escape(value), statement):
        return True
    said, asked = ({way for axis, way in told(text)[0] if axis == "change"} for text in (statement, question))
    return bool(said and asked) and not said & asked
