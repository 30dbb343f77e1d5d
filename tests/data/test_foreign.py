"""Rows in a template of LLaMA-Factory's own are counted by LLaMA-Factory, in a process of its own."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests import forking
from tests.forking import PROGRAM, PROGRAMS, SCRIPT
from virgo_factory.core.example import Example, Turn
from virgo_factory.core.thought import LongThought
from virgo_factory.data.read.source import Settings, find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.data.tokens import llamafactory_template
from virgo_factory.data.tokens.llamafactory_template import ForeignTokenizer
from virgo_factory.data.tokens.tokens import RowTokenizer


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
THOUGHT = LongThought("Three squared: 9.", "So x = \\boxed{\\pm 3}.")
EXAMPLES = [
    Example("a", "Find all x with x^2 = 9.", THOUGHT),
    Example("b", "<image>\nHow many dots?", THOUGHT, ("1",), system="Du denkst."),
    Example("c", "And z?", "It is 7.", history=(Turn("Find x.", THOUGHT),)),
    Example("d", "Which?", "It is 7.", rejected=THOUGHT),
    Example("e", "And z?", THOUGHT, history=(Turn("Find x.", "It is 7.", learned=False),)),
    Example("f", "Which?", "It is 7.", history=(Turn("Find x.", THOUGHT),), rejected=THOUGHT),
]
SIZES = [[], [(1200, 900)], [], [], [], []]


@pytest.fixture
def forked(monkeypatch):
    """The process is forked behind the imports of LLaMA-Factory's libraries; the first test starts it from nothing."""

    def begin(command: list[str], **how: object) -> subprocess.Popen:
        assert command[:2] == [sys.executable, "-P"]
        return subprocess.Popen(forking.command(PROGRAMS, PROGRAM + SCRIPT, *command[2:]), **how)

    there = SimpleNamespace(Popen=begin, PIPE=subprocess.PIPE)
    monkeypatch.setattr(llamafactory_template, "subprocess", there)


def test_counts_are_those_of_a_template_that_is_known(shared_data):
    """`qwen2_vl` with marker tokens through the child process, and here; without them in the next test."""
    settings = Settings(str(shared_data / "qwen2.5_vl_tokenizer"), "qwen2_vl", marker_tokens=True)
    foreign, ours = ForeignTokenizer(settings), RowTokenizer(settings)
    try:
        assert foreign.special == ours.special
        assert foreign.count(EXAMPLES, SIZES) == ours.count(EXAMPLES, SIZES)
        assert [foreign.messages(example) for example in EXAMPLES] == [ours.messages(example) for example in EXAMPLES]
    finally:
        foreign.close()


@pytest.mark.usefixtures("forked")
def test_rows_of_another_template(shared_data, root):
    """`qwen` differs from `virgo` in nothing but its system message."""
    changes = {"tokenizer": str(shared_data / "qwen2.5_vl_tokenizer"), "cutoff_len": 260}
    demo = str(root / "recipes" / "demo" / "long_thoughts.jsonl")
    sources, settings = find_sources(demo, template="qwen", **changes)
    other = list(measure(sources, settings, cache=None))
    sources, settings = find_sources(demo, template="virgo", **changes)
    ours = list(measure(sources, settings, cache=None))
    text = RowTokenizer(settings).text_vocabulary
    theirs = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    more = text.count(f"system\n{theirs}") - text.count("system\nYou are a helpful assistant.")
    differences = {a.tokens - b.tokens for a, b in zip(other, ours, strict=True) if a.tokens or b.tokens}
    assert differences == {more}
    overlong = [record.reason == "overlong > 260 tokens" for record in other if record.tokens]
    assert overlong == [record.tokens > 260 for record in other if record.tokens]
    assert 0 < sum(overlong) < len(overlong)


@pytest.mark.usefixtures("forked")
def test_a_template_that_nobody_knows(shared_data):
    settings = Settings(str(shared_data / "qwen2.5_vl_tokenizer"), "no_such_template")
    with pytest.raises(ValueError, match="LLaMA-Factory says: ValueError: Template no_such_template does not exist"):
        ForeignTokenizer(settings)
