"""The run: jobs in, replies handed on as they finish; what dies is gone around, what is finished is never asked again.

All samples of a job are asked one behind the other (they share the server's prefix cache, and a run that is stopped leaves
few jobs half done). The next request is taken only when a server has a free slot, so that memory does not grow with the
number of jobs. What a job is, and what is done with a reply, is a subclass's: see Pass and questions.QuestionPass.
"""

import asyncio
import contextlib
import heapq
import itertools
import os
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.rollouts.config import AskConfig
from virgo_factory.rollouts.judge.verdicts import Judge, RolloutVerdict
from virgo_factory.rollouts.prompt import Prompt
from virgo_factory.rollouts.run.todo import seed_of, used_up
from virgo_factory.rollouts.servers.client import Refused, Reply, Sampling, Unavailable
from virgo_factory.rollouts.servers.endpoints import Endpoints, Served
from virgo_factory.rollouts.store.rollout import Rollout
from virgo_factory.rollouts.store.store import Store


AHEAD = 8  # jobs whose prompts are made before they are needed
UNJUDGED = 5000  # rollouts that wait for their verdict before no further job is begun: memory stays bounded
LONGEST_WAIT = 30.0  # seconds between two tries of one request, at most


@dataclass(frozen=True)
class Event:
    """Something that happened in a run; `on_event` is called with it in the run's own thread, in order.

    Attributes:
        kind: what happened, and which of the other fields are set:
            "start"    a pass begins: `model`, `total` rollouts it may ask at most, `done` of them there already
            "rollout"  one is finished and in the file: `rollout`, `source`
            "verdict"  it has been judged: `question`, `model`, `sample`, `verdict` (a row of verdicts.jsonl)
            "dropped"  the question cannot be asked: `question`, `source`, `message` says why
            "retry"    a request failed and is sent again: `question`, `sample`, `url`, `message`
            "gave_up"  a request failed too often; the next start asks it again: `question`, `sample`, `message`
            "lost"     a server does not answer, its requests go to the others: `url`, `message`
            "back"     it answers again: `url`
            "budget"   a budget is used up, no more is asked: `message` says which
            "server"   a server of our own starts or stops: `message`
            "questions"  some were left out since something is wrong with them: `message`
            "judging"  what is judged before or after asking, or cannot be: `message`
    """

    kind: str
    message: str = ""  # one line for people
    question: str = ""
    source: str = ""  # of the question
    model: str = ""
    sample: int | None = None
    url: str = ""
    rollout: Rollout | None = None
    verdict: "Mapping[str, Any] | None" = None
    total: int = 0
    done: int = 0
    flying: int = 0  # requests in flight at that moment


@dataclass(eq=False)
class Job:
    """Something that is asked a number of times, as far as it has come."""

    key: str  # what it is called; seeds follow from it
    samples: deque[int]  # that were not asked for yet
    # makes what is sent, in a thread; raises ValueError or OSError where it cannot be asked
    prompt: Callable[[], Prompt]
    about: Any = None  # whatever the pass needs to know of it
    sent: Prompt | None = None  # the prompt, once it is begun
    # samples that were asked for, and of which the answer (or its verdict, where that decides) is not there
    outstanding: int = 0
    reserved: int = 0  # samples that the budget keeps free for what may follow from it
    is_dropped: bool = False


@dataclass(eq=False)
class _Request:
    """One sample of an open job that is still to be had."""

    of: Job
    sample: int
    tries: int = 0
    failed_at: str = ""


class Run:
    """One start on one event loop: what its passes share. An async context manager.

    Attributes:
        finished, gave_up, dropped, stopped: see launch.Outcome.
        reserved: samples that the budget keeps free for another pass.
    """

    def __init__(
        self,
        config: AskConfig,  # has seed, retries and budgets
        store: Store,  # of what is finished; open
        # opens the judge, given what is called with each verdict; none where nothing is judged
        judge: Callable[[Callable[[RolloutVerdict], None]], Judge] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
        deadline: float = float("inf"),  # of time.monotonic(); after it nothing more is begun
    ) -> None:
        self.config, self.store, self.on_event, self.deadline = config, store, on_event, deadline
        self.finished = self.gave_up = self.dropped = self.reserved = 0
        self.promised = 0  # samples that open jobs may still need
        self.unjudged = 0
        self.stopped = ""
        self.passes: list[Pass] = []
        self._failure: BaseException | None = None
        self._make_judge = judge

    async def __aenter__(self) -> "Run":
        self._loop = asyncio.get_running_loop()
        self._judge = self._make_judge(self._verdict_from_thread) if self._make_judge else contextlib.nullcontext()
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

    def hand_over(self, question: Any, rollout: Rollout) -> None:
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

        if self._make_judge:
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


class Pass(ABC):
    """Asking one model: every job that still lacks samples, in the order in which they come.

    A subclass says what is done with a reply (`finish`), and may say more: which samples follow, what the budget must have
    room for, and what happens when a job is begun, dropped, or has nothing outstanding.

    Attributes:
        model: name by which its replies are found.
        endpoints: that serve the model; set before `ask_all`.
        versions: of vLLM, by URL.
        fits: says of a prompt why it does not fit the servers' context, "" where it does.
        decides: whether verdicts decide what of a job is asked.
    """

    decides = False

    def __init__(self, run: Run, model: str, sampling: Sampling) -> None:
        self.run, self.model, self.sampling = run, model, sampling
        self.endpoints: Endpoints
        self.versions: Mapping[str, str] = {}
        self.fits: Callable[[Prompt], str] = lambda prompt: ""
        self._changed = asyncio.Event()
        self._ahead = asyncio.Semaphore(AHEAD)
        self._prepared: deque[tuple[Job, asyncio.Future[Prompt]]] = deque()
        self._requests: deque[_Request] = deque()
        self._later: list[tuple[float, int, _Request]] = []
        self._number = itertools.count()
        self._judging: dict[Any, Job] = {}
        self._is_fed = self._is_out = False

    @abstractmethod
    def finish(self, job: Job, sample: int, reply: Reply, seed: int) -> Any:
        """Take a finished sample; where `decides`, return the key by which its verdict will come."""

    def wanted(self, job: Job) -> int:
        """Return how many samples of a job are asked next."""
        return len(job.samples)

    def needed(self, job: Job) -> int:
        """Return how many samples the budget must have room for before a job is begun."""
        return len(job.samples)

    def begun(self, job: Job) -> None:
        """Note that a job is begun."""

    def settled(self, job: Job) -> None:
        """Do what follows for a job of which nothing is outstanding, where `decides`."""
        self._extend(job)

    def sampling_of(self, job: Job) -> Sampling:
        """Return how the responses to a job are sampled."""
        return self.sampling

    def params(self, job: Job, reply: Reply) -> dict[str, Any]:
        """Return what a reply was made with, as its row tells it."""
        is_vllm = self.run.config.dialect == "vllm"
        server = {"vllm": self.versions.get(reply.url, "")} if is_vllm else {"dialect": self.run.config.dialect}
        return asdict(self.sampling_of(job)) | server | {"url": reply.url}

    def row(self, job: Job, sample: int, reply: Reply, seed: int) -> dict[str, Any]:
        """Return what the row of a reply says of it, whatever the job is."""
        return {
            "model": self.model,
            "sample": sample,
            "response": reply.response,
            "finish_reason": reply.finish_reason,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "seconds": round(reply.seconds, 3),
            "seed": seed,
            "prompt_sha256": job.sent.sha256,
            "params": self.params(job, reply),
        }

    def changed(self) -> None:
        """Wake the loop: a slot, a job or a verdict is there."""
        self._changed.set()

    async def ask_all(self, jobs: AsyncIterator[Job]) -> None:
        """Ask everything, and return when all of it is finished, and judged where that decides.

        Raises ValueError where no server answers any more, WrongServer where one turns out to be wrong, OSError of the store.
        """
        threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="prompt")
        try:
            async with asyncio.TaskGroup() as group:
                feeder = group.create_task(self._feed(jobs, threads))
                while (request := await self._next()) is not None:
                    served = await self._slot(request)
                    group.create_task(self._ask(request, served))

                feeder.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _feed(self, jobs: AsyncIterator[Job], threads: ThreadPoolExecutor) -> None:
        """Prepare the jobs that lack something, a few ahead of what is asked."""
        loop = asyncio.get_running_loop()
        async for job in jobs:
            if not self.wanted(job):
                continue

            await self._ahead.acquire()
            made = loop.run_in_executor(threads, self._prompt, job)
            made.add_done_callback(lambda made: made.cancelled() or made.exception())  # it may never be awaited
            self._prepared.append((job, made))
            self.changed()

        self._is_fed = True
        self.changed()

    def _prompt(self, job: Job) -> Prompt:
        """Return the prompt of a job, or raise ValueError."""
        prompt = job.prompt()
        if reason := self.fits(prompt):
            raise UserError(f"question {job.key}: {reason}")

        return prompt

    async def _next(self) -> _Request | None:
        """Return what is asked next: a request that failed, one of an open job, one of a new job."""
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
        """Begin the next job where there is one and may be; return whether one was taken."""
        run = self.run
        if self._is_out or not self._prepared:
            return False

        job, made = self._prepared[0]
        if budget := run.used_up(self.needed(job)):
            if not (self.decides and self._is_busy()):  # else what is begun may need less than it might
                self._is_out = True
                run.stop(budget)

            return False

        if run.unjudged > UNJUDGED:
            return False

        self._prepared.popleft()
        self._ahead.release()
        run.promised += len(job.samples)  # at once: its prompt is still being made
        try:
            job.sent = await made
        except (ValueError, OSError) as error:
            run.promised -= len(job.samples)
            self._drop(job, str(error))
            return True

        self.begun(job)
        self._extend(job)
        return True

    def _extend(self, job: Job) -> None:
        """Ask the samples of a job that may decide something next, or all."""
        count = self.wanted(job)
        if not count:
            self._give_back(job)

        for _ in range(count):
            self._requests.append(_Request(job, job.samples.popleft()))

        job.outstanding += count
        self.changed()

    def _give_back(self, job: Job) -> None:
        """Ask no more of a job, and let the budget have what it was promised."""
        self.run.promised -= len(job.samples)
        job.samples.clear()

    async def _ask(self, request: _Request, served: Served) -> None:
        job, url = request.of, served.endpoint.url
        seed = seed_of(self.run.config.seed, job.key, request.sample)
        try:
            reply = await served.endpoint.ask(job.sent, self.sampling_of(job), seed)
        except Unavailable as error:
            self.endpoints.failed(served, str(error))
            self._again(request, url, str(error))
        except Refused as error:
            self.endpoints.worked(served)
            if not job.is_dropped:
                job.is_dropped = True
                self._give_back(job)
                self._drop(job, str(error))

            self._over(job)
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
        names = {"question": request.of.key, "sample": request.sample, "model": self.model}
        request.tries, request.failed_at = request.tries + 1, url
        if request.tries > run.config.retries:
            run.gave_up += 1
            run.tell("gave_up", **names, url=url, message=reason)
            self._over(request.of)
            return

        wait = min(LONGEST_WAIT, 0.25 * 2.0**request.tries) * random.uniform(0.5, 1.0)
        heapq.heappush(self._later, (time.monotonic() + wait, next(self._number), request))
        run.tell("retry", **names, url=url, message=reason)

    def _drop(self, job: Job, reason: str) -> None:
        self.run.store.drop(job.key, self.model, reason)
        self.run.dropped += 1
        source = getattr(job.about, "source", "")
        self.run.tell("dropped", question=job.key, source=source, model=self.model, message=reason)

    def _finish(self, request: _Request, reply: Reply, seed: int) -> None:
        key = self.finish(request.of, request.sample, reply, seed)
        self.run.promised -= 1
        self.run.finished += 1
        if self.decides:
            self._judging[key] = request.of
        else:
            request.of.outstanding -= 1

    def _over(self, job: Job) -> None:
        """Note that a request of a job has ended without a reply."""
        self.run.promised -= 1
        job.outstanding -= 1
        self._follow(job)

    def judged(self, verdict: RolloutVerdict) -> None:
        """Take a verdict that may decide what is asked."""
        job = self._judging.pop(verdict.key, None)
        if job is not None:
            job.outstanding -= 1
            self._follow(job)

        self.changed()

    def _follow(self, job: Job) -> None:
        if not job.outstanding and self.decides:
            self.settled(job)


def _first(errors: BaseExceptionGroup) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]

    return error
