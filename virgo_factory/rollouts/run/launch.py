"""Asking, from a configuration to the last rollout: folder, questions, servers, a clean stop. `ask` is the room's door."""

import asyncio
import contextlib
import itertools
import json
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, fields
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.io.atomic import new_file, replace_file
from virgo_factory.io.files import check_folder, made_folder
from virgo_factory.io.index import NAME as INDEX
from virgo_factory.report.text import amount
from virgo_factory.rollouts.config import AskConfig, read_folder
from virgo_factory.rollouts.estimate import tokenizer_of
from virgo_factory.rollouts.judge.verdicts import Judge, drop_old
from virgo_factory.rollouts.prompt import Prompt, count_prompt_tokens
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import VisualQuestion, read_questions
from virgo_factory.rollouts.run.questions import QuestionPass
from virgo_factory.rollouts.run.run import Event, Run
from virgo_factory.rollouts.run.todo import Left, Todo, used_up
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
from virgo_factory.rollouts.store.rollout import Key
from virgo_factory.rollouts.store.store import RolloutStore, Store


LOOKED_AT = 20  # questions whose prompts are tried against the server's context before the first request

Prepare = Callable[[contextlib.AsyncExitStack, Run, Server | None], Awaitable[Sequence[Coroutine[Any, Any, None]]]]
"""Opens the passes of a run, and returns their work."""


@dataclass(frozen=True)
class Outcome:
    """How a start ended, if no error ended it."""

    finished: int  # rollouts of this start
    gave_up: int  # requests that failed too often; the next start asks them again
    dropped: int  # questions that could not be asked
    stopped: str  # the budget that ended it; empty where all was asked
    left: Left  # what is still to be asked


def ask(
    # makes FOLDER/questions.jsonl and its pictures where they are not there yet, such as `lambda:
    # write_questions(rows, folder)`; is called while no other process can write to the folder
    questions: Callable[[], object],
    config: AskConfig,  # its `output_dir` is the folder, which is made, or gone on with
    shard: Shard | None = None,  # (2, 8) asks the second of eight parts of the questions
    on_event: Callable[[Event], None] = lambda event: None,
    patience: float = PATIENCE,  # seconds without any server after which it gives up
    asking: "type[Asking] | None" = None,  # a room's own, where it does more than one pass over the questions
) -> Outcome:
    """Ask all that is still to be asked of a folder, and return how that ended.

    Raises:
        ValueError: another process works on the folder, the configuration is not the folder's, questions cannot be had,
            a server is a wrong one, dies, or none answers any more.
        OSError: rollouts cannot be written.
        KeyboardInterrupt: SIGINT or SIGTERM; everything that was finished is in the files.
    """
    folder = config.output_dir
    check_folder(folder)
    with sigterm_interrupts(), made_folder(folder, [INDEX]), RolloutStore(folder, shard) as store:
        if not store.is_empty:
            check_config(config)

        questions()
        replace_file(folder / config.FILE, config.text().encode())  # of what was refused nothing stays
        try:
            return (asking or Asking)(config, shard, store, on_event, patience).ask()
        except (WrongServer, Refused, Unavailable, ServerError, ValueError, OSError) as error:
            existing = f"\n{amount(store.count, 'rollout is', 'rollouts are')} in {folder}. Go on: {config.resume_command(shard)}"
            raise UserError(f"{error}{existing if store.count else ''}") from error


def sampling_of(config: AskConfig) -> Sampling:
    """Return how responses are sampled."""
    return Sampling(**{field.name: getattr(config, field.name) for field in fields(Sampling)})


def check_config(config: AskConfig, matters: Callable[[str], bool] = lambda key: True) -> None:
    """Raise ValueError where what is in a folder was made with another configuration, of the keys that matter."""
    folder = config.output_dir
    if (folder / config.FILE).is_file():
        old, new = read_folder(type(config), folder).shapes(), config.shapes()
        if changed := "; ".join(
            f"{key}: {old[key]!r}, now {new[key]!r}" for key in new if new[key] != old[key] and matters(key)
        ):
            told = f"{folder / config.FILE}: this folder was made with {changed}"
            raise UserError(f"{told}. Set it back, or name another output_dir.")


class Asking:
    """One start in an open folder: every question asked as often as the configuration says.

    A room may have a Todo and a QuestionPass of its own (`todo_of`, `pass_of`). One that asks more than one pass overrides `ask`
    and `prepare`; one whose jobs are no questions opens it with Records,
    says that nothing is judged (`judges`), and calls `go`.
    """

    todo_of: type[Todo] = Todo
    pass_of: type[QuestionPass] = QuestionPass
    judges = True

    def __init__(
        self, config: AskConfig, shard: Shard | None, store: Store, on_event: Callable[[Event], None], patience: float
    ) -> None:
        self.config, self.shard, self.store, self.on_event, self.patience = config, shard, store, on_event, patience
        self.folder = config.output_dir
        self.deadline = time.monotonic() + 3600 * config.max_hours if config.max_hours else float("inf")
        self.finished = self.gave_up = self.dropped = 0
        self.stopped = ""

    def ask(self) -> Outcome:
        """Ask what is left."""
        self.todo = self.judge_existing()
        self.left = self.todo.left()
        if self.left.samples and self.has_budget():
            with self.served(self.config.model_name_or_path, self.config.urls, "server") as server:
                self.go(server)

        return self.outcome()

    def outcome(self) -> Outcome:
        """Return how it ended."""
        return Outcome(self.finished, self.gave_up, self.dropped, self.stopped, self.todo.left())

    def has_budget(self) -> bool:
        """Whether a server may be started for what is left."""
        budget = used_up(self.config, self.store, 1, self.deadline)
        self.stopped = budget or self.stopped
        return not budget

    def questions(self) -> Iterator[VisualQuestion]:
        """Yield the questions of this shard."""
        return (one for one in read_questions(self.folder / QUESTIONS) if is_in_shard(one.id, self.shard))

    def most_images(self) -> int:
        """Return how many pictures one prompt has at most."""
        return max((len(question.images) for question in self.questions()), default=1)

    def _judge(self, on_verdict: Callable) -> Judge:
        """Open the judge; its thread, and the processes that this starts, inherit that Ctrl-C is not for them."""
        resource_tracker.ensure_running()  # the first process starts it, which would unblock the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return Judge(self.folder, self.shard, on_verdict=on_verdict)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def judge_existing(self) -> Todo:
        """Return what is left to do, after rollouts that a killed run could not judge any more have their verdicts."""
        drop_old(self.folder, self.shard)
        self.store.sync()
        _remove_strays(self.folder, self.shard, self.store)

        def told(count: int) -> None:
            which = amount(count, "rollout that has", "rollouts that have")
            self.on_event(Event("judging", message=f"judging {which} no verdict yet"))

        with self._judge(lambda verdict: None) as judge:
            judge.catch_up(told)

        self.store.sync()
        return self.todo_of(self.config, self.store)

    @contextlib.contextmanager
    def served(self, model: str, urls: Sequence[str], log: str) -> Iterator[Server | None]:
        """Context of a server of our own, where no URL is given."""
        if urls:
            yield None
            return

        config = self.config
        suffix = f"-{self.shard[0]}of{self.shard[1]}" if self.shard else ""
        server = Server(
            model,
            self.folder / f"{log}{suffix}.log",
            images=max(self.most_images(), 1),
            **config.server_options,
        )
        self.on_event(Event("server", message=f"starting vLLM with {model}, log: {server.log}"))
        with server:
            self.on_event(Event("server", message=f"vLLM answers at {server.url}"))
            yield server
            self.on_event(Event("server", message=f"stopping vLLM with {model}"))

    def go(self, server: Server | None, prepare: Prepare | None = None) -> None:
        """Run passes on an event loop that SIGINT and SIGTERM end in good order."""
        try:
            with asyncio.Runner() as runner:
                runner.run(_until_signal(self._run(server, prepare or self.prepare)))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    async def _run(self, server: Server | None, prepare: Prepare) -> None:
        async with contextlib.AsyncExitStack() as stack:
            run = Run(self.config, self.store, self._judge if self.judges else None, self.on_event, self.deadline)
            stack.callback(self._count, run)
            await stack.enter_async_context(run)
            await _together(await prepare(stack, run, server), server)

    async def prepare(
        self, stack: contextlib.AsyncExitStack, run: Run, server: Server | None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the work of a run, begun only when all servers were looked at."""
        config, left = self.config, self.left
        one = self.pass_of(run, config.model_name_or_path, sampling_of(config), self.todo, self.folder)
        await self.serve(stack, run, one, server, config.urls, config.served_model_name)
        run.tell("start", model=one.model, total=left.samples + left.samples_done, done=left.samples_done)
        return [one.ask_all(one.jobs(self.questions()))]

    async def serve(
        self,
        stack: contextlib.AsyncExitStack,
        run: Run,
        one: QuestionPass,
        server: Server | None,
        urls: Sequence[str],
        name: str | None,
    ) -> None:
        """Look at the servers of a pass before the first request, and give them to it.

        Raises WrongServer where one is not vLLM, does not have the model, or its context is too small; ValueError where none answers.
        """
        config = self.config
        if server:
            urls, name = [server.url], None  # it serves one model, whatever server_args call it

        looks = await asyncio.gather(*(self.look_at(url) for url in urls), return_exceptions=True)
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
            reasons = (
                "".join(f"\n  {reason}" for reason in gone.values()) + "\n" if len(gone) > 1 else f" {gone[urls[0]]}. "
            )
            remedy = (
                "Start it (vllm serve MODEL), correct the URL, or leave it out: then the run starts a server itself."
            )
            raise UserError(f"no server answers:{reasons}{remedy}")

        names = {url: self.name_at(url, found, name, one.model) for url, found in facts.items()}
        for url, served in names.items():
            if not server and served not in (name, one.model, Path(one.model).name):
                told = f"{url} serves {served} alone, which is taken for {one.model} (served_model_name says which is meant)"
                run.tell("server", message=told)

        context = min((found.max_model_len for found in facts.values() if found.max_model_len), default=None)
        one.fits = _fitting(one.model, one.sampling.max_tokens, context)
        await asyncio.to_thread(self._try_prompts, one, context)
        one.versions = {url: found.version for url, found in facts.items()}
        some = next(iter(names.values()))
        endpoints = [
            Endpoint(url, names.get(url, some), config.api_key, timeout=config.request_timeout, dialect=config.dialect)
            for url in urls
        ]
        one.endpoints = Endpoints(
            endpoints,
            config.requests_in_flight,
            look=self.look_at,
            tell=lambda kind, url, reason: run.tell(kind, url=url, message=reason.removeprefix(f"{url}: ")),
            changed=one.changed,
            patience=self.patience,
        )
        stack.push_async_callback(one.endpoints.close)
        run.passes.append(one)
        for url, reason in gone.items():
            one.endpoints.is_gone(url, reason)

    def look_at(self, url: str) -> Awaitable[ServerFacts]:
        """Return what a server says of itself."""
        return look_at(url, self.config.api_key, self.config.dialect)

    def name_at(self, url: str, facts: ServerFacts, name: str | None, model: str) -> str:
        """Return the name under which a server has the model, of one that serves a single model its name; WrongServer without it."""
        if (name or model) in facts.models:
            return name or model

        if name is None and len(facts.models) == 1:
            return facts.models[0]

        raise WrongServer(
            f"{url}: serves {', '.join(facts.models)}, not {name or model}. Name one of them in served_model_name, or the "
            "right URL."
        )

    def _try_prompts(self, one: QuestionPass, context: int | None) -> None:
        """Make some prompts and see whether the server's context has room for them and their responses."""
        reasons = []
        for question in itertools.islice(self.questions(), LOOKED_AT):
            with contextlib.suppress(ValueError, OSError):  # a broken picture is dropped when its turn comes
                reasons.append(one.fits(one.prompt(question)))

        wrong = [reason for reason in reasons if reason]
        if len(wrong) > len(reasons) / 2:
            raise WrongServer(f"the context of {context:,} tokens is too small: {wrong[0]}. Larger: max_model_len")

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
            with new_file(path) as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _fitting(model: str, max_tokens: int, context: int | None) -> Callable[[Prompt], str]:
    """Return what says of a prompt why it does not fit a context, "" where it does.

    Counts need the model's tokenizer on this machine, in its folder or in the Hugging Face cache; without it only the
    response's own length is looked at.
    """
    if context is None:
        return lambda prompt: ""

    if max_tokens >= context:
        raise WrongServer(f"a context of {context:,} tokens is too small for max_tokens: {max_tokens:,}")

    vocabulary, processor = tokenizer_of(model)
    if vocabulary is None:
        return lambda prompt: ""

    def fits(prompt: Prompt) -> str:
        tokens = count_prompt_tokens(prompt, vocabulary, processor)
        if tokens + max_tokens <= context:
            return ""

        return f"a prompt of {tokens:,} tokens and max_tokens: {max_tokens:,} do not fit into {context:,}"

    return fits


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
def sigterm_interrupts() -> Iterator[None]:
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
