r"""One reader of the language of maths: text to tree, by one reading only; what could be read in two ways is refused.

A tree is a Fraction, a name, or (operator, *trees): "+", "*", "/", "^", "matrix" with its columns, "sum" and "prod" with name, ends
and body, a known function ("sin"), and an open one as ("f()", ...) where it is one, ("f?", ...) where f may be a factor.
A number is the longest beginning of a text that holds no letter (`read_closed`), a formula the whole text (`read_trees`).
"""

import re
from fractions import Fraction
from functools import lru_cache


MAX_LENGTH = 400
MAX_DEPTH = 40

GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega hbar ell pi".split()
)
FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp".split())
CONSTANTS = frozenset(("e", "i", "pi"))
KNOWN = FUNCTIONS | frozenset(
    "abs factorial binom floor ceil conjugate max min gcd lcm matrix sum prod + * / ^".split()
)
_CLOSED = FUNCTIONS | {"frac", "sqrt", "pi", "binom", "lfloor", "lceil"}
_ACCENTS = frozenset("dot ddot hat tilde vec overleftrightarrow widehat".split())
_OTHERS = frozenset(
    "frac sqrt binom overline lfloor lceil rfloor rceil nabla sum prod max min gcd lcm begin end".split()
)
_SIGN_COMMANDS = {"cdot": "*", "times": "*", "ast": "*", "div": "/"}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,4}(?![A-Za-z\d]))?)"
    r"|\\(?P<command>[A-Za-z]+)|(?P<function>(?<![A-Za-z\\])(?:(?:arc)?(?:sin|cos|tan)h?|cot|sec|csc|log|ln|exp|sqrt|pi|max|min|gcd|lcm)(?![A-Za-z]))"
    r"|(?P<times>(?<=\d)\s*[xX](?=\s*10\s*\^)|\*\*)|(?P<letter>[A-Za-z])|(?P<sign>\\\\|[-+*/^_'|=(){}\[\]!°,&]))"
)
_WORDS = re.compile(
    r"(?<![A-Za-z\\{])(?!(?:arc)?(?:sin|cos|tan)h?(?![A-Za-z])|sqrt(?![A-Za-z]))(?:[A-Za-z]{4,}|and|[Ff]or|if|is|[Ll]et|mod|or|the|when|with)(?![A-Za-z])"
)
_NAME = r"(?:\\[A-Za-z]+|[A-Za-z])(?:_(?:\{\w+\}|\w))?"
_D, _POWER = r"\s*(?:d|\\partial(?![A-Za-z]))\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*", r"\s*(?:\^\s*\{?\s*\d\s*\}?)?\s*"
_RATE = re.compile(
    rf"\\frac\s*\{{{_D}{_NAME}{_POWER}\}}\s*\{{(?:{_D}{_NAME}{_POWER})+\}}|(?<![A-Za-z\\]){_D}{_NAME}\s*/{_D}{_NAME}{_POWER}(?![A-Za-z])"
)
"""A derivative of one letter by others: read as a name of its own."""
_DIFFERENTIAL = re.compile(r"\{\s*d\s*\\?[A-Za-z]|/\s*\(?d[A-Za-z]|\\partial")
_CALL = re.compile(
    r"(?<![\\A-Za-z_])([A-Za-z])(?:_(?:\{[^{}]*\}|\w))?'*\s*(\()?((?=\s*(?:\\[A-Za-z]+|[A-Za-z])\s*\)))?"
)
_SUBSCRIPT = re.compile(r"\s*_\s*(?:\{([^{}]*)\}|([A-Za-z0-9]))")
_CONJUGATE = re.compile(r"\s*\^\s*(?:\{\s*\*\s*\}|\*(?!\*))")
_MATRIX = re.compile(r"\s*\{[pbB]?(?:small)?matrix\}|")
_CLOSE = {"(": ")", "{": "}", "[": "]"}
_DEGREE = ("/", "pi", Fraction(180))


class Unreadable(ValueError):
    """A formula that is none, or that can be read in more than one way."""


class TooLarge(ValueError):
    """A formula that must not be read or evaluated: it could take unbounded time or memory."""


def read_trees(texts: tuple[str, ...]) -> list:
    """Return the formulas' trees, read with the same understanding of their letters.

    Raises:
        Unreadable: one of them is no formula, or can be read in more than one way.
        TooLarge: one of them is too long or too deep.
    """
    found = [list(_CALL.finditer(text)) for text in texts]
    alone = [{match[1] for match in matches if not match[2]} for matches in found]
    called = [{match[1] for match in matches if match[2]} for matches in found]
    # A letter that only ever stands before a bracket may be a function; one that also stands alone is a factor, but for f, g and h.
    functions = set().union(*called) - (set().union(*alone) - set("fghFGH"))
    # One that stands before a single letter, and nowhere so in another text, is one: y(x) is not x(y).
    sure = {
        match[1]
        for matches, own in zip(found, alone, strict=True)
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
    return reader.expression(), reader.at


@lru_cache(maxsize=4_096)
def _read(text: str, functions: frozenset[str], sure: frozenset[str]):
    if len(text) > MAX_LENGTH:
        raise TooLarge("long")
    plain = _RATE.sub(" ", text)
    if _WORDS.search(plain) or _DIFFERENTIAL.search(plain):
        raise Unreadable("no plain formula")
    text = _RATE.sub(
        lambda found: "D_{" + "".join(re.findall(r"[A-Za-z\d]+", found[0].replace("frac", ""))) + "}", text
    )
    reader = _Reader(text, functions, sure)
    tree = reader.expression()
    if reader.kind is not None:
        raise Unreadable(reader.token)
    return tree


class _Reader:
    """Precedence parser over one text; `closed`: letters end the number, mixed numbers are sums."""

    def __init__(self, text: str, functions=frozenset(), sure=frozenset(), closed: bool = False) -> None:
        self.text, self.functions, self.sure, self.closed = text, functions, sure, closed
        self.at = self.depth = self.bars = self.angles = 0
        self.look()

    # Tokens

    def look(self) -> None:
        match = self.match = _TOKEN.match(self.text, self.at)
        if match is None and not self.closed and self.text[self.at :].strip():
            raise Unreadable(self.text[self.at :])
        self.kind = match.lastgroup if match else None
        self.token = match[self.kind].strip() if match else ""
        self.size = match.end() if match else self.at
        if self.kind == "times":
            self.kind, self.token = "sign", "^" if self.token == "**" else "*"
        elif self.kind == "function":
            self.kind = None if self.closed else "command"  # 5 sec
        elif self.kind == "command":
            self.command(self.token)

    def command(self, name: str) -> None:
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

    # Expressions

    def expression(self, level: int = 0):
        """A sum (level 0) or a product (level 1)."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge("deep")
        depth, divided = self.depth, False
        if self.is_sign("+", "-"):
            tree = last = self.signed(self.step(), self.expression(1))
        else:
            tree = last = self.power()
        while True:
            at = self.at
            try:
                if level == 0 and self.is_sign("+", "-"):
                    tree = last = ("+", tree, self.signed(self.step(), self.expression(1)))
                elif self.is_sign("*", "/"):
                    operator = self.step()
                    divided = operator == "/"
                    last = self.signed(self.step(), self.power()) if self.is_sign("-", "+") else self.power()
                    while operator == "/" and self.kind == "letter" and self.text[self.at - 1 : self.at + 1].isalpha():
                        last = ("*", last, self.power())  # AB/BC
                    tree = (operator, tree, last)
                elif self.starts_factor() or self.kind == "number" and operator_of(last) == "^":
                    operator, last = self.implicit(last, divided)
                    tree = (operator, tree, last)
                else:
                    break
            except Unreadable:
                if not self.closed:
                    raise
                self.back(at)
                break
        self.depth = depth - 1
        return tree

    def implicit(self, before, divided: bool) -> tuple:
        """A factor without a sign before it; behind a whole number, a fraction is added in numbers and refused in formulas."""
        numeral = self.kind == "number" and operator_of(before) != "^"
        if not self.closed and (divided or numeral and self.text[: self.at].rstrip()[-1:] not in ")]}"):
            raise Unreadable("a/bc, or a numeral behind a letter")
        mixed = self.token == "frac" and isinstance(before, Fraction) and before.denominator == 1
        factor = self.power()
        if mixed and not names_of(factor):
            if not self.closed:
                raise Unreadable("a mixed number")
            parts = factor[1:] if operator_of(factor) == "/" else ()
            if parts and all(isinstance(part, Fraction) for part in parts) and 0 < parts[0] < parts[1]:
                return "+", factor
        return "*", factor

    @staticmethod
    def signed(sign: str, tree):
        return tree if sign == "+" else -tree if isinstance(tree, Fraction) else ("*", Fraction(-1), tree)

    def starts_factor(self) -> bool:
        if self.is_sign("(", "[", "{") or (self.is_sign("|") and not self.bars):
            return True
        if self.closed:
            return self.kind == "command" and self.token in _CLOSED
        return self.kind in ("number", "command", "letter") and self.token not in ("rfloor", "rceil", "end")

    def power(self):
        tree = self.atom()
        if self.is_sign("!"):
            self.step()
            tree = ("factorial", tree)
            if self.is_sign("!"):
                raise Unreadable("a double factorial")
        if self.angles and self.is_sign("°"):
            self.step()
            tree = ("*", tree, _DEGREE)
        if conjugate := _CONJUGATE.match(self.text, self.at):
            self.back(conjugate.end())
            tree = ("conjugate", tree)
        elif self.is_sign("^"):
            self.step()
            tree = ("^", tree, self.exponent())
            if self.is_sign("^"):
                raise TooLarge("a tower")
        return tree

    def exponent(self):
        if self.is_sign("{", "("):
            return self.group()
        if self.closed and self.is_sign("-", "+"):
            return self.signed(self.step(), self.atom())
        if (
            self.kind == "number"
            and (self.closed or self.token.isdigit())
            or self.kind == "letter"
            or self.token in GREEK
        ):
            return self.atom()
        raise Unreadable("an exponent without braces")

    def atom(self):
        if self.kind == "number":
            return numeral(self.step())
        if self.is_sign("(", "[", "{"):
            return self.group()
        if self.is_sign("|") and not self.bars:
            self.bars += 1
            self.step()
            tree = self.expression()
            self.expect("|")
            self.bars -= 1
            return "abs", tree
        if self.kind == "letter" and not self.closed:
            return self.letter()
        if self.kind != "command" or self.token in ("rfloor", "rceil", "end"):
            raise Unreadable(self.token)
        if self.token in GREEK and (not self.closed or self.token == "pi"):
            return self.name(self.step())
        if self.closed and self.token not in _CLOSED:
            raise Unreadable(self.token)
        command = self.step()
        if command in _ACCENTS:
            return self.accented(command)
        if command in ("frac", "binom"):
            return "/" if command == "frac" else command, self.argument(), self.argument()
        if command == "sqrt":
            index = self.group() if self.is_sign("[") else Fraction(2)
            base = self.group() if self.is_sign("(") else self.argument()
            return "^", base, 1 / index if isinstance(index, Fraction) and index else ("/", Fraction(1), index)
        if command == "nabla":
            return "nabla()", self.power()
        if command == "overline":
            return "conjugate", self.argument()
        if command in ("lfloor", "lceil"):
            tree = self.expression()
            self.expect(command.replace("l", "r", 1))
            return command[1:], tree
        if command in ("sum", "prod"):
            return self.series(command)
        if command == "begin":
            return self.matrix()
        if command in ("max", "min", "gcd", "lcm"):
            return command, *self.arguments()
        return self.function(command)

    def group(self):
        trees = self.arguments()
        if len(trees) > 1:
            raise Unreadable("a list")
        return trees[0]

    def arguments(self) -> list:
        """What stands in brackets, between commas."""
        close, bars, trees = _CLOSE.get(self.step() if self.kind == "sign" else ""), self.bars, []
        if close is None:
            raise Unreadable("no brackets")
        self.bars = 0
        trees.append(self.expression())
        while self.is_sign(",") and close == ")":
            self.step()
            trees.append(self.expression())
        self.bars = bars
        self.expect(close)
        return trees

    def argument(self):
        """The argument of a command: a group, one digit or one letter."""
        if self.is_sign("{"):
            return self.group()
        if self.kind == "number" and self.token[0].isdigit():
            digit = self.token[0]
            self.back(self.match.start("number") + 1)
            return Fraction(digit)
        if (self.kind == "letter" and not self.closed) or self.token in GREEK:
            return self.step()
        raise Unreadable("an argument without braces")

    def accented(self, accent: str):
        braces = self.is_sign("{")
        if braces:
            self.step()
        if self.kind != "letter" and self.token not in GREEK:
            raise Unreadable("an accent on more than a letter")
        name = self.step()
        while braces and self.kind == "letter":
            name += self.step()
        if braces:
            self.expect("}")
        return self.name(f"{accent} {name}")

    def name(self, name: str):
        """A letter with its accent, subscript and primes; with a formula as index it is a function of that."""
        index = None
        for _ in range(0 if self.closed else 4):
            if self.is_sign("_"):
                rest = _SUBSCRIPT.match(self.text, self.at)
                if rest is None:
                    raise Unreadable("a subscript")
                plain = re.sub(r"\s+", "", rest[1] or rest[2] or "")
                if re.fullmatch(r"[a-z]|[\da-z]+(?:[-+][\da-z]+)+", plain) and "_" not in name:
                    index = _Reader(plain).expression()
                name += "_" + ("" if index else plain)
                self.back(rest.end())
            elif self.is_sign("'"):
                name += self.step()
        return (name + "()", index) if index else name

    def letter(self):
        letter = self.token
        tree = self.name(self.step())
        if letter in self.functions and self.is_sign("(") and isinstance(tree, str):
            arguments = self.arguments()
            sure = letter in self.sure or len(arguments) > 1
            tree = (tree + ("()" if sure else "?"), *arguments)
            if self.is_sign("^"):
                raise Unreadable("a power of a function, or of its argument")
        return tree

    def function(self, name: str):
        base = exponent = None
        if self.is_sign("_"):
            if name != "log":
                raise Unreadable("a subscript")
            self.step()
            base = self.argument()
        if self.is_sign("^"):
            self.step()
            exponent = self.exponent()
            if exponent == -1 and name in ("sin", "cos", "tan"):
                name, exponent = "arc" + name, None
            elif not isinstance(exponent, Fraction) or exponent <= 0:
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
        tree = ("/", ("ln", argument), ("ln", base)) if base else (name, argument)
        return ("^", tree, exponent) if exponent else tree

    def series(self, command: str):
        """A sum or product over a whole number that runs between two ends."""
        self.expect("_")
        self.expect("{")
        if self.kind != "letter":
            raise Unreadable("no running number")
        name = self.step()
        self.expect("=")
        low = self.expression()
        self.expect("}")
        self.expect("^")
        return command, name, low, self.exponent(), self.expression(1)

    def matrix(self):
        begin, cells, columns = _MATRIX.match(self.text, self.at), [], 0
        if begin is None:
            raise Unreadable("no matrix")
        self.back(begin.end())
        while True:
            cells.append(self.expression())
            if self.is_sign("\\\\"):
                columns = columns or len(cells)
            elif not self.is_sign("&"):
                break
            self.step()
        self.expect("end")
        self.back(_MATRIX.match(self.text, self.at).end())
        return "matrix", columns or len(cells), *cells


def operator_of(tree) -> str:
    """Return the operator of a tree, or nothing for a number or name."""
    return tree[0] if isinstance(tree, tuple) else ""


def numeral(text: str) -> Fraction:
    """Return the value of a numeral with its thousands commas and its power of ten."""
    digits, _, power = text.replace(",", "").lower().partition("e")
    if not power:
        return Fraction(digits)
    if abs(int(power)) > 400:
        raise TooLarge("a power of ten")
    return Fraction(digits) * Fraction(10) ** int(power)


def names_of(tree) -> frozenset[str]:
    """Return the letters of a tree, with functions whose meaning is open."""
    if isinstance(tree, str):
        return frozenset((tree,))
    if not isinstance(tree, tuple):
        return frozenset()
    names = frozenset().union(*map(names_of, tree[1:]))
    if tree[0] in ("sum", "prod"):
        return names - {tree[1]}
    return names if tree[0] in KNOWN and tree[0] != "log" else names | {tree[0]}
