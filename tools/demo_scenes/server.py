"""The server: one OpenAI-compatible API that plays each role by what it is sent, with seeded faults. Recordings and tests only.

    PYTHONPATH=tools python -m demo_scenes.server --port 0 --rate prose=0.05 --rate "wrong count=0.1"

prints its port. Every model name is served; a response follows from the prompt and the seed alone. A token is four characters, of
/tokenize and /detokenize one. Beside the paths that vLLM has there are
    GET  /labels    {"labels": [{"role", "about", "fault", ...}, ...]}: what was written, and what is wrong with it
    POST /control   options by their names (`{"delay": 0.1, "rates": {"prose": 1.0}}`), from now on
"""

import argparse
import asyncio
import contextlib
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from demo_scenes import solver, thinker, truth, writer
from demo_scenes.scenes import SEED


TOKEN = 4
IMAGE_TOKENS = 64
MAX_MODEL_LEN = 32_768
ROLES = ("writer", "solver", "blind", "composer", "thinker", "reasoner")

RATES: Mapping[str, float] = {
    **dict.fromkeys((*writer.STRUCTURAL, *writer.CLAIMS, *writer.VOTED), 0.025),
    writer.PROSE: 0.02,
    **dict.fromkeys(writer.COMPOSED, 0.15),
    **dict.fromkeys(writer.COMPOSED_STRUCTURAL, 0.03),
    thinker.WRONG_THOUGHT: 0.35,
    **dict.fromkeys(thinker.THOUGHT_FAULTS, 0.02),
    thinker.FLIPS: 0.2,
    thinker.KEEPS: 0.3,
    **dict.fromkeys(thinker.EXPANSION_FAULTS, 0.05),
}
"""Share of each fault among what a role writes."""


@dataclass(frozen=True)
class Options:
    """How the server behaves; names are those of the command line.

    Attributes:
        seed: of the drawn scenes.
        model: names that it serves.
        rates: shares of faults by their names; those not named are as in RATES.
        right: share of votes that are right, of a solver who can know.
        guesses: share of a blind solver's votes that are guesses, where nothing but looking helps.
        delay: seconds that a response takes.
        rewrites: its chat template closes the beginning of a response, as some do; it must be refused with pictures.
    """

    seed: int = SEED
    model: tuple[str, ...] = ROLES
    rates: Mapping[str, float] = field(default_factory=dict)
    right: float = 0.9
    guesses: float = 0.25
    delay: float = 0.0
    rewrites: bool = False

    def all_rates(self) -> Mapping[str, float]:
        """Return the share of each fault."""
        return {**RATES, **self.rates}


@dataclass(frozen=True)
class Said:
    """A response: its role, text and labels, and whether it ends before its end."""

    role: str
    text: str
    labels: Sequence[Mapping[str, Any]]
    is_cut: bool = False


class Player:
    """Plays all roles; what it says follows from what it is sent and the seed.

    Args:
        options: see there.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.scenes = truth.Scenes(options.seed)
        self.labels: list[Mapping[str, Any]] = []

    def say(self, text: str, pictures: Sequence[str] = (), prefill: str = "", seed: int = 0) -> Said:
        """Return the response to a prompt, and keep its labels.

        Args:
            text: of the user's turn, without the pictures.
            pictures: data URIs.
            prefill: beginning of the response.
            seed: of the request.
        """
        digest = hashlib.sha256(json.dumps([text, list(pictures), prefill, seed]).encode()).hexdigest()
        rng, rates = Random(digest), self.options.all_rates()
        said = self._said(text, pictures, prefill, rng, rates)
        self.labels += [{"role": said.role, **label} for label in said.labels]
        return said

    def _said(self, text: str, pictures: Sequence[str], prefill: str, rng: Random, rates: Mapping[str, float]) -> Said:
        asked, shown = truth.texts_in(text, "question"), truth.texts_in(text, "scene")
        right = self.options.right
        if pictures:
            response, fault = thinker.think(self.scenes.seen(pictures[0]), text, rates, rng)
            return Said("thinker", response, [{"about": text, "response": response, "fault": fault}])

        if prefill:
            scene, about = self.scenes.told(shown), asked
            response, fault, is_cut = thinker.go_on(scene, about, prefill, rates, rng)
            label = {"about": about, "prefill": prefill, "response": response, "fault": fault}
            return Said("reasoner", response, [label], is_cut)

        if listed := truth.texts_in(text, "questions"):
            response, written = writer.compose(listed, rates, rng)
            return Said("composer", response, [{"about": listed, **one} for one in writer.labels(written)])

        if known := truth.texts_in(text, "known"):
            return Said("solver", solver.ablated(known, asked, right, rng), [])

        if shown and asked:
            return Said("solver", solver.sighted(self.scenes.told(shown), asked, right, rng), [])

        if asked:
            return Said("blind", solver.blind(asked, right, self.options.guesses, rng), [])

        scene = self.scenes.told(shown)
        if scene is None:
            return Said("writer", "I do not know this picture.", [{"about": "", "fault": writer.PROSE}])

        count = next((int(word) for word in text.partition("<scene>")[0].split() if word.isdecimal()), 8)
        response, written = writer.write(scene, count, rates, rng)
        return Said("writer", response, [{"about": scene.id, **one} for one in writer.labels(written)])


def _event(choices: list[dict], tokens: tuple[int, int], is_chat: bool) -> bytes:
    prompt, completion = tokens
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    content = {"id": "played", "object": kind, "created": 0, "model": "played", "choices": choices, "usage": usage}
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def events(said: Said, prompt_tokens: int, max_tokens: int, is_chat: bool) -> bytes:
    """Return a response as server-sent events, cut off at max_tokens."""
    tokens = -(-len(said.text) // TOKEN) + 1
    text, is_cut = said.text[: max_tokens * TOKEN], said.is_cut or tokens > max_tokens
    tokens = max_tokens if is_cut else tokens  # a server that cuts a response off has written all that it may
    pieces = [text[start : start + 64 * TOKEN] for start in range(0, len(text), 64 * TOKEN)]
    written, sent = 0, []
    for piece in pieces:
        written += len(piece)
        choice = {"delta": {"content": piece}} if is_chat else {"text": piece}
        choice |= {"index": 0, "finish_reason": None}
        sent.append(_event([choice], (prompt_tokens, min(tokens, -(-written // TOKEN))), is_chat))

    last = {"delta": {}} if is_chat else {"text": ""}
    sent.append(
        _event(
            [last | {"index": 0, "finish_reason": "length" if is_cut else "stop"}], (prompt_tokens, tokens), is_chat
        )
    )
    return b"".join([*sent, b"data: [DONE]\n\n"])


def _application(player: Player) -> Any:
    from aiohttp import web

    def refuse(status: int, message: str) -> Any:
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        return web.json_response({"error": error}, status=status)

    async def models(request: Any) -> Any:
        cards = [
            {"id": name, "object": "model", "owned_by": "vllm", "root": name, "max_model_len": MAX_MODEL_LEN}
            for name in player.options.model
        ]
        return web.json_response({"object": "list", "data": cards})

    async def version(request: Any) -> Any:
        return web.json_response({"version": "0.20.2"})

    async def health(request: Any) -> Any:
        return web.Response()

    async def labels(request: Any) -> Any:
        return web.json_response({"labels": player.labels})

    async def control(request: Any) -> Any:
        player.options = replace(player.options, **await request.json())
        return web.json_response({})

    async def chat(request: Any) -> Any:
        body = json.loads(await request.read())
        if body.get("model") not in player.options.model:
            return refuse(404, f"The model `{body.get('model')}` does not exist.")

        messages = body["messages"]
        prefill = _text(messages[-1]["content"]) if messages[-1]["role"] == "assistant" else ""
        if prefill and (not body.get("continue_final_message") or body.get("add_generation_prompt", True)):
            return refuse(400, "Cannot go on behind an assistant's message: set continue_final_message alone.")

        asked = next(one["content"] for one in reversed(messages) if one["role"] == "user")
        parts = asked if isinstance(asked, list) else []
        pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        return await answered(request, body, _text(asked, ""), pictures, prefill)

    async def complete(request: Any) -> Any:
        body = json.loads(await request.read())
        prompt, _, prefill = body["prompt"].partition(ASSISTANT)
        return await answered(request, body, prompt.rpartition(USER)[2].removesuffix(END), [], prefill)

    async def answered(request: Any, body: Mapping, text: str, pictures: list[str], prefill: str) -> Any:
        said = player.say(text, pictures, prefill, body.get("seed") or 0)
        if player.options.delay:
            await asyncio.sleep(player.options.delay)

        most = body.get("max_tokens") or body.get("max_completion_tokens") or MAX_MODEL_LEN
        size = (len(text) + len(prefill)) // TOKEN + IMAGE_TOKENS * len(pictures)
        content = events(said, size, most, request.path.endswith("/chat/completions"))
        return web.Response(body=content, headers={"Content-Type": "text/event-stream; charset=utf-8"})

    async def tokenize(request: Any) -> Any:
        body = json.loads(await request.read())
        text = rendered(body["messages"], bool(body.get("continue_final_message")), player.options.rewrites)
        return web.json_response({"tokens": [ord(character) for character in text], "count": len(text)})

    async def detokenize(request: Any) -> Any:
        return web.json_response({"prompt": "".join(map(chr, json.loads(await request.read())["tokens"]))})

    application = web.Application(client_max_size=256 << 20)
    application.add_routes(
        [
            web.get("/v1/models", models),
            web.get("/version", version),
            web.get("/health", health),
            web.get("/labels", labels),
            web.post("/control", control),
            web.post("/tokenize", tokenize),
            web.post("/detokenize", detokenize),
            web.post("/v1/chat/completions", chat),
            web.post("/v1/completions", complete),
        ]
    )
    return application


USER, ASSISTANT, END = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"


def rendered(messages: Sequence[Mapping[str, Any]], goes_on: bool, rewrites: bool = False) -> str:
    """Return a conversation as the server's chat template writes it; one that `rewrites` closes what it is to go on behind."""
    turns = [f"<|im_start|>{one['role']}\n{_text(one['content'])}{END}" for one in messages]
    text = "".join(turns)
    if not goes_on:
        return text + ASSISTANT

    return text if rewrites else text.removesuffix(END)


def _text(content: Any, picture: str = "<picture>") -> str:
    """The text of a message, with something in the place of each picture."""
    if isinstance(content, str):
        return content

    return "".join(part["text"] if part["type"] == "text" else picture for part in content)


async def _serve(player: Player, port: int) -> None:
    from aiohttp import web

    runner = web.AppRunner(_application(player), access_log=None, shutdown_timeout=0.1)
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
    """A server in a process of its own.

    Attributes:
        url: for `urls` of a configuration.
    """

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"

    def labels(self) -> list[dict[str, Any]]:
        """Return what it has written so far, and what is wrong with it."""
        with urllib.request.urlopen(f"{self.root}/labels", timeout=60) as reply:
            return json.load(reply)["labels"]

    def control(self, **options: Any) -> None:
        """Change options from now on."""
        body = json.dumps(options).encode()
        urllib.request.urlopen(f"{self.root}/control", data=body, timeout=30).close()


@contextlib.contextmanager
def serving(rates: Mapping[str, float] | None = None, **options: Any) -> Iterator[Running]:
    """Context of a running server; gone afterwards, and when this process dies.

    Args:
        rates: see Options.
        options: further ones by their names.
    """
    arguments = [sys.executable, "-m", "demo_scenes.server", "--port", "0"]
    arguments += ["--with-parent", str(os.getpid())]
    for name, share in (rates or {}).items():
        arguments += ["--rate", f"{name}={share}"]

    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        arguments += [flag] if value is True else [flag, *(value if isinstance(value, tuple) else [str(value)])]

    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | {"PYTHONPATH": path}
    )
    try:
        line = process.stdout.readline()
        if not line.strip():
            raise RuntimeError(f"the server did not start: {' '.join(arguments)}")

        yield Running(int(line))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _rate(text: str) -> tuple[str, float]:
    name, _, share = text.rpartition("=")
    if name not in RATES:
        raise argparse.ArgumentTypeError(f"no fault {name!r}; there are {', '.join(RATES)}")

    return name, float(share)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--model", nargs="+", default=ROLES)
    parser.add_argument("--rate", type=_rate, action="append", default=[], help="FAULT=SHARE")
    parser.add_argument("--right", type=float, default=0.9)
    parser.add_argument("--guesses", type=float, default=0.25)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--rewrites", action="store_true")
    parser.add_argument("--with-parent", type=int, help="die with this process")
    given = vars(parser.parse_args())
    port, parent, rates = given.pop("port"), given.pop("with_parent"), dict(given.pop("rate"))
    if parent is not None:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            return

    asyncio.run(_serve(Player(Options(**{**given, "model": tuple(given["model"]), "rates": rates})), port))


if __name__ == "__main__":
    _main()
