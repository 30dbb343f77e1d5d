"""What a row says about itself: that its response is wrong, that it was cut off, which turns are to be learned.

One table of names and meanings for every layout. Names are compared in snake_case (`finishReason` is `finish_reason`),
values in their usual spellings (`0`, `0.0`, `"False"`, `"no"`; NaN, null and "" say nothing). A value outside the tables
is never guessed: where it may mean "wrong" or "cut" the row is kept with a note, by which it is counted and reported;
where it may mean "do not learn this" the row is rejected.
"""

import functools
import json
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Number
from typing import Any, Literal

from virgo_factory.core.example import Example
from virgo_factory.core.reasons import Reason
from virgo_factory.formats.row import Reading, RejectedRow, bare, plain


WRONG = Reason.MARKED_WRONG.text()
CUT = "the response was cut off at the token limit"
BROKEN_OFF = "the response was broken off"
NOT_LEARNED = Reason.NOT_LEARNED.text()
UNCLEAR = "the mark of what is to be learned is not understood"
NOT_UNDERSTOOD = "mark not understood"
"""Begins the notes of rows that are kept with such a mark; its name follows."""
UNLEARNED = "with turns that are not learned"
"""Note of rows with such turns."""

Said = bool | None | Literal["?"]
"""What a mark says: yes, no, nothing (None), or something that is not in the tables ("?")."""

_TRUE = ("true", "yes", "y", "t", "right", "correct", "pass", "passed", "accept", "accepted", "ok", "success", "match",
         "solved", "是", "对", "正确", "✓", "✔", "✅")  # fmt: skip
_FALSE = ("false", "no", "n", "f", "wrong", "incorrect", "not correct", "fail", "failed", "reject", "rejected",
          "failure", "mismatch", "否", "错", "错误", "不正确", "✗", "✘", "×", "❌")  # fmt: skip
_NOTHING = ("", "null", "none", "nan", "na", "n/a", "unknown", "nil")
_CERTAIN = (
    "right",
    "correct",
    "passed",
    "wrong",
    "incorrect",
    "not correct",
    "fail",
    "failed",
    "错误",
    "正确",
    "✗",
    "❌",
    "✅",
)
"""Words that judge a response wherever they stand."""
WORDS: dict[str, Said] = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False) | dict.fromkeys(_NOTHING)

_JUDGES = (
    "answer", "final_answer", "response", "model", "llm", "judge", "gpt", "gpt4", "symbolic", "verifier", "verify",
    "math_verify", "rule", "output", "prediction", "pred", "result", "solution", "generation", "teacher", "eval",
    "evaluation", "grader", "reward", "final", "total",
)  # fmt: skip
_ASPECTS = (
    "correct", "is_correct", "correctness", "verdict", "score", "judgment", "judgement", "reward", "accuracy", "passed",
    "match",
)  # fmt: skip
RIGHT = frozenset({
    *("correct", "is_correct", "correctness", "judgment", "judgement", "verdict", "right", "is_right", "math_verify"),
    *("passed", "pass", "is_passed", "accepted", "is_accepted", "success", "is_success", "solved", "is_solved", "hit"),
    *("is_answer_correct", "answer_is_correct", "is_correct_answer", "answered_correctly", "correct_flag"),
    *("was_correct", "ans_correct", "answered_correct", "marked_correct"),
    *("exact_match", "em", "match", "matched", "is_match", "is_matched", "is_equiv", "equivalent", "is_equivalent"),
    *("score", "scores", "reward", "rewards", "accuracy", "acc", "acc_reward", "acc_score", "outcome_reward"),
    *("accuracy_reward", "accuracy_score", "correctness_score", "correctness_reward"),
    *("all_tests_passed", "gold_match", "matches_gold", "verification_result", "verifications", "llm_judge_score"),
    *(f"{judge}_{aspect}" for judge in _JUDGES for aspect in _ASPECTS),
    *(f"is_correct_{judge}" for judge in _JUDGES),
})  # fmt: skip
"""Columns that say that the response is right, or not. `answer` and `label` are never read as that: they are golds."""
VERIFIED = frozenset({
    *("verified", "is_verified", "human_verified", "valid", "is_valid", "validated", "approved", "is_approved"),
    *("good", "is_good", "usable", "is_usable", "keep", "kept", "solution_is_valid", "problem_is_valid"),
})  # fmt: skip
"""Columns in which a no may be that nobody has looked, or that the row is poor otherwise: it is not understood."""
_CORRECT = re.compile(
    r"(?!(?:\w+_)?(?:num|n|nr|number|count|total|times|percent|pct|ratio|rate|avg|mean|most|all|any|fraction)_)"
    r"\w+_correct(?:ness)?"
)
"""Other columns called so say it of something: a no in them is not understood."""
DOUBTFUL = frozenset({
    *("bad", "is_bad", "discard", "discarded", "drop", "dropped", "filtered", "is_filtered", "filtered_out"),
    *("error", "has_error", "is_error", "flagged", "is_flagged"),
})  # fmt: skip
"""Columns in which a yes may say that the row is not to be used: it is not understood."""
_NAME_OR_VERDICT = frozenset({"grade", "verifier", "judge_result", "human_label"})
OUTCOMES = frozenset({"result", "status", "outcome", "evaluation", "eval", "judge"}) | _NAME_OR_VERDICT
"""Columns that hold all kinds of things, in which only words such as "incorrect" and "failed" are looked for.

A no or 0 in those of _NAME_OR_VERDICT is not understood; in the others it may be an answer.
"""
OPPOSITE = frozenset({"wrong", "is_wrong", "incorrect", "is_incorrect", "failed", "is_failed"})
_ONE_OF = re.compile(r"correctness_(?!count|num)")
"""Columns that begin so are verdicts of several verifiers on one response."""
_MISSES = frozenset({"correctness_math_verify"})
"""Verifiers who compare by rule and miss right answers: of a no of theirs another verifier is asked (OpenR1)."""
_SCORE = re.compile(r"(?:\w+_)?(?:scores?|ratings?|rewards?|acc|accuracy)")
"""Columns called so are numbers that preference pairs carry: of which response a single one speaks is not known."""

FINISH = re.compile(
    r"(?:\w+_)?(?:finish|stop|stopped|done|end|termination|stopping)_?reasons?|finish_details|stop_type"
    r"|incomplete_details|termination"
)
IS_CUT = frozenset({
    *("truncated", "is_truncated", "was_truncated", "response_truncated", "output_truncated", "truncation", "unfinished"),
    *("is_unfinished", "incomplete", "is_incomplete", "cut_off", "cutoff", "is_cut", "is_cut_off", "was_cut", "was_cut_off"),
    *("stopped_limit", "overlong", "is_overlong", "cut"),
})  # fmt: skip
_AT_LIMIT = re.compile(
    r"(?:hit|reached|exceeds|exceeded)_(?:\w+_)?(?:limit|length|len|tokens)"
    r"|(?:\w+_)?(?:limit|length|len|tokens)_(?:hit|reached|exceeded)"
)
"""Columns called so are as those of IS_CUT."""
IS_WHOLE = frozenset({
    *("complete", "is_complete", "completed", "is_completed", "finished", "is_finished"),
    *("is_reasoning_complete", "reasoning_complete", "response_complete", "done", "is_done", "has_eos", "ended_with_eos"),
})  # fmt: skip
_ENDED = (
    "stop", "stopped", "end_turn", "eos", "eos_token", "eos_token_id", "stop_sequence", "stop_token", "stop_string",
    "stop_str", "stop_word", "word", "end", "end_of_text", "end_of_turn", "complete", "completed", "finish", "finished",
    "done", "normal", "natural", "success",
)  # fmt: skip
_LIMIT = (
    "length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "token_limit",
    "limit", "model_length", "context_length", "context_length_exceeded", "model_context_window_exceeded",
    "length_limit", "error_limit", "truncated", "truncation", "incomplete",
)  # fmt: skip
_BROKEN = (
    "content_filter", "content_filtered", "safety", "abort", "aborted", "error", "error_toxic", "cancelled", "canceled",
    "cancel", "timeout", "timed_out", "refusal", "recitation", "blocklist", "prohibited_content", "spii", "interrupted",
    "preempted", "eos_missing", "repetition",
)  # fmt: skip
ENDS: dict[str, str] = dict.fromkeys(_ENDED, "") | dict.fromkeys(_LIMIT, CUT) | dict.fromkeys(_BROKEN, BROKEN_OFF)
"""Why a generation ended, in the words of the usual servers -> reason to drop it, "" for none."""
_STATUS = (
    *_LIMIT,
    "content_filter",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "timeout",
    "timed_out",
    "interrupted",
)
"""Words of ENDS that say so in the columns _STATUSES as well."""
_STATUSES = ("status", "stop")
"""Columns that hold all kinds of things: `stop` may be the texts that a request stops at."""

LEARN = frozenset({
    *("loss", "loss_mask", "loss_weight", "loss_scale", "weight", "train", "trainable", "training", "train_on"),
    *("is_train", "is_training", "is_trained", "is_trainable", "do_train", "to_train", "for_training", "train_on_turn"),
    *("train_mask", "learn", "learnable", "is_learned", "supervised", "is_supervised", "is_target", "label_mask"),
    *("has_loss", "in_loss", "use_loss", "use_for_loss", "include_in_loss", "with_loss", "need_loss", "requires_loss"),
    *("calculate_loss", "compute_loss", "calc_loss", "do_loss", "enable_loss", "mask"),
    *("supervise", "to_learn", "is_learnable", "should_train", "should_learn"),
    *("loss_masks", "loss_weights", "train_masks", "weights", "masks"),
})  # fmt: skip
LEAVE = frozenset({
    *("masked", "is_masked", "mask_loss", "loss_masked", "mask_out", "masked_out", "ignore_loss", "no_loss", "skip_loss"),
    *("ignore", "ignored", "exclude", "excluded", "exclude_from_loss", "no_train", "skip_train", "skip_training"),
    *("is_context", "context_only", "skip", "skipped", "is_skipped"),
})  # fmt: skip
_ANYTHING = ("mask", "masks", "weights")
"""Columns of a row that may hold anything, from a picture's mask to masses: only a list that fits the turns is read."""
SPANS = ("train_detail",)
"""Marks of pieces of a message (axolotl), which are not read."""

NESTED = frozenset({
    *("metadata", "meta", "extra_info", "extra", "info", "additional_info", "verification_info", "verification"),
    *("verification_result", "evaluation", "eval", "eval_result", "judge", "response_metadata", "generation_info"),
    *("grading", "grade_info", "annotation", "annotations", "choices", "choice", "raw_response", "api_response"),
    *("eval_info", "judge_result", "verify_result", "score_info", "reward_info", "usage"),
})  # fmt: skip
"""Columns of objects in which rows carry such marks: one level deep, also as JSON text."""

_WORD_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+")
_EDGES = ".!*[]\"'` "
_AROUND = "?!*: _"
"""What may stand around a column's name (`Correct?`)."""
_LONGEST = 40
"""Characters of a value that is compared with WORDS."""


def snake(name: str) -> str:
    """Return a column's name in snake_case.

    >>> snake("finishReason"), snake("Is-Correct")
    ('finish_reason', 'is_correct')
    """
    return _WORD_EDGE.sub("_", name.strip(_AROUND)).lower()


def said(value: Any, depth: int = 0) -> Said:
    """Return what a value says as yes or no; of a list what all of its values say that say something.

    Args:
        value: of a mark.
        depth: of lists and objects it stands in; what is deeper than 2 is not understood.

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

    if depth > 2:
        return "?"

    if isinstance(value, list):
        found = {said(item, depth + 1) for item in value} - {None}
        return None if not found else found.pop() if len(found) == 1 else "?"

    if isinstance(value, dict):
        found = {_is_right(name, inner, depth + 1) for _, name, inner in _marks(value, nested=False)} - {None}
        return found.pop() if len(found) == 1 else "?" if value else None

    return "?"


def _said_in_words(text: str) -> Said:
    word = text.strip().strip(_EDGES).casefold() if len(text) <= _LONGEST else "?"
    if word in WORDS:
        return WORDS[word]

    try:
        return said(float(word))
    except ValueError:
        return "?"


def flags(values: Any) -> list[bool] | None:
    """Return a row's verdicts on its responses as booleans; None if there is no list of them.

    A response without a verdict, or with one that is not understood, is not right.
    """
    values = plain(values)
    return [said(value) is True for value in values] if isinstance(values, list) and values else None


_JSON = {"'": '"', "True": "true", "False": "false", "None": "null"}
_PYTHON = re.compile("|".join(_JSON))


def _decoded(value: Any) -> Any:
    """Return a mark's value, a list also where it is the JSON text of one (`"[false, true]"`) or Python's."""
    if not isinstance(value, str):
        return plain(value)

    if not value.lstrip().startswith("[") or len(value) > 1 << 16:
        return value

    for text in (value, _PYTHON.sub(lambda found: _JSON[found[0]], value)):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue

    return value


def _mark_list(value: Any) -> list[Any] | None:
    """Return the marks of a list, of one with a list around it or around each ([[0], [1]]); None where it is no list."""
    value = _decoded(value)
    if not isinstance(value, list):
        return None

    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]

    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in value]


def end_reason(name: str, value: Any) -> str:
    """Return why a response that ended so is not to be learned; "" where it is whole, "?" where that is not known.

    Args:
        name: of the column, by FINISH, IS_CUT or IS_WHOLE, in snake_case.
        value: a text, a flag, an object with `type` or `reason`, or a list of these: the worst of them counts.
    """
    value = _decoded(value)
    if isinstance(value, list):
        found = {"?" if isinstance(item, list) else end_reason(name, item) for item in value}
        return next((reason for reason in (CUT, BROKEN_OFF, "?") if reason in found), "")

    if name in _STATUSES:
        word = _end_word(value)
        return ENDS[word] if word in _STATUS else ""

    if not FINISH.fullmatch(name):
        answer = None if isinstance(value, str) and len(value) > _LONGEST else said(value)  # a text, no mark
        return "?" if answer == "?" else CUT if answer is (name not in IS_WHOLE) else ""

    if isinstance(value, dict):
        value = next(
            (value[key] for key in ("type", "reason", "finish_reason") if isinstance(value.get(key), str)), "?"
        )

    if value is None or value != value or ("stop_reason" in name and isinstance(value, int)):
        return ""  # vLLM's stop_reason is null or the id of the token that ended the text

    word = _end_word(value)
    return "" if word in _NOTHING else ENDS.get(word, "?")


def _end_word(value: Any) -> str:
    """Return a value in the spelling of ENDS: `FinishReason.MAX_TOKENS` and `FINISH_REASON_MAX_TOKENS` are `max_tokens`."""
    word = re.sub(r"[\s-]+", "_", str(value).strip().rpartition(".")[2].casefold())
    return word.removeprefix("finish_reason_")


_ALL = frozenset().union(
    *(RIGHT, VERIFIED, DOUBTFUL, OUTCOMES, OPPOSITE, IS_CUT, IS_WHOLE, LEARN, LEAVE, NESTED, SPANS, _STATUSES)
)
_PATTERNS = (_ONE_OF.match, _CORRECT.fullmatch, _AT_LIMIT.fullmatch, FINISH.fullmatch)


@functools.lru_cache(4096)
def _mark_of(column: str) -> str:
    """Return the name of the mark that a column is, in snake_case; "" where it is none."""
    name = snake(column)
    if name.startswith("rejected_"):
        return ""  # of a preference pair: that response is not learned

    return name if name in _ALL or any(matches(name) for matches in _PATTERNS) else ""


@functools.lru_cache(1024)
def _marked(columns: tuple[Any, ...]) -> tuple[tuple[Any, str], ...]:
    """Return (column, name in snake_case) of the columns that are marks; the rows of a file mostly have the same."""
    return tuple((column, name) for column in columns if (name := _mark_of(str(column))))


def _marks(row: Mapping[str, Any], nested: bool = True) -> Iterator[tuple[str, str, Any]]:
    """Yield (where, name in snake_case, value) of the columns that are marks, and of those in the objects of NESTED."""
    for column, name in _marked(tuple(row)):
        value = row[column]
        if value is None:
            continue

        if nested and name in NESTED:
            if isinstance(value, str) and value.lstrip().startswith("{") and len(value) < 1 << 16:
                try:
                    value = json.loads(value)
                except ValueError:
                    continue

            if isinstance(value := plain(value), list) and len(value) == 1:
                value = value[0]

            if isinstance(value, dict):
                yield from ((f"{column}.{where}", *mark) for where, *mark in _marks(value, nested=False))
                continue

        yield str(column), name, value


def _is_right(name: str, value: Any, depth: int = 0) -> Said:
    """Return whether a mark says that the response is right; None where it is no such mark."""
    if name in RIGHT or _ONE_OF.match(name):
        return said(value, depth)

    if name in VERIFIED or _CORRECT.fullmatch(name):
        return "?" if said(value, depth) is False else None

    if name in DOUBTFUL:
        return "?" if said(value, depth) is True else None

    if name in OUTCOMES:
        word = value.strip().strip(_EDGES).casefold() if isinstance(value, str) else ""
        if word in _CERTAIN:
            return WORDS[word]

        return "?" if name in _NAME_OR_VERDICT and said(value, depth) is False else None

    if name in OPPOSITE:
        answer = said(value, depth)
        return not answer if isinstance(answer, bool) else answer

    return None


def check_marks(marked: Mapping[str, Any], has_several: bool = False) -> tuple[str, ...]:
    """Return notes on the marks of a row or message that are not understood.

    Args:
        marked: the row or message.
        has_several: it has several responses, of which its lists speak: these are not looked at.

    Raises:
        RejectedRow: it says of its response that it is wrong, or was cut off.
    """
    found = list(_marks(marked))
    if has_several:
        found = [mark for mark in found if not isinstance(_decoded(mark[-1]), list)]

    if not found:
        return ()

    notes = []
    ends = [(where, name, value, end_reason(name, value)) for where, name, value in found if _is_end(name)]
    is_whole = any(reason == "" and value is not None and FINISH.fullmatch(name) for _, name, value, reason in ends)
    for where, name, value, reason in ends:
        if reason == "?" and not ("stop_reason" in name and is_whole):  # vLLM: the text it stopped at
            notes.append(where)
        elif reason not in ("", "?"):
            raise RejectedRow(reason, _shown(where, value))

    verdicts = [(where, name, value, _is_right(name, value)) for where, name, value in found]
    is_verified = any(_ONE_OF.match(name) and answer is True for _, name, _, answer in verdicts)
    for where, name, value, answer in verdicts:
        if answer == "?":
            notes.append(where)
        elif answer is False and not (is_verified and name in _MISSES):
            raise RejectedRow(WRONG, _shown(where, value))

    return tuple(f"{NOT_UNDERSTOOD}: {where[:60]}" for where in notes)


def _is_end(name: str) -> bool:
    return (
        name in IS_CUT
        or name in IS_WHOLE
        or name in _STATUSES
        or bool(_AT_LIMIT.fullmatch(name) or FINISH.fullmatch(name))
    )


def check_response(row: Mapping[str, Any], position: int) -> None:
    """Raise RejectedRow if a row of several responses says that this one was cut off, or is not to be learned."""
    for where, name, value in _marks(row):
        value = _mark_list(value)
        if value is None or position >= len(value):
            continue

        reason = end_reason(name, value[position]) if _is_end(name) else ""
        if _are_marks(value) and _learned(name, value[position]) is False:
            reason = NOT_LEARNED

        if reason not in ("", "?"):
            raise RejectedRow(reason, _shown(f"{where}[{position}]", value[position]))


def verdicts(row: Mapping[str, Any], size: int) -> list[bool] | None:
    """Return which of `size` responses are right by the row's lists of verdicts; None where it has none.

    A response is right where a list says so and none calls it wrong or ends before it.
    """
    lists = [(name, _decoded(value)) for _, name, value in _marks(row) if name in RIGHT or _ONE_OF.match(name)]
    judged = [(name, values) for name, values in lists if isinstance(values, list) and values]
    if not judged:
        return None

    right = []
    for at in range(size):
        answers = [(name, said(values[at]) if at < len(values) else False) for name, values in judged]
        is_verified = any(_ONE_OF.match(name) and answer is True for name, answer in answers)
        counted = {answer for name, answer in answers if answer is True or not (is_verified and name in _MISSES)}
        right.append(counted - {None, "?"} == {True})

    return right


def _learned(name: str, value: Any) -> Said:
    """Return whether a mark says that what it stands at is to be learned; None where it says nothing."""
    value = plain(value)
    if name in SPANS and value:
        return "?"

    if name not in LEARN and name not in LEAVE:
        return None

    answer = said(value)
    if name == "mask" and isinstance(value, bool):
        return "?"  # "this is masked" and "this is in the loss mask" are both in use

    return not answer if name in LEAVE and isinstance(answer, bool) else answer


def learned_turns(
    row: Mapping[str, Any], responses: Sequence[Mapping[str, Any]]
) -> tuple[tuple[RejectedRow | None, ...], tuple[str, ...]]:
    """Return of each turn why it is not to be learned, None where it is, and notes.

    Marks stand at the response's message, or in a list of the row with one value a turn or a message. A response that
    its own message calls wrong or cut off is not to be learned either: it stays as context.

    Args:
        row: its lists are looked at; what it says as a whole is `check_row`'s.
        responses: the object that each response comes in, oldest first; empty objects where there is none.

    Raises:
        RejectedRow: none is to be learned, or a mark is not understood.
    """
    turns = len(responses)
    if not _marked(tuple(row)) and not any(_marked(tuple(response)) for response in responses):
        return (None,) * turns, ()

    why: list[RejectedRow | None] = []
    notes: list[str] = []
    for response in responses:
        reason = None
        try:
            notes += check_marks(response)
        except RejectedRow as error:
            reason = bare(error)

        for where, name, value in _marks(response):
            if _understood(where, value, _learned(name, value)) is False:
                reason = reason or RejectedRow(NOT_LEARNED, _shown(where, value))

        why.append(reason)

    for where, name, values in _marks(row, nested=False):
        values = _mark_list(values) if name in LEARN or name in LEAVE else None
        if values is None or not _are_marks(values):
            continue

        answers = [_learned(name, value) for value in values]
        if not {False, "?"} & set(answers):
            continue

        if len(values) in (2 * turns, 2 * turns + 1):  # one a message, the system message perhaps among them
            answers, values = (some[len(some) - 2 * turns + 1 :: 2] for some in (answers, values))

        if len(values) != turns and name in _ANYTHING:
            continue

        if len(values) != turns:
            raise RejectedRow(UNCLEAR, f"{where} has {len(values)} values for {turns} response(s)")

        for position, (value, answer) in enumerate(zip(values, answers, strict=True)):
            place = f"{where}[{position}]"
            if _understood(place, value, answer) is False:
                why[position] = why[position] or RejectedRow(NOT_LEARNED, _shown(place, value))

    if all(why):
        raise why[-1]

    return tuple(why), tuple(dict.fromkeys([*notes, *([UNLEARNED] if any(why) else [])]))


def _are_marks(values: list[Any]) -> bool:
    """Whether a list is one of marks, not of pictures of masks or the like."""
    return all(value is None or isinstance(value, bool | Number) for value in values)


def _understood(where: str, value: Any, answer: Said) -> Said:
    if answer == "?":
        raise RejectedRow(UNCLEAR, f"{_shown(where, value)}; write true or false at `loss`")

    return answer


def check_row(row: Mapping[str, Any], reading: Reading) -> Reading:
    """Return what a row of one response, or of several turns, gives, given what it says of itself as a whole.

    Of a preference pair it speaks of the chosen response; of several responses only what is no list speaks of all.
    """
    examples = [part for part in reading.parts if isinstance(part, Example)]
    if not examples:
        return reading

    doubts: tuple[str, ...] = ()
    is_pair = examples[0].rejected is not None
    if is_pair:
        row, doubts = _of_chosen(row)
    elif reading.is_chosen:
        lists = [(where, name, _mark_list(value)) for where, name, value in _marks(row, nested=False)]
        unclear = [where for where, name, values in lists if "?" in [_learned(name, value) for value in values or ()]]
        doubts = tuple(f"{NOT_UNDERSTOOD}: {where}" for where in unclear)
        row = {name: value for name, value in row.items() if not isinstance(_decoded(value), list)}

    if not _marked(tuple(row)) and not doubts:
        return reading

    try:
        _check_learned(row, not is_pair and all(isinstance(p, Example) and not p.history for p in reading.parts))
        notes = check_marks(row, reading.is_chosen) + doubts
        notes += tuple(f"{NOT_UNDERSTOOD}: {where}" for where in _unclear(row))
    except RejectedRow as error:
        rejected = RejectedRow(error.reason, error.detail)
        only_last = error.reason in (CUT, BROKEN_OFF) and not reading.is_chosen
        *others, last = (_rejected(part, rejected) for part in reading.parts)
        return replace(reading, parts=(*(reading.parts[:-1] if only_last else others), last))

    if not notes:
        return reading

    parts = (
        replace(part, notes=tuple(dict.fromkeys(part.notes + notes))) if isinstance(part, Example) else part
        for part in reading.parts
    )
    return replace(reading, parts=tuple(parts))


def _of_chosen(row: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a preference pair's row says of its chosen response, and notes on scores that prefer the other.

    A list of two has a value for the chosen response and one for the rejected.
    """
    found, doubts = {}, []
    for column, value in row.items():
        name = snake(str(column))
        if name in ("chosen", "rejected"):
            continue

        own = name.removeprefix("chosen_").removesuffix("_chosen")
        if _SCORE.fullmatch(own):
            other = row.get(str(column).replace("chosen", "rejected")) if own != name else None
            if isinstance(value, Number) and isinstance(other, Number) and value < other:
                doubts.append(f"{NOT_UNDERSTOOD}: {column} is less than that of rejected")

            continue

        value = _decoded(value)
        is_mark = (name != own or bool(_marked((column,)))) and name not in LEARN and name not in LEAVE
        found[own] = value[0] if is_mark and isinstance(value, list) and len(value) == 2 else value

    return found, tuple(doubts)


def _rejected(part: Example | RejectedRow, reason: RejectedRow) -> Example | RejectedRow:
    return reason if isinstance(part, Example) else part


def _check_learned(row: Mapping[str, Any], is_one_turn: bool) -> None:
    for where, name, value in _marks(row, nested=False):
        values = _mark_list(value) if name in LEARN or name in LEAVE else None
        value = plain(value) if values is None else values
        if name in _ANYTHING and (values is None or len(values) > 3):
            continue

        if isinstance(value, list) and is_one_turn and _are_marks(value):
            if all(_learned(name, mark) is True or mark is None for mark in value):
                continue

            if len(value) > 3:  # system message, question and response at the most
                raise RejectedRow(UNCLEAR, f"{where} has {len(value)} values for 1 response(s)")

            where, value = f"{where}[{len(value) - 1}]", value[-1]

        if not isinstance(value, (list, dict)) and _learned(name, value) is False:
            raise RejectedRow(NOT_LEARNED, _shown(where, value))


def _unclear(row: Mapping[str, Any]) -> list[str]:
    """Return the columns that may weigh the row, such as a `weight` of 0.5: rows are not weighed here."""
    found = ((where, name, plain(value)) for where, name, value in _marks(row, nested=False))
    return [
        where
        for where, name, value in found
        if isinstance(value, Number) and (_learned(name, value) == "?" or (name == "mask" and not value))
    ]


def _shown(where: str, value: Any) -> str:
    return f"{where} is {reprlib.repr(value)}"
