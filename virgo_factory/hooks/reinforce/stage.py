"""`stage: grpo` under `llamafactory-cli train`: the run, and the door through which it comes.

The tuner knows no such stage, and cannot be hooked: under torchrun it is what imports torch, and so has begun before the
plugin is there. So the parsed arguments of such a run say sft, whose branch passes all that is needed, and the name
`run_sft` in the tuner leads to this run for them. No other run comes through here.
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

from llamafactory.extras import logging

from virgo_factory.hooks.hook import replace
from virgo_factory.hooks.reinforce.arguments import grpo_arguments, rollout_size, settings_of
from virgo_factory.hooks.reinforce.begun import check_begun, values_of
from virgo_factory.hooks.start.cpu import prepare_cpu_ranks
from virgo_factory.hooks.train.checkpoints import BegunWith, read_state
from virgo_factory.hooks.train.ending import telling
from virgo_factory.hooks.train.steps_left import check_is_its_end


RELIES_ON = {
    "llamafactory/train/tuner.py:116": '    elif finetuning_args.stage == "sft":\n'
    "        run_sft(model_args, data_args, training_args, finetuning_args, generating_args, callbacks)\n",
    "llamafactory/train/sft/workflow.py:49": "    tokenizer_module = load_tokenizer(model_args)\n",
    "llamafactory/train/trainer_utils.py:116": "def create_ref_model(\n",
    "llamafactory/train/trainer_utils.py:87": "def create_modelcard_and_push(\n",
}

STAGE = "grpo"
TUNER = "llamafactory.train.tuner"

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def enter(finetuning_args: Any) -> None:
    """Let the tuner lead a run with these arguments, whose stage is grpo, to `run_grpo`."""
    tuner = sys.modules.get(TUNER)
    if tuner is None:  # parsed by somebody who trains nothing
        return

    finetuning_args.stage, finetuning_args.virgo_stage = "sft", STAGE
    stock = tuner.run_sft
    if hasattr(stock, "leads_to_grpo"):
        return

    def run_sft(model_args, data_args, training_args, finetuning_args, generating_args, callbacks=None):
        if getattr(finetuning_args, "virgo_stage", None) != STAGE:
            return stock(model_args, data_args, training_args, finetuning_args, generating_args, callbacks)

        finetuning_args.stage = STAGE
        return telling(run_grpo)(model_args, data_args, training_args, finetuning_args, callbacks)

    run_sft.leads_to_grpo = True
    replace(tuner, "run_sft", run_sft)


def run_grpo(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any, callbacks: Any) -> None:
    """Train a policy on the rewards of its own responses.

    Raises:
        ValueError: fewer prompts than one rollout asks, a curriculum without pass rates, a checkpoint of another run, or a
            server that is not what it must be; before the model is loaded.
    """
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.model import load_model, load_tokenizer
    from llamafactory.train.trainer_utils import create_ref_model
    from transformers.trainer import _is_peft_model

    from virgo_factory.hooks.reinforce.prompts import arrange
    from virgo_factory.hooks.reinforce.served import ServedRollouts
    from virgo_factory.hooks.reinforce.trainer import PolicyTrainer

    settings = settings_of(finetuning_args, data_args.template)
    values = values_of(settings, training_args)
    check_begun(training_args.resume_from_checkpoint, values)
    parts = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(parts["tokenizer"], data_args)
    module = get_dataset(template, model_args, data_args, training_args, stage=STAGE, **parts)
    prompts = arrange(module["train_dataset"], settings, rollout_size(settings, training_args))
    values["prompts"] = len(prompts)
    check_begun(training_args.resume_from_checkpoint, {"prompts": len(prompts)})
    _check_steps_left(training_args)
    _tell(settings, training_args, len(prompts))
    arguments = grpo_arguments(training_args, settings)
    if arguments.use_cpu:
        prepare_cpu_ranks(arguments)

    with contextlib.ExitStack() as stack:
        served = None
        if settings["rl_server"] is not None:
            images = max(len(images or []) for images in prompts["images"])
            served = ServedRollouts(model_args, settings, training_args, images)
            stack.callback(served.close)

        model = load_model(parts["tokenizer"], model_args, finetuning_args, is_trainable=True)
        needs_reference = settings["rl_beta"] > 0 and not _is_peft_model(model)  # an adapter is switched off for it
        trainer = PolicyTrainer(
            model=model,
            args=arguments,
            prompts=prompts,
            template=template,
            finetuning_args=finetuning_args,
            settings=settings,
            reference=create_ref_model(model_args, finetuning_args) if needs_reference else None,
            served=served,
            callbacks=[*(callbacks or []), BegunWith(values)],
            **parts,
        )
        stack.callback(trainer.close)
        result = trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)

    _save(trainer, result.metrics, model_args, data_args, training_args, finetuning_args)


def _save(
    trainer: Any, metrics: dict[str, float], model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any
) -> None:
    """Leave what every stage of LLaMA-Factory leaves in its output folder."""
    from llamafactory.extras.ploting import plot_loss
    from llamafactory.train.trainer_utils import create_modelcard_and_push

    from virgo_factory.reinforce.curves import write as write_curves

    trainer.save_model()
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics)
    trainer.save_state()
    if finetuning_args.plot_loss and trainer.is_world_process_zero():
        plot_loss(training_args.output_dir, keys=["loss", "reward"])
        write_curves(training_args.output_dir)

    create_modelcard_and_push(trainer, model_args, data_args, training_args, finetuning_args)


def _check_steps_left(training_args: Any) -> None:
    """Raise if no steps are left, as far as the checkpoint tells: how many an epoch has, only the trainer knows."""
    checkpoint = training_args.resume_from_checkpoint
    state = read_state(Path(checkpoint)) if checkpoint else None
    if state is None:
        return

    limit, planned = training_args.max_steps, state.get("max_steps", 0)
    steps = limit if limit > 0 else planned if state.get("num_train_epochs") == training_args.num_train_epochs else 0
    if state["global_step"] >= steps > 0:
        check_is_its_end(training_args, state, steps)


def _tell(settings: dict[str, Any], training_args: Any, prompts: int) -> None:
    group, updates = settings["rl_num_generations"], settings["rl_updates_per_rollout"]
    rollout = rollout_size(settings, training_args)
    asked = rollout // group
    left = prompts % asked
    logger.info_rank0(
        f"virgo-factory: rl_loss: {settings['rl_loss']}; a rollout is {asked} prompts x {group} responses = {rollout}, "
        f"used in {updates} update{'s' * (updates > 1)} of {rollout // updates}; {prompts // asked} rollouts an epoch"
        + (f", {left} prompts a time are left over." if left else ".")
    )
    if updates == 1:
        logger.info_rank0(
            "virgo-factory: rl_updates_per_rollout: 1, so the ratio is 1 and the clip never acts (as in the paper's run)."
        )

    if settings["rl_loss"] == "dapo":
        logger.info_rank0("virgo-factory: rl_loss: dapo is without its sampling again of groups of equal reward.")
