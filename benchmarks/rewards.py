"""How long the rewards of one step of reinforcement learning take: 2,048 recorded responses, by warm worker processes.

python benchmarks/rewards.py [--workers 2] [--responses 2048]

The responses are the long thoughts of shared/data/skythought, then OlympiadBench's and Qwen2.5-Math's, each once: verdicts on
formulas are remembered, so that a second step with the same responses would cost a third. Start and import of the workers
are told apart: they are paid once a training.
"""

import argparse
import time
from collections import Counter
from itertools import chain, islice

import psutil
from answers import DATA, olympiadbench, qwen_samples, skythought

from virgo_factory.answers.rewards import RewardConfig, Rewards, RewardTask


STEP = 2048
"""Responses of one step: 128 prompts by 16 (OpenMMReasoner's)."""


def tasks(count: int) -> list[RewardTask]:
    """Return the responses of a step with their golds."""
    names = sorted(path.name for path in (DATA / "skythought").glob("*.json*"))
    cases = chain(*(skythought(DATA, name) for name in names), olympiadbench(DATA), qwen_samples(DATA))
    return [RewardTask(case.response, case.gold, case.question, case.config.name) for case in islice(cases, count)]


def worked() -> float:
    """Return the processor seconds of the worker processes until now."""
    times = [process.cpu_times() for process in psutil.Process().children()]
    return sum(one.user + one.system for one in times)


def main() -> None:
    """Print seconds and processor seconds, of the start and of one step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--responses", type=int, default=STEP)
    arguments = parser.parse_args()
    step = tasks(arguments.responses)
    characters = sum(len(task.response) for task in step) / len(step)
    print(f"{len(step)} responses of {characters:,.0f} characters on average, {arguments.workers} workers")
    rewards = Rewards(RewardConfig(), arguments.workers)
    started = time.perf_counter()
    # An integral makes a worker import its parser of formulas.
    rewards.score([RewardTask(rf"\boxed{{\int x dx+{n}}}", rf"\int y dy+{n}") for n in range(16 * arguments.workers)])
    before, own = worked(), time.process_time()
    print(f"start and first formula: {time.perf_counter() - started:.2f} s, {before:.2f} processor seconds")
    started = time.perf_counter()
    found = rewards.score(step)
    took = time.perf_counter() - started
    print(
        f"step: {took:.2f} s, {len(step) / took:,.0f} a second; processor seconds: {worked() - before:.2f} in the workers, "
        f"{time.process_time() - own:.2f} in this process"
    )
    rewards.close()
    print(dict(Counter(one.verdict for one in found)))


if __name__ == "__main__":
    main()
