"""What a training of the stage began with, kept in its checkpoints: one that goes on with other values is another run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamafactory.extras import logging

from virgo_factory.core.errors import UserError
from virgo_factory.core.reinforcement import changes_of
from virgo_factory.hooks.train.checkpoints import begun_with


logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def values_of(settings: Mapping[str, Any], training_args: Any) -> dict[str, Any]:
    """Return the values of a run that its checkpoints keep."""
    micro_step = training_args.per_device_train_batch_size * training_args.world_size
    seed = training_args.data_seed if training_args.data_seed is not None else training_args.seed
    return {**settings, "global_batch_size": micro_step * training_args.gradient_accumulation_steps, "seed": seed}


def check_begun(checkpoint: str | None, values: Mapping[str, Any]) -> None:
    """Raise if the checkpoint to go on from is of a run with another loss, other groups, batches or prompts.

    Other changes are told, and the run goes on with them. A checkpoint that does not say what it was made with passes.

    Raises:
        ValueError: with both values of each.
    """
    kept = begun_with(Path(checkpoint)) if checkpoint else None
    if kept is None:
        return

    refused, told = changes_of(kept, values)
    if refused:
        raise UserError(
            f"{checkpoint} was made with {_listed(refused, 0)}, and this recipe has {_listed(refused, 1)}: the run that "
            "was begun cannot go on so. Set it back, choose another output_dir, or set overwrite_output_dir: true to start "
            f"again (from these weights with model_name_or_path: {checkpoint})."
        )

    if told:
        logger.warning_rank0(
            f"virgo-factory: {checkpoint} was made with {_listed(told, 0)}; the run goes on with {_listed(told, 1)}."
        )


def _listed(changes: Mapping[str, tuple[Any, Any]], which: int) -> str:
    return ", ".join(f"{key}: {'unset' if pair[which] is None else pair[which]}" for key, pair in changes.items())
