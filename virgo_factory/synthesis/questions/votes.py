"""Questions tried by solvers: one who knows what the picture shows, and one who sees nothing of it. Pure."""

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from virgo_factory.synthesis.prompts import asked_text, filled, scene_text
from virgo_factory.synthesis.questions.grammar import index_of
from virgo_factory.synthesis.words import LETTERS, Ask, Dropped, Question, Reply, Scene


SIGHTED, BLIND = "sighted", "blind"
UNKNOWN = "unknown"

NO_VOTE = "no readable vote"
CONTRADICTED = "the solvers agree on another answer"
UNCONFIRMED = "no solver confirms the answer"
BLIND_RIGHT = "answerable without looking"

_SAID = re.compile(r"<\s{0,3}a\s{0,3}>(.*?)(?:<\s{0,3}/\s{0,3}a\s{0,3}>|$)", re.IGNORECASE | re.DOTALL)
_UNKNOWN = re.compile(r"\W*(?:unknown|cannot tell|can't tell|unclear)\W*", re.IGNORECASE)


def vote_asks(scene: Scene, question: Question) -> tuple[Ask, Ask]:
    """Return what the sighted solver and the blind one are sent: the scene as text and the question; the question alone.

    The blind one sees the options in another order: a letter that it prefers drops questions, and the letters of those that are left
    stay uniform.
    """
    sighted = filled("lgt_solver", scene=scene_text(scene), question=asked_text(question))
    blind = filled("lgt_blind", question=asked_text(_shuffled(question)))
    return Ask(question.id, sighted, SIGHTED), Ask(question.id, blind, BLIND)


def _shuffled(question: Question) -> Question:
    options = list(question.options)
    random.Random(f"blind {question.id}").shuffle(options)
    return replace(question, options=tuple(options), answer=LETTERS[options.index(question.gold)])


def vote_of(response: str, question: Question) -> str | None:
    """Return the letter that a solver answers, or UNKNOWN; None where neither can be read.

    The last answer counts, by its letter or by an option's whole text.
    """
    text = response.rpartition("</think>")[2]
    said = _SAID.findall(text)
    answer = (said[-1] if said else text).strip()
    if "<think>" in text or not answer:
        return None

    if _UNKNOWN.fullmatch(answer):
        return UNKNOWN

    place = index_of(answer, question.options)
    return LETTERS[place] if isinstance(place, int) else None


def judge_votes(
    question: Question, sighted: Sequence[Reply], blind: Sequence[Reply], blind_right: int = 3, confirmed: int = 1
) -> Question | Dropped:
    """Return a question with its difficulty, or why it is dropped.

    Where all sighted solvers give the stated answer it is easy, where some do it is hard. It is dropped where they agree on another
    answer, where too few confirm it, and where blind solvers find it.

    Args:
        question: that was tried.
        sighted: replies to the first of `vote_asks`.
        blind: replies to the second.
        blind_right: right samples of the blind solver from which on a question is answerable without looking; 0 for never.
        confirmed: sighted solvers that must give the stated answer.
    """
    votes = [vote for reply in sighted if (vote := vote_of(reply.response, question)) is not None]
    if not votes:
        return Dropped(question.id, NO_VOTE, sighted[0].response[:200] if sighted else "")

    told = ", ".join(f"{vote}: {count}" for vote, count in sorted(Counter(votes).items()))
    told = f"answer {question.answer}, votes {told}"
    right = votes.count(question.answer)
    if not right and len(set(votes)) == 1 and votes[0] != UNKNOWN:
        return Dropped(question.id, CONTRADICTED, told)

    if right < confirmed:
        return Dropped(question.id, UNCONFIRMED, told)

    unseen = _shuffled(question)
    found = sum(vote_of(reply.response, unseen) == unseen.answer for reply in blind)
    if blind_right and found >= blind_right:
        return Dropped(question.id, BLIND_RIGHT, f"{found} of {len(blind)}")

    return replace(question, difficulty="easy" if right == len(votes) else "hard")


def chance_of_blind(samples: int, right: int = 3, options: int = len(LETTERS)) -> float:
    """Return the share of honest questions that a blind solver who guesses gets right in at least `right` of its samples.

    >>> round(chance_of_blind(4, 3), 3)
    0.051
    """
    hit = 1 / options
    return sum(math.comb(samples, k) * hit**k * (1 - hit) ** (samples - k) for k in range(right, samples + 1))
