"""Values of marks: yes, no, nothing, or something that is not in the tables and is never guessed.

Usual spellings are read (`0`, `0.0`, `"False"`, `"no"`); NaN, null and "" say nothing.
"""

import re
from collections.abc import Callable
from numbers import Number
from typing import Any, Literal

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats import texts
from virgo_factory.formats.marks.names import ENDS, Kind
from virgo_factory.formats.row import plain


CUT = "the response was cut off at the token limit"
BROKEN_OFF = "the response was broken off"

Said = bool | None | Literal["?"]
"""What a mark says: yes, no, nothing (None), or something that is not in the tables ("?")."""

_TRUE = ("true", "yes", "y", "t", "right", "correct", "pass", "passed", "accept", "accepted", "ok", "success", "match",
         "solved", "是", "对", "正确", "✓", "✔", "✅", "richtig", "vrai", "correcto", "correcte", "верно", "правильно",
         "정답", "正解", "通过", "合格", "ja", "да")  # fmt: skip
_FALSE = ("false", "no", "n", "f", "wrong", "incorrect", "not correct", "wrong answer", "incorrect answer", "fail", "failed",
          "reject", "rejected", "failure", "mismatch", "否", "错", "错误", "不正确", "✗", "✘", "×", "❌", "falsch", "faux",
         "falso", "incorrecto", "incorrecte", "неверно", "неправильно", "오답", "不正解", "不通过", "未通过", "不合格", "拒绝", "nein", "нет")  # fmt: skip
_NOTHING = ("", "null", "none", "nan", "na", "n/a", "unknown", "nil")
_CERTAIN = ("right", "correct", "passed", "wrong", "incorrect", "not correct", "wrong answer", "incorrect answer",
            "fail", "failed", "错误", "正确", "不正确", "通过", "不通过", "未通过", "合格", "不合格",
            "✗", "✘", "❌", "✅")  # fmt: skip
"""Words that judge a response wherever they stand."""
_REFUSES = ("reject", "rejected", "discard", "discarded", "delete", "deleted", "invalid", "bad", "thumbs down", "dislike",
            "disliked", "undesirable", "unacceptable", "拒绝", "驳回", "删除", "已删除", "丢弃", "作废", "差", "很差", "\U0001f44e")  # fmt: skip
"""Words that say that a response is not to be used, in a column of what is thought of it or done with it."""
_DOUBTFUL = ("failure", "mismatch", "negative", "neg", "down", "low", "poor", "worst", "unverified", "wa", "tle", "mle",
             "不好", *_REFUSES)  # fmt: skip
"""Words that may say that a row is not to be used."""
_INSPECT = {"C": "correct", "I": "incorrect", "N": "incorrect"}
"""Values of Inspect's scores, which have an answer or an explanation beside them."""
_SCALES = (1, 5, 10, 100)
_GOOD = 0.75
"""Part of the least scale that a grade may be of, from which it says nothing against a response."""
_TOP = (9, 10, 100)
"""Ends of scales on which a score says nothing against a response."""
_BAD_TAGS = ("bad", "trash", "\U0001f44e", "bad case", "hallucination", "discard", "discarded", "unverified")
_FINE = ("ok", "success", "pass", "passed")
_NONE = ("no", "n", "否")
_JUDGING = frozenset((*_CERTAIN, *_DOUBTFUL))
WORDS: dict[str, Said] = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False) | dict.fromkeys(_NOTHING)

_ENDED = (
    "stop", "stopped", "end_turn", "eos", "eos_token", "eos_token_id", "stop_sequence", "stop_token", "stop_string",
    "stop_str", "stop_word", "word", "end", "end_of_text", "end_of_turn", "complete", "completed", "finish", "finished",
    "done", "normal", "natural", "success",
)  # fmt: skip
_LIMIT = (
    "length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "token_limit",
    "limit", "model_length", "context_length", "context_length_exceeded", "model_context_window_exceeded",
    "length_limit", "max_len", "length_exceeded", "length_capped", "max_token", "error_limit", "truncated", "truncation", "incomplete",
)  # fmt: skip
_BROKEN = (
    "content_filter", "content_filtered", "safety", "abort", "aborted", "error", "error_toxic", "cancelled", "canceled",
    "cancel", "timeout", "timed_out", "refusal", "recitation", "blocklist", "prohibited_content", "spii", "interrupted",
    "preempted", "eos_missing", "repetition", "tool_calls", "tool_use", "function_call", "pause_turn",
)  # fmt: skip
_REASONS: dict[str, str] = dict.fromkeys(_ENDED, "") | dict.fromkeys(_LIMIT, CUT) | dict.fromkeys(_BROKEN, BROKEN_OFF)
"""Why a generation ended, in the words of the usual servers -> reason to drop it, "" for none."""
_TAGS = frozenset(
    {*_LIMIT, *_BROKEN} - {"error", "safety", "refusal", "repetition", "tool_calls", "tool_use", "function_call"}
)
"""Words of these that say so among the tags of a row as well: of the others one may be a topic."""
_STATUS = _TAGS | {"error", "refusal"}
"""The same in the columns of Kind.STATUS: `stop` may be the texts that a request stops at."""
_SENTENCE = LazyPattern(
    r"(?:verdict|judge?ment|decision|conclusion|grade|grading|result|correctness|final|^(?:the\W)?(?:answer|response|solution))\W{0,9}(?:(?:is|answer|response)\W+){0,3}"
    r"(incorrect|wrong|not correct|false|fail(?:ed)?|correct|right|true|pass(?:ed)?)\W*$", re.I)  # fmt: skip
"""How a judge's text ends."""
_BEGINS = LazyPattern(
    r"\W*(?:incorrect|wrong|not correct|fail(?:ed)?)\s?[:.,;\u2014-]|\W*(?:不正确|错误)[：，。]", re.I
)
_BLAMES = LazyPattern(r"(?<!not )(?<!nothing )\b(?:incorrect|wrong|not correct)\b[^?]{0,40}$|\b(?:does|do|did)(?: not|n't) match\b|(?:错误|有误|不对|不正确)\W*$", re.I)  # fmt: skip
_WHAT = LazyPattern(
    r"(?!(?:none|nothing|(?:no|without)\W+(?:\w+\W+)?(?:error|issue|problem|mistake)s?)\b).*[^\W\d].*\s\S", re.I | re.S
)
"""What went wrong, told in several words."""
_PARTS = (
    "test", "val", "valid", "validation", "dev", "eval", "evaluation", "testmini", "holdout", "heldout", "held_out",
)  # fmt: skip

_CLASSES = ("false", "no", "n", "f", "\u5426", "\u9519", "mismatch", "failure")
"""Words that may be a category of the question, or its answer."""

_OF_STEP = ("label", "score", "correct", "is_correct", "correctness", "rating", "verdict", "reward")
_ZEROS_AND_ONES = re.compile(r"[01](?:[\s,;|/]*[01])+")
_EDGES = ".!*[]\"'` "
_LONGEST = 40
"""Characters of a value that is compared with words."""


def said(value: Any, depth: int = 0) -> Said:
    """Return what a value says as yes or no; of a list what all of its values say that say something.

    What stands deeper than 2 lists is not understood, nor is an object but one of verdicts.

    >>> said(0.0), said(-1), said("False"), said(float("nan")), said(0.37), said(["no", None])
    (False, False, False, None, '?', False)
    """
    value = plain(value)
    if value is None or isinstance(value, bool):
        return value

    if isinstance(value, Number):
        return None if value != value else {-1: False, 0: False, 1: True}.get(value, "?")

    if isinstance(value, str):
        return _said_in_words(value)

    if isinstance(value, list) and depth <= 2:
        found = {said(item, depth + 1) for item in value} - {None}
        return None if not found else found.pop() if len(found) == 1 else "?"

    if isinstance(value, dict) and len(value) > 1 and all(isinstance(one, bool) for one in value.values()):
        return said(list(value.values()))

    return "?" if value else None


def _said_in_words(text: str) -> Said:
    word = _word(text)
    if word in WORDS:
        return WORDS[word]

    try:
        return said(float(word))
    except ValueError:
        return {0: False, 1: True}.get(_share(word), "?")  # 0%, 0/10, 3/3


def _share(text: str) -> float | None:
    """Return what part of a whole "3/5" or "60%" is; None for anything else."""
    part, _, whole = text.removesuffix("%").partition("/")
    part, whole = _number(part), 100.0 if text.endswith("%") else _number(whole)
    return None if part is None or not whole else part / whole


def _word(value: Any) -> str:
    return (
        value.strip().strip(_EDGES).casefold().replace("_", " ")
        if isinstance(value, str) and len(value) <= _LONGEST
        else "?"
    )


def is_right(kinds: frozenset[Kind], value: Any) -> Said:
    """Return whether a mark says that the response is right; None where it says nothing of it."""
    while isinstance(value, list) and len(value) == 1 or isinstance(value, dict) and "value" in value:
        inner = value[0] if isinstance(value, list) else value["value"]
        is_told_why = (
            isinstance(inner, str) and isinstance(value, dict) and ("answer" in value or "explanation" in value)
        )
        value = _INSPECT.get(inner, inner) if is_told_why else inner

    if Kind.STATUS in kinds and _word(value) in _REFUSES:
        return False

    return next((_READ[kind](value) for kind in kinds if kind in _READ), None)


def _is_wrong(value: Any) -> Said:
    answer = said(value)
    return not answer if isinstance(answer, bool) else answer


def _is_fit(value: Any) -> Said:
    word = _word(value)
    if said(value) is False or word in _REFUSES:
        return False

    return "?" if word in _DOUBTFUL or (_number(value) or 0) < 0 else None


def _is_unfit(value: Any) -> Said:
    is_told = isinstance(value, dict) and bool(value) or _end_word(value) in _BROKEN
    return False if said(value) is True else "?" if is_told else None


def _error(value: Any) -> Said:
    if isinstance(value, str) and _WHAT.match(value):
        return "?"

    return None if _word(value) in _FINE else _is_unfit(value)


def _outcome(value: Any) -> Said:
    word = _word(value)
    if word in _CERTAIN:
        return WORDS[word]

    if isinstance(value, list) and False in (found := set(map(_outcome, value))):
        return False if len(found) == 1 else "?"

    return "?" if value is False or word in _DOUBTFUL else None


def _opinion(value: Any) -> Said:
    word = _word(value)
    if word in _CERTAIN:
        return WORDS[word]

    if word in _REFUSES or _is_no(value):
        return False

    if (told := _words(value)) is not None:
        return told

    is_letter = word in ("b", "c", "d", "e")  # graders' B is incorrect, or a school's
    is_no = said(value) is False or (_number(value) or 0) < 0
    return "?" if is_no or is_letter else None


def _words(value: Any) -> Said:
    if (told := _outcome(value)) is not None or not isinstance(value, str):
        return told

    if sentence := _SENTENCE.search(value[-200:]):
        return said(sentence[1])

    return "?" if _BLAMES.search(value[-200:]) or _BEGINS.match(value) else None


def _rate(value: Any) -> Said:
    return "?" if value is False or _number(value) == 0 or _outcome(value) is False else None


def _right(value: Any) -> Said:
    share = _number(value) if not isinstance(value, str) or value.startswith("0.") and "/" not in value else None
    is_high = share is not None and _GOOD <= share < 1
    return None if is_high or isinstance(value, Number) and value in _TOP else said(value)


def _grade(value: Any) -> Said:
    word = _word(value)
    if word in _CERTAIN or word in _REFUSES:
        return None if WORDS.get(word) else False

    return "?" if value is False or word in _DOUBTFUL or _is_low(value) else None


def _is_low(value: Any) -> bool:
    """Whether a number, or "3/5", is not near the top of the least scale that it may be of."""
    if isinstance(value, str) and (share := _share(value)) is not None:
        return share < _GOOD

    number = _number(value)
    scale = next((top for top in _SCALES if number is not None and (number < top or number == top > 1)), None)
    return scale is not None and number < _GOOD * scale


def _steps(value: Any) -> Said:
    """Return "?" where one of several steps is called wrong."""
    value = decoded(value)
    steps = value if isinstance(value, list) else [value] if isinstance(value, dict | bool) else []
    return "?" if any(map(_is_wrong_step, steps)) else None


def _is_wrong_step(step: Any) -> bool:
    if isinstance(step, dict):
        return any(_is_wrong_step(step[key]) for key in _OF_STEP if isinstance(step.get(key), str | Number))

    is_low = isinstance(step, Number) and not isinstance(step, bool) and step < 0.1
    return is_low or _is_no(step) or _word(step) in ("-", "-1", *_DOUBTFUL)


def _is_no(value: Any) -> bool:
    """Whether a value is false, a word for it, or a list of these: the number 0 is none."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_no, value))

    return value is False or WORDS.get(_word(value)) is False


def _tags(value: Any) -> Said:
    tags = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else ()
    return "?" if any(map(_is_bad, tags)) else None


_READ: dict[Kind, Callable[[Any], Said]] = {
    Kind.RIGHT: _right,
    Kind.VERIFIER: said,
    Kind.WRONG: _is_wrong,
    Kind.FIT: _is_fit,
    Kind.UNFIT: _is_unfit,
    Kind.MAYBE_RIGHT: lambda value: "?" if _is_fit(value) is not None else None,
    Kind.MAYBE_WRONG: lambda value: "?" if _is_unfit(value) is not None else None,
    Kind.OUTCOME: _outcome,
    Kind.OPINION: _opinion,
    Kind.REMARK: lambda value: "?" if value is False else None if _word(value) in _NONE else _opinion(value),
    Kind.RATE: _rate,
    Kind.GRADE: _grade,
    Kind.PROMPT_TOO: lambda value: "?" if said(value) not in (None, False) else None,
    Kind.TROUBLE: lambda value: "?" if said(value) not in (None, False) or _word(value) in _JUDGING else None,
    Kind.ERROR: _error,
    Kind.COMMENT: lambda value: "?" if _words(value) in (False, "?") else None,
    Kind.LIKE_LEARN: lambda value: "?" if _is_yes_or_no(value) else None,
    Kind.BALANCE: lambda value: "?" if (_number(value) or 0) < 0 else None,
    Kind.STEPS: _steps,
    Kind.CATEGORY: _tags,
    Kind.SPLIT: lambda value: "?" if _end_word(value) in _PARTS else None,
}
"""How the values of a kind are read; those that judge no response have no place here."""


def _is_yes_or_no(value: Any) -> bool:
    """Whether a value is true, false, or a list of these or of 0 and 1."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(one in (0, 1) for one in values) and (values is value or isinstance(value, bool))


def _is_bad(tag: Any) -> bool:
    word = _word(tag)
    is_told = WORDS.get(word) is False or word in _BAD_TAGS or _end_word(tag) in _TAGS
    return is_told and word not in _CLASSES


def _number(value: Any) -> float | None:
    """Return a number, also that of "0/8" and "0%"; None for anything else."""
    if isinstance(value, str):
        value = value.partition("/")[0].strip().rstrip("%")

    try:
        number = None if isinstance(value, bool) or not isinstance(value, str | Number) else float(value)
    except (ValueError, OverflowError):
        return None

    return None if number != number else number


def flags(values: Any) -> list[bool] | None:
    """Return a row's verdicts on its responses as booleans; None if there is no list of them.

    A response without a verdict, or with one that is not understood, is not right.
    """
    values = plain(values)
    return [said(value) is True for value in values] if isinstance(values, list) and values else None


def decoded(value: Any) -> Any:
    """Return a mark's value, a list or object also where it is the JSON text of one (`"[false, true]"`) or Python's."""
    if not isinstance(value, str):
        return plain(value)

    if not value.lstrip().startswith(("[", "{")) or len(value) > 1 << 16:
        return value

    found = texts.decoded(value)
    return value if found is None else found


def mark_list(value: Any) -> list[Any] | None:
    """Return the marks of a list, of one with a list around it or around each ([[0], [1]]); None where it is no list."""
    value = decoded(value)
    if not isinstance(value, list):
        return None

    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]

    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in value]


def turn_marks(value: Any) -> list[Any] | None:
    """Return the marks of turns as `mark_list` does, also from "0,1", "01" and {"0": 0, "1": 1}; None for one mark alone.

    >>> turn_marks("0 1"), turn_marks({"0": False, "1": True}), turn_marks("0")
    ([0, 1], [False, True], None)
    """
    value = decoded(value)
    if isinstance(value, str) and _ZEROS_AND_ONES.fullmatch(value.strip()):
        return [int(digit) for digit in value if digit in "01"]

    if isinstance(value, dict) and value:
        numbers = sorted(int(key) for key in value if str(key).isdecimal())
        if numbers in (list(range(len(value))), list(range(1, len(value) + 1))):
            return [value.get(str(number), value.get(number)) for number in numbers]

    return mark_list(value)


def are_marks(values: list[Any], name: str = "") -> bool:
    """Whether a list is one of marks, not of pictures of masks or the like; `name` is that of its column."""
    kinds = bool if name == "labels" else bool | Number
    return all(value is None or isinstance(value, kinds) for value in values)


def end_reason(name: str, kinds: frozenset[Kind], value: Any) -> str:
    """Return why a response that ended so is not to be learned; "" where it is whole, "?" where that is not known.

    `value`: a text, a flag, an object with `type` or `reason`, or a list of these: the worst of them counts.
    """
    value = decoded(value)
    if isinstance(value, list):
        found = {"?" if isinstance(item, list) else end_reason(name, kinds, item) for item in value}
        return next((reason for reason in (CUT, BROKEN_OFF, "?") if reason in found), "")

    (kind,) = kinds & ENDS
    if kind is Kind.STATUS:
        word = _end_word(value)
        return "?" if value is False else _REASONS[word] if word in _STATUS else ""

    if kind is not Kind.ENDED:
        if kind is Kind.WHOLE and isinstance(value, str) and (word := _end_word(value)) in _REASONS:
            return _REASONS[word]  # `finish: length`

        answer = None if isinstance(value, str) and len(value) > _LONGEST else said(value)  # a text, no mark
        return "?" if answer == "?" else CUT if answer is (kind is Kind.CUT) else ""

    if isinstance(value, dict):
        value = next(
            (value[key] for key in ("type", "reason", "finish_reason") if isinstance(value.get(key), str)), "?"
        )

    if value is None or value != value or ("stop_reason" in name and isinstance(value, int)):
        return ""  # vLLM's stop_reason is null or the id of the token that ended the text

    word = _end_word(value)
    return "" if word in _NOTHING else _REASONS.get(word, "?")


def _end_word(value: Any) -> str:
    """Return a value in the spelling of _REASONS: `FinishReason.MAX_TOKENS` and `FINISH_REASON_MAX_TOKENS` are `max_tokens`."""
    word = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s-]+", "_", str(value)[:99].strip().rpartition(".")[2]).casefold()
    return word.removeprefix("finish_").removeprefix("reason_")
