"""The parts of a response: where its thought ends and its boxes are. Every function is linear in the response's length."""

import re
from dataclasses import dataclass
from string import ascii_letters, ascii_uppercase, digits

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.latex import TRADITIONAL
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
_FULL_WIDTH |= {ord(sign): by for sign, by in TRADITIONAL.items()}
_FULL_WIDTH |= {0x24B6 + place: sign for place, sign in enumerate(ascii_uppercase)}
_WIDE = re.compile("[\uff01-\uff5e\u24b6-\u24cf" + "".join(TRADITIONAL) + "]")
_BOX = re.compile(r"[\\\x08](?:boxed|oxed|fbox|framebox)")
_BRACE = re.compile(r"(?<!\\)\\+(?:boxed|fbox|framebox)\s*\{|\x08oxed\s*\{|\\[{}\\]|[{}]")
_BARE_BOX = re.compile(
    r"(?<!\\)\\+boxed\s*(-?\d[\d,]*(?:\.\d+)?(?:\s?[A-Za-z%°]{1,3})?(?![\w.]*\w)|[(\[][^()\[\]\n]{1,60}[)\]]|(?<=\s)[A-Za-z](?![\w/^+*-]))"
)
_KEYED = LazyPattern(
    r"[\"'](?:final[_ ]?)?(?:answer|choice|option|result|prediction|(?:最终)?答案)[\"']\s*:\s*"
    r"(?:\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'|(\[[^\[\]\n]*\]|[^\s\"',{}\[\]]+))\s*[,}]",
    re.IGNORECASE,
)
"""A field of a JSON object, or of one that Python wrote."""
_LOOKS = tuple(
    (signs.split("|"), re.compile(pattern, re.IGNORECASE | re.MULTILINE), by)
    for signs, pattern, by in (
        ("```|---|===|***|___", r"^[ \t]*(?:```[\w+-]*|-{3,}|={3,}|\*{3,}|_{3,})[ \t]*$", ""),
        ("<br", r"<br ?/?>", "\n"),
        ("b>|strong>", r"</?(?:b|strong)>", "**"),
        ("<", r"</?(?:i|em|u|p|div|span|font|mark|center|h\d)(?: [^<>\n]{0,80})?>", ""),
        ("<su", r"<su([pb])>([^<>\n]{1,20})</su\1>", lambda found: f"{'^_'[found[1] in 'bB']}{{{found[2]}}}"),
        ("*|__", r"(?<![\w*\\^)\]}])(\*{3}|\*|_{2,3})(?=[^\s*_)\],.;:])([^*\n]{0,80}?[^\s*_(\[])\1(?![\w*])",
         lambda found: found[2] if len(found[2].split()) > 3 else f"**{found[2]}**"),
        ("==", r"==(?=\S)([^=\n]{1,80}?)(?<=\S)==", r"**\1**"),
        ("\\text", r"\\text(?:bf|rm)?\{\s*((?:final )?answer\s*:?)\s*\}", r"\1"),
        (">|→|⇒", r"^[ \t]*(?:>|→|⇒|[=-]>)[ \t]+(?=\S)(?![(\[]?(?-i:[A-Z])\b)", ""),
        ("answer:\n|answer:**\n|answer**:\n|answer: \n|answer:** \n", r"\b(answer[*_]*:[*_]*)\s*\n+[ \t]*(?:[-•]|\*|1[.)])[ \t]+(?=[^\n]+\s*\Z)", r"\1 "),
        ("gives the|gives us the|giving the|get the|obtain the|reach the|yields the|arrive at the|have the|an answer|our answer", r"\b(?:gives?(?: us)?|giving|get|obtain|reach|yields?|arrive at|have) (?:the|an|our) (?:final |correct )?answer(?: of)? "
         r"(?=\S)(?!(?:to|for|is|in|as|key|choice|that|directly|by|from|with|and|of)\b)", "the answer is "),
        ("...|…", r"(?<=\bis)\s?(?:\.\.\.|…)\s*", " "),
        ("short|summary|conclusion|conclude|综上", r"^[ \t]*(?:in (?:short|summary|conclusion|the end)|to (?:sum up|conclude|summarize)|综上(?:所述)?)[,:]\s*", "So, "),
        ("answer|result|ответ|정답|答えは", r"^[ \t#*_]*(?:\[(?:final )?answer\]:?|【answer】:?|(?:final |the )?answer[*_ \t]*\n|(?:final )?result[*_]*:|Ответ:|정답:|答えは)(?:[*_]{1,3}(?=\s))?[ \t\n]*(?=\S)", "Answer: "),
        ("a:", r"\A\s*A:\s(?=[^\w\n]{0,4}(?:(?:option|choice) )?[(\[]?(?-i:[A-J])(?:[)\].:]|\W*\Z)|[^\n]{1,60}\([A-J]\)\W*\Z)", "Answer: "),
        ("final", r"\bfinal (?:result|value)(?=\s*(?:is|=|:|was)\s)", "final answer"),
    )
)  # fmt: skip
"""What one of must stand in a text, how an answer is laid out, and what is read instead: emphasis in bold, what stands under a heading behind its name."""
_DONE = re.compile(r"(?:\s*(?:[■∎□✅✔✓\U0001f300-\U0001faff]|\bQ\.?E\.?D\b\.?|(?<=\.) \[\d\]))+\s*\Z", re.IGNORECASE)
"""A sign that a proof is done, or of joy."""
_REMARKS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), by)
    for pattern, by in (
        (r"\s?[(\[](?:final answer|exact|approximately|(?:see|as|from|shown|given|read) [^()\[\]\n]{1,60}|[如见]图[^()\n]{0,9})[)\]](?=[.。\s*]*$)", ""),
        (r"(?:[,;:]\s?| [-–—] | )(?:as (?:(?:can be )?(?:shown|seen|read|given)|the \w+ shows)|according to the|based on the|from the (?:table|chart|graph|figure|image|picture)|(?<=[;:—–-] )(?:see |the (?:figure|image|picture|chart|graph|table) shows)|[如见]图(?!\d))[^.,。\n]{0,40}(?=[.。\s*]*\Z)", ""),
    )
)  # fmt: skip
"""What stands behind an answer at the end of a response, and is none of it."""


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


def plain(text: str) -> str:
    """Return the end of a text in one layout: no HTML, fences or rules, emphasis in bold, "Answer: " for its heading.

    >>> plain("# Answer\\n\\n***12 cm<sup>2</sup>***")
    'Answer: **12 cm^{2}**'
    """
    head, end = text[:-4_000], text[-4_000:]
    low = end.lower()
    for signs, pattern, by in _LOOKS:
        if any(sign in low for sign in signs):
            end = pattern.sub(by, end)
    end, last = end[:-200], end[-200:]
    ended = last.rstrip(" .。*\n")[-1:]
    for pattern, by in _REMARKS if ended.isalpha() or ended in (")", "]") else ():
        last = pattern.sub(by, last)
    return head + end + last[:-20] + _DONE.sub("", last[-20:])


def answer_tag(text: str) -> str | None:
    """Return what stands in the last ``<answer>`` (or ``<Output>``), closed or open at the end, or in a JSON object's answer; None without one."""
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
    if inside is None and text.rstrip().removesuffix("```").rstrip().endswith("}"):
        for found in _KEYED.finditer(text[-4_000:]):
            inside = next(filter(None, found.groups()), "").replace("\\\\", "\\").replace('\\"', '"')
    return inside or None


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
        found = [Box(match[1], match.start(), match.end()) for match in _BARE_BOX.finditer(text)]
    return found, cut
