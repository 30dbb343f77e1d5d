"""What is true of drawn scenes, as far as the roles are asked: which scene is meant, and which options of a question are right."""

import base64
import functools
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from random import Random

from PIL import Image

from demo_scenes.scenes import COLOURS, ENDS, HEIGHT, SEED, SIDES, TEXTURES, WIDTH, DrawnScene, drawn_scene
from virgo_factory.synthesis.scenes.facts import RELATIONS


LETTERS = "ABCD"

USUAL = (
    ("How many corners does a triangle have?", "3", ("2", "4", "5")),
    ("How many sides does a square have?", "4", ("3", "5", "6")),
    ("Which of these shapes has no corner at all?", "circle", ("square", "triangle", "diamond")),
    ("How many right angles does a square have?", "4", ("1", "2", "3")),
    ("Which of these shapes rolls best?", "circle", ("square", "triangle", "cross")),
    (
        "Which two colours make orange when they are mixed?",
        "red and yellow",
        ("blue and green", "red and blue", "green and red"),
    ),
)
"""Questions that nobody has to look for: text, right option, wrong ones."""

SUM, NAMED, ASIDE = "What is the sum of ", "Name what is right, one after another: ", "Leaving aside "
"""How composed questions begin; the last is no composed one, though it looks so."""
_BESIDE = ", what is "
THEN = ", then "

_SIDES, _ENDS = "|".join(SIDES.values()), "|".join(ENDS.values())
_COUNT = re.compile(r"How many (.+) are there\?")
_SIDE = re.compile(rf"Which of these is ({_SIDES}) (.+)\?")
_IS_SIDE = re.compile(rf"Is (.+) ({_SIDES}) (.+)\?")
_COVER = re.compile(r"Which of these covers a part of (.+)\?")
_END = re.compile(rf"Which of (.+) is ({_ENDS})\?")
_COLOUR = re.compile(r"What colour is (.+)\?")
_TEXTURE = re.compile(r"How is the surface of (.+)\?")
_PHRASES = (
    (_COUNT, "the number of {}"),
    (_SIDE, "what is {} {}"),
    (_IS_SIDE, "whether {} is {} {}"),
    (_COVER, "what covers a part of {}"),
    (_END, "which of {} is {}"),
    (_COLOUR, "the colour of {}"),
    (_TEXTURE, "the surface of {}"),
)
_WORDINGS = (
    (
        _COUNT,
        "How many {} can be seen?",
        "How many {} does the picture show?",
        "What is the number of {} in the picture?",
        "Count the {}: how many are there?",
        "The tally of {} is what?",
    ),
    (
        _SIDE,
        "Which one stands {} {}?",
        "Which of these things can be found {} {}?",
        "What lies {} {}?",
        "Somewhere {} {}: what?",
    ),
    (_END, "Of {}, which is {}?", "Among {}, which one is {}?", "Among {}, whose spot: {}?"),
    (_COLOUR, "Which colour has {}?", "In what colour is {} drawn?", "What colour did somebody give {}?"),
)
"""How a fact asks, and how else a writer does; last in words that the rules for counts and places do not know."""
_LOOKING = "Looking closely, "
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
YES_NO = ("yes", "no", "only in part", "it is not there at all")


def reworded(question: str, rng: Random, is_odd: bool = False) -> str:
    """Return a fact's question in other words that ask the same, on request in words that no rule knows; `plain` undoes it."""
    found, *wordings, odd = next(
        ((found, *words) for pattern, *words in _WORDINGS if (found := pattern.fullmatch(question))), (None, "")
    )
    if found and (is_odd or rng.random() < 0.6):
        question = (odd if is_odd else rng.choice(wordings)).format(*found.groups())

    return f"{_LOOKING}{question[0].lower()}{question[1:]}" if rng.random() < 0.15 else question


def plain(question: str) -> str:
    """Return a question as its fact asks it.

    >>> plain("Looking closely, how many circles can be seen?")
    'How many circles are there?'
    """
    if question.startswith(_LOOKING):
        question = question[len(_LOOKING)].upper() + question[len(_LOOKING) + 1 :]

    for pattern, *wordings in _WORDINGS:
        for wording in wordings:
            if found := _read(wording).fullmatch(question):
                return _written(pattern, found.groups())

    return question


@functools.cache
def _read(wording: str) -> re.Pattern[str]:
    """The pattern of a wording: of two places one is a side or an end."""
    first, *rest = (re.escape(piece) for piece in wording.split("{}"))
    if len(rest) == 1:
        return re.compile(f"{first}(.+){rest[0]}")

    is_end = wording.startswith(("Of", "Among"))
    places = (r"(.+)", f"({_ENDS})") if is_end else (f"({_SIDES})", r"(.+)")
    return re.compile(f"{first}{places[0]}{rest[0]}{places[1]}{rest[1]}")


def _written(pattern: re.Pattern[str], parts: Sequence[str]) -> str:
    """The text that a pattern reads, with its groups filled."""
    fill = iter(parts)
    return re.sub(r"\([^()]*\)", lambda _: next(fill), pattern.pattern).replace("\\", "")


class Scenes:
    """The drawn scenes of one seed, found by what is said of them or by their picture; drawn as far as they are asked for.

    Args:
        seed: of `drawn_scene`.
        most: scenes that are looked through.
    """

    def __init__(self, seed: int = SEED, most: int = 100_000) -> None:
        self.seed, self.most = seed, most
        self._numbers: dict[str, list[int]] = {}
        self._pictures: dict[str, int] = {}
        self._told = self._drawn = 0

    def told(self, text: str) -> DrawnScene | None:
        """Return the scene whose captions are lines of a text."""
        lines = {line.removeprefix("- ").strip() for line in text.splitlines()}
        first = next((line for line in lines if line.startswith("From left to right there are ")), None)
        if first is None:
            return None

        while first not in self._numbers and self._told < self.most:
            self._numbers.setdefault(drawn_scene(self._told, self.seed).captions[0], []).append(self._told)
            self._told += 1

        found = [drawn_scene(number, self.seed) for number in self._numbers.get(first, ())]
        return next((scene for scene in found if set(scene.captions) <= lines), None)

    def seen(self, url: str) -> DrawnScene | None:
        """Return the scene whose picture a data URI holds, as large as it was drawn."""
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
            if image.size != (WIDTH, HEIGHT):  # made smaller on its way: none of ours
                return None

            key = _pixels(image)

        while key not in self._pictures and self._drawn < self.most:
            with Image.open(io.BytesIO(drawn_scene(self._drawn, self.seed).png())) as image:
                self._pictures[_pixels(image)] = self._drawn

            self._drawn += 1

        number = self._pictures.get(key)
        return None if number is None else drawn_scene(number, self.seed)


def _pixels(image: Image.Image) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def phrase(question: str) -> str:
    """Return what a question of a fact asks for, as a composed one calls it; "" for none of ours.

    >>> phrase("How many red shapes are there?"), phrase("What colour is circle 1?")
    ('the number of red shapes', 'the colour of circle 1')
    """
    for pattern, words in _PHRASES:
        if found := pattern.fullmatch(question):
            return words.format(*found.groups())

    return ""


def composed(question: str) -> tuple[str, list[str]]:
    """Return how a composed question begins (SUM, NAMED or ASIDE) and what it asks for; ("", []) for a written one.

    >>> composed("What is the sum of the number of circles and the number of red shapes?")[1]
    ['the number of circles', 'the number of red shapes']
    """
    text = question.removesuffix("?").removesuffix(".")
    if text.startswith(SUM):
        return SUM, re.split(r" and (?=the number of )|, (?=the number of )", text.removeprefix(SUM))

    if text.startswith(NAMED):
        return NAMED, text.removeprefix(NAMED).split("; ")

    if text.startswith(ASIDE):
        return ASIDE, [text.rpartition(_BESIDE)[2]]

    return "", []


def compose(begin: str, phrases: Sequence[str]) -> str:
    """Return the text of a composed question, which `composed` reads."""
    if begin == SUM:
        return f"{SUM}{', '.join(phrases[:-1])} and {phrases[-1]}?"

    if begin == NAMED:
        return f"{NAMED}{'; '.join(phrases)}."

    return f"{ASIDE}{phrases[1]}{_BESIDE}{phrases[0]}?"


def named(begin: str, values: Sequence[str]) -> str:
    """Return the option of a composed question for what it asks for."""
    return str(sum(map(int, values))) if begin == SUM else THEN.join(values)


def right_options(scene: DrawnScene, question: str, options: Sequence[str]) -> list[int]:
    """Return the places of the options that are true of a scene; none where it cannot be told."""
    if usual := next((answer for text, answer, _ in USUAL if text == question), None):
        return [place for place, option in enumerate(options) if option == usual]

    begin, phrases = composed(question)
    if begin:
        values = [_value(scene, one, options, place) for place, one in enumerate(phrases)]
        if not all(values):
            return []

        wanted = named(begin, values)
        return [place for place, option in enumerate(options) if option == wanted]

    asked = plain(question)
    if found := _IS_SIDE.fullmatch(asked):
        held = _stands(scene, found[1], found[2], found[3])
        return (
            []
            if held is None
            else [place for place, option in enumerate(options) if option == ("yes" if held else "no")]
        )

    if found := _SIDE.fullmatch(asked):
        held = [_stands(scene, option, found[1], found[2]) for option in options]
        return [place for place, is_there in enumerate(held) if is_there]

    answers = {fact.answer for fact in scene.facts() if fact.question == asked}
    return [place for place, option in enumerate(options) if digits(option) in answers]


def digits(text: str) -> str:
    """Return a number's word as digits; another text as it is."""
    return str(NUMBERS.index(text)) if text in NUMBERS else text


def _stands(scene: DrawnScene, one: str, words: str, other: str) -> bool | None:
    """Whether a thing stands at a side of another; None where that cannot be said, or one is not there."""
    things = {thing.tag: thing for thing in scene.objects}
    relation = next(name for name, said in SIDES.items() if said == words)
    return RELATIONS[relation](things[one], things[other]) if {one, other} <= things.keys() else None


def sentence(scene: DrawnScene, question: str) -> str:
    """Return what is true of a scene where a question asks, as sentences."""
    _, phrases = composed(question)
    facts = [fact for fact in scene.facts() if phrase(fact.question) in phrases or fact.question == plain(question)]
    return " ".join(fact.told for fact in facts) or f"There are {len(scene.objects)} shapes."


def _value(scene: DrawnScene, wanted: str, options: Sequence[str], place: int) -> str:
    """What a phrase of a composed question stands for; of several true answers that which an option names in its place."""
    offered = list(dict.fromkeys(parts[place] for option in options if len(parts := option.split(THEN)) > place))
    if found := re.fullmatch(rf"whether (.+) is ({_SIDES}) (.+)", wanted):
        return {True: "yes", False: "no", None: ""}[_stands(scene, *found.groups())]

    if found := re.fullmatch(rf"what is ({_SIDES}) (.+)", wanted):
        held = [offered[at] for at in right_options(scene, f"Which of these is {found[1]} {found[2]}?", offered)]
    else:
        answers = {fact.answer for fact in scene.facts() if phrase(fact.question) == wanted}
        held = [option for option in offered if digits(option) in answers] or list(answers)

    return held[0] if len(held) == 1 else ""


def near_misses(question: str, answer: str) -> list[str]:
    """Return wrong answers to a written question, known from its text and answer alone."""
    if answer.isdecimal():
        return [str(other) for other in (int(answer) + 1, int(answer) + 2, int(answer) + 3)]

    if answer in NUMBERS:
        return [other for other in NUMBERS if other != answer][int(digits(answer)) :][:3] or ["nobody knows how many"]

    if answer in YES_NO:
        return [other for other in YES_NO if other != answer]

    if answer in COLOURS or answer in TEXTURES:
        return [other for other in (COLOURS if answer in COLOURS else TEXTURES) if other != answer]

    question = plain(question)
    if found := _SIDE.fullmatch(question) or _COVER.fullmatch(question):
        named_in = [found[found.lastindex]]
    else:  # a question whose own fault is in its words names nothing
        named_in = re.split(r", | and ", ends[1]) if (ends := _END.fullmatch(question)) else []

    return [other for other in named_in if other != answer]


def texts_in(prompt: str, tag: str) -> str:
    """Return what stands between a tag of a prompt; "" where it has none."""
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", prompt, re.DOTALL)
    return found[1] if found else ""


def asked_in(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the question and the options of a text as it is asked."""
    lines = text.strip().splitlines()
    options = tuple(line[4:] for line in lines if re.match(r"\([A-D]\) ", line))
    return next((line for line in lines if not re.match(r"\([A-D]\) ", line)), ""), options


def known_in(text: str) -> Mapping[str, str]:
    """Return the questions of a numbered list with their answers."""
    return {
        re.sub(r" \(things: .*\)$", "", found[1]): found[2]
        for found in re.finditer(r"^\d+\. (.+)\n   Answer: (.+)$", text, re.MULTILINE)
    }


def drawn(rates: Mapping[str, float], rng: Random) -> str:
    """Return one of several faults by their rates; "" for none."""
    at = rng.random()
    for name, rate in rates.items():
        at -= rate
        if at < 0:
            return name

    return ""
