"""Questions of place: which of several stands somewhere or at an end, how one stands to another, in which order. Pure."""

import re
from collections.abc import Sequence

from virgo_factory.synthesis.scenes.english import RELATION, Meaning
from virgo_factory.synthesis.scenes.facts import RELATIONS, Holds, is_extreme, overlaps
from virgo_factory.synthesis.scenes.forms import PICTURE, STANDS, WHERE, Told
from virgo_factory.synthesis.scenes.places import holds_at, is_place, place_in
from virgo_factory.synthesis.words import SceneObject


_RELATED = re.compile(rf"^(?:which|what)\b(?P<who>.*?) {STANDS}(?: the one)?(?: that is)? (?P<rest>.+)$")
_ENDS = {
    "leftmost": (
        r"(?:farthest|furthest|farther|further|more)(?: to the)? left|left-?most|(?:closest|nearest|closer"
        r"|nearer) to the left (?:edge|side|border)|first from the left|(?:farthest|furthest)(?: away)? from the right (?:edge"
        r"|side|border)|(?:on|at) the (?:far|extreme) left"
    ),
    "rightmost": (
        r"(?:farthest|furthest|farther|further|more)(?: to the)? right|right-?most|(?:closest|nearest|closer"
        r"|nearer) to the right (?:edge|side|border)|first from the right|(?:farthest"
        r"|furthest)(?: away)? from the left (?:edge|side|border)|(?:on|at) the (?:far|extreme) right"
    ),
    "topmost": (
        r"(?:highest|higher|farthest|furthest|farther|further)(?: up)?|top-?most|uppermost|(?:closest|nearest|closer"
        r"|nearer) to the top(?: edge)?|at the (?:very )?top"
    ),
    "lowest": (
        r"(?:lowest|lower)(?: down)?|(?:farthest|furthest|farther|further) down|bottom-?most|lowermost|(?:closest|nearest"
        r"|closer|nearer) to the bottom(?: edge)?|at the (?:very )?bottom"
    ),
    "largest": r"(?:largest|biggest|larger|bigger) in the picture",
    "smallest": r"(?:smallest|smaller) in the picture",
}
"""Extreme of facts.EXTREMES -> how English says it; sizes only where those in the picture are meant, since a near cup is
larger there than a far bus."""

_END = re.compile("^(?:the )?(?:" + "|".join(f"(?P<{which}>{words})" for which, words in _ENDS.items()) + ")$")
_ORDER = re.compile(
    r"^(?:what is|which (?:\w+ )?(?:is|gives|shows)|in (?:which|what)) (?:the )?(?:correct )?(?:order|sequence)?\b.*\bfrom "
    r"(?P<way>left to right|right to left|top to bottom|bottom to top)$"
)
_NEXT = re.compile(r",? (?:and )?then |, and |, | and | ?(?:->|>|;) ?| - ")
_WAYS = {"left to right": "left", "right to left": "right", "top to bottom": "above", "bottom to top": "below"}


def ordered(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """In which order things stand."""
    found = _ORDER.match(asked)
    if not found:
        return None

    comes_before = RELATIONS[_WAYS[found["way"]]]

    def holds(option: str) -> Holds:
        row = [meaning.one(name.strip()) for name in _NEXT.split(option)]
        if len(row) < 2 or not all(row):
            return None

        held = [comes_before(one, other) for one, other in zip(row, row[1:], strict=False)]
        return False if False in held else True if all(held) else None

    return Told(holds)


_NTH = r"(?:first|second|third|fourth|fifth|sixth)"
_ONE_OF = re.compile(
    rf"^(?:which|what)(?: (?:one|of these|of the following))? is (?P<one>the {_NTH} .+)$|"
    rf"^(?:which|what) (?P<name>.+?) (?:is|stands|comes) (?:the )?(?P<nth>{_NTH})(?: one)? (?P<side>from the \w+)$"
)


def the_one(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Which of the options is the second from the left, and so on."""
    found = _ONE_OF.match(asked)
    named = found and (found["one"] or f"{found['nth']} {found['name']} {found['side']}")
    wanted = meaning.one(named) if named else None
    if wanted is None:
        return None

    def holds(option: str) -> Holds:
        one = meaning.one(option)
        return None if one is None else one is wanted

    return Told(holds, f"by the boxes it is {wanted.tag}")


_END_OF = re.compile(
    r"^(?:which|what) is the (?P<rest>(?:farthest|furthest|closest|nearest|first|highest|lowest|(?:left|right|top"
    r"|bottom)-?most|uppermost|lowermost).*?)"
    r"(?: (?:object|thing|item|shape|one))?$"
)
_TAKES = re.compile(r"^(?:which|what)\b.* takes up the (?P<which>most|least) (?:room|space|area)$")


def ended(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Which of the options is at an end."""
    which = ""
    if found := _TAKES.match(asked):
        which = "largest" if found["which"] == "most" else "smallest"
    else:
        found = (pattern.match(asked) for pattern in (_END_OF, _RELATED))
        ends = (_END.match(one["rest"]) for one in found if one)
        which = next((end.lastgroup for end in ends if end), "")

    if not which:
        return None

    things = {option: meaning.one(option) for option in options}
    known = [one for one in things.values() if one]

    def holds(option: str) -> Holds:
        one = things[option]
        held = is_extreme(which, one, known) if one else None
        return held if len(known) == len(options) or held is False else None

    best = next((option for option in options if holds(option)), None)
    return Told(holds, f"by the boxes the {which} is {best}" if best else "")


def related(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Which of the options stands somewhere."""
    found = _RELATED.match(asked)
    if not found or not (is_place(found["rest"]) or _CORNER.match(found["rest"])):
        return None

    def holds(option: str, is_clear: bool = False) -> Holds:
        one = meaning.one(option)
        return holds_at(found["rest"], one, meaning, is_clear=is_clear) if one else None

    is_of_tag = found["rest"][-1].isdigit()  # who names a tag goes by its box; else by what people would say
    return Told(holds, is_clear=lambda option: holds(option, not is_of_tag))


_CORNER = re.compile(
    r"^(?:in|at|on) the (?:very )?(?:upper|lower|top|bottom|left|right)(?:[ -](?:left|right))?(?:-hand)?"
    rf"(?: (?:corner|half|side|part|quarter|edge))?(?: of (?:the|this) {PICTURE})?$"
)
_COVERS = re.compile(
    r"^(?:which|what)\b.*? (?:covers?|overlaps?(?: with)?|hides?|is (?:partly |partially )?(?:covered|hidden|overlapped) by) "
    r"(?:(?:a )?(?:small |large )?part of |some of )?(?P<other>.+)$"
)


def covering(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Which of the options covers something: none whose box lies apart. That boxes overlap is no proof that things do."""
    found = _COVERS.match(asked)
    other = meaning.one(found["other"]) if found else None
    if other is None:
        return None

    def holds(option: str) -> Holds:
        one = meaning.one(option)
        return False if one and one is not other and overlaps(one, other) is False else None

    return Told(holds, f"by the boxes it lies apart from {other.tag}")


_TO = r"(?:in relation (?:to|with)|relative to|compared (?:to|with)|with respect to|as seen from|from|to)"
_STAND = r"(?: (?:stand|lie|sit|hang|rest|appear|be (?:found|seen|located)|located|placed|positioned|situated|standing|lying|found))?"
_BEST = (
    r"(?:which|what)(?: (?:one )?of (?:these|the following))?(?: (?:option|statement|phrase|sentence)s?)? (?:best |correctly )?describes"
    r"(?: best| correctly)?"
)
_DIRECTED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^(?:on|to|at) (?:which|what) side of (?P<other>.+?) (?:is|are|does|do|can) (?P<one>.+?){_STAND}$",
        rf"^(?:in )?(?:which|what) direction (?:is|are) (?P<one>.+?){_STAND} (?:from|of) (?P<other>.+)$",
        rf"^in (?:which|what) direction (?:from|of|{_TO}) (?P<other>.+?) (?:is|are|does|do) (?P<one>.+?){_STAND}$",
        rf"^(?:what is|{_BEST}) the (?:relative |spatial )?(?:position|place|location) of (?P<one>.+?) {_TO} (?P<other>.+)$",
        rf"^(?:what is|{_BEST}) the (?:spatial )?relation(?:ship)? (?:between|of) (?P<one>.+?) (?:and|to) (?P<other>.+)$",
        rf"^(?:is|are|does|do) (?P<one>.+?){_STAND} (?:(?:to|on) the )?(?:left|right|above|below|higher|lower)\b.* or "
        r"(?:(?:(?:to|on) )?the )?(?:left|right|above|below|higher|lower)(?: side)?(?: of| than)? (?P<other>.+)$",
    )
)
_BETWEEN_WHICH = re.compile(
    rf"^(?:(?P<one>.+?) {STANDS} between which(?: (?:two|of these))?(?: \w+)?"
    rf"|between which(?: (?:two|of these))?(?: \w+)? (?:is|are|does|do) (?P<that>.+?){_STAND}"
    rf"|what (?:is|are|does|do) (?P<what>.+?){_STAND} between)$"
)
_OR = re.compile(r"^(?:is|are|does|do) (?P<told>.+?),? or .+$")
_WHERE_TO = re.compile(r"^(?:where|how) (?:is|are|does|do|can) (?P<rest>.+)$")
_BETWEEN = re.compile(rf"{_STAND} {_TO} ")
_PLACED = re.compile(rf"^where(?: {WHERE})? (?:is|are|does|do|can) (?P<one>.+?){_STAND}$")
_PART = re.compile(
    r"^in (?:which|what) (?:part|half|corner|quarter|area|region|side)(?: of the \w+)? (?:is|are|does|do|can) "
    rf"(?P<one>.+?){_STAND}$"
)
_LOCATED = re.compile(
    rf"^(?:{_BEST}|what is) the (?:position|place|location) of (?P<one>.+)$|"
    rf"^(?:on|to|at) (?:which|what) side of (?:the|this) {PICTURE} (?:is|are|does) (?P<sided>.+?){_STAND}$"
)
_HALF = re.compile(
    r"^(?:is|does) (?P<one>.+?)(?: (?:stand|lie|appear))? (?:in|on|at) the (?:left|right|top|bottom|upper|lower) (?:\w+ )?or .+$"
)


def directed(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """How one thing stands to another."""
    pairs = [(found["one"], found["other"]) for pattern in _DIRECTED if (found := pattern.match(asked))]
    if found := _OR.match(asked):
        either = RELATION.search(found["told"])
        pairs += [(found["told"][: either.start()], found["told"][either.end() :])] if either else []

    if found := _WHERE_TO.match(asked):
        rest = found["rest"]
        pairs += [(rest[: cut.start()], rest[cut.end() :]) for cut in _BETWEEN.finditer(rest)]

    for names in pairs:
        one, other = (meaning.one(re.sub(rf"{_STAND}$", "", name.strip())) for name in names)
        if one and other and one is not other:
            return _of_places(one, other, meaning)

    return None


def placed(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Where one thing stands, in the picture or by something."""
    found = _PLACED.match(asked) or _PART.match(asked) or _HALF.match(asked)
    if not found and (found := _LOCATED.match(asked)):
        one = meaning.one(found["one"] or found["sided"])
    else:
        one = meaning.one(found["one"]) if found else None

    return _of_places(one, None, meaning) if one else None


def _of_places(one: SceneObject, other: SceneObject | None, meaning: Meaning) -> Told:
    def holds(option: str, is_clear: bool = False) -> Holds:
        text = re.sub(rf"^(?:it )?(?:{STANDS} )?", "", option)
        start = place_in(text)
        before = re.sub(rf" ?(?:{STANDS})$", "", text[:start].rstrip()) if start else ""
        if not before or not (subject := meaning.one(before)):
            return holds_at(text, one, meaning, other, is_clear=is_clear)

        return holds_at(text[start:], subject, meaning, one if subject is other else other, is_clear=is_clear)

    return Told(holds, is_clear=lambda option: holds(option, True))


def between_which(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Between which two of the options something stands."""
    found = _BETWEEN_WHICH.match(asked)
    one = meaning.one(found["one"] or found["that"] or found["what"]) if found else None
    if one is None:
        return None

    return Told(lambda option: holds_at(f"between {option.removeprefix('between ')}", one, meaning))
