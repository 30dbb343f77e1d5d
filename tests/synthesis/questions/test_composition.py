"""Questions composed of others: which are put together, what is kept of replies, and what an ablation proves."""

from dataclasses import replace

import pytest

from virgo_factory.synthesis.questions.composition import ablation_asks, candidates_of, composer_asks, judge_ablation
from virgo_factory.synthesis.words import Dropped, Question


COLOURS = ("red", "blue", "green", "white", "black", "grey")
ONE = (
    "<q>What is the colour of the thing that lies left of the star and shines?</q><o>red</o><o>blue</o><o>green</o><o>white</o>"
    "<a>green</a><k>recognition</k><t>ball 2</t><n>1, 2</n>"
)


@pytest.fixture
def questions(question) -> list[Question]:
    """Six questions of stage 1."""
    return [
        replace(question, id=f"coco/1/{number}", question=f"Which thing on the grass is {colour}?")
        for number, colour in enumerate(COLOURS)
    ]


def test_sets_are_drawn_by_the_scene_alone(scene, questions):
    asks = composer_asks(scene, questions, most=4)
    assert asks == composer_asks(scene, questions, most=4) and len(asks) == 4
    sets = [tuple(ask.about["inputs"]) for ask in asks]
    assert len(set(sets)) == 4 and {len(ids) for ids in sets} <= {2, 3}
    assert [ask.mode for ask in asks] == ["set 1", "set 2", "set 3", "set 4"]
    assert sets != [
        tuple(ask.about["inputs"]) for ask in composer_asks(replace(scene, id="coco/2"), questions, most=4)
    ]
    assert {len(ask.about["inputs"]) for ask in composer_asks(scene, questions, most=4, of=(3,))} == {3}
    assert composer_asks(scene, questions[:2], most=4, of=(3,)) == [] == composer_asks(scene, questions[:1])
    assert len(composer_asks(scene, questions[:2], most=4)) == 1
    assert composer_asks(scene, [replace(one, stage=2) for one in questions]) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("", ""), ""),
        (("<n>1, 2</n>", "<n>questions 2 and 1</n>"), ""),
        (("<n>1, 2</n>", ""), "it does not list the questions it needs"),
        (("<n>1, 2</n>", "<n>1, 3</n>"), "it does not list the questions it needs"),
        (("<n>1, 2</n>", "<n>2</n>"), "it needs one question only"),
        (
            ("What is", "Now look at everything there is once more, and then again. " * 4 + "What is"),
            "longer than three times its inputs",
        ),
        (
            (
                "<q>What is the colour of the thing that lies left of the star and shines?",
                "<q>Which thing on the grass is blue?",
            ),
            "a near-duplicate",
        ),
        (("<t>ball 2", "<t>kite 1"), "an unknown tag"),
        (("<a>green", "<a>yellow"), "the answer is none of the options"),
        ((ONE, ONE + ONE.replace("What is", "Which is")), "several questions in the reply"),
        ((ONE, "It cannot be done."), "no question in the reply"),
    ],
)
def test_what_is_kept_of_a_reply(change, reason, scene, questions, say):
    reply = say(ONE.replace(*change), mode="set 1", inputs=[questions[0].id, questions[1].id])
    (one,) = candidates_of(scene, questions, [reply])
    if reason:
        assert isinstance(one, Dropped) and (one.reason, one.of) == (reason, "coco/1/set1/c0")
    else:
        assert (one.stage, one.inputs, one.gold) == (2, ("coco/1/0", "coco/1/1"), "green")


def test_of_three_only_those_that_are_needed_are_inputs(scene, questions, say):
    reply = say(ONE.replace("1, 2", "1, 3"), mode="set 1", inputs=[one.id for one in questions[:3]])
    (one,) = candidates_of(scene, questions, [reply])
    assert one.inputs == ("coco/1/0", "coco/1/2")


def test_the_same_question_from_two_sets_is_one(scene, questions, say):
    replies = [say(ONE, mode=f"set {number}", inputs=["coco/1/0", "coco/1/1"]) for number in (2, 1)]
    first, second = candidates_of(scene, questions, replies)
    assert isinstance(first, Question) and second.of == "coco/1/set2/c0"


@pytest.mark.parametrize(
    ("whole", "without", "outcome"),
    [
        ("BBB", ("UUU", "UUU"), "easy"),
        ("BBA", ("UUU", "AUB"), "hard"),
        ("BBA", ("UUU", "BUU"), "hard"),
        ("BAA", ("UUU", "UUU"), "not solved with all inputs"),
        ("BA", ("UUU", "UUU"), "not solved with all inputs"),
        ("BBB", ("BBA", "UUU"), "solved without an input"),
        ("BBB", ("UUU", "BBB"), "solved without an input"),
        ("BBB", ("???", "UUU"), "no readable vote"),
        ("BBB", ("UUU", ""), "no readable vote"),
    ],
)
def test_an_ablation_shows_that_every_input_is_needed(whole, without, outcome, questions, question, say):
    candidate = replace(question, id="coco/1/c", question="What shines?", stage=2, inputs=("coco/1/0", "coco/1/1"))
    asks = ablation_asks(candidate, questions[:2])
    assert [ask.mode for ask in asks] == ["all", "without coco/1/0", "without coco/1/1"]
    assert [questions[0].question in ask.text for ask in asks] == [True, False, True]
    said = {"?": "I see.", "U": "<a>unknown</a>"}
    replies = {
        ask.mode: [say(said.get(vote, f"<a>{vote}</a>"), sample) for sample, vote in enumerate(votes)]
        for ask, votes in zip(asks, (whole, *without), strict=True)
    }
    one = judge_ablation(candidate, replies)
    assert (one.reason if isinstance(one, Dropped) else one.difficulty) == outcome
