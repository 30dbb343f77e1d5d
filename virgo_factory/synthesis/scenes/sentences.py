"""Questions and options in English -> tokens: the things they name, numbers, relations, ends, and what is asked for. Pure.

Words that change nothing are left out; where a word is not known, nothing of its text is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from virgo_factory.synthesis.scenes.english import GENERIC, NUMBERS, Meaning, singular
from virgo_factory.synthesis.words import SceneObject


@dataclass(frozen=True)
class Token:
    """A phrase.

    Attributes:
        kind: key of `_WORDS`, `T` for things, `c` for a word behind "which" that is not known ("which vehicle").
        text: as it was written.
        means: relation or extreme of facts that an `R`, an `E`, or the beginning of an `f` is.
        some: objects that a `T` means; None where they cannot be told.
        is_tag: whether a `T` is a tag.
    """

    kind: str
    text: str
    means: str = ""
    some: Sequence[SceneObject] | None = None
    is_tag: bool = False

    @property
    def is_generic(self) -> bool:
        """Whether a `T` may be anything: "object"."""
        return singular(self.text) in GENERIC

    @property
    def one(self) -> SceneObject | None:
        """The one object that is meant; None where there is no one, or several."""
        return self.some[0] if self.some and len(self.some) == 1 else None


PICTURE = r"(?:picture|image|scene|photo|photograph|view|frame)"
_IN_PICTURE = rf"(?:(?:with)?in|across|throughout|from|of|on) (?:this|the) (?:(?!left|right|top|bottom|upper|lower)[a-z]+ )?{PICTURE}"
_PART = r"(?:-hand)?(?: (?:side|edge|border|part|portion|corner|quarter|area|region|half))?"
_AT = r"(?:(?:to|on|at|in|toward|towards|over) )?(?:(?:the|its|their|his|her) )?(?:very )?"
_FAR = r"(?:farthest|furthest|farther|further|most|more)(?: away)?"
_NEAR = r"(?:closest|nearest|closer|nearer) to the"
_ELSE = r"(?:the other(?: one)?|(?:everything|anything|all) (?:else|(?:the )?other (?:things|objects|items)))"
_SIZED = rf"(?! number| in number)(?=.* in (?:this|the) {PICTURE}| (?:in|of) (?:this|the) {PICTURE})"


def _end(side: str, other: str) -> str:
    return (
        rf"{_AT}{_FAR} (?:(?:to|on|toward|towards|over) )?(?:the )?{side}{_PART}|{side}[- ]?most|{_AT}(?:far|extreme) {side}{_PART}"
        rf"|{_NEAR} {side}{_PART}|{_FAR} from the {other}{_PART}|(?:to the )?{side} of {_ELSE}"
    )


def _side(side: str) -> str:
    not_of_picture = rf"(?! (?:this|the) (?:whole |entire )?{PICTURE}| {_ELSE})"
    return rf"(?:{_FAR} )?{_AT}{side}{_PART} (?:of|from|than){not_of_picture}|{_NEAR} {side}{_PART}(?: {_IN_PICTURE})? than"


_ENDS = {
    "leftmost": _end("left", "right"),
    "rightmost": _end("right", "left"),
    "topmost": rf"(?:highest|{_FAR} up|top-?most|uppermost)(?: up)?|{_NEAR} top{_PART}|at the (?:very )?top{_PART}|(?:above|over) {_ELSE}"
    rf"|higher(?: up)?(?: than {_ELSE})?",
    "lowest": rf"(?:lowest|{_FAR} down|bottom-?most|lowermost)(?: down)?|{_NEAR} bottom{_PART}|at the (?:very )?bottom{_PART}"
    rf"|(?:below|under|underneath|beneath) {_ELSE}|lower(?: down)?(?: than {_ELSE})?",
    "largest": rf"(?:largest|biggest|larger|bigger){_SIZED}|takes up the most (?:room|space|area)",
    "smallest": rf"(?:smallest|smaller){_SIZED}|takes up the least (?:room|space|area)",
}
"""Extreme of facts.EXTREMES -> how English says it; sizes only where those in the picture are meant, since a near cup is
larger there than a far bus."""

_SIDES = {
    "left": _side("left"),
    "right": _side("right"),
    "above": rf"above|higher(?: up)? than|{_NEAR} top{_PART}(?: {_IN_PICTURE})? than",
    "below": rf"below|beneath|underneath|under|lower(?: down)? than|{_NEAR} bottom{_PART}(?: {_IN_PICTURE})? than",
    "inside": r"(?:wholly |completely |fully |entirely )?inside(?: of)?",
}
"""Relation of facts.RELATIONS -> how English says it before the name of the other thing."""

_BOUND = r"(?:exactly|only|just|precisely|at least|at most|more than|fewer than|less than|no more than|no fewer than)"
_NUMBER = rf"(?:\d+|{'|'.join(sorted(NUMBERS.keys() - {'a', 'an', 'no', 'none', 'nothing', 'once'}, key=len, reverse=True))})"
_IDLE = "|".join(
    (
        "is are was were do does did can could would will be there the a an this that these those of to than as you please name identify say so now among"
        " located placed positioned situated found visible shown seen present pictured depicted drawn appear appears occur occurs altogether overall somewhere"
        " combined has have contain contains show shows include includes depict depicts feature features exactly clearly total sum positions about color colour"
        f" state states describe describes matches fits compares best correctly closely carefully {PICTURE}"
    ).split()
)
_WORDS = {
    # what is asked for
    "q": r"how many times as many",
    "Q": r"by how much|what (?:is|would) the (?:total|sum)(?: be)?$|how many(?: of)?(?: (?:individual|separate|distinct|different))?|(?:(?:total|exact|combined) )*(?:numbers?|counts?|amounts?) of",
    "Y": r"(?:statement|sentence|claim|description|option)s?|true|correct|accurate|false|wrong|untrue|incorrect",
    "X": r"where|(?:relative |spatial )?(?:position|place|location|relation|relationship)(?: (?:of|between))?|how (?:is|are|do|does)"
    r"|(?:which|what) (?:side|direction|part|half|corner|quarter|area|region)",
    "W": r"(?:name|identify) the|(?:who or what|which|what|who)(?: ones?)?(?: of (?:these|those|them))?",
    "U": r"compare(?: (?:to|with))?(?: in (?:number|quantity))?",
    "Z": r"order|sequence",
    # how things stand
    "F": r"in relation (?:to|with)|relative to|compared (?:to|with)|with (?:respect|regard) to|as seen from|from|(?<=side )of|(?<=direction )of",
    "f": {
        relation: rf"(?:(?:counting|counted|going|starting|moving|looking|scanning|reading),? )?from (?:the )?{side}"
        r"(?: to (?:the )?(?:left|right|top|bottom))?"
        for relation, side in {"left": "left", "right": "right", "above": "top", "below": "bottom"}.items()
    },
    "E": _ENDS,
    "R": _SIDES,
    "b": r"(?:in the middle,? )?(?:in )?between(?: which(?: two)?)?",
    "S": rf"{_AT}(?:(?:upper|lower|top|bottom)[ -])?(?:left|right){_PART}|{_AT}(?:upper|lower|top|bottom){_PART}",
    "C": r"(?:(?:partly |partially )?(?:covered|hidden|overlapped) by|covers?|overlaps?(?: with)?|hides?)(?: (?:a )?(?:small |large )?part of| some of)?",
    "I": r"it|them|him|her|each other",
    "a": r"directly|immediately|just(?= (?:above|below|to|left|right))|straight|slightly|somewhat|far",
    # numbers
    "A": rf"(?:not |exactly )*(?:(?:more than |less than )?(?:twice|half|{_NUMBER} times) )?as many"
    r"|(?:exactly )?(?:the same|an equal|equal|twice the|double the|half the) (?:number|amount)s? of|equal(?: in number)?(?: to| with)?|equals"
    r"|the same(?: as)?|as (?:large|high|great) as|(?:twice|double|half)(?= (?:the|that))",
    "L": r"(?:most|more|fewest|fewer|least|less|largest|larger|greatest|greater|highest|higher|smallest|smaller|lowest|lower)"
    r" (?:common|frequent|numerous|often|frequently|times|of(?! the)|numbers?|in number)|outnumbers? the other|the (?:most|fewest|least)",
    "M": r"more|fewer|less|(?:greater|larger|bigger|smaller) than",
    "O": r"outnumbers?|exceeds?",
    "G": r"difference (?:in number )?between",
    "d": rf"(?:of )?(?:the|these|those) (?!one\b){_NUMBER}",
    "N": rf"(?:{_BOUND} )?{_NUMBER}(?: or (?:more|fewer|less))?(?: times)?(?: of(?: (?:the|these|those|them))?)?|once",
    "D": r"(?:every|each|all|both|either|neither|none|no|any|some)(?: one)?(?: of)?(?: (?:the|these|those|them)(?: two| three| four)?)?",
    "o": r"first|second|third|fourth|fifth|sixth",
    "H": r"(?:is|are) there|there (?:is|are)",
    "~": r"not",
    "&": r"and(?: then)?|but|,(?: and| but)?",
    "|": r",? ?or",
    # posture, which changes nothing where a place is told, and does in "how many people are sitting"
    "V": r"stand(?:s|ing)?|lies?|lying|sit(?:s|ting)?|hang(?:s|ing)?|rest(?:s|ing)?|comes?(?= (?:the )?(?:first|second|third|fourth|fifth))"
    r"|(?:fl(?:y|ies|ying)|float(?:s|ing)?|hover(?:s|ing)?)(?= (?:above|below|beneath|between|higher|highest|lower|lowest))",
    # what changes nothing
    " ": rf"{_IN_PICTURE}|(?:you|one|we|i) (?:see|count|spot|find|make out|notice|get|say)|in (?:view|sight|total|all)|on display"
    r"|(?:put )?together|at all|to be seen|the one|ones?|on$|in$|(?:if (?:you|one|we) )?(?:add|added|count|counted|put)(?: up)?|tell me|when viewed"
    r"|look(?:ing)? (?:closely|carefully|at the (?:picture|image|scene|photo))|based on|judging by|on (?:a )?closer (?:look|inspection)"
    r"|counting(?: only| just| every| everything)?|(?:at|in|on|to|of|by)(?= (?:how|which|what) )|out of|in terms of"
    r"|(?:you|one|we) (?:(?:have|need) to |must )?(?:move|go|walk|travel|look)(?= from)|to (?:get to|reach|find|see|arrive at|look at)|[:;.]|the following"
    rf"|{_IDLE}",
}  # fmt: skip
"""Kind -> words and phrases. The longest one at a place is taken, of two the first."""

_PATTERNS = tuple(
    (kind, means, re.compile(rf"(?:{words})(?![\w-])" if kind != "&" else rf"(?:{words})(?= )"))
    for kind, all_words in _WORDS.items()
    for means, words in (all_words.items() if isinstance(all_words, dict) else [("", all_words)])
)
_WRITTEN = (
    (re.compile(r"(?:to|on) the (?:immediate|direct) (?=left|right)"), "immediately to the "),
    (re.compile(r"\b(what|where|who|which)'s\b"), r"\1 is"),
    (
        re.compile(r"(?:(?<=to )|(?<=on )|(?<=at ))(?:the )?([\w ]+?)'s (left|right)(?:-hand)?(?: side)?\b"),
        r"the \2 of \1",
    ),
    (re.compile(r"(?<=[a-z]) (?:#|no\.? ?|number )(?=\d)"), " "),
)
_MOST_CLASS_WORDS = 4
_CLASS = re.compile(r"(?!(?:in|on|at|for|with|by|under|over|near|next|behind|inside|along)\b)[a-z-]+(?![\w'])")


def tokens_of(text: str, meaning: Meaning) -> list[Token] | None:
    """Return a plain text as tokens, those that change nothing left out; None where a word is not understood."""
    for pattern, written in _WRITTEN:
        text = pattern.sub(written, text)

    tokens: list[Token] = []
    at, classes, last = 0, 0, ""
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue

        found = _thing(text, at, meaning) or _word(text, at)
        if found is None:
            word = _CLASS.match(text, at)
            may_be = bool(tokens) and (
                tokens[-1].kind in "Wc" or last == "E" and tokens[-1].means in ("leftmost", "rightmost")
            )
            if not word or not may_be or classes == _MOST_CLASS_WORDS:
                return None

            found, classes = Token("c", word.group()), classes + 1

        at, last = at + len(found.text), found.kind
        is_class = found.kind == "c" or found.kind == "T" and found.is_generic
        is_idle = found.kind == " " or found.kind == "&" and not tokens
        if not is_idle and not (is_class and tokens and tokens[-1].kind == "c"):
            tokens.append(found)

    return tokens


def _word(text: str, at: int) -> Token | None:
    best = None
    for kind, means, pattern in _PATTERNS:
        found = pattern.match(text, at)
        if found and (best is None or len(found.group()) > len(best.text)):
            best = Token(kind, found.group(), means)

    return best


_AHEAD = re.compile(r"[\w-]+(?: [\w-]+){0,7}")


def _thing(text: str, at: int, meaning: Meaning) -> Token | None:
    """The longest name or tag that begins at a place, with the looks in front of it."""
    if not (ahead := _AHEAD.match(text, at)):
        return None

    words = ahead.group().split(" ")[: meaning.longest]
    looks = 0
    while looks < len(words) and meaning.is_look(words[looks]):
        looks += 1

    for end in range(len(words), 0, -1):
        phrase = " ".join(words[:end])
        if one := meaning.tags.get(phrase):
            return Token("T", phrase, "", [one], True)

        for start in range(min(looks, end - 1) + 1):
            name = " ".join(words[start:end])
            if meaning.is_name(name):
                return Token("T", phrase, "", meaning.several(name, words[:start]))

    return Token("l", words[0]) if looks else None
