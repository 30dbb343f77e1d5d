r"""Texts that were damaged on their way: escapes read once too often or too rarely, another encoding, a lost character."""

import re

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.any_row.foreign_tokens import outside_code


_CONTROLS = [chr(code) for code in (*range(9), 11, 12, *range(14, 32), 127, 0xFFFD)]
_IN_PLAIN = LazyPattern(
    r"\t(?:imes\b|heta\b|riangle\b|(?:ext|extbf|frac)\{)|\n(?:ight(?:[)\]}|]|\\[.}])|abla\b)"  # \times, \right and their like
    r"|(?<!\\)\\\\(?:(?:boxed|[dt]?frac|sqrt|text)\{|(?:times|cdot)\b)"
    r"|(?<!\\)\\n(?:(?=[\s\d]|\\n|\Z)|(?=[A-Z])(?![A-Z]\w*arrow|V[dD]ash))|\Ab(?:'.*'|\".*\")\Z",
    re.DOTALL,
)
_ENCODED_TWICE = LazyPattern(r"â€[\x80-\xbf™œ“”¦˜]|Ã[\x80-\xbf]|Â[\xa0°±²³·£§«»¼½]|ï¿½|ðŸ|[\x80-\x9f]")


def damage(text: str) -> str:
    r"""Return what of a text was damaged, as Python would write it; "" without any. Code and quotations may have escapes.

    >>> damage("It is \x08oxed{4}."), damage("It isnâ€™t."), damage(r"print('\n') ends a line")
    ("'It is \\x08oxed{4}.'", "'It isnâ€™t.'", '')
    """
    start = min((at for sign in _CONTROLS if (at := text.find(sign)) >= 0), default=-1)
    if start < 0 and not text.isascii() and (found := _ENCODED_TWICE.search(text)):
        start = found.start()

    if start < 0 and (text[:1] == "b" or any(sign in text for sign in ("\\n", "\\\\", "\t", "\night", "\nabla"))):
        start = next((found.start() for found in outside_code(text, _IN_PLAIN)), -1)

    return repr(text[max(0, start - 12) : start + 12]) if start >= 0 else ""
