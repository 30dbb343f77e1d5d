"""The run: questions in, rollouts appended as they finish; what dies is gone around, what is finished is never asked again.

All samples of a question are asked one behind the other (they share the server's prefix cache, and a run that is stopped
leaves few questions half done). The next request is taken only when a server has a free slot, so that memory does not grow
with the number of questions.
"""

import asyncio
import contextlib
import heapq
import itertools
import os
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.distill.todo import Pending, seed_of, used_up
from virgo_factory.rollouts.judge.verdicts import Judge, RolloutVerdict
from virgo_factory.rollouts.prompt import Prompt, make_prompt
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.servers.client import Refused, Reply, Sampling, Unavailable
from virgo_factory.rollouts.servers.endpoints import Endpoints, Served
from virgo_factory.rollouts.store.rollout import GREEDY, Key, Rollout


AHEAD = 8
"""Questions whose prompts are made before they are needed."""

UNJUDGED = 5000
"""Rollouts that wait for their verdict before no further question is begun: memory stays bounded."""

LONGEST_WAIT = 30.0
"""Seconds between two tries of one request, at most."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a run; `on_event` is called with it in the run's own thread, in order.

    Attributes:
        kind: what happened, and which of the other fields are set:
            "start"    a pass begins: `model`, `total` rollouts it may ask at most, `done` of them there already
            "rollout"  one is finished and in the file: `rollout`, `source`
            "verdict"  it has been judged: `question`, `model`, `sample`, `verdict` (a row of verdicts.jsonl)
            "solved"   the base model solved the question greedily, its samples are not asked: `question`, `source`
            "dropped"  the question cannot be asked: `question`, `source`, `message` says why
            "retry"    a request failed and is sent again: `question`, `sample`, `url`, `message`
            "gave_up"  a request failed too often; the next start asks it again: `question`, `sample`, `message`
            "lost"     a server does not answer, its requests go to the others: `url`, `message`
            "back"     it answers again: `url`
            "budget"   a budget is used up, no more is asked: `message` says which
            "server"   a server of our own starts or stops: `message`
            "judging"  rollouts of an earlier start are judged first: `message`
        message: one line for people.
        source: of the question.
        flying: requests in flight at that moment.
    """

    kind: str
    message: str = ""
    question: str = ""
    source: str = ""
    model: str = ""
    sample: int | None = None
    url: str = ""
    rollout: Rollout | None = None
    verdict: "Mapping[str, Any] | None" = None
    total: int = 0
    done: int = 0
    flying: int = 0


@dataclass(eq=False)
class _Open:
    """A question that is being asked.

    Attributes:
        missing: samples that were not asked for yet.
        outstanding: samples that were, and of which the answer (or its verdict, where that decides) is not there.
        reserved: samples that the budget keeps free for it while the base model is asked.
    """

    question: VisualQuestion
    prompt: Prompt
    missing: deque[int]
    outstanding: int = 0
    reserved: int = 0
    is_dropped: bool = False


@dataclass(eq=False)
class _Request:
    """One sample of an open question that is still to be had."""

    of: _Open
    sample: int
    tries: int = 0
    failed_at: str = ""


class Run:
    """One start of a distillation on one event loop: what its passes share. An async context manager.

    Args:
        pending: what is still to be asked; its store is open.
        folder: that the questions' image paths are relative to.
        judge: opens the judge, given what is called with each verdict.
        on_event: see Event.
        deadline: of time.monotonic(); after it nothing more is begun.
        look: is given every finished sample; what it raises ends the run.

    Attributes:
        finished: rollouts of this start.
        gave_up: requests that failed too often.
        dropped: questions that could not be asked.
        stopped: which budget is used up; empty while none is.
        reserved: samples that the budget keeps free for questions that the base model was asked and did not solve.
    """

    def __init__(
        self,
        pending: Pending,
        folder: Path,
        judge: Callable[[Callable[[RolloutVerdict], None]], Judge],
        on_event: Callable[[Event], None] = lambda event: None,
        deadline: float = float("inf"),
        look: Callable[[Rollout], None] = lambda rollout: None,
    ) -> None:
        self.look = look
        self.pending, self.folder, self.on_event, self.deadline = pending, folder, on_event, deadline
        self.config, self.store = pending.config, pending.store
        self.finished = self.gave_up = self.dropped = self.reserved = 0
        self.promised = 0  # rollouts that open questions may still need
        self.unjudged = 0
        self.stopped = ""
        self.passes: list[Pass] = []
        self._failure: BaseException | None = None
        self._make_judge = judge

    async def __aenter__(self) -> "Run":
        self._loop = asyncio.get_running_loop()
        self._judge = self._make_judge(self._verdict_from_thread)
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="to the judge")  # since `Judge.add` may block
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Wait for the verdicts on all that was finished; not after an error: the next start makes them."""
        self._hand.shutdown(wait=False, cancel_futures=error[0] is not None)
        await asyncio.to_thread(self._leave, error)
        await asyncio.sleep(0)  # the last verdicts are told

    def _leave(self, error: Any) -> None:
        if error[0] is None:
            self._hand.shutdown(wait=True)

        self._judge.__exit__(*error)
        self._hand.shutdown(wait=True)

    def tell(self, kind: str, **values: Any) -> None:
        """Report an event."""
        self.on_event(Event(kind, flying=sum(one.endpoints.flying for one in self.passes), **values))

    def hand_over(self, question: VisualQuestion, rollout: Rollout) -> None:
        """Have a rollout judged, without waiting for it."""
        self.unjudged += 1
        self._loop.run_in_executor(self._hand, self._judge.add, question, rollout).add_done_callback(self._handed)

    def _handed(self, future: asyncio.Future) -> None:
        if not future.cancelled():
            self._failure = self._failure or future.exception()

    def check(self) -> None:
        """Raise what stopped the judge, so that nobody waits for a verdict that never comes."""
        if self._failure is not None:
            raise self._failure

        self._judge.check()

    def _verdict_from_thread(self, verdict: RolloutVerdict) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._judged, verdict)

    def _judged(self, verdict: RolloutVerdict) -> None:
        self.unjudged -= 1
        self.store.judged(verdict)
        names = {"question": verdict.question, "model": verdict.model, "sample": verdict.sample}
        self.tell("verdict", **names, verdict=asdict(verdict))
        for one in self.passes:
            one.judged(verdict)

    def used_up(self, rollouts: int) -> str:
        """Return which budget has no room for so many rollouts more; "" where there is room."""
        return used_up(self.config, self.store, self.promised + rollouts, self.deadline)

    def stop(self, budget: str) -> None:
        """Note that a budget ends the run, and tell it once."""
        if not self.stopped:
            self.stopped = budget
            self.tell("budget", message=f"{budget} is reached: no further question is begun, those that are begun end")


class Pass:
    """Asking one model: every question that still lacks responses of it, in the order in which they come.

    Args:
        run: what passes share.
        model: name by which its rollouts are found.
        sampling: of its responses.
        prefix: of the questions.
        on_unsolved: given for the greedy pass of the base model, which asks one response a question: is called with each
            question that it did not solve.
        is_blocked: whether no further question may be begun now.

    Attributes:
        endpoints: that serve the model; set before `ask_all`.
        versions: of vLLM, by URL.
        fits: says of a prompt why it does not fit the servers' context, "" where it does.
    """

    def __init__(
        self,
        run: Run,
        model: str,
        sampling: Sampling,
        prefix: str,
        on_unsolved: Callable[[VisualQuestion], None] | None = None,
        is_blocked: Callable[[], bool] = lambda: False,
    ) -> None:
        self.run, self.model, self.sampling, self.prefix = run, model, sampling, prefix
        self.on_unsolved, self.is_blocked = on_unsolved, is_blocked
        self.endpoints: Endpoints
        self.versions: Mapping[str, str] = {}
        self.fits: Callable[[Prompt], str] = lambda prompt: ""
        self._decides = on_unsolved is not None or run.config.stop_when_decided  # verdicts decide what is asked
        self._changed = asyncio.Event()
        self._ahead = asyncio.Semaphore(AHEAD)
        self._prepared: deque[tuple[VisualQuestion, list[int], asyncio.Future[Prompt]]] = deque()
        self._requests: deque[_Request] = deque()
        self._later: list[tuple[float, int, _Request]] = []
        self._number = itertools.count()
        self._judging: dict[Key, _Open] = {}
        self._is_fed = self._is_out = False

    def changed(self) -> None:
        """Wake the loop: a slot, a question or a verdict is there."""
        self._changed.set()

    async def ask_all(self, questions: AsyncIterator[VisualQuestion]) -> None:
        """Ask everything, and return when all of it is finished, and judged where that decides.

        Raises:
            ValueError: no server answers any more.
            WrongServer: a server turned out to be a wrong one.
            OSError: rollouts cannot be written.
        """
        threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="prompt")
        try:
            async with asyncio.TaskGroup() as group:
                feeder = group.create_task(self._feed(questions, threads))
                while (request := await self._next()) is not None:
                    served = await self._slot(request)
                    group.create_task(self._ask(request, served))

                feeder.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _feed(self, questions: AsyncIterator[VisualQuestion], threads: ThreadPoolExecutor) -> None:
        """Prepare the questions that lack something, a few ahead of what is asked."""
        pending, loop = self.run.pending, asyncio.get_running_loop()
        async for question in questions:
            if pending.is_dropped(question):
                continue

            missing = [GREEDY] if self.on_unsolved else pending.missing(question)
            if not (self.on_unsolved or pending.wanted(question, len(missing))):
                continue

            await self._ahead.acquire()
            made = loop.run_in_executor(threads, self._prompt, question)
            made.add_done_callback(lambda made: made.cancelled() or made.exception())  # it may never be awaited
            self._prepared.append((question, missing, made))
            self.changed()

        self._is_fed = True
        self.changed()

    def _prompt(self, question: VisualQuestion) -> Prompt:
        """Return the prompt of a question, or raise ValueError."""
        config = self.run.config
        prompt = make_prompt(question, self.run.folder, self.prefix, config.image_min_pixels, config.image_max_pixels)
        if reason := self.fits(prompt):
            raise UserError(f"question {question.id}: {reason}")

        return prompt

    async def _next(self) -> _Request | None:
        """Return what is asked next: a request that failed, one of an open question, one of a new question."""
        while True:
            self._changed.clear()
            now = time.monotonic()
            if self._later and self._later[0][0] <= now:
                return heapq.heappop(self._later)[2]

            if self._requests:
                request = self._requests.popleft()
                if not request.of.is_dropped:
                    return request

                self._over(request.of)
                continue

            if await self._open():
                continue

            if not self._is_busy() and (self._is_out or (self._is_fed and not self._prepared)):
                return None

            self.run.check()
            await self._wait(self._later[0][0] - now if self._later else 1.0)

    def _is_busy(self) -> bool:
        return bool(self._requests or self._later or self._judging or self.endpoints.flying)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, 1.0)):
                await self._changed.wait()

    async def _slot(self, request: _Request) -> Served:
        """Wait for a server with a free slot."""
        while (served := self.endpoints.free(other_than=request.failed_at)) is None:
            self._changed.clear()
            await self._wait(1.0)

        return served

    async def _open(self) -> bool:
        """Begin the next question where there is one and may be; return whether one was taken."""
        run = self.run
        if self._is_out or not self._prepared:
            return False

        question, missing, made = self._prepared[0]
        reserved = len(run.pending.missing(question)) if self.on_unsolved else 0
        if budget := run.used_up(len(missing) + (run.reserved + reserved if self.on_unsolved else 0)):
            if not (self._decides and self._is_busy()):  # else what is begun may need less than it might
                self._is_out = True
                run.stop(budget)

            return False

        if self.is_blocked() or run.unjudged > UNJUDGED:
            return False

        self._prepared.popleft()
        self._ahead.release()
        if not self.on_unsolved and run.config.base_model_name_or_path:
            run.reserved -= len(missing)

        try:
            opened = _Open(question, await made, deque(missing), reserved=reserved)
        except (ValueError, OSError) as error:
            self._drop(question, str(error))
            return True

        run.reserved += reserved
        run.promised += len(missing)
        self._extend(opened)
        return True

    def _extend(self, opened: _Open) -> None:
        """Ask the samples of a question that may decide something next, or all."""
        count = len(opened.missing)
        if not self.on_unsolved:
            count = self.run.pending.wanted(opened.question, count)

        if not count:
            self._give_back(opened)

        for _ in range(count):
            self._requests.append(_Request(opened, opened.missing.popleft()))

        opened.outstanding += count
        self.changed()

    def _give_back(self, opened: _Open) -> None:
        """Ask no more of a question, and let the budget have what it was promised."""
        self.run.promised -= len(opened.missing)
        opened.missing.clear()

    async def _ask(self, request: _Request, served: Served) -> None:
        opened, url = request.of, served.endpoint.url
        seed = seed_of(self.run.config.seed, opened.question.id, request.sample)
        try:
            reply = await served.endpoint.ask(opened.prompt, self.sampling, seed)
        except Unavailable as error:
            self.endpoints.failed(served, str(error))
            self._again(request, url, str(error))
        except Refused as error:
            self.endpoints.worked(served)
            if not opened.is_dropped:
                opened.is_dropped = True
                self._give_back(opened)
                self._drop(opened.question, str(error))

            self._over(opened)
        except BaseException:
            self.endpoints.left(served)
            raise
        else:
            self.endpoints.worked(served)
            self._finish(request, reply, seed)
        finally:
            self.changed()

    def _again(self, request: _Request, url: str, reason: str) -> None:
        run = self.run
        names = {"question": request.of.question.id, "sample": request.sample, "model": self.model}
        request.tries, request.failed_at = request.tries + 1, url
        if request.tries > run.config.retries:
            run.gave_up += 1
            run.tell("gave_up", **names, url=url, message=reason)
            self._over(request.of)
            return

        wait = min(LONGEST_WAIT, 0.25 * 2.0**request.tries) * random.uniform(0.5, 1.0)
        heapq.heappush(self._later, (time.monotonic() + wait, next(self._number), request))
        run.tell("retry", **names, url=url, message=reason)

    def _drop(self, question: VisualQuestion, reason: str) -> None:
        self.run.store.drop(question.id, self.model, reason)
        self.run.dropped += 1
        self.run.tell("dropped", question=question.id, source=question.source, model=self.model, message=reason)

    def _finish(self, request: _Request, reply: Reply, seed: int) -> None:
        run, opened = self.run, request.of
        rollout = Rollout(
            question=opened.question.id,
            model=self.model,
            sample=request.sample,
            response=reply.response,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            seconds=round(reply.seconds, 3),
            seed=seed,
            prompt_sha256=opened.prompt.sha256,
            params=asdict(self.sampling) | {"vllm": self.versions.get(reply.url, ""), "url": reply.url},
        )
        run.store.append(rollout)
        run.promised -= 1
        run.finished += 1
        run.tell("rollout", rollout=rollout, source=opened.question.source)
        if self._decides:
            self._judging[rollout.key] = opened
        else:
            opened.outstanding -= 1

        run.hand_over(opened.question, rollout)
        run.look(rollout)

    def _over(self, opened: _Open) -> None:
        """Note that a request of a question has ended without a rollout."""
        self.run.promised -= 1
        opened.outstanding -= 1
        self._follow(opened)

    def judged(self, verdict: RolloutVerdict) -> None:
        """Take a verdict that may decide what is asked."""
        opened = self._judging.pop(verdict.key, None)
        if opened is not None:
            opened.outstanding -= 1
            self._follow(opened)

        self.changed()

    def _follow(self, opened: _Open) -> None:
        """Do what follows for a question of which nothing is outstanding."""
        if opened.outstanding or not self._decides:
            return

        if not self.on_unsolved:
            self._extend(opened)
            return

        run, question = self.run, opened.question
        solved = run.pending.solved(question)
        if solved is False:
            self.on_unsolved(question)
        else:  # or it could not be asked
            run.reserved -= opened.reserved

        if solved:
            run.tell("solved", question=question.id, source=question.source, model=self.model)


def _first(errors: BaseExceptionGroup) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]

    return error
