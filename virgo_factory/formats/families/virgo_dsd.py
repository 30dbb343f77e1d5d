"""D_SD: Virgo's visual long thoughts, five scored responses a question, as released.

Reference: raw_formats.md section 2 (RUC-AIBOX/Virgo-Visual-Long-Thought-Dataset).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.reasons import Reason
from virgo_factory.formats.layouts import chat
from virgo_factory.formats.layouts.messages import message_column, read_messages
from virgo_factory.formats.layouts.responses import choose, maker
from virgo_factory.formats.marks.response_marks import verdicts
from virgo_factory.formats.marks.values import flags
from virgo_factory.formats.options import DIFFICULTIES, Options
from virgo_factory.formats.row import Reading, RejectedRow, question_of


FORMAT = "virgo_dsd"
ANY_OF = ("score",)
COLUMNS = ("question", "answer", "response", "score", "conversation", "images")


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there are responses and as many scores."""
    return isinstance(row.get("response"), list) and isinstance(row.get("score"), list)


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the examples of one D_SD row: the shortest correct response, or all correct ones.

    A row without responses or scores is read as its `conversation` (either spelling). An `<image>` for each image is put in
    front of the question only where it has no place for any; nothing else is repaired.
    """
    responses, correct = row.get("response"), flags(row.get("score"))
    _check_difficulty(correct, options.difficulty)
    column = message_column(row)
    if column is not None and row[column] is None:
        column = None

    if not isinstance(responses, list) or correct is None:
        if column is None:
            raise RejectedRow("no responses with scores, and no conversation", f"expected {', '.join(COLUMNS)}")

        reading = chat.read_chat(row, read_messages(row, column), options)
        named = (replace(p, format=FORMAT, source=FORMAT) if isinstance(p, Example) else p for p in reading.parts)
        return Reading(FORMAT, tuple(named))

    question = question_of(row) if row.get("question") is not None or column is None else _asked(row, column)
    make = maker(row, question, options, tags="four_markers", format=FORMAT, source=FORMAT)
    right = verdicts(row, len(correct)) or correct
    return Reading(FORMAT, choose(responses, right, options, make), is_chosen=True)


def _asked(row: Mapping[str, Any], column: str) -> str:
    return read_messages(row, column).turns[0][0]


def _check_difficulty(correct: list[bool] | None, level: str | None) -> None:
    if level is None:
        return

    if correct is None or len(correct) != 5:
        raise RejectedRow("difficulty not known", "it is the number of correct ones among five responses")

    if sum(correct) not in DIFFICULTIES[level]:
        raise RejectedRow(Reason.OTHER_DIFFICULTY.text(level), f"{sum(correct)} of 5 responses are correct")
