"""JSON as rows hold it: decoded once, with what is wrong told, and no key of an object lost because it stands twice."""

import json
from typing import Any

import orjson

from virgo_factory.data.read.files.opened import convert_it


_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 19
"""Whole numbers of so many digits may be more than 64 bits, of which orjson makes a float."""


def decoded(line: bytes) -> tuple[Any, str]:
    """Return the value of one line of JSONL, or None and what is wrong with it."""
    if _LONG not in line.translate(_ONE_DIGIT):
        try:
            value = orjson.loads(line)
            written, keys = line.count(b'":'), _count_keys(value)
            if (written == keys or written - line.count(b'\\":') == keys) and b'" :' not in line:  # none stands twice
                return value, ""
        except (orjson.JSONDecodeError, RecursionError):  # NaN, half a character; or its message
            pass

    try:
        return DECODER.decode(line.decode()), ""
    except UnicodeDecodeError as error:
        return None, (f"not UTF-8 (byte 0x{line[error.start]:02x} at column {error.start + 1}). {convert_it(line)}")
    except json.JSONDecodeError as error:
        if zeros := line.count(b"\0"):  # \u0000 is the way to write one in JSON; a raw one comes of damage
            return None, (
                f"not JSON ({zeros} NUL bytes: the file was damaged, or cut off by a crash while it was written)"
            )

        return None, f"not JSON ({error.msg.removesuffix(' at')} at column {error.colno})"
    except RecursionError:
        return None, "nested too deeply"
    except ValueError as error:  # a key that stands twice, a whole number of more than 4,300 digits
        return None, error.args[0]


def _count_keys(value: Any) -> int:
    """Return how many keys a value has with all that it holds."""
    if type(value) is dict:
        return len(value) + sum(map(_count_keys, value.values()))

    return sum(map(_count_keys, value)) if type(value) is list else 0


class KeyTwice(ValueError):
    """An object with a key that stands twice: which of its values is meant is not known."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise KeyTwice(f"the key {key[:60]} stands twice in one object", key)

    return found


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def decoded_item(text: str, start: int) -> tuple[Any, int, str]:
    """Return the value that begins at a place of a text, where it ends, and what is wrong with it."""
    try:
        return *DECODER.raw_decode(text, start), ""
    except KeyTwice as error:
        return None, json.JSONDecoder().raw_decode(text, start)[1], error.args[0]
