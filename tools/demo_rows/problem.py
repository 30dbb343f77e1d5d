"""A problem of the demo: its question, the thought that solves it step by step, and the answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from random import Random


@dataclass(frozen=True)
class Problem:
    """One worked problem.

    Attributes:
        question: what is asked; everything needed to recompute the answer stands in it.
        thought: paragraphs of the thought, in order.
        solution: the short write-up without the final answer.
        answer: what the solution puts in the box.
    """

    question: str
    thought: tuple[str, ...]
    solution: str
    answer: str


Task = Callable[[Random, bool], Problem]
"""Draws one problem; with True a mistake is made on the way, noticed ("Wait, ...") and corrected."""

CHECKS = (
    "Let me check this.",
    "Before I answer, a check.",
    "Let me verify that in another way.",
    "I want to be sure, so let me test it.",
)


def check(rng: Random) -> str:
    """Return how a check is announced."""
    return rng.choice(CHECKS)


def number(value: Fraction | int) -> str:
    """Return a number as people write it: an integer, a finite decimal, or a fraction p/q.

    >>> number(Fraction(7, 4)), number(Fraction(-2, 3)), number(12)
    ('1.75', '-2/3', '12')
    """
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)

    places, rest = 0, value.denominator
    while rest % 10 == 0 or rest % 2 == 0 or rest % 5 == 0:
        rest //= 10 if rest % 10 == 0 else 2 if rest % 2 == 0 else 5
        places += 1

    if rest > 1 or places > 4:
        return f"{value.numerator}/{value.denominator}"

    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def signed(value: int, name: str = "") -> str:
    """Return a term with its sign in front, as inside a sum.

    >>> signed(-3, "x"), signed(1, "x"), signed(4)
    ('- 3x', '+ x', '+ 4')
    """
    size = abs(value)
    return f"{'-' if value < 0 else '+'} {'' if size == 1 and name else size}{name}"


def term(value: int, name: str) -> str:
    """Return a leading term: x, -x or 3x."""
    return {1: name, -1: f"-{name}"}.get(value, f"{value}{name}")


def bracket(value: Fraction | int) -> str:
    """Return a number for use as a factor: in brackets when negative."""
    return f"({number(value)})" if value < 0 else number(value)


def joined(values: Iterable, glue: str = ", ") -> str:
    """Return the values as text, glued."""
    return glue.join(str(value) for value in values)
