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

from virgo_factory.answers.numbers import MP
from virgo_factory.answers.trees import CONSTANTS, Unreadable, constant, names_of, read_trees


_RATE = re.compile(
    r"\\frac\s*\{\s*d(?:\^\{?\d\}?)?\s*(?:[A-Za-z]|\\[A-Za-z]+)(?:_(?:\{\w+\}|\w))?\s*\}\{\s*d[A-Za-z](?:\^\{?\d\}?)?\s*\}"
)
"""A derivative of one letter by another: read as a letter of its own."""


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
        trees = read_trees((gold, answer))
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
        (tree,) = read_trees((text,))
        found, other = _at(tree, 0), _at(tree, 1)  # with either base of a logarithm
    except (ArithmeticError, ValueError):
        return None
    if not names_of(tree) <= CONSTANTS | {"log"} or found.imag or abs(found - other) > abs(found) * MP.mpf(10) ** -40:
        return None
    return found.real


def is_open(text: str) -> bool:
    """Return whether a text is a formula with letters, which has no value."""
    try:
        return not names_of(read_trees((text,))[0]) <= CONSTANTS | {"log"}
    except Unreadable:
        return False


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
    trees = read_trees((*one, *other))
    letters = frozenset().union(*map(names_of, trees)) - CONSTANTS
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
    if tree[0] == "^" and ((power := constant(tree[2])) is None or power.denominator != 1):
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
        number = constant(exponent)
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
        if name == "ln" and (powers := _prime_powers(constant(argument))):
            logarithms = [self.times(self.drawn("ln", prime), (power % self.modulus, 0)) for prime, power in powers]
            return sum(one for one, _ in logarithms) % self.modulus, 0
        value = self.value(argument)
        mirrored = -value[0] % self.modulus, -value[1] % self.modulus
        if name in _EVEN:
            value = min(value, mirrored)
        elif name in _ODD and mirrored < value:
            return -self.drawn(name, mirrored)[0] % self.modulus, 0
        return self.drawn(name, value)


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
        if tree[1] in CONSTANTS:
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
