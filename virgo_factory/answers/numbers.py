"""The value of a number as people write it: fractions, roots, percent, units, scientific, words. Exact where it can be.

A small reader of closed numbers only, so that most verdicts need no algebra; whatever holds a variable or a function
is left to math-verify. Sizes are bounded: nothing here can be made to run long.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import mpmath

from virgo_factory.answers.latex import tidy


MAX_LENGTH = 400
"""Longest text that is read as one number."""
MAX_BITS = 20_000
"""Largest exact power, in bits."""

MP = mpmath.MPContext()
MP.dps = 50
"""Arithmetic of numbers that are not fractions: 50 digits."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<power>[eE][+-]?\d{1,4}(?![A-Za-z\d]))?"
    r"|(?P<name>\\(?:frac|sqrt|pi|times|cdot|div)(?![A-Za-z])|\\binom(?![A-Za-z])|\*\*|(?<=\d)\s*[xX](?=\s*10\s*\^)|[-+*/^(){}\[\]!|]))"
)
_CURRENCY = re.compile(r"^\s*(?:(?:US|USD|Rs\.?|RM|CA|A)\s*(?=[$\d]))?([$€£¥₹])?\s*")
_ABOUT = re.compile(
    r"^(?:(?:is|are|about|around|approximately|approx\.?|roughly|exactly|only|just|a total of|\\approx|\\sim|~|=|equals?)\s*)+",
    re.IGNORECASE,
)
_SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "mn": 10**6,
    "bn": 10**9,
}
_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty".split()
    )
} | dict(zip("thirty forty fifty sixty seventy eighty ninety".split(), range(30, 100, 10), strict=True))
RANGE = r"(\d+(?:\.\d+)?)\s*(?:-|to)\s*(\d+(?:\.\d+)?)(?:\s*(?:%|[A-Za-z]+))?"
"""A range such as 11-15, which is no difference."""
_PERCENT = re.compile(r"^(?:%|percent(?:age points?)?|per cent|pct\.?)$", re.IGNORECASE)
_UNIT = re.compile(
    r"^[A-Za-zµμΩÅ\u212b\u4e00-\u9fff°¢\\$€£¥₹' .\-/()^*_{}²³]{1,60}(?:\^?\{?-?[1-4]\}?[A-Za-z°· ./^{}\-1-4]*)?$"
)
_GREEK_UNITS = re.compile(r"\\(?:mu|Omega|ohm|AA|circ|degree)(?![A-Za-z])")
_STOP_WORDS = frozenset("and or but not if than then to from plus minus times of equals is are was".split())


@dataclass(frozen=True)
class Number:
    """A number that was read.

    Attributes:
        value: its value; a Fraction where it is exact, else a 50-digit float.
        decimals: digits after the point where it is one decimal numeral.
        approximate: written with a point or a power of ten, hence perhaps rounded.
        literal: one numeral, not a fraction, root or product.
        percent: written with a percent sign or word.
        unit: the unit in one spelling, empty without one.
    """

    value: Fraction | mpmath.mpf
    decimals: int | None = None
    approximate: bool = False
    literal: bool = False
    percent: bool = False
    unit: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is a whole number that was not written as an approximate one."""
        return isinstance(self.value, Fraction) and self.value.denominator == 1 and not self.approximate


class _NotANumber(Exception):
    pass


class _Reader:
    """Recursive descent over a short text; `end` is where the number stopped."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth, self.literals, self.end = text, 0, 0, 0, 0
        self.operators = False
        self.decimals: int | None = None
        self.approximate = False
        self.look()

    def look(self) -> None:
        match = _TOKEN.match(self.text, self.at)
        self.token = match
        self.name = match["name"].strip() if match and match["name"] else None
        self.is_number = bool(match and match["number"])

    def step(self) -> None:
        self.at = self.end = self.token.end()
        self.look()

    def sum(self):
        self.depth += 1
        if self.depth > 40:
            raise _NotANumber
        value = self.product()
        while self.name in ("+", "-"):
            sign = self.name
            mark = self.at, self.end
            self.step()
            try:
                other = self.product()
            except _NotANumber:
                self.at, self.end = mark
                self.look()
                break
            self.operators = True
            value = _add(value, other if sign == "+" else _multiply(other, Fraction(-1)))
        self.depth -= 1
        return value

    def product(self):
        value = self.power()
        while True:
            if self.name in ("*", "/", r"\times", r"\cdot", r"\div", "x", "X"):
                operator = self.name
                mark = self.at, self.end
                self.step()
                try:
                    other = self.power()
                except _NotANumber:
                    self.at, self.end = mark
                    self.look()
                    return value
                self.operators = True
                value = divide(value, other) if operator in ("/", r"\div") else _multiply(value, other)
            elif self.name in (r"\frac", r"\sqrt", r"\pi", "(", "{", r"\binom"):
                mixed = (
                    self.name == r"\frac"
                    and isinstance(value, Fraction)
                    and value.denominator == 1
                    and self.is_literal
                )
                other = self.power()
                self.operators = True
                if mixed and isinstance(other, Fraction) and 0 < other < 1:
                    value = _add(value, other if value >= 0 else -other)
                else:
                    value = _multiply(value, other)
            else:
                return value

    def power(self):
        if self.name in ("-", "+"):
            sign = self.name
            self.step()
            value = self.power()
            return value if sign == "+" else _multiply(value, Fraction(-1))
        value = self.atom()
        if self.name in ("^", "**"):
            self.step()
            self.operators = True
            exponent = self.group() if self.name == "{" else self.power_atom()
            value = _power(value, exponent)
            self.is_literal = False
        while self.name == "!":
            self.step()
            self.operators = True
            if not (isinstance(value, Fraction) and value.denominator == 1 and 0 <= value <= 200):
                raise _NotANumber
            value = Fraction(math.factorial(int(value)))
        return value

    def power_atom(self):
        if self.name in ("-", "+"):
            sign = self.name
            self.step()
            value = self.atom()
            return value if sign == "+" else _multiply(value, Fraction(-1))
        return self.atom()

    def atom(self):
        self.is_literal = False
        if self.is_number:
            return self.numeral()
        name = self.name
        if name == r"\pi":
            self.step()
            self.operators = True
            return MP.pi + 0
        if name in ("(", "{", "["):
            return self.group()
        if name in (r"\frac", r"\binom"):
            self.step()
            self.operators = True
            top, bottom = self.argument(), self.argument()
            return divide(top, bottom) if name == r"\frac" else _choose(top, bottom)
        if name == r"\sqrt":
            self.step()
            self.operators = True
            index = self.group() if self.name == "[" else Fraction(2)
            return _root(self.argument(), index)
        if name == "|":
            self.step()
            self.operators = True
            value = self.sum()
            if self.name != "|":
                raise _NotANumber
            self.step()
            return abs(value)
        raise _NotANumber

    def numeral(self):
        text, power = self.token["number"].replace(",", ""), self.token["power"]
        self.step()
        self.literals += 1
        self.is_literal = True
        value = Fraction(text)
        if "." in text or power:
            self.approximate = True
        if self.literals == 1:
            self.decimals = len(text.partition(".")[2])
        if power:
            if abs(int(power[1:])) > 400:
                raise _NotANumber
            value *= Fraction(10) ** int(power[1:])
            self.decimals = None
        return value

    def group(self):
        close = {"(": ")", "{": "}", "[": "]"}[self.name]
        self.step()
        value = self.sum()
        if self.name != close:
            raise _NotANumber
        self.step()
        return value

    def argument(self):
        """The argument of a command: a group, or one digit of a numeral (``\\frac12``)."""
        if self.name == "{":
            return self.group()
        if self.is_number:
            start = self.token.start("number")
            self.at = self.end = start + 1
            value = self.text[start]
            self.look()
            self.literals += 1
            if not value.isdigit():
                raise _NotANumber
            return Fraction(value)
        if self.name == r"\pi":
            return self.atom()
        raise _NotANumber


def _float(value):
    return MP.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _small(value):
    if (
        isinstance(value, Fraction)
        and max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * MAX_BITS
    ):
        raise _NotANumber
    return value


def _add(a, b):
    return _small(a + b) if isinstance(a, Fraction) and isinstance(b, Fraction) else _float(a) + _float(b)


def _multiply(a, b):
    return _small(a * b) if isinstance(a, Fraction) and isinstance(b, Fraction) else _float(a) * _float(b)


def divide(a, b):
    """Return a / b, exact where both are fractions."""
    if b == 0:
        raise _NotANumber
    return _small(a / b) if isinstance(a, Fraction) and isinstance(b, Fraction) else _float(a) / _float(b)


def _power(base, exponent):
    if isinstance(exponent, Fraction) and exponent.denominator == 1 and isinstance(base, Fraction):
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(exponent) > MAX_BITS or (base == 0 and exponent < 0):
            raise _NotANumber
        return base ** int(exponent)
    if isinstance(exponent, Fraction) and isinstance(base, Fraction) and base >= 0 and exponent > 0:
        return _power(_root(base, Fraction(exponent.denominator)), Fraction(exponent.numerator))
    if base < 0 or abs(exponent) > 1000 or (base == 0 and exponent <= 0) or abs(_float(base)) > 10**50:
        raise _NotANumber
    return MP.power(_float(base), _float(exponent))


def _root(value, index):
    if not (isinstance(index, Fraction) and index.denominator == 1 and 2 <= index <= 100):
        raise _NotANumber
    if value < 0:
        if index % 2 == 0:
            raise _NotANumber
        return _multiply(_root(_multiply(value, Fraction(-1)), index), Fraction(-1))
    if isinstance(value, Fraction) and max(value.numerator.bit_length(), value.denominator.bit_length()) < 2000:
        top, bottom = _exact_root(value.numerator, int(index)), _exact_root(value.denominator, int(index))
        if top is not None and bottom is not None:
            return Fraction(top, bottom)
    return MP.root(_float(value), int(index))


def _exact_root(value: int, index: int) -> int | None:
    near = int(MP.nint(MP.root(value, index))) if value.bit_length() < 150 else None
    return near if near is not None and near**index == value else None


def _choose(top, bottom):
    if not all(
        isinstance(value, Fraction) and value.denominator == 1 and 0 <= value <= 3000 for value in (top, bottom)
    ):
        raise _NotANumber
    return Fraction(math.comb(int(top), int(bottom)))


def _from_words(text: str) -> Fraction | None:
    total, current, seen = 0, 0, False
    for word in re.split(r"[\s-]+", text.casefold().strip()):
        if word in _SMALL:
            current += _SMALL[word]
        elif word == "hundred" and seen:
            current *= 100
        elif word in _SCALES and seen:
            total += current * _SCALES[word]
            current = 0
        elif word == "and" and seen:
            continue
        else:
            return None
        seen = True
    return Fraction(total + current) if seen else None


@lru_cache(maxsize=20_000)
def read_number(text: str) -> Number | None:
    r"""Return the number that the whole text is, or None.

    >>> read_number(r"918\frac{1}{2}").value
    Fraction(1837, 2)
    >>> read_number("$1.5 \\times 10^3$").value, read_number("33.5\\%").percent, read_number("7 cm").unit
    (Fraction(1500, 1), True, 'cm')
    >>> read_number("2x") is None and read_number("9**9**9") is None
    True
    """
    if len(text) > MAX_LENGTH:
        return None
    text = tidy(text)
    for _ in range(2):
        text = _ABOUT.sub("", text).strip()
    currency = _CURRENCY.match(text)
    sign = ""
    if text[:1] == "-" and (minus := _CURRENCY.match(text[1:])) and minus[1]:
        sign, currency, text = "-", minus, text[1:]
    unit = currency[1] or ""
    text = sign + text[currency.end() :]
    if not text:
        return None

    if not (text[0].isdigit() or text[0] in "-+.\\({|["):
        value = _from_words(text)
        if value is None and (head := re.match(r"([A-Za-z]+(?:-[a-z]+)?)\s+([A-Za-z ]{1,40})$", text)):
            value = _from_words(head[1])
            unit = head[2].strip() if value is not None else unit
        return Number(value, literal=True, decimals=0, unit=_unit_name(unit)) if value is not None else None

    if re.fullmatch(RANGE, text):
        return None
    if re.fullmatch(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?", text):
        text = text.replace(" ", "")
    elif re.fullmatch(r"-?0,\d+", text):
        text = text.replace(",", ".")
    elif mixed := re.fullmatch(r"(-?)(\d+)\s+(\d+)\s*/\s*(\d+)(\s*[^\d].*)?", text):
        text = f"{mixed[1]}({mixed[2]}+{mixed[3]}/{mixed[4]}){mixed[5] or ''}"

    text = re.sub(r"(?<=\d)\s*\^?\s*\{?\s*(?:st|nd|rd|th)\b\s*\}?", "", text)
    reader = _Reader(text)
    try:
        value = reader.sum()
    except (_NotANumber, OverflowError, ValueError, ZeroDivisionError, RecursionError):
        return None
    rest = text[reader.end :].strip(" .;,")
    percent = False
    if scale := re.match(r"(hundred|thousand|million|billion|trillion|mn|bn)\b\.?\s*", rest, re.IGNORECASE):
        value = _multiply(value, Fraction(_SCALES[scale[1].lower()]))
        rest = rest[scale.end() :]
    if _PERCENT.match(rest):
        percent, rest = True, ""
    if rest:
        glued = not text[reader.end : reader.end + 1].isspace()
        if not _is_unit(rest, glued):
            return None
        unit = unit or rest
    literal = not reader.operators and reader.literals == 1
    return Number(
        value=value,
        decimals=reader.decimals if literal and scale is None else None,
        approximate=reader.approximate or not isinstance(value, Fraction) or scale is not None,
        literal=literal,
        percent=percent,
        unit=_unit_name(unit),
    )


# Units: 1 in the base unit of their kind.
_KINDS_OF_UNIT = (
    {"mm": Fraction(1, 1000), "cm": Fraction(1, 100), "dm": Fraction(1, 10), "m": Fraction(1), "km": Fraction(1000),
     "µm": Fraction(1, 10**6), "nm": Fraction(1, 10**9)},
    {"in": Fraction(1), "ft": Fraction(12), "yd": Fraction(36), "mi": Fraction(63360)},
    {"mg": Fraction(1, 1000), "g": Fraction(1), "kg": Fraction(1000), "ton": Fraction(10**6)},
    {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600), "day": Fraction(86400),
     "week": Fraction(604800)},
    {"ml": Fraction(1, 1000), "l": Fraction(1)},
    {"¢": Fraction(1, 100), "$": Fraction(1)},
    {"°": Fraction(1)},
    {"rad": Fraction(1)},
    {"€": Fraction(1)}, {"£": Fraction(1)}, {"n": Fraction(1)}, {"j": Fraction(1), "kj": Fraction(1000)},
    {"pa": Fraction(1), "kpa": Fraction(1000), "mpa": Fraction(10**6)},
    {"v": Fraction(1), "mv": Fraction(1, 1000), "kv": Fraction(1000)}, {"w": Fraction(1), "kw": Fraction(1000)},
    {"hz": Fraction(1), "khz": Fraction(1000)},
)  # fmt: skip
_FACTOR = {name: (kind, factor) for kind, units in enumerate(_KINDS_OF_UNIT) for name, factor in units.items()}
_UNIT_NAMES = {
    "millimeter": "mm", "millimetre": "mm", "centimeter": "cm", "centimetre": "cm", "meter": "m", "metre": "m",
    "kilometer": "km", "kilometre": "km", "inch": "in", "inche": "in", "feet": "ft", "foot": "ft", "yard": "yd", "mile": "mi",
    "milligram": "mg", "gram": "g", "kilogram": "kg", "kilo": "kg", "tonne": "ton", "second": "s", "sec": "s",
    "minute": "min", "mins": "min", "hour": "h", "hr": "h", "hrs": "h", "day": "day", "week": "week",
    "liter": "l", "litre": "l", "milliliter": "ml", "millilitre": "ml", "cent": "¢", "dollar": "$", "usd": "$",
    "degree": "°", "deg": "°", "radian": "rad", "newton": "n", "joule": "j", "pascal": "pa", "volt": "v", "watt": "w",
    "hertz": "hz", "euro": "€", "pound": "lb", "lbs": "lb",
}  # fmt: skip
_ONE_LETTER = frozenset("mgshlLNJWVAKCFTΩÅÅ$°¢%")


def _unit_name(unit: str) -> str:
    unit = unit.strip(" .,;(){}[]")
    unit = re.sub(r"\\mu\s*", "µ", unit).replace("μ", "µ")
    low = re.sub(r"[\s{}]+", " ", unit.lower()).strip()
    low = re.sub(r"\s*\^\s*", "^", low)
    head, power, tail = low.partition("^")
    squared = re.match(r"(?:sq\.?|square|squared)\s+(.*)", head) or re.match(r"(?:cubic|cu\.?)\s+(.*)", head)
    if squared:
        power, tail, head = "^", "3" if head.startswith("cu") else "2", squared[1]
    singular = head[:-1] if head.endswith("s") and len(head) > 3 else head
    head = _UNIT_NAMES.get(head) or _UNIT_NAMES.get(singular) or singular
    return head + power + tail


def unit_factor(unit: str) -> tuple[int, int, Fraction] | None:
    """Return (kind, power, factor to the base unit) of a known unit, else None."""
    head, _, power = unit.partition("^")
    if head not in _FACTOR or (power and not re.fullmatch(r"[1-4]", power)):
        return None
    kind, factor = _FACTOR[head]
    return kind, int(power or 1), factor ** int(power or 1)


def _is_unit(text: str, glued: bool) -> bool:
    if text.startswith("\\"):
        text = _GREEK_UNITS.sub("u", text)
    if "\\" in text or "=" in text or not _UNIT.match(text):
        return False
    found = re.findall(r"[A-Za-zµΩÅ\u212b]+|[\u4e00-\u9fff]+", text)
    if not found:
        return text.strip() in ("°", "$", "¢", "€", "£")
    if found[0].lower() in _STOP_WORDS or any(word.lower() in ("and", "or") for word in found):
        return False
    if "\u4e00" <= found[0][0] <= "\u9fff":
        return len(text) <= 6
    if len(found[0]) == 1 and len(found) == 1 and not text.startswith("°"):
        return found[0] in _ONE_LETTER
    if len(found[0]) == 1 and glued and not text.startswith("°"):
        return found[0] in _ONE_LETTER and not re.search(r"[()*]", text)
    if re.search(r"[()*]", text) and not re.fullmatch(r"[^()*]*\([A-Za-z .]+\)", text):
        return False
    if glued and len(found[0]) > 1 and _unit_name(found[0]) not in _FACTOR and len(found) == 1 and len(text) <= 2:
        return False  # "3ab" is a product, "3 ab" would be too strange to decide here
    return len(found) <= 8


def as_float(value: Fraction | mpmath.mpf) -> mpmath.mpf:
    """Return the value as a 50-digit float."""
    return _float(value)
