"""Every trap is found where it is, and nowhere else."""

import json
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch

from virgo_factory.preflight.doctor import environment
from virgo_factory.preflight.doctor.doctor import diagnose
from virgo_factory.preflight.doctor.environment import GIB, Environment, read_environment
from virgo_factory.preflight.precision import precision_problem


GPU = {"flash_attn": "fa2", "enable_liger_kernel": True, "deepspeed": "ds_z3.json"}
FULL = {"do_train": True, "finetuning_type": "full"}
GOOD = Environment(
    python="3.11.9",
    versions={
        "llamafactory": "0.9.5",
        "transformers": "4.57.6",
        "torch": "2.11.0",
        "deepspeed": "0.18.4",
        "flash-attn": "2.8.3",
        "liger-kernel": "0.8.4",
        "vllm": "0.20.2",
        "fastapi": "0.128.0",
    },
    cuda="13.0",
    nccl="2.28.3",
    driver="580.65.06",
    gpus=("NVIDIA H100 80GB HBM3",) * 8,
    variables={"FORCE_TORCHRUN": "1"},
)


def bad(there: Environment, recipe: dict | None = None) -> dict[str, str]:
    """Check -> severity of all that is not in order; each must name a remedy."""
    found = [item for item in diagnose(there, recipe) if item.severity != "ok"]
    assert all(item.remedy and item.found for item in found)
    return {item.check: item.severity for item in found}


def with_version(name: str, value: str | None) -> Environment:
    versions = {**GOOD.versions, name: value}
    return replace(GOOD, versions={name: value for name, value in versions.items() if value})


def test_a_good_environment_has_no_finding():
    assert bad(GOOD, GPU) == {}


@pytest.mark.parametrize(
    ("there", "recipe", "found"),
    [
        (with_version("llamafactory", None), {}, {"llamafactory": "error"}),
        (with_version("llamafactory", "0.9.4"), {}, {"llamafactory": "error"}),
        (with_version("transformers", "5.6.0"), GPU, {"transformers": "error"}),
        (with_version("transformers", "5.5.4"), {}, {}),
        (with_version("transformers", "5.5.4"), {"stage": "grpo"}, {"transformers": "error"}),
        (GOOD, {"stage": "grpo"}, {}),
        (with_version("transformers", "5.4.0"), {}, {"transformers": "error"}),
        (with_version("transformers", "4.57.0"), {}, {"transformers": "error"}),
        (with_version("torch", "2.9.1"), {}, {"torch": "error"}),
        (with_version("torch", "2.4.1"), {}, {"torch": "error"}),
        (with_version("deepspeed", None), GPU, {"deepspeed": "error"}),
        (with_version("deepspeed", None), {}, {}),
        (replace(GOOD, zero="deepspeed: a.json: no such file"), GPU, {"deepspeed file": "error"}),
        (GOOD, FULL, {}),
        (replace(GOOD, driver="", gpus=()), FULL, {"GPU": "warning", "bf16": "error"}),
        (replace(GOOD, driver="", gpus=()), FULL | {"bf16": True}, {"GPU": "warning"}),
        (GOOD, FULL | {"use_cpu": True}, {"bf16": "error"}),
        (GOOD, FULL | {"use_cpu": True, "bf16": True}, {}),
        (GOOD, FULL | {"use_cpu": True, "finetuning_type": "lora"}, {}),
        (with_version("deepspeed", "0.19.0"), {}, {"deepspeed": "warning"}),
        (with_version("flash-attn", None), GPU, {"flash-attn": "error"}),
        (with_version("flash-attn", None), {}, {}),
        (with_version("liger-kernel", "0.8.5"), GPU, {"liger-kernel": "error"}),
        (with_version("liger-kernel", "0.8.5"), {}, {"liger-kernel": "warning"}),
        (replace(GOOD, broken={"liger-kernel": "ImportError: x"}), GPU, {"liger-kernel": "error"}),
        (with_version("fastapi", "0.129.0"), {}, {"fastapi": "error"}),
        (with_version("vllm", "0.11.0"), {}, {"vllm": "warning"}),
        (replace(GOOD, python="3.10.4"), {}, {"python": "error"}),
        (replace(GOOD, unmet=("peft 0.19, LLaMA-Factory asks for <=0.18.1",)), {}, {"requirement": "error"}),
        (replace(GOOD, hooked=False), {}, {"plugin": "error"}),
        (replace(GOOD, variables={"VIRGO_FACTORY_DISABLE": "1"}), {}, {"plugin": "error"}),
        (replace(GOOD, variables={"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}), {}, {"plugin": "error"}),
        (replace(GOOD, variables={"USE_V1": "1"}), {}, {"USE_V1": "error"}),
        (replace(GOOD, variables={"DISABLE_VERSION_CHECK": "1"}), {}, {"DISABLE_VERSION_CHECK": "warning"}),
        (replace(GOOD, driver="570.12"), {}, {"driver": "error"}),
        (replace(GOOD, driver="570.12", cuda="12.8"), {}, {}),
        (replace(GOOD, driver="", gpus=()), {}, {"GPU": "warning"}),
        (replace(GOOD, driver="", gpus=()), {"use_cpu": True}, {}),
        (replace(GOOD, nccl=""), {}, {"NCCL": "warning"}),
        (replace(GOOD, variables={"NCCL_P2P_DISABLE": "1"}), {}, {"NCCL": "warning"}),
        (replace(GOOD, shared_memory=GIB // 16), {}, {"shared memory": "warning"}),
        (replace(GOOD, variables={"NNODES": "8", "RANK": "3"}), {}, {"NODE_RANK": "error", "MASTER_ADDR": "error"}),
        (replace(GOOD, variables={"NNODES": "8", "NODE_RANK": "3", "MASTER_ADDR": "10.0.0.1"}), {}, {}),
        (replace(GOOD, variables={}, gpus=("A",)), GPU, {"FORCE_TORCHRUN": "warning"}),
        (replace(GOOD, folder="/home/a b"), {}, {"folder": "error"}),
    ],
)
def test_each_trap_is_found_by_itself(there, recipe, found):
    assert bad(there, recipe) == found


def test_this_environment_is_read_as_it_is():
    there = read_environment({"output_dir": "no/such/folder"})
    assert there.versions["transformers"] == version("transformers")
    assert there.hooked
    assert there.cuda == (torch.version.cuda or "")
    if there.cuda.startswith("13"):
        assert there.nccl == version("nvidia-nccl-cu13")

    assert there.free_disk > 0
    assert not there.unmet


def test_a_kernel_that_cannot_be_imported_says_why(monkeypatch, tmp_path):
    (tmp_path / "flash_attn.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_environment({"flash_attn": "fa2"}).broken == {"flash-attn": "ImportError: undefined symbol: _ZN3c10"}


def test_the_command_tells_what_a_recipe_misses(call, monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "_nvidia", lambda: ("", ()))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("enable_liger_kernel: true\nflash_attn: fa2\nuse_cpu: true\n")
    code, out, _ = call("doctor", recipe, "--json")
    found = {item["check"]: item["severity"] for item in json.loads(out)}
    missing = [name for name in ("flash-attn", "liger-kernel") if environment._version(name) == ""]
    assert all(found[name] == "error" for name in missing)
    assert code == (1 if "error" in found.values() else 0)
    code, out, _ = call("doctor", recipe, "enable_liger_kernel=false", "flash_attn=sdpa", "--json")
    assert not {"flash-attn", "liger-kernel"} & {one["check"] for one in json.loads(out) if one["severity"] == "error"}


def test_the_command_tells_names_that_there_are_not(call, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    keys = ("template=vrigo", "dataset=virgo_demo_td", "overlong=drpo", "deepspeed=ds_none.json", "do_train=true")
    (tmp_path / "mine.yaml").write_text("use_cpu: true\n")
    code, out, _ = call("doctor", "mine.yaml", *keys, "--json")
    told = [item["found"] for item in json.loads(out) if item["check"] in ("recipe", "deepspeed file")]
    assert code == 1 and len(told) == 4, told
    for word in ("Did you mean virgo?", "Did you mean virgo_demo_dt?", "overlong: 'drpo'", "ds_none.json"):
        assert sum(word in line for line in told) == 1, word


def test_a_deepspeed_file_that_is_missing_or_broken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ds_mine.json").write_text("{\n// stage 3\n}")
    recipe = {"deepspeed": "ds_mein.json"}
    assert read_environment(recipe).zero.endswith(f"seen from {tmp_path}. Did you mean ds_mine.json?")
    assert "ds_mine.json:2:1: not JSON" in read_environment({"deepspeed": "ds_mine.json"}).zero
    (tmp_path / "ds_mine.json").write_text('{"zero_optimization": {"stage": 3}}')
    assert read_environment({"deepspeed": "ds_mine.json"}).zero == ""


@pytest.mark.parametrize(("dtype", "told"), [("float32", False), ("bfloat16", True)])
def test_a_model_stored_in_float32_needs_no_bf16_on_the_cpu(tmp_path, dtype, told):
    (tmp_path / "config.json").write_text(json.dumps({"dtype": dtype}))
    recipe = {"do_train": True, "finetuning_type": "full", "model_name_or_path": str(tmp_path)}
    assert bool(precision_problem(recipe)) is told
