"""Several values in one answer: lists, sets, tuples, intervals, matrices, split into their parts."""

import re
from dataclasses import dataclass

from virgo_factory.answers.latex import balanced, tidy
from virgo_factory.answers.numbers import read_number


_OPEN, _CLOSE = "([{", ")]}"
_SEPARATORS = re.compile(
    r"\s*(?:[,;]\s*(?:\s(?:and|or)\s)?|\s(?:and|or|&)\s|(?<=[\w})])\s*[和或与及]\s*(?=[\w\\({-])|\\(?:land|lor|wedge|vee)(?![A-Za-z]))\s*"
)
_MATRIX = re.compile(
    r"(?P<open>\\\{|[(\[{|])?\s*\\begin\{(?P<kind>[pbvBV]?(?:small)?matrix\*?|array|cases|aligned|gathered)\}\s*(?:\[\w+\])?(?:\{[^{}]*\})?(?P<inside>.*?)\\end\{(?P=kind)\}"
    r"\s*(?P<close>\\\}|[)\]}|.])?",
    re.DOTALL,
)
_ROW_END = re.compile(r"\\\\\s*(?:\[[^\[\]]*\])?|\\cr(?![A-Za-z])")
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")
_STRINGS = re.compile(r"\[\s*(['\"]).*\1\s*,?\s*\]", re.DOTALL)
MAX_PARTS = 200


@dataclass(frozen=True)
class Sequence:
    """Parts of an answer.

    Attributes:
        brackets: "" for a bare list, "{}" for a set, "matrix", "determinant", "<" and ">" for a chain, else the two brackets: "()", "[]", "[)", "(]".
        parts: the parts' texts; of a matrix its rows joined, with `columns` a row.
        columns: of a matrix.
    """

    brackets: str
    parts: tuple[str, ...]
    columns: int = 0

    @property
    def is_interval(self) -> bool:
        """Whether it may be an interval."""
        return len(self.parts) == 2 and self.brackets in ("()", "[]", "[)", "(]")


def read_sequence(text: str) -> Sequence | None:
    r"""Return the parts of an answer that has several, or is bracketed; None otherwise.

    >>> read_sequence(r"\left( 3, \frac{\pi}{2} \right)")
    Sequence(brackets='()', parts=('3', '\\frac{\\pi}{2}'), columns=0)
    >>> read_sequence("4, 5 and 6").parts, read_sequence(r"\{1,2\}").brackets, read_sequence("1,234")
    (('4', '5', '6'), '{}', None)
    """
    text = tidy(text[:4_000])
    if "\\begin" in text:
        return _matrix(text)
    text = re.sub(r"\s*,?\s*(?:respectively|in (?:that|this) order|依次|分别)$", "", text)
    text = re.sub(r"^(?:both|either|分别[是为]?|依次[是为]?)\s*", "", text)
    if len(_PLUS_MINUS.findall(text)) == 1 and not re.search(r"[,;]", text):
        return Sequence("", tuple(_PLUS_MINUS.sub(sign, text) for sign in "+-"))
    if re.fullmatch(r"-?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        return None
    if _STRINGS.fullmatch(text):
        found = tuple(part.strip(" '\"") for part in _split(text[1:-1]))
        return Sequence("", found) if found else None
    if re.fullmatch(r"-?[\d.]+(?: -?[\d.]+)+", text):
        return Sequence("", tuple(text.split()))

    for left, right, brackets in (
        (r"\{", r"\}", "{}"), ("{", "}", ""), ("(", ")", "()"), ("[", "]", "[]"), ("[", ")", "[)"), ("(", "]", "(]"),
        ("]", "[", "()"), ("[", "[", "[)"), ("]", "]", "(]"), (r"\langle", r"\rangle", "()"), ("<", ">", "()"),
    ):  # fmt: skip
        if text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right):
            inner = text[len(left) : -len(right)]
            if _balanced(inner):
                found = _split(inner)
                if len(found) > 1:
                    return _nested(found) or Sequence(brackets, found)
                if brackets == "{}":
                    return Sequence(brackets, (inner.strip(),))
    found = _split(text)
    return Sequence("", found) if 1 < len(found) <= MAX_PARTS else None


def read_chain(text: str) -> Sequence | None:
    """Return the members of a chain such as C > A > B, which are plain names or numbers."""
    sides = _COMPARED.split(text)
    if len(sides) < 5 or len(set(sides[1::2])) > 1 or sides[1] not in ("<", ">"):
        return None
    plain = all(
        re.fullmatch(r"[\w.\u4e00-\u9fff ]+|-?[\d./]+|\\?[\w{}^]+", side) or read_number(side) for side in sides[::2]
    )
    return Sequence(sides[1], tuple(sides[::2])) if plain else None


def _matrix(text: str) -> Sequence | None:
    """A matrix in any brackets; the rows of a system of equations are a bare list."""
    matrix = _MATRIX.fullmatch(text)
    if matrix is None:
        return None
    rows = [row.replace("\\hline", "").strip() for row in _ROW_END.split(matrix["inside"])]
    rows = [row for row in rows if row]
    if matrix["kind"] in ("cases", "aligned", "gathered") or matrix["open"] in ("{", "\\{"):
        parts = tuple(re.sub(r"\s*&\s*", " ", row).strip(" ,;.") for row in rows)
        return Sequence("", parts) if parts and all("=" in part for part in parts) else None
    cells = [[cell.strip() for cell in row.split("&")] for row in rows]
    if cells and len({len(row) for row in cells}) == 1 and len(cells) * len(cells[0]) <= MAX_PARTS:
        kind = "determinant" if matrix["kind"][0] in "vV" or matrix["open"] == "|" else "matrix"
        return Sequence(kind, tuple(cell for row in cells for cell in row), len(cells[0]))
    return None


def _nested(parts: tuple[str, ...]) -> Sequence | None:
    """[[1, 2], [3, 4]] is a matrix."""
    if not all(part.startswith("[") and part.endswith("]") and _balanced(part[1:-1]) for part in parts):
        return None
    rows = [_split(part[1:-1]) for part in parts]
    same = len({len(row) for row in rows}) == 1
    return Sequence("matrix", tuple(cell for row in rows for cell in row), len(rows[0])) if same else None


# --- intervals -----------------------------------------------------------------------------------------------------

_COMPARED = re.compile(r"\s*(<=|>=|<|>|\\(?:le|ge)(?![A-Za-z]))\s*")
_COMPARED_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'?(?:\(\s*[A-Za-z]\s*\))?")
_MEMBER = re.compile(r"(?P<name>[^\\=<>,;|]{1,12})\\in(?![A-Za-z])\s*")
_BUILDER = re.compile(
    r"(?:\\\{)?\s*(?P<name>[A-Za-z]\w*)\s*(?:\\in\s*(?:\\mathbb\s*\{?R\}?|R)\s*)?(?:\\mid|\||:)\s*(?P<inside>.*?(?P=name).*?)\s*(?:,\s*(?P=name)\s*\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\\})?"
)
_REALS = re.compile(
    r"\\mathbb\s*\{?R\}?|(?:the set of )?(?:all )?real numbers|全体实数|一切实数|实数集?|任意实数|all reals|any real number",
    re.IGNORECASE,
)
_WITHOUT = re.compile(
    rf"(?:{_REALS.pattern})\s*(?:\\setminus|\\backslash|-|except|excluding)\s*(?:\\\{{(?P<points>.+)\\\}}|(?P<point>[^{{}}]+))",
    re.IGNORECASE,
)
_UNEQUAL = re.compile(r"(?P<name>[A-Za-z]\w*)\s*(?:\\ne(?![A-Za-z])|!=|/=)\s*(?P<points>.+)")
_OR = re.compile(r"\s*(?:,\s*or|\sor\s|\\lor(?![A-Za-z])|\\vee(?![A-Za-z])|或者?|,)\s*")
_AND = re.compile(r"\s*(?:,\s*and|\sand\s|&|\\land(?![A-Za-z])|\\wedge(?![A-Za-z])|且|,)\s*")
_LOWEST = re.compile(
    r"(?:at least|no (?:less|fewer|smaller) than|not less than|a minimum of|minimum of|\\ge(?![A-Za-z])|>=|至少有?|最少有?|不少于|不小于|不低于)\s*(.+)"
    r"|(.+?)\s*(?:or (?:more|above|greater|higher|over|older|larger)|and (?:above|over|up|older)|及?以上|\+)",
    re.IGNORECASE,
)
_HIGHEST = re.compile(
    r"(?:at most|no (?:more|greater|larger|higher) than|not more than|a maximum of|maximum of|up to|within|\\le(?![A-Za-z])|<=|至多有?|最多有?|不超过|不多于|不大于|不高于)\s*(.+)"
    r"|(.+?)\s*(?:or (?:less|fewer|below|under|lower|younger|smaller)|and (?:below|under|younger)|及?以下|以内|之内)",
    re.IGNORECASE,
)
_ABOVE = re.compile(
    r"(?:more than|greater than|larger than|bigger than|higher than|over|above|exceeding|>(?!=)|超过|大于|多于|高于)\s*(.+)",
    re.IGNORECASE,
)
_UNDER = re.compile(
    r"(?:less than|fewer than|smaller than|lower than|under|below|<(?!=)|不足|不到|小于|少于|低于)\s*(.+)",
    re.IGNORECASE,
)
_BOUNDS = (
    (_LOWEST, True, "[)", re.compile(r"least|minimum|fewest|smallest|至少|最少", re.IGNORECASE)),
    (_HIGHEST, False, "(]", re.compile(r"most|maximum|largest|greatest|最多|至多", re.IGNORECASE)),
    (_ABOVE, True, "()", None),
    (_UNDER, False, "()", None),
)


@dataclass(frozen=True)
class Intervals:
    """Where a value may lie: a union of intervals, each with its brackets and its two ends, and the name that is bounded."""

    name: str
    pieces: tuple[Sequence, ...]


def read_bound(text: str, question: str) -> Intervals | str | None:
    """Return the interval that "at least 7" means; the bare text "7" where the question itself asks for the least one.

    >>> (
    ...     read_bound("at least 7", "").pieces[0].parts,
    ...     read_bound("at least 7", "What is the least number?"),
    ...     read_bound("7", ""),
    ... )
    (('7', '\\\\infty'), '7', None)
    """
    for pattern, lower, brackets, asked in _BOUNDS:
        if (found := pattern.fullmatch(text)) and (end := next(filter(None, found.groups()))) and read_number(end):
            if asked is not None and asked.search(question):
                return end
            ends = (end, "\\infty") if lower else ("-\\infty", end)
            return Intervals("", (Sequence(brackets, ends),))
    return None


def read_intervals(text: str) -> Intervals | None:
    r"""Return where a value may lie, from an inequality, a union or a set-builder; None for anything else.

    >>> read_intervals(r"1 < x \le 4").pieces, read_intervals("x < y < 2")
    ((Sequence(brackets='(]', parts=('1', '4'), columns=0),), None)
    """
    text = without_bars(tidy(text[:4_000]))
    name = ""
    if member := _MEMBER.match(text):
        name, text = member["name"].strip(), text[member.end() :]
    if builder := _BUILDER.fullmatch(text):
        return read_intervals(builder["inside"])
    if _REALS.fullmatch(text):
        return Intervals(name, (Sequence("()", ("-\\infty", "\\infty")),))
    if found := _WITHOUT.fullmatch(text) or _UNEQUAL.fullmatch(text):
        points = [point.partition("\\ne")[2].strip() or point for point in _split(found["points"] or found["point"])]
        values = [read_number(point) for point in points]
        if not points or not all(values):
            return None
        points = [point for _, point in sorted(zip((value.value for value in values), points, strict=True))]
        ends = ["-\\infty", *points, "\\infty"]
        named = found.groupdict().get("name") or name
        return Intervals(named, tuple(Sequence("()", pair) for pair in zip(ends, ends[1:], strict=False)))
    if "\\cup" in text:
        pieces = [read_sequence(piece) for piece in re.split(r"\\cup(?![A-Za-z])", text)]
        return Intervals(name, tuple(pieces)) if all(piece and piece.is_interval for piece in pieces) else None
    if name:
        piece = read_sequence(text)
        return Intervals(name, (piece,)) if piece and piece.is_interval else None
    if not _COMPARED.search(text):
        return None
    if one := _inequality(text):
        return one
    for separator in (_OR, _AND):
        found = [_inequality(part) for part in separator.split(text)]
        if len(found) > 1 and all(found) and len({part.name for part in found}) == 1:
            pieces = tuple(part.pieces[0] for part in found)
            lower = [piece for piece in pieces if piece.parts[1] == "\\infty"]
            upper = [piece for piece in pieces if piece.parts[0] == "-\\infty"]
            if len(pieces) == len(lower) + len(upper) == 2 and lower and upper:
                values = read_number(lower[0].parts[0]), read_number(upper[0].parts[1])
                crossing = all(values) and values[0].value < values[1].value
                if separator is _AND or crossing and "or" not in text and "或" not in text and "\\lor" not in text:
                    ends = lower[0].parts[0], upper[0].parts[1]
                    pieces = (Sequence(lower[0].brackets[0] + upper[0].brackets[1], ends),)
            return Intervals(found[0].name, pieces)
    return None


def _inequality(text: str) -> Intervals | None:
    sides = _COMPARED.split(text.strip())
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
    if sum(names) != 1 or any(
        re.search(r"[,=]|\\(?:cup|lor|land|ne)(?![A-Za-z])|\s(?:or|and)\s|[或且]", term) for term in terms
    ):
        return None
    if len(terms) == 2:  # one side is open
        ends = ("-\\infty", terms[1]) if names[0] else (terms[0], "\\infty")
        signs = ("<", signs[0]) if names[0] else (signs[0], "<")
    elif names[1]:
        ends = terms[0], terms[2]
    else:
        return None
    brackets = ("(" if signs[0] in "<>" else "[") + (")" if signs[1] in "<>" else "]")
    return Intervals(terms[names.index(True)], (Sequence(brackets, ends),))


# --- splitting -----------------------------------------------------------------------------------------------------


def _split(text: str) -> tuple[str, ...]:
    """Split at commas, semicolons and "and"/"or" outside brackets; a thousands comma does not split."""
    if ";" in text and "," in text and (groups := _split_at(text, ";")) and len(groups) > 1:
        return groups
    found, depth, start, at = [], 0, 0, 0
    while at < len(text):
        sign = text[at]
        if sign == "\\" and text[at + 1 : at + 2] in ("{", "}") or text.startswith(("\\langle", "\\rangle"), at):
            depth += 1 if text[at + 1] in "{l" else -1
            at += 2
            continue
        if sign in _OPEN:
            depth += 1
        elif sign in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0 and sign in ",; \\&和或与及":
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
    """Whether a comma parts thousands: no space behind it, and none of the commas without one parts anything else."""
    return bool(
        re.match(r",\d{3}(?!\d)", text[at : at + 5])
        and re.search(r"(?<![\d,.])\d{1,3}(?:,\d{3})*$", text[max(0, at - 24) : at])
        and not re.search(r"\d,\d{1,2}(?!\d)|\d,\d{4}", text)
        and (not re.search(r"\d,\s\d{4}|\d{4},", text))
    )


def _balanced(text: str) -> bool:
    return balanced(text.replace("\\{", "(").replace("\\}", ")"), _OPEN, _CLOSE)


_BARS = re.compile(
    r"(?:(?P<low>[^<>|]+?)\s*(?P<left><|\\le)\s*)?\|\s*(?P<name>[A-Za-z])\s*\|(?:\s*(?P<right><|>|\\[lg]e)\s*(?P<high>[^<>|]+))?"
)


def without_bars(text: str) -> str:
    r"""Return an inequality of \|x\| as the intervals of x; any other text as it is.

    >>> without_bars("|x|<2"), without_bars("1 < |x|")
    ('x \\in (-(2), 2)', 'x \\in (-\\infty, -(1)) \\cup (1, \\infty)')
    """
    found = _BARS.fullmatch(text)
    if not found or not (found["low"] or found["high"]):
        return text
    low, left, name, right, high = found.groups()
    if high and right[-1] in ">g" or right == "\\ge":
        if low:
            return text
        low, left, high, right = high, right, None, None
    outer = ("[" if right == "\\le" else "(") + f"-({high})" if high else "(-\\infty"
    end = f"{high}" + ("]" if right == "\\le" else ")") if high else "\\infty)"
    if not low:
        return f"{name} \\in {outer}, {end}"
    held = left.endswith("e")
    return f"{name} \\in {outer}, -({low}){']' if held else ')'} \\cup {'[' if held else '('}{low}, {end}"
