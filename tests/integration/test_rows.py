"""The row account of real runs: nothing lost silently, whatever the ranks, workers, mixes, splits and caches."""

import json
import re

import pytest

from virgo_factory.core.thought import MARKERS


pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
BROKEN = {
    "no end of thought": {"question": "q", "combined_text": f"{MARKERS[0]}\n\nendless"},
    "no marker in the response": {"question": "q", "combined_text": "plain"},
    "no column combined_text": {"question": "q"},
}


def _line(log: str, name: str) -> str:
    """Return the line that a run printed of a dataset, when its rows were read and once more at its end."""
    found = re.findall(rf"{name}: \d+ rows in.*", log)
    assert len(found) == 2 and found[0] == found[1], found
    return found[0]


def test_merged_split_ranks_workers_cache_and_tokenized_path(bench, demo_lines):
    """One account in every way to run: 2 ranks, 2 workers, two datasets merged and split, twice, then from disk."""
    good = sorted(demo_lines, key=len)[:12]
    bench.add_dataset("mixed", [*good[:5], *map(json.dumps, BROKEN.values()), *good[5:]])
    alpaca = [{"instruction": f"Say {i}.", "input": "", "output": str(i)} for i in range(9)] + [
        {"instruction": "Nothing", "input": "", "output": None}
    ]
    path = bench.add_dataset("alpaca_rows", [], formatting="alpaca")
    path.write_text("\n".join(json.dumps(row) for row in alpaca))
    run = {
        "max_steps": 1,
        "global_batch_size": 2,
        "dataset": "mixed,alpaca_rows",
        "val_size": 0.2,
        "preprocessing_num_workers": 2,
        "tokenized_path": "tokenized",
        "overwrite_output_dir": True,
    }
    wanted = {"mixed": (15, 12, 3), "alpaca_rows": (10, 9, 1)}
    for ranks, way in ((2, "made"), (0, "from disk")):
        log = bench.train(ranks, **run)
        assert _line(log, "mixed").startswith("mixed: 15 rows in, 12 kept ("), way
        accounts = bench.rows_json()
        for name, numbers in wanted.items():
            account = accounts[name]
            assert (account["rows_in"], account["kept"], account["dropped"]) == numbers, way
            assert sum(account["kept_for"].values()) == numbers[1]
            assert len(account["dropped_rows"]) == numbers[2]

        assert accounts["mixed"]["reasons"] == dict.fromkeys(BROKEN, 1)
        assert [row["line"] for row in accounts["mixed"]["dropped_rows"]] == [6, 7, 8]
        assert all(row["file"].endswith("data/mixed.jsonl") for row in accounts["mixed"]["dropped_rows"])

    assert "Loaded tokenized dataset from tokenized" in log
    assert sum(sum(account["kept_for"].values()) for account in accounts.values()) == 21

    log = bench.train(ok=False, **run | {"cutoff_len": 900})
    assert "rows made with other settings" in log
    assert "cutoff_len: 2048 there, 900 now" in log
