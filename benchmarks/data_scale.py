"""Time and memory of check, stats, mix, slice and convert on generated rows: linear in rows, flat in memory, safe to kill.

Rows of about 2 KB (seeded; long thoughts in six domains) are generated, N/4 and N. Every verb runs as the command line
does, in a process of its own, with nothing kept from an earlier run; its memory is the sum of the resident sets of all of
its processes, sampled ten times a second (shared pages are counted once a process, so it is an upper bound). With --kill
every verb is also killed (SIGKILL, all of its processes) at half its time and started again: its output must be the same,
byte for byte.

    python benchmarks/data_scale.py --rows 160000 --kill
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil


ROOT = Path(__file__).parents[1]
TOKENIZER = ROOT.parent / "shared" / "data" / "qwen2.5_vl_tokenizer"
DOMAINS = {"math": 0.75, "physics": 0.07, "chemistry": 0.06, "biology": 0.05, "code": 0.05, "puzzle": 0.02}
GIB = 1 << 30

WORDS = (
    "so the of that we have and is then this wait let me check again because if both sides are equal now sum angle area "
    "number first second third value square root triangle circle point line length ratio product difference means which "
    "gives us not quite right hold on maybe another way to see it count how many times each one appears in table figure "
    "mass force energy charge reaction acid base cell protein function list loop index string array graph node edge"
).split()


def generate(path: Path, rows: int, seed: int) -> None:
    """Write `rows` rows of the columns of RUC-AIBOX/long_form_thought_data_5k, no two alike."""
    chance = np.random.default_rng(seed)
    sentences = [
        " ".join(chance.choice(WORDS, chance.integers(6, 22))).capitalize() + f", {chance.integers(1, 10**6)}."
        for _ in range(20_000)
    ]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            picked = chance.integers(0, len(sentences), (count, 30))
            lengths = chance.integers(12, 31, count)
            domains = chance.choice(list(DOMAINS), count, p=list(DOMAINS.values()))
            for row in range(count):
                thought = "\n\n".join(sentences[place] for place in picked[row, : lengths[row]])
                number = start + row
                text = (
                    f"<|begin_of_thought|>\n\n{thought} So it is {number}.\n\n<|end_of_thought|>\n\n"
                    f"<|begin_of_solution|>\n\nThe answer is \\boxed{{{number}}}.\n\n<|end_of_solution|>"
                )
                if number % 1000 == 999:
                    text = text[: len(text) // 2]  # cut off, as one generation in a thousand may be

                question = f"Question {number}: {sentences[picked[row, 0]]} What is it?"
                file.write(
                    json.dumps({"question": question, "combined_text": text, "domain": str(domains[row])}) + "\n"
                )


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of all processes on a core, and peak bytes of all processes."""

    seconds: float
    cpu: float
    peak: int


def verbs(data: Path, rows: int, out: Path, workers: int) -> Iterator[tuple[str, list[str], Path | None]]:
    """Yield (name, arguments, output) of every verb that is measured."""
    measured = ["--tokenizer", str(TOKENIZER), "--workers", str(workers)]
    mixed, cut = out / "mix.jsonl", out / "slice.jsonl"
    third = rows // 100
    yield "check", ["check", str(data), *measured, "--cutoff-len", "4096", "--json"], None
    yield "stats", ["stats", str(data), *measured, "--cutoff-len", "4096", "--json"], None
    asked = [f"{data}[math]:{30 * third}", f"{data}[science]:{10 * third}", f"{data}[code+puzzle]:0.5"]
    yield "mix", ["mix", str(mixed), *asked, "--workers", str(workers)], mixed
    sizes = f"{5 * third},{20 * third}"
    yield "slice", ["slice", str(data), str(cut), "--tokens", "200:800", "--rows", sizes, *measured], out / f"slice-{_name(20 * third)}.jsonl"  # fmt: skip
    yield "convert", ["convert", str(data), str(out / "convert.jsonl")], out / "convert.jsonl"
    yield "convert to Parquet", ["convert", str(data), str(out / "convert.parquet")], out / "convert.parquet"


def _name(rows: int) -> str:
    return f"{rows // 1000}k" if rows % 1000 == 0 else str(rows)


def run(arguments: list[str], kill_after: float | None = None) -> tuple[Cost, str]:
    """Run a verb and return its cost and the SHA-256 of what it printed.

    Raises:
        RuntimeError: it failed, unless it was to be killed.
    """
    command = [sys.executable, "-m", "virgo_factory.cli.main", "data", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    started, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=printed, stderr=errors, env=environment, start_new_session=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            if kill_after is not None and time.monotonic() - started > kill_after:
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own: no other process is in the group
                process.wait()
                break

            time.sleep(0.1)

        seconds = time.monotonic() - started
        printed.seek(0)
        errors.seek(0)
        said = printed.read()
        expected = 1 if arguments[0] == "check" else 0  # it finds the rows that are cut off
        if kill_after is None and process.returncode != expected:
            raise RuntimeError(
                f"{' '.join(command)}: exit code {process.returncode}\n{errors.read().decode()[-2000:]}"
            )

    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return Cost(seconds, cpu, peak), hashlib.sha256(said).hexdigest()


def resident(pid: int) -> int:
    """Return the bytes that a process and its children hold, pages that they share counted in each."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                pass
    except psutil.NoSuchProcess:
        pass

    return total


def clean(folder: Path, keep: Path) -> None:
    """Remove everything but the data, above all what earlier runs kept of it."""
    for path in folder.iterdir():
        if path != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def sha256(path: Path | None) -> str:
    """Return the SHA-256 of a file; "" for None."""
    if path is None:
        return ""

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure(folder: Path, rows: int, arguments: argparse.Namespace) -> dict[str, Cost]:
    """Generate rows, run every verb on them, and return what each costs."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "rows.jsonl"
    generate(data, rows, arguments.seed)
    print(
        f"{rows:,} rows, {data.stat().st_size / GIB:.2f} GiB, {data.stat().st_size / rows:.0f} bytes a row",
        file=sys.stderr,
    )
    found = {}
    for name, line, output in verbs(data, rows, folder, arguments.workers):
        if arguments.only and name.split()[0] not in arguments.only.split(","):
            continue

        clean(folder, data)
        cost, said = run(line)
        found[name] = cost
        print(f"  {name}: {cost.seconds:.1f} s, {cost.cpu:.1f} s of CPU, {cost.peak / 1e9:.2f} GB", file=sys.stderr)
        if arguments.again and name in ("check", "stats"):
            found[f"{name}, again"] = run(line)[0]

        if arguments.kill:
            whole = sha256(output) or said
            clean(folder, data)
            run(line, kill_after=cost.seconds / 2)
            if output is not None and output.exists():
                raise RuntimeError(f"{name}: {output} is there, though the run was killed")

            again, said = run(line)
            same = (sha256(output) or said) == whole
            print(f"  {name}: killed after {cost.seconds / 2:.1f} s, started again: {again.seconds:.1f} s, {'the same' if same else 'DIFFERENT'}", file=sys.stderr)  # fmt: skip
            if not same:
                raise RuntimeError(f"{name}: another output after a kill")

    clean(folder, data)
    return found


def main() -> int:
    """Run and print the table; 1 if a verb takes 1.5 GB or more, or more than linear time (of CPU: the clock is noisy)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=160_000, help="N; a quarter of it is run as well")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "data_scale", help="for about 4 KB a row, removed"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--only", default="", help="verbs, with commas")
    parser.add_argument("--kill", action="store_true", help="also kill each verb at half its time, and start it again")
    parser.add_argument(
        "--again", action="store_true", help="also run check and stats a second time, on what they kept"
    )
    arguments = parser.parse_args()
    few = measure(arguments.folder / "few", arguments.rows // 4, arguments)
    shutil.rmtree(arguments.folder / "few")
    many = measure(arguments.folder / "many", arguments.rows, arguments)
    shutil.rmtree(arguments.folder)

    small = arguments.rows // 4
    print(f"| verb | {small:,} rows | CPU | peak | {arguments.rows:,} rows | CPU | peak | time x | CPU x | rows/s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    failed = False
    for name, cost in many.items():
        less = few[name]
        failed |= cost.peak > 1.5e9 or cost.cpu / less.cpu > 4 * 1.1
        print(
            f"| {name} | {less.seconds:.1f} s | {less.cpu:.1f} s | {less.peak / 1e9:.2f} GB | {cost.seconds:.1f} s "
            f"| {cost.cpu:.1f} s | {cost.peak / 1e9:.2f} GB | {cost.seconds / less.seconds:.2f} "
            f"| {cost.cpu / less.cpu:.2f} | {arguments.rows / cost.seconds:,.0f} |"
        )

    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
