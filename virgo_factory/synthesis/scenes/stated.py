"""What a writer states makes the right option right, in a small closed language over tags and names, held against boxes. Pure.

Sides and ends may be put as English does ("under", "highest"); several claims stand one behind another.

count(cup) = 3    count(cup, plate) = 5    count(cup, left_of plate 2) = 2    count(cup) - count(plate) = 1
more(cup, plate)    same_number(cup, plate)    left_of(cup 1, plate 2)    between(cup 2, cup 1, plate 1)
leftmost(cup 1, cup)    largest(cup 1, cup 2, plate 1)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from virgo_factory.synthesis.scenes.clauses import (
    all_hold,
    as_it,
    asks_who,
    first,
    holds_at,
    is_all,
    is_true,
    kinds,
    short,
    sides_of,
)
from virgo_factory.synthesis.scenes.english import GENERIC, Meaning, number_of, singular
from virgo_factory.synthesis.scenes.facts import EXTREMES, RELATIONS, Holds, is_between, is_extreme, is_plain, overlaps
from virgo_factory.synthesis.scenes.sentences import Token, tokens_of
from virgo_factory.synthesis.words import SceneObject


Objects = Sequence[SceneObject]
Check = Callable[[], str | None]
_SIDES = ("left", "right", "above", "below", "inside")
_SIZES = {"larger": "larger", "bigger": "larger", "smaller": "smaller"}
_NAMES = _SIZES | {"largest": "largest", "biggest": "largest", "smallest": "smallest"}
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
_MOST = 400
"""Characters of claims."""
_MARKS = str.maketrans(dict.fromkeys("\"'`“”‘’[]"))
_INNER = r"(?:[^()]|\([^()]*\))*"
_CLAIM = re.compile(rf"(?:[^();,]|\({_INNER}\))+")
_AND = re.compile(r" and (?=[a-z_ -]+\()")
_COUNT = re.compile(rf"([-+]?) ?count ?\(({_INNER})\) ?")
_COUNTS = re.compile(rf"((?:{_COUNT.pattern})+)(?:==?|:|is\b) ?(.+)")
_OF_THINGS = re.compile(rf"([a-z_ -]+?) ?\(({_INNER})\)")
_COMMA = re.compile(" ?[,;] ?")
_UNTRUE, OF_OTHER = "by the boxes the writer's claim does not hold", "what the writer claims is of another answer"
_HOW_MANY = re.compile(
    r"\b(?:how many|(?:number|count|total|amount|tally|quantity) of)(?: of)?"
    r"((?: (?!(?:is|are|was|were|do|does|have|has|can|could|would|will|of|on|in|at|to|with|that|which)\b)[\w,-]+)+)"
)
"""What is counted; "how many legs do the sheep have" is not answered by their number."""
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|after|remain(?:s|ing)?|(?:are|be) left$|each|every|per|need(?:s|ed)?|missing)\b"
)
_SIZED = re.compile(
    rf"(?:(?P<of>.+?) (?:is|looks|seems|appears) )?(?:the |much |clearly )*(?P<size>{'|'.join(_SIZES)})(?: one)?(?: than (?P<than>.+))?"
)


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

    def against(self, claims: str) -> str | None:
        """Return what the boxes say against claims, or one that stands alone against the options; None for nothing.

        Of several the answer may be what follows from all: a sum, or the corner between two sides.
        """
        told = [check() if check else None for check in self.checks(claims)]
        return next((one for one in told if one and (len(told) == 1 or one.startswith(_UNTRUE))), None)

    def checks(self, claims: str) -> list[Check | None]:
        """Return what is to be held of claims that stand one behind another; None for one that cannot be read."""
        text = " ".join(claims.lower().translate(_MARKS).split())
        if len(text) > _MOST:
            return [None]

        text = re.sub(r"\b(left|right)[ _-]?of\b", r"\1 of", text)
        pieces = [one.strip(" .") for piece in _CLAIM.findall(text) for one in _AND.split(piece)]
        return [self._check(piece) for piece in dict.fromkeys(filter(None, pieces))]

    def _check(self, claim: str) -> Check | None:
        if found := _COUNTS.fullmatch(claim):
            terms, number = _COUNT.findall(found[1]), number_of(found[found.re.groups])
            counts = [self._counted(names) for _, names in terms]
            if number is None or None in counts or any(not sign for sign, _ in terms[1:]):
                return None

            count = sum(-one if sign == "-" else one for (sign, _), one in zip(terms, counts, strict=True))
            return lambda: self._of_count(count, number, [names for _, names in terms])

        found = _OF_THINGS.fullmatch(claim)
        things = [self._objects(name) for name in _COMMA.split(found[2].strip())] if found else []
        if not things or None in things:
            return None

        name = self._word(found[1].replace("_", " "))
        if name in ("more", "same number") and len(things) == 2:
            return lambda: self._of_numbers(name, *things)

        holds = _holding(name, *things) if len(things[0]) == 1 else None
        one, other = things[0][:1], things[1] if len(things) == 2 and len(things[1]) == 1 else [None]
        return holds and (lambda: _UNTRUE if holds(*one) is False else self._of_places(name, *one, *other, holds))

    def _word(self, name: str) -> str:
        """The relation or extreme that a word is: "under", "to the left of", "highest"."""
        read = tokens_of(name, self.meaning) if name not in _NAMES else None
        word = read[0] if read and kinds(read) in ("R", "E", "S") else None
        sides = sides_of(word) if word and word.kind == "S" else []
        return word.means if word and word.means else sides[0] if len(sides) == 1 else _NAMES.get(name, name)

    def _objects(self, name: str) -> Objects | None:
        """The objects of a tag, or of a name with looks; None where they cannot be told."""
        tokens = tokens_of(name, self.meaning) or tokens_of(name.replace("_", " "), self.meaning)
        return tokens[-1].some if tokens and kinds(tokens[-1:]) == "T" and all(map(is_all, tokens[:-1])) else None

    def _told(self, held: Sequence[Holds]) -> str | None:
        """What is against the answer where so many of the options hold."""
        if held[self.gold] is False:
            return f"{OF_OTHER}: {self.options[self.gold]}"

        others = (option for at, option in enumerate(self.options) if at != self.gold and held[at])
        return next((f"by the boxes another option is right too: {option}" for option in others), None)

    def _of_count(self, count: int, stated: Callable[[int], bool], names: Sequence[str]) -> str | None:
        if not stated(count):
            return f"{_UNTRUE}: they count {count}"

        allowed = [number_of(option) for option in self.options]
        if allowed[self.gold]:
            return self._told([fits and fits(count) for fits in allowed]) if self._is_counted(names) else None

        # "of which are there three?"
        things = [None if len(names) > 1 else self._objects(option) for option in self.options]
        return (
            self._told([None if some is None else len(some) == count for some in things])
            if things[self.gold]
            else None
        )

    def _is_counted(self, names: Sequence[str]) -> bool:
        """Whether the question asks for the number of what a claim counts, as it is in the picture."""
        asked = _HOW_MANY.search(self.question)
        is_whether = any(option.startswith("yes") for option in self.options)  # "no" is no number then
        if not asked or is_whether or _SUPPOSED.search(self.question):
            return False

        words = {singular(word.strip(",")) for word in asked[1].split()}
        some = [one for name in _COMMA.split(", ".join(names)) for one in self._objects(name) or ()]
        return bool(words & (GENERIC | {singular(one.name.lower()).split()[-1] for one in some}))

    def _counted(self, names: str) -> int | None:
        """How many there are of several names, that stand where conditions say."""
        some: list[SceneObject] = []
        conditions: list[tuple[str, SceneObject]] = []
        for name in _COMMA.split(names.strip()):
            read = tokens_of(re.sub("[_(:) ]+", " ", name).strip(), self.meaning) or []
            is_condition = kinds(read) == "RT"
            found = read[1].some if is_condition else self._objects(name)
            if found is None or is_condition and len(found) != 1:
                return None

            conditions += [(read[0].means, found[0])] if is_condition else []
            some += [] if is_condition else [one for one in found if one not in some]

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
        held: list[Holds] = [None] * len(read)
        named = [tokens[0].one if kinds(tokens) == "T" else None for tokens in read]
        if answer := named[self.gold]:
            if answer is other and one not in named:  # "what is the cup left of?"
                return None

            held = [thing and self._is_meant(thing, relation, other) and holds(thing) for thing in named]
            held[self.gold] = answer is one
        elif other is None or relation not in (*_SIDES, *_SIZES):
            return None
        elif relation in _SIZES:
            held[self.gold] = self._is_size(self.options[self.gold], relation, one, other)
        elif kinds(read[self.gold])[:1] == "T":
            held[self.gold] = is_true(read[self.gold], self.meaning)
        else:
            held = [self._of_side(tokens, relation, one, other, at != self.gold) for at, tokens in enumerate(read)]

        return self._told(held)

    def _of_side(
        self, read: Sequence[Token], relation: str, one: SceneObject, other: SceneObject, is_clear: bool
    ) -> Holds:
        """Whether an option that names a side names the claim's; one without a thing may be of the picture."""
        place = [token for token in as_it(read, other) if token.kind not in "HV"]
        if kinds(place) in ("S", "E"):
            sides = sides_of(place[0])
            if sides != [relation]:
                return False if _OPPOSITE.get(relation) in sides else None

        return holds_at(place, one, self.meaning, other, is_clear)

    def _is_size(self, option: str, relation: str, one: SceneObject, other: SceneObject) -> Holds:
        """Whether an option that says how large one thing is beside another says the claim's."""
        if not (found := _SIZED.fullmatch(option)):
            return None

        is_straight: set[bool] = set()
        for part in ("of", "than"):
            if found[part] and found[part] != "it":
                meant = [thing for thing in (one, other) if thing in (self._objects(found[part]) or ())]
                is_straight |= (
                    {(thing is one) == (part == "of") for thing in meant} if len(meant) == 1 else {True, False}
                )

        if not is_straight:  # of what the question names first, else the claim
            at = [max(map(self.question.find, (thing.tag.lower(), thing.name.lower()))) for thing in (one, other)]
            is_straight = {not -1 < at[1] < at[0]}

        return (_SIZES[found["size"]] == relation) in is_straight if len(is_straight) == 1 else None

    def _is_meant(self, thing: SceneObject, relation: str, other: SceneObject | None) -> Holds:
        """Whether another thing of which the claim holds is an answer, too; None where the question may ask for more."""
        read = tokens_of(self.question, self.meaning) or ()
        if (
            not re.fullmatch("[WTV]*[RSEb][WTV]*", kinds(read))
            or not first(read, "W")
            or asks_who(read)
            or thing is other
        ):
            return None

        of = [
            after for word, after in pairwise(read) if word.kind == "W" and after.kind == "T" and not after.is_generic
        ]
        is_such = all(thing in (token.some or ()) for token in of)
        is_clear = other is None or other.tag.lower() in self.question or is_plain(relation, thing, other)
        return True if is_such and is_clear else None


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

    relation = RELATIONS.get(name)
    return (lambda one: relation(one, *ends)) if relation else None
