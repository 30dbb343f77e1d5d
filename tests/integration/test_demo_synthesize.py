"""The demo of synthesis, shortened: rows by a server that plays every role, SFT and DPO on them, the trained model thinks through vLLM."""

import pytest

from virgo_factory.demo.run import ask
from virgo_factory.demo.synthesis import loop
from virgo_factory.demo.synthesis.server import serving


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
STEPS = {"max_steps": 3, "save_strategy": "no", "logging_steps": 1}


def test_the_whole_way(make_bench, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "DRAWN", 4)
    monkeypatch.setattr(loop, "THOUGHT_OF", 1)
    planned = loop.plan(tmp_path / "demo")
    loop.prepare(planned)
    bench = make_bench(tmp_path, planned.start)
    with serving() as server:
        assert ask(planned.synthesis(server.url)) == 0
        loop.make_start(planned)
        for name in ("sft", "dpo"):
            bench.train_step(planned.training(name), **STEPS)

        ask(planned.thinking(server.url))  # fails where no thought of so small a model gives a row
        assert loop.has_thought(planned)
        proofs = {proof.name: proof for proof in loop.prove(planned, server)}

    told = (
        "in = kept + dropped",
        "faults of form are found",
        "wrong thoughts are not learned",
        "vLLM goes on behind <think>",
    )
    for name in told:
        assert proofs[name].holds, proofs[name]
