"""How prose says its answer, in English and Chinese: its statements, what announces an answer, and what takes it back.

Every function is linear in the text. A statement is a sentence, a line or what stands between two of them.
"""

import functools
import re
from collections.abc import Iterator

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.latex import characters, compact, unwrap, words
from virgo_factory.answers.values.numbers import read_number
from virgo_factory.answers.values.units import read_unit


MAX_ANSWER = 2_000
"""Longest answer; a longer one is not an answer but a text, which is right where it is the gold answer itself."""
MAX_GOLD = 10 * MAX_ANSWER
"""Longest gold answer."""
_BEFORE = 110
"""Characters of a statement that are looked at in front of an announcement."""

FINAL = re.compile(r"\bfinal answer\s*(?:is|:)(?:\s*the final answer\s*(?:is|:))?\s*", re.IGNORECASE)

_GUESS = re.compile(r"\b(?:but|however|likely|probably|closest|most)\b|但|最可能", re.IGNORECASE)

_CLAUSE_END = re.compile(r"\.(?:(?<=[a-z)\d]\.)\s|(?<=\b[A-Z]\.)\s(?=[A-Z][a-z]|\Z))|[\n。！？；;!]")
_ITEMS = re.compile(r"[\s*_:]*(?:\n[ \t]*(?:[-•*]|\d+[.)])[ \t][^\n]{1,300}[:=][^\n]{1,300}){2,20}")
IS_ANSWER = re.compile(
    r"(?<=\S) is (?:the|my) (?:final |correct |right |required )?(?:answer|result|solution)\b(?!s? [a-z]*ing\b)[^\d\n]*$"
)
"""What a statement says of the answer in front of it."""
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
MATHS = re.compile(r"\$\$([^$]{1,1000})\$\$|\$([^$\n]{1,500})\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL)
_UNDER = re.compile(r"(?:\\(?:sqrt|frac)\s*(?:\[\d\])?\{?|\}\{|√)\Z")
_TIMES = re.compile(r"\s?(?:\\(?:sqrt|pi)(?![a-z])|[√π]|\^(?!\s?\{?\s?\\circ))")
"""What stands before and behind a number that is only a part of a formula: 4√5 is neither 4 nor 5."""


BOOLEANS = {
    **dict.fromkeys(("yes", "true", "correct", "yep", "yeah", "是", "是的", "对", "对的", "正确", "正确的", "√", "✓", "成立", "有的", "有"), True),
    **dict.fromkeys(("no", "false", "incorrect", "nope", "否", "不", "不是", "不是的", "不对", "错", "错误", "错误的", "错的", "不正确", "×", "✗", "不成立", "没有", "没"), False),
}  # fmt: skip
"""Words that answer yes or no."""
_BOOLEAN = "|".join(sorted(map(re.escape, BOOLEANS), key=len, reverse=True))
_EDGE = r"(?![A-Za-z])(?=[ \t]*(?:[.,;:!*\"'’”)\]}。，；：！、（(\-–—|\n]|$|(?:it|there|they|the|this|that|because|since|as|we|both|all)\b))"
_FIRST = re.compile(rf"[\s*_\"'“#]*(?:(?:unfortunately|sadly|well|{P.ADVERB}),?\s)?({_BOOLEAN}){_EDGE}", re.IGNORECASE)
_STATED = re.compile(
    rf"(?:\b(?:(?P<firm>so|therefore|thus|hence|answer|(?:would|['’]d) say)|statement|claim|assertion|conclusion|impression|assessment|proposition|it)(?: (?:above"
    rf"|given))?(?:\s{{0,3}}\([^()\n]{{1,30}}\))?(?:[:,]?[*_]*\s{{1,3}}(?:the (?:answer|statement|claim) )?(?:is|must be|should be|returns|prints"
    rf"|outputs|evaluates to)?|['’]s)\s{{0,3}}(?:{P.ADVERB}\s{{1,3}})?"
    rf"|(?:(?P<solid>答案|因此|所以|故)|说法|这句话|这个?话|本题|判断|结论|命题|叙述|描述)(?:应该|应|就|也)?(?:是|为|[:：，,])*\s{{0,3}})[\s*_\"'“]{{0,6}}(?P<no>not\s{{1,3}}"
    rf"|isn['’]t\s{{1,3}})?(?P<said>(?!(?<=[案法话题断论述就该应也])是)(?:{_BOOLEAN})){_EDGE}(?!\s{{1,3}}that\b)",
    re.IGNORECASE,
)
_DECORATED = re.compile(
    r"^(?:so|therefore|thus|answer)[,:]?\s+|^.*(?:=>|→|⇒|=\s)|[\s*_.。!！$\"'`:：()]+", re.IGNORECASE
)


def says_boolean(gold: str) -> bool:
    """Return whether a gold answer is a word or a sign for yes or no."""
    return words(gold) in BOOLEANS or compact(gold) == "\\times"


def sentence(text: str, start: int) -> str:
    """Return the text from a place to the end of its statement; of the next line where this one is empty."""
    skipped = re.sub(r"\A[ \t*_:]*(?:\n[ \t\n*_:>]*)?", "", text[start : start + MAX_ANSWER])
    maths = MATHS.match(skipped)
    if re.match(r"\(1\)|①", skipped):  # answers to several questions
        skipped = skipped.partition("\n")[0].replace("；", ";")
    end = P.SENTENCE_END.search(skipped, maths.end() if maths else 0)
    return unwrap(skipped[: end.start()] if end else skipped)


def clause(text: str, end: int) -> str:
    """Return what stands in front of a place in its own statement."""
    return _CLAUSE_END.split(text[max(0, end - _BEFORE) : end])[-1]


def announcements(text: str, start: int = 0, option: bool = False) -> Iterator[re.Match[str]]:
    """Yield what announces an answer (or an option) behind a place, the last first, without what is taken back."""
    found = list((P.ANNOUNCED_OPTION if option else P.ANNOUNCED).finditer(text, start))
    for match in reversed(found[-50:]):
        before = clause(text, match.start())
        unreal = "would" in match[0] and supposed(before + sentence(text, match.start())[:200])
        if not unreal and not retracted(before):
            yield match


def retracted(before: str) -> bool:
    """Return whether what stands in front of an announcement in its statement takes it back."""
    return P.RETRACTED.search(before) is not None


def supposed(told: str) -> bool:
    """Whether a statement says what would be, or what others get wrong."""
    return P.UNREAL.search(told) is not None and P.SUPPOSED.search(told) is not None


def said_answer(text: str, question: str = "") -> str | None:
    """Return what the last announcement ("the answer is", 答案) says, to the end of its statement; None without one."""
    for match in announcements(text):
        end = match.end()
        while text[end - 1 : end] == "\n":
            end -= 1
        if items := _ITEMS.match(text, end):
            return _item(items[0].strip().splitlines(), question)
        said = sentence(text, match.end())
        headed = match[0].rstrip(" *_\t").endswith((":", "：", "\n"))
        if said and not (re.match(r"(?i)not\b", said) if headed else P.NO_ANSWER.match(said)):
            return said
    return None


def _item(listed: list[str], question: str) -> str:
    """Of several answers in a list, the one whose name shares most words with the end of the question; else the last."""
    asked = set(words(question.strip().rpartition("\n")[2][-300:]).split())
    named = [line.rpartition(":" if ":" in line else "=")[::2] for line in listed]
    return unwrap(max(reversed(named), key=lambda pair: len(asked & set(words(pair[0]).split())))[1].strip())


def refuses(told: str) -> bool:
    """Return whether a statement says that it has no answer, and does not go on to give one."""
    found = P.REFUSAL.search(told)
    return found is not None and not _GUESS.search(told[found.end() :])


_AND = re.compile(r",?\s?(?:and\s|又|零)?")


@functools.lru_cache(128)
def quantities(text: str) -> tuple[str, ...]:
    """Return the numbers of a text that are no part of a formula, each with its scale, percent sign, unit and what else makes it another value.

    >>> quantities("It goes 60 mph, in 1887 BC, for 15 thousand dollars."), quantities("增长了25倍")
    (('60 mph', '1887 BC', '15 thousand dollars'), ('25倍',))
    """
    text = characters(text)
    found, begun, ended = [], 0, None
    for match in P.NUMERAL.finditer(text):
        in_formula = _UNDER.search(text, max(0, match.start() - 12), match.start()) or _TIMES.match(text, match.end())
        if match.group().strip() and not in_formula:
            rest = text[match.end() : match.end() + 60]
            rest = re.sub(r"\^?\s?\\circ\s*", "°", rest) if "\\circ" in rest else rest
            scale = P.SCALED.match(rest)
            end = scale.end() if scale else 0
            unit = len(rest) - len(rest[end:].lstrip())
            end = unit + length if (length := read_unit(rest[unit:])[1]) else end
            if way := P.WAY.match(rest, end):
                end = way.end()
            if length and ended is not None and _AND.fullmatch(text, ended, match.start()):
                whole = text[begun : match.end() + end]
                if read_number(whole) is not None:  # 2 hours and 24 minutes
                    found[-1], ended = whole.strip(" ."), match.end() + end
                    continue
            begun, ended = match.start(), match.end() + end if length else None
            found.append((match.group() + rest[:end]).strip(" .") if end else match.group().strip())
    return tuple(found)


def without_courtesy(text: str) -> str:
    """Return a response without what it says to the reader when it is done ("I hope this helps!")."""
    for _ in range(3):
        if not (found := P.COURTESY.search(text, max(0, len(text) - 400))) or not text[: found.start()].strip():
            break
        text = text[: found.start()]
    return text


_MAY_CORRECT = re.compile(
    "wait|actually,|second thought|correction|mistake|error|wrong|incorrect|t right|t correct|错|不对|等等"
)


def correction(text: str) -> re.Match[str] | None:
    """The last place near the end of a response where it takes back what it said before."""
    start = max(0, len(text) - 2_000)
    for word in reversed(list(_MAY_CORRECT.finditer(text[start:].lower()))[-6:]):
        place = start + word.start()
        if found := list(P.CORRECTS.finditer(text, max(start, place - 60), place + 60)):
            return found[-1]
    return None


def said_boolean(text: str) -> bool | None:
    """Return whether a response says yes (true) or no (false): in its first word, its last line, or a statement; else None.

    >>> said_boolean("False.\\n\\nIt is true that the bars touch."), said_boolean("True, False.")
    (False, None)
    """
    text = text.strip()
    if (last := BOOLEANS.get(_DECORATED.sub("", text.rpartition("\n")[2].strip()).lower())) is not None:
        return last
    text_end = text[-2_000:]
    ended = [found for found in _STATED.finditer(text_end) if not retracted(clause(text_end, found.start()) + " ")]
    stated = BOOLEANS[ended[-1]["said"].lower()] != bool(ended[-1]["no"]) if ended else None
    if ended and (ended[-1]["firm"] or ended[-1]["solid"]):
        return stated
    text = re.sub(r"\A[^.!。？?]{3,400}[?？]\s*", "", text)
    if re.match(r"\W*not (?:all|both|every)\b", text, re.IGNORECASE):
        return False
    if first := _FIRST.match(text):
        said = BOOLEANS[first[1].lower()]
        rest = re.split(r"[.!。！\n]", text[first.end() :].lstrip(" .,:;!*。，"), maxsplit=1)[0]
        second = _FIRST.match(rest)
        return None if second and BOOLEANS[second[1].lower()] != said else said
    return stated
