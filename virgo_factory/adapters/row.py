"""What every adapter needs to read a raw row: rejecting with a reason, messages in their usual spellings, ids."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.example import IMAGE, Example
from virgo_factory.thought import REASONS, LongThought, MalformedThought


USERS = ("user", "human")
ASSISTANTS = ("assistant", "gpt")
MESSAGE_COLUMNS = ("messages", "conversations", "conversation")
IMAGE_COLUMNS = ("images", "image")

QWEN_VL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""The special tokens of Qwen2-VL, in the order of its vocabulary; the later Qwen-VL models have them all."""

CONTROL_TOKENS = ("<video>", "<audio>", *QWEN_VL_TOKENS)
"""Texts that LLaMA-Factory or the Qwen-VL tokenizers read as something else than text."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("|".join(re.escape(token) for token in CONTROL_TOKENS))


class RejectedRow(ValueError):
    """A row that no example can be made of.

    Attributes:
        reason: short words by which rows are counted, such as "no end of thought".
        detail: what is particular to this row; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self):
        return type(self), (self.reason, self.detail)


def text_of(row: Mapping[str, Any], column: str) -> str:
    """Return the text of a column, with Unix line ends. Raises RejectedRow if it is missing, null or not text."""
    if column not in row:
        raise RejectedRow(f"no column {column}", f"columns found: {', '.join(map(str, row)) or 'none'}")

    value = row[column]
    if value is None:
        raise RejectedRow(f"{column} is null")

    if not isinstance(value, str):
        raise RejectedRow(f"{column} is not text", f"found {type(value).__name__}")

    return value.replace("\r\n", "\n")


def read_response(text: str, keep_malformed: bool) -> LongThought | str:
    """Return the long thought of a response; with `keep_malformed` the text itself where it is none."""
    try:
        return LongThought.parse(text)
    except MalformedThought as error:
        if keep_malformed and isinstance(text, str) and text.strip():
            return text

        raise RejectedRow(REASONS[error.reason], f"line {error.line} of the response") from None


def read_messages(row: Mapping[str, Any], column: str) -> tuple[str | None, list[tuple[str, str]]]:
    """Return the system message (or None) and the (question, response) pairs of a chat row.

    Reads role/content and from/value, user/assistant and human/gpt, and typed content lists (`image`, `image_url`
    and `text` items), which become text with `<image>` in the place of each image.

    Raises:
        RejectedRow: an unknown role, an order other than user, assistant, user, ..., or content that is not text.
    """
    messages = row[column]
    if not isinstance(messages, list) or not messages:
        raise RejectedRow(f"{column} is not a list of messages", f"found {type(messages).__name__}")

    turns = []
    for message in messages:
        if not isinstance(message, Mapping):
            raise RejectedRow("a message is not an object", f"found {type(message).__name__} in {column}")

        role = message.get("role", message.get("from"))
        turns.append((role, _content(message.get("content", message.get("value")))))

    system = row.get("system")
    if turns[0][0] == "system":
        system = turns.pop(0)[1]

    if system is not None and not isinstance(system, str):
        raise RejectedRow("the system message is not text", f"found {type(system).__name__}")

    roles = [role for role, _ in turns]
    for position, role in enumerate(roles):
        if role not in (USERS, ASSISTANTS)[position % 2]:
            raise RejectedRow("messages out of order", f"message {position + 1} of {column} has the role {role!r}")

    if len(turns) < 2 or len(turns) % 2:
        raise RejectedRow("no response to the last question", f"{len(turns)} messages in {column}")

    texts = [text for _, text in turns]
    return system or None, list(zip(texts[::2], texts[1::2], strict=True))


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content.replace("\r\n", "\n")

    if not isinstance(content, list):
        raise RejectedRow("a message is not text", f"its content is {type(content).__name__}")

    parts = []
    for item in content:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if kind in ("image", "image_url"):
            parts.append(IMAGE)
        elif kind == "text" and isinstance(item.get("text"), str):
            parts.append(item["text"].replace("\r\n", "\n"))
        else:
            raise RejectedRow("a message is not text", f"an item of its content has the type {kind!r}")

    return "".join(parts)


def read_images(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the images of a row: of `images` or `image`, one or a list; () if there are none."""
    for column in IMAGE_COLUMNS:
        images = row.get(column)
        if images is not None and images != []:
            return tuple(images) if isinstance(images, list) else (images,)

    return ()


def domain_of(row: Mapping[str, Any]) -> str | None:
    """Return the row's domain; None where it has none, or one that is not valid text."""
    domain = row.get("domain")
    return domain if isinstance(domain, str) and _is_unicode(domain) else None


def own_id(row: Mapping[str, Any]) -> str:
    """Return the row's own id as text; "" where it has none."""
    for column in ("id", "uuid", "idx"):
        value = row.get(column)
        if value is not None and value != "":
            return str(value)

    return ""


def row_id(row: Mapping[str, Any], question: str) -> str:
    """Return the row's own id, or twelve hexadecimal digits of its question's SHA-256 where it has none."""
    return own_id(row) or hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def check_example(example: Example) -> Example:
    """Return the example unchanged, if its texts cannot be read as anything but text.

    Raises:
        RejectedRow: a control token in a text, `<image>` outside a question, a blank question, or another number of
            `<image>` than of images (LLaMA-Factory stops on these, or trains on forged image tokens:
            reference llamafactory_095.md section 5); half a surrogate pair (JSON allows it, Arrow stops on it).
    """
    if not _is_unicode(example.id):
        raise RejectedRow("text is not valid Unicode", "in the id")

    places = 0
    for turn in example.turns:
        if not turn.question.replace(IMAGE, "").strip():
            raise RejectedRow("the question is empty")

        places += turn.question.count(IMAGE)
        response = turn.response if isinstance(turn.response, str) else turn.response.render()
        if IMAGE in response:
            raise RejectedRow("control token in the response", IMAGE)

        for place, text in (("question", turn.question), ("response", response)):
            if not _is_unicode(text):
                raise RejectedRow("text is not valid Unicode", f"in the {place}")

            if found := _CONTROL.search(text):
                raise RejectedRow(f"control token in the {place}", found.group())

    if example.system and not _is_unicode(example.system):
        raise RejectedRow("text is not valid Unicode", "in the system message")

    if example.system and (found := _CONTROL.search(example.system) or re.search(IMAGE, example.system)):
        raise RejectedRow("control token in the system message", found.group())

    if places != len(example.images):
        raise RejectedRow("<image> and images do not match", f"{places} <image> and {len(example.images)} images")

    return example


def _is_unicode(text: str) -> bool:
    return not _SURROGATE.search(text)
