"""`virgo-factory reinforce`: what its verbs print, and what they refuse."""

import json

import pytest

from tests.jsonl import write_jsonl


pytestmark = pytest.mark.slow


def test_an_export_tells_its_account_and_what_is_otherwise(call, tmp_path):
    rows = [{"question": "2 + 2?", "gold": "4"}] * 4 + [{"question": "No gold?"}]
    write_jsonl(tmp_path / "asked.jsonl", rows)
    entry = {"file_name": "asked.jsonl", "formatting": "questions"}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"asked": entry}))
    recipe = {
        "model_name_or_path": "m",
        "stage": "grpo",
        "template": "qwen2_vl",
        "dataset": "asked",
        "dataset_dir": ".",
    }
    recipe |= {"finetuning_type": "full", "global_batch_size": 8, "rl_num_generations": 4}
    recipe |= {"lr_scheduler_type": "constant"}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    code, out, _ = call("reinforce", "export", "r.yaml", "--verl", "out")
    words = " ".join(out.split())
    assert code == 0 and "asked.jsonl:5: no gold answer" in out
    assert "rows read 5 kept 4 left out: no gold answer 1" in words
    assert "verl 0.9.1 trains every part of the model" in words and "bash out/run.sh" in words
    code, _, error = call("reinforce", "export", "r.yaml", "--verl", "out")
    assert code == 1 and "out: there is something in it" in error
    code, _, error = call("reinforce", "export", "r.yaml", "global_batch_size=64", "--verl", "my out")
    assert code == 1 and "4 prompts are kept, and one rollout asks 16" in error
    code, out, _ = call("reinforce", "export", "r.yaml", "--verl", "my out")
    assert code == 0 and "bash 'my out/run.sh'" in " ".join(out.split())
    code, _, error = call("reinforce", "export", "r.yaml", "stage=sft", "dataset=nowhere", "--verl", "sft")
    assert code == 1 and "stage: sft: only recipes of stage: grpo are exported" in error
    for wrong in ([], ["--verl", "a", "--easyr1", "b"]):
        code, _, error = call("reinforce", "export", "r.yaml", *wrong)
        assert code == 1 and "Name one folder: --verl DIR or --easyr1 DIR" in error

    code, out, _ = call("reinforce", "export", "r.yaml", "--verl", "more", "--json")
    told = json.loads(out)
    assert (told["rows"], told["prompts"], told["dropped"]) == (5, 4, {"no gold answer": 1})


def test_status_is_a_table_json_or_a_page(call, tmp_path):
    line = {"step": 1, "question": "q", "asked": "2 + 2?", "sample": 0, "response": "4", "finish_reason": "stop"}
    line |= {"completion_tokens": 3, "reward": 0.9, "accuracy": 1.0, "format": 0.0, "verdict": "correct", "gold": "4"}
    (tmp_path / "rollouts.jsonl").write_text(json.dumps(line) + "\n")
    code, out, _ = call("reinforce", "status", tmp_path)
    assert code == 0 and "0.900" in out and "100%" in out
    assert json.loads(call("reinforce", "status", tmp_path, "--json")[1])["steps"][0]["reward"] == 0.9
    code, out, _ = call("reinforce", "status", tmp_path, "--html", tmp_path / "page.html")
    assert code == 0 and "1 group of responses" in out and (tmp_path / "page.html").exists()
    assert "--groups is of the page" in call("reinforce", "status", tmp_path, "--groups", 3)[2]
    code, _, error = call("reinforce", "status", tmp_path / "none")
    assert code == 1 and "Name the output_dir" in error
