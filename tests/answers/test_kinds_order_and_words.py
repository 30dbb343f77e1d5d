"""Order and letters: which lists are the same in another order, and which letters, words and labels are the same."""

import pytest

from virgo_factory.answers import Question, judge


RANK, RANK_ZH = "Name the towers from the tallest to the shortest.", "将这些数从小到大排列。"
SOLVE, SOLVE_ZH = "Find all real solutions of the equation.", "求方程的所有解。"
EACH = "What are the sum and the product, respectively?"

ORDER_SAME = [
    ("C, A, B", "C, A, B", RANK), ("C, A, B", "C, A and B", RANK), ("C, A, B", "(C, A, B)", RANK), ("3, 5, 9", "3,5,9", RANK_ZH), ("3, 5, 9", "3、5、9", RANK_ZH),
    ("1, 2", "2, 1", SOLVE), ("-3, 4", "x = 4 or x = -3", SOLVE), ("x=1, x=2", "2, 1", SOLVE), ("1, 2", "2和1", SOLVE_ZH), ("2, 3, 5, 7", "7, 5, 3, 2", "List all primes below 10."),
    ("7, 3", "7 and 3", EACH), ("x=1, y=2", "1, 2", EACH), ("x=1, y=2", "y=2, x=1", EACH), ("a = -2, b = 3", "(-2, 3)", "Determine $a$ and $b$."),
    ("(1,2), (3,4)", "(3,4), (1,2)", "Find all points of intersection."), (r"\{1,2,3\}", r"\{3,2,1\}", RANK), ("red, green", "green and red", "Which two colours, in any order, are seen?"),
    ("1, 3", "3, 1", "What are the roots?"), ("first, second", "first, second", RANK), (r"1 \pm \sqrt{2}", r"1-\sqrt{2}, 1+\sqrt{2}", SOLVE), ("3, 1, 2", "3; 1; 2", RANK),
    ("[1, 2, 3]", "1, 2, 3", RANK), ("B, D", "D and B", "Which of the following are true?"), ("(2, 5)", "2, 5", "Give the coordinates of the point."),
]  # fmt: skip
ORDER_OTHER = [
    ("C, A, B", "A, B, C", RANK), ("C, A, B", "(A, B, C)", RANK), ("3, 5, 9", "9, 5, 3", RANK_ZH), ("3, 5, 9", "9、5、3", RANK_ZH), ("7, 3", "3, 7", EACH), ("x=1, y=2", "2, 1", EACH),
    ("x=1, y=2", "x=2, y=1", EACH), ("7, 3", "3, 7", "Give the quotient and the remainder, in that order."), ("1/2, 2/3, 3/4", "3/4, 2/3, 1/2", "Order the fractions from least to greatest."),
    ("Tom, Ann, Bob", "Ann, Tom, Bob", "Rank the children by height, tallest first."), ("(2, 5)", "(5, 2)", "Give the coordinates of the point."), ("2, 5", "5, 2", "Give the coordinates of the point."),
    ("1, 2", "1, 3", SOLVE), ("1, 2", "1", SOLVE), ("1, 2", "1, 2, 3", SOLVE), ("1, 1, 2", "1, 2, 2", SOLVE), ("[1, 2, 3]", "[3, 2, 1]", RANK), ("A, C, B", "A, B, C", "In which order do the runners finish?"),
    ("Mars, Earth", "Earth, Mars", "Arrange the planets in increasing order of mass."), ("12, 35", "35, 12", EACH), ("甲, 乙, 丙", "乙, 甲, 丙", "按身高从高到矮排列。"), ("x=1, y=2", "2, 1", ""),
    ("wash, rinse, dry", "rinse, wash, dry", "Put the steps in the right order."), (r"\langle 2,3\rangle", "(3,2)", ""),
]  # fmt: skip

LETTERS_SAME = [
    ("CAB", "CAB"), ("CAB", r"\text{CAB}"), ("CAB", "cab"), (r"\angle ABC", "∠ABC"), ("HTH", r"\mathrm{HTH}"), (r"\overrightarrow{AB}", r"\vec{AB}"), ("AUG", "The codon is AUG"), ("dog", "the dog"), ("sun", "the Sun"),
    ("dog", "a dog"), ("cat", "It is a cat"), ("elephant", "An elephant."), ("NE", "ne"), ("A1", "A 1"), ("H_2O", "H2O"), ("CO_2", r"\text{CO}_2"), ("0x3c", "0x3C"), ("101_2", "101_{2}"), ("0x1F", "1f"), ("10110", "10110"),
    (r"\overline{AB}", "AB"), ("xy", r"x \cdot y"), ("xy", "y * x"), ("ab+c", "c+ba"), ("2xy", r"2x \cdot y"), ("TTH", "T T H"), ("well-known", "well known"), ("狗", "狗。"), ("三角形ABC", "三角形ABC"),
]  # fmt: skip
LETTERS_OTHER = [
    ("CAB", "ABC"), ("AUG", "UGA"), ("NE", "EN"), ("HTH", "HHT"), ("dog", "god"), (r"\angle ABC", r"\angle ACB"), (r"\overrightarrow{AB}", r"\overrightarrow{BA}"), ("A1", "1A"), (r"\text{tab}", r"\text{bat}"),
    ("N2O", "NO2"), (r"\text{N}_2\text{O}", r"\text{NO}_2"), ("left", "felt"), ("CAD", "CDA"), ("0x91", "0x3c"), ("0xb2", "0xa1"), ("0x77F0", "0xA1B2"), ("101_2", "110_2"), ("101_2", "101_3"),
    ("a1b2", "b2a1"), ("3F", "F3"), ("DCBA", "ABCD"), ("on", "no"), ("10110", "01101"), ("triangle ABC", "triangle ACB"), ("三角形ABC", "三角形ACB"), ("point P", "point Q"), ("xy", "yx"), ("2ab", "2ba"), ("vector AB", "vector BA"),
    ("now here", "no where"), ("an ice man", "a nice man"), ("狗", "猫"),
]  # fmt: skip

TEXT_SAME = [
    ("yes", "Yes."), ("是", "是的"), ("对", "正确"), ("no", "No, it is not"), ("no solution", r"\emptyset"), ("无解", "空集"), ("hello world", "Hello, world!"), ("blue", "The sky is blue"), ("New York", "new york."), ("B - green", "B: green"),
    ("grass-green", "grass green"), (r"\text{odd}", "odd"), ("cafe", "Cafe"), ("the left one", "left one"), ("true", "True"),
]  # fmt: skip
TEXT_OTHER = [
    ("yes", "no"), ("是", "不是"), ("对", "错误"), ("blue", "The sky is not blue"), ("north", "south"), ("blue", "red or blue"), ("even", "odd"), ("London", "Paris"), ("large", "It is not large"), ("a and b", "a or b"), ("p", "q"),
    ("increase", "decrease"), ("clockwise", "counterclockwise"), ("mother", "father"), ("左", "右"), ("顺时针", "逆时针"),
]  # fmt: skip


def rows(table):
    return [(row[0], row[1], Question(row[2] if len(row) > 2 else "")) for row in table]


@pytest.mark.parametrize(("gold", "answer", "question"), rows(ORDER_SAME + LETTERS_SAME + TEXT_SAME))
def test_the_same(gold, answer, question):
    assert judge(answer, gold, question).verdict == "correct"


@pytest.mark.parametrize(("gold", "answer", "question"), rows(ORDER_OTHER + LETTERS_OTHER + TEXT_OTHER))
def test_another(gold, answer, question):
    assert judge(answer, gold, question).verdict == "wrong"
    assert judge(gold, answer, question).verdict == "wrong"
