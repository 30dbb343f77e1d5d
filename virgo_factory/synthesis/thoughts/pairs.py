"""Preference pairs: X_O (a correction, against what does not correct) and O (a right short thought, against what goes wrong).

LongPerceptualThoughts' two files (code, stage 3), and its third that it computes and leaves out. The wrong short thought with which
both sides of an X_O pair begin is their `assistant_prefix`: it cancels in the preference, and the SFT term learns nothing of it.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from virgo_factory.synthesis.thoughts.rows import NO_SHORT, SAME, Groups, row_of
from virgo_factory.synthesis.words import Dropped, Thought


X_O, O, COMPACT = "X_O", "O", "compact"  # noqa: E741

TOO_MANY = "more pairs than wanted of its question"
NO_ANSWER = "the rejected thought has no answer"
LONGER = 1.5
"""How much longer the rejected side of a pair for compactness is at least."""

Pair = tuple[str, Thought, Thought]
"""Kind, chosen, rejected."""


def pair_rows(
    groups: Groups, most: int = 4, compact: bool = False, seed: int = 42
) -> Iterator[dict[str, Any] | Dropped]:
    """Yield a row for each pair that is kept, and of each other one why it is none, in the order of the questions.

    Args:
        groups: called once.
        most: pairs of a kind that a question may give; those whose sides stand in the fewest others are taken first.
        compact: also pairs of a right short thought and its right expansion, where that is half as long again.
        seed: of the order within a question.
    """
    for question, scene, shorts, longs in groups():
        known = {one.id for one in shorts}
        for one in longs:
            if one.short not in known:
                yield Dropped(one.id, NO_SHORT)

        found = list(pairs_of(shorts, [one for one in longs if one.short in known], compact))
        kept: list[Pair] = []
        seen: set[tuple[str, str]] = set()
        for pair in found:
            _, chosen, rejected = pair
            texts = (f"{chosen.thought}\n{chosen.answer}", f"{rejected.thought}\n{rejected.answer}")
            if not rejected.answer:
                yield Dropped(_name(pair), NO_ANSWER)
            elif texts in seen:
                yield Dropped(_name(pair), SAME)
            else:
                seen.add(texts)
                kept.append(pair)

        chosen_pairs = _spread(kept, most, f"{seed}/{question.id}")
        for pair in kept:
            kind, chosen, rejected = pair
            if pair in chosen_pairs:
                prefix_end = chosen.prefix_end if kind == X_O else 0
                yield row_of(question, scene, chosen, kind, rejected, prefix_end)
            else:
                yield Dropped(_name(pair), TOO_MANY)


def pairs_of(shorts: Sequence[Thought], longs: Sequence[Thought], compact: bool = False) -> Iterator[Pair]:
    """Yield every pair that the thoughts of a question give, the corrections first."""
    expansions = {one.id: [long for long in longs if long.short == one.id] for one in shorts}
    wrong = [one for one in shorts if not one.is_correct]
    for short in wrong:
        for chosen in expansions[short.id]:
            if chosen.is_correct:
                for rejected in (*(one for one in expansions[short.id] if not one.is_correct), short):
                    yield X_O, chosen, rejected

    for short in shorts:
        if short.is_correct:
            own = [one for one in expansions[short.id] if not one.is_correct]
            others = [one for bad in wrong for one in (bad, *expansions[bad.id]) if not one.is_correct]
            for rejected in (*own, *others):
                yield O, short, rejected

            for rejected in expansions[short.id] if compact else ():
                if rejected.is_correct and len(rejected.thought) >= LONGER * len(short.thought):
                    yield COMPACT, short, rejected


def _spread(pairs: Sequence[Pair], most: int, seed: str) -> list[Pair]:
    """Return up to `most` pairs of each kind, so that no thought stands in many while another stands in none."""
    found: list[Pair] = []
    for kind in (X_O, O, COMPACT):
        left = [pair for pair in pairs if pair[0] == kind]
        random.Random(f"{seed}/{kind}").shuffle(left)
        used: Counter[str] = Counter()
        while left and most > len([pair for pair in found if pair[0] == kind]):
            best = min(left, key=lambda pair: used[pair[1].id] + used[pair[2].id])
            left.remove(best)
            found.append(best)
            used.update((best[1].id, best[2].id))

    return found


def _name(pair: Pair) -> str:
    kind, chosen, rejected = pair
    return f"{kind}: {chosen.id} > {rejected.id}"
