"""A distillation: its questions, then both passes over them, the base model's greedy one and the samples of the rest."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.distill.config import BLOCKS, FILE, DistillConfig, read_config, read_folder
from virgo_factory.distill.first_responses import FirstResponses
from virgo_factory.distill.passes import GreedyPass, SamplePass
from virgo_factory.distill.questions.build import build_questions
from virgo_factory.distill.todo import DistillTodo
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.run.launch import Asking, Outcome, ask, sampling_of
from virgo_factory.rollouts.run.run import Event, Run
from virgo_factory.rollouts.servers.client import Sampling
from virgo_factory.rollouts.servers.endpoints import PATIENCE
from virgo_factory.rollouts.servers.server import Server
from virgo_factory.rollouts.store.jsonl import Shard
from virgo_factory.rollouts.store.rollout import GREEDY, Key
from virgo_factory.rollouts.store.store import read_rollouts


WAITING = 256
"""Questions that the base model did not solve and that wait for their samples, where both models are asked at once."""


def distil(
    config: DistillConfig,
    shard: Shard | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    patience: float = PATIENCE,
) -> Outcome:
    """Ask all that is still to be asked of a distillation, and return how that ended; see rollouts' `ask`."""
    questions = functools.partial(build_questions, config, config.output_dir)
    return ask(questions, config, shard, on_event, patience, asking=Distillation)


def resumed(folder: Path, overrides: Sequence[str] = ()) -> DistillConfig:
    """Return the configuration in a distillation's folder, with keys that differ now.

    Raises ValueError: no such folder, or something that it names is not there and is still needed.
    """
    read_folder(folder)  # says what is wrong where this is no such folder
    config = read_config(folder / FILE, overrides, files=False).model_copy(update={"output_dir": folder})
    has_questions = (folder / QUESTIONS).is_file()
    needed = [message for key, message in config.missing_files() if not (has_questions and key in BLOCKS["questions"])]
    if needed:
        raise UserError("\n".join(f"{folder / FILE}: {message}." for message in needed))

    return config


class Distillation(Asking):
    """One start in an open folder, both models asked."""

    config: DistillConfig
    todo_of = DistillTodo

    def ask(self) -> Outcome:
        """Ask both models, at once where both have servers already, else one behind the other."""
        config = self.config
        self.first = FirstResponses(config.response_format, config.model_name_or_path)
        self.todo = self.judge_existing()
        self.left = self.todo.left()
        if self.left.samples:
            self.first.add_all(read_rollouts(self.folder))

        base, model = config.base_model_name_or_path, config.model_name_or_path
        if base and config.base_urls and config.urls:
            if self.left.greedy or self.left.samples:
                self.go(None, functools.partial(self.prepare, greedy=True, samples=True))
        else:
            if base and self.left.greedy and self.has_budget():
                with self.served(base, config.base_urls, "server-base") as server:
                    self.go(server, functools.partial(self.prepare, greedy=True))

                self.left = self.todo.left()

            if (self.left.unsolved if base else self.left.samples) and self.has_budget():
                with self.served(model, config.urls, "server") as server:
                    self.go(server, functools.partial(self.prepare, samples=True))

        return self.outcome()

    async def prepare(
        self,
        stack: contextlib.AsyncExitStack,
        run: Run,
        server: Server | None,
        greedy: bool = False,
        samples: bool = False,
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the work of one pass, or of both at once: what the first finds unsolved is what the second asks."""
        config, left = self.config, self.left
        unsolved: asyncio.Queue[VisualQuestion | None] = asyncio.Queue()
        run.reserved = left.unsolved
        first = second = None
        if greedy:
            sampling = Sampling(temperature=0.0, max_tokens=config.base_max_tokens, cut_loops=config.cut_loops)
            first = GreedyPass(run, config.base_model_name_or_path, sampling, self.todo, self.folder, self.first.add)
            if samples:
                first.on_unsolved = unsolved.put_nowait
                first.is_blocked = lambda: unsolved.qsize() >= WAITING

            await self.serve(stack, run, first, server, config.base_urls, config.base_served_model_name)
            run.tell("start", model=first.model, total=left.greedy + left.greedy_done, done=left.greedy_done)

        if samples:
            model = config.model_name_or_path
            second = SamplePass(run, model, sampling_of(config), self.todo, self.folder, self.first.add)
            await self.serve(stack, run, second, server, config.urls, config.served_model_name)
            lacking = left.samples if greedy or not config.base_model_name_or_path else left.unsolved
            run.tell("start", model=second.model, total=lacking + left.samples_done, done=left.samples_done)

        work = []
        if first:
            asked = first.jobs(self._unasked(unsolved if samples else None))
            work.append(_ended(first.ask_all(asked), unsolved))

        if second:
            work.append(second.ask_all(second.jobs(_taken(unsolved, first) if first else self._unsolved())))

        return work

    async def _unasked(self, unsolved: asyncio.Queue | None) -> AsyncIterator[VisualQuestion]:
        """Yield the questions that the base model was not asked; those it did not solve earlier go on at once."""
        base = self.config.base_model_name_or_path
        for number, question in enumerate(self.questions()):
            if number % 100 == 0:
                await asyncio.sleep(0)

            if not self.store.has(Key(question.id, base, GREEDY)):
                yield question
            elif unsolved is not None and self.todo.solved(question) is False:
                while unsolved.qsize() >= WAITING:
                    await asyncio.sleep(0.05)

                unsolved.put_nowait(question)

    async def _unsolved(self) -> AsyncIterator[VisualQuestion]:
        """Yield the questions that are sampled: all, or those that the base model was asked and did not solve."""
        has_base = self.config.base_model_name_or_path is not None
        for number, question in enumerate(self.questions()):
            if number % 100 == 0:
                await asyncio.sleep(0)

            if not has_base or self.todo.solved(question) is False:
                yield question


async def _taken(queue: asyncio.Queue, giver: GreedyPass) -> AsyncIterator[VisualQuestion]:
    """Yield what is put into a queue until None; whoever puts is told that there is room again."""
    while (question := await queue.get()) is not None:
        giver.changed()
        yield question


async def _ended(work: Coroutine, queue: asyncio.Queue) -> None:
    """Do work that puts into a queue, and then its end."""
    await work
    queue.put_nowait(None)
