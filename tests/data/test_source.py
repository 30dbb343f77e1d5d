"""A name, a recipe or a file -> what is read, and by which settings: as LLaMA-Factory means it, with errors that help."""

import json
import os

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.source import Settings, find_sources, read_info, read_source
from virgo_factory.formats import Options


ENTRY = {"file_name": "rows.jsonl", "formatting": "long_thought"}


@pytest.fixture
def folder(tmp_path):
    """A dataset_dir with a file, a folder of files and a JSON list."""
    (tmp_path / "rows.jsonl").write_text('{"question": "q"}\n')
    (tmp_path / "many").mkdir()
    for name in ("b", "a"):
        (tmp_path / "many" / f"{name}.json").write_text('[{"question": "q"}]')

    return tmp_path


def info(folder, **entries):
    (folder / "dataset_info.json").write_text(json.dumps(entries))
    return folder


def recipe(folder, **keys):
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"template": "virgo", "dataset_dir": str(folder)} | keys))
    return str(path)


# what is found


def test_a_file(folder):
    (source,), settings = find_sources(str(folder / "rows.jsonl"), cutoff_len=100, tokenizer="somewhere")
    assert (source.name, source.files, source.formatting) == ("rows", (folder / "rows.jsonl",), "long_thought")
    assert (source.media_dir, source.hub, source.entry, source.is_ours) == (folder, None, {}, True)
    assert settings == Settings(tokenizer="somewhere", cutoff_len=100)


def test_a_name(folder):
    info(folder, d=ENTRY | {"columns": {"prompt": "question"}, "responses": "all"}, e=ENTRY | {"file_name": "many"})
    (source,), settings = find_sources("d", folder, malformed="keep", media_dir="/pictures", formatting="virgo_dt")
    assert source.options == Options(keep_malformed=True, responses="all", columns={"prompt": "question"})
    assert (str(source.media_dir), source.formatting, source.entry["columns"]) == (
        "/pictures",
        "virgo_dt",
        {"prompt": "question"},
    )
    both, _ = find_sources("d,e", folder)
    assert [source.name for source in both] == ["d", "e"]
    assert [file.name for file in both[1].files] == ["a.json", "b.json"]
    assert [row.place for row in read_source(both[1])] == [f"{folder}/many/{name}.json:1" for name in "ab"]


def test_a_packaged_name_from_anywhere(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (source,), _ = find_sources("virgo_demo_dt")
    assert source.files[0].name == "long_thoughts.jsonl"
    assert source.files[0].is_file()
    info(folder, virgo_demo_dt=ENTRY)  # the user's own comes first
    (source,), _ = find_sources("virgo_demo_dt")
    assert source.files[0].name == "rows.jsonl"


def test_a_name_in_the_data_folder_of_a_llamafactory_checkout(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "many").rename("data")
    info(folder / "data", mine=ENTRY | {"file_name": "a.json"})
    (source,), _ = find_sources("mine")
    assert source.files[0].resolve() == folder / "data" / "a.json"
    info(folder, other=ENTRY)  # the current folder's comes first, and hides no other
    assert [find_sources(name)[0][0].media_dir.name for name in ("other", "mine")] == ["", "data"]
    with pytest.raises(UserError, match="none: no dataset of that name in dataset_info.json, no recipe"):
        find_sources("none")


def test_a_recipe(folder):
    info(folder, d=ENTRY, e=ENTRY | {"formatting": "sharegpt"})
    path = recipe(
        folder,
        dataset="d,e",
        eval_dataset=["d"],
        model_name_or_path="model",
        question_prefix="virgo",
        image_max_pixels=262144,
        min_response_tokens=5,
        overlong="truncate",
        marker_tokens=True,
        max_samples=9,
        learning_rate=1e-5,
    )
    sources, settings = find_sources(path)
    assert [(source.name, source.role, source.is_ours) for source in sources] == [
        ("d", "train", True),
        ("e", "train", False),
        ("d", "eval", True),
    ]
    assert settings == Settings(
        tokenizer="model",
        question_prefix="virgo",
        cutoff_len=2048,  # LLaMA-Factory's own default
        image_max_pixels=262144,
        min_response_tokens=5,
        overlong="truncate",
        marker_tokens=True,
        max_samples=9,
    )
    sources, settings = find_sources(path, dataset="e", cutoff_len=64, packing=True)
    assert [source.name for source in sources] == ["e", "d"]
    assert settings.cutoff_len == 63  # as DataArguments takes one


def test_every_recipe_that_ships_names_settings(root, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "data").mkdir()
    for path in sorted((root / "recipes").glob("*.yaml")):
        sources, settings = find_sources(path.name, dataset="virgo_demo_dt")
        assert sources[0].formatting == "virgo_dt"
        assert f"\ntemplate: {settings.template}\n" in path.read_text(encoding="utf-8")
        assert settings.tokenizer


def test_a_hub_dataset(folder, tmp_path, monkeypatch):
    """The rows are those of `datasets.load_dataset`, with subset, folder and split; the hub's place is a local folder."""
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    for name in ("train", "test"):
        (hub / f"{name}.jsonl").write_text("".join(json.dumps({"question": f"{name}{n}"}) + "\n" for n in range(3)))

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    entry = {"hf_hub_url": str(tmp_path / "hub"), "folder": "data", "split": "test", "formatting": "long_thought"}
    (source,), _ = find_sources("d", info(folder, d=entry))
    assert source.hub == str(tmp_path / "hub")
    assert [row.raw["question"] for row in read_source(source)] == ["test0", "test1", "test2"]
    assert next(read_source(source)).place.endswith(".arrow row 1")


# what is not


BROKEN_INFO = [
    ("a comma too many", '{\n  "d": {"file_name": "rows.jsonl"},\n}', "dataset_info.json:2:35: a comma behind the last entry"),
    ("a comma too many inside", '{"d": {"file_name": "rows.jsonl",}}', ":1:33: a comma behind the last entry"),
    ("not JSON", '{"d": nothing}', ":1:7: not JSON (Expecting value). Repair it."),
    ("a list", "[]", ":1:1: not an object"),
    ("an entry that is none", '{"d": "rows.jsonl"}', "the entry d is not an object"),
    ("a name twice", '{"d": {},\n "e": {},\n "d": {}}', ":3: d stands there a second time"),
    ("byte order mark", b'\xef\xbb\xbf{"d": {}}', ":1:1: begins with a byte order mark, which LLaMA-Factory cannot read"),
    ("Latin-1", '{"d":\n {"name": "é"}}'.encode("latin-1"), ":2: not UTF-8 (byte 17)"),
    ("empty", "", ":1:1: not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"), [case[1:] for case in BROKEN_INFO], ids=[case[0] for case in BROKEN_INFO]
)
def test_broken_dataset_info(folder, content, message):
    path = folder / "dataset_info.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as error:
        find_sources("d", folder)

    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_no_dataset_info_is_no_error(folder):
    assert read_info(folder) == {}


BAD_ENTRIES = [
    ({"formatting": "thoughts"}, "formatting 'thoughts' is not known. One of ours: "),
    ({"file_name": "gone.jsonl"}, "no file"),
    ({"file_name": "gone.jsonl", "made_by": "virgo-factory data slice x"}, "Make it with: virgo-factory data slice x"),
    ({"file_name": 3}, "file_name 3 is not a path"),
    ({"file_name": None, "script_url": "x.py"}, "file_name None is not a path"),
    ({"num_samples": "all"}, "num_samples 'all' is not a whole number"),
    ({"responses": "best"}, "responses: 'best'"),
    ({"columns": {"chozen": "x"}}, "columns: chozen"),
    *(
        ({key: value}, f"d: {key}: no key of an entry is called so, and it goes unheeded. Is {meant} meant?")
        for key, value, meant in (
            ("splt", "train[:50%]", "split"),
            ("num_sample", 3, "num_samples"),
            ("Colums", {}, "columns"),
            ("formating", "long_thought", "formatting"),
        )
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_ENTRIES)
def test_bad_entries(folder, change, message):
    info(folder, d=ENTRY | change)
    with pytest.raises(ValueError) as error:
        find_sources("d", folder)

    assert message in str(error.value)
    assert "d" in str(error.value).split(": ")[1]


def test_an_unknown_key_of_an_entry_is_told(folder, caplog):
    find_sources("d", info(folder, d=ENTRY | {"ocean": 9, "file": "x", "_splt": 1, "license": "MIT", "made_by": "x"}))
    assert [record.getMessage().split(": ", 2)[2] for record in caplog.records] == [
        "ocean: no key of an entry is called so, and it goes unheeded.",
        "file: no key of an entry is called so, and it goes unheeded; perhaps file_name is meant.",
    ]


@pytest.mark.parametrize("key", ["script_url", "ms_hub_url", "cloud_file_name"])
def test_entries_of_other_kinds(folder, key):
    with pytest.raises(ValueError, match=f"{key} is not read here. Give it `file_name`"):
        find_sources("d", info(folder, d={key: "x", "formatting": "long_thought"}))


def test_a_hub_dataset_that_is_not_there(folder):
    entry = {"hf_hub_url": "nobody/nothing", "split": "train", "formatting": "long_thought"}
    with pytest.raises(ValueError) as error:
        find_sources("d", info(folder, d=entry))

    assert "nobody/nothing is not in the Hugging Face cache" in str(error.value)
    assert "load_dataset(path='nobody/nothing', split='train')" in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no data file"),
        (["b.txt"], "holds no data file"),
        (["a.json", "b.jsonl"], "a.json and b.jsonl differ in type"),
    ],
)
def test_bad_folders(tmp_path, files, message):
    (tmp_path / "rows").mkdir()
    for name in files:
        (tmp_path / "rows" / name).touch()

    with pytest.raises(ValueError, match=message):
        find_sources("d", info(tmp_path, d=ENTRY | {"file_name": "rows"}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nothing", "no dataset of that name in "),
        ("virgo_demo_dtt", "Did you mean virgo_demo_dt?"),
        ("rows.xlsx", "no recipe and no data file"),
        ("gone.jsonl", "gone.jsonl: no such file"),
        ("gone.yaml", "no recipe gone.yaml"),
    ],
)
def test_what_is_not_there(folder, monkeypatch, what, message):
    monkeypatch.chdir(info(folder, mine=ENTRY))
    with pytest.raises(ValueError) as error:
        find_sources(what)

    assert message in str(error.value)
    if what == "nothing":
        assert "Datasets: mine, virgo_dt" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dataset: d\n  template: x\n", r"mine.yaml:2: not YAML"),
        ("- dataset\n", "not a recipe"),
        ("template: virgo\n", "names no dataset"),
        ("dataset: d\n", "no template"),
        ("dataset: d\ntemplte: virgo\n", "Is templte meant to be it?"),
        ("dataset: 3\ntemplate: virgo\n", "dataset: 3 is not a name"),
        ("dataset: d\ntemplate: virgo\nmedia_dir: [a]\n", "mine.yaml: media_dir: ['a'] is not a name or a path"),
        ("dataset: d\ntemplate: virgo\nmodel_name_or_path: 7\n", "model_name_or_path: 7 is not a name or a path"),
        ("dataset: d\ntemplate: virgo\noverlong: cut\n", "overlong: 'cut' is not one of drop, error, truncate"),
        ("dataset: d\ntemplate: virgo\ncutoff_len: long\n", "cutoff_len: 'long' is not a whole number"),
        ("dataset: d\ntemplate: virgo\nquestion_prefix: other\n", "question_prefix: 'other' is not one of none"),
        ("dataset: d\ntemplate: virgo\nmin_response_tokens: 9\nmax_response_tokens: 3\n", "no row is kept"),
        ("dataset: d\ntemplate: virgo\nmarker_tokens: maybe\n", "marker_tokens: 'maybe' is not one of true, false"),
        ("dataset: gone\ntemplate: virgo\ndataset_dir: .\n", "no such dataset; there are: d. Add it"),
        ("dataset: dd\ntemplate: virgo\ndataset_dir: .\n", "no such dataset. Did you mean d? Add it"),
        (
            "dataset: d\ntemplate: virgo\ndataset_dir: data\n",
            "in dataset_info.json of the current folder: say dataset_dir: . Add it",
        ),
        (
            "dataset: d\ntemplate: qwen2_vl\nquestion_prefix: virgo\n",
            "question_prefix: needs template: virgo or virgo_qwen3_vl or omr or think_qwen3_vl",
        ),
    ],
)
def test_broken_recipes(folder, monkeypatch, content, message):
    monkeypatch.chdir(info(folder, d=ENTRY))
    (folder / "mine.yaml").write_text(content)
    with pytest.raises(ValueError) as error:
        find_sources("mine.yaml", folder if "dataset_dir" not in content else None)

    assert message in str(error.value)


def test_a_setting_that_does_not_exist(folder):
    with pytest.raises(ValueError, match="cutof_len: not a setting; there are tokenizer, template"):
        find_sources(str(folder / "rows.jsonl"), cutof_len=5)


def test_a_file_that_may_not_be_read(folder):
    if os.geteuid() == 0:
        pytest.skip("root may read anything")

    (folder / "mine.yaml").touch(0)
    with pytest.raises(ValueError, match="Permission denied"):
        find_sources(str(folder / "mine.yaml"))
