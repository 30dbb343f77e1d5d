"""One reader for either side of a comparison: a text becomes one of a few kinds, after its wrappers have come off.

The kinds: Number, Moment, Ratio, Range, Based (digits with their base), Intervals, Sequence, Relation,
Formula, Words.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import mpmath

from virgo_factory.answers.dates import Moment, read_moment
from virgo_factory.answers.latex import balanced, compact, tidy, words
from virgo_factory.answers.numbers import MP, RANGE, Number, read_number, told
from virgo_factory.answers.sequences import Intervals, Sequence, read_bound, read_chain, read_intervals, read_sequence
from virgo_factory.answers.trees import FUNCTIONS, GREEK


@dataclass(frozen=True)
class Ratio:
    """Numbers with colons between them."""

    parts: tuple[Fraction | mpmath.mpf, ...]


@dataclass(frozen=True)
class Range:
    """From one number to another, which is no difference."""

    ends: tuple[Fraction, Fraction]
    unit: str


@dataclass(frozen=True)
class Based:
    """Digits in a number system: 4343_6, 0x3c."""

    digits: str
    base: int


@dataclass(frozen=True)
class Formula:
    """A formula or a relation, left as text."""

    text: str


@dataclass(frozen=True)
class Relation:
    """Two sides with a sign between them that is no equation and no inequality: AB \\parallel CD."""

    left: str
    sign: str
    right: str


@dataclass(frozen=True)
class Words:
    """Anything else."""

    text: str


Kind = Number | Moment | Ratio | Range | Based | Intervals | Sequence | Relation | Formula | Words


@dataclass(frozen=True)
class Reading:
    """What a text says.

    Attributes:
        text: without its wrappers.
        name: what the value is assigned to, "x" in ``x = 5``; empty without one.
        what: the value, as one of the kinds.
    """

    text: str
    name: str
    what: Kind


_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|we (?:get|have|find|obtain)|it is|it's|there (?:is|are|were|will be)|that is)\b[,:]?\s+)*"
    r"(?:(?:the |my |our )?(?:final |correct |exact |required )?(?:answer|result|solution)s?\s*(?:is|are|=|:|equals)\s*:?\s*)?"
    r"(?:(?:in|at|on)?\s*(?:the )?(?:year|number|value)\s+(?=\d)|in\s+(?=\d{4}$))?(?:所以|因此|故|则|即|因而)?(?:最终|正确|最后)?(?:答案?(?:应?[是为]|[:：])?[:：]?)?\s*",
    re.IGNORECASE,
)
_RELATION = re.compile(r"(?<![<>!:])=(?!=)|\\approx|≈")
_LABEL = re.compile(r"([A-Za-z][A-Za-z ]{1,30}:\s+|[\u4e00-\u9fff]{1,10}:\s*)(?=\S)")
_NAME = re.compile(
    r"[A-Za-z\\_{}()|:0-9 ,'/∠△$∗.\u4e00-\u9fff]*[A-Za-z\u4e00-\u9fff][A-Za-z\\_{}()|:0-9 ,'/∠△$.\u4e00-\u9fff]*"
)
_CONDITION = re.compile(
    r"(?P<value>[^,;]+?)[,;]?\s+(?:for|if|when|where|with)\s+[^,;=]*(?:[<>]|\\(?:le|ge|ne|in)(?![A-Za-z]))[^,;=]*"
)
"""A value with the condition under which it holds."""
_BASE = re.compile(r"\(?([0-9A-Za-z]+)\)?_\{?(\d{1,2})\}?")
_PREFIXED = re.compile(r"0([xXbBoO])_?([0-9A-Fa-f]+)")
_MATHS_SIGNS = re.compile(r"[\\^_=<>|{}+*]|\b(?:sqrt|sin|cos|tan|log|ln|pi)\b|\w\s*\(|(?<=\d)/|/(?=\d)")
OPERATOR = re.compile(
    r"[-+*/^=<>|!(\[]|\\(?:frac|sqrt|cdot|times|div|pm|mp|le|ge|ne|approx|equiv|in|cup|cap|subset|supset|binom|sum|prod|int|lim|mid|parallel|perp|to"
    r"|overline|lfloor|lceil|begin|neg|land|lor|sim|cong|hat|dot|ddot|tilde|partial|nabla|" + "|".join(FUNCTIONS) + r")(?![A-Za-z])"
)  # fmt: skip
"""Operators and known functions, without which letters are no factors."""
_NOTHING = frozenset(
    ",no solution,no solutions,no real solution,no real solutions,none,empty set,emptyset,无解,空集,没有,no such".split(
        ","
    )
)
_ONE_NUMERAL = re.compile(
    r"(?:(?:negative|minus)\s+|(?:负|零下))?(?<![\w.])[-$]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:\s*/\s*\d+(?!\d))?)|(?<=[\u4e00-\u9fff])\d+(?:\.\d+)?",
    re.IGNORECASE,
)
_RELATIONS = re.compile(
    r"\\(?:parallel|perp|subseteq|supseteq|subset|supset|Leftrightarrow|Rightarrow|Leftarrow|leftrightarrow|leftarrow|to|notin|in|cong|sim|equiv|ne|land|lor|uparrow|downarrow|cup|cap|setminus"
    r"|neg)(?![A-Za-z])"
)
_CHARGED = re.compile(r"(?:[A-Z][a-z]?(?:_?\{?\d+\}?)?|[()\[\]])+\^?\s*\{?\d*[+-]\}?")
"""An ion: Fe^{3+}."""
_FUNCTION_WORDS = re.compile(
    r"\b(?:square|squared|squares|cube|cubed|roots?|factorial|log|logarithm|reciprocal|inverse|opposite|multiples?|powers?|divisible|double|twice|triple|half)\b"
    r"|平方根|立方根|的平方|的立方|倒数|相反数|阶乘|倍数|次方",
    re.IGNORECASE,
)
"""Words that make another number of the one beside them."""
_BARE = re.compile(r"[-+]?\\infty")


@lru_cache(maxsize=20_000)
def read(text: str, question: str = "") -> Reading:
    """Return what a text says, with the question's words where they change how it is understood.

    >>> read("x = 3").what == read("3").what, read("CAB").what, read("x<1 or x>2").what.name
    (True, Words(text='CAB'), 'x')
    """
    text = unwrapped(text)
    named = value_side(text) if not _lists_equations(text) else None
    if named is not None and named[1]:
        name, value = named
        what = _what(unwrapped(value), question)
        if not isinstance(what, Words) or not is_formula(text):
            return Reading(text, name, what)
    return Reading(text, "", _what(text, question))


def _lists_equations(text: str) -> bool:
    listed = read_sequence(text) if text.count("=") > 1 else None
    return bool(listed) and not listed.brackets and sum("=" in part for part in listed.parts) > 1


def unwrapped(text: str) -> str:
    """Return the text without the words that only lead to an answer."""
    text = tidy(text)
    lead = _LEAD.match(text)
    text = text[lead.end() :].strip() or text
    text = re.sub(r"^(?:\\therefore|\\because|\\implies|\\Rightarrow)\s*(?=\S)", "", text)
    return text.lstrip(" ,;").rstrip(" .,;") or text


def _what(text: str, question: str) -> Kind:
    plain = compact(text)
    if plain in (r"\emptyset", r"\{\}", r"\phi") or words(text) in _NOTHING:
        return Words(r"\emptyset")
    if based := _based(plain):
        return based
    if re.fullmatch(r"0[01]{3,}", plain):
        return Words(text)  # a string of bits
    if spread := re.fullmatch(rf"(?:from |between )?(?:{RANGE}|(\d+(?:\.\d+)?) and (\d+(?:\.\d+)?)(?<!^))", text):
        if spread[1] or text.startswith("between"):
            ends = (spread[1], spread[2]) if spread[1] else (spread[3], spread[4])
            return Range(
                (Fraction(ends[0]), Fraction(ends[1])), re.sub(r"[\d.\s-]|to|from|between|and|至|到", "", text).lower()
            )
    if re.search(r"\d[:点时月日号年]|[a-z]|^\d{4}[-/.]\d", text, re.IGNORECASE) or "周" in text or "星期" in text:
        if moment := read_moment(text):
            return moment
    if _BARE.fullmatch(plain):
        return Number(MP.mpf("-inf") if plain[0] == "-" else MP.mpf("inf"))
    number = read_number(text)
    if (number is None or number.unit) and (bound := read_bound(text, question)):
        return read_number(bound) if isinstance(bound, str) else bound
    if number is not None and not (number.unit and "in terms of" in question[-1_000:].lower()):
        return number
    if ":" in text and (ratio := _ratio(text)):
        return ratio
    if found := read_intervals(text) or read_chain(text) or (read_sequence(text) if len(text) > 1 else None):
        if (
            isinstance(found, Sequence)
            and len(found.parts) == 1
            and found.brackets in ("", "{}")
            and found.parts[0] != "\\emptyset"
        ):
            return read(found.parts[0], question).what
        if not (isinstance(found, Sequence) and not found.brackets and _is_prose(text)):
            return found
    if (spoken := _in_sentence(text, question)) is not None:
        return spoken
    if len(signs := list(_RELATIONS.finditer(text))) == 1 and "=" not in text:
        left, right = text[: signs[0].start()].strip(), text[signs[0].end() :].strip()
        if right and (left or signs[0][0] in ("\\neg", "\\to")):
            return Relation(left, signs[0][0], right)
    if "\\begin{" in text or is_formula(text):
        return Formula(text)
    return Words(text)


def _based(plain: str) -> Based | None:
    if found := _PREFIXED.fullmatch(plain):
        base = {"x": 16, "b": 2, "o": 8}[found[1].lower()]
        digits = found[2]
    elif (
        (found := _BASE.fullmatch(plain)) and (found[1][0].isdigit() or found[2] == "16") and 2 <= int(found[2]) <= 36
    ):
        base, digits = int(found[2]), found[1]
    else:
        return None
    try:
        int(digits, base)
    except ValueError:
        return None
    return Based(digits.lower(), base)


def _ratio(text: str) -> Ratio | None:
    parts = [read_number(part) for part in text.split(":")]
    if not 2 <= len(parts) <= 6 or any(part is None or part.unit for part in parts):
        return None
    return Ratio(tuple(part.value for part in parts)) if all(part.value for part in parts) else None


def _in_sentence(text: str, question: str) -> Kind | None:
    """The number of a short sentence that holds just one: "There are 7 apples"."""
    if (
        len(text) > 300
        or _MATHS_SIGNS.search(text)
        or not re.search(r"[A-Za-z]{3,}\s|\s[A-Za-z]{3,}|[\u4e00-\u9fff]", text)
    ):
        return None
    if re.search(r"\s[-+*/]\s|[-+*/]\s*\(|\)\s*[-+*/]", text) or re.search(
        r"\b(?:not|or|between|cannot|if|because|never|neither|nor|too|wrong|incorrect|instead)\b|n't\b|[不没非无或错]",
        text,
    ):
        return None
    if _FUNCTION_WORDS.search(text):
        return None
    found = list(_ONE_NUMERAL.finditer(text))
    if len(found) != 1 or re.search(r"[A-Za-z\d]$", text[: found[0].start()]):
        return None
    head, tail = text[: found[0].start()].strip(), text[found[0].start() :].strip()
    if re.search(r"\bthan\b", tail):
        tail = tail.partition(" than ")[0]
    for length in (6, 4, 3, 2, 1):
        lead = " ".join(head.split()[-length:]) if length <= len(head.split()) else ""
        bound = read_bound(f"{lead} {tail}".strip(), question) if lead else read_bound(tail, question)
        if bound is not None:
            return read_number(bound) if isinstance(bound, str) else bound
    if chinese := re.search(r"(?:至少有?|最少有?|至多有?|最多有?|超过|少于|多于|大于|小于|低于|高于)$", head):
        if (bound := read_bound(chinese[0] + tail, question)) is not None:
            return read_number(bound) if isinstance(bound, str) else bound
    if (moment := read_moment(tail)) is not None:
        return moment
    number = read_number(tail)
    if number is None:
        shorter = re.match(r"\S+(?:\s+\S+)?", tail)
        number = read_number(shorter[0]) or read_number(found[0][0])
        head += " " + tail[shorter.end() :]
    if number is None:
        return None
    marks, others = told(head)
    others |= {word for words in others if words[0] > "\u4dff" for word in (words[:2], words[-2:])}
    return replace(number, marks=number.marks | marks, words=number.words | others | {"said in a sentence"})


# --- formulas and words --------------------------------------------------------------------------------------------


def _is_prose(text: str) -> bool:
    """Whether a text with commas is a sentence rather than a list."""
    return not re.search(r"\d", text) and len(text.split()) > 8


def is_formula(text: str) -> bool:
    """Return whether a text is a formula: signs or commands of mathematics, no prose; letters alone are words."""
    text = tidy(text)
    if not text or len(text) > 4_000:
        return False
    if _CHARGED.fullmatch(text):
        return False
    if len(re.findall(r"(?<![\\A-Za-z{])[A-Za-z]{4,}(?![A-Za-z}])", text)) > 2:
        return False
    if _MATHS_SIGNS.search(text):
        return bool(OPERATOR.search(text)) or bool(
            re.search(r"\\(?:" + "|".join(GREEK) + r")(?![A-Za-z])|_|\d[A-Za-z]", text)
        )
    return bool(
        re.fullmatch(
            r"[-+]?[\d.,\s]*[A-Za-z]{1,2}[\d\s]*(?:[-+/*][\d\s]*[A-Za-z\d]{1,3})+|[-+]?\d[\d.\s]*[A-Za-z]{1,3}|-[A-Za-z]|[A-Za-z]!",
            text,
        )
        or (
            re.fullmatch(
                r"[\d\s.,:/()\[\]A-Za-z+-]{1,12}|(?=.*[A-Za-z])-?\(?(?:\d+|\d*[A-Za-z]{1,2})(?:\s*[-+/]\s*(?:\d+|\d*[A-Za-z]{1,2}))+\)?",
                text,
            )
            and re.search(r"[-+/(]", text)
            and not re.search(r"[^\W\d_]{3,}", text)
        )
    )


# --- assignments ---------------------------------------------------------------------------------------------------


def value_side(text: str) -> tuple[str, str] | None:
    """Return (name, value) of ``x = 5``, ``\\angle A = 74°`` or ``x \\in (1, 2)``; None where the text is no such assignment."""
    text = tidy(text)
    if member := re.match(r"^[^\\=<>]{1,12}\\in(?![A-Za-z])", text):
        return side_name(text), text[member.end() :].strip()
    if (label := _LABEL.match(text)) and read_number(text[label.end() :]) is not None:
        return label[1].strip(" :").casefold(), text[label.end() :]
    sides = sides_of(text)
    if len(sides) < 2:
        return None
    named = _NAME.fullmatch(sides[0]) and not re.search(r",(?![^()]*\))", sides[0])
    if len(sides) == 2 and named and not re.fullmatch(r".*[A-Za-z]\s*[A-Za-z(]*.*/.*[a-z].*", sides[0]):
        return side_name(text), sides[1]
    if (named and len(sides) > 2 or read_number(sides[0]) is not None) and read_number(sides[-1]) is not None:
        return (side_name(text) if named else ""), sides[-1]
    return None


def sides_of(text: str) -> list[str]:
    """Return the sides of an equation; nothing where one is empty or cut inside braces, or another relation stands there."""
    text = tidy(text)
    if text.startswith("(") and text.endswith(")") and not re.search(r"[()]", text[1:-1]):
        text = text[1:-1]
    sides = [side.strip() for side in _RELATION.split(text)]
    if re.search(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])", text) or not all(sides):
        return []
    return sides if all(side.count("{") == side.count("}") for side in sides) else []


def side_name(text: str) -> str:
    """Return the name on the left of an assignment, in one spelling."""
    return re.sub(r"[_{}]", "", compact(_RELATION.split(tidy(text))[0].split("\\in")[0]))


def conditional_value(text: str) -> str | None:
    """Return the value of "2x for x > 0" without its condition; None where there is none."""
    held = _CONDITION.fullmatch(tidy(text))
    return held["value"] if held else None


# --- golds that cannot be checked -----------------------------------------------------------------------------------

_NO_GOLD = re.compile(
    r"(?:please )?(?:see|refer to|shown in|as shown|look at)\b.{0,60}\b(?:figure|fig|graph|diagram|image|picture|solution|explanation|above|below|table|text|proof|answer)s?\b.{0,20}"
    r"|(?:the )?(?:answers?|responses?|solutions?)\s+(?:may|will|can|could|might)\s+(?:vary|differ)\b.{0,60}|varies|various answers|(?:open|free)[- ]ended"
    r"|n\s*/\s*a|n\.a\.?|not (?:available|applicable|given|provided)|(?:to be )?(?:tba|tbd)|null|nil|undef|unknown|no answer(?: (?:given|provided|available))?|missing"
    r"|proof(?: omitted)?|omitted|[?？.…*_\-–—\s]+"
    r"|略|见(?:图|解析|详解|上图|下图|答案)|如图(?:所示)?|答案?(?:不唯一|略|见解析)|无答案|暂无(?:答案)?|未知|开放题|证明(?:略|见解析)?|言之有理即可",
    re.IGNORECASE | re.DOTALL,
)
_HOLES = re.compile(r"\\(?:d|t|c)?frac\s*(?:\{\s*\}|\{[^{}]*\}\s*\{\s*\}|\{[^{}]*\}\s*$|$)|\\sqrt\s*(?:\{\s*\}|$)")


def gold_problem(gold: str) -> str | None:
    """Return why a gold answer cannot be checked, in words; None where it can.

    >>> gold_problem("See the figure."), gold_problem("\\\\frac{1}{"), gold_problem("none"), gold_problem("None")
    ('a placeholder', 'broken LaTeX', None, 'the Python word None')
    """
    text = gold.strip()
    if text in ("None", "NaN", "nan", "NoneType"):
        return "the Python word None"
    if _NO_GOLD.fullmatch(text.strip("()[]{}.$ \t\n")) or _NO_GOLD.fullmatch(text):
        return "a placeholder"
    if "\\" in text or "{" in text or "$" in text:
        whole = balanced(text.replace("\\{", "").replace("\\}", "")) and text.count("\\begin{") == text.count("\\end{")
        if not whole or _HOLES.search(text):
            return "broken LaTeX"
    return None
