"""Questions of number: how many there are, how many more, of which there are most; and whether there are so many. Pure."""

import re
from collections.abc import Callable, Sequence

from virgo_factory.synthesis.scenes.english import NUMBERS, Meaning, is_number, number_of
from virgo_factory.synthesis.scenes.facts import Holds
from virgo_factory.synthesis.scenes.forms import PICTURE, STANDS, Told
from virgo_factory.synthesis.scenes.places import is_place, place_in, standing
from virgo_factory.synthesis.words import SceneObject


_ASKS = r"(?:how many|what is the (?:total |exact )?(?:number|count) of|what number of|count (?:all )?the)"
_SEE = r"(?:do|does|can|would|could) (?:you|one|we) (?:see|count|spot|find|make out|notice)"
_SEEN = (
    r"(?:(?:are|is)(?: there(?: (?:exactly|to be seen|visible))?)?|"
    r"(?:(?:are|is) )?(?:visible|shown|present|seen|pictured|depicted|drawn|in view|in sight|on display)|appear|"
    rf"can be (?:seen|found|spotted|counted|made out)|{_SEE}|"
    rf"does (?:(?:the|this) {PICTURE}|it) (?:show|contain|have|hold|depict|include))"
)
_COUNT = re.compile(rf"^{_ASKS} (?P<some>.+?)(?: {_SEEN})?$")
_COUNT_THERE = re.compile(rf"^{_ASKS} (?P<some>.+?) (?:{STANDS}|{_SEE}) (?P<rest>.+)$")
_MORE = re.compile(
    rf"^how many (?P<which>more|fewer|less) (?P<some>.+?) (?:{_SEEN} )?than (?P<other>.+?)(?: {_SEEN})?$"
)

_TIMES_AS_MANY = re.compile(rf"^how many times as many (?P<some>.+?) (?:{_SEEN} )?as (?P<other>.+?)(?: {_SEEN})?$")


def counted(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """How many of something there are, or stand somewhere, or look so."""
    some = None
    if (found := _COUNT.match(asked)) and not found["some"].startswith(("more ", "fewer ", "less ", "other ")):
        some = meaning.several(found["some"])

    if some is None and (found := _COUNT_THERE.match(asked)):
        some = _that_are(meaning.several(found["some"]), found["rest"], meaning)

    return None if some is None else Told(_is_count(len(some)), f"the boxes count {len(some)}")


def _that_are(some: list[SceneObject] | None, rest: str, meaning: Meaning) -> list[SceneObject] | None:
    """Return those of some objects that a predicate is true of."""
    if some is None:
        return None

    if is_place(rest):
        return standing(some, rest, meaning)

    return meaning.looks(some, rest)


def _is_count(count: int) -> Callable[[str], Holds]:
    def holds(option: str) -> Holds:
        allowed = number_of(option)
        return None if allowed is None else allowed(count)

    return holds


def by_how_many(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """By how many there are more of one thing than of another, or how many times as many."""
    if found := _TIMES_AS_MANY.match(asked):
        some, other = (meaning.several(found[name]) for name in ("some", "other"))
        if not other or some is None or len(some) % len(other):
            return None

        return Told(_is_count(len(some) // len(other)), f"the boxes count {len(some)} and {len(other)}")

    found = _MORE.match(asked)
    some, other = (meaning.several(found[name]) for name in ("some", "other")) if found else (None, None)
    if some is None or other is None:
        return None

    gap = len(some) - len(other) if found["which"] == "more" else len(other) - len(some)
    return Told(_is_count(gap), f"the boxes count {len(some)} and {len(other)}") if gap >= 0 else None


_GAP = re.compile(
    r"^what is the difference (?:between the number of (?P<some>.+) and (?:the number of |that of )?(?P<other>.+)|"
    r"in number between (?:the )?(?P<these>.+) and (?:the )?(?P<those>.+))$"
)


def difference(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """The difference of two counts, whichever is larger."""
    found = _GAP.match(asked)
    names = [name for name in found.groups() if name] if found else []
    some = [meaning.several(name) for name in names]
    if len(some) != 2 or some[0] is None or some[1] is None:
        return None

    return Told(_is_count(abs(len(some[0]) - len(some[1]))), f"the boxes count {len(some[0])} and {len(some[1])}")


_MOST = re.compile(
    r"^(?:which|what)(?: (?:one )?of (?:these|the following|them))?(?: [a-z]+){0,3}? "
    r"(?:has the (?P<has>largest|highest|greatest|smallest|lowest) (?:number|count)|(?:are"
    r"|is) there (?:the )?(?P<there>most|more|fewest|fewer|least|less) of"
    r"|(?:is|are) (?:the )?(?P<common>most|more|least|less) (?:common|frequent|numerous)"
    r"|(?:is|are) (?P<large>larger|greater|more|smaller|fewer|less) in number|outnumbers? the other"
    r"|(?:occurs?|appears?) (?:the )?(?P<often>most|more|fewest|fewer|least|less)(?: often| times| frequently)?)$"
)
_TIMES = re.compile(
    r"^(?:which|what|of which|of what)(?: (?:one )?of (?:these|the following|them))?(?: (?:kind|type|sort) of)?(?: (?:shape|object|thing|item))?s? "
    r"(?:(?:are|is) there (?P<there>.+?)(?: of)?|(?:occurs?|appears?) (?P<often>.+))$"
)
_FEW = ("smallest", "lowest", "fewest", "fewer", "least", "less", "smaller")
_OFTEN = {"once": 1, "twice": 2}


def most(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Of which of the options there are most or fewest, or so many."""
    counts = {option: _count_of(option, meaning) for option in options}
    if found := _MOST.match(asked):
        is_fewest = any(word in _FEW for word in found.groupdict().values())

        def holds(option: str) -> Holds:
            others = [count for other, count in counts.items() if other != option]
            mine = counts[option]
            if mine is None:
                return None

            beats = [None if other is None else (other < mine) != is_fewest and other != mine for other in others]
            loses = [other is not None and other != mine and (other > mine) != is_fewest for other in others]
            return False if any(loses) else True if all(beats) else None

        return Told(holds, f"the boxes count {_as_counted(counts)}")

    found = _TIMES.match(asked)
    number = re.sub(r" times$", "", found["there"] or found["often"]) if found else ""
    number = re.sub(r"\b(?:once|twice)$", lambda word: str(_OFTEN[word.group()]), number)
    if not is_number(number.rpartition(" ")[2]) or (allowed := number_of(number)) is None:
        return None

    return Told(
        lambda option: None if counts[option] is None else allowed(counts[option]),
        f"the boxes count {_as_counted(counts)}",
    )


def _count_of(option: str, meaning: Meaning) -> int | None:
    some = meaning.several(option)
    return None if some is None else len(some)


def _as_counted(counts: dict[str, int | None]) -> str:
    return ", ".join(f"{count} {option}" for option, count in counts.items() if count is not None)


_ONLY = re.compile(r"^(?:exactly|only|just) ")


def _all(held: Sequence[Holds]) -> Holds:
    return False if False in held else None if None in held else True


_THERE = re.compile(
    r"^(?:is|are) there (?P<number>(?:(?:exactly|only|just|more than|fewer than|less than|at least|at most) )?\w+|any|some) "
    r"(?P<some>.+?)(?: (?:visible|shown|to be seen))?$"
)


def there(asked: str, meaning: Meaning) -> Holds:
    """Return whether there are so many, from "are there ..."."""
    if (held := compared(asked, meaning)) is not None:
        return held

    verb, _, told = asked.partition(" there ")
    parts = [part for part in re.split(r",? and |, ", told) if is_number(_ONLY.sub("", part).partition(" ")[0])]
    if len(parts) > 1:
        return (
            _all([there(f"{verb} there {part}", meaning) for part in parts])
            if ", ".join(parts) == re.sub(r",? and ", ", ", told)
            else None
        )

    if not (found := _THERE.match(asked)):
        return None

    word = found["number"]
    allowed = (lambda count: count > 0) if word in ("a", "an", "any", "some") else number_of(word)
    some = meaning.several(found["some"])
    return None if allowed is None or some is None else allowed(len(some))


_HOW = (
    r"(?:(?:exactly|only|just|at least|at most|more than|fewer than|less than) )?(?:\w+ )?(?:more|fewer|less)"
    r"|(?:not |exactly |just )?(?:(?:exactly |more than |less than )?(?:twice|half|\w+ times) )?as many"
    r"|(?:exactly )?(?:the same|an equal|twice the|double the|half the) (?:number|amount) of"
)
_PAIRS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^(?:(?:is|are) there )?(?P<how>{_HOW}) (?P<some>.+?) (?:than|as|and) (?P<other>.+)$",
        r"^(?:do |does )?(?P<some>.+?) (?P<out>outnumbers?) (?P<other>.+)$",
        r"^(?:is )?the (?:number|count) of (?P<some>.+?) (?:is )?(?P<number>equal to|equals|the same as|as (?:large|high|great) as"
        r"|(?:greater|larger|higher|bigger|more|smaller|lower|less|fewer) than|twice|double|half|\w+ times) "
        r"(?:the (?:number|count) of |that of )?(?P<other>.+)$",
        r"^(?:are )?(?P<some>.+?) (?:are )?(?P<number>equal) in number (?:to|with) (?P<other>.+)$",
        r"^(?:is |are )?(?P<some>.+?) (?:is |are )?(?P<how>more|less) (?:numerous|common|frequent) than (?P<other>.+)$",
    )
)
_MANY = re.compile(r"(?P<than>more than |less than )?(?P<times>twice|double|half|\w+(?= times))")


def compared(text: str, meaning: Meaning) -> Holds:
    """Return whether two counts compare as a sentence or question says, such as "are there twice as many sheep as trees"."""
    for pattern in _PAIRS:
        if not (found := pattern.match(text)):
            continue

        groups = found.groupdict()
        some, other = meaning.several(groups["some"]), meaning.several(groups["other"])
        holds = _comparison(groups.get("how") or groups.get("number") or "more")
        if some is not None and other is not None and holds:
            return holds(len(some), len(other))

    return None


def _comparison(how: str) -> Callable[[int, int], bool] | None:
    """Return which pairs of counts words such as "twice as many" and "two more" allow; None where they are not understood."""
    how = re.sub(r"^(?:exactly|just) ", "", how)
    if found := re.match(
        r"(?:(?P<gap>.+) )?(?P<which>more|fewer|less|greater|larger|higher|bigger|smaller|lower)(?: than)?$", how
    ):
        is_more = found["which"] in ("more", "greater", "larger", "higher", "bigger")
        gap = (lambda count: count > 0) if found["gap"] in (None, "even") else number_of(found["gap"])
        return gap and (lambda some, other: gap(some - other if is_more else other - some))

    if how == "not as many":
        return lambda some, other: some < other

    if not (found := _MANY.match(how)):
        return lambda some, other: some == other

    word = found["times"]
    times = {"twice": 2.0, "double": 2.0, "half": 0.5}.get(word) or (
        int(NUMBERS.get(word, word)) if is_number(word) else 0
    )
    sign = {"more than ": 1, "less than ": -1, None: 0}[found["than"]]
    return (lambda some, other: ((some > times * other) - (some < times * other)) == sign) if times else None


_COMPARE = re.compile(
    r"^how (?:do|does) (?:the )?(?:numbers? of )?(?P<some>.+?) (?:and|compare (?:with|to)) (?:the )?(?:number of |that of )?(?P<other>.+?)"
    r"(?: compare)?(?: in number| in quantity)?$"
)
_SHORT = re.compile(rf"^(?:there (?:is|are) )?(?P<how>{_HOW})(?: of)? (?P<some>.+)$")
_EQUAL = re.compile(
    r"^(?:there (?:is|are) |they are |it is |the numbers are )?(?:equal|equally many|the same|as many)(?: numbers?"
    r"| in number)?(?: of (?:both|each))?$"
)


def how_compared(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """How the counts of two things compare; an option may leave out one of the two."""
    found = _COMPARE.match(asked)
    pair = [meaning.several(found[name]) for name in ("some", "other")] if found else [None]
    if None in pair:
        return None

    def holds(option: str) -> Holds:
        if _EQUAL.match(option):
            return len(pair[0]) == len(pair[1])

        if (held := compared(re.sub(r"^there (is|are) ", r"\1 there ", option), meaning)) is not None:
            return held

        short = _SHORT.match(option)
        some, how = (meaning.several(short["some"]), _comparison(short["how"])) if short else (None, None)
        if some not in pair or how is None:
            return None

        return how(len(some), len(pair[1 - pair.index(some)]))

    return Told(holds, f"the boxes count {len(pair[0])} and {len(pair[1])}")


_LISTED = re.compile(r"^(?:how many .+ and .+|which\b.* (?:how many|numbers? of|counts? of) .+)$")


def listed(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """How many there are of several things, where each option says it of all: "four mugs and two plates"."""
    if not _LISTED.match(asked) or place_in(asked):
        return None

    def holds(option: str) -> Holds:
        parts = [
            re.match(r"(?:there are )?(?P<number>\w+) (?P<some>.+)$", part)
            for part in re.split(r", and |, | and ", option)
        ]
        if len(parts) < 2 or not all(part and is_number(part["number"]) for part in parts):
            return None

        counts = [_count_of(part["some"], meaning) for part in parts]
        right = [
            count == int(NUMBERS.get(part["number"], part["number"]))
            for part, count in zip(parts, counts, strict=True)
        ]
        return None if None in counts else all(right)

    return Told(holds) if any(holds(option) is not None for option in options) else None


_SOME_ARE = re.compile(
    rf"^(?:is |are )?(?P<number>none|no|any|either|all|every|each|both|neither|(?:(?:exactly|only|just|at least"
    rf"|at most) )?\w+)(?: one)?(?: of)?(?: the| these)? "
    rf"(?P<some>.+?) (?:{STANDS} )?(?P<rest>.+)$"
)


def some_are(text: str, meaning: Meaning) -> Holds:
    """Return whether so many of some things stand somewhere, from "none of the dogs is to the left of the car"."""
    found = _SOME_ARE.match(text)
    if not found or not (start := place_in(text)):
        return None

    before = re.sub(rf"(?: {STANDS})?$", "", text[:start].rstrip())
    name = before[found.start("some") :]
    some = meaning.several(name) if name else None
    held = standing(some, text[start:], meaning) if some else None
    if held is None:
        return None

    number = found["number"]
    if number in ("none", "no", "neither"):
        return not held

    if number in ("any", "either"):
        return bool(held)

    if number in ("all", "every", "each", "both"):
        return len(held) == len(some)

    allowed = number_of("one" if number == "some" else number)
    if not allowed or allowed(len(held)) or re.match(r"exactly|only|just|at (?:least|most)", number):
        return allowed(len(held)) if allowed else None

    return None if any(map(allowed, range(len(held)))) else False  # of three, "two are" may be said, too
