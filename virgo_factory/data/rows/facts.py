"""What `policy.judge` must know of an example, found out from the example itself and its pictures."""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from virgo_factory.core.example import Example
from virgo_factory.core.policy import Drop, KnownFacts
from virgo_factory.core.reasons import Reason
from virgo_factory.data.read.media import BadMedia, check_header, find_image
from virgo_factory.data.read.source import Source
from virgo_factory.data.tokens.tokens import render


if TYPE_CHECKING:
    from virgo_factory.data.read.images import ImageFacts  # with Pillow, which rows without pictures do not need


def facts_of(
    example: Example, images: Sequence["ImageFacts"], source: Source, is_pair: bool, tokenizer: Any | None
) -> KnownFacts:
    """Return what is known of an example before its tokens are counted.

    `is_pair`: its rejected response counts, as in a dataset with `ranking: true`. No text may hold the tokenizer's
    special tokens; None: not looked at.
    """
    found = [media_problem(image, facts, source) for image, facts in zip(example.images, images, strict=True)]
    rejected = next((drop for drop, at_reading in found if drop and at_reading), None)
    if is_pair and example.rejected is None:
        rejected = Drop("no rejected response", "ranking: true asks for pairs")

    return KnownFacts(
        rejected=rejected,
        control_token=_control_token(example, is_pair, tokenizer) if tokenizer and not rejected else None,
        has_prefix=bool(example.assistant_prefix),
        unreadable=next((drop.detail for drop, at_reading in found if drop and not at_reading), ""),
    )


def media_problem(image: Any, facts: "ImageFacts", source: Source) -> tuple[Drop | None, bool]:
    """Return why a picture cannot be used, and whether a run finds that out when it reads the row; else from its pixels."""
    if facts.is_readable:
        return None, False

    try:
        check_header(find_image(image, str(source.media_dir), source.hub))
    except BadMedia as error:
        return Drop(error.reason, str(error)), True

    detail = next(finding.detail for finding in facts.findings if finding.severity == "error")
    return Drop(Reason.UNREADABLE.text(), detail), False


def _control_token(example: Example, is_pair: bool, tokenizer: Any) -> tuple[str, str] | None:
    texts = [
        (place, text) for turn in tokenizer.messages(example) for place, text in zip(("question", "response"), turn)
    ]
    if is_pair:
        texts.append(("response", render(example.rejected)))

    special = _pattern(tuple(tokenizer.special))
    for place, text in texts:
        if special.search(text):
            return place, next(token for token in tokenizer.special if token in text)

    return None


@functools.cache
def _pattern(special: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, special)) or "(?!)")
