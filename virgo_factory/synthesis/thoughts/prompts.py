"""What thinker and reasoner are told: the question with its options, the scene in words, and files of templates/."""

import functools
import re

from virgo_factory.io.files import TEMPLATES
from virgo_factory.synthesis.words import LETTERS, Question, Scene, SceneObject


_THIRDS = (("left", "", "right"), ("top", "", "bottom"))


def asked(question: Question) -> str:
    """Return a question with its options as it is asked and trained on.

    >>> asked(Question("q", "s", "What is it?", ("a dog", "a cat", "a cow", "a hen"), "B"))
    'What is it?\\n(A) a dog\\n(B) a cat\\n(C) a cow\\n(D) a hen'
    """
    return "\n".join(
        [
            question.question,
            *(f"({letter}) {option}" for letter, option in zip(LETTERS, question.options, strict=True)),
        ]
    )


def solution(question: Question, letter: str) -> str:
    """Return how an answer is written in rows.

    >>> solution(Question("q", "s", "What is it?", ("a dog", "a cat", "a cow", "a hen"), "B"), "D")
    '(D) a hen'
    """
    return f"({letter}) {question.options[LETTERS.index(letter)]}"


def shown(scene: Scene) -> str:
    """Return what a picture shows in words: its captions, and where its objects stand, without numbers of boxes."""
    things = [f"{one.tag}: {_place(one, scene)}" for one in scene.objects]
    return "\n".join([*scene.captions, *things])


def _place(one: SceneObject, scene: Scene) -> str:
    left, top, right, bottom = one.box
    middles = ((left + right) / 2 / scene.width, (top + bottom) / 2 / scene.height)
    across, down = (names[min(2, int(3 * middle))] for names, middle in zip(_THIRDS, middles, strict=True))
    return " ".join(filter(None, (down, across))) or "middle"


def filled(template: str, **fields: str) -> str:
    """Return a file of templates/ with the places of some fields filled; what a field holds is never a place itself."""
    return re.sub(r"\{(\w+)\}", lambda place: fields.get(place[1], place[0]), read(template))


@functools.cache
def read(template: str) -> str:
    """Return a file of templates/."""
    return (TEMPLATES / template).read_text(encoding="utf-8").strip()
