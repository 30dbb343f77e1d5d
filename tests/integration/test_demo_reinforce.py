"""The demo of reinforcement, shortened: rewards rise where pictures can be seen, and not where they are blank."""

import contextlib
import json
from statistics import fmean

import pytest

from tests.demo.conftest import with_recipes
from virgo_factory.demo import looking, reinforce


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
STEPS, PART, RESPONSES = 24, 8, 32
BASE = {"per_device_train_batch_size": 16}
CHANGES = {"max_steps": STEPS, "learning_rate": 2.0e-4, "save_strategy": "no"}
CHANGES |= dict.fromkeys(("global_batch_size", "per_device_train_batch_size"), RESPONSES)
"""Instead of 32 rows a step of the base, and of the recipe's 40 steps of 64 responses at 1.0e-4: two fifths of the time."""


@pytest.fixture(scope="module")
def bench(make_bench, tmp_path_factory):
    """A bench whose base has learned to look or to guess, with the questions of the demo and of its control."""
    folder = with_recipes(tmp_path_factory.mktemp("reinforce"))
    with contextlib.chdir(folder):
        reinforce.prepare(reinforce.Reinforcement(), [reinforce.SEED])
        bench = make_bench(folder, reinforce.base().output)
        bench.train_step(reinforce.base().training, **BASE)
        yield bench


def reinforced(bench, blank: bool) -> list[list[dict]]:
    """Return the rollouts of each step of a run."""
    training = reinforce.Reinforcement(blank).training(reinforce.SEED)
    bench.train_step(training, **CHANGES)
    steps = [[] for _ in range(STEPS)]
    for line in (training.output / "rollouts.jsonl").read_text().splitlines():
        rollout = json.loads(line)
        steps[rollout["step"] - 1].append(rollout)

    assert {len(step) for step in steps} == {RESPONSES}
    return steps


def mean(steps: list[list[dict]], of) -> float:
    return fmean(of(rollout) for step in steps for rollout in step)


def test_who_sees_learns_to_look(bench):
    steps = reinforced(bench, blank=False)
    for of in (lambda rollout: rollout["accuracy"] or 0.0, lambda rollout: looking.LOOK in rollout["response"]):
        first, last = mean(steps[:PART], of), mean(steps[-PART:], of)
        assert last > first + 0.1, (first, last)


def test_who_sees_nothing_stays_at_chance(bench):
    steps = reinforced(bench, blank=True)
    chance = fmean(1 / len(answers) for answers in looking.ANSWERS.values())
    for part in (steps[: STEPS // 2], steps[STEPS // 2 :]):
        assert mean(part, lambda rollout: rollout["accuracy"] or 0.0) == pytest.approx(chance, abs=0.12)
