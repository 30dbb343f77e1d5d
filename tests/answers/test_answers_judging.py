"""Which answers are the gold, kind by kind, and which only look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.answers import Answer, Question, grading, judge, score
from virgo_factory.answers.grading import GradingConfig


OPTIONS = Question("Which?", options=("40°", "60°", "120°", "light blue"))


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        ("B", "correct", "same_option"),
        ("(b)", "correct", "same_option"),
        ("B. 60°", "correct", "same_option"),
        ("60", "correct", "same_option"),
        ("60 degrees", "correct", "same_option"),
        (r"\text{(B)}\ 60^\circ", "correct", "same_option"),
        ("x = 60", "correct", "same_option"),
        ("A", "wrong", "other_option"),
        ("120", "wrong", "other_option"),
        ("61", "wrong", "not_an_option"),
        ("blue", "wrong", "not_an_option"),
        ("A and B", "unverifiable", "two_options"),
        ("B or D", "unverifiable", "two_options"),
        ("A, C", "wrong", "other_option"),
        ("B. 120°", "unverifiable", "two_options"),
        ("", "wrong", "no_answer"),
    ],
)
def test_choices(answer, verdict, reason):
    for gold in ("B", "60°", "(B)"):
        found = judge(answer, gold, OPTIONS)
        assert (found.verdict, found.reason) == (verdict, reason)


def test_letters_that_are_options_themselves():
    """MMMU's options may be `C, D, A, B`: its golds are labels. Elsewhere the letter may be either, hence undecided."""
    permuted = Question("Which?", options=("C", "D", "A", "B"))
    assert judge("A", "A", permuted, grading("mmmu")).verdict == "correct"
    assert judge("C", "A", permuted, grading("mmmu")).verdict == "wrong"
    assert judge("C", "A", permuted).verdict == "unverifiable"


@pytest.mark.parametrize(
    ("gold", "answer", "question", "config", "verdict"),
    [
        (1, "fish", Question(options=("turtle", "fish", "sub")), "iconqa", "correct"),
        (1, "1", Question(options=("turtle", "fish", "sub")), "iconqa", "correct"),
        (1, "7", Question(options=("3", "7", "1")), "iconqa", "correct"),
        (1, "1", Question(options=("3", "7", "1")), "iconqa", "wrong"),
        (2.0, "60", Question(options=("80", "60", "40")), "geos", "correct"),
        (2.0, "40", Question(options=("80", "60", "40")), "geos", "wrong"),
        ("100", "104", Question("How much?"), "chartqa", "correct"),
        ("100", "106", Question("How much?"), "chartqa", "wrong"),
        ("2011", "2012", Question("In which year?"), "chartqa", "wrong"),
        ("2011", "2012", Question("How many cars?"), "chartqa", "correct"),
        ("2011.5", "2012", Question("In which year?"), "chartqa", "correct"),
        (1, "yes", Question("Is red the minimum?", kind="boolean"), "figureqa", "correct"),
        (0, "yes", Question("Is red the minimum?", kind="boolean"), "figureqa", "wrong"),
        (1, "1", Question("Is red the minimum?", kind="boolean"), "figureqa", "correct"),
        ("yes", "1", Question("Is red the minimum?", kind="boolean"), "figureqa", "wrong"),
        ("no", "0", Question("Is there a cube?"), "clevr", "wrong"),
        (0, "No, it is not.", Question("Is red the minimum?", kind="boolean"), "figureqa", "correct"),
        ("5", "4", Question("How many?", kind="count"), "math", "wrong"),
        ("0.11", "0.1107", Question(), "geometry3k", "correct"),
        ("0.11", "0.1107", Question(), "math", "wrong"),
        ("1.2", "1.24", Question(precision=1), "mathvista", "correct"),
        ("1.2", "1.26", Question(precision=1), "mathvista", "wrong"),
        ("4.2", "4.1", Question(tolerance=0.1), "olympiadbench", "correct"),
        ("4.2", "4.05", Question(tolerance=0.1), "olympiadbench", "wrong"),
        (r"\cos^{10}(\frac{\pi}{10})", "0.6054", Question(tolerance=1e-4), "olympiadbench", "correct"),
        (r"\cos^{10}(\frac{\pi}{10})", "0.6064", Question(tolerance=1e-4), "olympiadbench", "wrong"),
        (["1", "2"], "2, 1", Question(several=True), "olympiadbench", "correct"),
        (["1", "2"], "1", Question(several=True), "olympiadbench", "wrong"),
        ("['MgS', 'magnesium sulfide']", "magnesium sulfide", Question(), "mmmu", "correct"),
        ("['MgS', 'magnesium sulfide']", "NaCl", Question(), "mmmu", "wrong"),
        ("surplus", "surplus", Question(options=("shortage", "surplus")), "tabmwp", "correct"),
        ("6,830", "$6830", Question(unit="$"), "tabmwp", "correct"),
        ("-12", "-12 employees per year", Question(unit="employees per year"), "tabmwp", "correct"),
        ("-12", "12", Question(unit="employees per year"), "tabmwp", "wrong"),
    ],
)
def test_datasets_have_their_own_strictness(gold, answer, question, config, verdict):
    assert judge(answer, gold, question, grading(config)).verdict == verdict


def test_strictness_can_be_stated():
    assert judge("75", "0.75", config=GradingConfig(percent_scale=True)).verdict == "correct"
    assert judge("2, 1", "1, 2", config=GradingConfig(ordered_lists=True)).verdict == "wrong"
    with pytest.raises(ValueError, match="chartqa"):
        grading("chart")
    with pytest.raises(ValueError, match="expression"):
        Question(kind="maths")


def test_an_answer_inside_the_thought_can_be_refused():
    response = "<|begin_of_thought|>\n\nSo \\boxed{5}.\n\n<|end_of_thought|>"
    assert score(response, "5").verdict == "correct"
    assert score(response, "5").answer.where == "thought"
    refused = score(response, "5", config=grading("strict"))
    assert (refused.verdict, refused.reason) == ("wrong", "answer_in_thought")


@given(st.integers(-(10**9), 10**9))
def test_every_way_to_write_a_whole_number(value):
    for written in (
        f"{value:,}",
        f"{value}.0",
        f"\\boxed{{{value}}}",
        f"${value}$",
        f"x = {value}",
        f"{value}\\text{{ cm}}",
        f"{2 * value}/2",
    ):
        assert score(written, str(value)).verdict == "correct", written
    assert score(str(value + 1), str(value)).verdict == "wrong"


@given(st.fractions(max_denominator=1000), st.fractions(max_denominator=1000))
def test_fractions_are_compared_exactly(one, other):
    gold = f"\\frac{{{one.numerator}}}{{{one.denominator}}}"
    assert judge(f"{other.numerator}/{other.denominator}", gold).correct is (one == other)


def test_a_verdict_says_what_was_judged():
    found = score("<think>3?</think>The answer is **4**.", "4")
    assert found.answer == Answer("4", "phrase", "solution")
    assert found.words == "answer and gold are the same text"
