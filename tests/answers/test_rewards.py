"""The reward of a response: tables of accuracy, form and penalty, groups, and processes asked from threads and bare scripts."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.answers import Question
from virgo_factory.answers.rewards import (
    Reward,
    RewardConfig,
    Rewards,
    RewardTask,
    fill_groups,
    has_form,
    overlong_penalty,
    reward,
)
from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import MARKERS, LongThought


VIRGO = LongThought("6 * 7, that is 42.", r"It is \boxed{42}.").render()
OMR = "<think>6 * 7, that is 42.</think>\n<answer>42</answer>"
SLOW = RewardTask("\\boxed{ " * 6_000_000, "7")
"""Takes several times the limit below."""


@pytest.mark.parametrize(
    ("response", "gold", "tags", "score", "accuracy", "form"),
    [
        (VIRGO, "42", "virgo", 1.0, 1, 1),
        (VIRGO, "41", "virgo", 0.1, 0, 1),
        (VIRGO + "<|im_end|>", "42", "virgo", 1.0, 1, 1),
        (VIRGO, "42", "omr", 0.9, 1, 0),
        (OMR, "42", "omr", 1.0, 1, 1),
        (OMR + "\n<|im_end|>", "42", "omr", 1.0, 1, 1),
        ("<think>\n6 * 7.\n</think>\n\nSo it is <answer>42</answer>.", "42", "think", 1.0, 1, 1),
        ("So it is 42.</think> 42", "42", "think", 0.9, 1, 0),
        ("It is 42.", "42", "virgo", 0.9, 1, 0),
        ("It is 41.", "42", "virgo", 0.0, 0, 0),
        ("", "42", "virgo", 0.0, 0, 0),
        (VIRGO, None, "virgo", None, None, 1),
        (VIRGO, "", "virgo", None, None, 1),
    ],
)
def test_a_score_is_nine_tenths_accuracy_and_one_tenth_form(response, gold, tags, score, accuracy, form):
    found = reward(RewardTask(response, gold), RewardConfig(tags=tags))
    assert (found.score, found.accuracy, found.format) == (pytest.approx(score), accuracy, form)


@pytest.mark.parametrize(
    "response",
    [
        "<think>a</think>",
        "<think> </think><answer>b</answer>",
        "<think>a</think><answer> </answer>",
        "<think>a</think><answer>b",
        "<answer>b</answer><think>a</think>",
        "Well. <think>a</think><answer>b</answer>",
        "<think>a</think> so <answer>b</answer>",
        "<think>a</think><answer>b</answer> Right?",
        "<think>a</think><answer>b</answer><answer>c</answer>",
        "<think>a</think><think>a</think><answer>b</answer>",
        "<think>a<answer>c</answer></think><answer>b</answer>",
        r"\boxed{42}",
    ],
)
def test_what_is_no_thought_and_answer_has_no_form(response):
    assert not has_form(response, "omr")


def test_a_truncated_response_is_never_correct():
    found = reward(RewardTask(VIRGO, "42", truncated=True))
    assert (found.verdict, found.reason, found.score) == ("wrong", "cut_answer", pytest.approx(0.1))
    assert reward(RewardTask(VIRGO, None, truncated=True)).score is None, "the gold is at fault, not the response"


def test_question_and_grading_reach_the_verdict():
    question = Question("Which?", options=("red", "blue"))
    assert reward(RewardTask("It is blue.", "B", question)).accuracy == 1
    assert reward(RewardTask("It is A bird.", "A", question)).accuracy == 0
    assert reward(RewardTask("It is 0.52.", "0.5", grading="chartqa")).accuracy == 1
    with pytest.raises(UserError, match="grading: 'lax' is not one of"):
        RewardTask("", "", grading="lax")


@pytest.mark.parametrize(
    ("tokens", "penalty"),
    [(0, 0.0), (24_600, 0.0), (24_601, -1 / 4096), (26_648, -0.5), (28_696, -1.0), (40_000, -1.0), (None, 0.0)],
)
def test_the_penalty_of_overlong_responses_is_the_paper_s_and_ends_at_minus_one(tokens, penalty):
    config = RewardConfig(max_response_tokens=28_696, overlong_buffer=4096)
    assert overlong_penalty(tokens, config) == pytest.approx(penalty)
    assert overlong_penalty(tokens, RewardConfig(max_response_tokens=28_696)) == 0
    found = reward(RewardTask(VIRGO, "42", tokens=tokens), config)
    assert found.score == pytest.approx(1 + penalty) and found.overlong == pytest.approx(penalty)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"format_weight": 1.1}, "format_weight: 1.1"),
        ({"tags": "r1", "rule": "theirs"}, "tags: 'r1' is not one of virgo, omr, think; rule: 'theirs'"),
        ({"overlong_buffer": 10}, "max_response_tokens"),
        ({"overlong_buffer": 10, "max_response_tokens": 9}, "overlong_buffer: 10 is not between 0 and"),
    ],
)
def test_values_that_cannot_be(values, told):
    with pytest.raises(UserError, match=told):
        RewardConfig(**values)


@pytest.mark.parametrize(
    ("response", "gold", "score"),
    [
        (OMR, "42", 1.0),
        (r"I guess \boxed{42}", "42", 1.0),
        (r"\boxed{7} is what I was told, and " + "x" * 50 + " = 8", "8", 0.1),
        ("x" * 50 + " = 8", "8", 0.98),
        ("x" * 50 + " = 8", "9", 0.08),
        ("<think></think><answer>A bird</answer>", "A", 1.0),
        ("<answer>1234567890</answer>", "123456789", 0.9),
        ("nothing at all", None, 0.0),
    ],
)
def test_openmmreasoner_s_rule_keeps_its_faults(response, gold, score):
    found = reward(RewardTask(response, gold), RewardConfig(rule="omr"))
    assert found.score == pytest.approx(score)
    assert reward(RewardTask(OMR, "42", truncated=True), RewardConfig(rule="omr")).score == pytest.approx(1.0)


def test_an_unverifiable_one_gets_the_mean_of_its_group():
    filled = fill_groups([1.0, 0.0, None, 0.5, *[None] * 4, None, None, None, 0.9], 4)
    assert filled.scores == [1.0, 0.0, 0.5, 0.5, *[0.0] * 4, 0.9, 0.9, 0.9, 0.9]
    assert (filled.unverifiable, filled.doubtful) == (8, [1, 2])
    with pytest.raises(ValueError, match="12 scores are no groups of 5"):
        fill_groups([1.0] * 12, 5)


@pytest.fixture
def rewards():
    made = Rewards(RewardConfig(tags="omr"), workers=2, seconds=2.0)
    yield made
    made.close()


@pytest.mark.slow
def test_eight_threads_ask_at_once_and_one_response_hangs(rewards):
    found = {}
    tasks = [RewardTask(OMR.replace("42", str(number)), str(number + number % 2)) for number in range(24)]

    def ask(thread):
        mine = [*tasks[thread:], *[SLOW] * (thread == 3)]
        found[thread] = rewards.score(mine)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    for number in range(8):
        assert found[number][: 24 - number] == [reward(task, rewards.config) for task in tasks[number:]]

    assert found[3][-1] == Reward(None, None, 0.0, 0.0, "unverifiable", "timeout")


BARE = """
from virgo_factory.answers.rewards import Rewards, RewardTask
print("started", flush=True)
rewards = Rewards(workers=2)
print([one.verdict for one in rewards.score([RewardTask("It is %d." % number, "4") for number in (4, 5)])], flush=True)
"""


def _run_bare(folder, **environment):
    (folder / "bare.py").write_text(BARE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(
        [sys.executable, folder / "bare.py"], cwd=folder, capture_output=True, text=True, env=environment, timeout=120
    )


@pytest.mark.slow
def test_a_script_without_a_guard_is_not_run_again(tmp_path):
    done = _run_bare(tmp_path)
    assert done.stdout == "started\n['correct', 'wrong']\n", done.stderr


@pytest.mark.slow
def test_workers_that_cannot_start_are_told_with_what_they_wrote(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif sys.argv[0] == '-c': sys.stderr.write('no room for me here'), sys.exit(7)\n"
    )
    done = _run_bare(tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert (
        "ChildProcessError: a worker process ended with code" in done.stderr and "no room for me here" in done.stderr
    )
    assert done.stdout == "started\n" and done.returncode == 1


@pytest.mark.slow
def test_after_an_error_the_next_call_begins_anew(rewards):
    task = replace(SLOW, response=OMR, gold="42")
    workers = rewards._workers
    workers.close()  # else one that is there and idle takes the task
    arguments, workers._arguments = workers._arguments, (print, None)  # makes no function
    with pytest.raises(TypeError):
        rewards.score([task])

    workers._arguments = arguments
    assert rewards.score([task])[0].score == 1.0


@given(
    st.lists(
        st.sampled_from(
            ["<think>", "</think>", "<answer>", "</answer>", "42", "\\boxed{42}", " ", "\n", "B", *MARKERS]
        )
    ),
    st.sampled_from(["42", "B", ["4", "2"], None, 42, ""]),
    st.sampled_from(["virgo", "omr", "think"]),
    st.booleans(),
)
def test_a_score_is_of_accuracy_and_form_alone(pieces, gold, tags, truncated):
    found = reward(RewardTask("".join(pieces), gold, truncated=truncated), RewardConfig(tags=tags))
    if found.verdict == "unverifiable":
        assert (found.score, found.accuracy) == (None, None)
    else:
        assert found.score == pytest.approx(0.9 * (found.verdict == "correct") + 0.1 * found.format)
        assert not (truncated and found.accuracy)

    assert found.format in (0, 1)
