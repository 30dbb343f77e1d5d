"""What holds for every answer: its respellings are the gold, what is changed in it never is, and the sides may change places."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from virgo_factory.answers import Question, judge


WHOLE = st.integers(-9999, 9999).map(str)
DECIMAL = st.builds(lambda whole, part: f"{whole}.{part:02d}", st.integers(-999, 999), st.integers(1, 99))
FRACTION = st.builds(lambda top, bottom: rf"\frac{{{top}}}{{{bottom}}}", st.integers(1, 99), st.integers(2, 99))
UNITS = ("cm", "kg", "m/s", "km/h", "mL", "°", "dollars", "米", "千克", "小时", "widgets", "V", "kJ/mol", "m^2")
LETTERS = st.text(alphabet="ABCDEFGH", min_size=2, max_size=6)
WORD = st.sampled_from("dog cat sun north triangle oxygen Paris 正方形 苹果".split())
TERM = st.sampled_from(("x^2", "3x", "-2y", r"\frac{x}{2}", r"\sqrt{y}", r"\sin x", "5", "-7", "xy", "2x^3"))
MEMBERS = st.lists(st.integers(-50, 50), min_size=2, max_size=4, unique=True).map(lambda found: list(map(str, found)))
BRACKETS = st.sampled_from(("({})", r"\{{{}\}}", "[{}]", "{}"))
VALUE = st.one_of(WHOLE, DECIMAL, FRACTION)
MEASURED = st.builds(lambda value, unit: f"{value} {unit}", st.one_of(WHOLE, DECIMAL), st.sampled_from(UNITS))
TIME = st.builds(
    lambda hour, minute, half: f"{hour}:{minute:02d} {half}",
    st.integers(1, 12),
    st.integers(0, 59),
    st.sampled_from(("AM", "PM")),
)
LISTED = st.builds(lambda parts, brackets: brackets.format(", ".join(parts)), MEMBERS, BRACKETS)
INTERVAL = st.builds(
    lambda low, size, left, right: f"{left}{low}, {low + size}{right}",
    st.integers(-9, 9),
    st.integers(1, 9),
    st.sampled_from("(["),
    st.sampled_from(")]"),
)
FORMULA = st.lists(TERM, min_size=2, max_size=3, unique=True).map(lambda terms: " + ".join(terms).replace("+ -", "- "))
ANY = st.one_of(VALUE, MEASURED, TIME, LISTED, INTERVAL, FORMULA, LETTERS, WORD)
RANK = "Name them from the smallest to the largest."


def verdict(gold, answer, question=""):
    return judge(answer, gold, Question(question)).verdict


@given(ANY)
def test_its_own_respellings_are_the_gold(text):
    for written in (
        text, f"${text}$", rf"\({text}\)", rf"\boxed{{{text}}}", f"**{text}**", f" {text} . ", rf"{{\rm {text}}}", rf"\color{{red}}{{{text}}}", rf"\large {text}", f"The answer is {text}", f"答案是{text}",
        text.replace("-", "−"), text.replace(", ", ","), text.replace("(", r"\left(").replace(")", r"\right)"), text.translate({ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789,:="}),
    ):  # fmt: skip
        assert verdict(text, written) == "correct", written


@given(VALUE)
def test_a_value_with_a_name_or_a_unit_is_the_value(text):
    for written in (
        f"x = {text}",
        f"{text} cm",
        rf"{text} \text{{ widgets}}",
        f"about {text}",
        rf"\approx {text}",
        f"一共{text}",
        f"f(2) = {text}",
    ):
        assert verdict(text, written) == "correct", written


@given(st.one_of(VALUE, MEASURED, FORMULA))
def test_a_change_of_sign_is_another_answer(text):
    other = text[1:] if text.startswith("-") else f"-{text}"
    if any(sign in text[1:] for sign in "+-") and not text[1:].lstrip("-").isdigit():
        other = f"-({text})"
    assume(text.strip("0. ") and not text.startswith(("0 ", "0.00", "-0")) and text != "0")
    assert verdict(text, other) != "correct"
    if "x" not in text:
        assert verdict(text, f"negative {text}" if not text.startswith("-") else text[1:]) != "correct"


@given(st.one_of(WHOLE, DECIMAL), st.integers(1, 9))
def test_one_digit_more_is_another_answer(text, digit):
    assert verdict(text, f"{text}{digit}") == verdict(f"{text}{digit}", text) == "wrong"


@given(st.one_of(WHOLE, DECIMAL), st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_another_unit_is_another_answer(value, one, other):
    assume(one != other and {one, other} not in ({"米", "m"}, {"千克", "kg"}) and float(value) != 0)
    assert verdict(f"{value} {one}", f"{value} {other}") == "wrong"


@given(LETTERS.flatmap(lambda text: st.tuples(st.just(text), st.permutations(text).map("".join))))
def test_letters_in_another_order_are_another_answer(pair):
    assume(pair[0] != pair[1])
    assert verdict(*pair) == "wrong"


@given(
    MEMBERS.flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))),
    st.sampled_from(("{}", "({})", "[{}]")),
)
def test_an_order_that_is_asked_for_counts(pair, brackets):
    assume(list(pair[0]) != list(pair[1]))
    one, other = (brackets.format(", ".join(parts)) for parts in pair)
    assert verdict(one, other, RANK) == "wrong"
    assert verdict(*(", ".join(parts) for parts in pair), "Find all solutions of the equation.") == "correct"


@given(ANY, ANY)
def test_the_sides_may_change_places(one, other):
    assert verdict(one, other) == verdict(other, one)


@given(TIME, TIME)
def test_times_are_the_same_only_where_they_are(one, other):
    assert (verdict(one, other) == "correct") is (one == other)


@pytest.mark.slow
@given(FORMULA, FORMULA)
def test_terms_commute_and_other_terms_differ(one, other):
    assert verdict(f"{one} + z^2", f"z^2 + {one}") == "correct"
    assert verdict(one, f"{one} + 1") != "correct"
    assert verdict(one, f"({one}) \\cdot ({other})") != "correct"


@pytest.mark.slow
@given(st.lists(st.sampled_from(("3x", "2y", "xy", "7", "5a", "b")), min_size=2, max_size=5, unique=True), st.data())
def test_the_sign_of_a_sum_counts_however_long_it_is(terms, data):
    """A sum is a formula without any command or power in it, and not words that a minus in front leaves as they are."""
    text = "".join(f" {data.draw(st.sampled_from('+-'))} {term}" if at else term for at, term in enumerate(terms))
    assert verdict(text, f"-({text})") == "wrong"
    assert verdict(f"-({text})", text) == "wrong"


SCALES = {"How many metres is it?": ("m", "km", "cm", "mm"), "How long is it (in hours)?": ("h", "min", "s", "days"), "有多少千克？": ("千克", "克", "吨")}  # fmt: skip


@given(
    st.sampled_from(sorted(SCALES)).flatmap(lambda asked: st.tuples(st.just(asked), st.sampled_from(SCALES[asked]))),
    st.integers(1, 999),
)
def test_a_bare_gold_is_in_the_unit_that_the_question_asks_for(asked, value):
    question, unit = asked
    assert (verdict(str(value), f"{value} {unit}", question) == "correct") is (unit == SCALES[question][0])


@given(st.permutations("abc"), st.lists(st.integers(-20, 20), min_size=3, max_size=3, unique=True))
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
def test_a_symbol_in_another_case_is_another_symbol(text, place):
    place %= len(text)
    swapped = text[:place] + text[place].swapcase() + text[place + 1 :]
    assume(
        swapped != text and not {"e", "i", "d", "j"} & set(text.lower()) and text.lower() not in ("mon", "sun", "nov")
    )
    assert verdict(text, text) == "correct"
    assert verdict(text, swapped) != "correct"


@given(st.integers(1, 99), st.sampled_from(("mV MV", "mW MW", "Mm mm", "mHz MHz", "Gb GB", "kg kG", "mg Mg", "M m")))
def test_a_unit_in_another_case_is_another_unit(value, units):
    one, other = units.split()
    assert verdict(f"{value} {one}", f"{value} {other}") != "correct"
    assert verdict(f"{value} {other}", f"{value} {one}") != "correct"


OPPOSED = ("profit of {} dollars|loss of {} dollars", "{} m before the gate|{} m after the gate", "赚{}元|亏{}元", "提前{}分钟|晚{}分钟", "上升{}米|下降{}米", "{} N upward|{} N to the left",
           "before {}|after {}", "increase by {}|decrease by {}", "up {}%|down {}%", "第{}天|{}天")  # fmt: skip


@given(st.integers(11, 79), st.sampled_from(OPPOSED))
def test_opposed_words_beside_a_number_are_other_answers(value, forms):
    one, other = (form.format(value) for form in forms.split("|"))
    assert verdict(one, one) == "correct"
    assert verdict(one, other) != "correct"
    assert verdict(other, one) != "correct"
