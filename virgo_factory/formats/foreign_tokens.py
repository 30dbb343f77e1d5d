"""Control tokens of other models' chat templates, which a server or a sampler left in a response as text.

To the Qwen-VL tokenizers they are words, which a model would learn to write. What a response quotes (in backticks or
quotation marks) is text about such tokens, and `</s>` behind `<s>` is a struck-out passage of HTML: both stay. So do the
same letters in code and maths: `<|psi|>` is a bra-ket, `vector<eos>` a type and `a[INST]` an element.
"""

import re

from virgo_factory.core.thought import MARKERS
from virgo_factory.formats.texts import occurs


_ANGLED = (
    r"\|(?P<name>[A-Za-z][A-Za-z0-9_ ▁]{2,39})\|>",  # Llama 3 and 4, Phi, GLM, gpt-oss, Cohere, Kimi, Yi, Granite, ...
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
_FIRM = frozenset(
    "begin bom bos chatbot constrain end eod eom eop eos eot fim header im ipython nospeech notimestamps pad reserved sep "
    "special start token transcribe translate turn unk".split()
)
_WORDS = _FIRM | frozenset(
    "action assistant audio bot box call calls channel chat commentary content critic document dummy environment extra file "
    "function human id image img interpreter mask media message middle model name observation object placeholder plugin "
    "prefix prompter python quad ref repo response return role section separator step suffix system tag text think thinking "
    "thought tool tools unused user video vision".split()
)
"""Words of names such as `<|end_of_turn|>`: one of _FIRM makes a token of it, or all of these."""
_WORD = re.compile(r"[a-z]+|[A-Z][a-z]+|[A-Z]+(?![a-z])")
_GENERIC = re.compile(
    r"(?:(?P<scope>::\w*|\binclude\s*)|\b(?:class|struct|typename|template)\s*|\b(?:vector|list|deque|set|map|array|queue|stack"
    r"|pair|tuple|optional|option|span|vec|box|rc|arc|result|iterator|ptr))\Z",
    re.IGNORECASE,
)
"""What stands in front of an argument of a type, `<eos>`; without `::` not where the text ends: "the right option<eos>"."""
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
        if not (is_quoted or token in MARKERS or _is_code(text, found)):
            return token

    return None


def _is_code(text: str, found: re.Match[str]) -> bool:
    """Whether what looks like a token is maths or code: a name of another trade, an argument of a type, an index."""
    if name := found["name"]:
        words = [word.lower() for word in _WORD.findall(name)]
        is_firm = any(word in _FIRM or word.startswith(("endof", "startof", "beginof")) for word in words)
        return not is_firm and not _WORDS.issuperset(words)

    token, start, end = found.group(), found.start(), found.end()
    if token[0] == "[":
        return token[1] != "/" and start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_)]")

    if token[1] in "|｜/<":
        return False

    before = _GENERIC.search(text, max(0, start - 40), start)
    is_called = text[end : end + 1] in ("(", "{") and text[start - 1 : start].isalpha()
    return is_called or bool(before and (before["scope"] or text[end:].strip()))
