"""OpenMMReasoner's rule: what it takes for an option's letter."""

import pytest

from virgo_factory.answers.omr import letter_in, omr_format


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(C)", "C"),
        ("C. because", "C"),
        ("It is option (D), not (E)!", "D"),
        ("the answer is B or so", "B"),
        ("x=12", ""),
    ],
)
def test_letters_of_omr(text, letter):
    assert letter_in(text) == letter


@pytest.mark.parametrize(
    ("response", "earned"),
    [
        ("<think>a</think> and <answer>b</answer>", 1.0),
        ("<think>a</think><answer>b</answer> and more", 0.0),
        ("<think>a<answer>b</answer>", 0.0),
        ("<think><answer></think></answer>", 0.0),
        (r"\boxed{ }", 1.0),
        (r"\boxed{}", 0.0),
        ("<think>" + "</think><answer>" * 20_000, 0.0),
    ],
)
def test_what_a_form_earns(response, earned):
    assert omr_format(response) == earned
