"""What stands beside a value is part of it: nothing that was not understood is left over. Tables of (response, gold, question)."""

import pytest

from virgo_factory.answers import Question, score


SAME = [
    # substances, ions and reactions, however they are written
    ("\\text{SO}_4^{2-}", "SO4^2-", ""), ("\\ce{CaCO3}", "CaCO3", ""), ("BaSO₄", "BaSO4", ""), ("sp²", "sp2", ""), ("$\\mathrm{Mg}^{2+}$", "Mg2+", ""),
    ("2O2 + CH4 -> 2H2O + CO2", "CH4 + 2O2 → CO2 + 2H2O", ""), ("2H₂+O₂=2H₂O", "2H2+O2=2H2O", ""), ("3s2 3p5", "3s^2 3p^5", ""), ("$V = IR$", "V=RI", ""),
    # times and ordinals in words
    ("half past four", "4:30", ""), ("a quarter to eleven", "10:45", ""), ("ten past ten", "10:10", ""), ("four o'clock", "4:00", ""),
    ("the third floor", "3rd floor", ""), ("nineteenth century", "19th century", ""), ("Tom has five apples left.", "5", "How many apples are left?"),
    ("two and one third", "2 1/3", ""), ("Three fourths of it are shaded.", "3/4", ""), ("1 in 4", "1/4", "What is the probability?"),
    # names in front of a value
    ("$A^{-1}=\\begin{bmatrix}1&-2\\\\0&1\\end{bmatrix}$", "\\begin{pmatrix}1 & -2\\\\ 0 & 1\\end{pmatrix}", ""), ("$\\det A=-7$", "-7", ""),
    ("B(-2, 5)", "(-2, 5)", ""), ("\\angle A = 40^\\circ, \\angle B = 50^\\circ", "A = 40°, B = 50°", ""), ("the vertex is at (3, -4)", "(3, -4)", ""),
    ("y(x) = x - 1 + C e^{-x}", "y = Ce^{-x} + x - 1", ""), ("x^2 + c", "x^2 + C", "Find the antiderivative."),
    # several values
    ("a = 1 and b = 2", "a=1, b=2", "Find a and b."), ("From least to greatest:\n1. Chad\n2. Peru", "Chad, Peru", "List them from least to greatest."),
    ("答案：（1）24；（2）36。", "(1) 24 (2) 36", "(1)求周长；(2)求面积。"),
    ("-10 °C to 5 °C", "-10 to 5 °C", ""), ("8:18", "4:9", "What is the ratio of the areas?"),
    # the clause, and the name, that the question asks for
    ("The mean is 6.5, while the median is 7.", "6.5", "What is the mean?"), ("Thus x=24. We check: 24/8 = 3.", "24", "Find the value of x."),
    ("It rose by $15, from $30 to $45.", "15", "How much did the price rise, in dollars?"), ("In 2019, with 4.2 million.", "2019", "Which year was best?"),
    ('The sign says "No Parking".', "No parking", "What does it say?"),
    ("There are no clouds.", "no", "Are there any clouds?"), ("It returns True.", "True", "What does it return?"),
]  # fmt: skip

OTHER = [
    # digits that are no value, another number system, signs behind a number
    ("3.1", "3.10", "Which Python version is shown?"), ("2.10", "2.1", "Which section?"), ("18_{9}", "18", ""), ("18", "20_9", "Write 18 in base 9."),
    ("5", "5'", "What is the answer?"), ("65", "65+", "Which group has the smallest share?"), ("65-", "65+", ""), ("seat 12B", "12", ""), ("B", "B+", ""),
    # words that make it another value
    ("3", "3 units left", "What is the answer?"), ("30 times as large", "30%", ""), ("8 fewer", "8", "How many more chose art?"),
    ("a 20% increase", "20%", "By what percent did it fall?"), ("12%", "12", "What is 15% of 80?"), ("3:8", "3/8", "What is the probability?"),
    ("(2)由图可知，两直线平行。", "2", ""), ("5 Mg", "5 mg", ""), ("Co", "CO", ""), ("CO", "CO2", ""), ("N2O", "NO2", ""),
    # a multiple of what is asked for, or what it is not
    ("So 3k = 7.", "7", "Find the value of k."), ("2x = 4", "4", "Solve 2x + 3 = 11 for x."), ("Consider the case n = 12.", "12", "Find n."),
    ("x=12 cm, so the doubled side is 24 cm.", "24", "Find the value of x."), ("So the area is 36 m²; the perimeter is 30.", "30", "What is the area?"),
    ("It was built in 1880 and repaired in 1887.", "1887", "When was it built?"), ("It rose to 15.", "15", "How much did it rise?"),
    # taken back, or cut
    ("<think>So \\boxed{18}... wait, that double counts. The terms are 3, 5", "18", ""), ("The answer is 12. Wait, no.", "12", ""),
    ("Step 1: The table has 12", "12", "Find n."), ("(1) a, (2) b, (3) c", "b, a, c", "Which letters fill blanks (1), (2), (3)?"),
    ("CO2 + 2H2O → CH4 + 2O2", "CH4 + 2O2 → CO2 + 2H2O", ""), ("half past two", "3:30", ""), ("the fourth floor", "3rd floor", ""),
]  # fmt: skip

CHOICES = [
    ("The force is **gravity** (A). Tension (C) is the other force.", "A"), ("The expected answer is probably A, but in my view D is right.", "D"),
    ("因此正确的是B和D。", "BD"), ("Only B shows it.", "B"), ("That is why A is the answer, and not C.", "A"), ("Among the choices, B fits best.", "B"),
    ("答案是A，C是干扰项", "A"),
]  # fmt: skip


@pytest.mark.parametrize("row", SAME)
def test_another_way_to_write_it(row):
    response, gold, question = row
    assert score(response, gold, Question(question)).verdict == "correct"


@pytest.mark.parametrize("row", OTHER)
def test_another_value(row):
    response, gold, question = row
    assert score(response, gold, Question(question)).verdict != "correct"


@pytest.mark.parametrize("row", CHOICES)
def test_the_letter_that_is_chosen(row):
    response, gold = row
    options = ("gravity", "friction", "tension", "normal force")
    for letter in "ABCD":
        found = score(response, gold if letter in gold else letter, Question("Which force?", options=options)).correct
        assert bool(found) is (letter in gold)


CLOSINGS = (
    "So the answer is ({}).", "I'd choose {}.", "Based on the above, {} is the answer.", "The answer must be {} because the others are wrong.", "So, option {}.",
    "That gives us option {}.", "This matches choice {}.", "I would go with {}.", "Correct answer: {}", "the answer's {}", "Only {} satisfies all conditions.", "{} it is.",
    "Selected: {}", "Definitely {}.", "四个选项中，只有{}符合题意。", "【答案】{}【详解】略", "因此答案为选项{}。", "{}。因为其他选项都错误。", "故本题正确答案为{}选项。", "选{}。理由如下：其余选项不符合题意。",
)  # fmt: skip
DENIALS = (
    "It is not {}.", "{} cannot be the answer.", "{} is incorrect because the others fit.", "We can eliminate {}.", "The answer isn't {}.", "Some may choose {}.",
    "{} seems right but is not.", "If it were {}, it would be red.", "不选{}。", "{}项不符合题意。",
)  # fmt: skip


@pytest.mark.parametrize("options", [("red", "blue", "green", "black"), ()])
@pytest.mark.parametrize("letter", "ABCD")
def test_closings_choose_a_letter_and_denials_do_not(letter, options):
    question = Question("Which one?", options=options, kind="choice")
    for closing in CLOSINGS:
        for gold in "ABCD":
            assert (score(closing.format(letter), gold, question).verdict == "correct") is (gold == letter), closing
    for denial in DENIALS:
        assert score(denial.format(letter), letter, question).verdict != "correct", denial
