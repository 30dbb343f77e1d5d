"""Rows for SFT: O (a right short thought), O->O (a right one gone on with), X->O (a wrong one corrected), each with its share.

LongPerceptualThoughts' mixture (code, stage 3): a tenth of O and O->O together, and as many X->O; of a question the longer thoughts
first, the second longest half as likely as the longest, and so on. The numbers are exact: of every stretch of the file as many are
drawn as its share of the candidates is, whatever follows; memory does not grow with the file.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from virgo_factory.synthesis.thoughts.rows import NO_SHORT, Groups, row_of
from virgo_factory.synthesis.words import Dropped, Thought


O, O_O, X_O = "O", "O->O", "X->O"  # noqa: E741

WRONG = "a wrong answer"
NOT_DRAWN = "not drawn"


def sft_rows(
    groups: Groups, share: float = 0.1, x_to_o: float = 1.0, seed: int = 42
) -> Iterator[dict[str, Any] | Dropped]:
    """Yield a row for each thought that is drawn, and of each other one why it is none, in the order of the questions.

    Rows of X->O carry the wrong short thought as `assistant_prefix`: it is context and no target.

    Args:
        groups: called twice, to count and to draw.
        share: of the right short thoughts and their right expansions that are drawn, 0 to 1.
        x_to_o: rows of X->O for each of the others; fewer where there are not so many.
        seed: of the draw within a question.
    """
    right = corrected = 0
    for _, _, shorts, longs in groups():
        found = candidates(shorts, longs)
        right, corrected = right + len(found[0]), corrected + len(found[1])

    wanted = round(share * right)
    draws = (_Draw(wanted, right, f"{seed}/O"), _Draw(min(corrected, round(x_to_o * wanted)), corrected, f"{seed}/X"))
    for question, scene, shorts, longs in groups():
        known = {one.id: one for one in shorts}
        drawn: set[str] = set()
        for draw, some, length in zip(draws, candidates(shorts, longs), (_whole, _added), strict=True):
            drawn |= draw.of(question.id, some, length)

        for one in (*shorts, *longs):
            if one.short and one.short not in known:
                yield Dropped(one.id, NO_SHORT)
            elif not one.is_correct:
                yield Dropped(one.id, WRONG)
            elif one.id not in drawn:
                yield Dropped(one.id, NOT_DRAWN)
            else:
                corrects = bool(one.short) and not known[one.short].is_correct
                kind = X_O if corrects else O_O if one.short else O
                yield row_of(question, scene, one, kind, prefix_end=one.prefix_end if corrects else 0)


def candidates(shorts: Sequence[Thought], longs: Sequence[Thought]) -> tuple[list[Thought], list[Thought]]:
    """Return the right thoughts of a question whose beginning is right, and those that correct a wrong beginning."""
    is_right = {one.id: one.is_correct for one in shorts}
    known = [one for one in longs if one.is_correct and one.short in is_right]
    kept = [*(one for one in shorts if one.is_correct), *(one for one in known if is_right[one.short])]
    return kept, [one for one in known if not is_right[one.short]]


class _Draw:
    """Draws so many of so many thoughts, in one pass over the questions."""

    def __init__(self, wanted: int, of: int, seed: str) -> None:
        self.wanted, self.all, self.seed, self.seen = wanted, of, seed, 0

    def of(self, question: str, some: Sequence[Thought], length: Callable[[Thought], int]) -> set[str]:
        """Return the ids of those drawn of a question, each 0.5^rank as likely as the longest."""
        if not some:
            return set()

        before, self.seen = self.seen, self.seen + len(some)
        count = self.wanted * self.seen // self.all - self.wanted * before // self.all
        ranked = sorted(some, key=lambda one: (-length(one), one.id))
        draw = random.Random(f"{self.seed}/{question}")
        # The smallest of -log(u) / weight are a sample of these weights without replacement (Efraimidis and Spirakis, 2006).
        keys = [
            (math.log(-math.log(1 - draw.random()) or 5e-324) + rank * math.log(2), one.id)
            for rank, one in enumerate(ranked)
        ]
        return {id for _, id in sorted(keys)[:count]}


def _whole(thought: Thought) -> int:
    return len(thought.thought)


def _added(thought: Thought) -> int:
    return len(thought.thought) - thought.prefix_end
