"""Files that LLaMA-Factory itself does not read are read in our formattings: packed ones, patterns, `save_to_disk`."""

import gzip
import json

import pytest
from datasets import Dataset, DatasetDict

from virgo_factory.core.thought import LongThought


pytestmark = pytest.mark.slow

ROWS = [
    {
        "id": f"r{number}",
        "question": f"{number} + 1?",
        "response": LongThought("I add.", f"\\boxed{{{number + 1}}}").render(),
    }
    for number in range(4)
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_every_form_is_trained_on(tmp_path, preprocess, model_folder):
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(lines(ROWS).encode()))
    (tmp_path / "object.json").write_text(json.dumps({"version": 1, "train": [*ROWS, {"id": "bad"}]}))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part-1.jsonl").write_text(lines(ROWS[:1]))
    (tmp_path / "parts" / "part-2.jsonl").write_text(lines([*ROWS[1:], {"id": "bad"}]))
    (tmp_path / "parts" / "README.md").write_text("Two parts.")
    table = Dataset.from_list(ROWS)
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.to_parquet(tmp_path / "rows.parquet")
    table.save_to_disk(tmp_path / "saved", num_shards=2)
    DatasetDict({"train": table, "test": table.select([1, 0])}).save_to_disk(tmp_path / "splits")
    names = {
        "packed": "packed.jsonl.gz",
        "object": "object.json",
        "folder": "parts",
        "pattern": "parts/part-*.jsonl",
        "csv": "rows.csv",
        "parquet": "rows.parquet",
        "saved": "saved",
        "parts": "splits",
    }
    info = {name: {"file_name": file, "formatting": "long_thought"} for name, file in names.items()}
    info["parts"]["split"] = "test+train[2:]"
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    found = preprocess({"model_name_or_path": str(model_folder), "dataset": ",".join(names)})
    for name in names:
        account = found.accounts[name]
        assert account["kept"] == 4 and account["rows_in"] == 4 + (name in ("object", "folder", "pattern")), name

    (dropped,) = found.accounts["pattern"]["dropped_rows"]
    assert dropped["file"].endswith("part-2.jsonl") and (dropped["line"], dropped["number"]) == (4, 4)
    (dropped,) = found.accounts["object"]["dropped_rows"]  # all items stand on one line
    assert dropped["file"].endswith("object.json") and (dropped["line"], dropped["item"]) == (0, 5)
    rows = found.module["train_dataset"]
    texts = [found.tokenizer.decode([token for token in row["labels"] if token >= 0]) for row in rows]
    assert sorted(texts) == sorted(f"{row['response']}<|im_end|>\n" for row in ROWS for _ in names)
