"""Statements: what announces an answer, what takes it back, and which of several counts. Each table is half right, half wrong."""

import pytest

from virgo_factory.answers import Question, score


SHAPES = ("a sphere", "a cube", "a cone", "a prism")
MOVES = ("rises", "falls", "stays the same", "cannot be determined")
COMPARED = ("大于", "小于", "等于", "无法确定")
ROUNDS = ("π", "2π", "4π", "8π")
ROOTS = ("√2", "2√2", "3√2", "√6")

TAKEN_BACK = [  # (response, what it answers, what it only mentions)
    ("The answer is C. A frequent mistake is B.", "C", "B"),
    ("Answer: C. A typical wrong answer would be B.", "C", "B"),
    ("The correct answer is C; many students think the answer is B.", "C", "B"),
    ("The answer is C. If the base were round, the answer would be B.", "C", "B"),
    ("The answer is C (B is the answer to the next part).", "C", "B"),
    ("The answer is C. (B would be the answer for the second solid.)", "C", "B"),
    ("The answer would be B if it had corners, but it has none. So C.", "C", "B"),
    ("My first answer was B, but that is not right. The correct option is C.", "C", "B"),
    ("The wrong answer is B. The right one is option C, so the answer is C.", "C", "B"),
    ("It looks like B, but the answer is C.", "C", "B"),
    ("The answer is C rather than B.", "C", "B"),
    ("The answer is C, and not B.", "C", "B"),
    ("You might think the answer is B. The answer is C.", "C", "B"),
    ("答案是C。若改为圆形，则答案是B。", "C", "B"),
    ("答案为C，而不是B。", "C", "B"),
    ("故选C。常见错误是选B。", "C", "B"),
    ("有同学误选B，正确答案是C。", "C", "B"),
    ("如果底面是圆，那么应选B；本题选C。", "C", "B"),
    ("不是B，而是C。答案：C", "C", "B"),
    ("B是下一题的答案，本题答案为C。", "C", "B"),
]

VALUES_TAKEN_BACK = [  # (response, what it answers, what it only mentions)
    ("It is 14, not 18.", "14", "18"),
    ("The answer is 14, not 18.", "14", "18"),
    ("There are 14 rather than 18.", "14", "18"),
    ("It is not 18 but 14.", "14", "18"),
    ("14 instead of 18", "14", "18"),
    ("The answer is 14. (With one more row it would be 18.)", "14", "18"),
    ("The answer is 14. If there were one more row, the answer would be 18.", "14", "18"),
    ("The answer is 14. A common wrong answer is 18.", "14", "18"),
    ("The answer is 14, which is less than 18.", "14", "18"),
    ("She pays $14, not $18.", "14", "18"),
    ("Total: 14 (2 rows of 7)", "14", "7"),
    ("They differ by 14 years (1961 vs 1975).", "14", "1975"),
    ("There are 14 (2 × 7) tiles.", "14", "7"),
    ("答案是14，而不是18。", "14", "18"),
    ("答案是14，不是18。", "14", "18"),
    ("不是18，而是14。", "14", "18"),
    ("共有14个（2×7）", "14", "7"),
    ("答案是14。若再加一行，则答案为18。", "14", "18"),
    ("答案为14。常见错误答案是18。", "14", "18"),
    ("故填14。", "14", "4"),
]

LEADS = [  # (response, answer, another)
    ("Picture C is the one that differs.", "C", "B"),
    ("Image C shows another solid, while images A, B and D are alike.", "C", "B"),
    ("Figure C", "C", "B"),
    ("The odd one out is picture C.", "C", "A"),
    ("C is the one that does not fit.", "C", "A"),
    ("C because it has no corners.", "C", "A"),
    ("Ans. (c)", "C", "A"),
    ("Ans: c", "C", "A"),
    ("Final answer - C", "C", "A"),
    ("Final Answer — (C)", "C", "A"),
    ("<CONCLUSION>C</CONCLUSION>", "C", "A"),
    ("Assistant: C", "C", "A"),
    ("只有（C）符合条件。", "C", "B"),
    ("只有C符合要求", "C", "B"),
    ("应选（C）", "C", "B"),
    ("正确的是C。", "C", "B"),
    ("图C是另一种图形。", "C", "B"),
    ("故答案为：C．", "C", "B"),
]

OPTION_TEXTS = [  # (response, options, answer, another)
    ("周长为2π", ROUNDS, "B", "A"),
    ("所以选4π", ROUNDS, "C", "A"),
    (r"弧长=$8\pi$", ROUNDS, "D", "A"),
    ("The arc is 2π.", ROUNDS, "B", "A"),
    ("所以AB=2√2", ROOTS, "B", "A"),
    ("AB=√18=3√2", ROOTS, "C", "A"),
    (r"面积为$3\sqrt{2}$", ROOTS, "C", "A"),
    ("It is √6.", ROOTS, "D", "A"),
    ("cannot be determined", MOVES, "D", "A"),
    ("It cannot be determined.", MOVES, "D", "A"),
    ("Whether it rises cannot be determined from the data.", MOVES, "D", "A"),
    ("There is not enough information to decide.", MOVES, "D", "B"),
    ("It stays the same.", MOVES, "C", "D"),
    ("无法确定", COMPARED, "D", "A"),
    ("两者的大小无法确定。", COMPARED, "D", "A"),
    ("条件不足，无法判断。", COMPARED, "D", "B"),
    ("甲大于乙。", COMPARED, "A", "D"),
    ("Both.", ("wind", "rain", "both wind and rain", "neither"), "C", "A"),
    ("Neither of them.", ("wind", "rain", "both wind and rain", "neither"), "D", "C"),
    ("None of these", ("1", "2", "3", "none of the above"), "D", "A"),
    ("Only I", ("I only", "II only", "I and II", "neither I nor II"), "A", "C"),
    ("I and II only", ("I only", "II only", "I and II", "I, II and III"), "C", "D"),
    ("5 mA", ("5 mA", "5 MA", "5 A", "50 A"), "A", "B"),
    ("It is 5 MA.", ("5 mA", "5 MA", "5 A", "50 A"), "B", "A"),
    ("minus 5 V", ("5 V", "-5 V", "5 mV", "0 V"), "B", "A"),
    ("**C. a cone**\n\nB would be a cube, which has corners.", SHAPES, "C", "B"),
    ("The answer is a cone (not a cube).", SHAPES, "C", "B"),
]

LAST_RESORT = [  # (response, what it says, another value with the same number)
    ("1. Read the scale.\n2. Add.\n\n### Answer\n$k!$", "k!", "2"),
    ("Step 7: look.\n\nFinal answer: in March", "in March", "7"),
    ("1. Look.\n2. Compare.\n\n**Answer**\nB-", "B-", "2"),
    ("1. Look.\n4. Compare.\n\nThe answer is:\n\na, c, b", "a, c, b", "4"),
    ("The train goes 80 mph.", "80 mph", "80 km/h"),
    ("The flask holds 250 ml.", "250 ml", "250 l"),
    ("The firm earned 12 thousand dollars.", "$12,000", "12"),
    ("It melts at 40 °F.", "40 °F", "40 °C"),
    ("It lasted for 9 weeks.", "9 weeks", "9 days"),
    ("The rate is 35‰.", "3.5%", "35%"),
    ("盐度为35‰。", "3.5%", "35%"),
    ("It was built in 212 BC.", "212 BC", "212"),
    ("The fee is $30k.", "$30,000", "$30"),
    ("Its share is 45 people.", "45 people", "45%"),
    ("x is 9.", "9", "3"),
    ("If we add both, the sum is 9.", "9", "3"),
    ("Therefore, the number of tiles with at least one spot is 9.", "9", "1"),
    ("I am confident that 9 is the number of ways with at least one red.", "9", "1"),
    ("Unless I am missing something, it ends there.\nThe total is 9.", "9", "3"),
]

NO_VALUES = [  # (response, the number that it does not answer with)
    ("y is at most 14.", "14"),
    ("y is greater than 14.", "14"),
    ("y is a multiple of 14.", "14"),
    ("y is half of 14.", "14"),
    ("y^2 is 14.", "14"),
    ("It did not grow by 14.", "14"),
    ("14 is wrong.", "14"),
    ("所以y为14的一半。", "14"),
    ("y至少为14。", "14"),
    ("The length is not given. Row 3 contains 14.", "14"),
    ("There is no way to compute it from 14.", "14"),
    ("条件不足，只知道BC=14。", "14"),
    ("Let n = 14 and see whether", "14"),
    ("Adding both sides we get 14 and then", "14"),
    ("由图可知AB=14,因此我们需要", "14"),
]

NOT_CHOSEN = [  # (response, what is chosen or None, what is only named)
    ("It must be a cone; a cube is ruled out.", None, "B"),
    ("The solid is not shown; a cube is not what we see.", None, "B"),
    ("None of these. It is similar to a cube.", None, "B"),
    ("It could be a cube.", None, "B"),
    ("If it had corners, B would be the correct answer. It is a cone.", "C", "B"),
    ("The correct answer is C. If it had corners, B would be the correct answer.", "C", "B"),
    ("不是B", None, "B"),
    ("除B外都对。", None, "B"),
    ("我不能确定选项B是否正确。", None, "B"),
    ("It is a cone.", "C", "B"),
    ("A cube is ruled out, so it is a cone.", "C", "B"),
    ("所以选C。", "C", "B"),
]

IN_ORDER = [
    "Put the pictures P, Q and R into the right order.",
    "What are the next three letters?",
    "Which letters fill blanks (1), (2), (3)?",
    "What is the shortest path through P, Q and R?",
    "Which comes first, second, third?",
    "The three sellers, best first?",
    "What are the numbers of cats, dogs and birds?",
    "甲和乙各是多少?",
]

ANY_ORDER = ["Name all the prime factors.", "Solve the equation.", "Which numbers are possible?", "所有的解是?"]

RESTATED = [  # (question, response, answer, another)
    ("What is the woman carrying?", "The woman is carrying a basket.", "basket", "ladder"),
    ("What is the woman carrying?", "She carries a basket", "basket", "woman"),
    ("Which colour curve is lowest in 1998?", "The purple curve is the lowest in 1998.", "purple", "green"),
    ("Which colour curve is lowest in 1998?", "The purple curve", "purple", "green"),
    ("Which is taller, the oak or the elm?", "The oak is taller than the elm.", "oak", "elm"),
    ("What colour is the van?", "The van is white and the bike is green.", "white", "green"),
    ("What is the ratio of cats to dogs?", "The answer is 2 : 7.", "2:7", "7"),
]

SIGNED = [("F#", "F"), ("B*", "B"), ("~P", "P")]

OTHER_WORDS = [
    "Step 1: choose A as the base. Step 2: add the rest.",
    "Select A line through the point.",
    "The solution: A is the midpoint of BC",
    "The result: A. mellifera is a bee.",
    "The graph A shows growth. The graph B shows decay.",
    "If A were true, the answer would be A.",
]

REFUSALS = [
    "As an AI, I cannot see images.",
    "I'm unable to determine whether it rises.",
    "I cannot tell if it falls",
    "First we ask whether it cannot be determined, or",
]


@pytest.mark.parametrize(("response", "answer", "mentioned"), TAKEN_BACK)
@pytest.mark.parametrize("options", [SHAPES, ()])
def test_a_letter_that_is_taken_back(response, answer, mentioned, options):
    question = Question("Which one?", options=options, kind="choice")
    assert score(response, answer, question).verdict == "correct"
    assert score(response, mentioned, question).verdict == "wrong"


@pytest.mark.parametrize(("response", "answer", "mentioned"), VALUES_TAKEN_BACK)
def test_a_value_that_is_taken_back(response, answer, mentioned):
    for text in ("", "How many are there?"):
        assert score(response, answer, Question(text)).verdict == "correct"
        assert score(response, mentioned, Question(text)).verdict == "wrong"


@pytest.mark.parametrize(("response", "answer", "other"), LEADS)
@pytest.mark.parametrize("kind", ["choice", None])
def test_a_letter_that_is_announced(response, answer, other, kind):
    question = Question("Which picture is the odd one out? Choose A, B, C or D.", kind=kind)
    assert score(response, answer, question).verdict == "correct"
    assert score(response, other, question).verdict == "wrong"


@pytest.mark.parametrize(("response", "options", "answer", "other"), OPTION_TEXTS)
def test_the_text_of_an_option(response, options, answer, other):
    question = Question("Which one?", options=options)
    assert score(response, answer, question).verdict == "correct"
    assert score(response, other, question).verdict == "wrong"


@pytest.mark.parametrize("response", OTHER_WORDS)
@pytest.mark.parametrize("options", [SHAPES, ()])
def test_a_letter_that_is_no_choice(response, options):
    assert score(response, "A", Question("Which one?", options=options, kind="choice")).verdict != "correct"


@pytest.mark.parametrize("response", REFUSALS)
def test_a_refusal_does_not_choose_the_option_that_it_cannot_be_told(response):
    assert score(response, "D", Question("What happens?", options=MOVES)).verdict != "correct"


def test_signs_and_numerals_are_announced():
    for response, gold, other in (
        ("故答案为：＞．", ">", "<"), ("故填－3.", "-3", "3"), ("正确的是①③", "①③", "①②"), ("正确的有②④。", "②④", "②③"),
    ):  # fmt: skip
        assert score(response, gold, Question("填空")).verdict == "correct"
        assert score(response, other, Question("填空")).verdict != "correct"


@pytest.mark.parametrize(("response", "gold", "other"), LAST_RESORT)
def test_the_last_number_is_read_with_what_belongs_to_it(response, gold, other):
    assert score(response, gold, Question("What is it?")).verdict == "correct"
    assert score(response, other, Question("What is it?")).verdict != "correct"


@pytest.mark.parametrize(("response", "number"), NO_VALUES)
def test_a_number_that_is_bounded_denied_or_cut_off_is_no_answer(response, number):
    assert score(response, number, Question("What is it?")).verdict != "correct"


@pytest.mark.parametrize(("response", "chosen", "named"), NOT_CHOSEN)
def test_an_option_that_is_named_and_not_chosen(response, chosen, named):
    question = Question("Which one?", options=SHAPES)
    assert score(response, named, question).verdict != "correct"
    assert chosen is None or score(response, chosen, question).verdict == "correct"


@pytest.mark.parametrize("asked", IN_ORDER)
def test_questions_whose_order_counts(asked):
    assert score("The answer is 7, 3, 5.", "7, 3, 5", Question(asked)).verdict == "correct"
    assert score("The answer is 3, 7, 5.", "7, 3, 5", Question(asked)).verdict == "wrong"


@pytest.mark.parametrize("asked", ANY_ORDER)
def test_questions_whose_order_does_not_count(asked):
    assert score("The answer is 3, 7, 5.", "7, 3, 5", Question(asked)).verdict == "correct"


@pytest.mark.parametrize(("asked", "response", "gold", "other"), RESTATED)
def test_an_answer_in_the_words_of_the_question(asked, response, gold, other):
    if gold not in ("oak", "white"):  # nothing says which of two things is meant: never the wrong one
        assert score(response, gold, Question(asked)).verdict == "correct"
    assert score(response, other, Question(asked)).verdict != "correct"


@pytest.mark.parametrize(("gold", "bare"), SIGNED)
def test_a_sign_beside_a_letter_counts(gold, bare):
    for response in ("{}", "The answer is {}", "Answer: {}"):
        assert score(response.format(gold), gold, Question("Which one?")).verdict == "correct"
        assert score(response.format(bare), gold, Question("Which one?")).verdict == "wrong"


def test_a_change_the_other_way_is_no_answer():
    for asked, right, wrong in (
        ("How much did sales grow?", "Sales grew by 40.", "Sales declined by 40."),
        ("How much did the level drop?", "It dropped by 40.", "The level rose by 40."),
    ):
        assert score(right, "40", Question(asked)).verdict == "correct"
        assert score(wrong, "40", Question(asked)).verdict == "wrong"
