"""What docs/data.md says of rows is what they give."""

import json
import re
from pathlib import Path

import pytest

from virgo_factory.core.example import Example
from virgo_factory.formats import Options, options_of, read_row


PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
THINK = "<think>\nI add them.\n</think>\n\nThe answer is 9."


def messages(response: str = THINK, **marks) -> list[dict]:
    return [{"role": "user", "content": "What is 4 + 5?"}, {"role": "assistant", "content": response, **marks}]


def test_the_entry_on_the_page_reads_the_columns_that_it_names():
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    entry = json.loads(block)["my_thoughts"]
    options = options_of(entry, "drop")
    (example,) = read_row({"q": "What is 4 + 5?", "chain": "I add.", "final": "9"}, entry["formatting"], options).parts
    assert (example.response.thought, example.response.solution) == ("I add.", "9")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_fields_of_a_message(field):
    assert f"`{field}`" in PAGE
    (example,) = read_row({"messages": messages("9", **{field: "I add."})}, "long_thought", Options()).parts
    assert (example.response.thought, example.response.solution) == ("I add.", "9")


@pytest.mark.parametrize(
    "column",
    ["correct", "is_correct", "verdict", "score", "reward", "passed", "verified", "keep", "correctness_math_verify"],
)
def test_marks_of_wrong_responses(column):
    assert f"`{column}`" in PAGE
    assert not isinstance(read_row({"messages": messages(), column: 0}, "long_thought", Options()).parts[0], Example)


@pytest.mark.parametrize("column", ["loss", "weight", "train", "loss_mask"])
def test_marks_of_turns(column):
    assert f"`{column}`" in PAGE
    chat = messages(**{column: 0}) + messages()
    (example,) = read_row({"messages": chat}, "long_thought", Options()).parts
    assert [turn.learned for turn in example.turns] == [False, True]


@pytest.mark.parametrize("column", ["answer", "label"])
def test_golds_are_no_marks(column):
    assert f"`{column}`" in PAGE
    assert isinstance(read_row({"messages": messages(), column: "no"}, "long_thought", Options()).parts[0], Example)


@pytest.mark.parametrize("token", ["</s>", "<|eot_id|>", "<end_of_turn>"])
def test_control_tokens(token):
    assert f"`{token}`" in PAGE
    assert not isinstance(read_row({"messages": messages(THINK + token)}, "long_thought", Options()).parts[0], Example)
    assert isinstance(
        read_row({"messages": messages(f"{THINK} `{token}`")}, "long_thought", Options()).parts[0], Example
    )
