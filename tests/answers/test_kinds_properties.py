"""What holds for every answer: its respellings are the gold, what is changed in it never is, and the sides may change places."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from virgo_factory.answers import Question, judge


QUICK = settings(max_examples=100, deadline=None)
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
RANK = Question("Name them from the smallest to the largest.")


def verdict(gold, answer, question=None):
    return judge(answer, gold, question or Question()).verdict


@given(ANY)
@QUICK
def test_its_own_respellings_are_the_gold(text):
    for written in (
        text, f"${text}$", rf"\({text}\)", rf"\boxed{{{text}}}", f"**{text}**", f" {text} . ", rf"{{\rm {text}}}", rf"\color{{red}}{{{text}}}", rf"\large {text}", f"The answer is {text}", f"答案是{text}",
        text.replace("-", "−"), text.replace(", ", ","), text.replace("(", r"\left(").replace(")", r"\right)"), text.translate({ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789,:="}),
    ):  # fmt: skip
        assert verdict(text, written) == "correct", written


@given(VALUE)
@QUICK
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
@QUICK
def test_a_change_of_sign_is_another_answer(text):
    other = text[1:] if text.startswith("-") else f"-{text}"
    if any(sign in text[1:] for sign in "+-") and not text[1:].lstrip("-").isdigit():
        other = f"-({text})"
    assume(text.strip("0. ") and not text.startswith(("0 ", "0.00", "-0")) and text != "0")
    assert verdict(text, other) != "correct"
    if "x" not in text:
        assert verdict(text, f"negative {text}" if not text.startswith("-") else text[1:]) != "correct"


@given(st.one_of(WHOLE, DECIMAL), st.integers(1, 9))
@QUICK
def test_one_digit_more_is_another_answer(text, digit):
    assert verdict(text, f"{text}{digit}") == verdict(f"{text}{digit}", text) == "wrong"


@given(st.one_of(WHOLE, DECIMAL), st.sampled_from(UNITS), st.sampled_from(UNITS))
@QUICK
def test_another_unit_is_another_answer(value, one, other):
    assume(one != other and {one, other} not in ({"米", "m"}, {"千克", "kg"}) and float(value) != 0)
    assert verdict(f"{value} {one}", f"{value} {other}") == "wrong"


@given(LETTERS.flatmap(lambda text: st.tuples(st.just(text), st.permutations(text).map("".join))))
@QUICK
def test_letters_in_another_order_are_another_answer(pair):
    assume(pair[0] != pair[1])
    assert verdict(*pair) == "wrong"


@given(
    MEMBERS.flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))),
    st.sampled_from(("{}", "({})", "[{}]")),
)
@QUICK
def test_an_order_that_is_asked_for_counts(pair, brackets):
    assume(list(pair[0]) != list(pair[1]))
    one, other = (brackets.format(", ".join(parts)) for parts in pair)
    assert verdict(one, other, RANK) == "wrong"
    assert verdict(*(", ".join(parts) for parts in pair), Question("Find all solutions of the equation.")) == "correct"


@given(ANY, ANY)
@settings(max_examples=200, deadline=None)
def test_the_sides_may_change_places(one, other):
    assert verdict(one, other) == verdict(other, one)


@given(TIME, TIME)
@QUICK
def test_times_are_the_same_only_where_they_are(one, other):
    assert (verdict(one, other) == "correct") is (one == other)


@given(FORMULA, FORMULA)
@QUICK
def test_terms_commute_and_other_terms_differ(one, other):
    assert verdict(f"{one} + z^2", f"z^2 + {one}") == "correct"
    assert verdict(one, f"{one} + 1") != "correct"
    assert verdict(one, f"({one}) \\cdot ({other})") != "correct"


@given(st.lists(st.sampled_from(("3x", "2y", "xy", "7", "5a", "b")), min_size=2, max_size=5, unique=True), st.data())
@QUICK
def test_the_sign_of_a_sum_counts_however_long_it_is(terms, data):
    """A sum is a formula without any command or power in it, and not words that a minus in front leaves as they are."""
    text = "".join(f" {data.draw(st.sampled_from('+-'))} {term}" if at else term for at, term in enumerate(terms))
    assert verdict(text, f"-({text})") == "wrong"
    assert verdict(f"-({text})", text) == "wrong"
