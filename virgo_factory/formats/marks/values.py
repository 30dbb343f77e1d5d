"""Values of marks: yes, no, nothing, or something that is not in the tables and is never guessed.

Usual spellings are read (`0`, `0.0`, `"False"`, `"no"`); NaN, null and "" say nothing.
"""

import re
from numbers import Number
from typing import Any, Literal

from virgo_factory.formats import texts
from virgo_factory.formats.marks.names import ENDS, Kind
from virgo_factory.formats.row import plain


CUT = "the response was cut off at the token limit"
BROKEN_OFF = "the response was broken off"

Said = bool | None | Literal["?"]
"""What a mark says: yes, no, nothing (None), or something that is not in the tables ("?")."""

_TRUE = ("true", "yes", "y", "t", "right", "correct", "pass", "passed", "accept", "accepted", "ok", "success", "match",
         "solved", "是", "对", "正确", "✓", "✔", "✅")  # fmt: skip
_FALSE = ("false", "no", "n", "f", "wrong", "incorrect", "not correct", "wrong answer", "incorrect answer", "fail", "failed",
          "reject", "rejected",           "failure", "mismatch", "否", "错", "错误", "不正确", "✗", "✘", "×", "❌")  # fmt: skip
_NOTHING = ("", "null", "none", "nan", "na", "n/a", "unknown", "nil")
_CERTAIN = ("right", "correct", "passed", "wrong", "incorrect", "not correct", "wrong answer", "incorrect answer",
            "fail", "failed", "错误", "正确", "不正确",
            "✗", "❌", "✅")  # fmt: skip
"""Words that judge a response wherever they stand."""
_DOUBTFUL = ("reject", "rejected", "failure", "mismatch", "negative", "down", "low", "poor", "bad", "worst", "unverified",
             "discard", "discarded", "invalid", "thumbs down", "dislike", "disliked", "\U0001f44e")  # fmt: skip
"""Words that may say that a row is not to be used."""
WORDS: dict[str, Said] = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False) | dict.fromkeys(_NOTHING)

_ENDED = (
    "stop", "stopped", "end_turn", "eos", "eos_token", "eos_token_id", "stop_sequence", "stop_token", "stop_string",
    "stop_str", "stop_word", "word", "end", "end_of_text", "end_of_turn", "complete", "completed", "finish", "finished",
    "done", "normal", "natural", "success",
)  # fmt: skip
_LIMIT = (
    "length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "token_limit",
    "limit", "model_length", "context_length", "context_length_exceeded", "model_context_window_exceeded",
    "length_limit", "length_exceeded", "length_capped", "max_token", "error_limit", "truncated", "truncation", "incomplete",
)  # fmt: skip
_BROKEN = (
    "content_filter", "content_filtered", "safety", "abort", "aborted", "error", "error_toxic", "cancelled", "canceled",
    "cancel", "timeout", "timed_out", "refusal", "recitation", "blocklist", "prohibited_content", "spii", "interrupted",
    "preempted", "eos_missing", "repetition",
)  # fmt: skip
_REASONS: dict[str, str] = dict.fromkeys(_ENDED, "") | dict.fromkeys(_LIMIT, CUT) | dict.fromkeys(_BROKEN, BROKEN_OFF)
"""Why a generation ended, in the words of the usual servers -> reason to drop it, "" for none."""
_STATUS = frozenset({*_LIMIT, *_BROKEN} - {"error", "safety", "refusal", "repetition"})
"""Words of these that say so in the columns of Kind.STATUS as well: `stop` may be the texts that a request stops at."""
_SENTENCE = re.compile(
    r"(?:verdict|judge?ment|decision|conclusion|grade|grading|result|correctness|final)\W{0,9}(?:(?:is|answer|response)\W+){0,3}"
    r"(incorrect|wrong|not correct|false|fail(?:ed)?|correct|right|true|pass(?:ed)?)\W*$", re.I)  # fmt: skip
"""How a judge's text ends."""
_BLAMES = re.compile(r"\b(?:incorrect|wrong|not correct)\b[^?]{0,40}$", re.I)
_PARTS = (
    "test", "val", "valid", "validation", "dev", "eval", "evaluation", "testmini", "holdout", "heldout", "held_out",
)  # fmt: skip

_CLASSES = ("false", "no", "n", "f", "\u5426", "\u9519", "mismatch", "failure")
"""Words that may be a category of the question, or its answer."""

_ZEROS_AND_ONES = re.compile(r"[01](?:[\s,;|/]*[01])+")
_EDGES = ".!*[]\"'` "
_LONGEST = 40
"""Characters of a value that is compared with words."""


def said(value: Any, depth: int = 0) -> Said:
    """Return what a value says as yes or no; of a list what all of its values say that say something.

    Args:
        value: of a mark.
        depth: of lists that it stands in; what is deeper than 2 is not understood, nor is an object.

    >>> said(0.0), said("False"), said(float("nan")), said(0.37), said(["no", None])
    (False, False, None, '?', False)
    """
    value = plain(value)
    if value is None or isinstance(value, bool):
        return value

    if isinstance(value, Number):
        return None if value != value else {0: False, 1: True}.get(value, "?")

    if isinstance(value, str):
        return _said_in_words(value)

    if isinstance(value, list) and depth <= 2:
        found = {said(item, depth + 1) for item in value} - {None}
        return None if not found else found.pop() if len(found) == 1 else "?"

    return "?" if value else None


def _said_in_words(text: str) -> Said:
    word = _word(text)
    if word in WORDS:
        return WORDS[word]

    try:
        return said(float(word))
    except ValueError:
        return "?"


def _word(value: Any) -> str:
    return (
        value.strip().strip(_EDGES).casefold().replace("_", " ")
        if isinstance(value, str) and len(value) <= _LONGEST
        else "?"
    )


def is_right(kinds: frozenset[Kind], value: Any) -> Said:
    """Return whether a mark says that the response is right; None where it says nothing of it."""
    word = _word(value)
    for kind in kinds:
        if kind in (Kind.RIGHT, Kind.VERIFIER):
            return said(value)

        if kind is Kind.WRONG:
            answer = said(value)
            return not answer if isinstance(answer, bool) else answer

        if kind is Kind.MAYBE_RIGHT:
            return "?" if said(value) is False or word in _DOUBTFUL or (_number(value) or 0) < 0 else None

        if kind is Kind.MAYBE_WRONG:
            is_told = isinstance(value, dict) and bool(value) or _end_word(word) in _BROKEN
            return "?" if is_told or said(value) is True else None

        if kind in (Kind.OUTCOME, Kind.OPINION):
            if word in _CERTAIN:
                return WORDS[word]

            if kind is Kind.OPINION and isinstance(value, str) and len(value) > len("incorrect."):
                sentence = _SENTENCE.search(value[-200:])
                if sentence:
                    return said(sentence[1])

                if _BLAMES.search(value[-200:]):
                    return "?"

            is_no = said(value) is False or (_number(value) or 0) < 0 if kind is Kind.OPINION else value is False
            is_letter = kind is Kind.OPINION and word in ("b", "c", "d", "e")  # graders' B is incorrect, or a school's
            return "?" if is_no or is_letter or word in _DOUBTFUL else None

        if kind in (Kind.RATE, Kind.GRADE):
            if kind is Kind.GRADE and word in _CERTAIN:
                return None if WORDS[word] else False

            answer = 0 if value is False else _number(value[0] if isinstance(value, list) and value else value)
            is_told = answer == 0 if kind is Kind.RATE else answer is not None or word in _DOUBTFUL
            return "?" if is_told else None

        if kind is Kind.PROMPT_TOO:
            return "?" if said(value) not in (None, False) else None

        if kind is Kind.TROUBLE:
            return "?" if said(value) not in (None, False) else None

        if kind in (Kind.TAGS, Kind.CATEGORY):
            if kind is Kind.CATEGORY and word in _CLASSES:
                return None

            tags = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else ()
            return "?" if any(_is_bad(_word(tag)) or _end_word(tag) in _STATUS for tag in tags) else None

        if kind is Kind.SPLIT:
            return "?" if _end_word(value) in _PARTS else None

    return None


def _is_bad(word: str) -> bool:
    return WORDS.get(word) is False or word in ("bad", "discard", "discarded", "unverified")


def _number(value: Any) -> float | None:
    """Return a number, also that of "0/8" and "0%"; None for anything else."""
    if isinstance(value, str):
        value = value.partition("/")[0].strip().rstrip("%")

    try:
        number = None if isinstance(value, bool) or not isinstance(value, str | Number) else float(value)
    except ValueError:
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

    Args:
        name: of the column, in snake_case.
        kinds: of the column.
        value: a text, a flag, an object with `type` or `reason`, or a list of these: the worst of them counts.
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
    return word.removeprefix("finish_reason_")
