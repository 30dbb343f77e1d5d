"""A distillation: its questions, then both passes over them, the base model's greedy one and the samples of the rest."""

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.distill.config import BLOCKS, FILE, DistillConfig, read_folder
from virgo_factory.distill.first_responses import FirstResponses
from virgo_factory.distill.passes import GreedyPass, SamplePass
from virgo_factory.distill.questions.build import build_questions
from virgo_factory.distill.todo import DistillTodo
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.run.launch import Asking, Outcome, ask, sampling_of
from virgo_factory.rollouts.run.run import Event, Run
from virgo_factory.rollouts.servers.client import Sampling
from virgo_factory.rollouts.servers.endpoints import PATIENCE
from virgo_factory.rollouts.servers.server import Server
from virgo_factory.rollouts.store.jsonl import Shard
from virgo_factory.rollouts.store.rollout import GREEDY, Key
from virgo_factory.rollouts.store.store import read_rollouts


def distil(
    config: DistillConfig,
    shard: Shard | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    patience: float = PATIENCE,
) -> Outcome:
    """Ask all that is still to be asked of a distillation, and return how that ended; see rollouts' `ask`."""

    def questions() -> None:
        if told := build_questions(config, config.output_dir).lost():
            on_event(Event("questions", message=told))

    return ask(questions, config, shard, on_event, patience, asking=Distillation)


def resumed(folder: Path, overrides: Sequence[str] = ()) -> DistillConfig:
    """Return the configuration in a distillation's folder, with keys that differ now.

    Raises ValueError: no such folder, or something that it names is not there and is still needed.
    """
    config = read_folder(folder, overrides)
    has_questions = (folder / QUESTIONS).is_file()
    needed = [message for key, message in config.missing_files() if not (has_questions and key in BLOCKS["questions"])]
    if needed:
        raise UserError("\n".join(f"{folder / FILE}: {message}." for message in needed))

    return config


class Distillation(Asking):
    """One start in an open folder, both models asked, one behind the other."""

    config: DistillConfig
    todo_of = DistillTodo

    def ask(self) -> Outcome:
        """Ask the base model what it has not been asked, and then the samples of what it did not solve."""
        config, base = self.config, self.config.base_model_name_or_path
        self.first = FirstResponses(config.response_format, config.model_name_or_path)
        self.todo = self.judge_existing()
        self.left = self.todo.left()
        if self.left.samples:
            self.first.add_all(read_rollouts(self.folder))

        if base and self.left.greedy and self.has_budget():
            with self.served(base, config.base_urls, "server-base") as server:
                self.go(server, self.prepare_greedy)

            self.left = self.todo.left()

        if (self.left.unsolved if base else self.left.samples) and self.has_budget():
            with self.served(config.model_name_or_path, config.urls, "server") as server:
                self.go(server)

        return self.outcome()

    async def prepare_greedy(
        self, stack: contextlib.AsyncExitStack, run: Run, server: Server | None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the work of the base model's pass."""
        config, left = self.config, self.left
        run.reserved = left.unsolved
        sampling = Sampling(temperature=0.0, max_tokens=config.base_max_tokens, cut_loops=config.cut_loops)
        one = GreedyPass(run, config.base_model_name_or_path, sampling, self.todo, self.folder, self.first.add)
        await self.serve(stack, run, one, server, config.base_urls, config.base_served_model_name)
        run.tell("start", model=one.model, total=left.greedy + left.greedy_done, done=left.greedy_done)
        asked = (question for question in self.questions() if not self.store.has(Key(question.id, one.model, GREEDY)))
        return [one.ask_all(one.jobs(asked))]

    async def prepare(
        self, stack: contextlib.AsyncExitStack, run: Run, server: Server | None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the work on the samples: of all questions, or of those that the base model was asked and did not solve."""
        config, left, base = self.config, self.left, self.config.base_model_name_or_path
        one = SamplePass(run, config.model_name_or_path, sampling_of(config), self.todo, self.folder, self.first.add)
        await self.serve(stack, run, one, server, config.urls, config.served_model_name)
        lacking = left.unsolved if base else left.samples
        run.tell("start", model=one.model, total=lacking + left.samples_done, done=left.samples_done)
        asked = (question for question in self.questions() if not base or self.todo.solved(question) is False)
        return [one.ask_all(one.jobs(asked))]
