"""Why no family reads a row, and what its user can do: the columns that look like a thought, and the line that names them."""

import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.formats.fields import LIKE_A_THOUGHT, question_columns
from virgo_factory.formats.layouts.messages import MESSAGE_COLUMNS
from virgo_factory.formats.marks.names import snake
from virgo_factory.formats.row import RejectedRow, columns_found, naming


EXPECTED = (
    "messages, conversations or conversation; question (problem, instruction, prompt) and response (combined_text, "
    "ds_answer, model_response, output); question, thought (reasoning, thinking, ...) and solution; problem, "
    "deepseek_reasoning and deepseek_solution; Question, Complex_CoT and Response; "
    "problem and generations; question, response and score (lists); question, code, pred and score (lists); "
    "question and steps; instruction, thinking and text (lists)"
)

ANSWERS = ("response", "output", "completion", "combined_text", "solution with thought or reasoning")
TOKENS = ("input_ids", "token_ids", "tokens", "labels")
TEMPLATED = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|\[INST\]|<\uff5cUser\uff5c>|<start_of_turn>|<\|user\|>|<\|start\|>(?:system|developer|user)<"
)
"""A text as a chat template made it, for the model."""
_QUESTION = re.compile(r"q|ask(?:ed)?|(?:.*_)?(?:question|problem|prompt|query|instruction|input|task|user)(?:_.*)?")
_SOLUTION = re.compile(
    r"a|(?:.*_)?(?:solution|answer|response|output|final|result|completion|reply|attempt|target|conclusion)(?:_.*)?"
)


def reason_of(row: Mapping[str, Any]) -> RejectedRow:
    """Return why a row that no family recognises cannot be read."""
    texts = [name for name, value in row.items() if isinstance(value, str) and value.strip()]
    tokens = next((name for name in TOKENS if _is_numbers(row.get(name))), None)
    if tokens:
        return RejectedRow("the row is tokenised", f"{tokens} holds numbers; use the dataset as it was before")

    templated = next((name for name in texts if TEMPLATED.search(row[name][:100_000])), None)
    if templated and not question_columns(tuple(texts)):
        return RejectedRow(
            "the row is the text of a chat template",
            f"{templated[:60]}; use the dataset as it was before, as messages",
        )

    if inside := _inside(row):
        return RejectedRow(
            "the row is inside of an object", f"{columns_found(row)}; name what is inside: {naming(**inside)}"
        )

    question = _like(_QUESTION, texts, ())
    thought = _like(LIKE_A_THOUGHT, texts, (question,))
    solution = _like(_SOLUTION, texts, (question, thought))
    line = _line(question, thought, solution)
    if question_columns(tuple(texts)) and not thought:
        if not solution:
            return RejectedRow(
                "no response in the row", f"{columns_found(row)}; expected one of: {', '.join(ANSWERS)}"
            )

        other = _like(
            _SOLUTION, texts, (question, solution)
        )  # LIMO's solution is a thought, and its answer the solution
        if other:
            thought, solution = sorted((solution, other), key=lambda name: -len(row[name]))

        return RejectedRow(
            "no thought in the row",
            f"{columns_found(row)}; no tags part a thought from a solution. Where a column is one, name it: "
            f"{_line(question, thought, solution)}",
        )

    like = f"{thought[:60]} looks like a thought" if thought else "where columns are thought and solution"
    named = f"; {like}, name them: {line}" if texts else ""
    return RejectedRow("format not known", f"{columns_found(row)}; expected one of: {EXPECTED}{named}")


def _inside(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the `columns` of a row whose conversation, or question and response, are keys of an object; {} without."""
    for name, value in row.items():
        if not isinstance(value, dict):
            continue

        keys = {snake(key): f"{name}.{key}" for key in value if isinstance(key, str)}
        if chat := next((keys[word] for word in MESSAGE_COLUMNS if word in keys), None):
            return {"messages": chat}

        question = next((keys[word] for word in keys if _QUESTION.fullmatch(word)), None)
        response = next((keys[word] for word in keys if _SOLUTION.fullmatch(word) and keys[word] != question), None)
        if question and response:
            thought = next((keys[word] for word in keys if LIKE_A_THOUGHT.fullmatch(word)), None)
            named = {"question": question, "thought": thought, "solution" if thought else "response": response}
            return {key: place[:60] for key, place in named.items() if place}

    return {}


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], int)


def _like(pattern: re.Pattern[str], names: list[str], others: tuple[str | None, ...]) -> str | None:
    return next((name for name in names if name not in others and pattern.fullmatch(snake(name))), None)


def _line(question: str | None, thought: str | None, solution: str | None) -> str:
    """Return the line that names the columns, with dots for those that cannot be told."""
    names = {"question": question, "thought": thought, "solution": solution}
    return naming(**{key: (name or "...")[:60] for key, name in names.items()})
