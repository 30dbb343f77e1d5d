"""What a question states of counts and places, held against the boxes. Pure.

A third of what writers ask is how many there are and how things stand to each other, and that can be computed. Only whole
questions of known forms are judged, and nothing is said where one word of them is not understood or a box is within the
margins of `facts`: what is kept wrongly meets the votes later, what is dropped wrongly is lost.
"""

import re
from collections.abc import Sequence

from virgo_factory.synthesis.scenes import counting, standing
from virgo_factory.synthesis.scenes.counting import compared, some_are, there
from virgo_factory.synthesis.scenes.english import Meaning, plain
from virgo_factory.synthesis.scenes.facts import Holds
from virgo_factory.synthesis.scenes.forms import PICTURE, STANDS, Told, asked_for
from virgo_factory.synthesis.scenes.places import holds_at, place_in
from virgo_factory.synthesis.words import LETTERS, Question, Scene, SceneObject


def contradiction(question: Question, scene: Scene) -> str | None:
    """Return what the boxes say against a question, or None where they say nothing or agree.

    Against it is that its answer is wrong, and that another option is right too.

    Args:
        question: its options may be in any order.
        scene: that it is about.
    """
    if not scene.objects:
        return None

    meaning = Meaning(scene)
    asked = asked_for(question.question)
    options = [plain(option) for option in question.options]
    for form in _FORMS:
        if told := form(asked, options, meaning):
            return _judged(told, options, LETTERS.index(question.answer), question)

    return None


def _judged(told: Told, options: Sequence[str], gold: int, question: Question) -> str | None:
    if told.holds(options[gold]) is False:
        return told.said or f"by the boxes the answer does not hold: {question.gold}"

    holds = told.is_clear or told.holds
    for number, option in enumerate(options):
        if number != gold and holds(option) is True:
            return f"by the boxes another option is right too: {question.options[number]}"

    return None


# yes or no, and statements

_IS = re.compile(r"^(?:is|are|does|do|can) (?P<told>.+)$")
_STATEMENT = re.compile(
    r"^(?:which|what)(?: (?:one )?of (?:these|the following|them|the four))?(?: (?:statement|sentence|claim|description|option)s?)?"
    r"(?: (?:about|on|of|describing) (?P<about>.+?))? (?:is|are|holds?) "
    r"(?P<not>not |in)?(?P<true>true|correct|right|accurate|false|wrong|untrue)(?: (?:of|about|for) (?P<one>.+))?$"
    r"|^(?:which|what)\b.*? (?:statement|sentence|claim|description)s? (?:correctly )?(?:matches|describes|fits|agrees with) "
    rf"(?:the|this) {PICTURE}(?: (?:correctly|best))?$"
    r"|^(?:which|what)\b.*? (?:statement|sentence|claim|description|option)s? (?:correctly |best |accurately )?compares .+$"
)
_YES = re.compile(r"(yes|no|true|false)(?:[,;:]|$| (?:it|there|they|the|that) )")
_SAID = re.compile(
    r"^(?:true or false|(?:is|does) (?:it|this|the following)(?: statement| sentence| claim)? (?:true|correct|right|hold|(?P<false>false|wrong))"
    r"(?: or (?:false|wrong|not))?)(?:[:,;?.]| that) (?P<told>.+)$|^(?P<before>.+?)[:,;.] (?:true or false|is (?:this|that"
    r"|it) (?:true|correct|right))$"
)
_OF_THEM = re.compile(
    r"^(?P<number>none|both|all|each|neither|either|(?:(?:exactly|only|just) )?(?:one|two|three|four|five))(?: of (?:them|these))?"
    r"(?= (?:is|are|stands?|lies?)\b)|(?<= )of (?:them|these)$"
)
_ASKS_THERE = re.compile(r"(?:is|are) there ")
_VERB = re.compile(
    rf" ?(?:{STANDS}|stand|sit|appear|be found|located|placed|positioned|standing|lying)?(?: not)?(?: farther| further)?$"
)
_STATES_COUNT = re.compile(r"^there (?P<rest>(?:is|are) .+)$")


def _yes_or_no(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Whether there are so many, or something stands somewhere; the options begin with yes or no."""
    if not any(_YES.match(option) for option in options):
        return None

    if found := _SAID.match(asked):
        held = _is_true(found["told"] or found["before"], None, meaning)
        held = held if held is None else held != (found["false"] is not None)
    else:
        found = _IS.match(asked)
        held = _is_so(asked, found["told"], meaning) if found else None

    if held is None:
        return None

    def holds(option: str) -> Holds:
        word = _YES.match(option)
        return None if not word else (word[1] in ("yes", "true")) == held

    return Told(holds, f"by the boxes the answer is {'yes' if held else 'no'}", lambda option: None)


def _is_so(asked: str, told: str, meaning: Meaning) -> Holds:
    """Return whether a question that can be answered with yes is to be."""
    for form in (compared, some_are):
        if (held := form(asked, meaning)) is not None:
            return held

    return there(asked, meaning) if _ASKS_THERE.match(asked) else _stands(told, None, meaning)


def _stands(text: str, subject: SceneObject | None, meaning: Meaning) -> Holds:
    """Return whether something stands where a sentence or the rest of a question says, "it" being the subject."""
    start = place_in(text)
    if start is None:
        return None

    before = _VERB.sub("", text[:start].rstrip())
    is_not = text[:start].rstrip().endswith(" not")
    one = subject if before in ("it", "") else meaning.one(before)
    held = holds_at(text[start:], one, meaning) if one else None
    return held if held is None else held != is_not


def _stated(asked: str, options: Sequence[str], meaning: Meaning) -> Told | None:
    """Which of several statements is true, or which is false."""
    found = _STATEMENT.match(asked)
    if not found:
        return None

    is_not = bool(found["not"]) != (found["true"] in ("false", "wrong", "untrue"))
    about = found["one"] or found["about"]
    subject = meaning.one(about) if about else None

    def holds(option: str) -> Holds:
        if about and not subject:  # "both are to the left of it", of the trees
            option = _OF_THEM.sub(lambda found: f"{found['number']} of {about}" if found["number"] else about, option)

        held = _is_true(option, subject, meaning)
        return held if held is None else held != is_not

    return Told(holds)


def _is_true(text: str, subject: SceneObject | None, meaning: Meaning) -> Holds:
    """Return whether a sentence is true."""
    if found := _STATES_COUNT.match(text):
        verb, _, rest = found["rest"].partition(" ")
        return there(f"{verb} there {rest}", meaning)

    if (held := compared(text, meaning)) is not None or (held := some_are(text, meaning)) is not None:
        return held

    return _stands(text, subject, meaning)


_FORMS = (
    counting.by_how_many,
    counting.difference,
    counting.how_compared,
    counting.listed,
    counting.counted,
    _yes_or_no,
    _stated,
    counting.most,
    standing.ordered,
    standing.the_one,
    standing.ended,
    standing.covering,
    standing.related,
    standing.between_which,
    standing.directed,
    standing.placed,
)
"""Forms of question -> what the options are to be; the first that understands a question judges it."""
