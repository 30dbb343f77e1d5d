"""LlamaBoard lists and previews our datasets, by its own functions."""

import json

import pytest


pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def board():
    """The functions behind LlamaBoard's dataset box: which there are, whether one can be shown, and its rows."""
    from llamafactory.webui.components.data import can_preview, get_preview
    from llamafactory.webui.control import list_datasets

    return list_datasets, can_preview, get_preview


def test_the_entries_that_ship(board, root):
    """All are listed for supervised training; the one whose file ships can be looked at, page by page."""
    list_datasets, can_preview, get_preview = board
    entries = json.loads((root / "dataset_info.json").read_text(encoding="utf-8"))
    listed = [name for name, _ in list_datasets(str(root), "Supervised Fine-Tuning").choices]
    assert listed == [name for name, entry in entries.items() if not entry.get("ranking")]
    local = [name for name, entry in entries.items() if (root / entry.get("file_name", "no file")).is_file()]
    assert "virgo_demo_dt" in local
    for name, entry in entries.items():
        assert can_preview(str(root), [name]).interactive == (name in local)
        if name in local:
            lines = (root / entry["file_name"]).read_text(encoding="utf-8").splitlines()
            count, rows, _ = get_preview(str(root), [name], 1)
            assert (count, rows) == (len(lines), [json.loads(line) for line in lines[2:4]])


def test_files_that_we_write(board, tmp_path):
    """A file in the normal form, its pairs apart, under entries with our own keys."""
    from virgo_factory.datasets.entry import write_entry
    from virgo_factory.datasets.writing import write_rows
    from virgo_factory.example import Example
    from virgo_factory.thought import LongThought

    list_datasets, can_preview, get_preview = board
    examples = [
        Example(id=f"e{n}", question=f"{n}?", response=LongThought("Hm.\n\nWait.", f"{n} é")) for n in range(5)
    ]
    write_rows(tmp_path / "own.jsonl", examples)
    entry = {"file_name": "own.jsonl", "formatting": "long_thought"}
    write_entry(tmp_path, "own", entry | {"responses": "all"})
    write_entry(tmp_path, "pairs", entry | {"ranking": True})
    for stage, names in (("Supervised Fine-Tuning", ["own"]), ("DPO", ["pairs"])):
        assert [name for name, _ in list_datasets(str(tmp_path), stage).choices] == names

    assert can_preview(str(tmp_path), ["own"]).interactive
    count, rows, _ = get_preview(str(tmp_path), ["own"], 2)
    assert count == 5
    assert [(row["id"], row["thought"], row["solution"]) for row in rows] == [("e4", "Hm.\n\nWait.", "4 é")]
