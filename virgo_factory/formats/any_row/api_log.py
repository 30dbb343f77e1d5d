"""Logs of a chat API become rows of messages: those of the request, and the message that answered them.

Chat Completions (`messages`, `choices`), Responses (`input`, `output`), Anthropic's (`messages`, `content`), Gemini's (`contents`,
`candidates`) and Ollama's (`messages`, `message`): columns of a row, objects in one, or their bodies (batch files). And TRL's
`completion`: a list of the messages behind a prompt.
"""

import functools
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from virgo_factory.formats.any_row.tool_calls import check_tools
from virgo_factory.formats.fields import question_columns, thought_text
from virgo_factory.formats.layouts.messages import listed, message_column, role_of
from virgo_factory.formats.marks.response_marks import LIMITS, marked
from virgo_factory.formats.marks.values import BROKEN_OFF
from virgo_factory.formats.row import RejectedRow, first_column, plain, question_of


REQUESTS = ("request", "request_body", "body", "input", "payload")
RESPONSES = ("response", "response_body", "output", "completion", "result")
_SYSTEMS = ("system", "instructions", "systemInstruction", "system_instruction")
_ASKED = ("messages", "contents", "input")
_ANSWERED = ("choices", "candidates", "output")


def with_messages(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a log as a row with its whole conversation in `messages`; any other row as it is.

    Raises RejectedRow where question or answer is missing; for several choices, a refusal, earlier turns in another log, tools.
    """
    if isinstance(row.get("doc"), dict) and isinstance(row.get("resps"), list):
        return _of_sample(row)

    columns = [name for name in _columns(tuple(row)) if _may_hold_messages(row[name])]
    if not columns:
        return row

    if (completion := next((name for name in columns if _is_completion(row[name])), None)) and (asked := _prompt(row)):
        rest = {name: value for name, value in row.items() if value is not asked}
        turns = listed(row[completion])
        return rest | {completion: turns, "messages": [*asked, *turns]}

    requests, responses = list(_objects(row, REQUESTS)), list(_objects(row, RESPONSES))
    asked = next((one for one in requests if _messages(one)), row)
    given, answer = next(
        ((one, found) for one in (row, *responses) if (found := _answer(one, one is row))), (row, None)
    )
    if answer is None and asked is row:
        return row

    logged = _messages(asked)
    messages = logged or _question(row)
    if not messages:
        raise RejectedRow("no question", "the log holds answers only; put the messages of its request beside them")

    if asked.get("previous_response_id"):
        raise RejectedRow("no earlier turns", "previous_response_id names another log, which holds them")

    check_tools(asked)
    used = {name for name, value in row.items() if any(one is value or one is _body(value) for one in (asked, given))}
    used |= {*(_ASKED if logged and asked is row else ()), *(_ANSWERED if given is row else ())}
    rest = {name: value for name, value in row.items() if name not in used}
    if system := next((asked[name] for name in _SYSTEMS if asked.get(name)), None):
        rest["system"] = system

    limits = {name: asked[name] for name in LIMITS if name in asked}
    return _marks(given) | limits | rest | {"messages": [*messages, *([answer] if answer else [])]}


def _of_sample(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a sample of lm-eval as a row: its `doc` has the question, `resps` lists of responses, `target` the gold answer."""
    responses = [text for one in row["resps"] for text in (one if isinstance(one, list) else [one])]
    rest = {name: value for name, value in row.items() if name not in ("doc", "resps", "arguments", "filtered_resps")}
    given = {"response": responses[0]} if len(responses) == 1 else {"responses": responses}
    return {**row["doc"], **rest, **given, "answer": row.get("target")}


@functools.lru_cache(1024)
def _columns(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(name for name in columns if name in (*REQUESTS, *RESPONSES, *_ANSWERED))


def _may_hold_messages(value: Any) -> bool:
    return value[:2] == "[{" if type(value) is str else isinstance(plain(value), dict | list)


def _is_completion(value: Any) -> bool:
    """Whether a value is a list of messages that begins with a response."""
    found = listed(value)
    return (
        isinstance(found, list)
        and bool(found)
        and all(isinstance(one, dict) and "type" not in one for one in found)
        and role_of(found[0]) == "assistant"
    )


def _prompt(row: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Return the messages that a completion answers; None where there are none, or they are answered already."""
    if not (column := message_column(row)):
        return _question(row)

    found = listed(row[column])
    return found if isinstance(found, list) and found and role_of(found[-1]) == "user" else None


def _objects(row: Mapping[str, Any], columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of some columns, and their bodies."""
    for column in columns:
        if isinstance(value := row.get(column), dict):
            yield value
            if body := _body(value):
                yield body


def _body(value: Any) -> Mapping[str, Any] | None:
    return value["body"] if isinstance(value, dict) and isinstance(value.get("body"), dict) else None


def _listed(one: Mapping[str, Any], names: tuple[str, ...]) -> list[Mapping[str, Any]] | None:
    """Return the first list of objects under some names."""
    for name in names:
        value = plain(one.get(name))
        if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            return value

    return None


def _messages(request: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = _listed(request, _ASKED)
    if found is None and isinstance(asked := request.get("input"), str) and not question_columns(tuple(request))[1:]:
        found = [{"role": "user", "content": asked}]

    return found and _turns(found)


def _question(row: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    columns = question_columns(tuple(row))
    return [{"role": "user", "content": question_of(row, columns)}] if first_column(row, columns) else None


def _turns(items: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return messages with the items of the Responses API that are none: a thought is of the message behind it."""
    messages: list[Mapping[str, Any]] = []
    thought: str | None = None
    for item in items:
        if item.get("type") == "reasoning":
            thought = "\n\n".join(filter(None, (thought, thought_text(item)))) or None
        elif item.get("type") in (None, "message"):
            messages.append(item | {"reasoning_content": thought} if thought else item)
            thought = None
        else:
            messages.append({"role": "assistant", "tool_calls": [item]})

    return messages


def _answer(answer: Mapping[str, Any], is_row: bool) -> Mapping[str, Any] | None:
    """Return the message of an answer; None where an object is none."""
    choices = _listed(answer, _ANSWERED[:2])
    message = choices and (choices[0].get("message") or choices[0].get("content"))
    if isinstance(message, dict):
        if len(choices) > 1:
            raise RejectedRow("several choices in one answer", f"{len(choices)}; put each into a row of its own")
    elif (items := _listed(answer, _ANSWERED[2:])) and any(item.get("type") == "message" for item in items):
        message, *more = _turns(items)
        if more:
            raise RejectedRow("several messages in one answer", f"{len(more) + 1}; only the last may be its response")

        if len(items) > 1 and "reasoning_content" not in message:
            raise RejectedRow("the thought is redacted", "the reasoning item has no text, neither content nor summary")
    else:
        message = None if is_row else answer.get("message", answer)
        if not isinstance(message, dict) or role_of(message) != "assistant":
            return None

    if refused := _refusal(message):
        raise RejectedRow(BROKEN_OFF, f"the answer is a refusal: {reprlib.repr(refused)}")

    return {"role": "assistant", **message}


def _refusal(message: Mapping[str, Any]) -> str | None:
    content = plain(message.get("content"))
    parts = content if isinstance(content, list) else ()
    said = (part.get("refusal") for part in (message, *parts) if isinstance(part, dict))
    return next((text for text in said if isinstance(text, str) and text.strip()), None)


def _marks(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer, and its choice, say of the response."""
    choice = (_listed(answer, _ANSWERED[:2]) or ({},))[0]
    return {name: one[name] for one in (answer, choice) for name, *_ in marked(tuple(one)) if name not in _ANSWERED}
