"""Choosing among the responses of one row: Virgo's shortest correct one, or all correct ones."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.reasons import Reason
from virgo_factory.formats.layouts.tags import format_of, parse_response
from virgo_factory.formats.marks.response_marks import check_marks
from virgo_factory.formats.marks.row_marks import check_response
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow, attempt, example_of, row_id
from virgo_factory.formats.texts import unix


NO_VERDICTS = "no verdicts on the responses"
NO_VERDICTS_DETAIL = "which of {} are correct is not known; a list `correct` with true or false for each says so"


def maker(
    row: Mapping[str, Any],
    question: str,
    options: Options,
    judged: Sequence[Mapping[str, Any]] = (),
    tags: str | None = None,
    **more: Any,
) -> Callable[[int, Any, bool], Example]:
    """Return what makes the example of one of several responses, for `choose`.

    `row` may say of a response that it was cut off, or is not to be learned; so may its own object in `judged`. `tags` are
    those of all responses, by default what each shows; `more` are fields of the Example.
    """
    id = row_id(row, question)

    def make(position: int, response: Any, keep: bool) -> Example:
        if not isinstance(response, str):
            raise RejectedRow("a response is not text", f"found {type(response).__name__}")

        check_response(row, position)
        if judged:
            check_marks(judged[position])

        name, own = tags or format_of(response), f"{id}-{position}" if options.responses == "all" else id
        known = {"format": name} | more
        return example_of(row, question, parse_response(unix(response), name, keep), id=own, **known)

    return make


def choose(
    responses: list[Any], correct: list[bool | None], options: Options, make: Callable[[int, Any, bool], Example]
) -> tuple[Example | RejectedRow, ...]:
    """Return the examples of the responses that are chosen, or reasons; never empty.

    "shortest" gives one part: the shortest correct response in characters, of equal ones the first, that gives an
    example; a malformed one passes to the next. "all" gives one part for every correct response. `correct` is None of one of
    which it is not known; `make` takes position, response and keep_malformed, and may raise RejectedRow. Raises RejectedRow
    where none is correct, or known to be, or there are more or fewer verdicts than responses.
    """
    if len(responses) != len(correct):
        raise RejectedRow(
            "responses and verdicts do not match", f"{len(responses)} responses, {len(correct)} verdicts"
        )

    chosen = [position for position, is_correct in enumerate(correct) if is_correct]
    if not chosen and None in correct:
        raise RejectedRow(NO_VERDICTS, NO_VERDICTS_DETAIL.format(len(responses)))

    if not chosen:
        raise RejectedRow(Reason.NO_CORRECT.text(), f"0 of {len(responses)}")

    def part(position: int, keep: bool) -> Example | RejectedRow:
        return attempt(lambda: make(position, responses[position], keep))

    if options.responses == "all":
        return tuple(part(position, options.keep_malformed) for position in chosen)

    chosen.sort(key=lambda at: len(responses[at]) if isinstance(responses[at], str) else float("inf"))
    reasons = []
    for keep in (False, True) if options.keep_malformed else (False,):
        for position in chosen:
            found = part(position, keep)
            if isinstance(found, Example):
                return (found,)

            reasons.append(found)

    return (_common(reasons[: len(chosen)]),)


def _common(reasons: list[RejectedRow]) -> RejectedRow:
    """Return the one reason that all correct responses have, or one that counts theirs."""
    counts = Counter(reason.reason for reason in reasons)
    if len(counts) == 1:
        more = f"the shortest of {len(reasons)} correct responses" if len(reasons) > 1 else ""
        return RejectedRow(reasons[0].reason, "; ".join(filter(None, (reasons[0].detail, more))))

    told = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
    return RejectedRow("no usable response among the correct ones", told)
