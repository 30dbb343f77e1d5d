"""Kinds of responses: what they answer, and what they only look like they answer. Tables of (response, gold, options, verdict)."""

import json

import pytest

from virgo_factory.answers import Question, extract, score
from virgo_factory.answers.choice import claimed
from virgo_factory.answers.options import read_options, without_letters


METALS = ("iron", "zinc", "lead", "tin")
YES, NO, OPEN = "correct", "wrong", "unverifiable"


def _verdict(response, gold, options=(), kind=None, question="Which one?"):
    return score(response, gold, Question(question, options=tuple(options), kind=kind)).verdict


DISCUSSIONS = [
    ("A. Incorrect: it is not red.\nB. Correct: it is green.\nC. Incorrect.", "B", YES),
    ("A. Incorrect: it is not red.\nB. Correct: it is green.\nC. Incorrect.", "A", NO),
    ("A. No, it is not red.\nB. Yes, it is green.\nC. No.", "B", YES),
    ("A. No, it is not red.\nB. Yes, it is green.\nC. No.", "A", NO),
    ("A. No, it is not red.", "A", NO),
    ("Option A is wrong. Option B is wrong. Option C is right. Option D is wrong.", "C", YES),
    ("Option A is wrong. Option B is wrong. Option C is right. Option D is wrong.", "A", NO),
    ("(A) shows a square. (B) shows a circle, so (B) is the correct answer.", "B", YES),
    ("(A) shows a square. (B) shows a circle, so (B) is the correct answer.", "A", NO),
    ("Option A does not fit. Option C does not fit either.\n\nTherefore, the answer is D.", "D", YES),
    ("Option A does not fit. Option C does not fit either.\n\nTherefore, the answer is D.", "A", NO),
    ("A选项是红色，与图不符。\nB选项是绿色，与图相符。\nC选项是蓝色，与图不符。\n因此选B。", "B", YES),
    ("A选项是红色，与图不符。\nB选项是绿色，与图相符。\nC选项是蓝色，与图不符。\n因此选B。", "A", NO),
    ("A选项错误，B选项错误，C选项正确，D选项错误。故选C。", "C", YES),
    ("选项A错误，选项B错误，选项C正确，选项D错误。故选C。", "A", NO),
    ("选项C看起来合理，但是不对。\n【答案】B", "B", YES),
    ("选项C看起来合理，但是不对。\n【答案】B", "C", NO),
    ("选项D错误。所以，正确答案应该是C。", "C", YES),
    ("选项D错误。所以，正确答案应该是C。", "D", NO),
    ("【答案】B\n【解析】选项A错误；选项C正确的说法是没有根据的；选项D错误。", "B", YES),
    ("【答案】B\n【解析】选项A错误；选项D错误。", "D", NO),
    ("【答案】B\n【解析】A项错误，C项错误，D项与题意不符，故选B。", "B", YES),
    ("A项错误，B项正确，C项错误。", "B", YES),
    ("A项错误，B项正确，C项错误。", "A", NO),
    ("A、错误。B、错误。C、错误。D、正确。", "D", YES),
    ("A、错误。B、错误。C、错误。D、正确。", "A", NO),
    ("1. Option A: iron rusts.\n2. Option B: zinc does not.\n\nThe best choice is **B**.", "B", YES),
    ("A: ❌\nB: ✅\nC: ❌", "B", YES),
    ("A: ❌\nB: ✅\nC: ❌", "A", NO),
]

STATEMENTS = [
    ("The answer is for sure D, it can't be A.", "D", YES),
    ("The answer is for sure D, it can't be A.", "A", NO),
    ("The answer is surely C, it cannot be A", "C", YES),
    ("The answer is surely C, it cannot be A", "A", NO),
    ("Option A is the correct setting. But the colour differs.\n\nTherefore the right change is:\n\nD", "D", YES),
    ("Option A is the correct setting. But the colour differs.\n\nTherefore the right change is:\n\nD", "A", NO),
    ("The answer seems to be A at first. After a closer look, picture B is the correct answer.", "B", YES),
    ("The answer seems to be A at first. After a closer look, picture B is the correct answer.", "A", NO),
    ("Of all of them, I would go with option (C).", "C", YES),
    ("I would take the other one rather than choice (A)", "A", NO),
    ("I would take the other one instead of (A).", "A", NO),
    ("Neither A nor B fits the picture.", "A", NO),
    ("Neither A nor B fits the picture.", "B", NO),
    ("It is not A but B.", "B", YES),
    ("It is not A but B.", "A", NO),
    ("The answer is not A.", "A", NO),
    ("Do not choose B here.", "B", NO),
    ("It may show A, B, C or D.", "A", None),
    ("The answer is B or C.", "B", OPEN),
    ("A, B, C", "A", OPEN),
    ("A, B, C", "D", NO),
    ("<s> A", "A", YES),
    ("<s> A", "B", NO),
    ("<|begin_of_text|>A", "A", YES),
    ("<|begin_of_text|>A", "C", NO),
    ("\ufeffB", "B", YES),
    ("\ufeffB", "A", NO),
    ("**Answer:** (C)\n\nThe other options (A), (B) and (D) do not fit.", "C", YES),
    ("**Answer:** (C)\n\nThe other options (A), (B) and (D) do not fit.", "D", NO),
    ("The correct choice, therefore, is D.", "D", YES),
    ("I hesitated, but it's C.", "C", YES),
    ("A picture shows two bars.", "A", NO),
    ("Which is it? I think we should pick B. I hope this helps!", "B", YES),
    ("Which is it? I think we should pick B. I hope this helps!", "A", NO),
]

RESPONSES = [
    ("At first sight the answer is A. However, the shading shows otherwise. The correct answer is B.", "B", "A"),
    ("I initially chose C, but the correct answer is B.", "B", "C"),
    ("The answer is B; A is wrong.", "B", "A"),
    ("The answer is B, since A, C and D are wrong.", "B", "A"),
    ("A, C and D are wrong, so B is correct.", "B", "A"),
    ("A and C are both wrong; D is wrong too. That leaves B.", "B", "C"),
    ("A: The picture is not red, so A is out. B: the picture is green, so this fits. C: no. Therefore B.", "B", "A"),
    ("Only option B fits the description.", "B", "A"),
    ("A. False\nB. True\nC. False\nD. False", "B", "A"),
    ("A - no\nB - yes\nC - no\nD - no", "B", "A"),
    ("A×，B√，C×，D×", "B", "A"),
    ("解：A、铁会生锈，故本选项错误；B、锌不生锈，故本选项正确；C、铅太软，故本选项错误．\n故选B．", "B", "A"),
    ("【详解】由图可知是锌，故B正确，A、C、D错误。\n故选：B。", "B", "A"),
    ("综合分析，B项最为恰当。", "B", "A"),
    ("有人认为是A，其实是B。因此选B。", "B", "A"),
    ('{"answer": "B"}', "B", "A"),
    ("Step 1: A is out.\nStep 2: C is out.\nConclusion: B", "B", "A"),
    ("B. Iron (A) rusts, so it is not that.", "B", "A"),
    ("B\n\nExplanation: iron rusts, so A is out. C and D are too soft.", "B", "A"),
    ("The correct answer is $\\boldsymbol{B}$.", "B", "A"),
]
"""(response, the option it chooses, one that it only mentions)."""

NO_CHOICE = [
    "A, B and D are possible.", "Options A and C look similar.", "Anything but A.", "I don't think it is A.", "We first look at (A), which shows",
    "(A) iron (B) zinc (C) lead (D) tin", "A. iron\nB. zinc\nC. lead\nD. tin", "As an AI, I cannot see images.", "Point A is above C.",
    "无法看到图片，因此无法判断选A还是选C。", "请选择A、B、C或D。", "题目问的是A和C的关系", "为什么不选A？", "有人认为是A，其实不然。",
    "Let me consider option A. Iron would be", "In triangle ABC, angle A is", "If it were A, it would rust.", "All except A are metals.",
]  # fmt: skip

CHINESE = [
    *((form.format("B"), "B", YES) for form in (
        "因此选{}。", "故选{}", "本题选{}", "答案选{}", "只有{}正确", "应为{}", "答案应为{}", "答案应该是{}。", "所以选{}。", "所以答案是{}。",
        "不选A，选{}", "正确选项是{}", "正确的是{}。", "符合题意的选项是{}。", "综上所述，选择{}。", "故本题答案为{}。", "答案：{}", "【答案】{}",
        "（{}）", "选（{}）。", "我认为答案是选项{}。", "故答案为：{}", "因此，{}选项正确。", "所以{}是正确答案。", "由图可知，{}项符合题意。",
    )),
    ("Ｂ", "B", YES), ("（Ｂ）", "B", YES), ("答案是Ｂ", "B", YES), ("故选：Ｂ．", "B", YES),
    *((form.format("B"), "A", NO) for form in (
        "因此选{}。", "故选{}", "本题选{}", "答案选{}", "只有{}正确", "应为{}", "答案应该是{}。", "不选A，选{}", "A不正确，选{}", "正确选项是{}",
        "A错误，应选{}", "排除A，故选{}", "A不符合题意，{}符合题意。", "虽然A看起来对，但答案是{}。", "【答案】{}【解析】A项说法错误。", "选{}，不选A。",
    )),
    ("Ｃ", "B", NO), ("（Ａ）", "B", NO), ("选项B错误。", "B", NO), ("不能选B。", "B", NO), ("若选B，则与图不符。", "B", NO),
]  # fmt: skip

BOOLEANS = [
    ("Therefore, the answer (Yes or No) is Yes.", "yes", YES),
    ("Therefore, the answer (Yes or No) is Yes.", "no", NO),
    ("Therefore, the answer (yes/no) is no.", "no", YES),
    ("Therefore, the answer (yes/no) is no.", "yes", NO),
    ("True\n\nThe chord is not a diameter.", "True", YES),
    ("True\n\nThe chord is not a diameter.", "False", NO),
    ("False.\n\nIt is true that the bars touch.", "False", YES),
    ("False.\n\nIt is true that the bars touch.", "True", NO),
    ("False. The two bars have the same height, 7.", "False", YES),
    ("True. Because both are 7.", "True", YES),
    ("True. Because both are 7.", "False", NO),
    ("True, False.", "True", NO),
    ("True, False.", "False", NO),
    ("Is the cube red? Yes.", "yes", YES),
    ("Is the cube red? Yes.", "no", NO),
    ("Is the red one larger than the blue one? No, it is smaller.", "no", YES),
    ("Let me see. The bars are equal.\n\nYes", "yes", YES),
    ("The bars are 5 and 6, so the statement is false.", "false", YES),
    ("The bars are 5 and 6, so the statement is false.", "true", NO),
    ("是的，图中有一只猫。", "是", YES),
    ("是的，图中有一只猫。", "否", NO),
    ("不是，图中没有猫。", "否", YES),
    ("不是，图中没有猫。", "是", NO),
    ("正确。因为两条线段相等。", "正确", YES),
    ("错误。因为两条线段不相等。", "正确", NO),
    ("两条线段不相等，因此该说法是错误的。", "错误", YES),
    ("两条线段不相等，因此该说法是错误的。", "正确", NO),
    ("对", "对", YES),
    ("错", "对", NO),
    ("答案：对", "对", YES),
    ("No information is given about it.", "no", NO),
]

OPEN_ANSWERS = [
    ("The answer is 4:30 pm.", "4:30 pm", YES),
    ("The answer is 4:30 pm.", "4:30 am", NO),
    ("The train leaves at 4:30 pm. So the answer is 4:30 pm", "30 pm", NO),
    ("So the area is 30 m².", "30", YES),
    ("So the area is 30 m².", "2", NO),
    ("So the volume is 12 cm³.", "12", YES),
    ("There are 4 bars above 20. They are at 25, 31, 40 and 58.", "4", YES),
    ("There are 4 bars above 20. They are at 25, 31, 40 and 58.", "58", NO),
    ("She has 5 apples left.\n\nI hope this answer is helpful!", "5", YES),
    ("She has 5 apples left.\n\nI hope this answer is helpful!", "6", NO),
    ("2. Count.\n3. **Count again:** two rows.\n\nTherefore, the number is one.\nOne", "3", NO),
    ("2. Count.\n3. **Count again:** two rows.\n\nTherefore, the number is one.\nOne", "1", YES),
    ("4. **Count**\n\nThe result is seven.", "4", NO),
    ("小明一共有12个苹果。", "12", YES),
    ("一共有12个苹果。", "12", YES),
    ("一共有12个苹果。", "13", NO),
    ("结果等于12。", "12", YES),
    ("结果等于12。", "2", NO),
    ("约为12", "12", YES),
    ("所以答案应该是12。", "12", YES),
    ("所以答案应该是12。", "21", NO),
    ("【答案】12\n【解析】3乘以4等于12，不是7。", "12", YES),
    ("【答案】12\n【解析】3乘以4等于12，不是7。", "7", NO),
    ("x＝１２", "12", YES),
    ("The final answer is 12. Let me know if you have 3 more questions!", "12", YES),
    ("The final answer is 12. Let me know if you have 3 more questions!", "3", NO),
    (
        "<|channel|>analysis<|message|>Perhaps \\boxed{3}.<|end|><|start|>assistant<|channel|>final<|message|>The answer is 12.<|return|>",
        "12",
        YES,
    ),
    (
        "<|channel|>analysis<|message|>Perhaps \\boxed{3}.<|end|><|start|>assistant<|channel|>final<|message|>The answer is 12.<|return|>",
        "3",
        NO,
    ),
    ("<|channel>thought\nPerhaps \\boxed{3}.<channel|>The answer is 12.<turn|>", "12", YES),
    (
        "<|START_THINKING|>Perhaps \\boxed{3}.<|END_THINKING|><|START_RESPONSE|>The answer is 12.<|END_RESPONSE|>",
        "12",
        YES,
    ),
    (
        "<|START_THINKING|>Perhaps \\boxed{3}.<|END_THINKING|><|START_RESPONSE|>The answer is 12.<|END_RESPONSE|>",
        "3",
        NO,
    ),
]

TEXTS = [
    ("First we compare zinc with", "B", METALS, NO),
    ("The options 3, 6 and 8 are too small, since the side is 9 we", "D", ("3", "6", "8", "9"), NO),
    ("I cannot tell whether it is zinc.", "B", METALS, NO),
    ("I'm sorry, but I can't say whether it is zinc.", "B", METALS, NO),
    ("It is impossible to say if this is zinc or lead.", "B", METALS, NO),
    ("It is not zinc.", "B", METALS, NO),
    ("Anything except zinc.", "B", METALS, NO),
    ("无法判断是不是红色。", "A", ("红色", "蓝色"), NO),
    ("It is zinc.", "B", METALS, YES),
    ("The metal is zinc, not lead.", "B", METALS, YES),
    ("The metal is zinc, not lead.", "C", METALS, NO),
    ("zinc", "B", METALS, YES),
    ("I think that the metal in the picture is zinc", "B", METALS, YES),
    ("它是蓝色的。", "B", ("红色", "蓝色"), YES),
    ("不是红色，是蓝色。", "B", ("红色", "蓝色"), YES),
    ("不是红色，是蓝色。", "A", ("红色", "蓝色"), NO),
    ("\\boxed{-a}", "A", ("-a", "a"), YES),
    ("\\boxed{a}", "A", ("-a", "a"), NO),
    ("\\boxed{a}", "B", ("-a", "a"), YES),
    ("\\boxed{|x|}", "A", ("|x|", "x"), YES),
    ("\\boxed{x}", "A", ("|x|", "x"), NO),
    ("\\boxed{Cl^-}", "A", ("Cl^-", "Cl"), YES),
    ("\\boxed{Cl}", "A", ("Cl-", "Cl"), NO),
    ("\\boxed{Cl}", "B", ("Cl-", "Cl"), YES),
    ("\\boxed{50\\%}", "A", ("50%", "0.5"), YES),
    ("\\boxed{0.5}", "A", ("50%", "0.5"), NO),
    ("\\boxed{0.5}", "A", ("50%", "25%"), NO),
    ("\\boxed{-b/2a}", "A", ("-b/2a", "b/2a"), YES),
    ("\\boxed{b/2a}", "A", ("-b/2a", "b/2a"), NO),
    ("\\boxed{n!}", "B", ("n", "n!"), YES),
    ("\\boxed{n!}", "A", ("n", "n!"), NO),
    ("\\boxed{f'}", "A", ("f", "f'"), NO),
    ("\\boxed{2 AM}", "A", ("2 PM", "3 PM"), NO),
    ("\\boxed{AB ∥ CD}", "A", ("AB ∥ CD", "AB ⊥ CD"), YES),
    ("\\boxed{AB ∥ CD}", "B", ("AB ∥ CD", "AB ⊥ CD"), NO),
]  # fmt: skip

SEVERAL = [
    ("Final answer: a, c", "a,c", YES),
    ("Final answer: a, c", "a,b", NO),
    ("The ones that fit are (b) and (c).\n\n*Answer*: b, c", "b,c", YES),
    ("The ones that fit are (b) and (c).\n\n*Answer*: b, c", "b", OPEN),
    ("A and C", "A, C", YES),
    ("A and C", "A", OPEN),
    ("The answer is AC.", "A,C", YES),
    ("The answer is AC.", "AC", YES),
    ("The answer is AC.", "AD", NO),
    ("The answer is A.", "AC", NO),
    ("The correct options are (A), (C) and (D).", "ACD", YES),
    ("The correct options are (A), (C) and (D).", "AC", NO),
    ("答案是A、C。", "AC", YES),
    ("答案是A、C。", "AB", NO),
    ("故选ABD。", "ABD", YES),
    ("故选ABD。", "ABC", NO),
    ("\\boxed{A, C}", "(A) and (C)", YES),
    ("\\boxed{B, C}", "(A) and (C)", NO),
    ("选AC", "A和C", YES),
    ("选A", "A和C", NO),
]


@pytest.mark.parametrize(("response", "gold", "verdict"), [*DISCUSSIONS, *STATEMENTS, *CHINESE])
@pytest.mark.parametrize("options", [METALS, ()])
def test_letters_that_are_stated(response, gold, verdict, options):
    found = score(response, gold, Question("Which one?", options=options, kind="choice"))
    if verdict is None or (not options and verdict == "wrong"):
        assert found.verdict != "correct"  # without options a response that names none may be a text
    else:
        assert found.verdict == verdict, found


@pytest.mark.parametrize(("response", "chosen", "mentioned"), RESPONSES)
@pytest.mark.parametrize("options", [METALS, ()])
def test_the_option_chosen_among_those_mentioned(response, chosen, mentioned, options):
    assert _verdict(response, chosen, options, "choice") == "correct"
    assert _verdict(response, mentioned, options, "choice") == "wrong"


@pytest.mark.parametrize("response", NO_CHOICE)
def test_what_chooses_nothing_is_never_correct(response):
    for gold in "ABCD":
        assert _verdict(response, gold, METALS, "choice") != "correct"


@pytest.mark.parametrize(("response", "gold", "verdict"), BOOLEANS)
def test_yes_and_no(response, gold, verdict):
    for kind in ("boolean", None):
        assert _verdict(response, gold, kind=kind, question="Is it so?") == verdict
    if gold in ("yes", "no"):
        assert _verdict(response, gold, options=("yes", "no"), question="Is it so?") == verdict


@pytest.mark.parametrize(("response", "gold", "verdict"), OPEN_ANSWERS)
def test_what_stands_beside_an_open_answer(response, gold, verdict):
    assert _verdict(response, gold, question="") == verdict


@pytest.mark.parametrize(("response", "gold", "options", "verdict"), TEXTS)
def test_texts_of_options(response, gold, options, verdict):
    assert _verdict(response, gold, options) == verdict


@pytest.mark.parametrize(("response", "gold", "verdict"), SEVERAL)
@pytest.mark.parametrize("options", [METALS, ()])
def test_several_letters(response, gold, verdict, options):
    assert _verdict(response, gold, options, kind="choice") == verdict


FORMS = [
    ["A. red", "B. green", "C. blue"], ["(A) red", "(B) green", "(C) blue"], ["A) red", "B) green", "C) blue"],
    ["A、red", "B、green", "C、blue"], ["a. red", "b. green", "c. blue"], ["B. green", "A. red", "C. blue"],
    "A. red\nB. green\nC. blue", "A. red B. green C. blue", "(A) red (B) green (C) blue", "A、red B、green C、blue",
    "red; green; blue", "red\ngreen\nblue", "red；green；blue", "red | green | blue", "red, green, blue", "['red', 'green', 'blue']",
    '["A. red", "B. green", "C. blue"]', '{"A": "red", "B": "green", "C": "blue"}', {"A": "red", "B": "green", "C": "blue"},
    {"B": "green", "A": "red", "C": "blue"}, ("red", "green", "blue"), "- A. red\n- B. green\n- C. blue",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_options(form):
    assert read_options(form) == ("red", "green", "blue")
    question = Question("Which colour?", options=read_options(form))
    for answer in ("B", "(b)", "green", "B. green", "The answer is green."):
        assert score(answer, "B", question).verdict == "correct"
        assert score(answer, "green", question).verdict == "correct"
        assert score(answer, "A", question).verdict == "wrong"


@pytest.mark.parametrize(
    "options",
    [
        ("A. Smith", "B. Jones", "C"),
        ("A. Smith", "A. Jones"),
        ("a", "b"),
        ("A", "B"),
        ("1. red", "2. blue"),
        ("E. coli", "B. subtilis"),
    ],
)
def test_letters_that_belong_to_the_text_stay(options):
    assert without_letters(options) == options


@pytest.mark.parametrize("text", ["", "red", None, 3, "a sentence, which goes on, and on 3 times", "[1, 2)"])
def test_what_is_no_list_of_options_gives_none(text):
    assert read_options(text) == ()


COLOURS = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("gold", "answer", "options", "verdict", "reason"),
    [
        # an index from 0 or from 1
        (1, "B", COLOURS, OPEN, "gold_unclear"),
        ("2", "B", COLOURS, OPEN, "gold_unclear"),
        (0, "A", COLOURS, YES, "same_option"),
        (0, "B", COLOURS, NO, "other_option"),
        (3, "C", COLOURS, YES, "same_option"),
        (3, "B", COLOURS, NO, "other_option"),
        ("1", "B", ("3", "1", "2"), YES, "same_option"),
        (1, "A", ("3", "1", "2"), NO, "other_option"),
        # a letter with its text
        ("B. green", "B", COLOURS, YES, "same_option"),
        ("B. green", "green", COLOURS, YES, "same_option"),
        ("(B) green", "A", COLOURS, NO, "other_option"),
        ("B. red", "B", COLOURS, OPEN, "gold_unclear"),
        ("B. green", "B", (), YES, "same_option"),
        ("B. green", "green", (), YES, None),
        ("B. green", "B. green", (), YES, None),
        ("B. green", "A", (), NO, "other_option"),
        ("B. green", "red", (), NO, None),
        ("B. green", "C. red", (), NO, None),
        ("B. green", "B. red", (), OPEN, "two_options"),
        ("(B) 5 cm", "(B)", (), YES, "same_option"),
        ("B：绿色", "绿色", (), YES, None),
        ("B：绿色", "C", (), NO, "other_option"),
        # letters against texts where the options are not known
        ("B", "green", (), OPEN, "options_missing"),
        ("B", "40", (), OPEN, "options_missing"),
        ("B", "B. green", (), YES, "same_option"),
        ("B", "C. green", (), NO, "other_option"),
        ("B", "(b)", (), YES, "same_option"),
    ],
)  # fmt: skip
def test_golds_and_options(gold, answer, options, verdict, reason):
    found = score(f"\\boxed{{{answer}}}", gold, Question("Which colour?", options=options))
    assert found.verdict == verdict
    assert reason is None or found.reason == reason


def test_a_text_gold_and_a_letter_answer_without_options_cannot_be_compared():
    question = Question("Which colour?", kind="choice")
    assert score("The answer is B.", "green", question).reason == "options_missing"
    assert score("The answer is green.", "green", question).verdict == "correct"


def test_a_letter_is_read_whatever_signs_it_stands_in():
    for written in ("B", "**B**", "(B)", "[B]", "$B$", r"\(B\)", r"\text{B}", r"$\mathbf{B}$", "“B”", "`B`", "*B*"):
        assert claimed(f"The answer is {written}.", 4)[0] == "B", written
        assert (
            extract(f"After that:\n\n{written}", Question("?", options=METALS)).text.strip(r"*()[]$`“”\textmathbf{}")
            == "B"
        )


def test_the_given_rows(shared_data):
    """The rows of the faults that were found are right, as far as a response says its answer."""
    for name in ("answers_false_negative", "answers_false_positive", "options_as_text"):
        for line in (shared_data.parent / "faults" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            question = Question(row.get("question", ""), options=read_options(row["options"]))
            found = score(row["response"], row["gold"], question)
            if name == "options_as_text":
                assert found.verdict == {"1": YES, "2": YES, "3": OPEN, "4": OPEN}[row["id"]], row
            elif question.options or "Chinese choice" in row["kind"] or "letter" in row["kind"]:
                assert found.correct is row["label"], row
