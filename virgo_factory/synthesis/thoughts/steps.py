"""LongPerceptualThoughts' filters, counted one by one over all responses, and our further reasons behind them. Pure.

A response closes its thought, answers behind it, and what it adds holds a forbidden word: each is counted whatever the others say. What
does the first two and not the third passes all three; only then do our own filters look at it, so that both can be compared.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from virgo_factory.synthesis.prompts import word_in
from virgo_factory.synthesis.thoughts.reading import split
from virgo_factory.synthesis.words import Dropped, Thought


RESPONSES, CLOSED, ANSWERED, WORDED, WITHIN, PASSED, PASSED_WITHIN, KEPT = (
    *("in", "closed", "answered", "word", "word_within", "passed", "passed_within", "kept"),
)


@dataclass
class Steps:
    """The counts of some responses.

    Attributes:
        words: that no addition may hold.
        counts: by the names above; WITHIN is of words inside of others, too (`text` in `texture`), as LongPerceptualThoughts looks for them.
        further: why we keep none of those that pass: reason -> count.
    """

    words: Sequence[str]
    counts: Counter[str] = field(default_factory=Counter)
    further: Counter[str] = field(default_factory=Counter)

    def add(self, response: str, found: Thought | Dropped) -> None:
        """Count a response, and what was made of it.

        >>> steps = Steps(["text"])
        >>> steps.add(" the texture is blue. </think> <answer>B</answer>", Dropped("s0/l0", "a loop"))
        >>> steps.add(" the text says so.", Dropped("s0/l1", "the thought is not closed"))
        >>> print(steps.told())
        2 in: 1 close the thought, 1 answer, 1 hold a forbidden word, 1 pass all three (2 and 0 where parts of words count); 0 kept (1 a loop)
        """
        added, behind, answers = split(response)
        steps = {
            CLOSED: behind is not None,
            ANSWERED: bool(answers),
            WORDED: bool(word_in(added, tuple(self.words))),
            WITHIN: any(word in added for word in self.words),
            PASSED: False,
            PASSED_WITHIN: False,
            KEPT: isinstance(found, Thought),
        }
        steps[PASSED] = steps[ANSWERED] and not steps[WORDED]
        steps[PASSED_WITHIN] = steps[ANSWERED] and not steps[WITHIN]
        self.counts.update([RESPONSES, *(name for name, held in steps.items() if held)])
        if steps[PASSED] and isinstance(found, Dropped):
            self.further[found.reason] += 1

    def told(self) -> str:
        """Return the counts as a line."""
        count = self.counts
        further = ", ".join(f"{number:,} {reason}" for reason, number in self.further.most_common())
        return (
            f"{count[RESPONSES]:,} in: {count[CLOSED]:,} close the thought, {count[ANSWERED]:,} answer, {count[WORDED]:,} hold a forbidden "
            f"word, {count[PASSED]:,} pass all three ({count[WITHIN]:,} and {count[PASSED_WITHIN]:,} where parts of words count); "
            f"{count[KEPT]:,} kept" + (f" ({further})" if further else "")
        )
