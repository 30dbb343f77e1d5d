"""The reward of a response for reinforcement learning: accuracy by our verdicts and the form of a long thought.

Pure but for `Rewards`, which asks worker processes; no torch, no TRL, no LLaMA-Factory, so that any engine can import it.
"""

import contextlib
import functools
import itertools
import os
import queue
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, NamedTuple

from virgo_factory.answers.batch import MEMORY, SECONDS, Task, verdict_of
from virgo_factory.answers.grading import MATH, grading
from virgo_factory.answers.model import UNVERIFIABLE, WRONG, Answer, Question, Verdict
from virgo_factory.answers.omr import omr_format, omr_verdict
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose.response import without_turn_end
from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import LongThought, MalformedThought
from virgo_factory.io.workers import Lost, Workers


MOST_WORKERS = 4
"""Processes of a rank by default: each does some 350 verdicts a second, and the other cores are the trainer's."""

_TAGGED = re.compile(r"\s*<think>(.*?)</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FORMS = ("virgo", "omr", "think")


@dataclass(frozen=True)
class RewardConfig:
    """What a response is rewarded for.

    Attributes:
        format_weight: share of the form; the rest is that of the accuracy (OpenMMReasoner's supplement, Table 3: 0.1 is best).
        tags: the form asked for: `virgo`'s four markers, `omr`'s <think> and <answer>, or `think`, with the solution bare.
        rule: `ours`, or `omr` for OpenMMReasoner's own rules (`virgo_factory.answers.omr` names their faults).
        max_response_tokens: the longest response that is sampled; needed where overlong_buffer is not 0.
        overlong_buffer: tokens before that limit over which a penalty grows from 0 to -1 (DAPO); 0 for none.

    Raises:
        UserError: with every value that cannot be.
    """

    format_weight: float = 0.1
    tags: Literal["virgo", "omr", "think"] = "virgo"
    rule: Literal["ours", "omr"] = "ours"
    max_response_tokens: int | None = None
    overlong_buffer: int = 0

    def __post_init__(self) -> None:
        wrong = []
        if not 0 <= self.format_weight <= 1:
            wrong.append(f"format_weight: {self.format_weight} is not between 0 and 1")

        for name, known in (("tags", FORMS), ("rule", ("ours", "omr"))):
            if getattr(self, name) not in known:
                wrong.append(f"{name}: {getattr(self, name)!r} is not one of {', '.join(known)}")

        if self.overlong_buffer and not 0 < self.overlong_buffer <= (self.max_response_tokens or 0):
            wrong.append(
                f"overlong_buffer: {self.overlong_buffer} is not between 0 and max_response_tokens "
                f"({self.max_response_tokens})"
            )

        if wrong:
            raise UserError("; ".join(wrong))


@dataclass(frozen=True)
class RewardTask:
    """One response to be rewarded, as sampled, with its markers; its length in tokens where overlong ones are penalized."""

    response: str
    gold: Any
    question: Question = Question()
    grading: str = MATH.name
    tokens: int | None = None
    truncated: bool = False

    def __post_init__(self) -> None:
        grading(self.grading)  # told where the task is made, not in a worker


@dataclass(frozen=True)
class Reward:
    """What a response earns.

    Attributes:
        score: (1 - format_weight) * accuracy + format_weight * format + overlong; None where the verdict is unverifiable.
        accuracy: 1, 0, or None.
        format: 1 or 0; of OpenMMReasoner's rule 0.8 too.
        overlong: 0 to -1.
    """

    score: float | None
    accuracy: float | None
    format: float
    overlong: float
    verdict: str
    reason: str
    answer: str = ""


def reward(task: RewardTask, config: RewardConfig = RewardConfig()) -> Reward:
    """Return the reward of a response; never raises, and always the same for the same task.

    >>> reward(RewardTask("<think>6 * 7</think><answer>42</answer>", "42"), RewardConfig(tags="omr")).score
    1.0
    >>> reward(RewardTask("So it is 42.", "42")).score, reward(RewardTask("So it is 42.", None)).score
    (0.9, None)
    """
    response = without_turn_end(task.response)
    if config.rule == "omr":
        return _rewarded(task, config, omr_verdict(response, task.gold), omr_format(response))

    verdict = verdict_of(Task(response, task.gold, task.question, grading(task.grading)))
    if task.truncated and not verdict.uncheckable:
        verdict = Verdict(WRONG, "cut_answer", verdict.kind, verdict.answer)

    return _rewarded(task, config, verdict, float(has_form(response, config.tags)))


def has_form(response: str, tags: str) -> bool:
    """Return whether a response is one thought, then one answer, each in its tags, neither empty, with nothing outside.

    >>> has_form("<think>a</think>\\n<answer>b</answer>", "omr"), has_form("<think>a</think> b", "omr")
    (True, False)
    >>> has_form("<think>a</think> b", "think"), has_form("<think>a</think>", "think")
    (True, False)
    """
    if tags == "virgo":
        try:
            return bool(LongThought.parse(response))
        except MalformedThought:
            return False

    if any(response.count(tag) != 1 for tag in (_TAGS[:2] if tags == "think" else _TAGS)):
        return False

    found = (_THOUGHT if tags == "think" else _TAGGED).fullmatch(response)
    return found is not None and all(part.strip() for part in found.groups())


def overlong_penalty(tokens: int | None, config: RewardConfig) -> float:
    """Return DAPO's soft penalty, 0 to -1, of a response of so many tokens.

    >>> [
    ...     overlong_penalty(tokens, RewardConfig(max_response_tokens=100, overlong_buffer=20))
    ...     for tokens in (80, 90, 130)
    ... ]
    [0.0, -0.5, -1.0]
    """
    if not config.overlong_buffer or tokens is None:
        return 0.0

    over = tokens - (config.max_response_tokens - config.overlong_buffer)
    return -min(max(over / config.overlong_buffer, 0.0), 1.0) or 0.0


def _rewarded(task: RewardTask, config: RewardConfig, verdict: Verdict, form: float) -> Reward:
    overlong = overlong_penalty(task.tokens, config)
    accuracy = None if verdict.correct is None else float(verdict.correct)
    score = None
    if accuracy is not None:
        score = (1 - config.format_weight) * accuracy + config.format_weight * form + overlong

    answer = (verdict.answer or Answer("", "none", "response")).text
    return Reward(score, accuracy, form, overlong, verdict.verdict, verdict.reason, answer)


class Filled(NamedTuple):
    """The scores of groups without a gap.

    Attributes:
        scores: one a response.
        unverifiable: how many of them are only their group's mean.
        doubtful: groups, by their place, of which more than half are unverifiable: the gold is usually broken there.
    """

    scores: list[float]
    unverifiable: int
    doubtful: list[int]


def fill_groups(scores: Sequence[float | None], group_size: int) -> Filled:
    """Return scores of which an unverifiable one (None) is the mean of its group: it has no advantage and moves no other's.

    Where a whole group is unverifiable all are 0: equal values, no gradient.

    >>> fill_groups([1.0, 0.0, None, 0.5, None, None, None, 0.1], 4)
    Filled(scores=[1.0, 0.0, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1], unverifiable=4, doubtful=[1])
    """
    if len(scores) % group_size:
        raise ValueError(f"{len(scores)} scores are no groups of {group_size}")

    filled: list[float] = []
    doubtful = []
    for start in range(0, len(scores), group_size):
        group = scores[start : start + group_size]
        known = [score for score in group if score is not None]
        mean = fmean(known) if known else 0.0
        filled += [mean if score is None else score for score in group]
        if 2 * len(known) < group_size:
            doubtful.append(start // group_size)

    return Filled(filled, scores.count(None), doubtful)


class Rewards:
    """Rewards by processes that can be killed, asked from any thread and any script; `close` ends them.

    Threads that ask at the same time are served together, so that single responses keep every process busy too. By default
    there are as many processes as this rank has cores, at most MOST_WORKERS.
    """

    def __init__(
        self, config: RewardConfig = RewardConfig(), workers: int | None = None, seconds: float = SECONDS
    ) -> None:
        count = workers or _default_workers()
        self.config = config
        self._workers = Workers(
            functools.partial(_make, config), count, seconds=seconds, memory=MEMORY, batch=8, window=256
        )
        self._lock = threading.Lock()
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()

    def score(self, tasks: Sequence[RewardTask]) -> list[Reward]:
        """Return the rewards of tasks, in their order."""
        mine = _Asked(list(tasks))
        self._asked.put(mine)
        with self._lock:
            if mine.rewards is None:
                self._serve()

        if isinstance(mine.rewards, BaseException):
            raise mine.rewards

        return mine.rewards

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._workers.close()

    def _serve(self) -> None:
        together = []
        with contextlib.suppress(queue.Empty):
            while True:
                together.append(self._asked.get_nowait())

        try:
            found = self._workers.map(task for asked in together for task in asked.tasks)
            for asked in together:
                asked.rewards = [_of(one) for one in itertools.islice(found, len(asked.tasks))]

            next(found, None)
        except BaseException as error:
            self._workers.close()  # they owe what nobody waits for any more
            for asked in together:
                if asked.rewards is None:
                    asked.rewards = error


class _Asked:
    """What one thread asks for, and what it gets: rewards, or the error that kept it from them."""

    def __init__(self, tasks: list[RewardTask]) -> None:
        self.tasks = tasks
        self.rewards: list[Reward] | BaseException | None = None


def _default_workers() -> int:
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores, MOST_WORKERS))


def _make(config: RewardConfig) -> Callable[[RewardTask], Reward]:
    P.compile_all()
    return functools.partial(reward, config=config)


def _of(found: Reward | Lost) -> Reward:
    return Reward(None, None, 0.0, 0.0, UNVERIFIABLE, found.reason) if isinstance(found, Lost) else found
