"""Questions as jobs: asked of one model, each reply a rollout in the store, handed to the judge."""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.rollouts.config import AskConfig
from virgo_factory.rollouts.prompt import STAND_IN, Prompt, make_prompt
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.run.run import Job, Pass, Run
from virgo_factory.rollouts.run.todo import Todo
from virgo_factory.rollouts.servers.client import Reply, Sampling
from virgo_factory.rollouts.store.rollout import Key, Rollout


class QuestionPass(Pass):
    """Asking one model questions, see Pass; `look` is given every rollout, and what it raises ends the run."""

    def __init__(
        self,
        run: Run,
        model: str,
        sampling: Sampling,
        todo: Todo,
        folder: Path,
        look: Callable[[Rollout], None] = lambda rollout: None,
    ) -> None:
        super().__init__(run, model, sampling)
        self.todo, self.look = todo, look
        self.prompt = prompts_of(todo.config, folder)

    def missing(self, question: VisualQuestion) -> list[int]:
        """Return the samples that a question lacks."""
        return self.todo.missing(question)

    async def jobs(self, questions: Iterable[VisualQuestion]) -> AsyncIterator[Job]:
        """Yield what is asked of questions that could be asked so far."""
        for number, question in enumerate(questions):
            if number % 100 == 0:  # they are read from a file: others work now and then
                await asyncio.sleep(0)

            if not self.todo.is_dropped(question):
                make = functools.partial(self.prompt, question)
                yield Job(question.id, deque(self.missing(question)), make, question)

    def finish(self, job: Job, sample: int, reply: Reply, seed: int) -> Key:
        """Append the rollout, tell it, and have it judged."""
        rollout = Rollout(question=job.key, **self.row(job, sample, reply, seed))
        if not job.about.question.strip():
            rollout.params["stand_in"] = STAND_IN

        self.run.store.append(rollout)
        self.run.tell("rollout", rollout=rollout, source=job.about.source)
        self.run.hand_over(job.about, rollout)
        self.look(rollout)
        return rollout.key


def prompts_of(config: AskConfig, folder: Path) -> Callable[..., Prompt]:
    """Return what makes the prompt of a question, and of a beginning of its response, as a configuration says; see make_prompt."""
    prefix = read_prefix(config.question_prefix)

    def make(question: VisualQuestion, prefill: str = "") -> Prompt:
        pixels = config.image_min_pixels, config.image_max_pixels
        return make_prompt(question, folder, prefix, *pixels, config.system, config.layout, prefill)

    return make
