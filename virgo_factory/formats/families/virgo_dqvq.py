r"""D_QVQ: QVQ's untagged chain of thought, split at the block of its final answer.

Reference: raw_formats.md section 3. The split rule is inferred there: the first that applies of the last heading
`Final Answer`, and the last paragraph that holds a balanced \boxed{}. Whatever neither fits is counted, not guessed.
"""

import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.thought import REASONS, LongThought, MalformedThought
from virgo_factory.formats.layouts.messages import message_column, read_messages
from virgo_factory.formats.layouts.tags import is_tagged
from virgo_factory.formats.marks.row_marks import learned_turns
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow, example_of, question_of, text_of


_HEADING = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?[ \t]*+Final Answer[ \t]*+(?:[:*_]++[ \t]*+|$)",
    re.MULTILINE | re.IGNORECASE,
)
_BRACES = re.compile(r"\\boxed[ \t]*\{|\\.|[{}]", re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")


def adapt(row: Mapping[str, Any], options: Options = Options()) -> Example:
    """Return the example of one rollout: `question` and `response`, or one question and its answer in messages.

    Raises RejectedRow for no text, one cut off at the token limit (`finish_reason`), or without a final-answer block.
    """
    column = message_column(row)
    system = None
    if column is None or row.get("response") is not None:
        question, response = question_of(row), text_of(row, "response")
    else:
        chat = read_messages(row, column)
        if len(chat.turns) > 1:
            raise RejectedRow("several questions", f"{len(chat.turns)} in {column}; expected one")

        if chat.has_thoughts:
            raise RejectedRow("the thought stands apart from the response", "formatting long_thought reads such rows")

        system, ((question, response, *_),) = chat.system, chat.turns
        (reason,), _ = learned_turns(row, chat.responses)
        if reason:
            raise reason

    found = _thought(response, options.keep_malformed)
    return example_of(row, question, found, "virgo_dqvq", source="virgo_dqvq", system=system)


def _thought(response: str, keep_malformed: bool) -> LongThought | str:
    try:
        return split(response)
    except RejectedRow:
        if keep_malformed and response.strip():
            return response

        raise


def split(response: str) -> LongThought:
    """Return thought and solution of an untagged response; the solution begins with the heading or paragraph found.

    Raises RejectedRow where it has tags of another format, or neither a final-answer heading with text behind it nor a box,
    or nothing in front of it.
    """
    if is_tagged(response):
        raise RejectedRow("the response has tags", "formatting long_thought reads them")

    start = _heading(response)
    if start is None:
        start = _boxed_paragraph(response)

    if start is None:
        raise RejectedRow(
            "no final answer to split at", "neither a Final Answer heading nor a paragraph with \\boxed{}"
        )

    try:
        return LongThought(response[:start], response[start:])
    except MalformedThought as error:
        raise RejectedRow(REASONS[error.reason], "split at the final answer") from None


def _heading(response: str) -> int | None:
    last = None
    for last in _HEADING.finditer(response):
        pass

    return last.start() if last and response[last.end() :].strip() else None


def _boxed_paragraph(response: str) -> int | None:
    opened: list[int | None] = []
    last = -1
    for token in _BRACES.finditer(response):
        text = token.group()
        if text.startswith("\\boxed"):
            opened.append(token.start())
        elif text == "{":
            opened.append(None)
        elif text == "}" and opened and (begin := opened.pop()) is not None:
            last = max(last, begin)

    if last < 0:
        return None

    start = 0
    for blank in _BLANK_LINE.finditer(response, 0, last):
        start = blank.end()

    return start if response[:start].strip() else None
