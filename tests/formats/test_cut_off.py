"""Responses that stop where none stops are dropped as those that are marked as cut; what is only sloppy stays."""

import pytest

from virgo_factory.core.example import Example
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats import read_row


WHY = "We add 1 and 3, which gives 4."
CUT = [
    (f"{WHY} The answer is \\boxed{{4", "inside of \\boxed{"),
    (f"{WHY} So $\\boxed{{\\frac{{1}}{{2}}", "inside of \\boxed{"),
    ("\\boxed{\\text{the sum of all", "inside of \\boxed{"),
    (f"{WHY}\n\n```python\nprint(5", "inside of a block of code"),
    ("```\na\n```\n\nand\n\n```python\nfor i in", "inside of a block of code"),
    ("1. First:\n    ```python\n    print(5)", "inside of a block of code"),
    (f"{WHY}\n\n$$x = \\frac{{1}}{{2", "inside of a formula, behind $$"),
    ("$$a$$ and then\n$$x = \\frac{1}{2", "inside of a formula, behind $$"),
    (f"{WHY}\n\\[\nx = 3 +\n y", "inside of a formula, behind \\["),
    (f"{WHY}\n\\begin{{align*}}\nx &= 3 \\\\\ny &=", "inside of a formula, behind \\begin{align*"),
    ("\\(x\\) is 4 and \\(y = 3 +", "inside of a formula, behind \\("),
    (f"{WHY} ... [truncated]", "with [truncated]"),
    (f"{WHY}\n[... output truncated at 4096 tokens]", "with [... output truncated at 4096 tokens]"),
    (f"{WHY} <truncated>", "with <truncated>"),
    ("The answer is [TRUNCATED]", "with [TRUNCATED]"),
    ("So x = 3 (TRUNCATED)", "with (TRUNCATED)"),
    ("The answer is (output truncated)", "with (output truncated)"),
    ("The answer is 5 [cut off]", "with [cut off]"),
    ("The answer is 5 [max tokens reached]", "with [max tokens reached]"),
    ("答案是（截断）", "with （截断）"),
    ("It is $x = 3 + ", "inside of a formula, behind $"),
    ("So $x = 1603$ and $y = \\frac{1", "inside of a formula, behind $"),
    ("The area is $\\frac{1}{2} \\cdot 3", "inside of a formula, behind $"),
    ("The result is \\frac{1}{", "inside of \\frac{1}{"),
    ("It is \\sqrt{2", "inside of \\sqrt{"),
    ("It is \\text{sheep", "inside of \\text{"),
    ("The answer is \\left( 3, 4", "inside of \\left"),
]
WHOLE = [
    WHY,
    "\\boxed{4}",
    "It is $\\boxed{\\frac{1}{2}$.",
    "The set is \\boxed{\\{1, 2\\}}",
    "\\boxed{4}. The brace \\{ opens",
    "Python: `r'\\boxed{'` begins it.",
    'Use text.find("\\boxed{") here.',
    "Set \\boxed{4 and go on.\n\nIt is 4.",
    "```python\nprint(5)\n```",
    "```python\nprint(5)```",
    "````markdown\n```python\nprint(5)\n```\n````",
    "```markdown\n```python\nprint(5)\n```\n```",
    "Write ``` in front of code, and it is shown as code.",
    "It costs \\$5, or $$.",
    "The area is $100-50=\\boxed{50}$$",
    "It is $$\\frac{1}{2}.$$\n\n\\boxed{4-2\\pi}$$",
    "About $$ 5 as the others said before.",
    "Stop it: kill $$ && exit",
    "The value f\\(x) = 3",
    "It is a\\[i] + 1",
    "About 3.14 (truncated).",
    "The solid is a [truncated cube]",
    "In bash, $$ is the id of the process.",
    "The row ends with a\\\\[2pt]\nb",
    "\\begin{align}\nx &= 3 \\\\[2pt]\ny &= 4\n\\end{align}",
    "Write \\begin{align} in front of a line of a formula",
    "The regex \\[ matches an opening bracket.",
    "The regex is `\\[a` here.",
    "The list was truncated (see above).",
    "Floats are truncated toward zero [not rounded].",
    "The answer is 42",
    "They cost $5 and $7 each, together $12",
    "It costs $5, and three cost $5 \\times 3 = 15",
    "The answer is $\\boxed{4}",
    "Use echo $PATH",
    "Run cd $HOME\\Documents",
    "Use $i++",
    "^abc$",
    "[0, 1)",
    "(0, 1]",
    "\\{1, 2\\}",
    "\\{",
    "\\frac{1}{10}",
    "\\left[0, 1\\right)",
    "x \\leftarrow 4",
    "Compute as follows: add 1 and 3.",
    "Pass f(a, **b) or 2**3",
    "- first\n- second",
    "Error code: 404 is that of a page that is not found.",
    "B",
    "Lord of the Rings",
    "what dreams are made of",
    "the",
    'The missing word is "the"',
    "B+",
    "The sign is =",
    "\\boxed{x =}",
    "The best we can",
    "It is who we are",
    "是",
    "答案是5（单位省略）",
    "This story is to be continued.",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "| a | b |\n|---|---|\n| 1 |\n\nIt is 1.",
    "|x| + |y|\n|z|",
    '{"answer": 4, "parts": [{"a": 1}, {"b": "t{o"}]}',
    'It prints {"a": 1, where a is the name.',
    "Let f(x) = {1 if x > 0",
    "{'a': 1}",
]


def read(solution, thought="I add 1 and 3, which are 4."):
    (part,) = read_row({"question": "?", "response": f"<think>{thought}</think>\n\n{solution}"}, "long_thought").parts
    return part


@pytest.mark.parametrize(("solution", "place"), CUT)
def test_a_response_that_stops_inside_of_something_is_dropped_as_cut(solution, place):
    part = read(solution)
    assert (part.reason, part.detail) == ("the response was cut off at the token limit", f"it ends {place}")


def test_a_thought_that_was_truncated_is_dropped_as_cut():
    assert read("It is 4.", f"{WHY} ... [truncated]").detail == "it ends with [truncated]"
    assert read("It is 4.", f"{WHY} [TRUNCATED]").detail == "it ends with [TRUNCATED]"
    assert isinstance(read("It is 4.", f"The list is [truncated] here. {WHY}"), Example)


NO_SOLUTION = [
    "Error code: 429 - {'error': {'message': 'rate limit'}}",
    "ERROR: rate limit exceeded",
    "ERROR: timeout",
    "[ERROR]",
    "API Error: Connection reset by peer",
    "Request timed out.",
    "Generation failed",
    "Internal Server Error",
    "null",
    "NULL",
    "[no answer]",
    "<empty>",
    "(no response)",
    "<openai.types.Completion object at 0x7f3c00>",
    "{answer}",
    "{{ solution }}",
    "<your answer here>",
    "[ANSWER]",
    "<insert your final answer here>",
    "[object Object]",
    "<nil>",
]


@pytest.mark.parametrize("solution", NO_SOLUTION)
def test_an_error_of_an_api_or_a_word_for_nothing_is_no_solution(solution):
    part = read(solution)
    assert part.reason == "the response was broken off"
    assert part.detail == f"in the place of its solution stands {solution}"


@pytest.mark.parametrize("solution", NO_SOLUTION[2:])
def test_the_same_is_one_where_the_question_is_of_it_or_the_thought_has_found_it(solution):
    for question, thought in (("What does it print?", "Let me run it."), ("Which is it?", f"So it is: {solution}")):
        row = {"question": question, "response": f"<think>{thought}</think>\n\n{solution}"}
        (part,) = read_row(row, "long_thought").parts
        assert isinstance(part, Example) and part.response.solution == solution


@pytest.mark.parametrize("solution", WHOLE)
def test_a_response_that_ends_is_kept(solution):
    part = read(solution)
    assert part.response.solution == solution
    assert "mid_sentence" not in [finding.code for finding in row_findings(part, ())]


def test_an_earlier_turn_that_was_cut_off_drops_the_row_and_context_that_was_does_not():
    chat = [("Q?", "<think>a b</think>\n\\boxed{4"), ("R?", "<think>a b</think>\n4.")]
    messages = [
        {"role": role, "content": text}
        for pair in chat
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    (part,) = read_row({"messages": messages}, "long_thought").parts
    assert part.detail == "it ends inside of \\boxed{"

    messages[1]["loss"] = False
    (part,) = read_row({"messages": messages}, "long_thought").parts
    assert [turn.learned for turn in part.turns] == [False, True]


MID = [
    "The final answer is",
    "So the total number of red dots is",
    "We multiply both sides by the",
    "1. Add.\n2. Then multiply by the",
    f"{WHY}\n\nNow we get",
    "It has to be divided by a",
    "So 3 + 4 =",
    "They are: apples, pears, and",
    "The sum is 3 +",
    "所以我们",
    "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |",
    "| a | b |\n| :-- | --: |\n| 1 | 2",
    'It is {"answer": 4, "unit": ',
    'It is {"answer": 4, "parts": [{"a": 1}, {"b": "tw',
    '{"answer": {"value": 4}',
    "先算三加四...(省略)",
    "先算三加四，得七。……（以下省略）",
    "先算三加四（未完待续）",
    f"{WHY} (to be continued)",
    f"{WHY} From this we see, as before, that the",
    f"{WHY} Therefore,",
    f"{WHY} This can be done by adding a + b =",
    "The answer is:",
    "The sheep are 3, 4,",
    "The answer is **12",
    "The answer is (3.5 + 4",
    "The answer is [...]",
    "- first\n- second\n-",
]


@pytest.mark.parametrize("solution", MID)
def test_a_solution_that_ends_in_mid_sentence_is_told(solution):
    (finding,) = row_findings(read(solution), ())
    assert (finding.code, finding.severity) == ("mid_sentence", "warning") and " ".join(solution.split()).endswith(
        finding.detail
    )


def test_a_thought_that_ends_in_mid_sentence_is_told():
    (finding,) = row_findings(read("The answer is 5.", "I add them up, and then the sum of the"), ())
    assert (finding.code, finding.detail) == ("mid_sentence", "and then the sum of the")
    assert row_findings(read("The answer is 5.", "I add them up, and the sum is as said:"), ()) == ()


@pytest.mark.parametrize("solution", ["The", "Lord of the", "It is option a", "So 4 = 4", f"{WHY} Such grades are B+"])
def test_short_answers_and_signs_are_no_broken_sentences(solution):
    assert row_findings(read(solution), ()) == ()
