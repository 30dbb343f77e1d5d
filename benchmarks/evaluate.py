"""Scores and the report at scale: 200,000 rollouts of real length, each within 60 s and 0.5 GB.

    python benchmarks/evaluate.py [--rollouts 200000] [--folder DIR]
    python benchmarks/evaluate.py --kills 20 [--questions 1000]
    python benchmarks/evaluate.py --store

Questions are those of Virgo's four benchmarks in number and groups; responses are the recorded ones of ../shared/data/skythought,
again and again. Prints seconds, MB at the peak, and the ratio to plain reading of the same files; then the same of the whole
report (tables, plots, page), which reads all files itself.

With --kills: `evaluate run` against the replay server, once undisturbed and once killed by SIGKILL at random moments; scores.csv
has to be the same, byte by byte, and no response that stood in the file at a kill is asked again.

With --store: the 3,040 questions of MathVision read from Parquet, each with a picture of its own (the shared ones, one pixel
changed), and stored.
"""

import argparse
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import rollouts_kills
from PIL import Image

from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.evaluation.report.report import write_report
from virgo_factory.evaluation.run import make_questions
from virgo_factory.evaluation.scores import hold, scores, write_scores
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


def stored(folder: Path) -> None:
    """Write MathVision's rows as the hub has them, and print how long it takes to make questions of them."""
    pictures = [Image.open(path).convert("RGB") for path in sorted((DATA / "mathvision/images").glob("*.jpg"))]
    written = [json.loads(line) for line in (DATA / "mathvision/test.jsonl").open(encoding="utf-8")]
    held = []
    for number in range(BENCHMARKS["mathvision"].count):
        picture, data = pictures[number % len(pictures)].copy(), io.BytesIO()
        picture.putpixel((0, 0), (number % 256, number // 256, 0))
        picture.save(data, "PNG")
        row = written[number % len(written)] | {"id": str(number)}
        held.append(row | {"decoded_image": {"bytes": data.getvalue(), "path": None}})

    path = folder / "in/mathvision/test-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(held), path, row_group_size=200)
    config = EvaluationConfig(
        benchmarks=["mathvision"], benchmark_dir=folder / "in", model_name_or_path="m", output_dir=folder / "out"
    )
    start, cpu = time.perf_counter(), time.process_time()
    make_questions(config)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    pixels = sum(one.width * one.height for one in pictures) / len(pictures)
    print(
        f"{len(held):,} questions, {pixels / 1e6:.2f} megapixels each on average, stored in {seconds:.0f} s, {cpu:.0f} s of CPU"
    )


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
    parser.add_argument("--questions", type=int, default=1000)
    given = parser.parse_args()
    if given.store:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            return stored(Path(name))

    if given.kills is not None:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            sys.exit(not killed(Path(name), given.questions, given.kills))

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
        write_scores(folder / "scores.csv", found)
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
