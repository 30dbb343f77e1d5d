"""A judge counts the behaviours of thoughts in a sample, beside the lexicon."""

import json
import math

import pytest
from typer.testing import CliRunner

from tests.jsonl import write_jsonl
from virgo_factory.cli.data import data as verbs
from virgo_factory.core.example import Example
from virgo_factory.core.thought import BEGIN_THOUGHT, LongThought
from virgo_factory.evaluation.probes.behaviours import judge_behaviours
from virgo_factory.rollouts.judge.llm_judge import LLMJudge


THOUGHTS = (
    *("It is red. Let me check: red.", "It is red. Wait, it is blue. Let me check again: blue."),
    *("It is blue, and I check nothing.", "It is green.", "Wait, this is unreadable."),
)
"""The lexicon finds verification in the first two and backtracking in the second; the judge verification in the third, too."""


def example(thought: str, **more) -> Example:
    return Example(thought[:20], "What colour?", LongThought(thought, "It is."), **more)


@pytest.fixture
def judge(server) -> LLMJudge:
    return LLMJudge(server.url, "judge", pause=0.0)


def test_judge_and_lexicon_are_compared(judge):
    found, failed = judge_behaviours(map(example, THOUGHTS), judge)
    told = {one.behaviour: one for one in found}
    assert failed == 1 and {one.thoughts for one in found} == {4}
    verification = told["verification"]
    assert (verification.judged, verification.by_lexicon) == ((0.75, 3), (0.5, 2))
    assert verification.agree == 0.75 and verification.kappa == pytest.approx(0.5)
    assert told["backtracking"].agree == told["backtracking"].kappa == 1.0
    assert math.isnan(told["sub-goals"].kappa)  # never, say both


def test_a_planted_cue_is_neither_counted_nor_shown(judge, server):
    wrong = "It is red."
    planted = example(f"{wrong} Wait, it is blue.", assistant_prefix=f"{BEGIN_THOUGHT}\n\n{wrong}")
    other = example("It is red. Wait, it is blue.")
    for some, cues, share in (([planted], (), 0.0), ([other], ("Wait,",), 0.0), ([other], (), 1.0)):
        found, _ = judge_behaviours(some, judge, cues=cues)
        (one,) = [one for one in found if one.behaviour == "backtracking"]
        assert one.judged[0] == one.by_lexicon[0] == share
        assert ("Wait" in server.prompts[-1]) == (share == 1.0)


@pytest.mark.slow
def test_a_sample_is_drawn(judge, server):
    found, failed = judge_behaviours((example(f"Thought number {number}.") for number in range(500)), judge, count=20)
    assert failed == 0 and found[0].thoughts == len(server.prompts) == 20
    judge_behaviours((example(f"Thought number {number}.") for number in range(500)), judge, count=20)
    assert sorted(server.prompts[:20]) == sorted(server.prompts[20:])  # the same ones again


@pytest.mark.slow
def test_stats_tells_both(tmp_path, server):
    rows = [{"question": "What colour?", "thought": thought, "solution": "It is."} for thought in THOUGHTS]
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, rows)
    arguments = ["stats", str(file), "--behaviours", "--formatting", "long_thought", "--judge-model", "judge"]
    asked = [*arguments, "--judge-url", server.url]
    found = CliRunner().invoke(verbs, asked, env={"COLUMNS": "160"})
    assert found.exit_code == 0, found.output
    assert (
        "75.0% (3)" in found.output and "0.50" in found.output and "1 of its counts could not be read" in found.output
    )
    said = len(server.prompts)
    told = json.loads(CliRunner().invoke(verbs, [*asked, "--json"]).stdout)["behaviours"]["judge"]
    assert "nan" not in found.output and told["behaviours"][2]["kappa"] is None  # sub-goals: never, say both
    assert told["failed"] == 1 and len(server.prompts) == said + 3  # what could be read is not asked again
    assert "go together" in str(CliRunner().invoke(verbs, arguments).exception)
