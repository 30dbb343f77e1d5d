"""Solvers: one who knows the scene, one who sees nothing, and one who knows only the answers to other questions."""

from random import Random

from demo_scenes import truth
from demo_scenes.scenes import DrawnScene
from demo_scenes.truth import LETTERS


UNKNOWN = "unknown"


def sighted(scene: DrawnScene | None, asked: str, right: float, rng: Random) -> str:
    """Return the vote of one who knows the scene: a true option in a share `right` of the cases, else another."""
    question, options = truth.asked_in(asked)
    held = truth.right_options(scene, question, options) if scene else []
    return _vote(held, right, rng)


def blind(asked: str, right: float, guesses: float, rng: Random) -> str:
    """Return the vote of one who sees nothing: right where looking is not needed, else unknown, or a guess in a share `guesses`."""
    question, options = truth.asked_in(asked)
    held = [
        place
        for text, answer, _ in truth.USUAL
        if text == question
        for place, one in enumerate(options)
        if one == answer
    ]
    if held:
        return _vote(held, right, rng)

    return _said(rng.choice(LETTERS) if rng.random() < guesses else UNKNOWN, rng)


def ablated(known: str, asked: str, right: float, rng: Random) -> str:
    """Return the vote of one who knows some answers: the option that follows from them; where none does, unknown or a guess."""
    question, options = truth.asked_in(asked)
    begin, phrases = truth.composed(question)
    answers = {truth.phrase(truth.plain(text)): answer for text, answer in truth.known_in(known).items()}
    values = [answers.get(one, "") for one in phrases]
    if not values or not all(values):
        return _said(UNKNOWN if rng.random() < right else rng.choice(LETTERS), rng)

    wanted = truth.named(begin, values)
    return _vote([place for place, option in enumerate(options) if option == wanted], right, rng)


def _vote(held: list[int], right: float, rng: Random) -> str:
    """A vote for one of the options that hold, in a share of the cases; for none that does where there is none."""
    if not held:
        return _said(UNKNOWN, rng)

    others = [letter for place, letter in enumerate(LETTERS) if place not in held]
    return _said(LETTERS[rng.choice(held)] if rng.random() < right else rng.choice(others), rng)


def _said(vote: str, rng: Random) -> str:
    form = rng.choice(("<a>{}</a>", "What is given settles it. <a>{}</a>", "<a>({})</a>", "{}"))
    return form.format(vote) if vote != UNKNOWN else form.replace("({})", "{}").format(vote)
