"""Questions tried by solvers: votes as they are written, and what follows from them."""

import pytest

from virgo_factory.synthesis.questions.votes import chance_of_blind, judge_votes, vote_of
from virgo_factory.synthesis.words import Dropped


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
    def replies(votes: str) -> list:
        said = {"?": "I see.", "U": "<a>unknown</a>"}
        return [say(said.get(vote, f"<a>{vote}</a>"), sample) for sample, vote in enumerate(votes)]

    one = judge_votes(question, replies(sighted), replies(blind))
    assert (one.reason if isinstance(one, Dropped) else one.difficulty) == outcome
    assert one.of == question.id if isinstance(one, Dropped) else one.id == question.id
    if outcome == "answerable without looking":
        assert judge_votes(question, replies(sighted), replies(blind), blind_right=0).difficulty == "easy"

    if (sighted, outcome) == ("BCC", "hard"):
        strict = judge_votes(question, replies(sighted), replies(blind), confirmed=2)
        assert strict.reason == "no solver confirms the answer"


def test_honest_questions_that_a_guesser_gets_right():
    assert chance_of_blind(4, 3) == pytest.approx(13 / 256)
    assert chance_of_blind(4, 0) == pytest.approx(1) and chance_of_blind(4, 5) == 0
