"""The recipe for MMFineReason trains a Qwen3-VL: rows from Parquet with pictures inside, packed, in thoughts of their own tags."""

import io
import json
import re

import pytest
import yaml
from datasets import Dataset
from datasets import Image as Picture
from PIL import Image
from transformers import AutoTokenizer

from virgo_factory.io.cpu import has_bf16


pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
ON_CPU = {"use_cpu": True, "bf16": has_bf16(), "flash_attn": "sdpa", "enable_liger_kernel": False, "deepspeed": None}
SMALL = {"dataset": "mmfr", "dataset_dir": "data", "output_dir": "out", "preprocessing_num_workers": 1}
SMALL |= {"global_batch_size": 4, "num_train_epochs": 1.0, "packing_tokens": 2048, "logging_steps": 1}


def row(number: int, response: str) -> dict:
    file = io.BytesIO()
    Image.new("RGB", (64 + 16 * number, 64), "red").save(file, "PNG")
    return {
        **{
            "source": "BMMR",
            "id": number,
            "ori_question": "?",
            "original_answer": "A",
            "answer": "A",
            "caption": "Red.",
        },
        **{
            "image": {"bytes": file.getvalue(), "path": None},
            "question": f"<image>What is shape {number}? A. red B. blue",
        },
        **{"qwen3vl_235b_thinking_response": response, "pass_rate": 0.0, "is_consistent": True},
        "consistency_analysis": "Both say A.",
    }


def test_mmfinereasons_recipe_on_a_qwen3_vl(make_bench, tmp_path, root):
    from virgo_factory.preflight.twin.twin import make_twin

    thoughts = [f"I look. {'It is red, is it? ' * (3 * number)}Yes." for number in range(7)]
    rows = [
        row(number, f"<think>\n{thought}\n</think>\n\nRed.\n\nTherefore, the final answer is <answer>A</answer>.")
        for number, thought in enumerate(thoughts)
    ]
    bench = make_bench(tmp_path, make_twin(tmp_path / "base", family="qwen3_vl", dtype="float32"))
    bench.add_dataset("mmfr", [], file_name="mmfr.parquet", formatting="long_thought")
    table = Dataset.from_list([*rows, row(8, "<think>\nI look")]).cast_column("image", Picture())
    table.to_parquet(tmp_path / "data" / "mmfr.parquet")
    recipe = yaml.safe_load((root / "recipes/qwen3vl8b_mmfr.yaml").read_text()) | ON_CPU | SMALL
    del recipe["model_name_or_path"]
    printed = bench.train_recipe(recipe)
    account = bench.rows_json()["mmfr"]
    assert (account["format"], account["kept"], account["reasons"]) == ("think_answer", 7, {"no </think>": 1})
    losses = [
        json.loads(line).get("loss") for line in (tmp_path / "out" / "trainer_log.jsonl").read_text().splitlines()
    ]
    assert losses[:2] == [pytest.approx(7.3, abs=0.3)] * 2, "of 1,472 tokens, none is likelier than another"
    shown = printed[printed.index("labels:") :]
    assert "<think>\nI look. " in shown and "the final answer is <answer>A</answer>.<|im_end|>" in shown
    assert not re.search(r"<think>\s*</think>", printed)
    template = AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert "think" not in template and "You are a helpful assistant" not in template
