r"""Texts that were damaged on their way: escapes read once too often or too rarely, another encoding, a lost character."""

import re

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.any_row.foreign_tokens import outside_code


_CONTROL = LazyPattern(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_ODD = bytes(set(range(0x20)) - set(b"\t\n\r")) + b"\x7f"
_IN_PLAIN = LazyPattern(
    r"\t(?:imes\b|heta\b|riangle\b|(?:ext|extbf|frac)\{)|\n(?:ight(?:[)\]}|]|\\[.}])|abla\b)"  # \times, \right and their like
    r"|(?<!\\)\\\\(?:(?:boxed|[dt]?frac|sqrt|text)\{|(?:times|cdot)\b)"
    r"|(?P<line>(?<![\\+*])\\n(?:(?=[\s\d]|\\n|\Z)|(?=[A-Z])(?![A-Z]\w*arrow|V[dD]ash)))|(?<!\\)\\u[0-9a-f]{4}(?![0-9a-f])"
    r"|&(?:lt|gt|amp|quot|nbsp|#39);",
    re.DOTALL,
)
_MAY_BE = LazyPattern(r"\\(?:n(?=[\s\d\\A-Z]|\Z)|u[0-9a-f]{4}|\\[bdtfsc])")
"""What all of these begin with that have a backslash."""
_ENTITIES = ("&lt;", "&gt;", "&amp;", "&quot;", "&nbsp;", "&#39;")
_OBJECT = LazyPattern(
    r"b(?:'.*'|\".*\")|\w*(?:Text|Content)(?:Block|Part|Item)\(.*\)|\[?\{'type': ?'text', ?'text': .*\}\]?"
    r"|\[?\{\"type\": ?\"text\", ?\"text\": .*\}\]?|<(?:built-in |bound )?(?:function|method|class) .*>|<[\w.]+ object at 0x\w+>",
    re.DOTALL,
)
"""An object of Python as its `repr` writes it, with the text inside."""
_OBJECTS = frozenset(("b'", 'b"', "{'", "[{", '{"', "<b", "<c", "<f", "<_", "Te", "Co"))
"""How they begin."""
_FIRST = ("\ufffd", "â", "Ã", "Â", "Î", "Ï", "ï¿½", "ðŸ", "Ð", "æ", "ã€", "Ġ", "▁", "锟斤", "烫烫")
"""One of these is in every text that was decoded wrongly."""
_LATER = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘“•–—˜™š›œžŸ\x80-\xba\xbc-\xbf"
"""What a later byte of a character in UTF-8 is in Windows-1252 or Latin-1, but for closing quotation marks."""
_ENCODED_TWICE = LazyPattern(
    rf"\ufffd|â(?:€[\x80-\xbf™œ“”¦˜]|[‚„†‡ˆ‰Š‹Œ–™šœž][{_LATER}’”])|Ã[{_LATER}]|Â[\xa0°±²³·£§«»¼½]|[ÎÏ][{_LATER}]|ï¿½|ðŸ"
    rf"|(?:[Â-ß][{_LATER}’”»]|[à-ï][{_LATER}’”»]{{2}}){{2}}|[Ġ▁][^\W_]+[Ġ▁]|锟斤拷|烫烫烫"
)


def damage(text: str, is_asked: bool = False) -> str:
    r"""Return what of a text was damaged, as Python would write it; "" without any. Code and quotations may have escapes.

    `is_asked`: a question's `\n`, of a prompt that was written on one line, is no damage that is learned.

    >>> damage("It is \x08oxed{4}."), damage("It isnâ€™t."), damage(r"print('\n') ends a line")
    ("'It is \\x08oxed{4}.'", "'It isnâ€™t.'", '')
    """
    found = None
    if not (is_line := text.isprintable()):
        if text.isascii():
            is_odd = len(text.encode().translate(None, _ODD)) < len(text)
        else:
            is_odd = not text.replace("\n", "").replace("\t", "").isprintable()

        found = _CONTROL.search(text) if is_odd else None

    if not found and not text.isascii() and any(map(text.__contains__, _FIRST)):
        found = _ENCODED_TWICE.search(text)

    if not found and text[:2] in _OBJECTS:
        found = _OBJECT.fullmatch(text.strip())

    may_be = (
        "\\" in text and _MAY_BE.search(text)
        or not is_line and ("\t" in text or "\night" in text or "\nabla" in text)
        or "&" in text and any(map(text.__contains__, _ENTITIES)) and "html" not in text.lower()
    )  # fmt: skip
    if not found and may_be:
        escapes = outside_code(text, _IN_PLAIN)
        found = next((one for one in escapes if not (is_asked and one["line"] is not None)), None)

    return repr(text[max(0, found.start() - 12) : found.start() + 12]) if found else ""
