"""What is asked and what is told: units in the question, words beside a number, parts and their order, symbols in their case."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from virgo_factory.answers import Question, judge


ASKED_SAME = [
    ("5", "500 cm", "How many meters long is it?"), ("2", "120 minutes", "How long is it in hours?"), ("3", "3 kg", "What is the mass (in kilograms)?"), ("3", "3000 g", "What is its mass (in kg)?"),
    ("0.5", "30 minutes", "How many hours does it take?"), ("3", "3元", "一共多少元？"), ("3", "30角", "一共多少元？"), ("3", "3天", "需要几天？"), ("12", "12 students", "How many students are there?"),
    ("10", "10 dollars", "How much does it cost?"), ("20", "20%", "What percent is it?"), ("20%", "20", "What percent is it?"),
]  # fmt: skip
ASKED_OTHER = [
    ("5", "5 km", "How many meters long is it?"), ("30", "30 seconds", "How long is it, in minutes?"), ("3", "3 g", "What is its mass (in kg)?"), ("3", "3角", "一共多少元？"), ("3", "3小时", "需要几天？"),
    ("22", "22 months", "What is the age gap (in years)?"), ("7", "7 dollars", "How many cents is it?"), ("5", "5 feet", "How many yards is it?"),
]  # fmt: skip

BESIDE_SAME = [
    ("3rd", "third"), ("third", "3rd"), ("2nd place", "second place"), ("第五名", "第5名"), ("第5天", "5"), ("5", "第5天"), ("44 BC", "44 B.C."), ("AD 79", "79 A.D."), ("3 pm", "下午三点"), ("-5°C", "零下5度"), ("-5", "零下五度"),
    ("五月三日", "5月3日"), ("-10 V", "minus 10 V"), ("before 1945", "before 1945"), ("loss of $5", "$5 loss"), ("亏损50元", "亏50元"), ("提前2小时", "早2小时"), ("增加20%", "增加了20%"), ("八折", "80%"), ("85折", "85%"), ("八五折", "85%"),
    ("七成", "70%"),
]  # fmt: skip
BESIDE_OTHER = [
    ("profit of $50", "loss of $50"), ("loss of $50", "$50"), ("$50", "loss of $50"), ("赚50元", "亏损50元"), ("50元", "亏损50元"), ("晚2小时", "提前2小时"), ("before 1945", "1945"), ("1945", "before 1945"),
    ("before 1945", "after 1945"), ("1945", "after 1945"), ("1990", "1990s"), ("1990s", "1990"), ("1990s", "1980s"), ("八折", "8%"), ("8%", "八折"), ("八折", "八"), ("八折", "20%"), ("七成", "七折"), ("七成", "7"),
    ("Tom beats Ann by 5", "Ann beats Tom by 5"), ("5 days", "第5天"), ("第5天", "5天"), ("3rd", "3 people"), ("third", "1/3"), ("first", "second"), ("下午三点", "上午三点"), ("零下5度", "5度"), ("44 B.C.", "44 A.D."),
    ("north", "northeast"), ("since 2001", "until 2001"), ("2001", "since 2001"), ("upward 5 N", "downward 5 N"), ("5 N upward", "5 N to the right"), ("rise of 3", "fall of 3"), ("3", "fall of 3"),
    ("up 3%", "down 3%"), ("3%", "down 3%"), ("at least 5", "5"), ("5 more", "5 less"), ("twice", "half"),
]  # fmt: skip

PARTS_SAME = [
    ("15:00", "下午三点"), ("A, B, C", "A → B → C", "Rank from best to worst."), ("A, B, C", "A-B-C", "In what order?"), ("cat, dog, owl", "1. cat\n2. dog\n3. owl", "Order them."), ("2, 3", "2、3"),
    ("8 cm or 2 cm", "8cm或2cm"), ("3:2", "3 : 2"), ("3:2", "3 to 2"), ("3:2", "3比2"), ("2:3", "2 to 3", "What is the ratio of a to b?"), ("6:4", "3:2"), ("1.2 billion", "1.2B"),
    ("(2,-1)", "y = -1, x = 2", "Solve for (x, y)."), ("a=1, b=2", "b=2, a=1"), ("(3, 4)", "x = 3, y = 4", "Where do they meet?"), ("1, 2", "x_1=2, x_2=1", "Solve the equation."), ("5 remainder 2", "5 R 2"),
    ("5 km north", "north 5 km"), ("C > A > B", "B < A < C"), ("C, A, B", "C > A > B", "Order from largest to smallest."), ("1, 2, 3", "1 < 2 < 3", "List from least to greatest."),
    ("2 red and 3 blue", "2 red, 3 blue"), ("x=3", "x = 3"), ("(1) 5; (2) 12", "5; 12"), ("(1) 5 (2) 12", "(1)5,(2)12"), ("\\{\\emptyset\\}", "\\{\\varnothing\\}"),
]  # fmt: skip
PARTS_OTHER = [
    ("甲比乙多5", "乙比甲多5"), ("甲比乙高5厘米", "甲比乙矮5厘米"), ("A < B < C", "A > B > C"), ("A > B > C", "C > B > A"), ("C, A, B", "C < A < B", "Order from largest to smallest."),
    ("1, 2, 3", "1 > 2 > 3", "List from least to greatest."), ("A → B → C", "C → B → A"), ("A, B, C", "C → B → A", "Rank from best to worst."), ("(2,-1)", "y = 2, x = -1", "Solve for (x, y)."),
    ("x=2, y=1", "y=2, x=1"), ("a=1, b=2", "2, 1"), ("3:2", "2:3"), ("3:2", "2比3"), ("1. cat 2. dog", "1. dog 2. cat", "Order them."), ("(1) 5; (2) 12", "(1) 12; (2) 5"),
    ("2 red and 3 blue", "3 red and 2 blue"), ("2 red and 3 blue", "5"), ("5 remainder 2", "5"), ("5 R 2", "2 R 5"), ("5 R 2", "5.2"), ("\\emptyset", "\\{\\emptyset\\}"),
]  # fmt: skip

UNITS_SAME = [
    ("7", "7 (dogs)"), ("7 dogs", "7 (dogs)"), ("12 cm", "12 (approximately) cm"), ("5", "5（个）"), ("24", "24 (6 × 4)"), ("24", "24 (= 6*4)"), ("1 kWh", "3600 kJ"), ("2 M", "2 mol/L"), ("0.5 mol/L", "0.5 M"),
    ("5 ft 6 in", "5'6\""), ("5'6\"", "66 inches"), ("3.2 million", "3.2M"), ("5 thousand", "5k"), ("10 mV", "10 millivolts"), ("10 mV", "0.01 V"), ("30°15'", "30.25°"), ("45'", "0.75°"), ("2.5 hours", "两个半小时"),
]  # fmt: skip
UNITS_OTHER = [
    ("10 mV", "10 MV"), ("5 Mm", "5 mm"), ("2 M", "2 m"), ("5 kG", "5 kg"), ("30°15'", "30°15''"), ("30°15'", "15°30'"), ("30'", "30''"), ("5'6\"", "6'5\""), ("5'6\"", "5.6 ft"), ("12", "12 (of 20) or 13"),
    ("7", "8 (7 + 1)"), ("24", "6 × 4 (= 25)"), ("1 kWh", "1 kW"), ("2 M", "2 mol"), ("3.2 million", "3.2"), ("3.2", "3.2M"), ("3.2 million", "3.2B"), ("cannot be determined", "5"),
    ("5", "cannot be determined"), ("row 2, column 3", "row 3, column 2"), ("5 kg", "5 K"), ("5 h", "5 H"), ("5 s", "5 S"), ("10 Pa", "10 PA"), ("5 Gb", "5 GB"), ("5 MB", "5 Mb"),
]  # fmt: skip

TEXT_SAME = [
    ("cannot be determined", "It cannot be determined"), ("cannot be determined", "not enough information... cannot determine"), ("无法确定", "不能确定"), ("left", "on the left"), ("north", "To the north"),
    ("顺时针", "顺时针方向"), ("Paris", "The capital is Paris"), ("increase", "increases"),
]  # fmt: skip
TEXT_OTHER = [
    ("GM", "Gm"), ("CO", "Co"), ("pV", "Pv"), ("M", "m"), ("x+Y", "X+y"), ("V=IR", "v=ir"), ("无法确定", "确定"), ("cannot be determined", "can be determined"), ("left", "right"), ("left", "on the right"),
    ("to the left", "to the right"), ("increase", "decrease"), ("increases", "decreases"), ("clockwise", "counter-clockwise"), ("\\Omega", "\\omega"), ("y'", "y''"), ("f'(x)", "f(x)"), ("dog", "god"),
    ("red", "The car is blue, the bus is red"), ("red", "blue and red"),
]  # fmt: skip

NEAR_SAME = [
    ("72", "72 minutes", "How many minutes later?"), ("5", "5 more apples", "How many more apples does Tom have?"), ("5", "5 fewer", "How many fewer apples?"),
    ("3", "3 years older", "How many years older is Ann?"), ("5%", "5% decrease", "What is the percent decrease?"), ("20", "a decrease of 20", "By how much did it decrease?"),
    ("50", "a loss of $50", "What is the loss?"), ("12", "12 cm²", "What is the area in square centimeters?"), ("90", "90 km/h", "What is the speed in km/h?"), ("90", "25 m/s", "What is the speed in km/h?"),
    ("1945", "In 1945"), ("1990s", "in the 1990s"), ("1/2", "half"), ("(3,4)", "(3, 4)"), ("x=2 or x=3", "x = 3 or x = 2"), ("1 < x < 3", "(1, 3)"), ("|x|<2", "-2<x<2"),
    ("5:3", "5 to 3", "ratio of boys to girls?"), ("A ∪ B", "B ∪ A"), ("y = 2x + 1", "y = 1 + 2x"), ("45 minutes", "3/4 hour"), ("1.5 L", "1500 mL"), ("13 ft", "13'"), ("6'", "6 feet"), ("10 am", "10:00 a.m."),
    ("3月", "March"), ("40%", "0.4"), ("0.4", "40%"), ("15 apples and 3 pears", "15 apples, 3 pears"), ("triangle", "a triangle"), ("Ann, Bob", "Bob and Ann", "Which two people left?"), ("No", "no"),
    ("25", "25 students (approximately)"), ("12 (apples)", "12"), ("4", "4th"), ("4th", "fourth"), ("第三", "第3"), ("三", "3"), ("10 m/s", "10 m/s east", "How fast is it going?"),
    ("60", "60 mph", "How fast (in mph)?"), ("10^3", "1000"), ("sin x", "\\sin(x)"), ("C_6H_{12}O_6", "C6H12O6"), ("1 and 4", "4, 1", "What are the roots?"), ("2.50", "$2.50", "How many dollars?"),
    ("250", "$2.50", "How many cents is it?"), ("3.14", "3.14"), ("左", "左边"), ("5 R 1", "5 r 1"), ("13 R 2", "13 remainder 2"), ("100 kPa", "1 bar"), ("35", "35 miles", "How many miles did he walk in 5 hours?"),
    ("14", "14 days", "In how many days?"), ("6", "6 months", "How many months?"), ("0.5 hours", "half an hour"), ("2:30", "2:30 pm", "What time is it?"), ("16", "16 bits", "How many bits?"),
    ("8", "8 feet", "How many feet are in the yard?"), ("7", "7 seconds", "How many seconds did it take to run 50 m?"),
]  # fmt: skip
NEAR_OTHER = [
    ("72", "72 hours", "How many minutes later?"), ("12", "12 m", "What is the area in square centimeters?"), ("12", "12 cm", "What is the area in square centimeters?"),
    ("25", "25 m/s", "What is the speed in km/h?"), ("60", "60 km/h", "How fast (in mph)?"), ("2.5", "$2.50", "How many cents is it?"), ("3 years older", "3 years younger"), ("top 5", "bottom 5"),
    ("5 wins", "5 losses"), ("won by 5", "lost by 5"), ("first", "last"), ("odd", "even"), ("x > 3", "x < 3"), ("x ≥ 3", "x > 3"), ("A ⊂ B", "B ⊂ A"), ("A - B", "B - A"), ("P → Q", "Q → P"),
    ("Tom > Ann", "Ann > Tom"), ("Tom is taller than Ann", "Ann is taller than Tom"), ("Tom, then Ann", "Ann, then Tom"), ("5 boys and 3 girls", "3 boys and 5 girls"), ("5 boys, 3 girls", "3 girls, 5 cats"),
    ("12 m by 5 m", "12 m by 6 m"), ("6 pm", "6 am"), ("June 3", "June 13"), ("3 June", "6 March"), ("2 h", "2 m"), ("5 mg", "5 Mg"), ("10 kN", "10 kn"), ("5 nm", "5 Nm"), ("1 mA", "1 MA"), ("3 C", "3 c"),
    ("5 Pa", "5 pA"), ("2 T", "2 t"), ("40° N", "40° E"), ("3rd", "4th"), ("third", "two thirds"), ("8%", "8折"), ("8折", "8"), ("1990s", "90s"), ("1990s", "1999"), ("two", "too"), ("no solution", "0"),
    ("无解", "0"), ("infinitely many", "none"), ("(a, b)", "(b, a)"), ("a:b", "b:a"), ("1:2:3", "3:2:1"), ("3 to 2", "2 to 3"), ("from 3 to 5", "from 5 to 3"), ("3-5", "5-3"), ("A → B", "B → A"),
    ("Ann beat Bob", "Bob beat Ann"), ("12 apples", "12 pears"), ("7 (± 1)", "7"), ("5 (mod 7)", "5 (mod 9)"), ("3(4)", "3"), ("f(3)", "3"), ("2(3)", "2"), ("positive", "negative"), ("5 above", "5 below"),
    ("over 5", "under 5"), ("5", "5 or 6"), ("not 5", "5"), ("5", "not 5"), ("5", "5 is wrong"), ("cannot be determined", "it is 5, cannot be otherwise"), ("cannot", "can"), ("yes", "cannot be determined"),
    ("O(n)", "O(N^2)"), ("H2O", "H2O2"), ("NaCl", "NaCl2"), ("NaCl", "NACL"), ("CO", "C0"), ("K", "k"), ("pH 7", "pOH 7"), ("1e3", "1e-3"), ("2^n", "n^2"), ("log_2 3", "log_3 2"), ("AB", "BA"), ("∠ABC", "∠BAC"),
    ("arc AB", "chord AB"), ("x-axis", "y-axis"), ("left-handed", "right-handed"), ("north-east", "north-west"), ("more", "less"), ("double", "triple"), ("5 km/h", "5 km"), ("5 dozen", "5"), ("5千", "5"),
    ("3个", "3万个"), ("第1行第2列", "第2行第1列"), ("东偏北30°", "北偏东30°"), ("南偏西", "西偏南"), ("先升后降", "先降后升"), ("甲、乙", "甲"), ("甲>乙", "乙>甲"), ("大于", "小于"), ("平行", "垂直"), ("充分不必要", "必要不充分"), ("赢了3场", "输了3场"), ("涨了5%", "跌了5%"),
    ("5月3日", "3月5日"), ("早上8点", "晚上8点"), ("零上3度", "零下3度"), ("高3厘米", "矮3厘米"), ("贵5元", "便宜5元"), ("收入50元", "支出50元"), ("进5球", "失5球"), ("deposit of $5", "withdrawal of $5"), ("ascending", "descending"),
    ("uphill", "downhill"), ("inside", "outside"), ("5 over par", "5 under par"), ("plus 5", "minus 5"), ("credit $5", "debit $5"), ("east 5", "west 5"), ("5 floors up", "5 floors down"),
    ("5 ahead", "5 behind"), ("5 early", "5 late"),
]  # fmt: skip

ALL_SAME = ASKED_SAME + BESIDE_SAME + PARTS_SAME + UNITS_SAME + TEXT_SAME + NEAR_SAME
ALL_OTHER = ASKED_OTHER + BESIDE_OTHER + PARTS_OTHER + UNITS_OTHER + TEXT_OTHER + NEAR_OTHER
QUICK = settings(max_examples=100, deadline=None)
SCALES = {"How many metres is it?": ("m", "km", "cm", "mm"), "How long is it (in hours)?": ("h", "min", "s", "days"), "有多少千克？": ("千克", "克", "吨")}  # fmt: skip


def verdict(gold, answer, question=""):
    return judge(answer, gold, Question(question)).verdict


@pytest.mark.parametrize("row", ALL_SAME)
def test_the_same(row):
    assert verdict(*row) == "correct"


@pytest.mark.parametrize("row", ALL_OTHER)
def test_another(row):
    assert verdict(*row) != "correct"
    if len(row) == 2 and row not in [("$50", "loss of $50"), ("50元", "亏损50元")]:
        assert verdict(row[1], row[0]) != "correct"


@given(
    st.sampled_from(sorted(SCALES)).flatmap(lambda asked: st.tuples(st.just(asked), st.sampled_from(SCALES[asked]))),
    st.integers(1, 999),
)
@QUICK
def test_a_bare_gold_is_in_the_unit_that_the_question_asks_for(asked, value):
    question, unit = asked
    assert (verdict(str(value), f"{value} {unit}", question) == "correct") is (unit == SCALES[question][0])


@given(st.permutations("abc"), st.lists(st.integers(-20, 20), min_size=3, max_size=3, unique=True))
@QUICK
def test_named_values_go_by_their_names(order, values):
    named = dict(zip("abc", values, strict=True))
    gold = ", ".join(f"{name} = {value}" for name, value in named.items())
    assert verdict(gold, ", ".join(f"{name} = {named[name]}" for name in order)) == "correct"
    turned = ", ".join(f"{name} = {value}" for name, value in zip(order, values, strict=True))
    assert (verdict(gold, turned) == "correct") is (list(order) == list("abc"))
    assert (
        verdict(f"({', '.join(map(str, values))})", ", ".join(f"{name} = {named[name]}" for name in order))
        == "correct"
    )


@given(st.permutations(("Ann", "Bob", "Tom", "Eve")))
@QUICK
def test_a_chain_may_be_turned_round_with_its_signs_only(names):
    chain = " > ".join(names)
    assert verdict(chain, " < ".join(reversed(names))) == "correct"
    assert verdict(chain, " < ".join(names)) != "correct"
    assert verdict(", ".join(names), chain, "Rank them from the tallest to the shortest.") == "correct"
    assert verdict(", ".join(names), " < ".join(names), "Rank them from the tallest to the shortest.") != "correct"
    assert verdict(" → ".join(names), " → ".join(reversed(names))) != "correct"


@given(
    st.from_regex(r"[K-Zk-z]_[0-9]|[K-Zk-z]{1,2}/[K-Zk-z]|[k-z][K-Z][k-z]|[K-Z][k-z]\+[K-Z]", fullmatch=True),
    st.integers(0, 8),
)
@QUICK
def test_a_symbol_in_another_case_is_another_symbol(text, place):
    place %= len(text)
    swapped = text[:place] + text[place].swapcase() + text[place + 1 :]
    assume(swapped != text and not {"e", "i", "d", "j"} & set(text.lower()))
    assert verdict(text, text) == "correct"
    assert verdict(text, swapped) != "correct"


@given(st.integers(1, 99), st.sampled_from(("mV MV", "mW MW", "Mm mm", "mHz MHz", "Gb GB", "kg kG", "mg Mg", "M m")))
@QUICK
def test_a_unit_in_another_case_is_another_unit(value, units):
    one, other = units.split()
    assert verdict(f"{value} {one}", f"{value} {other}") != "correct"
    assert verdict(f"{value} {other}", f"{value} {one}") != "correct"


OPPOSED = ("profit of {} dollars|loss of {} dollars", "{} m before the gate|{} m after the gate", "赚{}元|亏{}元", "提前{}分钟|晚{}分钟", "上升{}米|下降{}米", "{} N upward|{} N to the left",
           "before {}|after {}", "increase by {}|decrease by {}", "up {}%|down {}%", "第{}天|{}天")  # fmt: skip


@given(st.integers(11, 79), st.sampled_from(OPPOSED))
@QUICK
def test_opposed_words_beside_a_number_are_other_answers(value, forms):
    one, other = (form.format(value) for form in forms.split("|"))
    assert verdict(one, one) == "correct"
    assert verdict(one, other) != "correct"
    assert verdict(other, one) != "correct"
