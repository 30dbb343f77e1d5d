"""The end of a training: what it told at its start and where its results are, once more."""

from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging

from virgo_factory.hooks.hook import Hook, rebind


RELIES_ON = {
    "llamafactory/train/sft/__init__.py:15": "from .workflow import run_sft",
    "llamafactory/train/dpo/__init__.py:15": "from .workflow import run_dpo",
    "llamafactory/train/tuner.py:42": "from .dpo import run_dpo\n",
    "llamafactory/train/tuner.py:117": "        run_sft(model_args, data_args, training_args, finetuning_args, ",
    "llamafactory/train/tuner.py:47": "from .sft import run_sft\n",
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown

_lines: list[str] = []
_places: dict[str, Path] = {}


def begin(output_dir: str) -> None:
    """Note that a training begins, whose results are to be in this folder."""
    _lines.clear()
    _places.clear()
    _places["model"] = Path(output_dir)


def remember(line: str) -> None:
    """Note a line that has been told and is told again at the end of a training."""
    _lines.append(line)


def remember_place(what: str, path: Path) -> None:
    """Note a file that is named at the end of a training."""
    if _places:
        _places[what] = path


def tell_again_at_the_end(module: ModuleType) -> None:
    """Let a stage end with what its training has told.

    Not on the tuner: under torchrun it is what imports torch, and so has begun before the plugin is there.
    """
    for name in ("run_sft", "run_dpo"):
        if hasattr(module, name):
            rebind(getattr(module, name), telling(getattr(module, name)))


def telling(stock: Any) -> Any:
    """Return a stage's run that ends with what it has told."""

    def run(*args, **kwargs):
        _places.clear()
        stock(*args, **kwargs)
        if lines := summary():
            logger.info_rank0("virgo-factory: this training" + "".join(f"\n  {line}" for line in lines))

    return run


def summary() -> list[str]:
    """Return the lines of a training that is done; none where it is not one of ours."""
    if not _places:
        return []

    folder = _places["model"]
    checkpoints = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    found = [
        *sorted(checkpoints, key=lambda path: int(path.name.removeprefix("checkpoint-")))[-1:],
        *sorted(folder.glob("epoch-[0-9]*")),
    ]
    names = [path.name for path in found if not path.name.endswith(".partial")]
    beside = f" (in it {', '.join(names)})" if names else ""
    files = [f"{what}: {path}" for what, path in _places.items() if what != "model" and path.exists()]
    return [*_lines, f"model: {folder}{beside}", *files]


HOOK = Hook(
    modules=("llamafactory.train.sft", "llamafactory.train.dpo"), relies_on=RELIES_ON, apply=tell_again_at_the_end
)
