"""Asking one role what its file of replies still lacks."""

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.media import find_image
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.rollouts.prompt import Prompt, compose, picture
from virgo_factory.rollouts.run.launch import Asking, sampling_of
from virgo_factory.rollouts.run.run import Event, Job, Pass, Run
from virgo_factory.rollouts.servers.client import Reply as Answer
from virgo_factory.rollouts.servers.client import Sampling
from virgo_factory.rollouts.servers.endpoints import PATIENCE
from virgo_factory.rollouts.servers.server import Server
from virgo_factory.rollouts.store.records import Records
from virgo_factory.synthesis.config import RoleConfig
from virgo_factory.synthesis.run.folder import SCENES
from virgo_factory.synthesis.words import Ask, Reply


Asks = Callable[[], Iterator[Ask]]
"""Makes the asks of a role, anew each time it is called."""


class RolePass(Pass):
    """Asking one role: each reply is a row of its file.

    Args:
        run: see Pass.
        model: see Pass.
        sampling: see Pass.
        prompt: makes what is sent.
    """

    def __init__(self, run: Run, model: str, sampling: Sampling, prompt: Callable[[Ask], Prompt]) -> None:
        super().__init__(run, model, sampling)
        self.prompt = prompt

    def finish(self, job: Job, sample: int, reply: Answer, seed: int) -> None:
        """Append the reply."""
        ask: Ask = job.about
        about = {"key": ask.key(self.model, sample), "of": ask.of, "mode": ask.mode, "about": dict(ask.about)}
        row = Reply(**about, **self.row(job, sample, reply, seed))
        self.run.store.append(vars(row))
        self.run.tell("rollout", rollout=row)


class RoleAsking(Asking):
    """One start of asking one role.

    Args:
        role: its name.
        config: what it is asked with.
        store: of its replies.
        asks: see Asks.
        media_dir: that pictures' paths are relative to.
        on_event: see Event; None where nobody is to be asked.
        deadline: of time.monotonic(), after which nothing is begun.

    Attributes:
        total: replies that are wanted, and how many of these were not there at the start; after `ask`.
    """

    judges = False

    def __init__(
        self,
        role: str,
        config: RoleConfig,
        store: Records,
        asks: Asks,
        media_dir: Path,
        on_event: Callable[[Event], None] | None,
        deadline: float,
    ) -> None:
        super().__init__(config, None, store, on_event, PATIENCE)
        self.role, self.asks, self.media_dir, self.deadline = role, asks, media_dir, deadline

    def questions(self) -> Iterator[Ask]:
        """Yield what is asked."""
        return self.asks()

    def most_images(self) -> int:
        """Return how many pictures one prompt has at most: that of its scene."""
        return 1

    def missing(self, ask: Ask) -> list[int]:
        """Return the samples that are not there."""
        model = self.config.model_name_or_path
        return [sample for sample in range(self.config.samples) if ask.key(model, sample) not in self.store]

    def count(self) -> tuple[int, int]:
        """Return how many replies are wanted, and how many of these are not there."""
        asks = missing = 0
        for ask in self.asks():
            asks += 1
            missing += len(self.missing(ask))

        return asks * self.config.samples, missing

    async def prepare(
        self, stack: contextlib.AsyncExitStack, run: Run, server: Server | None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the work of the role, begun only when all servers were looked at."""
        config = self.config
        one = RolePass(run, config.model_name_or_path, sampling_of(config), self._prompt)
        await self.serve(stack, run, one, server, config.urls, config.served_model_name)
        total, missing = self.total
        run.tell("start", model=f"{self.role} ({config.model_name_or_path})", total=total, done=total - missing)
        return [one.ask_all(self._jobs())]

    def _prompt(self, ask: Ask) -> Prompt:
        pixels = self.config.image_min_pixels, self.config.image_max_pixels
        pictures = [picture(ask.of, ask.image, self.media_dir, *pixels)] if ask.image else []
        if ask.image and file_hash(Path(find_image(ask.image, str(self.media_dir)))) != ask.image_sha256:
            raise UserError(
                f"{ask.of}: {self.media_dir / ask.image} is not the picture that {SCENES}.jsonl was made of. Put that back, or "
                f"remove {SCENES}.jsonl: it is made again."
            )

        return compose(ask.of, ask.text, pictures, ask.system, ask.prefill)

    async def _jobs(self) -> AsyncIterator[Job]:
        for number, ask in enumerate(self.asks()):
            if number % 100 == 0:
                await asyncio.sleep(0)

            if missing := self.missing(ask):
                key = f"{ask.of} {ask.mode}".rstrip()
                yield Job(key, deque(missing), functools.partial(self._prompt, ask), ask)

    def ask(self) -> None:
        """Ask what is missing, by a server of our own where no URL is given."""
        self.total = self.count()
        if self.on_event is None:
            self.stopped = "nobody is asked here" if self.total[1] else ""
        elif self.total[1] and self.has_budget():
            with self.served(self.config.model_name_or_path, self.config.urls, self.role) as server:
                self.go(server)
