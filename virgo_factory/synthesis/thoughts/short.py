"""Short thoughts: what a model that sees the picture thinks about a question, and whether it is right."""

from collections.abc import Iterator, Sequence

from virgo_factory.core.example import IMAGE
from virgo_factory.synthesis.prompts import asked_text, template
from virgo_factory.synthesis.thoughts.reading import THINK, Unread, check, letter_of, thought_of
from virgo_factory.synthesis.words import Ask, Dropped, Question, Reply, Scene, Thought


TEMPLATE = "lgt_thinker"

DUPLICATE = "the same thought as another of its question"


def thinker_ask(scene: Scene, question: Question) -> Ask:
    """Return what the thinker is asked: the question with the picture, the thought opened."""
    return Ask(
        of=question.id,
        text=f"{IMAGE}{asked_text(question)}",
        system=template(TEMPLATE),
        prefill=THINK,
        image=scene.image,
        image_sha256=scene.image_sha256,
    )


def shorts_of(question: Question, replies: Sequence[Reply]) -> Iterator[Thought | Dropped]:
    """Yield the short thought of each reply in the order of the samples, or why there is none.

    A thought whose answer is none of the options is kept as a wrong one: it can be gone on with (`answer` is "").
    """
    seen = set()
    for reply in sorted(replies, key=lambda one: one.sample):
        id = f"{question.id}/s{reply.sample}"
        try:
            thought = thought_of(THINK, reply).strip()
            letter = letter_of(question, thought, reply)
            check(question, thought, letter)
            if (key := (" ".join(thought.split()), letter)) in seen:
                raise Unread(DUPLICATE)
        except Unread as error:
            yield Dropped(id, error.reason, error.detail)
            continue

        seen.add(key)
        yield Thought(
            id=id,
            question=question.id,
            thought=thought,
            answer=letter,
            is_correct=letter == question.answer,
            model=reply.model,
            tokens=reply.completion_tokens,
        )
