"""Placeholders that a column of the row fills are no text to learn; the same signs without such a column are."""

import pytest

from virgo_factory.core.example import Example
from virgo_factory.formats import read_row


OBJECTS = {"ref": ["red box"], "bbox": [[10, 10, 40, 40]]}
WHOLE = "<think>\nThe thing is on the left.\n</think>\n\nIt is there."


def read(question="Where is it?", response=WHOLE, **row):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
    return read_row({"messages": messages, **row}, "long_thought").parts[0]


UNFILLED = [
    ({"question": "Find the <ref-object>.", "objects": OBJECTS}, "<ref-object>, which objects fills"),
    ({"response": f"{WHOLE} <bbox>", "objects": OBJECTS}, "<bbox>, which objects fills"),
    ({"response": WHOLE.replace("left", "<bbox>"), "objects": OBJECTS}, "<bbox>, which objects fills"),
    ({"question": "Is it <bbox>?", "objects": '{"ref": ["box"], "bbox": [[1, 2, 3, 4]]}'}, "<bbox>, which objects fills"),
    ({"question": "Read this:\n{context}\nWho?", "context": "Tom is here."}, "{context}, which context fills"),
    ({"question": "Solve {{ problem }}.", "problem": "1 + 1"}, "{{ problem }}, which problem fills"),
    ({"system": "Use {passage}.", "passage": "Tom is here."}, "{passage}, which passage fills"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "told"), UNFILLED)
def test_a_placeholder_that_a_column_fills_is_a_reason(row, told):
    part = read(**row)
    assert part.reason == "a placeholder that is not filled" and part.detail.startswith(told)


FILLED = [
    {"question": "Find the <ref-object>."},
    {"question": "What is a <bbox> in VOC?", "objects": {"ref": [], "bbox": []}},
    {"objects": OBJECTS},
    {"question": "Why is {context} not filled?"},
    {"question": "Why is {context} not filled?", "context": None},
    {"question": "Read {context}: Tom is here.", "context": "Tom is here."},
    {"question": "What does `{name}` print in `f'{name}'`?", "name": "math-1"},
    {"question": "Run\n```python\nprint(f'{name}')\n```", "name": "math-1"},
    {"question": "Print Hello, {name}! for each {city}.", "name": "math-1", "city": "Rome"},
    {"question": "Return '{text}' in C#.", "text": "x"},
    {"question": "Find $\\frac{area}{base}$ and x_{name}, \\text{name}.", "area": "5", "base": "3", "name": "n"},
    {"question": "Let S = {a, b} and {c}.", "c": "1"},
]


@pytest.mark.parametrize("row", FILLED)
def test_what_no_column_fills_is_text(row):
    assert isinstance(part := read(**row), Example) and part.question == row.get("question", "Where is it?")


WHOLE_QUESTIONS = ["{question}", "{{problem}}", "{{ item.question }}", "${question}", "<question>", "[Question]", "<insert question here>",
                   "[your_question]", "...", "…", "%s", "%(question)s", "[deleted]", "[removed]", "???", "{context}", "TODO"]  # fmt: skip


@pytest.mark.parametrize("question", WHOLE_QUESTIONS)
def test_a_question_that_is_a_placeholder_is_none(question):
    for asked, images in ((question, {}), (f"<image>\n{question}", {"images": ["a.png"]})):
        part = read(asked, **images)
        assert (part.reason, part.detail) == (
            "the question is a missing value",
            f"the text {question!r}",
        )


@pytest.mark.parametrize(
    ("question", "solution"),
    [("<b>", "[2]"), ("{a}", "{red}"), ("[1, 2]", "{1, 2}"), ("?", "[target audience]"), ("<html>", "<p>"), ("Why...", "answer"), ("{x | x > 3}", "{x}")],
)  # fmt: skip
def test_what_looks_nearly_so_is_a_question_and_its_answer(question, solution):
    part = read(question, f"<think>\nIt is left.\n</think>\n\n{solution}")
    assert isinstance(part, Example) and (part.question, part.response.solution) == (question, solution)
