r"""Two cheap answers about formulas, before any algebra: equal by an identity, or different at a point.

A formula is read into a tree; whatever can be read in two ways is refused and left to math-verify. *Equal* is proved in
finite fields (Schwartz-Zippel): letters, and functions of one argument, become elements of a prime field, so two trees that agree
there are the same up to the identities of fields, of powers and of complex exponentials (hence of sin, cos, sinh and cosh); by chance
they do so with a probability below 2^-50. *Different* is proved by values at several points that differ in their first digits.
Letters are taken as positive, as answers mean them under a root. Nothing here grows with the size of a number.
"""

import hashlib
import re
from fractions import Fraction
from functools import lru_cache

from virgo_factory.answers.numbers import MP


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
_CONSTANTS = frozenset(("e", "i", "pi"))
_WORDS = re.compile(r"(?<![A-Za-z\\])(?:[A-Za-z]{4,}|and|for|gcd|if|is|lcm|max|min|mod|or|the|when|with)(?![A-Za-z])")
_RATE = re.compile(
    r"\\frac\s*\{\s*d(?:\^\{?\d\}?)?\s*(?:[A-Za-z]|\\[A-Za-z]+)(?:_(?:\{\w+\}|\w))?\s*\}\{\s*d[A-Za-z](?:\^\{?\d\}?)?\s*\}"
)
"""A derivative of one letter by another: read as a letter of its own."""
_DERIVATIVE = re.compile(r"\{\s*d\s*\\?[A-Za-z]|/\s*\(?d[A-Za-z]|\\partial")
_CALL = re.compile(r"(?<![\\A-Za-z_])([A-Za-z])(_(?:\{[^{}]*\}|\w))?('*)\s*(\()?")
_CLOSE = {"(": ")", "{": "}", "[": "]"}


class Unreadable(ValueError):
    """A formula that is none, or that can be read in more than one way."""


class _Unlucky(ArithmeticError):
    """A point at which a formula has no value."""


def compare(gold: str, answer: str) -> bool | None:
    r"""Return whether two formulas are equal, or None where that is not settled here.

    >>> compare(r"\frac{1}{2}(e^{at}-e^{-at})", r"\sinh(at)"), compare("(x+1)^2", "x^2+1"), compare("x<1", "x<2")
    (True, False, None)
    """
    try:
        if "=" in gold and "=" in answer:
            sides = [_RATE.sub(_rate, text).split("=") for text in (gold, answer)]
            return _same_equation(*sides) or None
        trees = _trees((gold, answer))
    except Unreadable:
        return None
    if _different(*trees):
        return False
    return True if _identical(*trees) else None


def _rate(found: re.Match[str]) -> str:
    return "D_{" + " ".join(re.findall(r"\w", found[0])) + "}"


def value(text: str):
    r"""Return the value of a formula without letters as a 50-digit float, or None.

    >>> print(MP.nstr(value(r"2.5\log_{10} 5"), 8))
    1.747425
    """
    try:
        (tree,) = _trees((text,))
        found, other = _at(tree, 0), _at(tree, 1)  # with either base of a logarithm
    except (ArithmeticError, ValueError):
        return None
    if not _names(tree) <= _CONSTANTS | {"log"} or found.imag or abs(found - other) > abs(found) * MP.mpf(10) ** -40:
        return None
    return found.real


def is_open(text: str) -> bool:
    """Return whether a text is a formula with letters, which has no value."""
    try:
        return not _names(_trees((text,))[0]) <= _CONSTANTS | {"log"}
    except Unreadable:
        return False


def _trees(texts: tuple[str, ...]) -> list[tuple]:
    """The formulas' trees, read with the same understanding of their letters."""
    found = [match for text in texts for match in _CALL.finditer(text)]
    # A letter that only ever stands before a bracket may be a function; one that also stands alone is a factor, but for f, g and h.
    bare = {match[1] for match in found if not match[4]} - set("fghFGH")
    functions = frozenset(match[1] for match in found if match[4]) - bare - _CONSTANTS
    trees = [_read(text, functions) for text in texts]
    names = [_names(tree) for tree in trees]
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
    """Recursive descent; trees are tuples: ("number", 1/2), ("name", "x_1"), (operator, left, right), ("call", name, argument)."""

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
                if mixed and not _names(factor):
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
            if _constant(exponent) == -1 and name in ("sin", "cos", "tan"):
                name, exponent = "arc" + name, None
            elif not (_constant(exponent) or -1) > 0:
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


def _names(tree: tuple) -> frozenset[str]:
    if tree[0] == "number":
        return frozenset()
    if tree[0] == "name":
        return frozenset((tree[1],))
    names = frozenset().union(*(_names(part) for part in tree[1:] if isinstance(part, tuple)))
    return names | {tree[1]} if tree[0] == "call" and tree[1] not in _FUNCTIONS - {"log"} else names


def _lowered(tree: tuple) -> tuple:
    if tree[0] == "name" or tree[0] == "call":
        name = tree[1] if tree[1] in ("E", "I") else tree[1].lower()
        return tree[0], name, *map(_lowered, tree[2:])
    return tree if tree[0] == "number" else (tree[0], *map(_lowered, tree[1:]))


def _constant(tree: tuple) -> Fraction | None:
    """The value of a tree of small numbers."""
    if tree[0] == "number":
        return tree[1]
    if tree[0] not in ("+", "-", "*", "/"):
        return None
    left, right = _constant(tree[1]), _constant(tree[2])
    if left is None or right is None or (tree[0] == "/" and not right):
        return None
    return {"+": left + right, "-": left - right, "*": left * right}.get(tree[0]) if tree[0] != "/" else left / right


def _prime_powers(number: Fraction | None) -> list[tuple[int, int]]:
    """The primes of a small positive fraction with their powers."""
    if number is None or number <= 0 or max(number.numerator, number.denominator) > 10**6:
        return []
    found = []
    for rest, sign in ((number.numerator, 1), (number.denominator, -1)):
        prime = 2
        while rest > 1:
            prime = prime if prime * prime <= rest else rest
            if rest % prime:
                prime += 1
            else:
                found.append((prime, sign))
                rest //= prime
    return found


# --- equal: in finite fields ---------------------------------------------------------------------------------------

_ORDERS = (
    644557915599146579, 650339469714278759, 592803997095979859, 682259341091578319, 585352970136944459, 843081712275817919,
)  # fmt: skip
"""Primes q for which p = 2q + 1 is prime: the squares modulo p are q elements, closed under multiplication and with one root each, as
the positive numbers are. Numbers up to 16 are squares in all of them; -1 is in none, so that p has room for i."""
_EVEN, _ODD = frozenset(("abs",)), frozenset(("arcsin", "arctan"))


def _identical(one: tuple, other: tuple) -> bool:
    """Whether two trees have the same value in one field after the other."""
    wanted = 10 if _has_roots(one) or _has_roots(other) else 2
    for attempt in range(40 * wanted):
        order = _ORDERS[attempt % len(_ORDERS)]
        field = _Field(2 * order + 1, attempt, _Field(order, attempt, None))
        try:
            if field.value(one) != field.value(other):
                return False
        except _Unlucky:
            continue
        wanted -= 1
        if not wanted:
            return True
    return False


def _same_equation(one: list[str], other: list[str]) -> bool:
    """Whether two equations are multiples of each other: by a number, and for differential equations by a letter."""
    if len(one) != 2 or len(other) != 2:
        return False
    trees = _trees((*one, *other))
    letters = frozenset().union(*map(_names, trees)) - _CONSTANTS
    if _has_roots(("-", *trees[:2])) or _has_roots(("-", *trees[2:])):
        return False
    factors = [lambda field: (1, 0)]
    if any(name.lower().startswith("d_frac") for name in letters):
        for name in letters:
            factors += [lambda field, name=name: field.drawn(name)]
            factors += [lambda field, name=name: field.over((1, 0), field.drawn(name))]
    fields = [_Field(2 * _ORDERS[0] + 1, seed, _Field(_ORDERS[0], seed, None)) for seed in range(3)]
    try:
        ratios = [field.over(field.value(("-", *trees[:2])), field.value(("-", *trees[2:]))) for field in fields]
        return any(
            len({field.times(ratio, factor(field)) for field, ratio in zip(fields, ratios, strict=True)}) == 1
            and ratios[0] != (0, 0)
            for factor in factors
        )
    except _Unlucky:
        return False


def _has_roots(tree: tuple) -> bool:
    if tree[0] == "^" and ((power := _constant(tree[2])) is None or power.denominator != 1):
        return True
    return any(_has_roots(part) for part in tree[1:] if isinstance(part, tuple))


class _Field:
    """Numbers a + bi modulo a prime, as pairs; exponents are evaluated modulo the order of the squares."""

    def __init__(self, modulus: int, seed: int, exponents: "_Field | None") -> None:
        self.modulus, self.seed, self.exponents = modulus, seed, exponents

    def drawn(self, *key) -> tuple[int, int]:
        """A number that stands for a letter, or for a function of an argument: always the same one, and a square."""
        digest = hashlib.blake2b(repr((self.seed, self.modulus, key)).encode(), digest_size=16).digest()
        return pow(int.from_bytes(digest, "big"), 2, self.modulus), 0

    def times(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        (a, b), (c, d) = one, other
        return (a * c - b * d) % self.modulus, (a * d + b * c) % self.modulus

    def over(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        norm = (other[0] ** 2 + other[1] ** 2) % self.modulus
        if not norm:
            raise _Unlucky
        inverse = pow(norm, -1, self.modulus)
        return self.times(one, (other[0] * inverse, -other[1] * inverse))

    def value(self, tree: tuple) -> tuple[int, int]:
        operator = tree[0]
        if operator == "number":
            return self.over((tree[1].numerator % self.modulus, 0), (tree[1].denominator % self.modulus, 0))
        if operator == "name":
            return (0, 1) if tree[1] == "i" else self.drawn(tree[1])
        if operator == "^":
            return self.power(tree[1], tree[2])
        if operator == "call":
            return self.called(tree[1], tree[2])
        one, other = self.value(tree[1]), self.value(tree[2])
        if operator == "*":
            return self.times(one, other)
        if operator == "/":
            return self.over(one, other)
        sign = 1 if operator == "+" else -1
        return (one[0] + sign * other[0]) % self.modulus, (one[1] + sign * other[1]) % self.modulus

    def power(self, base: tuple, exponent: tuple) -> tuple[int, int]:
        number = _constant(exponent)
        value = self.value(base)
        if number is not None and number.denominator == 1 and abs(number) <= 10_000:
            result, square, left = (1, 0), value, abs(int(number))
            if not value[1]:
                result = pow(value[0], left, self.modulus), 0
            else:
                while left:
                    if left & 1:
                        result = self.times(result, square)
                    square, left = self.times(square, square), left >> 1
            return self.over((1, 0), result) if number < 0 else result
        if self.exponents is None:
            return self.drawn("power", value, self.value(exponent))
        if value[1] or pow(value[0], self.exponents.modulus, self.modulus) != 1:
            raise _Unlucky
        return self.raised(value[0], self.exponents.value(exponent), base == ("name", "e"))

    def raised(self, base: int, exponent: tuple[int, int], natural: bool) -> tuple[int, int]:
        """base^(a + bi): for e, whose imaginary powers are those of another number, e^a e^(ib) in all that is proved of them."""
        found = pow(base, exponent[0], self.modulus)
        if exponent[1]:
            if not natural:
                raise _Unlucky
            found = found * pow(self.drawn("turn")[0], exponent[1], self.modulus) % self.modulus
        return found, 0

    def natural(self, exponent: tuple[int, int]) -> tuple[int, int]:
        return self.raised(self.drawn("e")[0], exponent, True)

    def called(self, name: str, argument: tuple) -> tuple[int, int]:
        if name in ("tan", "cot", "sec", "csc"):
            sin, cos = self.called("sin", argument), self.called("cos", argument)
            return self.over(*{"tan": (sin, cos), "cot": (cos, sin), "sec": ((1, 0), cos), "csc": ((1, 0), sin)}[name])
        if self.exponents is not None and name in ("exp", "sin", "cos", "sinh", "cosh", "tanh"):
            a, b = self.exponents.value(argument)
            order = self.exponents.modulus
            if name == "exp":
                return self.natural((a, b))
            turned = name in ("sin", "cos")
            there, back = ((-b % order, a), (b, -a % order)) if turned else ((a, b), (-a % order, -b % order))
            (one, _), (other, _) = self.natural(there), self.natural(back)
            even, odd = ((one + other) % self.modulus, 0), ((one - other) % self.modulus, 0)
            if name == "tanh":
                return self.over(odd, even)
            return self.over(even if name in ("cos", "cosh") else odd, (0, 2) if name == "sin" else (2, 0))
        if name == "ln" and (powers := _prime_powers(_constant(argument))):
            logarithms = [self.times(self.drawn("ln", prime), (power % self.modulus, 0)) for prime, power in powers]
            return sum(one for one, _ in logarithms) % self.modulus, 0
        value = self.value(argument)
        mirrored = -value[0] % self.modulus, -value[1] % self.modulus
        if name in _EVEN:
            value = min(value, mirrored)
        elif name in _ODD and mirrored < value:
            return -self.drawn(name, mirrored)[0] % self.modulus, 0
        return self.drawn(name, value)


# --- different: at points ------------------------------------------------------------------------------------------

POINTS = 5
"""Points at which two formulas are evaluated."""


def _different(one: tuple, other: tuple) -> bool:
    """Whether two trees have different values, by more than any rounding, at all points but one, where curves may meet."""
    differing = 0
    for point in range(POINTS):
        try:
            left, right = _at(one, point), _at(other, point)
            size = max(abs(left), abs(right))
            differing += bool(size > 1e-20 and abs(left - right) > size * 1e-3)
        except (ArithmeticError, ValueError):
            continue
    return differing >= POINTS - 1


_VALUES = {
    "abs": abs, "sin": MP.sin, "cos": MP.cos, "tan": MP.tan, "cot": MP.cot, "sec": MP.sec, "csc": MP.csc, "arcsin": MP.asin,
    "arccos": MP.acos, "arctan": MP.atan, "sinh": MP.sinh, "cosh": MP.cosh, "tanh": MP.tanh, "ln": MP.ln, "exp": MP.exp,
}  # fmt: skip


def _at(tree: tuple, point: int):
    """The value where every letter is some number between 1/2 and 5/2; a function whose meaning is open counts as a factor."""
    operator = tree[0]
    if operator == "number":
        return MP.mpf(tree[1].numerator) / tree[1].denominator
    if operator == "name":
        if tree[1] in _CONSTANTS:
            return {"e": MP.e + 0, "pi": MP.pi + 0, "i": MP.mpc(0, 1)}[tree[1]]
        digest = hashlib.blake2b(repr((point, tree[1])).encode(), digest_size=6).digest()
        return MP.mpf(1) / 2 + 2 * MP.mpf(int.from_bytes(digest, "big")) / 2**48
    if operator == "call":
        name, argument = tree[1], _at(tree[2], point)
        if name == "log":  # to either base, taken in turn
            return _bounded(MP.ln, argument) / (MP.ln(10) if point % 2 else 1)
        if name in _VALUES:
            return _bounded(_VALUES[name], argument)
        return _at(("name", name), point) * argument
    one, other = _at(tree[1], point), _at(tree[2], point)
    if operator == "+":
        return one + other
    if operator == "-":
        return one - other
    if operator == "*":
        return one * other
    if operator == "/":
        if not other:
            raise _Unlucky
        return one / other
    if not one or abs(other) * abs(MP.ln(abs(one))) > 2_000:
        raise _Unlucky
    return MP.power(one, other)


def _bounded(function, argument):
    if abs(argument) > 2_000 or function is MP.ln and not argument:
        raise _Unlucky
    return function(argument)
