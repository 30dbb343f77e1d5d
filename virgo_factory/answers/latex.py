"""One spelling for many: LaTeX and Unicode written down the same way, by plain text rules that are linear in length."""

import re
from functools import lru_cache


_CHARACTERS = str.maketrans(
    {
        "\x00": "", "\ufeff": "", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "",
        "\u200e": "", "\u200f": "", "\u202a": "", "\u202b": "", "\u202c": "", "\u202d": "", "\u202e": "",
        "\u2066": "", "\u2067": "", "\u2068": "", "\u2069": "",
        "\u00a0": " ", "\u2002": " ", "\u2003": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ",
        "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\uff0d": "-",
        "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
        "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ",
        "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ",
        "∈": r"\in ", "∠": r"\angle ", "△": r"\triangle ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ",
        "°": r"^\circ ", "º": r"^\circ ", "掳": r"^\circ ", "％": "%", "．": ".", "，": ",", "：": ":", "；": ";",
        "（": "(", "）": ")", "。": ".", "、": ",", "⁻": "⁻",
        "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
        "⅕": r"\frac{1}{5}", "⅛": r"\frac{1}{8}", "⁄": "/", "∕": "/",
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
        **{chr(0x660 + digit): str(digit) for digit in range(10)},
        **{chr(0x966 + digit): str(digit) for digit in range(10)},
    }
)  # fmt: skip

_ROOT = re.compile(r"√\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")
_PLAIN_ROOT = re.compile(r"(?<![A-Za-z\\])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+))")
_INFINITY = re.compile(r"(?<![A-Za-z\\])[Ii]nfinity(?![A-Za-z])")
_PLAIN_PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")
_SUPERSCRIPT = re.compile("[⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_RAISED = str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "-+0123456789")
_SPACING = re.compile(
    r"\\(?:displaystyle|textstyle|limits|left|right|bigl|bigr|Bigl|Bigr|biggl|biggr|big|Big|bigg|Bigg|middle"
    r"|quad|qquad|hspace\{[^{}]*\}|phantom\{[^{}]*\}|boldsymbol|mathstrut)(?![A-Za-z])|(?<!\\)\\[,;:> ~]|~"
)
_THIN = re.compile(r"\\!\s*")
_PAIR = re.compile(r"\$(?! )([^$\n]+)(?<! )\$(?!\d)")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_DEGREE = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])|\\textdegree(?![A-Za-z])")
_WORDS = re.compile(
    r"\\(?:text|textrm|textbf|textit|texttt|textsf|textnormal|mbox|hbox|mathrm|mathbf|mathit|mathsf|bm|operatorname"
    r"|emph|underline|rm|bf|it)\s*\*?\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_WHOLE = re.compile(r"\\(?:text|mathrm|mathbf|textbf|boxed|fbox)\s*\{(.*)\}", re.DOTALL)
_REPEATING = re.compile(r"(\d{1,9})?\.(\d{0,9})\\overline\s*\{\s*(\d{1,9})\s*\}")
_BAR = re.compile(r"\\(?:overline|bar|widehat|overrightarrow|overleftrightarrow|vec)\s*\{([^{}]*)\}")
_SIGNS = (
    (r"\leqslant", r"\le"), (r"\geqslant", r"\ge"), (r"\leq", r"\le"), (r"\geq", r"\ge"), (r"\neq", r"\ne"),
    (r"\lbrace", r"\{"), (r"\rbrace", r"\}"), (r"\lvert", "|"), (r"\rvert", "|"), (r"\vert", "|"),
    (r"\gt", ">"), (r"\lt", "<"), (r"\colon", ":"), (r"\varnothing", r"\emptyset"), (r"\lbrack", "["), (r"\rbrack", "]"),
    (r"\textpm", r"\pm"), (r"\ast", "*"), (r"\slash", "/"), (r"\%", "%"), (r"\$", "$"), (r"\#", "#"), (r"\&", "&"),
    (r"\pounds", "£"), (r"\euro", "€"), (r"\cents", "¢"), (r"\cent", "¢"), (r"\_", "_"),
)  # fmt: skip
_SIGN_AT = re.compile("|".join(re.escape(long) + ("(?![A-Za-z])" if long[-1].isalpha() else "") for long, _ in _SIGNS))
_SIGN_OF = dict(_SIGNS)
_WRAPPERS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("**", "**"),
    ("`", "`"),
    ("*", "*"),
    ("__", "__"),
)
_STARTS, _ENDS = " \t\r\n;,:", " \t\r\n.;,:"


def characters(text: str) -> str:
    """Return the text without invisible characters and with Unicode signs written as LaTeX.

    >>> characters("2\\u00d73\\x00 \\u2212 1")
    '2\\\\times 3 - 1'
    """
    text = text.translate(_CHARACTERS)
    if not text.isascii():
        text = _ROOT.sub(_root, text)
        text = _SUPERSCRIPT.sub(lambda found: "^{" + found.group().translate(_RAISED) + "}", text)
    if "sqrt" in text:
        text = _PLAIN_ROOT.sub(_root, text)
    return _INFINITY.sub(r"\\infty ", _PLAIN_PI.sub(r"\\pi ", text))


def _root(found: re.Match[str]) -> str:
    return r"\sqrt{" + next(filter(None, found.groups()), "") + "}"


@lru_cache(maxsize=20_000)
def tidy(text: str) -> str:
    r"""Return maths in one spelling: no sizes and spacing commands, plain fractions, words without their wrapper.

    >>> tidy(r"$\left( 3, \dfrac{\pi}{2} \right)$.")
    '( 3, \\frac{\\pi}{2} )'
    >>> tidy(r"17\text{ cm}")
    '17 cm'
    """
    text = characters(text).replace("\r", "\n")
    text = _THIN.sub("", text.replace(r"{,}", ","))
    text = _SPACING.sub(" ", text)
    text = _FRACTION.sub(r"\\frac", text)
    text = _DEGREE.sub("°", text)
    text = _REPEATING.sub(_repeated, text)
    for _ in range(4):
        shorter = _BAR.sub(r"\1", _WORDS.sub(r" \1 ", text))
        if shorter == text:
            break
        text = shorter
    if text.count("$") >= 2:
        text = _PAIR.sub(r"\1", text.replace(r"\$", "\0")).replace("\0", r"\$")
    text = _SIGN_AT.sub(lambda found: _SIGN_OF[found.group()], text)
    text = unwrap(re.sub(r"\s+", " ", text))
    if (whole := _WHOLE.fullmatch(text)) and _balanced(whole[1]):
        return tidy(whole[1])
    return text


def _repeated(found: re.Match[str]) -> str:
    """A repeating decimal as the fraction it is."""
    whole, fixed, again = found[1] or "0", found[2], found[3]
    bottom = 10 ** len(fixed) * (10 ** len(again) - 1)
    top = int(whole + fixed + again) - int(whole + fixed)
    return rf"\frac{{{top}}}{{{bottom}}}"


def _balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return depth == 0


def unwrap(text: str) -> str:
    """Return the text without maths and markdown delimiters around it and without a final full stop."""
    before = None
    while text != before:
        before = text
        text = text.lstrip(_STARTS).rstrip(_ENDS) or text.strip()
        if text.endswith("!") and text[-2:-1].isalpha():
            text = text[:-1]
        for left, right in _WRAPPERS:
            inner = text[len(left) : -len(right)]
            if (
                len(text) > len(left) + len(right)
                and text.startswith(left)
                and text.endswith(right)
                and left not in inner
            ):
                text = inner.strip()
                break
    if text.endswith("**") and text.count("**") == 1:
        text = text[:-2].rstrip(_ENDS)
    if text.endswith("\\") and not text.endswith("\\\\"):
        text = text[:-1].rstrip(_ENDS)
    if text.endswith("$") and text.count("$") == 1:
        text = text[:-1].strip()
    return text


@lru_cache(maxsize=20_000)
def compact(text: str) -> str:
    r"""Return tidy text without spaces, in which two spellings of the same formula are often equal.

    >>> compact(r"\frac12 + \sqrt 2") == compact(r"\dfrac{1}{2}+\sqrt{2}")
    True
    """
    text = tidy(text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{", text)
    text = re.sub(r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"([_^])\s*\{\s*([0-9A-Za-z])\s*\}", r"\1\2", text)
    text = re.sub(r"\s+", "", text)
    return re.sub(r"(?<!\d)\.(\d)", r"0.\1", text)


_PUNCTUATION = re.compile(r"[^\w%$€£+\-/.°]+|(?<!\d)\.|\.(?!\d)|(?<!\w)-|-(?!\w)", re.UNICODE)


@lru_cache(maxsize=20_000)
def words(text: str) -> str:
    """Return text to be compared as words: lower case, no articles, no punctuation, single spaces.

    >>> words("The  Elephant!") == words("elephant")
    True
    """
    text = tidy(text).replace("$", "").replace("_", " ").casefold()
    text = _PUNCTUATION.sub(" ", text)
    text = re.sub(r"\b(?:the|an?)\s+(?=[^\W\d_]{2,})", "", text)
    return " ".join(text.split())
