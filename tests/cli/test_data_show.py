"""`data add` and `data preview` as they are called: exit codes, what they print and what their help shows."""

import json
import shlex

import pytest
from PIL import Image

from tests.jsonl import write_jsonl
from tests.pages import lines_of, sample


pytestmark = pytest.mark.usefixtures("one_vocabulary")


@pytest.fixture
def tokenizer(real_model_folder) -> str:
    return str(real_model_folder)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["stats", "preview", "add", "check", "mix", "slice", "convert"])
def test_the_page_shows_what_is_really_printed(call, tokenizer, verb):
    """docs/data.md; the help names the same command."""
    command, shown = sample("docs/data.md", f"virgo-factory data {verb} ")
    assert command in " ".join(call("data", verb, "--help")[1].replace("\\\n", "").split())
    call("recipes", "copy", ".")
    arguments = [tokenizer if word.startswith("Qwen/") else word for word in shlex.split(command)]
    code, out, _ = call(*arguments[1:])
    assert (code, lines_of(out)) == (int(verb == "check"), shown)


THINK = {
    "messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nA."}]
}


def test_add_tells_the_same_as_json(call, tmp_path, tokenizer):
    write_jsonl(tmp_path / "rows.jsonl", [THINK, {**THINK, "messages": []}])
    code, out, err = call("data", "add", "mine", "rows.jsonl", "--json", "--tokenizer", tokenizer)
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["format"], told["rows"], told["kept"], sum(told["dropped"].values())) == ("think", 2, 1, 1)
    assert told["tokens"] == told["longest"] > 40
    assert told["entry"] == json.loads((tmp_path / "dataset_info.json").read_text())["mine"]
    assert told["next"].startswith("llamafactory-cli train recipes/")


def test_add_refuses_without_writing(call, tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [THINK])
    write_jsonl(tmp_path / "none.jsonl", [{"a": 1}])
    assert call("data", "add", "mine", "rows.jsonl")[0] == 0
    before = (tmp_path / "dataset_info.json").read_bytes()
    for arguments, message in (
        (("mine", "rows.jsonl"), 'mine is there already: {"file_name": "rows.jsonl"'),
        (("other", "none.jsonl"), "none of 1 rows can be trained on; nothing was written."),
        (("other", "gone.jsonl"), "no such file"),
        (("other", "some/dataset"), "Or say its --formatting: the entry is then written unchecked."),
    ):
        code, out, err = call("data", "add", *arguments)
        assert (code, out) == (1, "")
        assert message in err

    assert (tmp_path / "dataset_info.json").read_bytes() == before


def test_add_takes_the_columns_that_its_own_message_names(call, tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [{"q": "Q?", "chain": "Hm. Let me see.", "final": "A."}])
    code, _, err = call("data", "add", "mine", "rows.jsonl")
    assert code == 1 and '"columns": {"question": "q", "thought": "chain", "solution": "final"}' in err
    code, out, _ = call("data", "add", "mine", "rows.jsonl", "--columns", "question=q, thought=chain,solution=final")
    assert code == 0 and "1 row, 1 kept" in out
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["mine"]
    assert entry["columns"] == {"question": "q", "thought": "chain", "solution": "final"}
    for wrong, words in (("question", "expected NAME=COLUMN"), ("thoughts=q", "read by no format")):
        code, _, err = call("data", "add", "other", "rows.jsonl", "--columns", wrong)
        assert code == 1 and words in err


def test_add_takes_the_columns_of_pictures_that_its_own_message_names(call, tmp_path):
    text = "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b<|end_of_solution|>"
    row = {"question": "Q?", "response": text, "left": "a.png", "right": "b.png"}
    for name in ("a.png", "b.png"):
        Image.effect_noise((64, 64), 50).save(tmp_path / name)

    write_jsonl(tmp_path / "rows.jsonl", [row])
    code, _, err = call("data", "add", "mine", "rows.jsonl")
    assert code == 1 and '"columns": {"images": "left, right"}' in err
    line = next(line for line in err.splitlines() if "--columns" in line)
    option, value = shlex.split(line.partition(": ")[2])
    code, out, _ = call("data", "add", "mine", "rows.jsonl", option, value)
    assert code == 0 and "1 row, 1 kept" in out
    assert json.loads((tmp_path / "dataset_info.json").read_text())["mine"]["columns"] == {"images": "left, right"}
    code, _, err = call("data", "add", "other", "rows.jsonl", "--columns", "question=q,chain")
    assert code == 1 and "expected NAME=COLUMN" in err


def test_add_an_unchecked_hub_dataset_says_so(call, tmp_path):
    code, out, _ = call("data", "add", "hub", "some/dataset", "--formatting", "virgo_dt", "--dataset-dir", "data")
    assert code == 0
    assert out.startswith("Not checked: hub: some/dataset is not in the Hugging Face cache")
    assert json.loads((tmp_path / "data/dataset_info.json").read_text()) == {
        "hub": {"hf_hub_url": "some/dataset", "formatting": "virgo_dt"}
    }
    assert out.rstrip().endswith("dataset=hub output_dir=saves/hub dataset_dir=data")


def test_preview_of_a_name_a_recipe_and_a_page(call, tmp_path, tokenizer):
    call("recipes", "copy", ".")
    seen = [
        call("data", "preview", what, "95", "--tokenizer", tokenizer, "--json")[1]
        for what in ("virgo_demo_dt", "recipes/virgo_demo_dt.yaml", "recipes/demo/long_thoughts.jsonl")
    ]
    rows = [json.loads(text) for text in seen]
    assert {row["id"] for row in rows} == {"chemistry-weigh-0095"}
    assert rows[0]["parts"] == rows[2]["parts"] != rows[1]["parts"]
    prefixes = ["Please first think deeply" in text for text in seen]
    assert prefixes == [False, True, False], "the recipe's own question_prefix"
    keys = ("dataset=virgo_demo_dt", "question_prefix=none")  # a recipe's, behind a row and where the row would be
    for given in ((*keys, "--rows", "95"), ("95", *keys)):
        _, text, _ = call("data", "preview", "recipes/virgo_demo_dt.yaml", *given, "--tokenizer", tokenizer, "--json")
        assert json.loads(text)["parts"] == rows[0]["parts"]

    code, out, _ = call(
        "data", "preview", "virgo_demo_dt", "--rows", "1-4", "--tokenizer", tokenizer, "--html", "p/page.html"
    )
    assert (code, out) == (0, "p/page.html: 4 rows\n")
    assert (tmp_path / "p/page.html").read_text(encoding="utf-8").count("<article") == 4


@pytest.mark.parametrize(
    ("environment", "colours"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_only_where_they_are_seen(environment, colours, call, tmp_path, tokenizer, monkeypatch):
    row = json.loads(json.dumps(THINK).replace("Q?", "Q\\u001b[31m?"))
    write_jsonl(tmp_path / "rows.jsonl", [row])
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    code, out, _ = call("data", "preview", "rows.jsonl", "--tokenizer", tokenizer)
    assert code == 0
    assert ("\x1b[32m" in out) is colours, "what is trained on is green"
    assert "\x1b[31m" not in out and "Q\\x1b[31m?" in out, "a row cannot colour the terminal"
    assert "--- prompt (" in out and "--- trained on (" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rows.jsonl",), "rows.jsonl names no tokenizer. Add --tokenizer"),
        (("rows.jsonl", "2", "--tokenizer", "TOKENIZER"), "no row 2; there are 1."),
        (("rows.jsonl", "1", "--rows", "1-2"), "give one of them"),
        (("rows.jsonl", "--tokenizer", "/no/such"), "tokenizer /no/such"),
        (("rows.jsonl", "nonsense=1", "--tokenizer", "TOKENIZER"), "nonsense: not a setting"),
    ],
)
def test_preview_says_what_is_wrong(arguments, message, call, tmp_path, tokenizer):
    write_jsonl(tmp_path / "rows.jsonl", [THINK])
    code, out, err = call("data", "preview", *(tokenizer if word == "TOKENIZER" else word for word in arguments))
    assert (code, out) == (1, "")
    assert message in err
