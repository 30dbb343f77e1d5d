"""A test double of vLLM's server: streams real responses of real models, deterministic by prompt and seed, and fails on order.

    python tests/rollouts/replay.py --port 0 --data ../shared/data/skythought/*.json*

prints its port. A prompt that holds a problem of the data is answered with a response to that problem, or, for a share of
the seeds that depends on the problem, with one to another problem: so some questions come out easy, some hard. A token is
four characters here.

A prompt with the beginning of a response gets what stands behind the recorded thought; /tokenize and /detokenize have a token
a character.

Besides /v1/models, /v1/chat/completions, /version and /health there are
    GET  /asked     {"started": [[prompt, seed], ...] in order, "finished": {"prompt seed": times}, "most_in_flight": n}
    POST /control   options by their names (`{"share_429": 0.1, "refusing": true}`), from now on
"""

import argparse
import asyncio
import contextlib
import ctypes
import hashlib
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


TOKEN = 4
"""Characters of a token."""
IMAGE_TOKENS = 64
"""Tokens of a picture, whatever its size."""


@dataclass
class Options:
    """How the server behaves; names are those of the command line."""

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
            raise SystemExit("no response in the data, or none as short as --max-chars")

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
        if state.options.refusing and request.path not in ("/asked", "/control"):
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

    async def asked(request: Any) -> Any:
        content = {"started": state.started, "finished": state.finished, "most_in_flight": state.most}
        return web.json_response(content)

    async def control(request: Any) -> Any:
        state.options = replace(state.options, **await request.json())
        return web.json_response({})

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
    got = {"/v1/models": models, "/version": version, "/health": health, "/asked": asked}
    posted = {"/control": control, "/tokenize": tokenize, "/detokenize": detokenize, "/v1/chat/completions": chat}
    application.add_routes([web.get(path, handler) for path, handler in got.items()])
    application.add_routes([web.post(path, handler) for path, handler in posted.items()])
    return application


async def _serve(state: Replay, port: int) -> None:
    from aiohttp import web

    runner = web.AppRunner(_application(state), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    await stop.wait()
    await runner.cleanup()


class Running:
    """A replay server in a process of its own."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port, self.url = process, port, f"http://127.0.0.1:{port}/v1"

    def asked(self) -> dict[str, Any]:
        """Return what was asked so far, see /asked above."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/asked", timeout=30) as reply:
            return json.load(reply)

    def control(self, **options: Any) -> None:
        """Change options from now on."""
        body = json.dumps(options).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control", data=body, timeout=30).close()

    def stop(self) -> None:
        """Kill it, which looks to its clients like a server that died."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def replay(data: Sequence[Path], port: int = 0, **options: Any) -> Iterator[Running]:
    """Context of a running server; gone afterwards, and also when this process dies."""
    arguments = [sys.executable, __file__, "--port", str(port), "--with-parent", str(os.getpid())]
    arguments += ["--data", *map(str, data)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        arguments += [flag] if value is True else [flag, *(value if isinstance(value, tuple) else [str(value)])]

    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        line = process.stdout.readline()
        if not line.strip():
            raise RuntimeError(f"the replay server did not start: {' '.join(arguments)}")

        yield Running(process, int(line))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    for name, value in vars(Options()).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parser.add_argument(flag, action="store_true")
        elif isinstance(value, tuple):
            parser.add_argument(flag, nargs="+", default=value)
        else:
            parser.add_argument(flag, type=type(value), default=value)

    parser.add_argument("--with-parent", type=int, help="die with this process")
    given = vars(parser.parse_args())
    port, data, parent = given.pop("port"), given.pop("data"), given.pop("with_parent")
    if parent is not None:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            return

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # connections are broken on purpose
    state = Replay(read_problems(data), Options(**given))
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

    asyncio.run(_serve(state, port))


if __name__ == "__main__":
    _main()
