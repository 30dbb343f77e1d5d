r"""Several values in one answer, read by one reader: lists, sets, tuples, matrices, intervals, ratios, chains and relations.

All of them are parts and what holds them together; a sign that may be turned round is turned to one way ("A ⊃ B" holds as "B ⊂ A").
"""

import re
from dataclasses import dataclass, replace

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.latex import balanced, tidy
from virgo_factory.answers.values.numbers import Number, read_number


MAX_PARTS = 200


@dataclass(frozen=True)
class Sequence:
    r"""Parts of an answer.

    Attributes:
        held: "" for a bare list, "1" for one in steps, "{}" for a set, "()", "[]", "[)" or "(]" for a tuple or an interval, "matrix", "determinant", ":" for a
            ratio, "-" for a range, "R" for a quotient and its remainder, "<" for a chain that rises, else the sign of a relation
            or of a union.
        parts: the parts' texts; of a matrix its rows joined, with `columns` a row.
        columns: of a matrix.
        name: of an interval what it bounds.
    """

    held: str
    parts: tuple[str, ...]
    columns: int = 0
    name: str = ""


# --- one splitter --------------------------------------------------------------------------------------------------

_LISTED = (
    r"\s*(?:[,;]\s*(?:(?:and|or|then)\s)?|\s(?:and|or|&)\s|(?<=[\w})°%$\]])(?<![内外]角)\s*(?:[和或与及と]|以及|或者)\s*(?=[\w\\({$-])"
    r"|\\(?:land|lor)(?![A-Za-z]))\s*"
)
"""What stands between the parts of a bare list."""
_HELD = (("\\{", "\\}", "{}"), ("{", "}", ""), ("(", ")", "()"), ("[", "]", "[]"), ("[", ")", "[)"), ("(", "]", "(]"), ("]", "[", "()"),
         ("[", "[", "[)"), ("]", "]", "(]"), ("\\langle", "\\rangle", "()"), ("<", ">", "()"))  # fmt: skip
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_NO_THOUSANDS = re.compile(r"\d,\d{1,2}(?!\d)|\d,\d{4}|\d,\s\d{4}|\d{4},")
_NUMBERED = re.compile(r"(?:^|[\s;,])(?:[(](\d)[)]|(\d)[.)](?=\s))\s*")
_STRINGS = re.compile(r"\[\s*(['\"]).*\1\s*,?\s*\]", re.DOTALL)
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")
_STEPS = re.compile(r"\s*(?:,\s*then\b|\\to(?![A-Za-z])|->|=>|\\Rightarrow(?![A-Za-z]))\s*")
_TOGETHER = re.compile(r"(?:[①-⑳]\s?){2,}|(?:[①-⑳]-)+[①-⑳]|[A-Z](?:\s?-\s?[A-Z]){2,}")
"""Circled numbers one after another, letters with dashes between them."""


def split(text: str, separator: str = _LISTED) -> tuple[str, ...]:
    """Return the parts of a text between separators that stand outside all brackets.

    >>> split("1, (2, 3) and 4"), split("1,2;3,4"), split("1,234"), split("70°或110°")
    (('1', '(2, 3)', '4'), ('1,2', '3,4'), ('1234',), ('70°', '110°'))
    """
    if separator is _LISTED:
        if ";" in text and "," in text and len(groups := split(text, ";")) > 1:
            return groups
        if "," in text and not _NO_THOUSANDS.search(text):
            text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    found, depth, start = [], 0, 0
    for match in re.finditer(rf"(\\\{{|\\langle|[(\[{{])|(\\\}}|\\rangle|[)\]}}])|{separator}", text):
        if match[1]:
            depth += 1
        elif match[2]:
            depth = max(0, depth - 1)
        elif not depth:
            found.append(text[start : match.start()])
            start = match.end()
    return tuple(part.strip() for part in (*found, text[start:]) if part.strip())


def read_sequence(text: str) -> Sequence | None:
    r"""Return the parts of an answer that has several, or is bracketed; None otherwise.

    >>> [
    ...     read_sequence(text).held
    ...     for text in (r"\left( 3, \frac{\pi}{2} \right)", r"1 < x \le 4", "(1) 5; (2) 12", "3 : 2")
    ... ]
    ['()', '(]', '1', ':']
    >>> read_sequence("C > A > B").parts, read_sequence("1,234")
    (('B', 'A', 'C'), None)
    """
    text = tidy(text[:4_000])
    if "\\begin" in text:
        return _matrix(text)
    if len(text) < 2:
        return None
    text = P.SEQUENCES_AROUND.sub("", text)
    if _STRINGS.fullmatch(text):
        return Sequence("", tuple(part.strip(" '\"") for part in split(text[1:-1])))
    if _TOGETHER.fullmatch(text):
        return Sequence("1", tuple(re.findall(r"\w", text)))
    numbers = [found[1] or found[2] for found in _NUMBERED.finditer(text)]
    if len(numbers) > 1 and numbers == [str(place + 1) for place in range(len(numbers))] and _NUMBERED.match(text):
        return Sequence("1", tuple(part.strip(" ,;.") for part in _NUMBERED.sub("\n", text).split("\n")[1:]))
    if (found := _region(text) or _ratio(text) or _related(text)) is not None:
        return found
    for left, right, held in _HELD:
        if text.startswith(left) and text.endswith(right) and len(text) > len(left) + len(right):
            inner = text[len(left) : -len(right)]
            if _balanced(inner):
                found = split(inner)
                if found == ("\\emptyset",):
                    return Sequence("{}", found)
                if len(found) > 1 or held == "{}" and found:
                    return _nested(found) or Sequence(held, found)
    found = tuple(value for part in split(text) for value in _both(part))
    return Sequence("", found) if 1 < len(found) <= MAX_PARTS else None


def _both(text: str) -> tuple[str, ...]:
    r"""The two values of a text with one \pm; any other text alone."""
    return tuple(_PLUS_MINUS.sub(sign, text) for sign in "+-") if len(_PLUS_MINUS.findall(text)) == 1 else (text,)


def _balanced(text: str) -> bool:
    return balanced(text.replace("\\{", "(").replace("\\}", ")"), "([{", ")]}")


# --- matrices ------------------------------------------------------------------------------------------------------

_ROW_END = re.compile(r"\\\\\s*(?:\[[^\[\]]*\])?|\\cr(?![A-Za-z])")


def _matrix(text: str) -> Sequence | None:
    """A matrix in any brackets; the rows of a system of equations are a bare list."""
    matrix = P.MATRIX.fullmatch(text)
    if matrix is None:
        return None
    rows = [row for part in _ROW_END.split(matrix["inside"]) if (row := part.replace("\\hline", "").strip())]
    if matrix["kind"] in ("cases", "aligned", "gathered") or matrix["open"] in ("{", "\\{"):
        parts = tuple(re.sub(r"\s*&\s*", " ", row).strip(" ,;.") for row in rows)
        return Sequence("", parts) if parts and all("=" in part for part in parts) else None
    kind = "determinant" if matrix["kind"][0] in "vV" or matrix["open"] == "|" else "matrix"
    return _rows(kind, [tuple(cell.strip() for cell in row.split("&")) for row in rows])


def _nested(parts: tuple[str, ...]) -> Sequence | None:
    """[[1, 2], [3, 4]] is a matrix."""
    if not all(part.startswith("[") and part.endswith("]") and _balanced(part[1:-1]) for part in parts):
        return None
    return _rows("matrix", [split(part[1:-1]) for part in parts])


def _rows(kind: str, rows: list[tuple[str, ...]]) -> Sequence | None:
    even = len({len(row) for row in rows}) == 1 and len(rows) * len(rows[0]) <= MAX_PARTS
    return Sequence(kind, tuple(cell for row in rows for cell in row), len(rows[0])) if even else None


# --- signs between parts -------------------------------------------------------------------------------------------

_COMPARED = re.compile(r"\s*(<|>|\\(?:le|ge)(?![A-Za-z]))\s*")
_TURNED = {">": "<", "\\ge": "\\le", "\\supset": "\\subset", "\\supseteq": "\\subseteq", "\\Leftarrow": "\\Rightarrow", "\\leftarrow": "\\to"}  # fmt: skip
SYMMETRIC = frozenset("\\" + sign for sign in "parallel perp cong sim equiv ne land lor cup cap Leftrightarrow leftrightarrow".split())  # fmt: skip
"""Signs whose sides may change places."""
_N = r"-?\d+(?:\.\d+)?"
_OWN, _UNIT = r"(?:\s*(?:°\s*[CF]?|%))?", r"(?:\s*(?:°\s*[CF]?|%)|\s+[A-Za-z]+|[A-Za-z]{2,})?"
_PAIRS = (
    (re.compile(rf"(?:from |between )?({_N}{_OWN})\s*(?:-|to|至|到)\s*({_N}{_UNIT})"), "-"),
    (re.compile(rf"between ({_N}{_OWN}) and ({_N}{_UNIT})"), "-"),
    (
        re.compile(
            rf"商?\s*({_N})\s*,?\s*(?:with (?:a )?remainder(?: of)?|remainder|rem\.?|R|r|余数?[是为]?|\.{{3,6}}|\\[lc]dots)\s*({_N})"
        ),
        "R",
    ),
)
"""Two numbers with a word or a sign between them that makes them one value."""


def _ratio(text: str) -> Sequence | None:
    """Numbers with a colon, "to" or 比 between them; from one number to a larger one is a range, and no difference."""
    for pattern, held in _PAIRS:
        if found := pattern.fullmatch(text):
            falls = float(re.match(_N, found[1])[0]) > float(re.match(_N, found[2])[0])
            if not (falls and (" to " in text or re.search(r" [a-z]$", text))):  # 4 - 2 t
                return Sequence(held, found.groups())
    if ":" not in text and not re.search(r"\d\s*(?:to|比)\s*\d", text):
        return None
    parts = re.split(r"\s*(?::|\bto\b|比)\s*", text)
    values = [read_number(part) for part in parts]
    return Sequence(":", tuple(parts)) if all(value is not None and value.value for value in values) else None


def _related(text: str) -> Sequence | None:
    """Two sides with a relation between them, which is no equation, or names in a chain of one direction: C > A > B."""
    signs = _COMPARED.split(text)[1::2]
    if len(signs) > 1 and len(set(signs)) == 1:
        sides = tuple(_COMPARED.split(text)[::2])
        plain = all(
            re.fullmatch(r"[\w.\u4e00-\u9fff ]+|-?[\d./]+|\\?[\w{}^]+", side) or read_number(side) for side in sides
        )
        return _one_way(signs[0], sides) if plain else None
    if len(steps := _STEPS.split(text)) > (1 if ", then" in text else 2):
        return Sequence("1", tuple(steps))
    signs = {sign[0] for sign in P.SEQUENCES_SIGNS.finditer(text)}
    signs = signs - {"\\neg"} or signs
    if len(signs) != 1:
        return None
    sign = signs.pop()
    return _one_way(sign, split(text, re.escape(sign) + "(?![A-Za-z])"))


def _one_way(sign: str, sides: tuple[str, ...]) -> Sequence:
    return Sequence(_TURNED[sign], sides[::-1]) if sign in _TURNED else Sequence(sign, sides)


# --- intervals -----------------------------------------------------------------------------------------------------

_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'?(?:\(\s*[A-Za-z]\s*\))?|\|\s*[A-Za-z]\s*\|")
_REALS = re.compile(
    r"\\(?:mathbb|mathbf)\s*\{?R\}?|(?:the set of )?(?:all )?real numbers|全体实数|一切实数|实数集?|任意实数|all reals|any real number",
    re.IGNORECASE,
)
_WITHOUT = re.compile(
    rf"(?:{_REALS.pattern})\s*(?:\\setminus|\\backslash|-|except|excluding)\s*(?:\\\{{(?P<points>.+)\\\}}|(?P<point>[^{{}}]+))"
    r"|(?P<name>[A-Za-z]\w*)\s*(?:\\ne(?![A-Za-z])|!=|/=)\s*(?P<unequal>.+)",
    re.IGNORECASE,
)
_OR = re.compile(r"\s*(?:,\s*or|\sor\s|\\lor(?![A-Za-z])|或者?|,)\s*")
_AND = re.compile(r"\s*(?:,\s*and|\sand\s|&|\\land(?![A-Za-z])|且|,)\s*")
_BOUNDS = tuple(
    (re.compile(rf"(?:{before})\s*(.+)|(.+?)\s*(?:{behind})", re.IGNORECASE), held, lower, re.compile(asked, re.IGNORECASE))
    for before, behind, held, lower, asked in (
        (r"at least|no (?:less|fewer|smaller) than|not less than|a? ?minimum of|since|\\ge(?![A-Za-z])|至少有?|最少有?|不少于|不小于|不低于|自从?",
         r"or (?:more|above|greater|higher|over|older|larger)|and (?:above|over|up|older)|及?以上|\+",
         "[)", True, "least|minimum|fewest|smallest|since|至少|最少"),
        (r"at most|no (?:more|greater|larger|higher) than|not more than|a? ?maximum of|up to|within|until|\\le(?![A-Za-z])|至多有?|最多有?|不超过|不多于|不大于|不高于",
         r"or (?:less|fewer|below|under|lower|younger|smaller)|and (?:below|under|younger)|及?以下|以内|之内",
         "(]", False, "most|maximum|largest|greatest|within|until|最多|至多"),
        (r"(?:more|greater|larger|bigger|higher|longer|older|taller|heavier|faster) than|over|above|exceeding|after|>|超过|大于|多于|高于", r"之后|以后",
         "()", True, r"\bafter\b|之?后"),
        (r"(?:less|fewer|smaller|lower|shorter|younger|lighter|slower) than|under|below|before|<|不足|不到|小于|少于|低于", r"之前|以前", "()", False, r"\bbefore\b|之?前"),
    )
)  # fmt: skip
"""Words in front of a number and behind it, the interval they make, and what in a question asks for that end itself."""


def read_bound(text: str, question: str) -> Sequence | Number | None:
    """Return the interval that "at least 7" means; the number alone where the question itself asks for the least one.

    >>> (
    ...     read_bound("at least 7", "").parts,
    ...     read_bound("at least 7", "What is the least number?").whole,
    ...     read_bound("7", ""),
    ... )
    (('7', '\\\\infty'), True, None)
    """
    for pattern, held, lower, asked in _BOUNDS:
        if (found := pattern.fullmatch(text)) and (number := read_number(end := next(filter(None, found.groups())))):
            if asked.search(question) and text[-1] != "+":
                return number
            return Sequence(held, (end, "\\infty") if lower else ("-\\infty", end))
    return None


def _region(text: str) -> Sequence | None:
    """Where a value may lie, from an inequality, a set-builder or points that are left out: one interval, or a union of them."""
    if builder := P.BUILDER.fullmatch(text):
        return _region(builder["inside"])
    if _REALS.fullmatch(text):
        return Sequence("()", ("-\\infty", "\\infty"))
    if found := _WITHOUT.fullmatch(text):
        points = split(found["points"] or found["point"] or found["unequal"])
        points = [point.partition("\\ne")[2].strip() or point for point in points]
        values = [read_number(point) for point in points]
        if not points or not all(values):
            return None
        ordered = sorted(zip((value.value for value in values), points, strict=True))
        ends = ["-\\infty", *(point for _, point in ordered), "\\infty"]
        pieces = [Sequence("()", pair) for pair in zip(ends, ends[1:], strict=False)]
        return _union(pieces, found["name"] or "")
    if not _COMPARED.search(text):
        spelled = _in_signs(text)
        found = _region(spelled) if spelled else None
        own = spelled.startswith(text[:1])  # else the name of what is bounded was only put there to be read
        return found if own or found is None else replace(found, name="")
    if one := _inequality(text):
        return one
    for separator in (_OR, _AND):
        pieces = [_inequality(part) for part in separator.split(text)]
        if len(pieces) > 1 and all(pieces) and len({piece.name for piece in pieces}) == 1:
            lower = [piece for piece in pieces if piece.parts[1] == "\\infty"]
            upper = [piece for piece in pieces if piece.parts[0] == "-\\infty"]
            if len(pieces) == 2 and lower and upper:
                values = read_number(lower[0].parts[0]), read_number(upper[0].parts[1])
                crossing = all(values) and values[0].value < values[1].value
                if separator is _AND or crossing and not re.search(r"or|或|\\lor", text):
                    held = lower[0].held[0] + upper[0].held[1]
                    return Sequence(held, (lower[0].parts[0], upper[0].parts[1]), name=pieces[0].name)
            return _union(pieces, pieces[0].name)
    return None


_SAID_SIGNS = tuple(
    (re.compile(rf"(?:(?:is|are|be) )?(?:{said})"), f" {sign} ")
    for said, sign in (
        (r"(?:greater|larger|more) than or equal to|at least|大于等于|大于或等于|不小于", r"\\ge"),
        (r"(?:less|smaller) than or equal to|at most|小于等于|小于或等于|不大于", r"\\le"),
        (r"(?:strictly )?(?:greater|larger|more) than|大于", ">"),
        (r"(?:strictly )?(?:less|smaller) than|小于", "<"),
    )
)
_ALL_OF_THEM = re.compile(r"\s*的(?:全体|所有|一切)?(?:实数|数|值)集?$")


def _in_signs(text: str) -> str:
    """Return two bounds in words with signs: "x is less than 1 or greater than 2"; empty where there are none."""
    if not ("than" in text or "于" in text or "at " in text):
        return ""
    spelled = _ALL_OF_THEM.sub("", text)
    for said, sign in _SAID_SIGNS:
        spelled = said.sub(sign, spelled)
    if len(_COMPARED.findall(spelled)) < 2:
        return ""
    name = re.match(r"\s*([A-Za-z])(?= *(?:[<>]|\\[lg]e))", spelled)
    bounded = re.sub(
        r"((?:^|\bor|\band|或者?|且|并且|,)) *(?=[<>]|\\[lg]e(?![A-Za-z]))",
        rf"\1 {name[1] if name else 'x'} ",
        spelled,
    )
    return bounded.replace("或", " or ").replace("并且", " and ").replace("且", " and ").strip()


def _union(pieces: list[Sequence], name: str) -> Sequence:
    texts = (f"{piece.held[0]}{piece.parts[0]}, {piece.parts[1]}{piece.held[1]}" for piece in pieces)
    return Sequence("\\cup", tuple(texts), name=name)


def _inequality(text: str) -> Sequence | None:
    sides = _COMPARED.split(text.strip())
    if not 3 <= len(sides) <= 5 or not all(sides):
        return None
    if sides[1] in _TURNED:
        sides = [_TURNED.get(side, side) for side in sides[::-1]]
    terms, signs = sides[::2], sides[1::2]
    names = [bool(_NAME.fullmatch(term)) for term in terms]
    joined = any(re.search(r"[,=]|\\(?:cup|lor|land|ne)(?![A-Za-z])|\s(?:or|and)\s|[或且]", term) for term in terms)
    if any(sign in _TURNED for sign in signs) or sum(names) != 1 or joined or len(terms) == 3 and not names[1]:
        return None
    if len(terms) == 2:  # one side is open
        terms, signs = (["-\\infty", *terms], ["<", *signs]) if names[0] else ([*terms, "\\infty"], [*signs, "<"])
    held = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
    low, name, high = terms
    found = Sequence(held, (low, high), name=name)
    return _unbarred(found) if name[0] == "|" else found


def _unbarred(size: Sequence) -> Sequence:
    """Where a value may lie of which the size is bounded: |x| < 2, 1 < |x|."""
    (low, high), (left, right), name = size.parts, size.held, size.name.strip("| ")
    turned = {"(": ")", "[": "]", ")": "(", "]": "["}
    lowest = "-\\infty" if high == "\\infty" else f"-({high})"
    if low == "-\\infty":
        return Sequence(turned[right] + right, (lowest, high), name=name)
    pieces = [Sequence(turned[right] + turned[left], (lowest, f"-({low})")), Sequence(left + right, (low, high))]
    return _union(pieces, name)
