"""Several judged responses to one question, in any of the tag sets.

OpenR1-Math-220k (reference: raw_formats.md section 7), its like with other names of columns, the result files of
Sky-T1's evaluation (the real rows of SkyThought: `code` holds the responses there, or an object `responses` with content
and correctness), and Mulberry's search (README of comcts in HJYao00/Mulberry).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from virgo_factory.formats.layouts.messages import message_column
from virgo_factory.formats.layouts.question_response import RESPONSE_COLUMNS
from virgo_factory.formats.layouts.responses import choose, maker
from virgo_factory.formats.layouts.tags import format_of, is_tagged, shows
from virgo_factory.formats.layouts.thought_columns import NAMED, layout_of
from virgo_factory.formats.marks.names import VERDICTS
from virgo_factory.formats.marks.response_marks import check_marks, marks_of, verdict_lists, verdicts
from virgo_factory.formats.marks.row_marks import check_response
from virgo_factory.formats.marks.values import flags, said
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import Reading, RejectedRow, bare, naming, question_of


LISTS = (
    "responses", "response", "completions", "outputs", "output", "samples", "solutions", "candidates", "rollouts", "attempts",
)  # fmt: skip
ANY_OF = ("generations", "code", "prefix_prompt", *LISTS)
_TEXTS = ("content", "text", "response", "output", "completion", "generation")
"""Keys of an object that is one response of several."""


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a list of responses in one of the layouts, and no response in columns of its own."""
    if any(isinstance(text := row.get(column), str) and format_of(text) for column in RESPONSE_COLUMNS):
        return False

    if (layout := layout_of(row)) == NAMED and row[layout.thought]:
        return False

    known = is_openr1(row) or is_scored_code(row) or is_searched(row)
    return known or listed_column(row) is not None or bool(_objects(row))


def is_openr1(row: Mapping[str, Any]) -> bool:
    """OpenR1: `generations`, with verdicts in columns of their own."""
    return isinstance(row.get("generations"), list) and not _objects(row)


def listed_column(row: Mapping[str, Any]) -> str | None:
    """Return the column with a list of texts that are responses by their tags, or by the verdicts of another list."""
    for column in LISTS:
        responses = row.get(column)
        if isinstance(responses, list) and responses and all(isinstance(response, str) for response in responses):
            if any(map(is_tagged, responses)) and (_is_alone(row) or verdict_lists(row)):
                return column

            sizes = {len(values) for _, values in verdict_lists(row)}
            return column if sizes == {len(responses)} else None

    return None


def _is_alone(row: Mapping[str, Any]) -> bool:
    """Whether a row has no response in a column of its own, and no messages."""
    return message_column(row) is None and not any(isinstance(row.get(column), str) for column in RESPONSE_COLUMNS)


def is_scored_code(row: Mapping[str, Any]) -> bool:
    """Result files of the Qwen2.5-Math evaluation: lists `code` (the responses), `pred` and `score`."""
    return all(isinstance(row.get(column), list) for column in ("code", "pred", "score"))


def _objects(row: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (text, object) of responses that are objects, each with its own marks.

    They stand in a list, or as SkyThought's evaluation has them: {"0.0": {"content": ..., "correctness": ...}}.
    """
    for column in ("generations", *LISTS):
        responses = row.get(column)
        responses = list(responses.values()) if isinstance(responses, dict) else responses
        if not isinstance(responses, list) or not responses or not all(isinstance(one, dict) for one in responses):
            continue

        if not (_is_alone(row) or all(_is_right(one) is not None for one in responses)):
            continue

        keys = [next((key for key in _TEXTS if isinstance(one.get(key), str)), None) for one in responses]
        if all(keys) and not any("role" in one or "type" in one for one in responses):
            return [(one[key], one) for one, key in zip(responses, keys, strict=True)]

    return []


def _is_right(response: Mapping[str, Any]) -> bool | None:
    """Return whether an object says of itself that it is right; None where it says nothing of it."""
    answers = {said(mark.value) for mark in marks_of(response) if mark.kinds & VERDICTS} - {None, "?"}
    return None if not answers else answers == {True}


def is_searched(row: Mapping[str, Any]) -> bool:
    """What CoMCTS (Mulberry's search) gives: for each model an object with `response` and `is_correct`, 1 or -1."""
    return "prefix_prompt" in row and bool(_searched(row))


def _searched(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = (value for value in row.values() if isinstance(value, dict))
    return [value for value in found if "response" in value and ("is_correct" in value or "valid" in value)]


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of the shortest correct response, or of all correct ones.

    Raises RejectedRow for no question, no verdicts, or none correct; a thought and a solution in columns of their own.
    """
    is_plain = is_scored_code(row) or "response" in options.columns  # of the former `cot` is the gold answer's
    if (own := None if is_plain else layout_of(row)) and row[own.thought]:
        told = f"one in {own.thought} and {own.solution}, and a list of others; say which is meant: "
        line = naming(thought=own.thought, solution=own.solution)
        raise RejectedRow("two responses in the row", f'{told}{line}, or {{"response": NAME OF THE LIST}}')

    judged: list[Mapping[str, Any]] = []
    row = _with_lists(row)
    if is_openr1(row):
        responses = row["generations"]
        correct = _complete(row, verdicts(row, len(responses)))
    elif is_scored_code(row):
        responses, correct = row["code"], flags(row["score"])
        correct = correct and (verdicts(row, len(correct)) or correct)
    elif is_searched(row):
        judged = _searched(row)
        responses = [response["response"] for response in judged]
        correct = [said(response.get("is_correct")) is True for response in judged]
    elif column := listed_column(row):
        responses = row[column]
        correct = _complete(row, verdicts(row, len(responses)))
    else:
        responses, judged = map(list, zip(*_objects(row), strict=True))
        correct = list(map(_is_right, judged))
        correct = [answer is True for answer in correct] if any(answer is not None for answer in correct) else None

    if correct is None:
        correct = _taken(row, judged or [{}] * len(responses))

    names = [(text, format_of(text)) for text in responses if isinstance(text, str)]
    format = next((name for text, name in names if shows(text, name)), None)
    question = question_of(row)
    make = maker(row, question, options, judged)
    try:
        return Reading(format, choose(responses, correct, options, make), is_chosen=True)
    except RejectedRow as error:
        return Reading(format, (bare(error),))


def _with_lists(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row in which an object a response (`evaluations`) is an object of lists, as marks are read."""
    size = next((len(row[name]) for name in ANY_OF if isinstance(row.get(name), list)), 0)
    found = {}
    for name, value in row.items():
        if isinstance(value, list) and len(value) == size > 1 and all(isinstance(one, dict) for one in value):
            if name not in ANY_OF:
                found[name] = {key: [one.get(key) for one in value] for key in value[0]}

    return {**row, **found} if found else row


def _taken(row: Mapping[str, Any], responses: Sequence[Mapping[str, Any]]) -> list[bool | None]:
    """Return which responses without verdicts are taken: one alone, or the only one that was not cut off.

    Of several whole ones it is not known; where none is whole all are, and each is rejected for that.
    """
    places = range(len(responses))
    whole = [position for position in places if _is_whole(row, position, responses[position])]
    return [None] * len(places) if len(whole) > 1 else [position in whole or not whole for position in places]


def _is_whole(row: Mapping[str, Any], position: int, response: Mapping[str, Any]) -> bool:
    try:
        check_response(row, position)
        check_marks(response)
    except RejectedRow:
        return False

    return True


def _complete(row: Mapping[str, Any], correct: list[bool | None] | None) -> list[bool | None] | None:
    """Return which responses are correct and complete (`is_reasoning_complete`)."""
    complete = flags(row.get("is_reasoning_complete"))
    if correct is None or complete is None:
        return correct

    padded = (*complete, *[False] * len(correct))
    return [is_complete and is_correct for is_correct, is_complete in zip(correct, padded, strict=False)]
