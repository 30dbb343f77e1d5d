"""Row policy and account of the stages, in one process: packing, preference pairs, prediction, evaluation sets."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A tiny Qwen2-VL."""
    from virgo_factory.preflight.twin import make_twin

    folder = tmp_path_factory.mktemp("rows") / "base"
    make_twin(folder)
    return folder


@pytest.fixture
def load(base, tmp_path, root, monkeypatch):
    """A function that loads the datasets of a recipe and returns LLaMA-Factory's dataset module and the accounts."""
    import virgo_factory

    virgo_factory.register()
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    lines = (root / "recipes" / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()
    good = sorted((line for line in lines if line.count("<|end_of_thought|>") == 1), key=len)
    cut = json.dumps({"id": "cut", "question": "q", "combined_text": "<|begin_of_thought|>\n\nendless"})
    pairs = [
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a " * n}}
        | {"rejected": {"from": "gpt", "value": "b " * n}}
        for n in (3, 500)
    ]
    files = {
        "good": good[:8],
        "mixed": [*good[:8], cut],
        "pairs": [json.dumps(pair) for pair in pairs],
    }
    info = {name: {"file_name": f"{name}.jsonl", "formatting": "virgo_dt"} for name in files}
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
        recipe = {
            "model_name_or_path": str(base),
            "image_max_pixels": 50176,
            "stage": stage,
            "do_train": True,
            "finetuning_type": "full",
            "template": "virgo",
            "dataset_dir": str(tmp_path),
            "cutoff_len": 1024,
            "output_dir": str(tmp_path / "out"),
            "report_to": "none",
            "use_cpu": True,
            "bf16": True,
        }
        model_args, data_args, training_args, _, _ = get_train_args(recipe | changes)
        tokenizer_module = load_tokenizer(model_args)
        template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
        kind = "rm" if stage == "dpo" else stage
        module = get_dataset(template, model_args, data_args, training_args, stage=kind, **tokenizer_module)
        content = json.loads((tmp_path / "out" / "virgo_rows.json").read_text())
        return module, {entry["name"]: entry for entry in content["datasets"]}

    return load_rows


@pytest.mark.parametrize("packing", [{"packing": True}, {"neat_packing": True}])
def test_packing_keeps_the_account(load, packing):
    """Packed rows hold exactly the tokens of the kept rows; the account counts rows, not packs."""
    plain, _ = load(dataset="mixed")
    packed, accounts = load(dataset="mixed", **packing)
    assert (accounts["mixed"]["rows_in"], accounts["mixed"]["kept"], accounts["mixed"]["dropped"]) == (9, 8, 1)
    trained = sum(label != -100 for row in plain["train_dataset"] for label in row["labels"])
    assert sum(label != -100 for row in packed["train_dataset"] for label in row["labels"]) == trained > 0
    assert len(packed["train_dataset"]) < len(plain["train_dataset"]) == 8


def test_preference_pairs(load):
    """`overlong` works in DPO, on the longer side, for an ordinary ranking dataset, too."""
    module, accounts = load("dpo", dataset="pairs", cutoff_len=200, overlong="drop")
    assert accounts["pairs"]["reasons"] == {"overlong > 200 tokens": 1}
    assert len(module["train_dataset"]) == 1
    assert "chosen_input_ids" in module["train_dataset"].column_names


def test_preference_pairs_with_virgo_template_only_are_cut_as_stock_does(load):
    """The template alone changes no policy of an ordinary dataset."""
    module, accounts = load("dpo", dataset="pairs", cutoff_len=200)
    assert accounts["pairs"]["kept"] == 2
    assert max(len(row["chosen_input_ids"]) for row in module["train_dataset"]) == 200


def test_an_evaluation_set_loses_no_row(load):
    """Dropping from an evaluation set would change the benchmark: an error, also where training rows are dropped."""
    with pytest.raises(ValueError, match=r"evaluation set"):
        load(dataset="good", eval_dataset="mixed")

    module, accounts = load(dataset="mixed", eval_dataset="good")
    assert len(module["eval_dataset"]) == 8
    assert accounts["mixed"]["dropped_rows"][0]["id"] == "cut"


@pytest.mark.parametrize(
    ("sampling", "kept", "repeated", "dropped"), [({"max_samples": 3}, 3, 0, 6), ({"mix_strategy": "concat"}, 8, 0, 1)]
)
def test_rows_that_are_not_drawn_are_counted(load, sampling, kept, repeated, dropped):
    """Rows in + drawn again = kept + dropped, whatever samples them."""
    _, accounts = load(dataset="mixed", **sampling)
    account = accounts["mixed"]
    assert (account["rows_in"], account["repeated"], account["kept"], account["dropped"]) == (
        9,
        repeated,
        kept,
        dropped,
    )


def test_interleaved_datasets(load):
    """Oversampling draws rows again; the account says so and still adds up."""
    module, accounts = load(
        dataset="mixed,good", mix_strategy="interleave_over", interleave_probs="0.5,0.5", max_samples=5
    )
    for account in accounts.values():
        assert account["rows_in"] + account["repeated"] == account["kept"] + account["dropped"]

    assert sum(account["kept"] for account in accounts.values()) == len(module["train_dataset"])


@pytest.mark.parametrize("stage", ["kto", "pt"])
def test_other_stages_are_refused(load, stage):
    """A formatting of ours in a stage that cannot account for rows is an error, with the stages that can."""
    with pytest.raises(ValueError, match="only in the stages sft and dpo"):
        load(stage, dataset="good")


def test_streaming_is_refused(load):
    """Rows that stream cannot be counted."""
    with pytest.raises(ValueError, match="not with streaming"):
        load(dataset="good", streaming=True, max_steps=1)


def test_a_finished_run_is_an_error(load, tmp_path):
    """Training 0 steps and exiting 0 is what stock does."""
    checkpoint = tmp_path / "out" / "checkpoint-8"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": 8}))
    with pytest.raises(ValueError, match="holds a finished run"):
        load(dataset="mixed", num_train_epochs=1, per_device_train_batch_size=1)

    load(dataset="mixed", num_train_epochs=2, per_device_train_batch_size=1)
