"""Prompts that a chat template has rendered with its control tokens, as samplers log them: read as the messages they were."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.fields import question_columns
from virgo_factory.formats.layouts.messages import message_column
from virgo_factory.formats.row import first_column


_ROLE = r"(?P<role>system|user|assistant|model)"
_TEMPLATES = {
    "<|im_start|>": rf"<\|im_start\|>{_ROLE}\n(?P<text>[\s\S]*?)(?:<\|im_end\|>\s*|\Z)",
    "<|start_header_id|>": rf"(?:<\|begin_of_text\|>)?<\|start_header_id\|>{_ROLE}<\|end_header_id\|>\n\n(?P<text>[\s\S]*?)(?:<\|eot_id\|>\s*|\Z)",
    "<start_of_turn>": rf"(?:<bos>)?<start_of_turn>{_ROLE}\n(?P<text>[\s\S]*?)(?:<end_of_turn>\s*|\Z)",
    "<\uff5cUser\uff5c>": "(?:<\uff5cbegin\u2581of\u2581sentence\uff5c>)?<\uff5c(?P<role>User|Assistant)\uff5c>"
    "(?P<text>[\\s\\S]*?)(?:<\uff5cend\u2581of\u2581sentence\uff5c>|(?=<\uff5c(?:User|Assistant)\uff5c>)|\\Z)",
}
"""What every prompt of a template has -> one of its messages: ChatML's, Llama 3's, Gemma's and DeepSeek's."""
_MESSAGE = {sign: LazyPattern(pattern) for sign, pattern in _TEMPLATES.items()}
_PREFILLED = ("", "<think>")


def with_rendered_prompt(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with what its rendered prompt asks: a question and a system text, or messages; the row itself without one.

    >>> prompt = "<|im_start|>user\\n1 + 1?<|im_end|>\\n<|im_start|>assistant\\n<think>\\n"
    >>> with_rendered_prompt({"prompt": prompt, "response": "2"})
    {'prompt': '1 + 1?', 'response': '2'}
    """
    name = first_column(row, question_columns(tuple(row))) or "text"
    text = row.get(name)
    if type(text) is not str or "<" not in text or message_column(row) or not (messages := _messages(text)):
        return row

    system, asked = messages[:-1], messages[-1]
    if asked["role"] == "user" and [message["role"] for message in system] in ([], ["system"]):
        beside = {"system": system[0]["content"]} if system and not row.get("system") else {}
        return {**row, name: asked["content"], **beside}

    return {other: value for other, value in row.items() if other != name} | {"messages": messages}


def _messages(text: str) -> list[dict[str, str]]:
    """Return the messages of a rendered prompt, without one that has only begun; none of any other text."""
    pattern = next((pattern for sign, pattern in _MESSAGE.items() if sign in text), None)
    found = list(pattern.finditer(text)) if pattern else []
    spans = [message.span() for message in found]
    if not found or text[: spans[0][0]].strip() or any(end != start for (_, end), (start, _) in zip(spans, spans[1:])):
        return []

    roles = [{"model": "assistant"}.get(message["role"].lower(), message["role"].lower()) for message in found]
    messages = [{"role": role, "content": message["text"].strip()} for role, message in zip(roles, found, strict=True)]
    if roles[-1] == "assistant" and messages[-1]["content"] in _PREFILLED:
        messages.pop()

    return messages if any(message["role"] == "user" for message in messages) and spans[-1][1] == len(text) else []
