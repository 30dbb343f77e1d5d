"""D_T: text-only long thoughts, as published with STILL-2 or as chat rows, with the four markers."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.adapters.row import (
    MESSAGE_COLUMNS,
    RejectedRow,
    domain_of,
    read_images,
    read_messages,
    read_response,
    row_id,
    text_of,
)
from virgo_factory.example import Example, Turn


def adapt(row: Mapping[str, Any], keep_malformed: bool = False) -> Example:
    """Return the example of one D_T row.

    Two layouts: `question`, `combined_text`, `domain` of RUC-AIBOX/long_form_thought_data_5k (reference:
    raw_formats.md section 1), and chat rows whose responses carry the four markers (section 4; several turns, a
    system message and images are read as well).

    Args:
        row: the raw row.
        keep_malformed: keep a response that is no long thought as the text it is.

    Raises:
        RejectedRow: the row gives no example.
    """
    is_chat = any(column in row for column in MESSAGE_COLUMNS)
    if "combined_text" in row or ("question" in row and not is_chat):
        question = text_of(row, "question")
        return Example(
            id=row_id(row, question),
            question=question,
            response=read_response(text_of(row, "combined_text"), keep_malformed),
            images=read_images(row),
            source="virgo_dt",
            domain=domain_of(row),
        )

    for column in MESSAGE_COLUMNS:
        if column in row:
            system, turns = read_messages(row, column)
            *history, (question, response) = turns
            return Example(
                id=row_id(row, question),
                question=question,
                response=read_response(response, keep_malformed),
                images=read_images(row),
                history=tuple(Turn(text, read_response(answer, keep_malformed)) for text, answer in history),
                system=system,
                source="virgo_dt",
                domain=domain_of(row),
            )

    raise RejectedRow(
        "columns not known",
        f"columns found: {', '.join(map(str, row)) or 'none'}; expected question and combined_text, "
        f"or one of {', '.join(MESSAGE_COLUMNS)}",
    )
