"""Chat rows in their usual spellings: a list of messages becomes questions and responses."""

import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from virgo_factory.core.example import IMAGE
from virgo_factory.formats.fields import REDACTED_PARTS, THOUGHT_PARTS, thought_of_message, thought_text
from virgo_factory.formats.row import RejectedRow, plain
from virgo_factory.formats.texts import decoded, unix


USERS = ("user", "human", "prompter", "用户", "提问者", "人类")
ASSISTANTS = ("assistant", "gpt", "model", "chatgpt", "bot", "ai", "chatbot", "助手", "助理", "模型", "机器人")
SYSTEMS = ("system", "developer", "系统")
THINKERS = ("reasoning", "thinking", "thought", "analysis")
"""Roles of a message that is the thought of the one behind it."""
_ROLES = {
    **dict.fromkeys(USERS, "user"),
    **dict.fromkeys(ASSISTANTS, "assistant"),
    **dict.fromkeys(SYSTEMS, "system"),
}
TOOLS = (
    "tool", "tools", "function", "function_call", "function_response", "tool_call", "tool_response", "observation",
)  # fmt: skip
MESSAGE_COLUMNS = ("messages", "conversations", "conversation")
_CHATS = ("dialog", "dialogue", "dialogs", "dialogues", "chat", "interactions", "turns", "texts", "qa_pairs", "qas")
"""Names under which a list of other spellings is taken for messages as well."""
_SPEAKERS, _SAID = ("speaker", "author"), ("text", "message", "utterance")
"""Keys of role and content in other spellings."""
_TURNS = (
    *(("input", "output"), ("human", "assistant"), ("user", "assistant"), ("human", "gpt"), ("query", "answer")),
    *(("query", "response"), ("question", "answer"), ("question", "response"), ("prompt", "response")),
    *(("instruction", "output"), ("prompt", "completion")),
)
"""Keys of an object that is a question and its response (XTuner, Firefly)."""
_NOT_THE_CHAT = ("chosen", "rejected", "history", "prev_messages", "tools", "completion", "response", "output")
"""Columns that may be lists of messages, too, but hold a part of the conversation."""


class Said(NamedTuple):
    """A question and its response: its text, the thought beside it (None where it may be inside), and its message with its marks."""

    question: str
    response: str
    thought: str | None
    message: Mapping[str, Any]


@dataclass(frozen=True)
class Chat:
    """The messages of a row."""

    system: str | None  # the system message, or None
    turns: tuple[Said, ...]  # its questions and responses
    asked: str | None  # the last question, where no response follows it (a preference pair); else None
    images: tuple[Any, ...]  # those that the messages hold themselves, as items of a content list
    is_typed: bool  # whether a content is a list of typed items

    @property
    def responses(self) -> list[Mapping[str, Any]]:
        """The messages of the responses as the row has them."""
        return [turn.message for turn in self.turns]

    @property
    def has_thoughts(self) -> bool:
        """Whether a thought stands beside one of the responses."""
        return any(turn.thought for turn in self.turns)


_NO_MESSAGES = frozenset({dict, int, float, bool, bytes, type(None)})
_MAY_BE_JSON = frozenset("[ \n\t\r")
"""What the text of a list begins with."""


def message_column(row: Mapping[str, Any]) -> str | None:
    """Return the column that holds the messages; None without one. One that holds something comes first.

    Under another name than one of MESSAGE_COLUMNS (`prompt`, `input`, `reannotated_messages`) only a list of messages
    is taken for them.
    """
    for column in MESSAGE_COLUMNS:
        if row.get(column) is not None:
            return column

    for column in (*other_chats(row), *MESSAGE_COLUMNS):
        if column in row:
            return column

    return None


def other_chats(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the columns that hold a list of messages under another name than one of MESSAGE_COLUMNS."""
    for name, value in row.items():
        kind = type(value)
        if kind is str:
            if value[:1] not in _MAY_BE_JSON:
                continue
        elif kind in _NO_MESSAGES or name in MESSAGE_COLUMNS:
            continue

        if name not in _NOT_THE_CHAT and _are_messages(listed(value) if name in _CHATS else value):
            yield name


def _are_messages(value: Any) -> bool:
    """Whether a value is a list of messages, or one as JSON."""
    if isinstance(value, str):
        value = decoded(value) if any(f"{mark}content{mark}" in value[:100_000] for mark in "\"'") else None

    value = plain(value)
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False

    first = value[0]
    said = either(first, "content", "value") is not None or isinstance(first.get("parts"), list)
    return said and isinstance(either(first, "role", "from"), str)


def read_messages(
    row: Mapping[str, Any],
    column: str,
    is_pair: bool = False,
    response: Callable[[], tuple[str | None, str] | None] = lambda: None,
) -> Chat:
    """Return the chat of a row.

    Reads role/content and from/value, user/assistant and human/gpt (and model, bot, ... in any case), typed content
    lists (`image`, `image_url`, `text` and `thinking` items), which become text with `<image>` in the place of each
    image, the object of lists that `datasets` makes of a list of objects, and all of it as JSON text. A thought in a
    field of its own (`reasoning_content`, ...) or a message of its own stays apart from the response. `is_pair`: the
    messages end with a question, to which `chosen` and `rejected` are responses; else `response` is asked for thought (None
    where it may be inside) and response to a last question without any. Raises RejectedRow for an unknown role, an order
    other than user, assistant, user, ..., or content that is not text.
    """
    messages = listed(row[column])
    if not isinstance(messages, list) or not messages:
        raise RejectedRow(f"{column} is not a list of messages", f"found {type(messages).__name__}")

    images: list[Any] = []
    turns: list[tuple[Any, str, str | None, Mapping[str, Any]]] = []  # role, text, thought, message
    before: list[str] = []  # thoughts in messages of their own
    systems: dict[str, str] = {}  # system and developer
    is_typed = False
    for message in messages:
        if not isinstance(message, dict):
            raise RejectedRow("a message is not an object", f"found {type(message).__name__} in {column}")

        content, role = either(message, "content", "value"), role_of(message)
        beside: str | None = None
        inside: list[str] = []
        if type(content) is str and len(message) == 2 and role not in TOOLS:  # nothing but a role and a text
            text = unix(content)
        else:
            content = plain(message.get("parts") if content is None else content)
            is_typed = is_typed or isinstance(content, list)
            calls = any(plain(message.get(key)) for key in ("tool_calls", "function_call"))
            if calls or role in TOOLS or message.get("channel") == "commentary":
                raise RejectedRow("tool calls are not trained", f"message {len(turns) + len(systems) + 1} of {column}")

            beside = thought_of_message(message) if role == "assistant" else None
            text = content_text("" if content is None and beside else content, images, inside)
            if role == "assistant" and message.get("channel") == "analysis":  # gpt-oss
                role = "analysis"

        if role in THINKERS and turns and turns[-1][0] == "user":
            before.append(text)
        elif role == "system" and not turns and either(message, "role", "from") not in systems:
            systems[either(message, "role", "from")] = text
        else:
            parts = [*before, *inside]
            if beside is not None and parts and "\n\n".join(parts).strip() != beside.strip():
                raise RejectedRow("two different thoughts in a message", f"message {len(turns) + 1} of {column}")

            turns.append((role, text, "\n\n".join(parts) if parts else beside, message))
            before = []

    system, beside_it = "\n\n".join(filter(None, systems.values())) if systems else "", row.get("system")
    if system and beside_it and " ".join(beside_it.split()) not in " ".join(system.split()):
        raise RejectedRow(
            "two system messages", f"one in {column} and another in a column of its own; take one out of the rows"
        )

    for position, (role, *_, message) in enumerate(turns):
        if role != ("user", "assistant")[position % 2]:
            known = role in ("user", "assistant", "system") or role in (*TOOLS, *THINKERS)
            key = next(
                (key for key, value in message.items() if isinstance(value, str) and value.strip().lower() in _ROLES),
                None,
            )
            tags = f'{{"role_tag": "{key}"}}' if role is None and key else '{"user_tag": ..., "assistant_tag": ...}'
            what = "if that is in another key" if role is None and key else "if it is one of these"
            remedy = "" if known else f'; {what}: "tags": {tags} in its entry'
            detail = f"message {position + 1} of {column} has the role {reprlib.repr(role)}, not {('user', 'assistant')[position % 2]}"
            raise RejectedRow("messages out of order", f"{detail}{remedy} of dataset_info.json" if remedy else detail)

    count = len(turns)
    asked = turns.pop()[1] if is_pair and count % 2 else None
    if is_pair and asked is None:
        raise RejectedRow("no question for chosen and rejected", f"{count} messages in {column}")

    if not is_pair and count % 2 and (found := response()):
        turns.append(("assistant", found[1], found[0], {}))

    if not is_pair and (len(turns) < 2 or len(turns) % 2):
        remedy = "; take the last one out to learn those before it" if count > 2 else ""
        raise RejectedRow("no response to the last question", f"{count} messages in {column}{remedy}")

    pairs = (Said(question[1], *answer[1:]) for question, answer in zip(turns[::2], turns[1::2], strict=True))
    return Chat(system or beside_it or None, tuple(pairs), asked, tuple(images), is_typed)


def role_of(message: Mapping[str, Any]) -> Any:
    """Return the role of a message: "user", "assistant" or "system" for all their spellings, else as it stands."""
    given = message.get("role")
    if given is None:
        given = message.get("from")

    if type(given) is str and (known := _ROLES.get(given)):
        return known

    if not isinstance(given, str):
        return given

    role = given.strip().lower()
    return _ROLES.get(role) or (role if role in TOOLS or role in THINKERS else given)


def either(message: Mapping[str, Any], name: str, other: str) -> Any:
    """Return the value of one key or, where that is missing or null, of the other."""
    value = message.get(name)
    return message.get(other) if value is None else value


def content_text(content: Any, images: list[Any], thoughts: list[str] | None = None) -> str:
    """Return a message's content as text, with Unix line ends; images in it are added to `images`.

    `content` is a text, or a list of typed items, whose thoughts are added to `thoughts`; None where there is no place for
    one. Raises RejectedRow for anything else.
    """
    if isinstance(content, str):
        return unix(content)

    if not isinstance(content, list):
        raise RejectedRow("a message is not text", f"its content is {type(content).__name__}")

    parts: list[str] = []
    for item in content:
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(item, dict) and kind is None and isinstance(item.get("text"), str):  # Gemini's parts
            kind = "thought" if item.get("thought") is True else "text"
        elif isinstance(item, dict) and kind is None and "reasoningContent" in item:  # Bedrock's
            kind = "reasoning"

        if kind in ("image", "image_url"):
            image = item.get(kind)
            if isinstance(image, dict) and "url" in image:
                image = image["url"]

            parts.append(IMAGE)
            images.extend([] if image is None else [image])
        elif kind in ("text", "input_text", "output_text", "answer") and isinstance(_text_of_part(item), str):
            parts.append(unix(_text_of_part(item)))
        elif kind in (*THOUGHT_PARTS, *REDACTED_PARTS) and thoughts is not None:
            if "".join(parts).strip():
                raise RejectedRow("text before the thought", "in an item of a message's content")

            thought = thought_text({**item, "type": kind})
            thoughts.extend([] if thought is None else [thought])
        else:
            raise RejectedRow("a message is not text", f"an item of its content has the type {reprlib.repr(kind)}")

    return "".join(parts)


def _text_of_part(item: Mapping[str, Any]) -> Any:
    return either(item, "text", "content")


def listed(messages: Any) -> Any:
    """Return messages in any of their spellings as a list of objects with role and content; anything else as it is.

    Spellings: {"role": [...], "content": [...]}, the text of a list (JSON's or Python's), a list of such texts, a list of
    lists, objects with `speaker` and `text`, and objects that are a question and its response.

    >>> listed([{"system": "", "input": "1 + 1?", "output": "2"}])
    [{'role': 'user', 'content': '1 + 1?'}, {'role': 'assistant', 'content': '2'}]
    """
    if not isinstance(messages, list):
        found = decoded(messages) if isinstance(messages, str) else plain(messages)
        messages = messages if found is None else found

    if isinstance(messages, dict):
        columns = {name: plain(values) for name, values in messages.items()}
        lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
        if len(lengths) != 1 or lengths == {-1}:
            return messages

        messages = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    if not isinstance(messages, list) or not messages or _is_usual(messages[0]):
        return messages

    if len(messages) == 1 and isinstance(messages[0], list):
        return listed(messages[0])

    if isinstance(messages[0], str):
        found = [decoded(message) if isinstance(message, str) else None for message in messages]
        return found if all(isinstance(message, dict) for message in found) else messages

    return _of_turns(messages) if all(isinstance(message, dict) for message in messages) else messages


def _is_usual(message: Any) -> bool:
    return type(message) is dict and ("role" in message or "from" in message) and not _SAID_KEYS.isdisjoint(message)


_SAID_KEYS = frozenset(("content", "value", "parts"))


def _of_langchain(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message of LangChain with the keys of its `data` and `additional_kwargs` as its own; any other as it is."""
    data = message.get("data")
    message = {"type": message["type"], **data} if isinstance(data, dict) else message
    more = message.get("additional_kwargs")
    if not isinstance(data, dict) and not isinstance(more, dict):
        return message

    found = {**(more if isinstance(more, dict) else {}), **message}
    return {
        key: value for key, value in found.items() if key != "additional_kwargs" and value not in (None, False, [], {})
    }


def _of_turns(objects: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return as messages objects of other keys: a speaker and a text, or a question and its response."""
    messages: list[Mapping[str, Any]] = []
    for one in objects:
        is_typed = isinstance(one.get("type"), str) and one["type"] in _ROLES
        one = _of_langchain(one) if is_typed else one
        keys = next((keys for keys in _TURNS if all(one.get(key) is not None for key in keys)), None)
        speakers = ("role", "from", *_SPEAKERS, *(("type",) if is_typed else ()))
        speaker = next((key for key in speakers if isinstance(one.get(key), str)), None)
        text = next((key for key in ("content", "value", *_SAID) if one.get(key) is not None), None)
        if speaker and text:
            rest = {key: value for key, value in one.items() if key not in (speaker, text)}
            messages.append({"role": one[speaker], "content": one[text], **rest})
        elif keys:
            if not messages and isinstance(system := one.get("system"), str) and system.strip():
                messages.append({"role": "system", "content": system})

            rest = {
                key: value for key, value in one.items() if key not in (*keys, "system")
            }  # its picture, thought, marks
            messages += [
                {"role": role, "content": one[key], **rest}
                for role, key in zip(("user", "assistant"), keys, strict=True)
            ]
        else:
            messages.append(one)

    return messages
