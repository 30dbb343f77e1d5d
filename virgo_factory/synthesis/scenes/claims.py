"""What a question states of counts and places, held against the boxes. Pure.

A third of what writers ask is how many there are and how things stand to each other, and that can be computed. Only whole
questions of known forms are judged, and nothing is said where one word of them is not understood or a box is within the
margins of `facts`: what is kept wrongly meets the votes later, what is dropped wrongly is lost.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from virgo_factory.synthesis.scenes.english import RELATION, Meaning, holding, is_number, number_of, plain
from virgo_factory.synthesis.scenes.facts import Holds, is_extreme, overlaps
from virgo_factory.synthesis.scenes.places import holds_at
from virgo_factory.synthesis.words import LETTERS, Question, Scene, SceneObject


PICTURE = r"(?:picture|image|scene|photo|photograph|view|frame)"
_WHERE = rf"(?:in|within|across|throughout|from|of|on) (?:this|the) (?:whole |entire )?{PICTURE}"
_LOOK = r"(?:looking|seen|viewed|if you look|when (?:you|one) looks?)"
_LEAD = re.compile(
    rf"^(?:(?:{_LOOK} (?:closely |carefully )?at|based on|judging by|according to) (?:this|the) {PICTURE}"
    rf"(?: (?:closely|carefully|again))?,?|{_WHERE},?|{_LOOK} (?:very )?(?:closely|carefully|again),|(?:overall|in total),"
    r"|(?:on|at|upon) (?:a )?closer (?:look|inspection),) "
)
_TAIL = re.compile(rf"(?<!largest)(?<!biggest)(?<!smallest) (?:{_WHERE}|altogether|in total|in all|overall|at all)$")


@dataclass(frozen=True)
class _Told:
    """What a form of question makes of the options.

    Attributes:
        holds: whether an option holds.
        said: what the boxes say where the answer does not hold.
        is_clear: whether an option that is not the answer holds so clearly that there are two answers.
    """

    holds: Callable[[str], Holds]
    said: str = ""
    is_clear: Callable[[str], Holds] | None = None


def contradiction(question: Question, scene: Scene) -> str | None:
    """Return what the boxes say against a question, or None where they say nothing or agree.

    Against it is that its answer is wrong, and that another option is right too.

    Args:
        question: its options may be in any order.
        scene: that it is about.
    """
    if not scene.objects:
        return None

    meaning = Meaning(scene)
    asked = _asked(question.question)
    options = [plain(option) for option in question.options]
    for form in _FORMS:
        if told := form(asked, options, meaning):
            return _judged(told, options, LETTERS.index(question.answer), question)

    return None


_AMONG = re.compile(
    r"^(?:of|among|out of) (?P<some>.+), (?P<which>which|what)(?: (?:one|thing|shape|object))? (?P<rest>(?:is|are|stands?|lies?) .+)$"
)
_COUNT_THEM = re.compile(
    r"^count (?:all )?(?:of )?(?:the )?(?P<some>[\w -]+?)(?:[:;,.]| and (?:say|tell)(?: me)?) how many (?:of them )?(?P<rest>.+)$"
)


def _asked(text: str) -> str:
    """A question without what stands around it, and with what it is about behind its first words."""
    text = plain(text)
    while (shorter := _LEAD.sub("", text)) != text:
        text = shorter

    text = _AMONG.sub(r"\g<which> of \g<some> \g<rest>", text)
    text = _COUNT_THEM.sub(r"how many \g<some> \g<rest>", text)
    while (shorter := _TAIL.sub("", text)) != text:
        text = shorter

    return text


def _judged(told: _Told, options: Sequence[str], gold: int, question: Question) -> str | None:
    if told.holds(options[gold]) is False:
        return told.said or f"by the boxes the answer does not hold: {question.gold}"

    holds = told.is_clear or told.holds
    for number, option in enumerate(options):
        if number != gold and holds(option) is True:
            return f"by the boxes another option is right too: {question.options[number]}"

    return None


# counts

_ASKS = r"(?:how many|what is the (?:total |exact )?(?:number|count) of|what number of|count (?:all )?the)"
_SEEN = (
    r"(?:(?:are|is) (?:there|visible|shown|present|seen|pictured|depicted|drawn)(?: (?:exactly|to be seen))?|appear|"
    r"can (?:be (?:seen|found|spotted|counted|made out)|(?:you|one|we) (?:see|count|spot|find))|(?:do|can) (?:you|we) (?:see|count)|"
    rf"does (?:the {PICTURE}|it) (?:show|contain|have))"
)
_COUNT = re.compile(rf"^{_ASKS} (?P<some>.+?)(?: {_SEEN})?$")
_STANDS = (
    r"(?:(?:is|are|was|were)(?: (?:located|placed|positioned|situated|found|standing|lying|sitting|visible|there|shown))?|"
    r"stands?|lies|lie|sits?|appears?|can be (?:seen|found))"
)
_COUNT_THERE = re.compile(rf"^{_ASKS} (?P<some>.+?) {_STANDS} (?P<rest>.+)$")
_MORE = re.compile(
    rf"^how many (?P<which>more|fewer|less) (?P<some>.+?) (?:{_SEEN} )?than (?P<other>.+?)(?: {_SEEN})?$"
)


def _counted(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """How many of something there are, or stand somewhere, or look so."""
    some = None
    if (found := _COUNT.match(asked)) and not found["some"].startswith(("more ", "fewer ", "less ", "other ")):
        some = meaning.several(found["some"])

    if some is None and (found := _COUNT_THERE.match(asked)):
        some = _that_are(meaning.several(found["some"]), found["rest"], meaning)

    return None if some is None else _Told(_is_count(len(some)), f"the boxes count {len(some)}")


def _that_are(some: list[SceneObject] | None, rest: str, meaning: Meaning) -> list[SceneObject] | None:
    """Return those of some objects that a predicate is true of."""
    if some is None:
        return None

    if found := RELATION.match(rest):
        other = meaning.one(rest[found.end() :].strip())
        return None if other is None else holding(some, found.lastgroup, other)

    return meaning.looks(some, rest)


def _is_count(count: int) -> Callable[[str], Holds]:
    def holds(option: str) -> Holds:
        allowed = number_of(option)
        return None if allowed is None else allowed(count)

    return holds


def _by_how_many(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """By how many there are more of one thing than of another."""
    found = _MORE.match(asked)
    some, other = (meaning.several(found[name]) for name in ("some", "other")) if found else (None, None)
    if some is None or other is None:
        return None

    gap = len(some) - len(other) if found["which"] == "more" else len(other) - len(some)
    return _Told(_is_count(gap), f"the boxes count {len(some)} and {len(other)}") if gap >= 0 else None


_MOST = re.compile(
    r"^(?:which|what)(?: (?:one )?of (?:these|the following|them))?(?: (?:kind|type|sort) of)?(?: (?:shape|object|thing|item))?s? "
    r"(?:are there (?:the )?(?P<there>most|fewest|least) of|(?:is|are) (?:the )?(?P<common>most|least) (?:common|frequent|numerous)|"
    r"(?:occurs?|appears?) (?:the )?(?:most often|most))$"
)
_TIMES = re.compile(
    r"^(?:which|what|of which|of what)(?: (?:one )?of (?:these|the following|them))?(?: (?:kind|type|sort) of)?(?: (?:shape|object|thing|item))?s? "
    r"(?:(?:are|is) there (?P<there>.+?)(?: of)?|(?:occurs?|appears?) (?P<often>.+))$"
)
_OFTEN = {"once": 1, "twice": 2}


def _most(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
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

        return _Told(holds, f"the boxes count {_told(counts)}")

    found = _TIMES.match(asked)
    number = re.sub(r" times$", "", found["there"] or found["often"]) if found else ""
    number = re.sub(r"\b(?:once|twice)$", lambda word: str(_OFTEN[word.group()]), number)
    if not is_number(number.rpartition(" ")[2]) or (allowed := number_of(number)) is None:
        return None

    return _Told(
        lambda option: None if counts[option] is None else allowed(counts[option]), f"the boxes count {_told(counts)}"
    )


def _count_of(option: str, meaning: Meaning) -> int | None:
    some = meaning.several(option)
    return None if some is None else len(some)


def _told(counts: dict[str, int | None]) -> str:
    return ", ".join(f"{count} {option}" for option, count in counts.items() if count is not None)


# yes or no, and statements

_THERE = re.compile(
    r"^(?:is|are) there (?P<number>(?:(?:exactly|only|just|more than|fewer than|less than|at least|at most) )?\w+|any|some) "
    r"(?P<some>.+?)(?: (?:visible|shown|to be seen))?$"
)
_THERE_MORE = re.compile(
    r"^(?:is|are) there (?P<which>more|fewer|less|as many) (?P<some>.+?) (?:than|as) (?P<other>.+)$"
)
_IS = re.compile(r"^(?:is|are|does|do|can) (?P<told>.+)$")
_STATEMENT = re.compile(
    r"^(?:which|what)(?: (?:one )?of (?:these|the following|them|the four))?(?: (?:statement|sentence|claim|description|option)s?)?"
    r"(?: (?:about|on|of|describing) (?:the )?.+?)? (?:is|are|holds?) "
    r"(?P<not>not |in)?(?P<true>true|correct|right|accurate|false|wrong|untrue)(?: (?:of|about) (?P<one>.+))?$"
)
_YES = re.compile(r"(yes|no)(?:[,;:]|$| (?:it|there|they|the|that) )")
_STATES_COUNT = re.compile(r"^there (?P<rest>(?:is|are) .+)$")


def _yes_or_no(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """Whether there are so many, or something stands somewhere; the options begin with yes or no."""
    if not any(re.match(r"(?:yes|no)\b", option) for option in options):
        return None

    found = _IS.match(asked)
    held = _is_so(asked, found["told"], meaning) if found else None
    if held is None:
        return None

    def holds(option: str) -> Holds:
        word = _YES.match(option)
        return None if not word else (word[1] == "yes") == held

    return _Told(holds, f"by the boxes the answer is {'yes' if held else 'no'}", lambda option: None)


def _is_so(asked: str, told: str, meaning: Meaning) -> Holds:
    """Return whether a question that can be answered with yes is to be."""
    if re.match(r"(?:is|are) there ", asked):
        return _there(asked, meaning)

    found = RELATION.search(told)
    if not found or not found.start():
        return None

    before = told[: found.start()].strip()
    before = re.sub(
        r" (?:stand|lie|sit|appear|be found|located|placed|positioned|standing|lying|farther|further)$", "", before
    )
    is_not = before.endswith(" not")
    one = meaning.one(before.removesuffix(" not"))
    held = holds_at(told[found.start() :], one, meaning) if one else None
    return held if held is None else held != is_not


def _there(asked: str, meaning: Meaning) -> Holds:
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


def _stated(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """Which of several statements is true, or which is false."""
    found = _STATEMENT.match(asked)
    if not found:
        return None

    is_not = bool(found["not"]) != (found["true"] in ("false", "wrong", "untrue"))
    subject = meaning.one(found["one"]) if found["one"] else None

    def holds(option: str) -> Holds:
        held = _is_true(option, subject, meaning)
        return held if held is None else held != is_not

    return _Told(holds)


def _is_true(text: str, subject: SceneObject | None, meaning: Meaning) -> Holds:
    """Return whether a sentence is true."""
    if found := _STATES_COUNT.match(text):
        verb, _, rest = found["rest"].partition(" ")
        return _there(f"{verb} there {rest}", meaning)

    found = RELATION.search(text)
    if not found:
        return None

    before = re.sub(rf" ?(?:{_STANDS})?(?P<not> not)?(?: farther| further)?$", "", text[: found.start()].rstrip())
    is_not = bool(re.search(r" not$", text[: found.start()].rstrip()))
    one = subject if before in ("it", "") else meaning.one(before)
    held = holds_at(text[found.start() :], one, meaning) if one else None
    return held if held is None else held != is_not


# places

_RELATED = re.compile(rf"^(?:which|what)\b(?P<who>.*?) {_STANDS}(?: the one)?(?: that is)? (?P<rest>.+)$")
_ENDS = {
    "leftmost": r"(?:the )?(?:farthest|furthest)(?: to the)? left|(?:the )?left-?most|(?:the )?(?:closest|nearest) to the left (?:edge|side|border)|the first from the left",
    "rightmost": r"(?:the )?(?:farthest|furthest)(?: to the)? right|(?:the )?right-?most|(?:the )?(?:closest|nearest) to the right (?:edge|side|border)|the first from the right",
    "topmost": r"(?:the )?(?:highest|farthest|furthest)(?: up)?|(?:the )?(?:top-?most|uppermost)|(?:the )?(?:closest|nearest) to the top(?: edge)?",
    "lowest": r"(?:the )?lowest(?: down)?|(?:the )?(?:farthest|furthest) down|(?:the )?(?:bottom-?most|lowermost)|(?:the )?(?:closest|nearest) to the bottom(?: edge)?",
    "largest": r"(?:the )?(?:largest|biggest) in the picture",
    "smallest": r"(?:the )?smallest in the picture",
}
"""Extreme of facts.EXTREMES -> how English says it; sizes only where those in the picture are meant, since a near cup is
larger there than a far bus."""

_END = re.compile("^(?:" + "|".join(f"(?P<{which}>{words})" for which, words in _ENDS.items()) + ")$")
_TAKES = re.compile(r"^(?:which|what)\b.* takes up the (?P<which>most|least) (?:room|space|area)$")


def _ended(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """Which of the options is at an end."""
    which = ""
    if found := _TAKES.match(asked):
        which = "largest" if found["which"] == "most" else "smallest"
    elif (found := _RELATED.match(asked)) and (end := _END.match(found["rest"])):
        which = end.lastgroup

    if not which:
        return None

    things = {option: meaning.one(option) for option in options}
    known = [one for one in things.values() if one]

    def holds(option: str) -> Holds:
        one = things[option]
        held = is_extreme(which, one, known) if one else None
        return held if len(known) == len(options) or held is False else None

    best = next((option for option in options if holds(option)), None)
    return _Told(holds, f"by the boxes the {which} is {best}" if best else "")


def _related(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """Which of the options stands somewhere."""
    found = _RELATED.match(asked)
    if not found or not RELATION.match(found["rest"]):
        return None

    def holds(option: str, is_clear: bool = False) -> Holds:
        one = meaning.one(option)
        return holds_at(found["rest"], one, meaning, is_clear=is_clear) if one else None

    is_of_tag = found["rest"][
        -1
    ].isdigit()  # who names a tag goes by its box; who names a thing, by what people would say
    return _Told(holds, is_clear=lambda option: holds(option, not is_of_tag))


_COVERS = re.compile(
    r"^(?:which|what)\b.*? (?:covers?|overlaps?(?: with)?|hides?|is (?:partly |partially )?(?:covered|hidden|overlapped) by) "
    r"(?:(?:a )?(?:small |large )?part of |some of )?(?P<other>.+)$"
)


def _covering(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """Which of the options covers something: none whose box lies apart. That boxes overlap is no proof that things do."""
    found = _COVERS.match(asked)
    other = meaning.one(found["other"]) if found else None
    if other is None:
        return None

    def holds(option: str) -> Holds:
        one = meaning.one(option)
        return False if one and one is not other and overlaps(one, other) is False else None

    return _Told(holds, f"by the boxes it lies apart from {other.tag}")


_TO = r"(?:in relation (?:to|with)|relative to|compared (?:to|with)|with respect to|as seen from|from|to)"
_STAND = r"(?: (?:stand|lie|sit|be|located|placed|positioned|situated|standing|found))?"
_DIRECTED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^(?:on|to|at) (?:which|what) side of (?P<other>.+?) (?:is|are|does|do|can) (?P<one>.+?){_STAND}$",
        rf"^in (?:which|what) direction (?:from|of|{_TO}) (?P<other>.+?) (?:is|are|does|do) (?P<one>.+?){_STAND}$",
        rf"^what is the (?:position|place|location) of (?P<one>.+?) {_TO} (?P<other>.+)$",
        r"^what is the (?:spatial )?relation(?:ship)? (?:between|of) (?P<one>.+?) (?:and|to) (?P<other>.+)$",
        rf"^(?:is|are|does|do) (?P<one>.+?){_STAND} (?:(?:to|on) the )?(?:left|right|above|below|higher|lower)\b.* or "
        r"(?:(?:to|on) the )?(?:left|right|above|below|higher|lower)(?: side)?(?: of| than)? (?P<other>.+)$",
    )
)
_WHERE_TO = re.compile(r"^(?:where|how) (?:is|are|does|do) (?P<rest>.+)$")
_BETWEEN = re.compile(rf"{_STAND} {_TO} ")
_PLACED = re.compile(rf"^where(?: {_WHERE})? (?:is|are|does|do|can) (?P<one>.+?){_STAND}$")
_PART = re.compile(
    r"^in (?:which|what) (?:part|half|corner|quarter|area|region|side)(?: of the \w+)? (?:is|are|does|do|can) "
    rf"(?P<one>.+?){_STAND}$"
)


def _directed(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """How one thing stands to another."""
    pairs = [(found["one"], found["other"]) for pattern in _DIRECTED if (found := pattern.match(asked))]
    if found := _WHERE_TO.match(asked):
        rest = found["rest"]
        pairs += [(rest[: cut.start()], rest[cut.end() :]) for cut in _BETWEEN.finditer(rest)]

    for names in pairs:
        one, other = (meaning.one(name.strip()) for name in names)
        if one and other and one is not other:
            return _of_places(one, other, meaning)

    return None


def _placed(asked: str, options: Sequence[str], meaning: Meaning) -> _Told | None:
    """Where one thing stands, in the picture or by something."""
    found = _PLACED.match(asked) or _PART.match(asked)
    one = meaning.one(found["one"]) if found else None
    return _of_places(one, None, meaning) if one else None


def _of_places(one: SceneObject, other: SceneObject | None, meaning: Meaning) -> _Told:
    def holds(option: str) -> Holds:
        return holds_at(_without(option, one), one, meaning, other)

    def is_clear(option: str) -> Holds:
        return holds_at(_without(option, one), one, meaning, other, is_clear=True)

    return _Told(holds, is_clear=is_clear)


def _without(option: str, one: SceneObject) -> str:
    """Return an option without its subject and verb."""
    return re.sub(rf"^(?:(?:it|(?:the )?{re.escape(one.tag.lower())}) )?(?:{_STANDS} )?", "", option)


_FORMS = (_by_how_many, _counted, _yes_or_no, _stated, _most, _ended, _covering, _related, _directed, _placed)
"""Forms of question -> what the options are to be; the first that understands a question judges it."""
