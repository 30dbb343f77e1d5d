"""Transformers 5: what it saves is in order by every check and read by the vLLM beside it; preference pairs, and DeepSpeed."""

import importlib.metadata
import json

import pytest
from PIL import Image

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


@pytest.mark.parametrize("stage", [2, 3])
def test_preference_pairs_are_trained_under_deepspeed(bench, stage):
    """Two ranks. The policy begins as the reference, so that the first loss is log 2, and moves away from it."""
    Image.new("RGB", (84, 56), "red").save(bench.folder / "data" / "red.png")
    rows = [
        {"instruction": f"<image>Is {number} red?", "chosen": "Yes, it is.", "rejected": "No.", "images": ["red.png"]}
        for number in range(8)
    ]
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected", "images": "images"}
    lines = [json.dumps(row) for row in rows]
    bench.add_dataset("pairs", lines, formatting="alpaca", ranking=True, columns=columns)
    config = {"train_micro_batch_size_per_gpu": "auto", "bf16": {"enabled": "auto"}}
    config |= dict.fromkeys(("train_batch_size", "gradient_accumulation_steps", "gradient_clipping"), "auto")
    config["zero_optimization"] = {"stage": stage, "overlap_comm": False}
    (bench.folder / "zero.json").write_text(json.dumps(config))
    bench.train(
        ranks=2, stage="dpo", dataset="pairs", max_steps=3, question_prefix=None, deepspeed="zero.json", pref_beta=0.1
    )
    state = json.loads((bench.folder / "out" / "trainer_state.json").read_text())
    first, *_, last = (entry for entry in state["log_history"] if "loss" in entry)
    assert first["loss"] == pytest.approx(0.6931, abs=0.02) and last["loss"] < first["loss"]
    assert last["rewards/margins"] > first["rewards/margins"]
