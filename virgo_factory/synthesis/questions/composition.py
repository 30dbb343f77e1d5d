"""Two or three questions of a picture -> one that needs them all, and the proof that it does. Pure.

The proof is an ablation: a solver who knows the answers to all inputs finds the answer, and does not find it once one is left out.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from virgo_factory.synthesis.prompts import answered_text, asked_text, filled
from virgo_factory.synthesis.questions.grammar import items_of
from virgo_factory.synthesis.questions.validity import checked
from virgo_factory.synthesis.questions.votes import NO_VOTE, vote_of
from virgo_factory.synthesis.questions.writing import NO_QUESTION
from virgo_factory.synthesis.words import Ask, Dropped, Question, Reply, Scene


ALL, WITHOUT = "all", "without "

SEVERAL = "several questions in the reply"
NO_NEEDS = "it does not list the questions it needs"
NEEDS_ONE = "it needs one question only"
TOO_LONG = "longer than three times its inputs"
NOT_SOLVED = "not solved with all inputs"
NOT_NEEDED = "solved without an input"

LENGTH = 3
"""A composed question may have so many times the characters of its inputs: length is not difficulty."""


def composer_asks(scene: Scene, questions: Sequence[Question], most: int = 2, of: Sequence[int] = (2, 3)) -> list[Ask]:
    """Return what a composer is sent: up to `most` sets of a scene's questions, drawn by the scene's id.

    Args:
        scene: that they are about.
        questions: that may be composed; those that are composed themselves are left out.
        most: sets.
        of: sizes of sets, each as likely.
    """
    written = [question for question in questions if question.stage == 1]
    draw = random.Random(f"compose {scene.id}")
    sizes = [size for size in of if 2 <= size <= len(written)]
    sets: list[tuple[int, ...]] = []
    for _ in range(4 * most if sizes else 0):
        drawn = tuple(sorted(draw.sample(range(len(written)), draw.choice(sizes))))
        if drawn not in sets and len(sets) < most:
            sets.append(drawn)

    asks = []
    for number, places in enumerate(sets, start=1):
        inputs = [written[place] for place in places]
        text = filled("lgt_composer", count=str(len(inputs)), questions=answered_text(inputs, tags=True))
        asks.append(Ask(scene.id, text, f"set {number}", about={"inputs": [one.id for one in inputs]}))

    return asks


def candidates_of(
    scene: Scene, questions: Sequence[Question], replies: Sequence[Reply]
) -> Iterator[Question | Dropped]:
    """Yield the composed questions that replies hold, before their ablation; in the place of others why they are none.

    Args:
        scene: that they are about.
        questions: those that the replies were composed of, among others.
        replies: to `composer_asks`, of all sets and samples.
    """
    known = {question.id: question for question in questions}
    kept: list[Question] = []
    for reply in sorted(replies, key=lambda one: (one.mode, one.model, one.sample)):
        of = f"{scene.id}/{reply.mode.replace(' ', '')}/c{reply.sample}"
        one = _candidate(scene, known, reply, of, kept)
        if isinstance(one, Question):
            kept.append(one)

        yield one


def _candidate(
    scene: Scene, known: Mapping[str, Question], reply: Reply, of: str, kept: list[Question]
) -> Question | Dropped:
    items = items_of(reply.response, is_whole=reply.finish_reason == "stop")
    if len(items) != 1:
        return Dropped(of, SEVERAL if items else NO_QUESTION, reply.response[:200])

    (item,), ids = items, [id for id in reply.about.get("inputs", ()) if id in known]
    if not item.needs or not all(1 <= number <= len(ids) for number in item.needs):
        return Dropped(of, NO_NEEDS, f"{item.needs}: {item.question[:200]}")

    inputs = tuple(ids[number - 1] for number in sorted(item.needs))
    if len(inputs) < 2:
        return Dropped(of, NEEDS_ONE, item.question[:200])

    if len(item.question) > LENGTH * sum(len(known[id].question) for id in inputs):
        return Dropped(of, TOO_LONG, item.question[:200])

    return checked(item, scene, of, [*known.values(), *kept], len(kept), 2, inputs)


def ablation_asks(candidate: Question, inputs: Sequence[Question]) -> list[Ask]:
    """Return what a solver is sent about a composed question: with all inputs and their answers, and with each left out.

    Args:
        candidate: of `candidates_of`.
        inputs: the questions of its `inputs`.
    """
    asked = asked_text(candidate)
    asks = []
    for mode, left in [(ALL, None), *((f"{WITHOUT}{one.id}", one.id) for one in inputs)]:
        known = answered_text([one for one in inputs if one.id != left])
        asks.append(Ask(candidate.id, filled("lgt_ablation", known=known, question=asked), mode))

    return asks


def judge_ablation(candidate: Question, replies: Mapping[str, Sequence[Reply]]) -> Question | Dropped:
    """Return a composed question with its difficulty, or why it is dropped.

    It is kept where most samples find its answer with all inputs known, and with none left out most do.

    Args:
        candidate: of `candidates_of`.
        replies: to `ablation_asks`, by the mode of the Ask.
    """
    modes = [ALL, *(f"{WITHOUT}{id}" for id in candidate.inputs)]
    votes = {mode: [vote_of(reply.response, candidate) for reply in replies.get(mode, ())] for mode in modes}
    for mode, said in votes.items():
        if not any(said):
            return Dropped(candidate.id, NO_VOTE, mode)

    right = {mode: said.count(candidate.answer) for mode, said in votes.items()}
    solved = [mode for mode in modes if 2 * right[mode] > len(votes[mode])]
    if ALL not in solved:
        return Dropped(candidate.id, NOT_SOLVED, f"{right[ALL]} of {len(votes[ALL])}")

    if len(solved) > 1:
        return Dropped(candidate.id, NOT_NEEDED, solved[1])

    return replace(candidate, difficulty="easy" if right[ALL] == len(votes[ALL]) else "hard")
