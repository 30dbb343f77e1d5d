"""Questions of number: how many there are, how many more, of which there are most; and whether there are so many. Pure."""

import re
from collections.abc import Callable, Sequence

from virgo_factory.synthesis.scenes.english import Meaning, is_number, number_of
from virgo_factory.synthesis.scenes.facts import Holds
from virgo_factory.synthesis.scenes.forms import PICTURE, STANDS, Told
from virgo_factory.synthesis.scenes.places import is_place, standing
from virgo_factory.synthesis.words import SceneObject


_ASKS = r"(?:how many|what is the (?:total |exact )?(?:number|count) of|what number of|count (?:all )?the)"
_SEEN = (
    r"(?:(?:are|is) there(?: (?:exactly|to be seen|visible))?|"
    r"(?:(?:are|is) )?(?:visible|shown|present|seen|pictured|depicted|drawn|in view|in sight|on display)|appear|"
    r"can be (?:seen|found|spotted|counted|made out)|(?:do|can|would|could) (?:you|one|we) (?:see|count|spot|find|make out|notice)|"
    rf"does (?:(?:the|this) {PICTURE}|it) (?:show|contain|have|hold|depict|include))"
)
_COUNT = re.compile(rf"^{_ASKS} (?P<some>.+?)(?: {_SEEN})?$")
_COUNT_THERE = re.compile(
    rf"^{_ASKS} (?P<some>.+?) (?:{STANDS}|(?:can|do) (?:you|one|we) (?:see|count)) (?P<rest>.+)$"
)
_MORE = re.compile(
    rf"^how many (?P<which>more|fewer|less) (?P<some>.+?) (?:{_SEEN} )?than (?P<other>.+?)(?: {_SEEN})?$"
)


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
    """By how many there are more of one thing than of another."""
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
    r"^(?:which|what)(?: (?:one )?of (?:these|the following|them))?(?: (?:kind|type|sort) of)?(?: (?:shape|object|thing|item|group))?s? "
    r"(?:are there (?:the )?(?P<there>most|fewest|least) of|(?:is|are) (?:the )?(?P<common>most|least) (?:common|frequent|numerous)|(?:is|are) (?:larger|greater|more) in number|(?:is|are) more (?:common|frequent|numerous)|(?:are|is) there more of|"
    r"(?:occurs?|appears?) (?:the )?(?:most often|most))$"
)
_TIMES = re.compile(
    r"^(?:which|what|of which|of what)(?: (?:one )?of (?:these|the following|them))?(?: (?:kind|type|sort) of)?(?: (?:shape|object|thing|item))?s? "
    r"(?:(?:are|is) there (?P<there>.+?)(?: of)?|(?:occurs?|appears?) (?P<often>.+))$"
)
_OFTEN = {"once": 1, "twice": 2}


def most(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Of which of the options there are most or fewest, or so many."""
    counts = {option: _count_of(option, meaning) for option in options}
    if found := _MOST.match(asked):
        is_fewest = (found["there"] or found["common"]) in ("fewest", "least")

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


_THERE = re.compile(
    r"^(?:is|are) there (?P<number>(?:(?:exactly|only|just|more than|fewer than|less than|at least|at most) )?\w+|any|some) "
    r"(?P<some>.+?)(?: (?:visible|shown|to be seen))?$"
)
_THERE_MORE = re.compile(
    r"^(?:is|are) there (?P<which>more|fewer|less|as many) (?P<some>.+?) (?:than|as) (?P<other>.+)$"
)


def there(asked: str, meaning: Meaning) -> Holds:
    """Return whether there are so many, from "are there ..."."""
    if found := _THERE_MORE.match(asked):
        some, other = meaning.several(found["some"]), meaning.several(found["other"])
        if some is None or other is None:
            return None

        gap = len(some) - len(other)
        return {"more": gap > 0, "as many": gap == 0}.get(found["which"], gap < 0)

    if not (found := _THERE.match(asked)):
        return None

    word = found["number"]
    allowed = (lambda count: count > 0) if word in ("a", "an", "any", "some") else number_of(word)
    some = meaning.several(found["some"])
    return None if allowed is None or some is None else allowed(len(some))
