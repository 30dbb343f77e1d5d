"""A test double of vLLM's server: streams real responses of real models, deterministic by prompt and seed, and fails on order.

    with replay(sorted(Path("../shared/data/skythought").glob("*.json*")), share_429=0.1) as server:
        server.url

A prompt that holds a problem of the data is answered with a response to that problem, or, for a share of the seeds that
depends on the problem, with one to another problem: so some questions come out easy, some hard. A token is four
characters here. A prompt with the beginning of a response gets what stands behind the recorded thought; /tokenize and
/detokenize have a token a character.
"""

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # connections are broken on purpose
TOKEN = 4
"""Characters of a token."""
IMAGE_TOKENS = 64
"""Tokens of a picture, whatever its size."""


@dataclass
class Options:
    """How the server behaves."""

    delay: float = 0.0  # seconds from request to the end of its stream, spread evenly over the stream
    tokens_an_event: int = 64  # vLLM's --stream-interval
    events_a_chunk: int = 4  # in one write to the socket; 0 for all
    share_429: float = 0.0  # of requests answered with 429 and Retry-After
    retry_after: float = 0.05
    share_500: float = 0.0
    share_dropped: float = 0.0  # of requests whose connection is closed without an answer
    share_half: float = 0.0  # of requests whose stream ends in the middle
    refusing: bool = False  # every connection is closed at once
    model: tuple[str, ...] = ("replay",)
    max_model_len: int = 32768  # tokens of prompt and response; more are refused with 400
    max_chars: int = 0  # longer responses are not used; 0 for all
    api_key: str = ""
    not_vllm: bool = False
    fault_seed: int = 0  # of the draw of failures
    own: bool = False  # a prompt that holds a problem of the data is always answered with a response to it
    style: str = (
        ""  # of responses in the four markers: `think`, `closing` (no opening tag), `plain`, or a parser's field
    )


@dataclass(frozen=True)
class Problem:
    """A problem of the data with the responses that real models gave to it."""

    text: str
    gold: str
    responses: tuple[str, ...]


def read_problems(files: Sequence[Path]) -> list[Problem]:
    """Return the problems of files in the layouts of ../shared/data/skythought, those of equal text as one."""
    found: dict[str, tuple[str, list[str]]] = {}
    for file in sorted(files):
        if file.suffix == ".jsonl":
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            read = [(row["question"], row["gt"], row["code"]) for row in rows]
        else:
            rows = json.loads(file.read_text(encoding="utf-8")).values()
            read = [(row["problem"], row["answer"], [r["content"] for r in row["responses"].values()]) for row in rows]

        for text, gold, responses in read:
            found.setdefault(text.strip(), (str(gold), []))[1].extend(response for response in responses if response)

    return [Problem(text, gold, tuple(responses)) for text, (gold, responses) in found.items() if responses]


def _draw(*of: Any) -> random.Random:
    return random.Random(hashlib.sha256("\n".join(map(str, of)).encode()).digest())


class Replay:
    """The state of a server: its data, its options, what was asked of it."""

    def __init__(self, problems: list[Problem], options: Options) -> None:
        self.problems, self.options = problems, options
        self.by_text = {problem.text: problem for problem in problems}
        self.started: list[tuple[str, int]] = []
        self.finished: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, int]] = Counter()
        self.flying = self.most = 0
        self._found: dict[str, Problem | None] = {}
        self._pieces: dict[tuple, list[str]] = {}
        most = options.max_chars or 10**9
        self._usable = {response for problem in problems for response in problem.responses if len(response) <= most}
        self.responses = sorted(self._usable)
        if not self.responses:
            raise ValueError("no response in the data, or none as short as max_chars")

    def problem_of(self, text: str) -> Problem | None:
        """Return the longest problem that stands in a prompt."""
        if text not in self._found:
            if len(self._found) > 10_000:
                self._found.clear()

            lines = [self.by_text[line] for line in text.split("\n") if line in self.by_text]
            inside = lines or [problem for problem in self.problems if problem.text in text]
            self._found[text] = max(inside, key=lambda problem: len(problem.text), default=None)

        return self._found[text]

    def response(self, text: str, prompt: str, seed: int, temperature: float, model: str) -> str:
        """Return the response to a prompt: of its own problem in a share of the seeds that the problem decides."""
        draw = _draw(prompt, seed) if temperature else _draw(prompt, model)
        problem = self.problem_of(text)
        own = [response for response in problem.responses if response in self._usable] if problem else []
        share = _draw(problem.text).choice((0.1, 0.5, 0.9, 1.0)) if own and temperature else 0.5
        return draw.choice(own) if own and (self.options.own or draw.random() < share) else draw.choice(self.responses)

    def events(self, response: str, max_tokens: int, tokens_an_event: int) -> tuple[list[bytes], int, str]:
        """Return the events of a stream, its tokens and its finish reason."""
        style = self.options.style
        response, thought = styled(response, style)
        key = (response, thought, style, max_tokens, tokens_an_event)
        if key not in self._pieces:
            if len(self._pieces) > 4_000:
                self._pieces.clear()

            tokens = -(-len(response) // TOKEN) + 1  # the last is the end of turn
            reason = "stop" if tokens <= max_tokens else "length"
            kept = response[: max_tokens * TOKEN]
            width = TOKEN * tokens_an_event
            deltas = [{"role": "assistant", "content": ""}]
            deltas += [{style: thought[start : start + width]} for start in range(0, len(thought), width)]
            deltas += [{"content": kept[start : start + width]} for start in range(0, len(kept), width)]
            events = [_event([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
            events.append(_event([{"index": 0, "delta": {"content": ""}, "finish_reason": reason}]))
            self._pieces[key] = events, min(tokens, max_tokens), reason

        return self._pieces[key]


MARKED = re.compile(
    r"\s*<\|begin_of_thought\|>(.*)<\|end_of_thought\|>\s*<\|begin_of_solution\|>(.*)<\|end_of_solution\|>\s*",
    re.DOTALL,
)


def styled(response: str, style: str) -> tuple[str, str]:
    """Return the content of a response in another style, and the thought that is sent beside it."""
    found = MARKED.fullmatch(response)
    if not style or not found:
        return response, ""

    thought, solution = (part.strip() for part in found.groups())
    forms = {
        "think": f"<think>\n{thought}\n</think>\n\n{solution}",
        "closing": f"{thought}\n</think>\n\n{solution}",
        "plain": f"{thought}\n\n{solution}",
    }
    return (forms[style], "") if style in forms else (f"\n\n{solution}", f"\n{thought}\n")


def _event(choices: list[dict], **more: Any) -> bytes:
    content = {"id": "chatcmpl-replay", "object": "chat.completion.chunk", "created": 0, "model": "replay"}
    return b"data: " + json.dumps(content | {"choices": choices} | more, ensure_ascii=False).encode() + b"\n\n"


def _counted(events: list[bytes], prompt: int, tokens: int, width: int) -> list[bytes]:
    """Return events that all carry the tokens so far, as vLLM sends them with continuous_usage_stats."""
    counts = (min(number * width, tokens) for number in range(len(events)))
    shape = ',"usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}}}'
    usages = (shape.format(prompt, n, prompt + n) for n in counts)
    return [
        event if b'"usage"' in event[-120:] else event[:-3] + usage.encode() + b"\n\n"
        for event, usage in zip(events, usages, strict=True)
    ]


def _application(state: Replay) -> Any:
    from aiohttp import web

    def refuse(status: int, message: str, **headers: str) -> Any:
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        return web.json_response({"error": error}, status=status, headers=headers)

    @web.middleware
    async def guard(request: Any, handler: Any) -> Any:
        key = state.options.api_key
        if state.options.refusing:
            request.transport.abort()
            raise ConnectionResetError("refusing")

        if key and request.path.startswith("/v1/") and request.headers.get("Authorization") != f"Bearer {key}":
            return refuse(401, "Unauthorized")

        return await handler(request)

    async def models(request: Any) -> Any:
        owner = "other" if state.options.not_vllm else "vllm"
        length = {} if state.options.not_vllm else {"max_model_len": state.options.max_model_len}
        facts = {"object": "model", "owned_by": owner, **length}
        listed = [{"id": name, "root": name, **facts} for name in state.options.model]
        return web.json_response({"object": "list", "data": listed})

    async def version(request: Any) -> Any:
        return refuse(404, "Not Found") if state.options.not_vllm else web.json_response({"version": "0.20.2"})

    async def health(request: Any) -> Any:
        return web.Response()

    async def chat(request: Any) -> Any:
        options = state.options
        body = json.loads(await request.read())
        if body.get("model") not in options.model:
            return refuse(404, f"The model `{body.get('model')}` does not exist.")

        *_, asked = (message for message in body["messages"] if message["role"] == "user")
        begun = body["messages"][-1]["content"] if body.get("continue_final_message") else ""
        content = asked["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        prompt = hashlib.sha256("\n".join([text, *images]).encode()).hexdigest()[:16]
        seed, max_tokens = body.get("seed", 0), body.get("max_tokens") or body.get("max_completion_tokens") or 10**6
        prompt_tokens = (len(text) + len(begun)) // TOKEN + IMAGE_TOKENS * len(images)
        if prompt_tokens + max_tokens > options.max_model_len:
            told = f"This model's maximum context length is {options.max_model_len} tokens"
            return refuse(400, f"{told}, {max_tokens} were requested.")

        response = state.response(text, prompt, seed, body.get("temperature", 1.0), body["model"])
        if begun:
            response = response.rpartition("<|begin_of_solution|>")[2]
            prompt = hashlib.sha256(f"{prompt}{begun}".encode()).hexdigest()[:16]

        state.started.append((prompt, seed))
        state.attempts[prompt, seed] += 1
        luck = _draw(options.fault_seed, prompt, seed, state.attempts[prompt, seed])
        fails = [luck.random() < share for share in (options.share_429, options.share_500, options.share_dropped)]
        if fails[0]:
            return refuse(429, "Too many requests", **{"Retry-After": f"{options.retry_after:g}"})

        if fails[1]:
            return refuse(500, "Internal Server Error")

        if fails[2]:
            request.transport.abort()
            raise ConnectionResetError("dropped")

        events, tokens, _ = state.events(response, max_tokens, options.tokens_an_event)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens}
        if (body.get("stream_options") or {}).get("include_usage"):
            events = [*events, _event([], usage=usage)]

        if (body.get("stream_options") or {}).get("continuous_usage_stats"):
            events = _counted(events, prompt_tokens, tokens, options.tokens_an_event)

        events = [*events, b"data: [DONE]\n\n"]
        step = options.events_a_chunk or len(events)
        chunks = [b"".join(events[start : start + step]) for start in range(0, len(events), step)]
        stop_at = len(chunks) // 2 if luck.random() < options.share_half else None
        state.flying += 1
        state.most = max(state.most, state.flying)
        try:
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
            await stream.prepare(request)
            for number, chunk in enumerate(chunks):
                if number == stop_at:
                    request.transport.abort()
                    raise ConnectionResetError("half-sent")

                if options.delay:
                    await asyncio.sleep(options.delay / len(chunks))

                await stream.write(chunk)

            await stream.write_eof()
        finally:
            state.flying -= 1

        state.finished[f"{prompt} {seed}"] += 1
        return stream

    async def tokenize(request: Any) -> Any:
        messages = json.loads(await request.read())["messages"]
        texts = [one["content"] for one in messages if one["role"] != "user" and isinstance(one["content"], str)]
        return web.json_response({"tokens": [ord(character) for character in "".join(["<|im_start|>", *texts])]})

    async def detokenize(request: Any) -> Any:
        return web.json_response({"prompt": "".join(map(chr, json.loads(await request.read())["tokens"]))})

    application = web.Application(client_max_size=256 << 20, middlewares=[guard])
    got = {"/v1/models": models, "/version": version, "/health": health}
    posted = {"/tokenize": tokenize, "/detokenize": detokenize, "/v1/chat/completions": chat}
    application.add_routes([web.get(path, handler) for path, handler in got.items()])
    application.add_routes([web.post(path, handler) for path, handler in posted.items()])
    return application


class Running:
    """A replay server, in a thread of its own."""

    def __init__(self, state: Replay, port: int) -> None:
        self._state, self._loop = state, asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(port), self._loop).result(30)
        self.url = f"http://127.0.0.1:{self.port}/v1"

    async def _start(self, port: int) -> int:
        from aiohttp import web

        self._runner = web.AppRunner(_application(self._state), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    def asked(self) -> dict[str, Any]:
        """Return each prompt and seed in their order, how often an answer to which was sent whole, and the most at once."""
        state = self._state
        return {"started": list(state.started), "finished": dict(state.finished), "most_in_flight": state.most}

    def control(self, **options: Any) -> None:
        """Change options from now on."""
        self._state.options = replace(self._state.options, **options)

    def stop(self) -> None:
        """Break all connections, which looks to its clients like a server that died."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        for connection in self._runner.server.connections:
            connection.transport.abort()

        await self._runner.cleanup()


@functools.cache
def _known(files: tuple[Path, ...]) -> list[Problem]:
    return read_problems(files)


@contextlib.contextmanager
def replay(data: Sequence[Path], port: int = 0, **options: Any) -> Iterator[Running]:
    """Context of a running server."""
    running = Running(Replay(_known(tuple(data)), Options(**options)), port)
    try:
        yield running
    finally:
        running.stop()
