"""Thought budgets: the thought of each response closed where its budget ends, and the solution asked for behind it.

A response whose thought is within its budget stays as it is. Of another one the thought is what the model thought, up to the
budget: the very same as if it had been stopped there, so that nothing but solutions is asked for. Either way a budget is an
evaluation of its own, compared question by question with the one whose thoughts came to their end.

The budget of a question is the same for all, or goes by how hard it is taken to be: by the length of the responses that an earlier
run gave to it, or by a number among its groups. A budget is the mean over all questions, so that both ways cost the same.
"""

import asyncio
import functools
import hashlib
import json
import math
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.tokens.tokens import model_folder
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.evaluation.asking import Evaluation, EvaluationPass, Kept, tokens_in
from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.probes.below import alone, write_below
from virgo_factory.evaluation.probes.variants import Change, change_of
from virgo_factory.evaluation.statistics import Estimate, share
from virgo_factory.io.atomic import write_json
from virgo_factory.rollouts.long_thoughts import thought_span
from virgo_factory.rollouts.prompt import Prompt
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import VisualQuestion, read_lines
from virgo_factory.rollouts.run.launch import Outcome
from virgo_factory.rollouts.run.run import Job
from virgo_factory.rollouts.servers.client import Reply, Sampling
from virgo_factory.rollouts.store.jsonl import is_in_shard
from virgo_factory.rollouts.store.rollout import GREEDY, Key, Rollout
from virgo_factory.rollouts.store.store import read_rollouts


FOLDER = "budgets"
"""In the folder of an evaluation: a folder of an evaluation for each budget."""

ABOUT = "budget.json"
CLOSED = "thought_budget"
"""Parameter of a rollout whose thought was closed: the tokens it had."""


@dataclass(frozen=True)
class Cut:
    """A response whose thought is closed at its budget: what stands before the solution, and the tokens of the thought."""

    prefill: str
    tokens: int


@dataclass(eq=False)
class _CutJob(Job):
    """A response to be ended; `cut` and `before` (tokens of its prompt without the thought) say how it began."""

    cut: Cut | None = None
    before: int = 0


def level_folder(folder: Path, tokens: int, by: str | None) -> Path:
    """Return the folder of a budget; what its name cannot hold of `by` is in a digest.

    >>> str(level_folder(Path("evals/a"), 512, "level")), str(level_folder(Path("evals/a"), 512, "evals/base"))
    ('evals/a/budgets/512_by_level', 'evals/a/budgets/512_by_evals_base_f6ecb3')
    """
    name = re.sub(r"\W+", "_", by).strip("_") if by else ""
    if by and name != by:
        name += f"_{hashlib.sha256(by.encode()).hexdigest()[:6]}"

    return folder / FOLDER / f"{tokens}{'_by_' + name if name else ''}"


def budgets_of(folder: Path, tokens: int, by: str | None, most: int) -> dict[str, int]:
    """Return the budget of each question in tokens.

    `by`: a group of the questions, or the folder of an earlier run; None for the same budget for all.

    Raises:
        ValueError: `by` is neither, is the evaluation itself, or tells nothing of its questions.
    """
    rows = {row["id"]: row for _, row in read_lines(folder / QUESTIONS)}
    if by is None:
        return dict.fromkeys(rows, tokens)

    if Path(by).is_dir():
        if Path(by).resolve() == folder.resolve():
            raise UserError(
                f"budget_by: {by} is this run, whose thoughts are not known before they are there. Name an earlier one."
            )

        known = {id: size for id, size in tokens_in(Path(by)).items() if id in rows}
    else:
        try:
            known = {id: float(row["groups"][by]) for id, row in rows.items() if by in (row.get("groups") or {})}
        except ValueError:
            raise UserError(f"budget_by: the group {by} is no number.") from None

    if not known or min(known.values()) < 0 or not 0 < sum(known.values()) < math.inf:  # nan is neither
        there = sorted({name for row in rows.values() for name in row.get("groups") or {}})
        raise UserError(
            f"budget_by: {by} says nothing of these questions. Name the folder of an earlier run on them, or one of their groups "
            f"that is a number ({', '.join(there) or 'they have none'})."
        )

    mean = sum(known.values()) / len(known)
    return {id: min(most, max(1, round(tokens * known.get(id, mean) / mean))) for id in rows}


def write_level(folder: Path, tokens: int, by: str | None) -> Path:
    """Make the folder of a budget, with all questions that were answered, where it is not there; return it."""
    target = level_folder(folder, tokens, by)
    with alone(target):
        if not (target / QUESTIONS).is_file():
            answered = tokens_in(folder)
            write_below(folder, target, (row for _, row in read_lines(folder / QUESTIONS) if row["id"] in answered))

        write_json(target / ABOUT, {"tokens": tokens, "by": by})

    return target


def cutter(model: str, response_format: str) -> Callable[[Rollout, int], Cut | None]:
    """Return what closes the thought of a response at a budget; it says None where the thought is within it, or there is none.

    Tokens are counted by the model's tokenizer where that is on this machine, else by the share of characters.
    """
    try:
        vocabulary = load_vocabulary(model_folder(model, local_files_only=True))
    except (ValueError, OSError):
        vocabulary = None

    def cut(rollout: Rollout, budget: int) -> Cut | None:
        response = rollout.response
        span = thought_span(response, response_format) if rollout.completion_tokens > budget else None
        if span is None:
            return None

        begin, end, closing = span
        if vocabulary:
            size = vocabulary.end_of(response[begin:end], budget)
        else:
            size = int(budget * len(response) / max(1, rollout.completion_tokens))

        return Cut(response[: begin + size].rstrip() + closing, budget) if size < end - begin else None

    return cut


class BudgetPass(EvaluationPass):
    """Solutions behind thoughts that were closed."""

    def __init__(self, *given: Any, source: Path, cut: Callable[[Rollout], Cut | None]) -> None:
        super().__init__(*given)
        self._source, self._cut = source, cut

    async def jobs(self, questions: Iterable[VisualQuestion]) -> AsyncIterator[Job]:
        """Yield the responses whose thoughts are too long, in the order in which they came."""
        known = {question.id: question for question in questions}
        for number, rollout in enumerate(read_rollouts(self._source)):
            if number % 100 == 0:
                await asyncio.sleep(0)

            question = known.get(rollout.question)
            if question is None or self.todo.is_dropped(question) or rollout.sample not in self.missing(question):
                continue

            if cut := self._cut(rollout):
                make = functools.partial(self.prompt, question, cut.prefill)
                yield _CutJob(
                    question.id, deque([rollout.sample]), make, question, cut=cut, before=rollout.prompt_tokens
                )

    def _prompt(self, job: Job) -> Prompt:
        """Return the prompt; with its thought and the solution it has no more tokens than that of the response and max_tokens."""
        return job.prompt()

    def sampling_of(self, job: _CutJob) -> Sampling:
        """Return how a solution is sampled: the thought is part of max_tokens."""
        sampling = super().sampling_of(job)
        return replace(sampling, max_tokens=sampling.max_tokens - job.cut.tokens)

    def params(self, job: _CutJob, reply: Reply) -> dict[str, Any]:
        """Return what a solution was asked with."""
        return super().params(job, reply) | {CLOSED: job.cut.tokens}

    def finish(self, job: _CutJob, sample: int, reply: Reply, seed: int) -> Key:
        """Append the response, with the thought in front; its tokens are those of both, as the server counted them."""
        tokens = max(0, reply.prompt_tokens - job.before) + reply.completion_tokens
        whole = replace(reply, response=job.cut.prefill + reply.response, completion_tokens=tokens)
        return super().finish(job, sample, replace(whole, prompt_tokens=job.before), seed)


class Budgeted(Evaluation):
    """One start on a budget: what is within it is taken over, the rest asked for."""

    def __init__(self, *given: Any, kept: Kept, source: Path, budgets: Mapping[str, int]) -> None:
        super().__init__(*given, kept=kept)
        cut = cutter(self.config.model_name_or_path, self.config.response_format)
        self._source, self._cut = source, lambda rollout: cut(rollout, budgets[rollout.question])
        self.pass_of = functools.partial(BudgetPass, source=source, cut=self._cut)

    def ask(self) -> Outcome:
        """Take over what is within its budget, and ask what is left."""
        for rollout in read_rollouts(self._source):
            is_mine = rollout.sample > GREEDY and is_in_shard(rollout.question, self.shard)
            if is_mine and not self.store.has(rollout.key) and self._cut(rollout) is None:
                self.store.append(rollout)

        return super().ask()


@dataclass(frozen=True)
class Level:
    """How a budget did, beside the whole thoughts.

    Attributes:
        tokens: mean budget of a thought; None for the whole thoughts.
        by: what decided on a question's budget.
        closed: share of responses whose thought was closed.
        change: against the whole thoughts; None for these.
    """

    tokens: int | None
    by: str | None
    score: Estimate
    mean: float
    closed: float
    change: Change | None


def levels_of(run: Run) -> list[Level]:
    """Return how the budgets of an evaluation did, the smallest first, and the whole thoughts last; nothing without budgets."""
    found = []
    for path in sorted((run.folder / FOLDER).glob(f"*/{ABOUT}")):
        about = json.loads(path.read_text(encoding="utf-8"))
        if any(path.parent.glob("rollouts*.jsonl")):
            other = read_run(path.parent, may_be_empty=True)
            if other.held.place:
                found.append(_level(other, about["tokens"], about["by"], change_of(path.parent.name, run, other)))

    return [*sorted(found, key=lambda level: (level.by or "", level.tokens)), _level(run)] if found else []


def _level(run: Run, tokens: int | None = None, by: str | None = None, change: Change | None = None) -> Level:
    ids = list(run.answered)
    score = share(run.correct(ids), run.clusters(ids))
    held, responses = run.held, max(1, len(run.held.tokens))
    closed = sum(CLOSED in row["params"] for row in run.rollouts) if tokens else 0
    return Level(tokens, by, score, sum(held.tokens) / responses, closed / responses, change)
