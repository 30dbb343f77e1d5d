"""Several judged responses to one question, in any of the tag sets.

OpenR1-Math-220k (reference: raw_formats.md section 7), the result files of Sky-T1's evaluation (the real rows of
SkyThought: `code` holds the responses there, or an object `responses` with content and correctness), and Mulberry's
search (README of comcts in HJYao00/Mulberry).
"""

from collections.abc import Mapping
from typing import Any

from virgo_factory.adapters.options import Options
from virgo_factory.adapters.responses import choose, flags
from virgo_factory.adapters.row import (
    Reading,
    RejectedRow,
    answer_of,
    bare,
    check_finished,
    domain_of,
    plain,
    question_of,
    read_images,
    row_id,
    source_of,
    with_image,
)
from virgo_factory.adapters.tags import format_of, parse_response, shows
from virgo_factory.example import Example


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a list of responses in one of the layouts."""
    return is_openr1(row) or is_scored_code(row) or is_keyed(row) or is_searched(row)


def is_openr1(row: Mapping[str, Any]) -> bool:
    """OpenR1: `generations`, with verdicts in columns of their own."""
    return isinstance(row.get("generations"), list)


def is_scored_code(row: Mapping[str, Any]) -> bool:
    """Result files of the Qwen2.5-Math evaluation: lists `code` (the responses), `pred` and `score`."""
    return all(isinstance(row.get(column), list) for column in ("code", "pred", "score"))


def is_keyed(row: Mapping[str, Any]) -> bool:
    """Result files of the SkyThought evaluation: {"0.0": {"content": ..., "correctness": ...}}."""
    responses = row.get("responses")
    return isinstance(responses, Mapping) and bool(responses) and all(map(_is_judged, responses.values()))


def _is_judged(response: Any) -> bool:
    return isinstance(response, Mapping) and "content" in response and "correctness" in response


def is_searched(row: Mapping[str, Any]) -> bool:
    """What CoMCTS (Mulberry's search) gives: for each model an object with `response` and `is_correct`, 1 or -1."""
    return "prefix_prompt" in row and bool(_searched(row))


def _searched(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = (value for value in row.values() if isinstance(value, Mapping))
    return [value for value in found if "response" in value and ("is_correct" in value or "valid" in value)]


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of the shortest correct response, or of all correct ones.

    Raises:
        RejectedRow: no question, no verdicts, or none correct.
    """
    reasons: list[Any] = []
    if is_openr1(row):
        responses, correct, answers = row["generations"], _openr1_verdicts(row), ("answer",)
        reasons = plain(row.get("finish_reasons")) or []
    elif is_scored_code(row):
        responses, correct, answers = row["code"], flags(row["score"]), ("gt", "answer")
    elif is_searched(row):
        searched = _searched(row)
        responses, answers = [response["response"] for response in searched], ("answer",)
        correct = [response.get("is_correct") in (1, True) for response in searched]
    else:
        judged = list(row["responses"].values())
        responses = [response["content"] for response in judged]
        correct, answers = [response["correctness"] is True for response in judged], ("answer",)

    names = [(text, format_of(text)) for text in responses if isinstance(text, str)]
    format = next((name for text, name in names if shows(text, name)), None)
    question = question_of(row)
    if correct is None:
        return Reading(format, (RejectedRow("no verdicts on the responses", "which are correct is not known"),))

    images = read_images(row)
    id = row_id(row, question)

    def make(position: int, response: Any, keep: bool) -> Example:
        if not isinstance(response, str):
            raise RejectedRow("a response is not text", f"found {type(response).__name__}")

        check_finished(reasons[position] if isinstance(reasons, list) and position < len(reasons) else None)
        name = format_of(response)
        return Example(
            id=f"{id}-{position}" if options.responses == "all" else id,
            question=with_image(question, images),
            response=parse_response(response.replace("\r\n", "\n"), name, keep),
            images=images,
            answer=answer_of(row, answers),
            source=source_of(row) or name,
            domain=domain_of(row),
            format=name,
        )

    try:
        return Reading(format, choose(responses, correct, options, make))
    except RejectedRow as error:
        return Reading(format, (bare(error),))


def _openr1_verdicts(row: Mapping[str, Any]) -> list[bool] | None:
    """Return which generations are complete and correct by one of the two verifiers; None if neither has judged.

    A generation without a verdict is not correct.
    """
    verdicts = [flags(plain(row.get(f"correctness_{verifier}"))) for verifier in ("math_verify", "llama")]
    known = [verdict for verdict in verdicts if verdict is not None]
    if not known:
        return None

    size = len(row["generations"])
    complete = flags(plain(row.get("is_reasoning_complete"))) or [True] * size
    padded = [(*verdict, *[False] * size)[:size] for verdict in (complete, *known)]
    return [is_complete and any(judged) for is_complete, *judged in zip(*padded, strict=True)]
