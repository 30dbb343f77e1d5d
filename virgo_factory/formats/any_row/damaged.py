r"""Texts that were damaged on their way: escapes read once too often or too rarely, another encoding, a lost character."""

import re

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.any_row.foreign_tokens import outside_code


_CONTROL = LazyPattern(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_ODD = bytes(set(range(0x20)) - set(b"\t\n\r")) + b"\x7f"
_IN_PLAIN = LazyPattern(
    r"\t(?:imes\b|heta\b|riangle\b|(?:ext|extbf|frac)\{)|\n(?:ight(?:[)\]}|]|\\[.}])|abla\b)"  # \times, \right and their like
    r"|(?<!\\)\\\\(?:(?:boxed|[dt]?frac|sqrt|text)\{|(?:times|cdot)\b)"
    r"|(?<!\\)\\n(?:(?=[\s\d]|\\n|\Z)|(?=[A-Z])(?![A-Z]\w*arrow|V[dD]ash))|\Ab(?:'.*'|\".*\")\Z",
    re.DOTALL,
)
_SIGNS = tuple(f"\\\\{letter}" for letter in "bdtfsc")
_FIRST = ("â€", "Ã", "Â", "ï¿½", "ðŸ")
_ENCODED_TWICE = LazyPattern(r"â€[\x80-\xbf™œ“”¦˜]|Ã[\x80-\xbf]|Â[\xa0°±²³·£§«»¼½]|ï¿½|ðŸ")


def damage(text: str) -> str:
    r"""Return what of a text was damaged, as Python would write it; "" without any. Code and quotations may have escapes.

    >>> damage("It is \x08oxed{4}."), damage("It isnâ€™t."), damage(r"print('\n') ends a line")
    ("'It is \\x08oxed{4}.'", "'It isnâ€™t.'", '')
    """
    if text.isascii():
        is_odd = len(text.encode().translate(None, _ODD)) < len(text)
    else:
        is_odd = "\ufffd" in text or not text.replace("\n", "").replace("\t", "").isprintable()

    found = is_odd and _CONTROL.search(text)
    if not found and not text.isascii() and any(map(text.__contains__, _FIRST)):
        found = _ENCODED_TWICE.search(text)

    may_be = "\\n" in text or "\t" in text or "\night" in text or "\nabla" in text or text[:1] == "b"
    if not found and (may_be or "\\\\" in text and any(map(text.__contains__, _SIGNS))):
        found = next(iter(outside_code(text, _IN_PLAIN)), None)

    return repr(text[max(0, found.start() - 12) : found.start() + 12]) if found else ""
