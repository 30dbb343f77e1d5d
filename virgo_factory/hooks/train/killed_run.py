"""A run that was killed behind its last step: its model, taken from its last checkpoint at the next start.

It has all that it learned in a checkpoint, and no model in its folder. Its stage is left by `OnlyItsEnd`, and `finish` does
what would have come.
"""

import shutil
from pathlib import Path
from typing import Any

from llamafactory.extras import logging

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.train.checkpoints import STATE, WEIGHTS, read_state
from virgo_factory.hooks.train.kept_epochs import copy_model, keep_checkpoint
from virgo_factory.io.atomic import write_json


RELIES_ON = {
    "transformers/trainer_pt_utils.py:1069": '    path = os.path.join(self.args.output_dir, f"{split}_results.json")\n',
    "llamafactory/train/sft/workflow.py:122": "        trainer.save_model()\n",
}

RESULTS = "train_results.json"
"""What a run writes behind its model, and then its state."""
DRAWN = ("loss", "reward", "rewards/accuracies")
"""What the stages draw with `plot_loss`, beside losses and accuracies of evaluations."""

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


class OnlyItsEnd(Exception):
    """All steps of a run are done, and its model was not saved any more."""


def nothing_to_train(training_args: Any, steps: int) -> None:
    """Leave a stage whose checkpoint has all steps of the run.

    Raises:
        OnlyItsEnd: the run was killed before it had saved its model.
        ValueError: the run is finished: stock would train 0 steps or one more, and write its results over.
    """
    output, checkpoint = Path(training_args.output_dir), Path(training_args.resume_from_checkpoint)
    state = read_state(checkpoint)
    is_last = state["global_step"] == state.get("max_steps") == steps
    if is_last and checkpoint.resolve().parent == output.resolve() and not _has_ended(output, checkpoint):
        raise OnlyItsEnd

    raise UserError(
        f"{output} holds a finished run ({state['global_step']} of {steps} steps), so this one would train 0 steps. Choose "
        "another output_dir, set overwrite_output_dir: true to start again, or raise num_train_epochs or max_steps to go on."
    )


def _has_ended(output: Path, checkpoint: Path) -> bool:
    """Return whether a run wrote what it ends with behind this checkpoint; a shorter run may have left the same files."""
    saved = (checkpoint / STATE).stat().st_mtime
    return all((output / name).is_file() and (output / name).stat().st_mtime >= saved for name in (RESULTS, STATE))


def finish(training_args: Any, finetuning_args: Any, processor: Any) -> None:
    """Put the model of the checkpoint into the output folder, and what a run leaves beside it.

    Raises:
        ValueError: the checkpoint has the weights in parts only (DeepSpeed's, not gathered), or not as the run leaves them.
    """
    if not training_args.should_save:
        return

    last, output = Path(training_args.resume_from_checkpoint), Path(training_args.output_dir)
    state = read_state(last)
    chosen = last
    if training_args.load_best_model_at_end and (best := state.get("best_model_checkpoint")):
        chosen = output / Path(best).name

    problem = ""
    if not any((chosen / name).is_file() for name in WEIGHTS):
        problem = f"{chosen} has no whole weights to take for its model. Make them with its zero_to_fp32.py, or remove {last}"
    elif getattr(finetuning_args, "pissa_convert", False):
        problem = f"its adapter was not converted (pissa_convert). Remove {last}"

    if problem:
        raise UserError(
            f"{output}: this run was killed behind its last step, and {problem}: then the next start goes on from the "
            "checkpoint before it."
        )

    logger.warning_rank0(
        f"virgo-factory: this run was killed behind its last step; its model is taken from {chosen}."
        + (" It is not evaluated: start it again with do_train: false." if training_args.do_eval else "")
    )
    copy_model(chosen, output, processor)
    for epoch in getattr(finetuning_args, "keep_model_at_epochs", None) or ():
        if epoch == state.get("epoch") and not (output / f"epoch-{epoch}").is_dir():
            keep_checkpoint(last, output / f"epoch-{epoch}", processor)

    shutil.copyfile(last / STATE, output / STATE)
    draw(training_args, finetuning_args)
    write_json(output / RESULTS, {name: state[name] for name in ("epoch", "total_flos") if name in state})


def draw(training_args: Any, finetuning_args: Any) -> None:
    """Draw what a run has logged, if its recipe says `plot_loss`."""
    from llamafactory.extras.ploting import plot_loss

    if training_args.process_index or not finetuning_args.plot_loss:
        return

    output = training_args.output_dir
    logged = {name for entry in read_state(Path(output))["log_history"] for name in entry}
    evaluated = sorted(name for name in logged if name.startswith("eval_") and name.endswith(("_loss", "_accuracy")))
    plot_loss(output, keys=[name for name in (*DRAWN, *evaluated) if name in logged])
    if finetuning_args.stage == "grpo":
        from virgo_factory.reinforce.curves import write as write_curves

        write_curves(output)
