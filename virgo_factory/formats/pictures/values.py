"""What a picture is as a value: bytes, Base64, a path, an address, an object with one of them; and what stands where there is none."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.row import RejectedRow, naming, plain
from virgo_factory.formats.texts import decoded


SUFFIXES = ("png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "avif", "heic", "svg")  # fmt: skip
MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
BASE64_MAGIC = {
    "iVBORw0KGgo": "png",
    "/9j/": "jpeg",
    "R0lGOD": "gif",
    "UklGR": "webp",
    "SUkqA": "tiff",
    "TU0AK": "tiff",
}
"""How the Base64 text of a picture begins, and its kind."""
CONTENTS = ("data:image/", *BASE64_MAGIC)
"""How a text that is a picture begins."""
SHORTEST_BASE64 = 64
"""Characters below which a text is no picture in Base64: the smallest PNG has 67 bytes."""
BLANK_TEXTS = ("", "[]", "{}", "[[]]", '[""]', "[null]", "null", "none", "nan", "n/a", "<na>")
_NO_PICTURES = ("na", "-", "--", "no_image", "no image")
"""What stands in a column of pictures where there is none; elsewhere `Na` and `-` may be options."""
URL = LazyPattern(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PATH = LazyPattern(rf"[^\n\r<>|*\"?]{{1,400}}\.(?:{'|'.join(SUFFIXES)})", re.IGNORECASE)
_LINK = LazyPattern(rf"\S{{1,2000}}\.(?:{'|'.join(SUFFIXES)})(?:[?#]\S*)?", re.IGNORECASE)
_BASE64 = LazyPattern(r"[A-Za-z0-9+/\s]+={0,2}\s*")
IN_OBJECT = ("image", "image_url", "img", "url", "path", "file", "file_name", "filename", "src", "base64", "b64_json", "data")  # fmt: skip
"""Keys of an object that is a picture, in place of `bytes` and `path`."""


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


def is_none(value: Any, depth: int = 8) -> bool:
    """Whether the value of a column of pictures says that there is none."""
    return is_blank(value, depth) or isinstance(value, str) and value[:10].strip().lower() in _NO_PICTURES


def in_order(values: list[Any]) -> Pictures:
    return Pictures(tuple(range(1, len(values) + 1)), tuple(values))


def is_content(pictures: Pictures) -> bool:
    return all(not isinstance(value, (str, dict)) or _carries(value) for value in pictures.values)


def _carries(value: Any) -> bool:
    return isinstance(value.get("bytes"), bytes) if isinstance(value, dict) else value.startswith("data:")


def is_link(pictures: Pictures) -> bool:
    return any(isinstance(value, str) and URL.match(value) for value in pictures.values)


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
    if is_none(value, depth):
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

    if key := next((key for key in IN_OBJECT if not is_blank(value.get(key))), None):
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

        if URL.match(value):
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
            for key in ("bytes", *IN_OBJECT)
        )

    return type(value).__module__.startswith("PIL.")


def is_unknown_picture(value: Any) -> bool:
    """Whether a value looks like a picture in a column whose name does not say so; not what `pictures_inside` looks at."""
    if value is None or isinstance(value, int | float) or is_object(value):
        return False

    return not (isinstance(value, str) and len(value) < 5) and looks_like_picture(value)


def is_object(value: Any) -> bool:
    """Whether a value is an object, or a list of some, that is not itself what `datasets` makes of a picture."""
    value = value[0] if isinstance(value, list) and value else value
    return isinstance(value, dict) and not value.keys() <= FEATURE


FEATURE = {"bytes", "path", "type"}
"""Keys of the object that `datasets` makes of a picture."""
LOOKED_AT = 16
"""Items of a list inside of a row that are looked at."""


def is_embedded(value: Any) -> bool:
    """Whether a value is a picture itself, or a list of some, and not a path to one."""
    if isinstance(value, str):
        return value.startswith(CONTENTS) and (value.startswith("data:") or _base64_kind(value) is not None)

    if isinstance(value, dict):
        is_feature = "bytes" in value and (isinstance(value["bytes"], bytes) or value.keys() <= FEATURE)
        return is_feature and holds_picture(value)  # of `datasets`

    if isinstance(value, list | tuple):
        return len(value) > 0 and not isinstance(value[0], list) and is_embedded(value[0])

    return value is not None and holds_picture(value)


def looks_like_picture(value: Any) -> bool:
    """Whether a value of any column looks like a picture: no words, which a file name may stand at the end of."""
    if isinstance(value, list | tuple):
        return any(not isinstance(part, list) and looks_like_picture(part) for part in value[:LOOKED_AT])

    if isinstance(value, str) and len(value.split()) > 1 and "/" not in value.split()[0]:
        return False

    return not is_blank(value) and holds_picture(value)


def unknown_picture(found: list[tuple[str, Any]]) -> RejectedRow:
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
