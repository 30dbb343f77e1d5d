"""What a smoke run would do and say, without training: recipes read, rows chosen, keys replaced, logs understood."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml
from PIL import Image

from virgo_factory.data.read.source import find_sources
from virgo_factory.preflight.plan.models import find_family
from virgo_factory.preflight.smoke import recipe as smoke_recipes
from virgo_factory.preflight.smoke import stages
from virgo_factory.preflight.smoke.logs import find_error, find_remedy
from virgo_factory.preflight.smoke.parse import parse
from virgo_factory.preflight.smoke.processes import MARK, environment, kill_all, marked
from virgo_factory.preflight.smoke.recipe import smoke_recipe
from virgo_factory.preflight.smoke.rows import Chosen, batch, estimate, rows, write_rows
from virgo_factory.preflight.smoke.stages import find_tokenizer, run, twin
from virgo_factory.preflight.smoke.trial import Smoke, StageFailed


ROOT = Path(__file__).parents[2]
LINES = (ROOT / "recipes" / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()
RECIPE = {
    "model_name_or_path": "Qwen/Qwen2-VL-7B-Instruct",
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "bf16": True,
    "dataset": "thoughts",
    "dataset_dir": "data",
    "template": "virgo",
    "cutoff_len": 1024,
    "output_dir": "out",
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a dataset `thoughts` of eleven rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    _dataset(tmp_path, LINES[:11])
    return tmp_path


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    from virgo_factory.preflight.twin.twin import make_twin

    return make_twin(tmp_path_factory.mktemp("base") / "model")


def _dataset(folder: Path, lines: list[str], **entry) -> None:
    (folder / "data" / "thoughts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entry = {"file_name": "thoughts.jsonl", "formatting": "virgo_dt"} | entry
    (folder / "data" / "dataset_info.json").write_text(json.dumps({"thoughts": entry}))


def _smoke(folder: Path, ranks: int | None = None, data: Path | None = None, model=None, **changes) -> Smoke:
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({k: v for k, v in (RECIPE | changes).items() if v is not None}))
    return Smoke(str(recipe), folder / "work", ranks, data=data, model=model)


def _reason(smoke: Smoke) -> str:
    with pytest.raises(StageFailed) as caught:
        parse(smoke)

    return caught.value.reason


# parse


def test_all_recipes_that_ship_are_read(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    for recipe in sorted((ROOT / "recipes").glob("virgo[0-9]*.yaml")):
        found, _ = parse(Smoke(str(recipe), folder / "work", data=folder / "data" / "thoughts.jsonl"))
        assert found.startswith("sft, lora" if "lora" in recipe.name else "sft, full"), recipe.name
        assert found.endswith("1 CPU rank" if "lora" in recipe.name else "ZeRO-3, 2 CPU ranks"), recipe.name

    for name, told in (("dt", "virgo_qwen3_vl, qwen3_vl, ZeRO-3"), ("mmfr", "think_qwen3_vl, qwen3_vl, ZeRO-2")):
        found, _ = parse(Smoke(f"qwen3vl8b_{name}", folder / "work", data=folder / "data" / "thoughts.jsonl"))
        assert found == f"sft, full, template {told}, 2 CPU ranks"


def test_all_problems_are_told_at_once(folder):
    (folder / "ds.json").write_text('{\n  // ours\n  "zero_optimization": {"stage": 3}\n}')
    reason = _reason(
        _smoke(folder, learning_rte=1e-5, stage="pt", deepspeed="ds.json", model_name_or_path="x/y", dataset="no")
    )
    for said in (
        "Some keys are not used by the HfArgumentParser: ['learning_rte']",
        "Did you mean learning_rate?",
        "stage: 'pt': only sft, dpo and grpo",
        "ds.json:2:3: not JSON",
        "Remove the comment",
        "no: no such dataset",
        "x/y: no config.json, neither here nor in the Hugging Face cache",
        "--model DIR",
    ):
        assert said in reason, said


def test_a_template_of_another_family(folder):
    assert "template: virgo_qwen3_vl is not the chat format of a qwen2_vl" in _reason(
        _smoke(folder, template="virgo_qwen3_vl")
    )


def test_without_bf16_the_first_step_would_stop(folder):
    (reason,) = _reason(_smoke(folder, bf16=None, deepspeed=None, finetuning_type="full")).splitlines()
    assert reason.startswith("bf16: not set: without a GPU") and "Set bf16: true" in reason


def test_a_distillation_is_one_line(folder):
    (folder / "recipe.yaml").write_text("model_name_or_path: m\nquestions: q.jsonl\noutput_dir: o\ndataset: d\n")
    with pytest.raises(ValueError, match="not a training recipe. Start it with virgo-factory distill run recipe.yaml"):
        parse(Smoke("recipe.yaml", folder / "work"))


def test_a_deepspeed_file_that_lacks_keys_is_noted(folder):
    (folder / "ds.json").write_text('{"zero_optimization": {"stage": 2}}')
    found, notes = parse(_smoke(folder, deepspeed="ds.json"))
    assert "ZeRO-2" in found
    assert any("train_batch_size" in note and "missing" in note for note in notes)


def test_what_differs_is_said(folder):
    _, notes = parse(_smoke(folder, stage="dpo", finetuning_type="lora"))
    assert [note.split(":")[0] for note in notes] == ["LoRA", "DPO"]


def test_a_hub_dataset_offline_names_the_way_out(folder, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    (folder / "data" / "dataset_info.json").write_text('{"thoughts": {"hf_hub_url": "a/b", "formatting": "virgo_dt"}}')
    assert "--data FILE" in _reason(_smoke(folder))
    smoke = _smoke(folder, data=folder / "data" / "thoughts.jsonl")
    parse(smoke)
    assert [source.name for source in smoke.sources] == ["thoughts"]
    assert [item.recipe for item in smoke.substituted] == ["dataset: thoughts"]


# twin


@pytest.mark.parametrize("tied", [True, False])
def test_the_twin_has_one_matrix_for_both_where_the_model_has(tmp_path, tied):
    from transformers import Qwen2VLConfig

    Qwen2VLConfig(tie_word_embeddings=tied).save_pretrained(tmp_path)
    assert stages._is_tied("some/model", tmp_path) == stages._is_tied(str(tmp_path), None) == tied
    assert not stages._is_tied("Qwen/Qwen2-VL-7B-Instruct", None)


@pytest.mark.parametrize(
    ("dtype", "has_bf16", "made_in"),
    [("float32", True, "float32"), ("bfloat16", True, "bfloat16"), ("bfloat16", False, "float32")],
)
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3"])
def test_the_twin_has_the_number_type_of_the_model(folder, monkeypatch, dtype, has_bf16, made_in, family):
    made = "import json, pathlib, sys; at = pathlib.Path(sys.argv[1], 'config.json'); at.parent.mkdir(); "
    made += "at.write_text(json.dumps({'vocab_size': 8, 'dtype': sys.argv[4]}))"
    monkeypatch.setenv(MARK, f"twin-{dtype}-{family}")
    monkeypatch.setattr(stages, "has_bf16", lambda: has_bf16)
    monkeypatch.setattr(stages, "_MAKE_TWIN", made)
    monkeypatch.setattr(stages, "_MAKE_REDUCED_TWIN", made)
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": family, "dtype": dtype}))
    (model / "tokenizer.json").write_text("{}")
    smoke = _smoke(folder, model_name_or_path=str(model), bf16=True)
    parse(smoke)
    twin(smoke)
    assert json.loads((smoke.twin / "config.json").read_text())["dtype"] == made_in
    without = _smoke(folder, model_name_or_path=str(model), bf16=None)
    if dtype == "float32":
        parse(without)
    else:
        assert "bf16: not set" in _reason(without)


@pytest.mark.parametrize("make", ["make_twin", "make_reduced_twin"])
def test_a_twin_is_stored_in_the_number_type_that_is_asked_for(base, tmp_path, make):
    import torch
    from safetensors.torch import load_file

    from virgo_factory.preflight.twin import twin as twins

    folder = getattr(twins, make)(tmp_path / "twin", base, dtype="float32")
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.float32}


def test_a_folder_without_tokenizer_and_a_model_that_is_nowhere(folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "qwen2_vl"}')
    for name, model, said in (
        ("x", folder / "model", "no tokenizer in it"),
        ("Qwen/Qwen2-VL-7B-Instruct", None, "Qwen/Qwen2-VL-7B-Instruct"),
    ):
        with pytest.raises(StageFailed, match=said) as caught:
            find_tokenizer(name, model)

        assert "--model DIR" in caught.value.remedy


def test_a_model_of_another_family(folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "qwen3"}')
    assert find_family(str(folder / "model")) == "qwen3"
    assert find_family("Qwen/Qwen3-8B", folder / "model") == "qwen3"
    assert find_family("Qwen/Qwen2.5-VL-7B-Instruct", folder / "model") == "qwen2_5_vl"
    with pytest.raises(ValueError, match="Qwen/Qwen3-8B: no config.json.*--model DIR"):
        find_family("Qwen/Qwen3-8B")

    (folder / "model" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="no model_type"):
        find_family("Qwen/Qwen3-8B", folder / "model")


# rows


def _rows(smoke: Smoke, base: Path, vocabulary: int = 1600) -> str:
    parse(smoke)
    smoke.twin.symlink_to(base)
    smoke.vocabulary = vocabulary
    return rows(smoke)[0]


def _written(smoke: Smoke) -> list[dict]:
    return [json.loads(line) for line in (smoke.work / "data" / "thoughts.jsonl").read_text().splitlines()]


def _entry(smoke: Smoke) -> dict:
    return json.loads((smoke.work / "data" / "dataset_info.json").read_text())["thoughts"]


def test_the_shortest_and_the_longest_rows_are_taken(folder, base):
    _dataset(folder, LINES[:60])
    smoke = _smoke(folder, 2, per_device_train_batch_size=1)
    account = _rows(smoke, base)
    assert "60 rows" in account
    assert "taken: 4" in account
    by_length = sorted((json.loads(line) for line in LINES[:60]), key=lambda row: len(row["combined_text"]))
    texts = [row["combined_text"] for row in by_length]
    ranks = sorted(texts.index(row["combined_text"]) for row in _written(smoke))
    assert ranks[1] < 12 and ranks[2] > 40  # characters are not tokens, but near
    assert _entry(smoke) == {"file_name": "thoughts.jsonl", "formatting": "virgo_dt"}


def test_long_rows_are_cut_and_it_is_said(folder, base):
    smoke = _smoke(folder)
    _rows(smoke, base, 10_000_000)  # so that only 256 tokens fit
    keys = smoke_recipe(smoke)
    assert (keys["cutoff_len"], keys["overlong"]) == (256, "truncate")
    assert any(item.used == "cut to 256 tokens" for item in smoke.substituted)


def test_where_all_rows_with_pictures_are_long_the_shortest_are_taken_whole(folder, base):
    """A row is not cut inside of its picture: pairs with pictures are longer than what is quick with a large vocabulary."""
    Image.new("RGB", (280, 280)).save(folder / "data" / "a.png")
    lines = [
        json.dumps({"question": "<image>How many?", "thought": "one more " * n, "solution": "2", "images": ["a.png"]})
        for n in (200, 150, 250, 220, 300, 180)
    ]
    _dataset(folder, lines, formatting="long_thought")
    smoke = _smoke(folder, per_device_train_batch_size=1)
    _rows(smoke, base, 10_000_000)  # so that only 256 tokens fit
    assert {row["thought"].count("one") for row in _written(smoke)} <= {150, 180, 200, 220}
    assert any(item.used == "left out" for item in smoke.substituted)
    assert smoke_recipe(smoke)["cutoff_len"] == 1024, "nothing is cut"


@pytest.mark.parametrize("key", ["packing", "neat_packing"])
def test_packed_rows_are_not_filled_up_to_what_no_cpu_can_hold(folder, base, key):
    """Stock fills each up to cutoff_len: of 61,440 tokens the mask alone has 8 GB."""
    smoke = _smoke(folder, 1, cutoff_len=61_440, per_device_train_batch_size=1, **{key: True})
    _rows(smoke, base)
    keys = smoke_recipe(smoke)
    assert (keys["cutoff_len"], keys["save_strategy"], keys["max_steps"]) == (4096, "steps", 4)
    assert ("cutoff_len: 61440", "4096") in {(item.recipe, item.used) for item in smoke.substituted}


def test_nothing_is_left_after_dropping(folder, base):
    _dataset(folder, [json.dumps({"question": "?", "combined_text": "no tags"})] * 4)
    with pytest.raises(StageFailed, match=r"4 rows: 0 kept, 4 dropped .*nothing is left") as caught:
        _rows(_smoke(folder), base)

    assert "virgo-factory data check" in caught.value.remedy


def test_more_ranks_than_rows(folder, base):
    assert "fewer than the 12 ranks. Use fewer --ranks" in _reason(_smoke(folder, 12))  # before a twin is made
    with pytest.raises(StageFailed, match="fewer than the 12 ranks"):
        _rows(_smoke(folder, 12), base)


def test_few_rows_are_repeated(folder, base):
    _dataset(folder, LINES[:2])
    smoke = _smoke(folder, 1, per_device_train_batch_size=2)
    assert "taken: 4" in _rows(smoke, base)
    assert len(_written(smoke)) == 4


def test_stock_rows(folder, base):
    row = {"conversations": [{"from": "human", "value": "a" * 30}, {"from": "gpt", "value": "b" * 30}]}
    _dataset(folder, [json.dumps(row)] * 7, formatting="sharegpt", tags={"user_tag": "user"})
    smoke = _smoke(folder, 1, template="qwen2_vl", per_device_train_batch_size=1)
    assert "7 rows: 7 kept" in _rows(smoke, base)
    assert (_entry(smoke)["formatting"], _entry(smoke)["tags"]) == ("sharegpt", {"user_tag": "user"})
    assert smoke_recipe(smoke)["marker_tokens"] is False  # switches the repairs for CPU ranks on


def test_chosen_keeps_ends_only():
    chosen = Chosen()
    for number, tokens in enumerate([50, 10, 90, 30, 70, 20, 80]):
        chosen.add(tokens, number, 4)

    assert chosen.numbers(4) == [1, 2, 5, 6]  # 10, 90, 20, 80
    assert len(chosen.short) == len(chosen.long) == 4
    assert Chosen().numbers(4) == []


def test_estimate():
    row = {"text": "x" * 300, "pictures": ["a.png", "b.png"]}
    tokens, images = estimate(row, {"images": "pictures"}, 28 * 28 * 100)
    assert images == 2 and 300 < tokens < 360


def test_tables_stay_tables(folder):
    table = pyarrow.table({"question": list("abcd"), "image": [{"bytes": b"\xff\x00"}] * 4})
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    (source,), _ = find_sources(str(folder / "rows.parquet"))
    file = write_rows(source, [1, 3, 3], folder / "out")
    assert pyarrow.parquet.read_table(file).to_pylist() == [
        {"question": letter, "image": {"bytes": b"\xff\x00"}} for letter in "bdd"
    ]


def test_half_a_surrogate_pair_is_written_as_it_was(folder):
    (folder / "rows.jsonl").write_text('{"id": "a", "note": "\\ud83d"}\n')
    (source,), _ = find_sources(str(folder / "rows.jsonl"))
    assert write_rows(source, [0], folder / "out").read_text() == (folder / "rows.jsonl").read_text()


# the recipe of the smoke run


@pytest.mark.parametrize(
    ("has_bf16", "type", "untried"), [(True, "fp16", "fp16"), (False, "fp16", "fp16"), (False, "bf16", "bfloat16")]
)
def test_what_a_cpu_cannot_do_is_replaced_and_told(folder, base, monkeypatch, has_bf16, type, untried):
    monkeypatch.setattr(smoke_recipes, "has_bf16", lambda: has_bf16)
    zero = {"bf16": {"enabled": True}, "zero_optimization": {"stage": 3}}
    offload = {"stage": 3, "offload_param": {"device": "cpu"}}
    (folder / "ds.json").write_text(json.dumps(zero | {"zero_optimization": offload}))
    smoke = _smoke(
        folder, deepspeed="ds.json", flash_attn="fa2", enable_liger_kernel=True, optim="paged_adamw_8bit", **{type: True},
        global_batch_size=128, keep_model_at_epochs=[5], tokenized_path="there", overwrite_output_dir=True,
        learning_rate=7e-6,
    )  # fmt: skip
    _rows(smoke, base)
    keys = smoke_recipe(smoke)
    wanted = {"flash_attn": "sdpa", "enable_liger_kernel": False, "optim": "adamw_torch"}
    wanted |= {"global_batch_size": 8, "keep_model_at_epochs": [1], "learning_rate": 7e-6, "use_cpu": True}
    assert {key: keys[key] for key in wanted} == wanted
    assert not {"fp16", "tokenized_path", "max_samples"} & set(keys)
    assert keys.get("bf16", False) == has_bf16
    assert json.loads(Path(keys["deepspeed"]).read_text()) == {
        key: zero[key] for key in zero if key != "bf16" or has_bf16
    }
    untested = " ".join(item.untested for item in smoke.substituted)
    for said in (
        "flash-attention",
        "liger",
        "offloading",
        "NCCL",
        untried,
        "that optimiser",
    ):
        assert untested.count(said) == 1, said


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"rl_updates_per_rollout": 4, "rl_num_generations": 16, "rl_overlong_buffer": 4096}, (4, 2, 8)),
        ({"rl_num_generations": 2}, (2, 1, 0)),
        ({"per_device_train_batch_size": 1}, (2, 1, 0)),
    ],
)
def test_a_rollout_of_a_cpu_is_small_and_divides(folder, given, wanted):
    """As the run's own rule has it: hooks/reinforce/arguments.py."""
    keys = {"stage": "grpo", "rl_server": "vllm", "rl_max_logprob_gap": 0.1, "save_strategy": "epoch"}
    keys |= {"cutoff_len": None}
    smoke = _smoke(folder, 1, **keys, **given)
    smoke.keys = {**yaml.safe_load(Path(smoke.recipe).read_text())}
    (folder / "p.jsonl").write_text('{"question": "1 + 1?", "gold": "2"}\n')
    smoke.sources, _ = find_sources(str(folder / "p.jsonl"), formatting="questions")
    keys = smoke_recipe(smoke)
    names = ("rl_num_generations", "rl_updates_per_rollout", "rl_overlong_buffer")
    assert tuple(keys[name] for name in names) == wanted
    responses = keys["per_device_train_batch_size"] * keys.get("gradient_accumulation_steps", 2) * wanted[1]
    assert responses % wanted[0] == 0 and keys["save_steps"] % wanted[1] == 0
    assert (keys["save_strategy"], keys["max_steps"], keys["rl_max_response_tokens"]) == ("steps", 4, 16)
    assert not {"cutoff_len", "rl_server", "rl_max_logprob_gap"} & set(keys)
    assert "servers, and the hand-over of weights to them" in {item.untested for item in smoke.substituted}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"stage": "grpo", "per_device_train_batch_size": 1}, (1, 2)),
        ({"global_batch_size": 128, "per_device_train_batch_size": 1}, (1, 2)),
        ({"gradient_accumulation_steps": 16, "per_device_train_batch_size": 1}, (1, 2)),
        ({"per_device_train_batch_size": 4}, (2, 1)),
        ({}, (2, 1)),
    ],
)
def test_batch(keys, wanted):
    assert batch(keys) == wanted


def test_the_cluster_of_a_job_is_left_out():
    outer = {"NNODES": "8", "NODE_RANK": "3", "MASTER_ADDR": "10.0.0.1", "PATH": "/bin", "OMP_NUM_THREADS": "3"}
    inner = environment(outer, 2, Path("w"))
    assert not {"NNODES", "NODE_RANK", "MASTER_ADDR"} & set(inner)
    assert (inner["FORCE_TORCHRUN"], inner["NPROC_PER_NODE"], inner["OMP_NUM_THREADS"]) == ("1", "2", "3")
    assert (inner["CUDA_VISIBLE_DEVICES"], inner["HF_HUB_OFFLINE"]) == ("", "1")


# logs

KEYS = "ValueError: Some keys are not used by the HfArgumentParser: ['learning_rte']"
LAUNCHER = (
    "Traceback (most recent call last):\n  File x\n"
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n====\n"
    "subprocess.CalledProcessError: Command '['torchrun']' returned non-zero exit status 1.\n"
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"[INFO] x\nTraceback (most recent call last):\n  File y\n{KEYS}\n{LAUNCHER}", KEYS),
        (f"[rank1]: Traceback (most recent call last):\n[rank1]:   File y\n[rank1]: {KEYS}\n{LAUNCHER}", KEYS),
        ("ValueError: virgo-factory:\n  - one\n  - two\n[INFO] more\n", "ValueError: virgo-factory:\n  - one\n  - two"),
        ("a.b.FooError\nnext\n\nend", "a.b.FooError\nnext"),
        ("x\nOSError: [Errno 28] No space left on device\n", "OSError: [Errno 28] No space left on device"),
        (f"{LAUNCHER}  exitcode  : -9 (pid: 7)\n", "a rank was killed (signal 9): most likely the memory of this machine is full"),
        ("one\n\ntwo\n", "no error in its log, which ends:\none\ntwo"),
        ("", "it ended without a word"),
    ],
)  # fmt: skip
def test_the_error_of_a_log(text, wanted):
    assert find_error(text) == wanted


def test_remedies():
    assert find_remedy(KEYS) == "correct the key in the recipe"
    assert (
        find_remedy("ModuleNotFoundError: No module named 'bitsandbytes'") == "install what is missing: bitsandbytes"
    )
    assert "memory" in find_remedy("RuntimeError: DefaultCPUAllocator: can't allocate memory")
    assert "log" in find_remedy("KeyError: 3")


# disk


def _full(smoke: Smoke):
    with open("/dev/full", "w") as sink:
        sink.write("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_clearly(folder, monkeypatch):
    monkeypatch.setattr(stages, "twin", _full)
    (folder / "work").rmdir()
    results = list(run(_smoke(folder)))
    assert [(result.stage, result.ok) for result in results] == [("parse", True), ("twin", False)]
    assert "is full" in results[-1].found and "No space left on device" in results[-1].found
    assert "--work DIR" in results[-1].remedy


def test_a_disk_that_is_too_small_is_told_before_anything_is_made(folder, monkeypatch):
    smoke = _smoke(folder)
    parse(smoke)
    usage = stages.shutil.disk_usage(folder)
    monkeypatch.setattr(stages.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(StageFailed, match="1 MB free, a smoke run writes up to 1,000 MB"):
        twin(smoke)


# processes


def test_orphans_are_killed_and_others_are_not():
    """A process whose parent is gone, in a session of its own, is found; one of another smoke run is left alone."""
    token = f"test{os.getpid()}"
    code = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)"
    )
    env = {**os.environ, MARK: token}
    orphan = int(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    other = subprocess.Popen(sleeps, env={**os.environ, MARK: token + "x"})
    try:
        deadline = time.monotonic() + 10
        while marked(token + "x") != [other.pid] and time.monotonic() < deadline:  # between fork and exec
            time.sleep(0.01)

        assert marked(token) == [orphan]
        assert kill_all(token) == 1
        assert marked(token) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


# the command


def test_the_command_stops_at_the_first_failure(folder, call):
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"learning_rte": 1.0}))
    code, out, _ = call("smoke", "recipe.yaml", "--work", "new", "--json")
    told = json.loads(out)
    assert (code, told["passed"], [stage["stage"] for stage in told["stages"]]) == (1, False, ["parse"])
    assert "Did you mean learning_rate?" in told["stages"][0]["found"]


def test_what_a_refused_recipe_leaves_is_nothing(folder, call, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "here"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"learning_rte": 1.0}))
    code, out, _ = call("smoke", "recipe.yaml")
    assert (code, list((tmp_path / "here").iterdir())) == (1, [])
    assert "Stopped at parse" in out and "what was written" not in out


def test_overrides_are_kept_and_a_folder_of_somebody_else_is_left_alone(folder, call):
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    assert "stage: 'rm': only sft, dpo and grpo" in call("smoke", "recipe.yaml", "stage=rm", "--work", "new")[1]
    code, _, err = call("smoke", "recipe.yaml", "--work", "data")
    assert code == 1 and "no smoke run made" in err
    assert (folder / "data" / "thoughts.jsonl").is_file()
