"""Scenes -> questions: what the writer is asked, and what of its replies is a question. Pure."""

from collections.abc import Iterator, Sequence

from virgo_factory.synthesis.prompts import filled, scene_text
from virgo_factory.synthesis.questions.grammar import items_of
from virgo_factory.synthesis.questions.validity import checked
from virgo_factory.synthesis.words import Ask, Dropped, Question, Reply, Scene


NO_QUESTION = "no question in the reply"


def writer_ask(scene: Scene, count: int = 8) -> Ask:
    """Return what a writer, which does not see the picture, is sent about a scene: to write `count` questions."""
    return Ask(scene.id, filled("lgt_writer", count=str(count), scene=scene_text(scene)))


def questions_of(scene: Scene, replies: Sequence[Reply]) -> Iterator[Question | Dropped]:
    """Yield the questions that replies of writers hold, and in the place of others why they are none; of prose one Dropped a reply.

    Right options stand at letters that follow one another, beginning with the scene's number, so that over a file they are uniform.

    Args:
        scene: that they are about.
        replies: to `writer_ask`, of all samples.
    """
    kept: list[Question] = []
    for reply in sorted(replies, key=lambda one: (one.model, one.sample)):
        of = f"{scene.id}/w{reply.sample}"
        items = items_of(reply.response, is_whole=reply.finish_reason == "stop")
        if not items:
            yield Dropped(of, NO_QUESTION, reply.response[:200])

        for number, item in enumerate(items, start=1):
            one = checked(item, scene, f"{of}/{number}", kept, len(kept))
            if isinstance(one, Question):
                kept.append(one)

            yield one
