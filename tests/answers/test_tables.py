"""The tables beside this file: pairs of answers, responses with their golds, formulas. Their first lines say what the columns are."""

from pathlib import Path

import pytest

from virgo_factory.answers import Question, extract, judge, score
from virgo_factory.answers.values.formulas import same_expression
from virgo_factory.answers.values.reading import gold_problem


def rows(name):
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [line.replace("⏎", "\n").split("\t") for line in lines if not line.startswith("#")]


def verdict(answer, gold, question=""):
    return judge(answer, gold, Question(question)).verdict


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "gold", "answer", "question"), [(*row, "")[:4] for row in rows("pairs.tsv")])
def test_pairs(sign, gold, answer, question):
    found = verdict(answer, gold, question)
    assert (found == "correct") is (sign[0] == "=")
    if sign == "==":
        assert verdict(answer + " \\", gold) == "correct"
        assert score(f"<think>9999</think>So it is \\boxed{{{answer}}}", gold).verdict == "correct"
    elif sign == "≠":
        assert found == verdict(gold, answer, question) == "wrong"
    elif sign == "!":
        assert verdict(gold, answer) != "correct"


def responses():
    questions = {}
    for row in rows("responses.tsv"):
        if row[0].startswith("@"):
            text, options, kind = (*row[1:], "", "", "")[:3]
            questions[row[0][1:]] = Question(text, tuple(options.split(" ¦ ")) if options else (), kind or None)
        else:
            names, response, *golds = (*row, "", "", "", "")[:6]
            yield [questions[name] for name in names.split()], response, [part.split(" ¦ ") for part in golds]


@pytest.mark.slow
@pytest.mark.parametrize(("questions", "response", "golds"), list(responses()))
def test_responses(questions, response, golds):
    allowed = ({"correct"}, {"wrong"}, {"wrong", "unverifiable"}, {"unverifiable"})
    for question in questions:
        for said, verdicts in zip(golds, allowed, strict=True):
            for gold in filter(None, said):
                assert score(response, gold, question).verdict in verdicts, (question, gold)


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "gold", "answer"), rows("formulas.tsv"))
def test_formulas(sign, gold, answer):
    equal = {"=": True, "≠": False, "?": None}[sign]
    assert same_expression(gold, answer) is equal
    assert same_expression(answer, gold) is equal


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
    assert not gold_problem(gold)
    assert judge("42", gold).verdict == "wrong"
    assert judge(gold, gold).verdict == "correct"


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


def test_signs_alone_hold_no_sentence():
    for response in ("$", "?", "。", " \n ", "。;。"):
        assert extract(response, Question("In which year?")).text in ("", response.strip(), response.strip("。;"))


STATEMENTS = [row[0] for row in rows("statements.tsv")]


def test_whatever_says_a_value_says_it():
    said = [statement for statement in STATEMENTS if "{v}" in statement]
    for place, (gold, question, *spelled) in enumerate(rows("values.tsv")):
        right, wrong = (part.split(" ¦ ") for part in spelled)
        for index, statement in enumerate(said[place % 5 :: 5]):
            values = (right[index % len(right)], True), (wrong[index % len(wrong)], False)
            for value, is_right in values:
                found = score(statement.format(v=value), gold, Question(question))
                assert (found.verdict == "correct") is is_right, (statement, value, gold, found)


@pytest.mark.slow
def test_sentences_answer_in_their_own_words():
    for question, gold, wrong, sentences in rows("sentences.tsv"):
        for sentence in sentences.split(" ¦ "):
            found = [score(sentence.format(v=value), gold, Question(question)) for value in (gold, wrong)]
            assert found[0].verdict == "correct", (sentence, found[0])
            assert found[1].verdict != "correct", (sentence, found[1])


OPTIONS = (
    "red ¦ blue ¦ green ¦ yellow", "3 ¦ 5 ¦ 7 ¦ 9", r"$\frac{1}{2}$ ¦ $\frac{1}{3}$ ¦ $\frac{1}{4}$ ¦ $\frac{1}{6}$", "x + 1 ¦ x - 1 ¦ 2x + 1 ¦ 2x - 1",
    "30° ¦ 45° ¦ 60° ¦ 90°", "the cell wall ¦ the nucleus ¦ ribosomes ¦ mitochondria", "增大 ¦ 减小 ¦ 不变 ¦ 无法确定", "I only ¦ I and II ¦ II only ¦ neither",
    "12 cm ¦ 15 cm ¦ 18 cm ¦ 20 cm", "It increases ¦ It decreases ¦ It stays the same ¦ It doubles",
)  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_whatever_chooses_an_option_chooses_it(known):
    said = [
        statement
        for statement in STATEMENTS
        if known and "{T}" in statement or "{L}" in statement and "{T}" not in statement
    ]
    for place, options in enumerate(OPTIONS):
        texts = tuple(options.split(" ¦ "))
        question = Question("Which of them is right?", texts if known else ())
        for statement in said[place % 3 :: 3]:
            for chosen in (1, 2):
                said_of = {"L": "ABC"[chosen], "T": texts[chosen], "W": "ABCD"[chosen + 1], "O": texts[chosen + 1]}
                found = score(statement.format(**said_of), "B", question)
                assert (found.verdict == "correct") is (chosen == 1), (statement.format(**said_of), found)
