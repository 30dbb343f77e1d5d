"""Names that there are not, told by the command line itself before LLaMA-Factory is imported."""

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from virgo_factory.core.recipe_keys import KEYS
from virgo_factory.io.recipes import ASKING, asking_verb
from virgo_factory.preflight.doctor import names
from virgo_factory.preflight.keys import known_keys


@pytest.fixture
def folder(tmp_path):
    info = {
        "mine": {"file_name": "mine.jsonl", "formatting": "long_thought"},
        "stock_rows": {"file_name": "stock.json"},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    return tmp_path


OURS = {"template": "virgo", "dataset": "mine"}
STOCK = {"template": "qwen2_vl", "dataset": "stock_rows"}
MISSPELT = [
    # (recipe, parts of the lines; [] where there is nothing to tell)
    (OURS, []),
    (STOCK, []),
    (OURS | {"template": "vrigo"}, ["template: vrigo: no such template. Did you mean virgo?"]),
    (STOCK | {"template": "Virgo"}, ["template: Virgo: no such template. Did you mean virgo?"]),
    (STOCK | {"template": "virgo_qwen3vl"}, ["Did you mean virgo_qwen3_vl?"]),
    (STOCK | {"template": "qwen2_lv"}, []),
    (OURS | {"template": "qwen2vl"}, ["template: qwen2vl: no such template. Did you mean qwen2_vl?"]),
    (OURS | {"template": "zzzzzz"}, ["template: zzzzzz: no such template. Ours are virgo, virgo_qwen3_vl, omr, think_qwen3_vl."]),
    (OURS | {"template": "${oc.env:TEMPLATE}"}, []),
    (OURS | {"template": "qwen2_vl"}, []),
    (OURS | {"template": None}, []),
    (STOCK | {"overlog": "drop"}, ["overlog: no such key", "Did you mean overlong?"]),
    (STOCK | {"globel_batch_size": 8}, ["Did you mean global_batch_size?"]),
    (STOCK | {"question_prefx": "virgo"}, ["Did you mean question_prefix?"]),
    (STOCK | {"learning_rat": 1}, []),
    (OURS | {"learning_rat": 1}, ["learning_rat: no such key", "Did you mean learning_rate?"]),
    (STOCK | {"overlong": "drop", "cutof_len": 9}, ["Did you mean cutoff_len?"]),
    (OURS | {"dataset": "mime"}, ["dataset: mime: not in ", "Did you mean mine?"]),
    (STOCK | {"dataset": "virgo_demo_td"}, ["Did you mean virgo_demo_dt?"]),
    (STOCK | {"dataset": "stock_row"}, []),
    (OURS | {"dataset": ["mine", "stock_row"]}, ["dataset: stock_row: not in ", "Did you mean stock_rows?"]),
    (OURS | {"eval_dataset": "mine, zzzz"}, ["dataset: zzzz: not in ", "There are: "]),
    (OURS | {"dataset": "zzzz", "tokenized_path": "tokens"}, []),
    (OURS | {"dataset": "zzzz", "dataset_dir": "ONLINE"}, []),
    (OURS | {"dataset": "${oc.env:DATA}", "template": "virgo"}, []),
    (OURS | {"deepspeed": "recipes/deepspeed/ds_z33.json"}, ["ds_z33.json: no such file", "ds_z3.json?"]),
    (OURS | {"deepspeed": "ds_z3_ofload.json"}, ["ds_z3_offload.json?"]),
    (OURS | {"deepspeed": "else.json"}, ["else.json: no such file", "virgo-factory recipes copy"]),
    (OURS | {"deepspeed": "recipes/deepspeed/ds_z3.json"}, []),
    (OURS | {"deepspeed": {"zero_optimization": {"stage": 3}}}, []),
    (OURS | {"deepspeed": "${oc.env:ZERO}.json"}, []),
    (STOCK | {"deepspeed": "ds_z33.json"}, []),
    (OURS | {"do_train": True, "learning_rate": "fast", "cutoff_len": "4K"}, ["learning_rate: 'fast' is not a number.", "cutoff_len: '4K'"]),
    (OURS | {"do_train": True, "overlong": "dropp", "batch_order": "${oc.env:ORDER}"}, ["overlong: 'dropp' is not one of drop, error, truncate."]),
    (OURS | {"do_train": True, "learning_rate": "${oc.env:RATE}", "num_train_epochs": "${oc.env:EPOCHS}"}, []),
    (OURS | {"learning_rate": "fast"}, []),
    (STOCK | {"do_train": True, "learning_rate": "fast"}, []),
    (OURS | {"template": "vrigo", "overlog": "drop", "dataset": "mnie"}, ["Did you mean virgo?", "Did you mean overlong?", "Did you mean mine?"]),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "parts"), MISSPELT, ids=[str(case[0]) for case in MISSPELT])
def test_names_that_there_are_not(folder, recipe, parts):
    lines = names.misspelt({"dataset_dir": str(folder)} | recipe)
    assert bool(lines) == bool(parts), lines
    for part in parts:
        assert any(part in line for line in lines), lines


def test_an_entry_of_the_current_folder_that_the_recipe_does_not_look_at(folder, monkeypatch):
    monkeypatch.chdir(folder)
    told = "not in data/dataset_info.json (no such file) nor among those of the package. It is in that of the current folder"
    assert names.misspelt(OURS) == [f"dataset: mine: {told}: say dataset_dir: ."]


def test_no_stock_name_is_taken_for_a_slip_of_ours():
    import ast
    import importlib.util

    source = Path(importlib.util.find_spec("llamafactory").origin).with_name("data") / "template.py"
    calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    stock = {
        word.value.value
        for call in calls
        if getattr(call.func, "id", "") == "register_template"
        for word in call.keywords
        if word.arg == "name"
    }
    assert len(stock) > 100
    assert set(names.stock_templates()) == stock
    near = {name: difflib.get_close_matches(name, names.TEMPLATES, cutoff=names.NEAR) for name in stock}
    assert {name: found for name, found in near.items() if found} == {}
    assert set(KEYS) < known_keys()
    hook = (Path(names.__file__).parents[2] / "hooks" / "start" / "arguments.py").read_text(encoding="utf-8")
    assert all(f"    {key}: " in hook for key in KEYS)


def test_without_llamafactory_only_our_own_templates_are_known(monkeypatch):
    monkeypatch.setattr(names, "stock_templates", lambda: ())
    assert names.misspelt(OURS | {"template": "qwen2vl", "dataset": None}) == []
    assert names.misspelt(OURS | {"template": "vrigo", "dataset": None}) != []


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "what"), ASKING.items())
def test_a_configuration_of_those_that_ask_models_is_told_as_that(root, verb, what):
    paths = list((root / "recipes" / verb).glob("*.yaml"))
    assert paths
    for path in paths:
        with pytest.raises(SystemExit) as told:
            names.check_command_line(["llamafactory-cli", "train", str(path)])

        assert str(told.value).splitlines() == [
            f"virgo-factory: {path}",
            f"  - this is the configuration of {what}, not a training recipe. Run it with: virgo-factory {verb} run {path}",
        ]

    assert not [path for path in (root / "recipes").glob("*.yaml") if asking_verb(yaml.safe_load(path.read_text()))]


PROGRAMS = [
    (["/bin/llamafactory-cli", "train", "r.yaml"], True),
    (["/bin/lmf", "train", "r.yaml", "bf16=true"], True),
    (["/lib/llamafactory/cli.py", "train", "r.yaml"], True),
    (["/lib/llamafactory/launcher.py", "r.yaml"], True),
    (["/bin/llamafactory-cli", "api", "r.yaml"], True),
    (["/bin/llamafactory-cli", "webui"], False),
    (["/bin/llamafactory-cli", "train", "-h"], False),
    (["/bin/llamafactory-cli", "train", "--template", "vrigo"], False),
    (["/else/cli.py", "train", "r.yaml"], False),
    (["/else/launcher.py", "r.yaml"], False),
    (["/bin/pytest", "train", "r.yaml"], False),
    (["/bin/llamafactory-cli"], False),
    ([], False),
]


@pytest.mark.parametrize(("argv", "told"), PROGRAMS, ids=[" ".join(case[0]) for case in PROGRAMS])
def test_only_processes_of_llamafactory_are_looked_at(folder, monkeypatch, argv, told):
    monkeypatch.chdir(folder)
    Path("r.yaml").write_text(yaml.safe_dump(OURS | {"template": "vrigo", "dataset_dir": "."}))
    if told:
        with pytest.raises(SystemExit, match="virgo-factory: r.yaml\n  - template: vrigo"):
            names.check_command_line(argv)

        monkeypatch.setenv("LOCAL_RANK", "1")
        with pytest.raises(SystemExit, match="^1$"):  # rank 0 says it
            names.check_command_line(argv)

        monkeypatch.setenv("USE_MCA", "1")  # another set of keys

    names.check_command_line(argv)


def test_a_changed_key_of_the_command_line_counts(folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("r.yaml").write_text(yaml.safe_dump(OURS | {"template": "vrigo", "dataset_dir": "."}))
    names.check_command_line(["llamafactory-cli", "train", "r.yaml", "template=virgo"])
    with pytest.raises(SystemExit, match="mime"):
        names.check_command_line(["llamafactory-cli", "train", "r.yaml", "template=virgo", "dataset=mime"])


@pytest.mark.integration
def test_the_stock_command_ends_before_its_imports(folder):
    path = folder / "r.yaml"
    path.write_text(yaml.safe_dump(OURS | {"template": "vrigo", "dataset_dir": str(folder)}))
    command = [sys.executable, "-X", "importtime", "-m", "llamafactory.cli", "train", str(path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIRGO_FACTORY_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 1
    assert said == [f"virgo-factory: {path}", "  - template: vrigo: no such template. Did you mean virgo?"]
    assert "llamafactory.hparams" not in done.stderr and "transformers.trainer" not in done.stderr
