"""What a question states of counts and places, held against the boxes."""

from virgo_factory.synthesis.words import Question, Scene


def contradiction(question: Question, scene: Scene) -> str | None:
    """Return what the boxes say against a question's answer, or None where they say nothing or agree."""
    return None
