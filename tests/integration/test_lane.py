"""What transformers 5 saves is in order by every check, and read by transformers and by the vLLM beside it."""

import importlib.metadata

import pytest

from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.reduced import try_loading
from virgo_factory.preflight.versions import is_5


pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not is_5(importlib.metadata.version("transformers")),
        reason="of the second tested set: make test-transformers5",
    ),
]


def test_a_trained_checkpoint_is_read(bench):
    bench.train(max_steps=2, batch_order="packed", freeze_multi_modal_projector=False)
    out = bench.folder / "out"
    found = check_checkpoint(out, bench.base) + try_loading(out, vllm=True)
    assert [item for item in found if item.severity == "error"] == []
    told = {item.check: item.found for item in found}
    assert "saved by 5" in told["transformers"] and "4.x readers break" in told["transformers"]
    assert "logits finite" in told["transformers loads it"]
    assert "4 written" in told["vllm loads it"]
