"""What a run that uses the plugin must satisfy, before anything is loaded.

A run uses the plugin when its template is one of ours, one of its datasets has one of our formattings, or one of our
keys stands in its recipe. Every other run goes through here untouched.
"""

import importlib.metadata
import os
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from llamafactory.extras import logging

from virgo_factory.autoload import TESTED, check_hooks
from virgo_factory.core.errors import UserError
from virgo_factory.core.global_batch import accumulation_steps
from virgo_factory.core.recipe_keys import told_together
from virgo_factory.hooks.contract import changed_places
from virgo_factory.hooks.data.dataset_lookup import datasets_of, our_formattings
from virgo_factory.hooks.hook import Hook, rebind
from virgo_factory.hooks.model.adapter import read_adapter, take_markers, trained_prefix
from virgo_factory.hooks.model.tied_embeddings import check_merge
from virgo_factory.hooks.reinforce.arguments import refused_keys, reinforce_problems, settings_of
from virgo_factory.hooks.reinforce.stage import STAGE, enter
from virgo_factory.hooks.start.arguments import find_wrong, our_keys
from virgo_factory.hooks.start.cpu import prepare_cpu_ranks
from virgo_factory.hooks.start.device import check_device
from virgo_factory.hooks.start.problems import ROW_KEYS, data_problems, find_problems
from virgo_factory.hooks.template.template import BASES
from virgo_factory.hooks.train.checkpoints import choose_checkpoint, tell_found_checkpoints
from virgo_factory.io.files import check_folder
from virgo_factory.preflight.doctor.names import unknown_datasets, unknown_template
from virgo_factory.preflight.versions import transformers_problem


RELIES_ON = {
    "llamafactory/hparams/parser.py:304": "def get_train_args(args: dict[str, Any] | list[str] | None = None) -> _TRAIN_CLS:",
    "llamafactory/hparams/parser.py:537": "def get_infer_args(args: dict[str, Any] | list[str] | None = None) -> _INFER_CLS:",
    "llamafactory/hparams/parser.py:85": "def read_args(args: dict[str, Any] | list[str] | None = None) -> dict[str, Any] | list[str]:",
    "llamafactory/train/tuner.py:71": "    model_args, data_args, training_args, finetuning_args, generating_args = get_train_args(args)",
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def wrap_argument_parsers(module: ModuleType) -> None:
    """Let the parsers of every command check and complete what uses the plugin."""
    stock_train, stock_infer = module.get_train_args, module.get_infer_args

    def get_train_args(args=None):
        recipe = module.read_args(args)
        check_device(recipe)
        wrong = find_wrong(recipe) | refused_keys(recipe) if isinstance(recipe, dict) else {}
        if wrong:  # left out, so that all else that is wrong is told with them
            args = {key: value for key, value in recipe.items() if key not in wrong}

        try:
            parsed = stock_train(args)
        except ValueError as error:
            if wrong:
                raise _listed([*wrong.values(), str(error)]) from None

            raise

        prepare_training(*parsed[:4], written=_keys_of(recipe), wrong=wrong)
        if parsed[3].stage == STAGE:
            enter(parsed[3])

        return parsed

    def get_infer_args(args=None):
        parsed = stock_infer(args)
        prepare_serving(*parsed[:3])
        return parsed

    rebind(stock_train, get_train_args)
    rebind(stock_infer, get_infer_args)
    tell_found_checkpoints(module)


def _keys_of(recipe: Any) -> set[str]:
    """Return the keys that a recipe, or a command line of `--key value`, says."""
    if isinstance(recipe, dict):
        return {str(key) for key, value in recipe.items() if value is not None}

    return {part[2:].partition("=")[0] for part in recipe or () if str(part).startswith("--")}


def prepare_training(
    model_args: Any,
    data_args: Any,
    training_args: Any,
    finetuning_args: Any,
    written: Collection[str] = (),
    wrong: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check and complete the arguments of a training run that uses the plugin; leave every other one alone.

    `written`: the keys that the recipe says.
    `wrong`: see `find_wrong` and `refused_keys`; the arguments were parsed without them.

    Raises:
        ValueError: all that is wrong, together.
    """
    keys = our_keys(data_args) | our_keys(model_args) | our_keys(finetuning_args)
    formattings = formattings_of(data_args)
    is_ours = bool(keys or wrong or formattings or data_args.template in BASES or finetuning_args.stage == STAGE)
    adapter = read_adapter(model_args, hub=is_ours)
    if not (is_ours or (adapter and adapter.markers)):
        return

    from llamafactory.data.template import TEMPLATES

    check_plugin()
    model_args.virgo_adapter = adapter
    take_markers(adapter, model_args, training=True)
    keys |= our_keys(model_args)
    names = ("dataset", "eval_dataset", "dataset_dir", "tokenized_path")
    problems = unknown_datasets({name: getattr(data_args, name) for name in names}, ours=True)
    if not problems:  # else it is not known what they are
        problems = find_problems(keys, formattings, model_args, data_args, training_args, finetuning_args)
        problems += data_problems(data_args, finetuning_args.stage)
        problems += reinforce_problems(
            keys, formattings, set(written), model_args, data_args, training_args, finetuning_args
        )

    problems += filter(None, [unknown_template(data_args.template, TEMPLATES, ours=True)])
    if finetuning_args.global_batch_size is not None and training_args.gradient_accumulation_steps == 1:
        try:
            share = finetuning_args.sequence_parallel_size or 1
            _set_global_batch(finetuning_args.global_batch_size, training_args, share)
        except ValueError as error:
            problems.append(str(error))

    if training_args.do_train:
        try:
            checkpoint = choose_checkpoint(training_args.resume_from_checkpoint, training_args, finetuning_args)
            training_args.resume_from_checkpoint = checkpoint
        except ValueError as error:
            problems.append(str(error))

    if training_args.process_index == 0 and not problems:
        try:
            check_folder(Path(training_args.output_dir))
        except ValueError as error:
            problems.append(f"output_dir: {error}")

    if problems := told_together(wrong, problems):
        raise _listed(problems)

    if not training_args.do_train:  # an evaluation asks as the model was trained to be asked
        data_args.virgo_serving, model_args.virgo_served_data_args = True, data_args

    finetuning_args.virgo_used = True
    training_args.virgo_finetuning_args = finetuning_args  # for the look ahead: get_dataset is not given it
    data_args.virgo_used = finetuning_args.stage in ("sft", "dpo", STAGE) and not data_args.streaming
    if finetuning_args.stage == STAGE:
        settings = settings_of(finetuning_args, data_args.template)
        data_args.cutoff_len = settings["rl_max_prompt_tokens"]
        model_args.model_max_length = data_args.cutoff_len + settings["rl_max_response_tokens"]

    if training_args.use_cpu:
        prepare_cpu_ranks(training_args)


def _listed(problems: Sequence[str]) -> UserError:
    return UserError("virgo-factory:\n" + "\n".join(f"  - {problem}" for problem in problems))


def prepare_serving(model_args: Any, data_args: Any, finetuning_args: Any) -> None:
    """Check the arguments of `api`, `chat`, `export` and the like, and let them serve what the model was trained with.

    Raises:
        ValueError: keys of training, or what the adapter was not trained with.
    """
    keys = our_keys(data_args) | our_keys(model_args) | our_keys(finetuning_args)
    formattings = formattings_of(data_args)  # scripts/vllm_infer.py reads datasets with these arguments
    is_ours = bool(keys or formattings or data_args.template in BASES)
    adapter = read_adapter(model_args, hub=is_ours)
    if not (is_ours or (adapter and (adapter.markers or trained_prefix(adapter.chat_template)))):
        return

    check_plugin()
    heeded = ("question_prefix", "marker_tokens", *(ROW_KEYS if formattings else ()))
    idle = [key for key in keys if key not in heeded]
    if idle:
        raise UserError(f"virgo-factory: {', '.join(idle)} does nothing outside training. Remove it.")

    take_markers(adapter, model_args, training=False)
    check_merge(adapter, model_args)
    data_args.virgo_serving = True
    model_args.virgo_adapter, model_args.virgo_served_data_args = adapter, data_args
    data_args.virgo_used = bool(formattings) and not data_args.streaming


def check_plugin() -> None:
    """Raise if the hooks cannot be relied on: one failed, or LLaMA-Factory or transformers has not been tested.

    Raises:
        RuntimeError: with the tested versions; DISABLE_VERSION_CHECK=1, LLaMA-Factory's own switch, makes an untested
            version a warning. A failed hook is never passed over: the run would train on something else.
    """
    check_hooks()
    problems = []
    if (version := _version("llamafactory")) not in TESTED:
        problems.append(
            f"virgo-factory has not been tested with LLaMA-Factory {version}, only with {', '.join(TESTED)}. "
            + _what_has_changed(changed_places())
        )

    if problem := transformers_problem(_version("transformers")):
        problems.append(f"virgo-factory: {problem}.")

    if problems and os.environ.get("DISABLE_VERSION_CHECK", "0").lower() not in ("1", "true", "y"):
        told = " ".join(problems)
        raise RuntimeError(f"{told} Install tested versions, or set DISABLE_VERSION_CHECK=1 to go on.")

    for problem in problems:
        logger.warning_rank0(problem)


def _what_has_changed(places: Sequence[str]) -> str:
    """Say of an untested LLaMA-Factory whether what the hooks rely on stands in it."""
    if not places:
        return "All that it relies on stands there, as in 0.9.5 or as on the main branch of 2026-08."

    more = f" and {len(places) - 5} more" if len(places) > 5 else ""
    return f"{len(places)} places that it relies on have changed: {', '.join(places[:5])}{more}."


def _version(package: str) -> str:
    return importlib.metadata.version(package)


def formattings_of(data_args: Any) -> dict[str, str]:
    """Return name -> formatting of the run's datasets that are in one of ours; {} where the loader will report an error."""
    try:
        return our_formattings(datasets_of(data_args))
    except (OSError, ValueError):  # no such file, name or repository
        return {}
    except (AttributeError, KeyError, TypeError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"] != "llamafactory.data.parser":  # else it stumbles over a broken entry
            raise

        return {}


def _set_global_batch(rows: int, training_args: Any, share: int) -> None:
    ranks = max(training_args.world_size // share, 1)  # a group of ranks that share sequences takes rows as one
    steps = accumulation_steps(rows, ranks, training_args.per_device_train_batch_size)
    training_args.gradient_accumulation_steps = steps
    if training_args.deepspeed:
        # TrainingArguments.__post_init__ has filled the file's "auto" values already (transformers 4.57.6,
        # training_args.py:2074-2081): fill them again, from the file, with the new number.
        from accelerate.utils import DeepSpeedPlugin
        from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

        training_args.hf_deepspeed_config = HfTrainerDeepSpeedConfig(training_args.deepspeed)
        training_args.hf_deepspeed_config.trainer_config_process(training_args)
        training_args.deepspeed_plugin = DeepSpeedPlugin(hf_ds_config=training_args.hf_deepspeed_config)

    logger.info_rank0(
        f"virgo-factory: global batch {rows} = {ranks} {'ranks' if share == 1 else f'groups of {share} ranks'} x "
        f"{training_args.per_device_train_batch_size} rows x {steps} accumulation steps."
    )


HOOK = Hook(modules=("llamafactory.hparams.parser",), relies_on=RELIES_ON, apply=wrap_argument_parsers)
