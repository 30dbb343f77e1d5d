"""A scene, and replies about it."""

import pytest

from virgo_factory.synthesis.words import Question, Scene, SceneObject


@pytest.fixture
def scene() -> Scene:
    """Two balls and a star, and no place that is told twice."""
    things = (
        SceneObject("ball 1", "ball", (12, 20, 40, 60), attributes={"color": "red"}),
        SceneObject("ball 2", "ball", (100, 30, 180, 110), phrase="a ball that shines"),
        SceneObject("star 1", "star", (300, 200, 360, 261)),
    )
    captions = ("Two balls and a star lie on grass.", "Row 3 of the benches\nis empty.")
    return Scene("coco/1", 2, "pictures/1.png", "f" * 64, 640, 480, captions, things)


@pytest.fixture
def question() -> Question:
    """Its right option is B."""
    return Question("coco/1/ab", "coco/1", "Which ball shines?", ("ball 1", "ball 2", "both", "neither"), "B")
