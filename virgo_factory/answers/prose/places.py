"""Options that are called by their place: "the first image" for Image 1, "the one on the left" for the left photo, ③ for (3)."""

import re
from collections.abc import Callable
from functools import lru_cache

from virgo_factory.answers.options import LETTERS
from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.numbers import CARDINALS, ORDINALS


_ORDINALS, _CARDINALS = ORDINALS[:10], CARDINALS[1:11]
_NUMERALS = ("123456789", "①②③④⑤⑥⑦⑧⑨", "一二三四五六七八九", LETTERS, LETTERS.lower())
_OTHER_WAYS = {"upper": "top", "lower": "bottom", "center": "middle", "centre": "middle"}
_SIDE = r"(?:left|right|top|bottom|upper|lower|middle|cent(?:er|re))"
_LABEL = re.compile(
    rf"(?:the )?(?:(?P<noun>[a-z]{{3,}})(?![a-z])|(?P<图>[\u4e00-\u9fff]{{1,2}}))? ?[(]?(?P<label>[a-z]|\d|[①-⑨]|{'|'.join(_ORDINALS)})[)]?(?: (?P<kind>[a-z]{{3,}}))?",
    re.IGNORECASE,
)
_SIDED = re.compile(
    rf"(?:the )?(?:(?P<way>{_SIDE})(?:-hand)? (?P<noun>[a-z]+)|(?P<kind>[a-z]+) (?:on|at|in) the (?P<side>{_SIDE}))|(?P<左>[左右上下])(?P<图>图|图片|照片)",
    re.IGNORECASE,
)
_ASKED = re.compile(rf"\b(?:which|what|select|choose)\b[^?.]{{0,40}}?\b({P.KINDS}|view|net|plot|drawing)s?\b|哪[^?。,]{{0,3}}?(图|照片)", re.IGNORECASE)  # fmt: skip
_ORDERED = re.compile(rf"\b(?:{'|'.join(_ORDINALS)}) (?:{P.KINDS})s?\b", re.IGNORECASE)
_FREE = "".join(rf"(?<!\b{word} )(?<!\b{word} the )" for word in ("of", "than", "like", "from", "as", "to"))
"""No part and no match of what stands at a place is it."""
_STEPS = re.compile(r"\b(?:next|sequence|series|patterns?|complet\w+|continues?|missing|transform\w*|analog\w+)\b|规律|下一", re.IGNORECASE)  # fmt: skip
"""Questions that number pictures which are no options."""


def _number(label: str) -> int:
    """The place that an ordinal, a number or a letter stands for, from 0; -1 where it stands for none."""
    for names in (_ORDINALS, _CARDINALS, *_NUMERALS):
        if label in names:
            return names.index(label)
    return -1


def placed(text: str, options: tuple[str, ...], question: str = "") -> str:
    """Return a text with the options that it calls by their place as they are written.

    >>> placed("It is in the second image.", ("Image 1", "Image 2"))
    'It is in Image 2.'
    >>> (
    ...     placed("It is the one on the left.", ("left photo", "right photo")),
    ...     placed("The second choice.", ("red", "blue")),
    ... )
    ('It is left photo.', 'option B.')
    """
    pattern, written, pictures = _places(options, question[-600:])
    if not pictures and not (pattern and _may_be_placed(text.lower())):
        return text
    named = pattern is not None and pattern.search(text) and not _ORDERED.search(question)
    return pattern.sub(written, text) if named else text


def _may_be_placed(plain: str) -> bool:
    """Whether "the second option" or its like may stand in a text; a cheap look."""
    nouns = [noun for noun in ("option", "choice") if noun in plain]
    said = any(f"{nth} {noun}" in plain for noun in nouns for nth in (*_ORDINALS, "last"))
    return (
        said
        or "第" in plain
        or any(re.search(rf"{noun} (?:no|number|#|\d|{'|'.join(_CARDINALS)})", plain) for noun in nouns)
    )


@lru_cache(maxsize=64)
def _places(
    options: tuple[str, ...], question: str
) -> tuple[re.Pattern[str] | None, Callable[[re.Match[str]], str], bool]:
    if not 1 < len(options) < 11:
        return None, str, False
    sides = [_SIDED.fullmatch(option.strip()) for option in options]
    if all(sides):
        return _by_side(options, sides)
    nouns, named, first = {"option", "choice", "选项"}, [f"option {letter}" for letter in LETTERS], ""
    labels = [_LABEL.fullmatch(option.strip()) for option in options]
    if all(labels) and [_number(found["label"].lower()) for found in labels] == list(range(len(options))):
        first = labels[0]["label"].lower()
        own = {(found["noun"] or found["图"] or found["kind"] or "").lower() for found in labels}
        steps = _STEPS.search(question)
        asked = set() if steps else {one or other for one, other in _ASKED.findall(question.lower())}
        bare = own == {""} and first not in _ORDINALS
        named = [f"{min(asked | {'option'})} {option}" if bare else option for option in options]
        nouns |= asked | (own - {""} if len(own) == 1 and not steps else set())
    noun = rf"(?:{'|'.join(sorted(nouns, key=len, reverse=True))})"
    ordinal = rf"{_FREE}(?P<nth>{'|'.join(_ORDINALS)}|(?<!to )(?<!to-)(?<!but )(?<!second )last{'|middle' if first and len(options) == 3 else ''})"
    ways = [
        rf"\b(?:the )?{ordinal} (?:(?:of (?:the|these) (?:\w+ )?)?{noun}s?\b(?!['’]?s?[- ](?:of|in) the (?:first|second|third|sequence|row))|one(?=\W*$|\.\s))",
        rf"\b{noun} (?:no\.? ?|number |#){'?' if first in _ORDINALS or not re.search('[0-9]', ''.join(options)) else ''}(?P<no>\d)(?!\d)|\b{noun} (?P<word>{'|'.join(_CARDINALS)})(?= ?[.,;:)!]|$| (?:is|has|shows|and|or)\b)",
        rf"第(?P<第>[一二三四五六七八九\d])(?:(?:张|幅|个|项)?{noun}|项(?=正确|符合|最)|(?:张|幅|个|项)(?=\W*$))",
    ]
    if first.isdigit():
        ways.append(r"(?P<ring>[①-⑨])(?![①-⑨])")

    def written(found: re.Match[str]) -> str:
        label = found[found.lastgroup].lower()
        place = len(options) - 1 if label == "last" else 1 if label == "middle" else _number(label)
        return named[place] if 0 <= place < len(options) else found[0]

    return re.compile("|".join(ways), re.IGNORECASE), written, bool(first)


def _by_side(options, sides) -> tuple[re.Pattern[str] | None, Callable[[re.Match[str]], str], bool]:
    """Options that differ by the side on which they are."""

    def side(found: re.Match[str]) -> str:
        way = next(filter(None, (found["way"], found["side"], found["左"]))).lower()
        return _OTHER_WAYS.get(way, way)

    places = {side(found): option for found, option in zip(sides, options, strict=True)}
    nouns = {next(filter(None, (found["noun"], found["kind"], found["图"]))).lower() for found in sides}
    if len(places) < len(options) or len(nouns) > 1:
        return None, str, False
    noun = rf"(?:{nouns.pop()}|one)"
    pattern = re.compile(
        rf"\b(?:the )?(?P<way>{_SIDE})(?:-hand)? {noun}\b|\b(?:the )?{noun} (?:on|at|in) the (?P<side>{_SIDE})\b|(?P<左>[左右上下])(?:边|侧|面|方)?的?(?:那?[张幅])?(?:图片|图|照片)",
        re.IGNORECASE,
    )
    return pattern, lambda found: places.get(side(found), found[0]), True
