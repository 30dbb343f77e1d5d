"""Counts and relations that a question claims, against the boxes."""

from virgo_factory.synthesis.words import Question, Scene


def contradiction(question: Question, scene: Scene) -> str | None:
    """Return why the boxes of a scene do not bear out a question's answer; None where they do, or say nothing."""
    return None
