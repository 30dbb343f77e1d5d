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
_NO = frozenset("not no never neither nor cannot none hardly".split())
_OPEN = frozenset(
    "whether if unless unclear doubt might may would think thought seem false wrong incorrect first other another second almost nearly partly partially statement question check state assume assumption myth say said claimed asked hard difficult".split()
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
    r" (?:in|on) (?:the|this|that) (?:image|picture|photo(?:graph)?|figure|scene|diagram|chart|graph)\b| in (?:fact|reality)\b|\s*\([^()]*\)| the (?:type|kind|category) of\b"
)


def affirms(text: str, question: str) -> bool | None:
    """Return whether a response says yes or no: in what it announces, by the question's own words, or else; None without either."""
    said = said_answer(text) or ""
    told = (said_boolean(said), restated(question, text), _restated_in_chinese(question, text), said_boolean(text))
    return next((said for said in told if said is not None), None)


def _restated_in_chinese(question: str, text: str) -> bool | None:
    """What the last statement that has the end of a Chinese question says of it: 没有戴眼镜 denies 戴眼镜了吗."""
    asked = re.search(
        r"([\u4e00-\u9fff]{2,12}?)了?[吗嘛][?？\s]*$|^判断[^:：]{0,8}[:：]\s*(\w{2,20})[。.]?\s*$", question
    )
    asked = re.sub("[着了的]|确实", "", asked[1] or asked[2]) if asked else ""
    for told in reversed(
        [part for told in statements(text[-1_000:]) for part in re.split("[，,；]", told)] if asked else ()
    ):
        if re.fullmatch(r"\W*(?:并没有|并不是|并非如此|不是这样的?)\W*", told):
            return False
        told = re.sub("[着了的]|确实|任何", "", told)
        if "比" in asked:
            one, _, other = asked.rpartition("比")
            two, _, than = told.strip().rpartition("比")
            is_turned = two and than.startswith(one) and other == two + than[len(one) :]
            if asked in told or is_turned or re.search(f"{one}(?:不比|没有?){other}|^[^比]*(?:一样|相同|相等)", told):
                return asked in told
            continue
        if re.search("说法|命题|这句|判断", told):
            return None
        shortest = len(asked) - asked.rfind("是") - 1 if "是" in asked else 1
        for length in range(max(min(len(asked), 6), shortest), shortest - 1, -1):
            tail, before = asked[-length:], asked[:-length]
            head, found, behind = told.rpartition(tail)
            if found and re.search("旁边|另一|别的|其他", head) and not re.search("旁边|另一|别的|其他", asked):
                break  # of another one
            if found and re.search("(?:没有?|(?<!只)不(?!仅|但|错)|未|非|无)[^的]{0,6}$", head):
                return False
            named = not before or not head or before[-1] in head or re.search("^\\W*(?:[他她它这那]们?)", head)
            if length == 1:
                named = re.search(f"{before[-1:]}|看到|看见", head) and re.match(
                    "[在和与、出站坐躺趴跑正]|\\W*$", behind
                )
            if found and named:
                return True
            if found:
                break
    return None


_CLAUSE = re.compile(r"[,;]\s+|\s(?=(?:but|so|while|whereas|although|however)\b)")
_ANOTHER_WAY = re.compile(
    r"\b((?:is|are|was|were)(?: \w+ing)?) [\w ]{1,30}?,? (?:(?:and |but )?not|rather than|instead of) "
)
"""What something is instead: "is green, not red" denies that it is red."""


_PRONOUNS = frozenset("he she it they this that these".split())


def _with_pronoun(stated: list[str], wanted: list[str], auxiliary: str) -> Iterator[list[str]]:
    """What a clause that begins with a pronoun would say in the words of a question."""
    place = next((place for place, word in enumerate(stated[:3]) if word in _PRONOUNS), None)
    for cut in range(1, len(wanted)) if place is not None else ():
        if _refers(stated[place], {*wanted[:cut]}, auxiliary):
            yield [stated[place], *wanted[cut:]]


def _refers(pronoun: str, named: set[str], auxiliary: str) -> bool:
    """Whether a pronoun may stand for a question's subject."""
    people = _MEN | _WOMEN | _PEOPLE
    if pronoun in ("this", "that", "these"):
        return pronoun in named
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


_PICTURE = r"(?:the|this|that|these) (?:[\w-]+ )?(?:image|picture|photo(?:graph)?|figure|scene|diagram|chart|graph|plot|map|drawing|x-ray|scan)s?"
_SEES = r"(?:show|depict|contain|feature|include|display|see|spot|find|observe|notice|identify|detect|have|has)s?"
_PLAINLY = tuple(
    (re.compile(found, re.IGNORECASE), plain)
    for found, plain in (
        (r"\bcan(?:['’]t|not)\b", "can not"),
        (r"n['’]t\b", " not"),
        (r"\b(the \w+|they|these) are( not)? all\b", r"\2 all \1 are"),
        (r"\b(is|was) [$\d.,]+%?(?: \w+)?, which is\b|(?<=er) one\b", r"\1"),
        (r"\b(there|it|s?he)['’]s\b", r"\1 is"),
        (r"\b(?:nobody|no[ -]one)\b", "no person"),
        (r"\b(?:people|persons|humans?)\b", "person"),
        (r"\b(?:no|without)(?: an?| any)? (?:doubt|question)\b(?: that)?", ""),
        (r"\b(no|any|is) (?:(?:clear|strong|visible) )?(?:evidence|signs?|indications?|traces?) of\b", r"\1"),
        (r"\blacks?\b|\bwithout\b", "not with"),
        (r"\b(all|both) of\b", r"\1"),
        (r"\b(?:appear|seem)s? to be\b|\bcan be seen(?= \w+ing\b)", "is"),
        (r"\bnot (?:one|a single|1)\b[^,.;]{1,30} but\b", ""),
        (r"\bimpossible\b", "not possible"),
        (
            r"\b(?:is it|it is)((?: not| indeed| \w+ly)*) (?:possible|allowed|permitted)(?: for \w+)? to\b",
            r"you can\1",
        ),
        (r"\b(?:is|are)( not)? (?:allowed|able|permitted) to\b", r"can\1"),
        (r"\b(?:one|we|person) can\b(?! be\b)", "you can"),
        (r",? (?:according to|based on) [^,.?]{1,40}(?=[,.?]|$)", ""),
        (rf"\b(?:(?:can|could|do) (?:you|we)|(?:do|does|did) {_PICTURE})(?: also)? {_SEES}\b", "is there"),
    )
)
_SHOWS = re.compile(
    rf"\b(?:{_PICTURE}|i|we|you|one|it)((?: (?:do|does|did|can|could|not|indeed|also|\w+ly))*) {_SEES}\b",
    re.IGNORECASE,
)
"""What is in a picture, which is there."""
_HAS = re.compile(r"(?<=\w )(?:has|have|having)\b(?! been|\w+ed\b)", re.IGNORECASE)
_CLAIMED = re.compile(
    r"[\"“]([^\"“”]{8,200})[\"”]|(?:\b(?:true or false|statement|claim)\b[^:?]{0,20}:|\bis it (?:true|correct) that)\s*([^?.\"“”]{8,200})",
    re.IGNORECASE,
)
_IS_SO = re.compile(
    rf"(?:(?:^|[,:] )(?:so |indeed |therefore )*(?:it|he|she|they|there|this|that|these|you|we|i)(?: {P.ADVERB})? ({'|'.join(sorted(_AUXILIARIES))})(?: {P.ADVERB})?( not)?(?: {P.ADVERB})?[.! ]*$)",
    re.IGNORECASE,
)
_TRUTH = re.compile(
    r"\b(?:(?P<claim>statement|claim|assertion|hypothesis|proposition)(?: that .{3,200}?)?|this|that|it)(?: is| does|['’]s)?(?P<no> not)?(?: \w+ly)? (?:(?P<yes>true|correct|right|accurate|supported|confirmed|holds?|match(?:es)?)|false|incorrect|wrong|untrue|inaccurate|contradicted|contradicts?)\b(?! that\b)",
    re.IGNORECASE,
)
_DEGREES = frozenset("much very quite also one two three four several many few slightly some far too both all".split())
_APART = _GOES_ON | _OPEN | frozenset("he she you i one who whose like half toy hot fake missing".split())
_OPPOSITES = {"larger": "smaller", "bigger": "smaller", "taller": "shorter", "longer": "shorter", "higher": "lower", "older": "younger", "greater": "less", "more": "fewer", "heavier": "lighter", "wider": "narrower", "faster": "slower", "hotter": "colder", "brighter": "darker", "closer": "farther"}  # fmt: skip
_OPPOSITES |= {other: one for one, other in _OPPOSITES.items()}
_OTHERS = {"same": "different", "left": "right", "open": "closed", "indoor": "outdoor", "full": "empty", "true": "false", "on": "off", "day": "night"}  # fmt: skip
_OTHERS |= {other: one for one, other in _OTHERS.items()}


def restated(question: str, text: str) -> bool | None:
    """What the statements of a response agree in saying to a yes/no question, with other words between the question's own; None where they differ."""
    claim = _CLAIMED.search(question)
    claim = claim if claim and (claim[2] or P.CLAIM.search(question)) else None
    text = text[-4_000:]
    asked = claim[1] or claim[2] if claim else (re.findall(r"[^.?!\n]+\?", question) or [""])[-1].strip()
    asked = re.split(r", (?=(?:is|are|was|were|do|does|did|has|have|can)\b)", asked)[-1]
    auxiliary = (asked.split() or [""])[0].lower()
    for found, plain in _PLAINLY:
        asked, text = found.sub(plain, asked), found.sub(plain, text)
    asked, text = _UNTOLD.sub("", asked), _UNTOLD.sub("", text)
    is_there = re.match(r"\W*(?:is|are|was|were) there\b", asked, re.IGNORECASE) is not None
    text = _SHOWS.sub(r"there is\1", text) if is_there else text
    asked, text = _HAS.sub("with", asked), _HAS.sub("with", text)
    wanted = [word for word in _stems(asked) if word not in _UNSAID]
    if len(wanted) < 2 or _NO & {*wanted} or not claim and auxiliary not in _AUXILIARIES:
        return None
    nouns = {*_stems(" ".join(re.findall(r"\b(?:an?|any|some|there (?:is|are)) ([\w-]+)", asked.lower())))}
    nouns |= {wanted[1]} if is_there else set()
    ways = [(wanted, True, False)]
    if is_there:
        ways += [([*wanted[1:], seen], True, False) for seen in _SEEN]
    elif auxiliary in ("can", "could"):
        ways.append((["you", *wanted[1:]], True, False))
    if "than" in wanted[2:-1]:
        place = wanted.index("than")
        one, more, other = wanted[: place - 1], wanted[place - 1], wanted[place + 1 :]
        ways += [([*other, more, "than", *one], False, False)]
        ways += [([*one, more], True, True), ([*other, more], False, True)]
        if less := _OPPOSITES.get(more):
            ways += [([*one, less, "than", *other], False, False), ([*other, less, "than", *one], True, False)]
        pairs = (["they"], ["both"], [*one, "and", *other], [*other, "and", *one])
        ways += [([*both, alike], False, False) for both in pairs for alike in ("same", "equal")]
    for place, word in enumerate(wanted):
        if word in _OTHERS and (word in ("same", "left", "right") and wanted[place + 1 :] or place == len(wanted) - 1):
            ways.append(([*wanted[:place], _OTHERS[word], *wanted[place + 1 :]], False, False))
    shorter = len(wanted) > 2 and set(re.findall(rf"(\w+) {re.escape(wanted[1])}", text.lower()))
    if shorter and shorter <= {"the", "this", "that", "a", wanted[0]}:
        ways.append((wanted[1:], True, False))
    tail = " ".join(wanted[max((place for place, word in enumerate(wanted) if word in nouns), default=len(wanted)) :])
    after = rf"(?: (?:(?:is|are|can|be) )*(?:{'|'.join(_GOES_ON | _SEEN)})\b|$)"
    led = "\\b" if is_there else "^(?:but |and |so )*(?:there (?:is|are) )?"
    denied = re.compile(rf"{led}(?:no|not)(?: any| single)? {re.escape(tail)}{after}") if tail else None
    sentences = [part for part in re.split(r"(?<=[.!?;])\s+|\n+", text) if part.strip()]
    if sentences and P.CLAIM.search(question) and (held := P.HOLDS.search(sentences[-1])):
        return None if P.RETRACTED.search(sentences[-1][: held.start()]) else not (held["no"] or held["unfit"])
    found = set()
    for told in sentences:
        unsure = r"\?\W*$|\b(?:if|unless|whether)\b" + r"|\b(?:but|except|besides)\b" * bool(
            {"all", "every"} & {*wanted}
        )
        if P.UNKNOWN.search(told) or re.search(unsure, told.lower()):
            continue
        if re.match(r"\W*(?:however|but|wait|actually)\b", told, re.IGNORECASE):
            found.clear()
        if (so := _IS_SO.search(told)) and (so[1].lower() == auxiliary):
            found.add(not so[2])
        for truth in _TRUTH.finditer(told):
            if truth["claim"] or claim:
                found.add(bool(truth["yes"]) != bool(truth["no"]))
        both = (told, *{_ANOTHER_WAY.sub(r"\1 not ", told)} - {told})
        for stated in (_stems(part) for one in both for part in _CLAUSE.split(one)):
            every = [(way, *rest) for one, *rest in ways for way in (one, *_with_pronoun(stated, one, auxiliary))]
            said = {_reads(stated, *way, nouns, not is_there) for way in every} - {None}
            sure = is_there or not re.search(r"\b(?:but|because)\b", told)
            is_denied = denied and sure and denied.search(" ".join(stated)) or _denies(stated, wanted, auxiliary)
            found |= said or ({False} if is_denied else set())
    return found.pop() if len(found) == 1 else None


def _reads(
    stated: list[str], wanted: list[str], affirms: bool, whole: bool, nouns: set[str], led_out: bool
) -> bool | None:
    """Whether a clause says a question's words in their order, with what may stand between them."""
    for start in (place for place, word in enumerate(stated) if word == wanted[0]):
        place = start + 1
        for word in wanted[1:]:
            if word not in stated[place:]:
                break
            end = stated.index(word, place)
            gap = [one for one in stated[place:end] if one not in _UNSAID | _NO | {"be", "been"}]
            modified = [one for one in gap if not one.endswith("ly") and one not in _DEGREES]
            core = [one for one in stated[place:end] if one in _AUXILIARIES or one in gap and one[-2:] != "ly"]
            is_place = len(gap) < 7 and gap and gap[0] in _GOES_ON and not _LINKS & {*gap}
            is_place = is_place and (word == "with" or core[-1] in _AUXILIARIES)
            is_named = (word in nouns or wanted[0] == "there" and place == start + 1) and len(modified) < 3
            if modified and not is_place and (not is_named or _APART & {*gap}) or _OPEN & {*gap}:
                break
            place = end + 1
        else:
            goes_on = any(
                {*stated[at : at + 1]} <= _GOES_ON | _SEEN for at in (place, place + wanted[-1].endswith("est"))
            )
            goes_on = goes_on or wanted[0] == "there" and stated[place].endswith(("ing", "ed"))
            head = stated[max((at + 1 for at in range(start) if stated[at] == "and"), default=0) : place]
            denials = sum(one in _NO for one in head)
            if _OPEN & {*head[: start - place]} - {*wanted} or not goes_on or whole and stated[place:]:
                continue
            if denials > 1 or led_out and not denials and _LED & {*stated[:start][-2:]} or denials and not affirms:
                continue
            return affirms != bool(denials)
    return None


_LINKS = frozenset("and or but because since as so while which that who whose if than it he she they".split())
_LED = frozenset("of to behind beside beneath near with by under above from than like and or".split())
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
