"""One reader for either side of a comparison: a text becomes one of a few kinds, after its wrappers have come off.

The kinds: Number, Moment, Based (digits with their base), Sequence (all that has parts), Formula, Words.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.dates import Moment, digits, read_moment
from virgo_factory.answers.values.formulas import FUNCTIONS, GREEK, MP
from virgo_factory.answers.values.latex import balanced, compact, tidy, words
from virgo_factory.answers.values.numbers import MARKS, NUMBER_WORDS, ORDINALS, Number, read_number, told
from virgo_factory.answers.values.sequences import Sequence, read_bound, read_sequence


@dataclass(frozen=True)
class Based:
    """Digits in a number system: 4343_6, 0x3c."""

    digits: str
    base: int


@dataclass(frozen=True)
class Formula:
    """A formula or an equation, left as text."""

    text: str


@dataclass(frozen=True)
class Words:
    """Anything else."""

    text: str


Kind = Number | Moment | Based | Sequence | Formula | Words


@dataclass(frozen=True)
class Reading:
    """What a text says.

    Attributes:
        text: without its wrappers.
        name: what the value is assigned to or what is bounded, "x" in ``x = 5``; empty without one.
        what: the value, as one of the kinds.
    """

    text: str
    name: str
    what: Kind


# --- wrappers ------------------------------------------------------------------------------------------------------

_SPELLINGS = (
    (re.compile(r"^(\w) is (?:greater|larger|more) than (?=\S)"), r"\1 > "),
    (re.compile(r"(?<=^\w )([<>]) or equal to "), lambda found: r"\le " if found[1] == "<" else r"\ge "),
    (re.compile(r"(?<=[A-Z])\s*\|\|\s*(?=[A-Z])"), r" \\parallel "),
    (
        re.compile(
            r"^(?:[A-Za-z]+ ){1,6}(?:is|are|be|prints|returns|outputs|gives)(?: at)?(?: the)?(?: points?)? (?=[(\[{]|\\\{|\\langle|\\begin|[a-z] ?= ?-?\d[^=]*, ?(?:and )?[a-z] ?=)"
        ),
        "",
    ),
    (re.compile(r"^(?:in|on) (?:the )?(?=\d+(?:st|nd|rd|th)\b)"), ""),
    (re.compile(r"^(?:在|向|朝)(?=第|正?[东西南北])"), ""),
    (re.compile(r"(?<=[\w})])\s+(?:square |cubic )units?$"), ""),
    (re.compile(r"^(\d+) (?:in|out of) (?:every )?(\d+)$"), r"\1/\2"),
    (re.compile(r"(?<![\w.])([ABC])\.\s?([CDE])\b\.?(?!\w)"), r"\1\2"),  # B.C.
    (re.compile(r"^(p(?:H|OH))\s*:?\s*(?=-?[\d.])"), r"\1 = "),
)
_PLACE = re.compile(rf"^(?:on |in )?(?:the )?({'|'.join(ORDINALS)})(?=$|(?: [a-z]+){{1,2}}$)", re.IGNORECASE)
_CHINESE = re.compile(r"(?<=^第)[零一二三四五六七八九十]+(?!.*\d)|[一二两三四五六七八九十]+(?=个半)|\d+(?=个半)")
_CONTEXT = re.compile(r"(?P<head>[^()]*?)(?P<space>\s*)\((?P<inside>[^()]+)\)(?P<tail>[^()\\]*)")
_TENTHS = re.compile(r"(?:打)?([一二三四五六七八九\d][一二三四五六七八九\d.]*)([折成])")


def unwrapped(text: str) -> str:
    """Return the text without the words that only lead to an answer, and numbers of order and halves in digits.

    >>> unwrapped("So the answer is 5."), unwrapped("12 (apples)"), unwrapped("third"), unwrapped("第五天")
    ('5', '12', '3rd', '第5天')
    """
    text = tidy(text)
    lead = P.LEAD.match(text)
    text = text[lead.end() :].strip() or text
    for pattern, spelled in _SPELLINGS:
        text = pattern.sub(spelled, text)
    if not text.isascii():
        text = _CHINESE.sub(lambda found: digits(found[0]), text).replace("个半", ".5")
    elif found := _PLACE.match(text):
        place = ORDINALS.index(found[1].lower()) + 1
        text = f"{place}{ {1: 'st', 2: 'nd', 3: 'rd', 21: 'st'}.get(place, 'th') }{text[found.end() :]}"
    if text.endswith(")") or "(" in text and (text[-1].isalpha() or text[-1] > "\u4dff"):
        text = _without_context(text)
    return text


def _without_context(text: str) -> str:
    """The number alone of "12 (apples)" and "12 (3 × 4)", where the brackets say of what it is or how it comes about."""
    found = _CONTEXT.fullmatch(text)
    number = found and read_number(found["head"])
    if not number:
        return text
    inside = found["inside"]
    if (one := read_number(f"1 {inside}")) and one.units and not one.words:
        return f"{found['head']} {inside}{found['tail']}"
    said = re.match(r"[^\W\d_]{3,}|[a-z]{2} ", inside) and not re.search(r"[\\^_=]|^mod", inside)
    same = (value := read_number(inside)) is not None and value.value == number.value
    computed = same and not (value.literal and re.search(r"\d", found["head"]))
    return f"{found['head']}{found['tail']}" if said or computed else text


# --- the kinds -----------------------------------------------------------------------------------------------------

_BASE = re.compile(r"0(?P<sign>[xXbBoO])_?([0-9A-Fa-f]+)|\(?([0-9A-Za-z]+)\)?_\{?(?P<base>\d{1,2})\}?")
_NOTHING = frozenset(
    ",no solution,no solutions,no real solution,no real solutions,none,empty set,emptyset,无解,空集,没有,no such".split(",")
)  # fmt: skip
_MATHS_SIGNS = re.compile(r"[\\^_=<>|{}+*]|\b(?:sqrt|sin|cos|tan|log|ln|pi)\b|\w\s*\(|(?<=\d)\s?/|/\s?(?=\d)")
OPERATOR = re.compile(
    r"[-+*/^=<>|!(\[]|(?<![A-Za-z\\])(?:sin|cos|tan|log|ln) ?[\d\\√]"
    r"|\\(?:frac|sqrt|cdot|times|div|pm|mp|le|ge|ne|approx|equiv|in|cup|cap|subset|supset|binom|sum|prod|int|lim|mid|parallel|perp|to"
    r"|overline|lfloor|lceil|begin|neg|land|lor|sim|cong|hat|dot|ddot|tilde|partial|nabla|" + "|".join(FUNCTIONS) + r")(?![A-Za-z])"
)  # fmt: skip
"""Operators and known functions, without which letters are no factors."""
_IN_TERMS = re.compile(r"\bin terms of \W*(?!\W|pi\b|π)", re.IGNORECASE)
"""What a question says whose letters are no units."""
_ORDINAL = re.compile(r"\d\s?(?:st|nd|rd|th)\b")
_CHARGED = re.compile(r"(?:[A-Z][a-z]?(?:_?\{?\d+\}?)?|[()\[\]])+\^?\s*\{?\d*[+-]\}?")
"""An ion, or a grade: Fe^{3+}, B+."""


@lru_cache(maxsize=20_000)
def read(text: str, question: str = "") -> Reading:
    """Return what a text says, with the question's words where they change how it is understood.

    >>> read("x = 3").what == read("3").what, read("CAB").what, read("x<1 or x>2").name
    (True, Words(text='CAB'), 'x')
    """
    if substance := _chemical(compact(text)):
        return Reading(text, "", substance)
    text = unwrapped(text)
    listed = read_sequence(text) if text.count("=") > 1 else None
    equations = listed and not listed.held and sum("=" in part for part in listed.parts) > 1
    named = None if equations else value_side(text)
    if named is not None and named[1]:
        what = _what(unwrapped(named[1]), question)
        if not isinstance(what, Words) or not is_formula(text):
            return Reading(text, named[0], what)
    what = _what(text, question)
    return Reading(text, what.name if isinstance(what, Sequence) else "", what)


def _what(text: str, question: str) -> Kind:
    plain = compact(text)
    if plain in (r"\emptyset", r"\{\}", r"\phi") or words(text) in _NOTHING and "{" not in text:
        return Words(r"\emptyset")
    if based := _based(plain):
        return based
    if re.fullmatch(r"0[01]{3,}", plain):
        return Words(text)  # a string of bits
    ratio = re.fullmatch(r"\d+:\d+", plain) and re.search(r"ratio|scale|比", question)
    if not ratio and (moment := read_moment(text)):
        return moment
    if plain.lstrip("+-") == r"\infty":
        return Number(MP.mpf("-inf") if plain[0] == "-" else MP.mpf("inf"))
    if (tenths := _TENTHS.fullmatch(text)) and (number := read_number(tenths[1])):
        value = number.value * 10 if number.value < 10 else number.value
        return replace(number, value=value, percent=True, unit=tenths[2], words=frozenset((tenths[2],)))
    if decade := re.fullmatch(r"(?:in )?(?:the )?(\d{3}0)'?s", text):
        return Words(decade[1] + "s")
    number = read_number(text)
    if (number is None or number.unit) and (bound := read_bound(text, question)):
        return bound
    if number is not None and _ORDINAL.search(text):
        number = replace(number, marks=number.marks | {MARKS["第"]})
    if number is not None and not (number.unit and _IN_TERMS.search(question[-1_000:])):
        return number
    if found := read_sequence(text):
        if len(found.parts) == 1 and found.held in ("", "{}") and not re.match(r"\\(?:\{|emptyset)", found.parts[0]):
            return read(found.parts[0], question).what
        if found.held or re.search(r"\d", text) or len(text.split()) <= 8:  # else it is a sentence with commas
            return found
    if (spoken := _in_sentence(text, question)) is not None:
        return spoken
    return Formula(text) if is_formula(text) else Words(text)


_SHELLS = re.compile(r"(?:\[[A-Z][a-z]\])?\s*(?:[1-7][spdf]\^?\{?\d{1,2}\}?\s*){2,}")
_MAY_REACT = re.compile(r"(?:\d{1,2}(?=[^=]*(?:=|\\to|>)))?\(?[A-Z][A-Za-z\d(_^]")
_SUBSTANCE = re.compile(rf"{P.ELEMENT}\d*\(?{P.ELEMENT}|[A-Z][a-z]\d|\)\d|{P.ELEMENT}\d*[+-]$|\d[+-]$")
"""What tells a substance from a product of letters: two elements, a count behind one, a charge."""


def _chemical(plain: str) -> Words | None:
    """A substance, an ion or a reaction, its terms in one order: Fe^{3+}, 2H_2 + O_2 = 2H_2O; None where the letters may be variables."""
    if _SHELLS.fullmatch(plain):
        return Words(re.sub(r"[\s^{}]", "", plain))
    if len(plain) > 200 or not _MAY_REACT.match(plain):
        return None
    found = P.REACTION.fullmatch(plain := re.sub(r"[\s_{}^]|\\(?:uparrow|downarrow)", "", plain))
    if not found or not _SUBSTANCE.search(plain):
        return None
    if found["right"]:
        return Words(" -> ".join(" + ".join(sorted(side.split("+"))) for side in found.groups()))
    return Words(plain) if "+" not in plain[:-1] else None


def _based(plain: str) -> Based | None:
    if not (found := _BASE.fullmatch(plain)):
        return None
    base = {"x": 16, "b": 2, "o": 8}[found["sign"].lower()] if found["sign"] else int(found["base"])
    digits = found[2] or found[3]
    try:
        int(digits, base)
    except ValueError:
        return None
    return Based(digits.lower(), base) if found["sign"] or digits[0].isdigit() or base == 16 else None


# --- a number in a sentence ----------------------------------------------------------------------------------------


def _in_sentence(text: str, question: str) -> Kind | None:
    """The number of a short sentence that holds just one: "There are 7 apples"."""
    if len(text) > 300 or _MATHS_SIGNS.search(text) or P.NO_VALUE.search(text) or re.match(r"\(\d+\)", text):
        return None
    if not re.search(r"\d", text):
        spelled = NUMBER_WORDS.findall(text)
        number = read_number(spelled[0]) if len(spelled) == 1 else None
        text = text.replace(spelled[0], f"{number.value}") if number else text
    found = list(P.ONE_NUMERAL.finditer(text))
    if len(found) != 1 or not re.search(r"[A-Za-z]{3,}\s|\s[A-Za-z]{3,}|[\u4e00-\u9fff]", text):
        return None
    head, tail = text[: found[0].start()], text[found[0].start() :].strip()
    if re.match(r"[A-Z+^_{]", text[found[0].end() :]):
        return None
    head, tail = head.strip(), tail.partition(" than ")[0]
    said = head.split()
    leads = [" ".join(said[-length:]) + " " for length in range(min(len(said), 6), 0, -1)]
    for lead in (*leads, ""):
        if (bound := read_bound(lead + tail, question)) is not None:
            return bound
    if (number := read_number(tail)) is None:
        shorter = re.match(r"\S+(?:\s+\S+)?", tail)
        number = read_number(shorter[0]) or read_number(found[0][0])
        head += " " + tail[shorter.end() :]
    if number is None:
        return None
    if _MINUS.search(head):
        number = replace(number, value=-number.value)
    marks, others = told(head)
    others |= {word for long in others if long[0] > "\u4dff" for word in (long[:2], long[-2:])}
    return replace(number, marks=number.marks | marks, words=number.words | others | {SAID})


_MINUS = re.compile(r"[\s\u4e00-\u9fff](?<![图表例题])-[$€£¥]?$")
"""A sign that stands before a currency, or behind Chinese text; a figure's number has none."""
SAID = "said in a sentence"
"""Stands among the words of a number that was found in a sentence."""

# --- formulas and words --------------------------------------------------------------------------------------------

_SYMBOL = re.compile(r"\\(?:" + "|".join(GREEK) + r")(?![A-Za-z])|_|\d[A-Za-z]")


def is_formula(text: str) -> bool:
    """Return whether a text is a formula: signs or commands of mathematics, no prose; letters alone are words."""
    if not text or len(text) > 4_000 or _CHARGED.fullmatch(text):
        return False
    if len(re.findall(r"(?<![\\A-Za-z{])(?!sqrt\b)[A-Za-z]{4,}(?![A-Za-z}])", text)) > 2:
        return False
    if _MATHS_SIGNS.search(text):
        return bool(OPERATOR.search(text) or _SYMBOL.search(text))
    return bool(P.SHORT_FORMULA.fullmatch(text))


# --- assignments ---------------------------------------------------------------------------------------------------

_RELATION = re.compile(r"(?<![<>!:])=(?!=)|\\approx|≈")
_LABEL = re.compile(r"([A-Za-z][A-Za-z ]{1,30}:\s+|[\u4e00-\u9fff]{1,10}:\s*)(?=\S)")
_NAME = re.compile(r"(?=.*[A-Za-z\u4e00-\u9fff])(?!.*,(?![^()]*\)))[A-Za-z\\_{}()|:0-9 ,'/∠△$∗.\u4e00-\u9fff]+")
MULTIPLE = re.compile(r"\d+\s*[A-Za-z](?![A-Za-z])|[A-Za-z]{1,3}\s*\^\s*\{?\d+\}?")
"""A multiple, or a power, of a name."""


def value_side(text: str) -> tuple[str, str] | None:
    """Return (name, value) of ``x = 5``, ``\\angle A = 74°`` or ``x \\in (1, 2)``; None where the text is no such assignment."""
    if member := re.match(r"^[^\\=<>]{1,12}\\in(?![A-Za-z])(?!.*[:|]|.*\\mid)", text):
        return side_name(text), text[member.end() :].strip()
    if (label := _LABEL.match(text)) and read_number(text[label.end() :]) is not None:
        return label[1].strip(" :").casefold(), text[label.end() :]
    sides = sides_of(text)
    if len(sides) < 2:
        return None
    named = None if MULTIPLE.fullmatch(sides[0]) else _NAME.fullmatch(sides[0])
    if len(sides) == 2 and named:
        return side_name(text), sides[1]
    if (named and len(sides) > 2 or read_number(sides[0]) is not None) and read_number(sides[-1]) is not None:
        return (side_name(text) if named else ""), sides[-1]
    return None


def sides_of(text: str) -> list[str]:
    """Return the sides of an equation; nothing where one is empty or cut inside braces, or another relation stands there."""
    sides = [side.strip() for side in _RELATION.split(text)]
    whole = all(sides) and not re.search(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])", text)
    return sides if whole and all(side.count("{") == side.count("}") for side in sides) else []


def side_name(text: str) -> str:
    """Return the name on the left of an assignment, in one spelling."""
    return re.sub(
        r"[_{}]|^\\angle|(?<=[A-Za-z])\([a-z]\)", "", compact(_RELATION.split(tidy(text))[0].split("\\in")[0])
    )


# --- golds that cannot be checked -----------------------------------------------------------------------------------

_HOLES = re.compile(r"\\(?:d|t|c)?frac\s*(?:\{\s*\}|\{[^{}]*\}\s*\{\s*\}|\{[^{}]*\}\s*$|$)|\\sqrt\s*(?:\{\s*\}|$)")


def gold_problem(gold: str) -> bool:
    """Return whether a gold answer cannot be checked: a placeholder, the Python word None, broken LaTeX.

    >>> [gold_problem(gold) for gold in ("See the figure.", "\\\\frac{1}{", "None", "none")]
    [True, True, True, False]
    """
    text = gold.strip()
    if text in ("None", "NaN", "nan", "NoneType") or any(
        map(P.NO_GOLD.fullmatch, (text, text.strip("()[]{}.$ \t\n")))
    ):
        return True
    whole = balanced(text.replace("\\{", "").replace("\\}", "")) and text.count("\\begin{") == text.count("\\end{")
    return not whole or _HOLES.search(text) is not None
