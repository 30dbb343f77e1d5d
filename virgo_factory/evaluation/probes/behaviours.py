"""Behaviours of thoughts as a judge counts them, on a sample, beside the lexicon's (data/show/behaviours.py): do the two agree?

The four behaviours and the way of asking are those of arXiv 2503.01307; a reply that cannot be read is told, and never counts as none.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.thought import LongThought
from virgo_factory.data.make.sampling import some_of
from virgo_factory.data.show.behaviours import BEHAVIOURS, Shown, shown_by
from virgo_factory.evaluation.probes.process import agreement
from virgo_factory.evaluation.scorers.judging import AT_ONCE
from virgo_factory.rollouts.judge.llm_judge import LLMJudge


TEMPLATE = "judge_behaviours.txt"
MOST_THOUGHT = 60_000
"""Characters of a thought that the judge sees, its end."""

REPLY_TOKENS = 128


@dataclass(frozen=True)
class Agreed:
    """One behaviour by judge and lexicon.

    Attributes:
        judged: share of them that shows it by the judge, and how often in all of them together.
        agree, kappa: share of thoughts on which both say the same (at least once, or never), and Cohen's kappa; nan without any.
    """

    behaviour: str
    thoughts: int
    judged: tuple[float, int]
    by_lexicon: tuple[float, int]
    agree: float
    kappa: float


def judge_behaviours(
    examples: Iterable[Example], judge: LLMJudge, count: int = 200, cues: Sequence[str] = (), seed: int = 42
) -> tuple[list[Agreed], int]:
    """Return each behaviour by judge and lexicon, and of how many thoughts the judge's count could not be read.

    `cues`: planted in rows that do not say so: neither the lexicon counts their first sentence, nor does the judge see it.
    """
    drawn = some_of((one for one in examples if isinstance(one.response, LongThought)), count, seed)
    shown = [shown_by(one) for one in drawn]
    planted = [_planted(one, cues) for one in shown]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        counts = list(threads.map(lambda one, found: _judged(one, judge, *found), drawn, planted))

    by_lexicon = [
        Counter(event.behaviour for event in one.events if event.at != at)
        for one, (_, at) in zip(shown, planted, strict=True)
    ]
    read = [pair for pair in zip(counts, by_lexicon, strict=True) if pair[0] is not None]
    found = []
    for name in BEHAVIOURS:
        pairs = [(str(judged[name] > 0), str(said[name] > 0)) for judged, said in read]
        shares = [sum(pair[side] == "True" for pair in pairs) / max(len(pairs), 1) for side in (0, 1)]
        totals = [sum(one[side][name] for one in read) for side in (0, 1)]
        found.append(Agreed(name, len(read), (shares[0], totals[0]), (shares[1], totals[1]), *agreement(pairs)))

    return found, len(drawn) - len(read)


def _planted(shown: Shown, cues: Sequence[str]) -> tuple[str, int]:
    """Return the cue that was planted in a thought and where it stands; "" for none."""
    if shown.planted:
        return shown.planted, shown.planted_at

    found = [] if shown.has_prefix else [event for event in shown.events if event.cue and event.cue in cues]
    return (found[0].cue, found[0].at) if found else ("", -1)


def _judged(example: Example, judge: LLMJudge, cue: str, at: int) -> Counter[str] | None:
    thought = example.response.thought
    seen = f"{thought[:at]}{thought[at + len(cue) :]}" if cue else thought
    fields = {"question": example.question.replace(IMAGE, ""), "gold": "", "answer": seen}
    return judge.ask(judge.filled(TEMPLATE, fields, MOST_THOUGHT), thought, _counts, REPLY_TOKENS)


def _counts(reply: str) -> Counter[str] | None:
    """Return what a reply counts; None for one that is no such object.

    >>> _counts('```json\\n{"verification": 2, "backtracking": 0, "sub-goals": 1, "backward chaining": 0}\\n```')[
    ...     "verification"
    ... ]
    2
    """
    begin, end = reply.find("{"), reply.rfind("}")
    try:
        found = json.loads(reply[begin : end + 1])
        counts = {name: found[name] for name in BEHAVIOURS}
    except (ValueError, KeyError, TypeError):
        return None

    is_count = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in counts.values())
    return Counter(counts) if is_count else None
