"""Short thoughts: what a model that sees the picture thinks about a question, and whether it is right."""

from collections.abc import Iterator, Sequence

from virgo_factory.core.example import IMAGE
from virgo_factory.synthesis.prompts import asked_text, template
from virgo_factory.synthesis.thoughts.reading import THINK, Unread, check
from virgo_factory.synthesis.thoughts.reading import read as read_response
from virgo_factory.synthesis.words import Ask, Dropped, Question, Reply, Scene, Thought


TEMPLATE = "lgt_thinker"

DUPLICATE = "the same thought as another of its question"
LOOP = "a loop"


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
            if reply.finish_reason == "loop":
                raise Unread(LOOP, reply.response[-80:])

            said = read_response(question, THINK, reply.response, reply.finish_reason)
            thought = said.thought.strip()
            check(question, thought, said.letter)
            if (key := (" ".join(thought.split()), said.letter)) in seen:
                raise Unread(DUPLICATE)
        except Unread as error:
            yield Dropped(id, error.reason, error.detail)
            continue

        seen.add(key)
        yield Thought(
            id=id,
            question=question.id,
            thought=thought,
            answer=said.letter,
            is_correct=said.letter == question.answer,
            model=reply.model,
            tokens=reply.completion_tokens,
        )
