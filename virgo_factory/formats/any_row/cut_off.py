"""Responses that end where none ends, though no mark of the row says that they were cut off.

Certain is an end inside of a box, a formula or a block of code, and a note that the text was truncated. What is closed in
another way than it was opened (`$$x$`, print(1)```) is sloppy, and stays. An end in mid-sentence is only told.
"""

import re

from virgo_factory.core.lazy_pattern import LazyPattern


_BRACE = LazyPattern(r"\\.|[{}]", re.DOTALL)
_GOES_ON = LazyPattern(r"\$|\\[\])]|\n\s*\n|[\"'`]")
"""What stands behind a box or formula that was only not closed well: the end of a formula, a paragraph, code."""
_PROSE = LazyPattern(r"(?<![\\{A-Za-z])[A-Za-z]{3,} [a-z]+\b|\A\W*\Z")
"""The same behind a formula: words, or nothing but signs."""
_FENCE = LazyPattern(r"^[ \t>]*```[^`\n]*$", re.MULTILINE)
_NOTE = LazyPattern(
    r"(?:[\[<][ .…]*|(?:\.{3}|…)\s*\(|\((?:\.{3}|…)\s*)(?:\w+ ){0,3}truncated"
    r"(?: (?:at|after|due|for|by|here|because|in|to)\b[^\[\](){}<>\n]{0,40})?[ .…]*[\])>][\s.]*\Z",
    re.IGNORECASE,
)
_LONGEST_NOTE = 100
_MID_SENTENCE = LazyPattern(
    r"\w\s+(?:the|an|of|is|are|and|or|that|we|this|from|with|because|which|if|to|than|then|as)\Z|\w\s*[,(=]\Z"
)
_LEAST_WORDS = 8
"""Of a solution whose last word is looked at; a shorter one may be the name of something."""


def cut_off(thought: str, solution: str) -> str:
    r"""Return where a response was certainly cut off, for a message; "" where it ends as responses do.

    >>> (
    ...     cut_off("So 4.", "It is \\boxed{4"),
    ...     cut_off("So 4.", "It is $\\boxed{4$."),
    ...     cut_off("So 4.", "```python\nprint(4"),
    ... )
    ('inside of \\boxed{', '', 'inside of a block of code')
    """
    if ("\\" in solution or "$$" in solution or "```" in solution) and (inside := _open(solution)):
        return f"inside of {inside}"

    for text in (thought, solution):
        if "runcated" in text[-_LONGEST_NOTE:] and (found := _NOTE.search(text, max(0, len(text) - _LONGEST_NOTE))):
            return f"with {found.group().strip()}"

    return ""


def _open(solution: str) -> str:
    """Return what a solution ends inside of; "" for nothing."""
    if "```" in solution and solution.count("```") % 2:
        fences = list(_FENCE.finditer(solution))
        if len(fences) % 2 and solution[fences[-1].end() :].strip():
            return "a block of code"

    last = solution.rfind("\\boxed{")
    if last >= 0 and not _closes(solution, last + len("\\boxed")) and not _GOES_ON.search(solution, last + 7):
        return "\\boxed{"

    begun = solution[solution.rfind("\\begin{") :].partition("}")[0] if "\\begin{" in solution else "\\begin{"
    for opening, closing in ((begun, begun.replace("begin", "end", 1)), ("\\[", "\\]"), ("\\(", "\\)"), ("$$", "$$")):
        before, found, behind = solution.rpartition(opening)
        if not found or before.endswith("\\") or _GOES_ON.search(behind) or _PROSE.search(behind):
            continue

        if opening == "$$":
            is_open = solution.count("$$") % 2 and ("\\" in behind or "=" in behind)
        else:
            is_open = closing not in behind and behind.count(closing[-1]) <= behind.count(opening[-1])

        if is_open:
            return f"a formula, behind {opening}"

    return ""


def _closes(text: str, start: int) -> bool:
    """Whether the brace at a place is closed."""
    end = text.find("}", start)
    if end >= 0 and text.find("{", start + 1, end) < 0 and text[end - 1] != "\\":  # most: a number
        return True

    depth = 0
    for found in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if not depth:
            return True

    return False


def mid_sentence(solution: str) -> str:
    """Return the last words of a solution that seems to end in mid-sentence; "" where it does not.

    >>> mid_sentence("We add both and see, as was said before, that the"), mid_sentence("Therefore it is 7")
    ('as was said before, that the', '')
    """
    end = solution.rstrip()
    if not _MID_SENTENCE.search(end, max(0, len(end) - 40)) or len(words := end.split()) < _LEAST_WORDS:
        return ""

    return " ".join(words[-6:])
