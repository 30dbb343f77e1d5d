"""Questions tried by solvers: votes as they are written, and what follows from them."""

from collections import Counter
from dataclasses import replace

import pytest

from demo_scenes.truth import asked_in
from virgo_factory.synthesis.questions.votes import chance_of_blind, judge_votes, vote_asks, vote_of
from virgo_factory.synthesis.words import Dropped, Question


@pytest.mark.parametrize(
    ("response", "vote"),
    [
        *[
            (text, "B")
            for text in ("<a>B</a>", "<a>(b)</a>", "It shines. <a> B. ball 2 </a>", "<a>ball 2</a>", "(B)", "<a>B")
        ],
        ("<think>First <a>A</a>.</think>\n<a>B</a>", "B"),
        ("<a>A</a>, no: <a>B</a>", "B"),
        *[(text, "unknown") for text in ("<a>unknown</a>", "Unknown.", "<a>cannot tell</a>")],
        *[
            (text, None)
            for text in ("", "It shines.", "<a>E</a>", "<a>(A) ball 2</a>", "<think>so B", "<a>A or B</a>")
        ],
    ],
)
def test_a_vote_as_it_is_written(response, vote, question):
    assert vote_of(response, question) == vote


@pytest.mark.parametrize(
    ("sighted", "blind", "outcome"),
    [
        ("BBB", "ACDU", "easy"),
        ("BB?", "AAAA", "easy"),
        ("BAB", "BBAC", "hard"),
        ("BCC", "UUUU", "hard"),
        ("BUU", "UUUU", "hard"),
        ("CCC", "UUUU", "the solvers agree on another answer"),
        ("C", "BBBB", "the solvers agree on another answer"),
        ("ACD", "UUUU", "no solver confirms the answer"),
        ("UUU", "UUUU", "no solver confirms the answer"),
        ("???", "UUUU", "no readable vote"),
        ("", "UUUU", "no readable vote"),
        ("BBB", "BBBU", "answerable without looking"),
    ],
)
def test_what_follows_from_votes(sighted, blind, outcome, question, say):
    said = {"?": "I see.", "U": "<a>unknown</a>"}
    texts = {letter: f"<a>{text}</a>" for letter, text in zip("ABCD", question.options, strict=True)}

    def replies(votes: str, forms: dict[str, str]) -> list:
        return [say({**forms, **said}[vote], sample) for sample, vote in enumerate(votes)]

    cast = replies(sighted, {letter: f"<a>{letter}</a>" for letter in "ABCD"}), replies(blind, texts)
    one = judge_votes(question, *cast)
    assert (one.reason if isinstance(one, Dropped) else one.difficulty) == outcome
    assert one.of == question.id if isinstance(one, Dropped) else one.id == question.id
    if outcome == "answerable without looking":
        assert judge_votes(question, *cast, blind_right=0).difficulty == "easy"

    if (sighted, outcome) == ("BCC", "hard"):
        strict = judge_votes(question, *cast, confirmed=2)
        assert strict.reason == "no solver confirms the answer"


def test_a_letter_that_a_blind_solver_prefers_leaves_the_letters_of_the_others_uniform(scene, question, say):
    left = Counter()
    for number in range(400):
        letter = "ABCD"[number % 4]
        one = replace(question, id=f"coco/1/{number}", answer=letter)
        judged = judge_votes(one, [say(f"<a>{letter}</a>")], [say("<a>A</a>", sample) for sample in range(4)])
        left[judged.answer if isinstance(judged, Question) else ""] += 1

    assert 70 <= left.pop("") <= 130 and all(60 <= count <= 90 for count in left.values()) and len(left) == 4
    sighted, blind = vote_asks(scene, replace(question, id="coco/1/1"))
    assert sighted.text.index("ball 1\n(B)") and sorted(question.options) == sorted(asked_in(blind.text)[1])


def test_honest_questions_that_a_guesser_gets_right():
    assert chance_of_blind(4, 3) == pytest.approx(13 / 256)
    assert chance_of_blind(4, 0) == pytest.approx(1) and chance_of_blind(4, 5) == 0
