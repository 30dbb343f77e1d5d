"""Control tokens of other models' chat templates, which a server or a sampler left in a response as text.

To the Qwen-VL tokenizers they are words, which a model would learn to write. What a response quotes (in backticks or
quotation marks) is text about such tokens, and `</s>` behind `<s>` is a struck-out passage of HTML: both stay.
"""

import re

from virgo_factory.thought import MARKERS


_NAMES = (
    "</s>",  # Llama 2, Mistral
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]",
    "<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>",  # Gemma
    "[gMASK]", "<sop>", "<eop>",  # ChatGLM
    "<end_of_utterance>", "<end_of_sentence>", "<beginning_of_sentence>", "<eoa>", "<eoh>", "<eot>", "<eom>",
    "[e~[", "]~b]", "]~!b[",  # MiniMax
)  # fmt: skip
_FORMS = (
    r"<\|[A-Za-z][A-Za-z0-9_ ]{2,39}\|>",  # Llama 3 and 4, Phi, GLM, gpt-oss, Cohere, Kimi, Yi, Granite, ...
    r"<｜[^｜<>\n]{1,39}｜>",  # DeepSeek
    r"\[UNUSED_TOKEN_\d+\]|<reserved_\d+>",  # InternLM, Baichuan
)
# Each alternative begins with a fixed character, which lets `re` skip the rest of a long text quickly.
_FOREIGN = re.compile("|".join([*map(re.escape, _NAMES), *_FORMS]))
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
    for found in _FOREIGN.finditer(text):
        token = found.group()
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        if token in MARKERS or before in _QUOTES and after in _QUOTES and before and after:
            continue

        if token == "</s>" and text.count("<s>", 0, found.start()) > text.count("</s>", 0, found.start()):
            continue

        return token

    return None
