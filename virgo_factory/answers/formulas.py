r"""Two cheap answers about formulas, before any algebra: equal at every point tried, or different at a point.

A formula is read into a tree and evaluated to 50 digits with random numbers for its letters (Schwartz-Zippel, with numbers that
no formula of this size is special at); whatever can be read in two ways is refused and left to math-verify. Letters are taken as
positive, as answers mean them under a root, but where absolute values or conjugates stand. Nothing here grows with the size of a number.
"""

import hashlib
import re
from fractions import Fraction
from typing import NamedTuple

from virgo_factory.answers.numbers import MP
from virgo_factory.answers.trees import CONSTANTS, Unreadable, names_of, read_trees


POINTS = 7
"""Points at which two formulas are evaluated; two of them close to 0, where exponentials are visible, prove no difference."""
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
    letters = _letters_of(trees)
    pairs = _values(trees, letters, factors=True)
    far = [_distance(*pair) > 1e-3 for index, pair in pairs if index % 3 != 2]
    if len(far) >= POINTS - 3 and all(far):
        return False
    pairs = _values(trees, letters)
    return True if len(pairs) >= POINTS - 1 and all(_distance(*pair) < 1e-38 for _, pair in pairs) else None


def _rate(found: re.Match[str]) -> str:
    return "D_{" + " ".join(re.findall(r"\w", found[0])) + "}"


def value(text: str):
    r"""Return the value of a formula without letters as a 50-digit float, or None.

    >>> print(MP.nstr(value(r"2.5\log_{10} 5"), 8))
    1.747425
    """
    try:
        (tree,) = read_trees((text,))
        if not names_of(tree) <= CONSTANTS | {"log"}:
            return None
        found, other = _at(tree, _Point(0)), _at(tree, _Point(1))  # with either base of a logarithm
    except (Unreadable, ArithmeticError, ValueError):
        return None
    return found.real if not found.imag and _distance(found, other) < 1e-40 else None


def is_open(text: str) -> bool:
    """Return whether a text is a formula with letters, which has no value."""
    try:
        return not names_of(read_trees((text,))[0]) <= CONSTANTS | {"log"}
    except Unreadable:
        return False


def _same_equation(one: list[str], other: list[str]) -> bool:
    """Whether two equations are multiples of each other: by a number, and for differential equations by a letter."""
    if len(one) != 2 or len(other) != 2:
        return False
    sides = read_trees((*one, *other))
    trees = ("-", *sides[:2]), ("-", *sides[2:])
    letters = frozenset().union(*map(names_of, trees)) - CONSTANTS
    factors = [("number", Fraction(1))]
    if any(name.lower().startswith("d_frac") for name in letters):
        factors += [("name", name) for name in letters]
        factors += [("/", ("number", Fraction(1)), ("name", name)) for name in letters]
    for factor in factors:
        found = _values((*trees, factor), _letters_of(trees))
        ratios = [one / other * by for _, (one, other, by) in found if abs(one) > 1e-30 and abs(other) > 1e-30]
        if len(ratios) >= POINTS - 1 and all(_distance(ratio, ratios[0]) < 1e-35 for ratio in ratios):
            return True
    return False


def _letters_of(trees) -> str:
    """What the letters of formulas stand for: complex numbers where conjugates stand, numbers of any sign where absolute values do."""
    called = set().union(*map(_called, trees))
    return "complex" if "conjugate" in called else "real" if called & {"abs", "floor", "ceil"} else "positive"


def _called(tree: tuple) -> set[str]:
    return ({tree[1]} if tree[0] == "call" else set()).union(*map(_called, _parts(tree)))


def _parts(tree: tuple) -> list[tuple]:
    return [part for part in tree[1:] if isinstance(part, tuple)]


class _Point(NamedTuple):
    """What the letters of a formula stand for; `factors`: an open function is a factor."""

    index: int
    letters: str = "positive"
    factors: bool = False


def _values(trees, letters: str, factors: bool = False) -> list[tuple[int, tuple]]:
    """The values of all trees at the points where all have one."""
    found = []
    for index in range(POINTS):
        try:
            found.append((index, tuple(_at(tree, _Point(index, letters, factors)) for tree in trees)))
        except (ArithmeticError, ValueError):
            continue
    return found


def _distance(left, right):
    """The difference of two values in units of the larger one."""
    size = max(abs(left), abs(right))
    return abs(left - right) / size if size > 1e-20 else 0


_VALUES = {
    "abs": abs, "sin": MP.sin, "cos": MP.cos, "tan": MP.tan, "cot": MP.cot, "sec": MP.sec, "csc": MP.csc, "arcsin": MP.asin,
    "arccos": MP.acos, "arctan": MP.atan, "sinh": MP.sinh, "cosh": MP.cosh, "tanh": MP.tanh, "ln": MP.ln, "exp": MP.exp,
    "factorial": MP.factorial, "floor": MP.floor, "ceil": MP.ceil, "conjugate": MP.conj,
}  # fmt: skip


def _drawn(point: _Point, name: str):
    digest = hashlib.blake2b(f"{point.index} {name}".encode(), digest_size=24).digest()
    return MP.mpf(int.from_bytes(digest, "big")) / 2**192


def _letter(name: str, point: _Point):
    """Some number; at one point in three close to 0."""
    drawn = _drawn(point, name)
    size = (drawn + MP.mpf(1) / 4) / 40 if point.index % 3 == 2 else MP.mpf(1) / 2 + 2 * drawn
    if point.letters == "complex":
        return size * MP.mpc(1, drawn)
    return -size if point.letters == "real" and point.index % 2 else size


def _at(tree: tuple, point: _Point):
    operator = tree[0]
    if operator == "number":
        return MP.mpf(tree[1].numerator) / tree[1].denominator
    if operator == "name":
        constants = {"e": MP.e, "pi": MP.pi, "i": MP.mpc(0, 1)}
        return constants[tree[1]] + 0 if tree[1] in constants else _letter(tree[1], point)
    if operator == "call":
        name, argument = tree[1], _at(tree[2], point)
        if name == "log":  # to either base, taken in turn
            return _bounded(MP.ln, argument) / (MP.ln(10) if point.index % 2 else 1)
        if name in _VALUES and (point.factors or name not in ("floor", "ceil")):  # steps are too wide for a few points
            return _bounded(_VALUES[name], argument)
        return _letter(name, point) * argument if point.factors else _drawn(point, name + MP.nstr(argument, 30))
    one, other = _at(tree[1], point), _at(tree[2], point)
    if operator in "+-":
        if one and other and not 1e-25 < abs(one / other) < 1e25:
            raise _Unlucky  # one of them would hide the other
        return one + other if operator == "+" else one - other
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
