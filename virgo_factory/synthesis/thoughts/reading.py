"""A response of thinker or reasoner: its thought, and the option that it ends with. Pure."""

import re

from virgo_factory.answers import Question as Asked
from virgo_factory.answers import extract
from virgo_factory.answers.choice import answered_options, same_option
from virgo_factory.answers.grading import MATH
from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.thought import REASONS, LongThought, MalformedThought
from virgo_factory.formats.layouts.tags import PAIRS
from virgo_factory.formats.row import RejectedRow, check_example
from virgo_factory.formats.texts import unix
from virgo_factory.synthesis.prompts import asked_text
from virgo_factory.synthesis.words import LETTERS, Question, Reply


THINK, END = PAIRS["think"]

CUT = "cut off"
UNCLOSED = "the thought is not closed"
TAGS = "tags out of order"
NO_THOUGHT = "no thought"
NO_ANSWER = "no answer"
TWO_ANSWERS = "more than one answer"
LOOP = "a loop"

_WRITTEN = re.compile(r"(?:\(([A-D])\)|([A-D])(?:[.):]|$))\s*(.*)", re.DOTALL)
_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)


class Unread(ValueError):
    """A response that nothing is made of.

    Attributes:
        reason: few; counted.
        detail: what was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def split(response: str) -> tuple[str, str | None, list[str]]:
    """Return what stands in front of the end of a thought, what stands behind it (None without an end), and the answers in there.

    >>> split(" it is blue. </think> So: <answer> B </answer>")
    (' it is blue. ', ' So: <answer> B </answer>', ['B'])
    """
    thought, closing, behind = unix(response).partition(END)
    return thought, behind if closing else None, _ANSWER.findall(behind)


def thought_of(prefill: str, reply: Reply) -> str:
    """Return the thought of a response that goes on behind a prefill which opens it, as it stands there.

    Raises:
        Unread: the thought is not closed, or no answer stands behind it.
    """
    thought, behind, answers = split(reply.response)
    if behind is None or not answers:
        why = UNCLOSED if behind is None else NO_ANSWER
        raise Unread({"length": CUT, "loop": LOOP}.get(reply.finish_reason, why), (behind or thought).strip()[-80:])

    if thought.lstrip().startswith(THINK) and prefill == THINK:  # a model that opens it again
        thought = thought.lstrip()[len(THINK) :]

    return thought.rstrip()


def letter_of(question: Question, thought: str, reply: Reply) -> str:
    """Return the letter of the option that a response answers behind its thought; "" where the answer is none of them.

    Only the last answer in its tags is looked at.

    Raises:
        Unread: tags stand where they do not belong, the response was cut where it repeats itself, or it answers several options.
    """
    _, behind, answers = split(reply.response)
    if found := _TAG.search(thought) or re.search(r"</?think>", behind or ""):
        raise Unread(TAGS, found.group())

    if reply.finish_reason == "loop":
        raise Unread(LOOP, reply.response[-80:])

    letters = letters_in(question, answers[-1])
    if len(letters) > 1:
        raise Unread(TWO_ANSWERS, answers[-1][:80])

    return letters


def letters_in(question: Question, text: str) -> str:
    """Return the letters of the options that a text answers, by the identity of options; "" where it is none of them."""
    answer = extract(text, Asked(options=question.options, kind="choice")).text
    if not answer.strip():
        return ""

    if written := _WRITTEN.fullmatch(answer.strip()):  # as the options are shown, whatever their texts say
        letter, rest = written[1] or written[2], written[3]
        same = (
            [one for one, option in zip(LETTERS, question.options, strict=True) if same_option(option, rest)]
            if rest
            else [letter]
        )
        if letter in same:
            return letter

        if same and written[1]:
            return "".join(sorted({letter, *same}))

    return "".join(LETTERS[index] for index in sorted(answered_options(answer, question.options, MATH)))


def solution(question: Question, letter: str) -> str:
    """Return how an answer is written in rows.

    >>> solution(Question("q", "s", "What is it?", ("a dog", "a cat", "a cow", "a hen"), "B"), "D")
    '(D) a hen'
    """
    return f"({letter}) {question.options[LETTERS.index(letter)]}"


def check(question: Question, thought: str, letter: str) -> None:
    """Raise Unread unless a row with this thought and answer could be read: no control tokens, no image's place in it."""
    try:
        response = LongThought(thought, solution(question, letter) if letter else NO_ANSWER)
        check_example(Example(question.id, f"{IMAGE}{asked_text(question)}", response, ("",)))
    except MalformedThought as error:
        raise Unread(NO_THOUGHT if error.reason == "empty_thought" else REASONS[error.reason]) from None
    except RejectedRow as error:
        raise Unread(error.reason, error.detail) from None
