"""A long thought: a response made of one thought and one solution, between the four markers of Virgo."""

import re
from dataclasses import dataclass


BEGIN_THOUGHT = "<|begin_of_thought|>"
END_THOUGHT = "<|end_of_thought|>"
BEGIN_SOLUTION = "<|begin_of_solution|>"
END_SOLUTION = "<|end_of_solution|>"
MARKERS = (BEGIN_THOUGHT, END_THOUGHT, BEGIN_SOLUTION, END_SOLUTION)

REASONS = {
    "not_text": "the response is not text",
    "empty_response": "the response is empty",
    "no_markers": "no marker in the response",
    "no_thought": "no <|begin_of_thought|>",
    "thought_not_closed": "no end of thought",
    "no_solution": "no <|begin_of_solution|>",
    "solution_not_closed": "no end of solution",
    "repeated_marker": "a marker occurs more than once",
    "quoted_marker": "a marker is quoted inside the text",
    "out_of_order": "markers out of order",
    "text_before": "text before the thought",
    "text_between": "text between thought and solution",
    "text_after": "text after the solution",
    "empty_thought": "the thought is empty",
    "empty_solution": "the solution is empty",
}
"""Every way in which a response can fail to be a long thought: code -> words for people."""

TAGS = {
    "omr": dict(zip(MARKERS, ("<think>", "</think>", "<answer>", "</answer>"), strict=True)),
    "think": dict(zip(MARKERS, ("<think>\n", "\n</think>\n\n", "", ""), strict=True)),
}
"""Other tags that a template may train on -> marker -> tag, with the white space around it.

OpenMMReasoner's, and those of Qwen3-VL-Thinking, in whose form the solution has none.
"""

_BEGINNING = re.compile(r"[\s\ufeff\u200b-\u200f\u2060]*+")
_MARKER = re.compile("|".join(re.escape(marker) for marker in MARKERS))
_SPACED_MARKER = re.compile(rf"\s*({_MARKER.pattern})\s*")
_AROUND_MARKERS = re.compile(f"({_MARKER.pattern})")
_OWN_TAGS = {
    name: re.compile("|".join(re.escape(tag.strip()) for tag in tags.values() if tag)) for name, tags in TAGS.items()
}
_IN_ORDER = list(MARKERS)
_MISSING = dict(zip(MARKERS, ("no_thought", "thought_not_closed", "no_solution", "solution_not_closed"), strict=True))


def beginning(response: str) -> int:
    """Return where a response begins: behind white space, a byte order mark and characters without any width.

    >>> beginning("\\ufeff\\n<think>")
    2
    """
    return _BEGINNING.match(response).end()


class MalformedThought(ValueError):
    """A response that is not one thought and one solution.

    Attributes:
        reason: a key of REASONS.
        line: 1-based line of the response at which it shows.
    """

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(f"{REASONS[reason]} (line {line} of the response)")
        self.reason = reason
        self.line = line

    def __reduce__(self):
        return type(self), (self.reason, self.line)


@dataclass(frozen=True)
class LongThought:
    """One thought and one solution: plain text without markers, without blank edges, lines ended by ``\\n``.

    Raises:
        MalformedThought: a part is blank or holds a marker, so that `render` could not be read back.

    >>> LongThought("7 * 8 is 56.", "It is 56.").render().split()[0]
    '<|begin_of_thought|>'
    >>> LongThought.parse("<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b<|end_of_solution|>")
    LongThought(thought='a', solution='b')
    """

    thought: str
    solution: str

    def __post_init__(self) -> None:
        for name in ("thought", "solution"):
            text = getattr(self, name)
            if not isinstance(text, str):
                raise MalformedThought("not_text")

            if "\r" in text:
                text = text.replace("\r\n", "\n").replace("\r", "\n")  # both, or a second reading finds more

            text = text.strip()
            if not text:
                raise MalformedThought(f"empty_{name}")

            if "<|" in text and (found := _MARKER.search(text)):
                raise MalformedThought("repeated_marker", _line(text, found.start()))

            object.__setattr__(self, name, text)

    @classmethod
    def parse(cls, response: str) -> "LongThought":
        """Return the long thought written in a response; linear in its length.

        Markers are matched as text, never as token ids (``>`` merges with a following line break), each once and
        in order, with any whitespace around them and nothing else outside. Nothing is repaired: a thought that was
        cut off must not be trained on as if it had ended (virgo.md section 6, raw_formats.md sections 2 and 18).

        Raises:
            MalformedThought: with the reason and the line.
        """
        if not isinstance(response, str):
            raise MalformedThought("not_text")

        if not response or response.isspace():
            raise MalformedThought("empty_response")

        pieces = _AROUND_MARKERS.split(response)
        if pieces[1::2] != _IN_ORDER:
            raise _not_in_order(response)

        before, thought, between, solution, after = pieces[::2]
        for reason, number, text in (
            ("text_before", 0, before[beginning(before) :]),
            ("text_between", 4, between),
            ("text_after", 8, after),
        ):
            if outside := text.lstrip():
                end = sum(map(len, pieces[: number + 1]))
                raise MalformedThought(reason, _line(response, end - len(outside)))

        return cls(thought, solution)

    def render(self) -> str:
        """Return the response text that is trained on: a blank line on each inner side of the markers."""
        return (
            f"{BEGIN_THOUGHT}\n\n{self.thought}\n\n{END_THOUGHT}\n\n"
            f"{BEGIN_SOLUTION}\n\n{self.solution}\n\n{END_SOLUTION}"
        )


def in_tags(rendered: str, tags: str) -> str:
    """Return a response that `render` wrote, or its beginning, as a template with these tags trains on it.

    These tags themselves are taken out of its text ("the answer is <answer>4</answer>"): each may stand there only once.

    >>> in_tags(LongThought("7 * 8 is 56.", "It is <answer>56</answer>.").render(), "omr")
    '<think>7 * 8 is 56.</think><answer>It is 56.</answer>'
    >>> in_tags(LongThought("7 * 8 is 56.", "It is <answer>56</answer>.").render(), "think")
    '<think>\\n7 * 8 is 56.\\n</think>\\n\\nIt is <answer>56</answer>.'
    """
    if tags not in TAGS:
        return rendered

    rendered = _OWN_TAGS[tags].sub("", rendered)
    return _SPACED_MARKER.sub(lambda found: TAGS[tags][found[1]], rendered)


def _not_in_order(response: str) -> MalformedThought:
    """Return what is wrong with a response whose markers are not each there once and in order."""
    found = list(_MARKER.finditer(response))
    if not found:
        return MalformedThought("no_markers")

    seen = [match.group() for match in found]
    if len(set(seen)) != len(seen):
        again = next(match for i, match in enumerate(found) if match.group() in seen[:i])
        quoted = any(_is_quoted(response, match) for match in found if match.group() == again.group())
        return MalformedThought("quoted_marker" if quoted else "repeated_marker", _line(response, again.start()))

    for marker in MARKERS:
        if marker not in seen:
            return MalformedThought(_MISSING[marker], _line(response, len(response)))

    wrong = next(match for match, marker in zip(found, MARKERS, strict=True) if match.group() != marker)
    return MalformedThought("out_of_order", _line(response, wrong.start()))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _is_quoted(text: str, match: re.Match[str]) -> bool:
    """Whether a marker stands directly in quotes or backticks, as when a model talks about the format."""
    return text[match.start() - 1 : match.start()] in set("`\"'") and text[match.end() : match.end() + 1] in set(
        "`\"'"
    )
