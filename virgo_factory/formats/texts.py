"""Looking through long texts in little time, and their line ends."""

import re
from collections.abc import Mapping


def unix(text: str) -> str:
    """Return a text with Unix line ends."""
    return text.replace("\r\n", "\n") if "\r" in text else text  # one character is found in a tenth of the time


def occurs(text: str, patterns: Mapping[str, re.Pattern[str]]) -> bool:
    """Return whether a text has what one of some patterns finds; their keys are characters that each has.

    The pattern of one bracket takes a tenth of the time of one for all of them, and a character a tenth of that.
    """
    for first, pattern in patterns.items():
        if first in text and pattern.search(text):
            return True

    return False
