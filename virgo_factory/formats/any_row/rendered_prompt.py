"""Prompts that a chat template has rendered, as samplers log them: read as the messages they were."""

import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import IMAGE
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.fields import question_columns
from virgo_factory.formats.layouts.messages import message_column
from virgo_factory.formats.row import first_column


UNFRAMED = "with the question read out of a rendered template"
"""Note of rows whose question was a whole prompt, with who speaks."""

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

_FRAMES = [
    LazyPattern(r"\s*(?:system\n(?P<system>[\s\S]*?)(?:\n|(?<=[.!?])))?user\n(?P<asked>[\s\S]+?)(?:\n|(?<=[.!?:)}\]$]))(?:assistant|model)"),
    LazyPattern(r"\s*(?:(?P<system>A (?:chat|conversation) between [\s\S]{0,700}?)\s)?(?:Human|HUMAN|User|USER):\s(?P<asked>[\s\S]+?)\s(?:Assistant|ASSISTANT):"),
    LazyPattern(r"\s*(?P<system>)(?:Below is an instruction [^\n]+\n+)?\#\#\# ?(?:Instruction|Human|User):?\n(?P<asked>[\s\S]+?)\n+\#\#\# ?(?:Response|Assistant):"),
]  # fmt: skip
"""The same without control tokens: ChatML's and Llama 3's, Vicuna's, Alpaca's."""
_SPEAKER = LazyPattern(
    r"(?:^|\s)(?:(?:Human|HUMAN|User|USER|Assistant|ASSISTANT):|\#{3} ?(?:Instruction|Human|User|Assistant)|(?:user|assistant|model)(?:\n|\Z))"
)
_NEXT_SPEAKER = LazyPattern(
    r"(?:\n|\s(?=[A-Z#]))(?:### )?(assistant|Assistant:|ASSISTANT:|Response:)\s*(?:<think>)?\s*\Z"
)
_SPEAKERS = ("assistant", "model", "Assistant:", "ASSISTANT:", "Response:")
"""With which a rendered prompt ends."""


def with_rendered_prompt(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with what its rendered prompt asks: a question and a system text, or messages; the row itself without one.

    >>> prompt = "<|im_start|>user\\n1 + 1?<|im_end|>\\n<|im_start|>assistant\\n<think>\\n"
    >>> with_rendered_prompt({"prompt": prompt, "response": "2"})
    {'prompt': '1 + 1?', 'response': '2'}
    """
    name = first_column(row, question_columns(tuple(row))) or "text"
    text = row.get(name)
    messages = ("<" in text and _messages(text) or _framed(text)) if type(text) is str else []
    if not messages or message_column(row):
        return row

    *system, asked = messages
    if asked["role"] == "user" and [message["role"] for message in system] in ([], ["system"]):
        told = system[0]["content"] if system else ""
        if told and row.get("system") not in (None, "", told):
            return row

        return {**row, name: asked["content"]} | ({"system": told} if told else {})

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


def _framed(text: str) -> list[dict[str, str]]:
    """Return the messages of a prompt that was rendered without control tokens; none where something else may be meant."""
    if not text[-40:].rstrip().endswith((*_SPEAKERS, "<think>")):
        return []

    asked = text.rstrip().removesuffix("<think>").rstrip()
    at = asked.rfind(IMAGE) + len(IMAGE) if asked.startswith(IMAGE) else 0
    for frame in _FRAMES if asked.endswith(_SPEAKERS) and asked.count("user\n") < 9 else ():
        found = frame.fullmatch(asked, at)
        if found and found["asked"].replace(IMAGE, "").strip() and not _SPEAKER.search(found["asked"]):
            system, question = found["system"] or "", re.sub(r"\n+### ?Input:\n", "\n", found["asked"])
            messages = [{"role": "user", "content": asked[:at] + question.strip()}]
            return [] if IMAGE in system else [{"role": "system", "content": system.strip()}, *messages]

    return []


def ends_with_speaker(text: str) -> str:
    """Return the name of who is to speak next, with which a question ends; "" where it ends as questions do."""
    end = text[-40:]
    return next(iter(_NEXT_SPEAKER.findall(end)), "") if end.rstrip().endswith((*_SPEAKERS, "<think>")) else ""
