"""How unlike the responses to one question are: a choice of those that have little in common, and what a card tells of them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from virgo_factory.data.check.duplicates import sequence_hashes, word_hashes


SEQUENCE = 5  # words of the sequences by which responses are compared


class Diversity:
    """The sums over questions with several chosen responses from which the card's means are made.

    Attributes:
        questions: with several. rows: their responses.
    """

    def __init__(self) -> None:
        self.questions = self.rows = 0
        self._overlap = self._forms = self._shortest = self._longest = 0.0

    def add(self, responses: Sequence[str], answers: Sequence[str]) -> None:
        """Count the responses of a question, and the answers as their verdicts spell them; "" for none."""
        if len(responses) < 2:
            return

        grams = [_grams(response) for response in responses]
        lengths = sorted(len(response.split()) for response in responses)
        self.questions += 1
        self.rows += len(responses)
        self._overlap += float(np.mean([_overlap(*pair) for pair in combinations(grams, 2)]))
        self._forms += len({answer for answer in answers if answer})
        self._shortest += lengths[0]
        self._longest += lengths[-1]

    def means(self) -> dict[str, float]:
        """Return the means over the questions; nothing where none has several responses."""
        if not (count := self.questions):
            return {}

        sums = {
            "rows": self.rows,
            "overlap": self._overlap,
            "final_forms": self._forms,
            "shortest_words": self._shortest,
            "longest_words": self._longest,
        }
        return {"questions": count, **{name: round(value / count, 3) for name, value in sums.items()}}


def most_diverse(responses: Sequence[str], count: int) -> list[int]:
    """Return the positions of `count` responses that have little in common, in the order in which they were taken.

    The first is taken, then again and again the one whose largest overlap with those taken is smallest, of equal ones the
    first. Overlap: shared sequences of five words over all of both (Jaccard). OpenMMReasoner keeps up to eight correct
    traces of a question as they come, without looking at diversity; this is our choice.

    >>> most_diverse(["a b c d e f", "a b c d e f g", "v w x y z"], 2)
    [0, 2]
    """
    grams = [_grams(response) for response in responses]
    taken = [0]
    nearest = np.zeros(len(responses))
    while len(taken) < min(count, len(responses)):
        nearest = np.maximum(nearest, [_overlap(grams[taken[-1]], other) for other in grams])
        nearest[taken] = np.inf
        taken.append(int(nearest.argmin()))

    return taken


def _grams(response: str) -> np.ndarray:
    words = word_hashes(response.casefold().split())
    return np.unique(sequence_hashes(words, min(SEQUENCE, max(1, len(words)))))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / max(1, len(first) + len(second) - shared)
