"""What is wrong with a written question, as far as it can be told without asking anybody. Pure.

Every rule is exact and cheap; a question is dropped by the first that it breaks, and the reasons below are what cards count.
"""

import random
import re
from collections.abc import Sequence

from virgo_factory.answers.options import inline_options
from virgo_factory.synthesis.prompts import forged, word_in
from virgo_factory.synthesis.questions.grammar import TWO, Item, index_of, normal
from virgo_factory.synthesis.scenes.claims import contradiction
from virgo_factory.synthesis.words import LETTERS, Dropped, Question, Scene, question_id


NOT_IN_THE_FORM = "not in the form"
NOT_FOUR = "not four options"
NOT_DISTINCT = "two options are the same"
NO_OPTION = "the answer is none of the options"
TWO_OPTIONS = "the answer names two options"
OF_OTHERS = "an option speaks of the others"
FORBIDDEN_WORD = "a forbidden word"
BOX_NUMBERS = "numbers of a box"
UNKNOWN_TAG = "an unknown tag"
CONTROL_TOKEN = "a control token"
CONTRADICTED = "the boxes contradict it"
NEAR_DUPLICATE = "a near-duplicate"

FORBIDDEN = (
    *("bounding box", "bounding boxes", "bbox", "bboxes", "coordinate", "coordinates", "annotation", "annotations"),
    *("caption", "captions", "captioned", "description", "descriptions", "metadata"),
)
"""Words that speak of what the writer was given instead of the picture; matched at their boundaries, whatever their case."""

MOST = 600
"""Characters of a question; of an option a third."""
KINDS = ("place", "number", "recognition", "cause", "purpose", "other")

_KIND_WORDS = (
    ("number", ("count", "number", "quantit", "how many", "numer")),
    ("cause", ("caus", "commonsense", "common sense", "infer")),
    ("purpose", ("goal", "purpose", "analog", "function")),
    ("place", ("place", "spatial", "relation", "position", "location", "where", "layout")),
    ("recognition", ("recogn", "attribut", "identif", "color", "colour", "material", "texture", "light")),
)
_OTHERS = re.compile(
    r"(?i:\b(?:all|none|both|any|neither|either|some|two) of the (?:above|below|options|choices|answers|others?)\b|\bthe above\b)"
    r"|\b(?:[Bb]oth|[Ee]ither|[Nn]either|[Oo]ptions?|[Cc]hoices?) \(?[A-D]\)? (?:and|or|nor) \(?[A-D]\)?(?!\w)"
    r"|\([A-D]\) (?:and|or|nor) \([A-D]\)"
    r"|^\(?[A-D]\)? (?:and|or|&) \(?[A-D]\)?\.?$",
)
_LIST = r"\d+(?:\.\d+)?(?:\s*,\s*\d+(?:\.\d+)?)"
_IN_NUMBERS = re.compile(
    rf"\[\s*{_LIST}{{1,3}}\s*\]|\(\s*{_LIST}{{1,3}}\s*\)|\b\d+\s*(?:px|pixels?)\b|\b[xy][12]?\s*[=:]\s*\d",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.])\d{2,5}(?![\w.]*\w)")
_BEHIND = (
    r"is|are|was|were|be|has|have|had|does|do|did|can|and|or|nor|than|that|which|who|while|when|if|as|to|in|on|of|at|by|from|with|without|under"
    r"|over|above|below|behind|beneath|beside|between|near|next|inside|around|left|right|nearer|closer|higher|lower|larger|smaller|bigger|taller"
    r"|stands?|lies?|sits?|hangs?|rests?|covers?|touch(?:es)?|overlaps?|seems?|looks?|appears?|faces?|points?|drawn|shown|placed|painted|made|located"
)
_TAGGED = re.compile(rf"(?<![^\s(\"'“])([a-z][a-z-]{{2,}}) (\d{{1,3}})(?=\s*(?:[?,.;:)'’\"]|$)|\s+(?:{_BEHIND})\b)")
"""A word and a number, where no noun follows: "square 3", and not "has 3 legs"."""
_NO_TAGS = frozenset(
    "number numbers row rows column page level floor room gate platform line lines route channel lane bus train track size age"
    " about than least most only exactly top bottom first last all both between approximately roughly nearly around over under"
    " and the for are was were has have had with into from equals plus minus times into any step part figure section chapter"
    " those these other others see show hold wear take make give count day week month year season windows version phase terminal exit street avenue"
    " highway car class grade group team player".split()
)
"""Words in front of a number that make no tag of it."""
_PIECES = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*")
_IN_ORDER = re.compile(
    r"\border|sequence|respectively|\bthen\b|\bfirst|one after|left to right|right to left|top to bottom|bottom to top",
    re.IGNORECASE,
)
_IDLE = frozenset(
    "what which where how many much who why is are was were do does did can could of in on at to from for by with and or it its this"
    " that these those there than as be been being has have picture image scene photo one thing things object objects visible seen shown".split()
)
"""Words that do not tell one question from another."""


def checked(
    item: Item,
    scene: Scene,
    of: str,
    earlier: Sequence[Question] = (),
    place: int = 0,
    stage: int = 1,
    inputs: tuple[str, ...] = (),
) -> Question | Dropped:
    """Return a written item as a question, or why it is none.

    Args:
        item: as it was written.
        scene: that it is about.
        of: id under which it is dropped.
        earlier: questions about the scene that it may not repeat.
        place: of its right option, counted on from the scene's number: letters of a scene's questions follow one another.
        stage: see Question.
        inputs: see Question.
    """

    def dropped(reason: str, found: str = "") -> Dropped:
        return Dropped(of, reason, ": ".join(filter(None, (found, item.question[:200]))))

    if item.fault:
        return dropped(NOT_IN_THE_FORM, item.fault)

    if len(item.options) != len(LETTERS):
        return dropped(NOT_FOUR, f"{len(item.options)}")

    texts = (item.question, *item.options)
    for text in texts:
        if token := forged(text):
            return dropped(CONTROL_TOKEN, token)

    if len(item.question) > MOST or max(map(len, item.options)) > MOST // 3 or len(inline_options(item.question)) > 1:
        return dropped(NOT_IN_THE_FORM, "it is too long, or holds options itself")

    if pair := _same(item.options, item.question):
        return dropped(NOT_DISTINCT, " = ".join(pair))

    gold = index_of(item.answer, item.options)
    if isinstance(gold, str):
        return dropped(TWO_OPTIONS if gold == TWO else NO_OPTION, item.answer[:100])

    if others := next(filter(None, map(_OTHERS.search, item.options)), None):
        return dropped(OF_OTHERS, others.group())

    if word := next(filter(None, (word_in(text, FORBIDDEN) for text in texts)), ""):
        return dropped(FORBIDDEN_WORD, word)

    if numbers := _box_numbers(texts, scene):
        return dropped(BOX_NUMBERS, numbers)

    tags = _tags(item, scene)
    if isinstance(tags, str):
        return dropped(UNKNOWN_TAG, tags)

    question = _lettered(item, scene, gold, kind_of(item.kind), tags, place, stage, inputs)
    if twin := next((one for one in earlier if near(question, one)), None):
        return dropped(NEAR_DUPLICATE, twin.id)

    if told := contradiction(question, scene):
        return dropped(CONTRADICTED, told)

    return question


def kind_of(written: str) -> str:
    """Return one of KINDS for what a writer calls it.

    >>> kind_of("Counting and Quantification"), kind_of("Spatial and Relational Reasoning"), kind_of("")
    ('number', 'place', 'other')
    """
    text = written.strip().lower()
    return (
        text if text in KINDS else next((kind for kind, words in _KIND_WORDS if any(map(text.count, words))), "other")
    )


def near(one: Question, other: Question) -> bool:
    """Return whether two questions about a scene ask the same.

    They do where their words are the same, or their answer and most of what they ask: half of it of the same things and kind, else
    nearly all.
    """
    if normal(one.question) == normal(other.question):
        return True

    if normal(one.gold) != normal(other.gold):
        return False

    if one.tags and one.kind == other.kind and set(one.tags) == set(other.tags):
        return _alike(_asked(one, True), _asked(other, True)) >= 0.5

    words, others = _asked(one), _asked(other)
    numbers = [{word for word in some if word.isdecimal()} for some in (words, others)]
    return numbers[0] == numbers[1] and _alike(words, others) >= 0.8


def _alike(words: frozenset[str], others: frozenset[str]) -> float:
    return len(words & others) / (len(words | others) or 1)


def _asked(question: Question, without_tags: bool = False) -> frozenset[str]:
    """The words of a question that say what it asks, on request without those that name its things."""
    text = question.question.lower()
    for tag in sorted(question.tags if without_tags else (), key=len, reverse=True):
        text = text.replace(tag.lower(), " ")

    return frozenset(normal(text)) - _IDLE


def _same(options: Sequence[str], question: str) -> tuple[str, str] | None:
    """Two options that are the same: as words, as numbers, or as lists of the same things where order is not asked for."""
    forms: dict[object, str] = {}
    for option in options:
        words = normal(option)
        keys: list[object] = [words]
        pieces = [normal(piece) for piece in _PIECES.split(option) if piece.strip()]
        if len(pieces) > 1 and not _IN_ORDER.search(f"{question} {option}"):
            keys.append(frozenset(pieces))

        for key in keys:
            if key in forms:
                return forms[key], option

        forms.update(dict.fromkeys(keys, option))

    numbers = {words[0]: option for option in options if len(words := normal(option)) == 1 and words[0].isdecimal()}
    for option in options:
        words = normal(option)
        if len(words) == 2 and (other := numbers.get(words[0])) and words[1] in _plain(question):
            return other, option

    return None


def _plain(question: str) -> set[str]:
    words = set(normal(question))
    return words | {word.removesuffix("s") for word in words} | {f"{word}s" for word in words}


def _box_numbers(texts: Sequence[str], scene: Scene) -> str:
    """Numbers of a place in texts: by their form, or two of one box; "" for none."""
    for text in texts:
        if found := _IN_NUMBERS.search(text):
            return found.group()

        numbers = {int(number) for number in _NUMBER.findall(text)}
        if len(numbers) > 1:
            for one in scene.objects:
                if len(held := numbers & set(one.box)) > 1:
                    return ", ".join(map(str, sorted(held)))

    return ""


def _tags(item: Item, scene: Scene) -> tuple[str, ...] | str:
    """The tags that an item is about, in the scene's order; a text: what it names that is not there."""
    known = {one.tag.lower(): one.tag for one in scene.objects}
    names: dict[str, list[str]] = {}
    for one in scene.objects:
        for spelled in (one.name.lower(), f"{one.name.lower()}s"):
            names.setdefault(spelled, []).append(one.tag)

    asked, offered = set(), set()
    for text in (item.question, *item.options, item.claim):
        for found in _TAGGED.finditer(text.lower()):
            tag = f"{found[1]} {found[2]}"
            if not any(tag.endswith(one) or one.endswith(tag) for one in known) and (
                found[1] in names or (text is item.question and _is_tag(found[1], tag, scene))
            ):
                return tag

        if text is item.claim:
            continue

        held = asked if text is item.question else offered
        held |= {tag for spelled, tag in known.items() if _holds(text.lower(), spelled)}

    for thing in item.things or ():
        thing = re.sub(r"\s*\(.*\)$", "", thing[:200]).strip().strip(".").lower()
        thing = re.sub(r"^(?:the|a|an)\s+", "", thing)
        found = [known[thing]] if thing in known else names.get(thing)
        if found is None and " and " in thing:
            pieces = [piece.strip() for piece in thing.split(" and ")]
            found = [tag for piece in pieces for tag in ([known[piece]] if piece in known else names.get(piece, []))]
            found = found if all(piece in known or piece in names for piece in pieces) else None

        if found is None and scene.objects:
            return thing

        asked |= set(found or ())

    return tuple(one.tag for one in scene.objects if one.tag in (asked or offered))


def _holds(text: str, tag: str) -> bool:
    """Whether a text holds a tag, not only the beginning of a longer one."""
    start = text.find(tag)
    while start >= 0:
        around = text[max(start - 1, 0) : start], text[start + len(tag) : start + len(tag) + 1]
        if not any(map(str.isalnum, around)):
            return True

        start = text.find(tag, start + 1)

    return False


def _is_tag(word: str, tag: str, scene: Scene) -> bool:
    """Whether a word with a number in a question about a scene with tags can only be meant as a tag."""
    told = " ".join((*scene.captions, *(one.phrase for one in scene.objects))).lower()
    is_name = word not in _NO_TAGS and not re.search(r"ing$|ed$|ly$|[^s]s$", word)
    return bool(scene.objects) and is_name and tag not in told


def _lettered(
    item: Item,
    scene: Scene,
    gold: int,
    kind: str,
    tags: tuple[str, ...],
    place: int,
    stage: int,
    inputs: tuple[str, ...],
) -> Question:
    """The question with its options in another order, which follows from its content and the place of its right option alone."""
    right = item.options[gold]
    id = question_id(scene.id, item.question, item.options, right)
    others = sorted(option for index, option in enumerate(item.options) if index != gold)
    random.Random(id).shuffle(others)
    at = (scene.number + place) % len(LETTERS)
    options = (*others[:at], right, *others[at:])
    return Question(id, scene.id, item.question, options, LETTERS[at], kind, tags, stage, inputs, claim=item.claim)
