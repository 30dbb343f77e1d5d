"""A picture that stands in a row twice, and one that would be lost beside another."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from virgo_factory.formats.pictures.names import are_alike
from virgo_factory.formats.pictures.values import Pictures, flat, in_order, is_content, is_link, shown, unknown_picture
from virgo_factory.formats.row import RejectedRow, naming


def stands_again(key: tuple[str, ...], found: Pictures, other: tuple[str, ...], pictures: Pictures) -> bool:
    """Whether two series of columns are the same pictures: by their files, or by their names in two forms.

    `image_path` beside `image` is where the same picture is, unless both are paths, and of different files.
    """
    if len(found.values) != len(pictures.values):
        return False

    if not would_be_lost(pictures.values, found, are_alike(key, other)):
        return True

    if not are_alike(key, other):
        return False

    if is_content(found) and is_content(pictures):
        return key[1] != other[1]  # image, image_base64

    return is_content(found) or is_content(pictures) or is_link(found) != is_link(pictures)


def would_be_lost(values: Sequence[Any], found: Pictures, by_name: bool) -> bool:
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
    if would_be_lost(values, found, True) and not stands_again(("", ""), found, ("", ""), in_order(values)):
        raise RejectedRow(
            "pictures in several columns",
            f"{place} holds {shown(values)}, and {columns} {shown(list(found.values))}. If the latter are the question's: "
            f"{naming(images=columns)}; else take that column out of the rows",
        )


def check_beside(inside: Mapping[str, list[Any]], found: Pictures) -> None:
    """Raise RejectedRow where keys of messages that are not read hold pictures which are none of those found."""
    if not found.values:
        raise unknown_picture(list(inside.items()))

    lost = [place for place, values in inside.items() if would_be_lost(flat(values), found, True)]
    if lost:
        raise several([*(found.columns or ["the messages"]), *lost])


def several(names: list[str]) -> RejectedRow:
    return RejectedRow(
        "pictures in several columns",
        f"{', '.join(names)} hold different pictures. If all are the question's: {naming(images=', '.join(names))}; "
        "else name there those that are",
    )
