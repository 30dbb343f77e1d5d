"""Rows of the normal form made of thoughts: what `formatting: long_thought` reads, every column in every row."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.thought import BEGIN_THOUGHT, LongThought
from virgo_factory.data.make.writing import normal_row
from virgo_factory.synthesis.prompts import asked_text
from virgo_factory.synthesis.thoughts.reading import solution
from virgo_factory.synthesis.words import Question, Scene, Thought


Group = tuple[Question, Scene, Sequence[Thought], Sequence[Thought]]
"""A question, its scene, its short thoughts and its expansions."""

Groups = Callable[[], Iterable[Group]]
"""Begins the groups from the first, in the order of the file; rows that are drawn need two passes."""

SAME = "the same row as another of its question"
NO_SHORT = "its short thought is missing"


def row_of(
    question: Question,
    scene: Scene,
    thought: Thought,
    kind: str,
    rejected: Thought | None = None,
    prefix_end: int = 0,
) -> dict[str, Any]:
    """Return the row that trains on a thought.

    Args:
        question: as it was asked.
        scene: of it.
        thought: what is learned, or preferred.
        kind: of the set or pair, in the columns `set` and `source`.
        rejected: what it is preferred to; None for no pair.
        prefix_end: characters of the thought that are context and no target; of both sides of a pair.
    """
    example = Example(
        id=f"{thought.id} > {rejected.id.removeprefix(f'{question.id}/')}" if rejected else thought.id,
        question=f"{IMAGE}{asked_text(question)}",
        response=_response(question, thought),
        images=(scene.image,),
        answer=question.answer,
        source=f"stage {question.stage}, {kind}",
        domain=question.kind,
        rejected=_response(question, rejected) if rejected else None,
        assistant_prefix=f"{BEGIN_THOUGHT}\n\n{thought.thought[:prefix_end]}" if prefix_end else "",
    )
    always = {"assistant_prefix": ""}
    more = {"question_id": question.id, "stage": question.stage, "set": kind}
    return always | normal_row(example) | more


def _response(question: Question, thought: Thought) -> LongThought:
    return LongThought(thought.thought, solution(question, thought.answer))
