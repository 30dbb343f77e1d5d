"""Questions that speak of a picture, which a row without one lacks: its thought describes what the model never sees."""

import re

from virgo_factory.core.lazy_pattern import LazyPattern


_WORDS = ("image", "picture", "photo", "figur", "diagram", "illustration", "screenshot", "chart", "bild", "mmagin")
"""One of these, or of _SIGNS, is in every question that speaks of one."""
_NOUN = r"(?:images?|pictures?|photo(?:graph)?s?|figures?|diagrams?|illustrations?|screenshots?|charts?)"
_SPOKEN_OF = LazyPattern(
    rf"\b(?:in|from|on|to|see|at|using|per|does|do) (?:the|this|these) (?:\w+ )?{_NOUN}\b(?! of\b)"
    rf"|\b(?:the|this|these) (?:\w+ )?{_NOUN} (?:below|above|shows?|shown|provided|given|on the (?:left|right))\b"
    rf"|\b{_NOUN} (?:is |are )?attached\b|\battached {_NOUN}\b",
    re.IGNORECASE,
)
_SIGNS = ("图", "図", "그림", "рисунк")
_OTHERS = (
    *_SIGNS,
    "abbildung",
    " bild",
    "la figure",
    "l'image",
    "l’image",
    " ci-",
    "figura",
    "imagen",
    "imagem",
    "immagin",
)
_IN_OTHER_LANGUAGES = LazyPattern(
    r"\bsiehe (?:die )?abbildung|\bin der (?:\w+ )?abbildung\b|\b(?:auf dem|im) (?:\w+ )?bild\b|\b(?:die abbildung|das bild) zeigt\b"
    r"|\b(?:d['’]après|dans|sur|selon) (?:la |l['’]|cette )(?:figure|image)\b|\b(?:figure|image|photo) ci-(?:dessous|dessus|contre|jointe)\b"
    r"|\b(?:en la|en esta|de la|na|nesta|nella|dalla) (?:figura|imagen|imagem)\b(?! d[eio]\b)|\bnell['’]immagine\b"
    r"|如图|下图|上图|右图|左图|图中|图示|图片|这张图|该图|[下上右左次]の?図|図(?:のように|に示|中の|から)|그림(?:과 같이|에서|을 보고)|на рисунке",
    re.IGNORECASE,
)
_BEYOND_ONE = LazyPattern(
    r"\b(?:second|third|fourth|2nd|3rd) (?:image|picture|photo)\b"
    r"|\b(?:compare|comparing|between) (?:the |these )?(?:two|three) (?:images|pictures|photos)\b",
    re.IGNORECASE,
)
_DRAWN = LazyPattern(
    r"\[asy\]|\\begin\{(?:asy|tikzpicture|picture)|\\chemfig|<svg\b|\btikz\b|\bsvg\b|\bhtml\b|```", re.IGNORECASE
)
"""What draws a picture in the text itself, or is about pages that have one."""


def spoken_of(question: str, pictures: int = 0) -> str:
    """Return how a question speaks of a picture that neither stands in the row, nor is drawn in the text; "" where it does not.

    `pictures`: how many the row has.

    >>> spoken_of("In the figure below, what is AB?"), spoken_of("How large is the image of a star?")
    ('In the figure', '')
    >>> spoken_of("What is in the second image?", 1), spoken_of("What is in the second image?", 2)
    ('second image', '')
    """
    lower = question.lower()
    if not any(map(lower.__contains__, _WORDS)) and (question.isascii() or not any(map(lower.__contains__, _SIGNS))):
        return ""

    found = (_BEYOND_ONE if pictures else _SPOKEN_OF).search(question) if pictures < 2 else None
    if not (found or pictures) and any(map(lower.__contains__, _OTHERS)):
        found = _IN_OTHER_LANGUAGES.search(question)

    return "" if not found or _DRAWN.search(question) else found.group()
