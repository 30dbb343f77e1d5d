r"""One reader of the language of maths: text to tree, by one reading only; what could be read in two ways is refused.

A tree is a Fraction, a name, or (operator, *trees): "+", "*", "/", "^", "matrix" with its columns first, "sum" and "prod" with name, ends
and body, a known function ("sin"), and an open one as ("f()", ...) where it is one, ("f?", ...) where f may be a factor.
A number is the longest beginning of a text that holds no letter (`read_closed`), a formula the whole text (`read_trees`).
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple


MAX_LENGTH = 400
MAX_DEPTH = 40

GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega hbar ell pi".split()
)
FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp".split())
CONSTANTS = frozenset(("e", "i", "pi"))
_SEVERAL = frozenset("max min gcd lcm".split())
_KNOWN = (
    FUNCTIONS - {"log"}
    | _SEVERAL
    | frozenset("abs factorial binom floor ceil conjugate matrix sum prod + * / ^".split())
)
_CLOSED = FUNCTIONS | frozenset(r"\pi frac sqrt binom lfloor rfloor lceil rceil".split())

_SUBSCRIPT = r"\s*_\s*(?:\{[^{}]*\}|[A-Za-z\d])"
_NAME = r"(?:\\[A-Za-z]+|[A-Za-z])(?:_(?:\{\w+\}|\w))?"
_COMMANDS = "|".join([*FUNCTIONS, *_SEVERAL, *"frac sqrt binom overline lfloor rfloor lceil rceil nabla".split()])
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,4}(?![A-Za-z\d]))?)"
    r"|(?P<matrix>\\begin\{[pbB]?(?:small)?matrix\}.*?\\end\{[pbB]?(?:small)?matrix\})"
    r"|(?P<series>\\(?:sum|prod)\s*_\s*\{\s*[A-Za-z]\s*=[^{}]*\}\s*\^\s*(?:\{[^{}]*\}|\w))"
    r"|\\?(?P<log>log\s*_\s*(?:\{[^{}]*\}|\w))"
    rf"|\\(?P<command>{_COMMANDS})(?![A-Za-z])|(?<![A-Za-z\\])(?P<plain>{'|'.join([*FUNCTIONS, *_SEVERAL])}|sqrt)(?![A-Za-z])"
    r"|(?P<times>(?<=\d)\s*[xX](?=\s*10\s*\^)|\*\*|\\(?:cdot|times|div)(?![A-Za-z]))"
    rf"|(?P<name>(?:\\(?:dot|ddot|hat|tilde|vec|overleftrightarrow|widehat)(?![A-Za-z])\s*(?:\{{\s*(?:[A-Za-z]+|\\[A-Za-z]+)\s*\}}|\\[A-Za-z]+|[A-Za-z])"
    rf"|\\(?:{'|'.join(sorted(GREEK, key=len, reverse=True))})|[A-Za-z])(?:\s*')*(?:{_SUBSCRIPT})?(?:\s*')*)"
    r"|(?P<sign>\^\s*(?:\*|\{\s*\*\s*\})(?!\*)|[-+*/^|(){}\[\]!°,]))",
    re.DOTALL,
)
_WORDS = re.compile(
    r"(?<![A-Za-z\\{])(?!(?:arc)?(?:sin|cos|tan)h?(?![A-Za-z])|sqrt(?![A-Za-z]))(?:[A-Za-z]{4,}|and|[Ff]or|if|is|[Ll]et|mod|or|the|when|with)(?![A-Za-z])"
)
_D, _POWER = r"\s*(?:d|\\partial(?![A-Za-z]))\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*", r"\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*"
_RATE = re.compile(
    rf"\\frac\s*\{{{_D}{_NAME}{_POWER}\}}\s*\{{(?:{_D}{_NAME}{_POWER})+\}}|(?<![A-Za-z\\]){_D}{_NAME}\s*/{_D}{_NAME}{_POWER}(?![A-Za-z])"
)
"""A derivative of one letter by others: read as a name of its own."""
_DASHED = re.compile(r"'|\\d?dot(?![A-Za-z])")
_DIFFERENTIAL = re.compile(r"\{\s*d\s*\\?[A-Za-z]|/\s*\(?d[A-Za-z]|\\partial")
_CALL = re.compile(
    r"(?<![\\A-Za-z_])([A-Za-z])(?:_(?:\{[^{}]*\}|\w))?'*\s*(\()?((?<=\()(?=\s*(?:\\[A-Za-z]+|[A-Za-z])\s*\)))?"
)
_CLOSE = {"(": ")", "{": "}", "[": "]"}
_DEGREE = ("/", "pi", Fraction(180))


class Unreadable(ValueError):
    """A formula that is none, or that can be read in more than one way."""


class TooLarge(Exception):
    """A formula that must not be read or evaluated: it could take unbounded time or memory."""


def read_trees(texts: tuple[str, ...]) -> list:
    """Return the formulas' trees, read with the same understanding of their letters.

    Raises:
        Unreadable: one of them is no formula, or can be read in more than one way.
        TooLarge: one of them is too long or too deep.
    """
    if _RATE.search(joined := " ".join(texts)) and _DASHED.search(joined):
        raise Unreadable("derivatives in two ways")
    found = [list(_CALL.finditer(text)) for text in texts]
    alone = [{match[1] for match in matches if not match[2]} for matches in found]
    called = [{match[1] for match in matches if match[2]} for matches in found]
    # A letter that only ever stands before a bracket may be a function; one that also stands alone is a factor, but for f, g and h.
    functions = set().union(*called) - (set().union(*alone) - set("fghFGH"))
    # One that stands before a single letter, and nowhere so in another text, is one: y(x) is not x(y).
    sure = {
        match[1]
        for own, matches in zip(alone, found, strict=True)
        for match in matches
        if match[3] == "" and match[1] not in own
    }
    sure -= set.intersection(*called)
    return [
        _read(text, frozenset((functions | sure) & own - CONSTANTS), frozenset(sure))
        for text, own in zip(texts, called, strict=True)
    ]


def read_closed(text: str) -> tuple:
    """Return the tree of the longest number at the beginning of a text, and where it ends.

    >>> read_closed("3 cm")
    (Fraction(3, 1), 1)

    Raises:
        Unreadable: the text does not begin with a number.
    """
    reader = _Reader(text, closed=True)
    return reader.expression(), reader.tokens[reader.place - 1].end


@lru_cache(maxsize=4_096)
def _read(text: str, functions: frozenset[str], sure: frozenset[str]):
    if len(text) > MAX_LENGTH:
        raise TooLarge("long")
    plain = _RATE.sub(" ", text)
    if _WORDS.search(plain) or _DIFFERENTIAL.search(plain):
        raise Unreadable("no plain formula")
    return _Reader(_RATE.sub(_rate, text), functions, sure).whole()


def _rate(found: re.Match[str]) -> str:
    return "D_{" + "".join(re.findall(r"[A-Za-z\d]+", found[0].replace("frac", ""))) + "}"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """Precedence parser over one text; `closed`: letters end the number, mixed numbers are sums."""

    def __init__(self, text: str, functions=frozenset(), sure=frozenset(), closed: bool = False) -> None:
        self.text, self.functions, self.sure, self.closed = text, functions, sure, closed
        self.place = self.depth = self.bars = self.angles = 0
        self.tokens, at = [], 0
        while found := _TOKEN.match(text, at):
            kind, token = found.lastgroup, found[found.lastgroup].strip()
            if kind == "times":
                kind, token = "sign", {"**": "^", r"\div": "/"}.get(token, "*")
            if closed and kind not in ("number", "log", "sign") and (kind == "plain" or token not in _CLOSED):
                break
            kind, start = "command" if kind == "plain" else kind, found.start(found.lastgroup)
            self.tokens.append(_Token(kind, token, start, at := found.end()))
        if not closed and text[at:].strip():
            raise Unreadable(text[at:])
        self.tokens.append(_Token("end", "", at, at))

    def whole(self):
        tree = self.expression()
        if self.token.kind != "end":
            raise Unreadable(self.token.text)
        return tree

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def step(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1].text

    def take(self, *signs: str) -> str:
        """Step over one of some signs; nothing where another stands there."""
        return self.step() if self.is_sign(*signs) else ""

    def expect(self, sign: str) -> None:
        if self.step() != sign:
            raise Unreadable(f"no {sign}")

    def is_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def beside(self) -> bool:
        """Whether a name follows another without a space."""
        return self.token.kind == "name" and self.text[self.token.start - 1].isalpha()

    def expression(self, level: int = 0):
        """A sum (level 0) or a product (level 1)."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("deep")
        depth, divided = self.depth, False
        sign = self.take("+", "-")
        tree = last = signed(sign, self.expression(1)) if sign else self.power()
        while True:
            place = self.place
            try:
                if level == 0 and (sign := self.take("+", "-")):
                    tree = last = ("+", tree, signed(sign, self.expression(1)))
                elif operator := self.take("*", "/"):
                    divided = operator == "/"
                    last = signed(self.take("+", "-"), self.power())
                    while divided and self.beside():
                        last = ("*", last, self.power())  # AB/BC
                    tree = (operator, tree, last)
                elif self.starts_factor() or self.token.kind == "number" and operator_of(last) == "^":
                    operator, last = self.implicit(last, divided)
                    tree = (operator, tree, last)
                else:
                    break
            except Unreadable:
                if not self.closed:
                    raise
                self.place = place
                break
        self.depth = depth - 1
        return tree

    def starts_factor(self) -> bool:
        if self.is_sign("(", "[", "{") or (self.is_sign("|") and not self.bars):
            return True
        kinds = ("command", "log", "name") if self.closed else ("number", "command", "log", "name", "matrix", "series")
        return self.token.kind in kinds and self.token.text not in ("rfloor", "rceil")

    def implicit(self, before, divided: bool) -> tuple:
        """A factor without a sign before it; behind a whole number, a fraction is added in numbers and refused in formulas."""
        numeral = self.token.kind == "number" and operator_of(before) != "^"
        if not self.closed and (divided or numeral and self.tokens[self.place - 1].text not in (")", "]", "}")):
            raise Unreadable("a/bc, or a numeral behind a letter")
        mixed = self.token.text == "frac" and isinstance(before, Fraction) and before.denominator == 1
        factor = self.power()
        if mixed and not names_of(factor):
            if not self.closed:
                raise Unreadable("a mixed number")
            parts = factor[1:] if operator_of(factor) == "/" else ()
            if parts and all(isinstance(part, Fraction) for part in parts) and 0 < parts[0] < parts[1]:
                return "+", factor
        return "*", factor

    def power(self):
        tree = self.atom()
        if self.take("!"):
            tree = ("factorial", tree)
            if self.is_sign("!"):
                raise Unreadable("a double factorial")
        if self.angles and self.take("°"):
            tree = ("*", tree, _DEGREE)
        if self.take("^"):
            tree = ("^", tree, self.exponent())
            if self.is_sign("^"):
                raise TooLarge("a tower")
        elif self.token.kind == "sign" and len(self.token.text) > 1:
            self.step()
            tree = ("conjugate", tree)
        return tree

    def exponent(self):
        if self.closed and (sign := self.take("-", "+")):
            return signed(sign, self.atom())
        plain = self.token.kind == "name" or self.token.kind == "number" and (self.closed or self.token.text.isdigit())
        if not plain and not self.is_sign("{", "("):
            raise Unreadable("an exponent without braces")
        return self.atom()

    def atom(self):
        kind, token = self.token.kind, self.token.text
        if self.is_sign("(", "[", "{"):
            trees = self.arguments()
            if len(trees) > 1:
                raise Unreadable("a list")
            return trees[0]
        if self.is_sign("|") and self.bars:
            raise Unreadable("a bar")
        self.step()
        if kind == "number":
            return numeral(token)
        if kind == "name":
            return self.name(token)
        if kind == "sign" and token == "|":
            self.bars += 1
            tree = self.expression()
            self.expect("|")
            self.bars -= 1
            return "abs", tree
        if kind == "matrix":
            inside = token[token.index("}") + 1 : token.rindex("\\end")]
            rows = [row.split("&") for row in inside.split("\\\\") if row.strip()]
            if not rows or any(len(row) != len(rows[0]) for row in rows):
                raise Unreadable("a ragged matrix")
            return "matrix", len(rows[0]), *(self.inner(cell) for row in rows for cell in row)
        if kind == "series":
            operator, name, low, high = re.match(r"\\(sum|prod)[_\s{]*(\w)\s*=(.*?)\}\s*\^(.*)", token).groups()
            return operator, name, self.inner(low), self.inner(high), self.expression(1)
        if kind == "log":
            return self.function("ln", self.inner(token.partition("_")[2].strip("{} ")))
        if kind != "command" or token in ("rfloor", "rceil"):
            raise Unreadable(token)
        return self.command(token)

    def inner(self, text: str):
        return _Reader(text, self.functions, self.sure).whole()

    def arguments(self) -> list:
        """What stands in brackets, between commas."""
        close, bars = _CLOSE.get(self.step()), self.bars
        if close is None:
            raise Unreadable("no brackets")
        self.bars = 0
        trees = [self.expression()]
        while close == ")" and self.take(","):
            trees.append(self.expression())
        self.bars = bars
        self.expect(close)
        return trees

    def name(self, token: str):
        """A letter with its accent, subscript and primes, and the function it may be; with a formula as index it is a function of that."""
        letter, _, index = re.sub(r"[\s{}\\']", "", token).partition("_")
        primes = "'" * token.count("'")
        name = letter + ("_" + index if index else "") + primes
        if re.fullmatch(r"[a-z]|[\da-z]+(?:[-+][\da-z]+)+", index):
            return f"{letter}_{primes}()", self.inner(index)
        if letter in self.functions and self.is_sign("("):
            arguments = self.arguments()
            if self.is_sign("^"):
                raise Unreadable("a power of a function, or of its argument")
            return name + ("()" if letter in self.sure or len(arguments) > 1 else "?"), *arguments
        return name

    def command(self, name: str):
        if name in _SEVERAL:
            return name, *self.arguments()
        if name in ("lfloor", "lceil"):
            tree = self.expression()
            self.expect(name.replace("l", "r", 1))
            return name[1:], tree
        if name == "nabla":
            return "nabla()", self.power()
        if name in ("frac", "binom"):
            return "/" if name == "frac" else name, self.atom(), self.atom()
        if name == "sqrt":
            index = self.atom() if self.is_sign("[") else Fraction(2)
            return "^", self.atom(), 1 / index if isinstance(index, Fraction) and index else ("/", Fraction(1), index)
        if name == "overline":
            return "conjugate", self.atom()
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
            argument = self.atom()
            if self.is_sign("^"):
                raise Unreadable("a power of a function, or of its argument")
        else:
            argument, many = self.power(), False
            while not self.closed and self.token.kind in ("number", "name"):
                argument, many = ("*", argument, self.power()), True
            if self.is_sign("(", "[", "{", "/", "*") or many and name in ("ln", "log"):
                raise Unreadable("an argument without brackets")
        if self.take("°"):
            argument = ("*", argument, _DEGREE)
        self.angles -= 1
        tree = ("/", ("ln", argument), ("ln", base)) if base else (name, argument)
        return ("^", tree, exponent) if exponent else tree


def signed(sign: str, tree):
    """Return a tree with a sign before it."""
    return tree if sign != "-" else -tree if isinstance(tree, Fraction) else ("*", Fraction(-1), tree)


def operator_of(tree) -> str:
    """Return the operator of a tree, or nothing for a number or name."""
    return tree[0] if isinstance(tree, tuple) else ""


def numeral(text: str) -> Fraction:
    """Return the value of a numeral with its thousands commas and its power of ten."""
    digits, _, power = text.replace(",", "").lower().partition("e")
    if power and abs(int(power)) > 400:
        raise TooLarge("a power of ten")
    return Fraction(digits) * Fraction(10) ** int(power or 0)


def names_of(tree) -> frozenset[str]:
    """Return the letters of a tree, with functions whose meaning is open."""
    if not isinstance(tree, tuple):
        return frozenset((tree,) if isinstance(tree, str) else ())
    names = frozenset().union(*map(names_of, tree[1:]))
    if tree[0] in ("sum", "prod"):
        return names - {tree[1]}
    return names if tree[0] in _KNOWN else names | {tree[0]}
