"""What is left to train of the run in an output folder, told before anything of that run is written over."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from llamafactory.extras import logging

from virgo_factory.core.errors import UserError
from virgo_factory.data.rows.account import FILE_NAME, DatasetAccount, from_json
from virgo_factory.hooks.train.checkpoints import STATE, FoundCheckpoint, read_state
from virgo_factory.hooks.train.kept_epochs import tell_kept_epochs


RELIES_ON = {
    "transformers/trainer_pt_utils.py:1069": '    path = os.path.join(self.args.output_dir, f"{split}_results.json")\n',
    "llamafactory/train/sft/workflow.py:122": "        trainer.save_model()\n",
}

RESULTS = "train_results.json"
"""What a run writes behind its model, and then its state."""

_SEEN = ("template", "question_prefix")
"""Settings that change what the model sees of every row, however many there are."""

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def check_steps_left(
    dataset: Any,
    accounts: list[DatasetAccount],
    training_args: Any,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Raise if nothing is left to train, or what is left is not the rest of the run that was begun.

    `settings`: of the rows, as they stand in the account. Called before the row account of that run is written over. Warns if the run ends before an epoch that is to be kept.

    Raises:
        ValueError: LLaMA-Factory would train 0 steps and exit 0, or go on with a finished run whose rows have changed.
    """
    if not training_args.do_train or dataset is None:
        return

    finetuning_args = getattr(training_args, "virgo_finetuning_args", None)
    share = getattr(finetuning_args, "sequence_parallel_size", None) or 1
    per_epoch = steps_an_epoch(len(dataset), training_args, share)
    epochs, max_steps = training_args.num_train_epochs, training_args.max_steps
    tell_kept_epochs(getattr(finetuning_args, "keep_model_at_epochs", None), per_epoch, max_steps)
    checkpoint = training_args.resume_from_checkpoint
    state = read_state(Path(checkpoint)) if checkpoint else None
    if state is None:
        return

    steps = max_steps if max_steps > 0 else math.ceil(epochs * per_epoch)
    done, planned = state["global_step"], state.get("max_steps", 0)
    finished = done >= planned > 0
    changes = _changed_rows(accounts, settings, Path(training_args.output_dir))
    whole = state.get("epoch") == state.get("num_train_epochs") == epochs  # an end of an epoch, then and now
    if not changes and finished and whole and max_steps <= 0 and steps != planned:
        changes = f"{planned} steps then, {steps} now, by other rows or another batch"

    told = f"{done} of {planned if finished else steps} steps"
    if changes and (done >= steps or (finished and isinstance(checkpoint, FoundCheckpoint))):
        raise UserError(
            f"{training_args.output_dir} holds a {'finished run' if finished else 'run'} ({told}) on other data than this "
            f"recipe's, which makes {steps} steps: {changes}. Choose another output_dir,{'' if done < steps else ' or'} set "
            "overwrite_output_dir: true to start again"
            + (f", or go on all the same with resume_from_checkpoint: {checkpoint}." if done < steps else ".")
        )

    if done >= steps:
        check_is_its_end(training_args, state, steps)

    if changes:
        logger.warning_rank0(
            f"virgo-factory: {checkpoint} comes from other data than this recipe's: {changes}. The run goes on at step "
            f"{done} of {steps} of the new data's order."
        )


def check_is_its_end(training_args: Any, state: dict[str, Any], steps: int) -> None:
    """Raise if a run whose checkpoint has all steps is finished; one that was killed before its model was saved goes on.

    Raises:
        ValueError: it is: stock would train 0 steps or one more, and write its results over.
    """
    output, checkpoint = Path(training_args.output_dir), Path(training_args.resume_from_checkpoint)
    is_last = state["global_step"] == state.get("max_steps") == steps
    if is_last and checkpoint.resolve().parent == output.resolve() and not _has_ended(output, checkpoint):
        logger.warning_rank0(
            f"virgo-factory: this run was killed behind its last step; its model is that of {checkpoint}."
        )
        return

    raise UserError(
        f"{output} holds a finished run ({state['global_step']} of {steps} steps), so this one would train 0 steps. Choose "
        "another output_dir, set overwrite_output_dir: true to start again, or raise num_train_epochs or max_steps to go on."
    )


def _has_ended(output: Path, checkpoint: Path) -> bool:
    """Return whether a run wrote what it ends with behind this checkpoint; a shorter run may have left the same files."""
    saved = (checkpoint / STATE).stat().st_mtime
    return all((output / name).is_file() and (output / name).stat().st_mtime >= saved for name in (RESULTS, STATE))


def steps_an_epoch(rows: int, training_args: Any, share: int = 1) -> int:
    """Return the optimiser steps of an epoch, as transformers counts them (trainer.py, set_initial_training_values).

    `share`: ranks that share sequences and so get the same rows.
    """
    micro_step = training_args.per_device_train_batch_size * (training_args.world_size // share)
    batches = rows // micro_step if training_args.dataloader_drop_last else math.ceil(rows / micro_step)
    return max(math.ceil(batches / training_args.gradient_accumulation_steps), 1)


def _changed_rows(accounts: list[DatasetAccount], settings: Mapping[str, Any], output_dir: Path) -> str:
    try:
        content = json.loads((output_dir / FILE_NAME).read_text(encoding="utf-8"))
        before = from_json(content)
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # none, or of another version

    def trained(entries):
        return {one.name: one.kept_for["train"] for one in entries if one.kept_for.get("train")}

    then, now = trained(before), trained(accounts)
    if not then:
        return ""  # of an evaluation

    old = content.get("settings", settings)
    told = []
    for name in {**then, **now}:
        if then.get(name, 0) != now.get(name, 0):
            told.append(f"{name} {then.get(name, 0)} rows then, {now.get(name, 0)} now")
        elif settings and old["data"].get(name) != settings["data"].get(name):
            told.append(f"{name} as many rows then as now, in files that have changed")

    told += [f"{key} {old[key]!r} then, {settings[key]!r} now" for key in _SEEN if old.get(key) != settings.get(key)]
    return ", ".join(told)
