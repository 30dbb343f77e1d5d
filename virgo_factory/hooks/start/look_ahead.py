"""What a run will take, told by rank 0 once its rows are tokenised and before its weights are loaded."""

import os
from typing import Any

import numpy as np
import torch
from llamafactory.extras import logging

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.train.batch_order import token_lengths
from virgo_factory.preflight.plan.models import find_shape
from virgo_factory.preflight.plan.plan import Dataset, Machine, Rows
from virgo_factory.preflight.plan.start import SKIP_VARIABLE, look_ahead


RELIES_ON = {
    "llamafactory/hparams/finetuning_args.py:531": "    freeze_multi_modal_projector: bool = field(",
    "llamafactory/hparams/model_args.py:137": "    enable_liger_kernel: bool = field(",
}

PIXELS_A_TOKEN = 28 * 28
_MODEL = ("model_name_or_path", "flash_attn", "enable_liger_kernel", "disable_gradient_checkpointing")
_TRAINING = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "output_dir"),
    *("dataloader_drop_last", "group_by_length", "train_sampling_strategy", "deepspeed"),
    *("save_steps", "save_total_limit", "save_only_model"),
)
_FINETUNING = (
    *("stage", "finetuning_type", "lora_rank", "lora_target", "pref_loss", "ref_model", "batch_order"),
    *("packing_tokens", "sequence_parallel_size", "fused_loss"),
    *("freeze_vision_tower", "freeze_multi_modal_projector", "freeze_language_model", "keep_model_at_epochs"),
)

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def tell_ahead(dataset: Any, model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Print the block of a training run on rank 0. An estimate that cannot be made is a line, never an end.

    Raises:
        ValueError: what is certain to crash the run.
    """
    if os.environ.get(SKIP_VARIABLE) == "1" or not training_args.should_log or not training_args.do_train:
        return

    try:
        lines, warnings, certain = look_ahead(*_asked(dataset, model_args, data_args, training_args, finetuning_args))
    except Exception as error:  # of an estimate, which never stops a run
        told = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        logger.warning_rank0(f"virgo-factory: no look ahead ({told}).")
        return

    told = "".join(f"\n  {line}" for line in lines)
    logger.info_rank0(f"virgo-factory: what this run takes ({SKIP_VARIABLE}=1 leaves this out)" + told)
    for warning in warnings:
        logger.warning_rank0(f"virgo-factory: {warning}")

    if certain:
        raise UserError("virgo-factory:\n" + "\n".join(f"  - {problem}" for problem in certain))


def _asked(dataset: Any, model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> tuple:
    sources = ((_MODEL, model_args), (_TRAINING, training_args), (_FINETUNING, finetuning_args))
    recipe = {name: value for names, source in sources for name in names
              if (value := getattr(source, name, None)) is not None}  # fmt: skip
    recipe["flash_attn"] = str(getattr(recipe.get("flash_attn"), "value", recipe.get("flash_attn")))
    recipe["save_strategy"] = str(getattr(training_args.save_strategy, "value", training_args.save_strategy))
    recipe["use_cpu"] = training_args.use_cpu
    try:
        shape, _ = find_shape(model_args.model_name_or_path)
    except ValueError:  # another family of models
        shape = None

    on_gpu = not training_args.use_cpu and torch.cuda.is_available()
    memory = torch.cuda.get_device_properties(training_args.device).total_memory if on_gpu else 80e9
    machine = Machine(gpus=training_args.world_size, memory=float(memory), source="this run")
    return recipe, _rows(dataset, model_args), machine, data_args.cutoff_len, shape, on_gpu


def _rows(dataset: Any, model_args: Any) -> Rows:
    """Return the lengths of a tokenised dataset, of a pair those of the longer side; images at the pixel budget."""
    names = [name for name in dataset.column_names if name.endswith("input_ids")]
    lengths = np.max([token_lengths(dataset, name) for name in names], axis=0)
    budget = model_args.image_max_pixels // PIXELS_A_TOKEN
    pictures = token_lengths(dataset, "images") if "images" in dataset.column_names else np.zeros_like(lengths)
    account = Dataset("train", len(lengths), len(lengths), len(lengths), 0, {})
    return Rows((account,), lengths, np.minimum(pictures * budget, lengths))
