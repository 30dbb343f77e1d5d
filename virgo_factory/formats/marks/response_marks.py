"""What a row or message says of a response: that it is right, wrong, cut off, or not to be used.

One table of names (`mark_names`) and one of values (`mark_values`) for every layout. A value outside of them is never
guessed: where it may mean "wrong" or "cut" the row is kept with a note, by which it is counted and reported.
"""

import functools
import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.reasons import Reason
from virgo_factory.formats.marks.names import ENDS, LEARNS, MISSES, VERDICTS, Kind, corrects, kinds_of, opposed, snake
from virgo_factory.formats.marks.values import Said, decoded, end_reason, is_right, said
from virgo_factory.formats.pictures.values import at_path
from virgo_factory.formats.row import ANSWER_COLUMNS, OPTION_COLUMN, QUESTION_COLUMNS, RejectedRow


WRONG = Reason.MARKED_WRONG.text()
NOT_UNDERSTOOD = "mark not understood"
"""Begins the notes of rows that are kept with such a mark; its name follows."""

UNREAD = "yes or no in a column that is not read"
"""Begins the notes of rows that are kept with one; its name and value follow."""

_GOLDS = (*ANSWER_COLUMNS, "solution")
_OPTIONS = ("options", "choices")
_CHATS = ("messages", "conversations")
_YES_OR_NO = LazyPattern(
    r"^\W*(?:yes|no|not|true|false|correct|incorrect)\b|\b(?:yes|no|true|false|correct|incorrect)\W*$"
    r"|(?:answer|is|statement|\bboxed|text)\W+(?:(?:is|text|not)\W+)*(?:yes|no|true|false|correct|incorrect)\b"
    r"|^\W*(?:是|否|对|错|不是)|(?:是|否|对|错|正确|错误)\W*$", re.I)  # fmt: skip
"""How a solution answers yes or no."""
_FALSE, _TRL = ("false", "0", "0.0", "-1", "-1.0"), frozenset(("id", "prompt", "completion", "label", "messages"))
_ZERO = re.compile(r"(?<![\d.])0(?![\d.]*\d)")
LIMITS = ("max_tokens", "max_new_tokens", "max_completion_tokens")
_LIMITING = ("generation_config", "sampling_params", "gen_kwargs", "parameters")
"""Columns with objects in which the limit may stand."""
_COUNTS = ("completion_tokens", "output_tokens", "num_output_tokens", "response_tokens", "generated_tokens")
_LIMITED = (*LIMITS, *_LIMITING)
_QUESTIONS = (*QUESTION_COLUMNS, *_CHATS, "Question", "query")
RESPONDING = ("assistant", "gpt", "model", "bot")
_USES = frozenset({Kind.FIT, Kind.UNFIT})
_YES = VERDICTS | {Kind.MAYBE_RIGHT}
_OUTCOME, _CATEGORY = frozenset({Kind.OUTCOME}), frozenset({Kind.CATEGORY})
_JUDGING = frozenset(
    form
    for word in "correct incorrect wrong accepted accept rejected reject passed failed fail valid invalid verified unverified keep "
    "kept discard discarded drop dropped deleted filtered bad yes no true false ✓ ✗ ✔ ✘ ✅ ❌ 是 否 正确 错误 通过 不通过 合格 不合格 拒绝".split()
    for form in (word, word.title(), word.upper())
)
_HOLDS_TEXT = re.compile(
    r"(?!(?:is|are|was|has)_)(?:\w+_)?(?:answers?|gt|gold|truth|solution|target|question|problem|prompt|query|response|output|prediction|pred|extraction"
    r"|expected|text|content|value|title|name|word|id|options?|choices?|letter|topic|domain|subject|source|role|from)"
    r"|rejected_\w+|\w+_rejected|has_images?|tie"
    r"|(?:(?:true|gt|gold|ground_truth|class|answer|target|ref|reference|correct|right)_)?labels?"
)
"""Names, in snake_case, of columns whose yes, no or "wrong" is what is asked, answered or named."""
_ARGILLA = re.compile(r"\.(?:responses|suggestion)$")
"""Ends the names of columns with what annotators said (`quality.responses`)."""
_OF_RESPONSE = ("response", "thought", "solution", "messages", "chosen")
"""Names in `columns` of what the marks beside it speak of."""
_DECIDES = ("correct", "is_correct")
"""Columns of which a yes tells how all that is not understood is meant."""
_DEPTH = 2
"""Of objects in which marks are looked for (`metadata.eval.correct`)."""
_TOLD_BY = ("checks", "judges", "votes")
_ANNOTATORS = ("annotations", "result", "responses", "suggestions")
_NAMES, _VALUES = ("name", "metric", "check", "question_name"), ("value", "score", "passed", "result")
_CORRECTED = frozenset({Kind.TROUBLE})
_BESIDE = (
    (("is_accepted", "accepted_answer", "view_count", "comment_count", "num_comments", "subreddit"), "score"),
    (("repo_", "forks", "license"), "stars"),
    (("pii", "personal", "anonymi"), "masked"),
)
"""Parts of the names of columns, and the mark that beside one of them says nothing of the response."""


class Mark(NamedTuple):
    """A column that says something of the response: where it is, for people, its name in snake_case, and its value."""

    where: str
    name: str
    kinds: frozenset[Kind]
    value: Any

    @property
    def shown(self) -> str:
        """The mark with its value, for a message."""
        return f"{self.where} is {reprlib.repr(self.value)}"


@functools.lru_cache(1024)
def marked(columns: tuple[Any, ...], outer: str = "") -> tuple[tuple[Any, str, frozenset[Kind]], ...]:
    """Return (column, name in snake_case, kinds) of the columns that are marks; the rows of a file mostly have the same.

    Of an object of _TOLD_BY, whose name is `outer`, the columns are called with it (`checks.answer` is `answer_checks`); of one
    of _ANNOTATORS a text that is a correction is a mark. A `score` among the columns of a forum is its readers', and what is
    `masked` beside `pii` is that.
    """
    names = {column: _called(_ARGILLA.sub("", str(column))) for column in columns}
    silent = [mark for words, mark in _BESIDE if any(word in name for name in names.values() for word in words)]
    found = []
    for column, name in names.items():
        if outer == "votes" or outer in _TOLD_BY and not kinds_of(name):
            name = f"{name}_{outer}"

        if kinds := _CORRECTED if outer in _ANNOTATORS and corrects(name) else kinds_of(name):
            found.append((column, name, frozenset() if name in silent else kinds))

    return tuple(found)


def _called(column: str) -> str:
    """Return the name of a column in snake_case, of a flattened object that of what judges in it (`metadata.score`)."""
    outer, _, inner = column.rpartition(".")
    is_inner = outer and all(Kind.NESTED in kinds_of(snake(part)) for part in outer.split("."))
    return snake(inner if is_inner and kinds_of(snake(inner)).isdisjoint(LEARNS) else column)


def marks_of(row: Mapping[str, Any], depth: int = _DEPTH, outer: str = "") -> Iterator[Mark]:
    """Yield the marks of a row or message, and down to a depth those of the objects in it."""
    for column, name, kinds in marked(tuple(row), outer):
        value = row[column]
        if value is None:
            continue

        if Kind.BALANCE in kinds and (other := opposed(str(column))):
            value = _balance(row.get(other), value)

        inner = _object(value, name) if depth and Kind.NESTED in kinds else None
        found = list(marks_of(inner, depth - 1, name)) if inner else []
        yield from (mark._replace(where=f"{column}.{mark.where}") for mark in found)
        if inner and "value" in inner:
            inner, value, found = None, inner["value"], []

        if inner is None and kinds != {Kind.NESTED} or inner and not (found or kinds.isdisjoint(VERDICTS)):
            yield Mark(str(column), name, kinds, value)


def marks_beside(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Return the marks in the objects that hold a response which `columns` names with dots, as name: (path, value).

    Of several objects (a list on the way) a mark is the list of theirs; the nearest object counts.
    """
    found: dict[str, tuple[str, Any]] = {}
    for name, column in columns.items():
        *outer, _ = column.split(".")
        for end in range(len(outer) if name in _OF_RESPONSE and column not in row else 0, 0, -1):
            held = (decoded(one) for one in at_path(row, outer[:end]))
            holders = [one for each in held for one in (each if isinstance(each, list) else [each])]
            if not all(isinstance(one, dict) for one in holders):
                continue

            for own, _, kinds in marked(tuple(holders[0])) if holders else ():
                path = ".".join([*outer[:end], str(own)])
                values = [one.get(own) for one in holders]
                if path not in columns.values() and (kinds != {Kind.NESTED} or isinstance(values[0], dict)):
                    found.setdefault(own, (path, values[0] if len(values) == 1 else values))

    return found


def _balance(yeses: Any, noes: Any) -> Any:
    return yeses - noes if isinstance(noes, int) and isinstance(yeses, int) else None


@functools.lru_cache(1024)
def _unread(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    known = {column for column, *_ in marked(columns)}
    named = ((column, snake(str(column))) for column in columns if column not in known)
    return tuple(
        column for column, name in named if not _HOLDS_TEXT.fullmatch(name) and not OPTION_COLUMN.fullmatch(name)
    )


def unread(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the columns that no table knows, with their value: true, false, a list of these, or a word that judges.

    Those of an object that marks are looked for in are named with it (`metadata.looked_at`).
    """
    columns, found = tuple(row), []
    for column in _unread(columns):
        value = row[column]
        one = value[0] if value.__class__ is list and value else value
        if one is True or one is False or one.__class__ is str and len(one) < 12 and one in _JUDGING:
            found.append((str(column), value))

    for column, _, kinds in marked(columns):
        if row[column].__class__ is dict and Kind.NESTED in kinds:
            found += [(f"{column}.{inner}", value) for inner, value in unread(row[column])]

    return found


def _object(value: Any, name: str = "") -> Mapping[str, Any] | None:
    """Return the object that a column holds, also as JSON text or alone in a list; of several what they agree on.

    Of annotations each name and what was chosen: Label Studio's are a list of those, Argilla's `responses` hold `values`.
    """
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return None

    value = decoded(value)
    if isinstance(value, list) and 0 < len(value) < 9 and all(isinstance(item, dict) for item in value):
        if all(isinstance(item.get("from_name"), str) and isinstance(item.get("value"), dict) for item in value):
            told = ((item["from_name"], *item["value"].items()) for item in value if item["value"])
            return {name if kinds_of(snake(name)) or kind != "rating" else kind: one for name, (kind, one), *_ in told}

        named = _of_names(value)
        first, *others = value
        value = named or {key: inner for key, inner in first.items() if all(item.get(key) == inner for item in others)}

    if name == "responses" and isinstance(value, dict):  # others of that name are responses
        return {**chosen, "status": value.get("status")} if isinstance(chosen := value.get("values"), dict) else None

    return value if isinstance(value, dict) else None


def _of_names(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a list of objects of a name and a value says, such as `{"name": "exact_match", "value": 0}`."""
    name = next((key for key in _NAMES if isinstance(items[0].get(key), str)), "")
    value = next((key for key in _VALUES if key in items[0]), "")
    found = {item[name]: item.get(value) for item in items if value and isinstance(item.get(name), str)}
    return found if any(kinds - {Kind.NESTED} for *_, kinds in marked(tuple(found))) else {}


def check_marks(row: Mapping[str, Any], has_several: bool = False) -> tuple[str, ...]:
    """Return notes on the marks of a row or message that are not understood.

    `has_several`: it has several responses, of which its lists and counts speak: these are not looked at. Raises RejectedRow
    where it says of its response that it is wrong, or was cut off.
    """
    told = at_limit(row)
    found = list(marks_of(row))
    if has_several:
        found = [mark for mark in found if not (_is_rate(mark) or isinstance(decoded(mark.value), list))]

    if not found and not told:
        return ()

    notes = []
    is_certain = any(mark.name in _DECIDES and said(mark.value) is True for mark in found)
    ends = [(mark, end_of(mark)) for mark in found if mark.kinds & ENDS]
    is_whole = any(reason == "" and mark.value is not None and Kind.ENDED in mark.kinds for mark, reason in ends)
    for mark, reason in ends:
        is_known = is_certain or "stop_reason" in mark.name and is_whole  # vLLM: the text it stopped at
        if reason == "?" and not is_known:
            notes.append(mark.where)
        elif reason not in ("", "?"):
            raise RejectedRow(reason, mark.shown)

    if told and not is_whole and not has_several:
        notes.append(told)

    verdicts = [(mark, _verdict(row, mark)) for mark in found]
    is_verified = any(Kind.VERIFIER in mark.kinds and answer is True for mark, answer in verdicts)
    is_told_right = any(mark.kinds & _YES and said(mark.value) is True for mark, _ in verdicts)
    right = {mark.name for mark, answer in verdicts if answer is True}
    for mark, answer in verdicts:
        is_known = is_told_right and Kind.RATE in mark.kinds  # of the tries of another model
        if answer == "?" and not (is_known or is_certain and Kind.SPLIT not in mark.kinds):
            notes.append(mark.where)
        is_overruled = is_verified and mark.name in MISSES or "suggestion" in mark.where and mark.name in right
        if answer is False and not is_overruled:
            raise RejectedRow(WRONG, mark.shown)

    return tuple(f"{NOT_UNDERSTOOD}: {where[:60]}" for where in dict.fromkeys(notes))


def _is_rate(mark: Mark) -> bool:
    """Whether a mark says how often others were right; a count of 0 (`correctness_count`) is one of these responses."""
    return Kind.RATE in mark.kinds and not (mark.name == "correctness_count" and said(mark.value) is False)


def at_limit(row: Mapping[str, Any]) -> str:
    """Return the column that counts as many tokens of the response as were allowed; "" where none does."""
    if row.keys().isdisjoint(_LIMITED):
        return ""

    asked = (row, *(_object(row[name]) or {} for name in _LIMITING if name in row))
    limit = next((one[name] for one in asked for name in LIMITS if name in one), None)
    if not isinstance(limit, int) or isinstance(limit, bool):
        return ""

    places = {"": row, "usage.": _object(row.get("usage")) or {}}
    return next((f"{at}{name}" for at, counts in places.items() for name in _COUNTS if counts.get(name) == limit), "")


def _verdict(row: Mapping[str, Any], mark: Mark) -> Said:
    """Return whether a mark says that the response is right; "?" where it may be the gold answer, or no one knows."""
    if Kind.LABEL in mark.kinds:
        has_options = any(row.get(name) for name in _OPTIONS)
        has_gold = has_gold_answer(row) and not has_options
        is_wrong = is_right(_OUTCOME, mark.value) is False
        if isinstance(mark.value, str | list) and (is_wrong or is_right(_CATEGORY, mark.value) == "?"):
            return None if _asks(row, str(mark.value)) else False if is_wrong and not has_options else "?"

        return "?" if has_gold and said(mark.value) is False else None

    if mark.name == "is_consistent" and "consistency_analysis" in row:  # MMFineReason's: thought and gold answer agree
        return said(mark.value)

    answer = is_right(mark.kinds, mark.value)
    return "?" if answer is False and _is_asked_for(row, mark) else answer


def has_gold_answer(row: Mapping[str, Any]) -> bool:
    """Whether a row has a gold answer in a column of its own."""
    return any(row.get(name) is not None for name in _GOLDS)


def is_undesired(row: Mapping[str, Any], response: str) -> Said:
    """Return whether a row for KTO says by its `label` that its response is undesired; "?" where that may be a class.

    TRL's rows have a `completion` beside it (its messages are in `messages` by now); other rows for KTO are chats, or
    `instruction` and `output`, in which a false is a class where there are options, a gold answer, or a response (without its
    thought) that answers yes or no. A false of CSV is a text, and 0 or -1 is one in TRL's rows that have nothing else:
    elsewhere it is a class, as is what the response answers.
    """
    label = row.get("label")
    is_text = label is not False
    is_trl = "completion" in row and row.keys() <= _TRL
    if is_text and str(label).strip().casefold() not in (_FALSE if is_trl else _FALSE[:1]):
        return None

    is_for_kto = any(isinstance(row.get(name), list) for name in _CHATS) or {"instruction", "output"} <= row.keys()
    is_class = any(row.get(name) for name in _OPTIONS) or bool(_YES_OR_NO.search(response))
    if is_text and (is_class or str(label)[:1] in "0-" and _ZERO.search(response)):
        return None

    if "completion" in row:
        return True

    return "?" if not is_for_kto or is_class or has_gold_answer(row) else True


def _is_asked_for(row: Mapping[str, Any], mark: Mark) -> bool:
    """Whether a mark may be what the question asks for: the `score` of a game, where the gold answer is the same.

    Whether something is valid, or has an error, may be asked without a gold answer beside it.
    """
    if mark.kinds & _USES:
        asked = _questions(row)
        return any(word in asked for word in mark.name.split("_") if len(word) > 3)

    golds = {str(row.get(name)).strip().casefold() for name in _GOLDS}
    if isinstance(mark.value, bool) or str(mark.value).strip().casefold() not in golds:
        return False

    return _asks(row, mark.name.rpartition("_")[2].removesuffix("s"))


def _questions(row: Mapping[str, Any]) -> str:
    """Return what a row asks, in small letters, without its responses."""
    texts = []
    for name in _QUESTIONS:
        value = row.get(name)
        turns = value if isinstance(value, list) else [value] if value else []
        texts += [str(turn) for turn in turns if not isinstance(turn, dict) or _role(turn) not in RESPONDING]

    return "\n".join(texts).casefold()


def _role(message: Mapping[str, Any]) -> str:
    return str(message.get("role", message.get("from"))).casefold()


def _asks(row: Mapping[str, Any], word: str) -> bool:
    """Whether a row's question has a word, in any case of letters."""
    return any(word.casefold() in str(row[name]).casefold() for name in _QUESTIONS if row.get(name))


def end_of(mark: Mark) -> str:
    """Return `end_reason` of a mark; "" where it says nothing of an end."""
    return end_reason(mark.name, mark.kinds, mark.value) if mark.kinds & ENDS else ""


def verdict_lists(row: Mapping[str, Any]) -> list[tuple[Mark, list[Any]]]:
    """Return a row's lists of verdicts, with their marks."""
    lists = [(mark, decoded(mark.value)) for mark in marks_of(row) if mark.kinds & VERDICTS]
    return [(mark, values) for mark, values in lists if isinstance(values, list) and values]


def verdicts(row: Mapping[str, Any], size: int) -> list[bool | None] | None:
    """Return which of `size` responses are right by the row's lists of verdicts; None where it has none.

    A response is right where a list says so and none calls it wrong; of a no of a verifier who misses right answers (MISSES)
    the others are asked. None where all that is said of one is not understood (rewards of 0.12 and 0.93). Raises RejectedRow
    where a list has more or fewer verdicts: of which response each speaks is not known.
    """
    judged = verdict_lists(row)
    if not judged:
        return None

    if other := next(((mark, values) for mark, values in judged if len(values) != size), None):
        raise RejectedRow(
            "responses and verdicts do not match", f"{size} responses, {len(other[1])} verdicts in {other[0].where}"
        )

    right: list[bool | None] = []
    for at in range(size):
        answers = [(mark, said(values[at])) for mark, values in judged]
        is_verified = any(Kind.VERIFIER in mark.kinds and answer is True for mark, answer in answers)
        counted = {answer for mark, answer in answers if answer is True or not (is_verified and mark.name in MISSES)}
        right.append(None if counted == {"?"} else counted - {None, "?"} == {True})

    return right
