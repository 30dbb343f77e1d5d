"""What becomes of a row, and of its turns, by its marks: which are learned, which are context, which row is dropped.

What a response's marks say is read in `response_marks`. Where it is not certain that a turn is to be learned the row is
rejected; a row cannot be weighed, and is learned in full with a note.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from numbers import Number
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.reasons import Reason
from virgo_factory.core.thought import LongThought
from virgo_factory.formats.marks.names import ANYTHING, LEARNS, MODELS, TEACHERS, VERDICTS, Kind, snake
from virgo_factory.formats.marks.response_marks import (
    NOT_UNDERSTOOD,
    RESPONDING,
    UNREAD,
    WRONG,
    Mark,
    at_limit,
    check_marks,
    end_of,
    is_undesired,
    marked,
    marks_beside,
    marks_of,
    unread,
)
from virgo_factory.formats.marks.values import (
    BROKEN_OFF,
    CUT,
    Said,
    are_marks,
    decoded,
    is_right,
    mark_list,
    said,
    turn_marks,
)
from virgo_factory.formats.row import Reading, RejectedRow, bare, plain


NOT_LEARNED = Reason.NOT_LEARNED.text()
UNCLEAR = "the mark of what is to be learned is not understood"
NOT_WEIGHED = "learned in full despite its weight"
"""Begins the notes of rows with a weight between 0 and 1, or another; its name follows."""
UNLEARNED = "with turns that are not learned"
"""Note of rows with such turns."""

_MASKS = ("mask", "masks")
_AT_MESSAGES = ("label", "target", "enabled")
"""Keys of a message whose false says that it is not learned (axolotl's `label`); of a row they are something else."""
_OF_TURNS = LazyPattern(r"(?:loss|train|turn|assistant|response|message)s?_?(?:loss_?)?(?:mask|weight)s?")
_PART_OF_ROW = LazyPattern(
    r"(?:only\W)?(?:the\W)?(?:last|final|first|all|some|half|partial|assistant|response|prompt)\b.{,20}", re.I
)
_LOSS = ("loss", "loss_scale", "lossscale")
_ALL_ROUNDS = ("all", "default")
_LAST_ROUND = ("last_round", "last_turn")
"""Words of a row's _LOSS that are understood (ms-swift): all of its responses are learned, or only the last."""
_OF_RESPONSES = VERDICTS | {Kind.WRONG, Kind.RATE, Kind.GRADE, Kind.CUT, Kind.WHOLE, Kind.ENDED}
"""What speaks of a response, and so not of a prompt without one."""
_OF_MODEL = re.compile(
    rf"({'|'.join(MODELS)})_(?:(thinking(?:_trajectory)?|thoughts?|cot|attempt|solution)|reasoning|trace|response|answer|output|completion"
    r"|generation|text)"
)
"""Columns with what a model thought or answered; those without the second group may be a judge's."""
_JUDGES = re.compile(r"judge|judgment|verdict|verif|eval")
_PREFERS = LazyPattern(r"(?:preferred|chosen|best|selected)_(?:response_)?(?:index|idx|id)")
"""Columns that choose among several responses by a number, from 0 or from 1."""
_TIE = re.compile(r"(?:is_|was_|a_)*(?:tie|tied|draw)")
_WINNER = re.compile(r"winner|preference|preferred|better|(?:human|judge)_preference")
_NO_WINNERS = ("tie", "tied", "equal", "both", "neither", "rejected")
_MARGIN = LazyPattern(r"(?:(?:score|reward|rating|preference)_)?(?:margin|diff|difference|gap|delta)")
_SCORE = LazyPattern(r"(?:\w+_)?(?:scores?|ratings?|rewards?|acc|accuracy)")
"""Columns called so are numbers that preference pairs carry: of which response a single one speaks is not known."""


def check_response(row: Mapping[str, Any], position: int) -> None:
    """Raise RejectedRow if a row of several responses says that this one was cut off, or is not to be used or learned.

    Lists that say which are right are `verdicts`'.
    """
    for mark in marks_of(row):
        values = mark_list(mark.value)
        if values is None or position >= len(values):
            continue

        own = _one_of(mark._replace(value=values), position)
        reason = NOT_LEARNED if are_marks(values, mark.name) and _learned(own) is False else end_of(own)
        if reason not in ("", "?"):
            raise RejectedRow(reason, own.shown)

        if not own.kinds & VERDICTS and is_right(own.kinds, own.value) is False:
            raise RejectedRow(WRONG, own.shown)


def _one_of(mark: Mark, position: int) -> Mark:
    """Return one of the marks in a list."""
    return mark._replace(where=f"{mark.where}[{position}]", value=mark.value[position])


def _learned(mark: Mark) -> Said:
    """Return whether a mark says that what it stands at is to be learned; None where it says nothing."""
    value = plain(mark.value)
    if Kind.SPANS in mark.kinds and value:
        return "?"

    if Kind.TURNS in mark.kinds:
        return None if value in (None, "", [], "all") or isinstance(value, bool) else "?"

    if not mark.kinds & LEARNS or mark.name == "labels" and not isinstance(value, bool):
        return None

    answer = said(value)
    if mark.name in _MASKS and isinstance(answer, bool):
        return "?"  # "this is masked" and "this is in the loss mask" are both in use

    if isinstance(value, Number) and value < 0:
        return "?"

    return not answer if Kind.LEAVE in mark.kinds and isinstance(answer, bool) else answer


def learned_turns(
    row: Mapping[str, Any], responses: Sequence[Mapping[str, Any]]
) -> tuple[tuple[RejectedRow | None, ...], tuple[str, ...]]:
    """Return of each turn why it is not to be learned, None where it is, and notes.

    Marks stand at the response's message, or in a list of the row with one value a turn or a message; what the row says as a
    whole is `check_row`'s. A response that its own message calls wrong or cut off is not to be learned either: it stays as
    context. `responses` are the objects that each comes in, oldest first; empty objects where there is none. Raises
    RejectedRow where none is to be learned, or a mark is not understood.
    """
    turns = len(responses)
    has_more = max(map(len, responses), default=0) > 2  # than a role and a text
    if not has_more and not marked(tuple(row)) and not any(map(marked, map(tuple, responses))):
        return (None,) * turns, ()

    why: list[RejectedRow | None] = []
    notes: list[str] = [*_doubtful_flags(responses)] if has_more else []
    for response in responses:
        told = (f"{name} is {response[name]}" for name in _AT_MESSAGES if response.get(name) in (False, 0))
        reason = next((RejectedRow(NOT_LEARNED, detail) for detail in told), None)
        try:
            notes += check_marks(response)
        except RejectedRow as error:
            reason = bare(error)

        for mark in marks_of(response):
            if _understood(mark) is False:
                reason = reason or RejectedRow(NOT_LEARNED, mark.shown)

        why.append(reason)

    _check_blanks(responses)
    for mark in marks_of(row, 0):
        word = _loss_word(mark)
        if (Kind.LAST_ONLY in mark.kinds or word in _LAST_ROUND) and turns > 1:
            is_last_only = word in _LAST_ROUND or said(plain(mark.value))
            if is_last_only == "?":
                raise _unclear(mark)

            if is_last_only:
                why[:-1] = [reason or RejectedRow(NOT_LEARNED, mark.shown) for reason in why[:-1]]

        if each := _of_turns(mark, turns):
            for position in range(turns):
                own = _one_of(each, position)
                if _understood(own) is False:
                    why[position] = why[position] or RejectedRow(NOT_LEARNED, own.shown)

    if all(why):
        raise why[-1]

    return tuple(why), tuple(dict.fromkeys([*notes, *([UNLEARNED] if any(why) else [])]))


def _check_blanks(responses: Sequence[Mapping[str, Any]]) -> None:
    """Raise RejectedRow if a mark is true at one response and null at another, which may say that it is not learned.

    A file that marks only what is learned has nulls at all others; where the key is absent nothing is said.
    """
    names = {name for response in responses for name, _, kinds in marked(tuple(response)) if Kind.LEARN in kinds}
    for name in sorted(names, key=str):
        values = [said(plain(response[name])) for response in responses if name in response]
        if True in values and None in values:
            raise RejectedRow(
                UNCLEAR, f"{name} is true at one response and null at another; write true or false at each"
            )


def _loss_word(mark: Mark) -> str:
    """Return the word that a row's `loss` or `loss_scale` is; "" where it is none, or nothing, yes or no."""
    value = mark.value.strip().casefold() if isinstance(mark.value, str) and mark.name in _LOSS else ""
    return value if said(value) == "?" else ""


def _of_turns(mark: Mark, turns: int) -> Mark | None:
    """Return a mark of a row with a list of one value a response; None where it speaks of none by itself.

    It may have a value a response, a message, or a token, of which all are learned. In a `mask` of messages the questions,
    which are never learned, tell which value means that. Raises RejectedRow where it has another number of values, or is a
    `mask` of responses alone.
    """
    values = turn_marks(mark.value) if mark.kinds & LEARNS else None
    if not values:
        return None

    if mark.name == "labels" and len(values) == turns > 1 and set(map(str, values)) <= {"0", "1"}:
        values = list(map(bool, values))

    if not are_marks(values, mark.name):
        return None

    is_of_messages = len(values) in (2 * turns, 2 * turns + 1)  # the system message perhaps among them
    if mark.name in _MASKS:
        if len(values) == turns:
            raise _unclear(mark)

        if not is_of_messages:
            return None

        first = len(values) - 2 * turns
        asked, *others = set(map(said, values[first::2]))
        if others:
            raise _unclear(mark)

        return mark._replace(name="loss", value=[said(value) != asked for value in values[first + 1 :: 2]])

    if len(values) > turns and {_learned(mark._replace(value=value)) for value in values} <= {True, None}:
        return None

    if is_of_messages:
        values = values[len(values) - 2 * turns + 1 :: 2]

    if len(values) == turns:
        return mark._replace(value=values)

    if mark.name in ANYTHING:
        return None

    raise RejectedRow(UNCLEAR, f"{mark.where} has {len(values)} values for {turns} response(s)")


def _doubtful_flags(responses: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield notes on keys of messages that are in no table; one that is false at some responses is not understood."""
    found: dict[str, list[Any]] = {}
    for response in responses:
        for name, value in unread(response):
            if name not in _AT_MESSAGES:
                found.setdefault(name, []).append(value)

    for name, values in found.items():
        flag = False if False in values or "history" not in name else True
        is_mixed = flag in values and any(response and response.get(name) is not flag for response in responses)
        yield f"{NOT_UNDERSTOOD}: {name} of a message" if is_mixed else _told(f"{name} of a message", values[0])


def _told(name: str, value: Any) -> str:
    return f"{UNREAD}: {name[:60]} is {'a list' if isinstance(value, list) else value}"


def with_marks_of_parts(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row whose responses have the marks that all typed parts of their content have.

    Raises RejectedRow where only some parts of a response are not to be learned.
    """
    found = {}
    for column, messages in row.items():
        for message in messages if type(messages) is list else ():
            if type(message) is dict and type(message.get("content")) is list:
                found[column] = list(map(_with_mark_of_parts, messages))
                break

    return {**row, **found} if found else row


def _with_mark_of_parts(message: Any) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list) or message.get("role", message.get("from")) in ("user", "human", "system"):
        return message

    parts = [part for part in content if isinstance(part, Mapping)]
    if any(part.get("closed") is False for part in parts):  # Mistral's chunks of thinking
        message = {**message, "think_closed": False}

    marks = [[mark for mark in marks_of(part, 0) if _understood(mark) is False] for part in parts]
    if not any(marks):
        return message

    if not all(marks):
        raise RejectedRow(UNCLEAR, "only some parts of a response are not to be learned; write `loss` at the message")

    return {**message, "loss": False}


def _unclear(mark: Mark) -> RejectedRow:
    return RejectedRow(UNCLEAR, f"{mark.shown}; write true or false at `loss` of each response")


def _understood(mark: Mark) -> Said:
    answer = _learned(mark)
    if answer == "?":
        raise _unclear(mark)

    return answer


def check_row(row: Mapping[str, Any], reading: Reading, columns: Mapping[str, str] = {}) -> Reading:
    """Return what a row of one response, or of several turns, gives, given what it says of itself as a whole.

    Of a preference pair it speaks of the chosen response; of several responses only what is no list speaks of all.
    """
    examples = [part for part in reading.parts if isinstance(part, Example)]
    if not examples:
        return reading

    whole = row
    if columns:  # of the entry: a picture of the `right`, or an `accepted` response, is no mark
        named = {
            one.strip()
            for name, column in columns.items()
            if name != "pass_rate"
            for one in (*column.split(","), column)
        } - {"kto_tag"}  # under which the column is read that the entry names so
        named &= {column for column, *_ in marked(tuple(row))}
        row = {name: value for name, value in row.items() if name not in named}

    doubts: tuple[str, ...] = ()
    names: dict[str, str] = {}
    is_pair = examples[0].rejected is not None
    if is_pair:
        row, doubts = _of_chosen(row)
    elif reading.is_chosen:
        doubts = tuple(f"{NOT_WEIGHED}: {mark.where}" for mark in marks_of(row, 0) if _weighs_responses(mark))
        doubts += tuple(f"{NOT_UNDERSTOOD}: {name}" for name in row if _PREFERS.fullmatch(snake(str(name))))
        row = {name: value for name, value in row.items() if not isinstance(decoded(value), list)}
    elif examples[0].asked is not None:  # a prompt: that others were wrong, or cut off, says nothing against it
        others = {column: kinds for column, _, kinds in marked(tuple(row)) if kinds & _OF_RESPONSES}
        judged = [name for name, kinds in others.items() if Kind.RATE not in kinds]
        doubts = tuple(f"{NOT_UNDERSTOOD}: {name}" for name in judged if said(row[name]) is False)
        row = {name: value for name, value in row.items() if name not in others}
    else:
        row, names = _of_models(row, examples[-1].response)

    if columns and any("." in column for column in columns.values()):
        names |= {name: path for name, (path, _) in marks_beside(whole, columns).items()}

    if found := unread(row):
        doubts += tuple([_told(name, value) for name, value in found if name not in columns.values()])

    marks = marked(tuple(row))
    if not marks and not doubts and not at_limit(row):
        return reading

    if marks and not is_pair and len(examples) == 1 and examples[0].asked is None:
        row = _of_sample(row, [column for column, _, kinds in marks if kinds & VERDICTS], examples[0].response)

    try:
        if "label" in row and not is_pair and examples[0].asked is None:
            doubts += _label(whole, examples[-1].response)

        learn = [mark for mark in marks_of(row, 0) if mark.kinds & LEARNS]
        if learn:
            _check_learned(learn, not is_pair and all(isinstance(p, Example) and not p.history for p in reading.parts))

        notes = check_marks(row, reading.is_chosen) + doubts + tuple(filter(None, map(_weight, learn)))
    except RejectedRow as error:
        rejected = RejectedRow(error.reason, _named(error.detail, names))
        only_last = error.reason in (CUT, BROKEN_OFF) and not reading.is_chosen
        *others, last = (_rejected(part, rejected) for part in reading.parts)
        return replace(reading, parts=(*(reading.parts[:-1] if only_last else others), last))

    if not notes:
        return reading

    if names:
        notes = tuple(": ".join([what, _named(where, names)]) for what, _, where in (n.partition(": ") for n in notes))

    parts = (
        replace(part, notes=tuple(dict.fromkeys(part.notes + notes))) if isinstance(part, Example) else part
        for part in reading.parts
    )
    return replace(reading, parts=tuple(parts))


def _named(told: str, names: Mapping[str, str]) -> str:
    """Return what is told of a column with the name that the file has for it."""
    name = re.split(r"[ .\[]", told, maxsplit=1)[0]
    return names.get(name, name) + told[len(name) :]


def _label(row: Mapping[str, Any], response: LongThought | str) -> tuple[str, ...]:
    """Return a note on a `label` of false that may be a class; raise RejectedRow where it is KTO's."""
    is_wrong = is_undesired(row, response.solution if isinstance(response, LongThought) else response)
    if is_wrong is True:
        raise RejectedRow(WRONG, f"label is {row['label']}")

    return (f"{NOT_UNDERSTOOD}: label",) if is_wrong else ()


@lru_cache(256)
def _owners(columns: tuple[Any, ...]) -> dict[Any, re.Match[str]]:
    """Return the columns that speak of a model, and how their names do."""
    return {name: found for name in columns if (found := _OF_MODEL.fullmatch(snake(str(name))))}


def _of_models(row: Mapping[str, Any], response: LongThought | str) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return a row in which what is said of a model whose own response the row has is said of the response, or not at all.

    Of s1K-1.1's `gemini_grade` and `deepseek_grade` one speaks of the response that is learned: the columns that hold
    its thought, and least beside it, tell which. And the names in the file of the columns that are called otherwise in it.
    """
    owners = _owners(tuple(row))
    if not owners:
        return row, {}

    thought = response.thought if isinstance(response, LongThought) else response
    holding = {name: len(value.strip()) for name, value in row.items() if isinstance(value, str) and thought in value}
    if not holding:
        return row, {}

    least = min((size for name, size in holding.items() if name in owners), default=0)
    learned = {owners[name][1] for name, size in holding.items() if name in owners and size == least}
    others = {found[1] for found in owners.values() if found[2] or found[1] in TEACHERS} - learned
    found, names = dict(row), {}
    for column, name, _ in marked(tuple(row)):
        model, _, own = name.partition("_")
        if _JUDGES.search(own):
            continue

        if model in others:
            del found[column]
        elif model in learned and model not in TEACHERS and own not in row:
            found[own], names[own] = found.pop(column), str(column)

    return found, names


def _of_sample(row: Mapping[str, Any], judging: list[Any], response: LongThought | str) -> Mapping[str, Any]:
    """Return a row in which lists of verdicts on several samples, of which the response is a right one, say only that."""
    lists = {column: value for column in judging if isinstance(value := row[column], list) and len(value) > 1}
    pieces = (response.thought, response.solution) if isinstance(response, LongThought) else (response,)
    for samples in row.values() if lists else ():
        if isinstance(samples, list) and all(isinstance(text, str) for text in samples):
            places = [at for at, text in enumerate(samples) if all(piece in text for piece in pieces)]
            if len(places) == 1:
                own = {column: value[places[0]] for column, value in lists.items() if len(value) == len(samples)}
                return {**row, **{column: value for column, value in own.items() if said(value) is True}}

    return row


def _of_chosen(row: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a preference pair's row says of its chosen response, and notes on scores that prefer the other.

    A list of two has a value for the chosen response and one for the rejected.
    """
    found, doubts = {}, []
    for column, value in row.items():
        name = snake(str(column))
        if (
            name in ("chosen", "rejected", "rejected_reason")
            or name == "accepted"
            and isinstance(value, str | list)
            and said(value) == "?"
        ):
            continue  # a response

        if _prefers_none(name, decoded(value)):
            doubts.append(f"{NOT_UNDERSTOOD}: {column}")
            continue

        own = name.removeprefix("chosen_").removesuffix("_chosen")
        if _SCORE.fullmatch(own):
            other, both = row.get(str(column).replace("chosen", "rejected")) if own != name else None, decoded(value)
            value, other = both if isinstance(both, list) and len(both) == 2 else (value, other)
            if isinstance(value, Number) and isinstance(other, Number) and value < other:
                doubts.append(f"{NOT_UNDERSTOOD}: {column} is less than that of rejected")

            continue

        value = decoded(value)
        is_mark = name != own or any(not kinds & LEARNS for _, _, kinds in marked((column,)))
        found[own] = value[0] if is_mark and isinstance(value, list) and len(value) == 2 else value

    return found, tuple(doubts)


def _prefers_none(name: str, value: Any) -> bool:
    """Whether a column of a pair says that its rejected response is right, or no worse than the chosen one."""
    if _TIE.fullmatch(name):
        return said(value) is True

    if _WINNER.fullmatch(name):
        return isinstance(value, str) and value.strip().casefold() in _NO_WINNERS

    if _MARGIN.fullmatch(name):
        return isinstance(value, Number) and value <= 0

    other = name.removeprefix("rejected_").removesuffix("_rejected")
    is_verdict = (
        other != name and not _SCORE.fullmatch(other) and any(kinds & VERDICTS for *_, kinds in marked((other,)))
    )
    return is_verdict and said(value) is True


def _rejected(part: Example | RejectedRow, reason: RejectedRow) -> Example | RejectedRow:
    return reason if isinstance(part, Example) else part


def _check_learned(marks: list[Mark], is_one_turn: bool) -> None:
    for mark in marks:
        value = plain(mark.value)
        if mark.name in _MASKS and isinstance(value, str) and value.strip().casefold() in RESPONDING:
            raise RejectedRow(NOT_LEARNED, mark.shown)  # NeMo's: the role that is masked

        values = turn_marks(value)
        if Kind.TURNS in mark.kinds and _learned(mark) == "?" or _is_odd(mark, values):
            raise _unclear(mark)

        if is_one_turn and (own := _of_turns(mark, 1)):
            mark = _one_of(own, 0)
        elif mark.name in ANYTHING:
            continue

        if not isinstance(plain(mark.value), list | dict) and _learned(mark) is False:
            raise RejectedRow(NOT_LEARNED, mark.shown)


def _is_odd(mark: Mark, values: list[Any] | None) -> bool:
    """Whether a mark that can only be one of turns has a value which is in no table."""
    if word := _loss_word(mark):
        return word not in _ALL_ROUNDS + _LAST_ROUND and bool(re.fullmatch(r"[\w+-]+", word))

    if not _OF_TURNS.fullmatch(mark.name):
        return False

    return (
        not are_marks(values) if values is not None else isinstance(mark.value, str | dict) and _learned(mark) == "?"
    )


def _weight(mark: Mark) -> str:
    """Return the note on a mark that may weigh the row, such as a `weight` of 0.5, or is not understood; "" for any other."""
    value = plain(mark.value)
    if _learned(mark) != "?" or _loss_word(mark) in _ALL_ROUNDS + _LAST_ROUND:
        return ""

    if isinstance(value, Number) and mark.name not in _MASKS:
        return f"{NOT_WEIGHED}: {mark.where}"

    is_word = isinstance(value, str) and _PART_OF_ROW.fullmatch(value) and mark.name not in ANYTHING
    return f"{NOT_UNDERSTOOD}: {mark.where}" if is_word or isinstance(value, Number) else ""


def _weighs_responses(mark: Mark) -> bool:
    return any(_learned(mark._replace(value=value)) == "?" for value in mark_list(mark.value) or ())
