"""Several judged responses to one question, in any of the tag sets.

OpenR1-Math-220k (reference: raw_formats.md section 7), its like with other names of columns, the result files of
Sky-T1's evaluation (the real rows of SkyThought: `code` holds the responses there, or an object `responses` with content
and correctness), and Mulberry's search (README of comcts in HJYao00/Mulberry).
"""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.formats.mark_values import flags, said
from virgo_factory.formats.marks import check_response
from virgo_factory.formats.options import Options
from virgo_factory.formats.response_marks import check_marks, verdicts
from virgo_factory.formats.responses import choose
from virgo_factory.formats.row import Reading, RejectedRow, bare, example_of, question_of, row_id
from virgo_factory.formats.tags import format_of, parse_response, shows
from virgo_factory.formats.texts import unix


LISTS = ("responses", "response", "completions", "outputs", "output", "samples", "solutions", "candidates")
ANY_OF = ("generations", "code", "responses", "prefix_prompt", *LISTS)


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a list of responses in one of the layouts."""
    known = is_openr1(row) or is_scored_code(row) or is_keyed(row) or is_searched(row)
    return known or listed_column(row) is not None


def is_openr1(row: Mapping[str, Any]) -> bool:
    """OpenR1: `generations`, with verdicts in columns of their own."""
    return isinstance(row.get("generations"), list)


def listed_column(row: Mapping[str, Any]) -> str | None:
    """Return the column with a list of texts on which another list has a verdict each; None without one."""
    for column in LISTS:
        responses = row.get(column)
        if isinstance(responses, list) and responses and all(isinstance(response, str) for response in responses):
            return column if verdicts(row, len(responses)) is not None else None

    return None


def is_scored_code(row: Mapping[str, Any]) -> bool:
    """Result files of the Qwen2.5-Math evaluation: lists `code` (the responses), `pred` and `score`."""
    return all(isinstance(row.get(column), list) for column in ("code", "pred", "score"))


def is_keyed(row: Mapping[str, Any]) -> bool:
    """Result files of the SkyThought evaluation: {"0.0": {"content": ..., "correctness": ...}}."""
    responses = row.get("responses")
    return isinstance(responses, dict) and bool(responses) and all(map(_is_judged, responses.values()))


def _is_judged(response: Any) -> bool:
    return isinstance(response, dict) and "content" in response and "correctness" in response


def is_searched(row: Mapping[str, Any]) -> bool:
    """What CoMCTS (Mulberry's search) gives: for each model an object with `response` and `is_correct`, 1 or -1."""
    return "prefix_prompt" in row and bool(_searched(row))


def _searched(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = (value for value in row.values() if isinstance(value, dict))
    return [value for value in found if "response" in value and ("is_correct" in value or "valid" in value)]


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of the shortest correct response, or of all correct ones.

    Raises:
        RejectedRow: no question, no verdicts, or none correct.
    """
    judged: list[Mapping[str, Any]] = []
    if is_openr1(row):
        responses, answers = row["generations"], ("answer",)
        correct = _complete(row, verdicts(row, len(responses)))
    elif is_scored_code(row):
        responses, correct, answers = row["code"], flags(row["score"]), ("gt", "answer")
        correct = correct and (verdicts(row, len(correct)) or correct)
    elif is_searched(row):
        judged = _searched(row)
        responses, answers = [response["response"] for response in judged], ("answer",)
        correct = [said(response.get("is_correct")) is True for response in judged]
    elif column := listed_column(row):
        responses, answers = row[column], ("answer", "gt")
        correct = _complete(row, verdicts(row, len(responses)))
    else:
        judged = list(row["responses"].values())
        responses = [response["content"] for response in judged]
        correct, answers = [said(response["correctness"]) is True for response in judged], ("answer",)

    names = [(text, format_of(text)) for text in responses if isinstance(text, str)]
    format = next((name for text, name in names if shows(text, name)), None)
    question = question_of(row)
    if correct is None:
        return Reading(format, (RejectedRow("no verdicts on the responses", "which are correct is not known"),))

    id = row_id(row, question)

    def make(position: int, response: Any, keep: bool) -> Example:
        if not isinstance(response, str):
            raise RejectedRow("a response is not text", f"found {type(response).__name__}")

        check_response(row, position)
        if judged:
            check_marks(judged[position])

        name = format_of(response)
        own = f"{id}-{position}" if options.responses == "all" else id
        return example_of(row, question, parse_response(unix(response), name, keep), name, answers, own)

    try:
        return Reading(format, choose(responses, correct, options, make), is_chosen=True)
    except RejectedRow as error:
        return Reading(format, (bare(error),))


def _complete(row: Mapping[str, Any], correct: list[bool] | None) -> list[bool] | None:
    """Return which responses are correct and complete (`is_reasoning_complete`)."""
    complete = flags(row.get("is_reasoning_complete"))
    if correct is None or complete is None:
        return correct

    padded = (*complete, *[False] * len(correct))
    return [is_correct and is_complete for is_correct, is_complete in zip(correct, padded, strict=False)]
