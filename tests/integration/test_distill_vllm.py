"""The real vLLM on a trained checkpoint: training's tokens, one response a seed, runs that go on, no server left behind.

One server for all tests of this file, since it takes a minute or more to start; the last test kills it.
"""

import asyncio
import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.integration.conftest import SMALL
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.tokens.image_size import read_processor
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.evaluation.run import evaluate
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.prompt import Prompt, compose, count_prompt_tokens, make_prompt
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.servers import client
from virgo_factory.rollouts.servers.client import Endpoint, Refused, Reply, Sampling, Unavailable, WrongServer, look_at
from virgo_factory.rollouts.store.store import read_rollouts


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PREFIX = read_prefix("virgo")
BUDGET = (3136, 50_176)
CONTEXT = 1024
IMAGES = 8
SOURCES = ("tabmwp", "chartqa", "figureqa", "clevr", "geos", "geometry3k", "iconqa")
SAMPLING = Sampling(temperature=1.0, max_tokens=24)


@dataclass
class Serving:
    """The server, the process that started it with `Server`, and what is asked of it."""

    url: str
    pid: int
    starter: subprocess.Popen
    model: Path
    prompts: list[Prompt]
    log: Path

    def ask(self, *prompts: Prompt, sampling: Sampling = SAMPLING, seed: int = 7, model: str = "twin") -> list[Reply]:
        """Return the replies to prompts, asked one after the other."""

        async def run() -> list[Reply]:
            async with Endpoint(self.url, model, timeout=120) as endpoint:
                return [await endpoint.ask(prompt, sampling, seed) for prompt in prompts]

        return asyncio.run(run())


@pytest.fixture(scope="module")
def model(tmp_path_factory, model_folder, make_bench, demo_lines) -> Path:
    """A twin with the real tokenizer's first merges, trained for a step: its chat template carries the prefix."""
    from virgo_factory.preflight.twin.twin import make_twin

    folder = tmp_path_factory.mktemp("distilled")
    base = make_twin(folder / "base", model_folder, dtype="float32", **SMALL)
    bench = make_bench(folder, base)
    bench.add_dataset("thoughts", sorted(demo_lines, key=len)[:8])
    bench.train(max_steps=1)
    return folder / "out"


@pytest.fixture(scope="module")
def prompts(tmp_path_factory, shared_data) -> list[Prompt]:
    """Real questions of every source there is, with their pictures."""
    from virgo_factory.distill.config import read_config
    from virgo_factory.distill.questions.build import build_questions

    folder = tmp_path_factory.mktemp("questions")
    keys = {"sources": dict.fromkeys(SOURCES, 2), "source_dir": str(shared_data), "model_name_or_path": "twin"}
    keys |= {
        "urls": ["http://127.0.0.1:9"],
        "output_dir": str(folder / "out"),
        "dataset": "distilled",
        "image_max_pixels": BUDGET[1],
    }
    (folder / "config.yaml").write_text(json.dumps(keys), encoding="utf-8")
    build_questions(read_config(folder / "config.yaml"), folder / "out")
    questions = list(read_questions(folder / "out" / "questions.jsonl"))
    assert {question.source for question in questions} == set(SOURCES)
    return [make_prompt(question, folder / "out", PREFIX, *BUDGET) for question in questions]


@pytest.fixture(scope="module")
def serving(model, prompts, tmp_path_factory, root):
    """The server, started by a process of its own that the last test kills."""
    pytest.importorskip("vllm", reason="vLLM is not installed (make test installs its CPU build)")
    log = tmp_path_factory.mktemp("server") / "server.log"
    script = textwrap.dedent(f"""\
        import time
        from virgo_factory.rollouts.servers.server import Server
        arguments = ["--served-model-name", "twin"]
        with Server({str(model)!r}, {str(log)!r}, max_model_len={CONTEXT}, images={IMAGES}, args=arguments) as server:
            print(server.url, server.pid, flush=True)
            time.sleep(3600)
        """)
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    starter = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        line = starter.stdout.readline().split()
        assert line, log.read_text(errors="replace")[-5000:]
        yield Serving(line[0].decode(), int(line[1]), starter, model, prompts, log)
    finally:
        starter.terminate()
        starter.wait()
        starter.stdout.close()


@pytest.fixture(scope="module")
def processor(model):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(model)


def pictures(prompt: Prompt) -> list[Image.Image]:
    """Return the pictures of a prompt as they were sent."""
    urls = [part["image_url"]["url"] for part in prompt.messages[0]["content"] if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def test_the_server_says_what_it_is(serving):
    facts = asyncio.run(look_at(serving.url))
    assert facts.models == ("twin",) and facts.max_model_len == CONTEXT
    assert facts.version.startswith("0.")


def test_prompt_tokens_are_those_of_training(serving, processor):
    """Server, our count and the model's processor agree on every question; the prefix stands there once."""
    vocabulary, sizes = load_vocabulary(serving.model), read_processor(serving.model)
    replies = serving.ask(*serving.prompts)
    assert len(replies) >= 2 * len(SOURCES)
    for prompt, reply in zip(serving.prompts, replies, strict=True):
        messages = [
            {"role": "user", "content": [{"type": "image"}] * len(prompt.images) + prompt.messages[0]["content"][-1:]}
        ]
        text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, question_prefix="")
        assert text.count(PREFIX) == 1 and f"<|vision_end|>{PREFIX}\n" in text
        theirs = len(processor(text=[text], images=pictures(prompt))["input_ids"][0])
        ours = count_prompt_tokens(prompt, vocabulary, sizes)
        assert reply.prompt_tokens == ours == theirs, prompt.text


def test_a_begun_response_goes_on_letter_by_letter(serving):
    """The server's prompt ends with the beginning, its trailing blank too: no turn is closed or opened behind it."""
    vocabulary, sizes = load_vocabulary(serving.model), read_processor(serving.model)
    prefill = "<think>\nI see three bars. Wait, "
    prompt = serving.prompts[0]
    messages = [*prompt.messages, {"role": "assistant", "content": prefill}]
    begun = replace(prompt, messages=messages, prefill=prefill)
    plain, reply = serving.ask(prompt, begun)
    assert reply.prompt_tokens == count_prompt_tokens(begun, vocabulary, sizes) > plain.prompt_tokens


def test_behind_the_rendered_prompt_as_text_it_is_the_same_request(serving):
    """What goes to /v1/completions where a template rewrites thoughts has the tokens of the chat request, special ones too."""
    begun = compose("a thought", "How many?", prefill="<think>\nI see three bars. Wait, ")
    greedy = Sampling(temperature=0.0, max_tokens=24)

    async def ask(how: str) -> Reply:
        async with Endpoint(serving.url, "twin", timeout=120) as endpoint:
            endpoint._continues = how
            return await endpoint.ask(begun, greedy, 1)

    chat, text = (asyncio.run(ask(how)) for how in ("chat", "text"))
    assert (text.response, text.prompt_tokens, text.completion_tokens) == (
        chat.response,
        chat.prompt_tokens,
        chat.completion_tokens,
    )


def test_thoughts_are_closed_at_their_budget_and_go_on(serving, tmp_path):
    """Questions with pictures: the thought stands in front letter by letter, and its tokens are counted by the server."""
    rows = []
    for number in range(4):
        Image.new("RGB", (84, 84), (60 * number, 0, 200)).save(tmp_path / f"{number}.png")
        row = {"id": f"own/{number}", "source": "own", "images": [f"{number}.png"], "question": "Which colour?"}
        rows.append(json.dumps(row | {"gold": "blue"}) + "\n")

    (tmp_path / "questions.jsonl").write_text("".join(rows))
    config = EvaluationConfig(
        questions=tmp_path / "questions.jsonl",
        model_name_or_path=str(serving.model),
        urls=[serving.url],
        served_model_name="twin",
        max_model_len=CONTEXT,
        max_tokens=64,
        cut_loops=False,
        response_format="think",
        budget=16,
        output_dir=tmp_path / "out",
    )
    assert not evaluate(config).outcome.left.samples
    before = {rollout.question: rollout for rollout in read_rollouts(tmp_path / "out")}
    found = {rollout.question: rollout for rollout in read_rollouts(tmp_path / "out/budgets/16")}
    vocabulary = load_vocabulary(serving.model)
    closed = {id: rollout for id, rollout in found.items() if rollout != before[id]}
    assert found.keys() == before.keys() and closed, "a random twin says more than 16 tokens now and then"
    for id, rollout in closed.items():
        thought, _ = rollout.response.split("\n</think>\n\n", 1)
        assert before[id].response.startswith(thought) and vocabulary.count(thought) <= 16
        assert rollout.prompt_tokens == before[id].prompt_tokens
        assert 16 < rollout.completion_tokens <= 16 + 8 + 48


def test_the_public_dialect_is_understood_too(serving):
    async def ask():
        async with Endpoint(serving.url, "twin", dialect="openai") as endpoint:
            return await endpoint.ask(serving.prompts[0], Sampling(max_tokens=8), 1)

    reply = asyncio.run(ask())
    assert (reply.finish_reason, reply.completion_tokens) in (("length", 8), ("stop", reply.completion_tokens))
    assert reply.prompt_tokens > 0


def test_without_our_argument_the_template_puts_the_prefix(serving, monkeypatch):
    """The test above could not tell otherwise: the checkpoint's template does carry a prefix."""
    prompt = serving.prompts[0]
    bare = replace(prompt, messages=json.loads(json.dumps(prompt.messages)))
    bare.messages[0]["content"][-1]["text"] = prompt.text.removeprefix(PREFIX + "\n")
    with_argument, whole = serving.ask(bare, prompt)
    monkeypatch.setattr(client, "TEMPLATE_ARGUMENTS", {})
    (without,) = serving.ask(bare)
    assert with_argument.prompt_tokens < without.prompt_tokens == whole.prompt_tokens


def test_seeds(serving):
    """The same seed gives the same response, another one another; greedy needs none."""
    prompt = serving.prompts[0]
    (first,), (again,), (other,) = (serving.ask(prompt, seed=seed) for seed in (1, 1, 2**62))
    assert first.response == again.response != other.response
    greedy = Sampling(temperature=0.0, max_tokens=24)
    (one,), (two,) = (serving.ask(prompt, sampling=greedy, seed=seed) for seed in (1, 2))
    assert one.response == two.response


def test_many_at_once(serving):
    """More prompts at once than the engine takes in one step; its CPU build died of those that it took in two."""

    async def run() -> list[Reply]:
        async with Endpoint(serving.url, "twin", timeout=120) as endpoint:
            sampling = replace(SAMPLING, max_tokens=6)
            asked = [endpoint.ask(prompt, sampling, seed) for seed in range(8) for prompt in serving.prompts]
            return await asyncio.gather(*asked)

    replies = asyncio.run(run())
    assert sum(reply.prompt_tokens for reply in replies) > 10_000
    assert {reply.completion_tokens for reply in replies} <= set(range(1, 7))


def test_length_and_tokens(serving):
    (reply,) = serving.ask(serving.prompts[1], sampling=replace(SAMPLING, max_tokens=100))
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 100)
    assert reply.response and reply.seconds > 0


@pytest.mark.parametrize(
    ("allowed", "reason", "response"),
    [("<|object_ref_start|>", "length", "<|object_ref_start|>" * 24), ("<|im_end|>", "stop", "")],
)
def test_special_tokens(serving, processor, monkeypatch, allowed, reason, response):
    """Special tokens stay in the text, without blanks between them; the end of turn ends it, and is not in the text."""
    token = processor.tokenizer.convert_tokens_to_ids(allowed)
    plain = client._request
    monkeypatch.setattr(client, "_request", lambda *arguments: plain(*arguments) | {"allowed_token_ids": [token]})
    (reply,) = serving.ask(serving.prompts[0])
    assert (reply.finish_reason, reply.response) == (reason, response)


def test_loop_is_cut_and_the_server_stops_generating(serving, processor, monkeypatch):
    """A model that says one word for ever is cut off long before max_tokens, with the tokens it took until then."""
    token = processor.tokenizer.encode(" again")[0]
    plain = client._request
    monkeypatch.setattr(client, "_request", lambda *arguments: plain(*arguments) | {"allowed_token_ids": [token]})
    (reply,) = serving.ask(serving.prompts[0], sampling=replace(SAMPLING, max_tokens=900))
    assert reply.finish_reason == "loop"
    assert reply.response == " again" * reply.completion_tokens
    assert reply.completion_tokens < 800  # the server is further ahead of its reader on a busy machine


@pytest.mark.parametrize(
    ("name", "max_tokens", "error", "said"),
    [
        ("another", 8, WrongServer, "does not exist"),
        ("twin", CONTEXT - 20, Refused, "HTTP 400: .*context length"),
        ("twin", CONTEXT + 1, WrongServer, "max_model_len"),
    ],
)
def test_what_cannot_work(serving, name, max_tokens, error, said):
    with pytest.raises(error, match=said):
        serving.ask(serving.prompts[0], sampling=Sampling(max_tokens=max_tokens, cut_loops=False), model=name)


def test_a_response_that_the_pictures_leave_no_room_for(serving):
    """vLLM counts a picture as one token when it looks whether there is room, and then generates less than was asked."""
    prompt = replace(serving.prompts[0], messages=json.loads(json.dumps(serving.prompts[0].messages)))
    prompt.messages[0]["content"][-1]["text"] += " word" * (CONTEXT - 400)  # little is left to generate
    (reply,) = serving.ask(prompt)
    assert CONTEXT - 400 < reply.prompt_tokens < CONTEXT - 30
    with pytest.raises(Refused, match=f"after {CONTEXT - reply.prompt_tokens} of max_tokens"):
        room = CONTEXT - reply.prompt_tokens + 10
        serving.ask(prompt, sampling=Sampling(max_tokens=room, cut_loops=False))


def test_too_long_a_prompt(serving):
    prompt = replace(serving.prompts[0], messages=[{"role": "user", "content": "word " * CONTEXT}])
    with pytest.raises(Refused, match="HTTP 400: .*context length"):
        serving.ask(prompt)


def test_a_run_is_killed_while_it_samples_and_goes_on_where_it_was(serving, shared_data, tmp_path):
    """SIGKILL; started again it asks for exactly what was missing. Responses of the twin are noise."""
    keys = {
        "sources": {name: 2 for name in SOURCES if name != "geos"},
        "source_dir": str(shared_data),
        "question_prefix": "virgo",
        "image_max_pixels": BUDGET[1],
        "model_name_or_path": str(serving.model),
        "urls": [serving.url],
        "served_model_name": "twin",
        "max_model_len": CONTEXT,
        "max_tokens": 20,
        "requests_in_flight": 8,
        "output_dir": str(tmp_path / "out"),
        "dataset": "noise",
    }
    config, log, path = tmp_path / "config.yaml", tmp_path / "log", tmp_path / "out" / "rollouts.jsonl"
    config.write_text(json.dumps(keys), encoding="utf-8")
    command = [sys.executable, "-c", "from virgo_factory.cli.main import main; main()", "distill", "run", str(config)]

    def begin() -> subprocess.Popen:
        with log.open("w") as output:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    process = begin()
    try:
        end = time.monotonic() + 600
        while not path.exists() or path.read_bytes().count(b"\n") < 20:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)

        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before = path.read_bytes()
        before = before[: before.rfind(b"\n") + 1]
        process = begin()
        assert process.wait(600) == 0, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    after = path.read_bytes()
    assert after.startswith(before)
    told = re.search(r"(\d+) rollouts were made in this start", log.read_text())
    assert int(told[1]) == after.count(b"\n") - before.count(b"\n")
    rollouts = list(read_rollouts(tmp_path / "out"))
    assert Counter(rollout.question for rollout in rollouts) == {
        question.id: 5 for question in read_questions(tmp_path / "out" / "questions.jsonl")
    }
    assert len({rollout.key for rollout in rollouts}) == len(rollouts) == 60
    assert {verdict.key for verdict in read_verdicts(tmp_path / "out")} == {rollout.key for rollout in rollouts}


def test_killed_while_it_answers(serving):
    """SIGKILL of the process that started it takes the whole server down; what it was answering is no rollout."""

    async def run() -> tuple[list, float]:
        async with Endpoint(serving.url, "twin", timeout=120) as endpoint:
            sampling = Sampling(max_tokens=900, cut_loops=False)
            asked = [asyncio.create_task(endpoint.ask(prompt, sampling, 1)) for prompt in serving.prompts[:8]]
            await asyncio.sleep(1.5)
            os.kill(serving.starter.pid, signal.SIGKILL)
            start = time.monotonic()
            return await asyncio.gather(*asked, return_exceptions=True), time.monotonic() - start

    before = members(serving.pid)
    assert len(before) >= 3  # guard, API server, engine
    results, seconds = asyncio.run(run())
    assert [type(result) for result in results] == [Unavailable] * 8, results
    assert seconds < 30
    deadline = time.monotonic() + 30
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in before):
        assert time.monotonic() < deadline, members(serving.pid)
        time.sleep(0.2)

    with pytest.raises(Unavailable):
        asyncio.run(look_at(serving.url))


def members(group: int) -> list[psutil.Process]:
    """Return the processes of a group and all their descendants."""
    guard = psutil.Process(group)
    return [guard, *guard.children(recursive=True)]
