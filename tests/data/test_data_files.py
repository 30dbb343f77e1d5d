"""Which files are a dataset's: of a folder, a pattern, and of what `save_to_disk` wrote; each is checked as one file is."""

import gzip
import json

import pytest
from datasets import Dataset, DatasetDict

from virgo_factory.core.thought import LongThought
from virgo_factory.data.read.source import find_sources
from virgo_factory.data.rows.stream import measure


ROWS = [
    {
        "id": f"r{number}",
        "question": f"{number} + 1?",
        "response": LongThought("I add.", f"\\boxed{{{number + 1}}}").render(),
    }
    for number in range(6)
]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make the same six rows in every form; return the folder they are in, the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text(TEXT)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "object.json").write_text(json.dumps({"train": ROWS}))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part-1.jsonl").write_text(lines(ROWS[:2]))
    (tmp_path / "parts" / "part-2.jsonl.gz").write_bytes(gzip.compress(lines(ROWS[2:]).encode()))
    (tmp_path / "parts" / "README.md").write_text("Two parts.")
    (tmp_path / "parts" / ".hidden.json").write_text("[]")
    (tmp_path / "parts" / "images").mkdir()
    table = Dataset.from_list(ROWS)
    table.to_csv("rows.csv", index=False)
    table.save_to_disk("saved", num_shards=2)
    DatasetDict({"train": table, "test": table.select([0])}).save_to_disk("splits")
    return tmp_path


FORMS = [
    ("rows.jsonl", "rows", 1),
    ("rows.jsonl.gz", "rows", 1),
    ("object.json", "object", 1),
    ("rows.csv", "rows", 1),
    ("parts", "parts", 2),
    ("par*/part-*", "", 2),
    ("parts/part-*", "parts", 2),
    ("saved", "saved", 2),
    ("splits", "splits", 1),
    ("splits/train", "train", 1),
]


@pytest.mark.parametrize(("what", "name", "files"), FORMS)
def test_every_form_gives_the_same_rows(folder, what, name, files):
    (source,), settings = find_sources(what)
    assert (source.name, len(source.files)) == (name or folder.name, files)
    records = list(measure([source], settings, rules=True))
    assert [(record.id, record.number, record.reason) for record in records] == [(f"r{at}", at, "") for at in range(6)]
    again = list(measure([source], settings, rules=True))  # from memory
    assert records == again
    assert not (folder / "saved" / ".virgo_factory").exists() and not (folder / "parts" / ".virgo_factory").exists()


@pytest.mark.parametrize(("what", "name", "files"), FORMS)
def test_every_form_in_dataset_info(folder, what, name, files):
    entry = {"d": {"file_name": what, "formatting": "long_thought"}}
    (folder / "dataset_info.json").write_text(json.dumps(entry))
    (source,), settings = find_sources("d")
    assert [record.id for record in measure([source], settings)] == [row["id"] for row in ROWS]


REFUSED = [
    ("nothing-*.jsonl", "no data file is named like nothing"),
    ("empty", "holds no data file"),
    ("mixed", "differ in type"),
    ("two", "no part 'train'; there are a, b"),
    ("broken", "state.json cannot be read"),
    ("gone", "it is not there"),
]


@pytest.mark.parametrize(("what", "words"), REFUSED)
def test_what_holds_no_rows_is_told(tmp_path, monkeypatch, what, words):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "mixed", "two", "broken", "gone"):
        (tmp_path / name).mkdir()

    (tmp_path / "mixed" / "a.jsonl").write_text(TEXT)
    (tmp_path / "mixed" / "b.csv").write_text("a,b\n")
    (tmp_path / "two" / "dataset_dict.json").write_text('{"splits": ["a", "b"]}')
    (tmp_path / "broken" / "state.json").write_text("{")
    (tmp_path / "gone" / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
    with pytest.raises(ValueError, match=words):
        find_sources(what)


SPLITS = [
    # (split, the rows that `datasets` would give of train (six rows) and test (the first of them))
    (None, range(6)),
    ("test", [0]),
    ("train[:50%]", range(3)),
    ("train+test", [*range(6), 0]),
    ("test+train", [0, *range(6)]),
    ("all", [*range(6), 0]),
    ("train[4:]+test", [4, 5, 0]),
    ("test[:1]+train[-2:]", [0, 4, 5]),
]


@pytest.mark.parametrize(("split", "rows"), SPLITS)
def test_splits_of_a_saved_dictionary(folder, split, rows):
    """The rows are those of the parts that the split names, one behind the other."""
    entry = {"d": {"file_name": "splits", "formatting": "long_thought"} | ({"split": split} if split else {})}
    (folder / "dataset_info.json").write_text(json.dumps(entry))
    (source,), settings = find_sources("d")
    records = list(measure([source], settings))
    assert [(record.id, record.number) for record in records] == [(f"r{row}", at) for at, row in enumerate(rows)]


@pytest.mark.parametrize("split", ["val", "train+val", "val[:10%]", "val[:10%]+train"])
def test_an_unknown_split_names_those_that_exist(folder, split):
    entry = {"d": {"file_name": "splits", "formatting": "long_thought", "split": split}}
    (folder / "dataset_info.json").write_text(json.dumps(entry))
    with pytest.raises(
        ValueError, match=r"there is no part 'val'; there are train, test\. Name one, or several with \+"
    ):
        find_sources("d")
