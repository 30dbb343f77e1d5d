"""Text of a dataset, a server or a path, made fit to be shown."""

import re
import shlex


_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return the text with what cannot be seen spelled out: control characters, bidi marks, half surrogate pairs.

    Line breaks and tabs stay. What a row holds can then neither steer a terminal nor turn a line around.

    >>> visible("red\x1b[31m \u202e9")
    'red\\x1b[31m \\u202e9'
    """
    return _INVISIBLE.sub(lambda match: match.group().encode("unicode_escape", "backslashreplace").decode(), text)


def one_line(text: str, most: int = 40) -> str:
    """Return the text on one line, not too long.

    >>> one_line("a\\n  long domain", 9)
    'a long...'
    """
    text = visible(" ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def quoted(path: object) -> str:
    """Return a path, or a word, as it is entered in a shell.

    >>> quoted("my data/dsd"), quoted("data/dsd")
    ("'my data/dsd'", 'data/dsd')
    """
    return shlex.quote(str(path))


def amount(count: int, one: str, many: str = "") -> str:
    """Return a count with what is counted; `many` is its plural where that is not `one` with an s.

    >>> amount(1, "row"), amount(1200, "row"), amount(0, "reply was", "replies were")
    ('1 row', '1,200 rows', '0 replies were')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
