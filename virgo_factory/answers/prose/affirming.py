"""Yes, no and sides: what a response says of what a question asks, in the question's own words."""

import re
from collections.abc import Iterator

from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose.clauses import statements
from virgo_factory.answers.prose.phrases import said_answer, said_boolean
from virgo_factory.answers.values.latex import words


_AUXILIARIES = frozenset("is are was were do does did has have had can could will would".split())
_UNSAID = _AUXILIARIES | frozenset(
    "any some indeed currently actually really clearly appear so thus therefore hence".split()
)
_NO = frozenset("not no never neither nor cannot".split())
_OPEN = frozenset(
    "whether if unless unclear doubt might may would think thought seem false wrong incorrect first other another second".split()
)
"""Words in front of a statement that leave it open, or make it one of another thing."""
_MEN, _WOMEN = (
    frozenset(names.split())
    for names in ("man boy guy gentleman father son king", "woman girl lady mother daughter queen")
)
_PEOPLE = frozenset("person child player driver rider worker student baby".split())
_GOES_ON = frozenset("in on at to of by with near next behind beside under over above below and or but because since as so while which that if than from for there here it they compared rather instead".split())  # fmt: skip
"""Words behind a statement that leave its last word as it is: no "dog house"."""
_UNTOLD = re.compile(
    r" (?:in|on) (?:the|this|that) (?:image|picture|photo|figure|scene|diagram|chart|graph)\b| in (?:fact|reality)\b|\s*\([^()]*\)| the (?:type|kind|category) of\b"
)


def affirms(text: str, question: str) -> bool | None:
    """Return whether a response says yes or no: in what it announces, by the question's own words, or else; None without either."""
    said = said_answer(text) or ""
    told = (said_boolean(said), restated(question, text), _restated_in_chinese(question, text), said_boolean(text))
    return next((said for said in told if said is not None), None)


def restated(question: str, text: str) -> bool | None:
    """Return what a statement says to a yes/no question: "Is red larger than blue?" is denied by "Red is not larger than blue".

    Only a statement with the question's own words in their order decides.
    """
    question = (re.findall(r"[^.?!\n]+\?", question) or question.strip().splitlines() or [""])[-1]
    question, text = (_UNTOLD.sub("", said) for said in (question, text))
    asked = _stems(re.split(r", (?=(?:is|are|was|were|do|does|did|has|have|can)\b)", question)[-1])
    wanted = [word for word in asked[1:] if word not in _UNSAID]
    if len(wanted) < 2 or asked[0] not in _AUXILIARIES or _NO & {*wanted}:
        return None
    shorter = len(wanted) > 2 and set(re.findall(rf"(\w+) {re.escape(wanted[1])}", text.lower()))
    heads = [wanted, wanted[1:]] if shorter and shorter <= {"the", "this", "that", "a", wanted[0]} else [wanted]
    if wanted[0] == "there":
        heads += [["see", *wanted[1:]], *([*wanted[1:], seen] for seen in _SEEN)]
    sentences = [part for part in re.split(r"(?<=[.!?;])\s+|\n+", text[-4_000:]) if part.strip()]
    if sentences and P.CLAIM.search(question) and (held := P.HOLDS.search(sentences[-1])):
        return None if P.RETRACTED.search(sentences[-1][: held.start()]) else not (held["no"] or held["unfit"])
    for told in reversed(sentences):
        found, opened, last = None, set(), told is sentences[-1]
        both = (told, *{_ANOTHER_WAY.sub(r"\1 not ", told)} - {told}) if not told.rstrip().endswith("?") else ()
        for stated in (_stems(clause) for one in both for clause in _CLAUSE.split(one)):
            ways = [*heads, *_with_pronoun(stated, wanted, asked[0])] if last else heads
            said = next((said for way in ways if (said := _says(stated, way, opened)) is not None), None)
            said = False if said is None and last and _denies(stated, wanted, asked[0]) else said
            found, opened = found if said is None else said, opened | _OPEN & set(stated)
        if found is not None:
            return found
    return None


def _restated_in_chinese(question: str, text: str) -> bool | None:
    """What the last statement that has the end of a Chinese question says of it: 没有戴眼镜 denies 戴眼镜了吗."""
    asked = re.search(r"([\u4e00-\u9fff]{2,12}?)了?[吗嘛][?？\s]*$", question)
    for told in reversed(statements(text[-1_000:])) if asked else ():
        for length in range(min(len(asked[1]), 6), 1, -1):
            head, found, _ = told.rpartition(asked[1][-length:])
            if found:
                return re.search("(?:没有?|不|未|非)$", head) is None
    return None


_CLAUSE = re.compile(r"[,;]\s+|\s(?=(?:but|so|while|whereas|although|however)\b)")
_ANOTHER_WAY = re.compile(r"\b(is|are|was|were) [\w ]{1,30}?,? (?:(?:and |but )?not|rather than|instead of) ")
"""What something is instead: "is green, not red" denies that it is red."""


def _with_pronoun(stated: list[str], wanted: list[str], auxiliary: str) -> Iterator[list[str]]:
    """What a clause that begins with a pronoun would say in the words of a question."""
    place = next((place for place, word in enumerate(stated[:3]) if word in ("he", "she", "it", "they")), None)
    for cut in range(1, max(len(wanted) - 1, 2)) if place is not None else ():
        if _refers(stated[place], {*wanted[:cut]}, auxiliary):
            yield [stated[place], *wanted[cut:]]


def _refers(pronoun: str, named: set[str], auxiliary: str) -> bool:
    """Whether a pronoun may stand for a question's subject."""
    people = _MEN | _WOMEN | _PEOPLE
    if pronoun in ("he", "she"):
        return bool(named & (people - (_WOMEN if pronoun == "he" else _MEN)))
    if pronoun == "it":
        return not named & people and auxiliary in ("is", "was", "does", "has", "did", "can")
    return pronoun == "they" and auxiliary in ("are", "were", "do", "have", "did", "can")


_SEEN = frozenset("visible present shown seen pictured depicted anywhere".split())
_POINTS = frozenset("it he she they one this s to as of".split())
"""Words of a denial that need not be the question's."""


def _denies(stated: list[str], wanted: list[str], auxiliary: str) -> bool:
    """Whether a clause denies what a question asks of its subject in some of the question's words: "so it is not the largest"."""
    place = next((place for place, word in enumerate(stated) if word in _NO), 0)
    unsaid = _UNSAID | _POINTS | _SEEN - {*wanted}
    subject, rest = ([word for word in part if word not in unsaid] for part in (stated[:place], stated[place + 1 :]))
    said = iter(wanted)
    if not rest or (_OPEN - {*wanted}) & {*stated} or not all(word in said for word in (*subject, *rest)):
        return False
    pronoun = next((word for word in stated[:place] if word in ("it", "he", "she", "they")), "")
    if subject:
        return subject[:1] == wanted[:1] or "one" in stated[:place]
    return _refers(pronoun, {*wanted[: wanted.index(rest[0])]}, auxiliary)


def _says(stated: list[str], wanted: list[str], opened: set[str]) -> bool | None:
    """Whether a clause has the words of a question in their order, and no word of denial among and in front of them; None without them."""
    said = [place for place, word in enumerate(stated) if word not in _UNSAID and word not in _NO]
    for start in range(len(said) - len(wanted) + 1):
        if [stated[place] for place in said[start : start + len(wanted)]] == wanted:
            ended = said[start + len(wanted) - 1] + 1
            places = (ended, ended + 1) if wanted[-1].endswith("est") else (ended,)  # "the smoothest line"
            goes_on = any((_GOES_ON | _SEEN) >= {*stated[place : place + 1]} for place in places)
            goes_on = goes_on or wanted[0] == "there" and stated[ended].endswith(("ing", "ed"))
            is_open = opened or _OPEN & {*stated[: said[start]]} or not goes_on
            return None if is_open else not _NO & {*stated[:ended]}
    return None


_THEN = re.compile(r"(?<=[a-z]er )then\b")
_ONLY = re.compile(r"\bnot (?=only|just|merely)")
_WAYS = {"left": "right", "above": "below", "over": "under", "in front of": "behind", "before": "after", "north": "south", "east": "west"}  # fmt: skip
_WAYS |= {other: way for way, other in _WAYS.items()}
_WAY = rf"(?:to |on |at )?(?:the )?({'|'.join(_WAYS)})(?:-hand)?(?: side)?(?: of)?"
_ASKS_WAY = re.compile(
    rf"\b(?:is|are|was|were) (?:the |an? )?([\w ]+?) {_WAY} or {_WAY} (?:the |an? )?([\w ]+?)\?", re.IGNORECASE
)


def turned(question: str, text: str) -> str | None:
    """Return on which side of the other one thing is, where the question asks for that, and the last statement says it of either of them.

    >>> turned("Is the lamp to the left or to the right of the bed?", "The bed is to the left of the lamp.")
    'right'
    """
    if not (asked := _ASKS_WAY.search(question)):
        return None
    one, way, other, two = (part.lower() for part in asked.groups())
    said = r"\b{} (?:is|are|was|were|stands?|sits?|lies|hangs?|appears?)(?: [a-z]+){{0,3}}? {} (?:the |an? )?{}\b"
    ways = {pair: said.format(re.escape(pair[0]), _WAY, re.escape(pair[1])) for pair in ((one, two), (two, one))}
    for told in reversed(statements(text[-1_000:])) if _WAYS[way] == other else ():
        found = {
            match[1] if first == one else _WAYS[match[1]]
            for (first, _), said in ways.items()
            for match in re.finditer(said, told.lower())
            if not re.search(P.NOT, match[0]) and match[1] in (way, other)
        }
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _stems(text: str) -> list[str]:
    """The words of a text, in the singular and with "n't" as a word of its own."""
    text = re.sub("n['’]t\\b", " not", _ONLY.sub("", text)).replace("no longer", "not still")
    text = _THEN.sub("than", text)
    return [re.sub("(?<=..[^su])(?<!doe)s$", "", word) for word in words(text).split()]
