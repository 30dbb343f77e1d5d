"""Every recipe says what it does, and LLaMA-Factory's own parser agrees (twins train on them in tests/integration)."""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.pages import ROOT, header, load
from virgo_factory.core.global_batch import accumulation_steps
from virgo_factory.preflight.plan.method import read_hardware


RECIPES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "recipes").rglob("*.yaml")
    if path.parts[len(ROOT.parts) + 1] not in ("launch", "distill", "evaluate", "synthesize")
)
REAL = [name for name in RECIPES if "demo" not in name]
VIRGO = [name for name in REAL if "/virgo" in name]

# Not installed without a GPU; the parser asks for liger-kernel, the model loader for flash-attn.
WITHOUT_GPU = {"use_cpu": True, "enable_liger_kernel": False, "flash_attn": "sdpa"}

BLOCKS = ["model", "method", "dataset", "output", "train", "eval"]
STATED = {
    *("image_max_pixels", "freeze_vision_tower", "freeze_multi_modal_projector", "freeze_language_model"),
    *("template", "question_prefix", "cutoff_len", "overlong", "malformed", "overwrite_cache", "save_strategy"),
    *("save_total_limit", "keep_model_at_epochs", "overwrite_output_dir", "global_batch_size"),
    *("per_device_train_batch_size", "seed", "ddp_timeout", "bf16"),
}
STATED_BY_GRPO = {
    *("rl_loss", "rl_num_generations", "rl_updates_per_rollout", "rl_temperature", "rl_max_prompt_tokens"),
    *("rl_max_response_tokens", "rl_reward", "rl_format_weight", "rl_log_rollouts"),
}
NOT_OF_GRPO = {"cutoff_len", "malformed", "question_prefix", "keep_model_at_epochs", "bf16"}
"""Keys that such a recipe need not state, or cannot."""


def published(shared_data: Path) -> list[dict[str, str]]:
    """Return the cells of Virgo's tables."""
    with open(shared_data.parent / "reference" / "virgo_tables.csv", newline="") as file:
        return list(csv.DictReader(file))


def index_rows() -> list[tuple[str, str, str, list[str]]]:
    """Return the rows of recipes/README.md that train: row of the paper, numbers, recipe, overrides."""
    rows = []
    for line in (ROOT / "recipes/README.md").read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| (.+?) \| (.+?) \| `(.+)` \|$", line)
        if not found:
            continue

        row, numbers, command = found.groups()
        words = command.split()
        if "llamafactory-cli" in words:
            recipe, *overrides = words[words.index("train") + 1 :]
        elif words[0] == "sbatch":
            recipe, *overrides = words[2:] or ["recipes/virgo72b_dt.yaml"]
        else:
            continue

        rows.append((row, numbers, recipe, overrides))

    return rows


UNMADE = [f"recipes/virgo7b_{data}.yaml" for data in ("dsd", "dqvq")]
"""Recipes that are parsed without the data that is made first, too."""


def made_data(folder: Path) -> Path:
    """Return a dataset folder with our entries, and an empty file for each that is made first."""
    for entry in json.loads((ROOT / "dataset_info.json").read_text()).values():
        if "made_by" in entry and "file_name" in entry:
            file = folder / entry["file_name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    (folder / "dataset_info.json").write_text((ROOT / "dataset_info.json").read_text())
    return folder


PARSE = """
    import os, sys
    os.chdir({root!r})
    sys.path.insert(0, {root!r})
    from tests.test_recipes import parse_recipes
    parse_recipes({out!r}, {names!r})
"""


@pytest.fixture(scope="module")
def parsed(fork, tmp_path_factory) -> dict[str, dict]:
    """What LLaMA-Factory's parser makes of every recipe, and of two that are wrong, as the one rank that DeepSpeed asks for."""
    folder = tmp_path_factory.mktemp("parsed")
    good = (ROOT / "recipes/virgo7b_dt_lora.yaml").read_text(encoding="utf-8")
    (folder / "misspelt.yaml").write_text(good.replace("question_prefix:", "question_prefx:"), encoding="utf-8")
    (folder / "choice.yaml").write_text(good.replace("overlong: drop", "overlong: cut"), encoding="utf-8")
    names = [*RECIPES, str(folder / "misspelt.yaml"), str(folder / "choice.yaml")]
    names += [" ".join([recipe, *overrides]) for _, _, recipe, overrides in index_rows() if overrides]
    names = [f"{name} dataset_dir={made_data(folder / 'made')}" for name in names] + UNMADE
    rank = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    out = folder / "parsed.json"
    fork(PARSE.format(root=str(ROOT), out=str(out), names=names), **rank)
    results = json.loads(out.read_text())
    return {_called(name): result for name, result in results.items()}


def _called(name: str) -> str:
    """Return the name of a result: the recipe's file name, with its overrides, or as it stands in UNMADE."""
    if name in UNMADE:
        return name

    recipe, *overrides = (word for word in name.split() if not word.startswith("dataset_dir="))
    return " ".join([recipe, *overrides]) if overrides else Path(recipe).name


@pytest.mark.parametrize("name", REAL)
def test_the_order_is_stocks_and_the_header_names_the_one_with_fewer_passes(name):
    recipe, keys = load(name), "batch_order=packed" + " sequence_parallel_size=4" * ("72b" in name)
    if recipe["stage"] != "sft" or recipe.get("neat_packing"):
        assert "fewer passes" not in header(name)
    elif "batch_order" in recipe:
        assert recipe["batch_order"] == "packed" and f"fewer passes: {keys}, which it has below" in header(name)
    else:
        assert f"Same batches and gradients, fewer passes: {keys} Departures" in header(name)
        assert not {"group_by_length", "packing", "sequence_parallel_size"} & recipe.keys()


@pytest.mark.integration
@pytest.mark.parametrize("name", RECIPES)
def test_llamafactory_parses_it(parsed, name):
    result, recipe = parsed[Path(name).name], load(name)
    assert "error" not in result, result["error"]
    is_virgos = "/virgo" in name and "_lgt_" not in name and recipe["stage"] != "grpo"
    assert result["template"] == ("virgo" if is_virgos else recipe["template"])
    assert result["question_prefix"] == ("virgo" if is_virgos else recipe.get("question_prefix"))
    assert result["keep_model_at_epochs"] == recipe.get("keep_model_at_epochs")
    assert result["learning_rate"] == recipe["learning_rate"]
    assert result["gradient_accumulation_steps"] * recipe["per_device_train_batch_size"] == recipe["global_batch_size"]
    assert result["resume_from_checkpoint"] is None


@pytest.mark.integration
def test_the_parser_refuses_what_is_wrong(parsed):
    assert "question_prefx" in parsed["misspelt.yaml"]["error"]
    assert re.search(r"overlong.*cut.*drop", parsed["choice.yaml"]["error"])


@pytest.mark.integration
@pytest.mark.parametrize("name", UNMADE)
def test_data_that_is_missing_is_told_with_the_command_that_makes_it(parsed, name):
    command = (ROOT / name).read_text(encoding="utf-8").splitlines()[1].removeprefix("# Data first: ")
    assert f"Make it with: {command}" in parsed[name]["error"]


@pytest.mark.parametrize("name", RECIPES)
def test_what_it_names_exists(name):
    recipe = load(name)
    assert recipe["dataset_dir"] == "."
    if "deepspeed" in recipe:
        stage = 2 if "mmfr" in name else 3  # as published
        assert json.loads((ROOT / recipe["deepspeed"]).read_text())["zero_optimization"]["stage"] == stage

    info = json.loads((ROOT / "dataset_info.json").read_text())
    made = set()
    for dataset in recipe["dataset"].split(","):
        entry = info[dataset.strip()]
        assert "formatting" in entry
        made |= {entry["made_by"]} if "made_by" in entry else set()
        assert "hf_hub_url" in entry or "made_by" in entry or (ROOT / entry["file_name"]).is_file()

    second = (ROOT / name).read_text(encoding="utf-8").splitlines()[1]
    assert made == ({second.removeprefix("# Data first: ")} if second.startswith("# Data first") else set())


VIRGOS = [found for found in index_rows() if not found[0].startswith("OMR ")]
OMRS = [found for found in index_rows() if found[0].startswith("OMR ")]


@pytest.mark.integration
@pytest.mark.parametrize(("row", "numbers", "recipe", "overrides"), VIRGOS, ids=[row for row, *_ in VIRGOS])
def test_each_row_of_the_paper_is_a_command(row, numbers, recipe, overrides, parsed, shared_data):
    keys = load(recipe) | dict(item.split("=") for item in overrides)
    if overrides:
        result = parsed[" ".join([recipe, *overrides])]
        assert "error" not in result, result["error"]
        assert result["output_dir"] == keys["output_dir"] != load(recipe)["output_dir"]
        assert result["dataset"] == keys["dataset"].split(",")
        bounds = result["min_response_tokens"], result["max_response_tokens"]
        assert bounds == tuple(
            int(keys[key]) if key in keys else None for key in ("min_response_tokens", "max_response_tokens")
        )

    if "not in the paper" in numbers:
        return

    table = re.match(r"Table (\d)", row)
    size = re.search(r"\d+B", row)[0]
    bins = re.search(r"\((\d+), (\d+)\]", row)
    if bins:
        condition = f"D_T:length({bins[1]}-{bins[2]}]"
        assert int(keys.get("min_response_tokens", 1)) == int(bins[1]) + 1
        assert int(keys["max_response_tokens"]) == int(bins[2])
    elif table and table[1] == "5":
        thousands = re.search(r"(\d)K", row)[1]
        condition = f"D_T:n={thousands}000"
        assert keys["dataset"] == f"virgo_dt_{thousands}k"
    elif table:
        condition = f"D_T+D_SD:{row.split(', ')[-1]}"
    else:
        condition = row.split(", ")[1]

    printed = {
        line["benchmark"]: line["value"]
        for line in published(shared_data)
        if (line["table"], line["condition"]) == (table[1] if table else "2", condition) and size in line["row"]
    }
    assert numbers.split(" / ") == [printed[name] for name in ("MathVerse", "MathVision", "OlympiadBench", "MMMU")]


def test_every_row_that_the_paper_trained_is_in_the_index(shared_data):
    trained = {
        (line["table"], line["row"], line["condition"])
        for line in published(shared_data)
        if line["table"] in "2456" and line["condition"].startswith("D_") and "n=5000" not in line["condition"]
    }
    twice = {("6", "Virgo-72B", "D_T+D_SD:medium")}  # the row of Table 2, which the index says in words
    papers = [row for row, numbers, *_ in VIRGOS if "not in the paper" not in numbers]
    assert len(papers) == len(trained - twice)


def omr_cells() -> dict[tuple[str, str, str], list[str]]:
    """Return (table, model, condition) -> values of OpenMMReasoner's trained rows, in the order in which they are printed."""
    cells: dict[tuple[str, str, str], list[str]] = {}
    with (ROOT / "virgo_factory/evaluation/paper/openmmreasoner.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            if line["table"] in ("2-5", "7", "S3") and line["condition"] not in ("baseline", "cold start"):
                cells.setdefault((line["table"], line["model"], line["condition"]), []).append(line["printed"])

    del cells["S3", "GRPO", "weight of the format 0.1"]  # Table 7's GRPO x16
    return cells


def omr_row(row: str) -> tuple[str, str, str]:
    """Return table, model and condition of a row of the index."""
    table, rest = re.fullmatch(r"OMR (\S+), (.+)", row).groups()
    if table == "7":
        model, condition = rest.split(": ")
        return table, f"start {model}", condition

    if table == "S3":
        return table, "GRPO", rest

    return (table, rest, "") if "teacher" in rest else (table, "Qwen3-VL-235B as teacher", rest)


@pytest.mark.integration
@pytest.mark.parametrize(("row", "numbers", "recipe", "overrides"), OMRS, ids=[row for row, *_ in OMRS])
def test_each_row_of_openmmreasoner_is_a_command(row, numbers, recipe, overrides, parsed):
    table, model, condition = omr_row(row)
    assert numbers.split(" / ") == omr_cells()[table, model, condition]
    keys = load(recipe) | {key: yaml.safe_load(value) for key, value in (item.split("=") for item in overrides)}
    result = parsed[" ".join([recipe, *overrides]) if overrides else Path(recipe).name]
    assert "error" not in result, result["error"]
    assert result["dataset"] == [name.strip() for name in keys["dataset"].split(",")]
    assert (result["output_dir"] == load(recipe)["output_dir"]) == (not overrides)
    if table == "2-5":
        return

    assert keys["rl_loss"] == (condition.split()[0].lower() if table == "7" else "grpo")
    group = int(found[1]) if (found := re.search(r" x(\d+)", condition)) else 16
    assert keys["rl_num_generations"] == group
    assert keys["global_batch_size"] * keys["rl_updates_per_rollout"] == 128 * group
    assert keys["rl_temperature"] == (1.4 if "1.4" in condition else 1.0)
    assert keys["rl_curriculum"] == ("pass_rate" if "curriculum" in condition else "shuffle")
    start = {"start from x8, image and text maths": "sft", "start from x8": "sft_x8", "start from x1": "sft_x1"}
    assert keys["model_name_or_path"] == f"saves/omr7b/full/{start.get(model, 'sft')}"


def test_every_row_that_openmmreasoner_trained_is_in_the_index():
    assert {omr_row(row) for row, *_ in OMRS} == set(omr_cells())


def test_a_model_that_is_started_from_is_trained_by_another_row():
    written = {load(recipe)["output_dir"] if not overrides else dict(item.split("=") for item in overrides)["output_dir"]
               for _, _, recipe, overrides in OMRS}  # fmt: skip
    starts = [dict(item.split("=") for item in overrides).get("model_name_or_path") for *_, overrides in OMRS]
    assert {start for start in starts if start} | {load("recipes/omr7b_gspo.yaml")["model_name_or_path"]} <= written
    assert len(written) == len(OMRS)


@pytest.mark.parametrize("name", [name for name in REAL if load(name)["stage"] == "grpo"])
def test_the_settings_of_openmmreasoners_scripts(name):
    recipe = load(name)
    clips = {"gspo": (3.0e-4, 4.0e-4), "grpo": (0.2, 0.2), "dapo": (0.2, 0.28)}
    assert (recipe["rl_clip_low"], recipe["rl_clip_high"]) == clips[recipe["rl_loss"]]
    paper = {
        "learning_rate": 1.0e-6,
        "weight_decay": 0.1,
        "max_grad_norm": 1.0,
        "rl_max_prompt_tokens": 4096,
        "rl_beta": 0.0,
    }
    assert {key: recipe[key] for key in paper} == paper
    updates = recipe["rl_updates_per_rollout"]
    assert (recipe["warmup_steps"], recipe["save_steps"], recipe["max_steps"]) == (
        25 * updates,
        16 * updates,
        1232 * updates,
    )
    other = load("recipes/omr7b_gspo.yaml")
    of_loss = {"rl_loss", "rl_clip_low", "rl_clip_high", "output_dir"}
    assert {key: value for key, value in recipe.items() if key not in of_loss} == {
        key: value for key, value in other.items() if key not in of_loss
    }


def test_data_that_is_made_first_is_made_by_one_command():
    made = {
        name: entry["made_by"]
        for name, entry in json.loads((ROOT / "dataset_info.json").read_text()).items()
        if "made_by" in entry
    }
    text = (ROOT / "recipes/README.md").read_text(encoding="utf-8")
    for names, command in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `(.+)` \|$", text, re.MULTILINE):
        for name in re.findall(r"\w+", names):
            assert made.pop(name) == command

    assert not made


@pytest.mark.parametrize("name", VIRGO)
@pytest.mark.parametrize("ranks", [8, 16, 32, 64])
def test_the_global_batch_is_the_papers_on_any_cluster(name, ranks):
    recipe = load(name)
    per_device = recipe["per_device_train_batch_size"]
    assert accumulation_steps(recipe["global_batch_size"], ranks, per_device) * ranks * per_device == 128


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_agrees_on_the_batch(name):
    recipe, text = load(name), header(name)
    total = re.search(r"Batch: global batch (\d+)(?: responses)? = ", text)
    assert total, "the header does not say `Batch: global batch N = ...`"
    assert int(total[1]) == recipe["global_batch_size"]
    products = re.findall(r"(\d+) (?:GPU|rank)s? x (\d+) x (\d+)", text[total.end() - 1 : text.index("Launch")])
    assert products
    for ranks, per_device, accumulation in products:
        assert int(per_device) == recipe["per_device_train_batch_size"]
        assert accumulation_steps(recipe["global_batch_size"], int(ranks), int(per_device)) == int(accumulation)


@pytest.mark.parametrize("name", RECIPES)
def test_the_header_names_the_recipe_itself(name):
    launches = re.findall(r"llamafactory-cli train (\S+)", header(name))
    assert launches
    assert set(launches) == {name}
    assert re.findall(r"virgo-factory plan (\S+)", header(name)) == [Path(name).stem] * (name in REAL)


@pytest.mark.parametrize("name", REAL)
def test_plan_reads_the_hardware_that_the_batch_is_for(name):
    gpus, memory = read_hardware((ROOT / name).read_text(encoding="utf-8"))
    assert f"Batch: global batch {load(name)['global_batch_size']} = {gpus} GPU" in header(name)
    assert memory == 80e9


@pytest.mark.parametrize("name", [name for name in RECIPES if "72b" in name])
def test_a_72b_recipe_is_its_7b_one(name):
    large, small = load(name), load(name.replace("72b", "7b"))
    different = {key for key in large | small if large.get(key) != small.get(key)}
    assert different == {"model_name_or_path", "output_dir", "data_shared_file_system"}


def test_no_two_recipes_share_an_output_folder():
    folders = [load(name)["output_dir"] for name in RECIPES]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize("name", RECIPES)
def test_house_style(name):
    text, recipe = (ROOT / name).read_text(encoding="utf-8"), load(name)
    blocks = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert blocks == [block for block in BLOCKS if block in blocks]
    assert not [key for key, value in recipe.items() if value in (None, "", [])], "empty keys"
    is_grpo = recipe["stage"] == "grpo"
    stated = STATED - NOT_OF_GRPO | STATED_BY_GRPO if is_grpo else STATED
    epochs = {"keep_model_at_epochs"} if "/omr" in name or "mmfr" in name else set()  # the papers take the last model
    assert not stated - set(recipe) - epochs, "keys that every recipe states"
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    assert len(keys) == len(set(keys)), "a key stands there twice"
    assert max(map(len, text.splitlines())) <= 119
    assert isinstance(recipe["learning_rate"], float), "YAML reads 7e-6 as text: write 7.0e-6"


@pytest.mark.parametrize("name", [name for name in VIRGO if "lora" not in name])
def test_the_papers_settings(name):
    paper = {
        "learning_rate": 7.0e-6,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "num_train_epochs": 10.0,
        "keep_model_at_epochs": [5],
        "global_batch_size": 128,
        "cutoff_len": 32768,
        "freeze_vision_tower": True,
        "freeze_multi_modal_projector": False,
        "finetuning_type": "full",
    }
    assert {key: load(name).get(key) for key in paper} == paper


def test_qwen3_vl_on_d_t_is_virgos_7b_recipe_but_for_the_model():
    own, virgo = load("recipes/qwen3vl8b_dt.yaml"), load("recipes/virgo7b_dt.yaml")
    different = {key for key in own | virgo if own.get(key) != virgo.get(key)}
    assert different == {"model_name_or_path", "template", "output_dir"}


def test_mmfinereasons_published_settings():
    published = {
        "model_name_or_path": "Qwen/Qwen3-VL-8B-Instruct",
        "image_max_pixels": 589824,
        "image_min_pixels": 1024,
        "finetuning_type": "full",
        "freeze_vision_tower": True,
        "freeze_multi_modal_projector": True,
        "freeze_language_model": False,
        "cutoff_len": 32768,
        "preprocessing_num_workers": 32,
        "per_device_train_batch_size": 1,
        "learning_rate": 1.0e-5,
        "num_train_epochs": 3.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "bf16": True,
        "flash_attn": "fa2",
        "enable_liger_kernel": True,
        "seed": 42,
    }
    recipe = load("recipes/qwen3vl8b_mmfr.yaml")
    assert {key: recipe.get(key) for key in published} == published
    assert recipe["batch_order"] == "packed" and not {"packing", "neat_packing"} & set(recipe)


@pytest.mark.parametrize("name", [name for name in VIRGO if "MathVerse" in header(name)])
def test_the_header_quotes_table_2(name, shared_data):
    model, condition = re.search(r'Table 2, "(\S+) (\S+)"', header(name)).groups()
    quoted = re.search(
        r"\(MathVerse ([\d.]+), MathVision ([\d.]+), OlympiadBench ([\d.]+), MMMU ([\d.]+)\)", header(name)
    )
    table = {
        row["benchmark"]: row["value"]
        for row in published(shared_data)
        if (row["table"], row["row"], row["condition"]) == ("2", model, condition)
    }
    assert quoted.groups() == tuple(table[name] for name in ("MathVerse", "MathVision", "OlympiadBench", "MMMU"))


LAUNCHER = """#!/bin/bash
echo "$NODE_RANK of $NNODES at $MASTER_ADDR:$MASTER_PORT torchrun=$FORCE_TORCHRUN cache=$HF_HOME: $*" >> "$CALLS"
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do shift; done
for node in $(seq 0 $((SLURM_JOB_NUM_NODES - 1))); do SLURM_NODEID=$node "$@" || exit; done
"""


@pytest.fixture
def slurm(tmp_path):
    """A stand-in for Slurm: runs recipes/launch/virgo72b.slurm for 8 nodes and returns what each node would call."""
    scripts = {
        "srun": SRUN,
        "scontrol": "#!/bin/bash\nprintf 'node%s\\n' 1 2 3 4 5 6 7 8\n",
        "llamafactory-cli": LAUNCHER,
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def submit(*arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess, list[str]]:
        job = {"SLURM_JOB_NUM_NODES": "8", "SLURM_JOB_NODELIST": "node[1-8]", "CALLS": str(tmp_path / "calls")}
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        run = subprocess.run(
            ["bash", "recipes/launch/virgo72b.slurm", *arguments],
            cwd=ROOT,
            env={"PATH": path, **job, **environment},
            capture_output=True,
            text=True,
        )
        calls = tmp_path / "calls"
        return run, calls.read_text().splitlines() if calls.exists() else []

    return submit


def test_the_slurm_file_starts_one_command_a_node(slurm):
    run, calls = slurm(HF_HOME="/shared/hf")
    assert run.returncode == 0, run.stderr
    where = "of 8 at node1:29500 torchrun=1 cache=/shared/hf"
    assert calls == [f"{node} {where}: train recipes/virgo72b_dt.yaml" for node in range(8)]


def test_the_slurm_file_hands_on_another_recipe_and_overrides(slurm):
    _, calls = slurm("recipes/virgo7b_dt.yaml", "seed=1", HF_HOME="/shared/hf", MASTER_PORT="1234")
    assert calls[3] == "3 of 8 at node1:1234 torchrun=1 cache=/shared/hf: train recipes/virgo7b_dt.yaml seed=1"


def test_the_slurm_file_wants_a_shared_cache(slurm):
    run, calls = slurm()
    assert run.returncode != 0 and "set HF_HOME" in run.stderr
    assert not calls


@pytest.mark.parametrize("page", ["recipes/README.md", "recipes/launch/torchrun.md", "README.md"])
def test_pages_name_recipes_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"recipes/[\w/-]+\.(?:yaml|json|slurm|md)", text))
    assert named
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_the_index_names_every_recipe():
    text = (ROOT / "recipes/README.md").read_text(encoding="utf-8")
    assert not [name for name in REAL if name not in text and not name.endswith("virgo72b_dt.yaml")]
    assert "virgo72b.slurm" in text


def parse_recipes(out: str, names: list[str]) -> None:
    """Write what LLaMA-Factory's parser makes of the recipes to a JSON file."""
    import deepspeed
    from llamafactory.hparams import get_train_args

    # Parsing needs no communication between ranks; building this operator takes DeepSpeed two minutes.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    results = {}
    for name in names:
        path, *overrides = name.split()
        recipe = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        recipe |= {key: yaml.safe_load(value) for key, value in (item.split("=") for item in overrides)}
        try:
            model, data, training, finetuning, _ = get_train_args({**recipe, **WITHOUT_GPU})
        except Exception as error:
            results[name] = {"error": f"{type(error).__name__}: {error}"}
            continue

        results[name] = {
            "template": data.template,
            "dataset": data.dataset,
            "output_dir": training.output_dir,
            "min_response_tokens": data.min_response_tokens,
            "max_response_tokens": data.max_response_tokens,
            "question_prefix": data.question_prefix,
            "marker_tokens": model.marker_tokens,
            "keep_model_at_epochs": finetuning.keep_model_at_epochs,
            "learning_rate": training.learning_rate,
            "gradient_accumulation_steps": training.gradient_accumulation_steps,
            "resume_from_checkpoint": training.resume_from_checkpoint,
        }

    Path(out).write_text(json.dumps(results))
