"""Control tokens of other models' chat templates, which a server or a sampler left in a response as text.

To the Qwen-VL tokenizers they are words, which a model would learn to write. What a response quotes (in backticks or
quotation marks) is text about such tokens, and `</s>` behind `<s>` is a struck-out passage of HTML: both stay. So do the
same letters in code and maths: `<|psi|>` is a bra-ket, `vector<eos>` a type and `a[INST]` an element.
"""

import re
from bisect import bisect_left

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.thought import MARKERS
from virgo_factory.formats.texts import occurs


_ANGLED = (
    r"\| ?/?(?P<name>[A-Za-z][A-Za-z0-9_: ▁]{2,39}?) ?\|>",  # Llama 3 and 4, Phi, GLM, gpt-oss, Cohere, Kimi, Yi, Granite, dots, ...
    r"｜[^｜<>\n]{1,39}｜>|/?｜DSML｜",  # DeepSeek, Hunyuan
    r"/[sS]>",  # Llama 2, Mistral
    r"</?SYS>>",
    r"(?:start|end|begin)_of_(?:turn|image|audio)>|(?:start|end)_function_(?:call|response|declaration)>|ctrl\d+>",  # Gemma
    r"\|(?:turn|channel|tool|tool_call|tool_response)>|(?:turn|channel|tool|tool_call|tool_response)\|>",  # Gemma 4
    r"[be]os>|[se]op>|im_(?:start|end|patch|col)>|endoftext>|(?:BOS|EOS|PAD|MASK)_TOKEN>",  # ChatGLM, Molmo, Cohere and others
    r"(?:end|beginning|begin)_of_(?:utterance|sentence|text|message|response|answer|solution|thought|conversation|dialog)>",
    r"fake_token_around_image>|global-img>|row_\d_col_\d>|(?:image|audio)_soft_token>|IMG_CONTEXT>",  # Idefics, Gemma, InternVL
    r"loc_?\d{1,4}>|seg\d{3}>|patch_index_\d{4}>",  # PaliGemma, Florence, Kosmos
    r"eo[a-z]>|reserved_\d+>|(?:SPECIAL|TOKENS_UNUSED)_\d+>|unused\d+>|0x[0-9A-F]{2}>|mask:\d+>",  # InternLM, Baichuan, ERNIE, bytes
    r"/?(?:TOOLCALL|AVAILABLE_TOOLS|TOOL_RESPONSE)>|extra_id_\d+>(?:System|User|Assistant)",  # Nemotron
    r"seed:(?:[be]os|tool_call|cot_budget_reflect)>|role>(?:HUMAN|SYSTEM|ASSISTANT|OBSERVATION)</role>|/?longcat_\w{1,20}>",  # Seed, Ling
    r"/?minimax:tool_call>|fim_(?:prefix|middle|suffix|pad)>|用户>",  # MiniMax, StarCoder, MiniCPM
)
_SQUARE = (
    r"/?INST\]|/?SYSTEM_PROMPT\]|/?(?:AVAILABLE_TOOLS|TOOL_RESULTS|MODEL_SETTINGS)\]|TOOL_(?:CALLS|CONTENT)\]|CALL_ID\]",  # Mistral
    r"IMG_(?:BREAK|END)\]|(?:BEGIN|END) FINAL RESPONSE\]",  # Pixtral, Apriel
    r"[gs]MASK\]|UNUSED_TOKEN_\d+\]|BE_SILENT\]",  # ChatGLM, InternLM
    r"e~\[|\|(?:endofturn|system|user|assistant)\|\]",  # MiniMax, EXAONE
)
_BEGINS = {
    "<": LazyPattern(f"<(?=[|｜/<sebicrfgatlpmSTu0BEIPMA用])(?:{'|'.join(_ANGLED)})"),
    "[": LazyPattern(rf"\[(?=[/ISATgsUe|MCBE])(?:{'|'.join(_SQUARE)})"),
    "~": LazyPattern(r"\]~!?b[\[\]]"),
    "＜": LazyPattern(r"＜[|｜/][^|｜<>＜＞\n]{1,39}[|｜]?＞"),
}
_FOREIGN = LazyPattern("|".join(pattern.pattern for pattern in _BEGINS.values()))
_LAST = LazyPattern(
    r"(?:(?:<|&lt;|＜)[ ]?[|｜][ ]?(?:im_(?:end|start)|eot_id|endoftext|end_of_\w{1,20}|eo[a-z]|end|stop)[ ]?[|｜]?[ ]?(?:>|&gt;|＞)?"
    r"|[|｜](?:im_(?:end|start)|eot_id|endoftext|end_of_[a-z]{1,20})[|｜]>?"
    r"|(?:<|&lt;)(?:[ ]?[/\\][ ]?s|s|/?(?:pad|unk|(?-i:EO[A-Z])|eos_token|pad_token|extra_id_\d+|end|stop|_end)|/eo[a-z])(?:>|&gt;)"
    r"|(?<![\w\])])\[/?(?:PAD|EOS|EOT|SEP|CLS|UNK|DONE|END|STOP)\]|#{2,}[ ]?END[ ]?#+"
    r"|</(?:assistant|model|bot|response|output|reply)>)\s*\Z",
    re.IGNORECASE,
)
"""What is one at the very end of a response, and may be ordinary text elsewhere."""
_OPENING = LazyPattern(r"[<|\[#&＜｜]")
_ENDINGS = (">", "]", "#", "|", "｜", ";", "＞", "d", "D", "t", "p")
"""What such a token ends with."""
_FIRM = frozenset(
    "begin bom bos chatbot constrain end eod eom eop eos eot fim header im ipython ipynb nospeech notimestamps pad padding plamo reserved "
    "sep special start stop token transcribe translate turn unk".split()
)
_WORDS = _FIRM | frozenset(
    "action assistant audio bot box call calls channel chat cls commentary content critic det document dummy environment extra "
    "file flush function grounding human id image img imgpad inner interpreter loc mask mdm media message middle model name "
    "nothink observation object patch placeholder plugin prefix prompter python quad ref repo response return role section "
    "separator step suffix system systemprompt tag text think thinking thought tool tools unused user userprompt video vision".split()
)
"""Words of names such as `<|end_of_turn|>`: one of _FIRM makes a token of it, or all of these."""
_FIRM_WORD = LazyPattern(r"(?:end|start|begin)of\w*|eo[a-z]{1,2}")
_WORD = LazyPattern(r"[a-z]+|[A-Z][a-z]+|[A-Z]+(?![a-z])")
_GENERIC = LazyPattern(
    r"(?:(?P<scope>::\w*|\binclude\s*)|\b(?:class|struct|typename|template)\s*|\b(?:vector|list|deque|set|map|array|queue|stack"
    r"|pair|tuple|optional|option|span|vec|box|rc|arc|result|iterator|ptr))\Z",
    re.IGNORECASE,
)
"""What stands in front of an argument of a type, `<eos>`; without `::` not where the text ends: "the right option<eos>"."""
_QUOTES = frozenset("`\"'“”‘’「」")
_CODE = LazyPattern(r"```[\s\S]*?```|`[^`\n]+`|\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”")
"""Code and quotations, in which a token is talked about."""


def foreign_token(text: str) -> str | None:
    """Return the first control token of another model in a text; None without one.

    >>> (
    ...     foreign_token("It is 4.<|eot_id|>"),
    ...     foreign_token("`<|eot_id|>` ends a turn."),
    ...     foreign_token("<s>old</s> new"),
    ... )
    ('<|eot_id|>', None, None)
    """
    if text.endswith(_ENDINGS) or text[-1:].isspace():
        start = max(0, len(text.rstrip()) - 40)
        found = _OPENING.search(text, start) and _LAST.search(text, start)
        if found and not _is_ordinary(text, found):
            return found.group().strip()

    if not occurs(text, _BEGINS):
        return None

    open_html = seen = 0  # `<s>` that no `</s>` has closed yet, up to a place in the text
    lower = text.lower()
    for found in outside_code(text, _FOREIGN):
        token, start, end = found.group(), found.start(), found.end()
        if token in ("</s>", "</S>"):
            open_html += lower.count("<s>", seen, start)
            seen = end
            if open_html:
                open_html -= 1
                continue

        if not (is_quoted(text, found) or token in MARKERS or _is_code(text, found)):
            return token

    return None


TAGGED = "a part of the response in tags is trained as it is"
"""Begins the notes of rows with such a part; its tag follows."""
_PART = LazyPattern(
    r"<(?P<name>(?:re|self_?)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|verify|verification|check|reflect(?:ion)?|critique|evaluate)"
    r"|analysis|plan(?:ning)?|summary|scratchpad|inner_monologue|backtrack|refine)>(?:(?!<(?P=name)>)[\s\S])*?</(?P=name)>",
    re.IGNORECASE,
)


def part_in_tags(solution: str) -> str:
    """Return the tag of a further thought, check or summary inside of a solution; "" without one.

    >>> (
    ...     part_in_tags("<verify>2 + 2 is 4.</verify> It is 4."),
    ...     part_in_tags("<details><summary>Why</summary>...</details>"),
    ... )
    ('<verify>', '')
    """
    if "<details" in solution:  # of HTML
        return ""

    return next(
        (f"<{found['name']}>" for found in outside_code(solution, _PART) if not is_quoted(solution, found)), ""
    )


def outside_code(text: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return what a pattern finds in a text, where it does not stand in code or a quotation."""
    if not (found := list(pattern.finditer(text))):
        return found

    code = [(-1, -1), *(match.span() for match in _CODE.finditer(text))]
    before = (code[bisect_left(code, (match.start(),)) - 1] for match in found)
    return [match for match, (_, end) in zip(found, before, strict=True) if end <= match.end()]


def is_quoted(text: str, found: re.Match[str]) -> bool:
    """Whether something stands directly between quotation marks or backticks."""
    return found.start() > 0 and text[found.start() - 1] in _QUOTES and text[found.end() : found.end() + 1] in _QUOTES


def _is_ordinary(text: str, found: re.Match[str]) -> bool:
    """Whether what may be a token at the end of a text is code, quoted, or an element that was opened before."""
    before, token = text[: found.start()], found.group().strip().lower()
    if any(marker.startswith(token) for marker in MARKERS):  # whole, or cut off
        return True

    if not before.strip() or text.count("```") % 2 or before.endswith(tuple(_QUOTES)):
        return True

    opening = token.replace("/", "").replace("&lt;", "<").replace("&gt;", ">")
    return token.startswith(("</", "&lt;/")) and (
        opening in before.lower() or token.replace("/", "") in before.lower()
    )


def _is_code(text: str, found: re.Match[str]) -> bool:
    """Whether what looks like a token is maths or code: a name of another trade, an argument of a type, an index."""
    if name := found["name"]:
        words = [word.lower() for word in _WORD.findall(name)]
        is_firm = any(word in _FIRM or _FIRM_WORD.fullmatch(word) for word in words)
        return not is_firm and "▁" not in name and not _WORDS.issuperset(words)

    token, start, end = found.group(), found.start(), found.end()
    if token[0] == "[":
        return token[1] != "/" and start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_)]")

    if token[0] != "<" or token[1] in "|｜/<":
        return False

    before = _GENERIC.search(text, max(0, start - 40), start)
    is_called = text[end : end + 1] in ("(", "{") and text[start - 1 : start].isalpha()
    return is_called or bool(before and (before["scope"] or text[end:].strip()))
