r"""Formulas: what one is worth at a point, and whether two are the same: equal at every point tried, or different at a point.

One precedence parser works out a text while it reads it; what could be read in two ways is refused. A number is the longest beginning
of a text that holds no letter (`read_closed`). Numbers are exact where they can be, else 50 digits; the letters of a formula stand for
random numbers (Schwartz-Zippel, with numbers that no formula of this size is special at), positive ones but where absolute values or
conjugates stand. Whatever is not proved either way stays open. Nothing here grows with the size of a number.
"""

import hashlib
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import mpmath

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.latex import GREEK, compact, tidy
from virgo_factory.core.lazy_pattern import LazyPattern


MAX_LENGTH, MAX_DEPTH = 400, 40
MAX_TERMS = 60
"""Most terms of a sum that is written out."""
MAX_BITS = 20_000
"""Largest exact power, in bits."""
POINTS = (0, 1, 3, 4, 6, 2, 5)
"""Points at which two formulas are evaluated; the last two, close to 0, where exponentials are visible, prove no difference."""
MP = mpmath.MPContext()
MP.dps = 50
"""Arithmetic of numbers that are not fractions: 50 digits."""
NO_VALUE = (ArithmeticError, TypeError, ValueError)
"""What is raised where a formula has no value."""


class Unreadable(Exception):
    """A formula that is none, or that can be read in more than one way."""


class TooLarge(Exception):
    """A formula that must not be read or evaluated: it could take unbounded time or memory."""


# --- exact arithmetic ------------------------------------------------------------------------------------------------


as_float = MP.convert
"""A value as a 50-digit float where it is a fraction."""


def _exact(*values) -> bool:
    return all(isinstance(value, Fraction) for value in values)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _bounded(value):
    """A value that is no longer than may be worked with."""
    if _exact(value) and _bits(value) > 4 * MAX_BITS:
        raise TooLarge("digits")
    return value


def add(one, other):
    """Return the sum, exact where both are fractions."""
    hidden = not _exact(one, other) and not isinstance(one, MP.matrix) and one and other
    if hidden and not 1e-25 < abs(as_float(one) / as_float(other)) < 1e25:
        raise ArithmeticError("one of them would hide the other")
    return _bounded(one + other)


def _power(base, exponent):
    if base == 0 and not (_exact(exponent) and exponent > 0):
        raise ZeroDivisionError
    if _exact(base, exponent):
        if exponent.denominator == 1:
            if _bits(base) * abs(exponent) > MAX_BITS:
                raise TooLarge("a power")
            return base ** int(exponent)
        if exponent.denominator <= 100 and (base >= 0 or exponent.denominator % 2):
            return _power(_root(base, exponent.denominator), Fraction(exponent.numerator))
    base, exponent = as_float(base), as_float(exponent)
    if base and abs(exponent) * abs(MP.ln(abs(base))) > 2_000:
        raise OverflowError
    return MP.power(base, exponent)


def _root(value: Fraction, index: int):
    if value < 0:
        return -_root(-value, index)
    if _bits(value) < 150:
        near = Fraction(*(int(MP.nint(MP.root(side, index))) for side in (value.numerator, value.denominator)))
        if near**index == value:
            return near
    return MP.root(as_float(value), index)


_FUNCTIONS = {
    "abs": abs, "sin": MP.sin, "cos": MP.cos, "tan": MP.tan, "cot": MP.cot, "sec": MP.sec, "csc": MP.csc, "arcsin": MP.asin,
    "arccos": MP.acos, "arctan": MP.atan, "sinh": MP.sinh, "cosh": MP.cosh, "tanh": MP.tanh, "ln": MP.ln, "exp": MP.exp,
    "factorial": MP.factorial, "floor": MP.floor, "ceil": MP.ceil, "overline": MP.conj,
}  # fmt: skip
_STEPS = {"abs": abs, "floor": math.floor, "ceil": math.ceil, "overline": Fraction}
_STEEP = frozenset(("exp", "sinh", "cosh", "factorial"))


def _called(name: str, value):
    if _exact(value) and name in _STEPS:
        return Fraction(_STEPS[name](value))
    if name == "factorial" and _exact(value) and value.denominator == 1:
        if not 0 <= value <= 3_000:
            raise TooLarge("a factorial")
        return Fraction(math.factorial(int(value)))
    if abs(value) > (2_000 if name in _STEEP else 10**6) or name == "ln" and not value:
        raise OverflowError
    if name not in _FUNCTIONS:
        raise Unreadable(name)  # a bracket that closes first
    return _FUNCTIONS[name](as_float(value))


# --- tokens ----------------------------------------------------------------------------------------------------------

FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp".split())
_CONSTANTS = {"pi": MP.pi + 0, "e": MP.e + 0, "i": MP.mpc(0, 1)}
_CLOSED = FUNCTIONS | frozenset(r"\pi frac sqrt binom lfloor rfloor lceil rceil".split())
_CLOSE = {"(": ")", "{": "}", "[": "]"}
_SUBSCRIPT = r"\s*_\s*(?:\{[^{}]*\}|[A-Za-z\d])"
_COMMANDS = "|".join([*FUNCTIONS, *"frac sqrt binom overline lfloor rfloor lceil rceil".split()])
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,4}(?![A-Za-z\d]))?)"
    r"|(?P<matrix>\\begin\{[pbB]?(?:small)?matrix\}.*?\\end\{[pbB]?(?:small)?matrix\})"
    r"|(?P<series>\\(?:sum|prod)\s*_\s*\{\s*[A-Za-z]\s*=[^{}]*\}\s*\^\s*(?:\{[^{}]*\}|\w))"
    r"|\\?(?P<log>log\s*_\s*(?:\{[^{}]*\}|\w))"
    rf"|\\(?P<command>{_COMMANDS})(?![A-Za-z])|(?<![A-Za-z\\])(?P<plain>{'|'.join(FUNCTIONS)}|sqrt)(?![A-Za-z])"
    r"|(?P<times>(?<=[\d\s])[xX](?=\s*10\s*\^)|\*\*|\\(?:cdot|times|div)(?![A-Za-z]))"
    rf"|(?P<name>(?:\\(?:dot|ddot|hat|tilde|vec|overleftrightarrow|widehat)(?![A-Za-z])\s*(?:\{{\s*(?:[A-Za-z]+|\\[A-Za-z]+)\s*\}}"
    rf"|\\[A-Za-z]+|[A-Za-z])"
    rf"|\\(?:{'|'.join(sorted(GREEK, key=len, reverse=True))})|[A-Za-z])(?:\s*')*(?:{_SUBSCRIPT})?(?:\s*')*)"
    r"|(?P<sign>\^\s*(?:\*|\{\s*\*\s*\})(?!\*)|[-+*/^|(){}\[\]!°,]))",
    re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


@lru_cache(maxsize=1_024)
def _tokens(text: str, closed: bool) -> tuple[_Token, ...]:
    """The tokens of a text to its end; `closed`: of its beginning without letters."""
    found, at = [], 0
    while token := _TOKEN.match(text, at):
        kind, name = token.lastgroup, token[token.lastgroup].strip()
        if kind == "times":
            kind, name = "sign", {"**": "^", r"\div": "/"}.get(name, "*")
        if closed and kind not in ("number", "log", "sign") and (kind == "plain" or name not in _CLOSED):
            break
        at = token.end()
        found.append(_Token("command" if kind == "plain" else kind, name, token.start(token.lastgroup), at))
    if not closed and text[at:].strip():
        raise Unreadable(text[at:])
    return tuple(found)


def numeral(text: str) -> Fraction:
    """Return the value of a numeral with its thousands commas and its power of ten."""
    digits, _, power = text.replace(",", "").lower().partition("e")
    if power and abs(int(power)) > 400:
        raise TooLarge("a power of ten")
    return Fraction(digits) * Fraction(10) ** int(power or 0)


# --- the parser ------------------------------------------------------------------------------------------------------


_BARE = str.maketrans("", "", " \t\n\r\f\v{}\\'")
_INDEX = re.compile(r"[a-z]|[\da-z]+(?:[-+][\da-z]+)+")


class Point(NamedTuple):
    """What letters stand for: "positive", "real", "complex" or "whole" numbers; of those that are `folded` both cases are one."""

    index: int
    letters: str = "positive"
    folded: frozenset[str] = frozenset()


@lru_cache(maxsize=4_096)
def _drawn(index: int, name: str):
    digest = hashlib.blake2b(f"{index} {name}".encode(), digest_size=24).digest()
    return MP.mpf(int.from_bytes(digest, "big")) / 2**192


class _Reader:
    """Works out tokens at one point; without a point no letter has a value, and mixed numbers are sums."""

    def __init__(self, tokens: tuple[_Token, ...], point: Point | None = None, given: dict | None = None) -> None:
        self.tokens, self.point, self.given = (*tokens, _Token("end", "", 0, 0)), point, given or {}
        self.closed = point is None
        self.place = self.depth = self.bars = self.angles = 0
        self.kind = ""  # of the last factor: number, power, fraction or another

    def whole(self):
        value = self.sum()
        if self.token.kind != "end":
            raise Unreadable(self.token.text)
        return value

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def step(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1].text

    def is_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def take(self, *signs: str) -> str:
        """Step over one of some signs; nothing where another stands there."""
        return self.step() if self.is_sign(*signs) else ""

    def expect(self, sign: str) -> None:
        if self.step() != sign:
            raise Unreadable(f"no {sign}")

    def signed(self, read: Callable):
        return -read() if self.take("+", "-") == "-" else read()

    def sum(self):
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("deep")
        value = self.signed(self.product)
        while sign := self.take("+", "-"):
            term = self.signed(self.product)
            value = add(value, -term if sign == "-" else term)
        self.depth -= 1
        return value

    def product(self):
        value, divided = self.power(), False
        while True:
            if sign := self.take("*", "/"):
                factor, divided = self.signed(self.power), sign == "/"
                while divided and self.is_glued():
                    factor = factor * self.power()  # AB/BC
                value = _bounded(value * (1 / factor if divided else factor))
            elif self.starts_factor():
                if divided and not self.closed:
                    raise Unreadable("a/bc")
                value = self.implicit(value)
            else:
                return value

    def starts_factor(self) -> bool:
        if self.token.kind == "number":
            return not self.closed or self.kind == "power"
        opens = self.is_sign("(", "[", "{") or self.is_sign("|") and not self.bars
        return opens or self.token.kind not in ("sign", "end") and self.token.text not in ("rfloor", "rceil")

    def is_glued(self) -> bool:
        """Whether two names stand together."""
        before = self.tokens[self.place - 1]
        return before.kind == self.token.kind == "name" and before.end == self.token.start

    def implicit(self, value):
        """A factor without a sign before it; behind a whole number, a fraction is added in numbers and refused in formulas."""
        before = self.tokens[self.place - 1]
        if self.token.kind == "number" and self.kind != "power" and before.text not in (")", "]", "}"):
            raise Unreadable("a numeral behind a letter")
        mixed = before.kind == self.kind == "number" and before.text.isdigit() and self.token.text == "frac"
        factor = self.power()
        if mixed and self.kind == "fraction" and _exact(factor) and 0 < factor < 1:
            if not self.closed:
                raise Unreadable("a mixed number")
            return add(value, factor)
        return _bounded(value * factor)

    def power(self):
        value, kind = self.atom(), self.kind
        if self.take("!"):
            value, kind = _called("factorial", value), ""
            if self.is_sign("!"):
                raise TooLarge("a double factorial")
        if self.angles and self.take("°"):
            value = value * (MP.pi / 180)
        if self.take("^"):
            value, kind = _power(value, self.exponent()), "power"
            if self.is_sign("^"):
                raise TooLarge("a tower")
        elif self.token.kind == "sign" and len(self.token.text) > 1:
            self.step()
            value = _called("overline", value)
        self.kind = kind
        return value

    def exponent(self):
        if self.closed:
            return self.signed(self.atom)
        sign = -1 if self.take("-") else 1
        whole = self.token.kind == "number" and self.token.text.isdigit()
        if not (self.token.kind == "name" or whole or self.is_sign("{", "(")):
            raise Unreadable("an exponent without braces")
        value = sign * self.atom()
        if sign < 0 and self.token.kind == "name":
            raise Unreadable("e^-2x")
        return value

    def atom(self):
        self.kind, kind, token = "", self.token.kind, self.token.text
        if self.is_sign("(", "[", "{"):
            return self.bracketed()
        self.step()
        if kind == "name":
            return self.name(token)
        if kind == "number":
            self.kind = "number"
            return numeral(token)
        if token == "|" and not self.bars:
            self.bars += 1
            value = self.sum()
            self.expect("|")
            self.bars -= 1
            return _called("abs", value)
        if kind == "log":
            return self.function("ln", self.inner(token.partition("_")[2].strip("{} ")))
        if kind == "series":
            return self.series(*re.match(r"\\(sum|prod)[_\s{]*(\w)\s*=(.*?)\}\s*\^(.*)", token).groups())
        if kind == "matrix":
            inside = token[token.index("}") + 1 : token.rindex("\\end")]
            rows = [row.split("&") for row in inside.split("\\\\") if row.strip()]
            if not rows or any(len(row) != len(rows[0]) for row in rows):
                raise Unreadable("a ragged matrix")
            return MP.matrix([[as_float(self.inner(cell)) for cell in row] for row in rows])
        if kind != "command":
            raise Unreadable(token)
        return self.command(token)

    def inner(self, text: str):
        return _Reader(_tokens(text, self.closed), self.point, self.given).whole()

    def series(self, sign: str, name: str, low: str, high: str):
        """A sum or product, its body worked out for each value of its name."""
        low, high, start = self.inner(low), self.inner(high), self.place
        whole = _exact(low, high) and low.denominator == high.denominator == 1
        if not whole or not 0 <= high - low <= MAX_TERMS or self.given:
            raise TooLarge("terms")
        total, join = (Fraction(1), operator.mul) if sign == "prod" else (Fraction(0), add)
        for value in range(int(low), int(high) + 1):
            self.place, self.given = start, {name: Fraction(value)}
            total = join(total, self.signed(self.product))
        self.given = {}
        return total

    def bracketed(self):
        close, bars = _CLOSE[self.step()], self.bars
        self.bars = 0
        value = self.sum()
        self.bars = bars
        self.expect(close)
        self.kind = ""
        return value

    def name(self, token: str):
        """A letter with its accent, subscript and primes; with a formula as index it is a function of that."""
        if token in self.given:
            return self.given[token]
        letter, _, index = token.translate(_BARE).partition("_")
        if letter in _CONSTANTS and not index and "'" not in token:
            return _CONSTANTS[letter]
        point, primes = self.point, "'" * token.count("'")
        letter = letter.lower() if letter.lower() in point.folded else letter
        if index and _INDEX.fullmatch(index):
            return _drawn(point.index, f"{letter}_{primes}" + MP.nstr(as_float(self.inner(index)), 30))
        name = letter + ("_" + index if index else "") + primes
        drawn = _drawn(point.index, name)
        if point.letters == "whole" and name in "nmkNMK":
            return Fraction(2 + int(drawn * 10))
        size = (drawn + MP.mpf(1) / 4) / 40 if point.index % 3 == 2 else MP.mpf(1) / 2 + 2 * drawn
        if point.letters == "complex":
            return size * MP.mpc(1, drawn)
        return -size if point.letters == "real" and point.index % 2 else size

    def command(self, name: str):
        if name in ("lfloor", "lceil"):
            value = self.sum()
            self.expect(name.replace("l", "r", 1))
            return _called(name[1:], value)
        if name in ("frac", "binom"):
            top, bottom = self.atom(), self.atom()
            self.kind = "fraction"
            if name == "frac":
                return top * (1 / bottom)
            one, *others = (_called("factorial", value) for value in (top, bottom, top - bottom))
            return one / math.prod(others)
        if name == "sqrt":
            index = self.atom() if self.is_sign("[") else Fraction(2)
            return _power(self.atom(), 1 / index)
        return self.function(name)

    def function(self, name: str, base=None):
        exponent = None
        if self.take("^"):
            exponent = self.exponent()
            if exponent == -1 and name in ("sin", "cos", "tan"):
                name, exponent = "arc" + name, None
            elif not isinstance(exponent, Fraction) or exponent <= 0:
                raise Unreadable("a power, or an inverse")
        self.angles += 1
        if self.is_sign("(", "[", "{"):
            value = self.bracketed()
            if self.is_sign("^"):
                raise Unreadable("a power of a function, or of its argument")
        else:
            value, many = self.power(), False
            while not self.closed and self.token.kind in ("number", "name"):
                value, many = value * self.power(), True
            if self.is_sign("(", "[", "{", "/", "*") or many and name in ("ln", "log"):
                raise Unreadable("an argument without brackets")
        self.angles -= 1
        if name == "log":
            if self.closed:
                raise Unreadable("an open base")
            base, name = (Fraction(10) if self.point.index % 2 else None), "ln"  # to either base, taken in turn
        value = _called(name, value)
        value = value / _called("ln", base) if base is not None else value
        return _power(value, exponent) if exponent else value


def read_closed(text: str) -> tuple:
    """Return the value of the longest number at the beginning of a text, and where it ends.

    >>> read_closed("3 cm")
    (Fraction(3, 1), 1)
    """
    tokens = _tokens(text, True)
    for length in range(len(tokens), max(0, len(tokens) - MAX_DEPTH), -1):
        try:
            return _Reader(tokens[:length]).whole(), tokens[length - 1].end
        except Unreadable:
            continue
    raise Unreadable("no number")


# --- formulas --------------------------------------------------------------------------------------------------------

_NAME = r"(?:\\[A-Za-z]+|[A-Za-z])(?:_(?:\{\w+\}|\w))?"
_D, _POWERS = r"\s*(?:d|\\partial(?![A-Za-z]))\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*", r"\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*"
_RATE = LazyPattern(
    rf"\\frac\s*\{{{_D}{_NAME}{_POWERS}\}}\s*\{{(?:{_D}{_NAME}{_POWERS})+\}}|(?<![A-Za-z\\]){_D}{_NAME}\s*/{_D}{_NAME}{_POWERS}(?![A-Za-z])"
)
"""A derivative of one letter by others: read as a name of its own."""
_CALL = LazyPattern(r"(?<![\\A-Za-z_])(?![ei]\s*\()([A-Za-z](?:_(?:\{\w+\}|\w))?'*)\s*\(\s*(\\?[A-Za-z]+|-?\d+)\s*\)")
"""A letter before a letter or number in brackets: a name of its own, so that y(x) is not x(y), and 2P(0) not P(0)."""
_DASHED = re.compile(r"'|\\d?dot(?![A-Za-z])")


def _own_name(found: re.Match[str]) -> str:
    return (
        "D_{" + re.sub(r"[^A-Za-z\dp]|frac", "", found[0].replace("'", "p").replace("(", "o").replace("-", "m")) + "} "
    )


class _Formulas:
    """Texts read with the same understanding of their letters, and their values at points."""

    def __init__(self, texts: list[str], folded: frozenset[str] = frozenset()) -> None:
        joined = " ".join(texts)
        if max(map(len, texts)) > MAX_LENGTH:
            raise TooLarge("long")
        plain = _RATE.sub(" ", joined)
        if plain != joined and _DASHED.search(joined) or P.WORDS.search(plain):
            raise Unreadable("no plain formula, or derivatives in two ways")
        self.texts = [_CALL.sub(_own_name, _RATE.sub(_own_name, text)) for text in texts]
        called = "".join({found[1][0] for text in texts for found in _CALL.finditer(text)})
        if any(re.search(rf"(?<![\\A-Za-z_])[fghFGH{called}]\w?'*\s*\(", text) for text in self.texts):
            raise Unreadable("a function, or a factor")
        tokens = [_tokens(text, False) for text in self.texts]
        self.names = [{token.text for token in part if token.kind == "name"} for part in tokens]
        signs = {token.text for part in tokens for token in part}
        summed = any(token.kind == "series" for part in tokens for token in part)
        self.open = bool(signs & {"lfloor", "lceil"}) and any(self.names)
        self.stepped = summed or bool(signs & {"|", "overline", "lfloor", "lceil"})
        self.letters = "whole" if summed or signs & {"lfloor", "lceil"} else "positive"
        if "overline" in signs or any(sign[0] == "^" and len(sign) > 1 for sign in signs if sign):
            self.letters, self.stepped = "complex", True
        elif "|" in signs:
            self.letters = "real"
        self.folded, self.known = folded, {}

    def at(self, index: int, given: tuple = ()) -> list | None:
        """The values of all texts at a point, `given` one letter and its value; None where one has none."""
        if (key := (index, *given)) not in self.known:
            try:
                point, known = Point(index, self.letters, self.folded), dict((given,) if given else ())
                found = [_Reader(_tokens(text, False), point, known).whole() for text in self.texts]
            except NO_VALUE:
                found = None
            self.known[key] = found
        return self.known[key]

    def same(self, one: int = 0, other: int = 1) -> bool | None:
        """Whether two of the texts are equal: at every point, or at no point that counts."""
        equal, far = [], []
        for index in POINTS:
            if values := self.at(index):
                distance = _distance(values[one], values[other])
                if index % 3 != 2:
                    far.append(distance > 1e-3)
                equal.append(distance < 1e-38)
            if False in equal and (len(far) > 3 or not self.stepped and False in far):
                break
        if len(far) > 3 and (any(far) if self.stepped else all(far)):
            return False
        # steps are too wide for a few points to prove them equal
        return True if len(equal) >= len(POINTS) - 1 and all(equal) and not self.open else None


def _distance(one, other):
    """The difference of two values in units of the larger one."""
    if _exact(one, other):
        return abs(one - other) / max(abs(one), abs(other), 1)
    if isinstance(one, MP.matrix) or isinstance(other, MP.matrix):
        alike = type(one) is type(other) and (one.rows, one.cols) == (other.rows, other.cols)
        return MP.mnorm(one - other) / (MP.mnorm(one) + MP.mnorm(other) or 1) if alike else 1
    one, other = as_float(one), as_float(other)
    size = max(abs(one), abs(other))
    return abs(one - other) / size if size > 1e-20 else 0


# --- equations and inequalities --------------------------------------------------------------------------------------

_RELATION = re.compile(r"(!=|[<>=]|\\(?:ne|le|ge)(?![A-Za-z]))(?![^{}]*\})")
_TURNED = {">": "<", "<": ">", r"\ge": r"\le", r"\le": r"\ge"}


def same_expression(gold: str, answer: str, folded: frozenset[str] = frozenset()) -> bool | None:
    r"""Return whether two formulas, equations or inequalities are equal, or None where that is not settled.

    Chains are compared link by link, in one direction. `folded` are small letters whose capitals are the same in another hand.
    Raises TooLarge where one of them must not be evaluated.

    >>> same_expression(r"\frac{1}{2}(e^{at}-e^{-at})", r"\sinh(at)"), same_expression("(x+1)^2", "x^2+1")
    (True, False)
    >>> same_expression("2x<4", "x<2"), same_expression(r"\sqrt{(a-b)^2}", "a-b")
    (True, None)
    """
    texts = [tidy(text).replace("$", "") for text in (gold, answer)]
    if max(map(len, texts)) > 4 * MAX_LENGTH:
        raise TooLarge("long")
    chains = [_directed(_RELATION.split(text)) for text in texts]
    (one, signs), (other, other_signs) = chains
    if bool(signs) != bool(other_signs):
        return None
    try:
        formulas = _Formulas([*one, *other], folded)
        if not signs:
            return formulas.same()
        if signs != other_signs:
            formulas.at(0)
            return False if len(signs) == len(other_signs) else None
        found = [_same_link(formulas, at, at + len(one), sign) for at, sign in enumerate(signs)]
    except (Unreadable, *NO_VALUE):
        return None
    return False if False in found else None if None in found else True


def _directed(parts: list[str]) -> tuple[list[str], list[str]]:
    sides, signs = parts[::2], [sign.replace("!=", r"\ne") for sign in parts[1::2]]
    falling = ">" in signs or r"\ge" in signs
    return (sides[::-1], [_TURNED.get(sign, sign) for sign in signs[::-1]]) if falling else (sides, signs)


def _same_link(formulas: _Formulas, one: int, other: int, sign: str) -> bool | None:
    """Whether two equations or inequalities say the same, of which the left sides stand at two places.

    They do where they are multiples: by a number, and for differential equations by a letter. Those with one side in common
    do where the other sides are equal. One that gives a name its value says the same as another that it solves.
    """
    found = [values for index in POINTS if (values := formulas.at(index))]
    pairs = [(add(v[one], -v[one + 1]), add(v[other], -v[other + 1])) for v in found]
    ratios = [as_float(left) / as_float(right) for left, right in pairs if left and right]
    if len(ratios) >= len(POINTS) - 1 and all(_distance(ratio, ratios[0]) < 1e-35 for ratio in ratios):
        return sign in ("=", r"\ne") or ratios[0].real > 0
    left, right, plain = (one, one + 1), (other, other + 1), list(map(compact, formulas.texts))
    for mine, theirs in ((left[::order], right[::order]) for order in (1, -1)):
        if plain[mine[0]] == plain[theirs[0]]:
            return formulas.same(mine[1], theirs[1])
    for side, rest, others in ((*left, other), (*left[::-1], other), (*right, one), (*right[::-1], one)):
        if sign == "=" and (solved := _solved(formulas, side, rest, others)) is not None:
            return solved
    return None


def _solved(formulas: _Formulas, side: int, rest: int, other: int) -> bool | None:
    """Whether an equation that gives a name its value says the same as another one: that holds, and is linear in the name, or never holds."""
    name, *more = formulas.names[side] or {""}
    if more or name in formulas.names[rest] or compact(formulas.texts[side]) != compact(name):
        return None
    held, linear = [], True
    for index in POINTS[:5]:
        if values := formulas.at(index):
            tried = [formulas.at(index, given=(name, as_float(values[rest]) + more)) for more in range(3)]
            if None in tried:
                return None
            zero, one, two = (as_float(found[other]) - as_float(found[other + 1]) for found in tried)
            held.append(abs(zero) <= 1e-35 * max(1, abs(as_float(tried[0][other]))))
            linear &= bool(abs(one) > 1e-9 and abs(two - 2 * one + zero) < 1e-35 * max(1, abs(two)))
    return None if len(held) < 3 or any(held) != all(held) else False if not all(held) else True if linear else None
