r"""What a tree is worth, and whether two formulas are: equal at every point tried, or different at a point.

Numbers are exact where they can be, else 50 digits; the letters of a formula stand for random numbers (Schwartz-Zippel, with numbers that
no formula of this size is special at). Whatever is not proved either way stays open. Letters are taken as positive, as answers mean
them under a root, but where absolute values or conjugates stand. Nothing here grows with the size of a number.

Of 10,271 different pairs (gold, answer) of recorded responses, 258 (2.5 %) need two formulas compared; 11 of them stay open.
"""

import hashlib
import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import mpmath

from virgo_factory.answers.latex import tidy
from virgo_factory.answers.trees import CONSTANTS, MAX_LENGTH, TooLarge, Unreadable, names_of, read_trees, signed


MAX_BITS = 20_000
"""Largest exact power, in bits."""
MAX_TERMS = 60
"""Most terms of a sum that is written out."""
POINTS = (0, 1, 3, 4, 6, 2, 5)
"""Points at which two formulas are evaluated; the last two, close to 0, where exponentials are visible, prove no difference."""
MP = mpmath.MPContext()
MP.dps = 50
"""Arithmetic of numbers that are not fractions: 50 digits."""
NO_VALUE = (ArithmeticError, TypeError, ValueError)
"""What is raised where a formula has no value."""


class Point(NamedTuple):
    """What the letters of a formula stand for; `factors`: what may be a function is a factor; `given`: a name and its value."""

    index: int
    letters: str = "positive"
    factors: bool = False
    given: tuple = ("", 0)


# --- values --------------------------------------------------------------------------------------------------------


def evaluate(tree, point: Point | None = None):
    """Return the value of a tree: a Fraction where it is exact, else a 50-digit float, complex number or matrix.

    Raises:
        ArithmeticError, TypeError, ValueError: it has none, or, without a point, a letter without a value.
        TooLarge: it must not be evaluated.
    """
    if isinstance(tree, Fraction):
        return tree
    if isinstance(tree, str):
        return _named(tree, point)
    name, *parts = tree
    if name in ("sum", "prod"):
        return _series(*tree, point)
    if name == "matrix":
        cells = [as_float(evaluate(part, point)) for part in parts[1:]]
        return MP.matrix([cells[at : at + parts[0]] for at in range(0, len(cells), parts[0])])
    values = [evaluate(part, point) for part in parts]
    if found := _OPERATIONS.get(name):
        return found(*values)
    if name == "log" and point:  # to either base, taken in turn
        return divide(_called("ln", *values), MP.ln(10) if point.index % 2 else Fraction(1))
    if name in _FUNCTIONS and not (
        name in _STEPS and point and not point.factors
    ):  # steps are too wide for a few points
        return _called(name, *values)
    if point is None:
        raise Unreadable("an open function")
    if name[-1] == "?" and point.factors and len(values) == 1:
        return multiply(_named(name[:-1], point), values[0])
    return _drawn(point.index, name[:-1] + "".join(MP.nstr(as_float(value), 30) for value in values))


def _named(name: str, point: Point | None):
    if name in CONSTANTS:
        return {"pi": MP.pi, "e": MP.e, "i": MP.mpc(0, 1)}[name] + 0
    if point is None:
        raise Unreadable("a letter")
    if name == point.given[0]:
        return point.given[1]
    drawn = _drawn(point.index, name)
    if point.letters == "whole" and name in _WHOLE:
        return Fraction(2 + int(drawn * 10))
    size = (drawn + MP.mpf(1) / 4) / 40 if point.index % 3 == 2 else MP.mpf(1) / 2 + 2 * drawn
    if point.letters == "complex":
        return size * MP.mpc(1, drawn)
    return -size if point.letters == "real" and point.index % 2 else size


_WHOLE = frozenset("nmkNMK")
"""Letters of whole numbers, where a formula has steps."""


@lru_cache(maxsize=4_096)
def _drawn(index: int, name: str):
    digest = hashlib.blake2b(f"{index} {name}".encode(), digest_size=24).digest()
    return MP.mpf(int.from_bytes(digest, "big")) / 2**192


def _series(operator: str, name: str, low, high, body, point: Point | None):
    point = point or Point(0)
    ends = [evaluate(end, point) for end in (low, high)]
    if ends[1] - ends[0] > MAX_TERMS or point.given[0]:
        raise TooLarge("terms")
    total, join = (Fraction(1), multiply) if operator == "prod" else (Fraction(0), add)
    for value in range(_whole(ends[0]), _whole(ends[1]) + 1):
        total = join(total, evaluate(body, point._replace(given=(name, Fraction(value)))))
    return total


def as_float(value):
    """Return a value as a 50-digit float where it is a fraction."""
    return MP.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _whole(value) -> int:
    if not isinstance(value, Fraction) or value.denominator > 1:
        raise ValueError("no whole number")
    return int(value)


def _exact(*values) -> bool:
    return all(isinstance(value, Fraction) for value in values)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _small(value: Fraction) -> Fraction:
    if _bits(value) > 4 * MAX_BITS:
        raise TooLarge("digits")
    return value


def add(one, other):
    """Return the sum, exact where both are fractions."""
    if _exact(one, other):
        return _small(one + other)
    one, other = as_float(one), as_float(other)
    if not isinstance(one, MP.matrix) and one and other and not 1e-25 < abs(one / other) < 1e25:
        raise ArithmeticError("one of them would hide the other")
    return one + other


def multiply(one, other):
    """Return the product, exact where both are fractions."""
    return _small(one * other) if _exact(one, other) else as_float(one) * as_float(other)


def divide(one, other):
    """Return the quotient, exact where both are fractions."""
    return _small(one / other) if _exact(one, other) else as_float(one) / as_float(other)


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


def _choose(top, bottom):
    if _exact(top, bottom) and 0 <= bottom <= top and top.denominator == bottom.denominator == 1:
        if min(bottom, top - bottom) > 1_000 or top > 10**6:
            raise TooLarge("a binomial")
        return Fraction(math.comb(int(top), int(bottom)))
    one, *others = (_called("factorial", value) for value in (top, bottom, top - bottom))
    return divide(one, multiply(*others))


_OPERATIONS = {
    "+": add, "*": multiply, "/": divide, "^": _power, "binom": _choose, "max": lambda *values: max(values, key=as_float),
    "min": lambda *values: min(values, key=as_float), "gcd": lambda *values: Fraction(math.gcd(*map(_whole, values))),
    "lcm": lambda *values: Fraction(math.lcm(*map(_whole, values))),
}  # fmt: skip
_FUNCTIONS = {
    "abs": abs, "sin": MP.sin, "cos": MP.cos, "tan": MP.tan, "cot": MP.cot, "sec": MP.sec, "csc": MP.csc, "arcsin": MP.asin,
    "arccos": MP.acos, "arctan": MP.atan, "sinh": MP.sinh, "cosh": MP.cosh, "tanh": MP.tanh, "ln": MP.ln, "exp": MP.exp,
    "factorial": MP.factorial, "floor": MP.floor, "ceil": MP.ceil, "conjugate": MP.conj,
}  # fmt: skip
_STEPS, _STEEP = frozenset(("floor", "ceil")), frozenset(("exp", "sinh", "cosh", "factorial"))
_EXACT = {"abs": abs, "floor": math.floor, "ceil": math.ceil, "conjugate": Fraction}


def _called(name: str, value):
    if _exact(value) and name in _EXACT:
        return Fraction(_EXACT[name](value))
    if name == "factorial" and _exact(value) and value.denominator == 1:
        if not 0 <= value <= 3_000:
            raise TooLarge("a factorial")
        return Fraction(math.factorial(int(value)))
    if abs(value) > (2_000 if name in _STEEP else 10**6) or name == "ln" and not value:
        raise OverflowError
    found = _FUNCTIONS[name](as_float(value))
    near = MP.nint(found.real * 2)
    return Fraction(int(near), 2) if name not in _STEEP and abs(found * 2 - near) < MP.mpf(10) ** -40 else found


# --- formulas ------------------------------------------------------------------------------------------------------


def closed_value(text: str):
    r"""Return the value of a formula without letters as a 50-digit float, or None.

    >>> print(MP.nstr(closed_value(r"2.5\log_{10} 5"), 8))
    1.747425

    Raises:
        TooLarge: it must not be evaluated.
    """
    try:
        (tree,) = read_trees((tidy(text),))
        if not names_of(tree) <= CONSTANTS | {"log"}:
            return None
        found, other = (as_float(evaluate(tree, Point(index, factors=True))) for index in (0, 1))  # with either base
        return found.real if not found.imag and _distance(found, other) < 1e-40 else None
    except (AttributeError, *NO_VALUE):
        return None


_RELATION = re.compile(r"(!=|<=|>=|[<>=]|\\(?:ne|le|ge)(?![A-Za-z]))(?![^{}]*\})")
_SIGNS = {"!=": r"\ne", "<=": r"\le", ">=": r"\ge"}
_TURNED = {">": "<", "<": ">", r"\ge": r"\le", r"\le": r"\ge"}


def same_expression(gold: str, answer: str, question: str = "") -> bool | None:
    r"""Return whether two formulas, equations or inequalities are equal, or None where that is not settled.

    Args:
        gold: in LaTeX or plain.
        answer: likewise.
        question: tells where another case is only another hand: it writes the gold's K and L, and neither k nor l.

    Raises:
        TooLarge: one of them must not be evaluated.

    >>> same_expression(r"\frac{1}{2}(e^{at}-e^{-at})", r"\sinh(at)"), same_expression("(x+1)^2", "x^2+1")
    (True, False)
    >>> same_expression("2x<4", "x<2"), same_expression(r"\sqrt{(a-b)^2}", "a-b")
    (True, None)
    """
    texts = [tidy(text).replace("$", "") for text in (gold, answer)]
    if max(map(len, texts)) > 4 * MAX_LENGTH:
        raise TooLarge("long")
    sides = [_RELATION.split(text) for text in texts]
    signs = [[_SIGNS.get(sign, sign) for sign in side[1::2]] for side in sides]
    if bool(signs[0]) != bool(signs[1]):
        return None
    try:
        trees = read_trees(tuple(part for side in sides for part in side[::2]))
    except Unreadable:
        return None
    one, other = trees[: len(signs[0]) + 1], trees[len(signs[0]) + 1 :]
    names = _recased(_names(one), _names(other), question)
    other = [_renamed(tree, names) for tree in other] if names else other
    return _same_chain(one, signs[0], other, signs[1]) if signs[0] else _same(one[0], other[0])


def _names(trees: list) -> frozenset[str]:
    return frozenset().union(*map(names_of, trees)) - CONSTANTS


def _recased(gold: frozenset[str], answer: frozenset[str], question: str) -> dict[str, str]:
    """The answer's letters that are the gold's capitals in another hand: all of them, and the question writes only the capitals."""
    small = {name.lower(): name for name in gold if name.lower() != name}
    changed = {name: small[name] for name in answer - gold if name in small}
    letters = set(_LETTER.findall(question[-4_000:]))
    known = set(map(_first, changed.values())) <= letters and letters.isdisjoint(map(_first, changed))
    return changed if known and len(changed) == len(small) else {}


_LETTER = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")


def _first(name: str) -> str:
    return re.match(r"[A-Za-z]+", name)[0]


def _renamed(tree, names: dict[str, str]):
    if isinstance(tree, tuple):
        return tuple(_renamed(part, names) for part in tree)
    return names.get(tree, tree) if isinstance(tree, str) else tree


def _values(trees, point: Point) -> list | None:
    try:
        return [evaluate(tree, point) for tree in trees]
    except NO_VALUE:
        return None


def _same(one, other) -> bool | None:
    """Whether two trees are equal: at every point, or at no point that counts."""
    if one == other:
        return True
    called = _operators(one) | _operators(other)
    stepped = bool(called & {"abs", "floor", "ceil", "conjugate", "sum", "prod"})
    opened = any(name[-1] == "?" or name in _STEPS for name in called)
    equal, far = [], []
    for index in POINTS:
        point = Point(index, _letters_of(called), factors=True)
        if (values := _values((one, other), point)) and index % 3 != 2:
            far.append(_distance(*values) > 1e-3)
        if values and (not opened or (values := _values((one, other), point._replace(factors=False)))):
            equal.append(_distance(*values) < 1e-38)
        if False in equal and (len(far) > 3 or not stepped and False in far):
            break
    if len(far) > 3 and (any(far) if stepped else all(far)):
        return False
    return True if len(equal) >= len(POINTS) - 1 and all(equal) else None


def _operators(tree) -> frozenset[str]:
    return frozenset((tree[0],)).union(*map(_operators, tree[1:])) if isinstance(tree, tuple) else frozenset()


def _letters_of(called: frozenset[str]) -> str:
    """What letters stand for: complex numbers where conjugates stand, numbers of any sign where absolute values do."""
    if called & {"floor", "ceil", "sum", "prod", "gcd", "lcm"}:
        return "whole"
    return "complex" if "conjugate" in called else "real" if "abs" in called else "positive"


def _distance(one, other):
    """The difference of two values in units of the larger one."""
    if _exact(one, other):
        return abs(one - other) / max(abs(one), abs(other), 1)
    one, other = as_float(one), as_float(other)
    if isinstance(one, MP.matrix) or isinstance(other, MP.matrix):
        alike = type(one) is type(other) and (one.rows, one.cols) == (other.rows, other.cols)
        return MP.mnorm(one - other) / (MP.mnorm(one) + MP.mnorm(other) or 1) if alike else 1
    size = max(abs(one), abs(other))
    return abs(one - other) / size if size > 1e-20 else 0


# --- equations and inequalities ------------------------------------------------------------------------------------


def _same_chain(one: list, signs: list[str], other: list, other_signs: list[str]) -> bool | None:
    """Whether two chains of equations and inequalities say the same: link by link, in one direction."""
    (one, signs), (other, other_signs) = _directed(one, signs), _directed(other, other_signs)
    if signs != other_signs:
        return False if len(signs) == len(other_signs) else None
    found = [_same_link(one[at : at + 2], other[at : at + 2], sign) for at, sign in enumerate(signs)]
    return False if False in found else None if None in found else True


def _directed(trees: list, signs: list[str]) -> tuple[list, list[str]]:
    falling = ">" in signs or r"\ge" in signs
    return (trees[::-1], [_TURNED.get(sign, sign) for sign in signs[::-1]]) if falling else (trees, signs)


def _same_link(one: list, other: list, sign: str) -> bool | None:
    """Whether two equations or inequalities say the same.

    They do where they are multiples: by a number, and for differential equations by a letter. Those with one side in common
    do where the other sides are equal; those of which no root found of one is a root of the other do not.
    """
    turns = (False, True) if sign in ("=", r"\ne") else (False,)
    trees = [("+", left, signed("-", right)) for left, right in (one, other)]
    shared = sorted(name for name in names_of(trees[0]) & names_of(trees[1]) - CONSTANTS if name[-1] not in "?)")
    letters = _letters_of(_operators(trees[0]) | _operators(trees[1]))
    factors = [Fraction(1)]
    if any(name.startswith("D_") for name in shared):
        factors += [factor for name in shared for factor in (name, ("/", Fraction(1), name))]
    for factor in factors:
        found = [_values((("/", ("*", factor, trees[0]), trees[1]),), Point(index, letters)) for index in POINTS]
        ratios = [as_float(values[0]) for values in found if values and values[0]]
        if len(ratios) >= len(POINTS) - 1 and all(_distance(ratio, ratios[0]) < 1e-35 for ratio in ratios):
            return len(turns) > 1 or ratios[0].real > 0
    for side in (0, 1):
        for turn in turns:
            own, (rest, others) = one[side], (one[1 - side], other[1 - side ^ turn])
            free = isinstance(own, tuple) or own not in names_of(rest) | names_of(others)
            if own == other[side ^ turn] and free and (found := _same(rest, others)) is not None:
                return found
    return _never_together(trees, shared) if letters == "positive" else None


def _never_together(trees: list, names: list[str]) -> bool | None:
    """False where no root found of either formula is one of the other; None where that is open."""
    for name in names[:2]:
        apart = [_apart(one, other, name, Point(index)) for index in (0, 1, 3) for one, other in (trees, trees[::-1])]
        if None not in apart:
            return False if all(apart) else None
    return None


def _apart(one, other, name: str, point: Point) -> bool | None:
    def value(tree, at):
        return as_float(evaluate(tree, point._replace(given=(name, at))))

    try:
        start = _named(name, point) * MP.mpc(1, "0.3")
        root = MP.findroot(lambda at: value(one, at), (start, start * 1.1), solver="secant", maxsteps=30)
        return bool(abs(value(other, root)) > abs(value(other, start)) * 1e-8)
    except NO_VALUE:
        return None
