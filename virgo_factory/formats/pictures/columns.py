"""Which pictures a row has: the columns that hold them, in every spelling of name and value.

A column is read where its name and its values say what it is. Where only the values look like pictures, the row is
rejected with the line that maps the column: a model must not learn to answer about a picture that it never got.
"""

import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.pictures.names import (
    HAS_NOUN,
    PLAIN,
    are_alike,
    column_of,
    in_words,
    is_text_column,
    noun_of,
)
from virgo_factory.formats.pictures.other_media import ENDS, medium_in, other_kind, other_medium
from virgo_factory.formats.pictures.twice import several, stands_again, would_be_lost
from virgo_factory.formats.pictures.values import (
    CONTENTS,
    LOOKED_AT,
    NONE,
    URL,
    Pictures,
    at_path,
    flat,
    holds_picture,
    in_order,
    is_content,
    is_embedded,
    is_link,
    is_none,
    is_object,
    is_unknown_picture,
    looks_like_picture,
    shown,
    unknown_picture,
)
from virgo_factory.formats.row import IMAGE_COLUMNS, OPTION_COLUMN, RejectedRow, naming
from virgo_factory.formats.texts import decoded


_REFERENCE = LazyPattern(r"references?")
"""The name of an origin, or of a second picture: a file, which an address is not, is the latter."""
_ABOUT_ROW = LazyPattern(r"(?:\w+_)?(?:meta|metadata|meta_?data|provenance|origin|source|source_info)")
"""Names of objects that say where a row is from: a document in them is where its text or picture was taken from."""
_NOT_NESTED = LazyPattern(
    r"messages|conversations?|chosen|rejected|history|tools?|(?:.*_)?(?:responses?|outputs?|generations?|completions?"
    r"|solutions?|answers?|code|thoughts?|thinking|reasoning|questions?|problems?|texts?|prompts?)"
)
"""Names of columns whose objects are messages, or whose texts may be JSON that is talked about."""
_BESIDE = LazyPattern(
    r"(?:^|_)(?:thumbnails?|thumbs?|icons?|logos?|avatars?|previews?|resized|masks?|segmentations?)(?:_|$)"
)
"""Names of small copies of the question's picture, of what was marked in it, and of pictures of its page."""


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
        if not value or is_none(value) or name not in IMAGE_COLUMNS and not holds_picture(value, is_file):
            continue

        groups.setdefault((*key, name) if number in groups.get(key, ()) else key, {})[number] = name

    unknown = []
    for name in plan.others:
        value = row[name]
        if (
            value
            and (type(value) is not str or "." in value[-6:] or value.startswith(CONTENTS))
            and is_unknown_picture(value)
        ):
            unknown.append((name, value))

    for name in plan.texts:
        value = row[name]
        if value and (type(value) is not str or value.startswith(CONTENTS)) and is_embedded(value):
            unknown.append((name, value))

    unknown += [(name, value) for name, value in inside.items() if name not in dict(unknown)]
    if not groups:
        if unknown:
            raise unknown_picture(unknown)

        return NONE

    found, read = _chosen(row, groups)
    for name, value in unknown:
        words = in_words(name)
        if column_of(name) or _BESIDE.search(words) or "images" in read and not HAS_NOUN.search(words):
            continue

        if _REFERENCE.fullmatch(words) and URL.match(str(value)):
            continue

        known = column_of(name.rpartition(".")[2])
        is_lost = would_be_lost(values := flat(value), found, known is not None and noun_of(known[0]) in ("image", ""))
        if is_lost and (is_content(in_order(values)) or not is_content(found)):
            raise several([*read, name])

    return found


class Plan(NamedTuple):
    """Which columns of a row have to be looked at, by their names alone; rows of a file mostly have the same."""

    # those named like one of pictures, and what `column_of` says
    pictures: tuple[tuple[str, tuple[tuple[str, str], int, bool]], ...]
    others: tuple[str, ...]  # those that may hold one all the same
    texts: tuple[str, ...]  # those named like texts and origins, in which a path is none, but the picture itself is
    # those that may hold another medium, which by the name, whether they may, whether objects with pictures may
    # stand in them, and whether these are options
    looked_at: tuple[tuple[str, str | None, bool, bool, bool], ...]


@functools.lru_cache(1024)
def plan_of(columns: tuple[Any, ...]) -> Plan:
    names = [name for name in columns if isinstance(name, str)]
    pictures = tuple((name, known) for name in names if (known := column_of(name)))
    others = tuple(name for name in names if not is_text_column(name) or _REFERENCE.fullmatch(in_words(name)))
    texts = tuple(name for name in names if name not in others)
    known = {name for name, (head, *_) in pictures if head[0]}
    looked_at = []
    for name in names:
        words, kind = in_words(name), other_kind(name)
        may = bool(name in others or column_of(name) or kind), not (name in known or _NOT_NESTED.fullmatch(words))
        looked_at += [(name, kind, *may, bool(OPTION_COLUMN.fullmatch(words)))] if any(may) else []

    return Plan(pictures, others, texts, tuple(looked_at))


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
        is_again = stands_again(best, found, key, pictures)
        if is_again and not is_content(found) and (is_content(pictures) or is_link(found)):
            best, found = key, pictures
        elif (
            not is_again
            and (key[0] or "images" not in called)
            and would_be_lost(pictures.values, found, are_alike(best, key))
        ):
            if would_be_lost(found.values, pictures, are_alike(best, key)):
                raise several([*called, *names])

            best, found = key, pictures

        called = [*called, *names]

    return found, called


def _of_group(row: Mapping[str, Any], names: Mapping[int, str]) -> Pictures:
    if set(names) == {PLAIN}:
        return in_order(flat(row[names[PLAIN]]))

    pairs = [(number, value) for number in sorted(names) for value in flat(row[names[number]])]
    if len({number for number, _ in pairs}) < len(pairs):  # lists in numbered columns
        return in_order([value for _, value in pairs])

    return Pictures(tuple(number for number, _ in pairs), tuple(value for _, value in pairs))


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


def _look_inside(place: str, value: Any, is_option: bool, found: dict[str, list[Any]], depth: int = 6) -> None:
    if isinstance(value, str):
        value = decoded(value) if "." in value or "data:image/" in value else None

    if other_kind(place.rpartition(".")[2]) == "medium" and holds_picture(value):  # attachments of url and name
        found.setdefault(place, []).append(value)
        return

    if isinstance(value, list) and depth:
        for part in value[:LOOKED_AT]:
            if is_object(part):
                _look_inside(place, part, is_option, found, depth - 1)

    if not is_object(value) or isinstance(value, list) or not depth or _is_message(value):
        return

    for key, part in value.items():
        if part is None or isinstance(part, int | float) or not isinstance(key, str):
            continue

        known, kind, is_text = _key_of(key)
        if not (known or kind) and isinstance(part, str) and "." not in part[-6:] and not part.startswith(CONTENTS):
            continue

        inner = f"{place}.{key}"
        kind = medium_in(key, kind, part)
        if kind and not (kind == "document" and _ABOUT_ROW.fullmatch(in_words(place.partition(".")[0]))):
            raise other_medium(kind, inner, part)

        if known and known[0][0] and holds_picture(part, known[2] and "/" in part):
            found.setdefault(inner, []).append(part)
        elif is_object(part) or isinstance(part, list) and part and isinstance(part[0], list):
            _look_inside(inner, part, is_option, found, depth - 1)
        elif (looks_like_picture if is_option or not is_text else is_embedded)(part):
            found.setdefault(inner, []).append(part)


@functools.lru_cache(4096)
def _key_of(key: str) -> tuple[tuple[tuple[str, str], int, bool] | None, str | None, bool]:
    """Return what the name of a key says: `column_of`, `other_kind`, and whether it is one of texts."""
    return column_of(key), other_kind(key), is_text_column(key)


def _is_message(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message, whose pictures pictures.py reads."""
    return ("role" in value or "from" in value) and ("content" in value or "value" in value or "parts" in value)


def picture_values(row: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the pictures of every column that is named like one of pictures, of benchmarks, say."""
    for name, value in row.items():
        if isinstance(name, str) and (known := column_of(name)) and known[0][0]:
            yield from flat(value)


def pictures_inside(row: Mapping[str, Any], plan: Plan) -> dict[str, list[Any]]:
    """Return the pictures inside of objects, however deep: place (`data.input.image`) -> what stands there.

    Raises RejectedRow for a video, an audio or another medium, which are not trained on, wherever they are.
    """
    found: dict[str, list[Any]] = {}
    for name, kind, is_medium, is_nested, is_option in plan.looked_at:
        value = row[name]
        if type(value) is str:
            if kind is None and value[:4] != "http" and value[:1] not in ("{", "["):
                if value[-6:].rpartition(".")[2].lower() not in ENDS:
                    continue
        elif not value or isinstance(value, int | float):
            continue

        if is_medium and (medium := medium_in(name, kind, value)):
            raise other_medium(medium, name, value)

        if is_nested and (isinstance(value, dict | list) or isinstance(value, str) and value[:1] in ("{", "[")):
            _look_inside(name, value, is_option, found)

    return found


def pictures_in(place: str, value: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the same of one object, such as what a message has beside its role and its content."""
    found: dict[str, list[Any]] = {}
    _look_inside(place, value, False, found)
    return found
