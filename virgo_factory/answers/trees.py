"""Formulas read into trees, by one reading only: whatever could be read in two ways is refused."""

import re
from fractions import Fraction
from functools import lru_cache


MAX_LENGTH = 400
MAX_DEPTH = 40

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)|(?P<command>\\[A-Za-z]+)|(?P<letter>[A-Za-z])"
    r"|(?P<sign>[-+*/^_'|(){}\[\]]))"
)
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega hbar ell pi".split()
)
_FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp".split())
_ACCENTS = frozenset(("dot", "ddot", "hat", "tilde"))
CONSTANTS = frozenset(("e", "i", "pi"))
_WORDS = re.compile(r"(?<![A-Za-z\\])(?:[A-Za-z]{4,}|and|for|gcd|if|is|lcm|max|min|mod|or|the|when|with)(?![A-Za-z])")
_DERIVATIVE = re.compile(r"\{\s*d\s*\\?[A-Za-z]|/\s*\(?d[A-Za-z]|\\partial")
_CALL = re.compile(r"(?<![\\A-Za-z_])([A-Za-z])(_(?:\{[^{}]*\}|\w))?('*)\s*(\()?")
_CLOSE = {"(": ")", "{": "}", "[": "]"}


class Unreadable(ValueError):
    """A formula that is none, or that can be read in more than one way."""


def read_trees(texts: tuple[str, ...]) -> list[tuple]:
    """Return the formulas' trees, read with the same understanding of their letters.

    Trees are tuples: ("number", 1/2), ("name", "x_1"), (operator, left, right), ("call", name, argument).

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


@lru_cache(maxsize=4_096)
def _read(text: str, functions: frozenset[str]) -> tuple:
    if len(text) > MAX_LENGTH or not text.isascii() or _WORDS.search(text) or _DERIVATIVE.search(text):
        raise Unreadable("no plain formula")
    return _Reader(text, functions).whole()


class _Reader:
    """Recursive descent over one formula."""

    def __init__(self, text: str, functions: frozenset[str]) -> None:
        self.text, self.functions, self.at, self.depth, self.bars = text, functions, 0, 0, 0
        self.look()

    def look(self) -> None:
        match = self.match = _TOKEN.match(self.text, self.at)
        if match is None and self.text[self.at :].strip():
            raise Unreadable(self.text[self.at :])
        self.kind = match.lastgroup if match else None
        self.token = match[self.kind] if match else ""
        self.size = match.end() if match else self.at
        if self.kind == "command":
            self.token = self.token[1:]
            if self.token in ("cdot", "times", "ast"):
                self.kind, self.token = "sign", "*"
            elif self.token == "div":
                self.kind, self.token = "sign", "/"
            elif self.token not in GREEK | _FUNCTIONS | _ACCENTS | {"frac", "sqrt", "prime"}:
                # A letter that has run into its sign: \omegat.
                name = next((self.token[:-end] for end in (1, 2) if self.token[:-end] in GREEK), None)
                if name is None:
                    raise Unreadable(self.token)
                self.size -= len(self.token) - len(name)
                self.token = name

    def step(self) -> str:
        token, self.at = self.token, self.size
        self.look()
        return token

    def expect(self, sign: str) -> None:
        if self.kind != "sign" or self.token != sign:
            raise Unreadable(f"no {sign}")
        self.step()

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.token in signs

    def whole(self) -> tuple:
        tree = self.sum()
        if self.kind is not None:
            raise Unreadable(self.token)
        return tree

    def sum(self) -> tuple:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("deep")
        tree = self.product()
        while self.is_sign("+", "-"):
            sign = self.step()
            tree = (sign, tree, self.product())
        self.depth -= 1
        return tree

    def product(self) -> tuple:
        if self.is_sign("+", "-"):
            sign = self.step()
            tree = self.product()
            return tree if sign == "+" else ("*", ("number", Fraction(-1)), tree)
        tree, divided = self.power(), False
        while True:
            if self.is_sign("*", "/"):
                operator = self.step()
                divided = operator == "/"
                factor = self.signed()
            elif self.starts_factor():
                if divided or self.kind == "number" and self.text[: self.at].rstrip()[-1:] not in ")]}":
                    raise Unreadable("a/bc, or a numeral behind a letter")
                mixed = tree[0] == "number" and self.token == "frac"
                factor = self.power()
                if mixed and not names_of(factor):
                    raise Unreadable("a mixed number")
                operator = "*"
            else:
                return tree
            tree = (operator, tree, factor)

    def signed(self) -> tuple:
        if self.is_sign("-"):
            self.step()
            return "*", ("number", Fraction(-1)), self.power()
        return self.power()

    def starts_factor(self) -> bool:
        return (self.kind in ("number", "command", "letter") and self.token != "prime") or (
            self.is_sign("(", "[", "{") or (self.is_sign("|") and not self.bars)
        )

    def power(self) -> tuple:
        tree = self.atom()
        if self.is_sign("^"):
            self.step()
            tree = ("^", tree, self.exponent())
            if self.is_sign("^"):
                raise Unreadable("a tower")
        return tree

    def exponent(self) -> tuple:
        if self.is_sign("{", "("):
            return self.group()
        if self.kind == "number" and self.token.isdigit() or self.kind == "letter" or self.token in GREEK:
            return self.atom()
        raise Unreadable("an exponent without braces")

    def atom(self) -> tuple:
        if self.kind == "number":
            return "number", Fraction(self.step().replace(",", ""))
        if self.is_sign("(", "[", "{"):
            return self.group()
        if self.is_sign("|") and not self.bars:
            self.bars += 1
            self.step()
            tree = self.sum()
            self.expect("|")
            self.bars -= 1
            return "call", "abs", tree
        if self.kind == "letter":
            letter, tree = self.token, self.name("")
            if letter in self.functions and self.is_sign("("):
                tree = ("call", tree[1], self.group())
                if self.is_sign("^"):
                    raise Unreadable("a power of a function, or of its argument")
            return tree
        if self.kind != "command" or self.token == "prime":
            raise Unreadable(self.token)
        if self.token in GREEK:
            return self.name("")
        if self.token in _ACCENTS:
            return self.accented()
        command = self.step()
        if command == "frac":
            return "/", self.argument(), self.argument()
        if command == "sqrt":
            index = self.group() if self.is_sign("[") else ("number", Fraction(2))
            return "^", self.argument(), ("/", ("number", Fraction(1)), index)
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
            self.at = self.match.start("number") + 1
            self.look()
            return "number", Fraction(digit)
        if self.kind == "letter" or self.token in GREEK:
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
        for _ in range(4):
            if self.is_sign("_"):
                rest = re.compile(r"\s*_\s*(?:\{([^{}]*)\}|([A-Za-z0-9]))").match(self.text, self.at)
                if rest is None:
                    raise Unreadable("a subscript")
                name += "_" + re.sub(r"\s+", "", rest[1] or rest[2] or "")
                self.at = rest.end()
                self.look()
            elif self.is_sign("'"):
                self.step()
                name += "'"
            elif rest := re.compile(r"\s*\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![A-Za-z]))").match(self.text, self.at):
                name += "'"
                self.at = rest.end()
                self.look()
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
        if self.is_sign("(", "[", "{"):
            argument = self.group()
            if self.is_sign("^", "'"):
                raise Unreadable("a power of a function, or of its argument")
        else:
            argument, many = self.power(), False
            while (self.kind in ("number", "letter") or self.token in GREEK) and self.kind != "sign":
                argument, many = ("*", argument, self.power()), True
            if self.is_sign("(", "[", "{", "/", "*") or many and name in ("ln", "log"):
                raise Unreadable("an argument without brackets")
        tree = ("call", "ln" if base else name, argument)
        if base:
            tree = ("/", tree, ("call", "ln", base))
        return ("^", tree, exponent) if exponent else tree


def names_of(tree: tuple) -> frozenset[str]:
    """Return the letters of a tree, with functions whose meaning is open."""
    if tree[0] == "number":
        return frozenset()
    if tree[0] == "name":
        return frozenset((tree[1],))
    names = frozenset().union(*(names_of(part) for part in tree[1:] if isinstance(part, tuple)))
    return names | {tree[1]} if tree[0] == "call" and tree[1] not in _FUNCTIONS - {"log"} else names


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
