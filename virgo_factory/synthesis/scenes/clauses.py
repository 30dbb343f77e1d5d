"""Whether sentences of tokens are true by the boxes: there are so many, one stands so to another, two counts compare so. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from virgo_factory.synthesis.scenes.english import NUMBERS, Meaning, number_of, singular
from virgo_factory.synthesis.scenes.facts import RELATIONS, Holds, extreme, in_half, is_between, is_plain
from virgo_factory.synthesis.scenes.sentences import Token
from virgo_factory.synthesis.words import SceneObject


_RELATION = {"left": "left", "right": "right", "upper": "above", "top": "above"}
_RELATION |= dict.fromkeys(("lowest", "lower", "bottom"), "below")
ITS = re.compile(r"\b(?:its|their|his|her)\b")
"""Of a side: it is that of another thing, not of the picture."""
_FEW = ("fewe", "less", "smal", "leas", "lowe")


def kinds(tokens: Sequence[Token]) -> str:
    """Return the kinds of tokens as a text, to match a form against."""
    return "".join(token.kind for token in tokens)


def first(tokens: Sequence[Token], of: str) -> Token | None:
    """Return the first token of some kinds; None where there is none."""
    return next((token for token in tokens if token.kind in of), None)


def things(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of things."""
    return [token for token in tokens if token.kind == "T"]


def sides_of(token: Token) -> list[str]:
    """Return the relations that a side, such as "the upper left", or an end is: ["above", "left"]."""
    return [_RELATION[side] for side in re.findall("|".join(_RELATION), token.means or token.text)]


def all_hold(held: Sequence[Holds]) -> Holds:
    """Return True where all are, False where one is False, else None."""
    return False if False in held else True if all(held) else None


def is_few(token: Token) -> bool:
    """Return whether a word means fewer or fewest."""
    return token.text.removeprefix("the ").startswith(_FEW)


def is_all(token: Token) -> bool:
    """Return whether a word means all of some things."""
    return token.kind == "D" and token.text.startswith(("all", "both", "each", "every"))


def asks_who(tokens: Sequence[Token]) -> bool:
    """Return whether only persons or animals are asked for; which of the things are some is not known."""
    return any(token.kind == "W" and re.match("who(?! or what)", token.text) for token in tokens)


def as_it(tokens: Sequence[Token], other: SceneObject | None) -> list[Token]:
    """Return tokens with "the person", where one of several must be meant, as "it"."""
    return [Token("I", "it") if not token.one and other in (token.some or ()) else token for token in tokens]


def short(tokens: Iterable[Token], pattern: str = "dT|oTf|ET") -> list[Token]:
    """Return tokens with "the two dogs", "the second dog from the left", "the leftmost dog" as the things they mean."""
    kept = list(tokens)
    while found := re.search(pattern, kinds(kept)):
        head, thing, *_ = piece = kept[found.start() : found.end()]
        some = thing.some or ()
        if head.kind == "d":
            number = head.text.split()[-1]
            some = some if len(some) == int(NUMBERS.get(number, number)) else None
        elif head.kind == "E":
            one = some[0] if len(some) == 1 else extreme(head.means, some)
            some = [one] if one else None
        else:
            one = nth(some, head, piece[-1].means)
            some = [one] if one else None

        kept[found.start() : found.end()] = [replace(thing, some=some)]

    return kept


def nth(some: Sequence[SceneObject], place: Token, side: str) -> SceneObject | None:
    """Return an object by its place, such as "second", in a row that begins at a side; None where the order is in the margin."""
    at = ("first", "second", "third", "fourth", "fifth", "sixth").index(place.text)
    comes_before = RELATIONS[side]
    row = sorted(some, key=lambda one: sum(comes_before(other, one) is True for other in some))
    around = row[max(at - 1, 0) : at + 2]
    is_clear = all(comes_before(one, other) for one, other in pairwise(around))
    return row[at] if at < len(row) and is_clear else None


def union(tokens: Sequence[Token]) -> list[SceneObject] | None:
    """Return all objects of several things; None where those of one are not known, or one is of two of them."""
    some = [token.some for token in things(tokens)]
    if any(one is None for one in some):
        return None

    every = [one for more in some for one in more]
    return every if len({one.tag for one in every}) == len(every) else None


# where something stands

_PLACE = r"~?(?:b(?:D?T|T&T)|(?:~?a?(?:R(?:D?T|I)?|S|E))(?:&a?(?:R(?:D?T|I)?|S|E))*)"


def holds_at(
    place: Sequence[Token],
    one: SceneObject,
    meaning: Meaning,
    other: SceneObject | None = None,
    is_clear: bool = False,
) -> Holds:
    """Return whether an object stands where tokens say; None where they say no place, or it is in a margin.

    Args:
        place: such as "above and to the left of cup 1".
        one: that stands somewhere.
        meaning: of the scene.
        other: what "it", and a direction without a name, refers to; None: a direction without a name is of the picture.
        is_clear: only where the two boxes lie apart in that direction, so that nobody would say it differently.
    """
    place = [token for token in short(place) if token.kind != "V"]
    if not re.fullmatch(_PLACE, kinds(place)):
        return None

    is_not = place[0].kind == "~"
    place = place[is_not:]
    if place[0].kind == "b":
        ends = union(place)
        held = is_between(one, *ends) if ends and len(ends) == 2 and one not in ends else None
        return held if held is None else held != is_not

    last = next((token for token in reversed(place) if token.kind == "T"), None)
    found = all_hold([_piece(piece, last, one, meaning, other, is_clear) for piece in _split(place)])
    found = found if found is None else found != is_not
    return None if found and first(place, "a") else found


def _split(tokens: Sequence[Token]) -> list[list[Token]]:
    """What stands between the `&`."""
    cuts = [-1, *(at for at, token in enumerate(tokens) if token.kind == "&"), len(tokens)]
    return [list(tokens[at + 1 : end]) for at, end in pairwise(cuts)]


def _piece(
    piece: Sequence[Token],
    last: Token | None,
    one: SceneObject,
    meaning: Meaning,
    other: SceneObject | None,
    is_clear: bool,
) -> Holds:
    """Whether an object stands in one direction; `last` is the thing that is named behind it."""
    word, named = first(piece, "RSE"), None if first(piece, "I") else first(piece, "T") or last
    relations = [word.means] if word.kind == "R" else sides_of(word)
    if not named and not other:
        if word.kind == "R" or not relations or ITS.search(word.text):
            return None

        is_vague = is_clear and "half" not in word.text  # several are on the left, and one of them is in the corner
        return all_hold(
            [*(in_half(one, relation, meaning.size) for relation in relations), *([None] if is_vague else ())]
        )

    is_several = named and not first(piece, "D") and named.one is None and singular(named.text) != named.text
    targets = [other] if not named else named.some if is_several or first(piece, "D") else [named.one]
    if not relations or not targets or None in targets or one in targets:
        return None

    pairs = [(relation, target) for target in targets for relation in relations]
    held = all_hold([RELATIONS[relation](one, target) for relation, target in pairs])
    if (
        held is False
        and is_several
        and any(RELATIONS[relation](one, target) is not False for relation, target in pairs)
    ):
        return None

    is_plainly = all(is_plain(relation, one, target) for relation, target in pairs)
    return None if held and is_clear and not is_plainly else held


def standing(some: Sequence[SceneObject], place: Sequence[Token], meaning: Meaning) -> list[SceneObject] | None:
    """Return those of some objects that stand where tokens say; None where that cannot be told of one of them.

    What the tokens name is not among them, whatever its name. Who names a tag goes by its box, else by what people would say.
    """
    named = things(short(place))
    others = [one for one in some if not any(one in (token.some or ()) for token in named)]
    held = [holds_at(place, one, meaning) for one in others]
    found = [one for one, holds in zip(others, held, strict=True) if holds]
    is_told = named and named[-1].is_tag or all(holds_at(place, one, meaning, is_clear=True) for one in found)
    return found if is_told and None not in held else None


# whether a sentence is true

_MANY = re.compile(r"(?P<than>more than |less than )?(?P<times>twice|double|half|[\w-]+(?= times))")
_COMPARED = re.compile(r"H?N?[MAL]T(?:&?T)+|Q?T(?:&T)*[MALO]Q?T(?:&T)*")
_EACH = re.compile(rf"^H?(?P<number>[ND])?(?P<some>T)(?P<place>V?{_PLACE})?$")
_ITS = re.compile(rf"^[IVH]*(?P<place>V?{_PLACE})$")


def is_true(tokens: Sequence[Token], meaning: Meaning, subject: Token | None = None) -> Holds:
    """Return whether a sentence, or what a question asks for, is true; None where it is not understood.

    Args:
        tokens: such as "there are more dogs than cats".
        meaning: of the scene.
        subject: what "it" is, and "two of them".
    """
    tokens = [one for last, one in pairwise([None, *short(tokens)]) if not last or one.kind != "H" or last.kind == "&"]
    form = kinds(tokens)
    if re.fullmatch("H?NT(?:&H?NT)+", form):
        return all_hold([is_true(part, meaning) for part in _split(tokens)])

    if _COMPARED.fullmatch(form):
        return _compares(tokens)

    if subject and subject.one and (found := _ITS.match(form)):
        return holds_at(tokens[found.start("place") :], subject.one, meaning)

    if subject and (found := re.match("H?[ND]", form)) and "T" not in form.partition("R")[0]:
        tokens = [*tokens[: found.end()], subject, *(token for token in tokens[found.end() :] if token.kind != "I")]
        form = kinds(tokens)

    found = _EACH.match(form)
    if not found or form == "T":
        return None

    thing, number = tokens[found.start("some")], first(tokens[: found.start("some")], "ND")
    if not found["place"]:
        return None if thing.some is None else _allowed(number, len(thing.some), len(thing.some), True)

    place = tokens[found.start("place") :]
    if not number and form[0] != "H":
        return holds_at(place, thing.one, meaning) if thing.one else None

    held = standing(thing.some, place, meaning) if thing.some else None
    return None if held is None else _allowed(number, len(held), len(thing.some), form[0] == "H")


def _allowed(number: Token | None, count: int, of: int, is_there: bool) -> Holds:
    """Whether so many of some things are what a number, or a word such as "all", says."""
    word = number.text.split()[0] if number else "any"
    if word in ("any", "either", "some"):
        return count > 0

    if number.kind == "D":
        return count == (0 if word in ("none", "no", "neither") else of)

    allowed = number_of(re.sub(r" of.*$", "", number.text))
    if not allowed or allowed(count) or is_there or re.match(r"exactly|only|just|at ", number.text):
        return allowed(count) if allowed else None

    return None if any(map(allowed, range(count))) else False  # of three, "two are" may be said, too


_OF_NUMBER = re.compile(r"many|number|numerous|amount|common|frequent|exceed|^(?:more|fewer|less)$")


def _compares(tokens: Sequence[Token]) -> Holds:
    """Whether two counts compare as a sentence says."""
    word = first(tokens, "MALO")
    at = tokens.index(word)
    before, after = (
        (tokens[:at], tokens[at + 1 :]) if things(tokens[:at]) else (tokens[at + 1 : at + 2], tokens[at + 2 :])
    )
    some, other = union(before), union(after)
    if some is None or other is None or not first(tokens, "Q") and not _OF_NUMBER.search(word.text):
        return None

    return compared(word, len(some), len(other), first(tokens[:at], "N"))


def compared(word: Token, some: int, other: int, gap: Token | None = None) -> Holds:
    """Return whether two counts compare as "more", "twice as many" or "outnumber" says."""
    if word.kind != "A":
        less, allowed = is_few(word), number_of(gap.text) if gap else lambda count: count > 0
        return allowed(other - some if less else some - other) if allowed else None

    how = re.sub(r"^(?:exactly )+", "", word.text)
    if how == "not as many":
        return some < other

    if not (found := _MANY.match(how)):
        return some == other

    times = found["times"]
    times = {"double": 2.0, "half": 0.5}.get(times) or float(NUMBERS.get(times, times))
    sign = {"more than ": 1, "less than ": -1, None: 0}[found["than"]]
    return ((some > times * other) - (some < times * other)) == sign
