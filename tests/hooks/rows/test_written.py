"""What `data convert`, `mix` and `slice` write is trained on like the rows that it was made of."""

import base64
import json
import shutil

import pytest

from virgo_factory.data.make.convert import convert
from virgo_factory.data.read.source import find_sources


pytestmark = pytest.mark.slow


@pytest.fixture
def visual(shared_data, tmp_path) -> str:
    """Real table problems, with their pictures as files or in the row, and text rows, with a system message or two turns."""
    folder = shared_data / "tabmwp"
    problems = json.loads((folder / "problems_dev1k.json").read_text(encoding="utf-8"))
    rows = []
    for number, (name, row) in enumerate(list(problems.items())[:8]):
        picture = folder / "tables" / f"{name}.png"
        answer = f"<think>\nI look at the table. {row['solution']}\n</think>\n\n<answer> {row['answer']} </answer>"
        messages = [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": answer}]
        if number % 3 == 0:
            shutil.copy(picture, tmp_path / picture.name)
            rows.append({"id": name, "messages": messages, "images": [picture.name]})
        elif number % 3 == 1:
            carried = base64.b64encode(picture.read_bytes()).decode()
            rows.append({"id": name, "messages": messages, "images": [f"data:image/png;base64,{carried}"]})
        else:
            system = {"role": "system", "content": "Be exact."}
            rows.append({"id": name, "messages": [system, *messages, *messages]})

    rows.append(
        {"id": "cut", "messages": [rows[0]["messages"][0], {"role": "assistant", "content": "<think>\nendless"}]}
    )
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "raw.jsonl"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_converted_rows_give_the_same_tokens_and_pictures(visual, tmp_path, model_folder, preprocess, suffix):
    sources, _ = find_sources(str(tmp_path / visual))
    card = convert(sources, tmp_path / f"made{suffix}", "x")
    assert (card.kept, card.rows_in) == (8, 9) and card.media_dir == str(tmp_path)
    entries = {"raw": {"file_name": visual, "formatting": "long_thought"}, **card.entry}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
    recipe = {"model_name_or_path": str(model_folder), "cutoff_len": 4096, "media_dir": card.media_dir}
    runs = [preprocess(recipe | {"dataset": name}) for name in ("raw", "made")]
    assert runs[0].accounts["raw"]["kept"] == runs[1].accounts["made"]["kept"] == 8
    before, after = (list(run.module["train_dataset"]) for run in runs)
    for one, other in zip(before, after, strict=True):
        assert one["input_ids"] == other["input_ids"] and one["labels"] == other["labels"]
        contents = [[open(path, "rb").read() for path in row["images"] or []] for row in (one, other)]
        assert contents[0] == contents[1]

    assert sum(bool(row["images"]) for row in after) == 6
