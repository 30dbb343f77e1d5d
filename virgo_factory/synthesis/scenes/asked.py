"""What questions ask for, in tokens: how many, which, where, whether; and which options hold by the boxes. Pure.

Each form takes the tokens of a question and of its options, and returns None for another question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from virgo_factory.synthesis.scenes import clauses
from virgo_factory.synthesis.scenes.clauses import (
    as_it,
    asks_who,
    first,
    holds_at,
    is_few,
    is_true,
    kinds,
    short,
    things,
    union,
)
from virgo_factory.synthesis.scenes.english import Meaning, number_of
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


Options = Mapping[str, list[Token]]
_LEAD = re.compile(r"(?:in|on|at|within|across|looking at|inside|from|among|of) [a-z' -]+, ")
"""What a question of place may begin with; it changes how many there are."""
_YES = re.compile(r"(yes|no|true|false)(?:[,;:]|$| (?:it|there|they|the|that) )")
_SAID = re.compile(
    r"(?:true or false|is (?:it|this|that)(?: statement| claim)? (?:true|correct|right|(?P<false>false|wrong))"
    r"(?: or (?:false|wrong|not))?)[:,;?.]?"
)
_FALSE = re.compile(r"\b(?:false|wrong|untrue|incorrect|not (?:true|correct|accurate|right))\b")
_SOME = "T(?:&T)*"
_LIST = r"T(?:[&|]+T)*"


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
    if re.search("^(?!.*X).*Y|^W?QT&QT$", kinds(tokens)):
        return _stated(question, tokens, read, meaning)

    tokens = short((token for token in tokens if token.kind not in "HY"), "dT")
    tokens = [one for one, after in pairwise([*tokens, None]) if one.kind != "&" or after and after.kind not in "QWX"]
    return next((asked for form in _FORMS if (asked := form(tokens, read, meaning))), None)


def _read(option: str, asked: Sequence[Token], meaning: Meaning) -> list[Token]:
    """The tokens of an option; "the red one" as one of the things that are asked about."""
    read = short(tokens_of(option, meaning) or ())
    group = [token for token in things(asked) if len(token.some or ()) > 1]
    if re.fullmatch("l+N?", kinds(read)) and len(group) == 1:
        return [replace(group[0], some=_looking(group[0].some, read, meaning))]

    return read


def _looking(some: Sequence[SceneObject], tokens: Sequence[Token], meaning: Meaning) -> list[SceneObject] | None:
    return meaning.looking(some, [token.text for token in tokens if token.kind == "l"])


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
    about, is_not = things(short(tokens)), bool(_FALSE.search(question))

    def holds(option: str) -> Holds:
        held = is_true(options[option], meaning, about[0] if len(about) == 1 else None)
        return held if held is None else held != is_not

    return Asked(holds)


# numbers

_TWO_COUNTS = re.compile(rf"(?:QM{_SOME}|qT|Q?GQ?T&?Q?|QQ?TOQ?)(?P<other>{_SOME})|FT&?QM(?P<more>T)")
_COUNT = re.compile(rf"Q{_SOME}l*|{_SOME}&?QI?")
_COUNT_AT = re.compile(rf"Q(?P<some>{_SOME})V?(?P<place>[~abRSE].*)|(?P<before>[~abRSE].*?)&?Q(?P<these>{_SOME})")


def _numbers(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """How many there are, stand somewhere or look so; how many more; how many times as many."""
    tokens = [token for token in short(tokens) if token.kind != "W"]
    tokens = [
        one
        for last, one in pairwise([None, *tokens])
        if not (clauses.is_all(one) and (not last or last.kind not in "Rb"))
    ]
    form = kinds(tokens)
    if form == "QTT" and tokens[1].is_generic:  # "how many of the things are cups"
        tokens, form = tokens[:1] + tokens[2:], "QT"

    if found := _TWO_COUNTS.fullmatch(form):
        cut = max(found.start("other"), found.start("more"))
        some, other = union(tokens[:cut]), union(tokens[cut:])
        if some is None or other is None:
            return None

        gap, word = len(some) - len(other), first(tokens, "M")
        if "q" in form:
            gap = len(some) // len(other) if other and not len(some) % len(other) else -1
        elif "G" in form:
            gap = abs(gap)
        elif found["more"] or word and is_few(word):
            gap = -gap

        return _counted(gap, f"the boxes count {len(some)} and {len(other)}", options, meaning) if gap >= 0 else None

    if _COUNT.fullmatch(form):
        some = union(tokens)
        some = some if some is None else _looking(some, tokens, meaning)
    elif (found := _COUNT_AT.fullmatch(form)) and tokens[-1].text not in ("left", "right"):  # "how many are left"
        named, place = ("some", "place") if found["some"] else ("these", "before")
        some = union(tokens[found.start(named) : found.end(named)])
        some = some and clauses.standing(some, tokens[found.start(place) : found.end(place)], meaning)
    else:
        return None

    return None if some is None else _counted(len(some), f"the boxes count {len(some)}", options, meaning)


def _counted(count: int, said: str, options: Options, meaning: Meaning) -> Asked:
    def holds(option: str) -> Holds:
        allowed = number_of(option)
        if allowed is None:  # "four mugs and two plates"
            return is_true(options[option], meaning) if re.fullmatch("H?NT(?:&NT)+", kinds(options[option])) else None

        return allowed(count)

    return Asked(holds, said)


def _how_compared(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """How the counts of two things compare; an option may leave out one of the two."""
    pair = things(tokens)
    if not re.fullmatch("XQ?T(?:U|&(?=.*U))Q?TU?", kinds(tokens)) or union(pair) is None:
        return None

    def holds(option: str) -> Holds:
        read = options[option]
        if (held := is_true(read, meaning)) is not None or not re.fullmatch("H?N?[MA]T|I?A", kinds(read)):
            return held

        at = 1 if read[-1].some == pair[1].some else 0
        return clauses.compared(first(read, "MA"), len(pair[at].some), len(pair[1 - at].some), first(read, "N"))

    return Asked(holds, "the boxes count " + " and ".join(str(len(thing.some)) for thing in pair))


def _most(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Of which of the options there are most or fewest, or so many."""
    counts: dict[str, int | None] = {}
    for option, read in options.items():
        some = union(read) if re.fullmatch("H?[ML]?T", kinds(read)) else None
        counts[option] = None if some is None else len(some)

    form, word = kinds(tokens), first(tokens, "LMN")
    said = "the boxes count " + ", ".join(f"{count} {option}" for option, count in counts.items() if count is not None)
    if re.fullmatch("W[cT]?N|WNT", form):
        allowed = number_of(re.sub(r" (?:of|times)\b.*$", "", word.text))
        is_any = allowed and all(token.is_generic for token in things(tokens))
        return (
            Asked(lambda option: None if counts[option] is None else allowed(counts[option]), said) if is_any else None
        )

    if not re.fullmatch(r"W?[cT]?(?:LT?&?(?:T\|T)?|&?(?:T\|T)?L)|MT\|M?T|W?M&?T\|T", form):
        return None

    def holds(option: str) -> Holds:
        mine, others = counts[option], [count for other, count in counts.items() if other != option]
        if mine is None:
            return None

        return clauses.all_hold(
            [None if count is None else count != mine and (count < mine) != is_few(word) for count in others]
        )

    return Asked(holds, said)


# places

_EITHER = re.compile(r"[RSE]I?\|[RS]I?|RT\|[RS]I?")


def _where(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Where one thing stands, in the picture or by another."""
    if _EITHER.search(kinds(tokens)):
        tokens = [token for token in tokens if token.kind in "TF"]
    elif not first(tokens, "X"):
        return None

    tokens = [token for token in short(tokens) if token.kind not in "V&WY"]
    form, pair = kinds(tokens), things(tokens)
    if not re.fullmatch("[XFT]*", form) or not 1 <= len(pair) <= 2 or form.count("X") > 1:
        return None

    if len(pair) == 1 and "direction" in tokens[0].text:  # that it moves, looks or points in
        return None

    if len(pair) == 2 and "FT" in form and tokens[form.index("FT") + 1] is pair[0]:
        pair.reverse()

    one, other = pair[0].one, pair[1].one if len(pair) > 1 else None
    if one is None or one is other or len(pair) > 1 and other is None:
        return None

    def holds(option: str, is_clear: bool = False) -> Holds:
        read = as_it([token for token in options[option] if token.kind != "V"], other)
        while len(read) > 1 and read[0].kind in "IH":
            read = read[1:]

        if len(read) > 1 and read[0].one:
            subject = read[0].one
            return holds_at(read[1:], subject, meaning, one if subject is other else other, is_clear)

        return holds_at(read, one, meaning, other, is_clear)

    return Asked(holds, is_clear=lambda option: holds(option, True))


def _ordered(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """In which order things stand, and which is the second from a side."""
    start, order, place, some = first(tokens, "f"), first(tokens, "Z"), first(tokens, "o"), things(tokens)
    if not start or not set(kinds(tokens)) <= set("WXZfToc&|V"):
        return None

    comes_before = RELATIONS[start.means]

    def in_order(option: str) -> Holds:
        row = [token.one for token in things(options[option])]
        if len(row) < 2 or None in row or not set(kinds(options[option])) <= set("T&"):
            return None

        return clauses.all_hold([comes_before(one, other) for one, other in pairwise(row)])

    if order:
        return Asked(in_order)

    wanted = clauses.nth(some[0].some, place, start.means) if place and len(some) == 1 and some[0].some else None
    if wanted is None:
        return None

    return Asked(lambda option: (one := _one(options[option])) and one is wanted, f"by the boxes it is {wanted.tag}")


def _one(read: Sequence[Token]) -> SceneObject | None:
    """The one thing that an option names."""
    return read[0].one if kinds(read) == "T" else None


_END = re.compile(rf"(?:{_LIST}&?)?W(?:c|{_LIST})?V?E(?:c|{_LIST})?(?:&?{_LIST})?")


def _ended(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Which of the options is at an end, or which of two is on a side."""
    form, which = kinds(tokens), ""
    named = [token for token in things(tokens) if not token.is_generic]
    group = [one for token in named for one in token.some or ()]
    if _END.fullmatch(form):
        which = first(tokens, "E").means
    elif re.fullmatch("WTV?S", form) and len(group) == 2 and not clauses.ITS.search(tokens[-1].text):
        which = {"left": "leftmost", "right": "rightmost"}.get(" ".join(clauses.sides_of(tokens[-1])), "")

    if not which:
        return None

    if len(named) == 1 and re.search("these|following", first(tokens, "W").text):  # of the options, not of all
        group = []

    one_of = {option: _one(read) for option, read in options.items()}
    known = [one for one in one_of.values() if one]
    if not group and asks_who(tokens) and len({one.name for one in known}) > 1:
        return None

    among = group or list({one.tag: one for one in known}.values())

    def holds(option: str) -> Holds:
        one = one_of[option]
        held = is_extreme(which, one, among) if one in among else None
        return held if len(known) == len(options) or group or held is False else None

    best = next((option for option in options if holds(option)), None)
    return Asked(holds, f"by the boxes the {which} is {best}" if best else "")


def _related(tokens: Sequence[Token], options: Options, meaning: Meaning) -> Asked | None:
    """Which of the options stands somewhere, or covers something, or is what something stands by."""
    tokens = [token for token in tokens if token.kind != "f"]
    form = re.sub(rf"(?<=[TS])&?{_SOME}&?\|T$|&$", "", kinds(tokens))  # what the options are, once more
    tokens = tokens[: len(form)]
    if re.fullmatch("(?:W?TV?b|bTV?|TV?RW)", form):
        subject, word = first(tokens, "T").one, first(tokens, "Rb")

        def stands_by(option: str, is_clear: bool = False) -> Holds:
            return holds_at([word, *options[option]], subject, meaning, is_clear=is_clear)

        return Asked(stands_by, is_clear=lambda option: stands_by(option, True)) if subject else None

    found = re.match("W(?P<of>c|T)?V?(?=[~abRSC])", form)
    if not found:
        return None

    place, of = tokens[found.end() :], tokens[1] if found["of"] else None
    if place[0].kind == "C":
        other = place[1].one if kinds(place) == "CT" else None
        said = f"by the boxes it lies apart from {other.tag}" if other else ""
        return Asked(lambda option: _covers(_one(options[option]), other), said) if other else None

    def holds(option: str, is_clear: bool = False) -> Holds:
        one = _one(options[option])
        is_one = one and (of is None or of.kind == "c" or of.is_generic or one in (of.some or ()))
        return holds_at(place, one, meaning, is_clear=is_clear) if is_one else None

    named = things(place)
    is_of_tag = bool(named) and named[-1].is_tag  # who names a tag goes by its box; else by what people would say
    is_any = of.kind == "T" if of else not asks_who(tokens)
    return Asked(holds, is_clear=lambda option: holds(option, not is_of_tag) if is_any else None)


def _covers(one: SceneObject | None, other: SceneObject) -> Holds:
    """Whether one thing covers another: not where their boxes lie apart. That boxes overlap is no proof that things do."""
    return False if one and one is not other and overlaps(one, other) is False else None


_FORMS = (_how_compared, _numbers, _most, _ordered, _where, _ended, _related)
