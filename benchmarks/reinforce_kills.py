"""SIGKILL at random moments of `stage: grpo`: the run ends as the one that nobody disturbed, and nothing is scored twice.

    virgo-factory demo reinforce --prepare-only
    python benchmarks/reinforce_kills.py [--what trainer|server] [--kills 10] [--seed 0] [--steps 40; 100 for ten kills of a server]

The recipe is virgo_demo_gspo.yaml, shortened: rollouts of 8 prompts x 8 responses, two updates each, five rollouts an epoch,
a checkpoint every two updates, every response on file. `trainer` kills all of a run that answers by itself, and starts the
same command again; every fourth kill comes while the run starts. `server` kills the vLLM server of one run, which must start
it again and give it the weights; every other kill takes its engine alone. Looked at in the end:

- the prompts of each step are those of the undisturbed run, in their order; without a server the responses, too;
- no response stands in rollouts.jsonl twice, and each rollout has all of its own;
- what stood there of the steps before the checkpoint that a run goes on from is there as it was: not asked, not scored again;
- the mean of the rewards on file is the reward that the trainer logged of that step, and each is what its response gets now;
- with a server, the gap between its log-probabilities and the trainer's is that of the same weights.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil

from virgo_factory.answers.model import question_from
from virgo_factory.answers.rewards import RewardConfig, RewardTask, fill_groups, reward
from virgo_factory.reinforce.steps import ROLLOUTS, STATE


ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "virgo_demo_gspo.yaml"
GROUP, TOGETHER, UPDATES, PROMPTS = 8, 8, 2, 40
KEYS = {
    "per_device_train_batch_size": 32,
    "global_batch_size": 32,
    "rl_num_generations": GROUP,
    "rl_updates_per_rollout": UPDATES,
    "rl_log_rollouts": GROUP * TOGETHER,
    "max_samples": PROMPTS,
    "save_strategy": "steps",
    "save_steps": UPDATES,
    "overwrite_output_dir": "false",
    "plot_loss": "false",
}
SAME_WEIGHTS = 0.02
"""Mean gap of log-probabilities that rounding makes; of weights that are not in step it is 0.1 and more."""


class Broken(Exception):
    """What should hold, and does not."""


@dataclass
class Start:
    """One start of the command, and the processes that are its."""

    process: subprocess.Popen
    log: Path

    def family(self) -> list[psutil.Process]:
        """Return the process and all that came of it."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kill all of it, at once."""
        kill_all(self.family())
        self.process.wait()

    def has_ended(self) -> bool:
        """Return whether it has ended by itself.

        Raises:
            Broken: it did not end well.
        """
        if self.process.poll():
            raise Broken(f"exit code {self.process.returncode}:\n{self.log.read_text(errors='replace')[-6000:]}")

        return self.process.poll() == 0


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """Send SIGKILL to processes, of which some may have ended meanwhile."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def start(out: Path, steps: int, **keys: Any) -> Start:
    """Start the stock command, its output appended to a file beside `out`."""
    given = KEYS | keys | {"output_dir": out, "max_steps": steps}
    command = [str(Path(sys.executable).with_name("llamafactory-cli")), "train", str(RECIPE)]
    command += [f"{key}={value}" for key, value in given.items()]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": path}
    log = out.with_suffix(".log")
    with log.open("a") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )

    return Start(process, log)


def wait(started: Start, until: Callable[[], bool], seconds: float) -> None:
    """Wait until it is time, the run has ended, or so many seconds are over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not started.has_ended() and not until():
        time.sleep(0.01)


def read(out: Path) -> list[bytes]:
    """Return the whole lines of rollouts.jsonl."""
    path = out / ROLLOUTS
    return (
        [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        if path.is_file()
        else []
    )


def last_step(out: Path) -> int:
    """Return the step of the last response on file."""
    lines = read(out)
    return json.loads(lines[-1])["step"] if lines else 0


def checkpoint(out: Path) -> int:
    """Return the step of the last checkpoint that is whole."""
    return max((int(file.parent.name.rpartition("-")[2]) for file in out.glob(f"checkpoint-*/{STATE}")), default=0)


def of_steps(lines: Sequence[bytes], last: int) -> list[bytes]:
    """Return the lines of steps up to one."""
    return [line for line in lines if json.loads(line)["step"] <= last]


def trainer_killed(out: Path, steps: int, kills: int, draw: random.Random, took: float) -> dict[str, int]:
    """Kill a run so many times, and let it come to its end; return what the kills met.

    Args:
        out: of the run.
        steps: that it has.
        kills: how many.
        draw: where the moments come from.
        took: seconds that the undisturbed run took, to know how long a start is.

    Raises:
        Broken: lines before a checkpoint are not there as they were.
    """
    met = {"while it started": 0, "behind a checkpoint": 0, "responses taken back": 0}
    kept: list[list[bytes]] = []
    for number in range(kills):
        before = last_step(out)
        started = start(out, steps)
        if number % 4 == 3:
            wait(started, lambda: False, draw.uniform(0.1, took / 3))
        else:
            goal = before + draw.uniform(0, 1.8) * (steps - before) / (kills + 1 - number)
            wait(started, lambda goal=goal: last_step(out) > max(goal, 0), 600)
            wait(started, lambda: False, draw.uniform(0, 1.5))  # anywhere in a rollout, its updates or a checkpoint

        if started.has_ended():
            raise Broken(f"ended before kill {number + 1}: give it more --steps")

        started.kill()
        lines, done = read(out), checkpoint(out)
        met["while it started"] += last_step(out) <= before
        met["behind a checkpoint"] += last_step(out) > done
        met["responses taken back"] += len(lines) - len(of_steps(lines, done))
        kept.append(of_steps(lines, done))
        print(f"  kill {number + 1}: responses of step {last_step(out)}, checkpoint-{done}", flush=True)

    started = start(out, steps)
    wait(started, lambda: False, 1200)
    if not started.has_ended():
        raise Broken("has not come to its end")

    final = read(out)
    for number, lines in enumerate(kept, start=1):
        if final[: len(lines)] != lines:
            raise Broken(f"what stood before the checkpoint at kill {number} is not there as it was")

    return met


def server_killed(out: Path, steps: int, kills: int, draw: random.Random) -> dict[str, int]:
    """Kill the server of one run so many times while the run goes on; return what the kills met.

    Raises:
        Broken: a response that was on file is not there as it was.
    """
    met = {"the server": 0, "its engine alone": 0, "responses taken back": 0}
    started = start(out, steps, rl_server="vllm")
    for number in range(kills):
        before = last_step(out)
        left = UPDATES * (kills - number + 1)  # a rollout for each kill to come, and one that meets the last
        goal = min(before + draw.uniform(0, 1.6) * (steps - before) / (kills + 1 - number), steps - 1 - left)
        wait(started, lambda goal=max(goal, before): last_step(out) > goal, 900)
        wait(started, lambda: False, draw.uniform(0, 1))
        wait(started, lambda: bool(victims_of(started, engine=False)[1]), 60)  # one that is gone is not killed again
        lines = read(out)
        kind, victims = victims_of(started, engine=number % 2 == 1)
        if started.has_ended() or not victims:
            raise Broken(f"no server to kill at kill {number + 1}: give it more --steps")

        kill_all(victims)
        met[kind] += 1
        print(f"  kill {number + 1}: {kind}, responses of step {last_step(out)}", flush=True)
        if read(out)[: len(lines)] != lines:
            raise Broken(f"a response on file has changed at kill {number + 1}")

    wait(started, lambda: False, 1200)
    if not started.has_ended():
        raise Broken("has not come to its end")

    return met


def victims_of(started: Start, engine: bool) -> tuple[str, list[psutil.Process]]:
    """Return the processes of the server, or of its engine alone, and which of them these are."""
    family = started.family()
    servers = [process for process in family if "virgo_factory.rollouts.servers.cpu_server" in command_of(process)]
    children = [child for server in servers for child in children_of(server) if child not in servers]
    if engine and children:
        return "its engine alone", children

    return "the server", servers


def command_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process; nothing of one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process; none of one that has ended."""
    try:
        return process.children()
    except psutil.Error:
        return []


def check(out: Path, whole: Path, steps: int, served: bool) -> dict[str, Any]:
    """Compare a run with the undisturbed one, and with itself; return what was looked at.

    Raises:
        Broken: anything of what the head of this file says.
    """
    mine, theirs = by_step(out), by_step(whole)
    rollouts = list(range(1, steps + 1, UPDATES))
    if not list(mine) == list(theirs) == rollouts:
        raise Broken(f"rollouts at steps {list(mine)} and {list(theirs)}, not {rollouts}")

    seen: set[tuple[int, str, int]] = set()
    same = total = 0
    for step in rollouts:
        for name in ("question", "sample", "prompt_sha256"):
            if [line[name] for line in mine[step]] != [line[name] for line in theirs[step]]:
                raise Broken(f"step {step}: {name} is not as in the undisturbed run")

        total += len(mine[step])
        same += sum(one["response"] == other["response"] for one, other in zip(mine[step], theirs[step], strict=True))
        keys = {(step, line["question"], line["sample"]) for line in mine[step]}
        if len(keys) != len(mine[step]) or len(keys) != GROUP * TOGETHER or keys & seen:
            raise Broken(f"step {step}: {len(mine[step])} responses, {len(keys)} of them different")

        seen |= keys

    if not served and same != total:
        raise Broken(f"{total - same} of {total} responses are not those of the undisturbed run")

    logged = [entry for entry in json.loads((out / STATE).read_text())["log_history"] if "reward" in entry]
    if [entry["step"] for entry in logged] != rollouts:
        raise Broken(f"the trainer logged rewards of steps {[entry['step'] for entry in logged]}")

    worst = 0.0
    for entry in logged:
        lines = mine[entry["step"]]
        again = fill_groups([scored(line) for line in lines], GROUP).scores
        on_file = [line["reward"] for line in lines]
        off = [abs(one - other) for one, other in zip(again, on_file, strict=True)]
        off += [abs(fmean(on_file) - entry["reward"]), abs(fmean(line["format"] for line in lines) - entry["format"])]
        if max(off) > 1e-6:
            raise Broken(f"step {entry['step']}: rewards on file do not account for the one that was logged")

        worst = max(worst, max(off))
        if served and entry["sampling/sampling_logp_difference/mean"] > SAME_WEIGHTS:
            raise Broken(f"step {entry['step']}: the server had other weights")

    return {"rollouts": len(rollouts), "responses": total, "same": same, "worst": worst}


def by_step(out: Path) -> dict[int, list[Mapping[str, Any]]]:
    """Return step -> its lines, in the order of the file."""
    found = defaultdict(list)
    for line in map(json.loads, read(out)):
        found[line["step"]].append(line)

    return dict(found)


def scored(line: Mapping[str, Any]) -> float | None:
    """Return what the response of a line is given when it is scored anew."""
    config = RewardConfig(format_weight=0.1, tags="omr", rule="ours", max_response_tokens=32)
    asked = QUESTIONS[line["question"]]
    truncated = line["finish_reason"] == "length"
    task = RewardTask(
        line["response"], asked["gold"], question_from(asked), tokens=line["completion_tokens"], truncated=truncated
    )
    return reward(task, config).score


QUESTIONS: dict[str, Mapping[str, Any]] = {}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=("trainer", "server"), default="trainer")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    questions = ROOT / "saves" / "reinforce" / "questions" / "questions.jsonl"
    if not questions.is_file():
        sys.exit(f"{questions} is not there. First: virgo-factory demo reinforce --prepare-only")

    QUESTIONS.update({row["id"]: row for row in map(json.loads, questions.read_text().splitlines())})
    served, draw = given.what == "server", random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        began = time.monotonic()
        undisturbed = start(whole, given.steps)
        try:
            if served:  # beside it, since starts of the server take longest
                met = server_killed(killed, given.steps, given.kills, draw)
                wait(undisturbed, lambda: False, 1200)
            else:
                wait(undisturbed, lambda: False, 1200)
                seconds = time.monotonic() - began
                print(f"undisturbed: {seconds:.0f} s", flush=True)
                met = trainer_killed(killed, given.steps, given.kills, draw, seconds)

            found = check(killed, whole, given.steps, served)
        except Broken as error:
            log = killed.with_suffix(".log")
            sys.exit(f"not reached: {error}\nthe end of the log:\n{log.read_text(errors='replace')[-3000:]}")

    told = ", ".join(f"{name} {count}" for name, count in met.items())
    print(f"{given.kills} kills in {given.steps} steps, {time.monotonic() - began:.0f} s in all; {told}")
    print(f"rollouts with the prompts of the undisturbed run:  {found['rollouts']} of {found['rollouts']}")
    print(f"responses on file, each once:                      {found['responses']}")
    print(f"of these, as in the undisturbed run:               {found['same']}")
    print(f"largest gap between rewards on file and logged:    {found['worst']:.1e}")


if __name__ == "__main__":
    _main()
