"""LongPerceptualThoughts' real preference pairs through `stage: dpo` of the stock command."""

import json
import os
from pathlib import Path

import pytest
import yaml
from PIL import Image


ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_dpo_on_real_pairs(bench, shared_data):
    """Its own entry but for the formatting. The policy begins as the reference and moves away from it.

    The common beginning of both sides, the wrong thought that is corrected, is context: by the recipe's `pref_ftx` nothing of it is
    learned.
    """
    source = shared_data / "long_perceptual_thoughts"
    rows = json.loads((source / "dpo_docci_all_extended_cots_X_O.json").read_text(encoding="utf-8"))
    entries = json.loads((source / "example_long_perceptual_thoughts_preference_dataset_info.json").read_text())
    entry = entries["long_perceptual_thoughts/dpo_docci_all_extended_cots_X_O"]
    Image.new("RGB", (84, 56), "red").save(bench.folder / "data" / "picture.png")
    starts = [os.path.commonprefix([row["chosen"]["content"], row["rejected"]["content"]]).rstrip() for row in rows]
    assert all(start.startswith("<think> ") and "</think>" not in start and len(start) > 80 for start in starts)
    lines = [
        json.dumps(row | {"images": ["picture.png"], "assistant_prefix": start})  # the pictures are not in the folder
        for row, start in zip(rows, starts, strict=True)
    ]
    bench.add_dataset("pairs", lines, **entry | {"file_name": "pairs.jsonl", "formatting": "long_thought"})
    recipe = yaml.safe_load((ROOT / "recipes/lgt7b_dpo_stage1.yaml").read_text(encoding="utf-8"))
    bench.train(
        stage="dpo",
        dataset="pairs",
        max_samples=6,
        max_steps=2,
        global_batch_size=2,
        question_prefix=None,
        cutoff_len=4096,
        learning_rate=1e-3,
        pref_ftx=recipe["pref_ftx"],
        pref_beta=recipe["pref_beta"],
    )
    account = bench.rows_json()["pairs"]
    assert (account["rows_in"], account["kept"], account["reasons"]) == (104, 6, {"not drawn": 98})
    assert account["format"] == "think_answer"
    state = json.loads((bench.folder / "out" / "trainer_state.json").read_text())
    first, second = (entry for entry in state["log_history"] if "loss" in entry)
    # log 2, the policy being the reference yet, and half of what a random model pays for a token of 1,536 to 1,600
    assert first["loss"] == pytest.approx(0.6931 + recipe["pref_ftx"] * 7.36, abs=0.1)
    assert abs(first["rewards/margins"]) < 0.01  # the reference is in bfloat16, the policy is not
    assert abs(second["rewards/margins"]) > 10 * abs(first["rewards/margins"])
