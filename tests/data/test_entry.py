"""Tests of virgo_factory/data/rows/entry.py: what real files show, and how an entry gets into dataset_info.json."""

import json
import os

import pytest

from tests.data.conftest import write
from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows.entry import UnreadHub, check_name, entry_of, file_name, recognise, write_entry


ROW = {"question": "What is 7*8?", "thought": "Seven eights are 56.", "solution": "It is \\boxed{56}."}
THINK = {
    "messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nA."}]
}


def look(path, folder, **more):
    return recognise("new", entry_of(str(path), folder, "long_thought"), folder, **more)


def count_in(path, text: str) -> int:
    """Count rows with a text in their last response by reading the file alone."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return sum(text in json.dumps(row, ensure_ascii=False) for row in rows)


@pytest.mark.parametrize(
    ("file", "format", "rows"),
    [("marco_o1/CoT_demo.json", "thought_output", 125), ("huatuogpt_o1/demo_data.json", "huatuogpt_o1", 198)],
)
def test_real_files(file, format, rows, shared_data, tmp_path):
    found = look(shared_data / file, tmp_path)
    assert found.entry == {"file_name": str(shared_data / file), "formatting": "long_thought"}
    assert (found.format, found.rows) == (format, rows)
    assert found.kept + sum(found.dropped.values()) == rows
    if format == "thought_output":
        whole = count_in(shared_data / file, "</Output>")
        assert (found.kept, found.dropped) == (whole, {"no </Output>": rows - whole})
        assert found.first["no </Output>"].startswith(f"{shared_data / file}:")


def test_pairs_and_their_pictures(shared_data, tmp_path):
    source = shared_data / "long_perceptual_thoughts/dpo_docci_all_extended_cots_X_O.json"
    rows = json.loads(source.read_text(encoding="utf-8"))[:20]
    for row in rows:
        row["images"] = [f"pictures/{os.path.basename(image)}" for image in row["images"]]

    data = tmp_path / "data"
    (data / "pictures").mkdir(parents=True)
    for image in {image for row in rows for image in row["images"]}:
        (data / image).write_bytes((shared_data / "tabmwp/tables/880.png").read_bytes())

    path = write(data / "pairs.jsonl", rows)
    found = look(path, tmp_path)
    assert found.entry["ranking"] is True
    assert (found.kept, found.rows) == (20, 20)
    assert found.media_dir.resolve() == data.resolve(), "beside the file, not beside dataset_info.json"
    assert look(path, tmp_path, media_dir=data).media_dir == data
    assert look(path, data).media_dir is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"a": 1}, {"a": 2}], r"none of 2 rows can be trained on; nothing was written.\n  2 format not known: .*rows.jsonl:1, .*columns found: a; expected one of"),
        ([THINK, ROW], r"2 formats(.|\n)*rows.jsonl:2: thought_solution\n.*rows.jsonl:1: think"),
        ("not json\n{}\n", r"broken lines; a run would stop there. Repair or remove them:\n.*rows.jsonl:1: not JSON"),
        ("", "no rows in the file"),
        ('{"train": [{}],\n"test": [{}]}', "^.*rows.jsonl:2: a second list of objects, test[^\\n]*$"),
        ('{\n"a": 1\n}\n', "^.*rows.jsonl: one JSON object over several lines[^\\n]*$"),
        ([{"question": "Q?", "response": "Hm.\n\n**Final Answer**\n\n\\boxed{5}"}], "--formatting virgo_dqvq"),
        ([{"question": "Q?", "gold": "5"}], "--formatting questions"),
        ([{**THINK, "images": ["a.png"]}], r"1 image missing: .*rows.jsonl:1 .*no file .*a.png"),
    ],
)  # fmt: skip
def test_refused(content, message, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(content, encoding="utf-8") if isinstance(content, str) else write(path, content)
    with pytest.raises(ValueError, match=message):
        look(path, tmp_path)


def test_a_part_of_a_file(tmp_path):
    path = write(tmp_path / "rows.jsonl", [ROW, {**ROW, "question": "And now?"}])
    entry = entry_of(str(path), tmp_path, "long_thought", split="train[1:]")
    assert entry == {"file_name": "rows.jsonl", "formatting": "long_thought", "split": "train[1:]"}
    found = recognise("mine", entry, tmp_path)
    assert (found.rows, found.kept, found.entry) == (1, 1, entry)
    with pytest.raises(ValueError, match="there is no part 'test'"):
        recognise("mine", entry | {"split": "test"}, tmp_path)


def test_a_hub_dataset_out_of_reach(tmp_path):
    entry = entry_of("RUC-AIBOX/long_form_thought_data_5k", tmp_path, "virgo_dt", "default", "train")
    assert entry == {
        "hf_hub_url": "RUC-AIBOX/long_form_thought_data_5k", "formatting": "virgo_dt", "subset": "default", "split": "train",
    }  # fmt: skip
    with pytest.raises(UnreadHub, match="not in the Hugging Face cache .* Where there is a network, run: "):
        recognise("hub", entry, tmp_path)


def test_a_hub_dataset_in_the_cache(tmp_path, monkeypatch):
    """What `load_dataset` gives for a hub dataset is an Arrow file of the cache; here it is made of local rows."""
    import datasets

    stock = datasets.load_dataset

    def load(path, **arguments):
        assert (path, arguments["split"]) == ("some/thoughts", "train")
        file = str(write(tmp_path / "rows.jsonl", [ROW, ROW]))
        return stock("json", data_files=file, split="train", cache_dir=tmp_path / "c")

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = recognise("hub", entry_of("some/thoughts", tmp_path, "long_thought"), tmp_path)
    assert (found.rows, found.kept, found.entry["hf_hub_url"]) == (2, 2, "some/thoughts")


@pytest.mark.parametrize(
    ("what", "more", "message"),
    [
        ("nowhere.jsonl", {}, "nowhere.jsonl: no such file .*not a dataset of the hub"),
        ("a/b/c", {}, "not a dataset of the hub"),
        ("rows.txt", {}, "rows.txt: not one of .json, .jsonl, .csv"),
        ("rows.jsonl", {"subset": "hard"}, "for datasets of the hub"),
        ("rows.jsonl", {"formatting": "sharegpt"}, "--formatting sharegpt: not one of virgo_dt"),
    ],
)
def test_what_cannot_be_added(what, more, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.jsonl", [ROW])
    (tmp_path / "rows.txt").write_text("x")
    with pytest.raises(ValueError, match=message):
        entry_of(what, tmp_path, **{"formatting": "long_thought", **more})


def test_a_folder_of_files(tmp_path):
    (tmp_path / "rows").mkdir()
    for name in "ab":
        write(tmp_path / f"rows/{name}.jsonl", [ROW])

    found = look(tmp_path / "rows", tmp_path)
    assert (found.entry["file_name"], found.rows) == ("rows", 2)


BEFORE = '{\r\n\t"mine" : {"file_name":"a.json",\r\n\t   "formatting": "sharegpt"},\r\n\t"é": {"x": [1,2]}\r\n}\r\n'


def test_what_is_there_keeps_its_look(tmp_path):
    info = tmp_path / "dataset_info.json"
    info.write_bytes(BEFORE.encode())
    info.chmod(0o640)
    assert write_entry(tmp_path, "new", {"file_name": "b.json", "ranking": True}) == info
    text = info.read_bytes().decode()
    assert text.startswith(BEFORE[: BEFORE.rindex("}\r\n") - 2])
    assert list(json.loads(text).items())[2:] == [("new", {"file_name": "b.json", "ranking": True})]
    assert text.count("\n") == text.count("\r\n")
    assert info.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_a_new_file_and_a_link(tmp_path):
    folder = tmp_path / "new/folder"
    write_entry(folder, "first", {"file_name": "a.json"})
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/dataset_info.json").symlink_to(folder / "dataset_info.json")
    write_entry(tmp_path / "linked", "second", {"file_name": "b.json"})
    assert list(json.loads((folder / "dataset_info.json").read_text())) == ["first", "second"]
    assert (tmp_path / "linked/dataset_info.json").is_symlink()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (BEFORE, "mine", r'mine is there already: {"file_name": "a.json", "formatting": "sharegpt"}. Choose another'),
        ('{"a": {},}\n', "new", r"dataset_info.json:1:9: a comma behind the last entry"),
        ("[]", "new", "not an object"),
        (BEFORE, "a,b", "'a,b' cannot be a name"),
        (BEFORE, "a b", "cannot be a name"),
        (BEFORE, "", "cannot be a name"),
    ],
)
def test_left_as_it_is(content, name, message, tmp_path):
    info = tmp_path / "dataset_info.json"
    info.write_bytes(content.encode())
    for attempt in (lambda: check_name(name, tmp_path), lambda: write_entry(tmp_path, name, {"file_name": "b.json"})):
        with pytest.raises(ValueError, match=message):
            attempt()

    assert info.read_bytes() == content.encode()


def test_file_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert file_name(tmp_path / "data/x.json", tmp_path / "data") == "x.json"
    assert file_name(tmp_path / "x.json", tmp_path / "data") == str(tmp_path / "x.json")


def test_a_folder_without_rows_is_the_fault_of_what_was_entered(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "0.tar").write_text("x")
    with pytest.raises(UserError, match="0.tar is an archive: unpack it"):
        look(tmp_path / "shards", tmp_path)


def test_a_pair_of_any_name_is_recognised(tmp_path):
    texts = [LongThought("I add.", text).render() for text in ("2", "3")]
    row = {"question": "1 + 1?", "winner": texts[0], "loser": texts[1]}
    found = look(write(tmp_path / "rows.jsonl", [row]), tmp_path)
    assert (found.entry.get("ranking"), found.kept) == (True, 1)
