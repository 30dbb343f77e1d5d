"""The servers that a policy is sampled from while it is trained: looked at first, given its weights, asked for responses.

vLLM's own OpenAI server, in the development mode that opens its control endpoints (never to a network that others use). What
was found of vLLM 0.20.2 and is built on: `reload_weights` reads a folder of safetensors, and leaves as it is whatever is not
in there; `/reset_prefix_cache` alone keeps the pictures' features of the old vision tower, which `/reset_encoder_cache`
drops; `/pause` with its caches cleared answers every picture that it knew with HTTP 500; a server whose reload failed is
dead; a server that was started again has the weights of its own folder, and another `instance_id`.
"""

import asyncio
import contextlib
import json
import logging
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.tokens.tokens import MODEL_FILES, model_folder
from virgo_factory.data.tokens.vocabulary import Vocabulary, load_vocabulary
from virgo_factory.rollouts.prompt import TEMPLATE_ARGUMENTS, Prompt
from virgo_factory.rollouts.servers.client import Endpoint, Refused, ServerFacts, Unavailable, WrongServer, look_at
from virgo_factory.rollouts.servers.endpoints import Endpoints, Served
from virgo_factory.rollouts.servers.listening import refuses, while_listening
from virgo_factory.rollouts.servers.server import Server, ServerError


logger = logging.getLogger(__name__)

LAUNCHER = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK"),
    *("ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "OMP_NUM_THREADS"),
)
"""What torchrun tells its ranks: a server that is started by one of them is none."""

SAMPLES_IN_FLIGHT = 512
"""At each server, so that its 256 places are never empty and what is left goes to the server that is free first."""

TRIES = 10  # how often a prompt is asked whose server died meanwhile, before it counts as what kills them

PROBE = (
    "Größe 3.14159 × 10² = 314,159; naïve café, 你好,世界!\n\n\\frac{\\sqrt{2}}{2} \\leq \\angle ABC\t"
    "The bars' heights aren't equal: (A) 1/2 (B) -0.75  def f(x):\n    return x**2  # об этом 🙂"
)
"""A text whose tokens are compared, behind all the tokens that a tokenizer adds."""

_SHAPE = {
    "num_hidden_layers": re.compile(r"(\d+) x \w+DecoderLayer"),
    "vocab_size": re.compile(r"org_vocab_size=(\d+)"),
    "hidden_size": re.compile(r"VocabParallelEmbedding\(.*?embedding_dim=(\d+)"),
}
"""Key of config.json -> where a server that is asked for its modules says it (vLLM's get_model_inspection)."""


@dataclass(frozen=True)
class Sample:
    """A response as it was sampled."""

    token_ids: tuple[int, ...]  # of the response, the end of its turn included where it came to it
    # natural logarithm of the probability with which each token was sampled, temperature and suppressed tokens taken
    # into account
    logprobs: tuple[float, ...]
    finish_reason: str  # "stop", or "length" (cut off at max_tokens)


@dataclass(frozen=True)
class Sampled:
    """The responses to one prompt in the order of their seeds; `prompt_ids` hold each picture's tokens in full."""

    prompt_ids: tuple[int, ...]
    samples: tuple[Sample, ...]


def policy_server(
    model: str, log: Path, *, gpus: str | None = None, args: Sequence[str] = (), **options: Any
) -> Server:
    """Return a server, not started yet, that `PolicyServers` can give weights to.

    `gpus` is its CUDA_VISIBLE_DEVICES, such as "6,7" (None leaves ours); the other arguments are those of `Server`.
    """
    env = {**dict.fromkeys(LAUNCHER), "VLLM_SERVER_DEV_MODE": "1"}
    env |= {} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}
    return Server(model, log, args=("--logprobs-mode", "processed_logprobs", *args), env=env, **options)


class PolicyServers:
    """Servers of one policy, as a context manager; the weights of every step are handed over to them.

    A server that dies is waited for, and started again if it is ours; requests that it had go to the others. One that comes
    back is given the weights of this step before it is asked anything.

    Attributes:
        step: whose weights the servers have; None before the first are handed over.
    """

    def __init__(
        self,
        model: str,  # folder or hub name of what is trained
        *,
        servers: Sequence[Server] = (),  # of our own (policy_server), started and stopped by the context
        urls: Sequence[str] = (),  # of others, with or without `/v1`
        name: str | None = None,  # under which the others serve the model; None for the first name that each has
        api_key: str | None = None,  # is sent, and stands nowhere else
        wait: float = 10.0,  # minutes without any server after which the run ends
        timeout: float = 3600.0,  # seconds that one request may take
    ) -> None:
        self.model, self.step = model, None
        self._servers, self._given, self._name = tuple(servers), tuple(urls), name
        self._key, self._wait, self._timeout = api_key, wait, timeout
        self._folder: Path | None = None
        self._names: dict[str, str] = {}
        self._has: dict[str, tuple[str, int]] = {}
        self._up: set[str] = set()

    def __enter__(self) -> "PolicyServers":
        """Start the servers that are ours, and wait until they answer; ServerError where one does not."""
        try:
            for server in self._servers:
                server.start()

            for server in self._servers:
                server.wait()
        except BaseException:
            self.__exit__()
            raise

        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        for server in self._servers:
            server.__exit__()

    @property
    def urls(self) -> tuple[str, ...]:
        """Of all servers."""
        return (*(server.url for server in self._servers), *self._given)

    def check(self, max_model_len: int, images: int = 1) -> None:
        """Look at every server, before anything is loaded here, for prompt and response of `max_model_len` tokens together.

        Raises ValueError with whatever is wrong with any of them: it does not answer, serves another model or none of that name, reads
        texts as other tokens, has too short a context, samples otherwise, or cannot be handed weights.
        """
        folder = model_folder(self.model, (*MODEL_FILES, "config.json"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        vocabulary = load_vocabulary(folder)

        async def look(url: str) -> list[str]:
            try:
                facts = await look_at(url, self._key)
                problems = [self._take_name(url, facts)]
                if facts.max_model_len and facts.max_model_len < max_model_len:
                    problems.append(
                        f"{url}: its context has {facts.max_model_len:,} tokens, prompt and response take up to "
                        f"{max_model_len:,}. Start it with --max-model-len {max_model_len}."
                    )

                async with Endpoint(url, self._names[url], self._key, timeout=self._timeout) as endpoint:
                    problems += await _tokens_differ(endpoint, vocabulary)
                    problems += await _settings_differ(endpoint, config, images)
            except Unavailable as error:
                return [f"{error}. Start this server, or name one that runs in rl_server."]
            except (WrongServer, Refused) as error:
                return [str(error)]

            return [problem for problem in problems if problem]

        async def look_at_all() -> list[str]:
            return sum(await asyncio.gather(*map(look, self.urls)), [])

        if problems := asyncio.run(look_at_all()):
            raise UserError("\n".join(problems))

    def load_weights(self, folder: Path, step: int) -> None:
        """Hand weights over to all servers, one that is away when it is back; ValueError where a server does not take them.

        The folder has all weights of the model as safetensors, and stays until the next are handed over.
        """
        self._folder, self.step, self._has = Path(folder).resolve(), step, {}

        def away(url: str, reason: str) -> None:
            logger.warning("%s has no weights of step %s yet: %s", url, step, reason)

        async def load() -> None:
            async with contextlib.AsyncExitStack() as stack:
                each = [await stack.enter_async_context(one) for one in self._endpoints().values()]
                await self._all_ready(each, away)

        asyncio.run(load())

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,  # responses to each
        *,
        temperature: float,  # of sampling; nothing else is cut off the distribution
        max_tokens: int,  # of a response
        seed: int,  # from which the seed of every response is made; give another one with every call
        stop: Sequence[int] = (),  # ids that end a response, besides the model's own
        suppress: Sequence[int] = (),  # ids that are never sampled
        # the token ids of each prompt in training, compared with what the server made of it
        expected: Sequence[Sequence[int]] | None = None,
    ) -> list[Sampled]:
        """Return n responses to every prompt, sampled with the weights of this step.

        ValueError: no server has answered for too long, a prompt is refused, or has other tokens than in training.
        """
        if self.step is None:
            raise RuntimeError("no weights were handed over to the servers, which may have any")

        shared = {
            "chat_template_kwargs": dict(TEMPLATE_ARGUMENTS),
            "n": n,
            "temperature": temperature,
            **{"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
            "max_tokens": max_tokens,
            "stop_token_ids": list(stop),
            "logit_bias": {str(token): -100 for token in suppress},
            "logprobs": True,
            "return_token_ids": True,
            "skip_special_tokens": False,
        }
        # The server counts the seed of a prompt up for its responses: seeds next to each other would sample the same.
        bodies = [
            {"messages": prompt.messages, "seed": random.Random(f"{seed} {number}").getrandbits(48), **shared}
            for number, prompt in enumerate(prompts)
        ]
        return asyncio.run(_Rollout(self, bodies, max(1, SAMPLES_IN_FLIGHT // n), expected).run())

    def _endpoints(self) -> dict[str, Endpoint]:
        return {url: Endpoint(url, self._names.get(url, ""), self._key, timeout=self._timeout) for url in self.urls}

    def _take_name(self, url: str, facts: ServerFacts) -> str:
        """Note under which name a server has the model; return what is wrong where it has none."""
        self._names[url] = self._name or (*facts.models, "")[0]
        if self._names[url] in facts.models:
            return ""

        return f"{url}: serves {', '.join(facts.models) or 'nothing'}, not {self._name}. Name what it serves."

    async def _all_ready(self, endpoints: Iterable[Endpoint], away: Callable[[str, str], None]) -> None:
        """See `_ready`; `away` is told of each server that is not there."""

        async def ready(endpoint: Endpoint) -> None:
            try:
                await self._ready(endpoint)
            except (Unavailable, ServerError) as error:
                away(endpoint.url, str(error))

        await asyncio.gather(*map(ready, endpoints))

    async def _ready(self, endpoint: Endpoint) -> ServerFacts:
        """Return what a server says of itself, once it has the weights of this step; raises as `call`, or ServerError."""
        url = endpoint.url
        for (
            server
        ) in self._servers:  # one that was up and refuses connections shuts down, and may never come to its end
            if server.url == url and (
                not server.alive() or (url in self._up and await refuses(url) and url in self._up)
            ):
                logger.warning(
                    "%s died and is started again; the end of %s:\n%s", url, server.log, server.end_of_log()
                )
                server.start()
                self._up.discard(url)

        now = (str((await _config(endpoint))["instance_id"]), self.step)
        self._up.add(url)
        listed = await endpoint.call("/v1/models")
        facts = ServerFacts(tuple(card["id"] for card in listed["data"]), None, "")
        if problem := self._take_name(url, facts):
            raise WrongServer(problem)

        endpoint.model = self._names[url]
        if self._has.get(url) != now:
            await while_listening(url, _hand_over(endpoint, self._folder, self.step))
            self._has[url] = now

        return facts


class _Rollout:
    """One call of `generate`."""

    def __init__(
        self,
        servers: PolicyServers,
        bodies: Sequence[Mapping[str, Any]],
        limit: int,
        expected: Sequence[Sequence[int]] | None,
    ) -> None:
        self._of, self._bodies, self._limit, self._expected = servers, bodies, limit, expected
        self._todo, self._tries, self._failed_at = deque(range(len(bodies))), Counter(), {}
        self._done: dict[int, tuple[str, Sampled]] = {}

    async def run(self) -> list[Sampled]:
        """Ask until there is an answer to everything."""
        servers, each = self._of, self._of._endpoints()
        endpoints = Endpoints(
            list(each.values()),
            self._limit,
            lambda url: servers._ready(each[url]),
            lambda kind, url, reason: logger.warning("server %s is %s: %s", url, kind, reason or "has the weights"),
            lambda: None,
            60 * servers._wait,
        )
        try:
            await servers._all_ready(each.values(), endpoints.is_gone)
            while self._todo:
                had = dict(servers._has)
                await self._ask_all(endpoints)
                # One that was started again between two requests had its own weights: what it said does not count.
                asked = {url for url, _ in self._done.values()}
                await servers._all_ready([each[url] for url in asked], lambda url, reason: None)
                again = {url for url in asked if had.get(url, servers._has.get(url)) != servers._has.get(url)}
                self._todo.extend(number for number, (url, _) in self._done.items() if url in again)
        finally:
            await endpoints.close()

        return [self._done[number][1] for number in range(len(self._bodies))]

    async def _ask_all(self, endpoints: Endpoints) -> None:
        done: set[asyncio.Task] = set()
        flying: set[asyncio.Task] = set()
        try:
            while self._todo or flying:
                while self._todo and (served := endpoints.free(self._failed_at.get(self._todo[0], ""))):
                    flying.add(asyncio.create_task(self._ask(self._todo.popleft(), served, endpoints)))

                if not flying:
                    await asyncio.sleep(0.2)
                    continue

                done, flying = await asyncio.wait(flying, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in flying:
                task.cancel()

            await asyncio.gather(*flying, *done, return_exceptions=True)

    async def _ask(self, number: int, served: Served, endpoints: Endpoints) -> None:
        endpoint = served.endpoint
        try:
            body = {"model": endpoint.model, **self._bodies[number]}
            answer = await while_listening(endpoint.url, endpoint.call("/v1/chat/completions", body))
            sampled = _sampled(endpoint.url, answer, body["max_tokens"])
        except Unavailable as error:
            endpoints.failed(served, str(error))
            self._tries[number] += 1
            self._failed_at[number] = endpoint.url
            if self._tries[number] == TRIES:
                raise UserError(
                    f"prompt {number} was given up by {TRIES} servers, the last one said: {error}"
                ) from None

            self._todo.append(number)
        except BaseException:
            endpoints.left(served)
            raise
        else:
            endpoints.worked(served)
            if self._expected is not None:
                await _check_ids(endpoint, number, self._expected[number], sampled.prompt_ids)

            self._done[number] = endpoint.url, sampled


def _sampled(url: str, answer: Any, max_tokens: int) -> Sampled:
    """Return what is in an answer.

    Raises Unavailable where the server gave a response up, UserError where the context cut one off, WrongServer: something is missing.
    """
    try:
        samples = [
            Sample(
                tuple(choice["token_ids"]),
                tuple(token["logprob"] for token in choice["logprobs"]["content"]),
                choice["finish_reason"],
            )
            for choice in sorted(answer["choices"], key=lambda choice: choice["index"])
        ]
        sampled = Sampled(tuple(answer["prompt_token_ids"]), tuple(samples))
    except (TypeError, LookupError):
        raise WrongServer(
            f"{url}: sends no token ids or log-probabilities. Rollouts for training need vLLM."
        ) from None

    for sample in samples:
        if sample.finish_reason not in ("stop", "length"):
            raise Unavailable(f"{url}: gave a response up ({sample.finish_reason}).")

        if len(sample.logprobs) != len(sample.token_ids):
            raise WrongServer(
                f"{url}: {len(sample.logprobs)} log-probabilities for {len(sample.token_ids)} tokens. Start it without "
                "a reasoning or tool parser."
            )

        if sample.finish_reason == "length" and len(sample.token_ids) < max_tokens:
            raise UserError(
                f"{url}: its context cut a response off after {len(sample.token_ids)} of {max_tokens} tokens, behind a "
                f"prompt of {len(sampled.prompt_ids)}. Start it with a larger --max-model-len."
            )

    return sampled


async def _hand_over(endpoint: Endpoint, folder: Path, step: int) -> None:
    """Give a server weights, and let it forget what it computed with others; WrongServer where it does not take them."""
    await endpoint.call(
        "/pause?mode=abort&clear_cache=false", {}
    )  # whoever it still answers would be answered by both
    try:
        await endpoint.call("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}})
    except Unavailable as error:
        if "collective_rpc" not in str(error):
            raise

        raise WrongServer(
            f"{endpoint.url}: could not load the weights of step {step} from {folder}. The server must see this folder "
            f"under the same name, and serve the model that is trained; start it again. It said: {error}"
        ) from None

    for forget in ("/reset_prefix_cache", "/reset_encoder_cache", "/resume"):
        await endpoint.call(forget, {})


async def _config(endpoint: Endpoint) -> Mapping[str, Any]:
    """Return the configuration of a server; WrongServer where it does not run in development mode."""
    try:
        return (await endpoint.call("/server_info?config_format=json"))["vllm_config"]
    except (WrongServer, TypeError, LookupError):
        raise WrongServer(
            f"{endpoint.url}: has no control endpoints, so that it cannot be handed weights. Start it with "
            "VLLM_SERVER_DEV_MODE=1 in its environment, at an address that nobody else reaches."
        ) from None


async def _tokens_differ(endpoint: Endpoint, vocabulary: Vocabulary) -> list[str]:
    """Return what is wrong where the server reads a text as other tokens."""
    text = "".join(sorted(vocabulary.added)) + PROBE
    ours = vocabulary.ids(text)
    body = {"model": endpoint.model, "prompt": text, "add_special_tokens": False}
    theirs = (await endpoint.call("/tokenize", body))["tokens"]
    if ours == theirs:
        return []

    place = _first_difference(ours, theirs)
    return [
        f"{endpoint.url}: its tokenizer is another one: token {place} of {text[:40]!r}... is {theirs[place : place + 1]} "
        f"there and {ours[place : place + 1]} here. Serve the folder that is trained, tokenizer included."
    ]


async def _settings_differ(endpoint: Endpoint, config: Mapping[str, Any], images: int) -> list[str]:
    """Return what is wrong where the server has another model, or samples otherwise than it must."""
    settings = (await _config(endpoint))["model_config"]
    problems = []
    for key, wanted, flag in (
        ("logprobs_mode", "processed_logprobs", "--logprobs-mode processed_logprobs"),
        ("generation_config", "vllm", "--generation-config vllm"),
        ("quantization", None, "no --quantization"),
    ):
        if settings.get(key) != wanted:
            problems.append(f"{endpoint.url}: {key} is {settings.get(key)}. Start it with {flag}.")

    limit = ((settings.get("multimodal_config") or {}).get("limit_per_prompt") or {}).get("image") or {}
    if images > limit.get("count", images):
        wanted = json.dumps({"image": images})
        problems.append(
            f"{endpoint.url}: takes {limit['count']} pictures a prompt, and there are prompts with {images}. Start it "
            f"with --limit-mm-per-prompt '{wanted}'."
        )

    asked = await endpoint.call("/collective_rpc", {"method": "get_model_inspection"})
    modules, text = str(asked["results"][0]), config.get("text_config") or config
    theirs = {"architectures": modules.partition("(")[0]}
    theirs |= {key: int(found[1]) for key, pattern in _SHAPE.items() if (found := pattern.search(modules))}
    if "PPMissingLayer" in modules:  # its pipeline has the other layers elsewhere
        theirs.pop("num_hidden_layers", None)

    ours = {"architectures": (config.get("architectures") or [None])[0]}
    ours |= {key: text.get(key, config.get(key)) for key in _SHAPE}
    other = [f"{key} {theirs[key]}, not {ours[key]}" for key in theirs if ours[key] not in (None, theirs[key])]
    if other:
        problems.append(f"{endpoint.url}: serves another model: {'; '.join(other)}. Serve the one that is trained.")

    return problems


async def _check_ids(endpoint: Endpoint, number: int, ours: Sequence[int], theirs: Sequence[int]) -> None:
    """Compare the tokens of a prompt with those that it has in training; UserError says where they differ first, and why."""
    if list(ours) == list(theirs):
        return

    async def text(ids: Sequence[int]) -> str:
        body = {"model": endpoint.model, "tokens": list(ids)}
        return (await endpoint.call("/detokenize", body))["prompt"]

    place = _first_difference(ours, theirs)
    around = slice(max(0, place - 8), place + 8)
    here, there = await text(ours[around]), await text(theirs[around])
    if (lengths := _runs(ours)) != _runs(theirs) and _squeezed(ours) == _squeezed(theirs):
        cause = (
            f"a picture has {_runs(theirs)} tokens there and {lengths} here: the same pixels were not sent, or the server's "
            "image processor has other bounds (preprocessor_config.json, --mm-processor-kwargs)"
        )
    elif await text(ours) == await text(theirs):
        cause = "the text is the same, and the tokenizer is not: serve the folder that is trained"
    else:
        cause = (
            f"the chat template writes {there!r} where training has {here!r}: serve the folder that is trained, with its "
            "chat template (--chat-template), system text and question_prefix as in the recipe"
        )

    raise UserError(
        f"{endpoint.url}: the tokens of prompt {number} are not those of training from token {place} on: {cause}."
    )


def _first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Return the first place at which they differ, which may be the end of the shorter one."""
    both = min(len(ours), len(theirs))
    return next((place for place in range(both) if ours[place] != theirs[place]), both)


def _squeezed(ids: Sequence[int]) -> list[int]:
    """Return ids with each run of one id as one, since a picture is its id again and again."""
    return [token for place, token in enumerate(ids) if not place or token != ids[place - 1]]


def _runs(ids: Sequence[int]) -> list[int]:
    """Return the lengths of the runs that only a picture has."""
    lengths, length = [], 0
    for place, token in enumerate(ids):
        length = length + 1 if place and token == ids[place - 1] else 1
        if place + 1 == len(ids) or ids[place + 1] != token:
            lengths.append(length)

    return [length for length in lengths if length >= 4]
