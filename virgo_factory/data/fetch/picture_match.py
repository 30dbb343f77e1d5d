"""Which rows a picture may belong to, by question, answer and image name, in whatever spelling (visual_sources.md section 3)."""

import functools
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from virgo_factory.data.read.prefix import read_prefix


_BRIEF = r"(?:answer|answered|response|brief|briefly|brevity|short|concise|succinct|terse|compact)"
_LAST_SENTENCE = re.compile(rf"(?<=[?.!\n])[^?.!\n\d:]*\b{_BRIEF}\b[^?.!\n\d:]*\.?\s*$", re.IGNORECASE)
_LONGEST_SENTENCE = 200  # characters looked at, so that the search stays linear in whatever a row holds
_HINT = re.compile(r"^\s*hint:[^\n]*\n", re.IGNORECASE)
_QUESTION = re.compile(r"^\s*question:", re.IGNORECASE)
_ANSWER = re.compile(r"^(?:the )?(?:final )?answer(?: is)?\b:?\s*", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def match_text(question: str) -> str:
    r"""Return what two spellings of one question have in common (visual_sources.md section 3).

    Without image markers, Virgo's prefix, a `Hint:` line, the word `Question:` and a last sentence that asks for a short
    answer; case and spaces do not count.

    >>> match_text("<image>\nHint: Give the letter.\nQuestion: Is Red the  minimum?\nGive a very brief answer.")
    'is red the minimum?'
    """
    text = question.replace("<image>", " ").replace(_virgo_prefix(), " ").strip()
    text = _QUESTION.sub("", _HINT.sub("", text))
    text = (text[:-_LONGEST_SENTENCE] + _LAST_SENTENCE.sub("", text[-_LONGEST_SENTENCE:])) or text
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


@functools.cache
def _virgo_prefix() -> str:
    return read_prefix("virgo")


def match_answer(answer: str) -> str:
    """Return what two spellings of one answer have in common.

    >>> match_answer("The answer is B."), match_answer("(B)"), match_answer("3.5")
    ('b', 'b', '3.5')
    """
    text = _SPACE.sub(" ", unicodedata.normalize("NFKC", answer)).strip()
    text = (_ANSWER.sub("", text) or text).removesuffix(".").strip()
    if len(text) == 3 and text[0] + text[2] == "()":
        text = text[1]

    return text.casefold()


def pairs_of(conversation: Any) -> list[tuple[str, str]]:
    """Return the (question, answer) pairs of a source row; none where its turns are not human, gpt, human, gpt, ..."""
    turns = [(turn.get("from"), turn.get("value")) for turn in conversation or () if isinstance(turn, Mapping)]
    roles = [role for role, _ in turns]
    if len(turns) % 2 or roles != ["human", "gpt"] * (len(turns) // 2):
        return []

    texts = [value if isinstance(value, str) else "" for _, value in turns]
    return list(zip(texts[::2], texts[1::2], strict=True))


def digest_of(text: str) -> int:
    """Return 63 bits of a text's hash; equal texts have equal ones, unequal ones next to never."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


def plain(text: str) -> str:
    """Return the letters and digits of a text, by which a folder and a config's name are compared."""
    return "".join(character for character in text.casefold() if character.isalnum())


def stem_of(path: Any) -> str:
    """Return an image's name without folders and suffix, "" where there is none."""
    return PurePosixPath(path.replace("\\", "/")).stem.casefold() if isinstance(path, str) else ""


def asked_of(row: Any) -> tuple[str, str, str, str]:
    """Return a row's question, answer, image path, and why it cannot be matched ("" if it can)."""
    if not isinstance(row, Mapping):
        return "", "", "", "the row is not an object"

    question, answer, images = row.get("question"), row.get("answer"), row.get("images")
    if isinstance(images, str):
        images = [images]

    if not isinstance(question, str) or not question.strip():
        return "", "", "", "no question"

    if answer is None or isinstance(answer, (list, Mapping)):
        return question, "", "", "no answer"

    if not isinstance(images, list) or len(images) != 1:
        count = len(images) if isinstance(images, list) else 0
        return question, str(answer), "", f"{count} images (the source has one a row)"

    if not isinstance(images[0], str):
        return question, str(answer), "", "its image is not a path"

    return question, str(answer), images[0], ""
