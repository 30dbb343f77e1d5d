"""Which pictures a row has: the columns that hold them, in every spelling of name and value; and videos, audios.

A column is read where its name and its values say what it is. Where only the values look like pictures, the row is
rejected with the line that maps the column: a model must not learn to answer about a picture that it never got.
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.row import IMAGE_COLUMNS, OPTION_COLUMN, RejectedRow, naming, plain
from virgo_factory.formats.texts import decoded


SUFFIXES = ("png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "avif", "heic", "svg")  # fmt: skip
MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
MEDIA = {
    # kind: (what it is called, how columns are called that hold one, suffixes, how its bytes begin)
    "video": ("a video", "videos?|movies?|video_?clips?|clips?", "mp4|avi|mov|mkv|webm|mpg|mpeg|m4v|flv|wmv",
              rb"....ftyp(?!avif|heic|heix|mif1)|\x1aE\xdf\xa3|RIFF....AVI "),
    "audio": ("an audio", "audios?|speech(?:es)?|sounds?|voices?|wavs?|waveforms?|recordings?|music|audio_?clips?",
              "wav|mp3|flac|ogg|m4a|aac|opus", rb"RIFF....WAVE|fLaC|OggS|ID3|\xff\xfb"),
    "document": ("a document", "pdfs?|docx?|pptx?", "pdf|docx?|pptx?|epub|djvu", rb"%PDF"),
    "model": ("a model in space", "point_?clouds?|mesh(?:es)?", "ply|obj|glb|gltf|stl|pcd|las", rb"ply\n|glTF"),
    "medium": ("a medium of a kind that is not told", "media|mediums?|multimedia|attachments?", "", b""),
}  # fmt: skip
"""What is not trained on."""
_SAY_ALL = ("video", "audio")
"""Columns called so hold one whatever stands there; the others may hold words about it, or code."""
BASE64_MAGIC = {
    "iVBORw0KGgo": "png",
    "/9j/": "jpeg",
    "R0lGOD": "gif",
    "UklGR": "webp",
    "SUkqA": "tiff",
    "TU0AK": "tiff",
}
"""How the Base64 text of a picture begins, and its kind."""
_CONTENTS = ("data:image/", *BASE64_MAGIC)
"""How a text that is a picture begins."""

SHORTEST_BASE64 = 64
"""Characters below which a text is no picture in Base64: the smallest PNG has 67 bytes."""

BLANK_TEXTS = ("", "[]", "{}", "[[]]", '[""]', "[null]", "null", "none", "nan", "n/a", "<na>")
_NO_PICTURES = ("na", "-", "--", "no_image", "no image")
"""What stands in a column of pictures where there is none; elsewhere `Na` and `-` may be options."""

_NOUN = r"images?|imgs?|pictures?|pics?|photos?|figures?|figs?|diagrams?|screenshots?"
_MODIFIER = (
    r"path|paths|file|files|filename|filenames|filepath|filepaths|fname|name|names|url|urls|uri|link|src|bytes|data|"
    r"base64|b64|list|str|string|binary|raw"
)
_BEFORE = (
    r"decoded|raw|input|question|query|problem|prompt|pil|encoded|main|local|base64|b64|user|context|list|relative"
)
_NUMBERED = LazyPattern(
    rf"(?P<head>(?:(?:{_BEFORE})_)*(?:{_NOUN}))_?(?P<number>\d{{1,3}})?(?P<tail>(?:_(?:{_MODIFIER}))*)_?(?P<last>\d{{1,3}})?"
)
PLAIN = -1
"""Number of a column without one."""
_FILE = LazyPattern(
    r"(?:(?:full|abs|absolute|relative|local|media)_)?(?:path|file|filename|filepath)s?|file_(?:name|path)s?|fname"
)
_OTHER_MEDIA = LazyPattern(
    rf"(?:(?:{_BEFORE})_)*(?:{'|'.join(f'(?P<{kind}>{names})' for kind, (_, names, *_) in MEDIA.items())})"
    rf"_?\d{{0,3}}(?:_(?:{_MODIFIER}))*_?\d{{0,3}}"
)
_OTHER_BYTES = LazyPattern(
    b"|".join(b"(?P<%s>%s)" % (kind.encode(), magic) for kind, (*_, magic) in MEDIA.items() if magic), re.DOTALL
)
_TEXTS = LazyPattern(
    r"(?:^|_)(?:ids?|uuid|idx|index|key|hash|md5|sha\d*|source|sources|origin|url|urls|uri|link|links|website|homepage|"
    r"page|licen[sc]e|citation|reference|references|title|captions?|descriptions?|answers?|gts?|gt|gold|truth|labels?|"
    r"responses?|outputs?|generations?|solutions?|completions?|thoughts?|thinking|reasoning|rationales?|cot|questions?|"
    r"problems?|instructions?|prompts?|text|texts|content|contents|code|choices|options?|chosen|rejected|"
    r"messages|conversations?|system|dataset|split|category|subject|topic|tags?|language|author|model|history|tests?|"
    r"test_cases|starter_code|comment|comments|note|notes|tools)(?:_|$)"
)
"""Names of columns that hold texts and origins: a file name in one of them is no picture of the question."""

_ORIGINS = LazyPattern(
    r"(?:^|_)(?:urls?|uri|links?|sources?|src|origin|references?|pages?|homepage|website|index|key)(?=_|\d|$)",
    re.IGNORECASE,
)
"""Of these, words of origins: the picture that one names is none of the question's where the row has another one."""
_REFERENCE = LazyPattern(r"references?")
"""The name of an origin, or of a second picture: a file, which an address is not, is the latter."""
_NUMBERS = LazyPattern(
    r"pixel_?values?(?:_\w+)?|(?:image|img|vision|visual|clip|vit|pixel|picture)_?(?:embeds?|embeddings?|features?|feats?"
    r"|latents?|tensors?|tokens?|codes|arrays?)"
)
"""Names of pictures as numbers of a model."""

_ABOUT_ROW = LazyPattern(r"(?:\w+_)?(?:meta|metadata|meta_?data|provenance|origin|source|source_info)")
"""Names of objects that say where a row is from: a document in them is where its text or picture was taken from."""

_NOT_NESTED = LazyPattern(
    r"messages|conversations?|chosen|rejected|history|tools?|(?:.*_)?(?:responses?|outputs?|generations?|completions?"
    r"|solutions?|answers?|code|thoughts?|thinking|reasoning|questions?|problems?|texts?|prompts?)"
)
"""Names of columns whose objects are messages, or whose texts may be JSON that is talked about."""

_HAS_NOUN = LazyPattern(rf"(?:^|_)(?:{_NOUN})\d*(?:_|$)")
_BESIDE = LazyPattern(
    r"(?:^|_)(?:thumbnails?|thumbs?|icons?|logos?|avatars?|previews?|resized|masks?|segmentations?)(?:_|$)"
)
"""Names of small copies of the question's picture, of what was marked in it, and of pictures of its page."""
_URL = LazyPattern(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PATH = LazyPattern(rf"[^\n\r<>|*\"?]{{1,400}}\.(?:{'|'.join(SUFFIXES)})", re.IGNORECASE)
_LINK = LazyPattern(rf"\S{{1,2000}}\.(?:{'|'.join(SUFFIXES)})(?:[?#]\S*)?", re.IGNORECASE)
_ENDS = {end: kind for kind, (_, _, ends, _) in MEDIA.items() for end in ends.split("|") if end}
_NOT_IN_PATHS = LazyPattern(r'[\s<>|*"]')
_BASE64 = LazyPattern(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_IN_OBJECT = ("image", "image_url", "img", "url", "path", "file", "file_name", "filename", "src", "base64", "b64_json", "data")  # fmt: skip
"""Keys of an object that is a picture, in place of `bytes` and `path`."""
_ID = LazyPattern(
    rf"(?:(?:{_BEFORE})_)*(?:{_NOUN}|coco|vg|visual_genome|flickr(?:30k)?|open_?images"
    r"|(?P<video>videos?|vid|clips?|youtube|yt)|(?P<audio>audios?))"
    r"_?\d{0,2}_?(?:ids?|uuids?|idx|index|keys?|hash|md5|sha_?\d*)"
)
_ONE = LazyPattern(rf"(?:(?:{_BEFORE})_)*(?:image|img|picture|pic|photo|figure|fig|diagram|screenshot)(?:_name)?")
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


class Pictures(NamedTuple):
    """The pictures of a row, with the numbers that its texts may call them by (`image_3` is 3), and their columns."""

    numbers: tuple[int, ...]
    values: tuple[Any, ...]
    columns: tuple[str, ...] = ()


NONE = Pictures((), ())


def is_blank(value: Any, depth: int = 8) -> bool:
    """Whether a value says that there is nothing: null, NaN, "", "[]", "None", [null], {"bytes": null, "path": null}.

    >>> [is_blank(value) for value in (None, float("nan"), " ", "null", [[]], {"bytes": None, "path": ""}, "a.png", 0)]
    [True, True, True, True, True, True, False, False]
    """
    if value is None or value is False or (isinstance(value, float) and math.isnan(value)):
        return True

    if isinstance(value, str):
        return len(value) < 40 and (value.strip().lower() in BLANK_TEXTS)

    if isinstance(value, dict):
        return depth > 0 and all(is_blank(part, depth - 1) for name, part in value.items() if name != "type")

    return isinstance(value, list | tuple) and depth > 0 and all(is_blank(part, depth - 1) for part in value)


def _is_none(value: Any, depth: int = 8) -> bool:
    """Whether the value of a column of pictures says that there is none."""
    return is_blank(value, depth) or isinstance(value, str) and value[:10].strip().lower() in _NO_PICTURES


def find_pictures(
    row: Mapping[str, Any], inside: Mapping[str, Any] = MappingProxyType({}), plan: "Plan | None" = None
) -> Pictures:
    """Return the pictures of the columns that are known to hold some.

    `inside` is what `pictures_inside` found; `plan` that of its names, where it is known. Raises RejectedRow where there are
    pictures in other places, or different ones in several columns.
    """
    plan = plan or plan_of(tuple(row))
    groups: dict[tuple[str, ...], dict[int, str]] = {}  # columns of one series: number -> name
    for name, (key, number, is_file) in plan.pictures:
        value = row[name]
        if not value or _is_none(value) or name not in IMAGE_COLUMNS and not holds_picture(value, is_file):
            continue

        groups.setdefault((*key, name) if number in groups.get(key, ()) else key, {})[number] = name

    unknown = []
    for name in plan.others:
        value = row[name]
        if (
            value
            and (type(value) is not str or "." in value[-6:] or value.startswith(_CONTENTS))
            and _is_unknown_picture(value)
        ):
            unknown.append((name, value))

    for name in plan.texts:
        value = row[name]
        if value and (type(value) is not str or value.startswith(_CONTENTS)) and _is_embedded(value):
            unknown.append((name, value))

    unknown += [(name, value) for name, value in inside.items() if name not in dict(unknown)]
    if not groups:
        if unknown:
            raise _unknown(unknown)

        return NONE

    found, read = _chosen(row, groups)
    for name, value in unknown:
        words = _words(name)
        if _column_of(name) or _BESIDE.search(words) or "images" in read and not _HAS_NOUN.search(words):
            continue

        if _REFERENCE.fullmatch(words) and _URL.match(str(value)):
            continue

        known = _column_of(name.rpartition(".")[2])
        is_lost = _is_lost(values := flat(value), found, known is not None and _noun(known[0]) in ("image", ""))
        if is_lost and (_is_content(in_order(values)) or not _is_content(found)):
            raise _several([*read, name])

    return found


def unread_picture(row: Mapping[str, Any]) -> RejectedRow | None:
    """Return why a row without pictures is none of text alone: a file or address of one, or its numbers; None where it is.

    Asked where no other picture is found: beside one an origin says where it is from.
    """
    origins, numbers = _origins_of(tuple(row))
    if not (origins or numbers):
        return None

    if named := [(name, row[name]) for name in origins if _looks_like_picture(row[name])]:
        return _unknown(named)

    name = next((name for name in numbers if _holds_numbers(row[name])), None)
    if name is None:
        return None

    return RejectedRow(
        "a picture as numbers", f"{name}, which is not read; give the picture itself in a column images"
    )


@functools.lru_cache(1024)
def _origins_of(columns: tuple[Any, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that may say from which picture a row is, and those that may hold one as numbers."""
    words = {name: _words(name) for name in columns if isinstance(name, str)}
    return (
        tuple(name for name, word in words.items() if _is_origin(word) and not _column_of(name)),
        tuple(name for name, word in words.items() if _NUMBERS.fullmatch(word)),
    )


def _is_origin(words: str) -> bool:
    """Whether a name in snake_case is one of an origin (`page_1`, `source_file`), and of no text (`reference_answer`)."""
    others, count = _ORIGINS.subn("_", words)
    return count > 0 and not _TEXTS.search(others)


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

            for value in part[name][:_LOOKED_AT] if isinstance(part[name], list) else (part[name],):
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
        word = _words(name) if isinstance(name, str) else ""
        if _ID.fullmatch(word) or _ONE.fullmatch(word):
            found.append((name, _WORD if _ID.fullmatch(word) else _WORD_WITH_NUMBER, 0))
        elif _SAYS_ONE.fullmatch(word):
            found.append((name, _YES, 1))
        elif _KIND.fullmatch(word):
            found.append((name, _WITH_PICTURE, math.inf))

    return tuple(found)


def without_its_picture(place: str) -> RejectedRow:
    """Return why an example is not learned whose row has only the id of a picture or another medium, at a place."""
    name = _words(place.rpartition(".")[2])
    found = _ID.fullmatch(name) or _SAYS_ONE.fullmatch(name)
    kind = found.lastgroup if found else None
    remedy = "These are not trained on" if kind else "Write the path of the picture into a column images"
    return RejectedRow(
        f"only the id of {MEDIA[kind][0] if kind else 'a picture'}",
        f"{place}. {remedy}; if the questions need none: {naming(images='images')}",
    )


class Plan(NamedTuple):
    """Which columns of a row have to be looked at, by their names alone; rows of a file mostly have the same."""

    # those named like one of pictures, and what `_column_of` says
    pictures: tuple[tuple[str, tuple[tuple[str, str], int, bool]], ...]
    others: tuple[str, ...]  # those that may hold one all the same
    texts: tuple[str, ...]  # those named like texts and origins, in which a path is none, but the picture itself is
    # those that may hold another medium, which by the name, whether they may, whether objects with pictures may
    # stand in them, and whether these are options
    looked_at: tuple[tuple[str, str | None, bool, bool, bool], ...]


@functools.lru_cache(1024)
def plan_of(columns: tuple[Any, ...]) -> Plan:
    names = [name for name in columns if isinstance(name, str)]
    pictures = tuple((name, known) for name in names if (known := _column_of(name)))
    others = tuple(name for name in names if not _is_text_column(name) or _REFERENCE.fullmatch(_words(name)))
    texts = tuple(name for name in names if name not in others)
    known = {name for name, (head, *_) in pictures if head[0]}
    looked_at = []
    for name in names:
        words, kind = _words(name), _other_kind(name)
        may = bool(name in others or _column_of(name) or kind), not (name in known or _NOT_NESTED.fullmatch(words))
        looked_at += [(name, kind, *may, bool(OPTION_COLUMN.fullmatch(words)))] if any(may) else []

    return Plan(pictures, others, texts, tuple(looked_at))


@functools.lru_cache(4096)
def _column_of(name: str) -> tuple[tuple[str, str], int, bool] | None:
    """Return (head and tail of a picture column's name, its number or PLAIN, whether any text in it is a path)."""
    words = _words(name)
    if found := _NUMBERED.fullmatch(words):
        head = re.sub(r"s$", "", found["head"])
        tail = found["tail"]
        number = int(found["number"] or found["last"] or PLAIN)
        is_file = bool(re.search(r"_(?:path|file|filename|filepath|fname|src)", tail)) or head in ("image", "img")
        return (head, tail), number, is_file

    return (("", words), PLAIN, False) if _FILE.fullmatch(words) else None


def _words(name: str) -> str:
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()


def _chosen(row: Mapping[str, Any], groups: dict[tuple[str, ...], dict[int, str]]) -> tuple[Pictures, list[str]]:
    """Return the pictures of the one series of columns that has all of the others', and the names of all of them.

    Raises RejectedRow where a column holds a picture that is in none of the others.
    """
    if len(groups) == 1:
        ((key, names),) = groups.items()
        if len(names) == 1 or PLAIN not in names:
            return _of_group(row, names)._replace(columns=tuple(names.values())), list(names.values())

    series = []
    for key, names in groups.items():  # image, image_2, image_3
        if PLAIN in names and len(names) > 1:
            plainly, names = names[PLAIN], {at: name for at, name in names.items() if at != PLAIN}
            if min(names) > 1:
                names[1] = plainly
            else:
                series.append((key, {PLAIN: plainly}))

        series.append((key, names))

    series.sort(key=lambda one: (one[1].get(PLAIN) != "images", one[0] != ("image", ""), not one[0][0]))
    read = [(key, [names[at] for at in sorted(names)], _of_group(row, names)) for key, names in series]
    read = [(key, names, pictures._replace(columns=tuple(names))) for key, names, pictures in read]
    best, called, found = read[0]
    for key, names, pictures in read[1:]:
        is_again = _is_again(best, found, key, pictures)
        if is_again and not _is_content(found) and (_is_content(pictures) or _is_link(found)):
            best, found = key, pictures
        elif (
            not is_again and (key[0] or "images" not in called) and _is_lost(pictures.values, found, _like(best, key))
        ):
            if _is_lost(found.values, pictures, _like(best, key)):
                raise _several([*called, *names])

            best, found = key, pictures

        called = [*called, *names]

    return found, called


_OF_THE_QUESTION = LazyPattern(rf"(?:(?:{_BEFORE.replace('|context', '')})_)+")
_ANY_PICTURE = LazyPattern("img|picture|pic|photo")


def _noun(key: tuple[str, ...]) -> str:
    return _ANY_PICTURE.sub("image", _OF_THE_QUESTION.sub("", key[0]))


def _like(key: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two names of columns mean the same picture, or one of them any file."""
    return len({_noun(key), _noun(other)} - {""}) < 2


def _is_again(key: tuple[str, ...], found: Pictures, other: tuple[str, ...], pictures: Pictures) -> bool:
    """Whether two series of columns are the same pictures: by their files, or by their names in two forms.

    `image_path` beside `image` is where the same picture is, unless both are paths, and of different files.
    """
    if len(found.values) != len(pictures.values):
        return False

    if not _is_lost(pictures.values, found, _like(key, other)):
        return True

    if not _like(key, other):
        return False

    if _is_content(found) and _is_content(pictures):
        return key[1] != other[1]  # image, image_base64

    return _is_content(found) or _is_content(pictures) or _is_link(found) != _is_link(pictures)


def _is_lost(values: Sequence[Any], found: Pictures, by_name: bool) -> bool:
    """Whether a picture among some is none of those found, as far as their paths or their bytes can tell.

    Files of one name in two folders are the same picture `by_name`; else one path has to end with the other.
    """
    known = [_path_and_content(value) for value in found.values]
    for path, content in map(_path_and_content, values):
        if not any(
            path and other and _is_same_file(path, other, by_name) or content is not None and content == same
            for other, same in known
        ):
            return True

    return False


def _is_same_file(path: str, other: str, by_name: bool) -> bool:
    one, two = (
        [part for part in re.split(r"[/\\]", text.split("?")[0].lower()) if part != "."] for text in (path, other)
    )
    compared = 1 if by_name else min(len(one), len(two))
    return one[-compared:] == two[-compared:]


def _path_and_content(value: Any) -> tuple[str | None, Any]:
    path, content = (value.get("path"), value.get("bytes")) if isinstance(value, dict) else (value, None)
    if isinstance(path, str) and not path.startswith("data:"):
        return path, content

    return None, path if content is None else content


def check_again(values: list[Any], found: Pictures, place: str) -> None:
    """Raise RejectedRow where pictures that a text holds as items are others than those of the row's columns."""
    columns = ", ".join(found.columns)
    if _is_lost(values, found, True) and not _is_again(("", ""), found, ("", ""), in_order(values)):
        raise RejectedRow(
            "pictures in several columns",
            f"{place} holds {shown(values)}, and {columns} {shown(list(found.values))}. If the latter are the question's: "
            f"{naming(images=columns)}; else take that column out of the rows",
        )


def check_beside(inside: Mapping[str, list[Any]], found: Pictures) -> None:
    """Raise RejectedRow where keys of messages that are not read hold pictures which are none of those found."""
    if not found.values:
        raise _unknown(list(inside.items()))

    lost = [place for place, values in inside.items() if _is_lost(flat(values), found, True)]
    if lost:
        raise _several([*(found.columns or ["the messages"]), *lost])


def _several(names: list[str]) -> RejectedRow:
    return RejectedRow(
        "pictures in several columns",
        f"{', '.join(names)} hold different pictures. If all are the question's: {naming(images=', '.join(names))}; "
        "else name there those that are",
    )


def _of_group(row: Mapping[str, Any], names: Mapping[int, str]) -> Pictures:
    if set(names) == {PLAIN}:
        return in_order(flat(row[names[PLAIN]]))

    pairs = [(number, value) for number in sorted(names) for value in flat(row[names[number]])]
    if len({number for number, _ in pairs}) < len(pairs):  # lists in numbered columns
        return in_order([value for _, value in pairs])

    return Pictures(tuple(number for number, _ in pairs), tuple(value for _, value in pairs))


def in_order(values: list[Any]) -> Pictures:
    return Pictures(tuple(range(1, len(values) + 1)), tuple(values))


def _is_content(pictures: Pictures) -> bool:
    return all(not isinstance(value, (str, dict)) or _carries(value) for value in pictures.values)


def _carries(value: Any) -> bool:
    return isinstance(value.get("bytes"), bytes) if isinstance(value, dict) else value.startswith("data:")


def _is_link(pictures: Pictures) -> bool:
    return any(isinstance(value, str) and _URL.match(value) for value in pictures.values)


def mapped_pictures(row: Mapping[str, Any], column: str) -> Pictures:
    """Return the pictures of the columns that dataset_info.json names.

    Raises RejectedRow where they hold none in this row, and another column named like one of pictures does; or they are not
    there (`images` is how a user says that a row has none), and any other column does.
    """
    found = in_order(_mapped(row, column))
    if found.values:
        return found

    mapped = [name.strip() for name in column.split(",")]
    named = [
        name for name, (head, *_) in plan_of(tuple(row)).pictures if head[0] and name not in mapped and name != column
    ]
    is_there = "images" in mapped or any(name.partition(".")[0] in row for name in (column, *mapped))
    others = find_pictures({name: row[name] for name in named} if is_there else row)
    if not others.values:
        return NONE

    raise RejectedRow(
        "a picture in a column that is not read",
        f"dataset_info.json names {column}, which holds none here, but the row has {shown(others.values)} in "
        f"{', '.join(others.columns)}. If it is the question's: {naming(images=', '.join([*mapped, *others.columns]))}; "
        "else take it out of the row",
    )


def _mapped(row: Mapping[str, Any], column: str) -> list[Any]:
    if column in row:
        return flat(row[column])

    names = [name.strip() for name in column.split(",")]
    return [
        picture
        for name in names
        for value in (at_path(row, [name] if name in row else name.split(".")))
        for picture in flat(value)
    ]


def at_path(value: Any, keys: Sequence[str]) -> list[Any]:
    """Return what stands at a path of keys: of each item where a list is on the way; [] where there is nothing."""
    value = plain(value)
    if not keys:
        return [value]

    if isinstance(value, str):
        value = decoded(value)

    if isinstance(value, list):
        return [found for part in value for found in at_path(part, keys)]

    return at_path(value[keys[0]], keys[1:]) if isinstance(value, Mapping) and keys[0] in value else []


def flat(value: Any, depth: int = 8) -> list[Any]:
    """Return the pictures in a value: of lists in lists, of texts that are JSON lists, of objects; blank ones left out."""
    if _is_none(value, depth):
        return []

    if not depth:
        raise RejectedRow("image not understood", "nested too deeply")

    if isinstance(value, str):
        if value.lstrip()[:1] in ("[", "{") and (inner := decoded(value)) is not None:
            return flat(inner, depth - 1)

        if kind := _base64_kind(value):
            return [f"data:image/{kind};base64,{''.join(value.split())}"]

        return [value.strip()]

    if isinstance(value, list | tuple):
        if (len(value) > 8 or depth < 8) and all(type(part) is int for part in value):
            if all(0 <= part < 256 for part in value) and bytes(value[:8]).startswith(MAGIC):
                return [bytes(value)]

            raise RejectedRow("image not understood", "a list of numbers; expected paths or the bytes of a file")

        return [picture for part in value for picture in flat(part, depth - 1)]

    if isinstance(value, dict):
        return _of_object(value, depth - 1)

    return [value]


def _of_object(value: Mapping[str, Any], depth: int) -> list[Any]:
    content, path = value.get("bytes"), value.get("path")
    lists = [part for part in (content, path) if isinstance(part, list) and not _is_numbers(part)]
    if lists:  # what Arrow makes of a list of images
        size = len(lists[0])
        parts = ([None] * size if part is None else part for part in (content, path))
        return [
            picture
            for pair in zip(*parts, strict=False)
            for picture in flat(dict(zip(("bytes", "path"), pair, strict=True)))
        ]

    if isinstance(content, str) and (kind := _base64_kind(content)):
        return [f"data:image/{kind};base64,{''.join(content.split())}"]

    if isinstance(content, list) and _is_numbers(content):
        return flat(content, depth)

    if "bytes" in value or "path" in value:
        return (
            flat(path, depth)
            if content is None and isinstance(path, str) and set(value) - {"bytes", "path"}
            else [dict(value)]
        )

    if key := next((key for key in _IN_OBJECT if not is_blank(value.get(key))), None):
        return flat(value[key], depth)

    parts = [part for part in value.values() if not is_blank(part)]  # {"front": "a.png", "back": "b.png"}
    return (
        [picture for part in parts for picture in flat(part, depth)]
        if all(map(holds_picture, parts))
        else [dict(value)]
    )


def _is_numbers(value: list[Any]) -> bool:
    return bool(value) and all(type(part) is int for part in value)


def _base64_kind(text: str) -> str | None:
    """Return the kind of a picture that a text is in Base64; None where it is none."""
    if len(text) < SHORTEST_BASE64:
        return None

    kind = next((kind for magic, kind in BASE64_MAGIC.items() if text.startswith(magic)), None)
    return kind if kind and _BASE64.fullmatch(text) else None


def holds_picture(value: Any, is_file: bool = False, lists: int = 3) -> bool:
    """Whether a value looks like a picture, or a list of them by its first; with `is_file` any text of one line does."""
    if isinstance(value, str):
        if value.lstrip()[:1] == "[" and (inner := decoded(value)) is not None:
            return holds_picture(inner, is_file, lists - 1)

        if value.startswith("data:image/") or _base64_kind(value) or _PATH.fullmatch(value.strip()):
            return True

        if _URL.match(value):
            return is_file or bool(_LINK.fullmatch(value.strip()))

        return is_file and "\n" not in value and (len(value.split()) == 1 or "/" in value)

    if isinstance(value, bytes | bytearray):
        return bytes(value[:8]).startswith(MAGIC) or is_file

    if isinstance(value, list | tuple):
        if _is_numbers(value[:9]):
            return len(value) > 8 and all(0 <= part < 256 for part in value[:8]) and bytes(value[:8]).startswith(MAGIC)

        first = next((part for part in value if not is_blank(part)), None)
        return lists > 0 and first is not None and holds_picture(first, is_file, lists - 1)

    if isinstance(value, dict):
        return any(
            not is_blank(value.get(key)) and holds_picture(value[key], is_file or key == "bytes", lists - 1)
            for key in ("bytes", *_IN_OBJECT)
        )

    return type(value).__module__.startswith("PIL.")


def _is_unknown_picture(value: Any) -> bool:
    """Whether a value looks like a picture in a column whose name does not say so; not what `pictures_inside` looks at."""
    if value is None or isinstance(value, int | float) or _is_object(value):
        return False

    return not (isinstance(value, str) and len(value) < 5) and _looks_like_picture(value)


def _is_object(value: Any) -> bool:
    """Whether a value is an object, or a list of some, that is not itself what `datasets` makes of a picture."""
    value = value[0] if isinstance(value, list) and value else value
    return isinstance(value, dict) and not value.keys() <= _FEATURE


_FEATURE = {"bytes", "path", "type"}
"""Keys of the object that `datasets` makes of a picture."""


def _look_inside(place: str, value: Any, is_option: bool, found: dict[str, list[Any]], depth: int = 6) -> None:
    if isinstance(value, str):
        value = decoded(value) if "." in value or "data:image/" in value else None

    if _other_kind(place.rpartition(".")[2]) == "medium" and holds_picture(value):  # attachments of url and name
        found.setdefault(place, []).append(value)
        return

    if isinstance(value, list) and depth:
        for part in value[:_LOOKED_AT]:
            if _is_object(part):
                _look_inside(place, part, is_option, found, depth - 1)

    if not _is_object(value) or isinstance(value, list) or not depth or _is_message(value):
        return

    for key, part in value.items():
        if part is None or isinstance(part, int | float) or not isinstance(key, str):
            continue

        known, kind, is_text = _key_of(key)
        if not (known or kind) and isinstance(part, str) and "." not in part[-6:] and not part.startswith(_CONTENTS):
            continue

        inner = f"{place}.{key}"
        kind = _medium_in(key, kind, part)
        if kind and not (kind == "document" and _ABOUT_ROW.fullmatch(_words(place.partition(".")[0]))):
            raise other_medium(kind, inner, part)

        if known and known[0][0] and holds_picture(part, known[2] and "/" in part):
            found.setdefault(inner, []).append(part)
        elif _is_object(part) or isinstance(part, list) and part and isinstance(part[0], list):
            _look_inside(inner, part, is_option, found, depth - 1)
        elif (_looks_like_picture if is_option or not is_text else _is_embedded)(part):
            found.setdefault(inner, []).append(part)


@functools.lru_cache(4096)
def _key_of(key: str) -> tuple[tuple[tuple[str, str], int, bool] | None, str | None, bool]:
    """Return what the name of a key says: `_column_of`, `_other_kind`, and whether it is one of texts."""
    return _column_of(key), _other_kind(key), _is_text_column(key)


_LOOKED_AT = 16
"""Items of a list inside of a row that are looked at."""


def _is_message(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message, whose pictures pictures.py reads."""
    return ("role" in value or "from" in value) and ("content" in value or "value" in value or "parts" in value)


def _is_embedded(value: Any) -> bool:
    """Whether a value is a picture itself, or a list of some, and not a path to one."""
    if isinstance(value, str):
        return value.startswith(_CONTENTS) and (value.startswith("data:") or _base64_kind(value) is not None)

    if isinstance(value, dict):
        is_feature = "bytes" in value and (isinstance(value["bytes"], bytes) or value.keys() <= _FEATURE)
        return is_feature and holds_picture(value)  # of `datasets`

    if isinstance(value, list | tuple):
        return len(value) > 0 and not isinstance(value[0], list) and _is_embedded(value[0])

    return value is not None and holds_picture(value)


def _looks_like_picture(value: Any) -> bool:
    """Whether a value of any column looks like a picture: no words, which a file name may stand at the end of."""
    if isinstance(value, list | tuple):
        return any(not isinstance(part, list) and _looks_like_picture(part) for part in value[:_LOOKED_AT])

    if isinstance(value, str) and len(value.split()) > 1 and "/" not in value.split()[0]:
        return False

    return not is_blank(value) and holds_picture(value)


@functools.lru_cache(4096)
def _is_text_column(name: str) -> bool:
    words = _words(name)
    return bool(_TEXTS.search(words)) and not (_HAS_NOUN.search(words) or OPTION_COLUMN.fullmatch(words))


def _unknown(found: list[tuple[str, Any]]) -> RejectedRow:
    names = ", ".join(name for name, _ in found)
    them = (
        ("it is the question's picture", "it is")
        if len(found) == 1
        else ("they are the question's pictures", "they are")
    )
    return RejectedRow(
        "a picture in an unknown column",
        f"{names} {'holds' if len(found) == 1 else 'hold'} {shown(found[0][1])}. If {them[0]}: {naming(images=names)}; "
        f"if {them[1]} not: {naming(images='images')}",
    )


def shown(value: Any) -> str:
    while isinstance(value, list | tuple):
        value = next((part for part in value if not is_blank(part)), None)

    if isinstance(value, dict):
        value = value.get("path") or value.get("bytes") or value

    return repr(value[:80]) if isinstance(value, str) else f"{type(value).__name__}"


def picture_values(row: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the pictures of every column that is named like one of pictures, of benchmarks, say."""
    for name, value in row.items():
        if isinstance(name, str) and (known := _column_of(name)) and known[0][0]:
            yield from flat(value)


def names_pictures(name: str) -> bool:
    """Whether a column is named like one of pictures.

    >>> [names_pictures(name) for name in ("image_1", "decoded_image", "imgPath", "image_caption", "path")]
    [True, True, True, False, False]
    """
    known = _column_of(name)
    return bool(known and known[0][0])


def pictures_inside(row: Mapping[str, Any], plan: Plan) -> dict[str, list[Any]]:
    """Return the pictures inside of objects, however deep: place (`data.input.image`) -> what stands there.

    Raises RejectedRow for a video, an audio or another medium, which are not trained on, wherever they are.
    """
    found: dict[str, list[Any]] = {}
    for name, kind, is_medium, is_nested, is_option in plan.looked_at:
        value = row[name]
        if type(value) is str:
            if kind is None and value[:4] != "http" and value[:1] not in ("{", "["):
                if value[-6:].rpartition(".")[2].lower() not in _ENDS:
                    continue
        elif not value or isinstance(value, int | float):
            continue

        if is_medium and (medium := _medium_in(name, kind, value)):
            raise other_medium(medium, name, value)

        if is_nested and (isinstance(value, dict | list) or isinstance(value, str) and value[:1] in ("{", "[")):
            _look_inside(name, value, is_option, found)

    return found


def pictures_in(place: str, value: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the same of one object, such as what a message has beside its role and its content."""
    found: dict[str, list[Any]] = {}
    _look_inside(place, value, False, found)
    return found


@functools.lru_cache(4096)
def _other_kind(name: str) -> str | None:
    found = _OTHER_MEDIA.fullmatch(_words(name))
    return found.lastgroup if found else None


def _medium_in(name: str, kind: str | None, value: Any) -> str | None:
    """Return the kind of the medium that a value is, by the name of its column, its path or its bytes; None for none."""
    while isinstance(value, list | tuple) and value:
        value = next((part for part in value if not is_blank(part)), None)

    if isinstance(value, str):
        path = re.split("[?#]", value)[0] if value[:4] == "http" else value
        found = _ENDS.get(path[-6:].rpartition(".")[2].strip().lower()) if len(value) <= 400 else None
        if (
            found
            and not _NOT_IN_PATHS.search(value.strip())
            and (kind or _column_of(name) or not _is_text_column(name))
        ):
            return found
    elif isinstance(value, bytes | bytearray):
        if found := _OTHER_BYTES.match(value[:12]):
            return found.lastgroup
    elif isinstance(value, dict):
        if "array" in value and "sampling_rate" in value:  # of `datasets`
            return "audio"

        if value.keys() <= _FEATURE or kind == "medium":
            told = value.get("type") or value.get("kind") or value.get("modality")
            inner = next((part for part in map(value.get, ("bytes", "path", *_IN_OBJECT)) if not is_blank(part)), None)
            kind = (_other_kind(told) if isinstance(told, str) else None) or kind
            if inner is not None and (found := _medium_in(name, kind, inner)):
                return found

    if kind is None or kind in _SAY_ALL:
        return kind if kind in _SAY_ALL and not is_blank(value) else None

    is_words = isinstance(value, str) and (len(value.split()) > 1 or not re.search(r"[/.]", value))
    return (
        None
        if is_words or is_blank(value) or isinstance(value, int) or kind == "medium" and holds_picture(value)
        else kind
    )


def other_medium(kind: str, name: str, value: Any) -> RejectedRow:
    return RejectedRow(
        f"{MEDIA[kind][0]}, which is not trained on",
        f"{name} holds {shown(value)}; a row is trained on with its text and its pictures only. Take the column out if "
        "the question does not need it",
    )
