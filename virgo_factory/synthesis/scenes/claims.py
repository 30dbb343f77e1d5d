"""What a question states of counts and places, held against the boxes. Pure.

A third of what writers ask is how many there are and how things stand to each other, and that can be computed: from the claim
that the writer states in a fixed form (`stated`), and from the question itself where each of its words is understood (`asked`).
Nothing is said of the rest, nor where a box is within the margins of `facts`: what is kept wrongly meets the votes later, what
is dropped wrongly is lost.
"""

from virgo_factory.synthesis.scenes.asked import asked_for
from virgo_factory.synthesis.scenes.english import Meaning, plain
from virgo_factory.synthesis.scenes.stated import OF_OTHER, Stated
from virgo_factory.synthesis.words import LETTERS, Question, Scene


def is_claim_read(question: Question, scene: Scene) -> bool:
    """Return whether something of what a writer claims can be held against the boxes."""
    return any(Stated("", (), 0, Meaning(scene)).checks(question.claim))


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
    meaning, text = Meaning(scene), plain(question.question)
    told, asked = Stated(text, options, gold, meaning).against(question.claim), asked_for(text, options, meaning)
    is_right = asked is not None and asked.holds(options[gold]) is True
    if told and not (is_right and told.startswith(OF_OTHER)):  # "below it", and the claim says that the other is above
        return told

    if asked is None:
        return None

    if asked.holds(options[gold]) is False:
        return asked.said or f"by the boxes the answer does not hold: {question.gold}"

    holds = asked.is_clear or asked.holds
    for number, option in enumerate(options):
        if number != gold and holds(option) is True:
            return f"by the boxes another option is right too: {question.options[number]}"

    return None
