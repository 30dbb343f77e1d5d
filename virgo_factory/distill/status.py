"""What the files of a distillation say about it: outcomes, difficulty and cost by source, and what is left to do.

Only reads, and may do so while a run writes. Memory grows by some bytes a rollout that is planned, not by its text.
"""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.adapters.row import RejectedRow
from virgo_factory.distill.config import DistillConfig, read_folder, shapes
from virgo_factory.distill.lines import shards_of
from virgo_factory.distill.question import VisualQuestion, is_binary, read_questions
from virgo_factory.distill.rollout import GREEDY
from virgo_factory.distill.selection import OUTCOMES, long_thought_of
from virgo_factory.distill.store import ROLLOUTS, Shard, is_in_shard, read_dropped, read_rollouts
from virgo_factory.distill.verdicts import DIFFICULTIES, difficulty_of, question_file, read_verdicts
from virgo_factory.thought import LongThought


UNJUDGED = "not judged yet"

DROPPED = "dropped"
"""Instead of a difficulty: the question cannot be asked."""

MOST_SOURCES = 100
OTHERS = "(further sources)"
"""Where questions of more than MOST_SOURCES sources are counted."""

LENGTH_STEP = 64
"""Tokens from one counted length to the next."""

FRESH_SECONDS = 60
"""Age of progress.json above which its run is not going on any more."""


@dataclass(frozen=True)
class Group:
    """Counts of the questions of one source, or of all.

    Attributes:
        questions: how many there are.
        binary: how many of them are yes/no questions or have two options.
        levels: difficulty (or "dropped") -> questions.
        binary_levels: likewise, of the binary ones.
        asked: questions with at least one rollout of the model (not of the base model).
        outcomes: of the samples: one of OUTCOMES or "not judged yet" -> rollouts.
        accepted: samples that are correct, complete and well formed.
        tokens: that the samples took.
        base_asked, base_solved, base_tokens: the base model's greedy pass.
    """

    questions: int
    binary: int
    levels: Mapping[str, int]
    binary_levels: Mapping[str, int]
    asked: int
    outcomes: Mapping[str, int]
    accepted: int
    tokens: int
    base_asked: int
    base_solved: int
    base_tokens: int

    @property
    def rollouts(self) -> int:
        """Samples that are there."""
        return sum(self.outcomes.values())

    @property
    def tokens_per_accepted(self) -> float | None:
        """What one row costs that may be trained on; None where there is none."""
        return self.tokens / self.accepted if self.accepted else None


@dataclass(frozen=True)
class Status:
    """What is known of a distillation.

    Attributes:
        config: that made the folder.
        by_source: source -> counts, in the order of questions.jsonl.
        all: of all sources together.
        left: samples still to be asked, at most.
        base_left: questions that the base model has not been asked.
        dropped: reason -> questions that cannot be asked, most frequent first.
        stray: rollouts of no question or sample of this folder; they are counted nowhere else.
        twice: rollouts whose key is there already, likewise.
        lengths: outcome -> tokens of a sample, in steps of LENGTH_STEP -> how many.
        correct_of: number of correct samples -> questions of which all samples are judged.
        shards: (i, n) of those that the folder holds, where it holds no whole run: only their questions are counted.
        elsewhere: questions of the other shards.
        running: pids of the runs that write to the folder now.
        tokens_per_second: of these runs, or of the last one; None where it is not known.
        seconds_left: at that speed; None where it is not known, 0 where nothing is left.
        chosen: id -> difficulty of the questions that were drawn, see `summarise`.
    """

    config: DistillConfig
    by_source: Mapping[str, Group]
    all: Group
    left: int
    base_left: int
    dropped: Mapping[str, int]
    stray: int
    twice: int
    lengths: Mapping[str, Mapping[int, int]]
    correct_of: Mapping[int, int]
    shards: tuple[Shard, ...]
    elsewhere: int
    running: tuple[int, ...]
    tokens_per_second: float | None
    seconds_left: float | None
    chosen: Mapping[str, str] = field(default_factory=dict)


def summarise(folder: Path, choose: int = 0, seed: int = 0) -> Status:
    """Return the status of a distillation's folder.

    Args:
        folder: of the distillation.
        choose: draw this many questions that have rollouts, as many of each difficulty as can be.
        seed: of that draw.

    Raises:
        ValueError: not such a folder, or a file in it is broken.
    """
    config = read_folder(folder)
    questions = _Questions(folder, config)
    for verdict in read_verdicts(folder):
        questions.judge(verdict)

    for rollout in read_rollouts(folder):
        questions.add(rollout)

    for dropped in read_dropped(folder):
        questions.drop(dropped)

    return questions.status(folder, choose, seed)


class _Questions:
    """What is counted for each question and each source while the files are read."""

    def __init__(self, folder: Path, config: DistillConfig) -> None:
        self.config = config
        self.index: dict[str, int] = {}
        self.sources: dict[str, int] = {}
        self.shards, self.elsewhere = _shards_in(folder), 0
        source, binary = bytearray(), bytearray()
        for question in _questions_of(folder):
            if self.shards and not any(is_in_shard(question.id, shard) for shard in self.shards):
                self.elsewhere += 1
                continue

            self.index[question.id] = len(self.index)
            name = question.source if len(self.sources) < MOST_SOURCES or question.source in self.sources else OTHERS
            source.append(self.sources.setdefault(name, len(self.sources)))
            binary.append(is_binary(question))

        self.source, self.binary = np.frombuffer(source, np.uint8), np.frombuffer(binary, bool)
        count, width = len(self.index), config.samples + 1  # sample -1, the greedy one, is column 0
        self.code = np.zeros((count, width), np.uint8)  # 0 without a verdict, else 1 + its outcome's place
        self.there = np.zeros((count, width), bool)
        self.unaskable = np.zeros(count, bool)
        self.reasons: Counter = Counter()
        self.tokens: Counter = Counter()  # by source and whether it is the base model's
        self.accepted: Counter = Counter()
        self.lengths: dict[str, Counter] = {outcome: Counter() for outcome in (*OUTCOMES, UNJUDGED)}
        self.stray = self.twice = 0

    def place(self, question: str, sample: int) -> tuple[int, int] | None:
        """Return where a sample is counted, None if it is of no question here."""
        at = self.index.get(question)
        return None if at is None or not GREEDY <= sample < self.config.samples else (at, sample - GREEDY)

    def judge(self, verdict: Any) -> None:
        place = self.place(verdict.question, verdict.sample)
        if place:  # of several the last counts, as `read_verdicts` says
            self.code[place] = _CODES.get(verdict.outcome, 0)

    def add(self, rollout: Any) -> None:
        place = self.place(rollout.question, rollout.sample)
        if place is None:
            self.stray += 1
            return

        if self.there[place]:
            self.twice += 1
            return

        self.there[place] = True
        source, code = self.source[place[0]], self.code[place]
        self.tokens[source, rollout.sample == GREEDY] += rollout.completion_tokens
        if rollout.sample == GREEDY:
            return

        outcome = OUTCOMES[code - 1] if code else UNJUDGED
        self.lengths[outcome][rollout.completion_tokens // LENGTH_STEP] += 1
        if outcome == "correct" and thought_of(rollout.response, self.config.response_format):
            self.accepted[source] += 1

    def drop(self, dropped: Any) -> None:
        at = self.index.get(dropped.question)
        if at is not None and not self.unaskable[at] and not self.there[at, 1:].all():
            self.unaskable[at] = True
            self.reasons[dropped.reason] += 1

    def status(self, folder: Path, choose: int, seed: int) -> Status:
        levels = self.levels()
        config = self.config
        groups = {name: self.group(levels, self.source == at, [at]) for name, at in self.sources.items()}
        everything = self.group(levels, np.ones(len(self.index), bool), list(self.sources.values()))

        open_ = np.isin(levels, [_LEVELS.index(level) for level in ("easy", DROPPED)], invert=True)
        if config.stop_when_decided:
            open_ &= levels == _LEVELS.index("undecided")

        left = int((~self.there[open_, 1:]).sum())
        base_left = 0
        if config.base_model_name_or_path:
            base_left = int((open_ & ~self.there[:, 0]).sum())

        counted = ((self.code[:, 1:] > 0) & self.there[:, 1:]).all(axis=1)
        correct = (self.code[:, 1:] == _CORRECT).sum(axis=1)[counted]
        speed = _speed(folder)
        seconds_left = 0.0 if not left and not base_left else None
        if seconds_left is None and speed and speed.rollouts:
            seconds_left = (left + base_left) / speed.rollouts

        return Status(
            config=config,
            by_source=groups,
            all=everything,
            left=left,
            base_left=base_left,
            dropped=dict(self.reasons.most_common()),
            stray=self.stray,
            twice=self.twice,
            lengths={outcome: dict(sorted(steps.items())) for outcome, steps in self.lengths.items() if steps},
            correct_of={number: int((correct == number).sum()) for number in range(config.samples + 1)},
            shards=self.shards,
            elsewhere=self.elsewhere,
            running=speed.running if speed else (),
            tokens_per_second=speed.tokens if speed else None,
            seconds_left=seconds_left,
            chosen=self.choose(levels, choose, seed),
        )

    def levels(self) -> np.ndarray:
        """Return the place of each question's difficulty in _LEVELS."""
        samples = np.where(self.there[:, 1:], self.code[:, 1:], 0)
        solved = self.there[:, 0] & (self.code[:, 0] == _CORRECT)
        correct = (samples == _CORRECT).sum(axis=1)
        wrong = ((samples > 0) & (samples != _CORRECT) & (samples != _UNVERIFIABLE)).sum(axis=1)
        cases, case_of = np.unique(np.stack([solved, correct, wrong, self.unaskable]), axis=1, return_inverse=True)
        level_of = [
            DROPPED if unaskable else difficulty_of(int(correct), int(wrong), self.config.samples, bool(solved))
            for solved, correct, wrong, unaskable in cases.T
        ]
        places = np.array([_LEVELS.index(level) for level in level_of], np.uint8)
        return places[case_of.reshape(-1)] if len(places) else np.zeros(0, np.uint8)

    def group(self, levels: np.ndarray, chosen: np.ndarray, sources: list[int]) -> Group:
        there, code = self.there[chosen], self.code[chosen]
        numbers = np.bincount(code[:, 1:][there[:, 1:]], minlength=len(OUTCOMES) + 1)
        found = {outcome: int(numbers[place + 1]) for place, outcome in enumerate(OUTCOMES)}
        return Group(
            questions=int(chosen.sum()),
            binary=int((self.binary & chosen).sum()),
            levels=_named(levels[chosen]),
            binary_levels=_named(levels[chosen & self.binary]),
            asked=int(there[:, 1:].any(axis=1).sum()),
            outcomes=found | ({UNJUDGED: int(numbers[0])} if numbers[0] else {}),
            accepted=sum(self.accepted[at] for at in sources),
            tokens=sum(self.tokens[at, False] for at in sources),
            base_asked=int(there[:, 0].sum()),
            base_solved=int((there[:, 0] & (code[:, 0] == _CORRECT)).sum()),
            base_tokens=sum(self.tokens[at, True] for at in sources),
        )

    def choose(self, levels: np.ndarray, count: int, seed: int) -> dict[str, str]:
        """Draw questions that have rollouts, as evenly over the levels as there are such; those of a level together."""
        if not count:
            return {}

        drawn: dict[int, list[tuple[bytes, str]]] = {}
        has = self.there.any(axis=1)
        for id, at in self.index.items():
            if has[at]:
                rank = hashlib.sha256(f"{seed}:{id}".encode()).digest()[:8]
                drawn.setdefault(int(levels[at]), []).append((rank, id))

        chosen: dict[str, str] = {}
        share = _shares({level: len(ids) for level, ids in drawn.items()}, count)
        for level in MOST_TELLING:
            place = _LEVELS.index(level)
            for _, id in sorted(drawn.get(place, ()))[: share.get(place)]:
                chosen[id] = level

        return chosen


def _shards_in(folder: Path) -> tuple[Shard, ...]:
    names = [path.name for path in shards_of(folder, ROLLOUTS)]
    found = [re.fullmatch(rf"{ROLLOUTS}-(\d+)of(\d+)\.jsonl", name) for name in names]
    return tuple(sorted((int(match[1]), int(match[2])) for match in found)) if all(found) else ()


def _questions_of(folder: Path) -> Iterator[VisualQuestion]:
    try:
        path = question_file(folder)
    except ValueError:
        return  # none yet: a run that is still collecting them

    yield from read_questions(path)


_CODES = {outcome: place for place, outcome in enumerate(OUTCOMES, start=1)}
_LEVELS = (*DIFFICULTIES, DROPPED)
MOST_TELLING = ("medium", "hard", "unsolved", "undecided", "easy", DROPPED)
"""The order in which questions of these difficulties are shown."""

_CORRECT, _UNVERIFIABLE = _CODES["correct"], _CODES["unverifiable"]


def _named(levels: np.ndarray) -> dict[str, int]:
    numbers = np.bincount(levels, minlength=len(_LEVELS))
    return {level: int(numbers[place]) for place, level in enumerate(_LEVELS)}


def _shares(sizes: Mapping[int, int], count: int) -> dict[int, int]:
    """Return how many to take of each: the same number, or all of those that have fewer.

    >>> _shares({1: 100, 2: 3, 3: 50}, 20)
    {2: 3, 3: 8, 1: 9}
    """
    shares = {}
    for place, name in enumerate(sorted(sizes, key=sizes.__getitem__)):
        shares[name] = min(sizes[name], count // (len(sizes) - place))
        count -= shares[name]

    return shares


@dataclass(frozen=True)
class _Speed:
    """What the runs of a folder tell: pids of those that go on, rollouts and tokens a second."""

    running: tuple[int, ...]
    rollouts: float
    tokens: float


def _speed(folder: Path) -> _Speed | None:
    """Return the speed of the runs that go on, or together of those that went last; None where no run told it."""
    told = []
    for path in sorted(folder.glob("progress*.json")):
        try:
            age = time.time() - path.stat().st_mtime
            row = json.loads(path.read_text(encoding="utf-8"))
            is_running = row["running"] is True and age < FRESH_SECONDS
            told.append((is_running, row["pid"], float(row["rollouts_per_second"]), float(row["tokens_per_second"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is only for this number

    going = [row for row in told if row[0]] or told
    if not going:
        return None

    running = tuple(pid for is_running, pid, *_ in told if is_running)
    return _Speed(running, sum(row[2] for row in going), sum(row[3] for row in going))


def thought_of(response: str, response_format: str) -> LongThought | None:
    """Return the long thought in a response, None where `select` would pass it over as malformed."""
    try:
        return long_thought_of(response, response_format)
    except RejectedRow:
        return None


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> duration(8), duration(754), duration(20_000), duration(200_000)
    ('8 s', '12 min 34 s', '5 h 33 min', '2 d 7 h')
    """
    seconds = round(seconds)
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // next_size} {next_unit}"

    return f"{seconds} s"


def to_json(status: Status) -> dict[str, Any]:
    """Return the numbers for programs; of the config what they follow from."""
    groups = {name: _group_json(group) for name, group in status.by_source.items()}
    return {
        "config": shapes(status.config),
        "all": _group_json(status.all),
        "by_source": groups,
        "left": status.left,
        "base_left": status.base_left,
        "dropped": dict(status.dropped),
        "stray": status.stray,
        "twice": status.twice,
        "correct_of": dict(status.correct_of),
        "shards": [list(shard) for shard in status.shards],
        "elsewhere": status.elsewhere,
        "running": list(status.running),
        "tokens_per_second": status.tokens_per_second,
        "seconds_left": status.seconds_left,
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {**asdict(group), "rollouts": group.rollouts, "tokens_per_accepted": group.tokens_per_accepted}
