"""The client against servers that stream, stumble, lie and die: every byte they send is written out here."""

import asyncio
import contextlib
import itertools
import json
import re
import socket
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from virgo_factory.rollouts.prompt import compose
from virgo_factory.rollouts.servers import client
from virgo_factory.rollouts.servers.client import (
    Endpoint,
    Refused,
    Reply,
    Sampling,
    ServerFacts,
    Unavailable,
    WrongServer,
    look_at,
)


PROMPT = compose("a job", "<image>How many?", [((28, 28), b"\0\0\0")])
SAMPLING = Sampling(temperature=0.7, top_p=0.9, top_k=20, repetition_penalty=1.05, max_tokens=100)
KEY = "sk-very-secret-0123456789"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"


def event(text: str | None = None, reason: str | None = None, counts: tuple[int, int] | None = None) -> bytes:
    """Return an event as vLLM 0.20.2 sends it."""
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]
    usage = {"usage": {"prompt_tokens": counts[0], "completion_tokens": counts[1]}} if counts else {}
    return b"data: " + json.dumps({"choices": choices} | usage).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
HALF = b"".join(
    [
        *(event("", counts=(9, 0)), event("Three: ", counts=(9, 2)), event("größer \U0001f600\n", counts=(9, 6))),
        *(event("<|end_of_thought|>", "stop", (9, 7)), event(counts=(9, 7))),
    ]
)
WHOLE = HALF + DONE


def status(code: int, body: str = "", **headers: str) -> bytes:
    """Return a whole answer that is no stream."""
    lines = [f"HTTP/1.1 {code} X", "Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


def chunked(*parts: bytes, end: bool = True) -> bytes:
    """Return a stream in HTTP's chunked form, whole or without its end."""
    head = CLOSED.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + (b"0\r\n\r\n" if end else b"")


@dataclass
class Scripted:
    """A server that answers the first request with the first script, and so on; the last one is repeated."""

    scripts: list  # of bytes, or lists of bytes (written one by one) and seconds (waited)
    requests: list[tuple[str, dict]] = field(default_factory=list)
    left: list[bool] = field(default_factory=list)  # whether the client closed before it was told everything
    url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1]) if length else 0)
            script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
            self.requests.append((head, json.loads(body) if body else {}))
            left = False
            for part in script if isinstance(script, list) else [script]:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    left = left or await self._closed(reader, part)

            self.left.append(left)

        writer.close()

    async def _closed(self, reader: asyncio.StreamReader, seconds: float) -> bool:
        try:
            return await asyncio.wait_for(reader.read(1), seconds) == b""
        except TimeoutError:
            return False


def play(*scripts, ask=None, prompt=PROMPT, **options) -> tuple[Reply | Exception, Scripted]:
    """Ask a scripted server; return the reply or the error, and the server."""

    async def run():
        server = Scripted(list(scripts))
        listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        sampling = options.pop("sampling", SAMPLING)
        try:
            if ask:
                return await ask(server.url), server

            async with Endpoint(server.url, "replay", **options) as endpoint:
                return await endpoint.ask(prompt, sampling, 7), server
        except Exception as error:
            return error, server
        finally:
            listening.close()
            await asyncio.sleep(0.05)  # the server notices that its last client left

    return asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        CLOSED + WHOLE,
        [CLOSED, *(part + b"\n\n" for part in WHOLE.split(b"\n\n")[:-1])],
        [CLOSED, *(bytes([byte]) for byte in WHOLE)],
        CLOSED + WHOLE.replace(b"\n\n", b"\r\n\r\n"),
        CLOSED + b": a comment\n\n" + WHOLE + b"data: nothing that is read\n\n",
        chunked(WHOLE),
        chunked(WHOLE[:77], WHOLE[77:]),
        chunked(WHOLE, end=False),
        [CLOSED, WHOLE[:300], 0.2, WHOLE[300:]],
    ],
)
def test_stream(script):
    """Wherever the bytes are cut, the response is the same."""
    reply, server = play(script)
    assert isinstance(reply, Reply), reply
    assert (reply.response, reply.finish_reason) == ("Three: größer \U0001f600\n<|end_of_thought|>", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.retries) == (9, 7, 0)
    assert reply.url == server.url and 0 < reply.seconds < 5


SAID = {"model": "replay", "messages": PROMPT.messages, "stream": True, "seed": 7, "temperature": 0.7, "top_p": 0.9}
TO_VLLM = {
    "chat_template_kwargs": {"question_prefix": ""},
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    **{"top_k": 20, "min_p": 0.0, "repetition_penalty": 1.05, "max_tokens": 100},
    **{"skip_special_tokens": False, "spaces_between_special_tokens": False, "include_stop_str_in_output": False},
}
AT_THE_END = event("Three: ") + event("7", "stop") + event(counts=(9, 7)) + DONE


def test_all_of_a_request():
    """Whatever is missing here would be decided by the server; the public API is sent nothing else."""
    _, server = play(CLOSED + WHOLE)
    head, body = server.requests[0]
    assert head.startswith("POST /v1/chat/completions ") and body == SAID | TO_VLLM
    public = Sampling(temperature=0.7, top_p=0.9, max_tokens=100)
    reply, server = play(CLOSED + AT_THE_END, dialect="openai", sampling=public)
    assert (reply.response, reply.prompt_tokens, reply.completion_tokens) == ("Three: 7", 9, 7)
    told = SAID | {"stream_options": {"include_usage": True}, "max_completion_tokens": 100}
    assert server.requests[0][1] == told


BEGUN = compose("a thought", "How many?", prefill="<think>\nI see three. Wait, ")


def rendered(*texts: str) -> tuple[bytes, ...]:
    """What /tokenize and /detokenize answer, one pair a text."""
    told = (status(200, json.dumps({"prompt": text})) for text in texts)
    return tuple(itertools.chain.from_iterable((status(200, '{"tokens": [1, 2]}'), one) for one in told))


def test_a_response_is_begun_for_the_server_with_both_keys_where_the_template_leaves_it_alone():
    scripts = rendered("<|im_start|>", f"<|im_start|>{BEGUN.prefill}")
    reply, server = play(*scripts, CLOSED + WHOLE, prompt=BEGUN)
    assert isinstance(reply, Reply), reply
    paths = [head.split()[1] for head, _ in server.requests]
    assert paths == [*["/tokenize", "/detokenize"] * 2, "/v1/chat/completions"]
    assert server.requests[0][1]["messages"] == BEGUN.messages[:-1]
    for body in (server.requests[2][1], server.requests[4][1]):
        assert body["messages"][-1] == {"role": "assistant", "content": "<think>\nI see three. Wait, "}
        assert (body["add_generation_prompt"], body["continue_final_message"]) == (False, True)

    spelled = compose("a thought", "How many?", prefill="<think>\n\ufb2b, ")  # one sign, which tokenizers take apart
    scripts = rendered("<|im_start|>", "<|im_start|><think>\n\u05e9\u05c2, ")
    assert play(*scripts, CLOSED + WHOLE, prompt=spelled)[1].requests[4][0].startswith("POST /v1/chat/completions ")

    error, server = play(CLOSED + WHOLE, prompt=BEGUN, dialect="openai")
    assert type(error) is WrongServer and not server.requests

    for answer in (status(404, '{"detail": "Not Found"}'), status(200, '{"choices": []}'), status(200, "[1]")):
        error, _ = play(answer, prompt=BEGUN)
        assert type(error) is WrongServer and "at /tokenize and /detokenize, by which it is tried" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "begun"),
    [
        ("<|im_start|>", "<|im_start|>"),
        (
            "<|im_start|>",
            f"<|im_start|><think>\n\n</think>\n\n{BEGUN.prefill}",
        ),  # Qwen3's: it ends with it, and is another
        ("<|im_start|><think>\n", f"<|im_start|>{BEGUN.prefill}"),  # R1's opens the thought itself
    ],
)
def test_where_the_template_rewrites_the_beginning_it_goes_behind_the_prompt_as_text(asked, begun):
    text = event("four.", "stop", (9, 2)).replace(b'"delta": {"content": "four."}', b'"text": "four."') + DONE
    reply, server = play(*rendered(asked, begun, asked), CLOSED + text, prompt=BEGUN)
    assert isinstance(reply, Reply), reply
    head, body = server.requests[-1]
    assert head.split()[1] == "/v1/completions" and reply.response == "four." and reply.completion_tokens == 2
    assert body["prompt"] == "<|im_start|>" + BEGUN.prefill and body["add_special_tokens"] is False
    assert not {"messages", "chat_template_kwargs", "continue_final_message"} & set(body)

    seen = replace(BEGUN, images=((28, 28),))
    error, _ = play(*rendered("<|im_start|>", "<|im_start|>"), prompt=seen)
    assert type(error) is WrongServer and "chat template of replay" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        *(CLOSED + WHOLE[:end] for end in (0, 5, 250, len(HALF))),
        *(chunked(WHOLE[:250], end=end) for end in (False, True)),
        CLOSED + event("Three", counts=(9, 2)) + DONE,
        CLOSED + event("Three", "abort", (9, 2)) + DONE,
        CLOSED + event("Three", counts=(9, 2)) + b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n',
        *(b"", b"HTTP/1.1 200", b"nothing of HTTP\r\n\r\n", status(503), status(408)),
        *(status(500, '{"error": {"message": "EngineDeadError"}}'), status(502, "<html>Bad Gateway</html>")),
        CLOSED + b"data: hello\n\n",
        CLOSED + event("Three") + b'data: {"choices": [{"delta": {"con\n\ndata: [DONE]\n\n',
        CLOSED + event("Three") + b"data: \xff\xfe\n\n",
    ],
)
def test_half_sent_or_failed_is_unavailable(script):
    """Nothing that was not sent to its end is ever a reply."""
    error, server = play(script)
    assert isinstance(error, Unavailable), error
    assert str(error).startswith(server.url) and "data:" not in str(error)
    assert len(server.requests) == 1


NEVER = [
    (status(400, '{"error": {"message": "prompt is longer", "code": 400}}'), Refused, "HTTP 400: prompt is longer"),
    (status(400, '{"message": "old form"}'), Refused, "old form"),
    (status(413, "Too large"), Refused, "HTTP 413"),
    (status(422, "[1]"), Refused, "HTTP 422"),
    (status(401, '{"error": "Unauthorized."}'), WrongServer, "HTTP 401: Unauthorized. Name the environment variable"),
    (status(402, '{"error": {"message": "Insufficient Balance"}}'), WrongServer, "Balance"),
    (status(403, '{"error": "flagged"}'), Refused, "api_key_env"),
    (status(404, '{"error": {"message": "The model `replay` does not exist."}}'), WrongServer, "does not exist"),
    (status(405, "{}"), WrongServer, "HTTP 405"),
    (status(400, '{"error": {"message": "max_tokens=100 cannot be greater than max_model_len=64."}}'), WrongServer, "_len=64"),
    (status(200, '{"choices": []}'), WrongServer, "does not stream its responses. Name the URL"),
    (CLOSED + b"data: [1]\n\n", WrongServer, "not those of a chat: [1]"),
    (CLOSED + b'data: {"choices": [{}]}\n\n', WrongServer, 'not those of a chat: {"choices": [{}]}'),
    (CLOSED + event("Three", "stop") + DONE, WrongServer, "no token counts"),
    (CLOSED + event("Three", "length", (9, 50)) + DONE, Refused, "context is too small"),
    (CLOSED + event("Three", "content_filter", (9, 1)) + DONE, Refused, "content filter"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("script", "kind", "said"), NEVER)
def test_what_will_never_work(script, kind, said):
    error, server = play(script)
    assert type(error) is kind, error
    assert said in str(error) and str(error).startswith(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_the_thought_that_a_reasoning_parser_takes_out_comes_back_into_its_tags(field):
    pieces = [{"role": "assistant", "content": ""}, {field: "Let me"}, {field: " look.", "content": None}]
    pieces += [{"content": "\n\nIt is"}, {"content": " 7."}]
    events = [b"data: " + json.dumps({"choices": [{"delta": piece}]}).encode() + b"\n\n" for piece in pieces]
    reply, _ = play(CLOSED + b"".join(events) + event("", "stop", (9, 8)) + DONE)
    assert reply.response == "<think>\nLet me look.\n</think>\n\n\n\nIt is 7."
    reply, _ = play(CLOSED + b"".join(events[:3]) + event("", "length", (9, 100)) + DONE)
    assert reply.response == "<think>\nLet me look.", "a thought that was cut off stays open"
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 100)


BUSY = status(429, '{"error": {"message": "slow down"}}', Retry_After="30")


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds that the client waited; they pass on its clock and on no other."""
    waited, sleep, clock = [], asyncio.sleep, time.monotonic

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(client, "asyncio", SimpleNamespace(sleep=wait, Lock=asyncio.Lock))
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: clock() + sum(waited)))
    return waited


@pytest.mark.parametrize("busy", [BUSY, BUSY.replace(b" 429 ", b" 503 ")])
def test_busy_servers_are_asked_when_they_say(busy, waits):
    reply, server = play(busy, busy, CLOSED + WHOLE)
    assert waits == [30, 30]
    assert reply.retries == 2 and len(server.requests) == 3
    assert reply.seconds < 30, "waiting is no part of it"
    assert server.requests[0][1] == server.requests[2][1]


@pytest.mark.parametrize(("after", "asked"), [("0.01", 4), ("3600", 1)])
def test_busy_for_ever_or_for_an_hour(waits, after, asked):
    error, server = play(status(429, "", Retry_After=after), retries=3)
    assert isinstance(error, Unavailable) and f"asked {asked} times" in str(error) and "HTTP 429" in str(error)
    assert len(server.requests) == asked and waits == [0.01] * (asked - 1)


def test_nobody_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"

    with pytest.raises(Unavailable, match=f"^{url}: ConnectionRefusedError"):
        asyncio.run(Endpoint(url, "replay").ask(PROMPT, SAMPLING, 7))


@pytest.mark.slow
@pytest.mark.parametrize("script", [[60], [CLOSED, WHOLE[:250], 60]])
def test_silence(script):
    start = time.monotonic()
    error, server = play(script, timeout=0.4)
    assert isinstance(error, Unavailable) and "imeout" in str(error), error
    assert time.monotonic() - start >= 0.4
    assert server.left == [True], "it did not wait for the minute that the server is silent"


LOOP = "Let's try 3 again, since 3 + 4 = 7 and 7 is what we need, or is it? " * 400


def looping(pause: float) -> list:
    """Return a script: a response that repeats itself, 32 tokens an event."""
    parts = [event(LOOP[start : start + 128], counts=(9, start // 4 + 32)) for start in range(0, len(LOOP), 128)]
    halves = b"".join(parts[:60]), b"".join(parts[60:])
    end = event("", "stop", (9, len(LOOP) // 4)) + DONE
    return [CLOSED, halves[0], pause, halves[1] + end]


def test_loops_are_cut_unless_they_are_not_to_be():
    """The connection is closed, so that the server stops generating, and the tokens are those generated so far."""
    long = Sampling(max_tokens=10**5)
    reply, server = play(looping(5), sampling=long)
    assert (reply.finish_reason, len(reply.response), reply.completion_tokens) == ("loop", 60 * 128, 60 * 32)
    assert server.left == [True]
    untold = [part.replace(b'"usage"', b'"told"') if isinstance(part, bytes) else part for part in looping(5)]
    reply, _ = play(untold, sampling=long, dialect="openai")  # which counts at the end only: an event is a token
    assert (reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == ("loop", 0, 60)
    reply, server = play(looping(0.1), sampling=replace(long, cut_loops=False))
    assert (reply.finish_reason, reply.response, server.left) == ("stop", LOOP, [False])


def test_key_is_sent_and_shown_nowhere(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    caplog.set_level("DEBUG")
    wrong = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
    error, server = play(CLOSED + b"data: " + json.dumps(wrong).encode() + b"\n\n", api_key=KEY)
    assert isinstance(error, Unavailable) and "***" in str(error) and KEY not in repr(error)
    error, server = play(status(401, json.dumps(wrong)), api_key=KEY)
    assert f"authorization: bearer {KEY}" in server.requests[0][0].lower()
    assert isinstance(error, WrongServer) and "***" in str(error)
    own = repr(Endpoint("http://127.0.0.1:1", "m", KEY))
    shown = [str(error), repr(error), repr(error.__cause__), own, caplog.text]
    assert not [text for text in shown if KEY in text]
    chained = error.__context__ if not error.__suppress_context__ else None
    assert chained is None or KEY not in str(chained)

    _, server = play(CLOSED + WHOLE)
    assert "sk-of-somebody-else" not in server.requests[0][0]


def test_this_machine_is_not_asked_through_a_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert isinstance(play(CLOSED + WHOLE)[0], Reply)


@pytest.mark.slow
def test_many_at_a_time():
    """None waits for another, and each gets its own response."""
    flying = most = 0

    async def answer(reader, writer):
        nonlocal flying, most
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            seed = json.loads(await reader.readexactly(length))["seed"]
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.2)
            flying -= 1
            writer.write(chunked(event(f"seed {seed}", "stop", (9, 3)) + DONE))

    async def run():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Endpoint(url, "replay") as endpoint:
            replies = await asyncio.gather(*(endpoint.ask(PROMPT, SAMPLING, seed) for seed in range(300)))

        server.close()
        return [reply.response for reply in replies]

    assert asyncio.run(run()) == [f"seed {seed}" for seed in range(300)] and most == 300


CARDS = '{"data": [{"id": "virgo", "owned_by": "vllm", "max_model_len": 4096}, {"id": "lora", "max_model_len": null}]}'


VERSION = status(200, '{"version": "0.20.2"}')


def test_look_at():
    facts, server = play(status(200, CARDS), VERSION, ask=lambda url: look_at(url, KEY))
    assert facts == ServerFacts(("virgo", "lora"), 4096, "0.20.2")
    assert [head.split()[1] for head, _ in server.requests] == ["/v1/models", "/version"]
    assert all(f"authorization: bearer {KEY}" in head.lower() for head, _ in server.requests)
    public = status(200, '{"data": [{"id": "gpt", "object": "model"}]}')
    facts, server = play(public, ask=lambda url: look_at(url, KEY, "openai"))
    assert facts == ServerFacts(("gpt",), None, "") and len(server.requests) == 1


NO_MODELS = ["<html><body>A web page</body></html>", "", "null", "[1]", '{"data": "all"}', '{"data": [1]}', '{"data']


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scripts", "kind", "said"),
    [
        ([status(200, CARDS), status(404, '{"detail": "Not Found"}')], WrongServer, "not vLLM"),
        ([status(200, CARDS), status(200, '{"build": 7}')], WrongServer, "not vLLM"),
        ([status(200, CARDS), status(200, "<html>version</html>")], WrongServer, "not vLLM"),
        *(([one], WrongServer, "no model server") for one in map(status, [200] * 7, NO_MODELS)),
        *(([status(code, "no")], WrongServer, "no model server") for code in (404, 405)),
        ([status(401, "{}")], WrongServer, "HTTP 401"),
        ([status(500, "{}")], Unavailable, "HTTP 500"),
        ([b""], Unavailable, ""),
    ],
)
def test_what_is_no_server_of_models_is_told_in_one_line(scripts, kind, said):
    error, server = play(*scripts, ask=look_at)
    assert type(error) is kind and said in str(error) and "\n" not in str(error), error
    assert kind is not WrongServer or "vllm serve" in str(error) or "api_key_env" in str(error)
    assert server.requests[0][0].split()[1] == "/v1/models"
