"""Row policy and account of the stages, in one process: packing, preference pairs, prediction, evaluation sets."""

import io
import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from virgo_factory.core.thought import MARKERS


@pytest.fixture
def load(base, tmp_path, root, preprocess):
    """A function that loads the datasets of a recipe and returns LLaMA-Factory's dataset module and the accounts."""
    lines = (root / "recipes" / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()
    good = sorted((line for line in lines if line.count("<|end_of_thought|>") == 1), key=len)
    cut = json.dumps({"id": "cut", "question": "q", "combined_text": "<|begin_of_thought|>\n\nendless"})
    pairs = [
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a " * n}}
        | {"rejected": {"from": "gpt", "value": "b " * n}}
        for n in (3, 500)
    ]
    texts = [json.loads(line) for line in good[:8]]
    several = [
        {
            "id": n,
            "question": row["question"],
            "response": [row["combined_text"]] + ["cut"] + [texts[n + 1]["combined_text"]],
        }
        | {"score": [1, 0, 1]}
        for n, row in enumerate(texts[:4])
    ]
    files = {
        "good": good[:8],
        "mixed": [*good[:8], cut],
        "pairs": [json.dumps(pair) for pair in pairs],
        "several": [json.dumps(row) for row in several],
    }
    info = {name: {"file_name": f"{name}.jsonl", "formatting": "virgo_dt"} for name in files}
    info["several"] |= {"formatting": "virgo_dsd", "responses": "all"}
    info["pairs"] = {
        "file_name": "pairs.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    }
    for name, rows in files.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")

    (tmp_path / "dataset_info.json").write_text(json.dumps(info))

    def load_rows(stage="sft", **changes):
        done = preprocess({"model_name_or_path": str(base), "stage": stage} | changes)
        return done.module, done.accounts

    return load_rows


@pytest.mark.parametrize("packing", [{"packing": True}, {"neat_packing": True}])
def test_packing_keeps_the_account(load, packing):
    plain, _ = load(dataset="mixed")
    packed, accounts = load(dataset="mixed", **packing)
    assert (accounts["mixed"]["rows_in"], accounts["mixed"]["kept"], accounts["mixed"]["dropped"]) == (9, 8, 1)
    trained = sum(label != -100 for row in plain["train_dataset"] for label in row["labels"])
    assert sum(label != -100 for row in packed["train_dataset"] for label in row["labels"]) == trained > 0
    assert len(packed["train_dataset"]) < len(plain["train_dataset"]) == 8


def test_preference_pairs(load):
    module, accounts = load("dpo", dataset="pairs", cutoff_len=200, overlong="drop")
    assert accounts["pairs"]["reasons"] == {"overlong > 200 tokens": 1}
    assert len(module["train_dataset"]) == 1
    assert "chosen_input_ids" in module["train_dataset"].column_names


def test_preference_pairs_with_virgo_template_only_are_cut_as_stock_does(load):
    module, accounts = load("dpo", dataset="pairs", cutoff_len=200)
    assert accounts["pairs"]["kept"] == 2
    assert max(len(row["chosen_input_ids"]) for row in module["train_dataset"]) == 200


@pytest.mark.slow
def test_an_evaluation_set_loses_no_row(load):
    with pytest.raises(ValueError, match=r"evaluation set"):
        load(dataset="good", eval_dataset="mixed")

    module, accounts = load(dataset="mixed", eval_dataset="good")
    assert len(module["eval_dataset"]) == 8
    assert accounts["mixed"]["dropped_rows"][0]["id"] == "cut"


@pytest.mark.parametrize(
    ("sampling", "kept", "repeated", "dropped"), [({"max_samples": 3}, 3, 0, 6), ({"mix_strategy": "concat"}, 8, 0, 1)]
)
def test_rows_that_are_not_drawn_are_counted(load, sampling, kept, repeated, dropped):
    _, accounts = load(dataset="mixed", **sampling)
    account = accounts["mixed"]
    assert (account["rows_in"], account["repeated"], account["kept"], account["dropped"]) == (
        9,
        repeated,
        kept,
        dropped,
    )


def test_rows_of_several_responses(load):
    module, accounts = load(dataset="several")
    account = accounts["several"]
    assert (account["rows_in"], account["extra"], account["kept"], account["dropped"]) == (4, 4, 8, 0)
    assert len(module["train_dataset"]) == 8

    module, accounts = load(dataset="several", max_samples=3)
    account = accounts["several"]
    assert (account["rows_in"], account["extra"], account["kept"], account["reasons"]) == (4, 3, 6, {"not drawn": 1})


@pytest.mark.parametrize("strategy", ["interleave_under", "interleave_over", "concat"])
def test_rows_of_several_responses_in_a_mix(load, strategy):
    probabilities = {} if strategy == "concat" else {"interleave_probs": "0.3,0.7"}
    module, accounts = load(dataset="several,mixed", mix_strategy=strategy, val_size=2, **probabilities)
    for account in accounts.values():
        sides = (("rows_in", "extra", "repeated"), ("kept", "dropped"))
        left, right = (sum(account[term] for term in side) for side in sides)
        assert left == right

    assert accounts["several"]["extra"] == 4
    kept = sum(account["kept"] for account in accounts.values())
    assert kept == len(module["train_dataset"]) + len(module["eval_dataset"])


def test_several_formats_in_one_dataset_stop_the_run(load, tmp_path):
    lines = (tmp_path / "good.jsonl").read_text(encoding="utf-8").splitlines()
    markers = [{"question": row["question"], "response": row["combined_text"]} for row in map(json.loads, lines)]
    think = {"id": "t-7", "question": "2 + 2?", "response": "<think>Two and two.</think><answer>4</answer>"}
    rows = [*markers[:3], think, {"question": "no response"}, *markers[3:]]
    (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    info["good"]["formatting"] = "long_thought"
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError) as caught:
        load(dataset="good")

    first, *places, remedy = str(caught.value).splitlines()
    assert re.match(r"good: its rows are in 2 formats \(8 \w+, 1 think_answer\)", first)
    assert places[0] == f"  {tmp_path}/good.jsonl:4 (id t-7): think_answer"
    assert [re.search(r":(\d+) ", place).group(1) for place in places[1:]] == ["1", "2", "3", "6", "7", "8", "9", "10"]
    assert "virgo-factory data convert" in remedy


def test_images_elsewhere_tell_the_line_that_fixes_it(load, tmp_path):
    base = json.loads((tmp_path / "good.jsonl").read_text(encoding="utf-8").splitlines()[0])
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    (tmp_path / "media").mkdir()

    def run(*pictures, **changes):
        rows = [base | {"question": "<image>?", "images": [str(picture)]} for picture in pictures]
        (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return load(dataset="good", media_dir=str(tmp_path / "media"), **changes)

    here = [tmp_path / "pictures" / name for name in ("a/1.png", "b/2.png")]
    for picture in here:
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (56, 56)).save(picture)

    assert info["good"]["formatting"] == "virgo_dt"
    with pytest.raises(ValueError, match=f"media_dir: {tmp_path}/pictures No row") as caught:
        run(*here)

    assert f"good.jsonl:2 (id {base['id']}): image outside media_dir, {here[1]} is outside" in str(caught.value)
    with pytest.raises(ValueError, match=r"2 images below /nowhere/images, which does not exist on this machine"):
        run("/nowhere/images/a.png", "/nowhere/images/b/c.png")


@pytest.mark.slow
def test_pictures_are_looked_at_in_every_run(load, tmp_path):
    base = json.loads((tmp_path / "good.jsonl").read_text(encoding="utf-8").splitlines()[0])
    rows = [base | {"question": "<image>?", "images": [f"{name}.png"]} for name in "ab"]
    (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    Image.new("RGB", (56, 56), "red").save(tmp_path / "a.png")

    def seen():
        module, accounts = load(dataset="good", media_dir=str(tmp_path))
        return accounts["good"]["reasons"], [len(ids) for ids in module["train_dataset"]["input_ids"]]

    reasons, (tokens,) = seen()
    assert reasons == {"image missing": 1}
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:-40])
    assert seen() == ({"image unreadable": 1}, [tokens])
    (tmp_path / "b.png").write_bytes(whole)
    assert seen() == ({}, [tokens, tokens])
    Image.new("RGB", (112, 56), "red").save(tmp_path / "a.png")
    assert seen() == ({}, [tokens + 4, tokens])


@pytest.mark.slow
def test_pictures_of_a_parquet_file(load, tmp_path):
    thought = json.loads((tmp_path / "good.jsonl").read_text(encoding="utf-8").splitlines()[0])["combined_text"]
    rows = []
    for number in range(3):
        picture = io.BytesIO()
        Image.new("RGB", (56 + 28 * number, 56)).save(picture, "PNG")
        turns = [("human", f"<image>\nHow many, {number}?"), ("gpt", thought), ("human", "Which?"), ("gpt", thought)]
        if number == 2:
            turns += [("human", "And then?"), ("gpt", "nothing")]

        image = {"bytes": picture.getvalue()[: 60 if number == 1 else None], "path": None}
        rows.append({"conversations": [{"from": role, "value": text} for role, text in turns], "image": image})

    text_only = {"conversations": rows[0]["conversations"][2:4], "image": None}
    pq.write_table(pa.Table.from_pylist([text_only, *rows]), tmp_path / "p.parquet")
    entry = {"file_name": "p.parquet", "formatting": "long_thought", "turns": "split"}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"p": entry}))
    for _ in range(2):
        module, accounts = load(dataset="p")
        account = accounts["p"]
        assert (account["rows_in"], account["extra"], account["kept"]) == (4, 4, 5)
        assert account["reasons"].pop("image unreadable") == 2
        assert sum(account["reasons"].values()) == 1
        found = [images for images in module["train_dataset"]["images"] if images]
        assert len(found) == 4
        assert len({images[0] for images in found}) == 2
        store = Path(found[0][0]).parents[1]
        assert all(Path(images[0]).is_relative_to(tmp_path / "cache") for images in found)
        shutil.rmtree(store)


def test_interleaved_datasets(load):
    module, accounts = load(
        dataset="mixed,good", mix_strategy="interleave_over", interleave_probs="0.5,0.5", max_samples=5
    )
    for account in accounts.values():
        assert account["rows_in"] + account["repeated"] == account["kept"] + account["dropped"]

    assert sum(account["kept"] for account in accounts.values()) == len(module["train_dataset"])


BROKEN = {
    "no end of thought": {"question": "q", "combined_text": f"{MARKERS[0]}\n\nendless"},
    "no marker in the response": {"question": "q", "combined_text": "plain"},
    "combined_text is null": {"question": "q", "combined_text": None},
    "combined_text is not text": {"question": "q", "combined_text": 7},
    "no column combined_text": {"question": "q"},
    "control token in the response": {
        "question": "q",
        "combined_text": f"{MARKERS[0]}<|image_pad|>{MARKERS[1]}{MARKERS[2]}x{MARKERS[3]}",
    },
    "<image> and images do not match": {
        "question": "<image>q",
        "combined_text": f"{MARKERS[0]}t{MARKERS[1]}{MARKERS[2]}x{MARKERS[3]}",
    },
}


@pytest.mark.slow
def test_each_policy_for_malformed_rows(load, tmp_path):
    good = (tmp_path / "good.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [*good[:3], *map(json.dumps, BROKEN.values()), *good[3:]]
    (tmp_path / "mixed.jsonl").write_text("\n".join(rows), encoding="utf-8")
    account = load(dataset="mixed")[1]["mixed"]
    assert (account["kept"], account["reasons"]) == (8, dict.fromkeys(BROKEN, 1))
    assert [row["line"] for row in account["dropped_rows"]] == list(range(4, 11))

    with pytest.raises(ValueError) as caught:
        load(dataset="mixed", malformed="error")

    for number, reason in enumerate(BROKEN, start=4):
        assert re.search(rf"mixed\.jsonl:{number}.*: {re.escape(reason)}", str(caught.value)), reason

    account = load(dataset="mixed", malformed="keep")[1]["mixed"]
    assert account["kept"] == 10
    assert account["reasons"].keys() == BROKEN.keys() - {"no end of thought", "no marker in the response"}


def test_lengths_and_a_cache_of_other_bounds(load, tmp_path, root):
    lines = (root / "recipes" / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()
    lines = sorted((line for line in lines if line.count("<|end_of_thought|>") == 1), key=len)
    (tmp_path / "good.jsonl").write_text("\n".join(lines[:6] + lines[-4:]), encoding="utf-8")
    account = load(dataset="good", cutoff_len=400, question_prefix="virgo")[1]["good"]
    assert (account["kept"], account["reasons"]) == (6, {"overlong > 400 tokens": 4})
    account = load(dataset="good", cutoff_len=4000, question_prefix="virgo", min_response_tokens=400)[1]["good"]
    assert (account["kept"], account["reasons"]) == (4, {"response < 400 tokens": 6})


def test_an_edited_prefix_is_not_served_from_a_cache(load, tmp_path, base):
    from transformers import AutoTokenizer

    decode = AutoTokenizer.from_pretrained(base).decode
    prefix = tmp_path / "own.txt"
    for text in ("First think.", "Now think again."):
        prefix.write_text(text)
        module, _ = load(dataset="good", question_prefix=str(prefix))
        assert f"user\n{text}\n" in decode(module["train_dataset"][0]["input_ids"])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (['{"question": "q", "combined_text": null}'] * 3, "No row is kept"),
        ([""], "no rows in the file"),
        (['{"question": "q", "combined_text": "x"}'] * 36 + ['{"question": '], "good.jsonl:37: not JSON"),
        (['{"text": "only this column"}'], "columns found: text"),
    ],
)
def test_bad_files(load, tmp_path, rows, says):
    (tmp_path / "good.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        load(dataset="good")
