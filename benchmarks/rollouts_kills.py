"""SIGKILL at random moments of a run: the files at its end are those of an undisturbed run, and nothing is asked twice.

    python benchmarks/rollouts_kills.py [--questions 2000] [--kills 20] [--seed 0]

Questions and responses are real ones of ../shared/data/skythought; tests/rollouts/replay.py serves them, deterministic by
prompt and seed. Compared is every column of every rollout but `seconds` and `params.url`, and every verdict. A rollout that
stood in the file when its process was killed must not be asked by any later one.
"""

import argparse
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.store.store import read_rollouts


ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "skythought"


@dataclass(frozen=True)
class Result:
    """What was seen.

    Attributes:
        rollouts: of the undisturbed run.
        kills: processes that were killed.
        early: of these, before their first rollout.
        halves: kills that left the half of a last line.
        differing: rollouts that are not the same in both runs.
        differing_verdicts: likewise.
        asked_again: rollouts that stood in the file at a kill, and were asked later.
        lost: requests that had to be made again, since they were in flight at a kill.
        seconds: of the undisturbed run.
        seconds_killed: of all starts of the other one together.
    """

    rollouts: int
    kills: int
    early: int
    halves: int
    differing: int
    differing_verdicts: int
    asked_again: int
    lost: int
    seconds: float
    seconds_killed: float


def load_replay() -> ModuleType:
    """Return tests/rollouts/replay.py, which is no package's module."""
    spec = importlib.util.spec_from_file_location("replay", ROOT / "tests" / "rollouts" / "replay.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["replay"] = module
    spec.loader.exec_module(module)
    return module


def write_questions(folder: Path, problems: Sequence[Any], count: int) -> Path:
    """Write questions of these problems; those beyond the last one are asked again in another number."""
    Image.new("RGB", (56, 56), "white").save(folder / "white.png")
    path = folder / "questions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            problem, lap = problems[number % len(problems)], number // len(problems)
            text = problem.text + (f"\n(Version {lap}.)" if lap else "")
            row = {
                "id": f"sky/{number}",
                "source": "sky",
                "images": ["white.png"],
                "question": text,
                "gold": problem.gold,
            }
            file.write(json.dumps(row) + "\n")

    return path


def start(folder: Path, questions: Path, url: str, out: Path, **keys: Any) -> subprocess.Popen:
    """Start `virgo-factory distill run` on questions, its output in a file of its own."""
    given = {
        "questions": questions,
        "model_name_or_path": "replay",
        "urls": f"[{url}]",
        "output_dir": out,
        "dataset": "sky",
    }
    config = folder / f"{out.name}.yaml"
    config.write_text("".join(f"{key}: {value}\n" for key, value in {**given, **keys}.items()))
    command = [sys.executable, "-c", "from virgo_factory.cli.main import main; main()", "distill", "run", str(config)]
    with (folder / f"{out.name}.log").open("a") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)


def kill_group(process: subprocess.Popen) -> None:
    """Kill a run with its worker processes, all at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def measure(folder: Path, questions: int, kills: int, seed: int, delay: float, in_flight: int = 32) -> Result:
    """Run undisturbed, then killed so many times, and return what was seen."""
    replaying, draw = load_replay(), random.Random(seed)
    data = sorted(DATA.glob("*.json*"))
    problems = [problem for problem in replaying.read_problems(data) if min(map(len, problem.responses)) < 4000]
    file = write_questions(folder, problems, questions)
    whole, killed = folder / "whole", folder / "killed"
    with replaying.replay(data, max_chars=4000, delay=delay) as server:
        began = time.monotonic()
        process = start(folder, file, server.url, whole, requests_in_flight=in_flight)
        if process.wait():
            raise RuntimeError((folder / "whole.log").read_text())

        seconds = time.monotonic() - began
        size = (whole / "rollouts.jsonl").stat().st_size

    with replaying.replay(data, max_chars=4000, delay=delay) as server:
        began = time.monotonic()
        seen: list[tuple[int, set[int]]] = []  # requests so far, seeds in the file
        early = halves = 0
        path = killed / "rollouts.jsonl"
        for number in range(kills):
            process = start(folder, file, server.url, killed, requests_in_flight=in_flight)
            before = path.stat().st_size if path.exists() else 0
            if number % 4 == 3:  # while it starts, too
                _wait(process, lambda: False, draw.uniform(0.2, 3.0))
            else:
                until = before + draw.uniform(0, 1.8) * (size - before) / (kills + 1 - number)
                _wait(process, lambda until=until: path.exists() and path.stat().st_size >= until, 300)

            if process.poll() is not None:
                raise RuntimeError(f"ended before it was killed:\n{(folder / 'killed.log').read_text()}")

            kill_group(process)
            early += (path.stat().st_size if path.exists() else 0) == before
            halves += path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
            there = {rollout.seed for rollout in read_rollouts(killed)} if killed.is_dir() else set()
            seen.append((len(server.asked()["started"]), there))

        if start(folder, file, server.url, killed, requests_in_flight=in_flight).wait():
            raise RuntimeError((folder / "killed.log").read_text())

        seconds_killed = time.monotonic() - began
        started = [request_seed for _, request_seed in server.asked()["started"]]

    one, other = (Counter(map(_content, read_rollouts(out))) for out in (whole, killed))
    verdicts, other_verdicts = (
        Counter(json.dumps(asdict(row)) for row in read_verdicts(out)) for out in (whole, killed)
    )
    return Result(
        rollouts=one.total(),
        kills=kills,
        early=early,
        halves=halves,
        differing=(one - other).total() + (other - one).total(),
        differing_verdicts=(verdicts - other_verdicts).total() + (other_verdicts - verdicts).total(),
        asked_again=sum(len(there.intersection(started[count:])) for count, there in seen),
        lost=len(started) - len(set(started)),
        seconds=seconds,
        seconds_killed=seconds_killed,
    )


def _wait(process: subprocess.Popen, is_time: Any, most: float) -> None:
    end = time.monotonic() + most
    while time.monotonic() < end and process.poll() is None and not is_time():
        time.sleep(0.005)


def _content(rollout: Any) -> str:
    """Return all that a rollout says but how long it took, and where."""
    row = vars(rollout) | {"seconds": None, "params": {**rollout.params, "url": None}}
    return json.dumps(row, sort_keys=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds of a response")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), given.questions, given.kills, given.seed, given.delay)

    print(
        f"{given.questions:,} questions x 5, {result.kills} kills ({result.early} before the first rollout of that start,"
    )
    print(
        f"  {result.halves} left the half of a line); {result.seconds:.0f} s undisturbed, {result.seconds_killed:.0f} s killed"
    )
    print(f"rollouts that differ from the undisturbed run:  {result.differing} of {result.rollouts:,}")
    print(f"verdicts that differ:                           {result.differing_verdicts}")
    print(f"finished rollouts that were asked again:        {result.asked_again}")
    print(f"requests in flight at a kill, asked again:      {result.lost}")
    if result.differing or result.differing_verdicts or result.asked_again:
        sys.exit("not reached")


if __name__ == "__main__":
    _main()
