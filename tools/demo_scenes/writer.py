"""Writer and composer: true questions about a scene in several spellings of the form, and questions with a known fault."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from demo_scenes import truth
from demo_scenes.scenes import DrawnScene, Fact
from demo_scenes.truth import ASIDE, LETTERS, NAMED, SUM
from virgo_factory.synthesis.scenes.facts import RELATIONS


STRUCTURAL = (
    "near-duplicate options",
    "near-duplicate question",
    "unknown tag",
    "box numbers",
    "forbidden word",
    "no such option",
    "letter against text",
    "three options",
)
"""Faults that the text alone shows."""

WRONG_CLAIM, OTHER_CLAIM = "wrong claim", "claim of another answer"
CLAIMS = ("wrong count", "wrong relation", "two right options", WRONG_CLAIM, OTHER_CLAIM)
"""Faults that the boxes show; the last two by the claim alone, since their words are known to no rule."""

VOTED = ("wrong gold", "answerable blind")
"""Faults that solvers show."""

PROSE = "prose"
"""A reply without any question in the form."""

COMPOSED = ("needs one input", "wrong composed gold")
"""Faults of composed questions that the ablation shows."""

COMPOSED_STRUCTURAL = ("no list of needs", "two questions", "too long")

KINDS = {"count": "number", "side": "place", "end": "place", "inside": "place", "cover": "place"}
_FITS = {
    "wrong count": ("count",),
    "wrong relation": ("side", "end", "size"),
    "two right options": ("side",),
    WRONG_CLAIM: ("count", "side", "end", "size"),
    OTHER_CLAIM: ("count", "side", "end", "size"),
    "wrong gold": ("colour", "texture"),
    "near-duplicate options": ("count", "side", "end", "size", "cover", "colour"),
    "unknown tag": ("side", "cover", "colour", "texture"),
}
STYLES = ("tags", "open tags", "lettered", "lpt", "lpt lines", "json")


@dataclass(frozen=True)
class Written:
    """A question as a role wrote it, and what is wrong with it.

    Attributes:
        question: the text.
        options: as written, without letters.
        answer: as written.
        kind: of KINDS.
        tags: of what it is about.
        fault: "" for none.
        needs: numbers, of a composed one; None for no list.
        claim: what makes the answer right, in the form for it; "" for none.
    """

    question: str
    options: tuple[str, ...]
    answer: str
    kind: str
    tags: tuple[str, ...]
    fault: str = ""
    needs: tuple[int, ...] | None = None
    claim: str = ""


def write(scene: DrawnScene, count: int, rates: Mapping[str, float], rng: Random) -> tuple[str, list[Written]]:
    """Return a writer's reply about a scene, and what it wrote; prose where its fault is drawn."""
    if rng.random() < rates.get(PROSE, 0.0):
        asked = " ".join(fact.question for fact in scene.facts()[:count])
        text = f"Sure! One could ask many things about this picture. {asked} All of them need a closer look."
        return text, [Written(text, (), "", "", (), PROSE)]

    written: list[Written] = []
    facts, states_claims = scene.facts(), rng.random() < 0.5
    rng.shuffle(facts)
    while len(written) < count and facts:
        fault = truth.drawn({name: rates.get(name, 0.0) for name in (*STRUCTURAL, *CLAIMS, *VOTED)}, rng)
        fact = next((fact for fact in facts if fact.kind in _FITS.get(fault, (fact.kind,))), None)
        if fact is None:
            fault, fact = "", facts[0]

        facts.remove(fact)
        one = _of(fact, rng, states_claims or fault in (WRONG_CLAIM, OTHER_CLAIM))
        if fault:
            one = _with_fault(one, fault, fact, scene, written, rng)

        if one.question not in {other.question for other in written}:
            written.append(one)

    style = rng.choice(STYLES)
    return spelled(written, style, rng), written


def _of(fact: Fact, rng: Random, states_claim: bool) -> Written:
    """A true question of a fact, in words of the writer's own; of a side now and then one for yes or no."""
    kind, (question, answer, wrong) = KINDS.get(fact.kind, "recognition"), (fact.question, fact.answer, fact.wrong)
    if fact.kind == "side" and not states_claim and rng.random() < 0.25:
        words = next(words for words in truth.SIDES.values() if f" is {words} " in question)
        thing, answer = rng.choice(((answer, "yes"), (wrong[0], "no")))
        question = f"Is {thing} {words} {fact.tags[1]}?"
        return Written(question, truth.YES_NO, answer, kind, (thing, fact.tags[1]))

    if fact.kind == "count" and rng.random() < 0.3:
        answer, *wrong = (truth.NUMBERS[int(text)] for text in (answer, *wrong))

    options = [answer, *wrong]
    rng.shuffle(options)
    claim = claimed(fact, answer) if states_claim else ""
    return Written(truth.reworded(question, rng, bool(claim)), tuple(options), answer, kind, fact.tags, claim=claim)


def claimed(fact: Fact, answer: str) -> str:
    """Return the claim that makes an answer to a fact's question right; "" where the boxes cannot tell.

    >>> claimed(Fact("count", "How many red shapes are there?", "2", ("1", "3", "4"), (), ""), "3")
    'count(red shapes) = 3'
    """
    if fact.kind == "count":
        return f"count({fact.question.removeprefix('How many ').removesuffix(' are there?')}) = {answer}"

    if fact.kind == "side":
        relation = next(name for name, words in truth.SIDES.items() if f" is {words} " in fact.question)
        return f"{relation}{'_of' if relation in ('left', 'right') else ''}({answer}, {fact.tags[1]})"

    if fact.kind in ("end", "size"):
        which = next(name for name, words in truth.ENDS.items() if fact.question.endswith(f" is {words}?"))
        return f"{which}({', '.join([answer, *(tag for tag in fact.tags if tag != answer)])})"

    return f"covers({answer}, {fact.tags[1]})" if fact.kind == "cover" else ""


def _with_fault(
    one: Written, fault: str, fact: Fact, scene: DrawnScene, before: Sequence[Written], rng: Random
) -> Written:
    """A true question with a fault; as it is where the fault cannot be made of it."""
    wrong = rng.choice([option for option in one.options if option != one.answer])
    if one.options == truth.YES_NO:
        wrong = "no" if one.answer == "yes" else "yes"

    if fault in ("wrong count", "wrong relation", "wrong gold", WRONG_CLAIM):
        return replace(one, answer=wrong, claim=one.claim and claimed(fact, wrong), fault=fault)

    if fault == OTHER_CLAIM:
        return replace(one, answer=wrong, fault=fault)

    if fault == "two right options":
        return _two_right(one, fact, scene, rng)

    if fault == "answerable blind":
        question, answer, others = rng.choice(truth.USUAL)
        options = [answer, *others]
        rng.shuffle(options)
        return Written(question, tuple(options), answer, "recognition", (), fault)

    if fault == "near-duplicate options":
        twin = _respelled(one.answer, rng)
        return replace(one, options=tuple(twin if option == wrong else option for option in one.options), fault=fault)

    if fault == "near-duplicate question":
        earlier = [other for other in before if not other.fault]
        if not earlier:
            return one

        twin = rng.choice(earlier)
        words = rng.choice(
            (
                twin.question.replace("?", " in the picture?"),
                f"In this scene, {twin.question[0].lower()}{twin.question[1:]}",
            )
        )
        return replace(twin, question=words, fault=fault)

    if fault == "unknown tag":
        known = fact.tags[-1]
        unknown = rng.choice((f"{known.rpartition(' ')[0]} {rng.randint(13, 40)}", f"hexagon {rng.randint(1, 4)}"))
        return replace(
            one,
            question=one.question.replace(known, unknown),
            tags=tuple(unknown if tag == known else tag for tag in one.tags),
            claim=one.claim.replace(known, unknown),
            fault=fault,
        )

    if fault == "box numbers":
        thing = rng.choice(scene.objects)
        place = rng.choice(
            (
                f"at [{', '.join(map(str, thing.box))}]",
                f"at ({thing.box[0]}, {thing.box[1]})",
                f"from {thing.box[0]} to {thing.box[2]} pixels",
            )
        )
        return replace(one, question=f"{one.question.removesuffix('?')}, looking {place}?", fault=fault)

    if fault == "forbidden word":
        words = rng.choice(
            ("According to the caption, ", "As the description tells, ", "Going by the bounding boxes, ")
        )
        return replace(one, question=f"{words}{one.question[0].lower()}{one.question[1:]}", fault=fault)

    if fault == "no such option":
        return replace(one, answer=f"{one.answer} or {wrong}", fault=fault)

    if fault == "letter against text":
        other = LETTERS[one.options.index(wrong)]
        return replace(one, answer=f"({other}) {one.answer}", fault=fault)

    return replace(one, options=tuple(option for option in one.options if option != wrong), fault=fault)


def _two_right(one: Written, fact: Fact, scene: DrawnScene, rng: Random) -> Written:
    """A question for a side with a second thing on that side among its options."""
    if one.options == truth.YES_NO:
        return one

    relation = next(name for name, words in truth.SIDES.items() if f" is {words} " in fact.question)
    other = next(thing for thing in scene.objects if thing.tag == fact.tags[1])
    more = [
        thing.tag
        for thing in scene.objects
        if thing.tag not in (*one.options, other.tag) and RELATIONS[relation](thing, other) is True
    ]
    if not more:
        return one

    wrong, right = rng.choice(fact.wrong), rng.choice(more)
    return replace(
        one, options=tuple(right if option == wrong else option for option in one.options), fault="two right options"
    )


def _respelled(text: str, rng: Random) -> str:
    if text.isdecimal():
        return rng.choice((truth.NUMBERS[int(text)], truth.NUMBERS[int(text)].capitalize()))

    if text in truth.NUMBERS:
        return rng.choice((truth.digits(text), text.capitalize()))

    return rng.choice((f"the {text}", text.capitalize(), f"{text}."))


# --- composing -------------------------------------------------------------------------------------------------------


def compose(listed: str, rates: Mapping[str, float], rng: Random) -> tuple[str, list[Written]]:
    """Return a composer's reply to a numbered list of questions with answers, and what it wrote."""
    known = list(truth.known_in(listed).items())
    tags = re.findall(r"\(things: (.+)\)$", listed, re.MULTILINE)
    fault = truth.drawn({name: rates.get(name, 0.0) for name in (*COMPOSED, *COMPOSED_STRUCTURAL)}, rng)
    plain = [(truth.plain(text), answer) for text, answer in known]
    phrases = [truth.phrase(text) for text, _ in plain]
    if not all(phrases):
        text = "These questions have nothing in common that one could ask for."
        return text, [Written(text, (), "", "", (), PROSE)]

    answers = [answer for _, answer in plain]
    if fault == "needs one input":
        options = [answers[0], *_wrong(plain[0], rng)]
        question = truth.compose(ASIDE, phrases[:2])
    else:
        begin = SUM if all(answer.isdecimal() for answer in answers) else NAMED
        question = truth.compose(begin, phrases)
        options = _combined(begin, plain, rng)

    answer = options[1 if fault == "wrong composed gold" else 0]
    if fault == "too long":
        question = f"{'Take your time and look at everything once more. ' * 12}{question}"

    rng.shuffle(options)
    about = tuple(dict.fromkeys(tag for one in tags for tag in one.split(", ")))
    needs = None if fault == "no list of needs" else tuple(range(1, len(known) + 1))
    one = Written(question, tuple(options), answer, "other", about, fault, needs)
    text = spelled(
        [one, one] if fault == "two questions" else [one], rng.choice(("tags", "open tags", "lettered")), rng
    )
    return text, [one]


def _wrong(asked: tuple[str, str], rng: Random) -> list[str]:
    """Three wrong answers to a written question."""
    found = truth.near_misses(*asked)
    fillers = (f"nothing of all that is there {word}".strip() for word in ("", "now", "yet"))
    return [*found, *fillers][:3]


def _combined(begin: str, known: Sequence[tuple[str, str]], rng: Random) -> list[str]:
    """The right option of a composed question, and three of which a part is right."""
    answers = [answer for _, answer in known]
    if begin == SUM:
        total = sum(map(int, answers))
        return [str(total + more) for more in (0, 1, 2, 3)]

    first, second = _wrong(known[0], rng)[0], _wrong(known[1], rng)[0]
    changes: list[dict[int, str]] = [{}, {0: first}, {1: second}, {0: first, 1: second}]
    if len(answers) == 3:
        third = _wrong(known[2], rng)[0]
        changes = [{}, {0: first}, {1: second}, {2: third}]

    return [
        truth.named(begin, [change.get(place, answer) for place, answer in enumerate(answers)]) for change in changes
    ]


# --- spelling --------------------------------------------------------------------------------------------------------


def spelled(written: Sequence[Written], style: str, rng: Random) -> str:
    """Return questions in one of STYLES, as models spell the form that they are told."""
    if style == "json":
        rows = [
            {
                "question": one.question,
                "options": list(one.options),
                "answer": one.answer,
                "kind": one.kind,
                "tags": list(one.tags),
                **({"claim": one.claim} if one.claim else {}),
            }
            for one in written
        ]
        return f"```json\n{json.dumps(rows, indent=1)}\n```"

    lead = rng.choice(("", "Here are the questions:\n\n"))
    between = rng.choice(("\n", "\n\n"))
    return lead + between.join(_spelled(one, number, style) for number, one in enumerate(written, start=1))


def _spelled(one: Written, number: int, style: str) -> str:
    lettered = [f"({letter}) {option}" for letter, option in zip(LETTERS, one.options, strict=False)]
    at = one.options.index(one.answer) if one.answer in one.options else None
    if style.startswith("lpt"):
        between = "\n" if style == "lpt lines" else " "
        answer = one.answer if at is None or number % 3 else (f"({LETTERS[at]})", lettered[at])[number % 2]
        return (
            f"{number}. <question> {one.question} </question> <choices> {between.join(lettered)} </choices>"
            f" <answer> {answer} </answer> <type> {one.kind.capitalize()} </type>"
            + (f" <claim> {one.claim} </claim>" if one.claim else "")
        )

    close = (lambda tag: "") if style == "open tags" else (lambda tag: f"</{tag}>")
    options = lettered if style == "lettered" else one.options
    answer = LETTERS[at] if style == "lettered" and at is not None else one.answer
    fields = [
        ("q", one.question),
        *(("o", option) for option in options),
        ("a", answer),
        ("k", one.kind),
        ("t", ", ".join(one.tags)),
        *([("c", one.claim)] if one.claim else ()),
    ]
    if one.needs is not None:
        fields.append(("n", ", ".join(map(str, one.needs))))

    between = "\n" if style == "open tags" else ""
    start = f"{number}. " if style == "open tags" else ""
    return start + between.join(f"<{tag}>{text}{close(tag)}" for tag, text in fields)


def labels(written: Sequence[Written]) -> Iterator[dict]:
    """Yield what was written with its fault, as /labels tells it."""
    for one in written:
        yield {"question": one.question, "options": list(one.options), "answer": one.answer, "fault": one.fault}
