"""What columns of pictures are called."""

import functools
import re

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.row import OPTION_COLUMN


NOUN = r"images?|imgs?|pictures?|pics?|photos?|figures?|figs?|diagrams?|screenshots?"
MODIFIER = (
    r"path|paths|file|files|filename|filenames|filepath|filepaths|fname|name|names|url|urls|uri|link|src|bytes|data|"
    r"base64|b64|list|str|string|binary|raw"
)
BEFORE = (
    r"decoded|raw|input|question|query|problem|prompt|pil|encoded|main|local|base64|b64|user|context|list|relative"
)
_NUMBERED = LazyPattern(
    rf"(?P<head>(?:(?:{BEFORE})_)*(?:{NOUN}))_?(?P<number>\d{{1,3}})?(?P<tail>(?:_(?:{MODIFIER}))*)_?(?P<last>\d{{1,3}})?"
)
PLAIN = -1
"""Number of a column without one."""
_FILE = LazyPattern(
    r"(?:(?:full|abs|absolute|relative|local|media)_)?(?:path|file|filename|filepath)s?|file_(?:name|path)s?|fname"
)
TEXTS = LazyPattern(
    r"(?:^|_)(?:ids?|uuid|idx|index|key|hash|md5|sha\d*|source|sources|origin|url|urls|uri|link|links|website|homepage|"
    r"page|licen[sc]e|citation|reference|references|title|captions?|descriptions?|answers?|gts?|gt|gold|truth|labels?|"
    r"responses?|outputs?|generations?|solutions?|completions?|thoughts?|thinking|reasoning|rationales?|cot|questions?|"
    r"problems?|instructions?|prompts?|text|texts|content|contents|code|choices|options?|chosen|rejected|"
    r"messages|conversations?|system|dataset|split|category|subject|topic|tags?|language|author|model|history|tests?|"
    r"test_cases|starter_code|comment|comments|note|notes|tools)(?:_|$)"
)
"""Names of columns that hold texts and origins: a file name in one of them is no picture of the question."""
HAS_NOUN = LazyPattern(rf"(?:^|_)(?:{NOUN})\d*(?:_|$)")


@functools.lru_cache(4096)
def column_of(name: str) -> tuple[tuple[str, str], int, bool] | None:
    """Return (head and tail of a picture column's name, its number or PLAIN, whether any text in it is a path)."""
    words = in_words(name)
    if found := _NUMBERED.fullmatch(words):
        head = re.sub(r"s$", "", found["head"])
        tail = found["tail"]
        number = int(found["number"] or found["last"] or PLAIN)
        is_file = bool(re.search(r"_(?:path|file|filename|filepath|fname|src)", tail)) or head in ("image", "img")
        return (head, tail), number, is_file

    return (("", words), PLAIN, False) if _FILE.fullmatch(words) else None


def in_words(name: str) -> str:
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


_OF_THE_QUESTION = LazyPattern(rf"(?:(?:{BEFORE.replace('|context', '')})_)+")
_ANY_PICTURE = LazyPattern("img|picture|pic|photo")


def noun_of(key: tuple[str, ...]) -> str:
    return _ANY_PICTURE.sub("image", _OF_THE_QUESTION.sub("", key[0]))


def are_alike(key: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two names of columns mean the same picture, or one of them any file."""
    return len({noun_of(key), noun_of(other)} - {""}) < 2


@functools.lru_cache(4096)
def is_text_column(name: str) -> bool:
    words = in_words(name)
    return bool(TEXTS.search(words)) and not (HAS_NOUN.search(words) or OPTION_COLUMN.fullmatch(words))


def names_pictures(name: str) -> bool:
    """Whether a column is named like one of pictures.

    >>> [names_pictures(name) for name in ("image_1", "decoded_image", "imgPath", "image_caption", "path")]
    [True, True, True, False, False]
    """
    known = column_of(name)
    return bool(known and known[0][0])
