"""The reward as verl and TRL call it: names and numbers that they can average, no heavy import, any thread."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import virgo_factory
from virgo_factory.answers.engines import compute_score, trl_reward
from virgo_factory.answers.rewards import RewardConfig


pytestmark = pytest.mark.slow

OMR = "<think>a</think><answer>{}</answer>"

VERL = """
import importlib.util, sys
from concurrent.futures import ThreadPoolExecutor
spec = importlib.util.spec_from_file_location("custom_module", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
def ask(number):
    return module.compute_score(data_source="d", solution_str="<think>a</think><answer>%d</answer>" % number, ground_truth="4",
                                extra_info={"question": "2 + 2?", "num_turns": 1}, reward_router_address=None)
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(ask, range(16)))
assert [one["score"] for one in found] == [0.1 + 0.9 * (number == 4) for number in range(16)], found
heavy = {"torch", "transformers", "llamafactory", "trl", "vllm", "datasets", "numpy", "pyarrow"} & sys.modules.keys()
assert not heavy, heavy
print("ok")
"""


def test_verl_loads_the_file_by_its_path_and_calls_it_from_threads_of_a_bare_script(tmp_path):
    (tmp_path / "verl_like.py").write_text(VERL)
    file = Path(virgo_factory.__file__).parent / "answers/engines.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, tmp_path / "verl_like.py", file], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.stdout == "ok\n", done.stderr


def test_verl_gets_the_same_names_of_every_row():
    facts = {"gold": ["3", "4"], "text": "Which?", "options": [], "kind": None}
    rows = [
        compute_score("d", OMR.format("3 and 4"), "3, 4", {"asked": json.dumps(facts)}),
        compute_score("d", OMR.format("B"), "B", {"asked": json.dumps({**facts, "gold": "B", "options": ["x", "y"]})}),
        compute_score("d", OMR.format("4"), None),
        compute_score("d", "", "4", format_weight=0.5),
    ]
    assert rows == [
        {"score": 1.0, "acc": 1.0, "fmt": 1.0, "unverifiable": 0.0, "no_answer": 0.0},
        {"score": 1.0, "acc": 1.0, "fmt": 1.0, "unverifiable": 0.0, "no_answer": 0.0},
        {"score": pytest.approx(0.1), "acc": 0.0, "fmt": 1.0, "unverifiable": 1.0, "no_answer": 0.0},
        {"score": 0.0, "acc": 0.0, "fmt": 0.0, "unverifiable": 0.0, "no_answer": 1.0},
    ]


def test_trl_gets_numbers_alone():
    function = trl_reward(RewardConfig(tags="omr", max_response_tokens=8, overlong_buffer=4), group_size=2, workers=1)
    told = function(
        completions=[OMR.format(4), [{"role": "assistant", "content": OMR.format(5)}], OMR.format(4), OMR.format(4)],
        prompts=["p"] * 4,
        completion_ids=[[1] * 6, [1], [1], [1] * 8],
        gold=["4", "4", None, "4"],
        question=["2 + 2?"] * 4,
        trainer_state=None,
    )
    assert told == pytest.approx([0.5, 0.1, -0.9, -0.9]), "the third has no gold, the fourth was cut off"
    with pytest.raises(ValueError, match="1 scores are no groups of 2"):
        function(completions=["4"], gold=["4"])
