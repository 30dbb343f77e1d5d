"""One spelling for many: LaTeX and Unicode written down the same way, by plain text rules that are linear in length."""

import re
import unicodedata
from functools import lru_cache
from typing import Any

from virgo_factory.answers.values import table
from virgo_factory.core.lazy_pattern import LazyPattern


GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega hbar ell nabla pi".split()
)


TRADITIONAL = dict(
    zip("為應該選對錯項確於無個數與後從圖條張隻", "为应该选对错项确于无个数与后从图条张只", strict=True)
)
"""Signs of the words that answers are told in."""


def _signs() -> dict[str, str]:
    """Signs and commands, with what is written for them."""
    found = {sign: written for written, signs in table("signs.tsv") for sign in signs.split(" ")}
    for letter in GREEK - {"varepsilon", "varphi", "hbar", "ell", "nabla", "mu"}:
        case, name = "SMALL" if letter.islower() else "CAPITAL", letter.upper().replace("LAMBDA", "LAMDA")
        found[unicodedata.lookup(f"GREEK {case} LETTER {name}")] = f"\\{letter}"
    for code in (*range(0xBC, 0xBF), *range(0x2150, 0x215F)):
        found[chr(code)] = r"\frac{{{}}}{{{}}}".format(*unicodedata.normalize("NFKC", chr(code)).split("\u2044"))
    return {sign: by + " " if by[0] in "\\^" and by[-1].isalpha() else by for sign, by in found.items()}


_SIGNS = _signs()
_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\x00\ufeff\u200b\u200c\u200d\u2060\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", ""),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63", "-"),
        **{sign: by for sign, by in _SIGNS.items() if len(sign) == 1},
        **{chr(0xFF00 + code): chr(0x20 + code) for code in range(1, 95)},
        **{chr(start + digit): str(digit) for start in (0x660, 0x966) for digit in range(10)},
        **{chr(0x24B6 + place): chr(65 + place) for place in range(26)},
        **TRADITIONAL,
    }
)  # fmt: skip


def _inside(found: re.Match[str]) -> str:
    return next(filter(None, found.groups()), "")


def _root(found: re.Match[str]) -> str:
    return {"∛": r"\sqrt[3]{", "∜": r"\sqrt[4]{"}.get(found[0][0], r"\sqrt{") + _inside(found) + "}"


def _repeated(found: re.Match[str]) -> str:
    """A repeating decimal as the fraction it is."""
    whole, fixed, again = found[1] or "0", found[2], re.sub(r"\D", "", next(filter(None, found.groups()[2:])))
    bottom = 10 ** len(fixed) * (10 ** len(again) - 1)
    return rf"\frac{{{int(whole + fixed + again) - int(whole + fixed)}}}{{{bottom}}}"


def _table(*rules: tuple) -> tuple[tuple[re.Pattern[str], Any], ...]:
    return tuple((re.compile(pattern, re.DOTALL), by) for pattern, by in rules)


def _rewritten(text: str, rules: tuple) -> str:
    for pattern, by in rules:
        text = pattern.sub(by, text)
    return text


_RAISED = str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "-+0123456789n0123456789+-n")
_ARROWS = {"overrightarrow": "vec", "arc": "widehat", "overarc": "widehat", "bar": "overline"}
_BRACES = r"((?:[^{}]|\{[^{}]*\})*)"
_CIRCLE = r"(?:\\circ(?![A-Za-z])|\\(?:text|mathrm|rm)\s*\{\s*o\s*\})"
_COLOUR = r"\\(?:textcolor|color|colorbox)\s*(?:\[[^\[\]]*\])?\s*\{[^{}]*\}"
_SWITCH = (
    r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|rm|bf|it|sf|tt|sl|sc|em|bfseries|itshape|rmfamily"
    r"|sffamily|ttfamily"
    r"|boldmath|scriptstyle|scriptscriptstyle|boldsymbol|mathbf|mathrm|bm)(?![A-Za-z])"
)
_UNICODE = _table(
    ("(\\d)\u0307", r"\\dot{\1}"),
    (r"[√∛∜]\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))", _root),
    ("[⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]+", lambda found: f"^{{{found[0].translate(_RAISED)}}}"),
    ("[₀-₉₊₋ₙ]+", lambda found: f"_{{{found[0].translate(_RAISED)}}}"),
    (r"(?<=[A-Za-z])(?:应该?|必须|需要?)?(?:大于或?等于|不小于)(?=[-\d\\])", r"\\ge "),
    (r"(?<=[A-Za-z])(?:应该?|必须|需要?)?(?:小于或?等于|不大于)(?=[-\d\\])", r"\\le "),
    (r"(?<=[A-Za-z])(?:应该?|必须|需要?)?大于(?=[-\d\\])", ">"),
    (r"(?<=[A-Za-z])(?:应该?|必须|需要?)?小于(?=[-\d\\])", "<"),
)
_PI = re.compile(r"(?<=[\d)*/(+=-] )pi(?![A-Za-z])|(?<=[\d)*/(+=-])pi(?![A-Za-z])|(?<![A-Za-z\\])pi(?=\s?[/*^])")
_INFINITY = re.compile(r"(?<![A-Za-z\\])[Ii]nfinity(?![A-Za-z])")
_ELLIPSIS = (r"(?<![\d.])(\d{1,9})\.(\d{0,6}?)(\d{1,6}?)\3+\s*(?:\.\.\.|…|\\[lc]?dots)", _repeated)
_LOOKS = _table(
    (r"\\!\s*", ""),
    (r"\\(?:displaystyle|textstyle|limits|left|right|bigl|bigr|Bigl|Bigr|biggl|biggr|big|Big|bigg|Bigg|middle"
     r"|quad|qquad|hspace\{[^{}]*\}|phantom\{[^{}]*\}|boldsymbol|mathstrut)(?![A-Za-z])|(?<!\\)\\[,;:> ~]|~", " "),
    (r"\\(?:[dtc](frac)|[dt](binom))(?![A-Za-z])", r"\\\1\2"),
    (rf"\^\s*(?:\{{\s*{_CIRCLE}\s*\}}|{_CIRCLE})|\\(?:degree|textdegree)(?![A-Za-z])|(?<=\d)\s*\^\s*(?:\{{o\}}|o(?![A-Za-z]))", "°"),
    (r"\^\s*(?:\{\s*(?:(?:\\prime\s*|')+)\}|(?:\\prime(?![A-Za-z])\s*)+)",
     lambda found: "'" * (found[0].count("\\") or found[0].count("'"))),
    # An argument of one sign has no braces of its own.
    (r"\\(frac|binom|sqrt)(?:\s*(\d)|\s+([A-Za-z])|\s*(\\[A-Za-z]+))", r"\\\1{\2\3\4}"),
    (r"(\\(?:(?:frac|binom)\s*\{(?:[^{}]|\{[^{}]*\})*\}|sqrt\s*\[[^\[\]]*\]))\s*(\d|[A-Za-z]|\\[A-Za-z]+)", r"\1{\2}"),
    (r"(\d{1,9})?\.(\d{0,9}?)\\(?:overline\s*\{\s*(\d{1,9})\s*\}|dot\s*(\{?\d\}?(?:\d{0,8}\\dot\s*\{?\d\}?)?))", _repeated),
    _ELLIPSIS,
    (rf"\{{\s*(?:{_SWITCH}(?!\s*\{{)|{_COLOUR})\s*{_BRACES}\}}", r"{\1}"),
    (_COLOUR, " "),
)  # fmt: skip
"""Spellings of the same thing, and commands that only say how it looks."""
_NESTED = _table(
    (r"\\(?:text|textrm|textbf|textit|texttt|textsf|textnormal|textup|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathtt|bm|pmb|boldsymbol|operatorname"
     rf"|ce|emph|underline|rm|bf|it|unit)\s*\*?\s*\{{{_BRACES}\}}", r" \1 "),
    (r"\\(vec|overrightarrow|overleftrightarrow|widehat|overarc|arc|bar|overline)(?![A-Za-z])\s*(?:\{\s*([^{}]*?)\s*\}|([A-Za-z]|\\[A-Za-z]+)(?![A-Za-z]))",
     lambda found: rf"\{_ARROWS.get(found[1], found[1])}{{{found[2] or found[3] or ''}}}"),
)  # fmt: skip
_LAST = _table(
    (_SWITCH, " "),
    (r"\\hat\s*\{?\s*\\?([ijk])(?:math)?(?![A-Za-z])\s*\}?", r"\1"),  # a unit vector
)
_MODULUS = _table(
    (r"\\pmod\s*(?:\{([^{}]*)\}|(\w))|\(?\s*\\bmod\s*(\w+)\s*\)?|\(\s*mod\s+(\w+)\s*\)",
     lambda found: f" mod{_inside(found)} ")
)  # fmt: skip
_SPACES = re.compile(r"\s+")
_TWICE = re.compile(r"\\\\(?=[A-Za-z]{2,})")
_FONT = LazyPattern(r"(?<=\$)\\(?:mathrm|text|rm)\s*\{\s*([^{}$]*?)\s*\}(?=[^$\n]*\$)")
"""A unit in upright letters that begins what stands between dollar signs."""
_PAIR = re.compile(r"\$(?! )([^$\n]+)(?<! )\$(?!\d)")
_CHECK = re.compile(r"\s*(?:\\checkmark|[✓✔✅☑])\s*$")
_WHOLE = re.compile(r"\\(?:text|mathrm|mathbf|textbf|boxed|fbox)\s*\{(.*)\}|\{(.*)\}", re.DOTALL)
_BRACKETED = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]")
_DECORATION = LazyPattern(r"\\(?:vec|overleftrightarrow|widehat)\s*\{([^{}]*)\}|\\overline\{([A-Z]\s*[A-Z])\}")
"""Arrows, arcs and bars over two points: how a vector, a line or a segment is written."""
_SIGN_AT = re.compile(
    "|".join(
        re.escape(sign) + "(?![A-Za-z])" * sign[-1].isalpha()
        for sign in sorted(_SIGNS, key=len, reverse=True)
        if len(sign) > 1
    )
)
_WRAPPERS = [
    pair.split(" ")
    for pair in (
        r"$$ $$",
        r"$ $",
        r"\( \)",
        r"\[ \]",
        "** **",
        "` `",
        "* *",
        "__ __",
        '" "',
        "“ ”",
        "‘ ’",
        "' '",
        "「 」",
        "【 】",
    )
]
_STARTS, _ENDS = " \t\r\n;,:", " \t\r\n.;,:"


def characters(text: str) -> str:
    """Return the text without invisible characters and with Unicode signs written as LaTeX.

    >>> characters("2\\u00d73\\x00 \\u2212 1")
    '2\\\\times 3 - 1'
    """
    text = text.translate(_CHARACTERS).replace("根号", "√")
    text = _PI.sub(r"\\pi ", text) if "pi" in text else text
    text = text if text.isascii() else _rewritten(text, _UNICODE)
    return _INFINITY.sub(r"\\infty ", text) if "nfinity" in text else text


_PLACE = re.compile(r"<image ?(\d+)>")
"""Where a picture stands in a question: an option that names it."""


@lru_cache(maxsize=20_000)
def tidy(text: str) -> str:
    r"""Return maths in one spelling: no sizes and spacing commands, plain fractions, words without their wrapper.

    >>> tidy(r"$\left( 3, \dfrac{\pi}{2} \right)$.")
    '( 3, \\frac{\\pi}{2} )'
    >>> tidy(r"17\text{ cm}")
    '17 cm'
    """
    text = characters(text)
    if text.isalnum() and text.isascii():
        return text
    text = text.replace("{,}", ",")
    text = _PLACE.sub(r"image \1", text) if "<im" in text else text
    text = _FONT.sub(r"\1", text) if "$\\" in text else text
    if "\\\\" in text and "\\begin" not in text:
        text = _TWICE.sub(r"\\", text)  # escaped twice
    if "\\" in text or "~" in text or "^" in text:
        text, before = _rewritten(text, _LOOKS), None
        for _ in range(4):
            text, before = _rewritten(text, _NESTED), text
            if text == before:
                break
        text = _rewritten(text, _LAST)
    if "mod" in text:
        text = _rewritten(text, _MODULUS)
    if text.count("$") >= 2:
        text = _PAIR.sub(r"\1", text.replace(r"\$", "\0")).replace("\0", r"\$")
    if "\\" in text or "=" in text:
        text = _SIGN_AT.sub(lambda found: _SIGNS[found.group()], text)
    text = unwrap(_SPACES.sub(" ", text))
    if text.endswith("}") and (whole := _WHOLE.fullmatch(text)) and balanced(inside := whole[1] or whole[2] or ""):
        flat = inside
        for _ in range(6):
            flat = _BRACKETED.sub("", flat)
        if whole[1] or not re.search(r"[,;]|\\emptyset", flat):  # {1, 2} is a set
            return tidy(inside)
    return text


def alike(one: str, other: str) -> tuple[str, str]:
    r"""Return both texts, without arrows and bars over points where only one has them.

    >>> alike(r"\overrightarrow{AB}", "AB"), alike(r"\overrightarrow{AB}", r"\overline{AB}")
    (('AB', 'AB'), ('\\vec{AB}', '\\overline{AB}'))
    """
    if "\\" not in one and "\\" not in other:
        return one, other
    one, other = tidy(one), tidy(other)
    if bool(_DECORATION.search(one)) == bool(_DECORATION.search(other)):
        return one, other
    return _DECORATION.sub(_inside, one), _DECORATION.sub(_inside, other)


def balanced(text: str, open_: str = "{", close: str = "}") -> bool:
    """Return whether every bracket of a text is closed, in any of the kinds given."""
    depth = 0
    for sign in text:
        depth += (sign in open_) - (sign in close)
        if depth < 0:
            return False
    return depth == 0


def unwrap(text: str) -> str:
    """Return the text without maths and markdown delimiters around it and without a final full stop."""
    before = None
    while text != before:
        before = text
        text = text.lstrip(_STARTS).rstrip(_ENDS) or text.strip()
        if text[-1:] in "k✓✔✅☑":
            text = _CHECK.sub("", text)
        for left, right in _WRAPPERS if text[:1] in "$\\*`_\"'“‘「【" else ():
            inner = text[len(left) : -len(right)]
            if text.startswith(left) and text.endswith(right) and left not in inner and inner:
                text = inner.strip()
                break
    for sign, single in (("**", True), ("\\", not text.endswith("\\\\")), ("$", True)):
        if single and text.endswith(sign) and (sign == "\\" or text.count(sign) == 1):
            text = text[: -len(sign)].rstrip(_ENDS)
    return text


@lru_cache(maxsize=20_000)
def compact(text: str) -> str:
    r"""Return tidy text without spaces, in which two spellings of the same formula are often equal.

    >>> compact(r"\frac12 + \sqrt 2") == compact(r"\dfrac{1}{2}+\sqrt{2}")
    True
    """
    text = tidy(text)
    if "\\" in text or "{" in text:
        text = _rewritten(text, _SHORT_FORMS)
    if " " not in text and "." not in text:
        return text
    return _LEADING_POINT.sub(r"0.\1", _SPACES.sub("", _KEPT_SPACE.sub("\0", text)).replace("\0", " "))


_SHORT_FORMS = _table((r"([_^])\s*\{\s*([0-9A-Za-z])\s*\}", r"\1\2"), (r"(\\[A-Za-z]+)\s+", r"\1"))
_KEPT_SPACE = LazyPattern(r"(?<=\d)\s+(?=\d)|(?<=[^\W\d_\u4e00-\u9fff])\s+(?=[^\W\d_\u4e00-\u9fff])")
"""Spaces that keep two numbers or two words apart."""
_LEADING_POINT = re.compile(r"(?<!\d)\.(\d)")


@lru_cache(maxsize=20_000)
def words(text: str) -> str:
    """Return text to be compared as words: lower case, no articles, no punctuation, single spaces; signs of a meaning stay.

    >>> words("The  Elephant!") == words("elephant"), words("n!") == words("n"), words("-a") == words("a")
    (True, False, False)
    """
    text = tidy(text)
    text = _ARTICLE.sub("", text if text.isalpha() else _rewritten(text, _WORDING)).casefold()
    if not text.isascii():
        text = _MARK.sub(lambda found: found[0] if unicodedata.category(found[0])[0] in "SM" else " ", text)
    return " ".join(_PAUSE.sub(" ", text).split())


_WORDING = _table(
    (r"\s*_\s*\{?(\d+)\}?|\s*\^\s*\{?(\d*[+-])\}?(?!\w)|(?<=\bsp)\^\{?([23])\}?", r"\1\2\3"),
    (
        r"(?<![\w.])[A-Za-z](?:\.[A-Za-z])++(?!\w|\.?\s[A-Z][A-Za-z])",
        lambda found: found[0].replace(".", ""),
    ),  # U.S.A.
    (r"-[(\\]", "-"),
    (r"(?<!\w)(\w(?:\s?\d)?)('+)(?!\w)", lambda found: found[1] + "\u2032" * len(found[2])),
    (r"[_\"#$&'()*,:;?@\[\\\]`{}~]+", " "),
)
_MARK = re.compile(r"[^\w\s\x00-\x7f°\u2032]")
_PAUSE = re.compile(r"(?<!\d)\.|\.(?!\d)|(?<!\S)-(?!\S)(?!\s+\d)|(?<=[^\W\d_]{2})!")
_ARTICLE = re.compile(r"\b(?:[Tt]he|THE|[Aa]n|a|(?<![a-z] )A)\s+(?=[^\W\d_]{2,})")
"""A capital behind a word is a name: "graph A and graph B"."""
