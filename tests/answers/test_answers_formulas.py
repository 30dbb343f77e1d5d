"""Cheap proofs about formulas: equal only by an identity, different only by values, and nothing where reading is open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.answers import Question, judge
from virgo_factory.answers.values.formulas import same_expression as compare


@pytest.mark.parametrize(
    ("gold", "answer", "question", "equal"),
    [
        (r"\frac{K-1}{L}", r"\frac{k-1}{l}", "His production function is $F(K, L)=(K-1)L$. What is the rate?", True),
        (r"C_{1}e^{t}+C_2", r"c_1 e^t+c_{2}", "Solve it, denoting constants as $C_{1}, C_{2}$.", True),
        (r"\frac{K-1}{L}", r"\frac{k-1}{l}", "Capital costs $k$ each, of $K$ that work with $L$.", False),
        (r"\frac{GM}{r^2}", r"\frac{Gm}{r^2}", "A planet of mass $M$. Find g at r, with G.", False),
        (r"\frac{GM}{r^2}", r"\frac{GM}{R^2}", "A planet of mass $M$. Find g at r, with G.", False),
        (r"\frac{V}{R}", r"\frac{v}{R}", "A voltage V and a resistance R.", False),
    ],
)
def test_only_the_question_shows_that_the_case_is_another_hand(gold, answer, question, equal):
    assert (judge(answer, gold, Question(question)).correct is True) is equal


def test_a_function_is_no_product_and_no_proof_of_another_value():
    assert compare("f(x+1)", "fx+f") is None
    assert compare("u(x)+u(y)", "u(x+y)") is None


LEAVES = st.sampled_from(["x", "y", "t", "2", "3", r"\frac{1}{2}", r"\pi", "e", "i", r"\omega", "x_1", "7"])
SHAPES = ("(A+B)", "(A-B)", r"(A \cdot B)", r"\frac{A}{B}", r"\sin(A)", "e^{A}", r"\sqrt{A}", "(A)^2")
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(SHAPES), inner, inner).map(
        lambda drawn: drawn[0].replace("A", drawn[1]).replace("B", drawn[2])
    ),
    max_leaves=6,
)


@pytest.mark.slow
@given(FORMULAS, FORMULAS, FORMULAS)
def test_identities_are_never_different_and_other_values_never_equal(one, two, three):
    for left, right in (
        (rf"{one} \cdot ({two}+{three})", rf"{three} \cdot {one} + {one} \cdot {two}"),
        (rf"({one}-{two})^2", rf"({two})^2-2 \cdot {one} \cdot {two}+({one})^2"),
        (rf"e^{{{one}-{two}}}", rf"\frac{{e^{{{one}}}}}{{e^{{{two}}}}}"),
        (rf"\cos(2 \cdot ({one}))", rf"\cos^2({one})-\sin^2({one})"),
    ):
        assert compare(left, right) is not False
        assert compare(left, right + "+1") is not True
