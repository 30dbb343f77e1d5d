"""Which answers are the gold, kind by kind, and which only look like it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virgo_factory.answers import Answer, Question, grading, judge, score
from virgo_factory.answers.grading import GradingConfig


SAME = [
    # numbers
    ("2", "2.0"), ("1/2", "0.5"), (r"\frac{1}{2}", ".5"), (r"\frac12", r"\dfrac{1}{2}"), (r"918\frac{1}{2}", "918.5"),
    ("3 1/2", "7/2"), ("1,234", "1234"), ("7,425,000", "7425000"), ("1 000", "1000"), (r"11,\! 111,\! 111,\! 100", "11111111100"),
    (r"1.5 \times 10^3", "1500"), ("1.5e3", "1500"), ("3e8", r"3 \times 10^{8} \text{ m/s}"), ("1.5 million", "1,500,000"),
    ("50%", "0.5"), (r"28\%", "28"), (r"28\%", "0.28"), ("3/4", "75 percent"), ("seven", "7"), ("twenty-one", "21"),
    (r"2\sqrt{3}", r"\sqrt{12}"), ("2√3", r"2\sqrt{3}"), ("2√{3}", "2sqrt(3)"), (r"\frac{\sqrt{3}}{2}", r"\sqrt{3}/2"),
    (r"\pi", "3.14159"), ("12π", r"12\pi \text{ inches}"), ("120", "5!"), ("3^2", "9"), ("2^{10}", "1024"), ("-5", "−5"),
    ("3.1416", "3.14159"), ("0.0833333", "1/12"), ("12", r"12^{\text{th}} \text{ grade}"),
    # units
    ("10", "10 cm"), ("10 cm", "10"), ("3 cm", "30 mm"), ("2 hours", "120 minutes"), ("$5", "5 dollars"), ("50 cents", "$0.50"),
    ("74°", r"74^\circ"), (r"\angle APC = 74^\circ", "74"), ("4080", "4080 Å"), ("15 cm^2", r"15\mbox{ cm}^2"), ("7", "There are 7 apples left"),
    ("17\\text{ any text}", "17"), ("3", "3页"),
    # assignments
    ("x=1", "1"), ("5", "x = 5"), ("|AB|=1", "1"), (r"x \in [-2,7]", "[-2, 7]"), ("S_1:S_2=7:32", "7:32"), ("1:3", r"\frac{1}{3}"),
    (r"\frac{9.5}{3.14159}", r"\frac{9.5}{3.14159} \approx 3.02"), ("v(r) = 3r", "3r"),
    # sequences
    ("1, 2", "2, 1"), ("1, 2", "1 and 2"), (r"\{1,2\}", r"\{2,1\}"), ("(1,2)", "1, 2"), ("(2,1),(3,1)", "(3,1),(2,1)"),
    (r"(3,\frac{\pi}{2})", r"\left( 3, \frac{\pi}{2} \right)"), (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"),
    ("k=45, n=2", "45, 2"), ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"), (r"6 \text{ and } 8", "6, 8"), ("19, 46, and 82", r"19, 46, \text{ and } 82"),
    (r"\begin{pmatrix} -1/3 \\ 2 \end{pmatrix}", r"\begin{pmatrix} -\frac{1}{3} \\ 2 \end{pmatrix}"),
    ("(-\\infty,-8)\\cup (8,\\infty)", "(-\\infty, -8) \\cup (8, \\infty)"), ("11-15", "11 - 15"),
    # formulas
    ("x^2+2x+1", "(x+1)^2"), ("a+b", "b+a"), ("x<2", "2>x"), ("x^2+y^2=1", "1-x^2-y^2=0"), (r"\ln 4", r"2\ln 2"),
    (r"\frac{(n-1)!}{k!}\frac{n}{(n-k)!}", r"\frac{n!}{k!(n-k)!}"), (r"\frac{x+1}{2y}", r"\frac{x}{2y}+\frac{1}{2y}"),
    # text, booleans, dates
    ("elephant", "The elephant."), ("Hello, world!", "hello world"), ("yes", "Yes."), ("no", "No, it is not"), ("True", "true"),
    (r"\text{odd}", "odd"), ("large", "The cube is large"), ("no solution", r"\emptyset"), ("2:35 P.M.", "14:35"), ("2:35 P.M.", "2:35 pm"),
    ("2 hours and 45 minutes", "165 minutes"), ("March 5, 2012", "5 March 2012"), ("Monday", "Mon"), ("October", "Oct."),
    ("[Slovenia, Turkey]", "Turkey and Slovenia"), ("E", r"\mathrm{E}"), ("C", "(c)"),
]  # fmt: skip

DIFFERENT = [
    # numbers
    ("5", "5.001"), ("3.14159", "3.15"), ("1/3", "0.33"), ("63/400", "64/400"), ("4", r"4\sqrt{2}"), ("5!", "5"), ("-1", "1"),
    ("16386.20", "16386.17"), ("100", "1000"), ("2√{3}", "2.0"), ("10√{2}", "10"), ("0.75", "75"), ("2011", "2012"), ("12", "21"),
    ("3^{2025}", "2^{2025}"), ("2^{100}", "2^{100}+1"), ("1234", "1,2,34"), ("2", "AZYUK2A"),
    # units
    ("3 m", "3 cm"), ("4 cm^2", "4 cm"), ("90°", r"\frac{\pi}{2}"), ("5 dollars", "5 cents"),
    # sequences
    ("1, 2", "1, 3"), ("1, 2, 3", "1, 2"), ("(1,2)", "(2,1)"), ("[1,2]", "(1,2)"), ("[0,1)", "[0,1]"), ("1", "1, 2"), ("1, 2", "2"),
    (r"\sqrt{2}", r"\sqrt{2}, 16"), ("0-5", "1-6"), ("0.0 - 0.2", "0.4 - 0.6"), ("x=1, y=2", "x=2, y=1"), ("1, 1, 2", "1, 2, 2"),
    (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"), ("f(x)=x, f(x)=2-x", "f(x)=x"),
    # expressions
    ("x^2+1", "x^2+2"), ("2x", "3x"), ("x", "y"), ("x<1", "x>-1"), ("a+3z=0", "0"), ("x^2+y^2=1", "x^2-y^2=1"), (r"-\infty", r"\infty"),
    ("2x", "2"), ("x=2", "y=2"), (r"1-\frac{1}{e}", r"1+\frac{1}{e}"),
    # text, booleans, dates
    ("odd", "oddd"), ("north", "south"), ("yes", "no"), ("large", "It is not large"), ("2:35 P.M.", "2:35 A.M."), ("12:00", "1:00"),
    ("March 5", "May 3"), ("Monday", "Sunday"), ("London", "Paris"), ("3.20", "3:20 pm"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_the_same_answer(gold, answer):
    assert judge(answer, gold).verdict == "correct"
    assert judge(answer + " \\", gold).verdict == "correct"
    assert score(f"<think>9999</think>So it is \\boxed{{{answer}}}", gold).verdict == "correct"


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_another_answer(gold, answer):
    assert judge(answer, gold).verdict == "wrong"
    assert judge(gold, answer).verdict == "wrong"


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
@settings(max_examples=100, deadline=None)
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
@settings(max_examples=200, deadline=None)
def test_fractions_are_compared_exactly(one, other):
    gold = f"\\frac{{{one.numerator}}}{{{one.denominator}}}"
    assert judge(f"{other.numerator}/{other.denominator}", gold).correct is (one == other)


def test_a_verdict_says_what_was_judged():
    found = score("<think>3?</think>The answer is **4**.", "4")
    assert found.answer == Answer("4", "phrase", "solution")
    assert found.words == "answer and gold are the same text"
