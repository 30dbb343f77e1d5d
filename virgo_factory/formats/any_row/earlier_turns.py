"""Earlier turns in a column beside the question, LLaMA-Factory's `history` under whatever name: with it they become messages."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.fields import question_columns
from virgo_factory.formats.layouts.messages import MESSAGE_COLUMNS, either, listed, role_of
from virgo_factory.formats.layouts.thought_columns import FOUND, layout_of
from virgo_factory.formats.marks.names import snake
from virgo_factory.formats.pictures.values import is_blank
from virgo_factory.formats.row import Reading, RejectedRow, naming, plain, question_of
from virgo_factory.formats.texts import decoded


REASON = "earlier turns that are not read"
_NAMED = LazyPattern(
    r"(?:chat|dialog|dialogue|conversation|message|turn)_?history|history"
    r"|(?:previous|prior|earlier|past|preceding)(?:_(?:turn|message|dialog|dialogue|conversation|round|exchange|chat)s?)?"
)
_MAY_BE = LazyPattern(r"dialog|dialogue")
"""Also the name of a text that the question is about, which is told as such."""
_NO_TURNS = LazyPattern(r"\s*\S*\s*")


@lru_cache(1024)
def _columns(names: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the columns that by their names may hold earlier turns; none where the row is a conversation by itself."""
    words = {} if not set(names).isdisjoint(MESSAGE_COLUMNS) else {n: snake(n) for n in names if isinstance(n, str)}
    return tuple(name for name, word in words.items() if _NAMED.fullmatch(word) or _MAY_BE.fullmatch(word))


def with_history(row: Mapping[str, Any], columns: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a row with its earlier turns and its question as messages.

    Where `columns` names question and response, and no history, there is none. Raises RejectedRow where something else
    stands in a column of such a name.
    """
    names = _columns(tuple(row))
    if not names or "history" not in columns and not {"question", "prompt", "messages"}.isdisjoint(columns):
        return row

    questions = [name for name in question_columns(tuple(row)) if isinstance(row[name], str)]
    for name in names:
        value = decoded(row[name]) or row[name] if isinstance(row[name], str) else plain(row[name])
        if not questions or is_blank(value) or not isinstance(value, str | list | dict):
            row = {**row, name: None} if is_blank(value) else row
            continue

        if (turns := _turns(value)) is None:
            if isinstance(value, str) and _NO_TURNS.fullmatch(value) or _MAY_BE.fullmatch(snake(name)):
                continue

            if name == "history" and _is_normal(value):
                continue

            told = f"{name} is no list of [question, response] pairs or of messages; write it as one, or say which columns"
            raise RejectedRow(REASON, f"{told} to train on: {naming(question=questions[0], response='...')}")

        if any(either(turn, "content", "value") == row[questions[0]] for turn in turns):  # the conversation itself
            continue

        rest = {other: kept for other, kept in row.items() if other != name}
        if (layout := layout_of(rest)) and layout.format != FOUND:  # the reader of the normal form says what it needs
            return rest | {"history": value}

        asked = {"role": "user", "content": question_of(row, tuple(questions))}
        rest = {other: kept for other, kept in rest.items() if other not in ("input", *questions)}
        return rest | {"messages": [*turns, asked]}

    return row


def _turns(value: Any) -> list[Mapping[str, Any]] | None:
    """Return [question, response] pairs, or a list of messages, as messages; None for anything else."""
    if isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in value
    ):
        return [
            {"role": role, "content": text}
            for pair in value
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]

    found = listed(value)
    is_chat = isinstance(found, list) and all(
        isinstance(turn, dict) and role_of(turn) in ("user", "assistant", "system") for turn in found
    )
    return found if is_chat else None


def _is_normal(value: Any) -> bool:
    """Whether a value is the history of our normal form, which `thought_columns` reads."""
    first = value[0] if isinstance(value, list) else value
    return isinstance(first, dict) and "solution" in first


def check_history(reading: Reading) -> Reading:
    """Return the reading of a row with a history with a reason where its format reads none."""
    lost = RejectedRow(REASON, "this layout has none; write the whole conversation as messages")
    parts = [lost if isinstance(part, Example) and not part.history else part for part in reading.parts]
    return Reading(reading.format, tuple(parts), reading.is_chosen)
