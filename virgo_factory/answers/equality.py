"""Whether two answers are the same: both are read once, then a table says how two kinds are compared."""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from virgo_factory.answers.dates import Moment, same_moment
from virgo_factory.answers.formulas import TooLarge, closed_value, same_expression
from virgo_factory.answers.grading import GradingConfig
from virgo_factory.answers.latex import alike, compact, tidy, words
from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Question, Verdict
from virgo_factory.answers.numbers import FIRM, MP, Number, as_float, conversions, multiply, read_number, told
from virgo_factory.answers.phrases import BOOLEANS, said_boolean
from virgo_factory.answers.reading import (
    OPERATOR,
    Based,
    Formula,
    Range,
    Ratio,
    Reading,
    Relation,
    Words,
    conditional_value,
    gold_problem,
    is_formula,
    read,
    sides_of,
    value_side,
)
from virgo_factory.answers.sequences import Intervals, Sequence, read_sequence
from virgo_factory.answers.trees import GREEK
from virgo_factory.answers.units import read_unit


_SAID = BOOLEANS | {"1": True, "0": False, "y": True, "n": False, "right": True, "wrong": False}
"""Words that answer yes or no where the question is known to ask for that."""
_YEAR = re.compile(r"(?:1[5-9]|20|21)\d\d")
MAX_DEPTH = 4


def same(gold: str, answer: str, question: Question, config: GradingConfig, depth: int = 0) -> Verdict:
    """Return the verdict on an answer to an open question."""
    if depth == 0 and gold_problem(gold):
        return Verdict(UNVERIFIABLE, "gold_unreadable", "text")
    gold, answer = alike(gold, answer)
    if compact(gold) == compact(answer):
        return Verdict(CORRECT, "same_text", kind_of(gold, question))
    if question.kind == "boolean" or question.kind is None and words(gold) in BOOLEANS:
        return _boolean(gold, answer, config)
    if question.kind == "text":
        return _text(gold, answer, config)
    if depth == 0 and ("\\approx" in tidy(gold) or "\\approx" in tidy(answer)):
        return _approximate(gold, answer, question, config)
    return _Comparison(gold, answer, question, config, depth).verdict()


def kind_of(gold: str, question: Question) -> str:
    """Return the kind of an open question, from what is stated and from its gold answer."""
    if question.kind:
        return question.kind
    if words(gold) in BOOLEANS:
        return "boolean"
    what = read(gold).what
    if isinstance(what, Number):
        return "count" if what.whole and re.match(r"\s*how many\b", question.text, re.IGNORECASE) else "number"
    names = {
        Moment: "date",
        Sequence: "sequence",
        Intervals: "sequence",
        Range: "sequence",
        Ratio: "number",
        Based: "number",
        Words: "text",
    }
    return names.get(type(what), "expression")


def _verdict(equal: bool, what: str, kind: str) -> Verdict:
    return Verdict(CORRECT if equal else WRONG, f"{'same' if equal else 'other'}_{what}", kind)


_APPROXIMATION = re.compile(r"\\approx(?![A-Za-z])")


def _approximate(gold: str, answer: str, question: Question, config: GradingConfig) -> Verdict:
    """An exact value with its approximation: either of them may be the answer, and the gold."""
    verdict = _verdict(False, "value", "number")
    for wanted in _APPROXIMATION.split(tidy(gold))[:3]:
        for got in _APPROXIMATION.split(tidy(answer))[:3]:
            if wanted.strip() and got.strip():
                verdict = same(wanted.strip(), got.strip(), question, config, 1)
                if verdict.verdict == CORRECT:
                    return verdict
    return verdict


# --- booleans and text ---------------------------------------------------------------------------------------------


def _boolean(gold: str, answer: str, config: GradingConfig) -> Verdict:
    wanted, told = _SAID.get(words(gold)), said_boolean(tidy(answer))
    if told is None and words(gold) not in BOOLEANS:
        told = _SAID.get(words(answer))
    if wanted is None or told is None:
        return _text(gold, answer, config) if len(tidy(answer).split()) == 1 else _verdict(False, "text", "boolean")
    return Verdict(*((CORRECT, "same_text") if told == wanted else (WRONG, "other_value")), "boolean")


def _text(gold: str, answer: str, config: GradingConfig) -> Verdict:
    synonyms = dict(config.synonyms)
    wanted, got = (synonyms.get(text, text) for text in (words(gold), words(answer)))
    equal = wanted == got or _spelled(wanted) == _spelled(got)
    if not equal and 1 < len(got.split()) <= 40 and len(wanted) > 1:
        equal = bool(
            re.search(rf"(?:^|\s)(?:is|are|was|were|be|called|named|in|answer) {re.escape(wanted)}$", got)
        ) and not re.search(r"\b(?:not|never|or|neither|nor|isn't|cannot)\b", got)
    return _verdict(equal, "text", "text")


def _spelled(text: str) -> str:
    """Words with single letters that were set apart, and hyphens, in one spelling."""
    text = re.sub(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})", " ", text)
    return (
        text.replace(" ", "")
        if re.fullmatch(r"(?:\w )+\w", text) and re.search(r"[^\W\d_]", text) and not re.search(r"\d \d", text)
        else text
    )


# --- the table -----------------------------------------------------------------------------------------------------


class _Comparison:
    """A gold answer and an answer, both read, and how the question wants them compared."""

    def __init__(self, gold: str, answer: str, question: Question, config: GradingConfig, depth: int) -> None:
        self.gold, self.answer, self.question, self.config, self.depth = gold, answer, question, config, depth
        self.undecided = "timeout"

    def inner(self, gold: str, answer: str, question: Question | None = None) -> Verdict:
        """The verdict on parts of both sides."""
        if self.depth >= MAX_DEPTH:
            return Verdict(UNVERIFIABLE, "too_large", "sequence")
        verdict = same(gold, answer, question or self.question, self.config, self.depth + 1)
        if verdict.verdict == UNVERIFIABLE:
            self.undecided = verdict.reason
        return verdict

    def verdict(self) -> Verdict:
        one, other = read(self.gold, self.question.text), read(self.answer, self.question.text)
        if (value := conditional_value(self.answer)) and conditional_value(self.gold) is None:
            other = read(value, self.question.text)
        if one.name and other.name and one.name.casefold() != other.name.casefold():
            return self.equations(one, other)
        if (
            not one.name
            and not other.name
            and isinstance(other.what, Formula)
            and len(sides := sides_of(other.text)) > 1
        ):
            if (
                len(sides_of(one.text)) < 2
                and not isinstance(one.what, (Words, Intervals))
                and "\\begin" not in other.text
            ):
                if sides[-1] == "0" or not is_formula(sides[-1]) and read_number(sides[-1]) is None:
                    return _verdict(False, "expression", "expression")
                other = read(sides[-1], self.question.text)
        compare = TABLE.get((type(one.what), type(other.what)), _Comparison.unlike)
        return compare(self, one, other)

    # Numbers

    def numbers(self, one: Reading, other: Reading) -> Verdict:
        gold, answer, question = one.what, other.what, self.question
        kind = "count" if question.kind == "count" else "number"
        if question.unit and not gold.unit and answer.unit:
            units, end = read_unit(tidy(question.unit))
            if units and end == len(tidy(question.unit)):
                gold = replace(gold, unit=question.unit, units=units)
        factors = conversions(gold, answer)
        if factors is None or not _same_things(gold, answer, question.text):
            return _verdict(False, "unit", kind)
        equal = any(self.close(gold, answer, value) for value in _values(gold, answer, factors, self.config))
        return _verdict(equal, "value", kind)

    def close(self, gold: Number, answer: Number, value) -> bool:
        """Whether a value is the gold's, as exactly as both are written and the grading asks."""
        question, config, wanted = self.question, self.config, gold.value
        if wanted == value:
            return True
        one, other = as_float(wanted), as_float(value)
        if MP.isinf(one) or MP.isinf(other):
            return False
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
        if not gold.approximate and not answer.approximate or gold.whole and not answer.approximate:
            return False  # both exact, and different
        if gold.whole:
            return difference <= min(abs(one), 1) * 1e-6
        if gold.literal and answer.literal and gold.decimals is not None and answer.decimals is not None:
            # Two decimals: the digits that both have must agree, and the rest may only be a rounding.
            step = 0.5 * 0.1 ** min(gold.decimals, answer.decimals)
            if gold.decimals == answer.decimals or difference >= min(step, 1e-4):
                return False
        return difference <= larger * config.relative_tolerance * (1 + 1e-9)

    def number_and_moment(self, one: Reading, other: Reading) -> Verdict:
        """A bare hour stands for the time; a time is no bare number."""
        value, moment = one.what.value, other.what
        plain = moment == Moment(moment.seconds, moment.definite) and moment.seconds is not None and not one.what.unit
        equal = plain and any(value * 3600 == moment.seconds - half for half in (0, 43_200) if value <= 24)
        return _verdict(equal, "value", "date")

    def ratios(self, one: Reading, other: Reading) -> Verdict:
        sides = [
            side.what.parts if isinstance(side.what, Ratio) else (side.what.value, Fraction(1))
            for side in (one, other)
        ]
        equal = len(sides[0]) == len(sides[1]) and all(
            _equal(multiply(left, sides[1][0]), multiply(right, sides[0][0]))
            for left, right in zip(*sides, strict=True)
        )
        return _verdict(equal, "value", "number")

    def based(self, one: Reading, other: Reading) -> Verdict:
        gold, answer = one.what, other.what
        if isinstance(gold, Based) and isinstance(answer, Based):
            equal = int(gold.digits, gold.base) == int(answer.digits, answer.base)
        else:
            based, text = (gold, other.text) if isinstance(gold, Based) else (answer, one.text)
            equal = based.digits.lstrip("0") == compact(text).lower().lstrip("0")
        return _verdict(equal, "value", "number")

    # Moments and ranges

    def moments(self, one: Reading, other: Reading) -> Verdict:
        return _verdict(same_moment(one.what, other.what), "value", "date")

    def ranges(self, one: Reading, other: Reading) -> Verdict:
        units = {one.what.unit, other.what.unit} - {""}
        return _verdict(one.what.ends == other.what.ends and len(units) < 2, "parts", "sequence")

    # Several values

    def intervals(self, one: Reading, other: Reading) -> Verdict:
        sides = []
        for side in (one, other):
            pieces = side.what.pieces if isinstance(side.what, Intervals) else (side.what,)
            if not all(piece.is_interval for piece in pieces):
                return self.parts(False)
            sides.append(list(pieces))
        names = {
            re.sub(r"[_{}\s]", "", side.what.name)
            for side in (one, other)
            if isinstance(side.what, Intervals) and side.what.name
        }
        if len(names | {side.name for side in (one, other) if side.name and not isinstance(side.what, Intervals)}) > 1:
            return self.parts(False)
        return self.matched(len(sides[0]), sides[1], lambda index, piece: self.same_interval(sides[0][index], piece))

    def same_interval(self, one: Sequence, other: Sequence) -> bool | None:
        results = [self.inner(left, right).correct for left, right in zip(one.parts, other.parts, strict=True)]
        open_ends = ["\\infty" in compact(part) for part in one.parts]
        closed = all(
            left == right or free for left, right, free in zip(one.brackets, other.brackets, open_ends, strict=True)
        )
        return False if not closed or False in results else None if None in results else True

    def sequences(self, one: Reading, other: Reading) -> Verdict:
        gold, answer = one.what, other.what
        left, right = [_expanded(side) for side in (gold, answer)]
        if {gold.brackets, answer.brackets} == {"<", ">"}:
            right, answer = right[::-1], gold
        pair = {gold.brackets, answer.brackets}
        if "matrix" in pair and len(pair) == 2:
            matrix, other_side = (gold, answer) if gold.brackets == "matrix" else (answer, gold)
            if other_side.brackets not in ("()", "[]") or 1 not in (
                matrix.columns,
                len(matrix.parts) // matrix.columns,
            ):
                return self.parts(False)
        elif gold.columns != answer.columns or len(pair - {""}) == 2 and not _alike_brackets(pair, len(left)):
            return self.parts(False)
        if len(left) != len(right):
            return self.parts(False)
        joints = [set(re.findall(r"\b(?:and|or)\b|\\land|\\lor", side.text)) for side in (one, other)]
        if all(joints) and joints[0] != joints[1] and not re.search(r"\d", one.text):
            return self.parts(False)
        named = [_distinct_names(parts) for parts in (left, right)]
        listed = "{}" not in pair and (bool(pair - {""}) or _is_ordered(self.question, self.config, left))
        in_order = not all(named) and (any(named) or listed)
        tolerances = self.question.tolerance if isinstance(self.question.tolerance, tuple) else None

        def alike(index: int, second: str) -> bool | None:
            inner = self.question
            if tolerances is not None:
                inner = replace(inner, tolerance=tolerances[index] if index < len(tolerances) else None)
            names = [side[0] for text in (left[index], second) if (side := value_side(text))]
            if len(set(filter(None, names))) == 2:
                return False
            return self.inner(left[index], second, inner).correct

        if not in_order:
            return self.matched(len(left), right, alike)
        results = []
        for index, second in enumerate(right):
            results.append(alike(index, second))
            if results[-1] is False:
                return self.parts(False)
        return self.parts(None if None in results else True)

    def matched(self, count: int, others: list, alike: Callable) -> Verdict:
        """The verdict on parts in any order."""
        unused, undecided = list(range(len(others))), False
        if count != len(others):
            return self.parts(False)
        for index in range(count):
            for place in unused:
                result = alike(index, others[place])
                if result:
                    unused.remove(place)
                    break
                undecided |= result is None
            else:
                return self.parts(None if undecided else False)
        return self.parts(True)

    def parts(self, equal: bool | None) -> Verdict:
        """The verdict on several parts; None where one of them was not decided."""
        if equal is None:
            return Verdict(UNVERIFIABLE, self.undecided, "sequence")
        return _verdict(equal, "parts", "sequence")

    def sequence_and_value(self, one: Reading, other: Reading) -> Verdict:
        """Several values against one: the same only where a formula may stand for a set of values."""
        pair = one.what, other.what
        formula = next((side.text for side in pair if isinstance(side, Formula)), "")
        bare = any(isinstance(side, Sequence) and not side.brackets for side in pair)
        if not formula or bare and not re.search(r"[,<>]|\\(?:pm|cup|le|ge|in|mid)(?![A-Za-z])", formula):
            return self.parts(False)
        return self.formulas(one, other)

    # Formulas and words

    def equations(self, one: Reading, other: Reading) -> Verdict:
        """Two assignments to different names: the same only as equations."""
        if not (isinstance(one.what, Formula) or isinstance(other.what, Formula)):
            return _verdict(False, "value", "expression")
        return self.formulas(one, other)

    def formulas(self, one: Reading, other: Reading) -> Verdict:
        named = one.name != other.name and one.name and other.name
        gold, answer = (one.text, other.text) if named else (_plain(one), _plain(other))
        if bool(one.name) != bool(other.name) and len(sides_of((other if one.name else one).text)) > 1:
            gold, answer = one.text, other.text
        if compact(gold) == compact(answer):
            return _verdict(True, "text", "expression")
        known, got = (side.what if isinstance(side.what, Number) else None for side in (one, other))
        if len(sides_of(gold)) > 1 > len(sides_of(answer)) - 1 and not re.search(
            r"[<>=]|\\(?:le|ge|ne|in)(?![A-Za-z])", answer
        ):
            return _verdict(False, "expression", "expression")
        bound = _BOUND.search(tidy(gold)) or _BOUND.search(tidy(answer))
        if not bound and (
            variables(gold) - variables(answer) or (known is not None and not known.literal and variables(answer))
        ):
            return _verdict(False, "expression", "expression")
        if _is_shuffled(gold, answer):
            return _verdict(False, "expression", "expression")
        try:
            if (known is None) != (got is None) and (values := _evaluated(known, got, gold, answer)) is not None:
                return self.numbers(*values)
            found = same_expression(gold, answer, self.question.text)
        except TooLarge:
            return Verdict(UNVERIFIABLE, "too_large", "expression")
        except TimeoutError:
            return Verdict(UNVERIFIABLE, "timeout", "expression")
        if found is None:
            return self.unreadable(gold, answer)
        return _verdict(found, "expression", "expression")

    def unreadable(self, gold: str, answer: str) -> Verdict:
        """Two formulas of which one cannot be read: the same where their words are."""
        if words(gold) == words(answer) and _OPERATORS.findall(compact(gold)) == _OPERATORS.findall(compact(answer)):
            return _verdict(True, "text", "expression")
        signs_only = not re.search(r"[^\W_]", gold + answer)
        if signs_only or variables(gold) != variables(answer) or _is_shuffled(gold, answer, _ARITHMETIC):
            return _verdict(False, "text", "expression")
        return Verdict(UNVERIFIABLE, "unreadable", "expression")

    def relations(self, one: Reading, other: Reading) -> Verdict:
        gold, answer = one.what, other.what
        ways = [(answer.left, answer.sign, answer.right)]
        if turned := _TURNED.get(answer.sign):
            ways.append((answer.right, turned, answer.left))
        equal = any(
            sign == gold.sign
            and all(
                compact(own) == compact(side) or own and side and self.inner(own, side).correct
                for own, side in ((gold.left, left), (gold.right, right))
            )
            for left, sign, right in ways
        )
        return _verdict(equal, "expression", "expression")

    def texts(self, one: Reading, other: Reading) -> Verdict:
        return _text(one.what.text, other.what.text, self.config)

    def letters_and_formula(self, one: Reading, other: Reading) -> Verdict:
        """Up to three letters may be a product where the other side is a formula."""
        letters = one if isinstance(one.what, Words) else other
        if re.fullmatch(r"[A-Za-z]{1,3}", letters.text):
            return self.formulas(one, other)
        return self.unlike(one, other)

    def unlike(self, one: Reading, other: Reading) -> Verdict:
        """Two kinds that are never the same: only their words may be."""
        if isinstance(one.what, Words) or isinstance(other.what, Words):
            return _text(one.text, other.text, self.config)
        return _verdict(
            False,
            "parts" if isinstance(one.what, (Sequence, Intervals)) else "value",
            kind_of(self.gold, self.question),
        )


TABLE: dict[tuple[type, type], Callable[[_Comparison, Reading, Reading], Verdict]] = {
    (Number, Number): _Comparison.numbers,
    (Number, Moment): _Comparison.number_and_moment,
    (Moment, Moment): _Comparison.moments,
    (Range, Range): _Comparison.ranges,
    **dict.fromkeys(((Ratio, Ratio), (Ratio, Number), (Number, Ratio)), _Comparison.ratios),
    **{pair: _Comparison.based for kind in (Based, Number, Words, Formula) for pair in ((Based, kind), (kind, Based))},
    **dict.fromkeys(((Intervals, Intervals), (Intervals, Sequence), (Sequence, Intervals)), _Comparison.intervals),
    (Sequence, Sequence): _Comparison.sequences,
    **{
        pair: _Comparison.sequence_and_value
        for kind in (Sequence, Intervals)
        for other in (Number, Formula)
        for pair in ((other, kind), (kind, other))
    },
    **dict.fromkeys(((Formula, Formula), (Formula, Number), (Number, Formula)), _Comparison.formulas),
    **dict.fromkeys(((Words, Formula), (Formula, Words)), _Comparison.letters_and_formula),
    (Relation, Relation): _Comparison.relations,
    (Words, Words): _Comparison.texts,
}
"""(kind of the gold, kind of the answer) -> how they are compared; any other two kinds are not the same."""


def _plain(reading: Reading) -> str:
    """The value of a named formula, else the whole text."""
    side = value_side(reading.text) if reading.name else None
    return side[1] if side else reading.text


# --- numbers -------------------------------------------------------------------------------------------------------


def _same_things(gold: Number, answer: Number, question: str) -> bool:
    """Whether two numbers are told of the same things: the same way, side and era, and no other unit or noun."""
    if gold.marks == answer.marks and gold.words == answer.words and bool(gold.units) == bool(answer.units):
        return True
    asked_marks, asked = told(question[-2_000:])
    for mark in gold.marks ^ answer.marks:
        opposed = [other for other in (gold.marks if mark in answer.marks else answer.marks) if other[0] == mark[0]]
        if opposed or mark in gold.marks and mark[0] in FIRM and mark not in asked_marks:
            return False
    if bool(gold.units) != bool(answer.units):  # a unit against a word that is none
        counted = (gold.words if not gold.units else answer.words) - {"said in a sentence"}
        if counted and "said in a sentence" not in (gold.words | answer.words):
            return False
    one, other = (side.words - {"said in a sentence"} for side in (gold, answer))
    return (
        _covered(one, other | asked)
        and bool(not one or one & other or _covered(one, other))
        or _covered(other, one | asked)
        and bool(not other or one & other or _covered(other, one))
    )


def _covered(some: frozenset[str], others: frozenset[str]) -> bool:
    """Whether all words occur among others; Chinese ones also inside a longer one."""
    return all(word in others or word[0] > "\u4dff" and any(word in other for other in others) for word in some)


def _values(gold: Number, answer: Number, factors, config: GradingConfig):
    for factor, offset in factors:
        value = answer.value
        if (factor, offset) != (1, 0):
            value = _shifted(multiply(value, factor), offset)
        yield value
        if gold.percent != answer.percent:
            yield multiply(value, Fraction(1, 100) if answer.percent else Fraction(100))
        if config.percent_scale:
            yield multiply(value, Fraction(100))
            yield multiply(value, Fraction(1, 100))


def _shifted(value, offset: Fraction):
    return value + offset if isinstance(value, Fraction) else value + as_float(offset)


def _equal(one, other) -> bool:
    return one == other or abs(as_float(one) - as_float(other)) <= abs(as_float(one)) * 1e-25


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


# --- several values ------------------------------------------------------------------------------------------------

_ANY_ORDER = re.compile(
    r"\b(?:in )?any order\b|order (?:does not|doesn't) matter|任意顺序|顺序不限|不分(?:先后|顺序)", re.IGNORECASE
)
_ORDER = re.compile(
    r"\brespectively\b|\bin (?:that|this|the following|the same|the given|increasing|decreasing|ascending|descending|alphabetical|chronological|reverse|numerical|what|which|the correct"
    r"|the right|size|rank) order\b|\bin order(?! to\b| that\b| for\b)|\bfrom (?:the )?(?:\w+est|least|most|first|top|bottom|left|right|low|high|small|large)\b.{0,40}\bto\b|\border(?:ed|ing)? (?:of|from|by)\b"
    r"|\b(?:rank|ranking|arrange|sort|sorted|sequence of (?:steps|events|throws|moves|operations))\b|\b(?:smallest|largest|shortest|tallest|lightest|heaviest|oldest|youngest|least|greatest|lowest|highest|fewest|most|cheapest"
    r"|slowest|fastest)\b.{0,12} (?:first|to (?:the )?\w+)\b|\bfirst to last\b|\bcoordinates?\b|依次|分别|由.{1,6}到|从.{1,8}[到至]|排列|排序|排名|先后|顺序|坐标|次序",
    re.IGNORECASE,
)
_SET = re.compile(
    r"\b(?:all|solve|solutions?|roots?|zero(?:e?s)?|possible|both|eigenvalues?|factors|divisors|integers|numbers|primes|pairs|triples|functions|sets?|elements|members|intersections?|intercepts|multiples"
    r"|which (?:of|two|three|four|\w+s)|what (?:two|three|four)|(?:name|find|give|list|identify) (?:the )?(?:two|three|four)|values? of (?:the )?\$?\\?[A-Za-z]{1,8}\$?(?! and))\b"
    r"|解方程|方程.*解|的[解根]|所有|全部|哪[些几两三个]|各|因数|约数|质数|可能",
    re.IGNORECASE,
)


def _is_ordered(question: Question, config: GradingConfig, parts: list[str]) -> bool:
    """Whether the parts of a bare list stand in an order that counts."""
    text = question.text[-3_000:]
    if config.ordered_lists or not text.strip() or _ANY_ORDER.search(text):
        return config.ordered_lists
    letters = all(re.fullmatch(r"\(?[A-Za-z]\)?", part) for part in parts)  # of options
    return bool(_ORDER.search(text)) or not (letters or question.several or _SET.search(text))


def _alike_brackets(pair: set[str], count: int) -> bool:
    """Whether a set may be written as a list in square brackets: with two parts that would be an interval."""
    return pair == {"{}", "[]"} and count > 2


def _distinct_names(parts: list[str]) -> bool:
    """Whether every part is an assignment, each to a name of its own."""
    names = [side[0] for part in parts if (side := value_side(part)) and side[0]]
    return len(names) == len(parts) == len(set(names)) > 1


def _expanded(sequence: Sequence) -> list[str]:
    """The parts, of a bare list with every plus-minus written out."""
    if sequence.brackets:
        return list(sequence.parts)
    found = []
    for part in sequence.parts:
        inner = read_sequence(part) if re.search(r"\\pm(?![A-Za-z])", part) else None
        found += inner.parts if inner and not inner.brackets else [part]
    return found


_TURNED = {f"\\{one}": f"\\{other}" for pair in ("subset supset", "subseteq supseteq", "Rightarrow Leftarrow", "to leftarrow") for one, other in
           (pair.split(), pair.split()[::-1])} | {f"\\{sign}": f"\\{sign}" for sign in "parallel perp cong sim equiv ne land lor cup cap Leftrightarrow leftrightarrow".split()}  # fmt: skip
"""Signs of relations, and those that say the same with the sides exchanged."""

# --- formulas ------------------------------------------------------------------------------------------------------

_BOUND = re.compile(r"[<>=:]|\\(?:le|ge|ne|in|sum|prod|int|lim|approx|equiv|mid|forall)(?![A-Za-z])")
"""Signs whose letters need not occur on the other side: of relations, sets, sums and integrals."""
_OPERATORS = re.compile(r"[-+*/^=<>|!()]")
_VARIABLE = re.compile(r"\\([A-Za-z]+)|([A-Za-z])")
_CONSTANTS = frozenset("e i d j pi infty".split())


def variables(text: str) -> frozenset[str]:
    """Return the letters a formula depends on, in lower case; a simplified gold holds no letter that an equal answer lacks.

    >>> sorted(variables(r"\\frac{K-1}{L} e^{2x}")), sorted(variables(r"\\sin(\\omega t)"))
    (['k', 'l', 'x'], ['omega', 't'])
    """
    found = set()
    for command, letter in _VARIABLE.findall(
        _PLAIN_FUNCTION.sub(" ", re.sub(r"_(?:\{[^{}]*\}|[A-Za-z0-9])", "", tidy(text)))
    ):
        if letter or command in GREEK:
            found.add((letter or command).lower())
    return frozenset(found - _CONSTANTS)


_ARITHMETIC = re.compile(r"[-+*/^=<>]|\\(?:frac|sqrt|cdot|times|div|pm|cup|cap|le|ge)(?![A-Za-z])")
_PLAIN_FUNCTION = re.compile(
    r"(?<![A-Za-z\\])(?:arc)?(?:sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|log|ln|exp|sqrt|lim|max|min|gcd|lcm|mod)(?![A-Za-z])"
)


def _is_shuffled(gold: str, answer: str, operators: re.Pattern[str] = OPERATOR) -> bool:
    """Whether both sides hold the same letters and digits in another order, and neither has an operator."""
    signs = [re.findall(r"\\[A-Za-z]+|[A-Za-z0-9]", tidy(text)) for text in (gold, answer)]
    return (
        sorted(signs[0]) == sorted(signs[1])
        and signs[0] != signs[1]
        and not operators.search(tidy(gold) + " " + tidy(answer))
    )


def _evaluated(known: Number | None, got: Number | None, gold: str, answer: str) -> tuple[Reading, Reading] | None:
    """Both sides as numbers where one is a formula without letters."""
    values = []
    for number, text in ((known, gold), (got, answer)):
        if number is None and (value := closed_value(text)) is None:
            return None
        values.append(Reading(text, "", number or Number(value)))
    return values[0], values[1]
