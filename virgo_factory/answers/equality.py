"""Whether two answers are the same: exact and cheap comparisons first, math-verify only for formulas they leave open."""

import re
from dataclasses import replace
from fractions import Fraction

from virgo_factory.answers.dates import read_date, same_date
from virgo_factory.answers.expressions import TooLarge, closed_value, same_expression
from virgo_factory.answers.grading import GradingConfig
from virgo_factory.answers.latex import compact, tidy, words
from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Question, Verdict
from virgo_factory.answers.numbers import RANGE, Number, as_float, divide, read_number, unit_factor
from virgo_factory.answers.sequences import Sequence, read_interval, read_sequence
from virgo_factory.answers.trees import GREEK


_BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False, "y": True, "n": False,
             "correct": True, "incorrect": False, "right": True, "wrong": False}  # fmt: skip
_YEAR = re.compile(r"(?:1[5-9]|20|21)\d\d")
_MATHS_SIGNS = re.compile(r"[\\^_=<>|{}+*]|\b(?:sqrt|sin|cos|tan|log|ln|pi)\b|\w\s*\(|(?<=\d)/|/(?=\d)")
_NAME = re.compile(r"[A-Za-z\\_{}()|:0-9 ,'/∠△$∗.]*[A-Za-z][A-Za-z\\_{}()|:0-9 ,'/∠△$.]*")
_RELATION = re.compile(r"(?<![<>!:])=(?!=)|\\approx|≈")
_INTERVALS = ("()", "[]", "[)", "(]")
_CONDITION = re.compile(
    r"(?P<value>[^,;]+?)[,;]?\s+(?:for|if|when|where|with)\s+[^,;=]*(?:[<>]|\\(?:le|ge|ne|in)(?![A-Za-z]))[^,;=]*"
)
"""A value with the condition under which it holds."""
_MEMBER = re.compile(r"^[^\\=<>]{1,12}\\in(?![A-Za-z])")


def same(gold: str, answer: str, question: Question, config: GradingConfig, depth: int = 0) -> Verdict:
    """Return the verdict on an answer to an open question.

    Raises:
        TooLarge, TimeoutError: math-verify was needed and must not or could not answer.
    """
    if compact(gold) == compact(answer):
        return Verdict(CORRECT, "same_text", kind_of(gold, question))

    if words(gold) in _NOTHING and words(answer) in _NOTHING:
        return Verdict(CORRECT, "same_text", "text")
    if question.kind == "boolean" or (
        depth == 0 and words(gold) in _BOOLEANS and words(gold) not in ("0", "1", "y", "n")
    ):
        return _boolean(gold, answer, config)
    if question.kind == "text":
        return _text(gold, answer, config)

    if depth == 0 and ("\\approx" in tidy(gold) or "\\approx" in tidy(answer)):
        return _approximate(gold, answer, question, config)

    bases = [_BASE.fullmatch(compact(text)) for text in (gold, answer)]
    if any(bases) and (all(bases) or compact(gold).isdigit() or compact(answer).isdigit()):
        digits = [compact(text).partition("_")[0] for text in (gold, answer)]
        equal = digits[0] == digits[1] and (not all(bases) or bases[0][2] == bases[1][2])
        return Verdict(CORRECT if equal else WRONG, "same_value" if equal else "other_value", "number")

    ranges = [re.fullmatch(RANGE, tidy(text)) for text in (gold, answer)]
    if any(ranges):
        equal = all(ranges) and [Fraction(end) for end in ranges[0].groups()] == [
            Fraction(end) for end in ranges[1].groups()
        ]
        return Verdict(CORRECT if equal else WRONG, "same_parts" if equal else "other_parts", "sequence")

    known, got = _number(gold, question), _number(answer, question)
    if known is not None and got is None and depth == 0:
        got = _only_number(answer)
    if known is not None and got is not None:
        return _numbers(known, got, question, config)
    if (one := read_date(gold)) and (other := read_date(answer)):
        equal = same_date(one, other)
        return Verdict(CORRECT if equal else WRONG, "same_value" if equal else "other_value", "date")
    if (verdict := _ratios(gold, answer, known, got)) is not None:
        return verdict

    signs = [re.fullmatch(r"[-+]?\\infty", compact(text)) for text in (gold, answer)]
    if any(signs) and (known is not None or got is not None or all(signs)):
        equal = all(signs) and signs[0][0].strip("+") == signs[1][0].strip("+")
        return Verdict(CORRECT if equal else WRONG, "same_value" if equal else "other_value", "number")

    one, other = read_sequence(gold), read_sequence(answer)
    bounds = read_interval(gold), read_interval(answer)
    if any(bounds):
        named = {_side_name(bound[0]) for bound in bounds if bound}
        spans = [bound[1] if bound else found for bound, found in zip(bounds, (one, other), strict=True)]
        if len(named) == 1 and all(span is not None and span.brackets in _INTERVALS for span in spans):
            return _sequences(*spans, gold, answer, question, config, depth) or Verdict(
                WRONG, "other_parts", "sequence"
            )
    if (one or other) and depth < 4:
        verdict = _sequences(one, other, gold, answer, question, config, depth)
        if verdict is not None:
            return verdict

    if depth < 6 and (held := _CONDITION.fullmatch(tidy(answer))) and not _CONDITION.fullmatch(tidy(gold)):
        return same(gold, held["value"], question, config, depth + 1)

    left, right = _value_side(gold), _value_side(answer)
    if depth < 6 and left is not None and right is None and not _RELATION.search(tidy(answer)):
        return same(left, answer, question, config, depth + 1)
    if depth < 6 and right is not None and left is None and not _RELATION.search(tidy(gold)):
        return same(gold, right, question, config, depth + 1)
    if depth < 6 and left is not None and right is not None and _side_name(gold) == _side_name(answer):
        return same(left, right, question, config, depth + 1)

    equations = [len(_sides(text)) > 1 for text in (gold, answer)]
    if depth < 6 and equations == [False, True] and not is_wordy(gold) and "\\begin" not in answer:
        sides = _sides(answer)
        if sides[-1] == "0" or not _is_formula(sides[-1]) and read_number(sides[-1]) is None:
            return Verdict(WRONG, "other_expression", "expression")
        return same(gold, sides[-1], question, config, depth + 1)
    if equations == [True, False] and not _RELATION.search(tidy(answer)) and not is_wordy(answer):
        return Verdict(WRONG, "other_expression", "expression")
    if known is not None or got is not None:
        words_only = gold if got is not None else answer
        if not _is_formula(words_only):
            return Verdict(WRONG, "other_value" if known is not None else "other_text", "number")
    if not _is_formula(gold) or not _is_formula(answer):
        if not _is_formula(gold) or is_wordy(answer):
            return _text(gold, answer, config)
    bound = _BOUND.search(tidy(gold)) or _BOUND.search(tidy(answer))
    if not bound and (
        variables(gold) - variables(answer) or (known is not None and not known.literal and variables(answer))
    ):
        return Verdict(WRONG, "other_expression", "expression")
    try:
        if (known is None) != (got is None) and (values := _evaluated(gold, answer)) is not None:
            return _numbers(*values, question, config)
        found = same_expression(gold, answer)
    except TooLarge:
        return Verdict(UNVERIFIABLE, "too_large", "expression")
    except TimeoutError:
        return Verdict(UNVERIFIABLE, "timeout", "expression")
    if found is None:
        equal = words(gold) == words(answer) and is_wordy(gold)
        return Verdict(CORRECT if equal else WRONG, "same_text" if equal else "other_text", "expression")
    return Verdict(CORRECT if found else WRONG, "same_expression" if found else "other_expression", "expression")


def kind_of(gold: str, question: Question) -> str:
    """Return the kind of an open question, from what is stated and from its gold answer."""
    if question.kind:
        return question.kind
    if words(gold) in _BOOLEANS and not words(gold).isdigit():
        return "boolean"
    if (number := read_number(gold)) is not None:
        return "count" if number.whole and re.match(r"\s*how many\b", question.text, re.IGNORECASE) else "number"
    if read_date(gold):
        return "date"
    if read_sequence(gold):
        return "sequence"
    return "text" if is_wordy(gold) else "expression"


_BOUND = re.compile(r"[<>=:]|\\(?:le|ge|ne|in|sum|prod|int|lim|approx|equiv|mid|forall)(?![A-Za-z])")
"""Signs whose letters need not occur on the other side: of relations, sets, sums and integrals."""
_VARIABLE = re.compile(r"\\([A-Za-z]+)|([A-Za-z])")
_CONSTANTS = frozenset("e i d j pi infty".split())


def variables(text: str) -> frozenset[str]:
    """Return the letters a formula depends on, in lower case; a simplified gold holds no letter that an equal answer lacks.

    >>> sorted(variables(r"\\frac{K-1}{L} e^{2x}")), sorted(variables(r"\\sin(\\omega t)"))
    (['k', 'l', 'x'], ['omega', 't'])
    """
    found = set()
    for command, letter in _VARIABLE.findall(re.sub(r"_(?:\{[^{}]*\}|[A-Za-z0-9])", "", tidy(text))):
        if letter or command in GREEK:
            found.add((letter or command).lower())
    return frozenset(found - _CONSTANTS)


def is_wordy(text: str) -> bool:
    """Return whether a text is words rather than a formula."""
    text = tidy(text)
    return not _MATHS_SIGNS.search(text) and bool(re.search(r"[^\W\d_]{2,}", text))


def _is_formula(text: str) -> bool:
    text = tidy(text)
    if not text or len(text) > 1_500:
        return False
    if _MATHS_SIGNS.search(text):
        return True
    return bool(
        re.fullmatch(
            r"[-+]?[\d.,\s]*[A-Za-z]{1,2}[\d\s]*(?:[-+/*][\d\s]*[A-Za-z\d]{1,3})*|[\d\s.,:/()\[\]A-Za-z+-]{1,12}", text
        )
    ) and not re.search(r"[^\W\d_]{4,}", text)


def _approximate(gold: str, answer: str, question: Question, config: GradingConfig) -> Verdict:
    """An exact value with its approximation: either of them may be the answer, and the gold."""
    verdict = Verdict(WRONG, "other_value", "number")
    for wanted in tidy(gold).split("\\approx")[:3]:
        for got in tidy(answer).split("\\approx")[:3]:
            if wanted.strip() and got.strip():
                verdict = same(wanted.strip(), got.strip(), question, config, 1)
                if verdict.verdict == CORRECT:
                    return verdict
    return verdict


_BASE = re.compile(r"(\d+)_\{?(\d{1,2})\}?")
"""Digits with their base, such as 4343_6."""


def _ratios(gold: str, answer: str, known: Number | None, got: Number | None) -> Verdict | None:
    """The verdict where one side is a ratio `a:b` and the other is one too, or a number; None otherwise."""
    values = []
    for text, number in ((gold, known), (answer, got)):
        parts = [read_number(part) for part in tidy(text).split(":")]
        if number is not None:
            values.append(number.value)
        elif len(parts) == 2 and all(part is not None and not part.unit for part in parts) and parts[1].value:
            values.append(divide(parts[0].value, parts[1].value))
    if len(values) < 2:
        return None
    one, other = map(as_float, values)
    equal = values[0] == values[1] or abs(one - other) <= abs(one) * 1e-25
    return Verdict(CORRECT if equal else WRONG, "same_value" if equal else "other_value", "number")


def _evaluated(gold: str, answer: str) -> tuple[Number, Number] | None:
    """Both sides as numbers where one is a closed formula that only math-verify can read."""
    values = [read_number(text) for text in (gold, answer)]
    for index, text in enumerate((gold, answer)):
        if values[index] is None:
            value = closed_value(text)
            if value is None:
                return None
            values[index] = Number(value)
    return values[0], values[1]


# --- booleans and text ---------------------------------------------------------------------------------------------


def _boolean(gold: str, answer: str, config: GradingConfig) -> Verdict:
    wanted, plain = _BOOLEANS.get(words(gold)), words(answer)
    got = _BOOLEANS.get(plain)
    if got is None and (first := plain.split()[:1]) and first[0] in ("yes", "no", "true", "false"):
        got = _BOOLEANS[first[0]]
    if wanted is None:
        return _text(gold, answer, config)
    if plain.isdigit() and not words(gold).isdigit():  # a count or a sum; 1 means yes only where the gold says it so
        return Verdict(WRONG, "other_text", "boolean")
    if got is None:
        found = {_BOOLEANS[word] for word in re.findall(r"\b(?:yes|no|true|false)\b", plain)}
        got = found.pop() if len(found) == 1 else None
    if got is None:
        return Verdict(WRONG, "other_text", "boolean")
    return Verdict(CORRECT if got == wanted else WRONG, "same_text" if got == wanted else "other_text", "boolean")


_NOTHING = frozenset(
    ("no solution", "no solutions", "no real solution", "no real solutions", "none", "empty set", "emptyset")
)


def _text(gold: str, answer: str, config: GradingConfig) -> Verdict:
    synonyms = dict(config.synonyms)
    wanted, got = (synonyms.get(text, text) for text in (words(gold), words(answer)))
    same_words = wanted == got or wanted.replace(" ", "") == got.replace(" ", "")
    if not same_words and 1 < len(got.split()) <= 40 and len(wanted) > 1:
        same_words = bool(
            re.search(rf"(?:^|\s)(?:is|are|was|were|be|called|named|in|answer) {re.escape(wanted)}$", got)
        ) and not re.search(r"\b(?:not|never|or|neither|nor|isn't|cannot)\b", got)
    return Verdict(CORRECT if same_words else WRONG, "same_text" if same_words else "other_text", "text")


# --- numbers -------------------------------------------------------------------------------------------------------


def _number(text: str, question: Question) -> Number | None:
    number = read_number(text)
    if number is not None and number.unit and "in terms of" in question.text[-1_000:].lower():
        return None
    return number


_ONE_NUMERAL = re.compile(r"[-−]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-−]?\d+(?:\.\d+)?(?:\s*\\?%)?")


def _only_number(text: str) -> Number | None:
    """The number of a short sentence that holds just one: "There are 7 apples"."""
    plain = tidy(text)
    if len(plain) > 300 or _MATHS_SIGNS.search(plain) or not re.search(r"[A-Za-z]{2,}\s|\s[A-Za-z]{2,}", plain):
        return None
    if re.search(r"\b(?:not|or|between|than|cannot)\b", plain):
        return None
    found = _ONE_NUMERAL.findall(plain)
    return read_number(found[0]) if len(found) == 1 else None


def _numbers(gold: Number, answer: Number, question: Question, config: GradingConfig) -> Verdict:
    kind = "count" if question.kind == "count" else "number"
    factor = Fraction(1)
    unit = gold.unit or question.unit or ""
    if unit and answer.unit and unit != answer.unit:
        one, other = unit_factor(unit), unit_factor(answer.unit)
        if one and other:
            if one[:2] != other[:2]:
                return Verdict(WRONG, "other_unit", kind)
            factor = other[2] / one[2]
    wanted = gold.value
    values = [answer.value if factor == 1 else _scaled(answer.value, factor)]
    if gold.percent != answer.percent:
        values += [_scaled(values[0], Fraction(1, 100)) if answer.percent else _scaled(values[0], Fraction(100))]
    if config.percent_scale:
        values += [_scaled(values[0], Fraction(100)), _scaled(values[0], Fraction(1, 100))]
    equal = any(_close(wanted, value, gold, answer, question, config) for value in values)
    return Verdict(CORRECT if equal else WRONG, "same_value" if equal else "other_value", kind)


def _scaled(value, factor: Fraction):
    return value * factor if isinstance(value, Fraction) else value * factor.numerator / factor.denominator


def _close(wanted, value, gold: Number, answer: Number, question: Question, config: GradingConfig) -> bool:
    if wanted == value:
        return True
    one, other = as_float(wanted), as_float(value)
    difference = abs(one - other)
    if isinstance(question.tolerance, (int, float)):
        return difference <= abs(question.tolerance) * (1 + 1e-9)
    if question.precision is not None:
        return _rounded(wanted, question.precision) == _rounded(value, question.precision)
    if question.kind == "count":
        return False
    larger = max(abs(one), abs(other))
    if not isinstance(wanted, Fraction) or not isinstance(value, Fraction):
        if difference <= larger * 1e-25:
            return True
    if config.relaxed and not _is_year(gold, question):
        return difference <= abs(one) * config.relative_tolerance * (1 + 1e-9)
    if config.rounding and gold.decimals and answer.approximate and _rounded(value, gold.decimals) == wanted:
        return True
    if not gold.approximate and not answer.approximate:
        return False  # both exact, and different
    if gold.whole and not answer.approximate:
        return False
    if gold.whole:
        return difference <= abs(one) * 1e-6
    if gold.decimals is not None and gold.decimals == answer.decimals:
        return False
    return difference <= larger * config.relative_tolerance * (1 + 1e-9)


def _is_year(gold: Number, question: Question) -> bool:
    whole = (
        isinstance(gold.value, Fraction)
        and gold.value.denominator == 1
        and gold.literal
        and not gold.unit
        and not gold.percent
    )
    if not whole or not _YEAR.fullmatch(str(gold.value)) or gold.decimals:
        return False
    return (
        not question.text
        or bool(re.search(r"\b(?:year|when|decade|date)s?\b", question.text, re.IGNORECASE))
        or bool(_YEAR.search(question.text))
    )


def _rounded(value, decimals: int) -> Fraction:
    """Half away from zero, exactly."""
    scaled = (value if isinstance(value, Fraction) else Fraction(str(value))) * 10**decimals
    whole = int(abs(scaled) + Fraction(1, 2))
    return Fraction(whole if scaled >= 0 else -whole, 10**decimals)


# --- assignments ---------------------------------------------------------------------------------------------------


def _value_side(text: str) -> str | None:
    """The value in ``x = 5``, ``\\angle A = 74°`` or ``x \\in (1, 2)``; None where the text is no such assignment."""
    text = tidy(text)
    if member := _MEMBER.match(text):
        return text[member.end() :].strip()
    sides = _sides(text)
    if len(sides) < 2:
        return None
    named = _NAME.fullmatch(sides[0])
    if len(sides) == 2 and named and not re.fullmatch(r".*[A-Za-z]\s*[A-Za-z(]*.*/.*[a-z].*", sides[0]):
        return sides[1]
    if (named and len(sides) > 2 or read_number(sides[0]) is not None) and read_number(sides[-1]) is not None:
        return sides[-1]
    return None


def _sides(text: str) -> list[str]:
    """The sides of an equation; nothing where one is empty or cut inside braces, or another relation stands there."""
    text = tidy(text)
    if text.startswith("(") and text.endswith(")") and not re.search(r"[()]", text[1:-1]):
        text = text[1:-1]
    sides = [side.strip() for side in _RELATION.split(text)]
    if re.search(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])", text) or not all(sides):
        return []
    return sides if all(side.count("{") == side.count("}") for side in sides) else []


def _side_name(text: str) -> str:
    return re.sub(r"[_{}]", "", compact(_RELATION.split(tidy(text))[0].split("\\in")[0]))


# --- several values ------------------------------------------------------------------------------------------------


def _sequences(
    one: Sequence | None,
    other: Sequence | None,
    gold: str,
    answer: str,
    question: Question,
    config: GradingConfig,
    depth: int,
) -> Verdict | None:
    """The verdict on two sequences, or None where it is not decided by their parts."""
    if one is None or other is None:
        lone = gold if one is None else answer
        several = other if one is None else one
        side = _value_side(lone)
        if side is not None and (read_sequence(side) is not None):
            return same(side if one is None else gold, answer if one is None else side, question, config, depth + 1)
        if is_wordy(gold) or is_wordy(answer):
            return _text(gold, answer, config)
        if len(several.parts) > 1 and read_number(lone) is not None:
            return Verdict(WRONG, "other_parts", "sequence")
        if several.brackets == "{}" and len(several.parts) == 1:
            return same(
                gold if one is None else several.parts[0],
                several.parts[0] if one is None else answer,
                question,
                config,
                depth + 1,
            )
        if several.brackets in (*_INTERVALS, "matrix") or re.search(
            r"[<>]|\\(?:le|ge|cup|setminus|pm)(?![A-Za-z])", lone
        ):
            return None
        if one is None and (_is_formula(gold) and re.search(r"[,;]|\\quad|\\text|\\pm", gold)):
            return None
        return Verdict(WRONG, "other_parts", "sequence")

    left, right = list(one.parts), list(other.parts)
    if one.brackets == other.brackets == "" and one.parts and is_wordy(gold) and not re.search(r"\d", gold + answer):
        if words(gold) == words(answer):
            return Verdict(CORRECT, "same_text", "sequence")
    for brackets, parts in ((one.brackets, left), (other.brackets, right)):
        if brackets == "" and len(parts) > 1:
            parts[:] = _expanded(parts)
    if "matrix" in (one.brackets, other.brackets):
        if one.brackets != other.brackets:
            return None
        if one.columns != other.columns:
            return Verdict(WRONG, "other_parts", "sequence")
    pair = {one.brackets, other.brackets}
    if len(pair) == 2 and "" not in pair:
        return Verdict(WRONG, "other_parts", "sequence")
    if len(left) != len(right):
        return Verdict(WRONG, "other_parts", "sequence")

    ordered = config.ordered_lists or bool(pair & {*_INTERVALS, "matrix"})
    tolerances = question.tolerance if isinstance(question.tolerance, tuple) else None

    def alike(index: int, first: str, second: str) -> bool | None:
        inner = question
        if tolerances is not None:
            inner = replace(question, tolerance=tolerances[index] if index < len(tolerances) else None)
        names = _side_name(first), _side_name(second)
        if "=" in first and "=" in second and names[0] != names[1] and _value_side(first) and _value_side(second):
            return False
        verdict = same(first, second, inner, config, depth + 1)
        return verdict.correct

    undecided = False
    if ordered:
        for index, (first, second) in enumerate(zip(left, right, strict=True)):
            result = alike(index, first, second)
            if result is False:
                return Verdict(WRONG, "other_parts", "sequence")
            undecided |= result is None
    else:
        unused = list(range(len(right)))
        for index, first in enumerate(left):
            found = None
            for place in unused:
                result = alike(index, first, right[place])
                if result:
                    found = place
                    break
                undecided |= result is None
            if found is None:
                return (
                    Verdict(UNVERIFIABLE, "timeout", "sequence")
                    if undecided
                    else Verdict(WRONG, "other_parts", "sequence")
                )
            unused.remove(found)
        undecided = False
    if undecided:
        return Verdict(UNVERIFIABLE, "timeout", "sequence")
    return Verdict(CORRECT, "same_parts", "sequence")


def _expanded(parts: list[str]) -> list[str]:
    """Parts with every ``\\pm`` written out."""
    found = []
    for part in parts:
        found += [part.replace("\\pm", "+"), part.replace("\\pm", "-")] if part.count("\\pm") == 1 else [part]
    return found
