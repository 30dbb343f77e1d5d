"""The value of a number as people write it: fractions, roots, percent, units, scientific, words. Exact where it can be.

What holds a letter or an open function is no number but a formula. Sizes are bounded: nothing here can be made to run long.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import mpmath

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.formulas import MP, NO_VALUE, TooLarge, Unreadable, add, read_closed
from virgo_factory.answers.values.latex import tidy
from virgo_factory.answers.values.units import Unit, named, read_unit
from virgo_factory.core.lazy_pattern import LazyPattern


MAX_LENGTH = 400
"""Longest text that is read as one number."""
_CURRENCY = re.compile(r"\s*(?:(?:US|CA|A|HK)\s*(?=\$)|(?:USD|Rs\.?|RM)\s*(?=[$\d]))?([$€£¥₹])?\s*")
_COMMA = re.compile(r"\d{1,3}(?:\.?\d{3})*,\d\d")
"""An amount of money as it is written in Europe: 1.234,50."""
_SIGN = re.compile(r"(?:(negative|minus|负|零下)|(?:positive|plus|正|零上))\s*(?=[\w.\\(])", re.IGNORECASE)
"""The number of an item, and what it says."""
_BELOW = re.compile(r"\b(below|above) (?:zero|0)\b", re.IGNORECASE)
_ORDINAL = re.compile(r"(?<=\d)\s*\^?\s*\{?\s*(?:st|nd|rd|th)\b\s*\}?")
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "mn": 10**6, "bn": 10**9, "dozen": 12,
           "万亿": 10**12, "百万": 10**6, "千万": 10**7, "万": 10**4, "亿": 10**8, "千": 10**3, "百": 10**2, "打": 12}  # fmt: skip
CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
).split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth twenty-first"
).split()
_SMALL = {word: value for value, word in enumerate(CARDINALS)}
_SMALL |= dict(zip("thirty forty fifty sixty seventy eighty ninety".split(), range(30, 100, 10), strict=True))
_PARTS = {name + end: value for value, names in {2: "half halve", 3: "third", 4: "quarter fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth",
          10: "tenth", 100: "hundredth", 1000: "thousandth"}.items() for name in names.split() for end in ("", "s")}  # fmt: skip
_COUNTS = "|".join(sorted([*_SMALL, "hundred", "thousand"], key=len, reverse=True))
NUMBER_WORDS = LazyPattern(
    rf"\b(?!one\b)(?:{_COUNTS})(?:(?: and |-| )(?:{_COUNTS}))*(?:[- ](?:{'|'.join(sorted(set(_PARTS) - {'second', 'third', 'half'}, key=len, reverse=True))}))?\b",
    re.IGNORECASE,
)
"""A number in words, but "one", which is a pronoun."""
_CHINESE = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_MAY_BE = re.compile(
    rf"[\d\\零〇一二三四五六七八九十百千万亿半两]|\b(?:{'|'.join([*_SMALL, *_PARTS, 'hundred', 'thousand', 'million', 'dozen'])})\b",
    re.IGNORECASE,
)
RANGE = r"(\d+(?:\.\d+)?)\s*(?:-|to|至|到)\s*(\d+(?:\.\d+)?)(?:\s*%|\s+[A-Za-z]+|[A-Za-z]{2,})?"
"""A range such as 11-15, which is no difference."""
_LITERAL = re.compile(r"\s*[-+]?\s*((?:\d{1,3}(?:,\d{3})+|\d*)(\.\d+)?)([eE][+-]?\d+)?\s*")
_PLAIN = re.compile(r"-?\d+(\.\d+)?(?=$|%|°|\s?[A-DF-WYZa-df-wyz\u4e00-\u9fff]{2}(?<! to)(?<!to))")
"""A numeral with nothing behind it but a unit or words: most numbers are that."""
_SHORT_SCALE = re.compile(r"[kmb]\b", re.IGNORECASE)
_PERCENT = re.compile(r"(?:%|percent(?:age points?)?|per cent|pct\b)\.?\s*", re.IGNORECASE)
_SYMBOLS = (
    (re.compile(r"electron[ -]volts?"), "eV"),
    (re.compile(r"\\mu\s*"), "µ"),
    (re.compile(r"\\Omega(?![A-Za-z])"), "Ω"),
)
_TEMPERATURE = re.compile(r"(?:degrees?|deg\.?|°)\s*(celsius|fahrenheit|[CF](?![A-Za-z]))", re.IGNORECASE)
_MINUTES = re.compile(r"(?<=\d)\s*(''|['\"])(?!\w*[A-Za-z])")
_STOP_WORDS = frozenset("and or but not if than then to from plus minus of equals is are was".split())
_FILLERS = frozenset(
    "the a an to of by in on at for with all total altogether each different possible unit square cubic sq 个 的 了".split()
)

_ONE_LETTER = frozenset("'\"mMgshlLNJWVAKCFTΩÅ$°¢%€£¥₹")
_OPPOSITES = (
    ("compass", "north n northward 北 向北 正北", "south s southward 南 向南 正南", "east e eastward 东 向东 正东", "west w westward 西 向西 正西",
     "northeast ne 东北", "northwest nw 西北", "southeast se 东南", "southwest sw 西南"),
    ("turn", "clockwise cw 顺时针", "counterclockwise anticlockwise ccw 逆时针"),
    ("era", "bc bce 公元前 前", "ad ce 公元"), ("half", "am", "pm"), ("level", "above 以上", "below 以下"),
    ("side", "left leftward 左 向左 左边", "right rightward 右 向右 右边", "up upward 上 向上", "down downward 下 向下", "inward", "outward"),
    ("when", "before ago earlier early 之前 提前 早", "after later late 后 之后 推迟 延迟 晚 迟"), ("order", "第"),
    ("change", "increase increased rise rose gain gained profit won raise raised grow grew growth 增加 上升 提高 增长 盈利 赚 升 涨 赢利",
     "decrease decreased loss lost fall fell drop dropped reduce reduced reduction decline declined 减少 下降 降低 亏损 亏 降 跌 赔"),
    ("comparison", "older taller more longer heavier faster higher larger bigger greater deeper warmer farther 多 大 高 长 重 快",
     "younger shorter fewer less off lighter slower lower smaller shallower colder nearer 少 小 低 短 轻 慢 矮"),
)  # fmt: skip
MARKS = {}
for _axis, *_ways in _OPPOSITES:
    MARKS |= {word: (_axis, way) for way, words in enumerate(_ways) for word in words.split()}
"""Words that are part of a value: word -> (what it tells, which way)."""
_CHINESE_MARKS = sorted((word for word in MARKS if word[0] > "\u4dff"), key=len, reverse=True)
_ABBREVIATED = frozenset("n s e w ne nw se sw bc ad ce cw".split())
FIRM = frozenset(("compass", "turn", "era", "half", "level", "when", "change", "order"))
"""Marks that an answer must give where the gold gives them and the question does not."""


@dataclass(frozen=True)
class Number:
    """A number that was read.

    Attributes:
        value: its value; a Fraction where it is exact, else a 50-digit float.
        decimals: digits after the point where it is one decimal numeral.
        approximate: written with a point or a power of ten, hence perhaps rounded.
        literal: one numeral, not a fraction, root or product.
        percent: written with a percent sign or word.
        unit: what stands behind the number, unit and words, as written but in lower case where it is words.
        units: what the unit may be, where it is known.
        words: other words behind it: what is counted.
        marks: direction, side, era, comparison: part of the value.
    """

    value: Fraction | mpmath.mpf
    decimals: int | None = None
    approximate: bool = False
    literal: bool = False
    percent: bool = False
    unit: str = ""
    units: tuple[Unit, ...] = ()
    words: frozenset[str] = frozenset()
    marks: frozenset[tuple[str, int]] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether it is a whole number that was not written as an approximate one."""
        return isinstance(self.value, Fraction) and self.value.denominator == 1 and not self.approximate


# --- numbers in words ----------------------------------------------------------------------------------------------


def _from_words(text: str) -> tuple[Fraction, int] | None:
    """The value of the English number words at the beginning of a text, and where they end."""
    total = current = end = 0
    before = ""
    for found in _WORD.finditer(text):
        word, following = found[0].lower(), _FOLLOWING.match(text, found.end())
        if word in _SMALL:
            current += _SMALL[word]
        elif word in _PARTS and (before or word in ("half", "quarter")) and current < 100:
            return total + Fraction(current or 1, _PARTS[word]), found.end()  # two and a half
        elif word in SCALES and before:
            hundred = word == "hundred"
            total, current = (total, current * 100) if hundred else (total + current * SCALES[word], 0)
        elif word in ("a", "an") and following and following[2].lower() in _COUNTABLE:
            current += not before
        elif not (word == "and" and before and following and following[2].lower() in _COUNTABLE | set(_SMALL)):
            break
        else:
            total, current = total + current, 0
        before, end = word, found.end()
    return (Fraction(total + current), end) if before else None


_WORD, _FOLLOWING = re.compile("[A-Za-z]+"), re.compile(r"\s+(an?\s+)?([A-Za-z]+)")
_COUNTABLE = frozenset("half quarter third dozen hundred thousand million".split())


def from_chinese(text: str) -> Fraction | None:
    """Return the value of a Chinese numeral: 一百二十, 三分之二, 百分之五, 三点五."""
    bottom, parted, top = text.rpartition("分之")
    if parted:
        values = [from_chinese(part) for part in (top, bottom)]
        return values[0] / values[1] if values[1] else None
    whole, _, decimals = text.partition("点")
    total = section = digit = 0
    for sign in whole.removesuffix("半"):
        if sign in _CHINESE:
            digit = digit * 10 + _CHINESE[sign]
        elif sign in "十百千":
            section, digit = section + (digit or 1) * 10 ** ("十百千".index(sign) + 1), 0
        else:
            total, section, digit = (total + section + digit) * (10**4 if sign == "万" else 10**8), 0, 0
    digits = "".join(str(_CHINESE[sign]) for sign in decimals)
    return total + section + digit + Fraction(int(digits or 0), 10 ** len(digits)) + Fraction(whole.endswith("半"), 2)


# --- a number with what stands around it -----------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def read_number(text: str) -> Number | None:
    r"""Return the number that the whole text is, or None.

    >>> read_number(r"918\frac{1}{2}").value, read_number("negative 7").value, read_number("三分之二").value
    (Fraction(1837, 2), Fraction(-7, 1), Fraction(2, 3))
    >>> read_number("$1.5 \\times 10^3$").value, read_number("33.5\\%").percent, read_number("7 cm").unit
    (Fraction(1500, 1), True, 'cm')
    >>> read_number("2x") is None and read_number("9**9**9") is None
    True
    """
    if len(text) > MAX_LENGTH or not _MAY_BE.search(text := tidy(text)):
        return None
    try:
        return _quantity(P.ABOUT.sub("", text).strip())
    except (TooLarge, Unreadable, *NO_VALUE):
        return None


def _quantity(text: str) -> Number | None:
    sign = 1
    if found := _SIGN.match(text):
        sign, text = -1 if found[1] else 1, P.ABOUT.sub("", text[found.end() :])
    text = _ORDINAL.sub("", text)
    if "°" in text:  # else they are feet and inches
        text = _MINUTES.sub(lambda found: "′" if found[1] == "'" else "″", text)
    currency = _CURRENCY.match(text)
    text = text[currency.end() :]
    if currency[1] and _COMMA.fullmatch(text) or text.endswith("€") and _COMMA.fullmatch(text[:-1].strip()):
        text = text.replace(".", "").replace(",", ".")
    number, end = _value(text)
    rest = text[end:]
    if below := _BELOW.search(rest):
        sign, rest = -sign if below[1].lower() == "below" else sign, _BELOW.sub("", rest)
    number = replace(number, value=-number.value) if sign < 0 else number
    return _with_rest(number, rest, currency[1] or "")


def _value(text: str) -> tuple[Number, int]:
    """The number at the beginning of a text without its unit, and where it ends."""
    if plain := _PLAIN.match(text):
        decimals = len(plain[1] or ".") - 1
        return Number(Fraction(plain[0]), decimals, decimals > 0, literal=True), plain.end()
    if not text or re.fullmatch(RANGE, text) or re.match(r"[-+]?\s*\d+\s+\d(?!\d\d(?!\d)|\d*\s*/)", text):
        raise Unreadable("a range, or two numbers")
    if not (text[0].isdigit() or text[0] in "-+.\\({|["):
        if found := _from_words(text):
            return Number(found[0], 0, literal=found[0].denominator == 1), found[1]
        if (spelled := P.CHINESE_NUMERAL.match(text)) and (value := from_chinese(spelled[0])) is not None:
            percent = text.startswith("百分之")
            return Number(
                value * 100 if percent else value, 0, literal=value.denominator == 1, percent=percent
            ), spelled.end()
        raise Unreadable("no number")
    if spaced := re.match(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?(?![\d/])|-?0,\d+(?![\d,])", text):
        return _value(spaced[0].replace(" ", "").replace(",", "."))[0], spaced.end()
    if mixed := re.match(r"(-?)(\d+)\s+(\d+)\s*/\s*([1-9]\d*)(?![\d.])", text):
        value = Fraction(mixed[2]) + Fraction(int(mixed[3]), int(mixed[4]))
        return Number(-value if mixed[1] else value), mixed.end()
    value, end = read_closed(text)
    source = text[:end]
    literal = _LITERAL.fullmatch(source.strip("[](){} "))
    if not isinstance(value, (Fraction, MP.mpf)):
        raise Unreadable("no real number")
    pointed = bool(re.search(r"\.\d|\d[eE][-+]?\d", source))
    decimals = None if not literal or literal[3] else len(literal[2] or ".") - 1
    return Number(value, decimals, pointed, bool(literal)), end


def _with_rest(number: Number, rest: str, unit: str) -> Number | None:
    """The number with its scale, its percent sign, its unit and the words behind it; None where there is more than that."""
    if re.match(r"-[A-Za-z](?![A-Za-z])", rest):
        raise Unreadable("a difference, or a pair")
    glued = bool(rest) and not rest[0].isspace()
    rest = rest.strip(" .;,")
    if (part := re.match(r"([a-z]{4,}s)\b\s*", rest)) and part[1] in _PARTS:
        number = replace(number, value=number.value / _PARTS[part[1]], literal=False)
        rest = rest[part.end() :]
    while scale := P.SCALE.match(rest):
        value = number.value * SCALES[(scale[1] or scale[2]).lower()]
        number = replace(number, value=value, decimals=None)
        rest, glued = rest[scale.end() :].lstrip(), False
    if rest[:1] == "‰":
        number, rest = replace(number, value=number.value / 10, decimals=None), "%" + rest[1:]
    if unit and (short := _SHORT_SCALE.match(rest)):
        value = number.value * 10 ** (3 * "kmb".index(short[0].lower()) + 3)
        number, rest = replace(number, value=value, decimals=None, approximate=True), rest[1:]
    if percent := _PERCENT.match(rest):
        number, rest, glued = replace(number, percent=True), rest[percent.end() :], False
    if unit:
        return _with_words(replace(number, unit=unit, units=named(unit)), rest)
    if not rest:
        return number
    for pattern, sign in _SYMBOLS if "\\" in rest or "elec" in rest else ():
        rest = pattern.sub(sign, rest)
    rest = _TEMPERATURE.sub(lambda found: "°" + found[1][0].upper(), rest.replace("\u03bc", "µ"))
    units, end = read_unit(rest)
    lone = rest[:end].strip()
    if units and (len(lone) > 1 or not lone.isascii() or lone in _ONE_LETTER):
        number, rest = replace(number, unit=lone, units=units), rest[end:].strip()
        more = re.match(rf"(?:,|and|&|又|零)?\s*(?=\d|(?:{_COUNTS})\b)", rest)
        return more and _compound(number, rest[more.end() :]) or _with_words(number, rest)
    letters = re.match(r"[A-Za-z]{1,2}(?![A-Za-z])", rest)
    if letters and (glued or letters.end() == len(rest) and rest.lower() not in ("am", "pm", "bc", "ad")):
        return None  # "3ab" is a product
    return _with_words(number, rest)


def _compound(first: Number, rest: str) -> Number | None:
    """5 ft 6 in: a second number in a smaller unit of the same kind."""
    value, end = _value(rest)
    second = _with_rest(value, rest[end:], "")
    for one in first.units:
        for other in second.units if second else ():
            if one.dimensions == other.dimensions and other.factor < one.factor:
                size = second.value * (other.factor / one.factor)
                total = add(first.value, size if first.value >= 0 else -size)
                return replace(second, value=total, decimals=None, literal=False, unit=first.unit, units=(one,))
    return None


def _with_words(number: Number, rest: str) -> Number | None:
    rest = _OF_FORMULA.sub("", rest.strip(" .;,()"))
    if not rest:
        return number
    counted, *over = re.split(r"\s*/\s*|\s+per\s+", rest, maxsplit=1)
    if (over := "".join(over)) and read_unit(over)[1] == len(over) and (found := _with_words(number, counted)):
        return replace(found, unit=f"{found.unit}/{over}", words=found.words | {f"per {read_unit(over)[0][0]}"})
    if _NO_WORDS.search(rest) or _OTHER_NUMBER.match(rest):
        return None
    found = _COUNTED.findall(re.sub(r"\b([ap])\.?\s?m\b\.?", r"\1m", rest, flags=re.IGNORECASE))
    lower = [word.lower() for word in found]
    if not 0 < len(found) <= 8 or lower[0] in _STOP_WORDS or {"and", "or", "not"} & set(lower):
        return None
    marks, words = told(" ".join(found))
    unit = f"{number.unit} {' '.join(lower)}".strip()
    return replace(number, unit=unit, words=number.words | words, marks=number.marks | marks)


_OF_FORMULA = re.compile(r"^of (?:[A-Z][a-z]?(?:_?\d|_?\{\d+\})*)+$")
"""Of which substance: "moles of H_2O"."""
_NO_WORDS = re.compile(r"[\\=+*/<>^_|\[\]{}:?]|\d(?<!mod\d)(?<!mod\d\d)")
_OTHER_NUMBER = re.compile(r"squared$|cubed$|factorial|的?(?:一半|平方$|立方$|倒数|相反数|阶乘|倍数|\w?次方)")
_COUNTED = re.compile(r"mod\w+|[^\W\d_]+(?:['-][^\W\d_]+)*|[$€£¥°]|[^\s\w,.()'\"-]")


@lru_cache(maxsize=1_000)
def told(text: str) -> tuple[frozenset[tuple[str, int]], frozenset[str]]:
    """Return the marks among the words of a text, and its other words, singular and in lower case."""
    marks, words = set(), set()
    for word in re.findall(r"[A-Za-z]+(?:['-][A-Za-z]+)*\d*|[\u4e00-\u9fff]+|[^\s\w,.()'\"-]", text):
        plain = word.lower().replace("-", "")
        plain = plain if plain in MARKS else plain.removesuffix("s")
        if plain in MARKS and not (word.islower() and plain in _ABBREVIATED):
            marks.add(MARKS[plain])
        elif "\u4e00" <= word[0] <= "\u9fff":
            name = word.strip("个的了")
            inside = (end for end in _CHINESE_MARKS if name.endswith(end) or len(end) > 1 and end in name)
            if ending := next(inside, ""):
                marks.add(MARKS[ending])
            words |= {name.replace(ending, "")} - {""}
        elif plain not in _FILLERS:
            words.add(plain.removesuffix("e") if len(plain) > 3 else plain)
    return frozenset(marks), frozenset(words)


def conversions(gold: Number, answer: Number) -> list[tuple[Fraction, Fraction]] | None:
    """Return (factor, offset) that turn the answer's value into the gold's unit; None where the units are not the same kind.

    Where one side names no unit the values are compared as they are.
    """
    if not gold.units or not answer.units:
        return [(Fraction(1), Fraction(0))]
    pairs = [(one, other) for one in gold.units for other in answer.units if one.dimensions == other.dimensions]
    return [(other.factor / one.factor, (other.zero - one.zero) / one.factor) for one, other in pairs] or None
