"""Chat rows in their usual spellings: a list of messages becomes questions and responses."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virgo_factory.adapters.row import RejectedRow, plain
from virgo_factory.example import IMAGE


USERS = ("user", "human")
ASSISTANTS = ("assistant", "gpt")
MESSAGE_COLUMNS = ("messages", "conversations", "conversation")


@dataclass(frozen=True)
class Chat:
    """The messages of a row.

    Attributes:
        system: the system message, or None.
        turns: (question, response) pairs.
        asked: the last question, where no response follows it (a preference pair); else None.
        images: those that the messages hold themselves, as items of a content list.
        is_typed: whether a content is a list of typed items.
        responses: the messages of the responses as the row has them, for their marks.
    """

    system: str | None
    turns: tuple[tuple[str, str], ...]
    asked: str | None
    images: tuple[Any, ...]
    is_typed: bool
    responses: tuple[Mapping[str, Any], ...] = ()


def message_column(row: Mapping[str, Any]) -> str | None:
    """Return the column that holds the messages; None without one. One that holds something comes first."""
    present = [column for column in MESSAGE_COLUMNS if column in row]
    return next((column for column in present if row[column] is not None), present[0] if present else None)


def read_messages(row: Mapping[str, Any], column: str, is_pair: bool = False) -> Chat:
    """Return the chat of a row.

    Reads role/content and from/value, user/assistant and human/gpt, typed content lists (`image`, `image_url` and
    `text` items), which become text with `<image>` in the place of each image, and the object of lists that `datasets`
    makes of a list of objects.

    Args:
        row: the row; its `system` column is read, too.
        column: where the messages are.
        is_pair: the messages end with a question, to which `chosen` and `rejected` are responses.

    Raises:
        RejectedRow: an unknown role, an order other than user, assistant, user, ..., or content that is not text.
    """
    messages = _listed(row[column])
    if not isinstance(messages, list) or not messages:
        raise RejectedRow(f"{column} is not a list of messages", f"found {type(messages).__name__}")

    images: list[Any] = []
    turns = []
    is_typed = False
    for message in messages:
        if not isinstance(message, Mapping):
            raise RejectedRow("a message is not an object", f"found {type(message).__name__} in {column}")

        content = plain(either(message, "content", "value"))
        is_typed = is_typed or isinstance(content, list)
        turns.append((either(message, "role", "from"), content_text(content, images)))

    system = row.get("system")
    if turns[0][0] == "system":
        system = turns.pop(0)[1]

    if system is not None and not isinstance(system, str):
        raise RejectedRow("the system message is not text", f"found {type(system).__name__}")

    for position, (role, _) in enumerate(turns):
        if role not in (USERS, ASSISTANTS)[position % 2]:
            raise RejectedRow(
                "messages out of order", f"message {position + 1} of {column} has the role {reprlib.repr(role)}"
            )

    texts = [text for _, text in turns]
    asked = texts.pop() if is_pair and len(texts) % 2 else None
    if is_pair and asked is None:
        raise RejectedRow("no question for chosen and rejected", f"{len(turns)} messages in {column}")

    if not is_pair and (len(texts) < 2 or len(texts) % 2):
        raise RejectedRow("no response to the last question", f"{len(turns)} messages in {column}")

    pairs = tuple(zip(texts[::2], texts[1::2], strict=True))
    said = messages[len(messages) - len(turns) :]
    return Chat(system or None, pairs, asked, tuple(images), is_typed, tuple(said[1::2]))


def either(message: Mapping[str, Any], name: str, other: str) -> Any:
    """Return the value of one key or, where that is missing or null, of the other."""
    value = message.get(name)
    return message.get(other) if value is None else value


def content_text(content: Any, images: list[Any]) -> str:
    """Return a message's content as text, with Unix line ends; images in it are added to `images`.

    Raises:
        RejectedRow: it is neither a text nor a list of typed items.
    """
    if isinstance(content, str):
        return content.replace("\r\n", "\n")

    if not isinstance(content, list):
        raise RejectedRow("a message is not text", f"its content is {type(content).__name__}")

    parts = []
    for item in content:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if kind in ("image", "image_url"):
            image = item.get(kind)
            if isinstance(image, Mapping) and "url" in image:
                image = image["url"]

            parts.append(IMAGE)
            images.extend([] if image is None else [image])
        elif kind == "text" and isinstance(item.get("text"), str):
            parts.append(item["text"].replace("\r\n", "\n"))
        else:
            raise RejectedRow("a message is not text", f"an item of its content has the type {reprlib.repr(kind)}")

    return "".join(parts)


def _listed(messages: Any) -> Any:
    """Return {"role": [...], "content": [...]} as a list of messages; anything else as it is."""
    messages = plain(messages)
    if not isinstance(messages, Mapping):
        return messages

    columns = {name: plain(values) for name, values in messages.items()}
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if len(lengths) != 1 or lengths == {-1}:
        return messages

    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
