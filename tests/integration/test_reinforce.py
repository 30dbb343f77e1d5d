"""`stage: grpo` through the stock command: a killed run goes on, ranks agree on rewards, servers have the weights.

Of servers by their URL, and of one that has other weights: test_policy_servers.py.
"""

import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from virgo_factory.answers.rewards import RewardTask, fill_groups, reward
from virgo_factory.core.thought import LongThought
from virgo_factory.demo.visual_rows import write_questions


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
CONFIGS = Path(__file__).parents[2] / "recipes" / "deepspeed"
GROUP = 4
RUN = {
    "stage": "grpo",
    "dataset": "prompts",
    "media_dir": "data",
    "cutoff_len": None,
    "per_device_train_batch_size": 4,
    "global_batch_size": 8,
    "learning_rate": 1.0e-4,
    "lr_scheduler_type": "constant",
    "rl_loss": "grpo",
    "rl_num_generations": GROUP,
    "rl_max_prompt_tokens": 512,
    "rl_max_response_tokens": 40,
    "freeze_multi_modal_projector": False,
}


@pytest.fixture(scope="module")
def policy(make_bench, base, tmp_path_factory):
    """A bench whose model answers A or B in the form of a long thought, and five prompts: texts, and a picture."""
    bench = make_bench(tmp_path_factory.mktemp("policy"), base)
    thoughts = [
        {"question": f"Choose ({at})", "combined_text": LongThought("So.", f"\\boxed{{{'AB'[at % 2]}}}").render()}
        for at in range(32)
    ]
    bench.add_dataset("thoughts", list(map(json.dumps, thoughts)))
    learn = {"num_train_epochs": 12.0, "learning_rate": 5e-3, "per_device_train_batch_size": 8, "global_batch_size": 8}
    bench.train(**learn, output_dir="policy")
    (line,) = write_questions(bench.folder / "data", 1).read_text().splitlines()
    rows = [{"id": f"c{at}", "question": f"Choose ({at})", "gold": "AB"[at % 2], "kind": "choice"} for at in range(4)]
    rows.append(json.loads(line) | {"id": "p", "gold": "A", "kind": "choice"})
    bench.add_dataset("prompts", list(map(json.dumps, rows)), formatting="questions")
    bench.base = bench.folder / "policy"
    return bench


def rollouts(bench, output="out"):
    """Return step -> its lines, in their order; no response may stand there twice."""
    steps = defaultdict(list)
    lines = [json.loads(line) for line in (bench.folder / output / "rollouts.jsonl").read_text().splitlines()]
    assert len({(line["step"], line["question"], line["sample"]) for line in lines}) == len(lines)
    for line in lines:
        steps[line["step"]].append(line)

    return steps


def logged(bench, output="out"):
    """Return step -> what the trainer logged."""
    state = json.loads((bench.folder / output / "trainer_state.json").read_text())
    return {entry["step"]: entry for entry in state["log_history"] if "reward" in entry}


def check_rewards(bench, output="out"):
    """Check that every reward is what one process gives to the same responses."""
    gold = {json.loads(line)["id"]: json.loads(line)["gold"] for line in (bench.folder / "data/prompts.jsonl").open()}
    told = logged(bench, output)
    from virgo_factory.answers import Question

    for step, lines in rollouts(bench, output).items():
        alone = [
            reward(
                RewardTask(
                    line["response"],
                    gold[line["question"]],
                    Question("Choose", kind="choice"),
                    truncated=line["finish_reason"] == "length",
                )
            ).score
            for line in lines
        ]
        expected = fill_groups(alone, GROUP).scores
        assert [line["reward"] for line in lines] == pytest.approx(expected, abs=1e-6)
        assert [line["sample"] for line in lines] == list(range(GROUP)) * 2
        assert all(len({line["question"] for line in lines[at : at + GROUP]}) == 1 for at in (0, GROUP))
        assert told[step]["reward"] == pytest.approx(sum(expected) / len(expected), abs=1e-6)


def test_a_killed_run_goes_on_with_the_right_prompts(policy):
    """Five prompts, two a step: two steps an epoch, and one prompt left over.

    Killed before the first checkpoint, inside the second epoch, and behind its last step; at random moments,
    and with a server: benchmarks/reinforce_kills.py.
    """
    run = RUN | {"num_train_epochs": 3.0, "save_strategy": "steps", "save_steps": 1}
    policy.train(**run, output_dir="undisturbed", plot_loss=True)
    assert (policy.folder / "undisturbed" / "training_curves.png").is_file()
    expected = rollouts(policy, "undisturbed")
    assert sorted(expected) == [1, 2, 3, 4, 5, 6]
    assert len({tuple(line["question"] for line in expected[step]) for step in (1, 3, 5)}) > 1
    assert any(line["accuracy"] for step in expected.values() for line in step)
    file, kept = policy.folder / "out" / "rollouts.jsonl", []
    for step in (1, 4):
        saved = policy.folder / "out" / f"checkpoint-{step - 1}" / "trainer_state.json"

        def is_time(step=step, saved=saved):
            return (step == 1 or saved.is_file()) and file.is_file() and f'"step": {step}' in file.read_text()

        policy.train_and_kill(is_time, **run)
        lines = file.read_text().splitlines(keepends=True)
        kept.append("".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step))

    refused = policy.train(**run | {"rl_loss": "gspo", "rl_num_generations": 2}, ok=False)
    assert (
        "was made with rl_loss: grpo, rl_num_generations: 4, and this recipe has rl_loss: gspo, rl_num_generations: 2"
        in refused
    )
    assert "Resuming training from" in policy.train(**run)
    assert all(file.read_text().startswith(before) for before in kept), "scored before, and again"
    found = rollouts(policy)
    assert sorted(found) == sorted(expected)
    for step in expected:
        assert [line["question"] for line in found[step]] == [line["question"] for line in expected[step]], step
        assert [line["response"] for line in found[step]] == [line["response"] for line in expected[step]], step

    check_rewards(policy)
    before, after = (
        load_file(policy.base / "model.safetensors"),
        load_file(policy.folder / "out" / "model.safetensors"),
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("lm_head" in name or "embed" in name for name in moved)
    assert not any(name.startswith(("visual.blocks", "visual.patch_embed")) for name in moved)
    for name in ("model.safetensors", "train_results.json"):
        (policy.folder / "out" / name).unlink()

    assert "was killed behind its last step; its model is that of" in policy.train(**run)
    again = load_file(policy.folder / "out" / "model.safetensors")
    assert all(torch.equal(again[name], after[name]) for name in after)


@pytest.mark.parametrize("strategy", ["ddp", "z2", "z3"])
def test_two_ranks_give_the_rewards_of_one(policy, strategy):
    """A group lies on one rank or on two; a rank without a picture waits for none that has one."""
    run = RUN | {"per_device_train_batch_size": 2, "max_steps": 4, "output_dir": strategy}
    policy.train(2, **run, deepspeed=None if strategy == "ddp" else str(CONFIGS / f"ds_{strategy}.json"))
    check_rewards(policy, strategy)
    told = logged(policy, strategy)
    assert sorted(told) == [1, 2, 3, 4]
    assert 0 < sum(bool(line["images"]) for lines in rollouts(policy, strategy).values() for line in lines) < 32
    assert any(entry["grad_norm"] > 0 for entry in told.values())


@pytest.mark.usefixtures("forked_vllm")
def test_servers_have_the_weights_of_every_step(policy):
    """ZeRO-3, two ranks, one server that the run starts; it is killed after the first step, and started again."""
    run = {"per_device_train_batch_size": 2, "max_steps": 3, "rl_server": "vllm", "output_dir": "served"}
    lines = policy.folder / "served" / "rollouts.jsonl"
    recipe = sys.modules[type(policy).__module__].RECIPE
    with policy.start(
        recipe | RUN | run | {"deepspeed": str(CONFIGS / "ds_z3.json")}, 2, {"FORKED_VLLM": "1"}, False
    ) as started:
        while not (lines.is_file() and lines.read_text()):
            assert started.exit_code is None, started.log.read_text()[-6000:]
            time.sleep(0.1)

        for process in psutil.Process(started.processes[0].pid).children(recursive=True):
            if "virgo_factory.rollouts.servers.cpu_server" in process.cmdline():
                process.kill()

        started.wait(900)

    printed = started.log.read_text(errors="replace")
    assert started.exit_code == 0, printed[-6000:]
    assert "died and is started again" in printed
    check_rewards(policy, "served")
    told = logged(policy, "served")
    assert sorted(told) == [1, 2, 3]
    assert all(entry["sampling/sampling_logp_difference/mean"] < 0.02 for entry in told.values())
    assert any(entry["grad_norm"] > 0 for entry in told.values())
