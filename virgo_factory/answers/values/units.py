"""Units of measure: one table of dimensions and factors, for names and symbols in English and Chinese."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values import table
from virgo_factory.answers.values.latex import tidy


@dataclass(frozen=True)
class Unit:
    """What one of a unit is: powers of base dimensions, the factor to the base units, and the zero of a temperature."""

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction
    zero: Fraction = Fraction(0)


def product(parts: list[tuple[Unit, int]]) -> Unit:
    """Return the unit that is the product of units with their powers."""
    powers: dict[str, int] = {}
    factor = Fraction(1)
    for unit, power in parts:
        factor *= unit.factor**power
        for name, times in unit.dimensions:
            powers[name] = powers.get(name, 0) + times * power
    zero = parts[0][0].zero if len(parts) == 1 and parts[0][1] == 1 else Fraction(0)
    return Unit(tuple(sorted((name, power) for name, power in powers.items() if power)), factor, zero)


_PREFIXES = {"p": -12, "n": -9, "µ": -6, "u": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "T": 12}
_PREFIX_WORDS = {"pico": -12, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1, "kilo": 3, "mega": 6, "giga": 9,
                 "tera": 12, "纳": -9, "微": -6, "毫": -3, "厘": -2, "分": -1, "千": 3}  # fmt: skip
_NO_PREFIXED = frozenset("pt min cd ft are Pm mb pb cb db cB dB mB nB pB TH PH".split())
"""Prefixes with symbols that are other units, or none."""


def _read() -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for sign, kind, factor, names, *zero in table("units.tsv"):
        powers = (re.fullmatch(r"([a-z]+)(-?\d)?", part) for part in kind.split())
        base = tuple((power[1], int(power[2] or 1)) for power in powers)
        symbol, *words = names.split(" ")
        ways = dict.fromkeys((symbol, *words), 0)
        if sign == "+":
            ways |= {
                prefix + symbol: power for prefix, power in _PREFIXES.items() if prefix + symbol not in _NO_PREFIXED
            }
            ways |= {prefix + word: power for prefix, power in _PREFIX_WORDS.items() for word in words}
        one, start = Fraction(factor), Fraction(*zero) if zero else Fraction(0)
        units = {power: Unit(base, one * Fraction(10) ** power, start) for power in {*ways.values()}}
        for name, power in ways.items():
            if (unit := units[power]) not in found.setdefault(name, []):
                found[name].append(unit)
    return found


_UNITS = _read()
_FOLDED: dict[str, list[str]] = {}
for _name in _UNITS:
    _FOLDED.setdefault(_name.casefold(), []).append(_name)
_SHORT = frozenset("in ft yd mi oz lb km cm mm kg hr dm".split())
"""Symbols that are also read in capitals, with a full stop or in the plural."""
_POWER = re.compile(r"(?:\s*\^\s*)?\{?\s*(?P<digit>[-+]?[1-4])(?!\d)\s*\}?|\s+(?P<word>squared|cubed)(?![a-z])")
_BETWEEN = re.compile(r"\s*(?P<per>/\s*(?P<open>\()?|per(?![a-z])|每)?(?:\\cdot|[*·⋅-](?=\s*[A-Za-z]))?\s*")
_ARTICLE = re.compile(r"(?:of )?(?:an? )?")


@lru_cache(maxsize=4_096)
def named(name: str) -> tuple[Unit, ...]:
    """Return what a unit's name may stand for; symbols are told apart by their case where that makes two units.

    >>> [named(name)[0].factor == named("mW")[0].factor for name in ("MW", "milliwatts")], named("blub")
    ([False, True], ())
    """
    name = re.sub(r"\s+", "", name)
    plain = name.rstrip(".")
    cased = len(name) > 3 or name.isupper() or name.istitle() or name.islower()  # kG is no kg
    lower = plain.lower() if cased else plain
    for form in (name, plain, lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if form in _UNITS and (form == name or len(form) > 2 or form in _SHORT):
            return tuple(_UNITS[form])
    folded = _FOLDED.get(name.casefold(), ())
    return tuple(_UNITS[folded[0]]) if len(folded) == 1 and len(name) > 1 and cased else ()


@lru_cache(maxsize=4_096)
def read_unit(text: str) -> tuple[tuple[Unit, ...], int]:
    """Return what the longest unit at the beginning of a text may be, and where it ends; nothing and 0 where none is there.

    >>> read_unit("km/h east")[1], read_unit("square metres")[0] == read_unit("m^2")[0], read_unit("apples")
    (4, True, ((), 0))
    """
    parts: list[tuple[tuple[Unit, ...], int]] = []
    at, end, sign, opened = _ARTICLE.match(text).end(), 0, 1, False
    while len(parts) < 6 and (factor := P.FACTOR.match(text, at)):
        name, start = factor["name"], factor.start("name")
        if name[0] > "\u4dff":
            name = name[: max((n for n in range(1, min(4, len(name)) + 1) if name[:n] in _UNITS), default=0)]
        units = named(name) if name else ()
        if not units or name == "in" and re.match(r"\s*[A-Za-z]", text[start + 2 :]):
            break
        if parts and sign > 0 and parts[-1][0][-1].dimensions == (("angle", 1),):
            break  # 40° N
        at, power = start + len(name), sign * (2 if factor["second"] else 3 if factor["third"] else 1)
        if (raised := _POWER.match(text, at)) and text[at - 1].isalpha():
            power *= int(raised["digit"] or {"squared": 2, "cubed": 3}[raised["word"]])
            at = raised.end()
        if opened and text.startswith(")", at):
            opened, at = False, at + 1
        end = at
        parts.append((units, power))
        between = _BETWEEN.match(text, at)
        opened = opened or bool(between["open"])
        at, sign = between.end(), -1 if between["per"] or opened else 1
    if not parts or opened:
        return (), 0
    options = {product([(units[min(choice, len(units) - 1)], power) for units, power in parts]) for choice in (0, 1)}
    return tuple(sorted(options, key=repr, reverse=True)), end


@lru_cache(maxsize=4_096)
def asked_units(question: str) -> tuple[Unit, ...]:
    """Return the units that a question asks its answer in: "how many metres", "(in years)", "多少米"; none where it says none.

    >>> asked_units("How many meters long is it?") == named("m"), asked_units("How many apples are there?")
    (True, ())
    """
    found = (
        read_unit(tidy(next(filter(None, asked.groups()))).replace("$", "").strip())
        for asked in P.ASKED.finditer(question)
    )
    return tuple(unit for units, _ in found for unit in units)
