r"""What a tree is worth, and whether two formulas are: equal at every point tried, or different at a point.

Numbers are exact where they can be, else 50 digits; the letters of a formula stand for random numbers (Schwartz-Zippel, with numbers that
no formula of this size is special at). Whatever is not proved either way stays open. Letters are taken as positive, as answers mean
them under a root, but where absolute values or conjugates stand. Nothing here grows with the size of a number.

Of 12,912 different pairs (gold, answer) of recorded responses, 3 % need this file.
"""

import hashlib
import math
import re
from fractions import Fraction
from typing import NamedTuple

import mpmath

from virgo_factory.answers.latex import tidy
from virgo_factory.answers.trees import CONSTANTS, TooLarge, Unreadable, names_of, read_trees


MAX_BITS = 20_000
"""Largest exact power, in bits."""
MAX_TERMS = 60
"""Most terms of a sum that is written out."""
POINTS = 7
"""Points at which two formulas are evaluated; two of them close to 0, where exponentials are visible, prove no difference."""
MP = mpmath.MPContext()
MP.dps = 50
"""Arithmetic of numbers that are not fractions: 50 digits."""


class Unlucky(ArithmeticError):
    """A point at which a formula has no value."""


class Point(NamedTuple):
    """What the letters of a formula stand for; `factors`: what may be a function is a factor."""

    index: int
    letters: str = "positive"
    factors: bool = False
    given: tuple = ()


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
        return _series(tree, point)
    if name == "matrix":
        cells = [as_float(evaluate(part, point)) for part in parts[1:]]
        return MP.matrix([cells[at : at + parts[0]] for at in range(0, len(cells), parts[0])])
    values = [evaluate(part, point) for part in parts]
    if found := _OPERATIONS.get(name):
        return found(*values)
    if name == "log" and point:  # to either base, taken in turn
        return divide(_called("ln", *values), MP.ln(10) if point.index % 2 else MP.mpf(1))
    if name in _FUNCTIONS and not (name in _STEPS and point and not point.factors):  # too wide for a few points
        return _called(name, *values)
    if point is None:
        raise Unreadable("an open function")
    if name[-1] == "?" and point.factors and len(values) == 1:
        return multiply(_named(name[:-1], point), values[0])
    return _drawn(point, name[:-1] + "".join(MP.nstr(as_float(value), 30) for value in values))


def _named(name: str, point: Point | None):
    if name in CONSTANTS:
        return {"pi": MP.pi, "e": MP.e, "i": MP.mpc(0, 1)}[name] + 0
    if point is None:
        raise Unreadable("a letter")
    if name in (given := dict(point.given)):
        return given[name]
    drawn = _drawn(point, name)
    if point.letters == "whole" and name in _WHOLE:
        return Fraction(2 + int(drawn * 10))
    size = (drawn + MP.mpf(1) / 4) / 40 if point.index % 3 == 2 else MP.mpf(1) / 2 + 2 * drawn
    if point.letters == "complex":
        return size * MP.mpc(1, drawn)
    return -size if point.letters == "real" and point.index % 2 else size


_WHOLE = frozenset("nmkNMK")
"""Letters of whole numbers, where a formula has steps."""


def _drawn(point: Point, name: str):
    digest = hashlib.blake2b(f"{point.index} {name}".encode(), digest_size=24).digest()
    return MP.mpf(int.from_bytes(digest, "big")) / 2**192


def _series(tree: tuple, point: Point | None):
    operator, name, low, high, body = tree
    low, high = evaluate(low, point), evaluate(high, point)
    if not all(isinstance(end, Fraction) and end.denominator == 1 for end in (low, high)):
        raise Unlucky
    point = point or Point(0)
    if high - low > MAX_TERMS or point.given:
        raise TooLarge("terms")
    total = Fraction(operator == "prod")
    for value in range(int(low), int(high) + 1):
        term = evaluate(body, point._replace(given=((name, Fraction(value)), *point.given)))
        total = multiply(total, term) if operator == "prod" else add(total, term)
    return total


def as_float(value):
    """Return a value as a 50-digit float where it is a fraction."""
    return MP.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def _exact(*values) -> bool:
    return all(isinstance(value, Fraction) for value in values)


def _small(value):
    if _exact(value) and max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * MAX_BITS:
        raise TooLarge("digits")
    return value


def add(one, other):
    """Return the sum, exact where both are fractions."""
    if _exact(one, other):
        return _small(one + other)
    one, other = as_float(one), as_float(other)
    if not isinstance(one, MP.matrix) and one and other and not 1e-25 < abs(one / other) < 1e25:
        raise Unlucky  # one of them would hide the other
    return one + other


def multiply(one, other):
    """Return the product, exact where both are fractions."""
    return _small(one * other) if _exact(one, other) else as_float(one) * as_float(other)


def divide(one, other):
    """Return the quotient, exact where both are fractions."""
    if other == 0:
        raise Unlucky
    return _small(one / other) if _exact(one, other) else as_float(one) / as_float(other)


def _power(base, exponent):
    if _exact(base, exponent):
        if base == 0 and exponent <= 0:
            raise Unlucky
        if exponent.denominator == 1:
            if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent) > MAX_BITS:
                raise TooLarge("a power")
            return base ** int(exponent)
        if exponent.denominator <= 100 and (base >= 0 or exponent.denominator % 2):
            return _power(_root(base, exponent.denominator), Fraction(exponent.numerator))
    base, exponent = as_float(base), as_float(exponent)
    if not base:
        raise Unlucky
    if abs(exponent) * abs(MP.ln(abs(base))) > 2_000:
        raise Unlucky
    return MP.power(base, exponent)


def _root(value: Fraction, index: int):
    if value < 0:
        return multiply(_root(-value, index), Fraction(-1))
    sides = value.numerator, value.denominator
    if max(sides).bit_length() < 150:
        near = [int(MP.nint(MP.root(side, index))) for side in sides]
        if all(root**index == side for root, side in zip(near, sides, strict=True)):
            return Fraction(*near)
    return MP.root(as_float(value), index)


def _choose(top, bottom):
    if _exact(top, bottom) and 0 <= bottom <= top and top.denominator == bottom.denominator == 1:
        if min(bottom, top - bottom) > 1_000 or top > 10**6:
            raise TooLarge("a binomial")
        return Fraction(math.comb(int(top), int(bottom)))
    one, *others = (_called("factorial", value) for value in (top, bottom, top - bottom))
    return divide(one, multiply(*others))


def _chosen(function, values):
    if function in (math.gcd, math.lcm):
        if not _exact(*values) or any(value.denominator > 1 for value in values):
            raise Unlucky
        return Fraction(function(*map(int, values)))
    return function(values, key=as_float)


_OPERATIONS = {
    "+": add, "*": multiply, "/": divide, "^": _power, "binom": _choose, "max": lambda *values: _chosen(max, values),
    "min": lambda *values: _chosen(min, values), "gcd": lambda *values: _chosen(math.gcd, values), "lcm": lambda *values: _chosen(math.lcm, values),
}  # fmt: skip
_FUNCTIONS = {
    "abs": abs, "sin": MP.sin, "cos": MP.cos, "tan": MP.tan, "cot": MP.cot, "sec": MP.sec, "csc": MP.csc, "arcsin": MP.asin,
    "arccos": MP.acos, "arctan": MP.atan, "sinh": MP.sinh, "cosh": MP.cosh, "tanh": MP.tanh, "ln": MP.ln, "exp": MP.exp,
    "factorial": MP.factorial, "floor": MP.floor, "ceil": MP.ceil, "conjugate": MP.conj,
}  # fmt: skip
_STEPS = frozenset(("floor", "ceil"))
_EXACT = {"abs": abs, "floor": math.floor, "ceil": math.ceil, "conjugate": lambda value: value}


def _called(name: str, value):
    if _exact(value):
        if name in _EXACT:
            return Fraction(_EXACT[name](value))
        if name == "factorial" and value.denominator == 1:
            if not 0 <= value <= 3_000:
                raise TooLarge("a factorial")
            return Fraction(math.factorial(int(value)))
    steep = name in ("exp", "sinh", "cosh", "factorial")
    if abs(value) > (2_000 if steep else 10**6) or name == "ln" and not value:
        raise Unlucky
    found = _FUNCTIONS[name](as_float(value))
    near = MP.nint(found.real * 2)
    return Fraction(int(near), 2) if not steep and abs(found * 2 - near) < MP.mpf(10) ** -40 else found


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
        found, other = (
            as_float(evaluate(tree, Point(index, factors=True))) for index in (0, 1)
        )  # with either base of a logarithm
        return found.real if not found.imag and _distance(found, other) < 1e-40 else None
    except TooLarge:
        raise
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None


_RELATION = re.compile(r"(!=|<=|>=|[<>=]|\\(?:ne|le|ge)(?![A-Za-z]))(?![^{}]*\})")
_PLAIN = {"!=": r"\ne", "<=": r"\le", ">=": r"\ge"}
_TURNED = {">": "<", r"\ge": r"\le"}


def same_expression(gold: str, answer: str, question: str = "") -> bool | None:
    r"""Return whether two formulas, equations or inequalities are equal, or None where that is not settled.

    >>> (
    ...     same_expression(r"\frac{1}{2}(e^{at}-e^{-at})", r"\sinh(at)"),
    ...     same_expression("(x+1)^2", "x^2+1"),
    ...     same_expression("2x<4", "x<2"),
    ... )
    (True, False, True)

    Args:
        question: tells where another case is only another hand: it has the gold's K and L, and no k and l.

    Raises:
        TooLarge: one of them must not be evaluated.
    """
    sides = [_RELATION.split(tidy(text).replace("$", "")) for text in (gold, answer)]
    signs = [[_PLAIN.get(sign, sign) for sign in side[1::2]] for side in sides]
    if bool(signs[0]) != bool(signs[1]):
        return None
    try:
        trees = read_trees(tuple(part for side in sides for part in side[::2]))
    except Unreadable:
        return None
    groups = trees[: len(signs[0]) + 1], _cased(trees, len(signs[0]) + 1, question)
    if not signs[0]:
        return _same(groups[0][0], groups[1][0])
    return _same_relation(*zip(groups, signs, strict=True))


def _cased(trees: list, count: int, question: str) -> list:
    """The answer's trees, with its letters in the gold's case where the question shows that only the hand differs."""
    gold, answer = (frozenset().union(*map(names_of, group)) - CONSTANTS for group in (trees[:count], trees[count:]))
    of_case = {name.lower(): name for name in gold - answer if name.lower() != name and name.lower() not in gold}
    changed = {name: of_case[name] for name in answer - gold if name in of_case}
    upper = {name for name in gold & answer if name.lower() != name}
    if (
        not changed
        or len(changed) < len(of_case)
        or upper
        or not all(_writes(question, name) for name in changed.values())
    ):
        return trees[count:]
    if any(_writes(question, name) for name in changed):
        return trees[count:]
    return [_renamed(tree, changed) for tree in trees[count:]]


def _writes(question: str, name: str) -> bool:
    letter = re.match(r"[A-Za-z]+", name)[0]
    return bool(re.search(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", question[-4_000:]))


def _renamed(tree, names: dict):
    if isinstance(tree, str):
        return names.get(tree, tree)
    return (
        tuple(names.get(part, part) if isinstance(part, str) else _renamed(part, names) for part in tree)
        if isinstance(tree, tuple)
        else tree
    )


def _same(one, other, letters: str | None = None) -> bool | None:
    """Whether two trees are equal: at every point, or at no point that counts."""
    if one == other:
        return True
    called = _operators(one) | _operators(other)
    stepped = called & {"abs", "floor", "ceil", "conjugate", "sum", "prod"}
    letters = letters or _letters_of(called)
    equal, far = [], []
    for index in range(POINTS):
        try:
            distance = _distance(*(evaluate(tree, Point(index, letters, factors=True)) for tree in (one, other)))
            far += [distance > 1e-3] if index % 3 != 2 else []
            if any(name[-1] == "?" or name in _STEPS for name in called):
                distance = _distance(*(evaluate(tree, Point(index, letters)) for tree in (one, other)))
            equal.append(distance < 1e-38)
        except TooLarge:
            raise
        except (ArithmeticError, TypeError, ValueError):
            continue
        if not equal[-1] and far and not all(far) and not stepped:
            return None
    if len(far) >= POINTS - 3 and (any(far) if stepped else all(far)):
        return False
    return True if len(equal) >= POINTS - 1 and all(equal) else None


def _same_relation(one: tuple, other: tuple) -> bool | None:
    """Whether two chains of equations and inequalities say the same: link by link, in one direction."""
    (trees, signs), (others, other_signs) = _directed(*one), _directed(*other)
    if len(signs) != len(other_signs):
        return None
    if signs != other_signs:
        return False
    found = [_same_link(trees[at : at + 2], others[at : at + 2], sign) for at, sign in enumerate(signs)]
    return False if False in found else None if None in found else True


def _directed(trees: list, signs: list[str]) -> tuple[list, list[str]]:
    if not any(sign in _TURNED for sign in signs):
        return trees, signs
    turned = _TURNED | {sign: turned for turned, sign in _TURNED.items()}
    return trees[::-1], [turned.get(sign, sign) for sign in signs[::-1]]


def _same_link(one: list, other: list, sign: str) -> bool | None:
    """Two equations or inequalities: multiples of each other, alike on one side and not on the other, or never true together."""
    symmetric = sign in ("=", r"\ne")
    trees = [("+", left, ("*", Fraction(-1), right)) for left, right in (one, other)]
    names = [names_of(tree) - CONSTANTS for tree in trees]
    letters = _letters_of(_operators(trees[0]) | _operators(trees[1]))
    rates = any(name.startswith("D_") for name in names[0] | names[1])
    factors = [
        Fraction(1),
        *((name if turn else ("/", Fraction(1), name)) for name in names[0] & names[1] for turn in (0, 1) if rates),
    ]
    for factor in factors:
        found = [_ratio(*trees, factor, Point(index, letters)) for index in range(POINTS)]
        found = [ratio for ratio in found if ratio is not None]
        if len(found) >= POINTS - 1 and all(_distance(ratio, found[0]) < 1e-35 for ratio in found):
            return True if symmetric else bool(as_float(found[0]).real > 0)
    for turn, turned in ((0, 0), (1, 1), (0, 1), (1, 0))[: 4 if symmetric else 2]:
        if one[turn] == other[turned] and (
            isinstance(one[turn], tuple) or one[turn] not in names_of(one[1 - turn]) | names_of(other[1 - turned])
        ):
            if (found := _same(one[1 - turn], other[1 - turned])) is not None:
                return found
    return _never_together(trees, sorted(names[0] & names[1])) if letters == "positive" else None


def _ratio(one, other, factor, point: Point):
    try:
        one, other = (as_float(evaluate(tree, point)) for tree in (one, other))
        return one / other * as_float(evaluate(factor, point)) if min(abs(one), abs(other)) > 1e-30 else None
    except TooLarge:
        raise
    except (ArithmeticError, TypeError, ValueError):
        return None


def _never_together(trees: list, names: list[str]) -> bool | None:
    """False where no root found of either formula is one of the other; None where that is open."""
    for name in [name for name in names if name[-1] not in "?)"][:2]:
        apart = 0
        for index in (0, 1, 3):
            for one, other in (trees, trees[::-1]):
                try:
                    held = [
                        lambda at, tree=tree: as_float(evaluate(tree, Point(index, given=((name, at),))))
                        for tree in (one, other)
                    ]
                    start = _named(name, Point(index)) * MP.mpc(1, "0.3")
                    root = MP.findroot(held[0], (start, start * 1.1), solver="secant", maxsteps=30)
                    if abs(held[1](root)) < abs(held[1](start)) * 1e-8:
                        return None
                    apart += 1
                except TooLarge:
                    raise
                except (ArithmeticError, TypeError, ValueError):
                    continue
        if apart == 6:
            return False
    return None


def _operators(tree) -> set[str]:
    return {tree[0]}.union(*map(_operators, tree[1:])) if isinstance(tree, tuple) else set()


def _letters_of(called: set[str]) -> str:
    """What letters stand for: complex numbers where conjugates stand, numbers of any sign where absolute values do."""
    if called & {"floor", "ceil", "sum", "prod", "gcd", "lcm"}:
        return "whole"
    return "complex" if "conjugate" in called else "real" if "abs" in called else "positive"


def _distance(left, right):
    """The difference of two values in units of the larger one."""
    if isinstance(left, MP.matrix) and isinstance(right, MP.matrix):
        if (left.rows, left.cols) != (right.rows, right.cols):
            return 1
        return MP.mnorm(left - right) / (MP.mnorm(left) + MP.mnorm(right) or 1)
    if isinstance(left, Fraction) and isinstance(right, Fraction) and left == right:
        return 0
    left, right = as_float(left), as_float(right)
    size = max(abs(left), abs(right))
    return abs(left - right) / size if size > 1e-20 else 0
