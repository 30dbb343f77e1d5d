"""The responses of a folder judged once more: by a language model where our rules cannot decide, or by a paper's scorer."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson

from virgo_factory.answers.batch import MEMORY, SECONDS
from virgo_factory.answers.model import UNVERIFIABLE, Answer, Verdict
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.scorers import PAPER, JudgeRequest, Scorer, omr
from virgo_factory.evaluation.scorers.step import Step, zero_one
from virgo_factory.io.atomic import new_file
from virgo_factory.io.workers import Lost, Workers
from virgo_factory.rollouts.judge.llm_judge import LLMJudge, judgements
from virgo_factory.rollouts.judge.verdicts import rollout_verdict
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import VisualQuestion, read_questions
from virgo_factory.rollouts.store.index import VERDICTS
from virgo_factory.rollouts.store.jsonl import digest, rows_of, shards_of
from virgo_factory.rollouts.store.rollout import Rollout, RolloutVerdict, verdict_of
from virgo_factory.rollouts.store.store import append_line, open_to_append, read_rollouts


OURS = "ours"

AT_ONCE = 16
"""Responses that a judge is asked about at the same time."""

Judged = tuple[VisualQuestion, Rollout, RolloutVerdict]
"""A question, a response to it, and the last verdict that verdicts.jsonl has on it."""


def rejudge(folder: Path, scorer: str, judge: LLMJudge | None) -> str:
    """Judge all responses that have a verdict by another scorer; return the name of its files of verdicts.

    `ours` appends what the judge settled to verdicts.jsonl, where the last verdict on a response counts; a paper's scorer leaves
    verdicts.NAME.jsonl, whole or not at all. What a judge replied is kept: a killed start goes on where it was.

    `judge`: is asked where a scorer wants it; without one that is unverifiable.
    """
    if scorer == OURS and judge is None:
        return VERDICTS

    with judgements(folder) if judge else nullcontext() as stored, ThreadPoolExecutor(AT_ONCE) as threads:
        asked = judge and replace(judge, stored=stored)
        if scorer == OURS:
            with open_to_append(shards_of(folder, VERDICTS)[-1]) as lines:  # behind those of all shards
                for some in _batches(folder):
                    for found in filter(None, threads.map(lambda one: _settled(asked, *one), some)):
                        append_line(lines, asdict(found))

            return VERDICTS

        name = f"{VERDICTS}.{scorer}"
        workers = Workers(
            _steps, max(1, len(os.sched_getaffinity(0)) // 2), seconds=SECONDS, memory=MEMORY, batch=8, window=256
        )
        with closing(workers), new_file(folder / f"{name}.jsonl", "wb") as lines:
            for some in _batches(folder):
                for found in _by_steps(scorer, asked, some, workers, threads):
                    lines.write(orjson.dumps(asdict(found)) + b"\n")

    return name


def scorer_of(scorer: str, benchmark: str) -> Scorer | None:
    """Return what judges a benchmark; None where a paper's scorer has no rule for it."""
    return omr if scorer == "omr" else PAPER.get(benchmark)


def _batches(folder: Path, size: int = 16 * AT_ONCE) -> Iterator[Sequence[Judged]]:
    questions = {question.id: question for question in read_questions(folder / QUESTIONS)}
    verdicts = {(*row.key, row.response): row for row in rows_of(folder, VERDICTS, verdict_of)}
    batch: list[Judged] = []
    for rollout in read_rollouts(folder):
        key = (*rollout.key, digest(rollout.response))
        if rollout.question in questions and key in verdicts:
            batch.append((questions[rollout.question], rollout, verdicts[key]))
            if len(batch) == size:
                yield batch
                batch = []

    yield batch


def _settled(
    judge: LLMJudge, question: VisualQuestion, rollout: Rollout, row: RolloutVerdict
) -> RolloutVerdict | None:
    """Return the judge's verdict where there was none, or where rules cannot judge a benchmark; None where nothing is new."""
    benchmark = BENCHMARKS.get(question.source)
    if row.state != "complete" or row.reason.startswith("judge_says"):
        return None

    before = Verdict(row.verdict, row.reason, row.kind, Answer(row.answer, row.rule, row.where))
    asked = replace(judge, every=bool(benchmark and benchmark.needs_judge))
    after = asked.settle(before, question.gold, question.asked, rollout.response)
    return (
        None if after is before or after.correct is None else rollout_verdict(rollout, replace(after, kind=row.kind))
    )


def _by_steps(
    name: str, judge: LLMJudge | None, batch: Sequence[Judged], workers: Workers, threads: ThreadPoolExecutor
) -> Iterator[RolloutVerdict]:
    """Yield where a scorer's steps end for each response that it has a rule for.

    Steps are taken in processes with a limit of time and memory, beyond which a response is unverifiable, as where the judge fails.
    """
    ours = [(question, rollout) for question, rollout, _ in batch if scorer_of(name, question.source)]
    replies: list[list[str]] = [[] for _ in ours]
    steps: list[Step] = [JudgeRequest("", {})] * len(ours)
    while waiting := [place for place, step in enumerate(steps) if isinstance(step, JudgeRequest)]:
        tasks = [(name, *ours[place], replies[place]) for place in waiting]
        for place, found in zip(waiting, workers.map(tasks), strict=True):
            steps[place] = _unverifiable(found.reason) if isinstance(found, Lost) else found

        asking = [place for place in waiting if isinstance(steps[place], JudgeRequest)]
        told = threads.map(lambda place: _replied(judge, steps[place], ours[place][1].response), asking)
        for place, reply in zip(asking, told, strict=True):
            if reply is None:
                steps[place] = _unverifiable("judge_failed")
            else:
                replies[place].append(reply)

    for (_, rollout), verdict in zip(ours, steps, strict=True):
        yield rollout_verdict(rollout, verdict)


def _replied(judge: LLMJudge | None, step: JudgeRequest, response: str) -> str | None:
    if judge is None:
        return None

    read, tokens = READERS[step.template]
    return judge.ask(judge.filled(step.template, step.texts), response, read, tokens)


def _unverifiable(reason: str) -> Verdict:
    return Verdict(UNVERIFIABLE, reason, answer=Answer("", "none", "response"))


def _steps() -> Callable[[tuple], Step]:
    """Return what a worker does: the next step for a response; it never raises."""
    return next_step


def next_step(task: tuple[str, VisualQuestion, Rollout, Sequence[str]]) -> Step:
    """Return the next step of a scorer, by its name, for a response and the judge's replies so far; never raises."""
    name, question, rollout, replies = task
    try:
        return scorer_of(name, question.source)(rollout.response, question.gold, question.asked, replies)
    except MemoryError:
        return _unverifiable("too_large")
    except Exception:  # one response must never end a scorer
        return _unverifiable("error")


def _if(is_such: Callable[[str], Any]) -> Callable[[str], str | None]:
    return lambda reply: reply if is_such(reply) else None


READERS = {
    "judge_extract.txt": (_if(str.strip), 64),
    "judge_zero_one.txt": (_if(lambda reply: zero_one(reply) is not None), 16),
    "judge_choice.txt": (_if(re.compile(r"\s*\(?[A-Z]\)?\s*\.?\s*").fullmatch), 16),
}
"""Template -> what makes of a reply a usable one, which is kept and never asked for again; and its tokens at most."""
