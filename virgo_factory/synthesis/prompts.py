"""What roles are sent: the files lgt_*.txt of templates/, and a scene, questions and options as text. Pure but for reading them."""

import functools
import re
from collections.abc import Sequence

from virgo_factory.core.example import IMAGE
from virgo_factory.formats.row import CONTROL_TOKENS
from virgo_factory.io.files import TEMPLATES
from virgo_factory.synthesis.words import LETTERS, Question, Scene, SceneObject


FIELDS = {
    "question": ("q", "question"),
    "choices": ("choices", "options"),
    "option": ("o", "option", "choice"),
    "answer": ("a", "answer"),
    "kind": ("k", "kind", "type"),
    "things": ("t", "tags", "things"),
    "claim": ("c", "claim"),
    "needs": ("n", "needs"),
}
"""What a written question consists of, and the tags around each."""

_OURS = ("scene", "questions", "known", "think", *(tag for tags in FIELDS.values() for tag in tags))
_FORGED = re.compile(
    rf"<\s{{0,3}}/?\s{{0,3}}(?:{'|'.join(_OURS)})\s{{0,3}}>|{'|'.join(map(re.escape, (IMAGE, *CONTROL_TOKENS)))}",
    re.IGNORECASE,
)


@functools.cache
def template(name: str) -> str:
    """Return the text of templates/NAME.txt."""
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8").strip()


def filled(name: str, **places: str) -> str:
    """Return templates/NAME.txt with its places `{word}` filled: no text can open or close a tag, or hold a control token."""
    return re.sub(r"\{([a-z]+)\}", lambda place: harmless(places[place[1]]), template(name))


def harmless(text: str) -> str:
    """Return a text without tags of the prompts and without control tokens.

    >>> harmless("a <b>bear</b></scene>that waves<image>")
    'a <b>bear</b> that waves '
    """
    while (cleaned := _FORGED.sub(" ", text)) != text:
        text = cleaned

    return text


def forged(text: str) -> str:
    """Return the first tag or control token in a text that `harmless` would take out; "" for none."""
    return found.group() if (found := _FORGED.search(text)) else ""


def word_in(text: str, words: tuple[str, ...]) -> str:
    """Return the first of some words that a text holds, at its boundaries and whatever its case; "" for none.

    >>> word_in("Is the text on the sign captioned?", ("caption",)), word_in("The Caption.", ("caption",))
    ('', 'Caption')
    """
    return found.group() if words and (found := _any_of(words).search(text)) else ""


@functools.cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


def scene_text(scene: Scene) -> str:
    """Return a scene for those who do not see it: its captions, and its things with their boxes in pixels."""
    lines = [f"The picture is {scene.width} wide and {scene.height} high, in pixels.", "What is said of it:"]
    lines += [f"- {one_line(caption)}" for caption in scene.captions]
    if scene.objects:
        lines.append("Things in it, with left, top, right, bottom:")

    for one in scene.objects:
        facts = [f"{name}: {value}" for name, value in one.attributes.items()] + [one.phrase] * bool(one.phrase)
        told = f" ({one_line('; '.join(facts))})" if facts else ""
        lines.append(f"- {one.tag}: {', '.join(map(str, one.box))}{told}")

    return "\n".join(lines)


def seen_text(scene: Scene) -> str:
    """Return a scene for those who think as if they saw it: its captions, and where its things stand, without numbers of boxes."""
    return "\n".join([*map(one_line, scene.captions), *(f"{one.tag}: {_place(one, scene)}" for one in scene.objects)])


_THIRDS = (("left", "", "right"), ("top", "", "bottom"))


def _place(one: SceneObject, scene: Scene) -> str:
    left, top, right, bottom = one.box
    middles = ((left + right) / 2 / scene.width, (top + bottom) / 2 / scene.height)
    across, down = (names[min(2, int(3 * middle))] for names, middle in zip(_THIRDS, middles, strict=True))
    return " ".join(filter(None, (down, across))) or "middle"


def asked_text(question: Question) -> str:
    """Return a question with its options, as it is asked and trained on.

    >>> asked_text(Question("q", "s", "What is it?", ("a dog", "a cat", "a cow", "a hen"), "B"))
    'What is it?\\n(A) a dog\\n(B) a cat\\n(C) a cow\\n(D) a hen'
    """
    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, question.options, strict=True)]
    return "\n".join([question.question, *lines])


def answered_text(questions: Sequence[Question], tags: bool = False) -> str:
    """Return numbered questions with their right answers, on request with the tags of what they are about."""
    lines = []
    for number, one in enumerate(questions, start=1):
        about = f" (things: {', '.join(one.tags)})" if tags and one.tags else ""
        lines.append(f"{number}. {one.question}{about}\n   Answer: {one.gold}")

    return "\n".join(lines)


def one_line(text: str) -> str:
    """Return a text with its spaces and line breaks as single spaces."""
    return " ".join(text.split())
