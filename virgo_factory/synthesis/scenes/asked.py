"""What questions ask for, in tokens: how many, which, where, whether; and which options hold by the boxes. Pure.

Each form takes the tokens of a question and of its options, and returns None for another question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from virgo_factory.synthesis.scenes.clauses import (
    all_hold,
    compared,
    holds_at,
    is_all,
    is_few,
    is_true,
    kinds,
    nth,
    ordinal,
    short,
    standing,
    union,
)
from virgo_factory.synthesis.scenes.english import GENERIC, Meaning, number_of, singular
from virgo_factory.synthesis.scenes.facts import RELATIONS, Holds, is_extreme, overlaps
from virgo_factory.synthesis.scenes.sentences import Token, tokens_of
from virgo_factory.synthesis.words import SceneObject


@dataclass(frozen=True)
class Asked:
    """What the boxes make of the options of a question.

    Attributes:
        holds: whether an option holds.
        said: what the boxes say where the answer does not hold.
        is_clear: whether an option that is not the answer holds so clearly that there are two answers.
    """

    holds: Callable[[str], Holds]
    said: str = ""
    is_clear: Callable[[str], Holds] | None = None


_LEAD = re.compile(r"(?:in|on|at|within|across|looking at|inside) [a-z -]+, ")
"""What a question of place may begin with; it changes how many there are."""
Options = Mapping[str, list[Token] | None]
_YES = re.compile(r"(yes|no|true|false)(?:[,;:]|$| (?:it|there|they|the|that) )")
_SAID = re.compile(
    r"(?:true or false|is (?:it|this|that)(?: statement| claim)? (?:true|correct|right|(?P<false>false|wrong))(?: or (?:false|wrong|not))?)[:,;?.]?"
)
_FALSE = re.compile(r"\b(?:false|wrong|untrue|incorrect|not (?:true|correct|accurate|right))\b")


def asked_for(question: str, options: Sequence[str], meaning: Meaning) -> Asked | None:
    """Return what the boxes make of the options of a question; None where it is not understood. All texts are plain."""
    if any(_YES.match(option) for option in options):
        return _whether(question, meaning)

    tokens = tokens_of(question, meaning)
    if not tokens and (lead := _LEAD.match(question)):
        tokens = tokens_of(question[lead.end() :], meaning)
        tokens = None if set(kinds(tokens or ())) & set("QLMYN") else tokens

    if not tokens:
        return None

    read = {option: _read(option, tokens, meaning) for option in options}
    if re.search("Y", kinds(tokens)) and "X" not in kinds(tokens):
        return _stated(question, tokens, read, meaning)

    tokens = short((token for token in tokens if token.kind not in "HY"), "dT")
    tokens = [
        token
        for token, after in zip(tokens, [*tokens[1:], None], strict=False)
        if token.kind != "&" or after and after.kind not in "QWX"
    ]
    return next((asked for form in _FORMS if (asked := form(tokens, read, meaning))), None)


def _read(option: str, asked: Sequence[Token], meaning: Meaning) -> list[Token]:
    """The tokens of an option; "the red one" as one of the things that are asked about."""
    read = short(tokens_of(option, meaning) or ())
    group = [token for token in asked if token.kind == "T" and len(token.some or ()) > 1]
    if re.fullmatch("l+N?", kinds(read)) and len(group) == 1:
        return [
            replace(group[0], some=meaning.looking(group[0].some, [token.text for token in read if token.kind == "l"]))
        ]

    return read


def _whether(question: str, meaning: Meaning) -> Asked | None:
    """Whether there are so many, or something stands somewhere; the options begin with yes or no."""
    said = _SAID.search(question)
    tokens = tokens_of(_SAID.sub("", question).strip(" ,.:;"), meaning)
    held = is_true(tokens, meaning) if tokens else None
    if held is None:
        return None

    held = held != bool(said and said["false"])

    def holds(option: str) -> Holds:
        word = _YES.match(option)
        return (word[1] in ("yes", "true")) == held if word else None

    return Asked(holds, f"by the boxes the answer is {'yes' if held else 'no'}", lambda option: None)


def _stated(question: str, tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked:
    """Which of several statements is true, or which is false."""
    things = [token for token in short(tokens) if token.kind == "T"]
    subject, is_not = things[0] if len(things) == 1 else None, bool(_FALSE.search(question))

    def holds(option: str) -> Holds:
        held = is_true(options[option], meaning, subject)
        return held if held is None else held != is_not

    return Asked(holds)


# numbers


def _numbers(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """How many there are, stand somewhere or look so; how many more; how many times as many."""
    tokens = short(token for token in tokens if token.kind != "W")
    tokens = [
        token
        for number, token in enumerate(tokens)
        if token.kind != "D" or number and tokens[number - 1].kind in "Rb" or not is_all(token)
    ]
    form = kinds(tokens)
    some: Sequence[SceneObject] | None
    if found := re.fullmatch(
        r"(?:QM(?P<some>T(?:&T)*)|qT|Q?GQ?T&?Q?|Q(?=TOT)TO)(?P<other>T(?:&T)*)|F(?P<than>T)&?QM(?P<more>T)", form
    ):
        cut = found.start("more") if found["more"] else found.start("other")
        some, other = union(tokens[:cut]), union(tokens[cut:])
        if some is None or other is None:
            return None

        count, other_count = (len(other), len(some)) if found["more"] else (len(some), len(other))
        if "q" in form:
            gap = count // other_count if other_count and not count % other_count else -1
        else:
            word = next((token for token in tokens if token.kind == "M"), None)
            gap = (
                abs(count - other_count)
                if "G" in form
                else (other_count - count if word and is_few(word) else count - other_count)
            )

        return _counted(gap, f"the boxes count {count} and {other_count}") if gap >= 0 else None

    if found := re.fullmatch(r"Q(?P<some>T(?:&T)*)(?P<looks>l+)?|(?P<these>T(?:&T)*)&?QI?", form):
        some = union(tokens)
        if found["looks"] and some is not None:
            some = meaning.looking(some, [token.text for token in tokens if token.kind == "l"])
    elif found := re.fullmatch(
        r"Q(?P<some>T(?:&T)*)V?(?P<place>[~abRSE].*)|(?P<first>[~abRSE].*?)&?Q(?P<these>T(?:&T)*)", form
    ):
        named, place = ("some", "place") if found["some"] else ("these", "first")
        some = union(tokens[found.start(named) : found.end(named)])
        if tokens[-1].text in ("left", "right"):  # "how many are left"
            return None

        some = some and standing(some, tokens[found.start(place) : found.end(place)], meaning)
    else:
        return None

    return None if some is None else _counted(len(some), f"the boxes count {len(some)}")


def _counted(count: int, said: str) -> Asked:
    def holds(option: str) -> Holds:
        allowed = number_of(option)
        return None if allowed is None else allowed(count)

    return Asked(holds, said)


def _listed(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """How many there are of several things, where each option says it of all: "four mugs and two plates"."""
    if not re.fullmatch("QT(?:&?QT|&T)+", kinds(tokens)) or not all(
        read and re.match("H?NT&NT", kinds(read)) for read in list(options.values())[:2]
    ):
        return None

    return Asked(lambda option: is_true(options[option], meaning))


def _how_compared(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """How the counts of two things compare; an option may leave out one of the two."""
    things = [token for token in tokens if token.kind == "T"]
    if not re.fullmatch("XQ?T(?:U|&)Q?TU?", kinds(tokens)) or "U" not in kinds(tokens) or union(things) is None:
        return None

    def holds(option: str) -> Holds:
        read = options[option]
        if (held := is_true(read, meaning)) is not None:
            return held

        word = next((token for token in read if token.kind in "MAL"), None)
        if not word or not re.fullmatch("H?I?N?[MAL]T?", kinds(read)) or word.kind != "A" and read[-1].kind != "T":
            return None

        names = [thing for thing in things if thing.some == read[-1].some] or things[:1]
        some, other = names[0].some, next(thing for thing in things if thing is not names[0]).some
        return compared(word, len(some), len(other), next((token for token in read if token.kind == "N"), None))

    return Asked(holds, "the boxes count " + " and ".join(str(len(thing.some)) for thing in things))


def _most(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Of which of the options there are most or fewest, or so many."""
    form = kinds(tokens)
    counts = {option: _count_in(read) for option, read in options.items()}
    said = "the boxes count " + ", ".join(f"{count} {option}" for option, count in counts.items() if count is not None)
    if re.fullmatch(r"W[cT]?N|WNT", form):
        number = next(token for token in tokens if token.kind == "N")
        allowed = number_of(re.sub(r" (?:of|times)\b.*$", "", number.text))
        is_open = all(is_generic(token) for token in tokens if token.kind == "T")
        return (
            Asked(lambda option: None if counts[option] is None else allowed(counts[option]), said)
            if allowed and is_open
            else None
        )

    if not re.fullmatch(r"W?[cT]?(?:LT?&?(?:T\|T)?|&?(?:T\|T)?L)|MT\|M?T|W?M&?T\|T", form):
        return None

    word = next(token for token in tokens if token.kind in "LM")

    def holds(option: str) -> Holds:
        mine, others = counts[option], [count for other, count in counts.items() if other != option]
        if mine is None:
            return None

        beats = [None if other is None else other != mine and (other < mine) != is_few(word) for other in others]
        loses = [other is not None and other != mine and (other > mine) != is_few(word) for other in others]
        return False if any(loses) else True if all(beats) else None

    return Asked(holds, said)


def _count_in(read: Sequence[Token]) -> int | None:
    """How many of something there are, from an option such as "more cups"."""
    some = union(read) if re.fullmatch("H?[ML]?T", kinds(read)) else None
    return None if some is None else len(some)


def is_generic(token: Token) -> bool:
    """Return whether a thing may be any."""
    return singular(token.text) in GENERIC


# places


def _where(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Where one thing stands, in the picture or by another."""
    form = kinds(tokens)
    if either := re.search(r"[RS](?P<it>I?)\|(?P<rest>[RS]I?)|(?P<far>R)(?P<it2>T)\|[RS]I?", form):
        tokens = [token for token in tokens if token.kind in "TVFo"]
        form = kinds(tokens)
    elif "X" not in form:
        return None

    tokens = [token for token in short(tokens) if token.kind not in "V&WYo" and not (token.kind == "S" and either)]
    form = kinds(tokens)
    if not re.fullmatch("X?T|XFT|[XFT]*", form) or not 1 <= form.count("T") <= 2 or form.count("X") > 1:
        return None

    things = [token for token in tokens if token.kind == "T"]
    if len(things) == 1 and any("direction" in token.text for token in tokens):  # that it moves, looks or points in
        return None

    if len(things) == 2 and re.search("FT", form):
        target = tokens[form.index("FT") + 1]
        things = [next(token for token in things if token is not target), target]

    if any(thing.one is None for thing in things) or len({thing.one.tag for thing in things}) < len(things):
        return None

    one, other = things[0].one, things[1].one if len(things) > 1 else None

    def holds(option: str, is_clear: bool = False) -> Holds:
        read = [
            Token("I", "it") if token.kind == "T" and token.one is None and other in (token.some or ()) else token
            for token in options[option]
            if token.kind != "V"
        ]
        while read and read[0].kind in "IH" and len(read) > 1:
            read = read[1:]

        if len(read) > 1 and read[0].kind == "T" and read[0].one:
            subject = read[0].one
            return holds_at(read[1:], subject, meaning, one if subject is other else other, is_clear)

        return holds_at(read, one, meaning, other, is_clear)

    return Asked(holds, is_clear=lambda option: holds(option, True))


def _ordered(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """In which order things stand, and which is the second from a side."""
    start = next((token for token in tokens if token.kind == "f"), None)
    letters = set(kinds(tokens))
    if not start or not letters <= set("WXZfToTc&|V"):
        return None

    comes_before = RELATIONS[start.means]
    if "Z" in letters:

        def in_order(option: str) -> Holds:
            row = [token.one for token in options[option] if token.kind == "T"]
            if len(row) < 2 or None in row or not set(kinds(options[option])) <= set("T&"):
                return None

            return all_hold([comes_before(one, other) for one, other in zip(row, row[1:], strict=False)])

        return Asked(in_order)

    some = [token for token in tokens if token.kind == "T"]
    place = next((token for token in tokens if token.kind == "o"), None)
    wanted = nth(some[0].some, ordinal(place), start.means) if place and len(some) == 1 and some[0].some else None
    return Asked(lambda option: _is(options[option], wanted), f"by the boxes it is {wanted.tag}") if wanted else None


def _is(read: Sequence[Token], wanted: SceneObject) -> Holds:
    one = _one(read)
    return None if one is None else one is wanted


def _one(read: Sequence[Token]) -> SceneObject | None:
    """The one thing that an option names."""
    return read[0].one if kinds(read) == "T" else None


_LIST = r"T(?:[&|]+T)*"


def _ended(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Which of the options is at an end."""
    form = kinds(tokens)
    named = [token for token in tokens if token.kind == "T" and not is_generic(token)]
    pair = re.fullmatch("WTV?S", form)
    if pair and len(named) == 1 and len(named[0].some or ()) == 2:
        which = {"left": "leftmost", "right": "rightmost"}.get(
            next(iter(re.findall("left|right|top|bottom|upper|lower", tokens[-1].text))), ""
        )
    elif re.fullmatch(rf"(?:{_LIST}&?)?W(?:c|{_LIST})?V?E(?:c|{_LIST})?(?:&?{_LIST})?", form):
        which = next(token.means for token in tokens if token.kind == "E")
    else:
        which = ""

    if not which:
        return None

    things = {option: _one(read) for option, read in options.items()}
    known = [one for one in things.values() if one]
    group = [one for token in named for one in token.some or ()]

    def holds(option: str) -> Holds:
        one = things[option]
        if one is None or group and one not in group:
            return None

        among = {other.tag: other for other in [*known, *group] if not group or other in group}
        held = is_extreme(which, one, list(among.values()))
        return held if len(known) == len(options) or group or held is False else None

    best = next((option for option in options if holds(option)), None)
    return Asked(holds, f"by the boxes the {which} is {best}" if best else "")


def _related(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Which of the options stands somewhere, or covers something, or is what something stands by."""
    tokens = [token for token in tokens if token.kind != "f"]
    tokens = tokens[:-1] if tokens and tokens[-1].kind == "&" else tokens
    form = kinds(tokens)
    if listed := re.search(r"(?<=[TS])&?T(?:&T)*&?\|T$", form):
        tokens = tokens[: listed.start()]
        form = form[: listed.start()]

    if found := re.fullmatch("(?:W?TV?b|bTV?|TV?RW)", form):
        subject = next(token for token in tokens if token.kind == "T").one
        word = next(token for token in tokens if token.kind in "Rb")
        if not subject:
            return None

        def stands_by(option: str, is_clear: bool = False) -> Holds:
            return holds_at([word, *options[option]], subject, meaning, is_clear=is_clear)

        return Asked(stands_by, is_clear=lambda option: stands_by(option, True))

    found = re.match("W(?P<of>c|T)?V?(?=[~abRSC])", form)
    if not found:
        return None

    place = tokens[found.end() :]
    of = tokens[1] if found["of"] else None
    if place[0].kind == "C":
        other = place[1].one if kinds(place) == "CT" else None
        return (
            Asked(lambda option: _covers(_one(options[option]), other), f"by the boxes it lies apart from {other.tag}")
            if other
            else None
        )

    things = [token for token in place if token.kind == "T"]

    def holds(option: str, is_clear: bool = False) -> Holds:
        one = _one(options[option])
        is_one = one and (of is None or of.kind == "c" or is_generic(of) or one in (of.some or ()))
        return holds_at(place, one, meaning, is_clear=is_clear) if is_one else None

    def clear(option: str) -> Holds:
        is_of_tag = (
            bool(things) and things[-1].is_tag
        )  # who names a tag goes by its box; else by what people would say
        return None if of and of.kind == "c" else holds(option, not is_of_tag)

    return Asked(holds, is_clear=clear)


def _covers(one: SceneObject | None, other: SceneObject) -> Holds:
    """Whether one thing covers another: not where their boxes lie apart. That boxes overlap is no proof that things do."""
    return False if one and one is not other and overlaps(one, other) is False else None


_FORMS = (_how_compared, _listed, _numbers, _most, _ordered, _where, _ended, _related)
