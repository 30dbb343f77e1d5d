"""Rows with tools: those that come with them or call them are not trained on, those that speak of them are."""

import json

import pytest

from virgo_factory.core.example import Example
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats import read_row


ZOOM = {"name": "zoom", "parameters": {"type": "object"}}
FUNCTION = {"type": "function", "function": ZOOM}


def read(thought="There are 4.", solution="It is 4.", formatting="long_thought", **columns):
    response = f"<think>\n{thought}\n</think>\n\n{solution}"
    messages = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": response}]
    (part,) = read_row({"id": "r", "messages": messages, **columns}, formatting).parts
    return part


@pytest.mark.parametrize("column", ["tools", "functions", "available_tools"])
@pytest.mark.parametrize("value", [[ZOOM], [FUNCTION], json.dumps([FUNCTION]), [json.dumps(ZOOM)], FUNCTION], ids=str)
def test_a_row_that_comes_with_tools_is_not_trained_on(column, value):
    found = read(**{column: value})
    assert found.reason == "tool calls are not trained"
    assert f"1 in {column}" in found.detail and "take the column out" in found.detail


def test_calls_beside_the_response_are_tools_as_well():
    assert read(tool_calls=[{"function": {"name": "zoom", "arguments": "{}"}}]).reason == "tool calls are not trained"
    messages = [{"role": "system", "content": "", "tools": [FUNCTION]}, {"role": "user", "content": "How many?"}]
    messages += [{"role": "assistant", "content": "<think>\na\n</think>\n\nb"}]
    (found,) = read_row({"messages": messages}, "long_thought").parts
    assert found.reason == "tool calls are not trained" and "messages.tools" in found.detail


@pytest.mark.parametrize(
    "columns",
    [{"tools": []}, {"tools": None}, {"tools": "[]"}, {"tools": ""}, {"functions": "f(x) = x and g(x) = 2"}, {"functions": ["sin", "cos"]},
     {"functions": "[1, 2"}, {"tool_calls": []}, {"function_call": None}],
    ids=str,
)  # fmt: skip
def test_a_row_without_tools_is_trained_on(columns):
    assert isinstance(read(**columns), Example)


CALLS = (
    '<tool_call>{"name": "zoom"}</tool_call>', "<function_call>zoom()</function_call>", "<function=zoom>x</function>",
    "<tool_response>a</tool_response>", '<invoke name="zoom">', "<function_calls>", "<interpreter>4</interpreter>",
    "<search>dots</search> <information>There are 4.</information>", "\nAction: search\nAction Input: dots\nObservation: 4",
)  # fmt: skip
SPOKEN_OF = (
    "The tag `<tool_call>` begins a call.", "```xml\n<tool_call>\n</tool_call>\n```", 'It prints "<tool_call> and a name".',
    "<information>", "Observation: it is so.", "Action: none", "a<function>b", "f<x>g", "<tool>",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_response_that_calls_a_tool_is_not_trained_on(call):
    for found in (read(thought=f"I look. {call}"), read(solution=f"It is 4. {call}")):
        assert found.reason == "tool calls are not trained" and found.detail.endswith("in the response")


@pytest.mark.parametrize("text", SPOKEN_OF)
def test_a_response_that_speaks_of_a_call_is_trained_on(text):
    for found in (read(thought=f"I look. {text} So."), read(solution=f"{text} It is 4.")):
        assert isinstance(found, Example)


def test_code_with_its_output_is_told():
    run = "```python\nprint(4)\n```\n```output\n4\n```"
    for text, codes in ((run, ["code_output"]), ("```python\nprint(4)\n```\nIt prints\n```\n4\n```", [])):
        example = read(thought=f"I run it.\n{text}\nSo 4.")
        assert [found.code for found in row_findings(example, [])] == codes
