"""Scores and the report at scale: 200,000 rollouts of real length, each within 60 s and 0.5 GB.

    python benchmarks/evaluate.py [--rollouts 200000] [--folder DIR]

Questions are those of Virgo's four benchmarks in number and groups; responses are the recorded ones of ../shared/data/skythought,
again and again. Prints seconds, MB at the peak, and the ratio to plain reading of the same files; then the same of the whole
report (tables, plots, page), which reads all files itself.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.report.report import write_report
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rollouts", type=int, default=SAMPLES * 14_608)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
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
