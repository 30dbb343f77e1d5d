"""What a writer states makes the right option right, in a small closed language over tags and names, held against boxes. Pure.

count(cup) = 3    count(cup, plate) = 5    count(cup, left_of plate 2) = 2    count(cup) - count(plate) = 1
more(cup, plate)    same_number(cup, plate)    left_of(cup 1, plate 2)    between(cup 2, cup 1, plate 1)
leftmost(cup 1, cup)    largest(cup 1, cup 2, plate 1)
"""

import re
from collections.abc import Callable, Sequence

from virgo_factory.synthesis.scenes.clauses import all_hold, holds_at, is_true, kinds, short
from virgo_factory.synthesis.scenes.english import GENERIC, Meaning, number_of, singular
from virgo_factory.synthesis.scenes.facts import EXTREMES, RELATIONS, Holds, is_between, is_extreme, is_plain, overlaps
from virgo_factory.synthesis.scenes.sentences import tokens_of
from virgo_factory.synthesis.words import SceneObject


Objects = Sequence[SceneObject]
_RELATIONS = {"left_of": "left", "right_of": "right", "larger": "larger", "smaller": "smaller"}
_RELATIONS |= {name: name for name in ("above", "below", "inside")}
_COUNT = r"count ?\( ?(.+?) ?\)"
_COUNTS = re.compile(rf"{_COUNT}(?: ?(-) ?{_COUNT})? ?==? ?(\w+)")
_OF_THINGS = re.compile(r"(\w+) ?\( ?(.+?) ?\)")
_UNTRUE, _OF_OTHER = "by the boxes the writer's claim does not hold", "what the writer claims is of another answer"
_CONDITION = re.compile(r"(left_of|right_of|above|below|inside) (.+)")


def against(claim: str, question: str, options: Sequence[str], gold: int, meaning: Meaning) -> str | None:
    """Return what the boxes say against a claim, and the claim against the options; None for nothing, or no claim.

    Args:
        claim: as it was written.
        question: plain, as are the options.
        options: of the question.
        gold: place of the one that is said to be right.
        meaning: of the scene.
    """
    claim = " ".join(claim.lower().split()).rstrip(".; ")
    if found := _COUNTS.fullmatch(claim):
        return _of_count(found, options, gold, meaning)

    found = _OF_THINGS.fullmatch(claim)
    things = [_objects(name, meaning) for name in re.split(r" ?, ?", found[2])] if found else []
    if not things or None in things:
        return None

    name = re.sub(r" ", "_", found[1])
    if name in ("more", "same_number") and len(things) == 2:
        return _of_numbers(name, things, question, options, gold, meaning)

    holds = _holding(name, things)
    if holds is None:
        return None

    if holds(things[0]) is False:
        return f"{_UNTRUE}: {claim}"

    return _of_places(_RELATIONS.get(name, ""), things, holds, question, options, gold, meaning)


def _objects(name: str, meaning: Meaning) -> Objects | None:
    """The objects of a tag, or of a name with looks; None where they cannot be told."""
    tokens = tokens_of(name, meaning)
    return tokens[0].some if tokens and kinds(tokens) == "T" else None


def _counted(names: str, meaning: Meaning) -> int | None:
    """How many there are of several names, that stand where conditions say."""
    some: list[SceneObject] = []
    conditions = []
    for name in re.split(r" ?, ?", names):
        if found := _CONDITION.fullmatch(name):
            others = _objects(found[2], meaning)
            if not others or len(others) > 1:
                return None

            conditions.append((RELATIONS[_RELATIONS[found[1]]], others[0]))
        elif (found := _objects(name, meaning)) is None:
            return None
        else:
            some += [one for one in found if one not in some]

    named = [other for _, other in conditions]
    held = [all_hold([holds(one, other) for holds, other in conditions]) for one in some if one not in named]
    return None if None in held else sum(map(bool, held))


def _of_count(found: re.Match[str], options: Sequence[str], gold: int, meaning: Meaning) -> str | None:
    counts = [_counted(names, meaning) for names in (found[1], found[3]) if names]
    stated = number_of(found[4])
    if None in counts or stated is None:
        return None

    number = counts[0] - sum(counts[1:])
    if not stated(number):
        return f"{_UNTRUE}: they count {number}"

    allowed = [number_of(option) for option in options]
    if allowed[gold]:
        return _told([fits and fits(number) for fits in allowed], options, gold)

    things = [_objects(option, meaning) for option in options]
    if things[gold] is None or found[2]:
        return None

    return _told([None if some is None else len(some) == number for some in things], options, gold)


def _told(held: Sequence[Holds], options: Sequence[str], gold: int) -> str | None:
    """What is against an answer where so many of the options hold."""
    if held[gold] is False:
        return f"{_OF_OTHER}: {options[gold]}"

    return next(
        (
            f"by the boxes another option is right too: {options[at]}"
            for at, holds in enumerate(held)
            if holds and at != gold
        ),
        None,
    )


def _of_numbers(
    name: str, things: Sequence[Objects], question: str, options: Sequence[str], gold: int, meaning: Meaning
) -> str | None:
    more, less = map(len, things)
    if more <= less if name == "more" else more != less:
        return f"{_UNTRUE}: they count {more} and {less}"

    asks_for_more = name == "more" and not re.search("few|less|least", f"{question} {options[gold]}")
    is_other = asks_for_more and _objects(options[gold], meaning) == things[1]
    return f"{_OF_OTHER}: {options[gold]}" if is_other else None


def _holding(name: str, things: Sequence[Objects]) -> Callable[[Objects], Holds] | None:
    """What is to hold of the first of the things; None where that is no claim."""
    first, *others = things
    if name in EXTREMES and len(first) == 1 and others:
        group = [one for some in others for one in some if one is not first[0]]
        return lambda some: is_extreme(name, some[0], [*group, first[0]]) if len(some) == 1 else None

    if any(len(some) != 1 for some in things):
        return None

    if name == "between" and len(others) == 2:
        return lambda some: is_between(some[0], others[0][0], others[1][0]) if len(some) == 1 else None

    if len(others) != 1:
        return None

    if name == "covers":
        return lambda some: False if overlaps(some[0], others[0][0]) is False else None

    relation = _RELATIONS.get(name, "")
    return (lambda some: RELATIONS[relation](some[0], others[0][0])) if relation else None


def _of_places(
    relation: str,
    things: Sequence[Objects],
    holds: Callable[[Objects], Holds],
    question: str,
    options: Sequence[str],
    gold: int,
    meaning: Meaning,
) -> str | None:
    """What a claim about places, which holds or may, says against the options: these are things, sides or sentences."""
    read = [short(tokens_of(option, meaning) or ()) for option in options]
    named = [tokens[0].one if kinds(tokens) == "T" else None for tokens in read]
    one, other = things[0][0], things[1][0] if len(things) == 2 and len(things[1]) == 1 else None
    if named[gold]:
        if named[gold] is other and one not in named:  # "what is the cup left of?"
            return None

        is_any = (asked := _CLASS.search(question)) is None or singular(asked[1]) in GENERIC
        held = [
            thing
            and (is_any or thing.name == one.name)
            and _is_clear(relation, thing, other, question)
            and holds([thing])
            for thing in named
        ]
        return _told([named[at] is one if at == gold else fits for at, fits in enumerate(held)], options, gold)

    if other is None or relation in ("", "larger", "smaller"):
        return None

    if kinds(read[gold])[:1] == "T":
        return _told([is_true(read[at], meaning) if at == gold else None for at in range(len(options))], options, gold)

    places = [[token for token in tokens if token.kind not in "HV"] for tokens in read]
    return _told([holds_at(place, one, meaning, other, at != gold) for at, place in enumerate(places)], options, gold)


_CLASS = re.compile(
    r"\b(?:which|what) (?!(?:one|of|is|are|can|stands?|lies?|sits?|hangs?|appears?|comes|covers?|side)\b)(?:of the )?([a-z]+)"
)
"""What sort of thing is asked for: another that stands there may be no "animal" at all."""


def _is_clear(relation: str, thing: SceneObject, other: SceneObject | None, question: str) -> bool:
    """Whether a thing that holds does so plainly; who names a tag goes by its box."""
    return thing is not other and (other is None or other.tag.lower() in question or is_plain(relation, thing, other))
