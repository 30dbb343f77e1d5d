"""Asking one server of an OpenAI-compatible API for responses: streamed in chunks, counted, cut where they loop.

Two dialects: `vllm` sends what vLLM understands beyond the public API and relies on its token counts in every event; `openai`
sends the public API's keys alone. The beginning of a response can only be given to vLLM: as the assistant's last message, or, where
the chat template does not leave that as it is, in text behind the rendered prompt (/v1/completions, without pictures).
"""

import asyncio
import contextlib
import functools
import importlib
import json
import random
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from virgo_factory.core.errors import UserError
from virgo_factory.rollouts.prompt import TEMPLATE_ARGUMENTS, Prompt
from virgo_factory.rollouts.servers.loop_detector import LoopWatch


if TYPE_CHECKING:
    from openai import AsyncOpenAI


Dialect = Literal["vllm", "openai"]

LONGEST_WAIT = 60.0  # seconds that a busy server may make us wait before it counts as unavailable


OPENING, CLOSING = "<think>\n", "\n</think>\n\n"
"""Put around a thought that a server's reasoning parser took out of the response."""


class Unavailable(OSError):
    """The server did not answer now: refused or dropped the connection, was silent, or failed. Ask again, or elsewhere."""


class Refused(UserError):
    """The server will never answer this request, or not in full: it said so (4xx), or its context has no room for it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class WrongServer(UserError):
    """No request will be answered there: not vLLM, not this model, too small a context, a key not accepted, no credit."""


@dataclass(frozen=True)
class Sampling:
    """How responses are sampled. Sent in full, so that nothing depends on the model's own defaults."""

    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0
    top_k: int = 0  # number of tokens that are sampled from; 0 for all
    repetition_penalty: float = 1.0  # 1 is none
    max_tokens: int = 8192
    cut_loops: bool = True  # stop a response that repeats itself


@dataclass(frozen=True)
class Reply:
    """A finished response."""

    response: str  # its text, markers in, the end of turn left out
    finish_reason: str  # "stop", "length" (cut off at max_tokens) or "loop" (cut off by us)
    prompt_tokens: int  # these and the next as the server counted them
    completion_tokens: int
    seconds: float  # from request to end of response, waits between retries left out
    retries: int  # how often it was asked again before
    url: str


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself: names of its models, tokens of its context (None: not told), version of vLLM ("": another server)."""

    models: tuple[str, ...]
    max_model_len: int | None
    version: str


async def look_at(url: str, api_key: str | None = None, dialect: Dialect = "vllm") -> ServerFacts:
    """Return what a server says of itself; `url` with or without `/v1` at its end, dialect "vllm" needs a vLLM server.

    Raises Unavailable where nobody answers, WrongServer: no model server, not vLLM, or the key is not accepted.
    """
    async with _client(url, api_key, timeout=30.0) as client:
        with _our_errors(url, api_key):
            try:
                listed = await client.get("/models", cast_to=object)
                ids = [card["id"] for card in listed["data"]]
            except Exception as error:
                if not isinstance(error, TypeError | LookupError | AttributeError | ValueError) and _status(
                    error
                ) not in (404, 405):
                    raise

                raise WrongServer(
                    f"{url}: no model server ({_status(error) or 'no list of models'} at /v1/models). Correct the URL, "
                    "start a server with `vllm serve MODEL`, or leave the URL out: then the run starts one."
                ) from None

            if dialect == "openai":
                return ServerFacts(tuple(ids), None, "")

            try:
                version = (await client.get(f"{_root(url)}/version", cast_to=object))["version"]
                cards = dict(zip(ids, (card.get("max_model_len") for card in listed["data"]), strict=True))
            except Exception as error:
                is_other = isinstance(error, TypeError | LookupError | AttributeError | ValueError)
                if not is_other and _status(error) not in (404, 405):
                    raise

                raise WrongServer(
                    f"{url}: an OpenAI-compatible server, but not vLLM (no version at /version). Rollouts need vLLM's "
                    "sampling parameters and token counts; start one with `vllm serve`, leave the URL out, or set dialect: openai."
                ) from None

    lengths = [length for length in cards.values() if length]
    return ServerFacts(tuple(cards), min(lengths, default=None), str(version))


class Endpoint:
    """One model on one server; `async with`, or `await close()` at the end."""

    def __init__(
        self,
        url: str,  # with or without `/v1` at its end
        model: str,  # the name under which the server has it
        api_key: str | None = None,  # is sent, and stands nowhere else: in no message, repr or log
        *,
        timeout: float = 600.0,  # seconds without a token after which the server counts as gone
        retries: int = 4,  # how often a busy server (429, or 503 that names a time) is asked again, with growing waits
        dialect: Dialect = "vllm",  # of its API
    ) -> None:
        self.url, self.model, self.retries, self.dialect = url, model, retries, dialect
        self._api_key = api_key
        self._continues: Literal["", "chat", "text"] = (
            ""  # how it goes on behind the beginning of a response, once that is known
        )
        self._looking = asyncio.Lock()
        self._client = _client(url, api_key, timeout)

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int) -> Reply:
        """Return the response to a prompt.

        Raises Unavailable or Refused (see there), or WrongServer: it does not have the model, is not vLLM, its context is shorter than
        max_tokens, or it would not go on behind `prefill`.
        """
        if prompt.prefill and not self._continues:
            async with self._looking:  # those that wait know it then
                if not self._continues:
                    await self._check_prefill(prompt)

        for retry in range(self.retries + 1):
            start = time.monotonic()
            try:
                with _our_errors(self.url, self._api_key):
                    stream, reason = await self._stream(prompt, sampling, seed, start)
            except _Busy as busy:
                wait = 2.0**retry * random.uniform(0.5, 1.5) if busy.wait is None else busy.wait
                if retry < self.retries and wait <= LONGEST_WAIT:
                    await asyncio.sleep(wait)
                    continue

                raise Unavailable(f"{busy} (asked {retry + 1} times)") from None

            if reason == "length" and stream.tokens < sampling.max_tokens:
                raise Refused(  # vLLM says so by itself only where there would be no room without pictures, either
                    f"{self.url}: its context is too small: a response was cut off after {stream.tokens} of "
                    f"max_tokens: {sampling.max_tokens} behind a prompt of {stream.prompt_tokens}. Start it with a larger "
                    "--max-model-len, or lower max_tokens.",
                    200,
                )

            seconds = time.monotonic() - start
            text = "".join(stream.text)
            return Reply(text, reason, stream.prompt_tokens, stream.tokens, seconds, retry, self.url)

    async def call(self, path: str, body: Any = None) -> Any:
        """Return what the server answers to one request, whole: JSON decoded, other text as it is.

        `path` is below the server's root; `body` is posted as JSON, None asks with GET. Raises Unavailable or Refused (see there), or
        WrongServer: it has no such path, or sends no JSON.
        """
        url = f"{_root(self.url)}{path}"
        try:
            with _our_errors(self.url, self._api_key):
                if body is None:
                    return await self._client.get(url, cast_to=object)

                return await self._client.post(url, body=body, cast_to=object)
        except _Busy as busy:
            raise Unavailable(str(busy)) from None
        except json.JSONDecodeError:
            raise WrongServer(
                f"{self.url}: {path} does not answer as vLLM's does: what it calls JSON is none."
            ) from None

    async def _check_prefill(self, prompt: Prompt) -> None:
        """Find out whether the chat template leaves the beginning of a response as it is, behind what is sent without it."""
        if self.dialect == "openai":
            raise WrongServer(
                f"{self.url}: dialect: openai cannot go on behind the beginning of a response (prefill)."
            )

        try:
            asked, begun = [await self._rendered(prompt, is_begun) for is_begun in (False, True)]
        except WrongServer as error:
            raise WrongServer(
                f"{str(error).rstrip('.')} (at /tokenize and /detokenize, by which it is tried whether the server goes on behind the beginning of "
                "a response). Let both paths through, or serve the model with a vLLM that has them."
            ) from None

        texts = (unicodedata.normalize("NFC", text) for text in (begun, asked + prompt.prefill))  # as tokenizers do
        self._continues = "chat" if len(set(texts)) == 1 else "text"
        if self._continues == "text" and prompt.images:
            self._continues = ""
            raise WrongServer(
                f"{self.url}: the chat template of {self.model} does not leave the beginning of a response as it is: "
                f"{_short((asked + prompt.prefill)[-80:])!r} became {_short(begun[-80:])!r}. Serve it with a template that does."
            )

    async def _rendered(self, prompt: Prompt, is_begun: bool) -> str:
        """Return the text that the server makes of a prompt, with or without the beginning of the response."""
        messages = prompt.messages if is_begun else prompt.messages[:-1]
        body = {"model": self.model, "messages": messages, **_template_keys(is_begun)}
        ids = await self._field("/tokenize", body, "tokens")
        return await self._field("/detokenize", {"model": self.model, "tokens": ids}, "prompt")

    async def _field(self, path: str, body: Any, name: str) -> Any:
        answer = await self.call(path, body)
        if not isinstance(answer, dict) or name not in answer:
            raise WrongServer(f"{self.url}: {path} does not answer as vLLM's does: no {name}.")

        return answer[name]

    async def _stream(self, prompt: Prompt, sampling: Sampling, seed: int, start: float) -> tuple["_Stream", str]:
        """Send one request; return what came, and the finish reason."""
        goes_on = bool(prompt.prefill)
        stream, watch = _Stream(self.url, self.dialect, goes_on), LoopWatch() if sampling.cut_loops else None
        body = _request(prompt, sampling, seed, self.dialect)
        # In extra_body, since the library would check the type of every part of messages, which costs more than the rest.
        if goes_on and self._continues == "text":
            text = _joined(await self._rendered(prompt, False), prompt.prefill)
            body = {key: value for key, value in body.items() if key not in ("messages", *_template_keys(True))}
            body |= {"prompt": text, "add_special_tokens": False}  # they stand in the text
            create, empty = self._client.completions, {"prompt": ""}
        else:
            create, empty = self._client.chat.completions, {"messages": []}

        async with create.with_streaming_response.create(
            model=self.model, **empty, stream=True, extra_body=body
        ) as answer:
            if "text/event-stream" not in answer.headers.get("content-type", ""):
                raise WrongServer(
                    f"{self.url}: does not stream its responses. Name the URL of the server itself, or let what stands before it pass on "
                    "text/event-stream as it comes."
                )

            async for chunk in answer.iter_bytes():
                piece = stream.feed(chunk)
                if stream.done:
                    break

                if watch and not stream.reason and watch.feed(piece):
                    return stream.checked("loop"), "loop"

                # A server that sends every token by itself would keep a core busy with 64 streams. Waiting for a
                # hundredth of the time that has passed lets tokens gather, and costs a response at most that.
                pause = min(0.2, (time.monotonic() - start) / 100)
                if pause > 0.005:
                    await asyncio.sleep(pause)

        return stream.checked(stream.reason), stream.reason


def _joined(prompt: str, prefill: str) -> str:
    """Return a prompt with the beginning of the response behind it, what both hold of it once: a prompt may end with `<think>`."""
    both = next((size for size in range(min(len(prompt), len(prefill)), 0, -1) if prompt.endswith(prefill[:size])), 0)
    return prompt + prefill[both:]


def _template_keys(goes_on: bool) -> dict[str, Any]:
    """Return what vLLM's chat template is told; to go on behind a beginning needs both keys, one alone is refused."""
    keys = {"add_generation_prompt": False, "continue_final_message": True} if goes_on else {}
    return {"chat_template_kwargs": dict(TEMPLATE_ARGUMENTS), **keys}


def _request(prompt: Prompt, sampling: Sampling, seed: int, dialect: Dialect = "vllm") -> dict[str, Any]:
    if dialect == "openai":
        return {
            "messages": prompt.messages,
            "stream_options": {"include_usage": True},
            "seed": seed,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_completion_tokens": sampling.max_tokens,
        }

    return {
        "messages": prompt.messages,
        **_template_keys(bool(prompt.prefill)),
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "seed": seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": sampling.max_tokens,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "include_stop_str_in_output": False,
    }


class _Stream:
    """What has come of a response, as server-sent events; a chunk may hold many of them, or end within one.

    A server with a reasoning parser sends the thought in a field of its own: it comes back into its tags (one that the beginning of
    the response has opened is not opened again). Where tokens are
    counted at the end only (`openai`), a response that we cut has one for each event, and none for its prompt.
    """

    def __init__(self, url: str, dialect: Dialect = "vllm", goes_on: bool = False) -> None:
        self.text: list[str] = []
        self.reason: str | None = None
        self.done = False
        self.prompt_tokens = self.tokens = 0
        self._url, self._dialect, self._events = url, dialect, 0
        self._rest = b""
        self._has_counts = False
        self._in_thought = False
        self._opening = [] if goes_on else [OPENING]

    def feed(self, chunk: bytes) -> str:
        """Take bytes; return the text that is new."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        data = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        if b"[DONE]" in data:
            self.done = True
            data = data[: data.index(b"[DONE]")]

        before = len(self.text)
        try:
            events = json.loads(b"[" + b",".join(data) + b"]")
        except ValueError:  # a proxy or a dying server cut it: as good as a connection that ended
            raise Unavailable(f"{self._url}: sent a broken event in the middle of a response.") from None

        try:
            for event in events:
                self._take(event)
        except (Unavailable, WrongServer):
            raise
        except (ValueError, TypeError, KeyError, AttributeError):
            raise WrongServer(
                f"{self._url}: sends events that are not those of a chat: {_short(json.dumps(event), 200)}"
            ) from None

        return "".join(self.text[before:])

    def _take(self, event: dict[str, Any]) -> None:
        if error := event.get("error"):
            message = error.get("message", error) if isinstance(error, dict) else error
            raise Unavailable(f"{self._url}: failed in the middle of a response: {_short(str(message))}")

        if usage := event.get("usage"):
            self.prompt_tokens, self.tokens = usage["prompt_tokens"], usage["completion_tokens"]
            self._has_counts = True

        for choice in event.get("choices", ()):
            delta = {"content": choice["text"]} if "text" in choice else choice["delta"]
            if thought := delta.get("reasoning") or delta.get("reasoning_content"):
                self.text += [thought] if self._in_thought else [*self._opening, thought]
                self._in_thought = True

            self._events += 1
            if content := delta.get("content"):
                self.text += [CLOSING, content] if self._in_thought else [content]
                self._in_thought = False

            self.reason = choice.get("finish_reason") or self.reason

    def checked(self, reason: str | None) -> "_Stream":
        """Return itself if the response is whole (or was cut by us) and was counted."""
        if reason != "loop" and not (self.done and reason):
            # vLLM 0.20 ends so, for every later request with the picture, what a killed client had begun to send.
            given_up = (
                "the server gave a response up; its log says why. If that is `Expected a cached item`: start it again, "
                "with --mm-processor-cache-gb 0"
            )
            what = given_up if self.done else "the connection ended in the middle of a response"
            raise Unavailable(f"{self._url}: {what}.")

        if reason == "content_filter":
            raise Refused(f"{self._url}: its content filter ended the response.", 200)

        if reason == "loop" and self._dialect == "openai" and not self._has_counts:
            self.tokens = self._events
            return self

        if reason not in ("stop", "length", "loop"):
            raise Unavailable(f"{self._url}: gave a response up ({reason}).")

        if not self._has_counts:
            raise WrongServer(
                f"{self._url}: sends no token counts (usage{', of vLLM in every event' * (self._dialect == 'vllm')})."
            )

        return self


class _Busy(Exception):
    """The server asks to be asked later; `wait` is in how many seconds, None if it does not say."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


def _root(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


def _client(url: str, api_key: str | None, timeout: float) -> "AsyncOpenAI":
    """Return the library's client with aiohttp below it, which takes half the processor time of its default."""
    import openai

    options = {
        "trust_env": urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"),  # no proxy to this machine
        "limits": _http_library().Limits(max_connections=100_000),  # None is 100 to aiohttp; the run has its own bound
        "timeout": openai.Timeout(timeout, connect=15.0),
        "verify": _authorities(),
    }
    try:
        transport = openai.DefaultAioHttpClient(**options)
    except (AttributeError, RuntimeError):  # an older openai, or one without its extra
        transport = openai.DefaultAsyncHttpxClient(**options)

    return openai.AsyncOpenAI(
        base_url=f"{_root(url)}/v1",
        api_key=api_key or "none",  # else it takes OPENAI_API_KEY, which is not for this server
        max_retries=0,
        timeout=options["timeout"],
        http_client=transport,
    )


@functools.cache
def _authorities() -> Any:
    """Return what certificates are checked by; a client that reads them for itself takes 0.2 s for it."""
    return _http_library().create_ssl_context()


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return what comes through the library as it is: errors in the middle of a stream, and some of aiohttp's."""
    with contextlib.suppress(ImportError):
        import aiohttp

        return _http_library().HTTPError, OSError, aiohttp.ClientError

    return _http_library().HTTPError, OSError


def _http_library() -> Any:
    """Return the module below the library: httpx, since openai 3 httpx2."""
    import openai

    return importlib.import_module(openai.DefaultAsyncHttpxClient.__base__.__module__.partition(".")[0])


@contextlib.contextmanager
def _our_errors(url: str, api_key: str | None) -> Iterator[None]:
    """Turn the libraries' errors into ours; nothing of the request stays in them, and no key."""
    import openai

    try:
        yield
    except (Unavailable, WrongServer) as error:  # may quote what the server sent
        error.args = tuple(_without(api_key, text) for text in error.args)
        raise
    except openai.APIStatusError as error:
        message, status, header = _short(_message(error)), error.status_code, error.response.headers.get("retry-after")
    except (openai.APIError, *_transport_errors()) as error:
        raise Unavailable(_without(api_key, f"{url}: {_reason(error)}")) from None
    else:
        return

    raise _of_status(status, _without(api_key, f"{url}: HTTP {status}: {message}"), header) from None


def _without(api_key: str | None, text: str) -> str:
    return text.replace(api_key, "***") if api_key else text


def _of_status(status: int, text: str, retry_after: str | None) -> Exception:
    if status == 429 or (status == 503 and retry_after):
        return _Busy(text, _seconds(retry_after))

    if status >= 500 or status == 408:
        return Unavailable(text)

    if status in (401, 403):
        text = f"{text.rstrip('.')}. Name the environment variable that holds the server's key in api_key_env."

    if status in (401, 402, 404, 405) or (status == 400 and "max_tokens" in text and "max_model_len" in text):
        return WrongServer(text)

    return Refused(text, status)


def _status(error: Exception) -> int | None:
    return getattr(error, "status_code", None)


def _message(error: Any) -> str:
    """Return what the server said (`{"error": {"message": ...}}`, of which the library keeps the inner object)."""
    body = error.body
    for key in ("error", "message"):
        body = body[key] if isinstance(body, dict) and key in body else body

    return str(body or error.message)


def _reason(error: BaseException) -> str:
    """Return what lies below an error of the library, which says no more than "Connection error."."""
    while error.__cause__ is not None:
        error = error.__cause__

    return f"{type(error).__name__}: {_short(str(error))}" if str(error) else type(error).__name__


def _seconds(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None where it is missing or a date."""
    try:
        return max(0.0, float(header))
    except (TypeError, ValueError):
        return None


def _short(text: str, most: int = 500) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]} ..."
