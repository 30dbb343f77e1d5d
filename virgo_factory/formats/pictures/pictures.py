"""Where a row keeps its pictures, and where they stand in its questions: every spelling becomes `images` and `<image>`."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import IMAGE
from virgo_factory.formats.any_row.second_columns import lists, options_of, second_columns
from virgo_factory.formats.fields import question_columns
from virgo_factory.formats.layouts.messages import TOOLS, content_text, either, listed, message_column, role_of
from virgo_factory.formats.pictures.columns import (
    find_pictures,
    mapped_pictures,
    pictures_in,
    pictures_inside,
    plan_of,
)
from virgo_factory.formats.pictures.names import names_pictures
from virgo_factory.formats.pictures.only_named import unread_picture
from virgo_factory.formats.pictures.other_media import MEDIA, other_medium
from virgo_factory.formats.pictures.tags import TAG, place_pictures
from virgo_factory.formats.pictures.twice import check_again, check_beside
from virgo_factory.formats.pictures.values import Pictures, flat, holds_picture, in_order, is_blank
from virgo_factory.formats.row import ALPACA_PROMPTS, IMAGE_COLUMNS, RejectedRow, first_column, plain
from virgo_factory.formats.texts import decoded


def with_pictures(row: Mapping[str, Any], column: str | None = None) -> dict[str, Any]:
    """Return the row with its pictures as a list in `images` and `<image>` in their places; without both where it has none.

    `column` holds them, as dataset_info.json says: a name, several with commas, or `a.b` for the key b of the object a; None:
    wherever they are found. Raises RejectedRow for a video, an audio or tools, which are not trained on; pictures in a column
    whose name does not say so, or in several; a picture tag that names none of them.
    """
    own: list[Any] = []
    beside: dict[str, list[Any]] = {}  # pictures in keys of a message that are not read
    if items := _question_of_items(row):
        name, content = items
        row = {**row, name: content_text([part for item in content for part in _items(item)], own)}

    messages = message_column(row)
    messages = None if messages in IMAGE_COLUMNS else messages
    if messages and (usual := listed(row[messages])) is not row[messages]:
        row = {**row, messages: usual}

    plan = plan_of(tuple(row))
    inside = pictures_inside(row, plan)
    found = mapped_pictures(row, column) if column is not None else find_pictures(row, inside, plan)
    others = {name: value for name, value in row.items() if name not in IMAGE_COLUMNS}
    if messages and others[messages] is not None:
        others[messages] = _messages(others[messages], messages, own, beside)

    if own and not found.values:
        found = in_order(own)

    if column is None and beside:
        check_beside(beside, found if found.values else in_order(_of_items(others[messages])))

    if column is None and found.values:
        again = own or list(filter(holds_picture, _of_items(others.get(messages))))  # an item may only be a place
        if again:
            check_again(again, found, messages or items[0])

    if (second := second_columns(tuple(row))) and second.options:
        _with_tagged_options(others, messages, second.options)

    in_messages = _place_in_messages(others, messages, found) if messages else None
    sheet = f"images/{row.get('id')}.jpg"  # MathVision's: several pictures, which its question numbers
    in_question = _place_in_question(others, found, row.get("image") in (sheet, [sheet]))
    if in_messages and in_question and in_messages.values != in_question.values:
        raise RejectedRow("picture tags in two orders", f"{messages} and the question name the pictures differently")

    found = in_messages or in_question or found
    if found.values:
        others["images"] = list(found.values)
    elif column is None and (error := unread_picture(others)) and not (messages and _of_items(others[messages])):
        raise error

    return others


def _of_items(messages: Any) -> list[Any]:
    """Return the pictures that messages hold as items of their contents."""
    return [
        item["image"]
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, dict) and isinstance(content := either(message, "content", "value"), list)
        for item in content
        if isinstance(item, dict) and item.get("type") == "image" and item.get("image") is not None
    ]


def _question_of_items(row: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """Return the column of a question that is a list of typed items, or the JSON of one, and these."""
    for name in question_columns(tuple(row)):
        if (type(row[name]) is not str or row[name][:1] in ("[", "{")) and (items := _typed_items(row[name])):
            return name, items

    return None


def _typed_items(value: Any) -> list[Any] | None:
    """Return the typed items that a value is, or the JSON of; None where it is something else."""
    if type(value) is str:
        value = decoded(value) if '"text"' in value or '"type"' in value else None

    value = [value] if isinstance(value, dict) and "text" in value else plain(value)
    return value if isinstance(value, list) and all(map(_is_item, value)) and any(map(_is_typed, value)) else None


def _is_item(item: Any) -> bool:
    return isinstance(item, str) or isinstance(item, dict) and not {*item} - {"type", "text", "index", *_SOURCES}


def _is_typed(item: Any) -> bool:
    return isinstance(item, dict) and (isinstance(item.get("text"), str) or item.get("type") in _PICTURE_ITEMS)


_PICTURE_ITEMS = ("image", "image_url", "input_image", "image_path", "img", "picture")
_OTHER_ITEMS = {"video": "video", "video_url": "video", "input_video": "video"} | dict.fromkeys(
    ("audio", "audio_url", "input_audio"), "audio"
)
_BLOBS = ("inline_data", "inlineData", "file_data", "fileData")
"""Keys of Gemini's parts."""
_SOURCES = (*_PICTURE_ITEMS, *_OTHER_ITEMS, "url", "path", "file", "bytes", "base64", "data", "source", *_BLOBS)


def _messages(messages: Any, column: str, own: list[Any], beside: dict[str, list[Any]]) -> Any:
    """Return listed messages whose content items have the types `image` and `text`.

    Pictures that are keys of a user's message go to `own`, those of other keys and messages to `beside` under their place.
    """
    if not isinstance(messages, list) or all(map(_is_plain, messages)):
        return messages

    messages = _without_json(messages)
    _check_order(messages)
    return [_message(message, column, own, beside) if isinstance(message, dict) else message for message in messages]


def _without_json(messages: list[Any]) -> list[Any]:
    """Return messages with the typed items of which contents are the JSON, where a question's is: a response alone may be JSON."""
    texts = [either(message, "content", "value") if isinstance(message, dict) else None for message in messages]
    items = [_typed_items(text) if type(text) is str and text[:1] in ("[", "{") else None for text in texts]
    if not any(found and _is_user(message) for message, found in zip(messages, items, strict=True)):
        return messages

    return [
        {**message, "content": found} if found else message for message, found in zip(messages, items, strict=True)
    ]


def _is_plain(message: Any) -> bool:
    """Whether a message is nothing but a role and a text that is no JSON, as nearly all are."""
    if type(message) is not dict or len(message) != 2:
        return False

    content = either(message, "content", "value")
    return type(content) is str and content[:1] not in ("[", "{")


def _is_user(message: Any) -> bool:
    return isinstance(message, dict) and role_of(message) == "user"


def _message(
    message: Mapping[str, Any], column: str, own: list[Any], beside: dict[str, list[Any]]
) -> Mapping[str, Any]:
    content = either(message, "content", "value")
    if isinstance(content, str) and len(message) == 2:
        return message

    content = plain(message.get("parts") if content is None else content)
    keys = {key: value for key, value in message.items() if key not in _NOT_BESIDE}
    inside = {} if role_of(message) in TOOLS else pictures_in(column, keys)
    is_read = _is_user(message) and isinstance(content, str)
    named = [key for key, value in keys.items() if key in IMAGE_COLUMNS or _is_picture(key, value)] if is_read else []
    pictures = flat([keys[key] for key in named])
    for place, values in inside.items():
        if place.partition(".")[2] not in named:
            beside.setdefault(place, []).extend(values)

    if isinstance(content, list):
        return {
            **{key: value for key, value in message.items() if key not in ("value", "parts")},
            "content": _without_again([part for item in content for part in _items(item)]),
        }

    if not pictures:
        return message

    own += pictures
    text = content if TAG.search(content) else f"{IMAGE}\n" * len(pictures) + content
    return {**{key: value for key, value in message.items() if key != "value"}, "content": text}


def _without_again(items: list[Any]) -> list[Any]:
    """Return typed items without a `<image>` for each picture among them that stands once more in front of their text."""
    count = sum(isinstance(item, dict) and item.get("type") == "image" for item in items)
    texts = [at for at, item in enumerate(items) if isinstance(item, dict) and isinstance(item.get("text"), str)]
    if not count or len(texts) != 1:
        return items

    *places, question = items[texts[0]]["text"].split(IMAGE)
    if len(places) != count or "".join(places).strip():
        return items

    return [{**item, "text": question.lstrip()} if at == texts[0] else item for at, item in enumerate(items)]


_NOT_BESIDE = ("content", "value", "parts", "tool_calls", "function_call")
"""Keys of a message in which no picture of its own is looked for."""


def _check_order(messages: list[Any]) -> None:
    """Raise RejectedRow where items point at pictures of a column in another order than theirs: that is not read."""
    contents = [plain(either(message, "content", "value")) for message in messages if _is_user(message)]
    items = [item for content in contents if isinstance(content, list) for item in content]
    numbers = [item.get("index") for item in items if isinstance(item, dict) and item.get("type") in _PICTURE_ITEMS]
    if all(isinstance(number, int) for number in numbers) and len(set(numbers)) == len(numbers) != 0:
        if numbers != sorted(numbers):
            raise RejectedRow(
                "pictures out of order", f"their items have the indices {numbers}; bring the column's into that order"
            )


def _is_picture(key: Any, value: Any) -> bool:
    return isinstance(key, str) and names_pictures(key) and holds_picture(value)


def _items(item: Any) -> list[Any]:
    """Return a content item of any spelling as {"type": "image", "image": ...} or {"type": "text", "text": ...}, or both."""
    if not isinstance(item, dict):
        return [{"type": "text", "text": item} if isinstance(item, str) else item]

    kind = item.get("type")
    text = [] if item.get("text") is None else [{"type": "text", "text": item["text"]}]
    if kind is None:  # {"image": ...}, {"text": ...}
        kind = next((name for name in (*_PICTURE_ITEMS, *_OTHER_ITEMS, *_BLOBS) if item.get(name) is not None), None)
        kind = "text" if kind is None and text else kind

    if isinstance(kind, str) and kind in _OTHER_ITEMS:
        raise other_medium(_OTHER_ITEMS[kind], "a message", item.get(kind))

    if item.get("thought") is True:  # Gemini's
        return [item]

    if kind in ("input_text", "text"):
        return text or [{"type": "text", "text": None}]

    if kind not in (*_PICTURE_ITEMS, *_BLOBS):
        return [item]

    source = item.get("source", item.get(kind))  # {"type": "base64", "media_type": ..., "data": ...}
    if isinstance(source, dict):
        told = str(source.get("media_type", source.get("mime_type", source.get("mimeType", "image"))))
        if (medium := told.partition("/")[0]) in MEDIA:
            raise other_medium(medium, "a message", told)

        source = next(
            (source[key] for key in ("data", "url", "fileUri", "file_uri", "source") if key in source), source
        )

    values = [source, *(item.get(name) for name in _SOURCES if name not in ("source", kind, *_BLOBS))]
    found = flat([value for value in values if not is_blank(value) and not isinstance(value, bool)])
    return [{"type": "image", "image": found[0] if found else None}, *text]


def _place_in_messages(row: dict[str, Any], column: str, found: Pictures) -> Pictures | None:
    messages = row[column]
    if not isinstance(messages, list):
        return None

    spots: list[tuple[int, int | None]] = []
    texts: list[str] = []
    inside = 0
    for at, message in enumerate(messages):
        if not _is_user(message):
            continue

        content = either(message, "content", "value")
        if isinstance(content, str):
            spots.append((at, None))
            texts.append(content)
        elif isinstance(content, list):
            for item_at, item in enumerate(content):
                if isinstance(item, dict) and item.get("type") == "image":
                    inside += 1
                elif isinstance(item, dict) and isinstance(item.get("text"), str):
                    spots.append((at, item_at))
                    texts.append(item["text"])

    placed = place_pictures(texts, found, inside)
    if placed is None:
        return None

    found, new = placed
    changed = [dict(message) if isinstance(message, dict) else message for message in messages]
    for (at, item_at), text in zip(spots, new, strict=True):
        if item_at is None:
            changed[at]["content" if changed[at].get("content") is not None else "value"] = text
        else:
            items = list(changed[at]["content"])
            items[item_at] = {**items[item_at], "text": text}
            changed[at]["content"] = items

    row[column] = changed
    return found


def _with_tagged_options(row: dict[str, Any], messages: str | None, columns: tuple[str, ...]) -> None:
    """Put options that are tags of pictures behind their question, in which their places are then counted with its own."""
    for names, lines in options_of(row, columns):
        tags = [tag for line in lines or () for tag in TAG.finditer(line) if tag["strong"] or tag["literal"]]
        if not tags:
            continue

        place, name = _only_question(row, messages)
        if not isinstance(text := place.get(name), str):
            continue

        if not (lists(text, lines) and len(list(TAG.finditer(text))) >= len(tags)):
            place[name] = "\n".join([text.rstrip(), *lines])

        placed = [TAG.sub(IMAGE, line) for line in lines]
        row.update({names[0]: placed} if len(names) == 1 else zip(names, placed, strict=False))


def _only_question(row: dict[str, Any], messages: str | None) -> tuple[dict[str, Any], str]:
    """Return the object and the key in it where the only question of a row stands; ({}, "") where there are several."""
    if not messages or not isinstance(row[messages], list):
        return row, first_column(row, (*question_columns(tuple(row)), _ALSO_ASKED)) or ""

    users = [at for at, message in enumerate(row[messages]) if _is_user(message)]
    if len(users) != 1:
        return {}, ""

    row[messages] = list(row[messages])
    asked = row[messages][users[0]] = dict(row[messages][users[0]])
    return asked, "content" if asked.get("content") is not None else "value"


_ALSO_ASKED = "Open-ended Verifiable Question"
"""The question's column of Huatuo-o1."""


def _place_in_question(row: dict[str, Any], found: Pictures, is_numbered: bool) -> Pictures | None:
    asked = first_column(row, (*question_columns(tuple(row)), _ALSO_ASKED))
    names = [name for name in (asked, "input" if asked in ALPACA_PROMPTS else None) if isinstance(row.get(name), str)]
    placed = place_pictures([row[name] for name in names], found, 0, is_numbered) if names else None
    if placed is None:
        return None

    found, new = placed
    row.update(zip(names, new, strict=True))
    return found
