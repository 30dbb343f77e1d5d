"""Several values in one answer: lists, sets, tuples, intervals, matrices, split into their parts."""

import re
from dataclasses import dataclass

from virgo_factory.answers.latex import tidy


_OPEN, _CLOSE = "([{", ")]}"
_SEPARATORS = re.compile(
    r"\s*(?:[,;]\s*(?:\s(?:and|or)\s)?|\s(?:and|or|&)\s|\\text\{\s*(?:and|or)\s*\}|\\(?:land|lor|wedge|vee)(?![A-Za-z]))\s*"
)
_MATRIX = re.compile(r"\\begin\{([pbvBV]?(?:small)?matrix|array)\}(?:\{[^{}]*\})?(.*?)\\end\{\1\}", re.DOTALL)
MAX_PARTS = 200


@dataclass(frozen=True)
class Sequence:
    """Parts of an answer.

    Attributes:
        brackets: "" for a bare list, "{}" for a set, "matrix", else the two brackets: "()", "[]", "[)", "(]".
        parts: the parts' texts; of a matrix its rows joined, with `columns` a row.
        columns: of a matrix.
    """

    brackets: str
    parts: tuple[str, ...]
    columns: int = 0


def read_sequence(text: str) -> Sequence | None:
    r"""Return the parts of an answer that has several, or is bracketed; None otherwise.

    >>> read_sequence(r"\left( 3, \frac{\pi}{2} \right)")
    Sequence(brackets='()', parts=('3', '\\frac{\\pi}{2}'), columns=0)
    >>> read_sequence("4, 5 and 6").parts, read_sequence(r"\{1,2\}").brackets, read_sequence("1,234")
    (('4', '5', '6'), '{}', None)
    """
    text = tidy(text[:4_000])
    if matrix := _MATRIX.fullmatch(text):
        rows = [row for row in re.split(r"\\\\|\\cr", matrix[2]) if row.strip(" \\hline")]
        cells = [[cell.strip() for cell in row.split("&")] for row in rows]
        if cells and len({len(row) for row in cells}) == 1 and len(cells) * len(cells[0]) <= MAX_PARTS:
            return Sequence("matrix", tuple(cell for row in cells for cell in row), len(cells[0]))
        return None
    if "\\begin" in text:
        return None
    text = re.sub(r"\s*,?\s*respectively$", "", text)
    if "\\pm" in text and text.count("\\pm") == 1 and not re.search(r"[,;]", text):
        return Sequence("", (text.replace("\\pm", "+"), text.replace("\\pm", "-")))
    if re.fullmatch(r"-?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        return None

    for left, right, brackets in (
        (r"\{", r"\}", "{}"),
        ("{", "}", ""),
        ("(", ")", "()"),
        ("[", "]", "[]"),
        ("[", ")", "[)"),
        ("(", "]", "(]"),
    ):
        if text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right):
            inner = text[len(left) : -len(right)]
            if _balanced(inner):
                found = _split(inner)
                if len(found) > 1:
                    return Sequence(brackets, found)
                if brackets == "{}":
                    return Sequence(brackets, (inner.strip(),))
    found = _split(text)
    return Sequence("", found) if 1 < len(found) <= MAX_PARTS else None


_COMPARED = re.compile(r"\s*(<=|>=|<|>|\\(?:le|ge)(?![A-Za-z]))\s*")
_COMPARED_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\(\s*[A-Za-z]\s*\))?")


def read_interval(text: str) -> tuple[str, Sequence] | None:
    r"""Return the name that an inequality bounds, and the interval it may lie in; None for anything else.

    >>> read_interval(r"1 < x \le 4"), read_interval("2 > x")[1].parts, read_interval("x < y < 2")
    (('x', Sequence(brackets='(]', parts=('1', '4'), columns=0)), ('-\\infty', '2'), None)
    """
    sides = _COMPARED.split(tidy(text[:4_000]))
    if not 3 <= len(sides) <= 5 or not all(sides):
        return None
    if sides[1][-2:] in ("ge", ">=") or sides[1][0] == ">":
        sides = sides[::-1]
        upward = (">", ">=", "\\ge")
    else:
        upward = ("<", "<=", "\\le")
    terms, signs = sides[::2], sides[1::2]
    if not all(sign in upward for sign in signs):
        return None
    names = [bool(_COMPARED_NAME.fullmatch(term)) and term != "\\infty" for term in terms]
    if sum(names) != 1 or any(re.search(r"[,=]|\\(?:cup|lor|land|ne)(?![A-Za-z])", term) for term in terms):
        return None
    if len(terms) == 2:  # one side is open
        ends = ("-\\infty", terms[1]) if names[0] else (terms[0], "\\infty")
        signs = ("<", signs[0]) if names[0] else (signs[0], "<")
    elif names[1]:
        ends = terms[0], terms[2]
    else:
        return None
    brackets = ("(" if signs[0] in "<>" else "[") + (")" if signs[1] in "<>" else "]")
    return terms[names.index(True)], Sequence(brackets, ends)


def _split(text: str) -> tuple[str, ...]:
    """Split at commas, semicolons and "and"/"or" outside brackets; a thousands comma does not split."""
    if ";" in text and "," in text and (groups := _split_at(text, ";")) and len(groups) > 1:
        return groups
    found, depth, start, at = [], 0, 0, 0
    while at < len(text):
        sign = text[at]
        if sign == "\\" and at + 1 < len(text) and text[at + 1] in "{}":
            depth += 1 if text[at + 1] == "{" else -1
            at += 2
            continue
        if sign in _OPEN:
            depth += 1
        elif sign in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0 and (sign in ",; \\&"):
            match = _SEPARATORS.match(text, at)
            if match and match.end() > at:
                if sign == "," and _is_thousands(text, at):
                    at += 1
                    continue
                found.append(text[start:at])
                start = at = match.end()
                continue
        at += 1
    found.append(text[start:])
    return tuple(part.strip() for part in found if part.strip())


def _split_at(text: str, separator: str) -> tuple[str, ...]:
    found, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if sign == separator and depth == 0:
            found.append(text[start:at])
            start = at + 1
    found.append(text[start:])
    return tuple(part.strip() for part in found if part.strip())


def _is_thousands(text: str, at: int) -> bool:
    return bool(
        re.match(r",\d{3}(?!\d)", text[at : at + 5])
        and re.search(r"(?<![\d,])\d{1,3}(?:,\d{3})*$", text[max(0, at - 24) : at])
        and not re.search(r"\d,\s|,\d{1,2}(?!\d)|,\d{4}", text)
    )


def _balanced(text: str) -> bool:
    depth = 0
    for sign in text.replace("\\{", "(").replace("\\}", ")"):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if depth < 0:
            return False
    return depth == 0
