"""The responses of a folder judged again, by a paper's scorer or by ours with a language model for what rules cannot decide.

A paper's scorer leaves verdicts.NAME.jsonl, scores.NAME.csv and disagreements.NAME.csv; ours appends to verdicts.jsonl, where
the last verdict on a response counts. Replies of a judge are kept in judgements.jsonl and never asked for again.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from virgo_factory.answers.batch import MEMORY, SECONDS
from virgo_factory.answers.model import UNVERIFIABLE, Answer, Question, Verdict
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.scorers import PAPER, JudgeRequest, Scorer, Step, omr
from virgo_factory.evaluation.scorers.omr import misreads
from virgo_factory.evaluation.scorers.step import gold_text, told, zero_one
from virgo_factory.evaluation.scores import scores, write_scores
from virgo_factory.io.atomic import new_file
from virgo_factory.io.workers import Lost, Workers
from virgo_factory.rollouts.judge.llm_judge import UNDECIDED, LLMJudge, judgements
from virgo_factory.rollouts.judge.score_file import ASKED_AT_ONCE
from virgo_factory.rollouts.judge.verdicts import judge_rollouts, rollout_verdict
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.store.index import VERDICTS
from virgo_factory.rollouts.store.rollout import Rollout, rollout_of, verdict_of
from virgo_factory.rollouts.store.store import append_line, lock, open_to_append


OURS = "ours"
SCORERS = ("paper", "omr")
DIFFER = "disagreements"
DIFFER_COLUMNS = (
    "question",
    "benchmark",
    "sample",
    "gold",
    "ours",
    "our_reason",
    "our_answer",
    "its",
    "its_reason",
    "its_answer",
)
DIFFER_SHOWN = ("gold", "ours", "our_answer", "its", "its_answer")
BATCH = 512
EXTRACTED_TOKENS = 64
_LETTER = re.compile(r"\s*\(?[A-Z]\)?\s*\.?\s*")


@dataclass(frozen=True)
class Rescored:
    """What came out.

    Attributes:
        scorer: its name.
        responses: judged.
        asked: replies of the judge that were paid for now; kept ones not.
        differ: responses on which it and our rules differ; what `ours` settled, for ours.
        left_out: benchmark -> responses that this scorer has no rule for.
        misread: golds that the scorer of OpenMMReasoner takes for a letter.
    """

    scorer: str
    responses: int
    asked: int
    differ: int
    left_out: Mapping[str, int]
    misread: int = 0


def rescore(
    folder: Path,
    scorer: str = OURS,
    judge: LLMJudge | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Rescored:
    """Judge the responses of a folder again.

    Args:
        folder: of an evaluation.
        scorer: OURS or one of SCORERS.
        judge: that is asked where a scorer wants one; its replies are kept.
        workers: processes; all usable cores by default.
        progress: is called with the number of responses that are done.

    Raises:
        ValueError: no such scorer, it wants a judge and has none, or the judge does not answer.
    """
    if scorer not in (OURS, *SCORERS):
        raise UserError(f"--scorer {scorer}: not one of {', '.join((OURS, *SCORERS))}.")

    if judge is not None:
        judge.check()

    with ExitStack() as stack:
        stack.enter_context(lock(folder))
        kept = None
        if judge is not None:
            kept = stack.enter_context(judgements(folder))
            judge = replace(judge, stored=kept)

        before = kept.count if kept is not None else 0
        if scorer == OURS:
            judge_rollouts(folder, workers)

        run = read_run(folder)
        make = _settled if scorer == OURS else _judged
        found = make(run, scorer, judge, workers, progress)
        return replace(found, asked=kept.count - before if kept is not None else 0)


def _settled(
    run: Run, scorer: str, judge: LLMJudge | None, workers: int | None, progress: Callable[[int], None]
) -> Rescored:
    """Ask the judge about what our rules could not decide, and append its verdicts."""
    held, settled = run.held, 0
    if judge is None:
        return Rescored(scorer, len(held.place), 0, 0, {})

    def one(number: int) -> tuple[Verdict, Verdict, Rollout]:
        question = question_of(run.questions[held.place[number]])
        row = verdict_of(run.verdicts[held.verdict[number]])
        rollout = rollout_of(run.rollouts[held.row[number]])
        verdict = Verdict(row.verdict, row.reason, row.kind, Answer(row.answer, row.rule, row.where))
        return verdict, judge.settle(verdict, question.gold, question.asked, rollout.response), rollout

    open_ones = [
        number
        for number in range(len(held.place))
        if (row := run.verdicts[held.verdict[number]])["verdict"] == UNVERIFIABLE and row["reason"] in UNDECIDED
    ]
    with open_to_append(run.folder / f"{VERDICTS}.jsonl") as file, ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        for done, (before, after, rollout) in enumerate(threads.map(one, open_ones), start=1):
            progress(done)
            if after.correct is not None:
                append_line(file, asdict(rollout_verdict(rollout, replace(after, kind=before.kind))))
                settled += 1

    return Rescored(scorer, len(held.place), 0, settled, {})


Item = tuple[str, str, str, Any, Question, tuple[str, ...]]
"""Scorer, benchmark, response, gold, question and the judge's replies so far."""


def _judged(
    run: Run, scorer: str, judge: LLMJudge | None, workers: int | None, progress: Callable[[int], None]
) -> Rescored:
    """Judge every response by a paper's scorer, and write what it says beside ours."""
    held, name, left_out, differ, misread = run.held, f"{VERDICTS}.{scorer}", Counter(), [], set()
    wanted = []
    for number, place in enumerate(held.place):
        benchmark = held.questions[place].benchmark
        if scorer_of(scorer, benchmark) is None:
            left_out[benchmark] += 1
        else:
            wanted.append(number)

    processes = Workers(_step_maker, workers or _cores(), seconds=SECONDS, memory=MEMORY, batch=8, window=64)
    try:
        with new_file(run.folder / f"{name}.jsonl", "wb") as file, ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
            for start in range(0, len(wanted), BATCH):
                batch = wanted[start : start + BATCH]
                rows = [
                    (question_of(run.questions[held.place[n]]), rollout_of(run.rollouts[held.row[n]])) for n in batch
                ]
                for number, (question, rollout), verdict in zip(
                    batch, rows, _verdicts(scorer, rows, judge, processes, threads), strict=True
                ):
                    file.write(
                        json.dumps(asdict(rollout_verdict(rollout, verdict)), ensure_ascii=False).encode() + b"\n"
                    )
                    ours = run.verdicts[held.verdict[number]]
                    if ours["verdict"] != verdict.verdict:
                        differ.append(_difference(question, rollout, ours, verdict))

                    if scorer == "omr" and misreads(question.gold):
                        misread.add(question.id)

                progress(start + len(batch))
    finally:
        processes.close()

    _write_scores(run, scorer, name, judge)
    with new_file(run.folder / f"{DIFFER}.{scorer}.csv") as file:
        writer = csv.DictWriter(file, DIFFER_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(differ)

    return Rescored(scorer, len(wanted), 0, len(differ), left_out, len(misread))


def _write_scores(run: Run, scorer: str, name: str, judge: LLMJudge | None) -> None:
    """Write scores.NAME.csv of the benchmarks that the scorer has rules for."""
    theirs = read_run(run.folder, name)
    about = theirs.about | {"judge": judge.model if judge else ""}
    rows = scores(theirs.held, about, theirs.samples, allow_partial=True)
    rows = [row for row in rows if scorer_of(scorer, row["benchmark"]) is not None]
    write_scores(run.folder / f"scores.{scorer}.csv", rows)


def scorer_of(scorer: str, benchmark: str) -> Scorer | None:
    """Return what judges a benchmark; None where a paper's scorer has no rule for it."""
    return omr if scorer == "omr" else PAPER.get(benchmark)


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _step_maker() -> Callable[[Item], Step]:
    return _step


def _step(item: Item) -> Step:
    """Return the next step on an item in a worker; whatever it raises, the others go on."""
    scorer, benchmark, response, gold, question, replies = item
    try:
        return scorer_of(scorer, benchmark)(response, gold, question, replies)
    except MemoryError:
        return Verdict(UNVERIFIABLE, "too_large")
    except Exception:  # one row must never end a batch
        return Verdict(UNVERIFIABLE, "error")


def _verdicts(
    scorer: str,
    rows: Sequence[tuple[VisualQuestion, Rollout]],
    judge: LLMJudge | None,
    processes: Workers,
    threads: ThreadPoolExecutor,
) -> Iterator[Verdict]:
    """Yield the verdicts on rows in their order: a step of each, the judge's reply, the next step, until all are told."""
    items = {
        place: (scorer, question.source, rollout.response, question.gold, question.asked, ())
        for place, (question, rollout) in enumerate(rows)
    }
    found: dict[int, Verdict] = {}
    while items:
        steps = dict(zip(items, processes.map(items.values()), strict=True))
        requests = {place: step for place, step in steps.items() if isinstance(step, JudgeRequest)}
        for place, step in steps.items():
            if place not in requests:
                found[place] = Verdict(UNVERIFIABLE, step.reason) if isinstance(step, Lost) else step

        if requests and judge is None:
            name = rows[next(iter(requests))][0].source
            raise UserError(
                f"--scorer {scorer} asks a judge about {name}: name --judge-url URL and --judge-model NAME."
            )

        replies = threads.map(lambda place: _reply(judge, requests[place], rows[place][1].response), requests)
        replied = dict(zip(requests, replies, strict=True))
        for place in [place for place, reply in replied.items() if reply is None]:
            found[place] = told(None, requests[place].texts["answer"], "none")

        items = {
            place: (*items[place][:5], (*items[place][5], reply))
            for place, reply in replied.items()
            if reply is not None
        }

    return (found[place] for place in range(len(rows)))


def _reply(judge: LLMJudge, request: JudgeRequest, response: str) -> str | None:
    read, tokens = _READERS[request.template]
    return judge.ask(judge.filled(request.template, request.texts), response, read, tokens)


def _if(is_such: Callable[[str], Any]) -> Callable[[str], str | None]:
    return lambda reply: reply if is_such(reply) else None


_READERS = {
    "judge_extract.txt": (_if(str.strip), EXTRACTED_TOKENS),
    "judge_zero_one.txt": (_if(lambda reply: zero_one(reply) is not None), 16),
    "judge_choice.txt": (_if(_LETTER.fullmatch), 16),
}
"""Template -> what a usable reply is, and its tokens at most."""


def _difference(
    question: VisualQuestion, rollout: Rollout, ours: Mapping[str, Any], verdict: Verdict
) -> dict[str, Any]:
    answer = verdict.answer.text if verdict.answer else ""
    values = (
        *(question.id, question.source, rollout.sample, gold_text(question.gold)),
        *(ours["verdict"], ours["reason"], ours["answer"][:200], verdict.verdict, verdict.reason, answer[:200]),
    )
    return dict(zip(DIFFER_COLUMNS, values, strict=True))


def scorers_of(folder: Path) -> list[str]:
    """Return the other scorers that ran on a folder."""
    return [name for name in SCORERS if (folder / f"scores.{name}.csv").is_file()]


def read_rows(folder: Path, kind: str, scorer: str) -> list[dict[str, str]]:
    """Return the rows of KIND.SCORER.csv of a folder; none where it is not there."""
    path = folder / f"{kind}.{scorer}.csv"
    if not path.is_file():
        return []

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
