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


def _layout(folder, files):
    """Write files below a folder: rows as JSONL, anything else as the text it is."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            Dataset.from_list(content).to_parquet(folder / name)
        else:
            (folder / name).write_text(content if isinstance(content, str) else lines(content))


CARD = "---\nlicense: mit\nconfigs:\n{}\n---\n# Rows\n"
MAIN = "- config_name: {}\n  data_files:\n  - split: train\n    path: {}\n  - split: test\n    path: other/*"
HUB = [
    # (files, rows)
    ({"data/train-00000-of-00002.parquet": ROWS[:2], "data/train-00001-of-00002.parquet": ROWS[2:4], "data/test-00000-of-00001.parquet": ROWS[4:]}, 4),
    ({"data/train-0.parquet": ROWS[:2], "README.md": "---\nlicense: mit\n---\n"}, 2),
    ({"train.jsonl": ROWS[:3], "test.jsonl": ROWS[3:]}, 3),
    ({"train/0.jsonl": ROWS[:3], "validation/0.jsonl": ROWS[3:]}, 3),
    ({"validation.jsonl": ROWS[:3]}, 3),
    ({"rows.jsonl": ROWS[:3], "test.jsonl": ROWS[3:]}, 6),
    ({"a/b/rows.jsonl": ROWS}, 6),
    ({"latest.jsonl": ROWS, "notes/old.txt": "x"}, 6),
    ({"main/0.jsonl": ROWS[:2], "other/0.jsonl": ROWS[2:], "README.md": CARD.format(MAIN.format("default", "main/*"))}, 2),
    ({"main/0.jsonl": ROWS[:2], "other/0.jsonl": ROWS[2:], "README.md": CARD.format("- config_name: x\n  data_files: main/*.jsonl")}, 2),
    ({"main/0.jsonl": ROWS[:2], "other/0.jsonl": ROWS[2:], "README.md": CARD.format(MAIN.format("a", "other/*") + "\n" + MAIN.format("b", "main/*") + "\n  default: true")}, 2),
    ({"metadata.jsonl": ROWS, "images/a.png": "x"}, 6),
    ({"train/metadata.jsonl": ROWS[:5], "test/metadata.jsonl": ROWS[5:]}, 5),
]  # fmt: skip


@pytest.mark.parametrize(("files", "rows"), HUB, ids=[" ".join(files)[:60] for files, _ in HUB])
def test_a_folder_as_it_lies_on_the_hub(tmp_path, monkeypatch, files, rows):
    monkeypatch.chdir(tmp_path)
    _layout(tmp_path / "set", files)
    (source,), settings = find_sources("set")
    assert [record.id for record in measure([source], settings)] == [f"r{at}" for at in range(rows)]
    (tmp_path / "dataset_info.json").write_text(json.dumps({"d": {"file_name": "set", "formatting": "long_thought"}}))
    (source,), settings = find_sources("d")
    assert len(list(measure([source], settings))) == rows


def test_splits_of_a_folder_as_it_lies_on_the_hub(tmp_path):
    _layout(tmp_path, {"set/data/train-0.parquet": ROWS[:4], "set/data/test-0.parquet": ROWS[4:]})
    for split, rows in (("test", 2), ("train[:2]", 2), ("all", 6), ("train+test", 6)):
        entry = {"d": {"file_name": "set", "formatting": "long_thought", "split": split}}
        (tmp_path / "dataset_info.json").write_text(json.dumps(entry))
        (source,), settings = find_sources("d", tmp_path)
        assert len(list(measure([source], settings))) == rows


def test_pictures_of_an_image_folder_start_from_its_metadata(tmp_path, shared_data):
    rows = [row | {"file_name": "a.png"} for row in ROWS]
    _layout(tmp_path / "set", {"train/metadata.jsonl": rows})
    (tmp_path / "set/train/a.png").write_bytes((shared_data.parent / "faults" / "gray16.png").read_bytes())
    (source,), settings = find_sources(str(tmp_path / "set"))
    assert [(record.images, record.reason) for record in measure([source], settings)] == [(1, "")] * 6


NO_HUB = [
    ({"a/train-0.jsonl": ROWS, "b/train-0.jsonl": ROWS}, "holds several datasets: a, b. Name the folder of one"),
    ({"a/0.jsonl": ROWS, "README.md": CARD.format(MAIN.format("a", "a/*") + "\n" + MAIN.format("b", "b/*"))}, "names several datasets, and none as the default"),
    ({"00000.tar": "x", "00001.tar": "x"}, "00000.tar is an archive: unpack it. Shards of WebDataset become Parquet by"),
    ({"data/rows.jsonl.zst": "x"}, "rows.jsonl.zst is packed: unpack it"),
    ({"images/a.png": "x"}, "holds no data file"),
    ({"a.jsonl": ROWS, "b.csv": "x"}, "differ in type"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "words"), NO_HUB)
def test_a_folder_whose_rows_are_not_certain_is_told(tmp_path, files, words):
    _layout(tmp_path / "set", files)
    with pytest.raises(ValueError, match=words):
        find_sources(str(tmp_path / "set"))


@pytest.mark.parametrize("what", ["set", "set/a-*", "card", "deep"])
def test_a_link_to_a_file_that_is_gone_is_told(tmp_path, what):
    card = CARD.format("- config_name: default\n  data_files: [a-0.jsonl, a-1.jsonl]")
    _layout(
        tmp_path, {"set/a-0.jsonl": ROWS, "card/a-0.jsonl": ROWS, "card/README.md": card, "deep/b/a-0.jsonl": ROWS}
    )
    for folder in ("set", "card", "deep/b"):
        (tmp_path / folder / "a-1.jsonl").symlink_to("../blobs/1")

    with pytest.raises(ValueError, match=r"a-1.jsonl: a link to ../blobs/1, which is not there. Fetch it again"):
        find_sources(str(tmp_path / what))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip", "a.jsonl.zst"])
def test_an_archive_is_told(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match="unpack it"):
        find_sources(str(tmp_path / name))


def test_a_row_of_a_csv_file_with_missing_cells_is_called_that(tmp_path):
    (tmp_path / "a.csv").write_text("id,question,response\n1,2\n1,2,3,4\n\n1,2,3\n")
    sources, settings = find_sources(str(tmp_path / "a.csv"))
    records = list(measure(sources, settings))[:2]
    told = [(record.reason, record.detail, record.findings[0].code) for record in records]
    reason = "a row with more or fewer cells than the header"
    assert told == [
        (reason, "2 cells, where the header has 3", "other_cells"),
        (reason, "4 cells, where the header has 3", "other_cells"),
    ]
