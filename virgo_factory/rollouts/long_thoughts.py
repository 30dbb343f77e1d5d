"""The long thought in a response that a model gave, as one that can be trained on."""

from virgo_factory.core.example import Example
from virgo_factory.core.thought import MARKERS, REASONS, LongThought, MalformedThought, beginning
from virgo_factory.formats.families.virgo_dqvq import split
from virgo_factory.formats.layouts.tags import PAIRS, format_of, parse_response
from virgo_factory.formats.row import RejectedRow, check_example
from virgo_factory.rollouts.config import AUTO


def long_thought_of(response: str, response_format: str) -> LongThought:
    """Return the long thought in a response, as one that can be trained on; RejectedRow if malformed or with a control token.

    `response_format` is AUTO for whichever the response shows, a key of `tags.TAG_SETS` such as `four_markers`, or `virgo_dqvq`.
    """
    try:
        if response_format == "virgo_dqvq":
            if any(marker in response for marker in MARKERS):
                raise RejectedRow("it holds markers, which an untagged response has not")

            thought = split(response)
        elif response_format == "four_markers":
            thought = LongThought.parse(response)
        else:
            thought = parse_response(response, format_of(response) if response_format == AUTO else response_format)
    except MalformedThought as error:
        raise RejectedRow(REASONS[error.reason]) from None

    check_example(Example(id="rollout", question="question", response=thought))
    return thought


def read_thought(response: str, response_format: str) -> tuple[LongThought | None, str]:
    """Return the long thought in a response, or None and why there is none."""
    try:
        return long_thought_of(response, response_format), ""
    except RejectedRow as error:
        return None, error.reason


_PAIRS = {"four_markers": MARKERS[:2], **PAIRS}


def thought_span(response: str, response_format: str) -> tuple[int, int, str] | None:
    """Return where the thought of a response begins and ends, and the text that ends it and begins the solution; None for none.

    The thought may be cut off; its beginning may stand in the prompt, where the format says so or its end is there.

    >>> thought_span("<think>One, two", "auto"), thought_span("One</think> 1", "auto"), thought_span("One", "auto")
    ((7, 15, '\\n</think>\\n\\n'), (0, 3, '\\n</think>\\n\\n'), None)
    """
    start = beginning(response)
    for name, (opening, closing) in _PAIRS.items():
        is_opened = response.startswith(opening, start)
        if is_opened or closing in response or (name == response_format and name != "four_markers"):
            begin = start + len(opening) if is_opened else 0
            end = response.find(closing, begin)
            ends = f"\n\n{closing}\n\n{MARKERS[2]}\n\n" if name == "four_markers" else f"\n{closing}\n\n"
            return begin, end if end >= 0 else len(response), ends

    return None
