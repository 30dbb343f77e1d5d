"""The end of a training: what it told at its start and where its results are, once more; and that of one that was killed.

A run that was killed behind its last step has all that it learned in a checkpoint, and no model in its folder. Its stage is
left by `OnlyItsEnd` at the next start, and `finish` does what would have come.
"""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.hook import Hook, rebind
from virgo_factory.hooks.train.checkpoints import STATE, WEIGHTS, read_state
from virgo_factory.hooks.train.kept_epochs import copy_model, keep_checkpoint
from virgo_factory.io.atomic import write_json


RELIES_ON = {
    "transformers/trainer_pt_utils.py:1069": '    path = os.path.join(self.args.output_dir, f"{split}_results.json")\n',
    "llamafactory/train/sft/workflow.py:122": "        trainer.save_model()\n",
    "llamafactory/train/sft/__init__.py:15": "from .workflow import run_sft",
    "llamafactory/train/dpo/__init__.py:15": "from .workflow import run_dpo",
    "llamafactory/train/tuner.py:42": "from .dpo import run_dpo\n",
    "llamafactory/train/tuner.py:117": "        run_sft(model_args, data_args, training_args, finetuning_args, ",
    "llamafactory/train/tuner.py:47": "from .sft import run_sft\n",
}

RESULTS = "train_results.json"
"""What a run writes behind its model, and then its state."""
DRAWN = ("loss", "reward", "rewards/accuracies")
"""What the stages draw with `plot_loss`, beside losses and accuracies of evaluations."""

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
    """Return a stage's run that ends with what it has told, and that takes up the end of a killed one."""

    def run(*args, **kwargs):
        _places.clear()
        try:
            stock(*args, **kwargs)
        except OnlyItsEnd:
            from llamafactory.model import load_tokenizer

            model_args, _, training_args, finetuning_args = args[:4]
            finish(training_args, finetuning_args, load_tokenizer(model_args)["processor"])

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


HOOK = Hook(
    modules=("llamafactory.train.sft", "llamafactory.train.dpo"), relies_on=RELIES_ON, apply=tell_again_at_the_end
)
