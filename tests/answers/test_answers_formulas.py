"""Cheap proofs about formulas: equal only by an identity, different only by values, and nothing where reading is open."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virgo_factory.answers import Question, judge
from virgo_factory.answers.values.formulas import same_expression as compare


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"(x+1)^2", r"x^2+2x+1"),
        (r"100p^{\frac{1}{2}}", r"100\sqrt{p}"),
        (r"\frac{1}{\sqrt{a^2+b^2}}", r"\frac{\sqrt{a^2+b^2}}{a^2+b^2}"),
        (r"\sqrt{8x}", r"2\sqrt{2}\sqrt{x}"),
        (r"\frac{1}{3\sqrt[3]{x}^2}", r"\frac{1}{3x^{2/3}}"),
        (r"\frac{4A}{3+3i}e^{it}", r"\frac{2A}{3}(1-i)e^{it}"),
        (r"\frac{1}{2}(e^{a t}+e^{-a t})", r"\cosh(at)"),
        (r"\sin(a+b)", r"\sin a \cos b + \cos a \sin b"),
        (r"\frac{\sin 2x}{2}", r"\sin(x)\cos(x)"),
        (r"\tan x", r"\frac{\sin x}{\cos x}"),
        (r"\sin^2 x", r"1-\cos^2 x"),
        (r"\tan^{-1} x", r"\arctan x"),
        (r"e^{x+y}", r"e^x e^y"),
        (r"2^{n+1}", r"2 \cdot 2^{n}"),
        (r"\log_2 x", r"\frac{\ln x}{\ln 2}"),
        (r"\lg x", r"\log_{10} x"),
        (r"\frac\pi2 x", r"\frac{\pi x}{2}"),
        (r"x_{0}\cos(\omegat)", r"x_0 \cos(\omega t)"),
        (r"(1-3e^{-2t})u(t)", r"u(t)(1-3e^{-2 t})"),
        (r"a(b+c)", r"ab+ac"),
        (r"f(x+1)", r"f(1+x)"),
        (r"\ln 4", r"2\ln 2"),
        (r"\ln\frac{8}{3}", r"3\ln 2-\ln 3"),
        (r"0.5x", r"\frac{x}{2}"),
        (r"\dot{x}_{0}+x'", r"x^{\prime}+\dot{x}_0"),
        (r"|x-y|", r"|y-x|"),
        (r"2\cos(\pi t)", r"-2\cos(\pi t-\pi)"),
        (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
        (r"\frac{n!}{k!(n-k)!}", r"\frac{(n-1)!}{k!}\frac{n}{(n-k)!}"),
        ("x<1", "1>x"),
        (r"2x \ge 4", r"2 \le x"),
        ("A<B<C", "C>B>A"),
        (r"\sum_{k=1}^n k", r"\frac{n(n+1)}{2}"),
        (r"\prod_{k=1}^{n} k", "n!"),
        ("a_{n+1}", "a_{1+n}"),
        (r"\frac{dy}{dx}", "dy/dx"),
        (r"\frac{\mathrm{d}y}{\mathrm{d}x}", r"\dfrac{dy}{dx}"),
        (r"\frac{d^2y}{dx^2}+y", r"y+\frac{d^{2} y}{d x^{2}}"),
        (r"y^{\prime\prime}", "y''"),
        (r"\frac{AB}{BC}", "AB/BC"),
        (r"\begin{pmatrix}6 & 8 \\ 10 & 12\end{pmatrix}", r"2\begin{pmatrix}3 & 4 \\ 5 & 6\end{pmatrix}"),
        (r"\lceil -x \rceil+1", r"1+\lceil -x \rceil"),
    ],
)
def test_equal(gold, answer):
    assert compare(gold, answer) is True
    assert compare(answer, gold) is True


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"3R^2", r"3R^2+\frac{1}{3}a^2"),
        (r"-\frac{1}{2}x^{-1/2}", r"\frac{1}{2}x^{-1/2}"),
        (r"R^2-r^2", r"r^2-R^2"),
        (r"\sin(2x)", r"2\sin x"),
        (r"e^{2x}", r"2e^x"),
        (r"\sqrt{a+b}", r"\sqrt{a}+\sqrt{b}"),
        (r"\ln 6", r"\ln 5"),
        (r"\ln(x+y)", r"\ln x+\ln y"),
        (r"n^2-n+1", r"n"),
        (r"\frac{a}{b}", r"\frac{b}{a}"),
        (r"x_1", r"x_2"),
        (r"C_1\sin t+C_2\cos t", r"C_2\sin t+C_1\cos t"),
        (r"1+\frac{1}{e}", r"1-\frac{1}{e}"),
        (r"(n-2)2^{n}+1", r"2^n-1"),
        (r"42", r"44+4b"),
        (r"\lfloor x \rfloor", "x"),
        (r"\lfloor x \rfloor", r"\lceil x \rceil"),
        (r"\overline{z}+1", "z+1"),
        ("n!", "n"),
        (r"|x|", "x"),
        ("|x-1|", "x-1"),
        ("2E", "2e"),
        # the case of a letter
        (r"C_{1}e^{t}", r"c_1 e^t"),
        (r"\frac{K-1}{L}", r"\frac{k-1}{l}"),
        (r"\frac{GM}{r^2}", r"\frac{Gm}{r^2}"),
        (r"\frac{GM}{r^2}", r"\frac{GM}{R^2}"),
        (r"\frac{V}{R}", r"\frac{v}{r}"),
        (r"\Omega t", r"\omega t"),
        (r"\gamma", r"\Gamma"),
        ("P_1-P_2", "p_1-p_2"),
        # derivatives
        (r"\frac{dx}{dt}", r"\frac{x}{t}"),
        (r"\frac{dy}{dx}", r"\frac{dx}{dy}"),
        (r"\frac{\partial u}{\partial x}", r"\frac{\partial x}{\partial u}"),
        (r"\frac{\partial u}{\partial x}", r"\frac{du}{dx}"),
        (r"\frac{d^2y}{dx^2}", r"\frac{dy}{dx}"),
        (r"\frac{d^2y}{dx^2}", r"\left(\frac{dy}{dx}\right)^2"),
        (r"\frac{dx}{dt}", r"\frac{DX}{DT}"),
        ("y''+1", "y'+1"),
        ("f'(x)", "f''(x)"),
        (r"\nabla f", "f"),
        (r"\nabla f", r"-\nabla f"),
        # functions and what they are taken of
        ("y(x)", "x(y)"),
        ("y(x)", "xy"),
        ("v(t)", "t(v)"),
        ("f(x,y)", "f(y,x)"),
        # accents
        (r"\dot{x}+1", r"\ddot{x}+1"),
        (r"\hat{x}+1", r"\tilde{x}+1"),
        (r"\vec{a}+\vec{b}", r"\hat{a}+\hat{b}"),
        # relations
        ("x<1", "x<2"),
        ("x<1", "x>1"),
        ("x<1", r"x \le 1"),
        ("x=y", "x<y"),
        ("F=ma", "F=m/a"),
        ("y=-3x+7", "x=-3y+7"),
        ("a_n=2n+1", "a_{n}=2n-1"),
        ("A<B<C", r"A \le B \le C"),
        (r"F_n=\sum_{k=0}^{n-1} F_k F_{n-k-1}", r"F_n=\sum_{k=0}^{n-2} F_k F_{n-k-2}"),
        (r"\lfloor\frac{2n}{3}\rfloor+1", r"\lfloor \frac{n+1}{3} \rfloor"),
    ],
)
def test_different(gold, answer):
    assert compare(gold, answer) is False
    assert compare(answer, gold) is False


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x=1", "1"),
        (r"\frac{1}{3}x", "0.33333x"),  # perhaps rounded
        ("1/2x", "x/2"),  # which half
        (r"2\frac{1}{2}", "2.5"),  # a mixed number, or a product
        ("f(x)^2", "f(x)f(x)"),
        (r"\partial x", "x"),
        (r"\sqrt{(a-b)^2}", "a-b"),
        (r"\sin x(y+1)", r"\sin(x)(y+1)"),
        ("1+e^{-100x}", "1"),
        (r"\int x dx", r"\oint x dx"),
        (r"y''+y=0", r"\frac{d^2y}{dx^2}+y=0"),
        (r"\dot{y}", r"\frac{dy}{dt}"),
        (r"x=\ln y", "y=e^x"),
        ("P(A|B)", "P(B|A)"),
        (r"18^\circ", "18"),
        ("for x", "x for"),
        ("", "x"),
        (r"\lfloor x \rfloor", r"\lfloor x+1 \rfloor-1"),
    ],
)
def test_open(gold, answer):
    assert compare(gold, answer) is None


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


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("x-(y+2)=0", "x=y+2", True),
        ("x^2/4+y^2/3=1", "x^2/16+y^2/12=1/4", True),
        ("2x+4y-3=0", r"y=-\frac{1}{2}x+\frac{3}{4}", True),
        (r"I\frac{d\omega}{dt}+2B\omega=T", r"\frac{d\omega}{dt}=-\frac{2B}{I}\omega+\frac{1}{I}T", True),
        ("x^2+y^2=1", "x^2-y^2=1", False),
        ("x^2=2x", "x=2", None),  # a root is lost
        (r"\frac{dx}{dt}=kx", r"\frac{x}{t}=kx", False),
        ("x=x", "y=y", None),
        ("x=1=y", "x=1", None),
    ],
)
def test_equations(gold, answer, equal):
    assert compare(gold, answer) is equal


LEAVES = st.sampled_from(["x", "y", "t", "2", "3", r"\frac{1}{2}", r"\pi", "e", "i", r"\omega", "x_1", "7"])
SHAPES = ("(A+B)", "(A-B)", r"(A \cdot B)", r"\frac{A}{B}", r"\sin(A)", "e^{A}", r"\sqrt{A}", "(A)^2")
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(SHAPES), inner, inner).map(
        lambda drawn: drawn[0].replace("A", drawn[1]).replace("B", drawn[2])
    ),
    max_leaves=6,
)


@given(FORMULAS, FORMULAS, FORMULAS)
@settings(max_examples=120, deadline=None)
def test_identities_are_never_different_and_other_values_never_equal(one, two, three):
    for left, right in (
        (rf"{one} \cdot ({two}+{three})", rf"{three} \cdot {one} + {one} \cdot {two}"),
        (rf"({one}-{two})^2", rf"({two})^2-2 \cdot {one} \cdot {two}+({one})^2"),
        (rf"e^{{{one}-{two}}}", rf"\frac{{e^{{{one}}}}}{{e^{{{two}}}}}"),
        (rf"\cos(2 \cdot ({one}))", rf"\cos^2({one})-\sin^2({one})"),
    ):
        assert compare(left, right) is not False
        assert compare(left, right + "+1") is not True
