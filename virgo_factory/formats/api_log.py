"""Logs of a chat API: the request's messages, and the answer among `choices`.

What OpenAI-compatible servers answer and clients log: {"request": {"messages"}, "response": {"choices"}}, batch files
({"body": {"messages"}, "response": {"body": {"choices"}}}), and messages with `choices` beside them.
"""

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from virgo_factory.formats import chat
from virgo_factory.formats.mark_values import BROKEN_OFF
from virgo_factory.formats.marks import check_row
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import Reading, RejectedRow, plain


REQUESTS = ("request", "request_body", "body", "input", "payload")
RESPONSES = ("response", "response_body", "output", "completion", "result")
ANY_OF = ("choices", *REQUESTS, *RESPONSES)


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there are the messages of a request, or the choices of an answer."""
    return _messages(row) is not None or _choices(row) is not None


def _objects(row: Mapping[str, Any], columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of some columns, and their bodies."""
    for column in columns:
        value = row.get(column)
        if isinstance(value, dict):
            yield value
            if isinstance(value.get("body"), dict):
                yield value["body"]


def _messages(row: Mapping[str, Any]) -> list[Any] | None:
    found = (plain(request.get("messages")) for request in _objects(row, REQUESTS))
    return next((messages for messages in found if isinstance(messages, list) and messages), None)


def _choices(row: Mapping[str, Any]) -> list[Any] | None:
    for answer in (row, *_objects(row, RESPONSES)):
        choices = plain(answer.get("choices"))
        if isinstance(choices, list) and choices and isinstance(choices[0], dict) and "message" in choices[0]:
            return choices

    return None


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the examples of the conversation that request and answer make together.

    Raises:
        RejectedRow: one of both is missing, or the answer has several choices.
    """
    messages = _messages(row) or plain(row.get("messages"))
    if not isinstance(messages, list):
        raise RejectedRow("no question", "the log holds answers only; put the messages of its request beside them")

    choices = _choices(row)
    if choices is not None:
        if len(choices) > 1:
            raise RejectedRow("several choices in one answer", f"{len(choices)}; put each into a row of its own")

        message = choices[0]["message"]
        if isinstance(message, dict) and isinstance(refusal := message.get("refusal"), str) and refusal.strip():
            raise RejectedRow(BROKEN_OFF, f"the answer is a refusal: {reprlib.repr(refusal)}")

        messages = [*messages, message]

    rest = {name: value for name, value in row.items() if name not in (*REQUESTS, *RESPONSES, "choices")}
    reading = chat.read(rest | {"messages": messages}, options)
    return check_row({"choices": choices}, reading)  # wherever they stand
