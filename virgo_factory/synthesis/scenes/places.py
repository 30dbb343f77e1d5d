"""Whether something stands where a phrase says: to the left of cup 1, above and to the right of it, in the upper left. Pure."""

import re
from collections.abc import Sequence

from virgo_factory.synthesis.scenes.english import RELATION, Meaning
from virgo_factory.synthesis.scenes.facts import RELATIONS, Holds, is_plain, middle
from virgo_factory.synthesis.words import SceneObject


_ADVERB = r"(?:(?P<adverb>directly|immediately|just|straight|far|slightly|somewhat|diagonally|clearly) )?"
_OF = r"(?: (?:of|from|than) (?P<ref>.+))?"
_PIECES = tuple(
    re.compile(rf"^(?P<not>not )?{_ADVERB}{words}$")
    for words in (
        rf"(?:(?:to|on|at|in|towards?) )?(?:(?:the|its) )?(?P<up>upper|top|lower|bottom)[ -](?P<side>left"
        rf"|right)(?:-hand)?(?: (?:side|corner|part|quarter|edge))?{_OF}",
        rf"(?:(?:to|on|at|in|towards?) )?(?:(?:the|its) )?(?:farther |further )?(?:to the )?(?P<side>left"
        rf"|right)(?:-hand)?(?: (?:side|part|edge|(?P<half>half)))?{_OF}",
        rf"(?:(?:on|at|in|towards?) )?(?:(?:the|its) )?(?:very )?(?P<up>top|bottom|upper|lower)(?: (?:part|edge|side|(?P<half>half)))?{_OF}",
        r"(?P<up>above|below|beneath|underneath|higher(?: up)?|lower(?: down)?)(?: than)?(?: (?P<ref>.+))?",
        r"(?:wholly |completely |fully |entirely )?(?P<in>inside)(?: of)? (?P<ref>.+)",
    )
)
_BETWEEN = re.compile(
    r"^(?P<not>not )?(?:in )?between (?:(?P<one>.+?) and (?P<other>.+)|(?:the |both )?(?:two )?(?P<both>[\w -]+))$"
)
_AND = re.compile(r",? and |, (?:but )?| but ")
_UP = {"upper": "above", "top": "above", "above": "above", "higher": "above", "higher up": "above"}
_IT = re.compile(r"^(?:it|them|its|that)$")
_PICTURE = re.compile(r"^(?:this|the) (?:picture|image|scene|photo|photograph|frame)$")
_VAGUE = 0.1
"""Part of the picture's side, around its middle, in which nothing is on one side of it."""


def holds_at(
    text: str, one: SceneObject, meaning: Meaning, other: SceneObject | None = None, is_clear: bool = False
) -> Holds:
    """Return whether an object stands where a phrase says; None where it is not understood, or in a margin.

    Args:
        text: plain, such as "above and to the left of cup 1".
        one: that stands somewhere.
        meaning: of the scene.
        other: what "it", and a direction without a name, refers to; None: a direction without a name is of the picture.
        is_clear: only where the two boxes lie apart in that direction, so that nobody would say it differently.
    """
    if found := _BETWEEN.match(text):
        ends = _ends(found, meaning)
        held = _is_between(one, *ends) if len(ends) == 2 and one not in ends else None
        return held if held is None else held != bool(found["not"])

    pieces = [_piece(piece) for piece in _AND.split(text)]
    if not pieces or any(piece is None for piece in pieces):
        return None

    last = next((piece["ref"] for piece in reversed(pieces) if piece["ref"]), None)
    held = [_holds(piece, piece["ref"] or last, one, meaning, other, is_clear) for piece in pieces]
    if any(one is False for one in held):
        return False

    return True if all(held) else None


def is_place(text: str) -> bool:
    """Return whether a phrase begins as one that says where something stands to something else."""
    return bool(_PLACE.match(text))


def place_in(text: str) -> int | None:
    """Return where in a text such a phrase begins; None where there is none."""
    found = _ANYWHERE.search(text)
    return found.start() if found else None


_ANYWHERE = re.compile(rf"{RELATION.pattern}|\b(?:in )?between\b")
_PLACE = re.compile(rf"^(?:not )?{_ADVERB}?(?:{RELATION.pattern}|(?:in )?between\b)")


def standing(some: Sequence[SceneObject], text: str, meaning: Meaning) -> list[SceneObject] | None:
    """Return those of some objects that stand where a phrase says; None where that cannot be told of one of them.

    What the phrase names is not among them, whatever its name.
    """
    found = []
    for one in some:
        if one in _named(text, meaning):
            continue

        held = holds_at(text, one, meaning)
        is_doubtful = held and not text[-1].isdigit() and not holds_at(text, one, meaning, is_clear=True)
        if held is None or is_doubtful:  # who names a tag goes by its box, else by what people would say
            return None

        found += [one] if held else []

    return found


def _ends(found: re.Match[str], meaning: Meaning) -> list[SceneObject]:
    """Return the two between which something stands; fewer where they are not known."""
    if found["both"]:
        both = meaning.several(found["both"]) or []
        return both if len(both) == 2 else []

    return [one for name in ("one", "other") if (one := meaning.one(found[name]))]


def _named(text: str, meaning: Meaning) -> list[SceneObject]:
    if found := _BETWEEN.match(text):
        return _ends(found, meaning)

    pieces = [_piece(piece) for piece in _AND.split(text)]
    return [one for piece in pieces if piece and piece["ref"] and (one := meaning.one(piece["ref"]))]


def _is_between(one: SceneObject, left: SceneObject, right: SceneObject) -> Holds:
    """Return whether an object stands between two, from left to right where these stand so, else from top to bottom."""
    for axis, relation in ((1, "left"), (0, "above")):
        holds = RELATIONS[relation]
        if holds(left, right) is None:
            continue

        first, last = (left, right) if holds(left, right) else (right, left)
        held = holds(first, one), holds(one, last)
        low, high = min(left.box[axis], right.box[axis]), max(left.box[axis + 2], right.box[axis + 2])
        is_beside = one.box[axis] < high and one.box[axis + 2] > low  # else it is far over them, or below
        return False if False in held else True if all(held) and is_beside else None

    return None


def _piece(text: str) -> dict[str, str | None] | None:
    for pattern in _PIECES:
        if found := pattern.match(text.strip()):
            return {"up": None, "side": None, "half": None, "in": None, "ref": None, **found.groupdict()}

    return None


def _holds(
    piece: dict[str, str | None],
    name: str | None,
    one: SceneObject,
    meaning: Meaning,
    other: SceneObject | None,
    is_clear: bool,
) -> Holds:
    relations = []
    if piece["side"]:
        relations.append(piece["side"])

    if piece["up"]:
        relations.append(_UP.get(piece["up"], "below"))

    if piece["in"]:
        relations.append("inside")

    is_of_picture = bool(name and _PICTURE.match(name)) or name is None and other is None
    if not is_of_picture:
        targets = [other] if name is None or _IT.match(name) else _meant(name, meaning)
        if not targets or None in targets or one in targets:
            return None

        held = [RELATIONS[relation](one, target) for target in targets for relation in relations]
        if is_clear and not all(is_plain(relation, one, target) for target in targets for relation in relations):
            held.append(None)
    elif relations == ["inside"]:
        return None
    else:
        held = [_in_picture(one, relation, meaning.size) for relation in relations]
        if is_clear and not piece["half"]:
            held.append(None)  # several things are on the left, and one of them is in the corner

    found = False if any(holds is False for holds in held) else True if all(held) else None
    if found is not None and piece["not"]:
        found = not found

    return None if found and piece["adverb"] not in (None, "clearly", "diagonally") else found


def _meant(name: str, meaning: Meaning) -> list[SceneObject | None]:
    """Return the one that a name means, or all where it says so."""
    if found := re.match(r"^(?:both|all|every|each)(?: of)?(?: the)? (?P<name>.+)$", name):
        return list(meaning.several(found["name"]) or [])

    return [meaning.one(name)]


def _in_picture(one: SceneObject, relation: str, size: tuple[int, int]) -> Holds:
    """Return whether an object is in a half of the picture."""
    axis = 0 if relation in ("left", "right") else 1
    part = middle(one)[axis] / size[axis]
    if abs(part - 0.5) < _VAGUE:
        return None

    return (part < 0.5) == (relation in ("left", "above"))
