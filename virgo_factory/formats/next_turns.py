"""Solutions that run on into the next turn: a sampler that missed the end goes on as the user ("Human: ...").

Certain is a turn of a user with a reply behind it, or behind an answer; a dialogue that was asked for is none. Where a
next question may belong to the task, it is only told.
"""

import re

from virgo_factory.formats.foreign_tokens import outside_code


REASON = "the response runs on into the next turn"

_START = r"(?:^|(?<=[.!?}\u3002)$])[ \t]*)[ \t]*(?:\#{1,6}[ \t]*|\*\*|<\|?|\[)?"
_END = r"(?:\|?>|\]|\*\*)?[ \t]*[:\uff1a](?:\*\*)?"
_USER = re.compile(rf"{_START}(?:Human|User|HUMAN|USER|Student|\u7528\u6237|\u4eba\u7c7b){_END}", re.MULTILINE)
_REPLY = re.compile(
    rf"{_START}(?:Assistant|ASSISTANT|AI|Bot|Model|GPT|Tutor|\u52a9\u624b|Response){_END}|^\#\#\# ?Response\b",
    re.MULTILINE,
)
_ALPACA = re.compile(r"^\#{2,4} ?(?:Instruction|Human|User|Input)\b[ \t]*[:\uff1a]?[ \t]*$", re.MULTILINE)
_NEAR = 200
"""Characters between the answer and the next turn."""
_ANSWERED = re.compile(r"\\boxed|\banswer\b|\u7b54\u6848|\btherefore\b|\bthus\b", re.IGNORECASE)
_DIALOGUE = re.compile(
    r"dialog|conversation|chat|transcript|script|interview|prompt|tun(?:e|ing)|template|alpaca|role.?play|\buser\b"
    r"|\bhuman\b|\bstudent\b|\binstructions?\b|\u5bf9\u8bdd|\u804a\u5929",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^[ \t]*(?:\#{1,6}[ \t]*|\*\*)?(?:(?:Next |New |Another )?(?:Question|Problem|Exercise|Q)[ \t]*\#?\d*|\u9898\u76ee[ \t]*\d*|\u95ee\u9898[ \t]*\d*)"
    r"(?:\*\*)?[ \t]*(?:[:\uff1a]|$)",
    re.MULTILINE | re.IGNORECASE,
)


def _may_go_on(text: str) -> bool:
    """Whether a text has what most texts have not, and all turns of a user have."""
    return (
        "Human" in text or "User" in text or "###" in text or "## " in text or "USER" in text or "HUMAN" in text
        or "Student" in text or "\u7528\u6237" in text or "\u4eba\u7c7b" in text
    )  # fmt: skip


def next_turn(question: str, solution: str) -> str:
    """Return where a solution certainly goes on as the next turn, as a line of it; "" where it does not.

    >>> next_turn("What is 1 + 1?", "It is 2.\\n\\nHuman: What is 2 + 2?\\n\\nAssistant: 4.")
    'Human: What is 2 + 2?'
    >>> next_turn("Write a dialogue of a user and a bot.", "A day\\n\\nUser: Hi!\\nBot: Hello.")
    ''
    """
    if not _may_go_on(solution) or _DIALOGUE.search(question):
        return ""

    for pattern in (_ALPACA, _USER):
        for found in outside_code(solution, pattern):
            start = found.start()
            replied = _REPLY.search(solution, found.end())
            if (replied or _ANSWERED.search(solution, max(0, start - _NEAR), start)) and solution[:start].strip():
                if not _REPLY.search(solution, 0, start):
                    return _line(solution, found)

    return ""


def next_question(question: str, solution: str) -> str:
    """Return the line of a solution in which, behind its answer, another turn seems to begin; "" without one."""
    for pattern in (_QUESTION, _USER):
        if not pattern.search(question):
            found = next(iter(outside_code(solution, pattern)), None)
            if found and _ANSWERED.search(solution, 0, found.start()):
                return _line(solution, found)

    return ""


def _line(text: str, found: re.Match[str]) -> str:
    return text[found.start() :].lstrip().partition("\n")[0][:80]
