"""What is found in a response, where, and by which rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.answers import Question, extract
from virgo_factory.answers.options import list_in_string, options_of
from virgo_factory.answers.prose.response import boxes
from virgo_factory.core.thought import LongThought


COLOURS = Question("Which?", options=("red", "light blue", "green", "none of these"))
THOUGHT = (
    "<|begin_of_thought|>\n\nPerhaps \\boxed{1}. The answer is 2.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n"
)


@pytest.mark.parametrize(
    ("response", "text", "rule", "where"),
    [
        # after the thought, never inside it
        (THOUGHT + "It is \\boxed{3}.\n\n<|end_of_solution|>", "3", "box", "solution"),
        (THOUGHT + "So the length must have been equal to 3.\n\n<|end_of_solution|>", "3", "number", "solution"),
        ("<think>\\boxed{1}</think>\nThe answer is 3.", "3", "phrase", "solution"),
        ("<think>\\boxed{1}</think><answer>3</answer>", "3", "answer_tag", "answer_tag"),
        ("<think>\\boxed{1}</think><answer>\\boxed{3}</answer>", "3", "box", "answer_tag"),
        ("<think>My answer is \\boxed{42} </think> Some other text.", "Some other text", "whole", "solution"),
        ("<Thought>1? 2?</Thought>\n<Output>It is 3.</Output>", "It is 3", "answer_tag", "answer_tag"),
        ("## Thinking\n\nmaybe 7\n\n## Final Response\n\nThe answer is 3.", "3", "phrase", "solution"),
        # only the thought is there: taken, and said so
        ("<|begin_of_thought|>\n\nSo \\boxed{5}.\n\n<|end_of_thought|>", "5", "box", "thought"),
        ("<|begin_of_thought|>\n\nSo \\boxed{5}. Wait, let me", "", "cut", "thought"),
        # cut off: numbers on the way are no answer
        ("<|begin_of_thought|>\n\nSo x = 5 and 2 + 3 = 5, then", "", "cut", "thought"),
        ("It is \\boxed{42", "", "cut", "response"),
        (THOUGHT.replace("1", "9", 1) + "To solve this we", "9", "box", "thought"),
        # boxes
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", "box", "response"),
        (r"\boxed{\text{a {b} c}} but then \boxed{2}", "2", "box", "response"),
        (r"first \boxed{1}, then \boxed{2}.", "2", "box", "response"),
        (r"$\boxed{k = 45} \quad \text{and} \quad \boxed{n = 2}$", "k = 45, n = 2", "box", "response"),
        (r"$\boxed 5$", "5", "box", "response"),
        (r"\fbox{7}", "7", "box", "response"),
        ("\x08oxed{60}", "60", "box", "response"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}", "box", "response"),
        # the last statement overrules an earlier box
        (
            r"That is \boxed{200}. Final Answer: The final answer is $10,455$. I hope it is correct.",
            "10,455",
            "phrase",
            "response",
        ),
        # phrases, bold, headers
        ("The answer is $\\frac{3}{4}$.", r"\frac{3}{4}", "phrase", "response"),
        ("The final answer is:\n\n\\[ x = 5 \\]", "x = 5", "phrase", "response"),
        ("**Final Answer**\n\n12 cm", "12 cm", "phrase", "response"),
        ("Final Answer: The largest $n$ is 34.", "34", "phrase", "response"),
        ("so there are **17** of them", "17", "bold", "response"),
        ("#### 42", "42", "phrase", "response"),
        ("因此答案是 5", "5", "phrase", "response"),
        ("The final answers are:\n- one part: 5 g\n- another part: 7 g", "7 g", "phrase", "response"),
        ("It is 4.", "4", "number", "response"),
        # nothing
        ("", "", "none", "response"),
        ("   \n", "", "none", "response"),
    ],
)
def test_open_answers(response, text, rule, where):
    found = extract(response)
    assert (found.text, found.rule, found.where) == (text, rule, where)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Find all values of x.", "1, 2"),
        ("Find the value of x.", "2"),
        ("", "1, 2"),
    ],
)
def test_boxes_are_joined_only_when_several_are_asked(question, text):
    assert extract(r"$\boxed{1}$ and $\boxed{2}$", Question(question)).text == text


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("B", "B"),
        ("(b)", "(b)"),
        ("B. light blue", "B. light blue"),
        ("The answer is (B).", "B"),
        ("The correct answer is B: light blue.", "B"),
        ("**Answer:** B", "B"),
        ("Answer: $B$", "B"),
        ("Option C is wrong. Option B is correct.", "B"),
        ("(D) is not correct as only option (B) is correct.", "B"),
        ("So the answer is (A), (B), and (C).", "A, B, C"),
        ("\\boxed{B}", "B"),
        ("\\boxed{\\text{(B) light blue}}", "\\text{(B) light blue}"),
        ("That is \\boxed{45}. The answer is: (B).", "B"),
        ("I think it is light blue.", "light blue"),
        ("The answer is clearly light blue because of the sky.", "light blue"),
        ("It could be red or green.", "It could be red or green"),
        ("It is light blue, not red or green", "light blue"),
        ("答案是 B", "B"),
        ("The picture does not show it, so I cannot determine whether it is red.", ""),
        ("(A) red\n(B) light blue\n(C) green\n(D) none of these", ""),
    ],
)
def test_choices(response, text):
    assert extract(response, COLOURS).text == text


@pytest.mark.parametrize(
    ("question", "response", "text"),
    [
        ("Is Web Green greater than Red?", "Based on the image, Web Green is greater than Red.", "yes"),
        ("Is Web Green greater than Red?", "Web Green is not greater than Red.", "no"),
        ("Is Web Green greater than Red?", "No, it is not.", "no"),
        ("Is Web Green greater than Red?", "There is no information about it.", None),
    ],
)
def test_a_statement_answers_yes_or_no(question, response, text):
    found = extract(response, Question(question, options=("yes", "no"))).text
    assert found == text if text else found not in ("yes", "no")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Which? (A) red (B) light blue (C) green", ("red", "light blue", "green")),
        ("Which?\nA. red\nB. light blue\nC. green\nAnswer now.", ("red", "light blue", "green")),
        ("Which?\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°", ("40°", "60°", "120°", "140°")),
        ("Which?\nA) red\nB) blue", ("red", "blue")),
        ("Which?\n(a) red\n(b) blue", ("red", "blue")),
        (r"Which? $\textbf{(A)}\ 1\qquad\textbf{(B)}\ 2\qquad\textbf{(C)}\ 3$", ("1", "2", "3")),
        ("Which? Choices: ['red', 'blue']", ("red", "blue")),
        ("Which?\nOptions: A: red, B: blue, C: green", ("red", "blue", "green")),
        ("Choose one.\n1. red\n2. blue", ("red", "blue")),
        ("Point (A) lies on line BC. How long is it?", ()),
        ("In triangle ABC, what is angle B?", ()),
    ],
)
def test_inline_options(text, options):
    assert options_of(Question(text)) == options


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['a', 'b']", ["a", "b"]),
        ('["a"]', ["a"]),
        ("[1, 2]", [1, 2]),
        ("[0, 1)", None),
        ("[__import__('os')]", None),
        ("[" * 5000 + "]" * 5000, None),
        ("[a, b]", None),
    ],
)
def test_lists_in_strings_are_read_not_evaluated(text, found):
    assert list_in_string(text) == found


def test_examples_in_the_docstrings():
    import doctest
    import importlib
    import pkgutil

    import virgo_factory.answers

    for module in pkgutil.iter_modules(virgo_factory.answers.__path__):
        assert doctest.testmod(importlib.import_module(f"virgo_factory.answers.{module.name}")).failed == 0, (
            module.name
        )


@given(st.text(max_size=200), st.text(max_size=200))
def test_what_stands_in_the_thought_is_not_answered(thought, number):
    thought = "".join(sign for sign in thought if sign not in "<|>")
    if not thought.strip():
        return
    response = LongThought(thought + r" \boxed{123}", r"So it is \boxed{456}.").render()
    assert extract(response).text == "456"


@given(
    st.recursive(
        st.text("abc123\\,^ ", max_size=8), lambda inner: inner.map(lambda text: "{" + text + "}"), max_leaves=6
    )
)
def test_a_balanced_box_is_returned_whole(inside):
    inside = inside.replace("\\", "")
    assert [box.text for box in boxes(r"x \boxed{" + inside + "} y")[0]] == [inside]


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "{",
        "}",
        "\\boxed{1} ",
        "$",
        "the answer is ",
        "(A) ",
        "<think>",
        "</think> ",
        "**",
        "1,",
        "answer: ",
        "\\text{",
        "a.b ",
        "\n",
    ],
)
def test_extract_is_linear(piece, grows_linearly):
    def look(size: int) -> None:
        response = (piece * (size // len(piece) + 1))[:size] + " x"
        extract(response, COLOURS)
        extract(response, Question("How many?"))

    grows_linearly(look, 100_000, 400_000)


def test_five_megabytes(grows_linearly):
    def look(sentences: int) -> None:
        assert extract("word and 3 numbers, $x^2$ \\frac{1}{2}. " * sentences + "The answer is 7.").text == "7"
        assert extract("\\boxed{" * sentences).rule == "cut"

    grows_linearly(look, 30_000, 120_000)
