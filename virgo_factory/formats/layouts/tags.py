"""Long thoughts in the tags of other models: the text of a response becomes thought and solution, or a reason why not.

One entry of TAG_SETS a tag set (reference: raw_formats.md sections 1 to 17). Rules of section 18: each tag once and in
order, nothing outside but white space; nothing is repaired. An answer in tags may end a solution that explains it (see
`_told_last`). Everything here is linear in the length of the response.
"""

import re
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.thought import BEGIN_THOUGHT, MARKERS, REASONS, LongThought, MalformedThought, beginning
from virgo_factory.formats.any_row.foreign_tokens import is_quoted, outside_code
from virgo_factory.formats.row import RejectedRow, bare


@dataclass(frozen=True)
class Format:
    """A tag set."""

    tags: tuple[str, ...]  # all its tags; the first begins the thought
    parse: Callable[[str], LongThought]  # response -> long thought; raises RejectedRow or MalformedThought


def _tags(*elements: str) -> tuple[str, ...]:
    return tuple(tag for element in elements for tag in (f"<{element}>", f"</{element}>"))


_ATTRIBUTES = r"(?:\s++[\w:.-]++\s*+=\s*+(?:\"[^\"\n]*+\"|'[^'\n]*+'|[^\s<>\"'=]++))*+\s*+"
"""What may stand in an opening tag behind its name: `<think time="3">`."""
_WITH_ATTRIBUTES = LazyPattern(rf"(<[\w:]+){_ATTRIBUTES}>")


def _pattern_of(tag: str) -> str:
    """Return the pattern of a tag: of an element's opening one also with attributes."""
    return f"{re.escape(tag[:-1])}{_ATTRIBUTES}>" if _WITH_ATTRIBUTES.fullmatch(tag) else re.escape(tag)


def _name_of(tag: str) -> str:
    """Return a tag in small letters, without its attributes."""
    found = _WITH_ATTRIBUTES.fullmatch(tag)
    return (f"{found[1]}>" if found else tag).lower()


def _reject(reason: str, text: str, position: int, detail: str = "") -> RejectedRow:
    line = f"line {text.count(chr(10), 0, position) + 1} of the response"
    return RejectedRow(reason, f"{detail}, {line}" if detail else line)


def _elements(*tags: str, rest: bool = False, out_of_place: tuple[str, ...] = (), is_opened: bool = True) -> Format:
    """Return the format of a response made of elements, in any case of letters: the last one, or the rest behind it, is the solution.

    With `rest` the solution is what follows the last element; tags `out_of_place` must not occur. `is_opened`: the first tag has
    to be there. Templates of reasoning models put it into the prompt, so that the response begins with the thought itself.
    """
    alternatives = "|".join(map(_pattern_of, (*tags, *out_of_place)))
    exact, any_case = LazyPattern(alternatives), LazyPattern(alternatives, re.IGNORECASE)
    expected = [tag.lower() for tag in tags]
    orders = (expected,) if is_opened else (expected, expected[1:])

    def find(text: str) -> tuple[list[re.Match[str]], list[str]]:
        found = list(exact.finditer(text))
        seen = [_name_of(match.group()) for match in found]
        if seen not in orders:
            found = list(any_case.finditer(text))
            seen = [_name_of(match.group()) for match in found]

        return found, seen

    def parse(text: str) -> LongThought:
        found, seen = find(text)
        if seen not in orders:  # tags that are talked about stay where they are
            told = _unquoted(text, any_case)
            if (unquoted := [_name_of(match.group()) for match in told]) in orders:
                found, seen = told, unquoted

        if seen not in orders:
            raise _broken(text, found, seen, tags, out_of_place)

        begins = seen == expected
        opened = found if begins else [None, *found]
        gaps = [
            *([(None, found[0])] if begins else []),
            *zip(opened[1:-1:2], opened[2::2], strict=True),
            *([] if rest else [(found[-1], None)]),
        ]
        for begin, end in gaps:
            start, stop = begin.end() if begin else 0, end.start() if end else len(text)
            if outside := text[start:stop].lstrip():
                raise _reject(REASONS[_outside(begin, end)], text, stop - len(outside))

        inside = [
            text[begin.end() if begin else 0 : end.start()]
            for begin, end in zip(opened[::2], opened[1::2], strict=True)
        ]
        *thoughts, solution = [*inside, unwrapped(text[found[-1].end() :], SOLUTIONS)] if rest else inside
        return LongThought("\n\n".join(part.strip() for part in thoughts if part.strip()), solution)

    return Format(tags, parse)


def _unquoted(text: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return the tags in a text that are not talked about, in code or quotation marks."""
    return [match for match in outside_code(text, pattern) if not is_quoted(text, match)]


_SOLUTION_TAGS = ("solution", "response", "final_answer", "conclusion", "output", "final")
SOLUTIONS = tuple((f"<{name}>", f"</{name}>") for name in _SOLUTION_TAGS)
"""Tags that may stand around the whole of a solution behind its thought: they are of its form, as the thought's are."""


def unwrapped(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return a text without the one pair of tags, in any case of letters, that stands around the whole of it.

    >>> unwrapped(" <answer>4</answer>", [("<answer>", "</answer>")])
    '4'
    """
    start = beginning(text)
    if text[start : start + 1].isalnum():  # most solutions
        return text

    inside = text[start:].rstrip()
    for opening, closing in pairs:
        if inside[-len(closing) :].lower() == closing and (end := _opened(inside, opening)):
            inner = inside[end : -len(closing)]
            return text if opening in inner.lower() or closing in inner.lower() else inner

    return text


def _opened(text: str, opening: str) -> int:
    """Return where the opening tag that a text begins with ends; 0 where it begins with something else."""
    if text[: len(opening)].lower() == opening:
        return len(opening)

    found = text[: len(opening) - 1].lower() == opening[:-1] and _WITH_ATTRIBUTES.match(text)
    return found.end() if found and _name_of(found.group()) == opening else 0


def _broken(
    text: str, found: list[re.Match[str]], seen: list[str], tags: tuple[str, ...], out_of_place: tuple[str, ...]
) -> Exception:
    """Return what is wrong with a response whose tags are not each there once and in order."""
    if not text.strip():
        return MalformedThought("empty_response")

    before = set()
    for match, tag in zip(found, seen, strict=True):
        if tag in out_of_place:
            return _reject("a tag out of place", text, match.start(), match.group())

        if tag in before:
            return _reject("a tag occurs more than once", text, match.start(), match.group())

        before.add(tag)

    for position, tag in enumerate(tags):
        if tag.lower() not in before:
            return _reject(f"no {tag}" if position % 2 else f"no opening {tag}", text, len(text))

    wrong = next(match for match, tag in zip(found, tags, strict=True) if _name_of(match.group()) != tag.lower())
    return _reject("tags out of order", text, wrong.start(), wrong.group())


def _outside(begin: re.Match[str] | None, end: re.Match[str] | None) -> str:
    return "text_before" if begin is None else "text_after" if end is None else "text_between"


_FINAL_HEADING = LazyPattern(r"^###[ \t]*The final answer is[ \t]*:?", re.MULTILINE)


def _parse_headings(text: str) -> LongThought:
    """Return Mulberry's: what follows the last `### The final answer is:` is the solution, the thought precedes it."""
    last = None
    for last in _FINAL_HEADING.finditer(text):
        pass

    if last is None:
        raise _reject("no ### The final answer is:", text, len(text))

    return LongThought(text[: last.start()], text[last.end() :])


_THOUGHT_HEADING = LazyPattern(
    r"\s*(?:(?:#{1,6}|\*\*)[ \t]*(?:\*\*)?(?:(?:Thinking|Thoughts?|Reasoning)(?: Process)?|思考(?:过程)?|推理(?:过程)?)"
    r"[ \t]*[:：]?(?:\*\*)?[:：]?|Here is my thought process:?)[ \t]*(?:\n|$)",
    re.IGNORECASE,
)
_SOLUTION_HEADING = LazyPattern(
    r"^[ \t]*(?:(?:#{1,6}|\*\*)[ \t]*(?:\*\*)?(?:Final (?:Response|Answer|Solution)|最终(?:答案|回答|回复))"
    r"[ \t]*[:：]?(?:\*\*)?[:：]?|Here is my (?:final )?response:?)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_PLAIN_HEADING = LazyPattern(re.sub("Final |最终", "", _SOLUTION_HEADING.pattern), re.MULTILINE | re.IGNORECASE)
"""A heading that only is one of the solution where no other is."""
THINKING_HEADINGS = ("## Thinking", "## Final Response")


def _parse_thinking_headings(text: str) -> LongThought:
    """Return HuatuoGPT-o1's `## Thinking` and `## Final Response` (Granite 3.2: "Here is my thought process:")."""
    begin = _THOUGHT_HEADING.match(text)
    ends = list(_SOLUTION_HEADING.finditer(text)) or list(_PLAIN_HEADING.finditer(text))
    if not begin or not ends:
        missing = THINKING_HEADINGS[1 if begin else 0]
        raise _reject(f"no heading {missing}", text, len(text))

    if len(ends) > 1:
        raise _reject("a tag occurs more than once", text, ends[1].start(), ends[1].group().strip())

    return LongThought(text[begin.end() : ends[0].start()], text[ends[0].end() :])


_CHANNEL = LazyPattern(r"<\|(start|channel|message|end|return|call|constrain)\|>")
HARMONY = ("<|channel|>analysis", "<|channel|>final")


def _parse_harmony(text: str) -> LongThought:
    """Return gpt-oss's channels: one analysis, which is the thought, and behind it one final."""
    found = list(_CHANNEL.finditer(text))
    names = [match[1] for match in found]
    if names[:1] == ["start"]:
        found, names = found[1:], names[1:]

    texts = [
        text[token.end() : after.start() if after else len(text)]
        for token, after in zip(found, [*found[1:], None], strict=True)
    ]
    if not names or names[-1] in ("end", "return"):
        last = texts.pop() if texts else text
        if last.strip():
            raise _reject(REASONS["text_after"] if names else "no <|channel|>final", text, len(text))

        names = names[:-1]

    if "end" in names and names.index("end") == 2 and not texts[2].strip():
        del names[2], texts[2]

    channels = [channel.strip() for name, channel in zip(names, texts, strict=True) if name == "channel"]
    if names != ["channel", "message", "start", "channel", "message"] or channels != ["analysis", "final"]:
        which = ", ".join(channels) or "none"
        raise _reject("not one analysis and one final channel", text, len(text), f"channels: {which[:80]}")

    return LongThought(texts[1], texts[4])


_ANSWER = ("<answer>", "</answer>")
_OUTPUT = ("<Output>", "</Output>")

PAIRS = {
    "think": ("<think>", "</think>"),
    "thinking": ("<thinking>", "</thinking>"),
    "thought": ("<Thought>", "</Thought>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "think_brackets": ("[THINK]", "[/THINK]"),
    "think_triangles": ("◁think▷", "◁/think▷"),
    "reason": ("<reason>", "</reason>"),
    "cot": ("<cot>", "</cot>"),
    "rationale": ("<rationale>", "</rationale>"),
    "scratchpad": ("<scratchpad>", "</scratchpad>"),
    "inner_monologue": ("<inner_monologue>", "</inner_monologue>"),
    "analysis": ("<analysis>", "</analysis>"),
    "seed_think": ("<seed:think>", "</seed:think>"),
    "cohere_thinking": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "gemma_channel": ("<|channel>thought", "<channel|>"),
    "medgemma_thought": ("<unused94>thought", "<unused95>"),
    "working_out": ("<start_working_out>", "<end_working_out>"),
}
"""Name of a format -> the tags around its thought, whatever follows being the solution.

R1, QwQ, Qwen, GLM, Nemotron; Claude's and Reflection's; EXAONE Deep; GRPO demos; Magistral; Kimi-VL; Seed-OSS;
Command A; Gemma 4; MedGemma; Unsloth's notebooks. In any case of letters, and without the opening tag where the prompt ends with it."""


def _pair(name: str, *more: str) -> Format:
    """Return the format of a pair of PAIRS, with the tags of its solution or, without, with none."""
    out_of_place = () if more else _ANSWER
    found = _elements(*PAIRS[name], *more, rest=not more, out_of_place=out_of_place, is_opened=False)
    return _told_last(found, _elements(*PAIRS[name], rest=True, is_opened=False)) if more == _ANSWER else found


_LAST_ANSWER = LazyPattern(r"</answer>[\s.,!;:*_$)\]\"'\u3002]*\Z", re.IGNORECASE)
_ANSWER_TAG = LazyPattern(r"</?answer>", re.IGNORECASE)


def _told_last(strict: Format, thought: Format) -> Format:
    """Return the format of answer tags behind a thought, which may also be the last words of a solution that explains.

    MMFineReason's: `</think>`, the solution, and "Therefore, the final answer is <answer>B</answer>." All behind the thought
    is then the solution, to the letter; thoughts may name the tags, since they plan the answer. `strict` reads responses with
    nothing between thought and answer, `thought` the thought alone, with all behind it as its solution.
    """

    def parse(text: str) -> LongThought:
        try:
            return strict.parse(text)
        except RejectedRow as error:
            rejected = bare(error)

        try:
            found = thought.parse(text)
        except (RejectedRow, MalformedThought):
            raise rejected from None

        solution = found.solution
        tags = list(_ANSWER_TAG.finditer(solution))
        tags = tags if len(tags) == len(_ANSWER) else _unquoted(solution, _ANSWER_TAG)
        is_last = _LAST_ANSWER.search(solution, max(0, len(solution) - 100))
        if not is_last or [tag.group().lower() for tag in tags] != list(_ANSWER):
            raise rejected

        if not solution[tags[0].end() : tags[1].start()].strip():
            raise MalformedThought("empty_solution")

        return LongThought(found.thought, unwrapped(solution, [_ANSWER]))

    return Format(strict.tags, parse)


_WRAPPED = {
    **{f"{name}_answer": (name, _ANSWER) for name in PAIRS},
    **{f"{name}_output": (name, _OUTPUT) for name in ("thinking", "thought", "reasoning")},
    "cohere_thinking_response": ("cohere_thinking", ("<|START_RESPONSE|>", "<|END_RESPONSE|>")),
}
"""Name of a format -> the pair around its thought, and the tags around its solution."""
_AROUND_SOLUTION = {pair: [(name, tags) for name, (of, tags) in _WRAPPED.items() if of == pair] for pair in PAIRS}

_AROUND_THOUGHT = [
    (opening.lower(), closing.lower(), LazyPattern(f"{_pattern_of(opening)}|{re.escape(closing)}", re.IGNORECASE))
    for opening, closing in (MARKERS[:2], ("<thoughts>", "</thoughts>"), *PAIRS.values())
]
_BEGINS, _ENDS = tuple(row[0][:-1] for row in _AROUND_THOUGHT), tuple(row[1] for row in _AROUND_THOUGHT)
_LONGEST_TAG = 30
ANOTHER_SOLUTION = "another solution behind the thought"
"""Reason of a row whose thought's column goes on with another solution than the one beside it."""
_AROUND_SOLUTION_BESIDE = (MARKERS[2:], _ANSWER, *SOLUTIONS)


def bare_solution(text: str) -> str:
    """Return a solution without the tags around the whole of it."""
    return unwrapped(text, ((opening.lower(), closing.lower()) for opening, closing in _AROUND_SOLUTION_BESIDE))


def bare_thought(thought: str, solution: str, is_apart: bool = True) -> str:
    """Return a thought without tags of its own around it, and without the solution once more behind them.

    Tags that are quoted, or may be of other purposes somewhere inside, stay where they are. The thought may be a whole
    response; where it `is_apart`, in a field of its own, the end of a thought inside of it is out of place. Raises
    RejectedRow where what follows the thought's end is not the solution, or a tag is out of place.
    """
    if not _has_tags_around(thought) and not (is_apart and "/" in thought and _has_an_end(thought)):
        return thought

    lower = thought.lower()
    for opening, closing, pattern in _AROUND_THOUGHT:
        if closing not in lower and opening[:-1] not in lower:
            continue

        text = thought[beginning(thought) :].rstrip()
        found = _unquoted(text, pattern)
        opens = bool(found) and found[0].start() == 0 and _name_of(found[0].group()) == opening
        seen = [match.group().lower() == closing for match in found[opens:]]
        behind = text[found[-1].end() :] if seen == [True] else ""
        if seen == [True] and _same(behind, solution) or opens and not seen:
            thought = text[found[0].end() if opens else 0 : found[-1].start() if seen else len(text)]
        elif any(seen) and (opens or is_apart and closing in _CERTAIN):
            if behind.strip():
                told = f"behind its {closing} stands {reprlib.repr(behind.strip())}"
                raise RejectedRow(ANOTHER_SOLUTION, told)

            raise _reject("a tag out of place", text, found[-1].start(), f"{found[-1].group()} in the thought")

    return thought


_CERTAIN = ("</think>", "</thinking>", "[/think]", "◁/think▷")
"""Tags that mean nothing else, wherever they stand; `</analysis>` may be somebody's XML."""


def _has_tags_around(thought: str) -> bool:
    head, tail = thought[:_LONGEST_TAG].lstrip(), thought[-_LONGEST_TAG:].rstrip()
    return head.lower().startswith(_BEGINS) or tail.lower().endswith(_ENDS)


def _has_an_end(thought: str) -> bool:
    """Whether an end of a thought may stand in one; a single character is found in a hundredth of the time."""
    return any(tag[0] in thought and tag in thought for tag in ("</", "[/", "◁/"))


def _same(behind: str, solution: str) -> bool:
    """Whether what stands behind a thought is nothing, or its solution once more, or how that begins."""
    found, whole = (" ".join(bare_solution(text).split()) for text in (behind, solution))
    return whole.startswith(found)


def _parse_markers(text: str) -> LongThought:
    """Return Virgo's thought and solution; other tags around the thought between the markers are left out."""
    found = LongThought.parse(text)
    if found.thought[0] not in "<[◁" and found.thought[-1] not in ">]▷":  # no call: most thoughts
        return found

    return LongThought(bare_thought(found.thought, found.solution, is_apart=False), found.solution)


TAG_SETS = {
    "four_markers": Format(MARKERS, _parse_markers),
    "think_answer": _pair("think", *_ANSWER),
    "think": _pair("think"),
    "thoughts": _elements("<thoughts>", "</thoughts>", rest=True),
    "four_sections": _elements(*_tags("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")),
    "headings": Format(("### Image Description:", "### Rationales:", "### The final answer is:"), _parse_headings),
    "description_think": _elements(*_tags("description", "think"), rest=True),
    "thinking_headings": Format(THINKING_HEADINGS, _parse_thinking_headings),
    "harmony": Format(HARMONY, _parse_harmony),
    **{name: _pair(pair, *tags) for name, (pair, tags) in _WRAPPED.items() if name != "think_answer"},
    **{name: _pair(name) for name in PAIRS if name != "think"},
}
"""Name of a format -> how its responses are read."""

_START = LazyPattern(
    rf"(?:(?P<four_markers>{re.escape(BEGIN_THOUGHT)})|(?P<thoughts>{_pattern_of('<thoughts>')})|(?P<four_sections>(?i:<SUMMARY>))|(?P<headings>### (?:Image Description|Rationales):)"
    r"|(?P<description_think><description>)|(?P<harmony>(?:<\|start\|>assistant)?<\|channel\|>)|"
    + "|".join(
        rf"(?P<{name}>(?{'-' if name == 'reasoning' else ''}i:{_pattern_of(opening)}))"  # <REASONING> is LLaVA-CoT's
        for name, (opening, _) in PAIRS.items()
    )
    + ")"
)
_SHOWN: dict[str, str] = {}
"""Tag -> the first format that one somewhere in a response shows; an answer alone shows nothing of its thought."""
for _name, _known in TAG_SETS.items():
    for _tag in _known.tags[:2] if _name in PAIRS or _name in _WRAPPED else _known.tags:
        _SHOWN.setdefault(_tag, _name)


def format_of(response: str) -> str | None:
    """Return the name of the format that a response shows, whole or broken; None if it shows no tag.

    What it begins with decides; else the first tag set of TAG_SETS of which it has a tag. A `<think>` with an answer
    tag behind its end is "think_answer".
    """
    start = beginning(response)
    if found := _START.match(response, start):
        name = found.lastgroup
    elif _THOUGHT_HEADING.match(response, start):
        name = "thinking_headings"
    else:
        name = _inside(response)

    return _with_solution(name, response)


def _inside(response: str) -> str | None:
    """Return the first format of which a tag stands somewhere in a response."""
    for tag, name in _SHOWN.items():
        if tag in response:
            return name

    lower = response.lower()
    return next((name for tag, name in _IN_ANY_CASE if tag in lower), None)


_IN_ANY_CASE = [(tag.lower(), name) for name, pair in PAIRS.items() for tag in pair]
_IN_ANY_CASE += [(tag, "think_answer") for tag in _ANSWER]


def _last(response: str, tag: str) -> int:
    """Return where a tag last occurs, in its usual spelling or else in any case of letters; -1 without one."""
    found = response.rfind(tag)
    return found if found >= 0 else response.lower().rfind(tag.lower())


def _with_solution(name: str | None, response: str) -> str | None:
    """Return the format of a pair of tags with the name of the tags behind its end, if some stand there.

    An answer tag anywhere there; others only where the solution begins: elsewhere `<output>` may be its own text.
    """
    pair = _WRAPPED[name][0] if name in _WRAPPED else name
    if pair not in PAIRS:
        return name

    closing = PAIRS[pair][1]
    end = _last(response, closing)
    behind = response[end + len(closing) :] if end >= 0 else response
    if "<" not in behind:
        return pair

    for wrapped, tags in _AROUND_SOLUTION[pair]:
        if (
            any(_last(behind, tag) >= 0 for tag in tags) and _unquoted(behind, _ANSWER_TAG)
            if tags is _ANSWER
            else behind.lstrip()[: len(tags[0])].lower() == tags[0].lower()
        ):
            return wrapped

    return pair


def shows(response: str, name: str | None) -> bool:
    """Whether a response shows its format beyond doubt: one cut off inside `<think>` may be of two."""
    return name is not None and (name not in PAIRS or ends_thought(response, name))


def ends_thought(response: str, name: str) -> bool:
    """Whether a thought ends somewhere in a response of a format; an answer in tags may stand there alone."""
    pair = _WRAPPED[name][0] if name in _WRAPPED else name
    return pair not in PAIRS or _last(response, PAIRS[pair][1]) >= 0


def is_tagged(text: str) -> bool:
    """Whether a text shows a thought's end in one of the formats, and so is more than a mention of a tag."""
    name = format_of(text)
    return name is not None and shows(text, name) and _last(text, TAG_SETS[name].tags[1]) >= 0


def opens_thought(text: str) -> bool:
    """Whether a text begins with the tag of a thought, which may have been cut off.

    >>> opens_thought("\\n<think>Seven"), opens_thought("Use <think>.")
    (True, False)
    """
    found = _START.match(text, beginning(text))
    return found is not None and found.lastgroup in PAIRS


KINDS = {
    **dict.fromkeys((*PAIRS, "thoughts", "harmony", "thinking_headings"), "think"),
    **dict.fromkeys(_WRAPPED, "think"),
}
"""Format -> what it is a mere spelling of, where the same thought and solution come out of rows in both."""


def parse_response(text: str, name: str | None, keep_malformed: bool = False) -> LongThought | str:
    """Return the long thought of a response; with `keep_malformed` the text itself where it is none.

    `name`: its format, a key of TAG_SETS, or None if none was recognised. Raises RejectedRow with the reason and the line.
    """
    try:
        if name is None:
            raise RejectedRow("no tags of a known format", f"{_hint(text)}expected one of {', '.join(OPENINGS)}")

        return TAG_SETS[name].parse(text if text[:1] == "<" else text[beginning(text) :])
    except MalformedThought as error:
        rejected = RejectedRow(REASONS[error.reason], f"line {error.line} of the response")
    except RejectedRow as error:
        rejected = bare(error)

    if keep_malformed and text.strip():
        return text

    raise rejected


OPENINGS = tuple(dict.fromkeys(known.tags[0] for known in TAG_SETS.values()))
"""What a response begins with, over all formats."""


_BOXED = LazyPattern(r"\\boxed[ \t]*\{|Final Answer", re.IGNORECASE)


def _hint(text: str) -> str:
    """Return what may help where a response has no tags: QVQ and QwQ-Preview write none."""
    if "&lt;think" in text[:1000].lower():
        return "its tags are escaped as HTML is, write them again with html.unescape; "

    if '<details type="reasoning"' in text[:1000]:
        return "write what stands in <details> into a column thought, and the rest into a column solution; "

    if _BOXED.search(text, max(0, len(text) - 2000)):
        return "untagged, but with a final answer: formatting virgo_dqvq splits it there; else "

    return ""
