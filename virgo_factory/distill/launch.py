"""A distillation from its configuration to its last rollout: folder, questions, servers, both passes, a clean stop."""

import asyncio
import contextlib
import itertools
import json
import os
import shlex
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.make.writing import partial_of, published
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.tokens.image_size import read_processor
from virgo_factory.data.tokens.tokens import model_folder
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.distill.config import (
    BLOCKS,
    DistillConfig,
    config_text,
    missing_files,
    read_config,
    read_folder,
    shapes,
)
from virgo_factory.distill.config import FILE as CONFIG
from virgo_factory.distill.first_responses import FirstResponses
from virgo_factory.distill.questions.build import build_questions
from virgo_factory.distill.todo import Left, Pending, used_up
from virgo_factory.io.atomic import replace_file
from virgo_factory.io.files import check_folder
from virgo_factory.rollouts.judge.verdicts import Judge, drop_old
from virgo_factory.rollouts.prompt import Prompt, count_prompt_tokens, make_prompt
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import VisualQuestion, read_questions
from virgo_factory.rollouts.run.run import Event, Pass, Run
from virgo_factory.rollouts.servers.client import (
    Endpoint,
    Refused,
    Sampling,
    ServerFacts,
    Unavailable,
    WrongServer,
    look_at,
)
from virgo_factory.rollouts.servers.endpoints import PATIENCE, Endpoints
from virgo_factory.rollouts.servers.server import Server, ServerError
from virgo_factory.rollouts.store.index import VERDICTS
from virgo_factory.rollouts.store.jsonl import Shard, is_in_shard, lines_of, shard_suffix
from virgo_factory.rollouts.store.rollout import GREEDY, Key
from virgo_factory.rollouts.store.store import RolloutStore, read_rollouts


LOOKED_AT = 20
"""Questions whose prompts are tried against the server's context before the first request."""

WAITING = 256
"""Questions that the base model did not solve and that wait for their samples, where both models are asked at once."""


@dataclass(frozen=True)
class Outcome:
    """How a start ended, if no error ended it.

    Attributes:
        finished: rollouts of this start.
        gave_up: requests that failed too often; the next start asks them again.
        dropped: questions that could not be asked.
        stopped: the budget that ended it; empty where all was asked.
        left: what is still to be asked.
    """

    finished: int
    gave_up: int
    dropped: int
    stopped: str
    left: Left


def distil(
    config: DistillConfig,
    shard: Shard | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    patience: float = PATIENCE,
) -> Outcome:
    """Ask all that is still to be asked of a distillation, and return how that ended.

    Args:
        config: of the distillation; `output_dir` is made, or gone on with.
        shard: (2, 8) asks the second of eight parts of the questions.
        on_event: see Event.
        patience: seconds without any server after which it gives up.

    Raises:
        ValueError: another process works on the folder, the configuration is not the folder's, questions cannot be had,
            a server is a wrong one, dies, or none answers any more.
        OSError: rollouts cannot be written.
        KeyboardInterrupt: SIGINT or SIGTERM; everything that was finished is in the files.
    """
    folder = config.output_dir
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _sigterm_interrupts(), RolloutStore(folder, shard) as store:
        _write_config(config, len(store) > 0)
        build_questions(config, folder)
        try:
            return _Distillation(config, shard, store, on_event, patience).ask()
        except (WrongServer, Refused, Unavailable, ServerError, ValueError, OSError) as error:
            there = f"\n{store.count:,} rollouts are in {folder}. Go on: {resume_command(folder, shard)}"
            raise UserError(f"{error}{there if store.count else ''}") from error


def resumed(folder: Path, overrides: Sequence[str] = ()) -> DistillConfig:
    """Return the configuration in a distillation's folder, with keys that differ now.

    Raises:
        ValueError: no such folder, or something that it names is not there and is still needed.
    """
    read_folder(folder)  # says what is wrong where this is no such folder
    config = read_config(folder / CONFIG, overrides, files=False).model_copy(update={"output_dir": folder})
    has_questions = (folder / QUESTIONS).is_file()
    needed = [message for key, message in missing_files(config) if not (has_questions and key in BLOCKS["questions"])]
    if needed:
        raise UserError("\n".join(f"{folder / CONFIG}: {message}." for message in needed))

    return config


def resume_command(folder: Path, shard: Shard | None = None) -> str:
    """Return the command that goes on with a folder.

    >>> resume_command(Path("my runs"), (2, 8))
    "virgo-factory distill resume 'my runs' --shard 2/8"
    """
    part = f" --shard {shard[0]}/{shard[1]}" if shard else ""
    return f"virgo-factory distill resume {shlex.quote(str(folder))}{part}"


def _write_config(config: DistillConfig, has_rollouts: bool) -> None:
    """Write the configuration into its folder.

    Raises:
        ValueError: the folder has rollouts made with another one.
    """
    folder = config.output_dir
    if has_rollouts and (folder / CONFIG).is_file():
        old, new = shapes(read_folder(folder)), shapes(config)
        changed = [f"{key}: {old[key]!r}, now {new[key]!r}" for key in new if new[key] != old[key]]
        if changed:
            raise UserError(
                f"{folder / CONFIG}: this folder was made with " + "; ".join(changed) + ". "
                "Set it back, or name another output_dir."
            )

    replace_file(folder / CONFIG, config_text(config).encode())


class _Distillation:
    """One start in an open folder."""

    def __init__(
        self,
        config: DistillConfig,
        shard: Shard | None,
        store: RolloutStore,
        on_event: Callable[[Event], None],
        patience: float,
    ) -> None:
        self.config, self.shard, self.store, self.on_event, self.patience = config, shard, store, on_event, patience
        self.folder = config.output_dir
        self.api_key = os.environ.get(config.api_key_env) if config.api_key_env else None
        self.deadline = time.monotonic() + 3600 * config.max_hours if config.max_hours else float("inf")
        self.finished = self.gave_up = self.dropped = 0
        self.first = FirstResponses(config.response_format, config.model_name_or_path)
        self.stopped = ""

    def ask(self) -> Outcome:
        """Ask both models, at once where both have servers already, else one behind the other."""
        config = self.config
        self.pending = self._judge_what_is_there()
        self.left = self.pending.left()
        if self.left.samples:
            self.first.add_all(read_rollouts(self.folder))

        base, model = config.base_model_name_or_path, config.model_name_or_path
        if base and config.base_urls and config.urls:
            if self.left.greedy or self.left.samples:
                self._go(None, greedy=True, samples=True)
        else:
            if base and self.left.greedy and self._has_budget():
                with self._served(base, config.base_urls, "server-base") as server:
                    self._go(server, greedy=True, samples=False)

                self.left = self.pending.left()

            if (self.left.unsolved if base else self.left.samples) and self._has_budget():
                with self._served(model, config.urls, "server") as server:
                    self._go(server, greedy=False, samples=True)

        left = self.pending.left()
        return Outcome(self.finished, self.gave_up, self.dropped, self.stopped, left)

    def _has_budget(self) -> bool:
        """Whether a server may be started for what is left."""
        budget = used_up(self.config, self.store, 1, self.deadline)
        self.stopped = budget or self.stopped
        return not budget

    def questions(self) -> Iterator[VisualQuestion]:
        """Yield the questions of this shard."""
        return (one for one in read_questions(self.folder / QUESTIONS) if is_in_shard(one.id, self.shard))

    def _judge(self, on_verdict: Callable) -> Judge:
        """Open the judge; its thread, and the processes that this starts, inherit that Ctrl-C is not for them."""
        resource_tracker.ensure_running()  # the first process starts it, which would unblock the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return Judge(self.folder, self.shard, on_verdict=on_verdict)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _judge_what_is_there(self) -> Pending:
        """Return what is pending, after rollouts that a killed run could not judge any more have their verdicts."""
        drop_old(self.folder, self.shard)
        self.store.sync()
        _remove_strays(self.folder, self.shard, self.store)
        with self._judge(lambda verdict: None) as judge:
            judge.catch_up(
                lambda count: self.on_event(
                    Event("judging", message=f"judging {count:,} rollouts of an earlier start")
                )
            )

        self.store.sync()
        return Pending(self.config, self.store)

    @contextlib.contextmanager
    def _served(self, model: str, urls: Sequence[str], log: str) -> Iterator[Server | None]:
        """Context of a server of our own, where no URL is given."""
        if urls:
            yield None
            return

        config = self.config
        suffix = f"-{self.shard[0]}of{self.shard[1]}" if self.shard else ""
        images = max((len(question.images) for question in self.questions()), default=1)
        server = Server(
            model,
            self.folder / f"{log}{suffix}.log",
            tensor_parallel_size=config.tensor_parallel_size,
            data_parallel_size=config.data_parallel_size,
            max_model_len=config.max_model_len,
            images=max(images, 1),
            args=config.server_args,
            minutes=config.server_start_minutes,
        )
        self.on_event(Event("server", message=f"starting vLLM with {model}, log: {server.log}"))
        with server:
            self.on_event(Event("server", message=f"vLLM answers at {server.url}"))
            yield server
            self.on_event(Event("server", message=f"stopping vLLM with {model}"))

    def _go(self, server: Server | None, greedy: bool, samples: bool) -> None:
        """Run passes on an event loop that SIGINT and SIGTERM end in good order."""
        try:
            with asyncio.Runner() as runner:
                runner.run(_until_signal(self._passes(server, greedy, samples)))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    async def _passes(self, server: Server | None, greedy: bool, samples: bool) -> None:
        """Run one pass, or both at once: what the first finds unsolved is what the second asks."""
        config, left = self.config, self.left
        unsolved: asyncio.Queue[VisualQuestion | None] = asyncio.Queue()
        async with contextlib.AsyncExitStack() as stack:
            run = Run(self.pending, self.folder, self._judge, self.on_event, self.deadline, self.first.add)
            stack.callback(self._count, run)
            await stack.enter_async_context(run)
            run.reserved = left.unsolved
            first = second = None
            if greedy:
                sampling = Sampling(temperature=0.0, max_tokens=config.base_max_tokens, cut_loops=config.cut_loops)
                first = self._pass(
                    run,
                    config.base_model_name_or_path,
                    sampling,
                    on_unsolved=unsolved.put_nowait if samples else lambda question: None,
                    is_blocked=lambda: unsolved.qsize() >= WAITING,
                )
                await self._serve(stack, run, first, server, config.base_urls, config.base_served_model_name)
                run.tell("start", model=first.model, total=left.greedy + left.greedy_done, done=left.greedy_done)

            if samples:
                sampling = Sampling(
                    temperature=config.temperature,
                    top_p=config.top_p,
                    top_k=config.top_k,
                    repetition_penalty=config.repetition_penalty,
                    max_tokens=config.max_tokens,
                    cut_loops=config.cut_loops,
                )
                second = self._pass(run, config.model_name_or_path, sampling)
                await self._serve(stack, run, second, server, config.urls, config.served_model_name)
                lacking = left.samples if greedy or not config.base_model_name_or_path else left.unsolved
                run.tell("start", model=second.model, total=lacking + left.samples_done, done=left.samples_done)

            work = []  # begun only when all servers were looked at
            if first:
                work.append(_ended(first.ask_all(self._unasked(unsolved if samples else None)), unsolved))

            if second:
                work.append(second.ask_all(_taken(unsolved, first) if first else self._unsolved()))

            await _together(work, server)

    def _pass(self, run: Run, model: str, sampling: Sampling, **more: Any) -> Pass:
        return Pass(run, model, sampling, read_prefix(self.config.question_prefix), **more)

    async def _serve(
        self,
        stack: contextlib.AsyncExitStack,
        run: Run,
        one: Pass,
        server: Server | None,
        urls: Sequence[str],
        name: str | None,
    ) -> None:
        """Look at the servers of a pass before the first request, and give them to it.

        Raises:
            WrongServer: one of them is not vLLM, does not have the model, or its context is too small.
            ValueError: none of them answers.
        """
        if server:
            urls, name = [server.url], None  # it serves one model, whatever server_args call it

        looks = await asyncio.gather(*(look_at(url, self.api_key) for url in urls), return_exceptions=True)
        facts: dict[str, ServerFacts] = {}
        gone: dict[str, str] = {}
        for url, found in zip(urls, looks, strict=True):
            if isinstance(found, ServerFacts):
                facts[url] = found
            elif isinstance(found, Unavailable):
                gone[url] = str(found)
            else:
                raise found

        if not facts:
            reasons = "".join(f"\n  {reason}" for reason in gone.values()) if len(gone) > 1 else f" {gone[urls[0]]}"
            remedy = (
                "Start it (vllm serve MODEL), correct the URL, or leave it out: then the run starts a server itself."
            )
            raise UserError(f"no server answers:{reasons}" + ("\n" if len(gone) > 1 else ". ") + remedy)

        names = {url: _name_at(url, found, name, one.model) for url, found in facts.items()}
        context = min((found.max_model_len for found in facts.values() if found.max_model_len), default=None)
        one.fits = _fitting(one.model, one.sampling.max_tokens, context)
        await asyncio.to_thread(self._try_prompts, one, context)
        one.versions = {url: found.version for url, found in facts.items()}
        some = next(iter(names.values()))
        endpoints = [
            Endpoint(url, names.get(url, some), self.api_key, timeout=self.config.request_timeout) for url in urls
        ]
        one.endpoints = Endpoints(
            endpoints,
            self.config.requests_in_flight,
            look=lambda url: look_at(url, self.api_key),
            tell=lambda kind, url, reason: run.tell(kind, url=url, message=reason.removeprefix(f"{url}: ")),
            changed=one.changed,
            patience=self.patience,
        )
        stack.push_async_callback(one.endpoints.close)
        run.passes.append(one)
        for url, reason in gone.items():
            one.endpoints.is_gone(url, reason)

    def _try_prompts(self, one: Pass, context: int | None) -> None:
        """Make some prompts and see whether the server's context has room for them and their responses."""
        config, reasons = self.config, []
        for question in itertools.islice(self.questions(), LOOKED_AT):
            with contextlib.suppress(ValueError, OSError):  # a broken picture is dropped when its turn comes
                sizes = config.image_min_pixels, config.image_max_pixels
                reasons.append(one.fits(make_prompt(question, self.folder, one.prefix, *sizes)))

        wrong = [reason for reason in reasons if reason]
        if len(wrong) > len(reasons) / 2:
            raise WrongServer(f"the context of {context:,} tokens is too small: {wrong[0]}. Larger: max_model_len")

    async def _unasked(self, unsolved: asyncio.Queue | None) -> AsyncIterator[VisualQuestion]:
        """Yield the questions that the base model was not asked; those it did not solve earlier go on at once."""
        base = self.config.base_model_name_or_path
        for number, question in enumerate(self.questions()):
            if number % 100 == 0:
                await asyncio.sleep(0)

            if not self.store.has(Key(question.id, base, GREEDY)):
                yield question
            elif unsolved is not None and self.pending.solved(question) is False:
                while unsolved.qsize() >= WAITING:
                    await asyncio.sleep(0.05)

                unsolved.put_nowait(question)

    async def _unsolved(self) -> AsyncIterator[VisualQuestion]:
        """Yield the questions that are sampled: all, or those that the base model was asked and did not solve."""
        has_base = self.config.base_model_name_or_path is not None
        for number, question in enumerate(self.questions()):
            if number % 100 == 0:
                await asyncio.sleep(0)

            if not has_base or self.pending.solved(question) is False:
                yield question

    def _count(self, run: Run) -> None:
        self.finished += run.finished
        self.gave_up += run.gave_up
        self.dropped += run.dropped
        self.stopped = run.stopped or self.stopped


def _remove_strays(folder: Path, shard: Shard | None, store: RolloutStore) -> None:
    """Take verdicts on rollouts that are not there (any more) out of the files that this run may write to."""
    stray = store.index.db.execute(
        "SELECT place FROM verdicts AS v WHERE NOT EXISTS (SELECT 1 FROM rollouts AS r WHERE r.question = v.question "
        "AND r.sample = v.sample AND r.model = v.model)"
    )
    own = f"{VERDICTS}{shard_suffix(shard)}.jsonl"
    for path in {store.index.path(VERDICTS, place) for (place,) in stray}:
        if shard is None or path.name == own:
            rows = (row for _, row in lines_of(path) if store.has(Key(row["question"], row["model"], row["sample"])))
            with published([path]), partial_of(path).open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _name_at(url: str, facts: ServerFacts, name: str | None, model: str) -> str:
    """Return the name under which a server has the model."""
    if (name or model) in facts.models:
        return name or model

    if name is None and len(facts.models) == 1:
        return facts.models[0]

    raise WrongServer(
        f"{url}: serves {', '.join(facts.models)}, not {name or model}. Name one of them in served_model_name, or the "
        "right URL."
    )


def _fitting(model: str, max_tokens: int, context: int | None) -> Callable[[Prompt], str]:
    """Return what says of a prompt why it does not fit a context, "" where it does.

    Counts need the model's tokenizer on this machine, in its folder or in the Hugging Face cache; without it only the
    response's own length is looked at.
    """
    if context is None:
        return lambda prompt: ""

    if max_tokens >= context:
        raise WrongServer(f"a context of {context:,} tokens is too small for max_tokens: {max_tokens:,}")

    try:
        folder = model_folder(model, local_files_only=True)
        vocabulary, processor = load_vocabulary(folder), read_processor(folder)
    except (ValueError, OSError):
        return lambda prompt: ""

    def fits(prompt: Prompt) -> str:
        tokens = count_prompt_tokens(prompt.text, prompt.images, vocabulary, processor)
        if tokens + max_tokens <= context:
            return ""

        return f"a prompt of {tokens:,} tokens and max_tokens: {max_tokens:,} do not fit into {context:,}"

    return fits


async def _taken(queue: asyncio.Queue, giver: Pass) -> AsyncIterator[VisualQuestion]:
    """Yield what is put into a queue until None; whoever puts is told that there is room again."""
    while (question := await queue.get()) is not None:
        giver.changed()
        yield question


async def _ended(work: Coroutine, queue: asyncio.Queue) -> None:
    """Do work that puts into a queue, and then its end."""
    await work
    queue.put_nowait(None)


async def _together(work: Sequence[Coroutine], server: Server | None) -> None:
    """Do all work; the first error, or the death of our own server, ends it."""
    tasks = {asyncio.ensure_future(one) for one in work}
    try:
        while tasks:
            done, tasks = await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if server and not server.alive():
                raise ServerError(f"the server died. The end of {server.log}:\n{server.end_of_log()}")

            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()

        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_signal(work: Coroutine) -> None:
    """Do work; SIGINT and SIGTERM cancel it, and a second one ends the process at once."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def stop() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

        task.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)

    await task


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Context in which SIGTERM is KeyboardInterrupt, as SIGINT is: outside the event loop, too, nothing stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
