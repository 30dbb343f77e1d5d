"""Solutions that run on into the next turn: a sampler that missed the end goes on as the user ("Human: ...").

Certain is a turn of a user with a reply behind it, or behind an answer; a dialogue that was asked for is none. Where a
next question may belong to the task, it is only told.
"""

import functools
import re

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.thought import beginning
from virgo_factory.formats.any_row.foreign_tokens import outside_code


REASON = "the response runs on into the next turn"

_HEAD = LazyPattern(r"(?:^|\n|[.!?}\u3002)$])[ \t]*(?:\#{1,6}[ \t]*|\*\*|<\|?|\[)?\Z")
"""What stands in front of a speaker."""
_END = r"(?:\|?>|\]|\*\*)?[ \t]*[:\uff1a](?:\*\*)?"
_BARE = r"(?<![:,;\uff1a]\n)(?<![:,;\uff1a]\n\n)"
"""A name on a line of its own, whose control tokens a tokenizer left out, is no first item of a list."""
_CLOSED = r"[.!?})\]$\u3002]"
_BEHIND = rf"(?:(?<={_CLOSED})|(?<={_CLOSED}\n)|(?<={_CLOSED}\n\n))"
_USER = LazyPattern(
    rf"(?:Human|User|HUMAN|USER|Student|\u7528\u6237|\u4eba\u7c7b){_END}"
    rf"|(?:{_BARE}(?:[Uu]ser|[Hh]uman)|{_BEHIND}[Aa]ssistant)[ \t]*\n+(?=[^\n]*\w,? \w)|{_BEHIND}(?:user|assistant)\Z"
)
_REPLY = LazyPattern(
    rf"(?:^|[.!?}}\u3002)$])[ \t]*(?:\#{{1,6}}[ \t]*|\*\*|<\|?|\[)?(?:Assistant|ASSISTANT|AI|Bot|Model|GPT|Tutor|\u52a9\u624b|Response){_END}"
    rf"|^\#\#\# ?Response\b|(?:(?<=\n){_BARE}|(?<={_CLOSED}))(?:[Aa]ssistant|model)[ \t]*\n+(?=\S)",
    re.MULTILINE,
)
_ALPACA = LazyPattern(r"^\#{2,4} ?(?:Instruction|Human|User|Input)\b[ \t]*[:\uff1a]?[ \t]*$", re.MULTILINE)
_NEAR = 200
"""Characters between the answer and the next turn."""
_ANSWERED = LazyPattern(r"\\boxed|\banswer\b|\u7b54\u6848|\btherefore\b|\bthus\b", re.IGNORECASE)
_DIALOGUE = LazyPattern(
    r"dialog|conversation|chat|transcript|script|interview|prompt|tun(?:e|ing)|template|alpaca|role.?play|\buser\b"
    r"|\bhuman\b|\bstudent\b|\binstructions?\b|\u5bf9\u8bdd|\u804a\u5929",
    re.IGNORECASE,
)
_QUESTION = LazyPattern(
    r"^[ \t]*(?:\#{1,6}[ \t]*|\*\*)?(?:(?:Next |New |Another )?(?:Question|Problem|Exercise|Q)[ \t]*\#?\d*|\u9898\u76ee[ \t]*\d*|\u95ee\u9898[ \t]*\d*)"
    r"(?:\*\*)?[ \t]*(?:[:\uff1a]|$)",
    re.MULTILINE | re.IGNORECASE,
)


@functools.lru_cache(1)  # it is asked twice of each solution
def _may_go_on(text: str) -> bool:
    """Whether a text has what most texts have not, and all turns of a user have."""
    return (
        "H" in text and ("Human" in text or "HUMAN" in text) or "U" in text and ("User" in text or "USER" in text)
        or "#" in text and ("# Instruction" in text or "# Input" in text) or "S" in text and "Student" in text
        or not text.isascii() and ("\u7528\u6237" in text or "\u4eba\u7c7b" in text)
        or "user\n" in text or "ssistant\n" in text or "human\n" in text or text.endswith(("user", "assistant"))
    )  # fmt: skip


def _may_ask(text: str) -> bool:
    """Whether a text has what most texts have not, and all that ask another question have."""
    lower = text.lower()
    return (
        any(_begins_a_line(lower, word) for word in ("q", "problem", "exercise"))
        or not lower.isascii() and ("\u9898\u76ee" in lower or "\u95ee\u9898" in lower)
    )  # fmt: skip


def _begins_a_line(lower: str, word: str) -> bool:
    """Whether a word in small letters stands in front of a line somewhere, behind signs or "next" at the most."""
    at = lower.find(word)
    while at >= 0:
        if not at or lower[at - 1] in "\n\t #*":
            before = lower[max(0, at - 60) : at]
            if before.rpartition("\n")[2].strip(" \t#*") in ("", "next", "new", "another"):
                return True

        at = lower.find(word, at + 1)

    return False


def next_turn(question: str, solution: str) -> str:
    """Return where a solution certainly goes on as the next turn, as a line of it; "" where it does not.

    >>> next_turn("What is 1 + 1?", "It is 2.\\n\\nHuman: What is 2 + 2?\\n\\nAssistant: 4.")
    'Human: What is 2 + 2?'
    >>> next_turn("Write a dialogue of a user and a bot.", "A day\\n\\nUser: Hi!\\nBot: Hello.")
    ''
    """
    if not _may_go_on(solution):
        return ""

    turns = _turns(solution)
    if not turns or _DIALOGUE.search(question):
        return ""

    replies = list(_REPLY.finditer(solution))
    first, last = (replies[0].end(), replies[-1].start()) if replies else (len(solution), -1)
    begin = beginning(solution)
    for found in turns:
        start = found.start()
        is_over = found.end() <= last or _ANSWERED.search(solution, max(0, start - _NEAR), start)
        if is_over and begin < start < first:
            return _line(solution, found)

    return ""


def _turns(text: str) -> list[re.Match[str]]:
    """Return where a text begins to speak as a user, or again as an assistant."""
    listed = max(text.find("\nuser\n"), text.find("\nUser\n"))
    speakers = [
        found
        for found in outside_code(text, _USER)
        if _HEAD.search(text, max(0, found.start() - 20), found.start())
        and not (found.group()[0] in "aA" and 0 <= listed < found.start())  # the second item of a list
    ]
    return [*outside_code(text, _ALPACA), *speakers]


def next_question(question: str, solution: str) -> str:
    """Return the line of a solution in which, behind its answer, another turn seems to begin; "" without one."""
    others = outside_code(solution, _QUESTION) if _may_ask(solution) else []
    others = [] if others and _QUESTION.search(question) else others
    turns = _turns(solution) if _may_go_on(solution) else []
    turns = [] if turns and _turns(question) else turns
    answered = (others or turns) and _ANSWERED.search(solution)
    found = (found for found in (*others[:1], *turns) if answered and answered.end() <= found.start())
    return next((_line(solution, match) for match in found), "")


def _line(text: str, found: re.Match[str]) -> str:
    start = text.rfind("\n", 0, found.start()) + 1
    start = start if not text[start : found.start()].strip("#*<|[ \t") else found.start()
    return text[start:].lstrip().partition("\n")[0][:80]
