"""D_T: text-only long thoughts, as published with STILL-2 or as chat rows, with the four markers."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example, Turn
from virgo_factory.formats.layouts.messages import MESSAGE_COLUMNS, message_column, read_messages
from virgo_factory.formats.layouts.tags import parse_response
from virgo_factory.formats.marks.row_marks import learned_turns
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow, columns_found, domain_of, first_column, read_images, row_id, text_of


def adapt(row: Mapping[str, Any], options: Options = Options()) -> Example:
    """Return the example of one D_T row.

    Two layouts: `question`, `combined_text`, `domain` of RUC-AIBOX/long_form_thought_data_5k (reference:
    raw_formats.md section 1), and chat rows whose responses carry the four markers (section 4; several turns, a
    system message and images are read as well). Nothing is repaired, and a system message stays as it is.
    """
    keep = options.keep_malformed
    column = None if "combined_text" in row else message_column(row)
    if "combined_text" in row or ("question" in row and column is None):
        question = text_of(row, "question")
        named = first_column(row, ("combined_text", "response")) or "combined_text"  # response: by `columns`
        return Example(
            id=row_id(row, question),
            question=question,
            response=parse_response(text_of(row, named), "four_markers", keep),
            images=read_images(row),
            source="virgo_dt",
            domain=domain_of(row),
            format="virgo_dt",
        )

    if column is None:
        raise RejectedRow(
            "columns not known",
            f"{columns_found(row)}; expected question and combined_text, or one of {', '.join(MESSAGE_COLUMNS)}",
        )

    chat = read_messages(row, column)
    if chat.has_thoughts:
        raise RejectedRow("the thought stands apart from the response", "formatting long_thought reads such rows")

    why, notes = learned_turns(row, chat.responses)
    turns = [
        Turn(one.question, parse_response(one.response, "four_markers", keep or reason is not None), reason is None)
        for one, reason in zip(chat.turns, why, strict=True)
    ]
    *history, last = turns
    return Example(
        id=row_id(row, last.question),
        question=last.question,
        response=last.response,
        images=read_images(row) or chat.images,
        history=tuple(history),
        system=chat.system,
        source="virgo_dt",
        domain=domain_of(row),
        format="virgo_dt",
        learned=last.learned,
        notes=notes,
    )
