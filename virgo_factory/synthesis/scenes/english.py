"""English words for what boxes can tell: numbers, names in plural, and which objects a name or its looks mean. Pure.

What is not understood whole means nothing (None): it is never guessed at.
"""

import functools
import re
from collections.abc import Callable, Sequence

from virgo_factory.synthesis.scenes.facts import area, shared
from virgo_factory.synthesis.words import Scene, SceneObject


_WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
          "eighteen nineteen twenty").split()  # fmt: skip
NUMBERS = {word: number for number, word in enumerate(_WORDS)} | {
    "no": 0, "none": 0, "nothing": 0, "a": 1, "an": 1, "a single": 1, "a pair": 2, "a pair of": 2, "a dozen": 12, "once": 1, "twice": 2
}  # fmt: skip
_NUMBER = rf"(?:\d{{1,3}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"

GENERIC = {"object", "shape", "thing", "item", "element", "figure"}
"""Words for every object; they are counted only where the source says everything of everything (attributes of each)."""

COLOURS = set("red green blue yellow purple orange black white gray grey brown pink cyan".split())

_IRREGULAR = dict(
    pair.split(":")
    for pair in (
        "people:person persons:person men:man women:woman children:child mice:mouse geese:goose feet:foot teeth:tooth knives:knife "
        "leaves:leaf shelves:shelf loaves:loaf wolves:wolf calves:calf halves:half scarves:scarf oxen:ox"
    ).split()
)
_ALIKE = 0.6
"""Intersection over union above which two boxes of one name may be one thing."""


def plain(text: str) -> str:
    """Return a text in small letters on one line, without quotation marks and marks at its end.

    >>> plain(" Is “circle 1” there ? ")
    'is circle 1 there'
    """
    return " ".join(text.lower().translate(_QUOTES).split()).rstrip(" .?!;:,")


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
    text = re.sub(
        r"^(?:there (?:are|is) |it is |i (?:see|count) )?(?:(?:exactly|only|just|precisely|a total of|in total) )?",
        "",
        plain(text),
    )
    for pattern, allowed in () if _SOME.match(text) else _RANGES:
        if found := pattern.match(text):
            numbers = [int(NUMBERS.get(group, group)) for group in found.groups() if group is not None]
            if numbers != sorted(numbers):  # "2 to 1"
                return None

            return lambda count: allowed(count, *numbers)

    return None


_SOME = re.compile(r".* as many\b|an? (?:lot|few|couple|handful|bunch|number|great|large)\b")
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
    (
        re.compile(rf"(?:between )?{_N}(?: (?:to|and|or|-) |-){_N}{_UNIT}"),
        lambda count, one, other: one <= count <= other,
    ),
    (re.compile(rf"{_N}{_UNIT}"), lambda count, one: count == one),
)


class Meaning:
    """Which objects of a scene names mean."""

    def __init__(self, scene: Scene) -> None:
        self.objects = scene.objects
        self.size = (scene.width, scene.height)
        self.tags = {one.tag.lower(): one for one in scene.objects}
        self.longest = max((one.tag.count(" ") for one in scene.objects), default=0) + 3
        self._uncounted = {name.lower() for name in scene.uncounted}
        self._keys = {value.lower(): key for one in scene.objects for key, value in one.attributes.items()}
        self._colour = next((key for one in scene.objects for key in one.attributes if key in ("color", "colour")), "")
        self._says_all = not scene.uncounted and all(one.attributes for one in scene.objects)
        self._by_name: dict[str, list[SceneObject]] = {}
        for one in scene.objects:
            self._by_name.setdefault(one.name.lower(), []).append(one)

    def is_name(self, name: str) -> bool:
        """Return whether a text is the name of something in the scene, in singular or plural, or a word for everything."""
        return name in self._by_name or singular(name) in self._by_name or singular(name) in GENERIC

    def several(self, name: str, looks: Sequence[str] = ()) -> list[SceneObject] | None:
        """Return the objects of a name that look so; None where one may be missing or there twice, or its looks are not known."""
        some = self._by_name.get(name) or self._by_name.get(singular(name))
        if some is None and self._says_all:
            some = list(self.objects)

        if some is None or self._uncounted & {one.name.lower() for one in some}:
            return None

        some = self.looking(some, looks)
        return None if some is None or _may_be_twice(some) else some

    def looking(self, some: Sequence[SceneObject], looks: Sequence[str]) -> list[SceneObject] | None:
        """Return those of some objects that look so; None where that is not known of each."""
        for word in looks:
            key = self._keys.get(word) or (self._colour if word in COLOURS else "")
            if not key or any(key not in one.attributes for one in some):
                return None

            some = [one for one in some if one.attributes[key].lower() == word]

        return list(some)

    def is_look(self, word: str) -> bool:
        """Return whether a word says how something looks, as far as the source says it of anything."""
        return word in self._keys or bool(self._colour) and word in COLOURS


def _may_be_twice(some: Sequence[SceneObject]) -> bool:
    """Whether two boxes of one name lie so much alike that a detector may have found one thing twice."""
    for at, one in enumerate(some):
        for other in some[at + 1 :]:
            both = shared(one, other) if one.name == other.name else 0
            if both and both / (area(one) + area(other) - both) > _ALIKE:
                return True

    return False
