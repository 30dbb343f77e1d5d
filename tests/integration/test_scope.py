"""Installing the package changes nothing for a run that does not use it; and a forked run is the stock command's."""

import json
import re

import pytest
from datasets import load_from_disk


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
STOCK = {
    "dataset": "alpaca_rows",
    "template": "qwen2_vl",
    "question_prefix": None,
    "global_batch_size": None,
    "cutoff_len": 60,
    "max_steps": 2,
    "gradient_accumulation_steps": 2,
    "overwrite_output_dir": True,
    "save_strategy": "epoch",
}
TIMING = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d+)?|\d+:\d\d:\d\d(\.\d+)?|[\d.]+ ?(s/it|it/s|examples/s|s)\b|"
    r"'(train_runtime|train_samples_per_second|train_steps_per_second)': [\d.]+|_per_second +=.*|train_runtime +=.*|"
    r"\d\d:\d\d<[^\]]*|[\d.]+ examples/s|recipe_\d+"
)


def _console(log: str) -> list[str]:
    """Return the lines of a console with times and progress bars taken out."""
    lines = [line for part in log.splitlines() for line in part.split("\r")]
    lines = [TIMING.sub("T", line).strip() for line in lines if "%|" not in line]
    return [line for line in lines if line]


def test_stock_alpaca_run_is_unchanged(bench):
    """Same token ids, same rows kept (one is cut, one dropped, as stock does), same losses, same console, with and without us."""
    rows = [{"instruction": f"Say {i} to {'me ' * i}", "input": "", "output": "yes " * i} for i in range(30)]
    rows.insert(3, {"instruction": "No answer", "input": "", "output": None})
    path = bench.add_dataset("alpaca_rows", [], formatting="alpaca")
    path.write_text("\n".join(json.dumps(row) for row in rows))
    consoles, tables, states = [], [], []
    for disabled in ("1", "0"):
        env = {"VIRGO_FACTORY_DISABLE": disabled}
        log = bench.train(
            0, env, stock=True, tokenized_path=f"tokens_{disabled}", output_dir=f"out_{disabled}", **STOCK
        )
        consoles.append(
            [line.replace(f"tokens_{disabled}", "tokens").replace(f"out_{disabled}", "out") for line in _console(log)]
        )
        states.append(json.loads((bench.folder / f"out_{disabled}" / "trainer_state.json").read_text())["log_history"])
        tables.append(load_from_disk(str(bench.folder / f"tokens_{disabled}"))["train"])
        assert not (bench.folder / f"out_{disabled}" / "virgo_rows.json").exists()

    assert tables[0].column_names == tables[1].column_names
    assert tables[0].to_dict() == tables[1].to_dict()
    assert len(tables[0]) == 30
    losses = [[entry["loss"] for entry in state if "loss" in entry] for state in states]
    assert len(losses[0]) == 2 and losses[0] == losses[1]
    assert max(map(len, tables[0]["input_ids"])) == 60
    cached = ("Map", "Generating train split", "Running tokenizer", "Converting format", "cached", "Loading cached")
    plain = [[line for line in console if not any(word in line for word in cached)] for console in consoles]
    assert plain[0] == plain[1]

    bench.train(output_dir="out_forked", tokenized_path="tokens_forked", **STOCK)
    weights = [(bench.folder / f"out_{name}" / "model.safetensors").read_bytes() for name in ("1", "0", "forked")]
    assert weights[0] == weights[1] == weights[2] != (bench.base / "model.safetensors").read_bytes()
