"""Whether two answers are the same: both are read once, then a table says how two kinds are compared."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import product

from virgo_factory.answers.grading import GradingConfig
from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, Question, Verdict
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose.clauses import RESTATES, clauses, committed
from virgo_factory.answers.prose.phrases import BOOLEANS, refuses, said_boolean, says_boolean
from virgo_factory.answers.values.dates import Moment, same_moment
from virgo_factory.answers.values.formulas import GREEK, MP, TooLarge, as_float, same_expression
from virgo_factory.answers.values.latex import alike, compact, tidy, words
from virgo_factory.answers.values.numbers import FIRM, MARKS, SCALES, Number, conversions, read_number, told
from virgo_factory.answers.values.reading import (
    MULTIPLE,
    OPERATOR,
    SAID,
    Based,
    Formula,
    Reading,
    Words,
    gold_problem,
    read,
    sides_of,
    value_side,
)
from virgo_factory.answers.values.sequences import SYMMETRIC, Sequence
from virgo_factory.answers.values.units import asked_units, named, read_unit


_SAID = BOOLEANS | {"1": True, "0": False, "y": True, "n": False, "right": True, "wrong": False}
"""Words that answer yes or no where the question is known to ask for that."""
_APPROXIMATION = re.compile(r"\\approx(?![A-Za-z])")
_SUFFIX = re.compile(r"(?<=\d)([MBkK])$")
_SCALES = {"M": " million", "B": " billion", "k": " thousand", "K": " thousand"}
_ANGLE = re.compile(r"(\\angle\s*|∠\s*)([A-Z])([A-Z])([A-Z])(?![A-Za-z])")
"""An angle at a point, whose other two points have no order: ∠CAB is ∠BAC."""
_ENDS = re.compile(r"\s*\$?\s*(?:[?,.]|$)")
MAX_DEPTH = 4
_same_parts = partial(Verdict.of, what="parts", kind="sequence")


def same(gold: str, answer: str, question: Question, config: GradingConfig, depth: int = 0) -> Verdict:
    """Return the verdict on an answer to an open question."""
    if depth == 0 and gold_problem(gold):
        return Verdict(UNVERIFIABLE, "gold_unreadable", "text")
    gold, answer = (
        _ANGLE.sub(lambda said: said[1] + min(said[2], said[4]) + said[3] + max(said[2], said[4]), text)
        for text in alike(gold, answer)
    )
    if compact(gold) == compact(answer) or _phone(gold) and _phone(gold) == _phone(answer):
        return Verdict(CORRECT, "same_text", kind_of(gold, question))
    if question.kind == "boolean" or question.kind is None and says_boolean(gold):
        wanted, got = _SAID.get(words(gold), False if says_boolean(gold) else None), said_boolean(tidy(answer))
        return Verdict.of(got is not None and got == wanted, "value", "boolean")
    if question.kind == "text":
        return _text(gold, answer, config)
    if depth == 0 and ("\\approx" in tidy(gold) or "\\approx" in tidy(answer)):
        return _approximate(gold, answer, question, config)
    gold, answer = _scaled(gold, answer), _scaled(answer, gold)
    return _Comparison(gold, answer, question, config, depth).verdict()


def _phone(text: str) -> str | None:
    """The digits of a telephone number in groups of three, three and four; None of anything else."""
    found = _GROUPS.fullmatch(tidy(text))
    return "".join(found.groups()) if found else None


_GROUPS = re.compile(r"\(?(\d{3})\)?[-. ]{1,2}(\d{3})[-. ](\d{4})")


def _scaled(text: str, other: str) -> str:
    """2.5M is 2.5 million where the other side says so."""
    suffix = _SUFFIX.search(tidy(text))
    return tidy(text)[:-1] + scale if suffix and (scale := _SCALES[suffix[1]]) in tidy(other) else text


def kind_of(gold: str, question: Question) -> str:
    """Return the kind of an open question, from what is stated and from its gold answer."""
    if question.kind or says_boolean(gold):
        return question.kind or "boolean"
    names = {Number: "number", Sequence: "sequence", Moment: "date", Based: "number", Words: "text"}
    return names.get(type(read(gold).what), "expression")


def _approximate(gold: str, answer: str, question: Question, config: GradingConfig) -> Verdict:
    """An exact value with its approximation: either of them may be the answer, and the gold."""
    sides = ([part for part in _APPROXIMATION.split(tidy(text))[:3] if part.strip()] for text in (gold, answer))
    verdicts = [same(wanted, got, question, config, 1) for wanted, got in product(*sides)]
    return max(verdicts, key=lambda found: found.correct is True, default=Verdict.of(False, "value", "number"))


# --- booleans and text ---------------------------------------------------------------------------------------------

_SAYING = frozenset(
    "it he she they this that there i is are was were see got has have by of from got a an in to located placed positioned situated sitting standing lying shown seen represents corresponds stands for denotes slice piece looks like appears s picture image photo chart graph diagram figure object words one match game".split()
)
_LETTERS = re.compile(r"\\?[^\W\d_]+")


def _text(gold: str, answer: str, config: GradingConfig, question: str = "") -> Verdict:
    if gold[:1].isupper() and gold.isascii() != answer.isascii():  # one side is written without accents
        gold, answer = (_ACCENT.sub("", unicodedata.normalize("NFD", text)) for text in (gold, answer))
    gold, answer = (_KIND.sub(r"\2 \1", text) for text in (gold, answer))
    synonyms = dict(config.synonyms)
    wanted, got = (synonyms.get(text, text) for text in map(words, (gold, answer)))
    equal = _alike(_spelled(wanted), _spelled(got)) or refuses(gold) and refuses(answer)
    if not equal:
        asked = {word[:4] for word in words(question[-300:]).split()}
        equal = len(wanted) > 1 and len(got) <= 400 and _says(tidy(answer), wanted, asked, question)
        called = _CALLED.fullmatch(wanted)
        equal = equal or bool(called and got == called[2] and re.search(_ASKED % called[1], question.lower()))
    if not equal and re.findall(r"\d+", gold) == re.findall(r"\d+", answer):  # a direction in other words
        (marks, others), (same_marks, more) = told(tidy(gold)[:60]), told(tidy(answer)[:60])
        equal = bool(marks) and marks == same_marks and others | more <= {"sid", "direction", "方向", "方"}
    return Verdict.of(equal and _same_letters(tidy(gold), tidy(answer)), "text", "text")


_ACCENT = re.compile(r"(?<=[A-Za-z])[\u0300-\u0308\u030a-\u030c\u0327\u0328]")
_CALLED = re.compile(r"([a-z]{3,}|[\u4e00-\u9fff]{1,4}) ?([a-z\d]{1,2})")
_ASKED = r"(?:\b(?:which|what) |哪一?[条个幅张辆只]?)%s(?![a-z])"
"""A name with a letter, and a question that leaves only that open: "which line"."""
_DENIES = re.compile(r"\b(?:not|never|or|neither|nor|cannot|but)\b|n['’]t\b|不(?!同)|或")
_LEADS = re.compile(
    r"(?<!which)(?<!that)(?:^|\s)(?:is|are|was|were|be|called|named|painted|colou?red|marks|indicates|points? to|in|answer|belongs to|by|gives|equals|find|get|facing|(?:falls|lands) on"
    r"|(?:est|ist|es|s agit de)(?: donc| also)?(?: l[ae]?| el| d(?:er|ie|as))?) $"
)
_CONTRACTED = re.compile(r"\b([Ii]t|[Tt]hat|[Tt]his|[Hh]e|[Ss]he)['’]s ")
_IS = re.compile(r"(?<!which )(?<!that )\b(?:is|are|was|were) ")
_WHERE = re.compile(
    r"\s+(?:on|in|at|near|beside|behind|against|inside|outside) (?:an?|the|his|her|their|its) (?:(?! (?:is|are|was|were) )[^,;])*$|\s+(?:at|with) \W?\d[^,;]*$"
    r"|\s+(?:in|of|from)(?: the)? (?:[A-Z][a-z]+,? ?)+$"
)
"""Where a statement holds."""
_SECOND = re.compile(
    r",?\s+and (?:(?:it|they|he|she)\b|(?:seems|looks|appears)\b|(?:(?:is|was) )?(?P<done>[a-z]+ed|sent|given) (?:to|by|in|on|at|for|from|with)\b).*$"
)
_PICTURED = re.compile(
    r"^.*\b(?:image|picture|photo|scan|view) of (.+?)(?: (?:on|in|at|near|beside|behind|with) .*)?$"
)
_SYMBOL_OF = re.compile(r"[A-Za-z]{1,3} \(([a-z]{4,})\)|[A-Za-z\d_{}]{2,12} ?\(([\u4e00-\u9fff]{1,6})\)")
_TITLE = re.compile(r"^[^不没非是]{1,8}?(?:家|人|者|师)(?=[\u4e00-\u9fff]{2,4}$)")


def _says(answer: str, wanted: str, asked: set[str], question: str) -> bool:
    """Whether a statement commits to an answer: leads to it, and else says what stands beside it, or words of the question."""
    denials = bool(_DENIES.search(wanted))
    runs = committed(answer, denials)
    runs = [[_CONTRACTED.sub(r"\1 is ", part) for part in run] for run in runs]
    plain = _PICTURED.sub(r"\1", P.BESIDE_THAT.sub("", runs[0][0])).removesuffix(" in color") if runs else ""
    if not denials and (_DENIES.search(plain) or _DENIES.search(answer) and not P.VALUE.search(plain)):
        return False
    if (second := _SECOND.search(plain)) and (not second["done"] or second["done"][:4] not in question):
        plain = plain[: second.start()]
    restated = [one.text for one in clauses(answer) if one.role == RESTATES]
    tail = plain.rpartition("是")[2]
    what = re.search(r"([\u4e00-\u9fff]{1,2})(?:什么|谁|_{2,})", question)
    leads = ("是", "为", "呈", "手持", "表示", "代表", what[1]) if what else ()
    told = [_COUNTED_AS.sub("", plain.rpartition(lead)[2].partition(",")[0]) for lead in leads]
    of = [thing.rpartition("的")[0 if thing.rpartition("的")[2] in question else 2] for thing in told]
    named = _SYMBOL_OF.fullmatch(answer)
    parts = map(
        words,
        (
            plain, plain.partition(": ")[0], _WHERE.sub("", plain), tail, _TITLE.sub("", tail), *told, *of, *restated,
            named[named.lastindex] if named else ""
        ),
    )  # fmt: skip
    return any(_leaves(part, wanted, asked, question) for part in parts)


_COUNTED_AS = re.compile("^一[个把只条张本辆件台支顶双块朵棵位名种]")
"""One of something, in front of what it is: 一把雨伞."""


_EITHER = re.compile(r"\b(\w+),? or (?:to |on |in )?(?:the |an? )?(\w+)")
_ANOTHER = re.compile(r"\b(?:second|third|fourth|other|another|next)\b")


def _leaves(text: str, wanted: str, asked: set[str], question: str) -> bool:
    """Whether a text is an answer, and else leads to it or has only words of the question, which does not name the answer."""
    head, found, tail = f" {text.replace('-hand ', ' ')} ".rpartition(f" {wanted} ")
    if not found:
        return False
    another = any(word[:4] not in asked for word in _ANOTHER.findall(head))  # "the second tallest is"
    if _LEADS.search(head + " ") and not tail and not another and len(_IS.findall(text)) < 2:
        return True
    rest = (head + " " + tail).split()
    named = all(word[:4] in asked for word in wanted.split())  # "Which is heavier, the red or the blue box?"
    either = {*sum(_EITHER.findall(question.lower()), ())}
    apart = (
        not named
        or wanted in either
        and not (either - {wanted}) & {*rest}
        or not head.strip()
        and re.search(r"\bor\b", question)
    )
    return not rest or bool(apart) and all(word in _SAYING or word[:4] in asked for word in rest)


_SAME_WORDS = {
    "大于": ">", "greater than": ">", "小于": "<", "less than": "<", "等于": "=", "equal to": "=", "does not exist": "dne", "undefined": "dne", "不存在": "dne", "one time": "once",
    "two times": "twice", "usa": "united states", "united states of america": "united states", "uk": "united kingdom", "uae": "united arab emirates",
    "fall": "autumn",
}  # fmt: skip


def _alike(one: str, other: str) -> bool:
    """Whether words are the same, but that the last is in the plural: a chloroplast, chloroplasts."""
    shorter, longer = sorted((one, other), key=len)
    return one == other or longer == f"{shorter}s" and bool(re.fullmatch(r"[a-z ]*[a-z]{3}[a-rt-z]", shorter))


def _spelled(text: str) -> str:
    """Words without what stands around them, hyphens, or the spaces between single letters."""
    text = _SAME_WORDS.get(text, text)
    text = P.AROUND.sub("", re.sub(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2}|\d{2})", " ", text)).replace(
        "right angled", "right"
    )
    text = text[:-1] if text.endswith("s") and text[:-1] in MARKS else text
    return text.replace(" ", "") if re.fullmatch(r"(?:[^\W\d] )+\w", text) else text


_KIND = re.compile(r"\b(right|acute|obtuse) (isosceles|scalene)\b")
"""The two words of a triangle, in any order."""


def _same_letters(gold: str, answer: str) -> bool:
    """Whether texts whose words are alike have the same symbols: CO is not Co, mgh not mgH, Ω not ω."""
    if " " in answer and (answer.isupper() or gold.isupper()):
        return True
    pairs = zip(_LETTERS.findall(gold), _LETTERS.findall(answer), strict=False) if len(gold) == len(answer) else ()
    return not any(one.casefold() == other.casefold() and _is_symbol(one, other, gold) for one, other in pairs)


def _is_symbol(one: str, other: str, text: str) -> bool:
    """Whether the case of a word counts: of commands and single letters, of short words that are capital in another way."""
    ways = [(word.lower(), word.upper(), word.capitalize()) for word in (one, other)]
    mixed = one not in ways[0] or other not in ways[1] or len(one) == 2 and {one, other} == set(ways[0][1:])
    return one != other and (one[0] == "\\" or len(text) == 1 or len(one) < 5 and mixed)


# --- the table -----------------------------------------------------------------------------------------------------


class _Comparison:
    """A gold answer and an answer, both read, and how the question wants them compared."""

    def __init__(self, gold: str, answer: str, question: Question, config: GradingConfig, depth: int) -> None:
        self.gold, self.answer, self.question, self.config, self.depth = gold, answer, question, config, depth

    def inner(self, gold: str, answer: str, question: Question | None = None) -> bool | None:
        """Whether parts of both sides are the same; None where that is not decided."""
        if self.depth >= MAX_DEPTH:
            return None
        return same(gold, answer, question or self.question, self.config, self.depth + 1).correct

    def verdict(self) -> Verdict:
        held = P.CONDITION.fullmatch(tidy(self.answer))  # 2x for x > 0
        value = held["value"] if held else self.answer
        one, other = read(self.gold, self.question.text), read(value, self.question.text)
        is_set = (
            isinstance(other.what, Sequence) and other.name in ("L", "S", "M") and other.what.held not in ("", "1")
        )
        if one.name and other.name and one.name.casefold() != other.name.casefold() and not is_set:
            equations = isinstance(one.what, Formula) or isinstance(other.what, Formula)
            return self.formulas(one, other) if equations else Verdict.of(False, "value", "expression")
        sides = sides_of(other.text) if isinstance(other.what, Formula) else []
        if len(sides) > 1 and len(sides_of(one.text)) < 2:
            asked = any(map(_ENDS.match, self.question.text.split(sides[0])[1:]))
            if sides[-1] == "0" or MULTIPLE.fullmatch(sides[0]) and not asked:
                return Verdict.of(False, "expression", "expression")
            other = read(sides[-1], self.question.text)
        compare = TABLE.get((type(one.what), type(other.what)), _Comparison.unlike)
        return compare(self, one, other)

    # Numbers and moments

    def numbers(self, one: Reading, other: Reading) -> Verdict:
        gold, answer, question = one.what, other.what, self.question
        kind = "count" if question.kind == "count" else "number"
        if answer.units and not gold.unit:
            if units := read_unit(tidy(question.unit or ""))[0] or asked_units(question.text[-1_000:]):
                gold = replace(gold, unit=question.unit or "asked", units=units)
        degrees, bare = (answer, gold) if answer.units == named("°") else (gold, answer)
        if degrees.units == named("°") and not bare.unit and "\\pi" in (one if bare is gold else other).text:
            return Verdict.of(_equal(degrees.value * MP.pi / 180, bare.value), "value", kind)
        if gold.value == answer.value and gold.decimals != answer.decimals and P.LABELLED.search(question.text):
            return Verdict.of(False, "value", kind)  # version 3.10 is not 3.1
        if {gold.unit, answer.unit} in ({"", "'"}, {"", "''"}, {"", '"'}) and not P.FEET.search(question.text):
            return Verdict.of(False, "unit", kind)  # 5' may be a derivative
        factors = conversions(gold, answer)
        scaled = (_SUFFIX.search(one.text) and not answer.unit) or (_SUFFIX.search(other.text) and not gold.unit)
        if factors is None or scaled or not _same_things(one, other, gold, question.text):
            return Verdict.of(False, "unit", kind)
        values = list(_values(gold, answer, factors, self.config))
        if scale := _IN_SCALE.search(question.text[-1_000:]):
            values.append(answer.value / SCALES[(scale[1] or scale[2]).lower()])
        equal = any(self.close(gold, answer, value) for value in values)
        return Verdict.of(equal, "value", kind)

    def close(self, gold: Number, answer: Number, value) -> bool:
        """Whether a value is the gold's, as exactly as both are written and the grading asks: the one place for a tolerance."""
        question, config, wanted = self.question, self.config, gold.value
        if wanted == value:
            return True
        one, other = as_float(wanted), as_float(value)
        if MP.isinf(one) or MP.isinf(other):
            return False
        difference, larger = abs(one - other), max(abs(one), abs(other))
        if isinstance(question.tolerance, (int, float)):
            return difference <= abs(question.tolerance) * (1 + 1e-9)
        if question.precision is not None:
            return _rounded(wanted, question.precision) == _rounded(value, question.precision)
        if config.relaxed and not _is_year(gold, question):
            return difference <= abs(one) * config.relative_tolerance * (1 + 1e-9)
        roots = not (isinstance(wanted, Fraction) and isinstance(value, Fraction))  # 50 digits of one of them
        if (
            config.rounding
            and gold.decimals
            and (answer.approximate or roots)
            and _rounded(value, gold.decimals) == wanted
        ):
            return True
        if not answer.approximate and (gold.whole or not gold.approximate):
            return roots and _equal(one, other)  # both exact
        if gold.whole:
            return difference <= min(abs(one), 1) * 1e-6
        if gold.decimals is not None and answer.decimals is not None:
            # Two decimals: the digits that both have must agree, and the rest may only be a rounding.
            step = 0.5 * 0.1 ** min(gold.decimals, answer.decimals)
            if gold.decimals == answer.decimals or difference >= min(step, 1e-4):
                return False
        return difference <= larger * config.relative_tolerance * (1 + 1e-9)

    def number_and_moment(self, one: Reading, other: Reading) -> Verdict:
        """A bare hour stands for the time where the question asks for one; a time is no bare number."""
        asked = re.search(r"\b(?:time|hour|o'clock|when)\b|几[点时]|时间", self.question.text, re.IGNORECASE)
        hour = None if one.what.unit or other.what.seconds is None else Fraction(other.what.seconds, 3600)
        return Verdict.of(bool(asked) and hour is not None and one.what.value in (hour, hour - 12), "value", "date")

    def based(self, one: Reading, other: Reading) -> Verdict:
        gold, answer = one.what, other.what
        if isinstance(gold, Based) and isinstance(answer, Based):
            return Verdict.of(int(gold.digits, gold.base) == int(answer.digits, answer.base), "value", "number")
        based, plain = (gold, other) if isinstance(gold, Based) else (answer, one)
        if based is gold or based.base == 2 or _BASE.search(self.question.text):  # they tell the number system
            return Verdict.of(based.digits.lstrip("0") == compact(plain.text).lower().lstrip("0"), "value", "number")
        value = plain.what.value if isinstance(plain.what, Number) and not plain.what.unit else None
        return Verdict.of(value == int(based.digits, based.base), "value", "number")

    # Several values

    def sequences(self, one: Reading, other: Reading) -> Verdict:
        gold, answer = one.what, other.what
        pair = {gold.held, answer.held}
        if pair == {":"} or pair == {"-", ":"} and _RATIO.search(self.question.text):
            return self.ratios(one, other)
        left, right = _unnumbered(gold.parts), _unnumbered(answer.parts)
        if "<" in pair and "" in pair:  # a chain for a list that is in the order of the question
            if (asked := P.DIRECTION.search(self.question.text)) is None:
                return _same_parts(None)
            falls = not any(asked.groups())
            left, right = left[:: -1 if falls and gold.held else 1], right[:: -1 if falls and answer.held else 1]
        elif not _held_alike(gold, answer):
            return _same_parts(False)
        joints = [set(re.findall(r"\b(?:and|or)\b|\\land|\\lor", side.text)) for side in (one, other)]
        if all(joints) and joints[0] != joints[1] and not re.search(r"\d", one.text):
            return _same_parts(False)
        by_name, by_other = _by_name(left), _by_name(right)
        if names := list(by_name) or _in_order(by_other, self.question.text):
            if by_name and by_other and set(names) != set(by_other):
                return _same_parts(False)
            left, right = (
                [by[name] for name in names] if by else side for by, side in ((by_name, left), (by_other, right))
            )
        if len(left) != len(right):
            return _same_parts(False)
        listed = pair <= {"", "1"}
        either = listed and all(re.search(r"\bor\b|或", side.text) for side in (one, other))
        if pair & SYMMETRIC | pair & {"{}"} or either:
            in_order = False
        elif "1" in pair and not names:
            in_order = bool(P.ORDER.search(self.question.text)) or not P.SET.search(self.question.text)
        else:
            in_order = bool(names) or not listed or _is_ordered(self.question, self.config, left)
        tolerances = self.question.tolerance if isinstance(self.question.tolerance, tuple) else None

        def alike(index: int, place: int) -> bool | None:
            question = self.question
            if tolerances is not None:
                question = replace(question, tolerance=tolerances[index] if index < len(tolerances) else None)
            return self.inner(left[index], right[place], question)

        unused, undecided = list(range(len(right))), False
        for index in range(len(left)):
            results = {place: alike(index, place) for place in (unused[:1] if in_order else unused)}
            found = next((place for place, result in results.items() if result), None)
            if found is None and None not in results.values():
                return _same_parts(False)
            undecided |= found is None
            unused.remove(unused[0] if found is None else found)
        return _same_parts(None if undecided else True)

    def ratios(self, one: Reading, other: Reading) -> Verdict:
        """A ratio is the same up to a factor; a number is its ratio to one."""
        sides = [
            [side.what] if isinstance(side.what, Number) else map(read_number, side.what.parts)
            for side in (one, other)
        ]
        left, right = ([term.value for term in side] for side in sides)
        left, right = (side if len(side) > 1 else [*side, Fraction(1)] for side in (left, right))
        pairs = zip(left, right, strict=False)
        equal = len(left) == len(right) and all(_equal(a * right[0], b * left[0]) for a, b in pairs)
        return Verdict.of(equal, "value", "number")

    def sequence_and_value(self, one: Reading, other: Reading) -> Verdict:
        """Several values against one: a ratio is a quotient; else the same only where a formula may stand for a set of values."""
        several, value = (one, other) if isinstance(one.what, Sequence) else (other, one)
        if several.what.held == ":" and isinstance(value.what, Number):
            asked = several is one or not self.question.text or _RATIO.search(self.question.text)
            return self.ratios(one, other) if asked else _same_parts(False)
        region = isinstance(value.what, Formula) and several.what.held not in ("", ":", "-", "R", "<", "1")
        return self.formulas(one, other) if region else _same_parts(False)

    # Formulas and words

    def formulas(self, one: Reading, other: Reading) -> Verdict:
        named = one.name != other.name and one.name and other.name
        gold, answer = (one.text, other.text) if named else (_plain(one), _plain(other))
        if P.INTEGRAL.search(self.question.text):
            gold, answer = (_CONSTANT.sub("+C", text) for text in (gold, answer))
        if bool(one.name) != bool(other.name) and len(sides_of((other if one.name else one).text)) > 1:
            gold, answer = one.text, other.text
        letters, others = (frozenset(map(str.lower, variables(text))) for text in (gold, answer))
        if letters - others or _is_shuffled(gold, answer):
            return Verdict.of(False, "expression", "expression")
        try:
            found = same_expression(gold, answer, _folded(gold, answer, self.question.text))
        except TooLarge:
            return Verdict(UNVERIFIABLE, "too_large", "expression")
        return self.unreadable(gold, answer) if found is None else Verdict.of(found, "expression", "expression")

    def unreadable(self, gold: str, answer: str) -> Verdict:
        """Two formulas of which one cannot be read: different where their letters are, else not decided."""
        signs_only = not re.search(r"[^\W_]", gold + answer)
        differ = signs_only or variables(gold) != variables(answer) or _is_shuffled(gold, answer, _ARITHMETIC)
        return Verdict.of(False if differ else None, "expression", "expression")

    def letters_and_formula(self, one: Reading, other: Reading) -> Verdict:
        """Up to three letters may be a product where the other side is a formula."""
        letters = one if isinstance(one.what, Words) else other
        product = re.fullmatch(r"[A-Za-z]{1,3}", letters.text)
        return self.formulas(one, other) if product else self.unlike(one, other)

    def unlike(self, one: Reading, other: Reading) -> Verdict:
        """Two kinds that are never the same: only their words may be."""
        if not any(isinstance(side.what, Sequence) and side.what.held for side in (one, other)):
            return _text(one.text, other.text, self.config, self.question.text)
        return Verdict.of(False, "value", kind_of(self.gold, self.question))


TABLE: dict[tuple[type, type], Callable[[_Comparison, Reading, Reading], Verdict]] = {
    (Number, Number): _Comparison.numbers,
    (Number, Moment): _Comparison.number_and_moment,
    (Moment, Moment): lambda self, one, other: Verdict.of(same_moment(one.what, other.what), "value", "date"),
    **{pair: _Comparison.based for kind in (Based, Number, Words, Formula) for pair in ((Based, kind), (kind, Based))},
    (Sequence, Sequence): _Comparison.sequences,
    **{(kind, Sequence): _Comparison.sequence_and_value for kind in (Number, Formula)},
    **{(Sequence, kind): _Comparison.sequence_and_value for kind in (Number, Formula)},
    **dict.fromkeys(((Formula, Formula), (Formula, Number), (Number, Formula)), _Comparison.formulas),
    **dict.fromkeys(((Words, Formula), (Formula, Words)), _Comparison.letters_and_formula),
    (Words, Words): lambda self, one, other: _text(one.what.text, other.what.text, self.config, self.question.text),
}
"""(kind of the gold, kind of the answer) -> how they are compared; any other two kinds are not the same."""


def _plain(reading: Reading) -> str:
    """The value of a named formula, else the whole text."""
    side = value_side(reading.text) if reading.name else None
    return side[1] if side else reading.text


# --- numbers -------------------------------------------------------------------------------------------------------

_IN_SCALE = re.compile(
    r"\bin (?:[A-Z]{3} |\$ ?)?(thousand|million|billion)s?\b|(?:单位[是为]?[:：]?\s*|多少|几)(万亿|百万|千万|万|亿)",
    re.IGNORECASE,
)
"""What a chart counts in: 27.4 million is its 27.4."""
_BASE = re.compile(r"\b(?:base|binary|octal|hex\w*|notation|numeral system)\b|进制", re.IGNORECASE)
_PERCENTS = re.compile(r"percent|point|(?<!\d)(?<!\d )\\?%|百分|per cent|多少|probab|概率|share|rate", re.IGNORECASE)
_LOWERING = frozenset((MARKS["loss"], MARKS["down"], MARKS["bc"]))
"""Marks that a bare gold does not mean unless the question says so."""
_YEAR = re.compile(r"(?:1[5-9]|20|21)\d\d")


def _same_things(one: Reading, other: Reading, gold: Number, question: str) -> bool:
    """Whether two numbers are told of the same things: the same way, side and era, and no other unit or noun in another order."""
    answer = other.what
    if gold.percent != answer.percent:
        units = asked_units(question[-2_000:])
        if gold.unit or answer.unit or units and units[0].dimensions != named("%")[0].dimensions:
            return False
        bare = question and answer.percent and gold.value == answer.value
        if bare and not _PERCENTS.search(question + one.text + other.text):
            return False
    if gold.marks == answer.marks and gold.words == answer.words and bool(gold.units) == bool(answer.units):
        return len(gold.words) < 2 or _order(one) == _order(other)
    asked_marks, asked = told(question[-2_000:])
    for mark in gold.marks ^ answer.marks:
        axis, missing, theirs = mark[0], mark in gold.marks, answer if mark in gold.marks else gold
        if any(other[0] == axis for other in theirs.marks) or axis == "order" and theirs.unit:
            return False
        ways = {way for told_axis, way in asked_marks if told_axis == axis}
        if len(ways) == 1 and mark[1] not in ways:
            return False  # 8 fewer, where it asks how many more
        firm = axis in FIRM or axis == "side"
        if mark not in asked_marks and (firm and missing and axis != "order" or mark in _LOWERING):
            return False
    if bool(gold.units) != bool(answer.units):  # a unit against a word that is none
        counted = (gold.words if not gold.units else answer.words) - {SAID}
        if counted and SAID not in (gold.words | answer.words):
            return False
    left, right = (side.words - {SAID} for side in (gold, answer))
    return any(
        _covered(some, others | asked) and bool(not some or some & others or _covered(some, others))
        for some, others in ((left, right), (right, left))
    )


def _covered(some: frozenset[str], others: frozenset[str]) -> bool:
    """Whether all words occur among others; Chinese ones also inside a longer one."""
    return all(word in others or word[0] > "\u4dff" and any(word in other for other in others) for word in some)


def _order(reading: Reading) -> list[str]:
    """The words that are told of a number, in their order."""
    return [word for part in tidy(reading.text).split() for word in told(part)[1] if word in reading.what.words]


def _values(gold: Number, answer: Number, factors, config: GradingConfig):
    for factor, offset in factors:
        value = answer.value * factor + offset
        yield value
        if gold.percent != answer.percent:
            yield value / 100 if answer.percent else value * 100
        if config.percent_scale:
            yield value * 100
            yield value / 100


def _equal(one, other) -> bool:
    return abs(as_float(one) - as_float(other)) <= abs(as_float(one)) * 1e-25


def _is_year(gold: Number, question: Question) -> bool:
    if gold.unit or not _YEAR.fullmatch(str(gold.value)):
        return False
    asked = re.search(r"\b(?:year|when|decade|date)s?\b", question.text, re.IGNORECASE) or _YEAR.search(question.text)
    return not question.text or bool(asked)


def _rounded(value, decimals: int) -> Fraction:
    """Half away from zero, exactly."""
    scaled = (value if isinstance(value, Fraction) else Fraction(str(value))) * 10**decimals
    whole = int(abs(scaled) + Fraction(1, 2))
    return Fraction(whole if scaled >= 0 else -whole, 10**decimals)


# --- several values ------------------------------------------------------------------------------------------------

_RATIO = re.compile(r"ratio|scale|odds|proportion|比", re.IGNORECASE)


def _is_ordered(question: Question, config: GradingConfig, parts: tuple[str, ...]) -> bool:
    """Whether the parts of a bare list stand in an order that counts."""
    text = question.text[-3_000:]
    if config.ordered_lists or not text.strip() or P.ANY_ORDER.search(text):
        return config.ordered_lists
    return bool(P.ORDER.search(text)) or not (question.several or P.SET.search(text) and not P.NAMES.search(text))


def _held_alike(gold: Sequence, answer: Sequence) -> bool:
    """Whether what holds the parts of two sequences may stand for one another."""
    pair = {gold.held, answer.held}
    if "matrix" in pair and len(pair) == 2:
        matrix, other = (gold, answer) if gold.held == "matrix" else (answer, gold)
        return other.held in ("()", "[]") and 1 in (matrix.columns, len(matrix.parts) // matrix.columns)
    if len(pair) == 1:
        return gold.columns == answer.columns
    if pair in ({"{}", "[]"}, {"()", "[]"}):
        return len(gold.parts) > 2
    return bool(pair & {"", "1"}) and pair <= {"", "1", "()", "[]", "{}", "R"}


_NAMED = re.compile(r"([\u4e00-\u9fff]{1,3}?)[有是]?(\d.*)")
"""How many of what, in Chinese: 鸡有12只."""


def _by_name(parts: tuple[str, ...]) -> dict[str, str]:
    """The values by their names where every part is an assignment to a name of its own."""
    sides = (value_side(part) or (named := _NAMED.fullmatch(part)) and named.groups() for part in parts)
    found = dict(side for side in sides if side and side[0])
    return found if 1 < len(parts) == len(found) else {}


def _unnumbered(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The values alone where names that differ by a number only (x_1 = 5, x_2 = 3) number the solutions."""
    found = _by_name(parts)
    return tuple(found.values()) if len({re.sub(r"\d+$", "", name) for name in found}) < len(found) else parts


def _in_order(names: Iterable[str], question: str) -> list[str]:
    """Names in the question's order, else the alphabet's, as always of coordinates."""
    said = re.sub(r"\W", " ", question).split() if not set(names) <= set("xyz") else ()
    return sorted(sorted(names), key=lambda name: said.index(name) if name in said else len(said))


# --- formulas ------------------------------------------------------------------------------------------------------

_CONSTANT = re.compile(r"\+\s*(?:[ckK]|C_\{?\d\}?|\\text\s*\{\s*(?:const|constant)\.?\s*\})\s*$")
_VARIABLE = re.compile(r"\\([A-Za-z]+)|([A-Za-z])")
_CONSTANTS = frozenset("e i d j pi infty".split())
_ARITHMETIC = re.compile(r"[-+*/^=<>]|\\(?:frac|sqrt|cdot|times|div|pm|cup|cap|le|ge)(?![A-Za-z])")


def variables(text: str) -> frozenset[str]:
    """Return the letters a formula depends on; a simplified gold holds no letter that an equal answer lacks.

    >>> sorted(variables(r"\\frac{K-1}{L} e^{2x}")), sorted(variables(r"\\sin(\\omega t)"))
    (['K', 'L', 'x'], ['omega', 't'])
    """
    plain = P.PLAIN_FUNCTION.sub(" ", re.sub(r"_(?:\{[^{}]*\}|[A-Za-z0-9])", "", tidy(text)))
    found = {letter or command for command, letter in _VARIABLE.findall(plain) if letter or command in GREEK}
    return frozenset(found - _CONSTANTS)


def _folded(gold: str, answer: str, question: str) -> frozenset[str]:
    """The letters that stand in two cases and are one letter: all of the gold's capitals, which the question writes."""
    one, other = variables(gold), variables(answer)
    swapped = {letter for letter in one ^ other if sum(letter.lower() == found.lower() for found in one | other) > 1}
    said = set(re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", question[-4_000:])) if swapped else ()
    known = all(len(letter) == 1 and (letter in said) is letter.isupper() for letter in swapped)
    hand = {letter for letter in one if letter != letter.lower()} == swapped & one
    return frozenset(map(str.lower, swapped)) if known and hand else frozenset()


def _is_shuffled(gold: str, answer: str, operators: re.Pattern[str] = OPERATOR) -> bool:
    """Whether both sides hold the same letters and digits in another order, and neither has an operator."""
    one, other = (re.findall(r"\\[A-Za-z]+|[A-Za-z0-9]", tidy(text)) for text in (gold, answer))
    return one != other and sorted(one) == sorted(other) and not operators.search(tidy(gold) + " " + tidy(answer))
