"""Bytes that a run writes: one checkpoint, and the fullest moment of the disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from virgo_factory.preflight.plan.memory import BF16, FP32, Method, Shape, count_parameters, trained_parameters


@dataclass(frozen=True)
class Disk:
    """Bytes below output_dir."""

    model: int  # a saved model (an adapter with LoRA)
    checkpoint: int  # the model and what a resumed run needs
    checkpoints: int  # how many there are at the fullest moment
    models: int  # saved models beside them: `keep_model_at_epochs`, and the last one
    free: int | None  # on the disk of output_dir; None: unknown

    @property
    def peak(self) -> int:
        """Return the bytes at the fullest moment."""
        return self.checkpoint * self.checkpoints + self.model * self.models


def saved_bytes(shape: Shape, method: Method, only_model: bool = False) -> tuple[int, int]:
    """Return the bytes of a saved model and of a checkpoint.

    A DeepSpeed checkpoint holds the model once for readers, 12 B a trained parameter of optimiser (a float32 copy and
    two moments), and below stage 3 the model a second time, at stage 3 its frozen weights. Without DeepSpeed trained
    weights are saved in float32 and the optimiser in 8 B a parameter. With LoRA "the model" is the adapter.
    """
    trained = trained_parameters(shape, method)
    whole = sum(count_parameters(shape).values())
    frozen = 0 if method.lora else whole - trained
    if method.zero is None:
        model = BF16 * frozen + FP32 * trained
        return model, model + (0 if only_model else 2 * FP32 * trained)

    model = BF16 * (frozen + trained)
    again = BF16 * frozen if method.stage == 3 else model
    return model, model + (0 if only_model else 3 * FP32 * trained + again)


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk that a folder is on, or will be."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent

    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
