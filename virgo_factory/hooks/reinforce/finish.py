"""The end of a run that was killed behind its last step: a checkpoint has all that was learned, the output folder no model."""

import shutil
from pathlib import Path
from typing import Any

from llamafactory.extras import logging

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.train.checkpoints import STATE, WEIGHTS, read_state
from virgo_factory.hooks.train.kept_epochs import state_of_training
from virgo_factory.io.atomic import write_json


RELIES_ON = {
    "transformers/trainer_pt_utils.py:1069": '    path = os.path.join(self.args.output_dir, f"{split}_results.json")\n',
}

RESULTS = "train_results.json"
"""What a run writes behind its model."""

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def lacks_only_its_end(training_args: Any) -> bool:
    """Return whether the checkpoint to go on from has all steps of this run, whose model was not saved any more.

    Args:
        training_args: after `choose_checkpoint`.

    Raises:
        ValueError: the run is finished: stock would train one step more, each time it is started.
    """
    checkpoint = training_args.resume_from_checkpoint
    state = read_state(Path(checkpoint)) if checkpoint else None
    if state is None:
        return False

    done, planned, limit = state["global_step"], state.get("max_steps", 0), training_args.max_steps
    steps = limit if limit > 0 else planned if state.get("num_train_epochs") == training_args.num_train_epochs else 0
    if not done >= steps > 0:
        return False

    results = Path(training_args.output_dir, RESULTS)
    if not results.is_file() or results.stat().st_mtime < Path(checkpoint, STATE).stat().st_mtime:
        return True

    raise UserError(
        f"{training_args.output_dir} holds a finished run ({done} of {steps} steps). Choose another output_dir, set "
        "overwrite_output_dir: true to start again, or raise max_steps or num_train_epochs to go on."
    )


def finish(training_args: Any) -> None:
    """Put the model of the checkpoint into the output folder, and what a run leaves beside it.

    Args:
        training_args: of a run that `lacks_only_its_end`; of all ranks the first one does it.

    Raises:
        ValueError: the checkpoint has the weights in parts only (DeepSpeed's, not gathered).
    """
    if not training_args.should_save:
        return

    checkpoint, output = Path(training_args.resume_from_checkpoint), Path(training_args.output_dir)
    state = read_state(checkpoint)
    if not any((checkpoint / name).is_file() for name in WEIGHTS):
        raise UserError(
            f"{output}: this run was killed behind its last step, and {checkpoint} has no whole weights to take for its "
            "model. Make them with its zero_to_fp32.py."
        )

    logger.warning_rank0(
        f"virgo-factory: this run was killed behind its last step; its model is taken from {checkpoint}."
    )
    shutil.copytree(checkpoint, output, ignore=state_of_training, dirs_exist_ok=True)
    shutil.copyfile(checkpoint / STATE, output / STATE)
    write_json(output / RESULTS, {name: state[name] for name in ("epoch", "total_flos") if name in state})
