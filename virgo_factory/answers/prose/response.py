"""The parts of a response: where its thought ends and its boxes are. Every function is linear in the response's length."""

import re
from dataclasses import dataclass
from string import ascii_letters, ascii_uppercase, digits

from virgo_factory.answers.patterns import P
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.thought import BEGIN_SOLUTION, BEGIN_THOUGHT, END_SOLUTION, END_THOUGHT


_END_OF_THOUGHT = LazyPattern(
    rf"<(?i:{re.escape(END_THOUGHT[1:])}|/(?:seed:)?(?:think|thinking|thought|reasoning|REASONING_END)>|\|/think\|>|\|END_THINKING\|>|channel\|>"
    r"|unused95>|\|channel\|>final(?: [^<]{0,40})?<\|message\|>)|\[(?i:/THINK\])|◁(?i:/think▷)"
    r"|#(?<![^\n]#)(?i:#{0,2} ?Final Response\b[^\n]*$)",
    re.MULTILINE,
)
_BEGIN_OF_THOUGHT = LazyPattern(
    rf"<(?i:{re.escape(BEGIN_THOUGHT[1:])}|(?:seed:)?(?:think|thinking|thought|reasoning)>|\|START_THINKING\|>|\|channel>thought|unused94>"
    r"|\|channel\|>analysis)|\[(?i:THINK\])|◁(?i:think▷)|#(?<![^\n]#)(?i:#{0,2} ?Thinking\b[^\n]*$)",
    re.MULTILINE,
)
"""Each of them begins with one of a few signs, so that a long response is searched fast."""
_HEADING = re.compile(r"(?s:.*)[:：]|\W*(?:solution|answer|response|analysis|explanation)?\W*", re.IGNORECASE)
_NEXT_BESIDE = re.compile(r"(?<=[a-z\d]\.) Q: ")
_TAG = re.compile(r"<(/?)(answer|output|final_answer|conclusion)>", re.IGNORECASE)
_FULL_WIDTH = {0xFEE0 + ord(sign): sign for sign in ascii_letters + digits + "()[]{}=<>+-%/:.,"}
_FULL_WIDTH |= {0x24B6 + place: sign for place, sign in enumerate(ascii_uppercase)}
_WIDE = re.compile("[\uff01-\uff5e\u24b6-\u24cf]")
_BOX = re.compile(r"[\\\x08](?:boxed|oxed|fbox|framebox)")
_BRACE = re.compile(r"(?<!\\)\\+(?:boxed|fbox|framebox)\s*\{|\x08oxed\s*\{|\\[{}\\]|[{}]")
_BARE_BOX = re.compile(r"(?<!\\)\\+boxed(?:\s+([A-Za-z0-9])|(\d+))\b")


@dataclass(frozen=True)
class Part:
    """A part of a response in which to look for the answer."""

    text: str
    where: str


@dataclass(frozen=True)
class Box:
    """The inside of a balanced ``\\boxed{}``, with its place."""

    text: str
    start: int
    end: int


def parts(response: str) -> tuple[Part, bool]:
    """Return the part of a response that may answer, and whether an end of thought was there.

    What follows the last end of thought answers. Only where nothing follows is the thought itself returned, marked so.
    """
    if not response.isascii() and _WIDE.search(response):
        response = response.translate(_FULL_WIDTH)
    response = without_turn_end(response)
    if " Q: " in response:
        response = _NEXT_BESIDE.sub("\nQ: ", response)
    if (ended := P.NEXT_QUESTION.search(response, 3)) and not _END_OF_THOUGHT.search(response, ended.end()):
        answered = response[: ended.start()].rstrip()
        response = response if _HEADING.fullmatch(answered) else answered
    if start := P.START.match(response):
        response = response[start.end() :]
    if response.startswith("analysis") and (final := response.rfind("assistantfinal")) > 0:
        after = response[final + len("assistantfinal") :]  # channels whose marks were not decoded
        return Part(after, "solution"), True
    end = None
    for match in _END_OF_THOUGHT.finditer(response):
        around = response[match.start() - 1 : match.start()], response[match.end() : match.end() + 1]
        quoted = all(sign and sign in "`\"'" for sign in around)
        end = end if quoted else match
    if end is not None:
        after = response[end.end() :].replace(BEGIN_SOLUTION, "").partition(END_SOLUTION)[0]
        after = after[start.end() :] if (start := P.START.match(after)) else after
        if after.strip():
            return Part(after, "solution"), True
        return Part(response[: end.start()], "thought"), True

    begin = response.rfind(BEGIN_SOLUTION)
    if begin >= 0 and response[begin + len(BEGIN_SOLUTION) :].strip():
        return Part(response[begin + len(BEGIN_SOLUTION) :].partition(END_SOLUTION)[0], "solution"), True
    if begun := _BEGIN_OF_THOUGHT.search(response):
        tagged = answer_tag(response[begun.end() :])
        return Part(response, "response" if tagged is not None else "thought"), False
    return Part(response, "response"), False


def without_turn_end(response: str) -> str:
    """Return a response without the tokens that end a turn.

    >>> without_turn_end("It is 4.<|im_end|><|endoftext|>")
    'It is 4.'
    """
    if not response.rstrip().endswith((">", "user")):
        return response
    turn_end = P.TURN_END.search(response, max(0, len(response) - 400))
    return response[: turn_end.start()] if turn_end else response


def answer_tag(text: str) -> str | None:
    """Return what stands in the last ``<answer>`` (or ``<Output>``), closed or open at the end; None without one."""
    inside = None
    opened = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            if text[opened : tag.start()].strip():
                inside = text[opened : tag.start()]
            opened = None
    if opened is not None and text[opened:].strip():
        inside = text[opened:]
    return inside


def boxes(text: str) -> tuple[list[Box], int | None]:
    """Return the outermost balanced boxes in order, and where a box begins that was never closed, if one does.

    >>> [box.text for box in boxes(r"\\boxed{\\frac{1}{2}} and \\boxed{\\text{a}}")[0]]
    ['\\\\frac{1}{2}', '\\\\text{a}']
    """
    found: list[Box] = []
    if "box" not in text and "oxed" not in text or (first := _BOX.search(text)) is None:
        return found, None
    stack: list[tuple[int, int] | None] = []
    for match in _BRACE.finditer(text, len(text[: first.start()].rstrip("\\"))):
        sign = match.group()
        if sign.endswith("{") and len(sign) > 2:
            stack.append((match.start(), match.end()))
        elif sign == "{":
            stack.append(None)
        elif sign == "}" and stack:
            opening = stack.pop()
            if opening is not None:
                while found and found[-1].start > opening[0]:
                    found.pop()
                inside = text[opening[1] : match.start()]
                found.append(Box(inside, opening[0], match.end()))
    cut = next((opening[1] for opening in reversed(stack) if opening is not None), None)
    if not found and cut is None:
        found = [Box(match[1] or match[2], match.start(), match.end()) for match in _BARE_BOX.finditer(text)]
    return found, cut
