"""Memory and time of merge, status and select on a million generated rollouts: the index is made once, then each is quick.

Two folders are generated, as two machines would leave them (shards 1 and 2 of 2): questions on pictures, the base model's
greedy pass, five samples of each question that it did not solve, and their verdicts. A response is a long thought of about
--characters characters (seeded words; the shortest a fifth, the longest about twice that); 45 % are correct, 10 % cut off,
5 % loops. The questions share 500 pictures. Then every verb runs as the command line does, in a process of its own: merge
puts the two together (and makes the index of each before), status reads the result and makes its index, then each verb runs
on the index that is there; then with rows appended, as a run leaves them between two looks. CPU seconds are those of the verb
and its children: on a busy machine the clock says little. Memory is the sum of the
resident sets of all of a verb's processes, sampled twenty times a second (shared pages are counted once a process, so it is
an upper bound).

    python benchmarks/rollouts_scale.py --rows 1000000

needs about 2.5 times rows x characters of disk (removed at the end).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data_scale import resident
from PIL import Image

from virgo_factory import __version__
from virgo_factory.distill.config import FILE, DistillConfig
from virgo_factory.rollouts.question import VisualQuestion, write_question


ROOT = Path(__file__).parents[1]
LIMIT = 0.5e9
SAMPLES = 5
PICTURES = 500
BASE, MODEL = "Qwen/Qwen2-VL-7B-Instruct", "saves/virgo7b_dt"
SOURCES = ("geos", "geoqa_plus", "geometry3k", "unigeo", "tabmwp", "figureqa", "chartqa", "clevr")
SOLVED = 0.3  # share of questions that the base model solves
OUTCOMES = ("correct", "wrong", "unverifiable", "truncated", "looping")
SHARES = (0.45, 0.38, 0.02, 0.10, 0.05)
WORDS = (
    "so the of that we have and is then this wait let me check again because if both sides are equal now sum angle area "
    "number first second third value square root triangle circle point line length ratio product difference means which "
    "gives us not quite right hold on maybe another way to see it count how many times each one appears in table figure"
).split()


def generate(folders: list[Path], rows: int, characters: int, seed: int) -> int:
    """Write the folders, and return the number of rollouts in them."""
    chance = np.random.default_rng(seed)
    sentences = [
        " ".join(chance.choice(WORDS, chance.integers(8, 24))).capitalize() + f", {chance.integers(1, 10**6)}.\n\n"
        for _ in range(20_000)
    ]
    per_sentence = sum(map(len, sentences)) / len(sentences)
    questions = round(rows / (1 + (1 - SOLVED) * SAMPLES))
    pictures = [f"images/{number:03}.png" for number in range(PICTURES)]
    with tempfile.TemporaryDirectory() as drawn:
        for number, name in enumerate(pictures):
            Image.new("RGB", (64, 64), (number % 256, 100, 150)).save(f"{drawn}/{Path(name).name}")

        for folder in folders:
            shutil.copytree(drawn, folder / "images")

    for folder in folders:
        (folder / FILE).write_text(_config(folder).text(), encoding="utf-8")

    written = 0
    parts = range(1, len(folders) + 1)
    with _Files(folders, [f"-{part}of{len(folders)}" for part in parts]) as files:
        for at in range(questions):
            id, source = f"{SOURCES[at % 8]}/{at}", SOURCES[at % 8]
            picture = pictures[at % PICTURES]
            text = f"In picture {at}: {sentences[at % len(sentences)].strip()} How many are there?"
            question = VisualQuestion(
                id, source, (picture,), ("0" * 64,), text, str(at), kind="number", origin=f"{at}"
            )
            files.ask(question)
            is_solved = chance.random() < SOLVED
            answer = at if is_solved else at + 1
            outcome = "correct" if is_solved else "wrong"
            files.add(at, _rollout(id, BASE, -1, f"It is \\boxed{{{answer}}}.", outcome))
            written += 1
            if is_solved:
                continue

            outcomes = chance.choice(len(OUTCOMES), SAMPLES, p=_shares(chance))
            lengths = chance.gamma(4, characters / 4 / per_sentence, SAMPLES).clip(3, 10 * characters / per_sentence)
            for sample, (outcome, length) in enumerate(zip(outcomes, lengths, strict=True)):
                places = chance.integers(0, len(sentences), int(length))
                thought = "".join([sentences[place] for place in places])
                outcome = OUTCOMES[outcome]
                files.add(at, _rollout(id, MODEL, sample, _response(thought, outcome, at), outcome))
                written += 1

    return written


def _config(folder: Path) -> DistillConfig:
    return DistillConfig(
        sources=dict.fromkeys(SOURCES, 10**6), base_model_name_or_path=BASE, model_name_or_path=MODEL, samples=SAMPLES,
        output_dir=folder, dataset="scale", dataset_dir=folder, urls=("http://localhost:1",),
        base_urls=("http://localhost:2",), source_quota=False,
    )  # fmt: skip


def _shares(chance: np.random.Generator) -> np.ndarray:
    """Return the shares of outcomes of one question: some are harder than others."""
    shares = np.array(SHARES)
    easier = chance.uniform(-0.35, 0.35)
    shares[:2] += (easier, -easier)
    return shares.clip(0) / shares.clip(0).sum()


def _response(thought: str, outcome: str, gold: int) -> str:
    if outcome in ("truncated", "looping"):
        return f"<|begin_of_thought|>\n\n{thought}"

    answer = gold if outcome == "correct" else gold + 1
    return (
        f"<|begin_of_thought|>\n\n{thought}<|end_of_thought|>\n\n"
        f"<|begin_of_solution|>\n\nThere are \\boxed{{{answer}}}.\n\n<|end_of_solution|>"
    )


def _rollout(id: str, model: str, sample: int, response: str, outcome: str) -> tuple[dict, dict]:
    """Return the row of a rollout and that of its verdict."""
    key = {"question": id, "model": model, "sample": sample}
    finish = {"truncated": "length", "looping": "loop"}.get(outcome, "stop")
    rollout = {
        **key, "response": response, "finish_reason": finish, "prompt_tokens": 400,
        "completion_tokens": len(response) // 4, "seconds": 12.5, "seed": 7, "prompt_sha256": "ab" * 32,
        "params": {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "max_tokens": 8192, "server": "vllm 0.20.2"},
    }  # fmt: skip
    verdict = {
        **key, "verdict": outcome if outcome in OUTCOMES[:3] else "wrong", "kind": "number", "answer": "12",
        "reason": {"correct": "same_value", "unverifiable": "gold_unclear"}.get(outcome, "other_value"),
        "rule": "box", "where": "solution", "state": outcome if outcome in OUTCOMES[3:] else "complete",
        "version": __version__,
    }  # fmt: skip
    return rollout, verdict


class _Files:
    """The files of the folders, question by question in turn; the questions are in all of them."""

    def __init__(self, folders: list[Path], suffixes: list[str]) -> None:
        self.questions = [(folder / "questions.jsonl").open("w", encoding="utf-8") for folder in folders]
        self.rows = [
            [(folder / f"{name}{suffix}.jsonl").open("w", encoding="utf-8") for name in ("rollouts", "verdicts")]
            for folder, suffix in zip(folders, suffixes, strict=True)
        ]

    def ask(self, question: VisualQuestion) -> None:
        for file in self.questions:
            file.write(write_question(question))

    def add(self, at: int, rows: tuple[dict, dict]) -> None:
        for file, row in zip(self.rows[at % len(self.rows)], rows, strict=True):
            file.write(json.dumps(row) + "\n")

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for file in (*self.questions, *(file for pair in self.rows for file in pair)):
            file.close()


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of the processors, and peak bytes of all processes."""

    seconds: float
    cpu: float
    peak: int


def verbs(folders: list[Path], merged: Path, page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (name, arguments) of every verb that is measured."""
    merge = ["merge", *map(str, folders), "--out", str(merged)]
    status = ["status", str(merged), "--json"]
    yield "merge, making the indexes of the parts", merge
    yield "merge", merge
    yield "status, making the index", status
    yield "status", status
    yield "status, 1 % of the rows new", status
    yield "status --html", ["status", str(merged), "--html", str(page)]
    yield "select, which writes the rows", ["select", str(merged), "--json"]


def cut(merged: Path, share: float) -> list[tuple[Path, bytes]]:
    """Take the last lines of the files away, and return them."""
    taken = []
    for path in (merged / "rollouts.jsonl", merged / "verdicts.jsonl"):
        with path.open("rb+") as file:
            file.seek(int(path.stat().st_size * (1 - share)))
            file.readline()
            start = file.tell()
            taken.append((path, file.read()))
            file.truncate(start)

    return taken


def run(arguments: list[str]) -> tuple[Cost, str]:
    """Run a verb and return its cost and what it printed.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "virgo_factory.cli.main", "distill", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    started, peak, before = time.monotonic(), 0, os.times()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=printed, stderr=errors, env=environment)
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.05)

        seconds, after = time.monotonic() - started, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        printed.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: exit code {process.returncode}\n{errors.read().decode()[-2000:]}"
            )

        return Cost(seconds, cpu, peak), printed.read().decode()


def main() -> int:
    """Run and print the table; 1 if a verb takes more than 0.5 GB, or rows were lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rollouts, about")
    parser.add_argument("--characters", type=int, default=6000, help="of a response, on average")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "rollouts_scale", help="made and removed")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    folder = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)
    folders, merged = [folder / "first", folder / "second"], folder / "merged"
    try:
        started = time.monotonic()
        for part in folders:
            part.mkdir(parents=True)

        written = generate(folders, arguments.rows, arguments.characters, arguments.seed)
        size = sum(path.stat().st_size for path in folder.glob("*/rollouts*.jsonl"))
        print(
            f"{written:,} rollouts, {size / 1e9:.1f} GB, {size / written:,.0f} bytes a row, "
            f"generated in {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
        print("| verb | rollouts | time | CPU | peak memory |")
        print("|---|---|---|---|---|")
        failed = False
        for name, line in verbs(folders, merged, folder / "page.html"):
            if line[0] == "merge":
                shutil.rmtree(merged, ignore_errors=True)

            if "new" in name:
                lines = cut(merged, 0.01)
                run(line)
                for path, content in lines:
                    with path.open("ab") as file:
                        file.write(content)

            cost, printed = run(line)
            failed |= cost.peak > LIMIT
            print(
                f"| {name} | {written:,} | {cost.seconds:.1f} s | {cost.cpu:.1f} s | {cost.peak / 1e9:.2f} GB |",
                flush=True,
            )
            if name.startswith("merge"):
                size = (folders[0] / ".index.sqlite").stat().st_size + (folders[1] / ".index.sqlite").stat().st_size
                print(f"indexes of the parts: {size / 1e6:.0f} MB", file=sys.stderr)

            if line[0] == "status" and "--json" in line:
                group = json.loads(printed)["all"]
                if group["rollouts"] + group["base_asked"] != written:
                    raise RuntimeError(f"{written:,} rollouts were written, status counts {group}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
