"""Expansions: a reasoning model goes on with a short thought behind a planted cue; and the filters of what it adds.

LongPerceptualThoughts (arXiv 2504.15362, stage 3) does the same with other words; of its prefill two things are not done: the short
thought is handed over letter by letter, and nothing is put in front of it.
"""

import random
import re
from collections.abc import Iterator, Sequence

from virgo_factory.answers.choice import claimed
from virgo_factory.data.rows.repetition import find_loop
from virgo_factory.synthesis.prompts import asked_text, filled, seen_text, word_in
from virgo_factory.synthesis.thoughts.reading import LOOP, THINK, Unread, check, letter_of, letters_in, thought_of
from virgo_factory.synthesis.words import LETTERS, Ask, Dropped, Question, Reply, Scene, Thought


TEMPLATE = "lgt_reasoner"
CUES = ("Wait,", "Hmm,", "Let me double-check.", "Alternatively,")
JOINS = ("\n", " ")

FORBIDDEN = (
    *("description", "descriptions", "describe", "describes", "described", "mention", "mentions", "mentioned"),
    *("misread", "text", "state", "states", "stated", "say", "says", "said", "internal", "mental", "visualize"),
    *("visualization", "the image described", "user's", "detailed image"),
)
"""Words of somebody who reads about a picture instead of looking at it: LongPerceptualThoughts' list."""

NO_OPTION = "the answer is none of the options"
NOTHING_ADDED = "nothing is added"
WORD = "a forbidden word"
DUPLICATE = "the same addition as another of its short thought"
CONTRADICTS = "its last sentence contradicts its answer"

_ENDED = re.compile(r"[.!?:;。！？…][\"'”’)\]*]*$")
_SENTENCES = re.compile(r"(?<=[.!?。！？])(?<!\b[A-D]\.)\s+|\n+")
_LOOPS = (6, 3)
"""A sentence of so many words, so many times, is a loop in a text too short for `find_loop`."""


def expansion_asks(
    scene: Scene,
    question: Question,
    short: Thought,
    cues: Sequence[str] = CUES,
    joins: Sequence[str] = JOINS,
    seed: int = 42,
) -> list[Ask]:
    """Return what the reasoner is asked: to go on behind a short thought and a cue, knowing the picture in words only.

    Cue and join are drawn by the short thought's id, so that they are the same whenever it is asked again.

    Args:
        scene: of the question.
        question: as it was asked.
        short: the thought to go on with, letter by letter; a full stop is put behind it where it does not end.
        cues: planted words.
        joins: between thought and cue.
        seed: of the draw.
    """
    draw = random.Random(f"{seed}/{short.id}")
    cue, join = draw.choice(list(cues)), draw.choice(list(joins))
    planted = short.thought + ("" if _ENDED.search(short.thought) else ".") + join + cue
    about = {"cue": cue, "join": join, "prefix_end": len(short.thought), "cue_end": len(planted)}
    text = filled(TEMPLATE, scene=seen_text(scene), question=asked_text(question))
    return [Ask(of=short.id, text=text, prefill=THINK + planted, about=about)]


def expansions_of(
    question: Question, short: Thought, ask: Ask, replies: Sequence[Reply], forbidden: Sequence[str] = FORBIDDEN
) -> Iterator[Thought | Dropped]:
    """Yield the expansion of each reply in the order of the samples, or why there is none.

    Wrong ones are kept: they are what a pair rejects. Words are looked for in what was added only, at their boundaries.
    LongPerceptualThoughts' filters come first, in its order: closed, answered, without a forbidden word (see `steps`).

    Args:
        question: as it was asked.
        short: the thought that was gone on with.
        ask: of `expansion_asks`.
        replies: to it.
        forbidden: words that no addition may hold.
    """
    planted, cue = ask.prefill.removeprefix(THINK), ask.about["cue"]
    seen: set[str] = set()
    for reply in sorted(replies, key=lambda one: one.sample):
        id = f"{short.id}/l{reply.sample}"
        try:
            added = thought_of(ask.prefill, reply)
            if word := word_in(added, tuple(forbidden)):
                raise Unread(WORD, word)

            letter = letter_of(question, added, reply)  # LongPerceptualThoughts' filters end here
            if not letter:
                raise Unread(NO_OPTION, reply.response.strip()[-80:])

            _check_added(added, seen)
            check(question, planted + added, letter)
            _check_end(question, added, letter)
        except Unread as error:
            yield Dropped(id, error.reason, error.detail)
            continue

        seen.add(_plain(added))
        yield Thought(
            id=id,
            question=question.id,
            thought=planted + added,
            answer=letter,
            is_correct=letter == question.answer,
            short=short.id,
            prefix_end=ask.about["prefix_end"],
            cue_end=ask.about["cue_end"],
            cue=cue,
            model=reply.model,
            tokens=reply.completion_tokens,
        )


def _check_added(added: str, seen: set[str]) -> None:
    if not re.search(r"\w", added):
        raise Unread(NOTHING_ADDED)

    if _plain(added) in seen:
        raise Unread(DUPLICATE, added[:80])

    if loop := find_loop(added) or _repeated(added):
        raise Unread(LOOP, loop if isinstance(loop, str) else loop.words)


def _check_end(question: Question, added: str, letter: str) -> None:
    """Raise Unread where the end of a thought decides for one option, and the answer is another.

    The last sentence may say it in any words; where it says nothing, the one before may state a letter.
    """
    *_, before, last = ["", *(part for part in _SENTENCES.split(added) if part.strip())]
    said = letters_in(question, last)
    if not said:
        said = (claimed(before, len(LETTERS)) or ("",))[0]

    if len(said) == 1 and said != letter:
        raise Unread(CONTRADICTS, f"{letter}: {before} {last}"[-120:])


def _repeated(text: str) -> str | None:
    words, times = _LOOPS
    counts: dict[str, int] = {}
    for sentence in _SENTENCES.split(text):
        plain = _plain(sentence)
        counts[plain] = counts.get(plain, 0) + 1
        if counts[plain] >= times and len(plain.split()) >= words:
            return plain

    return None


def _plain(text: str) -> str:
    return " ".join(text.split())
