"""The final answer of a solution: whether its thought ever mentions it, and whether the row's gold answer is another one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from virgo_factory.answers.prose.response import boxes
from virgo_factory.answers.values.latex import compact, unwrap
from virgo_factory.core.example import Example
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.marks.names import snake
from virgo_factory.formats.row import GOLD_COLUMN, plain
from virgo_factory.formats.texts import decoded


LOOKED_AT = 1_000_000
"""Characters at the end of a thought that are looked at: the numbers of a row of 50 MB would fill a gigabyte."""

NEAR = 0.02
"""Numbers that differ by so much are the same number, rounded."""
_LESS_THAN_ONE = 0.999
_COUNTED = 100
"""From here on a whole number, if it does not end in 0, is rounded from what differs by less than 1: 854 is not 845."""

_NUMBER = re.compile(r"[\d.](?:(?<=\.)\d+|(?<=\d)\d{0,2}+(?:(?:,\d{3})+|\d*)(?:\.\d+)?)")
"""Written so, and _RATIO, that what it begins with is one set of characters: a text is searched in half the time."""
_PLAIN_BOX = re.compile(r"\\boxed\{(\d+(?:\.\d+)?)\}")
"""A box that holds nothing but a number."""
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_RATIO = re.compile(r"(\d(?<!\d\d)\d*+)(?: *\} *\{ *| */ *| (?:out )?of (?:the )?)(\d+)")
_OF = re.compile(r"of (?:the )?\d")
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORDS = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox|operatorname)\s*\{([^{}]*)\}")
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()


def unmentioned_answer(thought: str, solution: str) -> str | None:
    r"""Return the boxed answer of a solution that its thought never mentions; None where it does, or cannot be judged.

    An answer counts as mentioned where the thought writes it, its value (rounded, as a fraction, in words), or all of
    its numbers. Option letters are not judged: a thought weighs what the options say.

    >>> unmentioned_answer("So 7 * 8 must be fifty-four.", r"It is \boxed{61}.")
    '61'
    >>> unmentioned_answer("So 14/3 it is.", r"\boxed{\frac{14}{3}}") is None
    True
    """
    last = solution.rfind(r"\boxed")
    if last < 0:
        return None

    if (plain := _PLAIN_BOX.match(solution, last)) and "box" not in solution[plain.end() :]:  # most
        answer = plain[1]
    else:
        found = boxes(solution[last:])[0]
        answer = unwrap(found[-1].text) if found else ""
        if len(answer) > 300 or not re.search(r"\w", answer):
            return None

    numbers = _numbers(answer)
    if numbers:
        if all(_stands(number, thought) for number in numbers):
            return None

        thought = thought[-LOOKED_AT:]
        written = set(_numbers(thought))
        if all(number in written for number in numbers) or _has_value(answer, numbers, written, thought):
            return None

        return answer

    words = [word.casefold() for word in _WORD.findall(_COMMAND.sub(" ", _WORDS.sub(r" \1 ", answer)))]
    said = thought.casefold()
    if not words or any(word in said for word in words) or compact(answer).casefold() in "".join(said.split()):
        return None

    return answer


def _has_value(answer: str, numbers: list[str], written: set[str], thought: str) -> bool:
    """Whether every number, or the answer's value, is written otherwise: rounded, as a word."""
    values = [float(number) for number in written]
    said = thought.casefold()

    def is_written(number: float) -> bool:
        if number <= 12 and number == int(number):
            word = _SMALL[int(number)]
            if word in said and re.search(rf"\b{word}\b", said):
                return True

        near = _nearness(number)
        least, most = number - near, number + near
        return any(least <= value <= most for value in values)

    if all(is_written(float(number)) for number in numbers):
        return True

    if _NUMBER.fullmatch(answer):  # its value was looked for just now
        value = float(numbers[0])
    else:
        from virgo_factory.answers.values.formulas import as_float  # with mpmath, which few files need
        from virgo_factory.answers.values.numbers import read_number

        number = read_number(answer)
        if number is None:
            return False

        value = abs(float(as_float(number.value)))
        if is_written(value):
            return True

    if not ("/" in thought or "{" in thought or _OF.search(thought)):
        return False

    ratios = (float(top) / float(base) for top, base in _RATIO.findall(thought) if float(base))
    near = _nearness(value)
    return any(abs(ratio - value) <= near for ratio in ratios)


def _nearness(number: float) -> float:
    """Return by how much a number may differ from what it is rounded from."""
    return NEAR * abs(number) if abs(number) < _COUNTED or number != int(number) or not number % 10 else _LESS_THAN_ONE


def _stands(number: str, text: str) -> bool:
    """Whether a numeral stands in a text, looked for from its end: the quick way for nearly all rows."""
    at = text.rfind(number)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(number) : at + len(number) + 1]
        if not (before.isdigit() or after.isdigit() or before in (".", ",")):
            return True

        at = text.rfind(number, 0, at + len(number) - 1) if at else -1

    return False


def _numbers(text: str) -> list[str]:
    """Return the numerals of a text, exponents included, without thousands' commas and leading zeros."""
    if not text.isascii():
        text = _RAISED.sub(lambda found: f"^{found.group().translate(_DIGITS)}", text)
    return [
        number.replace(",", "").lstrip("0") or "0" if number[0] == "0" or "," in number else number
        for number in _NUMBER.findall(text)
    ]


_VALUE = r"([-+]?\d+(?:\.\d+)?|[A-J]|[Yy]es|[Nn]o)"
_BOX = LazyPattern(rf"\\boxed\{{(?:\\text\{{)?{_VALUE}\}}")
_TAGGED = LazyPattern(rf"<answer>\s*\(?{_VALUE}\)?\.?\s*</answer>")
_AT_THE_END = re.compile(rf"(?:\\boxed\{{(?:\\text\{{)?|\banswer(?: is|:)[$(*\s]*){_VALUE}[\s.!)}}*$\]\\]*\Z")
_TAKES_BACK = LazyPattern(
    r"(?<![\w,] )(?:[Ww]ait\b|Hmm|[Oo]n second thought)[\s\S]{0,80}?"
    r"(?:(?P<wrong>\b(?:that|this|it|which)(?:['’]s| is| was) (?:wrong|incorrect|not right|a mistake)\b|\bshould (?:have been|be)\b|\bI made a\b)|(?=\\boxed))"
)


def two_answers(solution: str, thought: str = "") -> str:
    r"""Return which two numbers, letters, or yes and no, a response gives for its answer; "" where it gives one.

    They are told where one stands in the last box, and another in an `<answer>` behind it or at the thought's end, and
    where a solution takes back what it boxed.

    >>> (
    ...     two_answers(r"\boxed{C}", r"So it is \boxed{B}."),
    ...     two_answers(r"\boxed{12}. Wait, that is wrong, it is \boxed{14}."),
    ... )
    ('the thought ends with B, the solution boxes C', 'boxes 12, and takes it back')
    """
    first = solution.find("\\boxed{")
    if first < 0:
        return ""

    if "<answer>" in solution and (tagged := _TAGGED.search(solution, first)):
        *_, box = [None, *_BOX.finditer(solution, 0, tagged.start())]
        if box and box.start() == solution.rfind("\\boxed", 0, tagged.start()) and _differ(box[1], tagged[1]):
            return f"boxes {box[1]}, and has {tagged[1]} in <answer>"

    behind = solution[first:]
    if ("ait" in behind or "Hmm" in behind or "econd thought" in behind) and (back := _TAKES_BACK.search(behind)):
        box = _BOX.match(behind)
        after = _BOX.search(behind, back.end())
        if box and (_differ(box[1], after[1]) if after else back["wrong"] and "\\boxed" not in behind[back.end() :]):
            return f"boxes {box[1]}, and takes it back"

    end = thought[-80:]
    if ("boxed" in end or "answer" in end) and (last := _AT_THE_END.search(end)):
        box = _BOX.match(behind)
        if box and behind.rfind("\\boxed") == 0 and _differ(box[1], last[1]):
            return f"the thought ends with {last[1]}, the solution boxes {box[1]}"

    return ""


def _differ(one: str, other: str) -> bool:
    """Whether two answers of a kind are different: two letters, yes and no, two numbers of which none is the other rounded, or in percent."""
    if one[-1].isdigit() and other[-1].isdigit():
        least, most = sorted((float(one), float(other)), key=abs)
        is_near = (
            abs(most - least) < 1 and ("." in one) != ("." in other) or abs(most - 100 * least) <= NEAR * abs(most)
        )
        return not is_near and abs(most - least) > max(_nearness(most), _nearness(least))

    is_letter = len(one) == len(other) == 1 and (one + other).isalpha()
    return is_letter and one != other or {one.lower(), other.lower()} == {"yes", "no"}


_LAST_BOX = re.compile(r"\\boxed\{\s*([-+]?\d{1,15}|[A-J])\s*\}")


def plain_answer(example: Example) -> str:
    r"""Return the whole number, or the letter of an option, that a solution boxes last; "" for any other, or behind earlier turns.

    >>> plain_answer(Example("a", "7 * 8?", r"It is \boxed{+56}."))
    '56'
    """
    if example.history:  # "Try again." asks something else each time
        return ""

    solution = example.response if isinstance(example.response, str) else example.response.solution
    last = solution.rfind(r"\boxed{")
    found = _LAST_BOX.match(solution, last) if last >= 0 else None
    return "" if not found else found[1] if found[1].isalpha() else str(int(found[1]))


# the gold answer

JUDGED = 50
"""Solutions of a chunk that are judged, which takes as long as all else that is done with a row, or longer."""
_END, _JUDGED_END = 300, 4000
"""Characters at the end of a solution without a box where a right answer mostly stands, and of any that are judged."""
_PLAIN = LazyPattern(
    r"\(?(?:[-+]?\d+(?:,\d{3})*(?:\.\d+)?|[a-j]|yes|no|true|false)\)?"
    r"|-?(?:\d+/\d+|\\[dt]?frac\{\d+\}\{\d+\})|\d+(?:,\d{3})*(?:\.\d+)? (?P<unit>[a-z]{3,})"
)
_AROUND = ("reward_model", "extra_info", "verification_info", "metadata", "meta", "info", "extra")
_TOKEN = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?|[^\W\d_]+")
_CERTAIN = ("other_value", "other_option", "other_unit")
"""Reasons of verdicts that leave no doubt; two texts may say the same."""
_RULES = ("answer_tag", "box", "phrase", "option", "letter", "whole")
"""What finds an answer that certainly is the final one."""


def _golds(row: Mapping) -> Iterable[tuple[object, object]]:
    for name in _gold_columns(tuple(row)):
        if name in _AROUND:
            inner = row[name]
            if isinstance(inner, str) and inner[:1] == "{" and ("answer" in inner or "truth" in inner):
                inner = decoded(inner)

            yield from _golds(inner) if isinstance(inner, Mapping) else ()
        else:
            yield name, row[name]


@lru_cache(256)
def _gold_columns(names: tuple[object, ...]) -> tuple[object, ...]:
    """Return the columns that hold a gold answer by their names, and those in which there may be one."""
    return tuple(name for name in names if name in _AROUND or GOLD_COLUMN.fullmatch(snake(str(name))))


def with_gold(example: Example, row: object) -> Example:
    """Return an example with its gold answer plainly written, of a column of any usual name where formats read none."""
    golds = list(_golds(row)) if isinstance(row, Mapping) and example.answer is None else []
    if example.answer is not None:
        golds = [("", example.answer)]

    for name, value in golds:
        value = value[0] if isinstance(value := plain(value), list) and len(value) == 1 else value
        if type(value) not in (str, int, float) or name in ("label", "target") and value in (-1, 0, 1, "0", "1"):
            continue

        text = str(value)
        found = boxes(text[text.rfind(r"\boxed") :])[0] if r"\boxed" in text else ()
        text = (found[-1].text if found else text.rpartition("####")[2]).strip(" \n$")
        if len(text) <= 20 and _PLAIN.fullmatch(text.casefold()):
            return example if text == example.answer else replace(example, answer=text)

    return example


def may_contradict(example: Example) -> bool:
    r"""Whether a gold answer that is a number, a letter or yes or no does not stand where its solution ends; a few microseconds.

    >>> from virgo_factory.core.thought import LongThought
    >>> may_contradict(Example("a", "6 * 7?", LongThought("So 42.", r"It is \boxed{41}."), answer="42"))
    True
    """
    gold = (example.answer or "").strip().casefold()
    if not gold or len(gold) > 20 or isinstance(example.response, str) or not _PLAIN.fullmatch(gold):
        return False

    solution = example.response.solution
    last = solution.rfind(r"\boxed")
    end = solution[last:] if last >= 0 else solution[-_END:]
    tokens = _TOKEN.findall(gold)
    numbers = [token for token in tokens if token[-1].isdigit()]
    return not {*(numbers or tokens)}.issubset(_TOKEN.findall(end.casefold()))


def contradiction(example: Example) -> str:
    """Return final and gold answer of such an example, for people, where they certainly differ; "" where they may not."""
    from virgo_factory.answers import Question, grading, score
    from virgo_factory.answers.values.units import read_unit  # with all patterns of answers, which few files need

    lenient = replace(grading("math"), rounding=True, percent_scale=True)
    verdict = score(example.response.solution[-_JUDGED_END:], example.answer, Question(example.question), lenient)
    if verdict.correct is not False or verdict.reason not in _CERTAIN or verdict.answer.rule not in _RULES:
        return ""

    said = " ".join(verdict.answer.text.split())
    unit = _PLAIN.fullmatch(example.answer.strip().casefold())["unit"]
    if unit and unit not in said.casefold() and read_unit(unit)[0]:  # 5000, where metres were asked for, may be 5 km
        return ""

    return f"the answer is {said[:60]}, the row's gold answer {example.answer}"


_LETTER = re.compile(r"\\boxed\{(?:\\text\{)?\(?([A-J])\)?\}")
_LISTED = LazyPattern(r"(?:^|\(|[:;,.?]\s)([A-J])(?=[.):\u3001\uff0e\uff1a]\s?\S)", re.MULTILINE)


def no_such_option(question: str, solution: str) -> str:
    r"""Return the letter that a solution boxes where its question lists options, and none of that letter; else "".

    >>> no_such_option("Which?\nA. 3\nB. 4", r"\boxed{C}"), no_such_option("Which?\nA. 3\nB. 4", r"\boxed{B}")
    ('C', '')
    """
    last = solution.rfind("\\boxed{")
    boxed = _LETTER.match(solution, last) if last >= 0 and not solution[last + 7 : last + 8].isdigit() else None
    if not boxed or re.search(rf"\b{boxed[1]}\b", question):
        return ""

    listed = "".join(dict.fromkeys(_LISTED.findall(question)))
    return boxed[1] if len(listed) > 1 and listed == "ABCDEFGHIJ"[: len(listed)] else ""
