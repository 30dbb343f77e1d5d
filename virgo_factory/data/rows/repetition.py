"""Repetition loops: a model that says the same thing again and again, found in time linear in the text.

Two looks. Compression tells at once that a text repeats itself somewhere: of 943 complete real responses (shared
skythought data) 99 % shrink to no less than 1/3.8, responses that loop to 1/5 or less. What is suspicious is then counted
out: how much of it consists of word sequences that stand there several times, and which stands there most often.
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


SHRINK = 5.0
"""A piece that zlib shrinks to less than 1/5 is looked at closely."""
QUICK_SHRINK = 2.8
"""LZ4 is asked first, being six times as fast: it shrinks 1 % of good responses so far, looping ones to 1/3.4 or less."""
PIECES = (4_000, 65_536)
"""Characters of a piece: short loops stand out in a small one, loops of many paragraphs in a large one (zlib sees 32 KB)."""
MIN_PIECE = 500
SHORT = 1_000
"""Characters of a text that is not compressed where a third of its words are different ones."""
LOOKED_AT = 1_000_000
"""Characters around a suspicious piece that are counted out, so that a row of 50 MB costs no gigabyte."""

_LZ4 = pa.Codec("lz4_raw")

GRAM = 8
"""Words of a sequence."""
WINDOWS = ((400, 3), (1_600, 4))
"""Words of a window, and how often a sequence stands in it to count as repeated."""
SHARE = 0.3
"""Of the sequences in a window that are repeated: a loop."""
OFTEN = 20
"""One sequence so many times in a suspicious text: a loop whose rounds differ in a number or a name."""


@dataclass(frozen=True)
class Loop:
    """A loop in a text."""

    share: float  # of the word sequences in the worst window that stand there several times, 0 to 1
    times: int  # how often `words` occur in the text (in the million characters around the loop)
    words: str  # the word sequence that occurs most often


def find_loop(text: str) -> Loop | None:
    """Return the loop of a text that repeats itself; None for one that does not.

    >>> find_loop("Wait, let me check this once more: it is 7, so we are done. " * 40).times > 30
    True
    >>> find_loop("The sum of the angles is 180 degrees.") is None
    True
    """
    start = _suspicious_piece(text)
    if start is None:
        return None

    text = text[max(0, start - LOOKED_AT // 2) : start + LOOKED_AT // 2]
    words = text.split()
    if len(words) < 2 * GRAM:  # no spaces: characters are the words
        words = re.findall(r"\S", text[: PIECES[-1]])
        if len(words) < 2 * GRAM:  # nothing but spaces
            words = list(text[: PIECES[-1]])

    grams = _grams(words)
    share = max(_repeated_share(grams, size, times) for size, times in WINDOWS)
    _, first, counts = np.unique(grams, return_index=True, return_counts=True)
    most = int(counts.argmax())
    if share < SHARE and counts[most] < OFTEN:
        return None

    return Loop(share, int(counts[most]), " ".join(words[first[most] : first[most] + GRAM]))


def _suspicious_piece(text: str) -> int | None:
    """Return where the first piece begins that shrinks much more than others do; None where none does."""
    if len(text) < (MIN_PIECE if text.isascii() else MIN_PIECE // 4):
        return None

    words = text.split() if MIN_PIECE <= len(text) < SHORT else ()
    if len(words) > 2 * GRAM and 3 * len(set(words)) > len(words):
        return None

    for size in PIECES:
        starts = [*range(0, len(text) - size // 4, size), max(0, len(text) - size)]  # and one up to the very end
        for start in dict.fromkeys(starts):
            piece = text[start : start + size].encode("utf-8", "replace")
            if len(piece) >= MIN_PIECE and _shrinks(piece):
                return start

        if len(text) <= size:
            return None

    return None


def _shrinks(piece: bytes) -> bool:
    quick = _LZ4.compress(piece).size
    return len(piece) >= QUICK_SHRINK * quick and len(piece) >= SHRINK * len(zlib.compress(piece, 1))


def _grams(words: list[str]) -> np.ndarray:
    """Return one number for every sequence of GRAM words: (words - GRAM + 1,) of uint64."""
    numbers: dict[str, int] = {}
    indices = np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.uint64, len(words))
    grams = np.zeros(len(words) - GRAM + 1, np.uint64)
    for offset in range(GRAM):
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + indices[offset : len(indices) - GRAM + 1 + offset]

    return grams


def _repeated_share(grams: np.ndarray, size: int, times: int) -> float:
    shares = [0.0]
    for start in range(0, max(1, len(grams) - size // 2), size // 2):
        window = grams[start : start + size]
        _, counts = np.unique(window, return_counts=True)
        shares.append(float(counts[counts >= times].sum() / max(len(window), size // 2)))

    return max(shares)
