"""Kinds of responses: what they answer, and what they only look like they answer. Tables of (response, gold, options, verdict)."""

import json

import pytest

from virgo_factory.answers import Question, extract, score
from virgo_factory.answers.choice import claimed
from virgo_factory.answers.options import read_options, without_letters


METALS = ("iron", "zinc", "lead", "tin")
YES, NO, OPEN = "correct", "wrong", "unverifiable"


def _verdict(response, gold, options=(), kind=None, question="Which one?"):
    return score(response, gold, Question(question, options=tuple(options), kind=kind)).verdict


FORMS = [
    ["A. red", "B. green", "C. blue"], ["(A) red", "(B) green", "(C) blue"], ["A) red", "B) green", "C) blue"],
    ["A、red", "B、green", "C、blue"], ["a. red", "b. green", "c. blue"], ["B. green", "A. red", "C. blue"],
    "A. red\nB. green\nC. blue", "A. red B. green C. blue", "(A) red (B) green (C) blue", "A、red B、green C、blue",
    "red; green; blue", "red\ngreen\nblue", "red；green；blue", "red | green | blue", "red, green, blue", "['red', 'green', 'blue']",
    '["A. red", "B. green", "C. blue"]', '{"A": "red", "B": "green", "C": "blue"}', {"A": "red", "B": "green", "C": "blue"},
    {"B": "green", "A": "red", "C": "blue"}, ("red", "green", "blue"), "- A. red\n- B. green\n- C. blue",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_options(form):
    assert read_options(form) == ("red", "green", "blue")
    question = Question("Which colour?", options=read_options(form))
    for answer in ("B", "(b)", "green", "B. green", "The answer is green."):
        assert score(answer, "B", question).verdict == "correct"
        assert score(answer, "green", question).verdict == "correct"
        assert score(answer, "A", question).verdict == "wrong"


@pytest.mark.parametrize(
    "options",
    [
        ("A. Smith", "B. Jones", "C"),
        ("A. Smith", "A. Jones"),
        ("a", "b"),
        ("A", "B"),
        ("1. red", "2. blue"),
        ("E. coli", "B. subtilis"),
    ],
)
def test_letters_that_belong_to_the_text_stay(options):
    assert without_letters(options) == options


@pytest.mark.parametrize("text", ["", "red", None, 3, "a sentence, which goes on, and on 3 times", "[1, 2)"])
def test_what_is_no_list_of_options_gives_none(text):
    assert read_options(text) == ()


COLOURS = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("gold", "answer", "options", "verdict", "reason"),
    [
        # an index from 0 or from 1
        (1, "B", COLOURS, OPEN, "gold_unclear"),
        ("2", "B", COLOURS, OPEN, "gold_unclear"),
        (0, "A", COLOURS, YES, "same_option"),
        (0, "B", COLOURS, NO, "other_option"),
        (3, "C", COLOURS, YES, "same_option"),
        (3, "B", COLOURS, NO, "other_option"),
        ("1", "B", ("3", "1", "2"), YES, "same_option"),
        (1, "A", ("3", "1", "2"), NO, "other_option"),
        # a letter with its text
        ("B. green", "B", COLOURS, YES, "same_option"),
        ("B. green", "green", COLOURS, YES, "same_option"),
        ("(B) green", "A", COLOURS, NO, "other_option"),
        ("B. red", "B", COLOURS, OPEN, "gold_unclear"),
        ("B. green", "B", (), YES, "same_option"),
        ("B. green", "green", (), YES, None),
        ("B. green", "B. green", (), YES, None),
        ("B. green", "A", (), NO, "other_option"),
        ("B. green", "red", (), NO, None),
        ("B. green", "C. red", (), NO, None),
        ("B. green", "B. red", (), OPEN, "two_options"),
        ("(B) 5 cm", "(B)", (), YES, "same_option"),
        ("B：绿色", "绿色", (), YES, None),
        ("B：绿色", "C", (), NO, "other_option"),
        # letters against texts where the options are not known
        ("B", "green", (), OPEN, "options_missing"),
        ("B", "40", (), OPEN, "options_missing"),
        ("B", "B. green", (), YES, "same_option"),
        ("B", "C. green", (), NO, "other_option"),
        ("B", "(b)", (), YES, "same_option"),
    ],
)  # fmt: skip
def test_golds_and_options(gold, answer, options, verdict, reason):
    found = score(f"\\boxed{{{answer}}}", gold, Question("Which colour?", options=options))
    assert found.verdict == verdict
    assert reason is None or found.reason == reason


def test_a_text_gold_and_a_letter_answer_without_options_cannot_be_compared():
    question = Question("Which colour?", kind="choice")
    assert score("The answer is B.", "green", question).reason == "options_missing"
    assert score("The answer is green.", "green", question).verdict == "correct"


def test_a_letter_is_read_whatever_signs_it_stands_in():
    for written in ("B", "**B**", "(B)", "[B]", "$B$", r"\(B\)", r"\text{B}", r"$\mathbf{B}$", "“B”", "`B`", "*B*"):
        assert claimed(f"The answer is {written}.", 4)[0] == "B", written
        assert (
            extract(f"After that:\n\n{written}", Question("?", options=METALS)).text.strip(r"*()[]$`“”\textmathbf{}")
            == "B"
        )


def test_the_given_rows(shared_data):
    """The rows of the faults that were found are right, as far as a response says its answer."""
    for name in ("answers_false_negative", "answers_false_positive", "options_as_text"):
        for line in (shared_data.parent / "faults" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            question = Question(row.get("question", ""), options=read_options(row["options"]))
            found = score(row["response"], row["gold"], question)
            if name == "options_as_text":
                assert found.verdict == {"1": YES, "2": YES, "3": OPEN, "4": OPEN}[row["id"]], row
            elif question.options or "Chinese choice" in row["kind"] or "letter" in row["kind"]:
                assert found.correct is row["label"], row
