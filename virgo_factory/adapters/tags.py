"""Long thoughts in the tags of other models: the text of a response becomes thought and solution, or a reason why not.

One entry of FORMATS a tag set (reference: raw_formats.md sections 1 to 17). Rules of section 18: each tag once and in
order, nothing outside but white space; nothing is repaired. Everything here is linear in the length of the response.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from virgo_factory.adapters.row import RejectedRow, bare
from virgo_factory.thought import BEGIN_THOUGHT, MARKERS, REASONS, LongThought, MalformedThought


@dataclass(frozen=True)
class Format:
    """A tag set.

    Attributes:
        tags: all its tags; the first begins the thought.
        parse: response -> long thought; raises RejectedRow or MalformedThought.
    """

    tags: tuple[str, ...]
    parse: Callable[[str], LongThought]


def _tags(*elements: str) -> tuple[str, ...]:
    return tuple(tag for element in elements for tag in (f"<{element}>", f"</{element}>"))


def _reject(reason: str, text: str, position: int, detail: str = "") -> RejectedRow:
    line = f"line {text.count(chr(10), 0, position) + 1} of the response"
    return RejectedRow(reason, f"{detail}, {line}" if detail else line)


def _elements(*elements: str, rest: bool = False, out_of_place: tuple[str, ...] = ()) -> Format:
    """Return the format of a response made of elements: the last one, or the rest behind it, is the solution."""
    tags = _tags(*elements)
    pattern = re.compile("|".join(map(re.escape, (*tags, *out_of_place))))
    expected = list(tags)

    def parse(text: str) -> LongThought:
        found = list(pattern.finditer(text))
        if [match.group() for match in found] != expected:
            raise _broken(text, found, tags, out_of_place)

        gaps = [
            (None, found[0]),
            *zip(found[1:-1:2], found[2::2], strict=True),
            *([] if rest else [(found[-1], None)]),
        ]
        for begin, end in gaps:
            start, stop = begin.end() if begin else 0, end.start() if end else len(text)
            if outside := text[start:stop].lstrip():
                raise _reject(REASONS[_outside(begin, end)], text, stop - len(outside))

        inside = [text[begin.end() : end.start()] for begin, end in zip(found[::2], found[1::2], strict=True)]
        *thoughts, solution = [*inside, text[found[-1].end() :]] if rest else inside
        return LongThought("\n\n".join(part.strip() for part in thoughts if part.strip()), solution)

    return Format(tags, parse)


def _broken(text: str, found: list[re.Match[str]], tags: tuple[str, ...], out_of_place: tuple[str, ...]) -> Exception:
    """Return what is wrong with a response whose tags are not each there once and in order."""
    if not text.strip():
        return MalformedThought("empty_response")

    seen = set()
    for match in found:
        if match.group() in out_of_place:
            return _reject("a tag out of place", text, match.start(), match.group())

        if match.group() in seen:
            return _reject("a tag occurs more than once", text, match.start(), match.group())

        seen.add(match.group())

    for tag in tags:
        if tag not in seen:
            return _reject(f"no {tag}" if tag[1] == "/" else f"no opening {tag}", text, len(text))

    wrong = next(match for match, tag in zip(found, tags, strict=True) if match.group() != tag)
    return _reject("tags out of order", text, wrong.start(), wrong.group())


def _outside(begin: re.Match[str] | None, end: re.Match[str] | None) -> str:
    return "text_before" if begin is None else "text_after" if end is None else "text_between"


_FINAL_HEADING = re.compile(r"^###[ \t]*The final answer is[ \t]*:?", re.MULTILINE)


def _parse_headings(text: str) -> LongThought:
    """Return Mulberry's: what follows the last `### The final answer is:` is the solution, the thought precedes it."""
    last = None
    for last in _FINAL_HEADING.finditer(text):
        pass

    if last is None:
        raise _reject("no ### The final answer is:", text, len(text))

    return LongThought(text[: last.start()], text[last.end() :])


_ANSWER = _tags("answer")

FORMATS = {
    "four_markers": Format(MARKERS, LongThought.parse),
    "think_answer": _elements("think", "answer"),
    "think": _elements("think", rest=True, out_of_place=_ANSWER),
    "thought_output": _elements("Thought", "Output"),
    "thoughts": _elements("thoughts", rest=True),
    "four_sections": _elements("SUMMARY", "CAPTION", "REASONING", "CONCLUSION"),
    "headings": Format(("### Image Description:", "### Rationales:", "### The final answer is:"), _parse_headings),
}
"""Name of a format -> how its responses are read."""

_START = re.compile(
    rf"\s*(?:(?P<four_markers>{re.escape(BEGIN_THOUGHT)})|(?P<think><think>)|(?P<thought_output><Thought>)"
    r"|(?P<thoughts><thoughts>)|(?P<four_sections><SUMMARY>)|(?P<headings>### (?:Image Description|Rationales):))"
)


def format_of(response: str) -> str | None:
    """Return the name of the format that a response shows, whole or broken; None if it shows no tag.

    What it begins with decides; else the first tag set of FORMATS of which it has a tag. A `<think>` with an answer
    tag behind its end is "think_answer".
    """
    if found := _START.match(response):
        name = found.lastgroup
    else:
        name = next((name for name, known in FORMATS.items() if any(tag in response for tag in known.tags)), None)

    if name in ("think", "think_answer"):
        end = response.rfind("</think>")
        return "think_answer" if any(response.find(tag, max(end, 0)) >= 0 for tag in _ANSWER) else "think"

    return name


def shows(response: str, name: str | None) -> bool:
    """Whether a response shows its format beyond doubt: one cut off inside `<think>` may be of two."""
    return name is not None and (name != "think" or "</think>" in response)


def parse_response(text: str, name: str | None, keep_malformed: bool = False) -> LongThought | str:
    """Return the long thought of a response; with `keep_malformed` the text itself where it is none.

    Args:
        text: the response.
        name: its format, a key of FORMATS, or None if none was recognised.
        keep_malformed: see Options.

    Raises:
        RejectedRow: with the reason and the line.
    """
    try:
        if name is None:
            raise RejectedRow("no tags of a known format", f"expected one of {', '.join(OPENINGS)}")

        return FORMATS[name].parse(text)
    except MalformedThought as error:
        rejected = RejectedRow(REASONS[error.reason], f"line {error.line} of the response")
    except RejectedRow as error:
        rejected = bare(error)

    if keep_malformed and text.strip():
        return text

    raise rejected


OPENINGS = tuple(dict.fromkeys(known.tags[0] for known in FORMATS.values()))
"""What a response begins with, over all formats."""
