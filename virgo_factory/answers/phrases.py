"""Where prose says its answer: after "the answer is", in bold, in maths, after "is"; linear in the text."""

import re

from virgo_factory.answers.latex import characters, unwrap, words
from virgo_factory.answers.model import Question
from virgo_factory.answers.numbers import read_number


MAX_ANSWER = 2_000
"""Longest answer; a longer one is not an answer but a text."""
SUBJECT = (
    r"(?:(?:the|my|our|your|this|so)\s+)?(?:(?:final|correct|best|right|most appropriate|most likely|closest|final correct)\s+)*"
    r"(?:answer|choice|option|answer choice|answer option|ans|réponse|respuesta|antwort)s?"
    r"(?:\s+(?:here|choice|option|to (?:the|this) (?:question|problem)|for (?:the|this) (?:question|problem)|among[^.:\n]{0,40}|for [^.:\n]{1,40}(?=:)))?"
)
_PHRASE = re.compile(
    rf"(?:\*\*|__|#+ ?)?\b{SUBJECT}\s*(?:\*\*|__)?\s*"
    r"(?:(?:is|are|would be|should be|must be|will be|could be|est|es|ist|was)(?![A-Za-z])(?:\s*(?:therefore|thus|then|option|choice|indeed|as follows))*\s*[:：]?|[:：=])"
    r"\s*(?:\*\*|__)?[ \t]*",
    re.IGNORECASE,
)
FINAL = re.compile(r"\bfinal answer\s*(?:is|:)(?:\s*the final answer\s*(?:is|:))?\s*", re.IGNORECASE)
_HEADER = re.compile(
    r"(?:^|\n)[*_#> \t]{1,20}(?:the )?final answer[ \t]*[:：]?[ \t]*(?:[*_#]+)?[ \t]*[:：]?[ \t]*|答案\s*[是为：:]*\s*|####[ \t]*",
    re.IGNORECASE,
)
_ITEMS = re.compile(r"[\s*_:]*(?:\n[ \t]*(?:[-•*]|\d+[.)])[ \t][^\n]{1,300}[:=][^\n]{1,300}){2,20}")
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
MATHS = re.compile(r"\$\$([^$]{1,1000})\$\$|\$([^$\n]{1,500})\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL)
_NUMERAL = re.compile(
    r"\(\s*-?\d+(?:\.\d+)?\s*,\s*-?\d+(?:\.\d+)?\s*\)|\b(?:between|from)\s\$?\d[\d.,]*\s(?:and|to)\s\$?\d[\d,]*(?:\.\d+)?"
    r"|\d+(?:\.\d+)?\s?:\s?\d+(?:\.\d+)?|(?<![\w.])(?:(?<![\d)\]}]\s)(?<![\d)\]}])[-−]\s?)?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:(?<=\d)\.\d+|(?<!\d)\.\d+)?(?:(?<=\d)\s?/\s?\d+|[eE][+-]?\d+)?(?<=\d)(?:\s*\\?%)?(?![\d])"
)
THERE = re.compile(
    r"\b(?:there (?:is|are|was|were|will be)|a total of|leaving|leaves|left with)\s+(?:only |exactly |approximately |about |a total of )?\**"
    r"(\d[\d,]*(?:\.\d+)?|zero|no|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b(?!\s*[/=*+])",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"\n|(?<=[a-z)\]}$*\"%°])\.(?=\s|$)|(?<=\d)\.(?=\s+[A-Z]|\s*$)|(?<=[A-J])\.(?=\s+[A-Z]|\s*$)|[!?](?=\s|$)"
)


def said_answer(text: str, question: str = "") -> str | None:
    """What the last "the answer is" or "Final Answer" says, to the end of its sentence; None without one."""
    found = sorted([*_PHRASE.finditer(text), *_HEADER.finditer(text)], key=lambda match: match.end())
    for match in reversed(found[-50:]):
        end = match.end()
        while text[end - 1 : end] == "\n":
            end -= 1
        if (items := _ITEMS.match(text, end)) and len(listed := items[0].strip().splitlines()) > 1:
            return _item(listed, question)
        said = sentence(text, match.end())
        if said and not re.match(
            r"(?:that|not|in|the following|to|as|because|given|correct|a[sn]?)\b(?! [A-J]\b)", said, re.IGNORECASE
        ):
            return said
        if said and re.match(r"that\b", said, re.IGNORECASE):
            return said[4:].strip()
    return None


def _item(listed: list[str], question: str) -> str:
    """Of several answers in a list, the one whose name shares most words with the end of the question; else the last."""
    asked = set(words(question.strip().rpartition("\n")[2][-300:]).split())
    best, chosen = 0, listed[-1]
    for line in listed:
        name = line.rpartition(":")[0] or line.rpartition("=")[0]
        shared = len(asked & set(words(name).split()))
        if shared >= best:
            best, chosen = shared, line
    return unwrap((chosen.rpartition(":")[2] if ":" in chosen else chosen.rpartition("=")[2]).strip())


def sentence(text: str, start: int) -> str:
    """The text from a place to the end of its sentence; of the next line where this one is empty."""
    rest = text[start : start + MAX_ANSWER]
    skipped = rest.lstrip(" \t\n*_:>")
    if skipped.startswith(("$$", "\\[")):
        close = skipped.find("$$" if skipped.startswith("$$") else "\\]", 2)
        if close > 0:
            return unwrap(skipped[: close + 2])
    if skipped.startswith(("$", "\\(")):
        close = skipped.find("$" if skipped.startswith("$") else "\\)", 1)
        if 0 < close < 400 and "\n" not in skipped[:close]:
            after = _SENTENCE_END.search(skipped, close + 1)
            end = after.start() if after else len(skipped)
            return unwrap(skipped[:end])
    end = _SENTENCE_END.search(skipped)
    return unwrap(skipped[: end.start()] if end else skipped)


def tighten(said: str, question: Question) -> str:
    """The answer inside a sentence: itself where it is one, else its maths, its bold part, or what follows "is" or "="."""
    said = unwrap(said)
    if len(said) <= 40 and (read_number(said) is not None or question.kind == "text"):
        return said
    said = re.sub(r"\s*\.?\s*I hope it is correct\b.*$", "", said)
    if (tail := unwrap(re.split("是|为|等于", said)[-1])) and tail != said and read_number(tail) is not None:
        return tail
    if found := BOLD.findall(said):
        return unwrap(found[-1])
    found = list(MATHS.finditer(said))
    segments = [next(filter(None, match.groups())) for match in found]
    if segments and (
        tail := re.match(r".*\b(?:is|are|equals?|was|by)\s+(.{1,60})$", said[found[-1].end() :], re.DOTALL)
    ):
        if read_number(tail[1]) is not None:
            return unwrap(tail[1])
    outside = MATHS.sub(" ", said)
    if segments and re.search(r"[A-Za-z]{2,}", outside):
        if len(segments) > 1 and re.fullmatch(r"[\s,;]*(?:and|or)?[\s,;.]*", outside.strip()):
            return ", ".join(segments)
        return unwrap(segments[-1])
    if question.kind in ("number", "count") or not re.search(r"[\\=^]", said):
        tail = re.split(r"\b(?:is|are|equals?|was)\b|=|≈|:|是|为|等于", said)[-1]
        tail = unwrap(tail)
        if tail and read_number(tail) is not None:
            return tail
        if question.kind in ("number", "count") and (found := numerals(said)):
            return found[0 if re.match(r"[-$€£]?\d", said) else -1]
    return said


def numerals(text: str) -> list[str]:
    """Return the numbers of a text as written; a pair in brackets, a ratio and a range are one each."""
    return [match.group().strip() for match in _NUMERAL.finditer(characters(text)) if match.group().strip()]
