"""Looking through long texts in little time, their line ends, and values that were written down as text."""

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any


def unix(text: str) -> str:
    """Return a text with Unix line ends."""
    return text.replace("\r\n", "\n") if "\r" in text else text  # one character is found in a tenth of the time


_LONGEST_PYTHON = 1 << 20
"""Characters; Python's parser takes a hundred times the memory of a text."""


def decoded(text: str) -> Any:
    """Return the list or object that a text writes down, as JSON or as Python does (what a CSV file holds); None without one.

    >>> decoded("[{'role': 'user', 'content': None}]"), decoded("[1] is a reference.")
    ([{'role': 'user', 'content': None}], None)
    """
    if text[:200].lstrip()[:1] not in ("[", "{"):
        return None

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            try:
                found = ast.literal_eval(text.strip()) if len(text) < _LONGEST_PYTHON else None
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                return None

    return found if isinstance(found, list | dict) else None


def occurs(text: str, patterns: Mapping[str, re.Pattern[str]]) -> bool:
    """Return whether a text has what one of some patterns finds; their keys are characters that each has.

    The pattern of one bracket takes a tenth of the time of one for all of them, and a character a tenth of that.
    """
    for first, pattern in patterns.items():
        if first in text and pattern.search(text):
            return True

    return False
