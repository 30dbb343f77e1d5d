"""Questions that speak of a picture, which a row without one lacks: its thought describes what the model never sees."""

import re

from virgo_factory.core.lazy_pattern import LazyPattern


_WORDS = ("image", "picture", "photo", "figure", "diagram", "illustration", "screenshot")
_NOUN = r"(?:images?|pictures?|photo(?:graph)?s?|figures?|diagrams?|illustrations?|screenshots?)"
_SPOKEN_OF = LazyPattern(
    rf"\b(?:in|from|on|to|see|at|using|per|does|do) (?:the|this|these) (?:\w+ )?{_NOUN}\b(?! of\b)"
    rf"|\b(?:the|this|these) (?:\w+ )?{_NOUN} (?:below|above|shows?|shown|provided|given|on the (?:left|right))\b"
    "|如图|下图|上图|右图|左图|图中|图示|图片|这张图|该图",
    re.IGNORECASE,
)
_DRAWN = LazyPattern(
    r"\[asy\]|\\begin\{(?:asy|tikzpicture|picture)|\\chemfig|<svg\b|\btikz\b|\bsvg\b|\bhtml\b|```", re.IGNORECASE
)
"""What draws a picture in the text itself, or is about pages that have one."""


def spoken_of(question: str) -> str:
    """Return how a question speaks of a picture that is not drawn in its text; "" where it does not.

    >>> spoken_of("In the figure below, what is AB?"), spoken_of("How large is the image of a star?")
    ('In the figure', '')
    """
    lower = question.lower()
    if not any(map(lower.__contains__, _WORDS)) and (question.isascii() or "图" not in question):
        return ""

    found = _SPOKEN_OF.search(question)
    return "" if not found or _DRAWN.search(question) else found.group()
