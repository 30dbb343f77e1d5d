"""Rollouts: our client against vLLM's own offline `generate`, the client's own cost, and what the loop cut saves.

python benchmarks/rollouts.py throughput [--requests 128] [--tokens 1024] [--rounds 2]   (ten minutes at most, needs vLLM)
python benchmarks/rollouts.py client [--requests 3000]   (half a minute)
python benchmarks/rollouts.py loops                      (ten seconds)

`throughput`: the same prompts (a drawn picture and a question), seeds and sampling, the same twin, 64 at a time: once
through `LLM.chat` in one process, before and after, and in between through a server started by us and our client. Each
is warmed up, then timed `--rounds` times, and its best round counts. `client` asks the replay server of the tests, which streams real
responses as fast as it can. `loops` replays the real responses of ../shared/data through the cut.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from virgo_factory.core.thought import LongThought
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.rollouts.prompt import TEMPLATE_ARGUMENTS, Prompt, make_prompt
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.servers.client import Endpoint, Reply, Sampling
from virgo_factory.rollouts.servers.loop_detector import LoopWatch
from virgo_factory.rollouts.servers.server import STREAM_INTERVAL, Server, environment, is_cpu_build
from virgo_factory.rollouts.store.rollout import difficulty_of


ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
IN_FLIGHT = 64
CONTEXT = 2048
STEP = 4096
"""Tokens of a step; the engine's own default differs between its two ways in."""
TWIN = {"layers": 8, "heads": 16}
"""Some 40 ms a step of 64 tokens on one core: the model is the work."""


def drawn_prompts(folder: Path, count: int) -> list[Prompt]:
    """Return prompts about bar charts, each with a picture of its own."""
    from PIL import Image, ImageDraw

    draw, prompts = random.Random(0), []
    for number in range(count):
        heights = [draw.randrange(10, 70) for _ in range(5)]
        image = Image.new("RGB", (140, 84), "white")
        pen = ImageDraw.Draw(image)
        for place, height in enumerate(heights):
            pen.rectangle((8 + 26 * place, 80 - height, 26 + 26 * place, 80), fill=("navy", "teal")[place % 2])

        image.save(folder / f"{number}.png")
        text = f"How many of the {len(heights)} bars are taller than {draw.randrange(20, 60)}?"
        question = VisualQuestion(f"bars/{number}", "bars", (f"{number}.png",), ("",), text, "0")
        prompts.append(make_prompt(question, folder, read_prefix("virgo")))

    return prompts


async def ask_all(url: str, model: str, asked: Iterable[tuple[Prompt, Sampling, int]]) -> list[Reply]:
    """Return the replies to prompts, each with its sampling and seed, 64 in flight."""
    async with Endpoint(url, model) as endpoint:
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(prompt: Prompt, sampling: Sampling, seed: int) -> Reply:
            async with slots:
                return await endpoint.ask(prompt, sampling, seed)

        return await asyncio.gather(*(one(*request) for request in asked))


def length(seed: int, tokens: int) -> int:
    """Return how long a response may become: half to one and a half times `tokens`, as real ones differ in length."""
    return random.Random(seed).randint(tokens // 2, tokens + tokens // 2)


def throughput(requests: int, tokens: int, rounds: int) -> None:
    """Print the ratio of our client's tokens per second to those of the offline engine."""
    from virgo_factory.preflight.twin.twin import make_twin

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_twin(folder / "model", **TWIN)
        job = {"model": str(model), "requests": requests, "tokens": tokens, "rounds": rounds, "folder": name}
        peer_rounds = in_a_process_of_its_own(job)
        arguments = ["--max-num-seqs", str(IN_FLIGHT), "--max-num-batched-tokens", str(STEP)]
        arguments += ["--served-model-name", "twin"]
        with Server(str(model), folder / "log", max_model_len=CONTEXT, args=arguments) as server:
            prompts = drawn_prompts(folder, requests)
            asyncio.run(ask_all(server.url, "twin", [(prompt, Sampling(max_tokens=8), 0) for prompt in prompts]))
            ours = []
            for number in range(rounds):
                start, busy = time.monotonic(), time.process_time()
                asked = [
                    (prompt, Sampling(max_tokens=length(seed, tokens), cut_loops=False), seed)
                    for seed, prompt in enumerate(prompts, number * requests)
                ]
                replies = asyncio.run(ask_all(server.url, "twin", asked))
                seconds = time.monotonic() - start
                ours.append((sum(reply.completion_tokens for reply in replies) / seconds, seconds))
                share = (time.process_time() - busy) / seconds

        peer_rounds += in_a_process_of_its_own(job)

    best, peer = max(ours), max(peer_rounds)
    print(
        f"{requests} requests of {tokens // 2} to {tokens + tokens // 2} tokens, {IN_FLIGHT} in flight, {rounds} rounds"
    )
    for name, all_rounds in (("vLLM offline LLM.chat", peer_rounds), ("server and our client", ours)):
        told = ", ".join(f"{rate:.0f} tokens/s ({seconds:.0f} s)" for rate, seconds in all_rounds)
        print(f"  {name}: {told}")

    print(f"  our client's share of one core: {share:.2f}")
    print(f"ratio of the best rounds: {best[0] / peer[0]:.3f} (asked: at least 0.97)")


def in_a_process_of_its_own(job: dict) -> list[tuple[float, float]]:
    """Return what `offline` finds: tokens per second and seconds of each round.

    Args:
        job: model, requests, rounds, folder; tokens, about which responses may have, or `all_of` for the same limit of all.
    """
    folder = Path(job["folder"])
    with open(folder / "offline.log", "w") as log:
        command = [sys.executable, str(Path(__file__).resolve()), "offline", json.dumps(job)]
        done = subprocess.run(command, env=environment(os.environ), stdout=log, stderr=log, timeout=900)

    if done.returncode:
        sys.exit("".join((folder / "offline.log").read_text(errors="replace").splitlines(keepends=True)[-400:]))

    return [tuple(one) for one in json.loads((folder / "offline.json").read_text())]


def offline(job: dict) -> None:
    """Write tokens per second and seconds of each round of the offline engine."""
    from vllm import LLM, SamplingParams

    cpu = {"enforce_eager": True, "skip_mm_profiling": True, "enable_chunked_prefill": False}  # as in CPU_ARGUMENTS
    engine = LLM(
        job["model"],
        max_model_len=CONTEXT,
        max_num_seqs=IN_FLIGHT,
        max_num_batched_tokens=STEP,
        enable_prefix_caching=True,
        generation_config="vllm",
        limit_mm_per_prompt={"image": 1, "video": 0},
        **(cpu if is_cpu_build() else {}),
    )
    prompts = [prompt.messages for prompt in drawn_prompts(Path(job["folder"]), job["requests"])]

    def ask(first: int, most: int | None = None) -> int:
        sampling = [
            SamplingParams(
                temperature=1.0,
                seed=seed,
                max_tokens=most or job.get("all_of") or length(seed, job["tokens"]),
                skip_special_tokens=False,
            )
            for seed in range(first, first + len(prompts))
        ]
        replies = engine.chat(prompts, sampling, use_tqdm=False, chat_template_kwargs=dict(TEMPLATE_ARGUMENTS))
        return sum(len(reply.outputs[0].token_ids) for reply in replies)

    ask(0, 8)
    rounds = []
    for number in range(job["rounds"]):
        start = time.monotonic()
        tokens = ask(number * len(prompts))
        seconds = time.monotonic() - start
        rounds.append((tokens / seconds, seconds))

    Path(job["folder"], "offline.json").write_text(json.dumps(rounds))


def serve(tell: Connection) -> None:
    """Serve real responses as fast as it goes until killed, and tell the URL."""
    sys.path.insert(0, str(ROOT / "tests" / "rollouts"))
    from replay import replay

    files = sorted((DATA / "skythought").glob("*.json*"))
    with replay(files, tokens_an_event=STREAM_INTERVAL, events_a_chunk=0) as server:
        tell.send(server.url)
        signal.pause()


def client(requests: int) -> None:
    """Print requests per second against the replay server of the tests, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        prompts = drawn_prompts(Path(name), 50)

    told, tell = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(tell,), daemon=True)
    server.start()
    url = told.recv()
    asked = [(prompts[seed % len(prompts)], Sampling(max_tokens=8192), seed) for seed in range(requests)]
    asyncio.run(ask_all(url, "replay", asked[:200]))
    start, busy = time.monotonic(), time.process_time()
    replies = asyncio.run(ask_all(url, "replay", asked))
    seconds, busy = time.monotonic() - start, time.process_time() - busy
    server.kill()

    characters = sum(len(reply.response) for reply in replies)
    print(f"{requests} requests, {IN_FLIGHT} in flight, {characters / requests:.0f} characters a response")
    print(f"  {requests / seconds:.0f} requests/s (asked: at least 300), load of the machine {os.getloadavg()[0]:.1f}")
    print(f"  client alone: {1000 * busy / requests:.2f} ms of a core a request, so {requests / busy:.0f}/s at most")


def loops() -> None:
    """Print what the loop cut and `stop_when_decided` save on real responses."""
    from virgo_factory.data.tokens.vocabulary import load_vocabulary

    count = load_vocabulary(DATA / "qwen2.5_vl_tokenizer").count
    whole = taken = rows = kept = well = well_cut = cut = total = 0
    start = time.process_time()
    for text, correct in skythought():
        at = cut_at(text)
        is_well_formed = parses(text)
        total, cut = total + 1, cut + (at is not None)
        well, well_cut = well + is_well_formed, well_cut + (is_well_formed and at is not None)
        rows, kept = rows + (is_well_formed and correct), kept + (is_well_formed and correct and at is None)
        tokens = count(text)
        whole, taken = whole + tokens, taken + (tokens if at is None else count(text[:at]))

    print(f"{total} responses of skythought, {whole} tokens; {cut} cut; {time.process_time() - start:.0f} s")
    print(f"  of {well} well-formed ones {well_cut} are cut, of {rows} that are also correct {rows - kept}")
    print(f"  tokens an accepted row: {whole / rows:.0f} without the cut, {taken / kept:.0f} with it")
    print(f"ratio, with the cut to without: {taken / kept / (whole / rows):.3f}")

    samples, asked, spent, everything, chosen, levels = 5, 0, 0, 0, 0, 0
    accepted = accepted_stopped = 0
    for responses, scores in math_samples():
        tokens = [count(text) for text in responses[:samples]]
        used = next(
            number
            for number in range(1, samples + 1)
            if difficulty_of(sum(scores[:number]), number - sum(scores[:number]), samples) != "undecided"
        )
        asked, levels = asked + used, levels + samples
        spent, everything = spent + sum(tokens[:used]), everything + sum(tokens)
        accepted, accepted_stopped = accepted + sum(scores[:samples]), accepted_stopped + sum(scores[:used])
        chosen += difficulty_of(sum(scores[:samples]), samples - sum(scores[:samples]), samples) in ("medium", "hard")

    print(f"stop_when_decided, {levels // samples} questions of qwen2.5_math_samples: {asked} samples, not {levels}")
    print(f"  {chosen} questions medium or hard: {everything / chosen:.0f} tokens each, stopped {spent / chosen:.0f}")
    print(f"  a correct response: {everything / accepted:.0f} tokens, stopped {spent / accepted_stopped:.0f}")
    print(f"ratio of tokens, stopped to all samples: {spent / everything:.3f} a question selected")


def skythought() -> Iterator[tuple[str, bool]]:
    """Yield every real response, with whether it was marked correct."""
    for file in sorted((DATA / "skythought").glob("*.json*")):
        if file.suffix == ".jsonl":
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                yield from zip(row["code"], row["score"], strict=True)
        else:
            for row in json.loads(file.read_text(encoding="utf-8")).values():
                yield from ((reply["content"], reply["correctness"]) for reply in row["responses"].values())


def math_samples() -> Iterator[tuple[list[str], list[bool]]]:
    """Yield the eight real responses to a question, with whether each was marked correct."""
    for file in sorted((DATA / "qwen2.5_math_samples").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield row["code"], row["score"]


def cut_at(text: str) -> int | None:
    """Return after how many characters the watch cuts a response that comes in events of 32 tokens."""
    watch, step = LoopWatch(), 4 * STREAM_INTERVAL
    return next((start + step for start in range(0, len(text), step) if watch.feed(text[start : start + step])), None)


def parses(text: str) -> bool:
    """Whether a response is one thought and one solution."""
    try:
        LongThought.parse(text)
    except ValueError:
        return False

    return True


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("throughput")
    part.add_argument("--requests", type=int, default=128)
    part.add_argument("--tokens", type=int, default=1024)
    part.add_argument("--rounds", type=int, default=2)
    parts.add_parser("client").add_argument("--requests", type=int, default=3000)
    parts.add_parser("loops")
    parts.add_parser("offline").add_argument("job", type=json.loads)
    given = vars(parser.parse_args())
    {"throughput": throughput, "client": client, "loops": loops, "offline": offline}[given.pop("part")](**given)


if __name__ == "__main__":
    main()
