"""A response of thinker or reasoner: its thought, and the option that it ends with. Pure."""

import re
from dataclasses import dataclass

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
from virgo_factory.synthesis.words import LETTERS, Question


THINK, END = PAIRS["think"]

CUT = "cut off"
UNCLOSED = "the thought is not closed"
TAGS = "tags out of order"
NO_THOUGHT = "no thought"
NO_ANSWER = "no answer"
TWO_ANSWERS = "more than one answer"

_WRITTEN = re.compile(r"(?:\(([A-D])\)|([A-D])(?:[.):]|$))\s*(.*)", re.DOTALL)
_ANSWER = re.compile(r"<answer>\s*(\S.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
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


@dataclass(frozen=True)
class Said:
    """What a response says.

    Attributes:
        thought: what stands behind the prefill and before the end of the thought, without white space at its end.
        letter: of the option that it answers; "" where the answer is none of them.
    """

    thought: str
    letter: str


def read(question: Question, prefill: str, response: str, finish_reason: str) -> Said:
    """Return what a response says that goes on behind a prefill which opens the thought.

    Of what stands behind the thought only the last answer in its tags is looked at.

    Raises:
        Unread: the thought is not closed, or there is no answer, or more than one.
    """
    text = unix(response)
    if text.lstrip().startswith(THINK) and prefill == THINK:  # a model that opens it again
        text = text.lstrip()[len(THINK) :]

    is_cut = finish_reason == "length"
    thought, closing, behind = text.partition(END)
    if not closing:
        raise Unread(CUT if is_cut else UNCLOSED, text[-80:])

    if found := _TAG.search(thought) or re.search(r"</?think>", behind):
        raise Unread(TAGS, found.group())

    answers = _ANSWER.findall(behind)
    if not answers:
        raise Unread(CUT if is_cut else NO_ANSWER, behind.strip()[:80])

    letters = letters_in(question, answers[-1])

    if len(letters) > 1:
        raise Unread(TWO_ANSWERS, behind.strip()[:80])

    return Said(thought.rstrip(), letters)


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
