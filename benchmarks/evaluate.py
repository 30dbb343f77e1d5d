"""Scores and the report at scale: 200,000 rollouts of real length, each within 60 s and 0.5 GB.

    python benchmarks/evaluate.py [--rollouts 200000] [--folder DIR]
    python benchmarks/evaluate.py --kills 20 [--questions 1000]
    python benchmarks/evaluate.py --store
    python benchmarks/evaluate.py --overhead [--questions 128] [--tokens 512] [--rounds 2]   (ten minutes, needs vLLM)

Questions are those of Virgo's four benchmarks in number and groups; responses are the recorded ones of ../shared/data/skythought,
again and again. Prints seconds, MB at the peak, and the ratio to plain reading of the same files; then the same of the whole
report (tables, plots, page), which reads all files itself.

With --kills: `evaluate run` against the replay server, once undisturbed and once killed by SIGKILL at random moments; scores.csv
has to be the same, byte by byte, and no response that stood in the file at a kill is asked again.

With --store: the 14,608 questions of Virgo's four benchmarks read from Parquet files of the hub's columns, each with a picture of its
own (the shared ones, one pixel changed), and stored; within five minutes.

With --overhead: a whole evaluation (questions read, asked of a vLLM server, stored, judged, scored) against `LLM.chat` of the same vLLM on the same
prompts, model and limits, offline before, between and after; each round's tokens per second, and the share that our process and its workers
have of all processor time of the evaluation, which other work on the machine disturbs less.
"""

import argparse
import io
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import rollouts
import rollouts_kills
from PIL import Image

from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.evaluation.report.report import write_report
from virgo_factory.evaluation.run import evaluate, make_questions
from virgo_factory.evaluation.scores import COLUMNS, hold, scores, write_csv
from virgo_factory.rollouts.store.jsonl import hash_of


DATA = Path(__file__).parents[2] / "shared" / "data"
NAMES = ("mathverse", "mathvision", "olympiadbench", "mmmu")
SAMPLES = 14


def responses() -> list[str]:
    """Return the recorded responses."""
    found = []
    for path in sorted((DATA / "skythought").glob("*.jsonl")):
        for line in path.open(encoding="utf-8"):
            found += json.loads(line)["code"]

    return found


def write(folder: Path, count: int) -> int:
    """Write questions, rollouts and verdicts; return the bytes."""
    drawn, texts = random.Random(0), responses()
    digests = [f"{hash_of(text):016x}" for text in texts]
    ids = []
    with (folder / "questions.jsonl").open("wb") as file:
        for name in NAMES:
            for number in range(BENCHMARKS[name].count):
                groups = {group: f"{group} {number % 12}" for group in BENCHMARKS[name].groups}
                cluster = str(number // 5) if name == "mathverse" else ""
                ids.append(f"{name}/{number}")
                row = {"id": ids[-1], "source": name, "images": [], "question": "?", "gold": "1", "groups": groups}
                file.write(orjson.dumps(row | {"cluster": cluster}) + b"\n")

    with (folder / "rollouts.jsonl").open("wb") as rollouts, (folder / "verdicts.jsonl").open("wb") as verdicts:
        for number in range(count):
            which, end = drawn.randrange(len(texts)), drawn.choices(("stop", "length", "loop"), (95, 4, 1))[0]
            key = {"question": ids[number % len(ids)], "model": "m", "sample": number // len(ids)}
            verdict = drawn.choices(("correct", "wrong", "unverifiable"), (40, 59, 1))[0] if end == "stop" else "wrong"
            rollouts.write(
                orjson.dumps(
                    {
                        **{**key, "response": texts[which], "finish_reason": end, "prompt_tokens": 300},
                        **{"completion_tokens": len(texts[which]) // 3, "seconds": 1.0, "seed": 1},
                        **{"prompt_sha256": "0" * 64, "params": {"temperature": 0.0}},
                    }
                )
                + b"\n"
            )
            state = {"stop": "complete", "length": "truncated", "loop": "looping"}[end]
            row = {**key, "verdict": verdict, "reason": "other_value", "kind": "number", "answer": "1", "rule": "box"}
            row |= {"where": "solution", "state": state, "version": "0", "response": digests[which]}
            verdicts.write(orjson.dumps(row) + b"\n")

    (folder / "evaluation.yaml").write_text("model_name_or_path: m\nmax_tokens: 8192\n")
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def rows(path: Path) -> Iterator[dict]:
    """Yield the rows of a file."""
    with path.open("rb") as lines:
        yield from map(orjson.loads, lines)


def killed(folder: Path, questions: int, kills: int) -> bool:
    """Run an evaluation undisturbed and killed, print what differed, and return whether nothing did."""
    replaying, draw = rollouts_kills.load_replay(), random.Random(0)
    data = sorted(rollouts_kills.DATA.glob("*.json*"))
    problems = [problem for problem in replaying.read_problems(data) if min(map(len, problem.responses)) < 4000]
    file = rollouts_kills.write_questions(folder, problems, questions)
    found, again, seconds = {}, 0, {}
    for name, times in (("whole", 0), ("killed", kills)):
        out = folder / name / "out"
        path = out / "rollouts.jsonl"
        with replaying.replay(data, max_chars=4000, delay=0.5) as server, (folder / f"{name}.log").open("w") as log:
            given = {"questions": file, "model_name_or_path": "replay", "urls": f"[{server.url}]", "output_dir": out}
            config = folder / f"{name}.yaml"
            config.write_text(
                "".join(f"{key}: {value}\n" for key, value in given.items()) + "requests_in_flight: 32\n"
            )
            code = "from virgo_factory.cli.main import main; main()"
            command, began = [sys.executable, "-c", code, "evaluate", "run", str(config)], time.monotonic()
            for number in range(times):
                process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
                there = lines_in(path)
                until = there + draw.uniform(0, 1.8) * (questions - there) / (times + 1 - number)
                end = time.monotonic() + (draw.uniform(0.2, 3.0) if number % 4 == 3 else 300)
                while (
                    process.poll() is None and time.monotonic() < end and (number % 4 == 3 or lines_in(path) < until)
                ):
                    time.sleep(0.005)

                if process.poll() is not None or (out / "scores.csv").exists():
                    raise RuntimeError(f"ended before it was killed: {(folder / f'{name}.log').read_text()[-2000:]}")

                rollouts_kills.kill_group(process)
                again += 32  # may be in flight

            subprocess.run(command, stdout=log, stderr=log, check=True)
            seconds[name] = time.monotonic() - began
            finished = sum(server.asked()["finished"].values())

        found[name] = (out / "scores.csv").read_bytes()
        ids = [json.loads(line)["question"] for line in path.open(encoding="utf-8")]
        print(
            f"{name}: {len(ids):,} responses, {finished:,} answered by the server, {seconds[name]:.0f} s in all starts"
        )
        if len(set(ids)) != len(ids) or len(ids) != questions or finished > questions + again:
            return False

    same = found["whole"] == found["killed"]
    print(f"{kills} SIGKILLs: scores.csv {'equal, byte by byte' if same else 'DIFFERS'}")
    return same


ROW: dict[str, dict[str, Any]] = {
    "mathverse": {
        **{"problem_version": "Text Dominant", "answer": "A", "question_type": "multi-choice"},
        "metadata": {"subject": "Plane Geometry", "subfield": "Angle"},
    },
    "mathvision": {"options": [], "answer": "1", "level": 1, "subject": "algebra", "image": "images/1.jpg"},
    "olympiadbench": {
        **{
            "context": "Stem.",
            "final_answer": ["1"],
            "is_multiple_answer": False,
            "unit": None,
            "answer_type": "Numerical",
        },
        **{"error": None, "subfield": "Algebra"},
    },
    "mmmu": {
        **{"options": "['1', '2']", "answer": "A", "question_type": "multiple-choice", "topic_difficulty": "Easy"},
        **{"img_type": "['Tables']", "subfield": "s"},
    },
}
"""Columns of the hub's rows; those of ids and pictures are added."""
PLACES = {
    "mathverse": ("testmini.parquet", "image"),
    "mathvision": ("test.parquet", "decoded_image"),
    "olympiadbench": ("OE_MM_maths_en_COMP/OE_MM_maths_en_COMP.parquet", "image_1"),
    "mmmu": ("Math/validation.parquet", "image_1"),
}
"""The file of a benchmark, and its column of pictures."""


def stored(folder: Path) -> bool:
    """Write rows as the hub has them, make questions of them, and return whether that takes at most five minutes."""
    pictures = [Image.open(path).convert("RGB") for path in sorted((DATA / "mathvision/images").glob("*.jpg"))]
    texts = [json.loads(line)["question"] for line in (DATA / "mathvision/test.jsonl").open(encoding="utf-8")]
    count = size = 0
    for name in NAMES:
        place, column = PLACES[name]
        path = folder / "in" / name / place
        path.parent.mkdir(parents=True)
        numbers, writer = iter(range(BENCHMARKS[name].count)), None
        while some := list(itertools.islice(numbers, 200)):
            held = []
            for number in some:
                picture, data = pictures[count % len(pictures)].copy(), io.BytesIO()
                picture.putpixel((0, 0), (count % 256, count // 256, 0))
                picture.save(data, "PNG", compress_level=1)
                ids = {"id": f"validation_Math_{number}" if name == "mmmu" else str(number)}
                ids |= {"sample_index": str(number), "problem_index": str(number // 5)} if name == "mathverse" else {}
                question = f"{texts[number % len(texts)].replace('<image1>', '')} ({number})"
                row = ROW[name] | ids | {"question": question, column: {"bytes": data.getvalue(), "path": None}}
                held.append(row)
                count, size = count + 1, size + len(data.getvalue())

            table = pa.Table.from_pylist(held)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)

        writer.close()

    config = EvaluationConfig(
        benchmarks=NAMES, benchmark_dir=folder / "in", model_name_or_path="m", output_dir=folder / "out"
    )
    start, cpu = time.perf_counter(), sum(os.times()[:4])
    make_questions(config)
    seconds, cpu = time.perf_counter() - start, sum(os.times()[:4]) - cpu
    there = lines_in(folder / "out/questions.jsonl")
    files = sum(1 for path in (folder / "out/images").rglob("*") if path.is_file())
    pixels = sum(one.width * one.height for one in pictures) / len(pictures)
    print(
        f"{there:,} questions, {files:,} pictures of {pixels / 1e6:.2f} megapixels on average, {size / 1e9:.2f} GB: stored in "
        f"{seconds:.0f} s, {cpu:.0f} s of CPU (asked: 300)"
    )
    return there == files == count and seconds <= 300


def overhead(folder: Path, questions: int, tokens: int, rounds: int) -> bool:
    """Print how much slower an evaluation is than vLLM's offline generation; return whether that is at most 3 %."""
    from virgo_factory.preflight.twin.twin import make_twin
    from virgo_factory.rollouts.servers.server import Server

    model = make_twin(folder / "model", **rollouts.TWIN)
    job = {"model": str(model), "requests": questions, "all_of": tokens, "rounds": 1, "folder": str(folder)}
    prompts, lines = rollouts.drawn_prompts(folder, questions), []
    for number, prompt in enumerate(prompts):
        row = {"id": f"bars/{number}", "source": "bars", "images": [f"{number}.png"], "gold": "0"}
        lines.append(row | {"question": prompt.text.rpartition("\n")[2]})

    (folder / "bars.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["--max-num-seqs", str(rollouts.IN_FLIGHT), "--max-num-batched-tokens", str(rollouts.STEP)]
    config = EvaluationConfig(
        questions=folder / "bars.jsonl", question_prefix="virgo", image_max_pixels=768 * 768, model_name_or_path=str(model),
        temperature=1.0, max_tokens=tokens, cut_loops=False, requests_in_flight=rollouts.IN_FLIGHT, output_dir=folder / "warm",
    )  # fmt: skip
    peers, ours = rollouts.in_a_process_of_its_own(job), []
    for number in range(rounds):
        with Server(str(model), folder / "server.log", max_model_len=rollouts.CONTEXT, args=arguments) as server:
            evaluate(
                config.model_copy(
                    update={"urls": (server.url,), "max_tokens": 8, "output_dir": folder / f"warm{number}"}
                )
            )
            served, client, start = _processor(server.pid), sum(os.times()[:4]), time.monotonic()
            evaluate(config.model_copy(update={"urls": (server.url,), "output_dir": folder / f"out{number}"}))
            seconds = time.monotonic() - start
            # Of us and of workers that have ended; the server has not.
            served, client = _processor(server.pid) - served, sum(os.times()[:4]) - client

        there = list(rows(folder / f"out{number}/rollouts.jsonl"))
        if {row["prompt_sha256"] for row in there} != {prompt.sha256 for prompt in prompts}:
            raise RuntimeError("the evaluation did not ask the same prompts")

        written = sum(row["completion_tokens"] for row in there)
        ours.append((written / seconds, seconds, client / (client + served)))
        peers += rollouts.in_a_process_of_its_own(job)

    for name, found in (("vLLM offline LLM.chat", peers), ("evaluate, all of it", ours)):
        print(f"  {name}: " + ", ".join(f"{one[0]:.0f} tokens/s ({one[1]:.0f} s)" for one in found))

    ratio = max(ours)[0] / max(peers)[0]
    print(
        f"  our share of all processor time: {', '.join(f'{one[2]:.2%}' for one in ours)}; load {os.getloadavg()[0]:.1f}"
    )
    print(f"ratio of the best rounds: {ratio:.3f} (asked: at least 0.97)")
    return ratio >= 0.97


def _processor(pid: int) -> float:
    """Return the processor seconds of a process and all below it that run."""
    import psutil

    root = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (root, *root.children(recursive=True)))


def lines_in(path: Path) -> int:
    """Return the lines of a file; 0 where it is not there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rollouts", type=int, default=SAMPLES * 14_608)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--questions", type=int)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if given.store:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            sys.exit(not stored(Path(name)))

    if given.kills is not None:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            sys.exit(not killed(Path(name), given.questions or 1000, given.kills))

    if given.overhead:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            sys.exit(not overhead(Path(name), given.questions or 128, given.tokens, given.rounds))

    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        size = write(folder, given.rollouts)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        read = sum(1 for name in ("questions", "verdicts", "rollouts") for _ in rows(folder / f"{name}.jsonl"))
        plain = time.perf_counter() - start
        start, cpu = time.perf_counter(), time.process_time()
        held = hold(*(rows(folder / f"{name}.jsonl") for name in ("questions", "rollouts", "verdicts")))
        held_at = time.perf_counter() - start
        samples = dict.fromkeys(NAMES, len(held.place) // len(held.questions))
        found = scores(held, {"run": "r"}, samples)
        write_csv(folder / "scores.csv", COLUMNS, found)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        judged = len(held.place)
        del held
        start, report_cpu = time.perf_counter(), time.process_time()
        report = write_report([folder], folder / "report")
        report_seconds, report_cpu = time.perf_counter() - start, time.process_time() - report_cpu

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{read:,} rows, {size / 1e9:.2f} GB, {judged:,} rollouts -> {len(found)} rows of scores.csv")
    print(
        f"plain reading {plain:.1f} s; held after {held_at:.1f} s, scores after {seconds:.1f} s, {cpu:.1f} s of CPU (asked: 60)"
    )
    print(f"ratio to plain reading {seconds / plain:.2f}; peak {peak:.0f} MB, {before:.0f} MB before (asked: 500)")
    print(
        f"report with {report.responses} responses on its page: {report_seconds:.1f} s, {report_cpu:.1f} s of CPU (asked: 60)"
    )
    sys.exit(max(seconds, report_seconds) > 60 or peak > 500)


if __name__ == "__main__":
    main()
