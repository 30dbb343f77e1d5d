"""Pictures that a row has not, though it names one: by an id, by a count, by numbers of a model, in a column that is not read."""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.pictures.names import BEFORE, NOUN, TEXTS, column_of, in_words
from virgo_factory.formats.pictures.other_media import MEDIA
from virgo_factory.formats.pictures.values import LOOKED_AT, is_blank, looks_like_picture, unknown_picture
from virgo_factory.formats.row import RejectedRow, naming


_ORIGINS = LazyPattern(
    r"(?:^|_)(?:urls?|uri|links?|sources?|src|origin|references?|pages?|homepage|website|index|key)(?=_|\d|$)",
    re.IGNORECASE,
)
"""Of the words of texts those of origins: the picture that one names is none of the question's where the row has another one."""
_NUMBERS = LazyPattern(
    r"pixel_?values?(?:_\w+)?|(?:image|img|vision|visual|clip|vit|pixel|picture)_?(?:embeds?|embeddings?|features?|feats?"
    r"|latents?|tensors?|tokens?|codes|arrays?)"
)
"""Names of pictures as numbers of a model."""
_ID = LazyPattern(
    rf"(?:(?:{BEFORE})_)*(?:{NOUN}|coco|vg|visual_genome|flickr(?:30k)?|open_?images"
    r"|(?P<video>videos?|vid|clips?|youtube|yt)|(?P<audio>audios?))"
    r"_?\d{0,2}_?(?:ids?|uuids?|idx|index|keys?|hash|md5|sha_?\d*)"
)
_ONE = LazyPattern(rf"(?:(?:{BEFORE})_)*(?:image|img|picture|pic|photo|figure|fig|diagram|screenshot)(?:_name)?")
"""Names of columns that hold the id of a picture, a video or an audio, and of those that may: a number, or a name with one."""
_SAYS_ONE = LazyPattern(
    r"(?:has|have|with|contains?|includes?|num|n|number_of|count|count_of)_(?:an?_)?"
    r"(?:images?|imgs?|pictures?|(?P<video>videos?)|(?P<audio>audios?))|(?:images?|imgs?|pictures?)_(?:count|num|number|width|height|size|token_count)"
)
"""Names of columns that say whether, how many, or how large, pictures there are."""
_KIND = LazyPattern(r"(?:(?:input|data|question|problem|sample)_)?modalit(?:y|ies)|type")
"""Names of columns that say of what kind the question is, and (below) what they say where it has a picture."""
_WITH_PICTURE = LazyPattern(
    r"(?:text ?(?:\+|,|/|&|-|_|and) ?)?(?:images?|pictures?|multi[-_ ]?modal|vision[-_ ]language|vqa)(?: ?(?:\+|,|/|&|-|_|and) ?text)?",
    re.IGNORECASE,
)
_WORD, _WORD_WITH_NUMBER, _YES = LazyPattern(r"\S+"), LazyPattern(r"\S*\d\S*"), LazyPattern(r"[Tt]rue|[Yy]es")


def unread_picture(row: Mapping[str, Any]) -> RejectedRow | None:
    """Return why a row without pictures is none of text alone: a file or address of one, or its numbers; None where it is.

    Asked where no other picture is found: beside one an origin says where it is from.
    """
    origins, numbers = _origins_of(tuple(row))
    if not (origins or numbers):
        return None

    if named := [(name, row[name]) for name in origins if looks_like_picture(row[name])]:
        return unknown_picture(named)

    name = next((name for name in numbers if _holds_numbers(row[name])), None)
    if name is None:
        return None

    return RejectedRow(
        "a picture as numbers", f"{name}, which is not read; give the picture itself in a column images"
    )


@functools.lru_cache(1024)
def _origins_of(columns: tuple[Any, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that may say from which picture a row is, and those that may hold one as numbers."""
    words = {name: in_words(name) for name in columns if isinstance(name, str)}
    return (
        tuple(name for name, word in words.items() if _is_origin(word) and not column_of(name)),
        tuple(name for name, word in words.items() if _NUMBERS.fullmatch(word)),
    )


def _is_origin(words: str) -> bool:
    """Whether a name in snake_case is one of an origin (`page_1`, `source_file`), and of no text (`reference_answer`)."""
    others, count = _ORIGINS.subn("_", words)
    return count > 0 and not TEXTS.search(others)


def _holds_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers, or of lists of them."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return True

    return False


_MOST_KEYS = 64
"""Of an object in which the id of a picture is looked for; one with more is a table."""


def picture_id(row: Mapping[str, Any]) -> str | None:
    """Return the column in which a row has the id of a picture or another medium, or says that it has one; None without.

    Where it is a key of an object, that with its place.

    >>> (
    ...     picture_id({"question": "?", "image_id": 139}),
    ...     picture_id({"meta": {"cocoid": 7}}),
    ...     picture_id({"image_id": None}),
    ... )
    ('image_id', 'meta.cocoid', None)
    """
    for at, part in (("", row), *row.items()):
        if part is not row and not (type(part) is dict and len(part) < _MOST_KEYS):
            continue

        for name, word, least in _ids_of(tuple(part)):
            if at and word is _WITH_PICTURE:  # the kind of the object
                continue

            for value in part[name][:LOOKED_AT] if isinstance(part[name], list) else (part[name],):
                is_number = (
                    isinstance(value, int | float) and value >= least and (least or not isinstance(value, bool))
                )
                if is_number or isinstance(value, str) and word.fullmatch(value.strip()) and not is_blank(value):
                    return f"{at}.{name}" if at else name

    return None


@functools.lru_cache(1024)
def _ids_of(columns: tuple[Any, ...]) -> tuple[tuple[str, LazyPattern, float], ...]:
    """Return the columns that may tell of a picture: with its id, or that there is one; which words do, and the least number."""
    found = []
    for name in columns:
        word = in_words(name) if isinstance(name, str) else ""
        if _ID.fullmatch(word) or _ONE.fullmatch(word):
            found.append((name, _WORD if _ID.fullmatch(word) else _WORD_WITH_NUMBER, 0))
        elif _SAYS_ONE.fullmatch(word):
            found.append((name, _YES, 1))
        elif _KIND.fullmatch(word):
            found.append((name, _WITH_PICTURE, math.inf))

    return tuple(found)


def without_its_picture(place: str) -> RejectedRow:
    """Return why an example is not learned whose row has only the id of a picture or another medium, at a place."""
    name = in_words(place.rpartition(".")[2])
    found = _ID.fullmatch(name) or _SAYS_ONE.fullmatch(name)
    kind = found.lastgroup if found else None
    remedy = "These are not trained on" if kind else "Write the path of the picture into a column images"
    return RejectedRow(
        f"only the id of {MEDIA[kind][0] if kind else 'a picture'}",
        f"{place}. {remedy}; if the questions need none: {naming(images='images')}",
    )
