"""Where prose says its answer, in English and Chinese: one table of phrases, and what follows them; linear in the text."""

import re

from virgo_factory.answers.latex import characters, unwrap, words
from virgo_factory.answers.model import Question
from virgo_factory.answers.numbers import read_number


MAX_ANSWER = 2_000
"""Longest answer; a longer one is not an answer but a text."""
SUBJECT = (
    r"(?:(?:the|my|our|your|this|so)\s+)?(?:(?:final|correct|best|right|most appropriate|most likely|closest|final correct)\s+)*"
    r"(?:answer|choice|option|answer choice|answer option|ans|réponse|respuesta|antwort)s?(?:\s{0,3}\([^()\n]{1,30}\))?"
    r"(?:\s+(?:here|choice|option|to (?:the|this) (?:question|problem)|for (?:the|this) (?:question|problem)|among[^.:\n]{0,40}|for [^.:\n]{1,40}(?=:)))?"
)
ADVERB = (
    r"(?:therefore|thus|then|hence|indeed|here|definitely|surely|certainly|clearly|obviously|probably|likely|most likely|simply|actually|really|"
    r"undoubtedly|evidently|apparently|presumably|exactly|only|for sure|in fact|of course|no doubt|without (?:a |any )?doubt|as follows)"
)
VERB = r"(?:is|are|would be|should be|must be|will be|could be|has to be|was|appears to be|seems to be|est|es|ist)(?![A-Za-z'’])"
CHINESE = r"(?:正确)?答案\s{0,6}[】\]]?\s{0,6}(?:应该|应当|应|就|只能|最终)?\s{0,6}(?:是|为|选择?|[:：])*|(?:结果|得数|总数)\s{0,6}(?:应该|应)?\s{0,6}(?:是|为|等于|[:：])|(?:^|(?<=[\s。，,]))答\s{0,6}[:：]"
_PHRASE = re.compile(
    rf"(?:\*\*|__|#{{1,6}} ?)?\b{SUBJECT}\s{{0,6}}(?:\*\*|__)?,?\s{{0,6}}(?:{ADVERB},?\s+)?(?:{VERB}(?:,?\s{{0,6}}(?:{ADVERB}|option|choice),?)*\s{{0,6}}[:：]?|[:：=])"
    r"\s{0,6}(?:\*\*|__)?[ \t]*",
    re.IGNORECASE,
)
FINAL = re.compile(r"\bfinal answer\s*(?:is|:)(?:\s*the final answer\s*(?:is|:))?\s*", re.IGNORECASE)
_HEADER = re.compile(
    r"(?:^|\n)[*_#> \t]{1,20}(?:the )?final answer[ \t]{0,20}[:：]?[ \t]{0,20}(?:[*_#]+)?[ \t]{0,20}[:：]?[ \t]{0,20}|####[ \t]{0,20}|[【\[]?(?:"
    + CHINESE
    + r")\s{0,6}",
    re.IGNORECASE,
)
_ITEMS = re.compile(r"[\s*_:]*(?:\n[ \t]*(?:[-•*]|\d+[.)])[ \t][^\n]{1,300}[:=][^\n]{1,300}){2,20}")
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
MATHS = re.compile(r"\$\$([^$]{1,1000})\$\$|\$([^$\n]{1,500})\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL)
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]\.?m\b\.?)?"
_NUMERAL = re.compile(
    r"\(\s*-?\d+(?:\.\d+)?\s*,\s*-?\d+(?:\.\d+)?\s*\)|\b(?:between|from)\s\$?\d[\d.,]*\s(?:and|to)\s\$?\d[\d,]*(?:\.\d+)?"
    rf"|(?<![\d:]){_CLOCK}(?![\d:])|\d+(?:\.\d+)?\s?:\s?\d+(?:\.\d+)?"
    r"|(?<![A-Za-z0-9_.])(?<!\^)(?<!\^\{)(?:(?<![\d)\]}]\s)(?<![\d)\]}])[-−]\s?)?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?"
    r"(?:(?<=\d)\.\d+|(?<!\d)\.\d+)?(?:(?<=\d)\s?/\s?\d+|[eE][+-]?\d+)?(?<=\d)(?:\s*\\?%|\s?[万亿千百](?=[\u4e00-\u9fff]|\W|$))?(?![\d])",
    re.IGNORECASE,
)
_LIST_NUMBER = re.compile(r"^[ \t*_#>]*\d{1,2}[.)](?=[ \t*])", re.MULTILINE)
NUMBER = r"\d[\d,]*(?:\.\d+)?|zero|no|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
THERE = re.compile(
    rf"\b(?:there (?:is|are|was|were|will be)|a total of|leaving|leaves|left with)\s+(?:only |exactly |approximately |about |a total of )?\**({NUMBER})\b(?!\s*[/=*+])",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"(?<![A-Za-z])(?:is|are|equals?|was|were|takes?|costs?|weighs?|measures?|lasts?|pays?|gives)(?![A-Za-z])(?: (?:about|approximately|roughly|exactly|only|equal to))?|[=≈]|:(?!\d)|是|等于|(?:大)?约为?|共计?有?|(?<![因认])为"
)
"""What stands before a value in a statement."""
_SENTENCE_END = re.compile(
    r"\n|[。！？；]|(?<=[a-z)\]}$*\"%°²³])\.(?=\s|$)|(?<=\d)\.(?=\s+[A-Z]|\s*$)|(?<=[A-J])\.(?=\s+[A-Z]|\s*$)|[!?](?=\s|$)"
)
_COURTESY = re.compile(
    r"(?:(?<=[.!?。！])|\n)[ \t\n]*(?:i hope|hope|let me know|please let me know|feel free|if you (?:have|need|would|want)|thank|is there anything|do you (?:have|want|need)"
    r"|希望|如果您?你?(?:还|有|需)|如有|请告诉|谢谢)[^\n]{0,200}\s*\Z",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:(?:cannot|can't|can not|could not|couldn't|unable|impossible|not possible|not able)(?: \w+ly)?(?: to)? (?:be (?:\w+ly )?(?:determined|provided|answered|solved|found|decided)"
    r"|determine|answer|provide|solve|find|process|see|view|help|identify|say|give|tell|decide|know|make out|assist|recogni[sz]e|read)|unable to|impossible to|not possible to"
    r"|(?:don't|do not) (?:know|have (?:enough|access))|not (?:provide|contain|give|include|have) enough|insufficient|not sufficient"
    r"|not (?:in|among|one of) the (?:provided |given )?(?:choices|options))\b|无法(?:确定|判断|回答|得知|看到|识别|看出)|不能(?:确定|判断)|看不(?:到|清|出)|不知道",
    re.IGNORECASE,
)
_GUESS = re.compile(r"\b(?:but|however|likely|probably|closest|most)\b|但|最可能", re.IGNORECASE)
NOT = r"(?:\b(?:not|neither|nor|never|without|except|unlike)\b|n['’]t\b|\brather than\b|\binstead of\b|\bother than\b|\bcannot\b|不是|并非|不选|而不|而非|不为|除了|不能|没有)"
"""What takes back the option or value that follows it."""

BOOLEANS = {
    **dict.fromkeys(("yes", "true", "correct", "是", "是的", "对", "对的", "正确", "正确的", "√", "✓", "成立"), True),
    **dict.fromkeys(("no", "false", "incorrect", "否", "不", "不是", "不是的", "不对", "错", "错误", "错误的", "错的", "不正确", "×", "✗", "不成立"), False),
}  # fmt: skip
"""Words that answer yes or no."""
_BOOLEAN = "|".join(sorted(map(re.escape, BOOLEANS), key=len, reverse=True))
_EDGE = r"(?![A-Za-z])(?=[ \t]*(?:[.,;:!*\"'’”)\]}。，；：！、（(\-–—|\n]|$|(?:it|there|they|the|this|that|because|since|as|we|both|all)\b))"
_FIRST = re.compile(rf"[\s*_\"'“#]*({_BOOLEAN}){_EDGE}", re.IGNORECASE)
_STATED = re.compile(
    rf"(?:\b(?:so|therefore|thus|hence|answer|statement|claim|assertion|conclusion|proposition|it)(?: (?:above|given))?(?:\s{{0,3}}\([^()\n]{{1,30}}\))?(?:[:,]?\s{{1,3}}(?:the (?:answer|statement|claim) )?(?:is|must be|should be)?|['’]s)\s{{0,3}}(?:{ADVERB}\s{{1,3}})?"
    rf"|(?:答案|说法|判断|结论|命题|叙述|描述|因此|所以|故)(?:应该|应|就|也)?(?:是|为|[:：，,])*\s{{0,3}})[\s*_\"'“]{{0,6}}(?P<no>not\s{{1,3}}|isn['’]t\s{{1,3}})?(?P<said>{_BOOLEAN}){_EDGE}(?!\s{{1,3}}that\b)",
    re.IGNORECASE,
)


_CLOSING = re.compile(r"[,，]\s?(yes|no|true|false|是|否)\W*\Z", re.IGNORECASE)
_ADDED = re.compile(
    r",?\s+(?:\bnot\b|rather than\b|instead of\b|i\.e\b|since\b|because\b|that is\b).*$|\s*\((?:or|i\.e\.|about|approximately|that is|[=≈])[^()]*\)$",
    re.DOTALL | re.IGNORECASE,
)
"""What is said beside a value: "5, not 6", "0.5 (or 50%)"."""


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
            r"(?:that|not|in|the following|to|as|because|given|correct|a[sn]?)\b(?! [A-J]\b)|helpful|useful",
            said,
            re.IGNORECASE,
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
    skipped = text[start : start + MAX_ANSWER].lstrip(" \t\n*_:>")
    for left, right, longest in (
        ("$$", "$$", MAX_ANSWER),
        ("\\[", "\\]", MAX_ANSWER),
        ("$", "$", 400),
        ("\\(", "\\)", 400),
    ):
        if skipped.startswith(left):
            close = skipped.find(right, len(left))
            if len(left) <= close < longest and (longest == MAX_ANSWER or "\n" not in skipped[:close]):
                if longest == MAX_ANSWER:
                    return unwrap(skipped[: close + 2])
                end = _SENTENCE_END.search(skipped, close + 1)
                return unwrap(skipped[: end.start()] if end else skipped)
            break
    end = _SENTENCE_END.search(skipped)
    return unwrap(skipped[: end.start()] if end else skipped)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, blank ones left out."""
    return [part for part in re.split(_SENTENCE_END, text) if part and part.strip()]


def refuses(told: str) -> bool:
    """Whether a sentence says that it has no answer, and does not go on to give one."""
    found = _REFUSAL.search(told)
    return found is not None and not _GUESS.search(told[found.end() :])


def refuses_at_end(text: str) -> bool:
    """Whether a response ends by saying that it has no answer."""
    return any(map(refuses, sentences(text.strip()[-1_000:])[-2:]))


def value_in(said: str) -> str | None:
    """What a statement says something is, where that reads as a number: after its last "is", "=" or "等于"."""
    ends = [match.end() for match in _VALUE.finditer(said)]
    for end in reversed([end for end in ends[-3:] if len(said) - end <= 300]):
        tail = unwrap(said[end:])
        if tail and len(tail) <= 60 and read_number(tail) is not None:
            return tail
    return None


def tighten(said: str, question: Question) -> str:
    """The answer inside a sentence: itself where it is one, else its maths, its bold part, or what follows "is" or "="."""
    said = unwrap(said)
    if len(said) <= 40 and (
        read_number(said) is not None or question.kind == "text" or re.fullmatch(_CLOCK, said, re.IGNORECASE)
    ):
        return said
    said = re.sub(r"\s*\.?\s*I hope it is correct\b.*$", "", said)
    if (short := unwrap(_ADDED.sub("", said))) != said and read_number(short) is not None:
        return short
    if found := BOLD.findall(said):
        return unwrap(found[-1])
    found = list(MATHS.finditer(said))
    segments = [next(filter(None, match.groups())) for match in found]
    if segments and (tail := value_in(said[found[-1].end() :])):
        return tail
    outside = MATHS.sub(" ", said)
    if segments and re.search(r"[A-Za-z]{2,}|[\u4e00-\u9fff]", outside):
        if len(segments) > 1 and re.fullmatch(r"[\s,;]*(?:and|or|和|或)?[\s,;.]*", outside.strip()):
            return ", ".join(segments)
        return unwrap(segments[-1])
    if question.kind in ("number", "count") or not re.search(r"[\\=^]", said) or re.search("是|为|等于|有", said):
        if tail := value_in(said):
            return tail
        if question.kind in ("number", "count") and (found := numerals(said)):
            return found[0 if re.match(r"[-$€£]?\d", said) else -1]
    return said


def numerals(text: str) -> list[str]:
    """Return the numbers of a text as written, without those of a numbered list; a pair in brackets, a ratio, a time and a range are one each."""
    text = characters(_LIST_NUMBER.sub(" ", text))
    return [match.group().strip() for match in _NUMERAL.finditer(text) if match.group().strip()]


def without_courtesy(text: str) -> str:
    """Return a response without what it says to the reader when it is done ("I hope this helps!")."""
    for _ in range(3):
        if not (found := _COURTESY.search(text, max(0, len(text) - 400))) or not text[: found.start()].strip():
            break
        text = text[: found.start()]
    return text


def said_boolean(text: str) -> bool | None:
    """Return whether a response says yes (true) or no (false): in its first word, its last line, or a statement; else None.

    >>> said_boolean("False.\\n\\nIt is true that the bars touch."), said_boolean("True, False.")
    (False, None)
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return None
    if (last := _alone(lines[-1])) is not None:
        return last
    ended = list(_STATED.finditer(text[-2_000:]))
    stated = BOOLEANS[ended[-1]["said"].lower()] != bool(ended[-1]["no"]) if ended else None
    if ended and re.match(
        r"(?:so|therefore|thus|hence|answer|答案|因此|所以|故)|.*\banswer", ended[-1][0], re.IGNORECASE
    ):
        return stated
    if len(text.strip()) > 14 and (closed := _CLOSING.search(text[-40:])):
        return BOOLEANS[closed[1].lower()]
    text = re.sub(r"\A[^.!。？?]{3,400}[?？]\s*", "", text.strip()) or text
    if first := _FIRST.match(text):
        said = BOOLEANS[first[1].lower()]
        rest = re.split(r"[.!。！\n]", text[first.end() :].lstrip(" .,:;!*。，"), maxsplit=1)[0]
        second = _FIRST.match(rest)
        return None if second and BOOLEANS[second[1].lower()] != said and len(rest) < 20 else said
    return stated


def _alone(line: str) -> bool | None:
    """What a line says that is nothing but such a word."""
    return BOOLEANS.get(
        re.sub(
            r"^(?:so|therefore|thus|answer)[,:]?\s+|[\s*_.。!！$\"'`:：()]+", "", line.strip(), flags=re.IGNORECASE
        ).lower()
    )
