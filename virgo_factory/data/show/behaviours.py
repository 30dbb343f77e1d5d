"""Behaviours of thoughts: what their sentences begin with, and, of choice questions, how often they change their answer.

The four behaviours are those of arXiv 2503.01307; a lexicon counts them, no judge. What a pipeline planted is not what a model did:
a cue directly behind an `assistant_prefix` is left out, and so is, in the rows of that dataset that have no prefix, the first sentence
that begins with the same cue. Pure.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from virgo_factory.answers import Question
from virgo_factory.answers.choice import answered_options, choose, claimed
from virgo_factory.answers.grading import MATH
from virgo_factory.answers.options import inline_options
from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.thought import BEGIN_THOUGHT, LongThought


CUES = ("Wait,", "Hmm,", "Alternatively,", "Let me double-check.", "Let's double-check the details.")
"""What LongPerceptualThoughts plants, and what `synthesize` does by default."""

LEXICON = {
    "verification": r"(?:let(?:'s| me| us)|i(?:'ll| will| should| need to| want to| have to)|we (?:should|need to|have to|can)|to)?\s*"
    r"(?:re-?|double[- ]|cross[- ])?(?:check|verify|verifying|checking|confirm|confirming|examin(?:e|ing)|make sure)\b"
    r"|(?:let me |let's |i )?(?:look|looking|looked) (?:again|back|closer|more closely|once more)\b|(?:up)?on (?:closer|further|second) (?:inspection|look|examination)\b",
    "backtracking": r"wait\b|no\b[,.]|hold on\b|actually\b|alternatively\b|on second thoughts?\b|scratch that\b|my mistake\b|oops\b"
    r"|(?:that|this|it)(?:'s| is| was| seems| can't be| cannot be)\s*(?:not (?:right|correct|true)|wrong|incorrect|a mistake)\b"
    r"|i (?:was wrong|made a mistake|made an error|misread|miscounted|misremembered|confused|think i (?:made|was))\b",
    "sub-goals": r"first(?:ly)?\b[,:]?|second(?:ly)?,|third(?:ly)?,|next,|finally,|step \d+\b|my (?:first|next) step\b|(?:let's|let me|i'll|we) (?:first|start by|begin by|break)\b"
    r"|to (?:do|solve|answer|find) (?:this|that|it)\b",
    "backward chaining": r"(?:work|working|go|going|reason|reasoning) backwards?\b|(?:suppose|assume|assuming|if) (?:the (?:correct |right )?answer|it)(?: is| were| was|'s)\b"
    r"|(?:start|starting) (?:from|with) the (?:options?|choices?|answers?)\b|for (?:option |choice )?\(?[A-D]\)? to be\b"
    r"|(?:let's|let me|i'll|we can|now,? let's) (?:go through|test|try|evaluate|compare|consider|review) (?:each|the|these|every|all)(?: \w+)? (?:options?|choices?|answers?)\b",
}
"""Behaviour -> how its sentences begin, behind words such as "but" and "okay"; the first that fits counts."""

BEHAVIOURS = tuple(LEXICON)

_START = re.compile(r"(?:^|(?<=[.!?…。！？])(?<!\b[A-Da-d]\.)\s+|\n)\s*(?:[-*•]\s+|\d+[.)]\s+)?(?=\S)")
_LEADING = re.compile(r"(?:(?:okay|ok|hmm+|so|but|and|now|well|right|yes|yeah|oh)\b[,.]*\s+)*", re.IGNORECASE)
_BEGINS = [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in LEXICON.items()]
_LISTED = re.compile(r"[(\[]?[A-J][)\].:]\s+(?!(?:is|it|seems|must|was|would|should)\b)\S")
_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|conclude|concluded|actually|indeed|clearly|must be|should be|answer|correct|instead)\b",
    re.IGNORECASE,
)
_MOST = 100_000
"""Characters of a thought whose answers are looked at, so that a row of 50 MB takes no minute."""


@dataclass(frozen=True)
class Event:
    """A sentence that shows a behaviour."""

    behaviour: str  # which
    cue: str  # the one of CUES that it begins with; "" for none
    at: int  # character at which it begins


def events_of(thought: str) -> list[Event]:
    """Return the sentences of a thought that show a behaviour, in order.

    >>> [event.behaviour for event in events_of("It is red. But wait, let me look again. Let me check: blue.")]
    ['backtracking', 'verification']
    """
    found = []
    for start in _START.finditer(thought):
        at = start.end()
        said = _LEADING.match(thought, at).end()
        if behaviour := next((name for name, pattern in _BEGINS if pattern.match(thought, said)), ""):
            found.append(Event(behaviour, next((cue for cue in CUES if thought.startswith(cue, at)), ""), at))

    return found


def answers_of(thought: str, options: tuple[str, ...]) -> list[int]:
    """Return the options that the sentences of a thought decide for, in order, each once until another one follows.

    A sentence decides where it states a letter as its answer, or asserts an option's text behind a word that concludes; a line of a
    list of options, and one that weighs two, decides nothing.

    >>> answers_of(
    ...     "(A) red - no.\\nSo it is red. Wait, the answer is (B). B it is. So it is red after all.", ("red", "blue")
    ... )
    [0, 1, 0]
    """
    found: list[int] = []
    thought, question = thought[:_MOST], Question(options=options, kind="choice")
    starts = [start.end() for start in _START.finditer(thought)]
    for begin, end in pairwise([*starts, len(thought)]):
        sentence = thought[begin:end].strip()
        if not sentence or _LISTED.match(sentence):
            continue

        if claim := claimed(sentence, len(options)):
            said = claim[0]
        elif _CONCLUDES.search(sentence):
            said = choose(sentence, options, "thought", question)
            said = said.text if said.rule in ("option", "bold", "phrase") else ""
        else:
            continue

        named = answered_options(said, options, MATH) if said else frozenset()
        if len(named) == 1 and found[-1:] != [*named]:
            found += named

    return found


UNKNOWN = -1
"""Stands for the answer of a beginning that a row names as wrong (`assistant_prefix`), where it does not say which."""


@dataclass(frozen=True)
class Shown:
    """What one thought shows."""

    events: tuple[Event, ...]  # its sentences that show a behaviour, without one that was planted for certain
    planted: str  # cue directly behind its prefix; "" for none
    planted_at: int  # character at which that begins; -1 for none
    has_prefix: bool  # whether the row names a beginning that was not its model's to choose
    length: int  # of its text, in tokens, or in words
    # options that it decides for, with the one that its solution gives at the end; None without four or so options
    answers: tuple[int, ...] | None


def shown_by(example: Example, length: Callable[[str], int] = lambda text: len(text.split())) -> Shown | None:
    """Return what the thought of an example shows; None where its response is no long thought.

    `length` is that of a text, in words by default.
    """
    response = example.response
    if not isinstance(response, LongThought):
        return None

    thought, prefix = response.thought, example.assistant_prefix.removeprefix(BEGIN_THOUGHT).lstrip("\n")
    behind = thought[len(prefix) :].lstrip(" \n.")
    planted = next((cue for cue in CUES if behind.startswith(cue)), "") if prefix else ""
    at = len(thought) - len(behind) if planted else -1
    events = tuple(event for event in events_of(thought) if event.at != at)
    return Shown(events, planted, at, bool(prefix), length(thought), _answers(example, thought, len(prefix)))


def _answers(example: Example, thought: str, begin: int) -> tuple[int, ...] | None:
    options = inline_options(example.question.replace(IMAGE, "").strip()[-20_000:])
    if not 2 <= len(options) <= 10:
        return None

    solution = choose(example.response.solution, options, "solution", Question(options=options, kind="choice"))
    named = answered_options(solution.text, options, MATH) if solution.text else frozenset()
    if len(named) != 1:
        return None

    found = [*answers_of(thought[:begin], options), *answers_of(thought[begin:], options), *named]
    if begin and not set(found) - named:
        found.insert(0, UNKNOWN)

    return tuple(answer for at, answer in enumerate(found) if not at or found[at - 1] != answer)


@dataclass
class Behaviours:
    """What the thoughts of some rows show, added up; memory does not grow with rows."""

    thoughts: int = 0  # looked at
    length: int = 0  # of all of them, in tokens or words
    events: Counter[str] = field(default_factory=Counter)  # behaviour -> sentences, those perhaps planted included
    rows: Counter[str] = field(default_factory=Counter)  # behaviour -> thoughts that show it at least once
    planted: Counter[str] = field(
        default_factory=Counter
    )  # cue -> thoughts where it stands directly behind the prefix
    # (cue, behaviour) -> thoughts without a prefix that show it in a sentence with this cue: one sentence of each counts
    # as planted where the dataset plants the cue
    perhaps: Counter[tuple[str, str]] = field(default_factory=Counter)
    only: Counter[tuple[str, str]] = field(default_factory=Counter)  # likewise, where no other sentence shows it
    choices: int = 0  # thoughts about choice questions whose answer is known
    changes: int = 0  # steps from one option to another
    returns: int = 0  # those of them to one that was left before
    changed: int = 0  # thoughts with at least one
    returned: int = 0  # likewise

    def add(self, one: Shown) -> None:
        self.thoughts += 1
        self.length += one.length
        counts = Counter(event.behaviour for event in one.events)
        self.events.update(counts)
        self.rows.update(counts.keys())
        if one.planted:
            self.planted[one.planted] += 1

        if not one.has_prefix:
            for cue, behaviour in {(event.cue, event.behaviour) for event in one.events if event.cue}:
                self.perhaps[cue, behaviour] += 1
                self.only[cue, behaviour] += counts[behaviour] == 1

        if one.answers is not None:
            self.choices += 1
            steps = len(one.answers) - 1
            back = sum(answer in one.answers[:at] for at, answer in enumerate(one.answers))
            self.changes += steps
            self.returns += back
            self.changed += steps > 0
            self.returned += back > 0

    def told(self, cues: Iterable[str] = ()) -> dict[str, dict[str, float]]:
        """Return behaviour -> `events`, `per_1000` tokens or words, `rows` and `share` of the thoughts, without what was planted.

        `cues`: planted in rows that do not say so.
        """
        planted = {*self.planted, *cues}
        found = {}
        for name in BEHAVIOURS:
            events = self.events[name] - sum(self.perhaps[cue, name] for cue in planted)
            rows = self.rows[name] - sum(self.only[cue, name] for cue in planted)
            found[name] = {
                "events": events,
                "per_1000": round(1000 * events / self.length, 3) if self.length else 0.0,
                "rows": rows,
                "share": round(rows / self.thoughts, 4) if self.thoughts else 0.0,
            }

        return found


def to_json(found: Behaviours, cues: Sequence[str] = (), unit: str = "words") -> dict[str, Any]:
    """Return the behaviours as JSON values; `unit`: what their length was counted in."""
    return {
        "thoughts": found.thoughts,
        "unit": unit,
        "length": found.length,
        "planted": dict(found.planted),
        "behaviours": found.told(cues),
        "choices": {name: getattr(found, name) for name in ("choices", "changed", "changes", "returned", "returns")},
    }
