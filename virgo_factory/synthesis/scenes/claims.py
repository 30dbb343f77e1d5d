"""What a question states of counts and places, held against the boxes. Pure."""

from virgo_factory.synthesis.scenes.asked import asked_for
from virgo_factory.synthesis.scenes.english import Meaning, plain
from virgo_factory.synthesis.words import LETTERS, Question, Scene


def contradiction(question: Question, scene: Scene) -> str | None:
    """Return what the boxes say against a question, or None where they say nothing or agree.

    Against it is that its answer is wrong, and that another option is right too.

    Args:
        question: its options may be in any order.
        scene: that it is about.
    """
    if not scene.objects:
        return None

    options = [plain(option) for option in question.options]
    gold = LETTERS.index(question.answer)
    asked = asked_for(plain(question.question), options, Meaning(scene))
    if asked is None:
        return None

    if asked.holds(options[gold]) is False:
        return asked.said or f"by the boxes the answer does not hold: {question.gold}"

    holds = asked.is_clear or asked.holds
    for number, option in enumerate(options):
        if number != gold and holds(option) is True:
            return f"by the boxes another option is right too: {question.options[number]}"

    return None
