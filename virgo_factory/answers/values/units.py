"""Units of measure: one table of dimensions and factors, for names and symbols in English and Chinese."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from virgo_factory.answers.values.latex import tidy


@dataclass(frozen=True)
class Unit:
    """What one of a unit is: powers of base dimensions, the factor to the base units, and the zero of a temperature."""

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction
    zero: Fraction = Fraction(0)


def _base(name: str, factor: str | int = 1, zero: str | int = 0) -> Unit:
    return Unit(((name, 1),), Fraction(factor), Fraction(zero))


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


def _of(symbols: str) -> Unit:
    """A unit from base symbols with powers: "kg m2 s-2"."""
    parts = [re.fullmatch(r"([a-z]+)(-?\d)?", symbol) for symbol in symbols.split()]
    return product([(_SI[part[1]], int(part[2] or 1)) for part in parts])


_SI = {
    symbol: _base(name) for symbol, name in (("m", "length"), ("s", "time"), ("a", "current"), ("k", "temperature"))
}
_SI |= {"mol": _base("amount"), "kg": _base("mass", 1000)}
_PREFIXED = {
    "m": _SI["m"], "g": _base("mass"), "s": _SI["s"], "A": _SI["a"], "K": _SI["k"], "mol": _SI["mol"], "Hz": _of("s-1"), "N": _of("kg m s-2"),
    "J": _of("kg m2 s-2"), "Wh": Unit(_of("kg m2 s-2").dimensions, _of("kg m2 s-2").factor * 3600), "Pa": _of("kg m-1 s-2"), "W": _of("kg m2 s-3"), "V": _of("kg m2 s-3 a-1"), "C": _of("a s"), "F": _of("a2 s4 kg-1 m-2"),
    "Ω": _of("kg m2 s-3 a-2"), "T": _of("kg s-2 a-1"), "Wb": _of("kg m2 s-2 a-1"), "H": _of("kg m2 s-2 a-2"), "L": Unit((("length", 3),), Fraction(1, 1000)),
    "eV": Unit(_of("kg m2 s-2").dimensions, _of("kg m2 s-2").factor * Fraction("1.602176634e-19")), "cal": Unit(_of("kg m2 s-2").dimensions, _of("kg m2 s-2").factor * Fraction("4.184")),
    "B": _base("data", 8), "b": _base("data"), "pc": _base("length", "3.0856775814913673e16"),
}  # fmt: skip
_PREFIXES = {"p": -12, "n": -9, "µ": -6, "u": -6, "m": -3, "c": -2, "d": -1, "k": 3, "M": 6, "G": 9, "T": 12}
_PREFIX_WORDS = dict(zip("pico nano micro milli centi deci kilo mega giga tera".split(), (-12, -9, -6, -3, -2, -1, 3, 6, 9, 12), strict=True))  # fmt: skip
_NAMED = {
    "m": "meter metre", "g": "gram gramme", "s": "second sec", "A": "ampere amp", "K": "kelvin", "mol": "mole", "Hz": "hertz", "N": "newton", "J": "joule",
    "Pa": "pascal", "W": "watt", "Wh": "watthour", "V": "volt", "C": "coulomb", "F": "farad", "Ω": "ohm", "T": "tesla", "Wb": "weber", "H": "henry", "L": "liter litre",
    "eV": "electronvolt", "cal": "calorie", "B": "byte", "b": "bit", "pc": "parsec",
}  # fmt: skip
_FURTHER: tuple[tuple[Unit | str, dict[str, str | int]], ...] = (
    ("length", {"in inch 英寸 \" ''": "0.0254", "ft foot feet 英尺 '": "0.3048", "yd yard": "0.9144", "mi mile 英里": "1609.344", "Å angstrom Angstrom": "1e-10",
                "nmi 海里": 1852, "ly lightyear 光年": "9460730472580800", "AU au": "149597870700", "micron": "1e-6", "km 千米 公里": 1000, "m 米 公尺": 1,
                "dm 分米": "0.1", "cm 厘米 公分": "0.01", "mm 毫米": "0.001", "hm": 100, "µm 微米": "1e-6", "nm 纳米": "1e-9", "里 华里": 500, "丈": "10/3", "尺": "1/3", "寸": "1/30"}),
    ("mass", {"lb lbs pound 磅": "453.59237", "oz ounce 盎司": "28.349523125", "ton tonne 吨": 10**6, "kg kilo 千克 公斤": 1000, "g 克": 1, "mg 毫克": "0.001",
              "斤 市斤": 500, "两": 50}),
    ("time", {"min minute mins 分钟 分 min.": 60, "h hr hour hrs 小时 时 钟头": 3600, "day days 天 日": 86400, "week wk 周 星期": 604800, "s 秒 秒钟": 1, "ms 毫秒": "0.001"}),
    ("month", {"month 个月 月": 1, "year yr yrs 年": 12, "decade": 120, "century centurie 世纪": 1200}),
    ("euro", {"€ euro EUR 欧元": 1}), ("sterling", {"£ pound GBP 英镑": 1, "pence": "0.01"}), ("yen", {"JPY yen 日元": 1}), ("rupee", {"₹ rupee Rs INR": 1}),
    ("dollar", {"$ dollar USD US$ buck 美元": 1, "¢ cent 美分": "0.01"}),
    ("yuan", {"¥ yuan RMB CNY rmb 元 块 圆 人民币": 1, "角 毛": "0.1", "分 分钱": "0.01"}),
    ("angle", {"° degree deg 度": 1, "′ ' arcminute 分": "1/60", "″ '' \" arcsecond": "1/3600", "rev revolution turn": 360}),
    ("radian", {"rad radian 弧度": 1}),
    (Unit((("length", 2),), Fraction(1)), {"ha hectare 公顷": 10000, "acre": "4046.8564224", "亩": "2000/3"}),
    (Unit((("length", 3),), Fraction(1)), {"l 升 公升": "1/1000", "ml 毫升": "1/1000000", "cc": "1/1000000", "gal gallon": "0.003785411784", "qt quart": "0.000946352946",
                                           "pt pint": "0.000473176473"}),
    (Unit((("length", 1), ("time", -1)), Fraction(1)), {"mph": "0.44704", "kph kmh": "5/18", "knot kn 节": "1852/3600"}),
    (Unit((("time", -1),), Fraction(1)), {"rpm": "1/60"}), (Unit((("length", -2),), Fraction(1)), {"mpg": "48000000000/112903"}),
    (Unit((("amount", 1), ("length", -3)), Fraction(1000)), {"M molar": 1, "mM": "0.001"}),
    ("share", {"% percent pct 百分点": "0.01", "ppm": "1e-6"}),
    (_PREFIXED["Pa"], {"atm atmosphere": 101325, "bar": 100000, "mmHg": "133.322387415", "帕": 1, "千帕": 1000}),
    (_PREFIXED["J"], {"焦 焦耳 Nm": 1, "千焦": 1000}), (_PREFIXED["N"], {"牛 牛顿": 1, "千牛": 1000}), (_PREFIXED["W"], {"瓦": 1, "千瓦": 1000, "hp horsepower": "745.69987158227022"}),
    (_PREFIXED["V"], {"伏 伏特": 1, "千伏": 1000, "毫伏": "0.001"}), (_PREFIXED["A"], {"安 安培": 1, "毫安": "0.001"}), (_PREFIXED["Ω"], {"欧 欧姆": 1, "千欧 kilohm": 1000, "megohm": 1000000}),
    (_PREFIXED["Hz"], {"赫 赫兹": 1, "千赫": 1000}), (_PREFIXED["mol"], {"摩尔 摩": 1}), (_PREFIXED["eV"], {"电子伏": 1}),
)  # fmt: skip
_TEMPERATURES = {"°C ℃ celsius 摄氏度": ("1", "273.15"), "°F ℉ fahrenheit 华氏度": ("5/9", "45967/180")}


def _table() -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for symbol, unit in _PREFIXED.items():
        names = {symbol: 0} | dict.fromkeys(_NAMED[symbol].split(), 0)
        names |= {prefix + symbol: power for prefix, power in _PREFIXES.items()}
        names |= {prefix + name: power for prefix, power in _PREFIX_WORDS.items() for name in _NAMED[symbol].split()}
        for name, power in names.items():
            found.setdefault(name, []).append(Unit(unit.dimensions, unit.factor * Fraction(10) ** power))
    for name in "pt min cd ha ft are Pm mb pb cb db cB dB mB nB pB TH PH".split():  # other units, or none
        found.pop(name, None)
    for kind, units in _FURTHER:
        base = kind if isinstance(kind, Unit) else _base(kind)
        for names, factor in units.items():
            for name in names.split():
                unit = Unit(base.dimensions, base.factor * Fraction(factor))
                if unit not in found.setdefault(name, []):
                    found[name].append(unit)
    for names, (factor, zero) in _TEMPERATURES.items():
        found |= dict.fromkeys(names.split(), [Unit(_SI["k"].dimensions, Fraction(factor), Fraction(zero))])
    found["度"].append(found["℃"][0])
    return found


_UNITS = _table()
_FOLDED: dict[str, list[str]] = {}
for _name in _UNITS:
    _FOLDED.setdefault(_name.casefold(), []).append(_name)
_SHORT = frozenset("in ft yd mi oz lb km cm mm kg hr dm".split())
"""Symbols that are also read in capitals, with a full stop or in the plural."""
_WORD = r"[A-Za-zµΩÅ]+\.?|°\s*[CF](?![A-Za-z])|[°$€£¥¢₹%′″℃℉]|''|['\"]|US\$"
_FACTOR = re.compile(
    rf"(?:(?P<second>(?i:square\s+|sq(?:\.\s*|\s+))|平方)|(?P<third>(?i:cubic\s+|cu(?:\.\s*|\s+))|立方))?(?P<name>{_WORD}|[\u4e00-\u9fff]+)"
)
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
    while len(parts) < 6 and (factor := _FACTOR.match(text, at)):
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


_ASKED = re.compile(
    r"how many (?P<many>[^?.,;()]{2,40})|how (?:much|far|long) in (?P<much>[A-Za-z]{3,12})|\((?:in|units?:?) (?P<brackets>[^()]{2,30})\)"
    r"|\bin (?P<end>[A-Za-z°/^ 0-9]{2,30}?)\s*[?.]?\s*$"
    r"|(?:多少|几)(?P<chinese>[\u4e00-\u9fff]{1,6})|单位[是为:]?\s*(?P<unit>[^\s,.;()?]{1,12})",
    re.IGNORECASE,
)


@lru_cache(maxsize=4_096)
def asked_units(question: str) -> tuple[Unit, ...]:
    """Return the units that a question asks its answer in: "how many metres", "(in years)", "多少米"; none where it says none.

    >>> asked_units("How many meters long is it?") == named("m"), asked_units("How many apples are there?")
    (True, ())
    """
    found = (
        read_unit(tidy(next(filter(None, asked.groups()))).replace("$", "").strip())
        for asked in _ASKED.finditer(question)
    )
    return tuple(unit for units, _ in found for unit in units)
