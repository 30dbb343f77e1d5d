"""What whole sentences answer: closings of exams, yes and no, places, counts and bounds. One question a table, every gold against every response."""

import pytest

from virgo_factory.answers import Question, extract, score


OF_FOUR = Question("下列说法正确的是", options=("上海", "天津", "北京", "重庆"))
BRIDGE = Question(
    "Which picture shows a bridge?",
    options=("the first picture", "the second picture", "the third picture", "the fourth picture"),
)
DOG = Question("Is there a dog in the image? Please answer yes or no.")
TRIANGLES = Question("How many triangles are there?", options=("6", "8", "10", "12"))
PEOPLE = Question("How many people are in the image?")
SLOPE = Question("What is the y-intercept?")
TABLES = {
    "exams": (
        OF_FOUR,
        "ABCD",
        "C",
        (
            "【解析】A错误,B错误。\n【答案】 C <eoe>\n<eoa>",
            "【标准答案为】 C",
            "【本题正确选项】 C",
            "答案为C选项。",
            "由此可推知：C",
            "A、B、D均错误，C正确。",
            "只有C符合题意。",
            "首先排除A和B；其次D也不对；所以只剩下C。",
            "选C,理由如下:A不对,B不对。",
            "最可能的是 C. 北京\n\nA. 上海:不符合。",
            "\\boxed{\\text{C. 北京}}",
            "**A. 上海**:不是,❌\n**B. 天津**:不是,❌\n**C. 北京**:首都,✅\n**D. 重庆**:不是,❌",
        ),
        (
            "A项错误，B项错误。",
            "可能是C，也可能是D。",
            "C项看似正确，实则错误。",
            "C、D两项错误。",
            "如果选C，就会与题意矛盾。",
            "除了C以外都是正确的。",
            "本题不应选C。",
        ),
    ),
    "places": (
        BRIDGE,
        "ABCD",
        "B",
        (
            "The second picture.",
            "After checking them, B.",
            "Only picture B shows a bridge.",
            "Based on the evidence, picture B is the match.",
            "I'd say B.",
            "The answer is b because of the arches.",
            "The second picture shows a bridge, while the others show roads.",
            "B because it has arches",
            "<answer>A</answer>\n\\boxed{B}",
        ),
        (
            "The second picture doesn't show a bridge.",
            "It's either the first or the second picture.",
            "I compared the first and the second picture.",
            "Let's check option B first.",
            "Answer: B or C",
            "B: an earlier draft.\nAnswer: Z",
            "A. road\nB. bridge\nC. tunnel",
            "I am not choosing the second picture.",
        ),
    ),
    "yes and no": (
        DOG,
        ("Yes", "No"),
        "No",
        (
            "There is no dog in the image.",
            "There isn't a dog in the image.",
            "There are no dogs in the image.",
            "I can't see a dog, so no.",
            "I would say no.",
            "No, I don't see a dog. There is a cat, yes.",
            "No. There is a cat, not a dog.",
        ),
        ("I cannot say no.", "There might be a dog.", "It is unclear."),
    ),
    "options that are numbers": (
        TRIANGLES,
        "ABCD",
        "C",
        (
            "So we have 4 + 6 = 10.",
            "We count 6 small triangles and 4 large ones, so there are 10 triangles.",
            "The count is ten.",
            "Hence, option C.",
        ),
        (
            "There are 6 small triangles and 8 large ones.",
            "At least 10.",
            "More than 10.",
            "10 is too many.",
            "It can't be 10.",
        ),
    ),
    "counts": (
        PEOPLE,
        ("3", "2", "5"),
        "3",
        (
            "There are 12 people, 9 of whom sit. So there are 3 people left.",
            "Two men and one woman, making a total of three people.",
            "3 people and no more.",
        ),
        (
            "There are at least 3 people.",
            "There are 3 or 4 people.",
            "There are 3 people and 4 more behind them, 7 in total.",
        ),
    ),
    "clauses": (
        SLOPE,
        ("-4", "8"),
        "-4",
        ("The slope is 8 and the y-intercept is -4.", "Setting x = 0 gives 2 · 0 - 4, so the y-intercept is -4."),
        ("Usually the y-intercept is 8, but here it is 5.", "The slope is -4 plus 12, which is 5."),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_sentence_answers_what_it_says_and_nothing_else(name):
    question, golds, right, answers, others = TABLES[name]
    for response in answers:
        found = [gold for gold in golds if score(response, gold, question).verdict == "correct"]
        assert found == [right], response
    for response in others:
        assert not [gold for gold in golds if score(response, gold, question).verdict == "correct"], response


WRONG_ONE = (
    ("下列说法错误的是", "A.正确;\nB.错误,应为正数;\nC.正确;\nD.正确。", "B"),
    ("下列说法不正确的是", "A、B、C三项均与事实相符,只有D项与事实不符,因此不正确的是D。", "D"),
    ("Which statement is incorrect?", "A is correct.\nC is correct.\nD is correct.\nB is incorrect.", "B"),
    ("Which statement is correct?", "A is incorrect.\nB is correct.\nC is incorrect.", "B"),
)


@pytest.mark.parametrize(("asked", "response", "right"), WRONG_ONE)
def test_a_question_for_the_wrong_option_is_answered_with_it(asked, response, right):
    question = Question(asked, kind="choice")
    assert [gold for gold in "ABCD" if score(response, gold, question).verdict == "correct"] == [right]


SAID = (
    ("In which year did it peak?", "It peaked in 2012 at 45.", "2012", "45"),
    ("How many cars are red?", "There are 12 cars. 5 of them are red.", "5", "12"),
    ("What day was it?", "Counting back three days from Friday gives Tuesday.", "Tuesday", "Friday"),
    ("When does the train leave?", "It leaves at 9:45 in the morning.", "9:45 a.m.", "9:45 p.m."),
    ("On which side is the car?", "The car is on the left-hand side.", "left", "right"),
    ("What are slope and intercept, respectively?", "So the values are 3 and -1, respectively.", "3, -1", "-1, 3"),
    ("Hex value?", "500 in hexadecimal is `0x1f4`.", "0x1F4", "0x4F1"),
    ("Which angle is right?", "The right angle is $\\angle CAB$.", "∠BAC", "∠ABC"),
    ("Solve.", "The solution is x > 4.", "x>4", "x<4"),
    ("Solve.", "x is greater than or equal to 4", "x \\ge 4", "x > 4"),
    ("求不等式的解集", "移项得3x>6,系数化为1,得x>2。", "x>2", "x<2"),
    ("甲、乙两地相距多少千米?", "答:甲、乙两地相距360千米。", "360千米", "360米"),
    ("面积是多少?", "S=6×4=24（平方厘米）", "24平方厘米", "24平方米"),
    ("判断对错", "2是偶数但不是合数,所以这个说法是错误的。", "×", "√"),
    ("What sport are they playing?", "They are playing tennis on a clay court.", "tennis", "table tennis"),
    ("What is the capital?", "While many think it's Sydney, the capital is Canberra.", "Canberra", "Sydney"),
    ("Find dy/dx.", "So\n\\[\n\\frac{dy}{dx} = \\frac{2x}{x^2+1}.\n\\]", "\\frac{2x}{x^2+1}", "\\frac{1}{x^2+1}"),
)  # fmt: skip


@pytest.mark.parametrize(("asked", "response", "right", "other"), SAID)
def test_a_sentence_says_one_gold_and_not_the_other(asked, response, right, other):
    assert score(response, right, Question(asked)).verdict == "correct"
    assert score(response, other, Question(asked)).verdict != "correct"


def test_signs_alone_hold_no_sentence():
    for response in ("$", "?", "。", " \n ", "。;。"):
        assert extract(response, Question("In which year?")).text in ("", response.strip(), response.strip("。;"))
