"""LaTeX and signs: fonts, matrices, lists, intervals, plus-minus, signs outside ASCII, formulas, golds that cannot be checked."""

import pytest

from virgo_factory.answers import Question, judge
from virgo_factory.answers.values.reading import gold_problem


P = r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"

FONT_SAME = [
    ("13", r"{\rm 13}"), ("13", r"\color{red}{13}"), ("13", r"{\color{red} 13}"), ("13", r"\textcolor{blue}{13}"), ("13", r"\large 13"), ("13", r"\Large\textbf{13}"), ("13", r"\mathbf{13}"), ("13", r"\boxed{13}"), ("13", r"\displaystyle 13"), ("13", r"{\bf 13}"),
    ("13", r"\pmb{13}"), ("13", r"\boldsymbol{13}"), ("dog", r"\textit{dog}"), ("dog", r"{\it dog}"), ("x+1", r"{\color{blue}x}+1"), ("13", r"\fbox{13}"), ("13", r"\bm{13}"), ("13", r"\mathrm{13}"), ("13", r"13\checkmark"), ("13", "**13**"), ("13", r"\underline{13}"),
    (r"\frac{1}{2}", r"\tfrac{1}{2}"), ("13", r"\text{13}."), (r"\sqrt{2}", r"\sqrt(2)"), (r"\sqrt{x+1}", "sqrt(x+1)"), ("13", r"\colorbox{yellow}{13}"), ("13", r"{13}"), ("1000", r"1{,}000"), ("x=13", r"x = {\rm 13}"), ("13", r"\Huge{13}"),
]  # fmt: skip
FONT_OTHER = [
    ("13", r"{\rm 31}"), ("13", r"\color{red}{14}"), ("13", r"\textcolor{blue}{12}"), ("13", r"\large 130"), ("13", r"\boxed{-13}"), ("dog", r"\textit{god}"), (r"\sqrt{2}", r"\sqrt(3)"), ("13", r"\sqrt{13}"), ("x+1", r"{\color{blue}x}-1"), ("13", r"\pm 13"), ("13", r"\frac{1}{3}"),
    ("13", r"\overline{13}x"), ("13", r"1^3"), ("13", r"1_3"), ("13", r"\mathbf{1}"), ("B", r"{\bf C}"), ("B", r"\textcolor{red}{D}"), ("1000", r"1{,}001"), (r"\sqrt{x+1}", r"\sqrt{x}+1"), ("13", r"{\rm B}"),
]  # fmt: skip

MATRIX_SAME = [
    (P, r"\left(\begin{array}{cc}1&2\\3&4\end{array}\right)"), (P, r"\left(\begin{smallmatrix}1&2\\3&4\end{smallmatrix}\right)"), (P, r"\begin{pmatrix}1&2\\[4pt]3&4\end{pmatrix}"), (P, r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"), (P, r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]"),
    (P, "[[1,2],[3,4]]"), (P, r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \\ \end{pmatrix}"), (P, r"\left[\begin{matrix}1&2\\3&4\end{matrix}\right]"), (P, r"\begin{pmatrix}1&\frac{4}{2}\\3&4\end{pmatrix}"), (P, r"A = \begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"), (r"\begin{pmatrix}1/2\\2\end{pmatrix}", r"\begin{pmatrix}0.5\\2\end{pmatrix}"), (P, r"\begin{pmatrix}1&2\cr3&4\end{pmatrix}"), (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\left|\begin{array}{cc}1&2\\3&4\end{array}\right|"),
    (r"\begin{cases}x=1\\y=2\end{cases}", "x=1, y=2"), (r"\left\{\begin{array}{l}x=1\\y=2\end{array}\right.", "x=1, y=2"), (r"\begin{cases}x=1\\y=2\end{cases}", r"\begin{cases}x=1,\\y=2.\end{cases}"), (P, r"\mathbf{A}=\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", "(1, 2)"), (r"\begin{bmatrix}a\\b\end{bmatrix}", r"\begin{pmatrix}a\\b\end{pmatrix}"),
]  # fmt: skip
MATRIX_OTHER = [
    (P, r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"), (P, r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"), (P, r"\begin{pmatrix}2&1\\3&4\end{pmatrix}"), (P, r"\begin{vmatrix}1&2\\3&4\end{vmatrix}"), (P, "[[1,2],[4,3]]"), (P, "[[1,3],[2,4]]"), (P, "(1,2,3,4)"), (P, "1, 2, 3, 4"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"), (r"\begin{pmatrix}1\\2\end{pmatrix}", "(2,1)"), (r"\begin{cases}x=1\\y=2\end{cases}", "x=2, y=1"), (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\-2\end{pmatrix}"),
    (P, r"\left(\begin{array}{cc}1&2\\3&-4\end{array}\right)"), (P, r"\begin{bmatrix}1&2\\3&4\\5&6\end{bmatrix}"), (P, "10"), (P, "-2"), (r"\begin{pmatrix}a\\b\end{pmatrix}", r"\begin{pmatrix}b\\a\end{pmatrix}"), (r"\begin{cases}x=1\\y=2\end{cases}", "x=1"),
    (P, r"\begin{pmatrix}4&3\\2&1\end{pmatrix}"), (r"\begin{pmatrix}1&2&3\end{pmatrix}", "(1,2)"),
]  # fmt: skip

LIST_SAME = [
    (r"\{1,2,3\}", "1, 2, and 3"), (r"\{1,2,3\}", "[1,2,3]"), (r"\langle 2,3\rangle", "(2,3)"), ("['3.5']", "['3.5']"), ("['42.8', '3']", "42.8, 3"), ("['1', '2']", '["1", "2"]'), ("1000, 2000", "1,000, 2,000"), ("1,234", "1234"), ("1, 2, 3", "1;2;3"), ("4, -1, 6", r"4, -1, \text{ and } 6"),
    ("1, 2", r"1 \text{ or } 2"), ("a,c", "a, c"), ("A, C", "A and C"), (r"\{x=1\}", "x=1"), ("(1,2)", r"\left(1,2\right)"), ("(1, 2, 3)", "1, 2, 3"), (r"\{\frac12, 2\}", r"\{2, 0.5\}"), ("apple, pear", "pear and apple"), ("3.5", "['3.5']"), ("1, 2, 3", "{1, 2, 3}"), ("2, 4", "both 2 and 4"),
    ("1,200 and 3,400", "1200, 3400"), ("2、3", "2, 3"), ("(1,2), (3,4)", r"(1,2) \text{ and } (3,4)"),
]  # fmt: skip
LIST_OTHER = [
    (r"\{1,2,3\}", "1, 2, and 4"), (r"\{1,2,3\}", "[1,2,4]"), (r"\langle 2,3\rangle", "(3,2)"), ("['42.8', '3']", "42.8"), ("1000, 2000", "1,000, 2,001"), ("1234", "1,2,34"), ("1234", "1, 234"), (r"\{1,2\}", r"\{1\}"), ("(1,2)", "[1,2]"), ("['3.5']", "['3.6']"), ("a,c", "a,b"), ("A, C", "A"),
    ("1, 2, 3", "123"), ("12, 3", "1, 23"), ("1, 2, 2", "1, 1, 2"), ("(1,2), (3,4)", "(1,3), (2,4)"), ("(1,2),(3,4)", "(2,1),(4,3)"), ("apple, pear", "apple"), ("1, 2", "1, -2"), ("2, 4", "2, 4, 6"), ("0.5, 2", "0.5, 2.1"),
]  # fmt: skip

INTERVAL_SAME = [
    (r"\mathbb{R}", r"(-\infty,\infty)"), (r"(-\infty,1)\cup(2,\infty)", r"x<1 \text{ or } x>2"), ("(1,2)", "]1,2["), ("[1,2)", "[1,2["), ("(1,2)", "1<x<2"), ("[1,2]", r"1 \le x \le 2"), (r"(2,\infty)", "x>2"), (r"[2,\infty)", "x ≥ 2"), (r"x \in [1,2]", "[1,2]"), (r"\{x \mid x>2\}", r"(2,\infty)"),
    (r"\{x | 1<x<2\}", "(1,2)"), (r"(-\infty,2]", "2 >= x"), (r"\mathbb{R}", "all real numbers"), (r"(0,9)\cup(9,36)", r"x \in (0, 9) \cup (9, 36)"), (r"(2,\infty)\cup(-\infty,1)", r"(-\infty,1)\cup(2,\infty)"), (r"x \ne 5", r"\mathbb{R}\setminus\{5\}"), (r"x \ne 5", r"(-\infty,5)\cup(5,\infty)"),
    ("x>1 and x<4", "(1,4)"), (r"\{x: x \ge 0\}", r"[0,\infty)"), ("x<1或x>2", r"(-\infty,1)\cup(2,\infty)"), ("全体实数", r"\mathbb{R}"), (r"(\frac{1}{2}, 3]", "(0.5, 3]"), ("11-15", "11 to 15"), ("x > 3", "3 < x"), (r"-2 \leq x \leq 7", "[-2, 7]"),
]  # fmt: skip
INTERVAL_OTHER = [
    ("(1,2)", "[1,2]"), ("[1,2)", "(1,2]"), (r"\mathbb{R}", r"(0,\infty)"), ("x<1", "x>1"), ("x<1", r"x \le 1"), (r"(-\infty,1)\cup(2,\infty)", "x<1"), (r"(-\infty,1)\cup(2,\infty)", "1<x<2"), ("(1,2)", "]1,3["), ("(1,2)", "(2,1)"), (r"(2,\infty)", r"[2,\infty)"), (r"(2,\infty)", r"(-\infty,2)"), ("x<1", "y<1"),
    (r"x \ne 5", r"x \ne 4"), (r"x \ne 5", "x = 5"), (r"\{x \mid x>2\}", r"\{x \mid x<2\}"), ("x<1或x>2", "1<x<2"), ("x>1 and x<4", r"(-\infty,1)\cup(4,\infty)"), ("11-15", "11-14"), (r"(0,9)\cup(9,36)", "(0,36)"), ("[0,1]", "[0,1.5]"), ("x>2", "2"), (r"\mathbb{R}", r"\mathbb{Z}"),
]  # fmt: skip

PM_SAME = [
    ("3", r"3 \pmod 7"), ("5", r"\pmb{5}"), (r"\pm 3", "3, -3"), (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"), (r"x = \pm 2", "x = 2 or x = -2"), (r"3 \pmod 7", r"3 \pmod{7}"), ("±3", r"\pm 3"), ("3", "3 (mod 7)"), (P, r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"), (r"\pm\frac12", r"\frac12, -\frac12"),
]  # fmt: skip
PM_OTHER = [
    ("3", r"4 \pmod 7"), (r"3 \pmod 7", r"3 \pmod 5"), (r"\pm 3", "3"), (r"\pm 3", "-3"), (r"1 \pm \sqrt{19}", r"1 \pm \sqrt{18}"), (r"1 \pm 2", "3"), (r"\pm 2", r"\pm 3"), ("5", r"\pm 5"), (r"x = \pm 2", "x = 2"), (r"2 \pm 1", "1, 4"),
]  # fmt: skip

SIGN_SAME = [
    ("AB ∥ CD", r"AB \parallel CD"), ("AB ∥ CD", "CD ∥ AB"), ("A⊂B", "B⊃A"), ("A ⇒ B", r"A \implies B"), ("p ∧ q", r"p \land q"), ("p ∧ q", r"q \wedge p"), ("¬p", r"\neg p"), ("⌊x⌋", r"\lfloor x \rfloor"), (r"\overline{z}", r"\bar{z}"), ("n!", "n !"), ("A ∪ B", r"A \cup B"), ("x ∈ A", r"x \in A"), ("△ABC ≅ △DEF", r"\triangle ABC \cong \triangle DEF"),
    ("a⊥b", r"b \perp a"), ("↑", r"\uparrow"), ("√2", r"\sqrt{2}"), ("x²", "x^2"), ("∅", r"\emptyset"), ("α", r"\alpha"), ("♀", "♀"), ("3÷4", "3/4"), (r"\vec{v}", "v"), (r"2\hat{i}+3\hat{j}", "2i+3j"), ("x₁+1", "x_1+1"), ("A → B", r"A \rightarrow B"), ("|x|", r"\lvert x\rvert"), ("Cl-", "Cl-"), ("f'", "f'"),
]  # fmt: skip
SIGN_OTHER = [
    ("AB ∥ CD", "AB ⊥ CD"), ("A⊂B", "A⊃B"), ("A ⇒ B", "A ⇔ B"), ("A ⇒ B", "B ⇒ A"), ("p ∧ q", "p ∨ q"), ("¬p", "p"), ("⌊x⌋", "⌈x⌉"), (r"\overline{z}", "z"), (r"\overline{A}", "A"), ("n!", "n"), ("↑", "↓"), ("♀", "♂"), ("A ∪ B", "A ∩ B"), ("x ∈ A", "x ∉ A"), ("|x|", "x"), ("-a", "a"), ("Cl-", "Cl"), ("Cl-", "Cl+"), ("A'", "A"), ("A^c", "A"), ("z^*", "z"), ("≤", "≥"),
    ("△ABC ≅ △DEF", "△ABC ∼ △DEF"), ("AB ∥ CD", "AB ∥ CE"), ("n!", "n!!"), ("A → B", "A ← B"), ("x²", "x³"), ("x₁", "x₂"), ("-b/2a", "b/2a"), ("★", "☆"), ("f'", "f"), ("∀", "∃"),
]  # fmt: skip

FORMULA_SAME = [
    ("-2x + 5", "5 - 2x"), ("7 - 4i", "(7 - 4i)"), ("2.0 - 3.0i", "(2.0 - 3.0i)"), ("y=-3x+7", "y = 7 - 3x"), ("2^5 3^4 7^2", r"2^5 \cdot 3^4 \cdot 7^2"), ("x^2+2x+1", "(x+1)^2"), ("a+b", "b+a"), ("x^2+y^2=1", "1-x^2-y^2=0"), (r"\frac{x}{2}", "0.5x"), (r"\ln 4", r"2\ln 2"), ("(x-1)(x+1)", "x^2-1"), (r"\frac{n(n+1)}{2}", r"\binom{n+1}{2}"),
    (r"\dbinom{5}{2}", r"\binom{5}{2}"), ("log(2)", r"\log 2"), ("O(n log n)", r"O(n \log n)"), ("C > A > B", "C>A>B"), ("C > A > B", "B < A < C"), ("Fe^{3+}", "Fe3+"),
    ("y = 2x", "2x"), ("f(x) = x^2", "x^2"), (r"\frac{1}{4}", r"\frac{1}{4} \text{ for } x > 0"), (r"e^{2x}", r"\exp(2x)"), (r"2\sqrt{3}", r"\sqrt{12}"), ("3x", "3 x"), (r"1-\cos^2 x", r"\sin^2 x"), ("x=3", "3"), ("3x^2y", "3yx^2"), (r"\tan x", r"\frac{\sin x}{\cos x}"), ("1:2:3", "2:4:6"), ("a^2-b^2", "(a-b)(a+b)"), ("x^2+C", "x^2+C"),
]  # fmt: skip
FORMULA_OTHER = [
    ("P(A|B)", "P(B|A)"), ("C > A > B", "A > C > B"), ("Fe^{3+}", "Fe^{2+}"), ("Tom: 3, Ann: 5", "Tom: 5, Ann: 3"), ("xy - 7", "-(xy - 7)"), (">", "<"),
    ("-2x + 5", "5 + 2x"), ("7 - 4i", "7 + 4i"), ("7 - 4i", "4 - 7i"), ("y=-3x+7", "y = 3x + 7"), ("2^5 3^4 7^2", r"2^4 \cdot 3^5 \cdot 7^2"), ("x^2+1", "x^2+2"), ("2x", "3x"), ("x^2+y^2=1", "x^2-y^2=1"), ("x^2", "2x"), ("x^2", "x^3"), ("a-b", "b-a"), ("x=2", "y=2"), (r"\frac{a}{b}", r"\frac{b}{a}"), ("x_1", "x_2"), (r"\sin x", r"\cos x"), ("2^x", "x^2"),
    ("1:2:3", "1:3:2"), ("1:2", "2:1"), ("3x", "x^3"), (r"e^{x}", r"e^{-x}"), (r"\log x", r"\log 2x"), ("f(x)=2x", "f(x)=x"), ("x+y", "xy"), ("ab", "a+b"), ("2x", "2"), ("x^{10}", "x^{1}0"), ("12x", "21x"),
]  # fmt: skip

ABSOLUTE_SAME = [
    ("|x|<2", "(-2,2)"), (r"|x| \le 3", "[-3,3]"), (r"1\le|z|\le\frac{3}{2}", r"z \in [-\frac{3}{2},-1] \cup [1,\frac{3}{2}]"), ("|x|>2", r"(-\infty,-2)\cup(2,\infty)"), ("2<|x|", r"x<-2 \text{ or } x>2"), ("|x|<2", "-2<x<2"),
]  # fmt: skip
ABSOLUTE_OTHER = [
    ("|x|<2", "[-2,2]"),
    ("|x|<2", "x<2"),
    ("|x|<2", "(0,2)"),
    ("|x|>2", "(-2,2)"),
    ("|x|>2", "x>2"),
    (r"1\le|z|\le 2", "[1,2]"),
]

DECORATION_SAME = [
    (r"\vec{AB}", r"\overrightarrow{AB}"), (r"\vec{v}", r"\vec v"), (r"\vec{v}", r"\mathbf{v}"), (r"\overline{AB}", "AB"), (r"\overline{AB}", r"\overline{BA}"), (r"\vec{AB}+\vec{BC}", r"\overrightarrow{BC}+\overrightarrow{AB}"), (r"\bar z", r"\overline{z}"), (r"\bar{z}", "z^*"), (r"\overline{z}", "z^{*}"), (r"\dot x", r"\dot{x}"), (r"\widehat{AB}", r"\overarc{AB}"), (r"\hat{x}", r"\hat x"),
    ("y''", r"y^{\prime\prime}"), ("f'(x)", r"f^{\prime}(x)"), ("A'", r"A^\prime"), ("A′", "A'"), ("y″", "y''"), (r"0.\overline{3}", r"0.\dot{3}"), ("1/6", r"0.1\dot{6}"), ("1/7", r"0.\dot{1}4285\dot{7}"), ("1/3", "0.3\u0307"),
    ("A \\setminus B", r"A \backslash B"), (r"a \mid b", "a|b"), (r"P(A|B)", r"P(A \mid B)"), ("∛5", r"\sqrt[3]{5}"), (r"\Omega", "Ω"), (r"\phi", r"\varphi"), (r"\epsilon_0", r"\varepsilon_0"), ("ℓ_1", r"\ell_1"), ("x≧2", r"x \ge 2"), ("5 Ω", r"5\,\Omega"), ("30°15'", "30.25°"), ("30°15'36''", "30.26°"), ("30°15′", r"30^\circ 15^{\prime}"),
    (r"\{\emptyset\}", r"\{\varnothing\}"), ("{∅}", r"\{\emptyset\}"), (r"\frac{\rm a}{\rm b}", r"\frac{a}{b}"), (r"\frac{\mathrm{d}y}{\mathrm{d}x}", r"\frac{dy}{dx}"), (r"\frac\pi2", r"\frac{\pi}{2}"), (r"\sqrt[3]2", r"\sqrt[3]{2}"),
]  # fmt: skip
DECORATION_OTHER = [
    (r"\vec{AB}", r"\overline{AB}"), (r"\vec{AB}", r"\vec{BA}"), (r"\overleftrightarrow{AB}", r"\overrightarrow{AB}"), (r"\overline{AB}", r"\overleftrightarrow{AB}"), (r"\widehat{AB}", r"\overline{AB}"), (r"\vec{v}", r"\hat{v}"), (r"\vec{v}", r"\dot{v}"), (r"\vec{v}", r"|\vec{v}|"), (r"\vec{v}", r"-\vec{v}"), (r"\hat{x}", r"\bar{x}"), (r"\dot{x}", r"\ddot{x}"), (r"\dot{x}", "x"),
    ("y''", "y'"), ("f'(x)", "f''(x)"), ("f''(0)", "f'(0)"), ("A'", "A''"), ("A_1'", "A_1''"), ("x_1'", "x_1"), (r"\emptyset", r"\{\emptyset\}"), ("{∅}", "∅"), (r"\{\emptyset\}", r"\{0\}"), (r"\Phi", r"\phi"), (r"\Omega", r"\omega"), (r"\Delta x", r"\delta x"),
    ("30°15'", "30°15''"), ("30°15'", "30°"), ("30°15'", "15°30'"), ("30'", "30''"), ("30'", "30°"), (r"0.\dot{3}", "0.3"), (r"0.\dot{3}", r"0.\dot{4}"), (r"0.1\dot{6}", r"0.\dot{1}\dot{6}"), (r"\sqrt[3]{5}", r"\sqrt{5}"), ("z^*", "z"), ("mgh+1", "mGh+1"), (r"\frac{GM}{r^2}", r"\frac{Gm}{r^2}"), ("y(x)", "x(y)"),
]  # fmt: skip

ALL_SAME = (
    ABSOLUTE_SAME
    + DECORATION_SAME
    + FONT_SAME
    + MATRIX_SAME
    + LIST_SAME
    + INTERVAL_SAME
    + PM_SAME
    + SIGN_SAME
    + FORMULA_SAME
)
ALL_OTHER = (
    ABSOLUTE_OTHER
    + DECORATION_OTHER
    + FONT_OTHER
    + MATRIX_OTHER
    + LIST_OTHER
    + INTERVAL_OTHER
    + PM_OTHER
    + SIGN_OTHER
    + FORMULA_OTHER
)


@pytest.mark.parametrize(("gold", "answer"), ALL_SAME)
def test_the_same(gold, answer):
    assert judge(answer, gold, Question()).verdict == "correct"


@pytest.mark.parametrize(("gold", "answer"), ALL_OTHER)
def test_another(gold, answer):
    assert judge(answer, gold, Question()).verdict != "correct"
    assert judge(gold, answer, Question()).verdict != "correct"


UNREADABLE = [
    "see the figure", "See figure 3.", "see graph", "answers may vary", "Answers will vary.", "Answers can vary", "N/A", "n/a", "?", "???", "None", "nan", "-", "...", r"\frac{1}{", r"\frac{}{}", "{1", r"\begin{pmatrix}1", r"\sqrt{", "TBD", "not available", "varies",
    "略", "见解析", "见图", "答案不唯一", "如图所示", "null", "No answer provided",
]  # fmt: skip
READABLE = [
    "none", "no solution", "7", "unknown x" , "0", "undefined", "cannot be determined", r"\{1,2\}", r"\frac{1}{2}", "-7", "-x", "a figure", "see-saw", "the graph", "table", "1", "Nan", "?x", "No", "proof by contradiction", "解析几何", "图", r"\left\{1\right\}", "not", "missing link",
]  # fmt: skip


@pytest.mark.parametrize("gold", UNREADABLE)
def test_a_gold_that_cannot_be_checked(gold):
    assert gold_problem(gold)
    found = judge("42", gold)
    assert (found.verdict, found.reason) == ("unverifiable", "gold_unreadable")


@pytest.mark.parametrize("gold", READABLE)
def test_a_gold_that_can(gold):
    assert gold_problem(gold) is None
    assert judge("42", gold).verdict == "wrong"
    assert judge(gold, gold).verdict == "correct"
