"""Control tokens of other models' chat templates, which a server or a sampler left in a response as text.

To the Qwen-VL tokenizers they are words, which a model would learn to write. What a response quotes (in backticks or
quotation marks) is text about such tokens, and `</s>` behind `<s>` is a struck-out passage of HTML: both stay.
"""

import re

from virgo_factory.adapters.texts import occurs
from virgo_factory.thought import MARKERS


_ANGLED = (
    r"\|[A-Za-z][A-Za-z0-9_ ]{2,39}\|>",  # Llama 3 and 4, Phi, GLM, gpt-oss, Cohere, Kimi, Yi, Granite, ...
    r"｜[^｜<>\n]{1,39}｜>",  # DeepSeek
    r"/s>",  # Llama 2, Mistral
    r"</?SYS>>",
    r"(?:start|end)_of_turn>|[eb]os>",  # Gemma
    r"[se]op>",  # ChatGLM
    r"end_of_utterance>|(?:end|beginning)_of_sentence>",  # Idefics, MiniMax
    r"eo[ahtm]>|reserved_\d+>",  # InternLM, Baichuan
)
_SQUARE = (
    r"/?INST\]|/?SYSTEM_PROMPT\]|AVAILABLE_TOOLS\]",  # Mistral
    r"gMASK\]|UNUSED_TOKEN_\d+\]",  # ChatGLM, InternLM
)
_BEGINS = {"<": re.compile(f"<(?:{'|'.join(_ANGLED)})"), "[": re.compile(rf"\[(?:{'|'.join(_SQUARE)})")}
_FOREIGN = re.compile("|".join(pattern.pattern for pattern in _BEGINS.values()))
_LAST = re.compile(
    r"(?:<(?:s|pad|PAD|unk|UNK|EOS|EOT|eot|eos_token|pad_token|turn\||unused\d+|extra_id_\d+)>"
    r"|(?<![\w\])])\[(?:PAD|EOS|SEP|CLS|UNK|DONE)\]|</(?:assistant|model|bot)>)\s*\Z"
)
"""What is one at the very end of a response, and may be ordinary text elsewhere."""
_QUOTES = frozenset("`\"'“”‘’「」")


def foreign_token(text: str) -> str | None:
    """Return the first control token of another model in a text; None without one.

    >>> (
    ...     foreign_token("It is 4.<|eot_id|>"),
    ...     foreign_token("`<|eot_id|>` ends a turn."),
    ...     foreign_token("<s>old</s> new"),
    ... )
    ('<|eot_id|>', None, None)
    """
    if text.rstrip()[-1:] in (">", "]") and (found := _LAST.search(text, max(0, len(text.rstrip()) - 20))):
        if text.count("```") % 2 == 0 and not text[: found.start()].endswith(tuple(_QUOTES)):
            return found.group().strip()

    if not occurs(text, _BEGINS):
        return None

    open_html = seen = 0  # `<s>` that no `</s>` has closed yet, up to a place in the text
    for found in _FOREIGN.finditer(text):
        token, start, end = found.group(), found.start(), found.end()
        if token == "</s>":
            open_html += text.count("<s>", seen, start)
            seen = end
            if open_html:
                open_html -= 1
                continue

        is_quoted = start > 0 and text[start - 1] in _QUOTES and text[end : end + 1] in _QUOTES
        if not is_quoted and token not in MARKERS:
            return token

    return None
