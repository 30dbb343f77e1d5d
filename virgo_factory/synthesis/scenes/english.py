"""English words for what boxes can tell: numbers, names in plural, and which objects a phrase means. Pure.

A phrase that is not understood whole means nothing (None): it is never guessed at.
"""

import functools
import re
from collections.abc import Callable, Sequence

from virgo_factory.synthesis.scenes.facts import RELATIONS, area, extreme, is_plain, shared
from virgo_factory.synthesis.words import Scene, SceneObject


_WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
          "eighteen nineteen twenty").split()  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(_WORDS)} | {
    "no": 0,
    "none": 0,
    "nothing": 0,
    "a": 1,
    "an": 1,
    "a single": 1,
    "just one": 1,
    "a pair": 2,
    "a pair of": 2,
    "a dozen": 12,
}
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "sixth": 5}
_NUMBER = rf"(?:\d{{1,3}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"

GENERIC = {"object", "shape", "thing", "item", "element", "figure"}
"""Words for every object; they are counted only where the source says everything of everything (attributes of each)."""

COLOURS = {
    "red",
    "green",
    "blue",
    "yellow",
    "purple",
    "orange",
    "black",
    "white",
    "gray",
    "grey",
    "brown",
    "pink",
    "cyan",
}

_IRREGULAR = {
    "people": "person",
    "persons": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "geese": "goose",
    "feet": "foot",
    "teeth": "tooth",
    "knives": "knife",
    "leaves": "leaf",
    "shelves": "shelf",
    "loaves": "loaf",
    "wolves": "wolf",
    "calves": "calf",
    "halves": "half",
    "scarves": "scarf",
    "oxen": "ox",
}
_ALIKE = 0.6
"""Intersection over union above which two boxes of one name may be one thing."""

_SPACE = re.compile(r"\s+")
_ARTICLE = re.compile(r"^(?:(?:the|a|an|this|that|these|those|all|any|each|every|both|of) )+")
_PARTICIPLE = re.compile(
    r" (?:located|placed|positioned|situated|found|seen|standing|lying|sitting|hanging|resting|flying)$"
)
_COUNTED = re.compile(rf" and (?:{_NUMBER}) ")
_TAG_MARK = re.compile(r" (?:#|no\.? ?|number )(?=\d+$)")
_EDGES = {
    "leftmost": r"left-?most|left most|far left",
    "rightmost": r"right-?most|right most|far right",
    "topmost": r"top-?most|uppermost|highest",
    "lowest": r"bottom-?most|lowermost|lowest",
    "largest": r"largest|biggest",
    "smallest": r"smallest",
}
_EXTREME = {which: re.compile(rf"^(?:{words}) (?P<name>.+)$") for which, words in _EDGES.items()}
_ORDINAL = re.compile(
    rf"^(?P<at>{'|'.join(_ORDINALS)}) (?P<name>.+?) (?:counting |counted )?from the (?P<side>left|right|top|bottom)$"
)
_FROM = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}

_DIRECTIONS = {
    "left": r"(?:to|on|at) the left(?:-hand)?(?: side)? (?:of|from)|(?:(?:farther |further )?(?:to the )?)?left (?:of|than)",
    "right": r"(?:to|on|at) the right(?:-hand)?(?: side)? (?:of|from)|(?:(?:farther |further )?(?:to the )?)?right (?:of|than)",
    "above": r"above|higher(?: up)? than",
    "below": r"below|beneath|underneath|lower(?: down)? than",
    "inside": r"(?:wholly |completely |fully |entirely )?inside(?: of)?",
}
RELATION = re.compile(r"\b(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _DIRECTIONS.items()) + r")\b")
"""Relation of facts.RELATIONS, by the name of the group, as English says it before the name of the other object."""


def plain(text: str) -> str:
    """Return a text in small letters on one line, without quotation marks and marks at its end.

    >>> plain(" Is “circle 1” there ? ")
    'is circle 1 there'
    """
    text = _SPACE.sub(" ", text.lower().translate(_QUOTES)).strip()
    return text.rstrip(" .?!;:,").strip()


_QUOTES = str.maketrans({"“": None, "”": None, '"': None, "`": None, "’": "'", "‘": None})


@functools.lru_cache(maxsize=8192)
def singular(name: str) -> str:
    """Return a name in the singular: of its last word.

    >>> [singular(name) for name in ("wine glasses", "cups", "people", "buses", "berries", "bus", "knives", "crosses")]
    ['wine glass', 'cup', 'person', 'bus', 'berry', 'bus', 'knife', 'cross']
    """
    before, _, word = name.rpartition(" ")
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    elif word.endswith("ies") and len(word) > 4:
        word = f"{word[:-3]}y"
    elif re.search(r"(?:ss|sh|ch|x|z|bus|lens|oto?es)es$|toes$", word):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]

    return f"{before} {word}".strip()


def number_of(text: str) -> Callable[[int], bool] | None:
    """Return which counts a text allows; None where it is no number.

    >>> [number_of("at least three")(count) for count in (2, 3, 4)]
    [False, True, True]
    >>> number_of("3 circles")(3), number_of("many"), number_of("3 dogs and 2 cats")
    (True, None, None)
    """
    text = plain(text)
    text = re.sub(
        r"^(?:there (?:are|is)|it is|i (?:see|count)|exactly|only|just|precisely|a total of|in total) ", "", text
    )
    text = re.sub(r"^(?:exactly|only|just|precisely|a total of) ", "", text)
    if _SOME.match(text):
        return None

    for pattern, allowed in _RANGES:
        if found := pattern.match(text):
            numbers = [_value(group) for group in found.groups() if group is not None]
            return lambda count: allowed(count, *numbers)

    return None


def is_number(word: str) -> bool:
    """Return whether a word is a number."""
    return word.isdigit() or word in NUMBERS


def _value(word: str) -> int:
    return int(word) if word.isdigit() else NUMBERS[word]


_SOME = re.compile(r"an? (?:lot|few|couple|handful|bunch|number|great|large)\b")
_N = f"({_NUMBER})"
_UNIT = (
    r"(?: (?:of (?:them|these|those|each)|in (?:total|all)|(?!and\b|or\b|to\b|more\b|fewer\b|less\b"
    r"|than\b)[a-z-]+(?: (?!and\b|or\b|than\b)[a-z-]+)?))?$"
)
_RANGES: tuple[tuple[re.Pattern[str], Callable[..., bool]], ...] = (
    (re.compile(rf"(?:more than|over|above) {_N}{_UNIT}"), lambda count, one: count > one),
    (re.compile(rf"(?:fewer than|less than|under|below) {_N}{_UNIT}"), lambda count, one: count < one),
    (re.compile(rf"(?:at least|no fewer than|no less than) {_N}{_UNIT}"), lambda count, one: count >= one),
    (re.compile(rf"(?:at most|no more than|up to) {_N}{_UNIT}"), lambda count, one: count <= one),
    (re.compile(rf"{_N} or more{_UNIT}"), lambda count, one: count >= one),
    (re.compile(rf"{_N} or (?:fewer|less){_UNIT}"), lambda count, one: count <= one),
    (re.compile(rf"(?:between )?{_N} (?:to|and|or|-) {_N}{_UNIT}"), lambda count, one, other: one <= count <= other),
    (re.compile(rf"{_N}-{_N}{_UNIT}"), lambda count, one, other: one <= count <= other),
    (re.compile(rf"{_N}{_UNIT}"), lambda count, one: count == one),
)


class Meaning:
    """Which objects of a scene phrases mean."""

    def __init__(self, scene: Scene) -> None:
        self.objects = scene.objects
        self.size = (scene.width, scene.height)
        self.uncounted = set(scene.uncounted)
        self._tags = {one.tag.lower(): one for one in scene.objects}
        self._names = {one.name for one in scene.objects}
        self._keys: dict[str, str] = {}
        for one in scene.objects:
            for key, value in one.attributes.items():
                self._keys.setdefault(value.lower(), key)

        self._colour = next((key for one in scene.objects for key in one.attributes if key in ("color", "colour")), "")

    def several(self, phrase: str, is_counted: bool = True) -> list[SceneObject] | None:
        """Return all objects that a phrase such as "red circles" or "cups to the left of plate 1" means.

        Args:
            phrase: plain.
            is_counted: whether none of them may be missing.

        Returns:
            None where the phrase is not understood, or what it means cannot be told.
        """
        phrase = _ARTICLE.sub("", re.sub(r" (?:that|which|who) (?:is|are|stands?|lies?)(?= )", "", phrase)).strip()
        found = RELATION.search(phrase)
        if found and found.start() > 0:
            name = phrase[found.end() :].strip()
            before = _PARTICIPLE.sub("", phrase[: found.start()].strip())
            some, other = self.several(before, is_counted), self.one(name)
            if some is None or other is None:
                return None

            held = holding(some, found.lastgroup, other)
            is_told = name[-1].isdigit() or all(is_plain(found.lastgroup, one, other) for one in held or ())
            return held if is_told else None  # who names a tag goes by its box, else by what people would say

        number, _, rest = phrase.partition(" ")
        if rest and is_number(number):  # "the four mugs": a name for all of them, where there are so many
            some = self.several(rest, is_counted)
            return some if some and len(some) == int(NUMBERS.get(number, number)) else None

        some = self._described(phrase, is_counted)
        if some is None and " and " in phrase and not _COUNTED.search(phrase):
            parts = [self.several(part, is_counted) for part in phrase.split(" and ")]
            every = [one for part in parts if part is not None for one in part]
            is_each_known = all(part is not None for part in parts) and len({one.tag for one in every}) == len(every)
            return every if is_each_known else None

        return None if some and is_counted and _may_be_twice(some) else some

    def one(self, phrase: str) -> SceneObject | None:
        """Return the one object that a phrase means: by its tag, by a name or looks that only one has, by its place."""
        phrase = _TAG_MARK.sub(" ", _ARTICLE.sub("", phrase).strip())
        if phrase in self._tags:
            return self._tags[phrase]

        for which, pattern in _EXTREME.items():
            if found := pattern.match(phrase):
                some = self.several(found["name"])
                return None if not some else some[0] if len(some) == 1 else extreme(which, some)

        if found := _ORDINAL.match(phrase):
            some = self.several(found["name"])
            return _ordinal(some, _ORDINALS[found["at"]], *_FROM[found["side"]]) if some else None

        some = self.several(phrase)
        return some[0] if some and len(some) == 1 else None

    def _described(self, phrase: str, is_counted: bool) -> list[SceneObject] | None:
        """Return the objects that adjectives and a name mean."""
        words = phrase.split(" ")
        for at in range(len(words)):
            name = " ".join(words[at:])
            is_all = singular(name) in GENERIC and not self._names & {name, singular(name)}
            if is_all and not self._says_all():
                return None

            some = [one for one in self.objects if is_all or one.name in (name, singular(name))]
            if some or is_all:
                names = {one.name for one in some}
                return None if is_counted and names & self.uncounted else self._with(some, words[:at])

        return None

    def _with(self, objects: Sequence[SceneObject], adjectives: Sequence[str]) -> list[SceneObject] | None:
        """Return those of some objects that adjectives are true of; None where that is not known of each."""
        some = list(objects)
        for word in adjectives:
            if word in ("and", "different"):
                return None

            key = self._keys.get(word) or (self._colour if word in COLOURS else "")
            if not key or any(key not in one.attributes for one in some):
                return None

            some = [one for one in some if one.attributes[key].lower() == word]

        return some

    def _says_all(self) -> bool:
        """Whether the source says everything of everything, so that objects of any name may be counted."""
        return not self.uncounted and all(one.attributes for one in self.objects)

    def looks(self, some: Sequence[SceneObject], adjective: str) -> list[SceneObject] | None:
        """Return those of some objects that an adjective is true of; None where that is not known."""
        return self._with(some, adjective.split(" "))


def _may_be_twice(some: Sequence[SceneObject]) -> bool:
    """Whether two boxes of one name lie so much alike that a detector may have found one thing twice."""
    for at, one in enumerate(some):
        for other in some[at + 1 :]:
            if one.name == other.name:
                both = shared(one, other)
                if both and both / (area(one) + area(other) - both) > _ALIKE:
                    return True

    return False


def holding(some: Sequence[SceneObject], relation: str, other: SceneObject) -> list[SceneObject] | None:
    """Return those of some objects that stand in a relation to another; None where that is in the margin for one of them."""
    told = [(one, RELATIONS[relation](one, other)) for one in some if one is not other]
    return None if any(held is None for _, held in told) else [one for one, held in told if held]


def _ordinal(some: Sequence[SceneObject], at: int, axis: int, sign: int) -> SceneObject | None:
    """Return an object by its place in a row; None where the order is in the margin."""
    relation = ("left", "above")[axis] if sign > 0 else ("right", "below")[axis]
    ordered = sorted(some, key=lambda one: sign * (one.box[axis] + one.box[axis + 2]))
    if at >= len(ordered):
        return None

    around = ordered[max(at - 1, 0) : at + 2]
    if any(RELATIONS[relation](one, other) is not True for one, other in zip(around, around[1:], strict=False)):
        return None

    return ordered[at]
