"""What a writer states makes the right option right, in a small closed language over tags and names, held against boxes. Pure.

count(cup) = 3    count(cup, plate) = 5    count(cup, left_of plate 2) = 2    count(cup) - count(plate) = 1
more(cup, plate)    same_number(cup, plate)    left_of(cup 1, plate 2)    between(cup 2, cup 1, plate 1)
leftmost(cup 1, cup)    largest(cup 1, cup 2, plate 1)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from virgo_factory.synthesis.scenes.clauses import all_hold, holds_at, is_true, kinds, short, sides_of
from virgo_factory.synthesis.scenes.english import GENERIC, Meaning, number_of, singular
from virgo_factory.synthesis.scenes.facts import EXTREMES, RELATIONS, Holds, is_between, is_extreme, is_plain, overlaps
from virgo_factory.synthesis.scenes.sentences import Token, tokens_of
from virgo_factory.synthesis.words import SceneObject


Objects = Sequence[SceneObject]
_SIDES = {"left_of": "left", "right_of": "right", "above": "above", "below": "below", "inside": "inside"}
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
_RELATIONS = {**_SIDES, "larger": "larger", "smaller": "smaller"}
_COUNT = r"count ?\( ?(.+?) ?\)"
_COUNTS = re.compile(rf"{_COUNT}(?: ?- ?{_COUNT})? ?==? ?(\w+)")
_OF_THINGS = re.compile(r"(\w+(?: of)?) ?\( ?(.+?) ?\)")
_CONDITION = re.compile(rf"({'|'.join(_SIDES)}) (.+)")
_COMMA = re.compile(" ?, ?")
_UNTRUE, OF_OTHER = "by the boxes the writer's claim does not hold", "what the writer claims is of another answer"
_CLASS = re.compile(
    r"\b(?:which|what) (?!(?:one|of|is|are|can|stands?|lies?|sits?|hangs?|appears?|comes|covers?|side)\b)(?:of the )?([a-z]+)"
)
"""What sort of thing is asked for: another that stands there may be no "animal" at all."""
_NARROWED = re.compile(
    r"\b(?:and|but|with|that|near|next|nearest|closest|directly|immediate|immediately|just|straight)\b"
)
"""Words of more than a claim says: another thing may be all that it says, and no answer."""


@dataclass(frozen=True)
class Stated:
    """A question, of which claims are judged.

    Attributes:
        question: plain, as are the options.
        options: of it.
        gold: place of the one that is said to be right.
        meaning: of the scene.
    """

    question: str
    options: Sequence[str]
    gold: int
    meaning: Meaning

    def against(self, claim: str) -> str | None:
        """Return what the boxes say against a claim, or the claim against the options; None for nothing, or no claim."""
        claim = " ".join(claim.lower().split()).rstrip(".; ")
        if found := _COUNTS.fullmatch(claim):
            return self._of_count(*found.groups())

        found = _OF_THINGS.fullmatch(claim)
        things = [self._objects(name) for name in _COMMA.split(found[2])] if found else []
        if not things or None in things:
            return None

        name = found[1].replace(" ", "_")
        if name in ("more", "same_number") and len(things) == 2:
            return self._of_numbers(name, *things)

        holds = _holding(name, *things) if len(things[0]) == 1 else None
        if holds is None:
            return None

        one, other = things[0][0], things[1][0] if len(things) == 2 and len(things[1]) == 1 else None
        return _UNTRUE if holds(one) is False else self._of_places(_RELATIONS.get(name, ""), one, other, holds)

    def _objects(self, name: str) -> Objects | None:
        """The objects of a tag, or of a name with looks; None where they cannot be told."""
        tokens = tokens_of(name, self.meaning)
        return tokens[0].some if tokens and kinds(tokens) == "T" else None

    def _told(self, held: Sequence[Holds]) -> str | None:
        """What is against the answer where so many of the options hold."""
        if held[self.gold] is False:
            return f"{OF_OTHER}: {self.options[self.gold]}"

        others = (option for at, option in enumerate(self.options) if at != self.gold and held[at])
        return next((f"by the boxes another option is right too: {option}" for option in others), None)

    def _of_count(self, names: str, less: str | None, number: str) -> str | None:
        counts, stated = [self._counted(some) for some in (names, less) if some], number_of(number)
        if None in counts or stated is None:
            return None

        count = counts[0] - sum(counts[1:])
        if not stated(count):
            return f"{_UNTRUE}: they count {count}"

        if any(option.startswith("yes") for option in self.options):  # "no" is no number then
            return None

        allowed = [number_of(option) for option in self.options]
        if allowed[self.gold]:
            return self._told([fits and fits(count) for fits in allowed])

        things = [None if less else self._objects(option) for option in self.options]  # "of which are there three?"
        return (
            self._told([None if some is None else len(some) == count for some in things])
            if things[self.gold]
            else None
        )

    def _counted(self, names: str) -> int | None:
        """How many there are of several names, that stand where conditions say."""
        some: list[SceneObject] = []
        conditions: list[tuple[str, SceneObject]] = []
        for name in _COMMA.split(names):
            condition = _CONDITION.fullmatch(name)
            found = self._objects(condition[2] if condition else name)
            if found is None or condition and len(found) != 1:
                return None

            conditions += [(_SIDES[condition[1]], found[0])] if condition else []
            some += [] if condition else [one for one in found if one not in some]

        named = [other for _, other in conditions]
        held = [
            all_hold([RELATIONS[side](one, other) for side, other in conditions]) for one in some if one not in named
        ]
        return None if None in held else sum(map(bool, held))

    def _of_numbers(self, name: str, some: Objects, other: Objects) -> str | None:
        more, less, answer = len(some), len(other), self.options[self.gold]
        if more <= less if name == "more" else more != less:
            return f"{_UNTRUE}: they count {more} and {less}"

        asks_for_more = name == "more" and not re.search("few|less|least", f"{self.question} {answer}")
        return f"{OF_OTHER}: {answer}" if asks_for_more and self._objects(answer) == other else None

    def _of_places(
        self, relation: str, one: SceneObject, other: SceneObject | None, holds: Callable[[SceneObject], Holds]
    ) -> str | None:
        """What a claim about places that holds, or may, says against the options: these are things, sides or sentences."""
        read = [short(tokens_of(option, self.meaning) or ()) for option in self.options]
        named = [tokens[0].one if kinds(tokens) == "T" else None for tokens in read]
        if answer := named[self.gold]:
            if answer is other and one not in named:  # "what is the cup left of?"
                return None

            held = [thing and self._is_meant(thing, one, relation, other) and holds(thing) for thing in named]
            held[self.gold] = answer is one
        elif other is None or relation not in _SIDES.values():
            return None
        elif kinds(read[self.gold])[:1] == "T":
            held = [is_true(tokens, self.meaning) if at == self.gold else None for at, tokens in enumerate(read)]
        else:
            held = [self._of_side(tokens, relation, one, other, at != self.gold) for at, tokens in enumerate(read)]

        return self._told(held)

    def _of_side(
        self, read: Sequence[Token], relation: str, one: SceneObject, other: SceneObject, is_clear: bool
    ) -> Holds:
        """Whether an option that names a side names the claim's; one without a thing may be of the picture."""
        place = [token for token in read if token.kind not in "HV"]
        if kinds(place) in ("S", "E"):
            sides = sides_of(place[0])
            if sides != [relation]:
                return False if _OPPOSITE.get(relation) in sides else None

        return holds_at(place, one, self.meaning, other, is_clear)

    def _is_meant(self, thing: SceneObject, one: SceneObject, relation: str, other: SceneObject | None) -> Holds:
        """Whether another thing of which the claim holds is an answer, too; None where it may be no such thing."""
        asked = _CLASS.search(self.question)
        is_such = asked is None or singular(asked[1]) in GENERIC or thing.name == one.name
        is_clear = other is None or other.tag.lower() in self.question or is_plain(relation, thing, other)
        return True if is_such and is_clear and thing is not other and not _NARROWED.search(self.question) else None


def _holding(name: str, first: Objects, *others: Objects) -> Callable[[SceneObject], Holds] | None:
    """What is to hold of the first of a claim's things; None where that is no claim."""
    if name in EXTREMES and others:
        group = list({one.tag: one for some in (first, *others) for one in some}.values())
        return lambda one: is_extreme(name, one, group)

    if any(len(some) != 1 for some in others) or len(others) != (2 if name == "between" else 1):
        return None

    ends = [some[0] for some in others]
    if name == "between":
        return lambda one: is_between(one, *ends)

    if name == "covers":  # that boxes overlap is no proof that things do
        return lambda one: False if overlaps(one, *ends) is False else None

    relation = RELATIONS.get(_RELATIONS.get(name, ""))
    return (lambda one: relation(one, *ends)) if relation else None
