r"""One reader of the language of formulas: text to tree, by one reading only; what could be read in two ways is refused.

Trees are tuples: ("number", 1/2), ("name", "x_1"), (operator, left, right), ("call", name, argument). A number is the longest
beginning of a text that holds no letter (`read_closed`), a formula the whole text (`read_trees`).
"""

import re
from fractions import Fraction
from functools import lru_cache


MAX_LENGTH = 400
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,4}(?![A-Za-z\d]))?)"
    r"|(?P<command>\\[A-Za-z]+)|(?P<times>(?<=\d)\s*[xX](?=\s*10\s*\^)|\*\*)|(?P<letter>[A-Za-z])|(?P<sign>[-+*/^_'|(){}\[\]!°]))"
)
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega hbar ell pi".split()
)
FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp".split())
_ACCENTS = frozenset(("dot", "ddot", "hat", "tilde"))
_OTHERS = frozenset(("frac", "sqrt", "binom", "prime", "overline", "lfloor", "lceil", "rfloor", "rceil"))
_CLOSED = FUNCTIONS | {"frac", "sqrt", "pi", "binom", "lfloor", "lceil"}
_SIGN_COMMANDS = {"cdot": "*", "times": "*", "ast": "*", "div": "/"}
CONSTANTS = frozenset(("e", "i", "pi"))
_WORDS = re.compile(r"(?<![A-Za-z\\])(?:[A-Za-z]{4,}|and|for|gcd|if|is|lcm|max|min|mod|or|the|when|with)(?![A-Za-z])")
_DERIVATIVE = re.compile(r"\{\s*d\s*\\?[A-Za-z]|/\s*\(?d[A-Za-z]|\\partial")
_CALL = re.compile(r"(?<![\\A-Za-z_])([A-Za-z])(_(?:\{[^{}]*\}|\w))?('*)\s*(\()?")
_SUBSCRIPT = re.compile(r"\s*_\s*(?:\{([^{}]*)\}|([A-Za-z0-9]))")
_PRIME = re.compile(r"\s*\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![A-Za-z]))")
_CLOSE = {"(": ")", "{": "}", "[": "]"}
_MINUS_ONE, _DEGREE = ("number", Fraction(-1)), ("/", ("name", "pi"), ("number", Fraction(180)))


class Unreadable(ValueError):
    """A formula that is none, or that can be read in more than one way."""


def read_trees(texts: tuple[str, ...]) -> list[tuple]:
    """Return the formulas' trees, read with the same understanding of their letters.

    Raises:
        Unreadable: one of them is no formula, or can be read in more than one way.
    """
    found = [match for text in texts for match in _CALL.finditer(text)]
    # A letter that only ever stands before a bracket may be a function; one that also stands alone is a factor, but for f, g and h.
    bare = {match[1] for match in found if not match[4]} - set("fghFGH")
    functions = frozenset(match[1] for match in found if match[4]) - bare - CONSTANTS
    trees = [_read(text, functions) for text in texts]
    names = [names_of(tree) for tree in trees]
    if any(len({name.lower() for name in found}) < len(found) for found in names):
        return trees  # R and r are two things
    both = frozenset().union(*names)
    if both >= {"E", "e"} or both >= {"I", "i"}:
        raise Unreadable("a constant or a letter")
    return [_lowered(tree) for tree in trees]


def read_closed(text: str) -> tuple[tuple, int]:
    """Return the tree of the longest number at the beginning of a text, and where it ends.

    >>> read_closed("3 cm")
    (('number', Fraction(3, 1)), 1)

    Raises:
        Unreadable: the text does not begin with a number.
    """
    reader = _Reader(text, frozenset(), closed=True)
    tree = reader.sum()
    return tree, reader.at


@lru_cache(maxsize=4_096)
def _read(text: str, functions: frozenset[str]) -> tuple:
    if len(text) > MAX_LENGTH or _WORDS.search(text) or _DERIVATIVE.search(text):
        raise Unreadable("no plain formula")
    reader = _Reader(text, functions)
    tree = reader.sum()
    if reader.kind is not None:
        raise Unreadable(reader.token)
    return tree


class _Reader:
    """Recursive descent over one text; `closed`: letters end the number, mixed numbers are sums."""

    def __init__(self, text: str, functions: frozenset[str], closed: bool = False) -> None:
        self.text, self.functions, self.closed = text, functions, closed
        self.at = self.depth = self.bars = self.angles = 0
        self.look()

    def look(self) -> None:
        match = self.match = _TOKEN.match(self.text, self.at)
        if match is None and self.text[self.at :].strip() and not self.closed:
            raise Unreadable(self.text[self.at :])
        self.kind = match.lastgroup if match else None
        self.token = match[self.kind].strip() if match else ""
        self.size = match.end() if match else self.at
        if self.kind == "times":
            self.kind, self.token = "sign", "^" if self.token == "**" else "*"
        elif self.kind == "command":
            self.command(self.token[1:])

    def command(self, name: str) -> None:
        self.token = name
        if name in _SIGN_COMMANDS:
            self.kind, self.token = "sign", _SIGN_COMMANDS[name]
        elif name not in GREEK | FUNCTIONS | _ACCENTS | _OTHERS:
            # A letter that has run into its sign: \omegat.
            known = next((name[:-end] for end in (1, 2) if name[:-end] in GREEK), None)
            if known is None or self.closed:
                self.kind = None
                if not self.closed:
                    raise Unreadable(name)
            else:
                self.size -= len(name) - len(known)
                self.token = known

    def step(self) -> str:
        token, self.at = self.token, self.size
        self.look()
        return token

    def back(self, at: int) -> None:
        self.at = at
        self.look()

    def expect(self, sign: str) -> None:
        if self.token != sign:
            raise Unreadable(f"no {sign}")
        self.step()

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.token in signs

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("deep")

    def sum(self) -> tuple:
        self.deeper()
        depth = self.depth
        tree = self.product()
        while self.is_sign("+", "-"):
            at = self.at
            sign = self.step()
            try:
                tree = (sign, tree, self.product())
            except Unreadable:
                if not self.closed:
                    raise
                self.back(at)
                break
        self.depth = depth - 1
        return tree

    def product(self) -> tuple:
        if self.is_sign("+", "-"):
            self.deeper()
            sign = self.step()
            tree = self.product()
            self.depth -= 1
            return tree if sign == "+" else ("*", _MINUS_ONE, tree)
        tree = last = self.power()
        divided = False
        while True:
            at = self.at
            try:
                if self.is_sign("*", "/"):
                    operator = self.step()
                    divided = operator == "/"
                    factor = self.signed()
                elif self.starts_factor() or self.kind == "number" and last[0] == "^":
                    operator, factor = self.implicit(last, divided)
                else:
                    return tree
            except Unreadable:
                if not self.closed:
                    raise
                self.back(at)
                return tree
            tree, last = (operator, tree, factor), factor

    def implicit(self, before: tuple, divided: bool) -> tuple[str, tuple]:
        """A factor without a sign before it; behind a whole number, a fraction is added in numbers and refused in formulas."""
        numeral = self.kind == "number" and before[0] != "^"
        if not self.closed and (divided or numeral and self.text[: self.at].rstrip()[-1:] not in ")]}"):
            raise Unreadable("a/bc, or a numeral behind a letter")
        mixed = self.token == "frac" and before[0] == "number" and before[1].denominator == 1
        factor = self.power()
        if mixed and not names_of(factor):
            value = constant(factor)
            if not self.closed:
                raise Unreadable("a mixed number")
            if value is not None and 0 < value < 1:
                return "+", factor
        return "*", factor

    def signed(self) -> tuple:
        if self.is_sign("-"):
            self.step()
            return "*", _MINUS_ONE, self.power()
        return self.power()

    def starts_factor(self) -> bool:
        if self.is_sign("(", "[", "{") or (self.is_sign("|") and not self.bars):
            return True
        if self.closed:
            return self.kind == "command" and self.token in _CLOSED
        return self.kind in ("number", "command", "letter") and self.token not in ("prime", "rfloor", "rceil")

    def power(self) -> tuple:
        tree = self.atom()
        while self.is_sign("!"):
            self.step()
            tree = ("call", "factorial", tree)
        if self.angles and self.is_sign("°"):
            self.step()
            tree = ("*", tree, _DEGREE)
        if self.is_sign("^"):
            self.step()
            tree = ("^", tree, self.exponent())
            if self.is_sign("^"):
                raise Unreadable("a tower")
        return tree

    def exponent(self) -> tuple:
        if self.is_sign("{", "("):
            return self.group()
        if self.closed and self.is_sign("-", "+"):
            sign = self.step()
            return self.atom() if sign == "+" else ("*", _MINUS_ONE, self.atom())
        if (
            self.kind == "number"
            and (self.closed or self.token.isdigit())
            or self.kind == "letter"
            or self.token in GREEK
        ):
            return self.atom()
        raise Unreadable("an exponent without braces")

    def atom(self) -> tuple:
        if self.kind == "number":
            return "number", numeral(self.step())
        if self.is_sign("(", "[", "{"):
            return self.group()
        if self.is_sign("|") and not self.bars:
            self.bars += 1
            self.step()
            tree = self.sum()
            self.expect("|")
            self.bars -= 1
            return "call", "abs", tree
        if self.kind == "letter" and not self.closed:
            letter, tree = self.token, self.name("")
            if letter in self.functions and self.is_sign("("):
                tree = ("call", tree[1], self.group())
                if self.is_sign("^"):
                    raise Unreadable("a power of a function, or of its argument")
            return tree
        if self.kind != "command" or self.token in ("prime", "rfloor", "rceil"):
            raise Unreadable(self.token)
        if self.token in GREEK and (not self.closed or self.token == "pi"):
            return self.name("")
        if self.token in GREEK | _ACCENTS | {"overline"} and self.closed:
            raise Unreadable(self.token)
        if self.token in _ACCENTS:
            return self.accented()
        command = self.step()
        if command in ("frac", "binom"):
            top, bottom = self.argument(), self.argument()
            return ("/", top, bottom) if command == "frac" else _choose(top, bottom)
        if command == "sqrt":
            index = self.group() if self.is_sign("[") else ("number", Fraction(2))
            return "^", self.argument(), ("/", ("number", Fraction(1)), index)
        if command == "overline":
            return "call", "conjugate", self.argument()
        if command in ("lfloor", "lceil"):
            tree = self.sum()
            self.expect(command.replace("l", "r", 1))
            return "call", command[1:], tree
        return self.function(command)

    def group(self) -> tuple:
        close, bars = _CLOSE[self.step()], self.bars
        self.bars = 0
        tree = self.sum()
        self.bars = bars
        self.expect(close)
        return tree

    def argument(self) -> tuple:
        """The argument of a command: a group, one digit or one letter."""
        if self.is_sign("{"):
            return self.group()
        if self.kind == "number" and self.token[0].isdigit():
            digit = self.token[0]
            self.back(self.match.start("number") + 1)
            return "number", Fraction(digit)
        if (self.kind == "letter" and not self.closed) or self.token in GREEK:
            return "name", self.step()
        raise Unreadable("an argument without braces")

    def accented(self) -> tuple:
        accent = self.step()
        braces = self.is_sign("{")
        if braces:
            self.step()
        if self.kind != "letter" and self.token not in GREEK:
            raise Unreadable("an accent on more than a letter")
        name = self.step()
        if braces:
            self.expect("}")
        return self.name(f"{accent} {name}")

    def name(self, name: str) -> tuple:
        """A letter with its accent, subscript and primes."""
        name = name or self.step()
        for _ in range(4 if not self.closed else 0):
            if self.is_sign("_"):
                rest = _SUBSCRIPT.match(self.text, self.at)
                if rest is None:
                    raise Unreadable("a subscript")
                name += "_" + re.sub(r"\s+", "", rest[1] or rest[2] or "")
                self.back(rest.end())
            elif self.is_sign("'"):
                self.step()
                name += "'"
            elif rest := _PRIME.match(self.text, self.at):
                name += "'"
                self.back(rest.end())
        return "name", name

    def function(self, name: str) -> tuple:
        base = exponent = None
        if self.is_sign("_"):
            if name != "log":
                raise Unreadable("a subscript")
            self.step()
            base = self.argument()
        if self.is_sign("^"):
            self.step()
            exponent = self.exponent()
            if constant(exponent) == -1 and name in ("sin", "cos", "tan"):
                name, exponent = "arc" + name, None
            elif not (constant(exponent) or -1) > 0:
                raise Unreadable("a power, or an inverse")
        self.angles += 1
        if self.is_sign("(", "[", "{"):
            argument = self.group()
            if self.is_sign("^", "'"):
                raise Unreadable("a power of a function, or of its argument")
        else:
            argument, many = self.power(), False
            while (
                self.kind in ("number", "letter") and not self.closed or self.token in GREEK and self.kind == "command"
            ):
                argument, many = ("*", argument, self.power()), True
            if self.is_sign("(", "[", "{", "/", "*") or many and name in ("ln", "log"):
                raise Unreadable("an argument without brackets")
        if self.is_sign("°"):
            self.step()
            argument = ("*", argument, _DEGREE)
        self.angles -= 1
        tree = ("call", "ln" if base else name, argument)
        if base:
            tree = ("/", tree, ("call", "ln", base))
        return ("^", tree, exponent) if exponent else tree


def _choose(top: tuple, bottom: tuple) -> tuple:
    one, other, rest = (("call", "factorial", tree) for tree in (top, bottom, ("-", top, bottom)))
    return "/", one, ("*", other, rest)


def numeral(text: str) -> Fraction:
    """Return the value of a numeral with its thousands commas and its power of ten."""
    digits, _, power = text.replace(",", "").lower().partition("e")
    if not power:
        return Fraction(digits)
    if abs(int(power)) > 400:
        raise Unreadable("too large")
    return Fraction(digits) * Fraction(10) ** int(power)


def names_of(tree: tuple) -> frozenset[str]:
    """Return the letters of a tree, with functions whose meaning is open."""
    if tree[0] == "number":
        return frozenset()
    if tree[0] == "name":
        return frozenset((tree[1],))
    names = frozenset().union(*(names_of(part) for part in tree[1:] if isinstance(part, tuple)))
    known = FUNCTIONS - {"log"} | {"abs", "factorial", "floor", "ceil", "conjugate"}
    return names | {tree[1]} if tree[0] == "call" and tree[1] not in known else names


def _lowered(tree: tuple) -> tuple:
    if tree[0] == "name" or tree[0] == "call":
        name = tree[1] if tree[1] in ("E", "I") else tree[1].lower()
        return tree[0], name, *map(_lowered, tree[2:])
    return tree if tree[0] == "number" else (tree[0], *map(_lowered, tree[1:]))


def constant(tree: tuple) -> Fraction | None:
    """Return the value of a tree of numbers alone, without powers; None for any other."""
    if tree[0] == "number":
        return tree[1]
    if tree[0] not in ("+", "-", "*", "/"):
        return None
    left, right = constant(tree[1]), constant(tree[2])
    if left is None or right is None or (tree[0] == "/" and not right):
        return None
    return {"+": left + right, "-": left - right, "*": left * right}.get(tree[0]) if tree[0] != "/" else left / right
