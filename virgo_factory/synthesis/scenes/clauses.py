"""Whether sentences of tokens are true by the boxes: there are so many, one stands so to another, two counts compare so. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from virgo_factory.synthesis.scenes.english import NUMBERS, Meaning, number_of
from virgo_factory.synthesis.scenes.facts import RELATIONS, Holds, extreme, in_half, is_between, is_plain
from virgo_factory.synthesis.scenes.sentences import Token
from virgo_factory.synthesis.words import SceneObject


SIDES = "left|right|upper|top|lower|bottom"
_RELATION = {"left": "left", "right": "right", "upper": "above", "top": "above", "lower": "below", "bottom": "below"}
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


def all_hold(held: Sequence[Holds]) -> Holds:
    """Return True where all are, False where one is False, else None."""
    return False if False in held else True if all(held) else None


def is_few(token: Token) -> bool:
    """Return whether a word means fewer or fewest."""
    return token.text.removeprefix("the ").startswith(_FEW)


def is_all(token: Token) -> bool:
    """Return whether a word means all of some things."""
    return token.kind == "D" and token.text.startswith(("all", "both", "each", "every"))


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
    is_clear = all(comes_before(one, other) for one, other in zip(around, around[1:], strict=False))
    return row[at] if at < len(row) and is_clear else None


def union(tokens: Sequence[Token]) -> list[SceneObject] | None:
    """Return all objects of several things; None where those of one are not known, or one is of two of them."""
    some = [token.some for token in tokens if token.kind == "T"]
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

    pieces: list[list[Token]] = [[]]
    for token in place:
        if token.kind == "&":
            pieces.append([])
        else:
            pieces[-1].append(token)

    last = next((token for token in reversed(place) if token.kind == "T"), None)
    found = all_hold([_piece(piece, last, one, meaning, other, is_clear) for piece in pieces])
    found = found if found is None else found != is_not
    return None if found and any(token.kind == "a" for token in place) else found


def _piece(
    piece: Sequence[Token],
    last: Token | None,
    one: SceneObject,
    meaning: Meaning,
    other: SceneObject | None,
    is_clear: bool,
) -> Holds:
    """Whether an object stands in one direction; `last` is the thing that is named behind it."""
    word = next(token for token in piece if token.kind in "RSE")
    relations = [word.means] if word.kind == "R" else [_RELATION[side] for side in re.findall(SIDES, word.text)]
    named = next((token for token in piece if token.kind == "T"), last if word.kind == "R" or last else None)
    if any(token.kind == "I" for token in piece):
        named = None
    elif named is None and word.kind == "R" and other is None or not relations:
        return None

    if named is None and other is None and not re.search(r"\b(?:its|their)\b", word.text):
        held = [in_half(one, relation, meaning.size) for relation in relations]
        return all_hold(
            [*held, None] if is_clear and "half" not in word.text else held
        )  # several are on the left, one in the corner

    is_all = any(token.kind == "D" for token in piece)
    targets = [other] if named is None else named.some if is_all else [named.one]
    if not targets or None in targets or one in targets:
        return None

    held = [RELATIONS[relation](one, target) for target in targets for relation in relations]
    if is_clear and not all(is_plain(relation, one, target) for target in targets for relation in relations):
        held.append(None)

    return all_hold(held)


def standing(some: Sequence[SceneObject], place: Sequence[Token], meaning: Meaning) -> list[SceneObject] | None:
    """Return those of some objects that stand where tokens say; None where that cannot be told of one of them.

    What the tokens name is not among them, whatever its name. Who names a tag goes by its box, else by what people would say.
    """
    found, things = [], [token for token in short(place) if token.kind == "T"]
    for one in some:
        if any(one in (token.some or ()) for token in things):
            continue

        held = holds_at(place, one, meaning)
        if (
            held is None
            or held
            and not (things and things[-1].is_tag)
            and not holds_at(place, one, meaning, is_clear=True)
        ):
            return None

        found += [one] if held else []

    return found


# whether a sentence is true

_MANY = re.compile(r"(?P<than>more than |less than )?(?P<times>twice|double|half|[\w-]+(?= times))")
_COMPARED = re.compile(
    r"^H?N?(?P<word>M|A|L)(?P<some>T(?:&T)*?)&?(?P<other>T(?:&T)*)$"
    r"|^(?P<number>Q)?(?P<these>T(?:&T)*)(?P<how>[MALO])Q?(?P<those>T(?:&T)*)$"
)
_EACH = re.compile(rf"^H?(?P<number>[ND])?(?P<some>T)(?P<place>V?{_PLACE})?$")
_ITS = re.compile(rf"^[IVH]*(?P<place>V?{_PLACE})$")
_PART = re.compile(r"&(?=H?N)")


def is_true(tokens: Sequence[Token], meaning: Meaning, subject: Token | None = None) -> Holds:
    """Return whether a sentence, or what a question asks for, is true; None where it is not understood.

    Args:
        tokens: such as "there are more dogs than cats".
        meaning: of the scene.
        subject: what "it" is, and "two of them".
    """
    tokens = short(
        token
        for number, token in enumerate(tokens)
        if not number or token.kind != "H" or tokens[number - 1].kind == "&"
    )
    form = kinds(tokens)
    if _PART.search(form) and all(re.fullmatch("H?NT", part) for part in _PART.split(form)):
        cuts = [0, *(found.end() for found in _PART.finditer(form)), len(form) + 1]
        return all_hold([is_true(tokens[at : end - 1], meaning) for at, end in zip(cuts, cuts[1:], strict=False)])

    if found := _COMPARED.match(form):
        return _compares(tokens, found)

    if subject and subject.one and (found := _ITS.match(form)):
        return holds_at(tokens[found.start("place") :], subject.one, meaning)

    if subject and re.match(r"^H?[ND]I?", form) and "T" not in form.partition("R")[0]:
        at = re.match(r"^H?[ND]", form).end()
        tokens = [*tokens[:at], subject, *(token for token in tokens[at:] if token.kind != "I")]
        form = kinds(tokens)

    found = _EACH.match(form)
    if not found or found.span() == (0, 1):
        return None

    thing = tokens[found.start("some")]
    number = tokens[found.start("number")] if found["number"] else None
    if not found["place"]:
        return None if thing.some is None or form == "T" else _allowed(number, len(thing.some), len(thing.some), True)

    place = [token for token in tokens[found.start("place") :] if token.kind != "V"]
    if not number and form[0] != "H":
        return holds_at(place, thing.one, meaning) if thing.one else None

    held = standing(thing.some, place, meaning) if thing.some else None
    return None if held is None else _allowed(number, len(held), len(thing.some), form[0] == "H")


def _allowed(number: Token | None, count: int, of: int, is_there: bool) -> Holds:
    """Whether so many of some things are what a number, or a word such as "all", says."""
    word = number.text.split()[0] if number else "any"
    if number is None or number.kind == "D":
        return (
            count == 0
            if word in ("none", "no", "neither")
            else count > 0
            if word in ("any", "either", "some")
            else count == of
        )

    allowed = number_of(re.sub(r" of.*$", "", number.text))
    if not allowed or allowed(count) or is_there or re.match(r"exactly|only|just|at ", number.text):
        return allowed(count) if allowed else None

    return None if any(map(allowed, range(count))) else False  # of three, "two are" may be said, too


def _compares(tokens: Sequence[Token], found: re.Match[str]) -> Holds:
    """Whether two counts compare as a sentence says."""
    names, at = (("some", "other"), found.start("word")) if found["word"] else (("these", "those"), found.start("how"))
    some, other = (union(tokens[found.start(name) : found.end(name)]) for name in names)
    word = tokens[at]
    if some is None or other is None or not found["number"] and not _OF_NUMBER.search(word.text):
        return None

    gap = tokens[at - 1] if at and tokens[at - 1].kind == "N" else None
    return compared(word, len(some), len(other), gap)


_OF_NUMBER = re.compile(r"many|number|numerous|amount|common|frequent|exceed|^(?:more|fewer|less)$")


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

    times = {"twice": 2.0, "double": 2.0, "half": 0.5}.get(found["times"]) or float(
        NUMBERS.get(found["times"], found["times"])
    )
    sign = {"more than ": 1, "less than ": -1, None: 0}[found["than"]]
    return ((some > times * other) - (some < times * other)) == sign
