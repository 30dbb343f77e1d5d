"""Equality of formulas: by the cheap proofs of `formulas`, else by math-verify, asked last and behind guards.

math-verify's time limits are signals: it is called in the main thread of a process, for batches in one that can be killed
(`pool`). The guards keep out what a signal cannot stop, such as one huge integer power.
"""

import logging
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from virgo_factory.answers import formulas
from virgo_factory.answers.latex import characters, tidy
from virgo_factory.answers.numbers import MP


MAX_LENGTH = 600
MAX_DEPTH = 40
SECONDS = 4

_POWER_TOWER = re.compile(r"(?:\^|\*\*)\s*[{(]?\s*-?[0-9A-Za-z]+\s*(?:\^|\*\*)")
_BIG_POWER = re.compile(r"(?:\^|\*\*)\s*[{(]?\s*-?(\d+)")
_FACTORIAL = re.compile(r"\(*(\d+|\))\)*\s*!(\s*!)?")
_INTERVAL = re.compile(r"^\s*[(\[].*,.*[)\]]\s*$")
_RELATION = re.compile(r"[<>]|\\(?:le|ge)(?![A-Za-z])")
_PROSE = re.compile(r"(?<![A-Za-z\\{])(?:[A-Za-z]{4,}|[Ll]et|for|with|and|if)(?![A-Za-z])")
_BIG_NUMBER = re.compile(r"\d{60}")


class TooLarge(ValueError):
    """A formula that must not be evaluated."""


def guard(text: str) -> None:
    """Raise TooLarge for a formula that could take unbounded time or memory.

    >>> guard("10^(10^10)")
    Traceback (most recent call last):
        ...
    virgo_factory.answers.expressions.TooLarge: power tower
    """
    plain = re.sub(r"\s+", "", text)
    if len(plain) > MAX_LENGTH:
        raise TooLarge("long")
    depth = deepest = 0
    for sign in plain:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise TooLarge("deep")
    if _BIG_NUMBER.search(plain):
        raise TooLarge("long number")
    if _POWER_TOWER.search(plain) or re.search(r"\d\)*(?:\^|\*\*)[{(]+\d+(?:\^|\*\*)", plain):
        raise TooLarge("power tower")
    if any(len(power) > 5 or int(power) > 3_000 for power in _BIG_POWER.findall(plain)):
        raise TooLarge("power")
    for number, again in _FACTORIAL.findall(plain):
        if again or "!)!" in plain or (number.isdigit() and (len(number) > 3 or int(number) > 200)):
            raise TooLarge("factorial")
    if re.search(r"\\(?:sum|prod|int|lim|iint)(?![A-Za-z])", plain) and len(plain) > 200:
        raise TooLarge("operator")


class _Late(BaseException):
    """Raised by the timer; no Exception, so that math-verify cannot take it for "not equal"."""


def _late(*_) -> None:
    raise _Late


@contextmanager
def _limited() -> Iterator[None]:
    """Raise TimeoutError after SECONDS of this process's own time, whatever else keeps the machine busy."""
    before = signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    except _Late as error:
        raise TimeoutError from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


before_loading: Callable[[], None] | None = None
"""Called once, before math-verify is imported; a worker says so to the process that watches its clock."""


@lru_cache(maxsize=1)
def load():
    """Import math-verify (about two seconds) and return its functions and settings."""
    if before_loading is not None:
        before_loading()
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    from math_verify import LatexExtractionConfig, parse, verify

    for name in ("math_verify.parser", "math_verify.grader", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return parse, verify, (LatexExtractionConfig(boxed_match_priority=-1),)


@lru_cache(maxsize=4_096)
def _parsed(text: str):
    parse, _, settings = load()
    with _limited():
        return tuple(parse(f"${text}$", extraction_config=settings, parsing_timeout=None, fallback_mode="no_fallback"))


def same_expression(gold: str, answer: str) -> bool | None:
    """Return whether two formulas are equal; None where one of them cannot be read.

    Raises:
        TooLarge: one of them must not be evaluated.
        TimeoutError: no result within a few seconds.
    """
    texts = [_for_latex(text) for text in (gold, answer)]
    for text in texts:
        guard(text)
    if not all(map(str.isascii, texts)) or any("\\begin{cases}" in text for text in texts):
        return None  # math-verify reads neither
    if any(map(_PROSE.search, texts)):
        return None  # and takes words for products
    if (settled := formulas.compare(*texts)) is not None:
        return settled
    if threading.current_thread() is not threading.main_thread():
        raise TimeoutError("math-verify needs the main thread of a process: use score_many")
    _, verify, _ = load()
    left, right = (_parsed(text) for text in texts)
    if not left or not right:
        return None
    try:
        sides = [(left, right)]
        if _INTERVAL.search(texts[0]) and _RELATION.search(texts[1]):
            sides.append(
                (right, left)
            )  # a relation may be given for an interval, which math-verify takes the other way only
        with _limited():
            return any(
                verify(
                    list(one), list(other), float_rounding=6, strict=True, timeout_seconds=None, raise_on_error=True
                )
                for one, other in sides
            )
    except TimeoutError:
        raise
    except RecursionError as error:
        raise TooLarge("deep") from error
    except Exception:  # whatever sympy raises on a formula it cannot handle: no verdict from here
        return None


def closed_value(text: str):
    """Return the value of a formula without variables as a 30-digit float, or None; guarded as `same_expression`."""
    text = _for_latex(text)
    guard(text)
    if not text.isascii() or _PROSE.search(text):
        return None
    if (value := formulas.value(text)) is not None or formulas.is_open(text):
        return value
    if threading.current_thread() is not threading.main_thread():
        raise TimeoutError("math-verify needs the main thread of a process: use score_many")
    found = [part for part in _parsed(text) if not isinstance(part, str)]
    if not found or getattr(found[0], "free_symbols", True):
        return None
    try:
        with _limited():
            value = found[0].evalf(30)
        return MP.mpf(str(value)) if value.is_real and value.is_number and value.is_finite else None
    except TimeoutError:
        raise
    except Exception:  # no number after all
        return None


def _for_latex(text: str) -> str:
    text = tidy(characters(text))
    text = text.replace("°", r"^\circ").replace("**", "^").replace("$", "").replace("%", r"\%")
    text = text.replace("!=", r"\ne ").replace("<=", r"\le ").replace(">=", r"\ge ")
    return re.sub(r"(?<![A-Za-z\\])(sqrt|sin|cos|tan|log|ln|exp|pi)(?![A-Za-z])", r"\\\1", text)
